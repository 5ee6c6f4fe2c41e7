//! `snapshot-shared`: strangers, or everybody, may make volumes of a snapshot, and so read the disk that it was taken of.
//!
//! ## What it takes back
//! The permissions to make volumes that one call of `ModifySnapshotAttribute` added: that of `all`, and those of accounts that are neither
//! ours nor trusted. Other accounts that the same call added keep theirs.
//!
//! ## Why it is risky
//! Whoever may make a volume of a snapshot has a copy of the whole disk, with the keys and the data on it, and leaves no trace in this
//! account while reading it. Security Hub control EC2.1; MITRE ATT&CK T1537.
//!
//! ## Example
//! `aws ec2 modify-snapshot-attribute --snapshot-id snap-… --create-volume-permission "Add=[{Group=all}]"`: seconds later nobody else may
//! use it.
//!
//! ## Safety
//! Volumes and copies that were made meanwhile stay with who made them. It can be undone: the same accounts get the permission again.
//! Earlier state: the event. It does not tell an account that had the permission before and is added once more: that one loses it, too,
//! unless it is trusted.
//!
//! ## Tags
//! Those of every remediation; `rescind:trusted-accounts` tells who is no stranger.
//!
//! ## References
//! Amazon EC2 API: `ModifySnapshotAttribute`, `DescribeSnapshotAttribute`. Amazon EBS user guide: *Share an Amazon EBS snapshot with other
//! AWS accounts*.

use std::collections::BTreeSet;

use aws_sdk_ec2::types::{OperationType, PermissionGroup, SnapshotAttributeName};
use rescind::arn::is_account;
use rescind_lambda::prelude::*;

use crate::clients::{self, DESCRIBE_TAGS};

#[cfg(test)]
mod tests;

/// See the module.
#[derive(Debug, Clone, Copy)]
pub struct SnapshotShared;

const SNAPSHOT: &str = "AWS::EC2::Snapshot";
const DESCRIBE: &str = "ec2:DescribeSnapshotAttribute";
const MODIFY: &str = "ec2:ModifySnapshotAttribute";

