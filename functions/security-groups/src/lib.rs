//! Takes back what opens a security group, and puts back what a protected one has lost.
//!
//! A remediation is one file: `open_security_group_ingress`, `security_group_rule_modified`,
//! `security_group_rule_removed`. What they share stands beside them, in the order in which it is used: `told` (which
//! rules an event is about), `state` (how the group stands, and in `earlier` how it stood), `policy` and `exposure` (which
//! rules let whom in), `protected` (which groups keep their rules), `put_back` (which modified rules can become what they
//! were), `calls` (what is done) and `one_by_one` (how, where EC2 refuses a part of it). `rule` is one rule of a group, and
//! `ec2` reads them.

pub mod calls;
pub mod earlier;
pub mod ec2;
pub mod exposure;
mod one_by_one;
pub mod open_security_group_ingress;
pub mod policy;
pub mod protected;
pub mod put_back;
pub mod rule;
pub mod security_group_rule_modified;
pub mod security_group_rule_removed;
pub mod state;
pub mod told;

use rescind_lambda::Function;

/// The function and its remediations.
pub const FUNCTION: Function = Function {
    name: "security-groups",
    remediations: &[
        &open_security_group_ingress::OpenSecurityGroupIngress,
        &security_group_rule_modified::SecurityGroupRuleModified,
        &security_group_rule_removed::SecurityGroupRuleRemoved,
    ],
    recorded: &[&earlier::RecordedGroups],
};
