//! How an instance stands, and the two security groups of its VPC by which it is cut off.

use std::sync::Arc;

use aws_sdk_ec2::Client;
use aws_sdk_ec2::types::{Filter, InstanceAttributeName, InstanceNetworkInterface, IpPermission};
use rescind::Call;
use rescind::journal::Facts;
use rescind::signal::{Resource, field, items, text};
use rescind_lambda::{CallError, CallFailure, ResourceState, Scope, client};
use serde_json::Value;

use crate::containment;
use crate::detachment::Ties;

/// The IAM actions of what is called.
pub mod action {
    /// `DescribeInstances`.
    pub const DESCRIBE: &str = "ec2:DescribeInstances";
    /// `DescribeInstanceAttribute`.
    pub const DESCRIBE_ATTRIBUTE: &str = "ec2:DescribeInstanceAttribute";
    /// `DescribeSecurityGroups`.
    pub const DESCRIBE_GROUPS: &str = "ec2:DescribeSecurityGroups";
    /// `DescribeSnapshots`.
    pub const DESCRIBE_SNAPSHOTS: &str = "ec2:DescribeSnapshots";
    /// `GetConsoleOutput`.
    pub const CONSOLE_OUTPUT: &str = "ec2:GetConsoleOutput";
}

/// As AWS Config names the type.
pub const KIND: &str = "AWS::EC2::Instance";

/// The security group that lets nothing in or out.
pub const ISOLATED: &str = "rescind-isolated";
/// The security group whose connections are not tracked.
pub const UNTRACKED: &str = "rescind-untracked";

/// What begins the keys of the tags that a contained instance has.
pub const MARK: &str = "rescind:";
/// The tag on snapshots that tells for which outcome they were begun.
pub const OUTCOME_TAG: &str = "rescind:outcome";

/// How an instance stands.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct State {
    /// The instance; `None` when it is gone, or about to be.
    pub instance: Option<Instance>,
    /// The group of its VPC that lets nothing through.
    pub isolated: Option<Group>,
    /// The group of its VPC whose connections are not tracked.
    pub untracked: Option<Group>,
    /// Snapshots of its volumes have been begun for this outcome.
    pub has_snapshots: bool,
    /// The end of what it wrote to its console, as far as that could be read.
    pub console: Option<String>,
    /// What it belongs to, as far as the settings, or the steps to be undone, ask for it.
    pub ties: Ties,
    /// The ids of other instances with the instance profile that the finding tells, as far as they could be read.
    pub sharers: Vec<String>,
    /// Nothing was read: this is what the event alone tells.
    pub is_from_event: bool,
}

/// An instance.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Instance {
    /// Its id.
    pub id: String,
    /// Its VPC.
    pub vpc: String,
    /// What it was started from, as what, when and with which instance profile: for people.
    pub description: String,
    /// The ARN of its instance profile.
    pub profile: Option<String>,
    /// Its tags.
    pub tags: Vec<(String, String)>,
    /// Its network interfaces.
    pub interfaces: Vec<Interface>,
    /// It can't be terminated by an API call.
    pub is_protected: bool,
    /// A Spot Instance can't be protected.
    pub is_spot: bool,
    /// Ways to the network that the groups of its VPC don't cut off: for people.
    pub uncut: Vec<String>,
}

impl Instance {
    /// The instance as a finding tells it: its interfaces and their groups.
    pub fn told(detail: &Value, id: &str) -> Self {
        let details = field(detail, "resource").and_then(|resource| field(resource, "instanceDetails"));
        let details = details.filter(|details| text(details, "instanceId") == Some(id));
        let interfaces = items(details.and_then(|details| field(details, "networkInterfaces")));
        let interface = |interface: &&Value| {
            let groups = items(field(interface, "securityGroups"));
            let groups = groups.into_iter().filter_map(|group| text(group, "groupId").map(str::to_owned)).collect();
            Some(Interface { id: text(interface, "networkInterfaceId")?.to_owned(), groups })
        };
        let vpc = interfaces.iter().find_map(|interface| text(interface, "vpcId")).unwrap_or("its VPC");
        let profile = details.and_then(|details| field(details, "iamInstanceProfile"));
        let profile = profile.and_then(|profile| text(profile, "arn"));
        Self {
            id: id.to_owned(),
            vpc: vpc.to_owned(),
            description: "as the finding tells it".to_owned(),
            profile: profile.map(str::to_owned),
            interfaces: interfaces.iter().filter_map(interface).collect(),
            ..Self::default()
        }
    }
}

/// A network interface.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Interface {
    /// Its id.
    pub id: String,
    /// The ids of its security groups, in their order.
    pub groups: Vec<String>,
}

/// A security group of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Its id.
    pub id: String,
    /// What it lets through.
    pub rules: Rules,
}

