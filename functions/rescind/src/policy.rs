//! IAM policies: what a document says, whom it lets in, how much it gives away, and the document without its risky part.
//!
//! - [`Policy`] is a document, kept as it was written so that what is put back is exact.
//! - [`resource_policy`] reads the policy of a bucket, queue, topic, key, secret, repository or function, and
//!   [`role_trust`] that of a role: who is let in by each statement, ours or strangers.
//! - [`Policy::without`] is the document without what is risky in it.
//! - [`Policy::divide`] tells what of it a call has opened, and what stood before.
//! - [`identity_policy`] reads what a user, group or role may do: administrator-like, on a path to it, or limited.
//!
//! Follows the IAM user guide (*Policy evaluation logic*, *AWS JSON policy elements*, *Condition operators*, *Global
//! condition context keys*) and the Amazon S3 user guide (*Blocking public access*, *The meaning of "public"*). Where a
//! part is not understood, the verdict is the one without that part and the reading says that it is unclear: judge with caution,
//! act with restraint.

use std::collections::BTreeSet;

use crate::addresses::AddressSet;

mod condition;
mod document;
mod editing;
mod exposure;
mod identity_policy;
mod issuers;
mod limit;
mod managed;
mod names;
mod networks;
mod paths;
mod principal;
mod resource_policy;
mod sameness;
mod services;
mod standing;
#[cfg(test)]
mod tests;

pub use document::{Effect, Policy, PolicyError, Statement};
pub use exposure::{Exposure, Opening, Reading, Stranger};
pub use identity_policy::{FoundPath, Power, PowerReading, Strength, identity_policy};
pub use managed::{ManagedPolicy, managed_policy};
pub use networks::Networks;
pub use paths::{EscalationPath, PATHS};
pub use principal::NamedPrincipal;
pub use resource_policy::{resource_policy, role_trust};
pub use standing::{Against, Division};

/// Who is no stranger.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Friends {
    /// Our own account.
    pub account: String,
    /// Our organization's id, `o-…`, if it is known.
    pub organization: Option<String>,
    /// Accounts that are trusted beside our own.
    pub accounts: BTreeSet<String>,
    /// Ranges of addresses that are trusted.
    pub networks: AddressSet,
    /// Canonical user ids (Amazon S3's name for an account) that are trusted, our own among them.
    pub canonical_users: BTreeSet<String>,
}

impl Friends {
    /// Only our own account.
    pub fn new(account: impl Into<String>) -> Self {
        Self { account: account.into(), ..Self::default() }
    }

    /// Whether an account is our own or trusted.
    pub fn has_account(&self, account: &str) -> bool {
        crate::arn::is_account(account) && (self.account == account || self.accounts.contains(account))
    }

    /// Whether an organization is ours.
    pub fn has_organization(&self, organization: &str) -> bool {
        self.organization.as_deref().is_some_and(|ours| !ours.is_empty() && ours == organization)
    }
}
