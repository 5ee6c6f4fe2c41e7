//! Takes compromised credentials out of use, and permissions back that make an administrator or let strangers in.
//!
//! A remediation is one file: `admin_policy_attached`, `credentials_compromised`, `mfa_deactivated`, `role_trusts_stranger`. Beside it
//! stands the thing that it is about: what records tell of it, how it stands, and the calls that change that: `attachment` (of a managed
//! policy), `assumed` (who may assume a role), `mfa` (a user's devices) with `denial` (the policy that denies everything without one) and `credential`
//! (a key or a role that a finding names). What these share: `principal` (users, roles and groups), `power` (what a policy gives away),
//! `trust` (whom a role lets in), `suspects` (which credentials a finding names) and `sessions` (the policy that denies those of a role).

pub mod admin_policy_attached;
pub mod assumed;
pub mod attachment;
pub mod credential;
pub mod credentials_compromised;
pub mod denial;
pub mod instance_role;
pub mod mfa;
pub mod mfa_deactivated;
pub mod power;
pub mod principal;
pub mod role_trusts_stranger;
pub mod sessions;
pub mod suspects;
pub mod trust;

use principal::Kind;
use rescind_lambda::{Function, RecordedAs};

/// The function and its remediations.
pub const FUNCTION: Function = Function {
    name: "identity",
    remediations: &[
        &admin_policy_attached::AdminPolicyAttached,
        &credentials_compromised::CredentialsCompromised,
        &mfa_deactivated::MfaDeactivated,
        &role_trusts_stranger::RoleTrustsStranger,
    ],
    recorded: &[
        &RecordedAs(Kind::User.resource_type()),
        &RecordedAs(Kind::Role.resource_type()),
        &RecordedAs(Kind::Group.resource_type()),
    ],
};
