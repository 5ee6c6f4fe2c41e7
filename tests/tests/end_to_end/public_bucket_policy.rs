//! Bucket policies: what comes back, and where the bucket is.

use rescind::Status;
use rescind_tests::scenes::buckets;
use rescind_tests::{World, cloudtrail};
use serde_json::{Value, json};

/// Without an earlier policy, only what lets strangers in is taken out; the outcome says so.
#[tokio::test(flavor = "multi_thread")]
async fn without_an_earlier_policy_only_what_is_risky_goes() {
    let world = World::of("sharing", "enforce", []).await;
    world.proxy.answer("GetResourceConfigHistory", &cloudtrail::history(&[]));
    let bucket = buckets::new(&world, "unrecorded").await;
    let event = buckets::put(&world, &bucket, &[buckets::everybody(&bucket)], &world.alice()).await;
    let outcome = world.outcome(&event).await;
    assert_eq!(outcome.status, Status::Reverted, "{}", outcome.reason);
    assert!(outcome.reason.contains("is not known"), "{}", outcome.reason);
    let policy: Value =
        serde_json::from_str(&buckets::policy_of(&world, &bucket).await.expect("a policy")).expect("JSON");
    let put = &event["detail"]["requestParameters"]["bucketPolicy"]["Statement"];
    assert_eq!(policy["Statement"], json!([put[0], put[1]]), "the others stay as they were written");
    let undone = world.invoke(&json!({"undo": outcome.id})).await.expect("an answer").outcomes.remove(0);
    assert_eq!(undone.status, Status::Undone, "{}", undone.reason);
}

/// A bucket in another Region than the function is asked for there.
#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_in_another_region_is_found() {
    let world = World::of("sharing", "enforce", []).await;
    world.proxy.answer("GetResourceConfigHistory", &cloudtrail::history(&[]));
    let bucket = buckets::new(&world, "elsewhere").await;
    let event = buckets::put_alone(&world, &bucket, &world.alice()).await;
    world.proxy.set_home_of_buckets("eu-west-1");
    let outcome = world.outcome(&event).await;
    assert_eq!(outcome.status, Status::Reverted, "{}", outcome.reason);
    assert_eq!(buckets::policy_of(&world, &bucket).await, None);
}

/// Names come back: how a bucket stood is nothing to another one that somebody made under its name.
#[tokio::test(flavor = "multi_thread")]
async fn the_policy_of_a_bucket_that_is_gone_is_not_put_on_its_successor() {
    let world = World::of("sharing", "enforce", []).await;
    world.proxy.answer("GetResourceConfigHistory", &cloudtrail::history(&[]));
    let bucket = buckets::set(&world, "again").await;
    buckets::record_end(&world, &bucket).await;
    let event = buckets::put_alone(&world, &bucket, &world.alice()).await;
    let outcome = world.outcome(&event).await;
    assert_eq!(outcome.status, Status::Reverted, "{}", outcome.reason);
    assert!(outcome.reason.contains("is not known"), "{}", outcome.reason);
    assert_eq!(buckets::policy_of(&world, &bucket).await, None);
}

/// Of a statement that let in a stranger before, only who is new is taken out.
#[tokio::test(flavor = "multi_thread")]
async fn who_was_let_in_before_stays_in_a_statement_that_lets_in_one_more() {
    let world = World::of("sharing", "enforce", []).await;
    let bucket = buckets::new(&world, "shared").await;
    let allow = |accounts: &[&str]| {
        let principals: Vec<String> = accounts.iter().map(|account| format!("arn:aws:iam::{account}:root")).collect();
        json!({"Effect": "Allow", "Principal": {"AWS": principals}, "Action": "s3:GetObject",
            "Resource": format!("arn:aws:s3:::{bucket}/*")})
    };
    let before = allow(&["888888888888"]);
    buckets::put(&world, &bucket, std::slice::from_ref(&before), &world.alice()).await;
    buckets::record(&world, &bucket).await;
    let event = buckets::put(&world, &bucket, &[allow(&["888888888888", "999999999999"])], &world.alice()).await;
    let outcome = world.outcome(&event).await;
    assert_eq!(outcome.status, Status::Reverted, "{}", outcome.reason);
    assert!(!outcome.reason.contains("888888888888"), "{}", outcome.reason);
    let policy: Value =
        serde_json::from_str(&buckets::policy_of(&world, &bucket).await.expect("a policy")).expect("JSON");
    assert_eq!(policy["Statement"][2], before);
}
