//! Instances: two network interfaces with three groups, of which a finding says that something hostile is on them.

use std::collections::BTreeMap;

use aws_sdk_ec2::types::{
    AttributeBooleanValue, Instance, InstanceAttributeName, InstanceNetworkInterfaceSpecification, InstanceType, Tag,
};
use serde_json::Value;

use super::Kind;
use crate::{World, guardduty};

pub(super) const ISOLATED: Kind = Kind {
    remediation: "isolate-instance",
    function: "instances",
    mutation: ("ModifyNetworkInterfaceAttribute", 6),
    rule: "IsolateInstance",
    set: |world, name| Box::pin(run(world, name)),
    change: |world, instance, _| Box::pin(found(world, instance)),
    harmless: None,
    words: |world, instance| Box::pin(in_words(world, instance)),
    contained: Some(|world, instance| Box::pin(contained(world, instance))),
};

/// A tag by which a scene remembers the groups of an interface.
const GROUPS: &str = "groups-of-";

/// Runs an instance with two network interfaces in a VPC of its own: one with three groups, one with one.
pub async fn run(world: &World, name: &str) -> String {
    let ec2 = world.account.ec2();
    let vpc = world.account.vpc().await;
    let subnet = ec2.create_subnet().vpc_id(&vpc).cidr_block("10.0.0.0/24").send().await.expect("a subnet");
    let subnet = subnet.subnet().and_then(|subnet| subnet.subnet_id()).expect("an id").to_owned();
    let mut groups = Vec::new();
    for number in 0..3 {
        groups.push(world.account.group(&format!("{name}-{number}"), Some(&vpc)).await);
    }
    let interface = |index: i32, groups: &[String]| {
        let interface = InstanceNetworkInterfaceSpecification::builder().device_index(index).subnet_id(&subnet);
        interface.set_groups(Some(groups.to_vec())).build()
    };
    let request = ec2.run_instances().image_id("ami-12c6146b").min_count(1).max_count(1);
    let request = request.instance_type(InstanceType::M5Large);
    let request = request.network_interfaces(interface(0, &groups)).network_interfaces(interface(1, &groups[1..2]));
    let answer = request.send().await.expect("an instance");
    let id = answer.instances()[0].instance_id().expect("an id").to_owned();
    let mut tags = vec![Tag::builder().key("Name").value(name).build()];
    for (interface, groups) in interfaces(&describe(world, &id).await) {
        tags.push(Tag::builder().key(format!("{GROUPS}{interface}")).value(groups.join("/")).build());
    }
    ec2.create_tags().resources(&id).set_tags(Some(tags)).send().await.expect("tags");
    id
}

/// The instance.
pub async fn describe(world: &World, id: &str) -> Instance {
    let answer = world.account.ec2().describe_instances().instance_ids(id).send().await.expect("instances");
    answer.reservations()[0].instances()[0].clone()
}

/// The groups of each network interface.
fn interfaces(instance: &Instance) -> BTreeMap<String, Vec<String>> {
    let interface = |interface: &aws_sdk_ec2::types::InstanceNetworkInterface| {
        let groups = interface.groups().iter().filter_map(|group| group.group_id().map(str::to_owned));
        let mut groups: Vec<String> = groups.collect();
        // The emulator forgets their order.
        groups.sort();
        (interface.network_interface_id().expect("an id").to_owned(), groups)
    };
    instance.network_interfaces().iter().map(interface).collect()
}

/// The tags of an instance.
pub fn tags(instance: &Instance) -> BTreeMap<String, String> {
    let pair = |tag: &Tag| (tag.key().unwrap_or_default().to_owned(), tag.value().unwrap_or_default().to_owned());
    instance.tags().iter().map(pair).collect()
}

/// Whether an instance can't be terminated by an API call.
pub async fn is_protected(world: &World, id: &str) -> bool {
    let attribute = InstanceAttributeName::DisableApiTermination;
    let request = world.account.ec2().describe_instance_attribute().instance_id(id).attribute(attribute);
    let answer = request.send().await.expect("the attribute");
    answer.disable_api_termination().and_then(|value| value.value()).unwrap_or_default()
}