/// What a security group of ours lets through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rules {
    /// Nothing.
    Nothing,
    /// Everything out, as a new group does.
    AsMade,
    /// Everything out by IPv6, as a new group does that is not closed altogether.
    HalfClosed,
    /// Everything in and out.
    Everything,
    /// Everything in, or a part of it: as between two calls of ours.
    HalfOpen,
    /// Something else.
    Others,
}

/// The client of EC2.
pub(crate) fn client(scope: &Scope) -> Arc<Client> {
    client!(scope, aws_sdk_ec2)
}

impl State {
    /// Reads the instance, and side by side what is needed to contain it for `outcome`. `profile` is the ARN of its instance
    /// profile as the finding tells it: who else has it, could be asked only after the instance is known, else.
    ///
    /// # Errors
    /// When EC2 could not be asked. What is only evidence is no error here: nothing waits for it.
    pub async fn read(
        scope: &Scope,
        resource: &Resource,
        outcome: &str,
        profile: Option<&str>,
    ) -> Result<Self, CallError> {
        let client = client(scope);
        let (instance, is_protected, groups, has_snapshots, console, sharers) = tokio::join!(
            Box::pin(read_instance(&client, &resource.id)),
            Box::pin(read_protection(&client, &resource.id)),
            Box::pin(read_groups(&client)),
            Box::pin(read_snapshots(&client, outcome)),
            Box::pin(read_console(&client, &resource.id)),
            Box::pin(read_sharers(&client, &resource.id, profile)),
        );
        let Some(mut instance) = instance? else { return Ok(Self::default()) };
        instance.is_protected = is_protected?;
        let mut groups = groups?;
        groups.retain(|(_, vpc, _)| *vpc == instance.vpc);
        let of_name = |name: &str| groups.iter().find(|(one, ..)| one == name).map(|(_, _, group)| group.clone());
        Ok(Self {
            isolated: of_name(ISOLATED),
            untracked: of_name(UNTRACKED),
            instance: Some(instance),
            has_snapshots,
            console,
            ties: Ties::default(),
            sharers,
            is_from_event: false,
        })
    }

    /// Whether nothing gets through a network interface: it has the isolating group and no other, and that group has no rule.
    pub fn is_isolated(&self, interface: &Interface) -> bool {
        self.has_isolating_group(interface) && self.isolated.as_ref().is_some_and(|group| group.rules == Rules::Nothing)
    }

    /// Whether a network interface has the isolating group, and no other, whatever that lets through.
    pub fn has_isolating_group(&self, interface: &Interface) -> bool {
        let isolated = self.isolated.as_ref().map(|group| group.id.as_str());
        isolated.is_some_and(|isolated| interface.groups.iter().map(String::as_str).eq([isolated]))
    }
}

/// Describes an instance; `None` when it is gone, or about to be.
pub(crate) async fn describe(client: &Client, id: &str) -> Result<Option<aws_sdk_ec2::types::Instance>, CallError> {
    let answer = client.describe_instances().instance_ids(id).send().await;
    let answer = match CallError::or(action::DESCRIBE, answer) {
        Err(error) if error.failure == CallFailure::Gone => return Ok(None),
        answer => answer?,
    };
    let mut found = answer.reservations().iter().flat_map(aws_sdk_ec2::types::Reservation::instances);
    let is_gone =
        |instance: &aws_sdk_ec2::types::Instance| ["terminated", "shutting-down"].contains(&lifecycle_state(instance));
    Ok(found.find(|instance| instance.instance_id() == Some(id)).filter(|instance| !is_gone(instance)).cloned())
}

/// `running`, `stopped` and so on.
pub(crate) fn lifecycle_state(instance: &aws_sdk_ec2::types::Instance) -> &str {
    instance.state().and_then(|state| state.name()).map_or("unknown", |name| name.as_str())
}

/// The tags of an instance.
pub(crate) fn tags(instance: &aws_sdk_ec2::types::Instance) -> Vec<(String, String)> {
    let pair =
        |tag: &aws_sdk_ec2::types::Tag| Some((tag.key()?.to_owned(), tag.value().unwrap_or_default().to_owned()));
    instance.tags().iter().filter_map(pair).collect()
}

