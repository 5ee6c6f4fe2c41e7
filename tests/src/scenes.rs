//! For each remediation, a change of the kind that it takes back, made for real: what the tests work with that try every
//! remediation in every way.

use std::future::Future;
use std::pin::Pin;

use chrono::SecondsFormat;
use serde_json::{Value, json};

use crate::cloudtrail::Who;
use crate::{World, now};

pub mod blocks;
mod groups;
pub mod identity;
pub mod instances;
pub mod memberships;
pub mod metadata;
mod serial_console;
pub mod user_data;

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
    rule: &'static str,
    /// Makes a resource of this name that is as it has to be, and answers its id.
    set: for<'a> fn(&'a World, &'a str) -> Making<'a, String>,
    /// Makes the change, and answers its event.
    change: for<'a> fn(&'a World, &'a str, &'a Who) -> Making<'a, Value>,
    /// How the resource stands, in words: all that may not change, and all that has to.
    words: Telling,
    /// How it has to stand in the end, where that is not how it stood before the change.
    contained: Option<Telling>,
}

/// At least one for each remediation.
pub const KINDS: [Kind; 10] = [
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
];

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
        let who = Who::Role(format!("arn:aws:iam::{}:role/developer-{number}", world.account.id));
        let event = (self.kind.change)(world, &self.resource, &who).await;
        // As the rule delivers it; what the rules match, other tests tell.
        let ingested = now().to_rfc3339_opts(SecondsFormat::Secs, true);
        let input = json!({"rule": world.account.rule(self.kind.rule).arn, "ingested": ingested, "event": event});
        Change { input, risky: self.in_words(world).await }
    }
}
