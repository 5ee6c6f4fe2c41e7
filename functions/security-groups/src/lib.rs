//! Takes back what opens a security group.
//!
//! A remediation is one file: `open_security_group_ingress`. What they share stands beside them: `rule` (one rule of a
//! group, as records and the API tell it), `exposure` (which rules let whom in), `ec2` (the calls).

pub mod ec2;
pub mod exposure;
pub mod open_security_group_ingress;
pub mod rule;

use rescind_lambda::Function;

/// The function and its remediations.
pub const FUNCTION: Function =
    Function { name: "security-groups", remediations: &[&open_security_group_ingress::OpenSecurityGroupIngress] };
