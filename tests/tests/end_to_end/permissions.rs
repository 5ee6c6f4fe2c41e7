//! What a function calls, what it declares and what its role grants are the same set.

use std::collections::BTreeSet;

use aws_sdk_ec2::types::{AddPrefixListEntry, IpPermission, PrefixListId};
use rescind::Status;
use rescind::settings::Tags;
use rescind_lambda::{ENGINE_OPERATIONS, KEEPING_OPERATIONS};
use rescind_tests::account::permission;
use rescind_tests::{World, cloudtrail};
use security_groups::FUNCTION;
use serde_json::{Value, json};

/// What Lambda itself uses in the function's name.
const OF_LAMBDA: [&str; 2] = ["KeepFailures", "WriteLog"];
/// What EC2 asks for beside another permission; never a call of its own.
const WITH_ANOTHER: [&str; 1] = ["TagRulesPutBack"];

/// What the template grants to the function's code, but for the statements `without`.
fn granted(world: &World, without: &[&str]) -> BTreeSet<String> {
    let role = &world.account.deployed.functions["security-groups"].role_arn;
    let policies = &world.account.deployed.template_roles[role];
    let list = |value: &Value| -> Vec<Value> { value.as_array().cloned().unwrap_or_else(|| vec![value.clone()]) };
    let mut actions = BTreeSet::new();
    for policy in policies {
        for statement in list(&policy["Statement"]) {
            assert_eq!(statement["Effect"], "Allow");
            if without.iter().chain(&OF_LAMBDA).any(|sid| statement["Sid"] == *sid) {
                continue;
            }
            for action in list(&statement["Action"]) {
                actions.insert(action.as_str().expect("an action is a text").to_owned());
            }
        }
    }
    assert!(!actions.iter().any(|action| action.contains('*')), "no wildcard: {actions:?}");
    actions
}

fn declared() -> BTreeSet<String> {
    let own = FUNCTION.remediations.iter().flat_map(|remediation| remediation.operations());
    let kept = FUNCTION.recorded.iter().flat_map(|recorded| recorded.operations()).chain(&KEEPING_OPERATIONS);
    own.chain(kept).chain(ENGINE_OPERATIONS).map(|operation| operation.action.to_owned()).collect()
}

