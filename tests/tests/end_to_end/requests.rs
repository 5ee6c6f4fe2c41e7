//! What people ask for: undo and approve; and what Rescind does when somebody fights it.

use std::time::Duration;

use rescind::{Answer, Outcome, Status, Verdict};
use rescind_tests::account::permission;
use rescind_tests::cloudtrail::{self, Who};
use rescind_tests::{Function, World, delivery};
use serde_json::{Value, json};

/// What a group permits, without the ids of its rules: they are new when rules are put back.
async fn permits(world: &World, group: &str) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    for rule in world.account.rules(group).await {
        let tags: Vec<_> = rule.tags().iter().map(|tag| (tag.key(), tag.value())).collect();
        let to = (rule.cidr_ipv4(), rule.cidr_ipv6(), rule.prefix_list_id());
        all.push(format!(
            "{:?} {:?} {:?} {:?} {:?} {:?} {tags:?}",
            rule.is_egress(),
            rule.ip_protocol(),
            rule.from_port(),
            rule.to_port(),
            to,
            rule.description()
        ));
    }
    all.sort();
    all
}

async fn ask(world: &World, request: Value) -> Result<Outcome, String> {
    let answer: Result<Answer, _> = world.invoke(&request).await;
    answer.map(|mut answer| answer.outcomes.remove(0)).map_err(|error| error.message)
}

/// The console, next to the function that it asks.
async fn console(world: &World) -> Function {
    let deployed = &world.account.deployed.functions["console"];
    let credentials = world.account.assume(&deployed.role_arn).await;
    // Lambda's own API is that of `cargo lambda`, where the other function runs.
    let lambda = ("AWS_ENDPOINT_URL_LAMBDA".to_owned(), format!("http://127.0.0.1:{}", world.function.port));
    let environment = deployed.environment.clone().into_iter().chain([lambda]);
    Function::start("console", environment, Some(&credentials), world.account.port)
}

