//! The changing calls by which an instance is cut off, as data that can be shown, kept and made: parameters as the AWS CLI
//! takes them.
//!
//! A group that is still to be made has no id. In its place stands `rescind-isolated in vpc-…`: the group of that name.

use aws_sdk_ec2::Client;
use aws_sdk_ec2::types::{
    AttributeBooleanValue, CopyTagsFromSource, InstanceSpecification, IpPermission, IpRange, Ipv6Range, ResourceType,
    Tag, TagSpecification,
};
use rescind::Call;
use rescind::signal::{field, items, text};
use rescind_lambda::{CallError, CallFailure, Scope, lacks, not_ours, parameter};
use serde_json::{Value, json};

use crate::instance::{Group, ISOLATED, Interface, OUTCOME_TAG, Rules, State, UNTRACKED, client, find_group, is_open};

/// The IAM actions of these calls.
pub mod action {
    /// `CreateSnapshots`.
    pub const CREATE_SNAPSHOTS: &str = "ec2:CreateSnapshots";
    /// `CreateSecurityGroup`.
    pub const CREATE_GROUP: &str = "ec2:CreateSecurityGroup";
    /// `AuthorizeSecurityGroupIngress`.
    pub const AUTHORIZE_INGRESS: &str = "ec2:AuthorizeSecurityGroupIngress";
    /// `AuthorizeSecurityGroupEgress`.
    pub const AUTHORIZE_EGRESS: &str = "ec2:AuthorizeSecurityGroupEgress";
    /// `RevokeSecurityGroupIngress`.
    pub const REVOKE_INGRESS: &str = "ec2:RevokeSecurityGroupIngress";
    /// `RevokeSecurityGroupEgress`.
    pub const REVOKE_EGRESS: &str = "ec2:RevokeSecurityGroupEgress";
    /// `ModifyNetworkInterfaceAttribute`.
    pub const MODIFY_INTERFACE: &str = "ec2:ModifyNetworkInterfaceAttribute";
    /// `ModifyInstanceAttribute`.
    pub const MODIFY_INSTANCE: &str = "ec2:ModifyInstanceAttribute";
    /// `CreateTags`.
    pub const CREATE_TAGS: &str = "ec2:CreateTags";
    /// `DeleteTags`.
    pub const DELETE_TAGS: &str = "ec2:DeleteTags";
}

/// Begins snapshots of all volumes of an instance.
pub fn snapshots(instance: &str, outcome: &str) -> Call {
    let tags = json!([{"Key": OUTCOME_TAG, "Value": outcome}]);
    call(
        action::CREATE_SNAPSHOTS,
        json!({"InstanceSpecification": {"InstanceId": instance}, "CopyTagsFromSource": "volume",
            "TagSpecifications": [{"ResourceType": "snapshot", "Tags": tags}]}),
    )
}

/// Makes one of our groups. A description has no spaces for the same reason as names have none.
pub fn create_group(name: &str, vpc: &str) -> Call {
    call(action::CREATE_GROUP, json!({"GroupName": name, "Description": name, "VpcId": vpc}))
}

/// Takes away what the new isolating group lets out: where the VPC has IPv6 addresses, a new group has a rule for these, too.
pub fn close_isolated(group: &str) -> [Call; 2] {
    ["v4", "v6"].map(|family| call(action::REVOKE_EGRESS, json!({"GroupId": group, "IpPermissions": [world(family)]})))
}

/// Lets everything in and out by the other group, so that its connections are not tracked.
pub fn open_untracked(group: &str) -> [Call; 2] {
    [call(action::AUTHORIZE_INGRESS, everything(group)), call(action::AUTHORIZE_EGRESS, everything(group))]
}

/// Takes that away again.
pub fn close_untracked(group: &str) -> [Call; 2] {
    [call(action::REVOKE_INGRESS, everything(group)), call(action::REVOKE_EGRESS, everything(group))]
}

fn everything(group: &str) -> Value {
    json!({"GroupId": group, "IpPermissions": [world("v4"), world("v6")]})
}

/// Gives a network interface this group, and no other.
pub fn swap(interface: &str, group: &str) -> Call {
    swap_back(interface, &[group.to_owned()])
}

/// Gives a network interface these groups, and no others.
pub fn swap_back(interface: &str, groups: &[String]) -> Call {
    call(action::MODIFY_INTERFACE, json!({"NetworkInterfaceId": interface, "Groups": groups}))
}