impl Remediation for SnapshotShared {
    const NAME: &'static str = "snapshot-shared";
    const CALLS: &'static [&'static str] = &[MODIFY];
    const OPERATIONS: &'static [Operation] =
        &[Operation::reads(DESCRIBE), Operation::reads(DESCRIBE_TAGS), Operation::changes(MODIFY)];

    /// Whom the call let in: accounts, and `all`.
    type Target = Vec<String>;
    /// A piece for each that is let in.
    type State = Standing;
    type Settings = ();
    type Offender = String;

    fn hear(&self, signal: &Signal, call: &ApiCall) -> Vec<Heard<Vec<String>>> {
        let Some(id) = text(call.request(), "snapshotId") else {
            let resource = signal.resource(SNAPSHOT, "unknown");
            return vec![Heard::unreadable(resource, "the record does not tell whose permissions were changed")];
        };
        let (resource, target) = (signal.resource(SNAPSHOT, id), added(call.request()));
        if target.is_empty() {
            let reason = format!("the call lets nobody else make volumes of {}", clean(id, 40));
            return vec![Heard::harmless(resource, reason)];
        }
        vec![Heard::about(resource, target)]
    }

    fn state_of_event(&self, _: &Resource, target: &Vec<String>, live: Option<&Standing>) -> Option<Standing> {
        let standing = Standing::new(effect).tagged_as(live);
        Some(target.iter().fold(standing, |standing, who| standing.fact(who, true)))
    }

    async fn read(&self, scope: &Scope, resource: &Resource, _: &Vec<String>) -> Result<Standing, CallError> {
        let client = clients::ec2(scope);
        let attribute = client.describe_snapshot_attribute().snapshot_id(&resource.id);
        let attribute = attribute.attribute(SnapshotAttributeName::CreateVolumePermission).send();
        let (permissions, tags) = tokio::join!(Box::pin(attribute), Box::pin(clients::tags(&client, &resource.id)));
        let standing = Standing::new(effect).tagged(tags?);
        let Some(answer) = unless_gone(CallError::or(DESCRIBE, permissions))? else { return Ok(standing) };
        let who = answer.create_volume_permissions().iter().filter_map(|permission| {
            permission.group().map(PermissionGroup::as_str).or(permission.user_id()).map(str::to_owned)
        });
        Ok(who.fold(standing, |standing, who| standing.fact(who, true)))
    }

    fn assess(&self, subject: &Subject<'_, Self>) -> Assessment<String> {
        let Subject { resource, target, state, .. } = subject;
        let friends = subject.friends();
        let strangers: Vec<String> = target.iter().filter(|who| !friends.has_account(who)).cloned().collect();
        let names = |who: &[String]| few(who.iter().map(|who| named(who)).collect());
        if strangers.is_empty() {
            let reason = format!("{} was shared with {}, ours or trusted", resource.id, names(target));
            return Assessment::harmless(reason);
        }
        let reason = format!("{} lets {} make volumes of it, neither ours nor trusted", resource.id, names(&strangers));
        let offenders: Vec<String> = strangers.into_iter().filter(|who| state.get(who).is_some()).collect();
        if offenders.is_empty() {
            return Assessment::already_safe(format!("{reason}; that is over already"));
        }
        let evidence =
            offenders.iter().map(|who| Evidence::new([("snapshot", resource.id.clone()), ("shared with", named(who))]));
        Assessment::risky(reason, evidence.collect(), offenders)
    }

    fn plan(&self, subject: &Subject<'_, Self>, offenders: &[String]) -> Plan {
        let (accounts, groups): (Vec<&String>, Vec<&String>) = offenders.iter().partition(|who| is_account(who));
        let modify = |operation: &str| {
            let mut parameters = json!({
                "SnapshotId": subject.resource.id, "Attribute": "createVolumePermission", "OperationType": operation,
            });
            for (name, who) in [("UserIds", &accounts), ("GroupNames", &groups)] {
                if let (false, Some(parameters)) = (who.is_empty(), parameters.as_object_mut()) {
                    parameters.insert(name.to_owned(), json!(who));
                }
            }
            Call::new(MODIFY, parameters)
        };
        Plan::of([Step::planned(modify("remove"), modify("add"))])
    }

    async fn make(&self, scope: &Scope, call: &Call) -> Result<(), CallError> {
        if call.call != MODIFY {
            return Err(not_ours(call));
        }
        let request = clients::ec2(scope).modify_snapshot_attribute().snapshot_id(parameter(call, "snapshotId")?);
        let request = request.attribute(SnapshotAttributeName::CreateVolumePermission);
        let request = request.operation_type(OperationType::from(parameter(call, "operationType")?));
        let list = |name| Some(texts(field(&call.parameters, name))).filter(|list| !list.is_empty());
        let request = request.set_user_ids(list("userIds")).set_group_names(list("groupNames"));
        CallError::or(MODIFY, request.send().await).map(drop)
    }
}

fn effect(call: &Call) -> Vec<(String, Option<String>)> {
    let value = (text(&call.parameters, "operationType") == Some("add")).then(|| "true".to_owned());
    let who = ["userIds", "groupNames"].into_iter().flat_map(|name| texts(field(&call.parameters, name)));
    who.map(|who| (who, value.clone())).collect()
}

/// Whom a request adds: as elements of `createVolumePermission`, or by the flat parameters that the API has for the same.
fn added(request: &Value) -> Vec<String> {
    let add = field(request, "createVolumePermission").and_then(|changes| field(changes, "add"));
    let is_flat_add = text(request, "operationType").is_some_and(|operation| operation.eq_ignore_ascii_case("add"));
    let flat = ["userIds", "userIdSet", "groupNames", "groupSet"].into_iter().filter(|_| is_flat_add);
    let who = texts(add).into_iter().chain(flat.flat_map(|name| texts(field(request, name))));
    // An account that was written as a number has lost the zeros in front.
    let whole = |who: String| if who.bytes().all(|byte| byte.is_ascii_digit()) { format!("{who:0>12}") } else { who };
    who.map(whole).collect::<BTreeSet<_>>().into_iter().collect()
}

fn named(who: &str) -> String {
    if is_account(who) { format!("account {who}") } else { format!("everybody (group {})", clean(who, 40)) }
}