async fn read_instance(client: &Client, id: &str) -> Result<Option<Instance>, CallError> {
    let Some(instance) = describe(client, id).await? else { return Ok(None) };
    // It may have interfaces in other VPCs, whose groups are others.
    let is_elsewhere = |interface: &&InstanceNetworkInterface| {
        interface.vpc_id().zip(instance.vpc_id()).is_some_and(|(of, own)| of != own)
    };
    let all = || instance.network_interfaces().iter();
    let interfaces = all().filter(|interface| !is_elsewhere(interface)).filter_map(|interface| {
        let groups = interface.groups().iter().filter_map(|group| group.group_id().map(str::to_owned)).collect();
        Some(Interface { id: interface.network_interface_id()?.to_owned(), groups })
    });
    let named = |interface: &InstanceNetworkInterface| interface.network_interface_id().unwrap_or_default().to_owned();
    let elsewhere = all().filter(is_elsewhere);
    let elsewhere = elsewhere.map(|one| {
        format!("its interface {} is in {}, and is not cut off", named(one), one.vpc_id().unwrap_or_default())
    });
    let trunks = all().filter(|interface| interface.interface_type() == Some("trunk"));
    let trunks = trunks.map(|one| format!("branches of its trunk interface {} are not cut off", named(one)));
    let uncut = elsewhere.chain(trunks).collect();
    let profile = instance.iam_instance_profile().and_then(|profile| profile.arn());
    let launched = instance.launch_time().map_or_else(String::new, ToString::to_string);
    let description = format!(
        "{}, {} of {}, launched {launched}, private address {}, public address {}, instance profile {}",
        lifecycle_state(&instance),
        instance.instance_type().map_or("unknown", |kind| kind.as_str()),
        instance.image_id().unwrap_or("unknown"),
        instance.private_ip_address().unwrap_or("none"),
        instance.public_ip_address().unwrap_or("none"),
        profile.unwrap_or("none"),
    );
    Ok(Some(Instance {
        id: id.to_owned(),
        vpc: instance.vpc_id().unwrap_or_default().to_owned(),
        description,
        profile: profile.map(str::to_owned),
        tags: tags(&instance),
        interfaces: interfaces.collect(),
        is_protected: false,
        is_spot: instance.instance_lifecycle().is_some_and(|lifecycle| lifecycle.as_str() == "spot"),
        uncut,
    }))
}

async fn read_protection(client: &Client, id: &str) -> Result<bool, CallError> {
    let attribute = InstanceAttributeName::DisableApiTermination;
    let answer = client.describe_instance_attribute().instance_id(id).attribute(attribute).send().await;
    match CallError::or(action::DESCRIBE_ATTRIBUTE, answer) {
        Ok(answer) => Ok(answer
            .disable_api_termination()
            .and_then(aws_sdk_ec2::types::AttributeBooleanValue::value)
            .unwrap_or_default()),
        // That it is gone, its description tells.
        Err(error) if error.failure == CallFailure::Gone => Ok(false),
        Err(error) => Err(error),
    }
}

/// Our groups of every VPC: name, VPC, and what they let through.
async fn read_groups(client: &Client) -> Result<Vec<(String, String, Group)>, CallError> {
    let names = Filter::builder().name("group-name").values(ISOLATED).values(UNTRACKED).build();
    let mut pages = client.describe_security_groups().filters(names).into_paginator().send();
    let mut groups = Vec::new();
    while let Some(page) = pages.next().await {
        let page = CallError::or(action::DESCRIBE_GROUPS, page)?;
        groups.extend(page.security_groups().iter().filter_map(|group| {
            let rules = Rules::of(group.ip_permissions(), group.ip_permissions_egress());
            let ours = Group { id: group.group_id()?.to_owned(), rules };
            Some((group.group_name()?.to_owned(), group.vpc_id()?.to_owned(), ours))
        }));
    }
    Ok(groups)
}

/// The id of one of our groups in a VPC, read once more before it is used: made a moment ago, it was in no state.
pub(crate) async fn find_group(client: &Client, name: &str, vpc: &str) -> Result<Option<Group>, CallError> {
    let groups = read_groups(client).await?;
    Ok(groups.into_iter().find(|(one, of, _)| one == name && of == vpc).map(|(_, _, group)| group))
}

/// Whether a group lets everything in and out at this moment.
pub(crate) async fn is_open(client: &Client, group: &str) -> Result<bool, CallError> {
    let answer = client.describe_security_groups().group_ids(group).send().await;
    let answer = CallError::or(action::DESCRIBE_GROUPS, answer)?;
    let mut all = answer.security_groups().iter();
    Ok(all.any(|group| Rules::of(group.ip_permissions(), group.ip_permissions_egress()) == Rules::Everything))
}

async fn read_snapshots(client: &Client, outcome: &str) -> bool {
    let tag = Filter::builder().name(format!("tag:{OUTCOME_TAG}")).values(outcome).build();
    let answer = client.describe_snapshots().owner_ids("self").filters(tag).send().await;
    answer.is_ok_and(|answer| !answer.snapshots().is_empty())
}

/// The end of the console's output. Amazon EC2 keeps the latest 64 KB, encoded in Base64.
async fn read_console(client: &Client, id: &str) -> Option<String> {
    let answer = client.get_console_output().instance_id(id).send().await.ok()?;
    let bytes = aws_smithy_types::base64::decode(answer.output()?).ok()?;
    let text = String::from_utf8_lossy(&bytes);
    let from = text.chars().count().saturating_sub(300);
    Some(rescind::text::clean(&text.chars().skip(from).collect::<String>(), 300))
}

