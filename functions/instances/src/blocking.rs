//! What the owner wants of blocks, and the changing calls by which an address is blocked, as data that can be shown, kept and made: parameters as the AWS CLI takes
//! them.

use std::net::IpAddr;

use aws_sdk_ec2::Client;
use aws_sdk_ec2::types::{RuleAction, Tag};
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use ipnet::IpNet;
use rescind::settings::{OwnSettings, SettingsError, TagKey, Tags};
use rescind::signal::{field, items, number, text};
use rescind::{Call, addresses, journal};
use rescind_lambda::{CallError, CallFailure, Scope, lacks, parameter, unless_gone};
use serde_json::{Value, json};

use crate::network_acl::{Acl, Entry, State};
use crate::{instance, network_acl, schedule};

/// The IAM actions of these calls.
pub mod action {
    /// `CreateNetworkAclEntry`.
    pub const CREATE_ENTRY: &str = "ec2:CreateNetworkAclEntry";
    /// `DeleteNetworkAclEntry`.
    pub const DELETE_ENTRY: &str = "ec2:DeleteNetworkAclEntry";
    /// `CreateTags`.
    pub const CREATE_TAGS: &str = "ec2:CreateTags";
    /// `DeleteTags`.
    pub const DELETE_TAGS: &str = "ec2:DeleteTags";
}

const BLOCK_FOR: TagKey = TagKey {
    key: "block-for",
    list: false,
    value: "how long an address is blocked, from the time of the finding: a number and `m`, `h` or `d`",
    default: "`24h`",
};
const NEVER_BLOCK: TagKey = TagKey {
    key: "never-block",
    list: true,
    value: "ranges of which no address is ever blocked",
    default: "none beside those of the account and of AWS",
};
const RULE_NUMBERS: TagKey = TagKey {
    key: "rule-numbers",
    list: false,
    value: "the numbers of network ACL entries that are kept for blocks: `first-last`",
    default: "`1-49`",
};

/// The shortest block: GuardDuty takes some minutes until it sends a finding.
const SHORTEST: TimeDelta = TimeDelta::minutes(15);
/// The longest one.
const LONGEST: TimeDelta = TimeDelta::days(365);

/// What the owner wants of blocks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// How long an address is blocked.
    pub block_for: TimeDelta,
    /// The ranges of which no address is ever blocked.
    pub never: Vec<IpNet>,
    /// The first and the last number of the entries that are kept for blocks.
    pub numbers: (i32, i32),
}

impl OwnSettings for Wanted {
    const TAGS: &'static [TagKey] = &[BLOCK_FOR, NEVER_BLOCK, RULE_NUMBERS];

    fn of_tags(tags: &Tags) -> Result<Self, SettingsError> {
        let block_for = match tags.one(BLOCK_FOR.key) {
            None => TimeDelta::hours(24),
            Some(text) => journal::duration(text)
                .filter(|time| (SHORTEST..=LONGEST).contains(time))
                .ok_or_else(|| SettingsError::value(BLOCK_FOR.key, text, "a time from `15m` to `365d`"))?,
        };
        let never = tags.parsed_list(NEVER_BLOCK.key, "ranges such as `192.0.2.0/24`", addresses::parse)?;
        let numbers = match tags.one(RULE_NUMBERS.key) {
            None => (1, 49),
            Some(text) => numbers(text)
                .ok_or_else(|| SettingsError::value(RULE_NUMBERS.key, text, "`first-last`, from 1 to 32766"))?,
        };
        Ok(Self { block_for, never: never.unwrap_or_default(), numbers })
    }
}

/// Reads `1-49`.
fn numbers(text: &str) -> Option<(i32, i32)> {
    let (first, last) = text.split_once('-')?;
    let (first, last): (i32, i32) = (first.parse().ok()?, last.parse().ok()?);
    (1 <= first && first <= last && last <= 32_766).then_some((first, last))
}

/// What begins the key of the tag that a network ACL has for each address that is blocked there. Entries have no tags.
const TAG: &str = "rescind:blocks:";

/// When a block ends, and whose it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ending {
    /// The moment.
    pub until: DateTime<Utc>,
    /// The outcome that ends it.
    pub outcome: String,
    /// The number of its entry; `None` where the tag does not tell.
    pub number: Option<i32>,
    /// The tag that tells.
    pub tag: (String, String),
}

impl Ending {
    /// Whether it is the end of the block that has an entry of this number.
    pub fn is_of(&self, number: i32) -> bool {
        self.number.is_none_or(|own| own == number)
    }
}

