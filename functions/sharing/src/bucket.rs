//! Buckets: their policies and tags, wherever they are, and how they stood before a change.

use std::error::Error;
use std::future::Future;
use std::sync::Arc;

use aws_sdk_s3::Client;
use aws_sdk_s3::config::Region;
use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::operation::get_bucket_tagging::GetBucketTaggingOutput;
use rescind::arn::is_region;
use rescind::journal::Facts;
use rescind::policy::Policy;
use rescind::signal::{Resource, text};
use rescind::text::digest;
use rescind::{Call, Snapshot};
use rescind_lambda::{CallError, ResourceState, Scope, client, not_ours, parameter, unless_gone};
use serde_json::{Value, json};

use crate::opened::{Earlier, piece};

pub(crate) const KIND: &str = "AWS::S3::Bucket";
pub(crate) const GET: &str = "s3:GetBucketPolicy";
pub(crate) const TAGS: &str = "s3:GetBucketTagging";
pub(crate) const PUT: &str = "s3:PutBucketPolicy";
pub(crate) const DELETE: &str = "s3:DeleteBucketPolicy";

/// How a bucket stands.
#[derive(Debug, Clone, Default)]
pub struct State {
    /// Its policy, as it is written.
    pub policy: Option<String>,
    /// Its policy before the change.
    pub earlier: Earlier,
    /// Its tags.
    pub tags: Vec<(String, String)>,
}

/// What AWS Config recorded: the policy is a part that it adds to the bucket's configuration.
pub(crate) fn earlier(state: &Snapshot) -> Earlier {
    let told = state.supplementary.get("BucketPolicy").and_then(|part| part.get("policyText"));
    match told {
        Some(Value::Null) => Earlier::Policy(None, state.captured_text()),
        Some(Value::String(policy)) => Earlier::Policy(Some(policy.clone()), state.captured_text()),
        Some(policy @ Value::Object(_)) => Earlier::Policy(Some(policy.to_string()), state.captured_text()),
        _ => Earlier::Unknown,
    }
}

/// Layout is nothing: Amazon S3 lays a policy out anew.
impl PartialEq for State {
    fn eq(&self, other: &Self) -> bool {
        self.facts() == other.facts() && self.earlier == other.earlier && self.tags == other.tags
    }
}

impl ResourceState for State {
    fn id(&self) -> Option<&str> {
        None
    }

    fn tags(&self) -> &[(String, String)] {
        &self.tags
    }

    /// The statements of the policy.
    fn facts(&self) -> Facts {
        let Some(policy) = &self.policy else { return Facts::new() };
        match Policy::parse(policy) {
            Ok(policy) => policy.statements().iter().map(|one| (piece(one), "stands".to_owned())).collect(),
            Err(_) => Facts::from([("policy".to_owned(), digest([policy.as_str()]))]),
        }
    }

    fn after(&self, call: &Call) -> Self {
        let policy = match call.call.as_str() {
            PUT => text(&call.parameters, "policy").map(str::to_owned),
            DELETE => None,
            _ => self.policy.clone(),
        };
        Self { policy, ..self.clone() }
    }
}

/// The call that gives a bucket this policy, or takes away the one that it has. It is refused for a bucket of another account.
pub(crate) fn set(bucket: &Resource, policy: Option<&str>) -> Call {
    let (name, owner) = (&bucket.id, &bucket.account);
    match policy {
        Some(policy) => Call::new(PUT, json!({"Bucket": name, "ExpectedBucketOwner": owner, "Policy": policy})),
        None => Call::new(DELETE, json!({"Bucket": name, "ExpectedBucketOwner": owner})),
    }
}

/// Makes a call of [`set`].
pub(crate) async fn make(scope: &Scope, call: &Call) -> Result<(), CallError> {
    let (bucket, owner) = (parameter(call, "bucket")?, parameter(call, "expectedBucketOwner")?);
    match call.call.as_str() {
        PUT => {
            let policy = parameter(call, "policy")?;
            let put = |client: Arc<Client>| {
                client.put_bucket_policy().bucket(bucket).expected_bucket_owner(owner).policy(policy).send()
            };
            send(scope, PUT, put).await.map(drop)
        }
        DELETE => {
            let delete =
                |client: Arc<Client>| client.delete_bucket_policy().bucket(bucket).expected_bucket_owner(owner).send();
            send(scope, DELETE, delete).await.map(drop)
        }
        _ => Err(not_ours(call)),
    }
}

/// The policy of a bucket; `None` when it has none, or is gone.
pub(crate) async fn policy(scope: &Scope, bucket: &Resource) -> Result<Option<String>, CallError> {
    let get = |client: Arc<Client>| {
        client.get_bucket_policy().bucket(&bucket.id).expected_bucket_owner(&bucket.account).send()
    };
    Ok(unless_gone(send(scope, GET, get).await)?.and_then(|answer| answer.policy))
}

/// The tags of a bucket; none when it is gone.
pub(crate) async fn tags(scope: &Scope, bucket: &Resource) -> Result<Vec<(String, String)>, CallError> {
    let get = |client: Arc<Client>| {
        client.get_bucket_tagging().bucket(&bucket.id).expected_bucket_owner(&bucket.account).send()
    };
    let answer = unless_gone(send(scope, TAGS, get).await)?;
    let tags = answer.iter().flat_map(GetBucketTaggingOutput::tag_set);
    Ok(tags.map(|tag| (tag.key().to_owned(), tag.value().to_owned())).collect())
}

/// Asks Amazon S3, and where it says that the bucket is in another Region, asks there.
async fn send<T, E, F>(scope: &Scope, call: &'static str, ask: impl Fn(Arc<Client>) -> F) -> Result<T, CallError>
where
    E: ProvideErrorMetadata + Error + 'static,
    F: Future<Output = Result<T, SdkError<E, HttpResponse>>>,
{
    let client = client!(scope, aws_sdk_s3);
    let answer = ask(Arc::clone(&client)).await;
    let here = client.config().region().map(ToString::to_string);
    let elsewhere = answer.as_ref().err().and_then(SdkError::raw_response).and_then(|response| {
        let region = response.headers().get("x-amz-bucket-region")?;
        (is_region(region) && here.as_deref() != Some(region)).then(|| region.to_owned())
    });
    match elsewhere {
        Some(region) => {
            let there = client.config().to_builder().region(Region::new(region)).build();
            CallError::or(call, ask(Arc::new(Client::from_conf(there))).await)
        }
        None => CallError::or(call, answer),
    }
}
