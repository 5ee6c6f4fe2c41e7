//! `public-bucket-policy`: the policy of a bucket lets in everybody, or a stranger.
//!
//! ## What it takes back
//! What one call of `PutBucketPolicy` opened: statements that surely let in everybody, or somebody who is neither ours nor trusted, with
//! their conditions and the statements that deny considered. The policy before the call comes back as a whole where it is known and let in
//! no stranger, nobody has changed the bucket's policy since, and nothing of the call is left alone. Else only those statements go, or those principals of them, and a policy of which nothing is left is deleted.
//! Who was let in before, surely and to do no less, stays where the earlier policy is known; put again alone, that is told. A statement that is not understood, or that lets a service act for others, is told and left.
//!
//! ## Why it is risky
//! Everybody can read, or write, what is in the bucket. Security Hub controls S3.2, S3.3 and S3.6; MITRE ATT&CK T1530.
//!
//! ## Example
//! `aws s3api put-bucket-policy` with `"Principal": "*"` and `s3:GetObject`: seconds later the earlier policy is back.
//!
//! ## Safety
//! Who uses the bucket by such a statement is refused; a site that is meant to be public needs the exempt tag. It can be undone: the policy is put
//! back as it was written. Earlier state: the baseline, else the history of AWS Config, which has to record buckets. Block Public Access may
//! keep the public out all the same: a policy is judged as if it did not, since it can be switched off. A policy that denies
//! Rescind's role makes it fail, aloud; so does an earlier one that names a user or role which is gone by now.
//!
//! ## Tags
//! Those of every remediation; `rescind:trusted-accounts`, `rescind:organization` and `rescind:allowed-cidrs` tell who is no stranger.
//!
//! ## References
//! Amazon S3 API: `GetBucketPolicy`, `PutBucketPolicy`, `DeleteBucketPolicy`, `GetBucketTagging`. Amazon S3 user guide: *The meaning of
//! "public"*. AWS Config developer guide: *Components of a configuration item*.

use chrono::{DateTime, Utc};
use rescind::policy::{Networks, Policy};
use rescind_lambda::prelude::*;

use crate::bucket::{self, DELETE, GET, PUT, State, TAGS};
use crate::opened::Opened;

#[cfg(test)]
mod tests;

/// See the module.
#[derive(Debug, Clone, Copy)]
pub struct PublicBucketPolicy;

/// What a call put.
#[derive(Debug, Clone, PartialEq)]
pub struct Put {
    /// The policy, where the record tells it.
    policy: Option<Value>,
    time: DateTime<Utc>,
}

impl Remediation for PublicBucketPolicy {
    const NAME: &'static str = "public-bucket-policy";
    const CALLS: &'static [&'static str] = &[PUT];
    const OPERATIONS: &'static [Operation] = &[
        Operation::reads(GET),
        Operation::reads(TAGS),
        EARLIER_STATE_OPERATIONS[0],
        EARLIER_STATE_OPERATIONS[1],
        Operation::changes(PUT),
        Operation::changes(DELETE),
    ];

    type Target = Put;
    type State = State;
    type Settings = Networks;
    /// A statement, by the name of its piece.
    type Offender = String;

    fn hear(&self, signal: &Signal, call: &ApiCall) -> Vec<Heard<Put>> {
        let Some(name) = text(call.request(), "bucketName") else {
            let resource = signal.resource(bucket::KIND, "unknown");
            return vec![Heard::unreadable(resource, "the record does not tell whose policy was put")];
        };
        let policy = field(call.request(), "bucketPolicy").cloned().map(rescind::snapshot::unwrapped);
        vec![Heard::about(signal.resource(bucket::KIND, name), Put { policy, time: signal.time })]
    }

    fn state_of_event(&self, _: &Resource, target: &Put, live: Option<&State>) -> Option<State> {
        Some(State { policy: Some(target.policy.as_ref()?.to_string()), ..live.cloned().unwrap_or_default() })
    }

    async fn read(&self, scope: &Scope, resource: &Resource, target: &Put) -> Result<State, CallError> {
        let (policy, tags, earlier) = tokio::join!(
            Box::pin(bucket::policy(scope, resource)),
            Box::pin(bucket::tags(scope, resource)),
            Box::pin(scope.earlier_state(resource, target.time)),
        );
        let earlier = earlier?.as_ref().map(bucket::earlier).unwrap_or_default();
        Ok(State { policy: policy?, earlier, tags: tags? })
    }

    fn assess(&self, subject: &Subject<'_, Self>) -> Assessment<String> {
        opened(subject).map_or_else(Assessment::unclear, |opened| opened.assessment())
    }

    fn plan(&self, subject: &Subject<'_, Self>, offenders: &[String]) -> Plan {
        let (Ok(opened), Some(live)) = (opened(subject), &subject.state.policy) else { return Plan::default() };
        let (policy, note) = opened.back(offenders);
        let put = |policy: Option<&str>| bucket::set(subject.resource, policy);
        Plan::of([Step::planned(put(policy.as_deref()), put(Some(live)))]).noting(note)
    }

    async fn make(&self, scope: &Scope, call: &Call) -> Result<(), CallError> {
        bucket::make(scope, call).await
    }
}

/// What the policies say: the one that is there, the one that the call put, and the one before.
fn opened<'a>(subject: &Subject<'a, PublicBucketPolicy>) -> Result<Opened<'a>, String> {
    let State { policy, earlier, .. } = subject.state;
    let what = format!("bucket {}", subject.resource.id);
    let told = subject.target.policy.clone().and_then(|told| Policy::from_value(told).ok());
    let was_taken_back = |piece: &str, captured: &str| subject.was_taken_back(piece, captured);
    Opened::of(what, policy.as_deref(), told, earlier, &subject.friends_and(subject.settings), was_taken_back)
}
