//! `public-bucket-policy`: the policy of a bucket lets in everybody, or a stranger.
//!
//! ## What it takes back
//! What one call of `PutBucketPolicy` opened: statements that surely let in everybody, or somebody who is neither ours nor trusted, with
//! their conditions and the statements that deny considered. The policy before the call comes back as a whole where it is known and let in
//! no stranger. Else only those statements go, or those principals of them, and a policy of which nothing is left is deleted.
//! What let strangers in before stays, where the earlier policy is known; put again alone, it is told. A statement that is not understood, or that lets a service act for anybody, is told and left.
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
//! Those of every remediation; `rescind:trusted-accounts` and `rescind:organization` tell who is no stranger.
//!
//! ## References
//! Amazon S3 API: `GetBucketPolicy`, `PutBucketPolicy`, `DeleteBucketPolicy`, `GetBucketTagging`. Amazon S3 user guide: *The meaning of
//! "public"*. AWS Config developer guide: *Components of a configuration item*.

use chrono::{DateTime, Utc};
use rescind::policy::{Exposure, Policy, Reading, Statement, resource_policy};

use crate::bucket::{self, DELETE, Earlier, GET, PUT, State, TAGS};

use rescind_lambda::prelude::*;

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
    type Settings = ();
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
        let earlier = earlier?.as_ref().map(Earlier::of_state).unwrap_or_default();
        Ok(State { policy: policy?, earlier, tags: tags? })
    }

    fn assess(&self, subject: &Subject<'_, Self>) -> Assessment<String> {
        let Subject { resource, target, .. } = subject;
        let bucket = &resource.id;
        let judged = match Judged::of(subject) {
            Ok(judged) => judged,
            Err(problem) => return Assessment::unclear(format!("the policy of bucket {bucket}: {problem}")),
        };
        // What the call put, where the record tells it; else what is there now.
        // What can't be read of the record, may be anything.
        let told = target.policy.as_ref().and_then(|policy| Policy::from_value(policy.clone()).ok());
        let put = told.as_ref().map(|told| resource_policy(told, &subject.friends()));
        let is_rewritten = |put: &Reading, reading: &Reading| {
            let (put, live) = (statement(told.as_ref(), put), statement(judged.policy.as_ref(), reading));
            put.zip(live).is_some_and(|(put, live)| bucket::is_rewritten(put, live))
        };
        let is_same = |put: &Reading, reading: &Reading| {
            (put.exposure == reading.exposure && put.strangers == reading.strangers) || is_rewritten(put, reading)
        };
        let is_put = |reading: &Reading| put.as_ref().is_none_or(|put| put.iter().any(|one| is_same(one, reading)));
        let (stood, found): (Vec<_>, Vec<_>) = judged
            .risky
            .iter()
            .filter(|(_, reading)| is_put(reading))
            .partition(|(piece, reading)| judged.stood_before(piece, reading));
        let (sure, left): (Vec<_>, Vec<_>) = found.into_iter().partition(|(_, reading)| is_to_go(reading));
        let words = |some: &[&(String, Reading)]| few(some.iter().map(|(_, reading)| in_words(reading)).collect());
        let evidence = |some: &[&(String, Reading)]| {
            some.iter()
                .map(|(_, reading)| Evidence::new([("bucket", bucket.clone()), ("opens", in_words(reading))]))
                .collect()
        };
        let reason = format!("the policy of bucket {bucket}: {}", words(if sure.is_empty() { &left } else { &sure }));
        let was_sure = put.iter().flatten().any(is_to_go);
        // All that the call put is there, and was before: nothing of it was taken back.
        let is_again = was_sure
            && put
                .iter()
                .flatten()
                .filter(|one| is_to_go(one))
                .all(|one| stood.iter().any(|(_, now)| is_same(one, now)));
        match (sure.is_empty(), left.is_empty()) {
            (false, _) => {
                Assessment::risky(reason, evidence(&sure), sure.into_iter().map(|(piece, _)| piece.clone()).collect())
            }
            (true, false) if was_sure => Assessment::already_safe(format!(
                "{reason}; that is left to a person, and what surely was open is closed already"
            )),
            (true, false) => Assessment::report(format!("{reason}; left to a person"), evidence(&left)),
            (true, true) if is_again => Assessment::report(
                format!(
                    "the policy of bucket {bucket}: {}; AWS Config saw that before the call already, so it is left to a person",
                    words(&stood)
                ),
                evidence(&stood),
            ),
            (true, true) if was_sure && judged.risky.is_empty() => {
                Assessment::already_safe(format!("the policy of bucket {bucket} lets no stranger in any more"))
            }
            (true, true) if was_sure => Assessment::already_safe(format!(
                "what the policy of bucket {bucket} lets strangers do now, is not of this call"
            )),
            (true, true) => Assessment::harmless(format!("the call lets no stranger into bucket {bucket}")),
        }
    }

    fn plan(&self, subject: &Subject<'_, Self>, offenders: &[String]) -> Plan {
        let (Ok(judged), Some(live)) = (Judged::of(subject), &subject.state.policy) else { return Plan::default() };
        let put = |policy: Option<&str>| bucket::set(subject.resource, policy);
        let (policy, note): (Option<String>, String) = match (&subject.state.earlier, judged.earlier_is_compliant) {
            (Earlier::Policy(Some(earlier), captured), true) => {
                (Some(earlier.clone()), format!("its policy of {captured} comes back"))
            }
            (Earlier::Policy(None, captured), true) => {
                (None, format!("it had no policy at {captured}, and has none again"))
            }
            (earlier, _) => {
                let why = if *earlier == Earlier::Unknown { "is not known" } else { "let strangers in, too" };
                let is_meant =
                    |(piece, reading): &(String, Reading)| offenders.contains(piece).then(|| reading.clone());
                let readings: Vec<Reading> = judged.risky.iter().filter_map(is_meant).collect();
                let rest = judged.policy.as_ref().and_then(|policy| policy.without(&readings, Exposure::Shared));
                let put = rest.as_ref().and_then(Policy::without_gone);
                let gone = if put == rest { "" } else { ", with users or roles that are gone, whom Amazon S3 refuses" };
                let note = format!("its earlier policy {why}, so that only this is taken out{gone}");
                (put.map(|put| put.to_string()), note)
            }
        };
        Plan::of([Step::planned(put(policy.as_deref()), put(Some(live)))]).noting(note)
    }

    async fn make(&self, scope: &Scope, call: &Call) -> Result<(), CallError> {
        bucket::make(scope, call).await
    }
}

