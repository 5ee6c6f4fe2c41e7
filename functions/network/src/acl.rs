//! How a network ACL stands, how it stood, and the calls that change one of its inbound entries.

use std::sync::Arc;

use aws_sdk_ec2::Client;
use aws_sdk_ec2::operation::describe_network_acls::DescribeNetworkAclsOutput;
use aws_sdk_ec2::types::{IcmpTypeCode, PortRange, RuleAction};
use chrono::{DateTime, Utc};
use rescind::Snapshot;
use rescind::ports::Guards;
use rescind_lambda::CallFailure;
use rescind_lambda::prelude::*;

use crate::entry::Entry;

/// As AWS Config names the type.
pub const KIND: &str = "AWS::EC2::NetworkAcl";

/// `DescribeNetworkAcls`.
pub const DESCRIBE: &str = "ec2:DescribeNetworkAcls";
/// `CreateNetworkAclEntry`.
pub const CREATE: &str = "ec2:CreateNetworkAclEntry";
/// `DeleteNetworkAclEntry`.
pub const DELETE: &str = "ec2:DeleteNetworkAclEntry";
/// `ReplaceNetworkAclEntry`.
pub const REPLACE: &str = "ec2:ReplaceNetworkAclEntry";

/// All that is called here.
pub const OPERATIONS: &[Operation] = &[
    Operation::reads(DESCRIBE),
    EARLIER_STATE_OPERATIONS[0],
    EARLIER_STATE_OPERATIONS[1],
    Operation::changes(DELETE),
    Operation::changes(CREATE),
    Operation::changes(REPLACE),
];

/// The entry that a call made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Made {
    /// As it was made.
    pub entry: Entry,
    /// When it took the place of another one; `None` where there was none.
    pub replaced: Option<DateTime<Utc>>,
}

impl Made {
    /// What a record tells.
    pub fn heard(signal: &Signal, call: &ApiCall) -> Vec<Heard<Self>> {
        let request = call.request();
        let resource = signal.resource(KIND, text(request, "networkAclId").unwrap_or("unknown"));
        let says = |name, what| texts(field(request, name)).iter().any(|word| word.eq_ignore_ascii_case(what));
        let is_egress = says("egress", "true") || field(request, "egress") == Some(&Value::Bool(true));
        let replaced = (call.name == "ReplaceNetworkAclEntry").then_some(signal.time);
        // What denies may have taken the place of what denied more.
        if is_egress || (says("ruleAction", "deny") && replaced.is_none()) {
            let reason = format!("the entry of {} lets nothing in", resource.id);
            return vec![Heard::harmless(resource, reason)];
        }
        let Some(entry) = Entry::read(request).filter(|_| resource.id != "unknown") else {
            let told = number(request, "ruleNumber").map(|number| format!(" (entry {number})")).unwrap_or_default();
            let reason = format!("the record does not tell what was let in by {}{told}", resource.id);
            return vec![Heard::unreadable(resource, reason)];
        };
        vec![Heard::about(resource, Self { entry, replaced })]
    }
}

/// The inbound entries of a network ACL, and what one of them was.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Acl {
    /// The entries.
    pub entries: Vec<Entry>,
    /// What the entry in question was before the change.
    pub earlier: Earlier,
}

impl Acl {
    /// Another entry, and what it opens since one that denied was replaced by this one.
    pub fn bared(&self, now: &Entry, guards: &Guards) -> Option<(i32, String)> {
        let Earlier::Known(Some(was), _) = &self.earlier else { return None };
        let with = |entry: &Entry| -> Vec<Entry> {
            self.entries.iter().filter(|other| other.number != entry.number).chain([entry]).copied().collect()
        };
        let (before, after) = (with(was), with(now));
        let others = self.entries.iter().filter(|other| other.number != was.number && !was.is_allow);
        let mut bared = others.filter_map(|other| {
            let stood = other.opens(&before, guards);
            let opens = other.opens(&after, guards).into_iter().find(|one| !stood.contains(one));
            opens.map(|(what, _)| (other.number, what))
        });
        bared.next()
    }
}

/// What an entry was before a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Earlier {
    /// It is not known, and why.
    Unknown(String),
    /// There was this one, or none, as AWS Config saw it at this moment.
    Known(Option<Entry>, String),
}

impl Default for Earlier {
    fn default() -> Self {
        Self::Unknown("the event does not tell what it was before".to_owned())
    }
}

impl Earlier {
    /// Asks the baseline and AWS Config for the entry of this number.
    ///
    /// # Errors
    /// When they could not be asked: another time they may tell what an entry can go back to, instead of going away.
    pub async fn read(scope: &Scope, acl: &Resource, time: DateTime<Utc>, number: i32) -> Result<Self, CallError> {
        let unknown = || Self::Unknown("neither the baseline nor AWS Config tells what it was before".to_owned());
        let state = scope.earlier_state(acl, time).await?;
        Ok(state.map_or_else(unknown, |state| Self::of_state(&state, number)))
    }

    fn of_state(state: &Snapshot, number: i32) -> Self {
        let mut entries = items(field(&state.configuration, "entries")).into_iter().filter_map(Entry::read);
        Self::Known(entries.find(|entry| entry.number == number), state.captured_text())
    }
}

/// The piece that an entry is among the facts.
pub fn piece(number: i32) -> String {
    format!("inbound entry {number}")
}