/// Sets termination protection.
pub fn protect(instance: &str, is_protected: bool) -> Call {
    let value = json!({"InstanceId": instance, "DisableApiTermination": {"Value": is_protected}});
    call(action::MODIFY_INSTANCE, value)
}

/// Sets tags of an instance.
pub fn tag(instance: &str, tags: &[(String, String)]) -> Call {
    let tags: Vec<Value> = tags.iter().map(|(key, value)| json!({"Key": key, "Value": value})).collect();
    call(action::CREATE_TAGS, json!({"Resources": [instance], "Tags": tags}))
}

/// Removes tags of an instance, as far as they still have these values.
pub fn untag(instance: &str, tags: &[(String, String)]) -> Call {
    Call { call: action::DELETE_TAGS.to_owned(), ..tag(instance, tags) }
}

/// The name of a group of ours that is still to be made.
pub fn unmade(name: &str, vpc: &str) -> String {
    format!("{name} in {vpc}")
}

fn call(action: &str, parameters: Value) -> Call {
    Call { call: action.to_owned(), parameters }
}

fn world(family: &str) -> Value {
    if family == "v4" {
        json!({"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]})
    } else {
        json!({"IpProtocol": "-1", "Ipv6Ranges": [{"CidrIpv6": "::/0"}]})
    }
}

fn pairs(parameters: &Value) -> Vec<(String, String)> {
    let pair = |tag| Some((text(tag, "key")?.to_owned(), text(tag, "value").unwrap_or_default().to_owned()));
    items(field(parameters, "tags")).into_iter().filter_map(pair).collect()
}

fn texts(parameters: &Value, name: &str) -> Vec<String> {
    items(field(parameters, name)).into_iter().filter_map(|one| one.as_str().map(str::to_owned)).collect()
}

/// What a call of this module makes of a state.
pub fn applied(state: &State, call: &Call) -> State {
    let mut after = state.clone();
    after.ties.apply(call);
    let named = &call.parameters;
    let is_of = |name: &str, group: &Option<Group>| {
        text(named, "groupId")
            .is_some_and(|id| id.starts_with(name) || group.as_ref().is_some_and(|group| group.id == id))
    };
    let is_named = |name: &str| text(named, "groupName") == Some(name);
    let made = |name: &str, vpc: &str| Some(Group { id: unmade(name, vpc), rules: Rules::AsMade });
    let vpc = text(named, "vpcId").unwrap_or_default();
    match call.call.as_str() {
        action::CREATE_SNAPSHOTS => after.has_snapshots = true,
        action::CREATE_GROUP if is_named(ISOLATED) && after.isolated.is_none() => after.isolated = made(ISOLATED, vpc),
        action::CREATE_GROUP if is_named(UNTRACKED) && after.untracked.is_none() => {
            after.untracked = made(UNTRACKED, vpc);
        }
        action::REVOKE_EGRESS if is_of(ISOLATED, &state.isolated) => {
            let is_made = |group: &&mut Group| matches!(group.rules, Rules::AsMade | Rules::HalfClosed);
            if let Some(group) = after.isolated.as_mut().filter(is_made) {
                group.rules = Rules::Nothing;
            }
        }
        action::REVOKE_INGRESS | action::REVOKE_EGRESS if is_of(UNTRACKED, &state.untracked) => {
            if let Some(group) = &mut after.untracked {
                group.rules = Rules::Nothing;
            }
        }
        action::AUTHORIZE_INGRESS | action::AUTHORIZE_EGRESS if is_of(UNTRACKED, &state.untracked) => {
            if let Some(group) = &mut after.untracked {
                group.rules = Rules::Everything;
            }
        }
        _ => {}
    }
    let resolved = |named: String| {
        let ours = [(ISOLATED, &state.isolated), (UNTRACKED, &state.untracked)];
        let ours = ours.into_iter().find(|(name, _)| named.starts_with(name)).and_then(|(_, group)| group.as_ref());
        ours.map_or(named, |group| group.id.clone())
    };
    let Some(instance) = &mut after.instance else { return after };
    match call.call.as_str() {
        action::MODIFY_INTERFACE => {
            let is_it = |one: &&mut Interface| text(named, "networkInterfaceId") == Some(one.id.as_str());
            if let Some(interface) = instance.interfaces.iter_mut().find(is_it) {
                interface.groups = texts(named, "groups").into_iter().map(resolved).collect();
            }
        }
        action::MODIFY_INSTANCE => {
            let value = field(named, "disableApiTermination").and_then(|one| field(one, "value"));
            instance.is_protected = value.and_then(Value::as_bool).unwrap_or(instance.is_protected);
        }
        action::CREATE_TAGS => {
            for (key, value) in pairs(named) {
                match instance.tags.iter_mut().find(|(one, _)| *one == key) {
                    Some((_, old)) => *old = value,
                    None => instance.tags.push((key, value)),
                }
            }
        }
        action::DELETE_TAGS => {
            let gone = pairs(named);
            instance.tags.retain(|tag| !gone.contains(tag));
        }
        _ => {}
    }
    after
}

/// Makes one of the calls of this module. A group that is there already, a rule that is there already and one that is gone
/// already are as they should be.
///
/// # Errors
/// When EC2 does not accept it, the call is none of these, or a group that is to isolate lets something through.
pub async fn make(scope: &Scope, call: &Call) -> Result<(), CallError> {
    let client = client(scope);
    let named = &call.parameters;
    match call.call.as_str() {
        action::CREATE_SNAPSHOTS => create_snapshots(&client, call).await,
        action::CREATE_GROUP => {
            let request = client.create_security_group().group_name(parameter(call, "groupName")?);
            let request = request.description(parameter(call, "description")?).vpc_id(parameter(call, "vpcId")?);
            match CallError::or(action::CREATE_GROUP, request.send().await) {
                // Somebody else, or an earlier try of this very call, made it.
                Err(error) if error.failure == CallFailure::Exists => Ok(()),
                answer => answer.map(drop),
            }
        }
        action::REVOKE_EGRESS | action::REVOKE_INGRESS | action::AUTHORIZE_EGRESS | action::AUTHORIZE_INGRESS => {
            change_rules(&client, call).await
        }
        action::MODIFY_INTERFACE => {
            let mut groups = Vec::new();
            for group in texts(named, "groups") {
                groups.push(resolve_closed(&client, &group).await?);
            }
            let request = client.modify_network_interface_attribute().set_groups(Some(groups));
            let answer = request.network_interface_id(parameter(call, "networkInterfaceId")?).send().await;
            CallError::or(action::MODIFY_INTERFACE, answer).map(drop)
        }
        action::MODIFY_INSTANCE => {
            let value =
                field(named, "disableApiTermination").and_then(|one| field(one, "value")).and_then(Value::as_bool);
            let value = AttributeBooleanValue::builder().set_value(value).build();
            let request = client.modify_instance_attribute().instance_id(parameter(call, "instanceId")?);
            let answer = request.disable_api_termination(value).send().await;
            CallError::or(action::MODIFY_INSTANCE, answer).map(drop)
        }
        action::CREATE_TAGS => {
            let request = client.create_tags().set_resources(Some(texts(named, "resources")));
            let answer = request.set_tags(Some(tags(named))).send().await;
            CallError::or(action::CREATE_TAGS, answer).map(drop)
        }
        action::DELETE_TAGS => {
            let request = client.delete_tags().set_resources(Some(texts(named, "resources")));
            let answer = request.set_tags(Some(tags(named))).send().await;
            CallError::or(action::DELETE_TAGS, answer).map(drop)
        }
        _ => Err(not_ours(call)),
    }
}

/// Adds or removes the rules of one of our groups. EC2 makes none when a single one is there already, and takes none when
/// one is not, so they are gone through one by one then; the ones in question are as they should be.
async fn change_rules(client: &Client, call: &Call) -> Result<(), CallError> {
    let named = &call.parameters;
    let group = resolve(client, parameter(call, "groupId")?).await?;
    let is_opening = [action::AUTHORIZE_INGRESS, action::AUTHORIZE_EGRESS].contains(&call.call.as_str());
    if is_opening && is_open(client, &group).await? {
        return Ok(());
    }
    let is_as_asked = |error: &CallError| matches!(error.failure, CallFailure::Exists | CallFailure::Gone);
    let all = permissions(named);
    match change_at_once(client, call, &group, all.clone()).await {
        Err(error) if is_as_asked(&error) && all.len() == 1 => return Ok(()),
        Err(error) if is_as_asked(&error) => {}
        answer => return answer,
    }
    for permission in all {
        match change_at_once(client, call, &group, vec![permission]).await {
            Err(error) if is_as_asked(&error) => {}
            answer => answer?,
        }
    }
    Ok(())
}

async fn change_at_once(client: &Client, call: &Call, group: &str, rules: Vec<IpPermission>) -> Result<(), CallError> {
    let rules = Some(rules);
    match call.call.as_str() {
        action::REVOKE_INGRESS => {
            let request = client.revoke_security_group_ingress().group_id(group).set_ip_permissions(rules);
            let answer = request.send().await;
            CallError::or(action::REVOKE_INGRESS, answer).map(drop)
        }
        action::REVOKE_EGRESS => {
            let request = client.revoke_security_group_egress().group_id(group).set_ip_permissions(rules);
            let answer = request.send().await;
            CallError::or(action::REVOKE_EGRESS, answer).map(drop)
        }
        action::AUTHORIZE_INGRESS => {
            let request = client.authorize_security_group_ingress().group_id(group).set_ip_permissions(rules);
            let answer = request.send().await;
            CallError::or(action::AUTHORIZE_INGRESS, answer).map(drop)
        }
        _ => {
            let request = client.authorize_security_group_egress().group_id(group).set_ip_permissions(rules);
            let answer = request.send().await;
            CallError::or(action::AUTHORIZE_EGRESS, answer).map(drop)
        }
    }
}

async fn create_snapshots(client: &Client, call: &Call) -> Result<(), CallError> {
    let named = &call.parameters;
    let instance = field(named, "instanceSpecification").and_then(|one| text(one, "instanceId"));
    let instance = instance.ok_or_else(|| lacks(call, "instanceId"))?;
    let instance = InstanceSpecification::builder().instance_id(instance).build();
    let specification =
        |one| TagSpecification::builder().resource_type(ResourceType::Snapshot).set_tags(Some(tags(one))).build();
    let specifications = items(field(named, "tagSpecifications")).into_iter().map(specification).collect();
    let request = client.create_snapshots().instance_specification(instance);
    let request =
        request.copy_tags_from_source(CopyTagsFromSource::Volume).set_tag_specifications(Some(specifications));
    let answer = request.send().await;
    CallError::or(action::CREATE_SNAPSHOTS, answer).map(drop)
}

/// The id of a group: as it stands, or that of the group of ours that was made meanwhile.
async fn resolve(client: &Client, group: &str) -> Result<String, CallError> {
    let Some((name, vpc)) = group.split_once(" in ") else { return Ok(group.to_owned()) };
    let found = find_group(client, name, vpc).await?;
    found.map(|group| group.id).ok_or_else(|| refused(format!("{vpc} has no group {name}")))
}

/// As [`resolve`]. A group that was just made is read back: the isolating one has to let nothing through.
async fn resolve_closed(client: &Client, group: &str) -> Result<String, CallError> {
    match group.split_once(" in ") {
        Some((ISOLATED, vpc)) => match find_group(client, ISOLATED, vpc).await? {
            Some(group) if group.rules == Rules::Nothing => Ok(group.id),
            Some(group) => Err(refused(format!("{} is to isolate, and lets something through", group.id))),
            None => Err(refused(format!("{vpc} has no group {ISOLATED}"))),
        },
        _ => resolve(client, group).await,
    }
}

fn refused(message: String) -> CallError {
    CallError::malformed(action::MODIFY_INTERFACE, message)
}

fn tags(named: &Value) -> Vec<Tag> {
    pairs(named).into_iter().map(|(key, value)| Tag::builder().key(key).value(value).build()).collect()
}

fn permissions(named: &Value) -> Vec<IpPermission> {
    let permission = |one: &Value| {
        let v4 = items(field(one, "ipRanges")).into_iter().filter_map(|range| text(range, "cidrIp"));
        let v6 = items(field(one, "ipv6Ranges")).into_iter().filter_map(|range| text(range, "cidrIpv6"));
        let v4: Vec<IpRange> = v4.map(|range| IpRange::builder().cidr_ip(range).build()).collect();
        let v6: Vec<Ipv6Range> = v6.map(|range| Ipv6Range::builder().cidr_ipv6(range).build()).collect();
        let some = |is_empty: bool| !is_empty;
        IpPermission::builder()
            .set_ip_protocol(text(one, "ipProtocol").map(str::to_owned))
            .set_ip_ranges(some(v4.is_empty()).then_some(v4))
            .set_ipv6_ranges(some(v6.is_empty()).then_some(v6))
            .build()
    };
    items(field(named, "ipPermissions")).into_iter().map(permission).collect()
}