/// All that a containment changes, and the other tags. What our tags say differs with each outcome.
pub async fn in_words(world: &World, id: &str) -> Vec<String> {
    let instance = describe(world, id).await;
    let mut words: Vec<String> =
        interfaces(&instance).into_iter().map(|(interface, groups)| format!("{interface}: {groups:?}")).collect();
    // A delivery that finishes what another one began does not know the groups from before; the journal does.
    let told = tags(&instance).into_iter().filter(|(key, _)| !key.starts_with("rescind:groups-of-"));
    words.extend(told.map(|(key, value)| if key.starts_with("rescind:") { key } else { format!("{key} = {value}") }));
    words.push(format!("protected: {}", is_protected(world, id).await));
    let untracked = world.account.ec2().describe_security_groups();
    let groups = untracked.send().await.expect("groups");
    let is_ours = |group: &&aws_sdk_ec2::types::SecurityGroup| {
        group.group_name().is_some_and(|name| name.starts_with("rescind-")) && group.vpc_id() == instance.vpc_id()
    };
    for group in groups.security_groups().iter().filter(is_ours) {
        // At rest, neither lets anything through. The emulator can't take away an outbound rule for `::/0`.
        let is_closed_to_v4 = group.ip_permissions_egress().iter().all(|permission| permission.ip_ranges().is_empty());
        let is_closed = group.ip_permissions().is_empty() && is_closed_to_v4;
        if !is_closed {
            let rules = (group.ip_permissions(), group.ip_permissions_egress());
            words.push(format!("{} is open: {rules:?}", group.group_name().unwrap_or_default()));
        }
    }
    words
}

/// How it stands when it is contained.
async fn contained(world: &World, id: &str) -> Vec<String> {
    let instance = describe(world, id).await;
    let group = isolating_group(world, &instance).await;
    let before = interfaces(&instance);
    let mut words: Vec<String> = before.keys().map(|interface| format!("{interface}: {:?}", [&group])).collect();
    let ours = ["rescind:finding", "rescind:isolated"].map(str::to_owned).into_iter();
    let others = tags(&instance).into_iter().map(|(key, value)| format!("{key} = {value}"));
    let mut tags: Vec<String> = ours.chain(others).collect();
    tags.sort_by_key(|tag| tag.split(" = ").next().unwrap_or_default().to_owned());
    words.extend(tags);
    words.push("protected: true".to_owned());
    words
}

/// The isolating group of the instance's VPC, made beforehand so that its id is known.
async fn isolating_group(world: &World, instance: &Instance) -> String {
    let ec2 = world.account.ec2();
    let vpc = instance.vpc_id().expect("a VPC");
    let group = world.account.group("rescind-isolated", Some(vpc)).await;
    let rules = world.account.rules(&group).await;
    let ids = rules.iter().filter_map(|rule| rule.security_group_rule_id().map(str::to_owned)).collect();
    let request = ec2.revoke_security_group_egress().group_id(&group).set_security_group_rule_ids(Some(ids));
    request.send().await.expect("it lets nothing out");
    group
}

/// Makes the instance as it was, should it be contained, and finds something hostile on it.
async fn found(world: &World, id: &str) -> Value {
    let ec2 = world.account.ec2();
    let instance = describe(world, id).await;
    for (key, groups) in tags(&instance) {
        let Some(interface) = key.strip_prefix(GROUPS) else { continue };
        let groups = groups.split('/').map(str::to_owned).collect();
        let request = ec2.modify_network_interface_attribute().network_interface_id(interface);
        request.set_groups(Some(groups)).send().await.expect("the groups are back");
    }
    let ours = tags(&instance).into_keys().filter(|key| key.starts_with("rescind:"));
    let ours: Vec<Tag> = ours.map(|key| Tag::builder().key(key).build()).collect();
    if !ours.is_empty() {
        ec2.delete_tags().resources(id).set_tags(Some(ours)).send().await.expect("the tags are gone");
    }
    let no = AttributeBooleanValue::builder().value(false).build();
    ec2.modify_instance_attribute().instance_id(id).disable_api_termination(no).send().await.expect("unprotected");
    guardduty::hostile_instance(&world.account.id, id)
}