/// How a network ACL stands: of its entries, the one of this number is what may change.
pub fn standing(acl: Acl, number: i32) -> Standing<Acl> {
    let entry = acl.entries.iter().find(|entry| entry.number == number);
    Standing::new(effect).optional_fact(piece(number), entry).with(acl)
}

/// Reads how a network ACL stands, and what an entry was that was replaced.
///
/// # Errors
/// When EC2, or who knows how it stood, could not be asked.
pub async fn read(scope: &Scope, resource: &Resource, made: &Made) -> Result<Standing<Acl>, CallError> {
    let number = made.entry.number;
    let earlier = async {
        match made.replaced {
            Some(time) => Earlier::read(scope, resource, time, number).await,
            None => Ok(Earlier::default()),
        }
    };
    let (acl, earlier) = tokio::join!(Box::pin(entries(scope, &resource.id)), Box::pin(earlier));
    let (entries, tags) = acl?;
    Ok(standing(Acl { entries, earlier: earlier? }, number).tagged(tags))
}

/// The inbound entries of a network ACL, and its tags. One that is gone has none.
async fn entries(scope: &Scope, id: &str) -> Result<(Vec<Entry>, Vec<(String, String)>), CallError> {
    let answer = client(scope).describe_network_acls().network_acl_ids(id).send().await;
    let answer = unless_gone(CallError::or(DESCRIBE, answer))?;
    let mut acls = answer.iter().flat_map(DescribeNetworkAclsOutput::network_acls);
    let Some(acl) = acls.next() else { return Ok(Default::default()) };
    let tags = acl.tags().iter().filter_map(|tag| Some((tag.key()?.to_owned(), tag.value()?.to_owned()))).collect();
    Ok((acl.entries().iter().filter_map(Entry::of_ec2).collect(), tags))
}

/// The call that makes an entry.
pub fn create(acl: &str, entry: &Entry) -> Call {
    Call::new(CREATE, entry.parameters(acl))
}

/// The call that puts an entry in the place of the one of its number.
pub fn replace(acl: &str, entry: &Entry) -> Call {
    Call::new(REPLACE, entry.parameters(acl))
}

/// The call that takes an entry away.
pub fn delete(acl: &str, entry: &Entry) -> Call {
    Call::new(DELETE, json!({"NetworkAclId": acl, "RuleNumber": entry.number, "Egress": false}))
}

fn effect(call: &Call) -> Vec<(String, Option<String>)> {
    let number = number(&call.parameters, "ruleNumber").and_then(|number| i32::try_from(number).ok());
    let entry = Entry::read(&call.parameters).map(|entry| entry.to_string());
    number.map(|number| (piece(number), entry)).into_iter().collect()
}

/// Makes one of the calls of this module.
///
/// # Errors
/// When EC2 does not accept it, or another entry has the number by now.
pub async fn make(scope: &Scope, call: &Call) -> Result<(), CallError> {
    let client = client(scope);
    let acl = parameter(call, "networkAclId")?;
    let named = number(&call.parameters, "ruleNumber").and_then(|number| i32::try_from(number).ok());
    let rule = named.ok_or_else(|| not_ours(call))?;
    if call.call == DELETE {
        let request = client.delete_network_acl_entry().network_acl_id(acl).rule_number(rule).egress(false);
        return CallError::or(DELETE, request.send().await).map(drop);
    }
    let entry = Entry::read(&call.parameters).ok_or_else(|| not_ours(call))?;
    let source = |version| Some(entry.source.to_string()).filter(|_| entry.source.addr().is_ipv4() == version);
    let protocol = text(&call.parameters, "protocol");
    let action = if entry.is_allow { RuleAction::Allow } else { RuleAction::Deny };
    let part = |range: &str, part: &str| {
        let part = number(field(&call.parameters, range)?, part)?;
        i32::try_from(part).ok()
    };
    let ports = part("portRange", "from").zip(part("portRange", "to"));
    let ports = ports.map(|(from, to)| PortRange::builder().from(from).to(to).build());
    let icmp = part("icmpTypeCode", "type").zip(part("icmpTypeCode", "code"));
    let icmp = icmp.map(|(kind, code)| IcmpTypeCode::builder().r#type(kind).code(code).build());
    if call.call == REPLACE {
        let request = client.replace_network_acl_entry().network_acl_id(acl).rule_number(rule).egress(false);
        let request = request.set_protocol(protocol.map(str::to_owned)).rule_action(action);
        let request = request.set_cidr_block(source(true)).set_ipv6_cidr_block(source(false));
        return CallError::or(REPLACE, request.set_port_range(ports).set_icmp_type_code(icmp).send().await).map(drop);
    }
    if call.call != CREATE {
        return Err(not_ours(call));
    }
    let request = client.create_network_acl_entry().network_acl_id(acl).rule_number(rule).egress(false);
    let request = request.set_protocol(protocol.map(str::to_owned)).rule_action(action);
    let request = request.set_cidr_block(source(true)).set_ipv6_cidr_block(source(false));
    match CallError::or(CREATE, request.set_port_range(ports).set_icmp_type_code(icmp).send().await) {
        // An earlier try of this very call made it, or somebody else was faster.
        Err(error) if error.failure == CallFailure::Exists => {
            let (entries, _) = entries(scope, acl).await?;
            if entries.contains(&entry) { Ok(()) } else { Err(error) }
        }
        answer => answer.map(drop),
    }
}

/// The client of EC2.
fn client(scope: &Scope) -> Arc<Client> {
    client!(scope, aws_sdk_ec2)
}
