//! Which resources a finding names.

use serde_json::Value;

use crate::arn::Arn;
use crate::signal::fields::{field, items, text};
use crate::signal::{Holder, Involved, Resource, Role};
use crate::text::clean;

/// Where a finding's `resource` tells of a resource.
struct Place {
    /// Below `resource`; lists are gone through.
    path: &'static [&'static str],
    /// The `resourceType`s of the findings that are about it.
    subject_of: &'static [&'static str],
    /// AWS Config's type, or what CloudTrail calls it.
    kind: &'static str,
    /// The fields that tell which one, the better first. Those that are ARNs tell whose it is, too.
    id: &'static [&'static str],
}

const PLACES: &[Place] = &[
    Place { path: &["instanceDetails"], subject_of: &["Instance"], kind: "AWS::EC2::Instance", id: &["instanceId"] },
    Place {
        path: &["accessKeyDetails"],
        subject_of: &["AccessKey"],
        kind: "AWS::IAM::AccessKey",
        id: &["accessKeyId"],
    },
    Place { path: &["s3BucketDetails"], subject_of: &["S3Bucket"], kind: "AWS::S3::Bucket", id: &["name", "arn"] },
    Place {
        path: &["s3BucketDetails", "s3ObjectDetails"],
        subject_of: &["S3Object"],
        kind: "AWS::S3::Object",
        id: &["objectArn"],
    },
    Place {
        path: &["eksClusterDetails"],
        subject_of: &["EKSCluster"],
        kind: "AWS::EKS::Cluster",
        id: &["name", "arn"],
    },
    Place { path: &["ecsClusterDetails"], subject_of: &["ECSCluster"], kind: "AWS::ECS::Cluster", id: &["arn"] },
    Place {
        path: &["ecsClusterDetails", "taskDetails"],
        subject_of: &["ECSCluster", "ECSTask"],
        kind: "AWS::ECS::Task",
        id: &["arn"],
    },
    Place {
        path: &["lambdaDetails"],
        subject_of: &["Lambda"],
        kind: "AWS::Lambda::Function",
        id: &["functionName", "functionArn"],
    },
    Place {
        path: &["rdsDbInstanceDetails"],
        subject_of: &["RDSDBInstance"],
        kind: "AWS::RDS::DBInstance",
        id: &["dbInstanceIdentifier", "dbInstanceArn"],
    },
    Place {
        path: &["rdsLimitlessDbDetails"],
        subject_of: &["RDSLimitlessDB"],
        kind: "AWS::RDS::DBShardGroup",
        id: &["dbShardGroupIdentifier", "dbShardGroupArn"],
    },
    Place {
        path: &["ebsVolumeDetails", "scannedVolumeDetails"],
        subject_of: &["EBSVolume"],
        kind: "AWS::EC2::Volume",
        id: &["volumeArn"],
    },
    Place {
        path: &["ebsSnapshotDetails"],
        subject_of: &["EBSSnapshot"],
        kind: "AWS::EC2::Snapshot",
        id: &["snapshotArn"],
    },
    Place {
        path: &["ec2ImageDetails"],
        subject_of: &["EC2Image", "EC2AMI"],
        kind: "AWS::EC2::Image",
        id: &["imageArn"],
    },
    Place {
        path: &["recoveryPointDetails"],
        subject_of: &["EBSRecoveryPoint", "EC2RecoveryPoint", "S3RecoveryPoint", "RecoveryPoint"],
        kind: "AWS::Backup::RecoveryPoint",
        id: &["recoveryPointArn"],
    },
];

