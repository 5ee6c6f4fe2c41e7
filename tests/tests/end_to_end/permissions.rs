//! What a function calls, what it declares and what its role grants are the same set.

use std::collections::BTreeSet;

use aws_sdk_ec2::types::{AddPrefixListEntry, IpPermission, PrefixListId};
use rescind::Status;
use rescind::settings::Tags;
use rescind_lambda::{ENGINE_OPERATIONS, Function, KEEPING_OPERATIONS};
use rescind_tests::account::permission;
use rescind_tests::scenes::{
    blocks, buckets, flow_logs, identity, memberships, mfa, network_acl, policies, trail, trust, user_data,
};
use rescind_tests::{FUNCTIONS, World, cloudtrail, guardduty};
use serde_json::{Value, json};

/// What Lambda itself uses in the function's name.
const OF_LAMBDA: [&str; 3] = ["KeepFailures", "WriteLog", "PassExpiryRole"];
/// What EC2 asks for beside another permission; never a call of its own.
const WITH_ANOTHER: [&str; 5] =
    ["TagRulesPutBack", "TagFlowLogs", "PassFlowLogRole", "DeliverFlowLogs", "DeliverToFirehose"];

/// What the template grants to a function's code, but for the statements `without`.
fn granted(world: &World, function: &str, without: &[&str]) -> BTreeSet<String> {
    let role = &world.account.deployed.functions[function].role_arn;
    let policies = &world.account.deployed.template_roles[role];
    let list = |value: &Value| -> Vec<Value> { value.as_array().cloned().unwrap_or_else(|| vec![value.clone()]) };
    let mut actions = BTreeSet::new();
    for policy in policies {
        for statement in list(&policy["Statement"]) {
            if statement["Effect"] == "Deny" {
                // What is denied takes something away; another test says what.
                continue;
            }
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

fn declared(function: &Function) -> BTreeSet<String> {
    let own = function.remediations.iter().flat_map(|remediation| remediation.operations());
    let keeping: &[_] = if function.recorded.is_empty() { &[] } else { &KEEPING_OPERATIONS };
    let kept = function.recorded.iter().flat_map(|recorded| recorded.operations()).chain(keeping);
    own.chain(kept).chain(ENGINE_OPERATIONS).map(|operation| operation.action.to_owned()).collect()
}

fn observed(world: &World) -> BTreeSet<String> {
    world.proxy.calls().into_iter().map(|call| format!("{}:{}", call.service, call.operation)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_role_grants_what_its_function_declares() {
    let world = World::new("dry-run").await;
    for function in FUNCTIONS {
        assert_eq!(granted(&world, function.name, &[]), declared(function), "{}", function.name);
    }
}

/// What the template's `WatchOnly` does to the roles: a test of the house holds its list against the remediations.
#[tokio::test(flavor = "multi_thread")]
async fn who_may_only_watch_changes_nothing_and_says_so() {
    let world = World::new("enforce").await;
    let template = rescind_tests::template("template.yaml");
    let document = template["Resources"]["WatchOnly"]["Properties"]["PolicyDocument"].to_string();
    let role = &world.account.deployed.functions[world.name].role_arn;
    let role = role.rsplit('/').next().expect("a name");
    let request = world.account.iam().put_role_policy().role_name(role).policy_name("watch-only");
    request.policy_document(document).send().await.expect("the policy is put");
    let group = world.account.group("web", None).await;
    let made = world.account.authorize(&group, &[permission("tcp", 22, 22, "0.0.0.0/0")]).await;
    let before = world.account.in_words(&group).await;
    let mut answers = world.deliver(&cloudtrail::authorized(&world.account.id, &world.alice(), &group, &made)).await;
    let error = answers.remove(0).expect_err("the function fails, so that it is told and tried again");
    let said = "ec2:RevokeSecurityGroupIngress is not permitted to the function's role";
    assert!(error.error_type == "Rescind.Failed" && error.message.contains(said), "{error:?}");
    assert_eq!(world.account.in_words(&group).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn all_that_security_groups_is_granted_is_used() {
    let world = World::new("enforce").await;
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
    let arn = &world.account.config_rule("restricted-ssh", "INCOMING_SSH_DISABLED").await;
    world.account.authorize(&group, &[permission("tcp", 22, 22, "0.0.0.0/0")]).await;
    let outcome = world
        .outcome(&cloudtrail::non_compliant(
            &world.account.id,
            ("restricted-ssh", arn),
            ("AWS::EC2::SecurityGroup", &group),
        ))
        .await;
    assert_eq!(outcome.status, Status::Reverted, "{}", outcome.reason);

    // What was taken back is put back.
    let undone = world.invoke(&json!({"undo": outcome.id})).await.expect("an outcome");
    assert_eq!(undone.outcomes[0].status, Status::Undone, "{}", undone.outcomes[0].reason);

    puts_rules_of_a_protected_group_back(&world).await;

    assert_eq!(observed(&world), granted(&world, world.name, &WITH_ANOTHER), "what was called, and what may be called");
}

#[tokio::test(flavor = "multi_thread")]
async fn all_that_instances_is_granted_is_used() {
    // For so long after a containment began, no other finding begins one.
    let lease = ("RESCIND_LEASE_MS".to_owned(), "250".to_owned());
    let world = World::of("instances", "enforce", [lease]).await;
    let instance = blocks::run(&world, "web").await;
    // What it is taken out of, by tag only.
    world.account.tag_rule("IsolateInstance", "rescind:detach", "auto-scaling-group target-groups").await;
    memberships::auto_scaling_group(&world, "web", &instance, 3).await;
    memberships::target_group(&world, "web", &instance, &[(&instance, 8080)]).await;
    let outcome = world.outcome(&guardduty::hostile_instance(&world.account.id, &instance)).await;
    assert_eq!(outcome.status, Status::Reverted, "{}", outcome.reason);
    let undone = world.invoke(&json!({"undo": outcome.id})).await.expect("an outcome");
    assert_eq!(undone.outcomes[0].status, Status::Undone, "{}", undone.outcomes[0].reason);

    // A block that another one makes room for.
    let acl = blocks::acl_of(&world, &instance).await;
    blocks::fill(&world, &acl, 17).await;
    for address in ["198.51.100.7", "198.51.100.8"] {
        let other = guardduty::guessed_passwords(&world.account.id, &instance, address);
        let outcome = world.outcome_by("BlockAddress", &other).await;
        assert_eq!(outcome.status, Status::Reverted, "{}", outcome.reason);
        if address.ends_with('8') {
            let undone = world.invoke(&json!({"undo": outcome.id})).await.expect("an outcome");
            assert_eq!(undone.outcomes[0].status, Status::Undone, "{}", undone.outcomes[0].reason);
        }
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    }

    let arn = world.account.config_rule("ec2-imdsv2-check", "EC2_IMDSV2_CHECK").await;
    let rule = ("ec2-imdsv2-check", arn.as_str());
    let judged = cloudtrail::non_compliant(&world.account.id, rule, ("AWS::EC2::Instance", &instance));
    let outcome = world.outcome(&judged).await;
    assert_eq!(outcome.status, Status::Reverted, "{}", outcome.reason);
    world.proxy.set_serial_console(true);
    let outcome = world.outcome(&cloudtrail::serial_console_enabled(&world.account.id, &world.alice())).await;
    assert_eq!(outcome.status, Status::Reverted, "{}", outcome.reason);
    let undone = world.invoke(&json!({"undo": outcome.id})).await.expect("an outcome");
    assert_eq!(undone.outcomes[0].status, Status::Undone, "{}", undone.outcomes[0].reason);

    // AWS Config is asked for a state before there is one in the baseline; the second state lets the first one expire.
    let protected = user_data::run(&world, "protected", None, true).await;
    user_data::stop(&world, &protected).await;
    let event = user_data::changed(&world, &protected, user_data::GOOD, &world.alice()).await;
    let outcome = world.outcome(&event).await;
    assert_eq!(outcome.status, Status::Reported, "{}", outcome.reason);
    user_data::record(&world, &protected).await;
    user_data::record(&world, &protected).await;
    let event = user_data::changed(&world, &protected, user_data::BAD, &world.alice()).await;
    let outcome = world.outcome(&event).await;
    assert_eq!(outcome.status, Status::Reverted, "{}", outcome.reason);
    assert_eq!(observed(&world), granted(&world, world.name, &[]), "what was called, and what may be called");
}

#[tokio::test(flavor = "multi_thread")]
async fn all_that_identity_is_granted_is_used() {
    let world = World::of("identity", "enforce", []).await;
    let key = identity::key(&world, &identity::user(&world, "alice").await).await;
    let role = identity::role(&world, "/", "web").await;
    let credentials =
        [guardduty::credentials(&key, "AIDAX", "alice", "IAMUser"), identity::session(&world, &role, "ASIA1").await];
    for credentials in &credentials {
        let outcome = world.outcome(&guardduty::compromised(&world.account.id, credentials)).await;
        assert_eq!(outcome.status, Status::Reverted, "{}", outcome.reason);
        let undone = world.invoke(&json!({"undo": outcome.id})).await.expect("an outcome");
        assert_eq!(undone.outcomes[0].status, Status::Undone, "{}", undone.outcomes[0].reason);
    }

    let profile = identity::profile(&world, "profile", "web").await;
    world.account.tag_rule("InstanceRoleSessions", "rescind:instance-roles", "deny").await;
    let event = guardduty::hostile_instance_with(&world.account.id, "i-0123456789abcdef0", &profile);
    let outcome = world.outcome(&event).await;
    assert_eq!(outcome.status, Status::Reverted, "{}", outcome.reason);

    // Each kind of attachment.
    let iam = world.account.iam();
    let all = policies::policy(&world, "all", "*").await;
    iam.create_group().group_name("ops").send().await.expect("a group");
    iam.attach_user_policy().user_name("alice").policy_arn(&all).send().await.expect("attached");
    iam.attach_role_policy().role_name("web").policy_arn(&all).send().await.expect("attached");
    iam.attach_group_policy().group_name("ops").policy_arn(&all).send().await.expect("attached");
    for named in [("User", "alice"), ("Role", "web"), ("Group", "ops")] {
        let event = cloudtrail::policy_attached(&world.account.id, &world.alice(), named, &all);
        let outcome = world.outcome(&event).await;
        assert_eq!(outcome.status, Status::Reverted, "{named:?}: {}", outcome.reason);
        let undone = world.invoke(&json!({"undo": outcome.id})).await.expect("an outcome");
        assert_eq!(undone.outcomes[0].status, Status::Undone, "{named:?}: {}", undone.outcomes[0].reason);
    }

    world.account.tag_rule(mfa::RULE, "rescind:contain", "deny-until-mfa").await;
    let event = mfa::deactivated(&world, &mfa::user(&world, "bob").await, &world.alice()).await;
    let outcome = world.outcome(&event).await;
    assert_eq!(outcome.status, Status::Reverted, "{}", outcome.reason);
    let undone = world.invoke(&json!({"undo": outcome.id})).await.expect("an outcome");
    assert_eq!(undone.outcomes[0].status, Status::Undone, "{}", undone.outcomes[0].reason);

    // The second state in the baseline lets the first one expire.
    trust::record(&world, "web").await;
    tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    trust::record(&world, "web").await;
    let event = trust::set(&world, "web", &trust::trusting(&[trust::STRANGER]), &world.alice()).await;
    let outcome = world.outcome(&event).await;
    assert_eq!(outcome.status, Status::Reverted, "{}", outcome.reason);
    assert_eq!(observed(&world), granted(&world, world.name, &[]), "what was called, and what may be called");
}

#[tokio::test(flavor = "multi_thread")]
async fn all_that_network_is_granted_is_used() {
    let world = World::of("network", "enforce", []).await;
    let acl = network_acl::acl(&world, "edge").await;
    // AWS Config is asked for a state before there is one in the baseline.
    let opened = (110, 22, "0.0.0.0/0");
    let outcome = world.outcome(&network_acl::replaced(&world, &acl, opened, &world.alice()).await).await;
    assert_eq!(outcome.status, Status::Reverted, "{}", outcome.reason);
    let undone = world.invoke(&json!({"undo": outcome.id})).await.expect("an outcome");
    assert_eq!(undone.outcomes[0].status, Status::Undone, "{}", undone.outcomes[0].reason);
    network_acl::replaced(&world, &acl, (110, 22, "10.0.0.0/8"), &world.alice()).await;
    network_acl::record(&world, &acl).await;
    let outcome = world.outcome(&network_acl::replaced(&world, &acl, opened, &world.alice()).await).await;
    assert_eq!(outcome.status, Status::Reverted, "{}", outcome.reason);
    assert_eq!(observed(&world), granted(&world, world.name, &[]), "what was called, and what may be called");
}

/// Whatever the function takes back is made, taken back and undone.
async fn take_back_and_undo_every_kind(world: &World) {
    for kind in rescind_tests::KINDS.iter().copied().filter(|kind| kind.function == world.name) {
        let scene = rescind_tests::Scene::new(world, kind, "granted").await;
        let change = scene.change(world, 1).await;
        let outcome = world.invoke(&change.input).await.expect("an answer").outcomes.remove(0);
        assert_eq!(outcome.status, Status::Reverted, "{}", outcome.reason);
        let undone = world.invoke(&json!({"undo": outcome.id})).await.expect("an outcome");
        assert_eq!(undone.outcomes[0].status, Status::Undone, "{}", undone.outcomes[0].reason);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn all_that_sharing_is_granted_is_used() {
    let world = World::of("sharing", "enforce", []).await;
    take_back_and_undo_every_kind(&world).await;
    // AWS Config is asked for a state before there is one in the baseline; the second state lets the first one expire.
    world.proxy.answer("GetResourceConfigHistory", &cloudtrail::history(&[]));
    let bucket = buckets::new(&world, "granted-too").await;
    let alice = world.alice();
    let outcome = world.outcome(&buckets::put_alone(&world, &bucket, &alice).await).await;
    assert_eq!(outcome.status, Status::Reverted, "{}", outcome.reason);
    assert_eq!(buckets::policy_of(&world, &bucket).await, None, "nothing is left of it");
    buckets::record(&world, &bucket).await;
    buckets::record(&world, &bucket).await;
    assert_eq!(observed(&world), granted(&world, world.name, &[]), "what was called, and what may be called");
}

#[tokio::test(flavor = "multi_thread")]
async fn all_that_detection_is_granted_is_used() {
    let world = World::of("detection", "enforce", []).await;
    take_back_and_undo_every_kind(&world).await;
    let arn = trail::set(&world, "audit").await;
    let outcome = world.outcome(&trail::stopped(&world, &arn, &world.alice()).await).await;
    assert_eq!(outcome.status, Status::Reverted, "{}", outcome.reason);
    let undone = world.invoke(&json!({"undo": outcome.id})).await.expect("an outcome");
    assert_eq!(undone.outcomes[0].status, Status::Undone, "{}", undone.outcomes[0].reason);

    // AWS Config is asked for a state where there is none in the baseline.
    let unknown = flow_logs::of(&world, &flow_logs::set(&world, "unknown").await).await.remove(0);
    let id = unknown.flow_log_id().expect("an id");
    let outcome = world.outcome(&flow_logs::delete(&world, id, &world.alice()).await).await;
    assert_eq!(outcome.status, Status::Reported, "{}", outcome.reason);
    let known = flow_logs::of(&world, &flow_logs::set(&world, "known").await).await.remove(0);
    flow_logs::record(&world, &known).await;
    let id = known.flow_log_id().expect("an id");
    let outcome = world.outcome(&flow_logs::delete(&world, id, &world.alice()).await).await;
    assert_eq!(outcome.status, Status::Reverted, "{}", outcome.reason);
    let undone = world.invoke(&json!({"undo": outcome.id})).await.expect("an outcome");
    assert_eq!(undone.outcomes[0].status, Status::Undone, "{}", undone.outcomes[0].reason);
    assert_eq!(observed(&world), granted(&world, world.name, &WITH_ANOTHER), "what was called, and what may be called");
}

#[tokio::test(flavor = "multi_thread")]
async fn identity_may_change_no_role_of_rescind() {
    let world = World::new("dry-run").await;
    let functions = &world.account.deployed.functions;
    let role = &functions["identity"].role_arn;
    let texts = |value: &Value| -> BTreeSet<String> {
        let list = value.as_array().expect("a list");
        list.iter().map(|text| text.as_str().expect("a text").to_owned()).collect()
    };
    let policies = &world.account.deployed.template_roles[role];
    let statements = policies.iter().flat_map(|policy| policy["Statement"].as_array().expect("statements"));
    let denied: Vec<&Value> = statements.filter(|statement| statement["Effect"] == "Deny").collect();
    assert_eq!(denied.len(), 1, "{denied:?}");
    let mut roles: BTreeSet<String> = functions.values().map(|function| function.role_arn.clone()).collect();
    roles.insert(functions["instances"].environment["RESCIND_EXPIRY_ROLE"].clone());
    let mut resources = texts(&denied[0]["Resource"]);
    let elsewhere = format!("arn:aws:iam::{}:role/rescind-*Role-*", world.account.id);
    assert!(resources.remove(&elsewhere), "those of the stacks in other Regions: {resources:?}");
    assert_eq!(resources, roles, "those of every function, and the one that ends what holds for a time");
    let changes = FUNCTIONS.iter().filter(|function| function.name == "identity").flat_map(|function| {
        let operations = function.remediations.iter().flat_map(|remediation| remediation.operations());
        operations.filter(|operation| operation.changes && operation.action.contains("Role"))
    });
    assert_eq!(texts(&denied[0]["Action"]), changes.map(|operation| operation.action.to_owned()).collect());
    assert!(denied[0].get("Condition").is_none());
    // And the function knows them all itself.
    let own = &functions["identity"].environment["RESCIND_OWN_ROLES"];
    assert_eq!(own.split(' ').map(str::to_owned).collect::<BTreeSet<_>>(), roles);
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
    for rule in &world.account.deployed.rules {
        let Some(function) = FUNCTIONS.iter().find(|function| rule.target.ends_with(function.name)) else { continue };
        let tags = Tags::of_rule(rule.tags.iter().map(|(key, value)| (key, value.clone())));
        let settings = function.check_tags(&tags).unwrap_or_else(|error| panic!("{}: {error}", rule.logical_id));
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
    assert!(checked >= 8, "{checked} rules");
}
