//! Buckets whose policy AWS Config's records brought into the baseline.

use aws_sdk_s3::types::{Tag, Tagging};
use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::Kind;
use crate::cloudtrail::{self, Who};
use crate::{World, now};

pub(super) const OPENED: Kind = Kind {
    remediation: "public-bucket-policy",
    function: "sharing",
    mutation: ("PutBucketPolicy", 1),
    rule: "PublicBucketPolicy",
    set: |world, name| Box::pin(set(world, name)),
    change: |world, bucket, who| Box::pin(async move { put(world, bucket, &[everybody(bucket)], who).await }),
    harmless: Some(|world, bucket, who| Box::pin(async move { put(world, bucket, &[], who).await })),
    words: |world, bucket| Box::pin(in_words(world, bucket)),
    contained: None,
};

/// A bucket with a policy that AWS Config recorded.
pub async fn set(world: &World, name: &str) -> String {
    let bucket = new(world, name).await;
    give(world, &bucket, &[]).await;
    record(world, &bucket).await;
    bucket
}

/// A bucket without a policy. All accounts of the emulator share its names.
pub async fn new(world: &World, name: &str) -> String {
    let bucket = format!("{name}-{}", world.account.id);
    world.account.s3().create_bucket().bucket(&bucket).send().await.expect("a bucket");
    let tag = Tag::builder().key("team").value("orders").build().expect("a tag");
    let tags = Tagging::builder().tag_set(tag).build().expect("tags");
    world.account.s3().put_bucket_tagging().bucket(&bucket).tagging(tags).send().await.expect("tags");
    bucket
}

/// The statement that lets everybody read.
pub fn everybody(bucket: &str) -> Value {
    json!({"Sid": "Everybody", "Effect": "Allow", "Principal": "*", "Action": ["s3:GetObject"],
        "Resource": format!("arn:aws:s3:::{bucket}/*")})
}

/// A policy that denies what is not encrypted on its way and lets the own account in, with these statements.
fn policy(world: &World, bucket: &str, more: &[Value]) -> Value {
    let all = json!([format!("arn:aws:s3:::{bucket}"), format!("arn:aws:s3:::{bucket}/*")]);
    let mut statements = vec![
        json!({"Sid": "OnlyTls", "Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": all,
            "Condition": {"Bool": {"aws:SecureTransport": "false"}}}),
        json!({"Sid": "Ours", "Effect": "Allow", "Principal": {"AWS": format!("arn:aws:iam::{}:root", world.account.id)},
            "Action": "s3:GetObject", "Resource": format!("arn:aws:s3:::{bucket}/*")}),
    ];
    statements.extend(more.iter().cloned());
    json!({"Version": "2012-10-17", "Statement": statements})
}

async fn give(world: &World, bucket: &str, more: &[Value]) -> Value {
    let policy = policy(world, bucket, more);
    let request = world.account.s3().put_bucket_policy().bucket(bucket).policy(policy.to_string());
    request.send().await.expect("a policy");
    policy
}

/// Somebody puts a policy that lets everybody in, and says nothing else.
pub async fn put_alone(world: &World, bucket: &str, who: &Who) -> Value {
    let policy = json!({"Version": "2012-10-17", "Statement": everybody(bucket)});
    let request = world.account.s3().put_bucket_policy().bucket(bucket).policy(policy.to_string());
    request.send().await.expect("a policy");
    let request = json!({"bucketName": bucket, "bucketPolicy": policy, "policy": ""});
    cloudtrail::record(&world.account.id, who, "aws.s3", "PutBucketPolicy", &request, &Value::Null)
}

/// Somebody puts a policy with these statements beside those that it has to have.
pub async fn put(world: &World, bucket: &str, more: &[Value], who: &Who) -> Value {
    let policy = give(world, bucket, more).await;
    let request = json!({"bucketName": bucket, "bucketPolicy": policy, "policy": "",
        "Host": format!("{bucket}.s3.{}.amazonaws.com", crate::REGION)});
    cloudtrail::record(&world.account.id, who, "aws.s3", "PutBucketPolicy", &request, &Value::Null)
}

/// Lets AWS Config report a bucket as it is, as recorded a minute ago; and waits, since a record of CloudTrail tells a time in
/// whole seconds.
pub async fn record(world: &World, bucket: &str) {
    let item = item(world, bucket, policy_of(world, bucket).await, now() - chrono::TimeDelta::minutes(1));
    for answer in world.deliver(&item).await {
        assert!(answer.as_ref().is_ok_and(|answer| answer.outcomes.is_empty()), "it is kept: {answer:?}");
    }
    crate::next_second().await;
}

/// Lets AWS Config report that a bucket is gone, half a minute ago.
pub async fn record_end(world: &World, bucket: &str) {
    let mut item = item(world, bucket, None, now() - chrono::TimeDelta::seconds(30));
    let told = &mut item["detail"]["configurationItem"];
    told["configurationItemStatus"] = json!("ResourceDeleted");
    told["configuration"] = Value::Null;
    let answers = world.deliver(&item).await;
    assert!(!answers.is_empty(), "a rule hears it");
    for answer in answers {
        assert!(answer.as_ref().is_ok_and(|answer| answer.outcomes.is_empty()), "it is kept: {answer:?}");
    }
}

fn item(world: &World, bucket: &str, policy: Option<String>, captured: DateTime<Utc>) -> Value {
    let mut event = cloudtrail::configuration_item(&world.account.id, bucket, &[], captured, false);
    let item = &mut event["detail"]["configurationItem"];
    item["resourceType"] = json!("AWS::S3::Bucket");
    item["configuration"] = json!({"name": bucket});
    item["supplementaryConfiguration"] = json!({"BucketPolicy": {"policyText": policy}});
    event
}

/// The policy of a bucket, as it is written.
pub async fn policy_of(world: &World, bucket: &str) -> Option<String> {
    let answer = world.account.s3().get_bucket_policy().bucket(bucket).send().await;
    answer.ok().and_then(|answer| answer.policy)
}

async fn in_words(world: &World, bucket: &str) -> Vec<String> {
    let tags = world.account.s3().get_bucket_tagging().bucket(bucket).send().await.expect("tags");
    vec![format!("{:?}", policy_of(world, bucket).await), format!("{:?}", tags.tag_set())]
}
