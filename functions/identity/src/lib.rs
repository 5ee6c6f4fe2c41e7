//! Takes compromised credentials out of use.
//!
//! A remediation is one file: `credentials_compromised`. What it needs stands beside it: `credential` (how a key or a role
//! stands, and the calls that change it) and `sessions` (the policy that denies the sessions of a role).

pub mod credential;
pub mod credentials_compromised;
pub mod sessions;

use rescind_lambda::Function;

/// The function and its remediations.
pub const FUNCTION: Function =
    Function { name: "identity", remediations: &[&credentials_compromised::CredentialsCompromised], recorded: &[] };
