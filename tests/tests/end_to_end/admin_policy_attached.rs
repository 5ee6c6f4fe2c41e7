//! `admin-policy-attached`, beside what every remediation promises: users and groups, what limits a policy, what stood before, and
//! what is never touched.

use rescind::{Status, Verdict};
use rescind_tests::scenes::{identity, policies};
use rescind_tests::{World, cloudtrail, now};
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn a_boundary_counts_only_where_it_limits_something() {
    let world = World::of("identity", "enforce", []).await;
    let iam = world.account.iam();
    let all = &policies::policy(&world, "all", "*").await;
    for (name, action, status) in [("narrow", "s3:*", Status::Reported), ("wide", "*", Status::Reverted)] {
        identity::role(&world, "/", name).await;
        let boundary = policies::policy(&world, &format!("{name}-boundary"), action).await;
        let request = iam.put_role_permissions_boundary().role_name(name).permissions_boundary(boundary);
        request.send().await.expect("it is set");
        iam.attach_role_policy().role_name(name).policy_arn(all).send().await.expect("it is attached");
        let event = cloudtrail::policy_attached(&world.account.id, &world.alice(), ("Role", name), all);
        let outcome = world.outcome(&event).await;
        assert_eq!((outcome.verdict, outcome.status), (Verdict::Risky, status), "{name}: {}", outcome.reason);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_aws_config_saw_attached_before_is_left_to_a_person() {
    let world = World::of("identity", "enforce", []).await;
    identity::user(&world, "root-like").await;
    let iam = world.account.iam();
    let all = &policies::policy(&world, "all", "*").await;
    iam.attach_user_policy().user_name("root-like").policy_arn(all).send().await.expect("it is attached");
    let user = iam.get_user().user_name("root-like").send().await.expect("a user");
    let id = user.user().expect("a user").user_id().to_owned();
    let configuration = json!({"attachedManagedPolicies": [{"policyName": "all", "policyArn": all}]});
    let captured = now() - chrono::TimeDelta::minutes(5);
    let item = cloudtrail::principal_item(&world.account.id, ("AWS::IAM::User", &id), &configuration, captured);
    assert!(world.deliver(&item).await.remove(0).expect("it is kept").outcomes.is_empty());
    let event = cloudtrail::policy_attached(&world.account.id, &world.alice(), ("User", "root-like"), all);
    world.proxy.clear();
    let outcome = world.outcome(&event).await;
    assert_eq!(outcome.status, Status::Reported, "{}", outcome.reason);
    assert!(outcome.reason.contains("saw it attached already"), "{}", outcome.reason);
    assert!(world.proxy.changes().is_empty(), "{:?}", world.proxy.operations());
}

#[tokio::test(flavor = "multi_thread")]
async fn rescinds_own_roles_are_told_and_a_tag_exempts() {
    let world = World::of("identity", "enforce", []).await;
    let iam = world.account.iam();
    let all = &policies::policy(&world, "all", "*").await;
    let own = world.account.deployed.functions["instances"].role_arn.rsplit('/').next().expect("a name").to_owned();
    identity::role(&world, "/", "pipeline").await;
    let tag = aws_sdk_iam::types::Tag::builder().key("rescind:exempt").value("yes").build().expect("a tag");
    iam.tag_role().role_name("pipeline").tags(tag).send().await.expect("it is tagged");
    for (name, verdict, status) in
        [(own.as_str(), Verdict::Risky, Status::Reported), ("pipeline", Verdict::Exempt, Status::Ignored)]
    {
        iam.attach_role_policy().role_name(name).policy_arn(all).send().await.expect("it is attached");
        let event = cloudtrail::policy_attached(&world.account.id, &world.alice(), ("Role", name), all);
        let outcome = world.outcome(&event).await;
        assert_eq!((outcome.verdict, outcome.status), (verdict, status), "{name}: {}", outcome.reason);
    }
    // Others share the emulator's account no more, and its role is as it was.
    iam.detach_role_policy().role_name(own).policy_arn(all).send().await.expect("it is detached");
    assert!(world.proxy.changes().is_empty(), "{:?}", world.proxy.operations());
}
