//! What became of one remediation for one signal: the contract with people, tests and other tools.
//!
//! Its JSON Schema is `functions/rescind/outcome.schema.json`.

use serde::{Deserialize, Serialize};

use crate::plan::Step;
use crate::settings::Mode;
use crate::signal::{Resource, Signal};
use crate::text::{LONGEST, clean, digest};
use crate::verdict::{Evidence, Verdict};

/// What a function returns.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// One for each remediation that listens to the signal; empty when none does.
    pub outcomes: Vec<Outcome>,
}

/// What became of one remediation for one signal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// Stable for the same signal and remediation, whatever the delivery.
    pub id: String,
    /// The remediation's name.
    pub remediation: String,
    /// The signal.
    pub signal: SignalSummary,
    /// Who did it.
    pub actor: ActorSummary,
    /// What it was done to.
    pub resource: Resource,
    /// The judgement.
    pub verdict: Verdict,
    /// One sentence that a person understands.
    pub reason: String,
    /// What exactly is risky.
    pub evidence: Vec<Evidence>,
    /// How far Rescind was allowed to go.
    pub mode: Mode,
    /// What became of it.
    pub status: Status,
    /// What was done, or would be.
    pub steps: Vec<Step>,
    /// How long it took.
    pub timing: Timing,
    /// Whether the event should be delivered again, since what stood in the way may pass.
    #[serde(skip)]
    pub try_again: bool,
    /// Whether people know of it already, so that it is kept but not published.
    #[serde(skip)]
    pub is_told: bool,
}

/// The signal, in short.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignalSummary {
    /// The service that reports.
    pub source: String,
    /// The id by which that service knows it.
    pub id: String,
    /// What that service calls it.
    pub name: String,
    /// When it happened, in RFC 3339.
    pub time: String,
}

/// Who did it, in short.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActorSummary {
    /// The caller's ARN, or `unknown`.
    pub arn: String,
    /// `AssumedRole`, `IAMUser`, `Root` …, or `Unknown`.
    #[serde(rename = "type")]
    pub kind: String,
    /// `console`, `cloudformation`, `api` …, or `unknown`.
    pub via: String,
}

/// What became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// Taken back, and seen to be.
    Reverted,
    /// Put back as it was found, because a person asked for it.
    Undone,
    /// It would be taken back: dry-run.
    WouldRevert,
    /// A plan waits for a person.
    AwaitingApproval,
    /// Nothing to do: harmless, exempt, switched off, or our own change.
    Ignored,
    /// It was risky, and somebody else was faster.
    AlreadySafe,
    /// Rescind takes no part in a fight: the same change came again and again.
    StandingBack,
    /// It is risky, and nothing that Rescind can do takes it back, or may: a person has to act.
    Reported,
    /// The settings can't be used; nothing was changed.
    Misconfigured,
    /// It should have been taken back and was not.
    Failed,
}

/// How long it took. All in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Timing {
    /// From the event's own time until EventBridge had it; absent when the delivery did not tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event_to_ingested_ms: Option<i64>,
    /// From the event's own time until the outcome was certain: the read-back, when something was taken back.
    pub event_to_done_ms: i64,
    /// In the function.
    pub handler_ms: i64,
    /// Calls of AWS APIs made for this outcome.
    pub aws_calls: u64,
}

impl Outcome {
    /// The id of the outcome of `remediation` for a signal about `resource`.
    pub fn id_of(signal: &Signal, remediation: &str, resource: &Resource) -> String {
        digest([
            signal.source(),
            &signal.account,
            &signal.region,
            &signal.id,
            remediation,
            &resource.kind,
            &resource.id,
        ])
    }

    /// The id of the outcome of undoing another one.
    pub fn undo_id_of(id: &str) -> String {
        digest(["undo", id])
    }

    /// An outcome about which nothing is known yet but what the signal tells.
    pub fn begin(signal: &Signal, remediation: &str, resource: &Resource) -> Self {
        let unknown = || "unknown".to_owned();
        let actor = signal.actor().map_or_else(
            || ActorSummary { arn: unknown(), kind: "Unknown".to_owned(), via: unknown() },
            |actor| ActorSummary {
                arn: clean(&actor.arn, LONGEST),
                kind: clean(&actor.kind, LONGEST),
                via: clean(&actor.via, LONGEST),
            },
        );
        Self {
            id: Self::id_of(signal, remediation, resource),
            remediation: remediation.to_owned(),
            signal: SignalSummary {
                source: signal.source().to_owned(),
                id: clean(&signal.id, LONGEST),
                name: clean(signal.name(), LONGEST),
                time: signal.time.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true),
            },
            actor,
            resource: Resource {
                kind: clean(&resource.kind, LONGEST),
                id: clean(&resource.id, LONGEST),
                ..resource.clone()
            },
            verdict: Verdict::NotApplicable,
            reason: String::new(),
            evidence: Vec::new(),
            mode: Mode::default(),
            status: Status::Ignored,
            steps: Vec::new(),
            timing: Timing::default(),
            try_again: false,
            is_told: false,
        }
    }

    /// Sets what became of it, in a sentence. The sentence may repeat hostile text.
    #[must_use]
    pub fn concluded(mut self, verdict: Verdict, status: Status, reason: &str) -> Self {
        self.verdict = verdict;
        self.status = status;
        self.reason = clean(reason, 1000);
        self.try_again = status == Status::Failed;
        self
    }
}

impl Status {
    /// The status as it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Reverted => "reverted",
            Self::Undone => "undone",
            Self::WouldRevert => "would-revert",
            Self::AwaitingApproval => "awaiting-approval",
            Self::Ignored => "ignored",
            Self::AlreadySafe => "already-safe",
            Self::StandingBack => "standing-back",
            Self::Reported => "reported",
            Self::Misconfigured => "misconfigured",
            Self::Failed => "failed",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_outcome_repeats_nothing_hostile() {
        let detail = json!({
            "configRuleName": "<b>", "resourceType": "\"\u{202e}", "resourceId": "<i>", "awsAccountId": "111122223333",
            "newEvaluationResult": {"complianceType": "x"},
        });
        let event = json!({
            "detail-type": "Config Rules Compliance Change", "source": "aws.config", "time": "2026-11-24T09:30:00Z",
            "region": "eu-central-1", "detail": detail,
        });
        let signal = crate::signal::decode(event).unwrap().signal;
        let crate::signal::Fact::ComplianceChange(change) = &signal.fact else { panic!("{signal:?}") };
        let outcome = Outcome::begin(&signal, "x", &change.resource);
        assert_eq!((outcome.resource.kind.as_str(), outcome.resource.id.as_str()), ("' ", "(i)"));
        assert_eq!(outcome.signal.name, "(b)");
    }
}
