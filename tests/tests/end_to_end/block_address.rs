//! `block-address`: who guesses passwords is kept out for a time, and nobody else.

use aws_sdk_ec2::types::RuleAction;
use rescind::{Outcome, Status, Verdict};
use rescind_tests::scenes::blocks::{HOSTILE, acl_of, describe, fill, in_words, run};
use rescind_tests::{World, guardduty};
use serde_json::{Value, json};

async fn world() -> World {
    // For so long after a containment began, no other finding begins one.
    World::of("instances", "enforce", [("RESCIND_LEASE_MS".to_owned(), "200".to_owned())]).await
}

async fn blocked(world: &World, event: &Value) -> Outcome {
    tokio::time::sleep(std::time::Duration::from_millis(250)).await;
    world.outcome_by("BlockAddress", event).await
}

/// When the last outcome is going to be undone, and what is going to be asked of the console then. The emulator took the call; under
/// its enforcement of IAM it can't be asked for a schedule.
fn scheduled(world: &World) -> (String, Value) {
    let calls = world.proxy.calls();
    let last = calls.iter().rfind(|call| call.operation == "CreateSchedule" && call.status == Some(200));
    let schedule: Value = serde_json::from_str(&last.expect("it is scheduled").body).expect("JSON");
    assert_eq!(schedule["ActionAfterCompletion"], "DELETE");
    let (target, environment) = (&schedule["Target"], &world.account.deployed.functions["instances"].environment);
    assert_eq!(target["Arn"], environment["RESCIND_CONSOLE"].as_str());
    assert_eq!(target["RoleArn"], environment["RESCIND_EXPIRY_ROLE"].as_str());
    let input = serde_json::from_str(target["Input"].as_str().expect("an input")).expect("JSON");
    (schedule["ScheduleExpression"].as_str().expect("a time").to_owned(), input)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_is_kept_out_until_its_time_is_over() {
    let world = world().await;
    let (instance, other) = (run(&world, "web").await, run(&world, "other").await);
    let (before, untouched) = (in_words(&world, &instance).await, in_words(&world, &other).await);
    let mut event = guardduty::guessed_passwords(&world.account.id, &instance, HOSTILE);
    let found = rescind_tests::now() - chrono::TimeDelta::minutes(10);
    event["detail"]["updatedAt"] = json!(found.to_rfc3339());
    let outcome = blocked(&world, &event).await;
    assert_eq!((outcome.verdict, outcome.status), (Verdict::Risky, Status::Reverted), "{}", outcome.reason);
    let mut kept_out = before.clone();
    kept_out.push(format!("in 00001: deny {HOSTILE}/32"));
    kept_out.sort();
    kept_out.push(format!("rescind:blocks:{HOSTILE}"));
    assert_eq!(in_words(&world, &instance).await, kept_out);
    assert_eq!(in_words(&world, &other).await, untouched);

    let until = (found + chrono::TimeDelta::hours(24)).format("at(%Y-%m-%dT%H:%M:%S)").to_string();
    let expected = (until, json!({"undo": outcome.id, "expired": true}));
    assert_eq!(scheduled(&world), expected);

    // The schedule asks.
    let undone = world.invoke(&expected.1).await.expect("an outcome").outcomes.remove(0);
    assert_eq!(undone.status, Status::Undone, "{}", undone.reason);
    assert!(undone.reason.starts_with("its time is over"), "{}", undone.reason);
    assert_eq!(in_words(&world, &instance).await, before);

    // Nobody has decided that this address may come: the next finding blocks it again.
    let again = blocked(&world, &guardduty::guessed_passwords(&world.account.id, &instance, HOSTILE)).await;
    assert_eq!(again.status, Status::Reverted, "{}", again.reason);
    // A person ends it before its time; its schedule finds nothing to do then.
    let undone = world.invoke(&json!({"undo": again.id})).await.expect("an outcome").outcomes.remove(0);
    assert_eq!(undone.status, Status::Undone, "{}", undone.reason);
    world.proxy.clear();
    let late = world.invoke(&json!({"undo": again.id, "expired": true})).await.expect("an outcome").outcomes.remove(0);
    assert_eq!(late, undone);
    assert!(world.proxy.changes().is_empty(), "{:?}", world.proxy.operations());
    assert_eq!(in_words(&world, &instance).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_block_ends_though_the_instance_is_gone() {
    let world = world().await;
    let instance = run(&world, "web").await;
    let acl = acl_of(&world, &instance).await;
    let outcome = blocked(&world, &guardduty::guessed_passwords(&world.account.id, &instance, HOSTILE)).await;
    assert_eq!(outcome.status, Status::Reverted, "{}", outcome.reason);
    world.account.ec2().terminate_instances().instance_ids(&instance).send().await.expect("it is terminated");
    let undone = world.invoke(&json!({"undo": outcome.id, "expired": true})).await.expect("an outcome");
    assert_eq!(undone.outcomes[0].status, Status::Undone, "{}", undone.outcomes[0].reason);
    let answer = world.account.ec2().describe_network_acls().network_acl_ids(&acl).send().await.expect("ACLs");
    let entries = answer.network_acls()[0].entries();
    assert!(entries.iter().all(|entry| entry.rule_number() != Some(1)), "{entries:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_somebody_put_in_its_place_is_theirs() {
    let world = world().await;
    let instance = run(&world, "web").await;
    let acl = acl_of(&world, &instance).await;
    let outcome = blocked(&world, &guardduty::guessed_passwords(&world.account.id, &instance, HOSTILE)).await;
    let ec2 = world.account.ec2();
    ec2.delete_network_acl_entry().network_acl_id(&acl).rule_number(1).egress(false).send().await.expect("gone");
    let request = ec2.create_network_acl_entry().network_acl_id(&acl).rule_number(1).egress(false).protocol("-1");
    let request = request.rule_action(RuleAction::Deny).cidr_block("203.0.113.0/24");
    request.send().await.expect("an entry of the owner's");
    let theirs = in_words(&world, &instance).await;
    for request in [json!({"undo": outcome.id, "expired": true}), json!({"undo": outcome.id, "force": true})] {
        let _ = world.invoke(&request).await;
        let entries: Vec<String> = in_words(&world, &instance).await;
        assert!(entries.contains(&theirs[0]), "{entries:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn partners_and_our_own_are_never_blocked() {
    let world = world().await;
    let instance = run(&world, "web").await;
    world.account.tag_rule("BlockAddress", "rescind:never-block", "192.0.2.0/24").await;
    // The emulator's own Elastic IP addresses are none of the internet.
    let elastic = "203.0.113.50";
    let found = format!("<item><publicIp>{elastic}</publicIp></item>");
    let found = format!("<DescribeAddressesResponse><addressesSet>{found}</addressesSet></DescribeAddressesResponse>");
    world.proxy.answer("DescribeAddresses", &found);
    let lists = world.account.ec2().describe_managed_prefix_lists().send().await.expect("prefix lists");
    let list = lists.prefix_lists().iter().find(|list| list.owner_id() == Some("AWS")).expect("one of AWS");
    let entries =
        world.account.ec2().get_managed_prefix_list_entries().prefix_list_id(list.prefix_list_id().expect("an id"));
    let entries = entries.send().await.expect("entries");
    let service = entries.entries()[0].cidr().expect("a range").split('/').next().expect("an address").to_owned();
    let before = in_words(&world, &instance).await;
    for (address, why) in
        [("10.0.0.9", "private"), ("192.0.2.7", "never-block"), (elastic, "account's own"), (&service, "AWS's own")]
    {
        let outcome = blocked(&world, &guardduty::guessed_passwords(&world.account.id, &instance, address)).await;
        assert_eq!((outcome.verdict, outcome.status), (Verdict::Harmless, Status::Ignored), "{}", outcome.reason);
        assert!(outcome.reason.contains(why), "{}", outcome.reason);
    }
    assert_eq!(in_words(&world, &instance).await, before);
    assert!(world.proxy.changes().is_empty(), "{:?}", world.proxy.operations());
    // A default network ACL of a VPC with IPv6 lets all of it in.
    let request = world.account.ec2().create_network_acl_entry().network_acl_id(acl_of(&world, &instance).await);
    let request = request.rule_number(101).protocol("-1").rule_action(RuleAction::Allow).egress(false);
    request.ipv6_cidr_block("::/0").send().await.expect("an entry");
    let v6 = blocked(&world, &guardduty::guessed_passwords(&world.account.id, &instance, "2001:db8::7")).await;
    assert_eq!(v6.status, Status::Reverted, "{}", v6.reason);
    assert!(in_words(&world, &instance).await.contains(&"in 00001: deny 2001:db8::7/128".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn where_there_is_no_more_room_the_block_that_ends_first_goes() {
    let world = world().await;
    let instance = run(&world, "web").await;
    let acl = acl_of(&world, &instance).await;
    fill(&world, &acl, 17).await;
    let block = async |address: &str, age: i64| {
        let mut event = guardduty::guessed_passwords(&world.account.id, &instance, address);
        event["detail"]["updatedAt"] = json!((rescind_tests::now() - chrono::TimeDelta::hours(age)).to_rfc3339());
        blocked(&world, &event).await
    };
    let denied = async || -> Vec<String> {
        let entries = in_words(&world, &instance).await.into_iter();
        entries.filter(|entry| entry.contains("198.51.100.") && entry.starts_with("in ")).collect()
    };
    let first = block("198.51.100.1", 2).await;
    assert_eq!(first.status, Status::Reverted, "{}", first.reason);
    // 17, the one that lets everybody in, and this one: it is full.
    let second = block("198.51.100.2", 1).await;
    assert_eq!(second.status, Status::Reverted, "{}", second.reason);
    assert_eq!(denied().await, ["in 00002: deny 198.51.100.2/32"], "{:?}", describe(&world, &instance).await.tags());
    // The end of a block that had to go is no failure, and touches nothing.
    let undone = world.invoke(&json!({"undo": first.id, "expired": true})).await.expect("an outcome");
    assert_eq!(undone.outcomes[0].status, Status::Undone, "{}", undone.outcomes[0].reason);
    assert_eq!(denied().await, ["in 00002: deny 198.51.100.2/32"]);
    // Undone, it does not bring back the one that had to go: nothing would end it.
    let undone = world.invoke(&json!({"undo": second.id})).await.expect("an outcome");
    assert_eq!(undone.outcomes[0].status, Status::Undone, "{}", undone.outcomes[0].reason);
    assert_eq!(denied().await, Vec::<String>::new());
    // All are somebody else's.
    let request = world.account.ec2().create_network_acl_entry().network_acl_id(&acl).rule_number(300);
    let request = request.protocol("-1").rule_action(RuleAction::Deny).egress(false);
    request.cidr_block("203.0.113.99/32").send().await.expect("an entry");
    let none = block("198.51.100.3", 0).await;
    assert_eq!((none.verdict, none.status), (Verdict::Risky, Status::Reported), "{}", none.reason);
    assert!(none.reason.contains("has no room"), "{}", none.reason);
    assert_eq!(denied().await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_a_block_that_had_to_go_spares_a_later_one_of_the_same_address() {
    let world = world().await;
    let instance = run(&world, "web").await;
    fill(&world, &acl_of(&world, &instance).await, 17).await;
    let block = async |address: &str, age: i64| {
        let mut event = guardduty::guessed_passwords(&world.account.id, &instance, address);
        event["detail"]["updatedAt"] = json!((rescind_tests::now() - chrono::TimeDelta::hours(age)).to_rfc3339());
        let outcome = blocked(&world, &event).await;
        assert_eq!(outcome.status, Status::Reverted, "{}", outcome.reason);
        outcome
    };
    let denied = async || -> Vec<String> {
        let entries = in_words(&world, &instance).await.into_iter();
        entries.filter(|entry| entry.contains("198.51.100.") && entry.starts_with("in ")).collect()
    };
    let first = block("198.51.100.1", 3).await;
    // It makes room for another address, which makes room for the first one again: by the same number.
    block("198.51.100.2", 2).await;
    let again = block("198.51.100.1", 1).await;
    for (outcome, left) in [(first, vec!["in 00001: deny 198.51.100.1/32"]), (again, vec![])] {
        let undone = world.invoke(&json!({"undo": outcome.id, "expired": true})).await.expect("an outcome");
        assert_eq!(undone.outcomes[0].status, Status::Undone, "{}", undone.outcomes[0].reason);
        assert_eq!(denied().await, left);
    }
}

/// GuardDuty gathers all who attack an instance in one finding, whose updates tell of the latest of them.
#[tokio::test(flavor = "multi_thread")]
async fn of_one_finding_each_attacker_is_blocked_and_again_when_the_block_is_over() {
    let world = world().await;
    let instance = run(&world, "web").await;
    let before = in_words(&world, &instance).await;
    let mut finding = guardduty::guessed_passwords(&world.account.id, &instance, "198.51.100.1");
    let mut update = async |address: &str, minutes_ago: i64| {
        let remote = json!({"ipAddressV4": address});
        finding["detail"]["service"]["action"]["networkConnectionAction"]["remoteIpDetails"] = remote;
        let time = rescind_tests::now() - chrono::TimeDelta::minutes(minutes_ago);
        finding["detail"]["updatedAt"] = json!(time.to_rfc3339());
        blocked(&world, &finding).await
    };
    let first = update("198.51.100.1", 30).await;
    assert_eq!(first.status, Status::Reverted, "{}", first.reason);
    let second = update("198.51.100.2", 20).await;
    assert_eq!(second.status, Status::Reverted, "{}", second.reason);
    let standing = update("198.51.100.1", 15).await;
    assert_eq!(standing.status, Status::AlreadySafe, "{}", standing.reason);
    // The end of each block ends that one.
    for outcome in [&first, &second] {
        let undone = world.invoke(&json!({"undo": outcome.id, "expired": true})).await.expect("an outcome");
        assert_eq!(undone.outcomes[0].status, Status::Undone, "{}", undone.outcomes[0].reason);
    }
    assert_eq!(in_words(&world, &instance).await, before);
    let again = update("198.51.100.1", 10).await;
    assert_eq!(again.status, Status::Reverted, "{}", again.reason);
    // What a person undoes, stays: this attacker may come, and the other one may not.
    let undone = world.invoke(&json!({"undo": again.id})).await.expect("an outcome").outcomes.remove(0);
    assert_eq!(undone.status, Status::Undone, "{}", undone.reason);
    let left = update("198.51.100.1", 5).await;
    assert_eq!((left.verdict, left.status), (Verdict::Exempt, Status::Ignored), "{}", left.reason);
    let other = update("198.51.100.2", 4).await;
    assert_eq!(other.status, Status::Reverted, "{}", other.reason);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_block_ends_whatever_has_become_of_the_same_address_elsewhere() {
    let world = world().await;
    let (one, two) = (run(&world, "one").await, run(&world, "two").await);
    let before = (in_words(&world, &one).await, in_words(&world, &two).await);
    let mut outcomes = Vec::new();
    for instance in [&one, &two] {
        let outcome = blocked(&world, &guardduty::guessed_passwords(&world.account.id, instance, HOSTILE)).await;
        assert_eq!(outcome.status, Status::Reverted, "{}", outcome.reason);
        outcomes.push(outcome);
    }
    for outcome in outcomes {
        let undone = world.invoke(&json!({"undo": outcome.id, "expired": true})).await.expect("an outcome");
        assert_eq!(undone.outcomes[0].status, Status::Undone, "{}", undone.outcomes[0].reason);
    }
    assert_eq!((in_words(&world, &one).await, in_words(&world, &two).await), before);
}