/// When the block of an address ends, as the ACL's tags tell; `None` when it is none of ours.
pub fn end_of(tags: &[(String, String)], address: IpAddr) -> Option<Ending> {
    let tag = tags.iter().find(|(key, _)| *key == format!("{TAG}{address}"))?;
    let mut parts = tag.1.split('/');
    let until = DateTime::parse_from_rfc3339(parts.next()?).ok()?.to_utc();
    let outcome = parts.next()?.to_owned();
    let number = parts.next().and_then(|number| number.parse().ok());
    Some(Ending { until, outcome, number, tag: tag.clone() })
}

/// The tag that tells when the block of an address ends, which outcome it is of, and by which entry it is made.
pub fn tag_of(address: IpAddr, until: DateTime<Utc>, outcome: &str, number: i32) -> (String, String) {
    let until = until.to_rfc3339_opts(SecondsFormat::Secs, true);
    (format!("{TAG}{address}"), format!("{until}/{outcome}/{number}"))
}

/// Denies an address everything, inbound.
pub fn deny(acl: &str, address: IpAddr, number: i32) -> Call {
    let family = if address.is_ipv4() { "CidrBlock" } else { "Ipv6CidrBlock" };
    let range = IpNet::from(address).to_string();
    call(
        action::CREATE_ENTRY,
        json!({"NetworkAclId": acl, "RuleNumber": number, "Protocol": "-1", "RuleAction": "deny", "Egress": false, family: range}),
    )
}

/// Takes such an entry away. EC2 asks for no range; it stands here so that only the entry of that address goes, whatever has its number
/// by then.
pub fn allow_again(acl: &str, address: IpAddr, number: i32) -> Call {
    let family = if address.is_ipv4() { "CidrBlock" } else { "Ipv6CidrBlock" };
    let range = IpNet::from(address).to_string();
    call(action::DELETE_ENTRY, json!({"NetworkAclId": acl, "RuleNumber": number, "Egress": false, family: range}))
}

/// As [`allow_again`], for the block of which this tag tells. What an outcome made may be gone before it ends, and the same address be
/// blocked anew, by an entry of the same number.
pub fn end(acl: &str, address: IpAddr, number: i32, tag: &(String, String)) -> Call {
    let Call { call, mut parameters } = allow_again(acl, address, number);
    if let Some(parameters) = parameters.as_object_mut() {
        parameters.insert("Tags".to_owned(), tags_told(std::slice::from_ref(tag)));
    }
    Call { call, parameters }
}

/// Sets tags of a network ACL.
pub fn tag(acl: &str, tags: &[(String, String)]) -> Call {
    call(action::CREATE_TAGS, json!({"Resources": [acl], "Tags": tags_told(tags)}))
}

/// Removes tags of a network ACL, as far as they still have these values.
pub fn untag(acl: &str, tags: &[(String, String)]) -> Call {
    Call { call: action::DELETE_TAGS.to_owned(), ..tag(acl, tags) }
}

fn call(action: &str, parameters: Value) -> Call {
    Call { call: action.to_owned(), parameters }
}

fn tags_told(tags: &[(String, String)]) -> Value {
    tags.iter().map(|(key, value)| json!({"Key": key, "Value": value})).collect()
}

fn pairs(parameters: &Value) -> Vec<(String, String)> {
    let pair = |tag| Some((text(tag, "key")?.to_owned(), text(tag, "value").unwrap_or_default().to_owned()));
    items(field(parameters, "tags")).into_iter().filter_map(pair).collect()
}

fn numbered(parameters: &Value) -> Option<i32> {
    number(parameters, "ruleNumber").and_then(|number| i32::try_from(number).ok())
}

fn source(parameters: &Value) -> Option<IpNet> {
    text(parameters, "cidrBlock").or_else(|| text(parameters, "ipv6CidrBlock")).and_then(addresses::parse)
}

/// The entry that a call of [`allow_again`] or [`end`] takes away, if it stands. It does not, once something else has its number: an entry of
/// somebody else's, or the block that another outcome made of the same address, and ends later. Where no tag tells whose block it is,
/// it ends: nothing else may end it.
fn to_take_away(acl: &Acl, parameters: &Value) -> Option<Entry> {
    let address = source(parameters)?.addr();
    let entry = Entry::denying(address, numbered(parameters)?);
    let (own, standing) = (end_of(&pairs(parameters), address), end_of(&acl.tags, address));
    let is_anothers = own.zip(standing).is_some_and(|(own, standing)| {
        standing.is_of(entry.number) && standing.outcome != own.outcome && standing.until > own.until
    });
    (acl.entries.contains(&entry) && !is_anothers).then_some(entry)
}