/// What an attack sequence calls its resources, and what they are.
const SEQUENCE_KINDS: &[(&str, &str)] = &[
    ("ACCESS_KEY", "AWS::IAM::AccessKey"),
    ("AUTOSCALING_AUTO_SCALING_GROUP", "AWS::AutoScaling::AutoScalingGroup"),
    ("CLOUDFORMATION_STACK", "AWS::CloudFormation::Stack"),
    ("EC2_IMAGE", "AWS::EC2::Image"),
    ("EC2_INSTANCE", "AWS::EC2::Instance"),
    ("EC2_LAUNCH_TEMPLATE", "AWS::EC2::LaunchTemplate"),
    ("EC2_NETWORK_INTERFACE", "AWS::EC2::NetworkInterface"),
    ("EC2_VPC", "AWS::EC2::VPC"),
    ("ECS_CLUSTER", "AWS::ECS::Cluster"),
    ("ECS_TASK", "AWS::ECS::Task"),
    ("EKS_CLUSTER", "AWS::EKS::Cluster"),
    ("IAM_INSTANCE_PROFILE", "AWS::IAM::InstanceProfile"),
    ("S3_BUCKET", "AWS::S3::Bucket"),
    ("S3_OBJECT", "AWS::S3::Object"),
];

/// Resources whose id is the whole ARN, as AWS Config or their own API has it.
const NAMED_BY_ARN: &[&str] =
    &["AWS::Backup::RecoveryPoint", "AWS::CloudFormation::Stack", "AWS::ECS::Cluster", "AWS::ECS::Task"];

/// Parts of `resource` that name no resource of AWS's own, but tell more about one.
const TOLD_MORE: &[&str] = &["resourceType", "kubernetesDetails", "containerDetails", "rdsDbUserDetails"];

/// No finding needs more of what can't be read to be told.
const MOST_UNREAD: usize = 20;

/// What a finding names.
pub(super) struct Found {
    pub(super) resources: Vec<Involved>,
    pub(super) unread: Vec<String>,
}

pub(super) fn read(detail: &Value, service: &Value, account: &str, region: &str) -> Found {
    let mut reader = Reader { account, region, found: Found { resources: Vec::new(), unread: Vec::new() } };
    let sequence = field(service, "detection").and_then(|detection| field(detection, "sequence"));
    if let Some(sequence) = sequence {
        reader.read_sequence(sequence);
    }
    let role = match text(service, "resourceRole") {
        Some(role) if role.eq_ignore_ascii_case("ACTOR") => Role::Actor,
        Some(role) if role.eq_ignore_ascii_case("TARGET") => Role::Target,
        _ => Role::Untold,
    };
    reader.read_resource(field(detail, "resource").unwrap_or(&Value::Null), role, sequence.is_some());
    reader.found
}

struct Reader<'a> {
    account: &'a str,
    region: &'a str,
    found: Found,
}

