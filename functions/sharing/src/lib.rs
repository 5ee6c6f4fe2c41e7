//! Takes back what is shared with the world or with strangers.
//!
//! A remediation is one file. Beside it stands the thing that it is about (`bucket`, `snapshot`, the `permission` of a Lambda function):
//! what records tell of it, how it stands, and the calls that change that; then the `clients`, and what a policy has `opened`.

pub mod bucket;
mod clients;
pub mod function_permission_public;
pub mod opened;
pub mod permission;
pub mod public_bucket_policy;
pub mod snapshot;
pub mod snapshot_shared;

use rescind_lambda::{Function, RecordedAs};

/// The function and its remediations.
pub const FUNCTION: Function = Function {
    name: "sharing",
    remediations: &[
        &public_bucket_policy::PublicBucketPolicy,
        &snapshot_shared::SnapshotShared,
        &function_permission_public::FunctionPermissionPublic,
    ],
    recorded: &[&RecordedAs(bucket::KIND)],
};