/// What a call of this module makes of a state. A schedule is no part of it: the state is that of network ACLs.
pub fn applied(state: &State, call: &Call) -> State {
    let mut after = state.clone();
    let named = &call.parameters;
    let resources = items(field(named, "resources"));
    let id = text(named, "networkAclId").or_else(|| resources.first().and_then(|one| one.as_str()));
    let Some(acl) = after.acls.iter_mut().find(|acl| Some(acl.id.as_str()) == id) else { return after };
    match (call.call.as_str(), numbered(named)) {
        (action::CREATE_ENTRY, Some(number)) => {
            let is_free = !acl.entries.iter().any(|entry| entry.number == number);
            let entry = source(named).map(|source| Entry { number, is_deny: true, is_all_traffic: true, source });
            acl.entries.extend(entry.filter(|_| is_free));
        }
        (action::DELETE_ENTRY, _) => {
            let gone = to_take_away(acl, named);
            acl.entries.retain(|entry| Some(*entry) != gone);
        }
        (action::CREATE_TAGS, _) => {
            for (key, value) in pairs(named) {
                match acl.tags.iter_mut().find(|(one, _)| *one == key) {
                    Some((_, old)) => *old = value,
                    None => acl.tags.push((key, value)),
                }
            }
        }
        (action::DELETE_TAGS, _) => {
            let gone = pairs(named);
            acl.tags.retain(|tag| !gone.contains(tag));
        }
        _ => {}
    }
    after
}

/// Makes one of the calls of this module, or of [`schedule`].
///
/// # Errors
/// When AWS does not accept it, the call is none of these, or the entry's number was taken meanwhile: that is
/// [`CallFailure::Gone`], since what was planned for is no longer so.
pub async fn make(scope: &Scope, call: &Call) -> Result<(), CallError> {
    let client = instance::client(scope);
    let named = &call.parameters;
    match call.call.as_str() {
        action::CREATE_ENTRY => create_entry(&client, call).await,
        action::DELETE_ENTRY => delete_entry(&client, call).await,
        action::CREATE_TAGS => {
            let request = client.create_tags().set_resources(Some(resources(named)));
            let answer = request.set_tags(Some(tags(named))).send().await;
            CallError::or(action::CREATE_TAGS, answer).map(drop)
        }
        action::DELETE_TAGS => {
            let request = client.delete_tags().set_resources(Some(resources(named)));
            let answer = request.set_tags(Some(tags(named))).send().await;
            // With the whole ACL, its tags are gone, too.
            unless_gone(CallError::or(action::DELETE_TAGS, answer)).map(drop)
        }
        _ => schedule::make(scope, call).await,
    }
}

async fn create_entry(client: &Client, call: &Call) -> Result<(), CallError> {
    let (acl, number) = entry_of(call)?;
    let source = source(&call.parameters).ok_or_else(|| lacks(call, "CidrBlock"))?;
    let request = client.create_network_acl_entry().network_acl_id(acl).rule_number(number).protocol("-1");
    let request = request.rule_action(RuleAction::Deny).egress(false);
    let request = match source {
        IpNet::V4(_) => request.cidr_block(source.to_string()),
        IpNet::V6(_) => request.ipv6_cidr_block(source.to_string()),
    };
    let error = match CallError::or(action::CREATE_ENTRY, request.send().await) {
        Err(error) if error.failure == CallFailure::Exists => error,
        answer => return answer.map(drop),
    };
    // An earlier try of this very call made it, or somebody else was faster.
    let standing = network_acl::read_acl(client, acl).await?;
    if standing.is_some_and(|acl| acl.entries.contains(&Entry::denying(source.addr(), number))) {
        return Ok(());
    }
    Err(CallError { failure: CallFailure::Gone, ..error })
}

/// Takes the entry away that denies an address everything. Another one of that number stays: this one is gone.
async fn delete_entry(client: &Client, call: &Call) -> Result<(), CallError> {
    let (acl, number) = entry_of(call)?;
    source(&call.parameters).ok_or_else(|| lacks(call, "CidrBlock"))?;
    let standing = match network_acl::read_acl(client, acl).await {
        // The whole ACL is.
        Err(error) if error.failure == CallFailure::Gone => None,
        answer => answer?,
    };
    if standing.and_then(|acl| to_take_away(&acl, &call.parameters)).is_none() {
        return Ok(());
    }
    let request = client.delete_network_acl_entry().network_acl_id(acl).rule_number(number).egress(false);
    match CallError::or(action::DELETE_ENTRY, request.send().await) {
        Err(error) if error.failure == CallFailure::Gone => Ok(()),
        answer => answer.map(drop),
    }
}

fn entry_of(call: &Call) -> Result<(&str, i32), CallError> {
    let number = numbered(&call.parameters).ok_or_else(|| lacks(call, "RuleNumber"))?;
    Ok((parameter(call, "networkAclId")?, number))
}

fn resources(named: &Value) -> Vec<String> {
    items(field(named, "resources")).into_iter().filter_map(|one| one.as_str().map(str::to_owned)).collect()
}

fn tags(named: &Value) -> Vec<Tag> {
    pairs(named).into_iter().map(|(key, value)| Tag::builder().key(key).value(value).build()).collect()
}
