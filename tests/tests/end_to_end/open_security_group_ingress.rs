//! `open-security-group-ingress`: what was risky goes, and nothing else.

use std::time::Duration;

use aws_sdk_ec2::types::{AddPrefixListEntry, IpPermission, PrefixListId, SecurityGroupRule, UserIdGroupPair};
use rescind::plan::StepState;
use rescind::{Call, Outcome, Status, Step, Verdict};
use rescind_tests::account::permission;
use rescind_tests::cloudtrail::{self, Who};
use rescind_tests::{World, delivery};
use serde_json::{Value, json};

/// So much time on the way to AWS that calls that are made side by side are seen to be.
const FAR_AWAY: Duration = Duration::from_millis(300);

fn ids(rules: &[SecurityGroupRule]) -> Vec<String> {
    rules.iter().filter_map(|rule| rule.security_group_rule_id().map(str::to_owned)).collect()
}

/// Opens a group in one call and returns the group, its rules before the call, and those that the call made.
async fn opened(
    world: &World,
    permissions: &[IpPermission],
) -> (String, Vec<SecurityGroupRule>, Vec<SecurityGroupRule>) {
    let group = world.account.group("web", None).await;
    let standing = [permission("tcp", 22, 22, "10.0.0.0/8"), permission("tcp", 80, 80, "0.0.0.0/0")];
    world.account.authorize(&group, &standing).await;
    let before = world.account.rules(&group).await;
    let made = world.account.authorize(&group, permissions).await;
    (group, before, made)
}

/// One call makes `risky` and `fine` rules; exactly the risky ones go.
async fn takes_back(risky: &[IpPermission], fine: &[IpPermission]) -> (World, Outcome) {
    let world = World::new("enforce").await;
    world.proxy.set_latency(FAR_AWAY);
    let all: Vec<IpPermission> = risky.iter().chain(fine).cloned().collect();
    let (group, _, made) = opened(&world, &all).await;
    let before = world.account.rules(&group).await;
    let outcome = world.outcome(&cloudtrail::authorized(&world.account.id, &world.alice(), &group, &made)).await;
    assert_eq!((outcome.verdict, outcome.status), (Verdict::Risky, Status::Reverted), "{}", outcome.reason);
    let gone: Vec<String> = ids(&made).into_iter().take(risky.len()).collect();
    let expected: Vec<SecurityGroupRule> =
        before.into_iter().filter(|rule| !gone.iter().any(|id| rule.security_group_rule_id() == Some(id))).collect();
    assert_eq!(world.account.rules(&group).await, expected);
    assert_eq!(world.proxy.changes().len(), 1, "one call: {:?}", world.proxy.operations());
    (world, outcome)
}

fn inverse(step: &Step) -> &Call {
    step.inverse.as_ref().expect("it can be undone")
}

#[tokio::test(flavor = "multi_thread")]
async fn of_one_call_the_risky_rule_goes_and_the_compliant_one_stays() {
    let (world, outcome) =
        takes_back(&[permission("tcp", 22, 22, "0.0.0.0/0")], &[permission("tcp", 443, 443, "0.0.0.0/0")]).await;
    assert!(world.proxy.round_trips_until("RevokeSecurityGroupIngress") <= 2, "{:?}", world.proxy.operations());
    let step = &outcome.steps[0];
    assert_eq!((step.call.call.as_str(), step.state), ("ec2:RevokeSecurityGroupIngress", StepState::Done));
    assert_eq!(
        inverse(step).parameters["IpPermissions"],
        json!([{"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": [{"CidrIp": "0.0.0.0/0", "Description": "for-0.0.0.0/0"}]}])
    );
    assert_eq!(outcome.evidence[0].0["opens"], "tcp/22 to 0.0.0.0/0");
    assert!(
        outcome.timing.event_to_ingested_ms.is_some() && outcome.timing.event_to_done_ms >= outcome.timing.handler_ms
    );
    assert_eq!(
        usize::try_from(outcome.timing.aws_calls).unwrap(),
        world.proxy.calls().len() - 3,
        "all but keeping and publishing"
    );
    // The owner is told, by a rule on the bus.
    let told = delivery::wait_for(&world.account, "OutcomeNotification").await;
    assert_eq!(told.len(), 1);
    let text = told[0].to_string();
    assert!(text.contains("reverted") && text.contains(&outcome.resource.id) && text.contains(&outcome.id), "{text}");
    // Logged as JSON with the request's and the outcome's id, and counted.
    let log = world.function.log_until(|lines| lines.iter().any(|line| line.starts_with("{\"_aws\""))).await.join("\n");
    let line = log
        .lines()
        .find(|line| line.contains("\"status\":\"reverted\"") && line.contains("outcome_id"))
        .expect("a log line");
    let line: Value = serde_json::from_str(line).expect("the log is JSON");
    assert!(line.to_string().contains(&outcome.id) && line.to_string().contains("requestId"), "{line}");
    let metric = log.lines().find(|line| line.starts_with("{\"_aws\"")).expect("a metric");
    let metric: Value = serde_json::from_str(metric).expect("the metric is JSON");
    assert_eq!((&metric["Outcomes"], &metric["Status"]), (&json!(1), &json!("reverted")));
}

