//! How a resource stands, told piece by piece: the state of most remediations.

use rescind::Call;
use rescind::journal::Facts;

use crate::remediation::ResourceState;

/// How a resource stands, by named pieces, with whatever else a remediation reads of it in `more`.
///
/// ```text
/// Standing::new(effect).fact("logging", true).tagged(tags)
/// ```
#[derive(Debug, Clone)]
pub struct Standing<M = ()> {
    /// The pieces that calls of the plan change, and that are compared before and after: those alone.
    pub facts: Facts,
    /// The tags of the resource.
    pub tags: Vec<(String, String)>,
    /// What else is known. No call changes it.
    pub more: M,
    effect: Effect,
}

/// What a call makes of the pieces: one entry for each piece that the call sets, with its value, or `None` for one that it takes away.
pub type Effect = fn(&Call) -> Vec<(String, Option<String>)>;

impl Standing {
    /// A resource of which no piece is known yet. `effect` tells what a call makes of its pieces.
    pub fn new(effect: Effect) -> Self {
        Self { facts: Facts::new(), tags: Vec::new(), more: (), effect }
    }
}

impl<M> Standing<M> {
    /// With one piece more.
    #[must_use]
    #[expect(
        clippy::needless_pass_by_value,
        reason = "`fact(\"logging\", true)` reads better than a reference to `true`"
    )]
    pub fn fact(mut self, piece: impl Into<String>, value: impl ToString) -> Self {
        self.facts.insert(piece.into(), value.to_string());
        self
    }

    /// With a piece, if there is one.
    #[must_use]
    pub fn optional_fact(self, piece: impl Into<String>, value: Option<impl ToString>) -> Self {
        match value {
            Some(value) => self.fact(piece, value),
            None => self,
        }
    }

    /// With the tags of the resource.
    #[must_use]
    pub fn tagged(self, tags: Vec<(String, String)>) -> Self {
        Self { tags, ..self }
    }

    /// With the tags of the live resource, if there is one: an event does not tell them.
    #[must_use]
    pub fn tagged_as<N>(self, live: Option<&Standing<N>>) -> Self {
        self.tagged(live.map(|live| live.tags.clone()).unwrap_or_default())
    }

    /// With what else is known.
    #[must_use]
    pub fn with<N>(self, more: N) -> Standing<N> {
        Standing { facts: self.facts, tags: self.tags, more, effect: self.effect }
    }

    /// A piece.
    pub fn get(&self, piece: &str) -> Option<&str> {
        self.facts.get(piece).map(String::as_str)
    }
}

impl<M: PartialEq> PartialEq for Standing<M> {
    fn eq(&self, other: &Self) -> bool {
        self.facts == other.facts && self.tags == other.tags && self.more == other.more
    }
}

impl<M: Clone + PartialEq + Send + Sync> ResourceState for Standing<M> {
    fn id(&self) -> Option<&str> {
        None
    }

    fn tags(&self) -> &[(String, String)] {
        &self.tags
    }

    fn facts(&self) -> Facts {
        self.facts.clone()
    }

    fn after(&self, call: &Call) -> Self {
        let mut after = self.clone();
        for (piece, value) in (self.effect)(call) {
            match value {
                Some(value) => drop(after.facts.insert(piece, value)),
                None => drop(after.facts.remove(&piece)),
            }
        }
        after
    }
}
