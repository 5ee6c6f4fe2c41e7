//! Instances whose network ACL lets an address in that guesses passwords.

use aws_sdk_ec2::types::{NetworkAcl, RuleAction, Tag};
use serde_json::Value;

use super::{Kind, instances};
use crate::{World, guardduty};

pub(super) const BLOCKED: Kind = Kind {
    remediation: "block-address",
    function: "instances",
    mutation: ("CreateNetworkAclEntry", 1),
    rule: "BlockAddress",
    set: |world, name| Box::pin(run(world, name)),
    change: |world, instance, _| Box::pin(found(world, instance)),
    harmless: None,
    words: |world, instance| Box::pin(standing(world, instance)),
    contained: Some(|world, instance| Box::pin(contained(world, instance))),
};

/// Who guesses.
pub const HOSTILE: &str = "198.51.100.7";

/// The entry that keeps them out.
const BLOCK: &str = "in 00001: deny 198.51.100.7/32";

/// Runs an instance. The emulator can't be asked whose an address is: nobody has it.
pub async fn run(world: &World, name: &str) -> String {
    let none = "<DescribeNetworkInterfacesResponse><networkInterfaceSet/></DescribeNetworkInterfacesResponse>";
    world.proxy.answer("DescribeNetworkInterfaces", &none);
    instances::run(world, name).await
}

/// The network ACL in front of an instance.
pub async fn describe(world: &World, instance: &str) -> NetworkAcl {
    let subnets: Vec<String> = instances::describe(world, instance)
        .await
        .network_interfaces()
        .iter()
        .filter_map(|interface| interface.subnet_id().map(str::to_owned))
        .collect();
    let answer = world.account.ec2().describe_network_acls().send().await.expect("network ACLs");
    let is_in_front = |acl: &&NetworkAcl| {
        acl.associations().iter().any(|one| one.subnet_id().is_some_and(|id| subnets.iter().any(|subnet| subnet == id)))
    };
    answer.network_acls().iter().find(is_in_front).expect("a network ACL").clone()
}

/// Its id.
pub async fn acl_of(world: &World, instance: &str) -> String {
    describe(world, instance).await.network_acl_id().expect("an id").to_owned()
}

/// Adds so many entries of somebody else's to a network ACL.
pub async fn fill(world: &World, acl: &str, entries: i32) {
    for number in 0..entries {
        let request = world.account.ec2().create_network_acl_entry().network_acl_id(acl).rule_number(200 + number);
        let request = request.protocol("-1").rule_action(RuleAction::Deny).egress(false);
        request.cidr_block(format!("203.0.113.{number}/32")).send().await.expect("an entry");
    }
}

/// The inbound entries in their order, all outbound ones, and the addresses that tags tell of.
pub async fn in_words(world: &World, instance: &str) -> Vec<String> {
    let acl = describe(world, instance).await;
    let entry = |entry: &aws_sdk_ec2::types::NetworkAclEntry| {
        let source = entry.cidr_block().or(entry.ipv6_cidr_block()).unwrap_or_default();
        let (number, action) = (entry.rule_number().unwrap_or_default(), entry.rule_action().map(RuleAction::as_str));
        let direction = if entry.egress() == Some(true) { "out" } else { "in" };
        format!("{direction} {number:05}: {} {source}", action.unwrap_or_default())
    };
    let mut words: Vec<String> = acl.entries().iter().map(entry).collect();
    words.sort();
    let mut tags: Vec<String> = acl.tags().iter().filter_map(|tag| tag.key().map(str::to_owned)).collect();
    tags.sort();
    words.extend(tags);
    words
}

/// As [`in_words`], but for the tag of a block that stands: it is for people, and no block waits for it.
async fn standing(world: &World, instance: &str) -> Vec<String> {
    let mut words = in_words(world, instance).await;
    if words.contains(&BLOCK.to_owned()) {
        words.retain(|word| *word != format!("rescind:blocks:{HOSTILE}"));
    }
    words
}

async fn contained(world: &World, instance: &str) -> Vec<String> {
    let mut words = in_words(world, instance).await;
    words.push(BLOCK.to_owned());
    words.sort();
    words
}

/// Takes an earlier block away, if any, and finds that somebody guesses passwords.
async fn found(world: &World, instance: &str) -> Value {
    let (ec2, acl) = (world.account.ec2(), describe(world, instance).await);
    let id = acl.network_acl_id().expect("an id");
    if acl.entries().iter().any(|entry| entry.rule_number() == Some(1)) {
        let request = ec2.delete_network_acl_entry().network_acl_id(id).rule_number(1).egress(false);
        request.send().await.expect("the block is gone");
    }
    let ours: Vec<Tag> = acl.tags().iter().filter_map(|tag| Some(Tag::builder().key(tag.key()?).build())).collect();
    if !ours.is_empty() {
        ec2.delete_tags().resources(id).set_tags(Some(ours)).send().await.expect("the tags are gone");
    }
    guardduty::guessed_passwords(&world.account.id, instance, HOSTILE)
}