#[tokio::test(flavor = "multi_thread")]
async fn dry_run_shows_the_call_and_makes_none() {
    let world = World::new("dry-run").await;
    let (group, _, made) = opened(&world, &[permission("tcp", 22, 22, "0.0.0.0/0")]).await;
    let before = world.account.rules(&group).await;
    let outcome = world.outcome(&cloudtrail::authorized(&world.account.id, &world.alice(), &group, &made)).await;
    assert_eq!(outcome.status, Status::WouldRevert);
    assert_eq!(outcome.steps[0].call.parameters["SecurityGroupRuleIds"], json!(ids(&made)));
    assert_eq!(world.account.rules(&group).await, before);
    assert!(world.proxy.changes().is_empty(), "{:?}", world.proxy.operations());
}

#[tokio::test(flavor = "multi_thread")]
async fn three_risky_rules_of_sixty_go_in_one_call() {
    let risky = [
        permission("tcp", 22, 22, "0.0.0.0/0"),
        permission("tcp", 3389, 3389, "::/0"),
        permission("-1", -1, -1, "0.0.0.0/0"),
    ];
    let fine: Vec<IpPermission> =
        (0..55).map(|number| permission("tcp", 22, 22, &format!("203.0.113.{number}/32"))).collect();
    let (_, outcome) = takes_back(&risky, &fine).await;
    assert_eq!(outcome.evidence.len(), 3);
    assert_eq!(outcome.steps.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn walking_around_does_not_help() {
    takes_back(
        &[
            permission("tcp", 22, 22, "::/0"),
            permission("tcp", 20, 25, "0.0.0.0/0"),
            permission("tcp", 0, 65_535, "0.0.0.0/0"),
            permission("tcp", 22, 22, "0.0.0.0/1"),
            permission("tcp", 22, 22, "128.0.0.0/1"),
            permission("tcp", 3389, 3389, "16.0.0.0/7"),
        ],
        &[
            permission("udp", 22, 22, "0.0.0.0/0"),
            permission("icmp", -1, -1, "0.0.0.0/0"),
            permission("tcp", 22, 22, "192.168.0.0/16"),
        ],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn narrow_ranges_that_make_a_whole_over_several_calls_are_the_world() {
    let world = World::new("enforce").await;
    let group = world.account.group("web", None).await;
    world.account.authorize(&group, &[permission("tcp", 22, 22, "8.0.0.0/8")]).await;
    let before = world.account.rules(&group).await;
    let made = world.account.authorize(&group, &[permission("tcp", 22, 22, "9.0.0.0/8")]).await;
    let outcome = world.outcome(&cloudtrail::authorized(&world.account.id, &world.alice(), &group, &made)).await;
    assert_eq!(outcome.status, Status::Reverted, "{}", outcome.reason);
    assert_eq!(world.account.rules(&group).await, before, "only what this change added goes");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prefix_list_is_looked_into() {
    let world = World::new("enforce").await;
    world.proxy.set_latency(FAR_AWAY);
    let list = |name: &str, range: &str| {
        let entry = AddPrefixListEntry::builder().cidr(range).build();
        world
            .account
            .ec2()
            .create_managed_prefix_list()
            .prefix_list_name(name)
            .max_entries(5)
            .address_family("IPv4")
            .entries(entry)
            .send()
    };
    let id = |answer: aws_sdk_ec2::operation::create_managed_prefix_list::CreateManagedPrefixListOutput| {
        answer.prefix_list().and_then(|list| list.prefix_list_id()).expect("a list has an id").to_owned()
    };
    let (open, office) =
        (id(list("open", "0.0.0.0/0").await.unwrap()), id(list("office", "203.0.113.0/24").await.unwrap()));
    let to_list = |id: &str| {
        let list = PrefixListId::builder().prefix_list_id(id).build();
        IpPermission::builder().ip_protocol("tcp").from_port(22).to_port(22).prefix_list_ids(list).build()
    };
    let (group, before, made) = opened(&world, &[to_list(&open)]).await;
    let outcome = world.outcome(&cloudtrail::authorized(&world.account.id, &world.alice(), &group, &made)).await;
    assert_eq!(outcome.status, Status::Reverted, "{}", outcome.reason);
    assert_eq!(world.account.rules(&group).await, before);
    assert!(world.proxy.round_trips_until("RevokeSecurityGroupIngress") <= 2);
    let made = world.account.authorize(&group, &[to_list(&office)]).await;
    let outcome = world.outcome(&cloudtrail::authorized(&world.account.id, &world.alice(), &group, &made)).await;
    assert_eq!((outcome.verdict, outcome.status), (Verdict::Harmless, Status::Ignored), "{}", outcome.reason);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_strangers_group_goes_and_a_trusted_accounts_stays() {
    let world = World::new("enforce").await;
    let group = world.account.group("web", None).await;
    // The emulator knows no groups of other accounts, so the live rule names one of this account and the record tells of
    // another's: the live one counts, and it is no stranger's.
    let own = world.account.group("own", None).await;
    let pair = UserIdGroupPair::builder().group_id(&own).build();
    let made = world
        .account
        .authorize(
            &group,
            &[IpPermission::builder().ip_protocol("tcp").from_port(22).to_port(22).user_id_group_pairs(pair).build()],
        )
        .await;
    let mut event = cloudtrail::authorized(&world.account.id, &world.alice(), &group, &made);
    event["detail"]["responseElements"]["securityGroupRuleSet"]["items"][0]["referencedGroupInfo"] =
        json!({"groupId": own, "userId": "444455556666"});
    let outcome = world.outcome(&event).await;
    assert_eq!(outcome.status, Status::AlreadySafe, "the live rule counts, not the record's word: {}", outcome.reason);
    assert!(world.proxy.changes().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn records_of_every_age_and_form_lead_to_the_same_rule() {
    for change in [
        // Without the response's rules, those of the request are found by what they say.
        (|event: &mut Value| event["detail"]["responseElements"] = json!({"_return": true})) as fn(&mut Value),
        |event| event["detail"]["responseElements"] = Value::Null,
        |event| {
            event["detail"]["requestParameters"] = json!({"groupId": event["detail"]["requestParameters"]["groupId"],
                "ipProtocol": "tcp", "fromPort": "22", "toPort": "22", "cidrIp": "198.51.100.7/0", "ipPermissions": {}});
            event["detail"]["responseElements"] = json!({"_return": true});
        },
        |event| event["detail"]["requestParameters"] = Value::Null,
        |event| event["detail"]["requestParameters"] = json!("HIDDEN_DUE_TO_SECURITY_REASONS"),
    ] {
        let world = World::new("enforce").await;
        let (group, before, made) = opened(&world, &[permission("tcp", 22, 22, "0.0.0.0/0")]).await;
        let mut event = cloudtrail::authorized(&world.account.id, &world.alice(), &group, &made);
        change(&mut event);
        let outcome = world.outcome(&event).await;
        assert_eq!(outcome.status, Status::Reverted, "{event:#}\n{}", outcome.reason);
        assert_eq!(world.account.rules(&group).await, before);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_named_by_its_name_is_found_in_the_default_vpc() {
    let world = World::new("enforce").await;
    let vpcs = world.account.ec2().describe_vpcs().send().await.unwrap();
    let default = vpcs
        .vpcs()
        .iter()
        .find(|vpc| vpc.is_default() == Some(true))
        .and_then(|vpc| vpc.vpc_id())
        .expect("a default VPC")
        .to_owned();
    // Groups of another name, though it fits the pattern that the name would be, are not meant.
    for name in ["launch-wizard-1", "launch-"] {
        world.account.group(name, Some(&default)).await;
    }
    // A group of the same name elsewhere is not meant.
    let other = world.account.group("launch-*", None).await;
    world.account.authorize(&other, &[permission("tcp", 22, 22, "0.0.0.0/0")]).await;
    let untouched = world.account.rules(&other).await;
    let group = world.account.group("launch-*", Some(&default)).await;
    let before = world.account.rules(&group).await;
    let made = world.account.authorize(&group, &[permission("tcp", 22, 22, "0.0.0.0/0")]).await;
    let mut event = cloudtrail::authorized(&world.account.id, &world.alice(), &group, &made);
    event["detail"]["responseElements"] = json!({"_return": true});
    event["detail"]["requestParameters"]["groupName"] = json!("launch-*");
    event["detail"]["requestParameters"].as_object_mut().unwrap().remove("groupId");
    let outcome = world.outcome(&event).await;
    assert_eq!(
        (outcome.status, outcome.resource.id.as_str()),
        (Status::Reverted, group.as_str()),
        "{}",
        outcome.reason
    );
    assert_eq!(world.account.rules(&group).await, before);
    assert_eq!(world.account.rules(&other).await, untouched);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_modified_rule_goes_and_its_neighbours_stay() {
    let world = World::new("enforce").await;
    let (group, before, made) = opened(&world, &[permission("tcp", 22, 22, "203.0.113.7/32")]).await;
    let rule = made[0].security_group_rule_id().unwrap();
    let open = aws_sdk_ec2::types::SecurityGroupRuleRequest::builder()
        .ip_protocol("tcp")
        .from_port(22)
        .to_port(22)
        .cidr_ipv4("0.0.0.0/0")
        .build();
    let update = aws_sdk_ec2::types::SecurityGroupRuleUpdate::builder()
        .security_group_rule_id(rule)
        .security_group_rule(open)
        .build();
    world
        .account
        .ec2()
        .modify_security_group_rules()
        .group_id(&group)
        .security_group_rules(update)
        .send()
        .await
        .unwrap();
    let to = json!({"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "CidrIpv4": "0.0.0.0/0"});
    let event = cloudtrail::modified(&world.account.id, &world.alice(), &group, rule, &to);
    let outcome = world.outcome_by("OpenSecurityGroupIngress", &event).await;
    assert_eq!(outcome.status, Status::Reverted, "{}", outcome.reason);
    assert_eq!(world.account.rules(&group).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_aws_config_reports_is_closed_whoever_opened_it() {
    let world = World::new("enforce").await;
    let id = world.account.id.clone();
    let config_rule = "arn:aws:config:us-east-1:111122223333:config-rule/config-rule-abc";
    let now = rescind_tests::now();
    let item = |group: &str| cloudtrail::configuration_item(&id, group, &[], now, false);
    let oversized = |group: &str| {
        // AWS Config has the state that was too large for the event.
        world.proxy.answer("GetResourceConfigHistory", &cloudtrail::history(&[(now, json!({"groupId": group}))]));
        cloudtrail::configuration_item(&id, group, &[], now, true)
    };
    let account = world.account.id.clone();
    let judgement = move |group: &str| {
        let mut event =
            cloudtrail::non_compliant(&account, ("restricted-ssh", config_rule), ("AWS::EC2::SecurityGroup", group));
        event["detail"].as_object_mut().unwrap().remove("configRuleARN");
        event
    };
    let events: [&dyn Fn(&str) -> Value; 3] = [&item, &oversized, &judgement];
    for event in events {
        let (group, before, _) =
            opened(&world, &[permission("tcp", 22, 22, "0.0.0.0/0"), permission("-1", -1, -1, "::/0")]).await;
        let outcome = world.outcome(&event(&group)).await;
        assert_eq!(outcome.status, Status::Reverted, "{}", outcome.reason);
        assert_eq!(outcome.actor.arn, "unknown");
        assert_eq!(world.account.rules(&group).await, before);
        // A group that is safe stays as it is.
        let outcome = world.outcome(&event(&group)).await;
        assert_eq!((outcome.verdict, outcome.status), (Verdict::Harmless, Status::Ignored));
        assert_eq!(world.account.rules(&group).await, before);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_group_that_aws_config_reports_what_complied_does_not_go_for_what_came() {
    let world = World::new("enforce").await;
    let item = |rules: &[SecurityGroupRule], group: &str| {
        cloudtrail::configuration_item(&world.account.id, group, rules, rescind_tests::now(), false)
    };
    let group = world.account.group("web", None).await;
    world.account.authorize(&group, &[permission("tcp", 22, 22, "8.0.0.0/8")]).await;
    // Recorded for the first time: nothing tells which of the two is new.
    world.account.authorize(&group, &[permission("tcp", 22, 22, "9.0.0.0/9")]).await;
    let both = world.account.rules(&group).await;
    let answer = world.deliver(&item(&both, &group)).await.remove(0).expect_err("it can't be told");
    assert!(answer.message.contains("which of its rules is new is not known"), "{answer:?}");
    assert_eq!(world.account.rules(&group).await, both);
    // Recorded again, and nothing has come: it stood before, and is no failure.
    let outcome = world.outcome(&item(&both, &group)).await;
    assert_eq!((outcome.verdict, outcome.status), (Verdict::Harmless, Status::Ignored), "{}", outcome.reason);
    // What comes goes, though it is the narrowest.
    let made = world.account.authorize(&group, &[permission("tcp", 22, 22, "203.0.113.7/32")]).await;
    let outcome = world.outcome(&item(&both, &group)).await;
    assert_eq!(outcome.status, Status::Reverted, "{}", outcome.reason);
    assert_eq!(outcome.evidence[0].0["rule"], ids(&made)[0]);
    assert_eq!(world.account.rules(&group).await, both);
}

#[tokio::test(flavor = "multi_thread")]
async fn tags_of_the_config_rule_go_before_those_of_the_event_rule() {
    let world = World::new("dry-run").await;
    let source = aws_sdk_config::types::Source::builder()
        .owner(aws_sdk_config::types::Owner::Aws)
        .source_identifier("INCOMING_SSH_DISABLED")
        .build()
        .unwrap();
    let rule = aws_sdk_config::types::ConfigRule::builder().config_rule_name("restricted-ssh").source(source).build();
    let tag = aws_sdk_config::types::Tag::builder().key("rescind:mode").value("enforce").build();
    let config = world.account.config_service();
    config.put_config_rule().config_rule(rule).tags(tag).send().await.unwrap();
    let arn =
        config.describe_config_rules().send().await.unwrap().config_rules()[0].config_rule_arn().unwrap().to_owned();
    let (group, before, _) = opened(&world, &[permission("tcp", 22, 22, "0.0.0.0/0")]).await;
    let outcome = world
        .outcome(&cloudtrail::non_compliant(
            &world.account.id,
            ("restricted-ssh", &arn),
            ("AWS::EC2::SecurityGroup", &group),
        ))
        .await;
    assert_eq!(outcome.status, Status::Reverted, "{}", outcome.reason);
    assert_eq!(world.account.rules(&group).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_reason_to_leave_a_change_alone_is_an_outcome_of_its_own() {
    let world = World::new("enforce").await;
    let account = world.account.id.clone();
    let open = [permission("tcp", 22, 22, "0.0.0.0/0")];
    let (group, _, made) = opened(&world, &open).await;
    let standing = world.account.rules(&group).await;
    let event = |who: &Who| cloudtrail::authorized(&account, who, &group, &made);

    // Our own change: EventBridge keeps it away, and so does the function.
    let own = Who::Role(world.account.deployed.functions["security-groups"].role_arn.clone());
    assert!(world.route(&event(&own)).await.is_empty(), "the pattern keeps it away");
    let rule = world.account.rule("OpenSecurityGroupIngress").arn.clone();
    let answer =
        world.invoke(&json!({"rule": rule, "ingested": "2026-11-24T09:30:00Z", "event": event(&own)})).await.unwrap();
    assert_eq!((answer.outcomes[0].verdict, answer.outcomes[0].status), (Verdict::NotApplicable, Status::Ignored));

    // A failed call: likewise.
    let mut failed = event(&world.alice());
    failed["detail"]["errorCode"] = json!("Client.UnauthorizedOperation");
    assert!(world.route(&failed).await.is_empty(), "the pattern keeps it away");
    let answer = world.invoke(&json!({"rule": rule, "event": failed})).await.unwrap();
    assert_eq!((answer.outcomes[0].verdict, answer.outcomes[0].status), (Verdict::Harmless, Status::Ignored));

    // The group has the exempt tag.
    world.account.tag(&group, "rescind:exempt", "2099-12-31").await;
    let outcome = world.outcome(&event(&world.alice())).await;
    assert_eq!((outcome.verdict, outcome.status), (Verdict::Exempt, Status::Ignored));
    assert!(outcome.reason.contains("rescind:exempt=2099-12-31"), "{}", outcome.reason);

    // The exemption can't be understood: nothing is changed, aloud.
    world.account.tag(&group, "rescind:exempt", "2026-13-99").await;
    let outcome = world.outcome(&event(&world.alice())).await;
    assert_eq!(outcome.status, Status::Misconfigured, "{}", outcome.reason);
    assert_eq!(world.account.rules(&group).await, standing);

    // It has ended: the rule goes.
    world.account.tag(&group, "rescind:exempt", "2020-01-01").await;
    let outcome = world.outcome(&event(&Who::User("bob".to_owned()))).await;
    assert_eq!(outcome.status, Status::Reverted, "{}", outcome.reason);

    // The same event again: the rule is gone.
    world.proxy.clear();
    let outcome = world.outcome(&event(&Who::Root)).await;
    assert_eq!((outcome.verdict, outcome.status), (Verdict::Risky, Status::AlreadySafe), "{}", outcome.reason);
    assert!(world.proxy.changes().is_empty());

    // The group is gone.
    world.account.ec2().delete_security_group().group_id(&group).send().await.unwrap();
    let outcome = world.outcome(&event(&Who::CloudFormation(format!("arn:aws:iam::{account}:role/stack")))).await;
    assert_eq!(outcome.status, Status::AlreadySafe);
    assert!(outcome.reason.contains("the group is gone"), "{}", outcome.reason);
    assert_eq!(outcome.actor.via, "cloudformation");
    assert!(world.proxy.changes().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exempt_principal_is_the_role_behind_the_session() {
    let world = World::new("enforce").await;
    let account = world.account.id.clone();
    world
        .account
        .tag_rule("OpenSecurityGroupIngress", "rescind:exempt-principals", &format!("arn:aws:iam::{account}:role/ci/"))
        .await;
    let (group, before, made) = opened(&world, &[permission("tcp", 22, 22, "0.0.0.0/0")]).await;
    let by = |role: &str| {
        cloudtrail::authorized(&account, &Who::Role(format!("arn:aws:iam::{account}:role/{role}")), &group, &made)
    };
    let outcome = world.outcome(&by("ci/terraform")).await;
    assert_eq!((outcome.verdict, outcome.status), (Verdict::Exempt, Status::Ignored), "{}", outcome.reason);
    let outcome = world.outcome(&by("ci-imitation")).await;
    assert_eq!(outcome.status, Status::Reverted, "{}", outcome.reason);
    assert_eq!(world.account.rules(&group).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_list_of_allowed_ranges_everything_else_goes() {
    let world = World::new("enforce").await;
    world.account.tag_rule("OpenSecurityGroupIngress", "rescind:allowed-cidrs", "203.0.113.0/24").await;
    world.account.tag_rule("OpenSecurityGroupIngress", "rescind:allowed-cidrs.2", "2001:db8::/32").await;
    let fine = [
        permission("tcp", 22, 22, "203.0.113.7/32"),
        permission("tcp", 22, 22, "2001:db8:1::/48"),
        permission("tcp", 443, 443, "0.0.0.0/0"),
    ];
    let risky = [permission("tcp", 22, 22, "203.0.112.0/23"), permission("tcp", 22, 22, "172.16.0.0/12")];
    let all: Vec<IpPermission> = fine.iter().chain(&risky).cloned().collect();
    let (group, _, made) = opened(&world, &all).await;
    let outcome = world.outcome(&cloudtrail::authorized(&world.account.id, &world.alice(), &group, &made)).await;
    assert_eq!(outcome.status, Status::Reverted, "{}", outcome.reason);
    let left = ids(&world.account.rules(&group).await);
    let expected_gone: Vec<String> = ids(&made).split_off(3);
    assert!(expected_gone.iter().all(|id| !left.contains(id)) && ids(&made)[..3].iter().all(|id| left.contains(id)));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_inverse_brings_back_what_was_there_with_descriptions_and_tags() {
    let world = World::new("enforce").await;
    let (group, _, made) =
        opened(&world, &[permission("tcp", 22, 22, "0.0.0.0/0"), permission("-1", -1, -1, "::/0")]).await;
    world.account.tag(made[0].security_group_rule_id().unwrap(), "ticket", "OPS-1").await;
    let before = world.account.rules(&group).await;
    let outcome = world.outcome(&cloudtrail::authorized(&world.account.id, &world.alice(), &group, &made)).await;
    assert_eq!(outcome.status, Status::Reverted, "{}", outcome.reason);
    assert_eq!(outcome.steps.len(), 2, "rules with other tags need a call of their own");
    // As an administrator would: the inverse is what `aws ec2 authorize-security-group-ingress --cli-input-json` takes.
    for step in outcome.steps.iter().rev() {
        let permissions = inverse(step).parameters["IpPermissions"].as_array().unwrap();
        assert_eq!(inverse(step).parameters["GroupId"], json!(group));
        let mut request = world.account.ec2().authorize_security_group_ingress().group_id(&group);
        for one in permissions {
            let range = one["IpRanges"][0]["CidrIp"].as_str().or(one["Ipv6Ranges"][0]["CidrIpv6"].as_str()).unwrap();
            let ports = |name: &str| one[name].as_i64().map_or(-1, |port| i32::try_from(port).unwrap());
            request = request.ip_permissions(permission(
                one["IpProtocol"].as_str().unwrap(),
                ports("FromPort"),
                ports("ToPort"),
                range,
            ));
        }
        request.send().await.unwrap();
    }
    let plain = |rules: &[SecurityGroupRule]| {
        let mut all: Vec<String> = rules
            .iter()
            .map(|rule| {
                format!(
                    "{:?} {:?} {:?} {:?} {:?}",
                    rule.ip_protocol(),
                    rule.from_port(),
                    rule.to_port(),
                    rule.cidr_ipv4(),
                    rule.cidr_ipv6()
                )
            })
            .collect();
        all.sort();
        all
    };
    assert_eq!(plain(&world.account.rules(&group).await), plain(&before));
    let tagged = outcome
        .steps
        .iter()
        .find(|step| inverse(step).parameters.get("TagSpecifications").is_some())
        .expect("the tagged rule's step");
    assert_eq!(
        inverse(tagged).parameters["TagSpecifications"][0]["Tags"],
        json!([{"Key": "ticket", "Value": "OPS-1"}])
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_open_port_of_an_instance_that_guardduty_sees_attacked_is_closed() {
    let world = World::new("enforce").await;
    let group = world.account.group("web", None).await;
    let open = [permission("tcp", 22, 22, "0.0.0.0/0"), permission("tcp", 443, 443, "0.0.0.0/0")];
    let made = world.account.authorize(&group, &open).await;
    let interface = json!({"networkInterfaceId": "eni-1", "securityGroups": [{"groupId": group}]});
    let resource = json!({"resourceType": "Instance",
        "instanceDetails": {"instanceId": "i-1", "networkInterfaces": [interface]}});
    for kind in ["Recon:EC2/PortProbeUnprotectedPort", "UnauthorizedAccess:EC2/SSHBruteForce"] {
        let service = json!({"resourceRole": "TARGET"});
        let event = rescind_tests::guardduty::finding(&world.account.id, kind, 2.0, &resource, &service);
        let outcome = world.outcome_by("AttackedPort", &event).await;
        let expected = if kind.starts_with("Recon") { Status::Reverted } else { Status::Ignored };
        assert_eq!((outcome.status, outcome.resource.id), (expected, group.clone()), "{kind}: {}", outcome.reason);
        let left: Vec<_> =
            world.account.rules(&group).await.into_iter().filter(|rule| rule.is_egress() == Some(false)).collect();
        assert_eq!(left, made[1..], "443 stays");
    }
}