/// What the policies say: the one that is there, and the one before the call.
struct Judged {
    policy: Option<Policy>,
    /// The statements that let strangers in, as far as anything is understood, by the names of their pieces.
    risky: Vec<(String, Reading)>,
    earlier: Vec<(String, Reading)>,
    /// The earlier policy is known, and let no stranger in.
    earlier_is_compliant: bool,
}

impl Judged {
    fn of(subject: &Subject<'_, PublicBucketPolicy>) -> Result<Self, String> {
        let friends = subject.friends();
        let read = |text: Option<&String>| text.map(|text| Policy::parse(text)).transpose();
        let risky = |policy: Option<&Policy>| -> Vec<(String, Reading)> {
            let readings = policy.map(|policy| resource_policy(policy, &friends)).unwrap_or_default().into_iter();
            let risky = readings.filter(|reading| reading.exposure.is_risky());
            risky.filter_map(|reading| Some((bucket::piece(statement(policy, &reading)?.raw()), reading))).collect()
        };
        let policy = read(subject.state.policy.as_ref()).map_err(|problem| problem.to_string())?;
        // An earlier policy that can't be read is as good as none that is known.
        let earlier = match &subject.state.earlier {
            Earlier::Policy(text, _) => read(text.as_ref()).ok(),
            Earlier::Unknown => None,
        };
        let known = risky(earlier.as_ref().and_then(Option::as_ref));
        let is_compliant = earlier.is_some() && known.iter().all(|(_, reading)| reading.exposure < Exposure::Shared);
        Ok(Self { risky: risky(policy.as_ref()), policy, earlier: known, earlier_is_compliant: is_compliant })
    }

    /// Whether this statement stood before, and was no less open: a `Deny` that is gone may have opened it.
    fn stood_before(&self, piece: &str, reading: &Reading) -> bool {
        self.earlier.iter().any(|(before, was)| {
            before == piece && was.exposure >= reading.exposure && was.strangers == reading.strangers
        })
    }
}

/// The statement that a reading of a policy is about.
fn statement<'p>(policy: Option<&'p Policy>, reading: &Reading) -> Option<&'p Statement> {
    policy?.statements().get(reading.statement)
}

/// Surely open to strangers, and not only to a service that acts for them.
fn is_to_go(reading: &Reading) -> bool {
    reading.is_surely_risky() && reading.exposure >= Exposure::Shared
}

fn in_words(reading: &Reading) -> String {
    match &reading.unclear {
        Some(unclear) => format!("{} (unclear: {unclear})", reading.reason),
        None => reading.reason.clone(),
    }
}
