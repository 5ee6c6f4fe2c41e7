//! Takes back what opens a network.
//!
//! A remediation is one file: `open_network_acl_entry`. What it needs stands beside it: `acl` (how a network ACL stands, and the calls that
//! change it) and `entry` (one of its inbound entries, and what that lets in).

pub mod acl;
pub mod entry;
pub mod open_network_acl_entry;

use rescind_lambda::{Function, RecordedAs};

/// The function and its remediations.
pub const FUNCTION: Function = Function {
    name: "network",
    remediations: &[&open_network_acl_entry::OpenNetworkAclEntry],
    recorded: &[&RecordedAs(acl::KIND)],
};
