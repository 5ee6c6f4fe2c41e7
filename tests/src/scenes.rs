//! For each remediation, a change of the kind that it takes back, made for real: what the tests work with that try every
//! remediation in every way.

use std::future::Future;
use std::pin::Pin;

use chrono::SecondsFormat;
use serde_json::{Value, json};

use crate::cloudtrail::Who;
use crate::{World, now};

pub mod blocks;
pub mod buckets;
pub mod flow_logs;
mod functions;
mod groups;
pub mod identity;
pub mod instances;
pub mod key_going_away;
pub mod memberships;
pub mod metadata;
pub mod mfa;
pub mod network_acl;
pub mod policies;
mod serial_console;
mod snapshots;
pub mod trail;
pub mod trust;
pub mod user_data;

/// Makes a change to a resource, and answers its event.
type Changing = for<'a> fn(&'a World, &'a str, &'a Who) -> Making<'a, Value>;
/// Tells how a resource stands.
type Telling = for<'a> fn(&'a World, &'a str) -> Making<'a, Vec<String>>;
type Making<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// What kind of change a remediation takes back.
#[derive(Clone, Copy)]
pub struct Kind {
    /// The remediation.
    pub remediation: &'static str,
    /// Its function.
    pub function: &'static str,
    /// The calls by which it takes the change back, when nothing disturbs it: the operation, and how often.
    pub mutation: (&'static str, usize),
    /// The template's rule that hears of the change.
    pub rule: &'static str,
    /// Makes a resource of this name that is as it has to be, and answers its id.
    set: for<'a> fn(&'a World, &'a str) -> Making<'a, String>,
    /// Makes the change, and answers its event.
    change: Changing,
    /// Makes a change of the same kind that is compliant, where there is one that the rule lets through.
    harmless: Option<Changing>,
    /// How the resource stands, in words: all that may not change, and all that has to.
    words: Telling,
    /// How it has to stand in the end, where that is not how it stood before the change.
    contained: Option<Telling>,
}

/// At least one for each remediation.
pub const KINDS: &[Kind] = &[
    groups::OPENED,
    groups::MODIFIED,
    groups::REMOVED,
    instances::ISOLATED,
    blocks::BLOCKED,
    metadata::IMDSV1_ALLOWED,
    serial_console::ENABLED,
    user_data::CHANGED,
    identity::KEY,
    identity::SESSIONS,
    trail::STOPPED,
    flow_logs::DELETED,
    key_going_away::SCHEDULED,
    key_going_away::SCHEDULED_UNKNOWN,
    key_going_away::DISABLED,
    network_acl::CREATED,
    network_acl::REPLACED,
    snapshots::SHARED,
    functions::OPENED,
    buckets::OPENED,
    policies::ATTACHED,
    trust::OPENED,
    mfa::DEACTIVATED,
];

/// The kinds to try: all of them, or those of the remediations that `RESCIND_ONLY` names, for whoever works on these.
pub fn kinds() -> Vec<Kind> {
    let only = only();
    let is_meant = |kind: &Kind| only.is_empty() || only.split(' ').any(|name| name == kind.remediation);
    KINDS.iter().filter(|kind| is_meant(kind)).copied().collect()
}

/// Whether only some remediations are tried.
pub fn is_tried_alone() -> bool {
    !only().is_empty()
}

fn only() -> String {
    std::env::var_os("RESCIND_ONLY").unwrap_or_default().to_string_lossy().into_owned()
}

/// Whether a kind stands for the others in what is alike whichever remediation it is: one with a plan of a single step, and one with
/// a plan of many.
pub fn is_thorough(kind: Kind) -> bool {
    [KINDS[0].remediation, "isolate-instance"].contains(&kind.remediation)
}

impl Kind {
    /// Lets the remediation act as often as the tests make it. A finding tells no principal: all that comes of them counts
    /// as one fight.
    pub async fn lift_limits(&self, world: &World) {
        for limit in ["rescind:blast-limit", "rescind:repeat-limit"] {
            world.account.tag_rule(self.rule, limit, "30/1s").await;
        }
    }
}

impl std::fmt::Debug for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Kind").field("remediation", &self.remediation).finish_non_exhaustive()
    }
}

/// A resource that is as it has to be.
#[derive(Debug)]
pub struct Scene {
    kind: Kind,
    /// The resource.
    pub resource: String,
    /// How it stands, in words, when all is well.
    pub safe: Vec<String>,
}

/// A change that was made in a scene.
#[derive(Debug)]
pub struct Change {
    /// What happened.
    pub event: Value,
    /// What the function is invoked with.
    pub input: Value,
    /// How the resource stands now, in words.
    pub risky: Vec<String>,
}

impl Scene {
    /// A new resource of this name.
    pub async fn new(world: &World, kind: Kind, name: &str) -> Self {
        let resource = (kind.set)(world, name).await;
        let safe = (kind.contained.unwrap_or(kind.words))(world, &resource).await;
        Self { kind, resource, safe }
    }

    /// How the resource stands, in words.
    pub async fn in_words(&self, world: &World) -> Vec<String> {
        (self.kind.words)(world, &self.resource).await
    }

    /// Somebody makes the change; each number stands for somebody else. It has to be taken back before it is made again.
    pub async fn change(&self, world: &World, number: usize) -> Change {
        self.make(world, number, self.kind.change).await
    }

    /// Somebody makes a change that is compliant, where the kind knows one.
    pub async fn harmless(&self, world: &World, number: usize) -> Option<Change> {
        Some(self.make(world, number, self.kind.harmless?).await)
    }

    async fn make(&self, world: &World, number: usize, change: Changing) -> Change {
        let who = Who::Role(format!("arn:aws:iam::{}:role/developer-{number}", world.account.id));
        let event = change(world, &self.resource, &who).await;
        // As the rule delivers it; what the rules match, other tests tell.
        let ingested = now().to_rfc3339_opts(SecondsFormat::Secs, true);
        let input = json!({"rule": world.account.rule(self.kind.rule).arn, "ingested": ingested, "event": event});
        Change { event, input, risky: self.in_words(world).await }
    }
}
