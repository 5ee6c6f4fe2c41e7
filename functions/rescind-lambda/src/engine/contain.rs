//! Contains no more than the owner allows, and nothing by two findings at the same time.

use chrono::TimeDelta;
use rescind::Resource;
use rescind::journal::Containment;

use super::{Cause, Engine, Work};
use crate::aws::{CallError, CallFailure};
use crate::clock;
use crate::journal::{Containments, Journal};
use crate::remediation::Remediation;

/// How often the list of containments is read anew because somebody else wrote it meanwhile.
const TRIES: usize = 5;

/// Whether there is room for one more containment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Room {
    /// It is ours, or none is needed.
    Taken,
    /// There is none: `rescind:blast-limit`.
    Full,
    /// Another finding's containment of the same resource is under way.
    Busy,
}

/// Where the journal counts the containments of a remediation.
pub(super) fn containments_key(remediation: &str, resource: &Resource) -> String {
    format!("containments/{remediation}/{}/{}", resource.account, resource.region)
}

impl Engine {
    /// Takes room for one more containment. What a person approved needs none.
    pub(super) async fn make_room<R: Remediation>(
        &self,
        journal: &Journal,
        work: &Work<'_, R>,
        outcome: &str,
    ) -> Result<Room, CallError> {
        if !R::INTERRUPTS_SERVICE || matches!(work.cause, Cause::Approval { .. }) {
            return Ok(Room::Taken);
        }
        let key = containments_key(R::NAME, &work.resource);
        let resource = work.remembered().id;
        let mut known = work.containments.clone();
        for _ in 0..TRIES {
            let now = clock::now();
            let containment = Containment { resource: resource.clone(), outcome: outcome.to_owned(), at: now };
            if is_under_way(&known, &containment, TimeDelta::from_std(self.lease()).unwrap_or(TimeDelta::MAX)) {
                return Ok(Room::Busy);
            }
            if !work.wanted.common.blast_limit.has_room(&known.list, &resource, now) {
                return Ok(Room::Full);
            }
            if journal.contain(&self.aws, &key, &known, &containment).await? {
                return Ok(Room::Taken);
            }
            known = journal.containments(&self.aws, &key).await?;
        }
        Err(CallError {
            call: "dynamodb:UpdateItem",
            failure: CallFailure::Transient,
            code: None,
            message: "the list of containments kept changing".to_owned(),
        })
    }
}

/// Whether another outcome began to contain the same resource so short ago that it may still be at it.
fn is_under_way(known: &Containments, ours: &Containment, lease: TimeDelta) -> bool {
    known
        .list
        .iter()
        .any(|one| one.resource == ours.resource && one.outcome != ours.outcome && ours.at - one.at < lease)
}