/// Opens a group by one call and delivers that.
async fn open(world: &World, group: &str, who: &Who) -> Outcome {
    let made = world
        .account
        .authorize(group, &[permission("tcp", 22, 22, "0.0.0.0/0"), permission("-1", -1, -1, "::/0")])
        .await;
    world.outcome(&cloudtrail::authorized(&world.account.id, who, group, &made)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn undo_brings_back_what_was_there_once() {
    let world = World::new("enforce").await;
    let group = world.account.group("web", None).await;
    world.account.authorize(&group, &[permission("tcp", 443, 443, "0.0.0.0/0")]).await;
    let closed = permits(&world, &group).await;
    let made = world
        .account
        .authorize(&group, &[permission("tcp", 22, 22, "0.0.0.0/0"), permission("-1", -1, -1, "::/0")])
        .await;
    world.account.tag(made[0].security_group_rule_id().expect("an id"), "ticket", "OPS-1").await;
    let opened = permits(&world, &group).await;
    let outcome = world.outcome(&cloudtrail::authorized(&world.account.id, &world.alice(), &group, &made)).await;
    assert_eq!(outcome.status, Status::Reverted, "{}", outcome.reason);
    assert_eq!(permits(&world, &group).await, closed);

    let undone = ask(&world, json!({"undo": outcome.id})).await.expect("an outcome");
    assert_eq!(undone.status, Status::Undone, "{}", undone.reason);
    assert_eq!(permits(&world, &group).await, opened, "byte for byte, but for the ids");
    // Again: nothing more happens.
    world.proxy.clear();
    assert_eq!(ask(&world, json!({"undo": outcome.id})).await.expect("an outcome"), undone);
    assert!(world.proxy.changes().is_empty());
    // The event once more: it has been dealt with.
    let event = cloudtrail::authorized(&world.account.id, &world.alice(), &group, &made);
    let again = Value::from(outcome.signal.id.clone());
    let mut same = event;
    same["detail"]["eventID"] = again;
    assert_eq!(world.outcome(&same).await, outcome);
    // AWS Config reports the group as it stands: what a person put back stays.
    let standing = world.account.rules(&group).await;
    let item = cloudtrail::configuration_item(&world.account.id, &group, &standing, rescind_tests::now(), false);
    let config = world.outcome(&item).await;
    assert_eq!((config.verdict, config.status), (Verdict::Exempt, Status::Ignored), "{}", config.reason);
    assert_eq!(permits(&world, &group).await, opened);
    // Somebody else opens it anew, elsewhere: that is taken back.
    let made = world.account.authorize(&group, &[permission("tcp", 3389, 3389, "0.0.0.0/0")]).await;
    let outcome = world.outcome(&cloudtrail::authorized(&world.account.id, &world.alice(), &group, &made)).await;
    assert_eq!(outcome.status, Status::Reverted);
    let told = delivery::wait_for(&world.account, "OutcomeNotification").await;
    assert!(told.iter().any(|message| message.to_string().contains("undone")), "{told:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn undo_refuses_when_the_resource_has_changed_since_and_says_how() {
    let world = World::new("enforce").await;
    let group = world.account.group("web", None).await;
    let outcome = open(&world, &group, &world.alice()).await;
    world.account.authorize(&group, &[permission("tcp", 8443, 8443, "10.0.0.0/8")]).await;
    let changed = permits(&world, &group).await;
    let refused = ask(&world, json!({"undo": outcome.id})).await.expect("an outcome");
    assert_eq!(refused.status, Status::Ignored);
    assert!(refused.reason.contains("tcp/8443 in 10.0.0.0/8 is new"), "{}", refused.reason);
    // Who asked by Security Hub gets no answer: it is mailed.
    let told = delivery::wait_for(&world.account, "OutcomeNotification").await;
    assert!(told.iter().any(|message| message.to_string().contains("not undone")), "{told:?}");
    // Only what was made for a time ends: who can write into a dead-letter queue asks for no more than that.
    let ended = ask(&world, json!({"undo": outcome.id, "expired": true})).await;
    assert!(ended.as_ref().is_err_and(|error| error.contains("has no end")), "{ended:?}");
    assert_eq!(permits(&world, &group).await, changed);
    let forced = ask(&world, json!({"undo": outcome.id, "force": true})).await.expect("an outcome");
    assert_eq!(forced.status, Status::Undone, "{}", forced.reason);
    let now = permits(&world, &group).await;
    assert!(now.len() == changed.len() + 2 && changed.iter().all(|rule| now.contains(rule)), "{now:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_cannot_be_met_say_why() {
    let world = World::new("dry-run").await;
    let group = world.account.group("web", None).await;
    let outcome = open(&world, &group, &world.alice()).await;
    for (request, expected) in [
        (json!({"undo": "0123456789abcdef0123456789abcdef"}), "has no outcome"),
        (json!({"undo": "../../etc"}), "no outcome id"),
        (json!({"undo": outcome.id}), "only what is `reverted`"),
        (json!({"approve": outcome.id}), "waits for approval"),
        (json!({"undo": outcome.id, "force": 1}), "true or false"),
    ] {
        let error = ask(&world, request.clone()).await.expect_err("it can't be met");
        assert!(error.contains(expected), "{request}: {error}");
    }
    assert!(world.proxy.changes().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_waits_for_approval_and_is_carried_out_once() {
    let world = World::new("approve").await;
    let group = world.account.group("web", None).await;
    let closed = permits(&world, &group).await;
    let outcome = open(&world, &group, &world.alice()).await;
    let opened = permits(&world, &group).await;
    assert_eq!(outcome.status, Status::AwaitingApproval, "{}", outcome.reason);
    assert!(world.proxy.changes().is_empty() && !outcome.steps.is_empty());
    assert_eq!(permits(&world, &group).await, opened);
    let told = delivery::wait_for(&world.account, "OutcomeNotification").await;
    assert!(told[0].to_string().contains("awaiting-approval"), "{told:?}");
    let done = ask(&world, json!({"approve": outcome.id})).await.expect("an outcome");
    assert_eq!((done.status, &done.id), (Status::Reverted, &outcome.id), "{}", done.reason);
    assert_eq!(permits(&world, &group).await, closed);
    let error = ask(&world, json!({"approve": outcome.id})).await.expect_err("no plan waits any more");
    assert!(error.contains("`reverted`"), "{error}");
    let undone = ask(&world, json!({"undo": outcome.id})).await.expect("an outcome");
    assert_eq!(undone.status, Status::Undone);
    assert_eq!(permits(&world, &group).await, opened);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approval_that_no_longer_fits_changes_nothing() {
    let world = World::new("approve").await;
    let group = world.account.group("web", None).await;
    let outcome = open(&world, &group, &world.alice()).await;
    // One of the two rules is gone meanwhile.
    let rules = world.account.rules(&group).await;
    let open_rule = rules
        .iter()
        .find(|rule| rule.from_port() == Some(22))
        .and_then(|rule| rule.security_group_rule_id())
        .expect("the rule");
    world
        .account
        .ec2()
        .revoke_security_group_ingress()
        .group_id(&group)
        .security_group_rule_ids(open_rule)
        .send()
        .await
        .expect("revoked");
    let before = permits(&world, &group).await;
    let answer = ask(&world, json!({"approve": outcome.id})).await.expect("an outcome");
    assert_eq!(answer.status, Status::AwaitingApproval);
    assert!(answer.reason.contains("has changed since the plan was made"), "{}", answer.reason);
    let told = delivery::wait_for(&world.account, "OutcomeNotification").await;
    assert!(told.iter().any(|message| message.to_string().contains("has changed since")), "{told:?}");
    assert_eq!(permits(&world, &group).await, before);
    // The new plan may be approved.
    let done = ask(&world, json!({"approve": outcome.id})).await.expect("an outcome");
    assert_eq!(done.status, Status::Reverted, "{}", done.reason);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fight_ends_after_the_limit_and_others_are_still_served() {
    let world = World::new("enforce").await;
    let group = world.account.group("web", None).await;
    let terraform = Who::CloudFormation(format!("arn:aws:iam::{}:role/stack", world.account.id));
    let mut statuses = Vec::new();
    // A reconciler that puts its rules back whenever they are gone.
    for _ in 0..6 {
        let missing = !world.account.rules(&group).await.iter().any(|rule| rule.from_port() == Some(22));
        if !missing {
            break;
        }
        statuses.push(open(&world, &group, &terraform).await.status);
    }
    assert_eq!(statuses, [Status::Reverted, Status::Reverted, Status::Reverted, Status::StandingBack]);
    let standing = permits(&world, &group).await;
    // It is told once, however often it comes again.
    let rules = world.account.rules(&group).await;
    let made: Vec<_> = rules.into_iter().filter(|rule| rule.is_egress() == Some(false)).collect();
    let outcome = world.outcome(&cloudtrail::authorized(&world.account.id, &terraform, &group, &made)).await;
    assert_eq!(outcome.status, Status::StandingBack, "{}", outcome.reason);
    assert_eq!(permits(&world, &group).await, standing);
    let told = delivery::wait_for(&world.account, "OutcomeNotification").await;
    let about = told.iter().filter(|message| message.to_string().contains("standing-back")).count();
    assert_eq!(about, 1, "{told:?}");
    // Another change of the same principal is taken back, and so is the same change by another one.
    let made = world.account.authorize(&group, &[permission("tcp", 3389, 3389, "0.0.0.0/0")]).await;
    let outcome = world.outcome(&cloudtrail::authorized(&world.account.id, &terraform, &group, &made)).await;
    assert_eq!(outcome.status, Status::Reverted, "{}", outcome.reason);
    let other = world.account.group("other", None).await;
    assert_eq!(open(&world, &other, &world.alice()).await.status, Status::Reverted);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_console_asks_the_function_whose_outcome_it_is() {
    let world = World::new("enforce").await;
    let console = console(&world).await;
    let group = world.account.group("web", None).await;
    let closed = permits(&world, &group).await;
    let outcome = open(&world, &group, &world.alice()).await;
    assert_eq!((outcome.status, permits(&world, &group).await), (Status::Reverted, closed.clone()));

    let answer = console.invoke(&json!({"undo": outcome.id})).await.expect("an answer");
    rescind_tests::schema::check(&answer);
    assert_eq!(answer["outcomes"][0]["status"], "undone", "{answer:#}");
    assert_eq!(permits(&world, &group).await.len(), closed.len() + 2);
    // The same by a custom action of Security Hub, as the template's rule delivers it.
    let action = json!({
        "version": "0", "id": cloudtrail::event_id(), "detail-type": "Security Hub Findings - Custom Action",
        "source": "aws.securityhub", "account": world.account.id, "time": "2026-11-24T09:30:00Z", "region": "us-east-1",
        "resources": ["arn:aws:securityhub:us-east-1:111122223333:action/custom/rescind-undo"],
        "detail": {"actionName": "Rescind undo", "actionDescription": "Undo what Rescind did",
            "findings": [{"ProductArn": format!("arn:aws:securityhub:us-east-1:{account}:product/{account}/default", account = world.account.id),
                "ProductFields": {"rescind/outcome": outcome.id}}]},
    });
    let delivered = delivery::deliver(&world.account, &action).await;
    assert_eq!(delivered.iter().map(|one| one.rule.as_str()).collect::<Vec<_>>(), ["ConsoleAction"]);
    let again = console.invoke(&delivered[0].input).await.expect("an answer");
    assert_eq!(again, answer, "it is undone once");

    for (request, expected) in [
        (json!({"undo": "0123456789abcdef0123456789abcdef"}), "has no outcome"),
        (json!({"approve": outcome.id}), "waits for approval"),
        (json!({}), "no request"),
    ] {
        let error = console.invoke(&request).await.expect_err("it can't be met");
        assert!(error.error_type.starts_with("Rescind.") && error.message.contains(expected), "{request}: {error:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_console_waits_for_a_function_that_takes_its_time() {
    let world = World::new("enforce").await;
    let console = console(&world).await;
    let group = world.account.group("web", None).await;
    let outcome = open(&world, &group, &world.alice()).await;
    assert_eq!(outcome.status, Status::Reverted);
    let closed = permits(&world, &group).await;
    world.proxy.clear();
    world.proxy.set_latency(Duration::from_millis(1500));
    let answer = console.invoke(&json!({"undo": outcome.id})).await.expect("an answer");
    assert_eq!(answer["outcomes"][0]["status"], "undone", "{answer:#}");
    assert_eq!(permits(&world, &group).await.len(), closed.len() + 2);
    let asked = world.proxy.operations().into_iter().filter(|operation| operation.starts_with("Authorize")).count();
    assert_eq!(asked, 1, "once: {:?}", world.proxy.operations());
}
