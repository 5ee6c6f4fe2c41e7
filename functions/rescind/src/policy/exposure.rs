//! What is said of a statement of a resource's policy.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::principal::NamedPrincipal;
use crate::text::clean;

/// How far a statement opens the resource. The later, the wider.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Exposure {
    /// To us and to who is trusted.
    Ours,
    /// To named strangers, who have to show an external ID: the way that AWS recommends for third parties, with whom it is agreed
    /// upon (IAM user guide, *Access to AWS accounts owned by third parties*). Whether it was, no policy tells.
    Agreed,
    /// To a service that acts for strangers: for whoever asks it to, where the statement does not say for whose resources it may
    /// (IAM user guide, *The confused deputy problem*), or for strangers that it names.
    Deputy,
    /// To named strangers.
    Shared,
    /// To everybody.
    Public,
}

impl Exposure {
    /// Whether it is more than an owner may be expected to want.
    pub fn is_risky(self) -> bool {
        self >= Self::Deputy
    }
}

/// Somebody who is neither ours nor trusted.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stranger {
    /// An account's id.
    Account(String),
    /// An organization's id.
    Organization(String),
    /// A canonical user id.
    CanonicalUser(String),
    /// An identity provider, by its ARN or host.
    Federated(String),
    /// An AWS service without a source: it may act for anybody.
    Service(String),
    /// A range of addresses.
    Addresses(String),
    /// A principal that is not understood.
    Other(String),
}

impl Stranger {
    /// How far a resource is open that is open to this stranger.
    pub(super) fn exposure(&self) -> Exposure {
        if matches!(self, Self::Service(_)) { Exposure::Deputy } else { Exposure::Shared }
    }
}

impl fmt::Display for Stranger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Account(id) => write!(f, "account {}", clean(id, 20)),
            Self::Organization(id) => write!(f, "organization {}", clean(id, 40)),
            Self::CanonicalUser(id) => write!(f, "canonical user {}", clean(id, 80)),
            Self::Federated(name) => write!(f, "identity provider {}", clean(name, 120)),
            Self::Service(name) => write!(f, "{} on behalf of anybody", clean(name, 80)),
            Self::Addresses(range) => write!(f, "addresses {}", clean(range, 60)),
            Self::Other(name) => write!(f, "{}", clean(name, 120)),
        }
    }
}

/// What one principal opens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opening {
    /// How far.
    pub exposure: Exposure,
    /// To whom who is neither ours nor trusted. Empty when that is everybody.
    pub strangers: BTreeSet<Stranger>,
}

impl Opening {
    /// Whether this is no less than another.
    pub(super) fn is_as_wide_as(&self, other: &Self) -> bool {
        let is_public = self.exposure == Exposure::Public;
        self.exposure >= other.exposure && (is_public || other.strangers.is_subset(&self.strangers))
    }
}

/// What is to be said of one `Allow` statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading {
    /// The statement's index in the policy.
    pub statement: usize,
    /// Its name, if it has one; hostile text.
    pub sid: Option<String>,
    /// Its digest, by which it is found again in a later version.
    pub digest: String,
    /// How far it opens the resource, taking all its principals together.
    pub exposure: Exposure,
    /// Who is let in and is neither ours nor trusted. Empty when that is everybody.
    pub strangers: BTreeSet<Stranger>,
    /// The principals that surely make it risky, as written, and what each by itself opens. Empty for a risky statement that names
    /// none: then it is the whole statement.
    pub principals: BTreeMap<NamedPrincipal, Opening>,
    /// One sentence.
    pub reason: String,
    /// What was not understood and may make the statement harmless: a reason to report it instead of changing it.
    pub unclear: Option<String>,
}

impl Reading {
    /// What the statement opens, taking all its principals together.
    pub(super) fn opening(&self) -> Opening {
        Opening { exposure: self.exposure, strangers: self.strangers.clone() }
    }

    /// Whether it is risky, and all that matters was understood.
    pub fn is_surely_risky(&self) -> bool {
        self.exposure.is_risky() && self.unclear.is_none()
    }
}