impl Reader<'_> {
    /// `resource`: one that the finding is about, and others beside it.
    fn read_resource(&mut self, resource: &Value, role: Role, is_sequence: bool) {
        let about = text(resource, "resourceType").unwrap_or_default();
        for place in PLACES {
            let role = if place.subject_of.contains(&about) { role } else { Role::Beside };
            let top = vec![resource];
            let told = place
                .path
                .iter()
                .fold(top, |values, name| values.into_iter().flat_map(|value| items(field(value, name))).collect());
            for value in told {
                let names: Vec<&str> = place.id.iter().filter_map(|name| text(value, name)).collect();
                match holder_of_session(place.kind, value).filter(|_| names.is_empty()) {
                    Some((kind, name)) => self.add(kind, &[name], role, value),
                    None => self.add(place.kind, &names, role, value),
                }
            }
        }
        let is_known = PLACES.iter().any(|place| place.subject_of.contains(&about)) || about == "Container";
        if !(is_known || is_sequence || about == "AttackSequence") {
            self.leave(&format!("the resource type `{about}`"));
        }
        let known = |name: &str| {
            let same = |one: &str| one.eq_ignore_ascii_case(name);
            TOLD_MORE.iter().any(|one| same(one))
                || PLACES.iter().any(|place| place.path.first().is_some_and(|one| same(one)))
        };
        let names = resource.as_object().into_iter().flat_map(|map| map.keys());
        for name in names.filter(|name| !known(name)) {
            self.leave(&format!("the field `{name}`"));
        }
    }

    /// `service.detection.sequence`: what was attacked, and the credentials that did it, side by side.
    fn read_sequence(&mut self, sequence: &Value) {
        let users = items(field(sequence, "actors")).into_iter().filter_map(|actor| field(actor, "user"));
        let credentials: Vec<&str> = users.filter_map(|user| text(user, "credentialUid")).collect();
        for resource in items(field(sequence, "resources")) {
            let about = text(resource, "resourceType").unwrap_or_default();
            let uid = text(resource, "uid").or(text(resource, "name"));
            let Some((_, kind)) = SEQUENCE_KINDS.iter().find(|(name, _)| *name == about) else {
                self.leave(&format!("the {about} `{}`", uid.unwrap_or_default()));
                continue;
            };
            let is_ours = |name: &str, own: &str| text(resource, name).is_none_or(|told| told == own);
            if !(is_ours("accountId", self.account) && is_ours("region", self.region)) {
                self.leave(&format!("{kind} `{}` of another account or region", uid.unwrap_or_default()));
                continue;
            }
            let role = if uid.is_some_and(|uid| credentials.contains(&uid)) { Role::Actor } else { Role::Untold };
            let names: Vec<&str> = uid.into_iter().collect();
            let key = field(resource, "data").and_then(|data| field(data, "accessKey"));
            self.add(kind, &names, role, key.unwrap_or(&Value::Null));
        }
    }

    /// Adds a resource once; `names` say which, and `value` tells more of it.
    fn add(&mut self, kind: &'static str, names: &[&str], role: Role, value: &Value) {
        let Some(name) = names.first() else {
            return self.leave(&format!("{kind} without an id"));
        };
        if let Some(foreign) = names.iter().find(|name| name.starts_with("arn:") && !self.is_own(name)) {
            return self.leave(&format!("{kind} `{foreign}` of another account or region"));
        }
        let id = if NAMED_BY_ARN.contains(&kind) { name } else { last_part(kind, name) };
        if id.is_empty() || id.len() > 400 || id.chars().any(char::is_control) {
            return self.leave(&format!("{kind} `{id}`, which is no id"));
        }
        if self.found.resources.iter().any(|one| one.resource.kind == kind && one.resource.id == id) {
            return;
        }
        let own = |text: &str| text.to_owned();
        let resource = Resource { kind: own(kind), id: own(id), account: own(self.account), region: own(self.region) };
        let holder = kind.starts_with("AWS::IAM::").then(|| {
            let told = |name| text(value, name).map(str::to_owned);
            Holder { principal: told("principalId"), name: told("userName"), kind: told("userType") }
        });
        self.found.resources.push(Involved { resource, role, holder });
    }

    /// Whether an ARN is of the finding's account and region, as far as it tells them.
    fn is_own(&self, arn: &str) -> bool {
        Arn::parse(arn).is_some_and(|arn| {
            (arn.account().is_empty() || arn.account() == self.account)
                && (arn.region().is_empty() || arn.region() == self.region)
        })
    }

    fn leave(&mut self, what: &str) {
        if self.found.unread.len() < MOST_UNREAD {
            self.found.unread.push(clean(what, 200));
        }
    }
}

/// The user or the role of a session without an access key, as those of the console are.
fn holder_of_session<'a>(kind: &str, details: &'a Value) -> Option<(&'static str, &'a str)> {
    let holder = match text(details, "userType").filter(|_| kind == "AWS::IAM::AccessKey")? {
        "IAMUser" => "AWS::IAM::User",
        "AssumedRole" | "Role" => "AWS::IAM::Role",
        _ => return None,
    };
    Some((holder, text(details, "userName")?))
}

/// The id in an ARN: `i-1` of `arn:aws:ec2:…:instance/i-1`. What is none is an id itself.
fn last_part<'a>(kind: &str, name: &'a str) -> &'a str {
    let Some(resource) = name.strip_prefix("arn:").and_then(|rest| rest.splitn(5, ':').nth(4)) else {
        return name;
    };
    match kind {
        "AWS::S3::Bucket" | "AWS::S3::Object" => resource,
        // A version may follow.
        "AWS::Lambda::Function" => resource.split(':').nth(1).unwrap_or_default(),
        _ => resource.rsplit(['/', ':']).next().unwrap_or_default(),
    }
}
