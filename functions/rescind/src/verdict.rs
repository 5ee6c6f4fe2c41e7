//! Whether a change is risky, and why.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The judgement of one remediation on one signal, as outcomes name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// The change opened something up.
    Risky,
    /// It did not.
    Harmless,
    /// It did, and the owner wants it so.
    Exempt,
    /// The question does not arise: our own change, or the remediation is switched off.
    NotApplicable,
}

/// The exact part of a change that is risky: which rule (or statement, or grant), and what it opens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Evidence(pub BTreeMap<String, String>);

impl Evidence {
    /// Evidence of the given parts, such as `("rule", "sgr-…")` and `("opens", "tcp/22 to 0.0.0.0/0")`.
    pub fn new<V: Into<String>>(parts: impl IntoIterator<Item = (&'static str, V)>) -> Self {
        Self(parts.into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect())
    }
}

/// One offender: what a plan is made of.
pub trait Offender: Send + Sync {
    /// What it is, without ids and descriptions: the same for the same change made again, and the piece's name among the facts.
    fn fingerprint(&self) -> String;
}

/// Where the piece's name says it all.
impl Offender for String {
    fn fingerprint(&self) -> String {
        self.clone()
    }
}

/// What a remediation makes of a signal and the live state. `O` is what it knows about one offender; a plan is made of
/// offenders.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Assessment<O> {
    /// Nothing risky, and why.
    Harmless {
        /// One sentence.
        reason: String,
    },
    /// Risky when it was made, and no longer there: taken back by somebody else, or by us before.
    AlreadySafe {
        /// One sentence.
        reason: String,
    },
    /// Risky and there.
    Risky {
        /// One sentence.
        reason: String,
        /// What is risky, part by part.
        evidence: Vec<Evidence>,
        /// What a plan is made of.
        offenders: Vec<O>,
    },
    /// Risky, and nothing that Rescind can do takes it back, or may: a person has to act.
    Report {
        /// One sentence.
        reason: String,
        /// What is risky, part by part.
        evidence: Vec<Evidence>,
    },
    /// It can't be told, because something could not be read. Never a reason to go on, and never one to be silent.
    Unclear {
        /// One sentence.
        reason: String,
    },
}

impl<O> Assessment<O> {
    /// [`Self::Harmless`].
    pub fn harmless(reason: impl Into<String>) -> Self {
        Self::Harmless { reason: reason.into() }
    }

    /// [`Self::AlreadySafe`].
    pub fn already_safe(reason: impl Into<String>) -> Self {
        Self::AlreadySafe { reason: reason.into() }
    }

    /// [`Self::Risky`].
    pub fn risky(reason: impl Into<String>, evidence: Vec<Evidence>, offenders: Vec<O>) -> Self {
        Self::Risky { reason: reason.into(), evidence, offenders }
    }

    /// [`Self::Report`].
    pub fn report(reason: impl Into<String>, evidence: Vec<Evidence>) -> Self {
        Self::Report { reason: reason.into(), evidence }
    }

    /// [`Self::Unclear`].
    pub fn unclear(reason: impl Into<String>) -> Self {
        Self::Unclear { reason: reason.into() }
    }
}