/// The ids of the other instances that have an instance profile: these have the same role.
async fn read_sharers(client: &Client, id: &str, profile: Option<&str>) -> Vec<String> {
    let Some(profile) = profile else { return Vec::new() };
    let of_profile = Filter::builder().name("iam-instance-profile.arn").values(profile).build();
    let alive = ["pending", "running", "stopping", "stopped"].map(str::to_owned).to_vec();
    let alive = Filter::builder().name("instance-state-name").set_values(Some(alive)).build();
    let Ok(answer) = client.describe_instances().filters(of_profile).filters(alive).send().await else {
        return Vec::new();
    };
    let found = answer.reservations().iter().flat_map(aws_sdk_ec2::types::Reservation::instances);
    let mut ids: Vec<String> = found.filter_map(|one| one.instance_id().map(str::to_owned)).collect();
    ids.retain(|one| one != id);
    ids.sort();
    ids
}

impl Rules {
    fn of(ingress: &[IpPermission], egress: &[IpPermission]) -> Self {
        let is_world = |permissions: &[IpPermission]| {
            permissions.iter().all(|permission| {
                permission.ip_protocol() == Some("-1")
                    && permission.prefix_list_ids().is_empty()
                    && permission.user_id_group_pairs().is_empty()
                    && permission.ip_ranges().iter().all(|range| range.cidr_ip() == Some("0.0.0.0/0"))
                    && permission.ipv6_ranges().iter().all(|range| range.cidr_ipv6() == Some("::/0"))
            })
        };
        let has_v4 = |permissions: &[IpPermission]| permissions.iter().any(|one| !one.ip_ranges().is_empty());
        let has_v6 = |permissions: &[IpPermission]| permissions.iter().any(|one| !one.ipv6_ranges().is_empty());
        let is_all = |permissions: &[IpPermission]| is_world(permissions) && has_v4(permissions) && has_v6(permissions);
        match (ingress, egress) {
            ([], []) => Self::Nothing,
            // Of IPv6, too, where the VPC has it.
            ([], _) if is_world(egress) && has_v4(egress) => Self::AsMade,
            ([], _) if is_world(egress) => Self::HalfClosed,
            ([], _) => Self::Others,
            _ if is_all(ingress) && is_all(egress) => Self::Everything,
            _ if is_world(ingress) && is_world(egress) => Self::HalfOpen,
            _ => Self::Others,
        }
    }
}

impl ResourceState for State {
    fn id(&self) -> Option<&str> {
        self.instance.as_ref().map(|instance| instance.id.as_str())
    }

    fn tags(&self) -> &[(String, String)] {
        self.instance.as_ref().map(|instance| instance.tags.as_slice()).unwrap_or_default()
    }

    /// The groups of each interface, its protection, our tags, and what it belongs to where it is taken out of that: what is
    /// changed, and what has to be as it was for an undo.
    fn facts(&self) -> Facts {
        let Some(instance) = &self.instance else { return Facts::new() };
        let groups = instance.interfaces.iter().map(|interface| {
            let mut groups = interface.groups.clone();
            groups.sort();
            (format!("network interface {}", interface.id), groups.join(" "))
        });
        let marks = instance.tags.iter().filter(|(key, _)| key.starts_with(MARK));
        let marks = marks.map(|(key, value)| (format!("tag {key}"), value.clone()));
        let protection = ("termination protection".to_owned(), instance.is_protected.to_string());
        groups.chain(marks).chain([protection]).chain(self.ties.facts()).collect()
    }

    fn after(&self, call: &Call) -> Self {
        containment::applied(self, call)
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_ec2::types::{IpRange, Ipv6Range};

    use super::*;

    #[test]
    fn a_new_group_lets_everything_out_by_ipv6_too_where_its_vpc_has_it() {
        let world = IpPermission::builder().ip_protocol("-1");
        let v4 = world.clone().ip_ranges(IpRange::builder().cidr_ip("0.0.0.0/0").build()).build();
        let v6 = world.ipv6_ranges(Ipv6Range::builder().cidr_ipv6("::/0").build()).build();
        for made in [vec![v4.clone(), v6.clone()], vec![v4.clone()]] {
            assert_eq!(Rules::of(&[], &made), Rules::AsMade, "{made:?}");
        }
        assert_eq!(Rules::of(&[], &[v6]), Rules::HalfClosed);
        let inside = IpPermission::builder().ip_protocol("-1");
        let inside = inside.ip_ranges(IpRange::builder().cidr_ip("10.0.0.0/8").build()).build();
        assert_eq!(Rules::of(&[], &[v4, inside]), Rules::Others);
    }
}
