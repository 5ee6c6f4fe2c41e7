//! A snapshot of Amazon EBS: whom records tell to be let in, who is, and the call that changes that.

use std::collections::BTreeSet;

use aws_sdk_ec2::types::{OperationType, PermissionGroup, SnapshotAttributeName};
use rescind::arn::is_account;
use rescind_lambda::prelude::*;

use crate::clients::{self, DESCRIBE_TAGS};

/// As AWS Config names the type.
pub const KIND: &str = "AWS::EC2::Snapshot";
/// `DescribeSnapshotAttribute`.
const DESCRIBE: &str = "ec2:DescribeSnapshotAttribute";
/// `ModifySnapshotAttribute`.
pub const MODIFY: &str = "ec2:ModifySnapshotAttribute";

/// All that is called here.
pub const OPERATIONS: &[Operation] =
    &[Operation::reads(DESCRIBE), Operation::reads(DESCRIBE_TAGS), Operation::changes(MODIFY)];

/// A snapshot that nobody else may use: a piece is an account, or `all`.
pub fn standing() -> Standing {
    Standing::new(effect)
}

/// Whom a call of `ModifySnapshotAttribute` lets in besides, by its record.
pub fn heard(signal: &Signal, call: &ApiCall) -> Vec<Heard<Vec<String>>> {
    let Some(id) = text(call.request(), "snapshotId") else {
        let resource = signal.resource(KIND, "unknown");
        return vec![Heard::unreadable(resource, "the record does not tell whose permissions were changed")];
    };
    let (resource, target) = (signal.resource(KIND, id), added(call.request()));
    if target.is_empty() {
        let reason = format!("the call lets nobody else make volumes of {}", clean(id, 40));
        return vec![Heard::harmless(resource, reason)];
    }
    vec![Heard::about(resource, target)]
}

/// Whom a request adds: as elements of `createVolumePermission`, or by the flat parameters that the API has for the same.
pub fn added(request: &Value) -> Vec<String> {
    let add = field(request, "createVolumePermission").and_then(|changes| field(changes, "add"));
    let is_flat_add = text(request, "operationType").is_some_and(|operation| operation.eq_ignore_ascii_case("add"));
    let flat = ["userIds", "userIdSet", "groupNames", "groupSet"].into_iter().filter(|_| is_flat_add);
    let who = texts(add).into_iter().chain(flat.flat_map(|name| texts(field(request, name))));
    // An account that was written as a number has lost the zeros in front.
    let whole = |who: String| if who.bytes().all(|byte| byte.is_ascii_digit()) { format!("{who:0>12}") } else { who };
    who.map(whole).collect::<BTreeSet<_>>().into_iter().collect()
}

/// Who is let in, and the snapshot's tags.
///
/// # Errors
/// When EC2 could not be asked.
pub async fn read(scope: &Scope, resource: &Resource) -> Result<Standing, CallError> {
    let client = clients::ec2(scope);
    let attribute = client.describe_snapshot_attribute().snapshot_id(&resource.id);
    let attribute = attribute.attribute(SnapshotAttributeName::CreateVolumePermission).send();
    let (permissions, tags) = tokio::join!(Box::pin(attribute), Box::pin(clients::tags(&client, &resource.id)));
    let standing = standing().tagged(tags?);
    let Some(answer) = unless_gone(CallError::or(DESCRIBE, permissions))? else { return Ok(standing) };
    let who = answer.create_volume_permissions().iter().filter_map(|permission| {
        permission.group().map(PermissionGroup::as_str).or(permission.user_id()).map(str::to_owned)
    });
    Ok(who.fold(standing, |standing, who| standing.fact(who, true)))
}

/// The call that lets them in (`add`) or out (`remove`).
pub fn modify(resource: &Resource, operation: &str, who: &[String]) -> Call {
    let (accounts, groups): (Vec<&String>, Vec<&String>) = who.iter().partition(|who| is_account(who));
    let mut parameters = json!({
        "SnapshotId": resource.id, "Attribute": "createVolumePermission", "OperationType": operation,
    });
    for (name, who) in [("UserIds", &accounts), ("GroupNames", &groups)] {
        if let (false, Some(parameters)) = (who.is_empty(), parameters.as_object_mut()) {
            parameters.insert(name.to_owned(), json!(who));
        }
    }
    Call::new(MODIFY, parameters)
}

/// Makes the call of this module.
///
/// # Errors
/// When EC2 does not accept it.
pub async fn make(scope: &Scope, call: &Call) -> Result<(), CallError> {
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

fn effect(call: &Call) -> Vec<(String, Option<String>)> {
    let value = (text(&call.parameters, "operationType") == Some("add")).then(|| "true".to_owned());
    let who = ["userIds", "groupNames"].into_iter().flat_map(|name| texts(field(&call.parameters, name)));
    who.map(|who| (who, value.clone())).collect()
}

/// Who is let in, in words.
pub fn named(who: &str) -> String {
    if is_account(who) { format!("account {who}") } else { format!("everybody (group {})", clean(who, 40)) }
}