fn observed(world: &World) -> BTreeSet<String> {
    world.proxy.calls().into_iter().map(|call| format!("{}:{}", call.service, call.operation)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_role_grants_what_is_declared_and_all_of_it_is_used() {
    let world = World::new("enforce").await;
    assert_eq!(granted(&world, &[]), declared());

    // A rule to a prefix list, made in a call that names the group by its name.
    let vpcs = world.account.ec2().describe_vpcs().send().await.expect("VPCs");
    let default = vpcs
        .vpcs()
        .iter()
        .find(|vpc| vpc.is_default() == Some(true))
        .and_then(|vpc| vpc.vpc_id())
        .expect("a default VPC");
    let group = world.account.group("by-name", Some(default)).await;
    let entry = AddPrefixListEntry::builder().cidr("0.0.0.0/0").build();
    let list = world
        .account
        .ec2()
        .create_managed_prefix_list()
        .prefix_list_name("world")
        .max_entries(1)
        .address_family("IPv4");
    let list = list.entries(entry).send().await.expect("a list");
    let id = list.prefix_list().and_then(|list| list.prefix_list_id()).expect("a list has an id");
    let to_list = IpPermission::builder().ip_protocol("tcp").from_port(22).to_port(22);
    let made = world
        .account
        .authorize(&group, &[to_list.prefix_list_ids(PrefixListId::builder().prefix_list_id(id).build()).build()])
        .await;
    let mut event = cloudtrail::authorized(&world.account.id, &world.alice(), &group, &made);
    event["detail"]["responseElements"] = Value::Null;
    event["detail"]["requestParameters"]["groupName"] = json!("by-name");
    event["detail"]["requestParameters"].as_object_mut().expect("an object").remove("groupId");
    assert_eq!(world.outcome(&event).await.status, Status::Reverted);

    // The judgement of a Config rule, whose tags are settings, too.
    let source = aws_sdk_config::types::Source::builder()
        .owner(aws_sdk_config::types::Owner::Aws)
        .source_identifier("INCOMING_SSH_DISABLED");
    let rule = aws_sdk_config::types::ConfigRule::builder()
        .config_rule_name("restricted-ssh")
        .source(source.build().expect("a source"));
    let config = world.account.config_service();
    config.put_config_rule().config_rule(rule.build()).send().await.expect("a rule");
    let rules = config.describe_config_rules().send().await.expect("rules");
    let arn = rules.config_rules()[0].config_rule_arn().expect("a rule has an ARN");
    world.account.authorize(&group, &[permission("tcp", 22, 22, "0.0.0.0/0")]).await;
    let outcome = world.outcome(&cloudtrail::non_compliant(&world.account.id, "restricted-ssh", arn, &group)).await;
    assert_eq!(outcome.status, Status::Reverted, "{}", outcome.reason);

    // What was taken back is put back.
    let undone = world.invoke(&json!({"undo": outcome.id})).await.expect("an outcome");
    assert_eq!(undone.outcomes[0].status, Status::Undone, "{}", undone.outcomes[0].reason);

    puts_rules_of_a_protected_group_back(&world).await;

    assert_eq!(observed(&world), granted(&world, &WITH_ANOTHER), "what was called, and what may be called");
}

/// A protected group loses its outbound rule and gets it back, which is undone; and a modified rule becomes what it was.
async fn puts_rules_of_a_protected_group_back(world: &World) {
    let group = world.account.group("protected", None).await;
    let made = world.account.authorize(&group, &[permission("tcp", 5432, 5432, "10.0.0.0/16")]).await;
    world.account.tag(&group, "rescind:protected", "yes").await;
    // AWS Config is asked for a state before there is one in the baseline; the second state lets the first one expire.
    let lost: Vec<_> =
        world.account.rules(&group).await.into_iter().filter(|rule| rule.is_egress() == Some(true)).collect();
    world.account.revoke(&group, &lost).await;
    let outcome = world.outcome(&cloudtrail::revoked(&world.account.id, &world.alice(), &group, &lost)).await;
    assert_eq!(outcome.status, Status::Reverted, "{}", outcome.reason);
    let undone = world.invoke(&json!({"undo": outcome.id})).await.expect("an outcome");
    assert_eq!(undone.outcomes[0].status, Status::Undone, "{}", undone.outcomes[0].reason);
    world.record(&group).await;
    world.record(&group).await;
    let rule = made[0].security_group_rule_id().expect("an id");
    let to = world.account.modify(&group, rule, 5432, "10.9.9.9/32", "now-another").await;
    let event = cloudtrail::modified(&world.account.id, &world.alice(), &group, rule, &to);
    let outcome = world.outcome_by("SecurityGroupRuleModified", &event).await;
    assert_eq!(outcome.status, Status::Reverted, "{}", outcome.reason);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_granted_is_refused_by_the_emulator() {
    // Else the test above could not fail for a missing permission.
    let world = World::new("enforce").await;
    let role = &world.account.deployed.functions["security-groups"].role_arn;
    let config = world.account.config(&world.account.assume(role).await);
    let error =
        aws_sdk_ec2::Client::new(&config).create_vpc().cidr_block("10.0.0.0/16").send().await.expect_err("it may not");
    assert!(format!("{error:?}").contains("AccessDenied"), "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_tags_of_every_rule_are_what_its_function_understands() {
    let world = World::new("dry-run").await;
    let mut checked = 0;
    for rule in world.account.deployed.rules.iter().filter(|rule| rule.target.ends_with("security-groups")) {
        let tags = Tags::of_rule(rule.tags.iter().map(|(key, value)| (key, value.clone())));
        let settings = FUNCTION.check_tags(&tags).unwrap_or_else(|error| panic!("{}: {error}", rule.logical_id));
        assert_eq!(settings.mode, rescind::Mode::DryRun, "{} starts without changing anything", rule.logical_id);
        assert!(settings.remediations.is_some(), "{} names its remediation", rule.logical_id);
        for (key, value) in &rule.tags {
            let allowed = |c: char| c.is_ascii_alphanumeric() || " +-=._:/@".contains(c);
            assert!(
                value.len() <= 256 && value.chars().all(allowed),
                "{}: EventBridge refuses {key}={value}",
                rule.logical_id
            );
        }
        assert!(rule.pattern.to_string().len() <= 2048, "{}: the pattern is too long", rule.logical_id);
        checked += 1;
    }
    assert_eq!(checked, 8);
}
