//! AWS managed policies that are known to make administrators, or to lead there. Their documents are AWS's own (AWS managed policy
//! reference guide) and change; a reading of the document itself says the same or more.

use super::identity_policy::Power;
use super::principal::arn_parts;

/// An AWS managed policy that gives much away.
#[derive(Debug, PartialEq, Eq)]
pub struct ManagedPolicy {
    /// Its name, without its path.
    pub name: &'static str,
    /// What it makes of who has it.
    pub power: Power,
    /// Why, in a few words.
    pub sentence: &'static str,
}

const MANAGED: &[ManagedPolicy] = &[
    ManagedPolicy { name: "AdministratorAccess", power: Power::Administrator, sentence: "it allows everything" },
    ManagedPolicy {
        name: "IAMFullAccess",
        power: Power::Administrator,
        sentence: "it allows everything in IAM, and with that to allow oneself the rest",
    },
    ManagedPolicy {
        name: "PowerUserAccess",
        power: Power::Path,
        sentence: "it allows everything but IAM, and so to use the roles of functions, instances and stacks",
    },
    ManagedPolicy {
        name: "AWSLambda_FullAccess",
        power: Power::Path,
        sentence: "it allows to replace the code of functions, which runs with their roles",
    },
    ManagedPolicy {
        name: "AmazonSSMFullAccess",
        power: Power::Path,
        sentence: "it allows to run commands on instances, with their roles",
    },
    ManagedPolicy {
        name: "AmazonEC2FullAccess",
        power: Power::Path,
        sentence: "it allows to replace the start script of instances, which runs with their roles",
    },
    ManagedPolicy {
        name: "AWSCloudFormationFullAccess",
        power: Power::Path,
        sentence: "it allows to change stacks, with the roles that they were made with",
    },
    ManagedPolicy {
        name: "AWSCodeBuildAdminAccess",
        power: Power::Path,
        sentence: "it allows to run commands in builds, with the projects' roles",
    },
];

/// What is known of an AWS managed policy, by its ARN: `arn:aws:iam::aws:policy/AdministratorAccess`. A policy of one's own of the same
/// name is none.
pub fn managed_policy(arn: &str) -> Option<&'static ManagedPolicy> {
    let [_, partition, service, _, account, resource] = arn_parts(arn)?;
    let name = resource.strip_prefix("policy/")?.rsplit('/').next()?;
    let is_managed = partition.starts_with("aws") && service == "iam" && account == "aws";
    MANAGED.iter().find(|policy| is_managed && policy.name == name)
}
