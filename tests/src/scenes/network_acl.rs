//! Network ACLs with a few entries and a tag, as AWS Config has recorded them; somebody makes an entry that lets the world in, or puts it
//! in the place of another one.

use aws_sdk_ec2::types::{NetworkAclEntry, PortRange, RuleAction};
use serde_json::{Value, json};

use super::Kind;
use crate::cloudtrail::{self, Who};
use crate::{World, now};

pub(super) const CREATED: Kind = Kind {
    remediation: "open-network-acl-entry",
    function: "network",
    mutation: ("DeleteNetworkAclEntry", 1),
    rule: "OpenNetworkAclEntry",
    set: |world, name| Box::pin(set(world, name)),
    change: |world, acl, who| Box::pin(created(world, acl, (90, 22, "0.0.0.0/0"), who)),
    harmless: Some(|world, acl, who| Box::pin(created(world, acl, (95, 8080, "0.0.0.0/0"), who))),
    words: |world, acl| Box::pin(in_words(world, acl)),
    contained: None,
};

pub(super) const REPLACED: Kind = Kind {
    remediation: "open-network-acl-entry",
    function: "network",
    mutation: ("ReplaceNetworkAclEntry", 1),
    rule: "OpenNetworkAclEntry",
    set: |world, name| Box::pin(set(world, name)),
    change: |world, acl, who| Box::pin(replaced(world, acl, (110, 22, "0.0.0.0/0"), who)),
    harmless: Some(|world, acl, who| Box::pin(replaced(world, acl, (110, 22, "10.1.0.0/16"), who))),
    words: |world, acl| Box::pin(in_words(world, acl)),
    contained: None,
};

/// A network ACL that AWS Config has recorded.
async fn set(world: &World, name: &str) -> String {
    let acl = acl(world, name).await;
    record(world, &acl).await;
    acl
}

/// A network ACL with entries for tcp/443, tcp/22 from inside, and one that denies.
pub async fn acl(world: &World, name: &str) -> String {
    let ec2 = world.account.ec2();
    let vpcs = ec2.describe_vpcs().send().await.expect("VPCs");
    let vpc = vpcs.vpcs().first().and_then(|vpc| vpc.vpc_id()).expect("a VPC");
    let made = ec2.create_network_acl().vpc_id(vpc).send().await.expect("a network ACL");
    let acl = made.network_acl().and_then(|acl| acl.network_acl_id()).expect("an id").to_owned();
    world.account.tag(&acl, "Name", name).await;
    let entry = ec2.create_network_acl_entry().network_acl_id(&acl).rule_number(80).egress(false).protocol("-1");
    let entry = entry.rule_action(RuleAction::Deny).cidr_block("198.51.100.0/24");
    entry.send().await.expect("an entry");
    for (number, port, source) in [(100, 443, "0.0.0.0/0"), (110, 22, "10.0.0.0/8")] {
        created(world, &acl, (number, port, source), &world.alice()).await;
    }
    acl
}

/// Lets AWS Config report a network ACL as it stood a minute ago, so that the baseline has it.
pub async fn record(world: &World, acl: &str) {
    let entries: Vec<Value> = entries(world, acl).await.iter().map(told).collect();
    let captured = now() - chrono::TimeDelta::minutes(1);
    let mut event = cloudtrail::configuration_item(&world.account.id, acl, &[], captured, false);
    let item = &mut event["detail"]["configurationItem"];
    item["resourceType"] = json!("AWS::EC2::NetworkAcl");
    item["configuration"] = json!({"networkAclId": acl, "isDefault": false, "associations": [], "entries": entries});
    let answers = world.deliver(&event).await;
    assert_eq!(answers.len(), 1, "one rule lets it through: {answers:?}");
    assert!(answers.iter().flatten().all(|answer| answer.outcomes.is_empty()), "it is kept: {answers:?}");
}

/// Somebody makes an entry for a port of TCP.
pub async fn created(world: &World, acl: &str, entry: (i32, i32, &str), who: &Who) -> Value {
    let (number, port, source) = entry;
    let request = world.account.ec2().create_network_acl_entry().network_acl_id(acl).rule_number(number).egress(false);
    let ports = PortRange::builder().from(port).to(port).build();
    let request = request.protocol("6").port_range(ports).rule_action(RuleAction::Allow).cidr_block(source);
    request.send().await.expect("it is made");
    event(world, "CreateNetworkAclEntry", acl, entry, who)
}

/// Somebody puts an entry for a port of TCP in the place of another one.
pub async fn replaced(world: &World, acl: &str, entry: (i32, i32, &str), who: &Who) -> Value {
    let (number, port, source) = entry;
    let request = world.account.ec2().replace_network_acl_entry().network_acl_id(acl).rule_number(number).egress(false);
    let ports = PortRange::builder().from(port).to(port).build();
    let request = request.protocol("6").port_range(ports).rule_action(RuleAction::Allow).cidr_block(source);
    request.send().await.expect("it is replaced");
    event(world, "ReplaceNetworkAclEntry", acl, entry, who)
}

fn event(world: &World, name: &str, acl: &str, (number, port, source): (i32, i32, &str), who: &Who) -> Value {
    let request = json!({"networkAclId": acl, "ruleNumber": number, "egress": false, "ruleAction": "allow",
        "icmpTypeCode": {}, "portRange": {"from": port, "to": port}, "aclProtocol": "6", "cidrBlock": source});
    let response = json!({"requestId": cloudtrail::event_id(), "_return": true});
    cloudtrail::record(&world.account.id, who, "aws.ec2", name, &request, &response)
}

async fn entries(world: &World, acl: &str) -> Vec<NetworkAclEntry> {
    let answer = world.account.ec2().describe_network_acls().network_acl_ids(acl).send().await.expect("it is there");
    answer.network_acls()[0].entries().to_vec()
}

/// An entry as AWS Config records it.
fn told(entry: &NetworkAclEntry) -> Value {
    let mut told = json!({"ruleNumber": entry.rule_number(), "egress": entry.egress(), "protocol": entry.protocol(),
        "ruleAction": entry.rule_action().map(RuleAction::as_str), "cidrBlock": entry.cidr_block()});
    if let Some(ports) = entry.port_range() {
        told["portRange"] = json!({"from": ports.from(), "to": ports.to()});
    }
    told
}

async fn in_words(world: &World, acl: &str) -> Vec<String> {
    let answer = world.account.ec2().describe_network_acls().network_acl_ids(acl).send().await.expect("it is there");
    let acl = &answer.network_acls()[0];
    let mut words: Vec<String> = acl.entries().iter().map(|entry| told(entry).to_string()).collect();
    words.sort();
    words.push(format!("{:?}", acl.tags()));
    words
}
