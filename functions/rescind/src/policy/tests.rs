//! Policies with the right answers, thought through by AWS's own rules, as tables.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::{Value, json};

use super::*;
use crate::addresses;

mod editing;
mod evaluation;
mod properties;
mod standing;

pub(super) const ACCOUNT: &str = "111122223333";

const RESOURCE_POLICIES: &[&str] = &[
    include_str!("tests/principals_and_conditions.json"),
    include_str!("tests/services.json"),
    include_str!("tests/denies.json"),
    include_str!("tests/trust.json"),
    include_str!("tests/web_identity.json"),
];

const IDENTITY_POLICIES: &[&str] = &[include_str!("tests/administrators.json"), include_str!("tests/escalations.json")];

/// A resource's policy and what is to be said of it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ResourceCase {
    pub(super) name: String,
    source: String,
    pub(super) statements: Vec<Value>,
    #[serde(default)]
    pub(super) trust: bool,
    #[serde(default)]
    friends: Option<FriendsOfCase>,
    /// Of each `Allow`: the exposure, `?` where it is unclear, and the strangers.
    answers: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct FriendsOfCase {
    account: String,
    #[serde(default)]
    canonical_users: BTreeSet<String>,
    #[serde(default)]
    networks: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct IdentityCase {
    name: String,
    source: String,
    statements: Vec<Value>,
    power: String,
    /// The open paths; `?` after those that are unclear. Not said where there are many.
    #[serde(default)]
    paths: Option<BTreeSet<String>>,
    #[serde(default)]
    unclear: bool,
}

pub(super) fn friends() -> Friends {
    Friends {
        account: ACCOUNT.to_owned(),
        organization: Some("o-aaaaaaaaaa".to_owned()),
        accounts: BTreeSet::from(["444455556666".to_owned()]),
        networks: AddressSet::new(addresses::parse("203.0.113.0/24")),
        canonical_users: BTreeSet::new(),
    }
}

pub(super) fn policy(statements: &[Value]) -> Policy {
    Policy::from_value(json!({ "Version": "2012-10-17", "Statement": statements })).unwrap()
}

pub(super) fn read(policy: &Policy, friends: &Friends, is_trust: bool) -> Vec<Reading> {
    if is_trust { role_trust(policy, friends) } else { resource_policy(policy, friends) }
}

pub(super) fn resource_cases() -> Vec<ResourceCase> {
    RESOURCE_POLICIES.iter().flat_map(|table| serde_json::from_str::<Vec<ResourceCase>>(table).unwrap()).collect()
}

fn identity_cases() -> Vec<IdentityCase> {
    IDENTITY_POLICIES.iter().flat_map(|table| serde_json::from_str::<Vec<IdentityCase>>(table).unwrap()).collect()
}

impl ResourceCase {
    pub(super) fn friends(&self) -> Friends {
        self.friends.as_ref().map_or_else(friends, |given| Friends {
            account: given.account.clone(),
            canonical_users: given.canonical_users.clone(),
            networks: AddressSet::new(given.networks.iter().filter_map(|range| addresses::parse(range))),
            ..Friends::default()
        })
    }
}

fn in_words(reading: &Reading) -> String {
    let exposure = match reading.exposure {
        Exposure::Ours => "ours",
        Exposure::Agreed => "agreed",
        Exposure::Deputy => "deputy",
        Exposure::Shared => "shared",
        Exposure::Public => "public",
    };
    let unclear = if reading.unclear.is_some() { "?" } else { "" };
    let mut strangers: Vec<String> = reading.strangers.iter().map(ToString::to_string).collect();
    // Accounts are told in the order of the table, which is not theirs.
    strangers.sort();
    let strangers = if strangers.is_empty() { String::new() } else { format!(": {}", strangers.join("; ")) };
    format!("{exposure}{unclear}{strangers}")
}

fn sorted(answer: &str) -> String {
    let Some((exposure, strangers)) = answer.split_once(": ") else { return answer.to_owned() };
    let mut strangers: Vec<&str> = strangers.split("; ").collect();
    strangers.sort_unstable();
    format!("{exposure}: {}", strangers.join("; "))
}

#[test]
fn resource_policies_are_read_as_aws_does() {
    let cases = resource_cases();
    assert!(cases.len() >= 85, "{}", cases.len());
    let mut wrong = Vec::new();
    for case in &cases {
        let readings = read(&policy(&case.statements), &case.friends(), case.trust);
        let found: Vec<String> = readings.iter().map(in_words).collect();
        let expected: Vec<String> = case.answers.iter().map(|answer| sorted(answer)).collect();
        if found != expected {
            wrong.push(format!("{}: {found:?} instead of {expected:?}", case.name));
        }
        for reading in &readings {
            assert!(!reading.reason.is_empty() && !reading.reason.ends_with('.'), "{}: {}", case.name, reading.reason);
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}

#[test]
fn identity_policies_are_read_as_aws_does() {
    let cases = identity_cases();
    assert!(cases.len() >= 45, "{}", cases.len());
    let mut wrong = Vec::new();
    for case in &cases {
        let reading = identity_policy([&policy(&case.statements)], ACCOUNT, None);
        let power = match reading.power {
            Power::Administrator => "administrator",
            Power::Path => "path",
            Power::Limited => "limited",
        };
        let condition = if reading.strength == Strength::Conditional { ", conditional" } else { "" };
        let name = |found: &FoundPath| {
            format!("{}{}", found.path.name, if found.strength == Strength::Unclear { "?" } else { "" })
        };
        let paths: BTreeSet<String> = reading.paths.iter().map(name).collect();
        let is_right = case.power == format!("{power}{condition}")
            && (case.unclear == reading.unclear.is_some())
            // Where all is unclear, the table names none.
            && case.paths.as_ref().is_none_or(|expected| {
                *expected == paths || (expected.is_empty() && paths.iter().all(|path| path.ends_with('?')))
            });
        if !is_right {
            wrong.push(format!("{}: {power}{condition}, {:?}, {paths:?}", case.name, reading.unclear));
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}

#[test]
fn each_case_has_a_name_of_its_own_and_a_source() {
    let names: Vec<(String, String)> = resource_cases()
        .into_iter()
        .map(|case| (case.name, case.source))
        .chain(identity_cases().into_iter().map(|case| (case.name, case.source)))
        .collect();
    let mut seen = BTreeSet::new();
    for (name, source) in names {
        assert!(source.len() > 8, "{name}");
        assert!(seen.insert(name.clone()), "{name}");
    }
}

#[test]
fn each_path_is_found_by_its_own_permissions_and_not_without_one() {
    assert!(PATHS.len() >= 25);
    for path in PATHS {
        assert!(!path.is_direct || path.actions().all(|action| action.starts_with("iam:")), "{}", path.name);
        let actions: Vec<&str> = path.actions().collect();
        let found = |actions: &[&str]| {
            let statement = json!({ "Effect": "Allow", "Action": actions, "Resource": "*" });
            let reading = identity_policy([&policy(&[statement])], ACCOUNT, None);
            reading.paths.iter().any(|found| std::ptr::eq(found.path, path))
        };
        assert!(found(&actions), "{}", path.name);
        for missing in &actions {
            let others: Vec<&str> = actions.iter().copied().filter(|action| action != missing).collect();
            assert!(!found(&others), "{} without {missing}", path.name);
        }
    }
}

#[test]
fn managed_policies_are_known_by_their_arn() {
    let power = |arn| managed_policy(arn).map(|policy| policy.power);
    assert_eq!(power("arn:aws:iam::aws:policy/AdministratorAccess"), Some(Power::Administrator));
    assert_eq!(power("arn:aws-cn:iam::aws:policy/IAMFullAccess"), Some(Power::Administrator));
    assert_eq!(power("arn:aws:iam::aws:policy/PowerUserAccess"), Some(Power::Path));
    assert_eq!(power("arn:aws:iam::aws:policy/ReadOnlyAccess"), None);
    assert_eq!(power("arn:aws:iam::111122223333:policy/AdministratorAccess"), None);
    assert_eq!(power("AdministratorAccess"), None);
}

#[test]
fn a_path_may_be_spread_over_policies() {
    let pass = policy(&[json!({ "Effect": "Allow", "Action": "iam:PassRole", "Resource": "*" })]);
    let run = policy(&[json!({ "Effect": "Allow", "Action": "ec2:RunInstances", "Resource": "*" })]);
    let deny = policy(&[json!({ "Effect": "Deny", "Action": "iam:PassRole", "Resource": "*" })]);
    assert_eq!(identity_policy([&pass], ACCOUNT, None).power, Power::Limited);
    assert_eq!(identity_policy([&pass, &run], ACCOUNT, None).power, Power::Path);
    assert_eq!(identity_policy([&pass, &run, &deny], ACCOUNT, None).power, Power::Limited);
}

#[test]
fn who_may_give_himself_permissions_has_them_all() {
    let power = |action: &str, resource: &str, holder: &str| {
        let statement = json!({ "Effect": "Allow", "Action": action, "Resource": resource });
        identity_policy([&policy(&[statement])], ACCOUNT, Some(holder)).power
    };
    for (action, resource, holder) in [
        ("iam:PutUserPolicy", "arn:aws:iam::111122223333:user/eve", "user/eve"),
        ("iam:PutUserPolicy", "arn:aws:iam::111122223333:user/team/eve", "user/eve"),
        ("iam:*", "arn:aws:iam::*:user/e*", "user/eve"),
        ("iam:AttachRolePolicy", "arn:aws:iam::111122223333:role/ci", "role/ci"),
        ("iam:AttachGroupPolicy", "arn:aws:iam::111122223333:group/ops", "group/ops"),
    ] {
        assert_eq!(power(action, resource, holder), Power::Path, "{action} on {resource}");
        assert_eq!(power(action, resource, "user/bob"), Power::Limited, "{action} on {resource}");
    }
    for (action, resource, holder) in [
        ("iam:PutUserPolicy", "arn:aws:iam::111122223333:user/eve", "role/eve"),
        ("iam:PutUserPolicy", "arn:aws:iam::111122223333:user/steve", "user/eve"),
        ("iam:PutUserPolicy", "arn:aws:iam::999999999999:user/eve", "user/eve"),
        ("iam:CreateAccessKey", "arn:aws:iam::111122223333:user/eve", "user/eve"),
    ] {
        assert_eq!(power(action, resource, holder), Power::Limited, "{action} on {resource}");
    }
}

#[test]
fn bad_documents_name_the_field() {
    let statement = |mut fields: Value| {
        let defaults = json!({ "Effect": "Allow", "Action": "s3:*", "Resource": "*" });
        for (name, value) in defaults.as_object().unwrap() {
            fields.as_object_mut().unwrap().entry(name).or_insert(value.clone());
        }
        json!({ "Statement": [fields] })
    };
    for (document, message) in [
        (json!([]), "the policy's `document` is a list: expected an object with a `Statement`"),
        (json!({}), "the policy's `Statement` is missing: expected a statement or a list of statements"),
        (json!({ "Statement": "x" }), "the policy's `Statement` is `x`: expected a statement or a list of statements"),
        (json!({ "Statement": [7] }), "the policy's `Statement[0]` is `7`: expected a statement, an object"),
        (
            statement(json!({ "Effect": "allow" })),
            "the policy's `Statement[0].Effect` is `allow`: expected `Allow` or `Deny`",
        ),
        (
            statement(json!({ "Action": [1] })),
            "the policy's `Statement[0].Action` is `1`: expected a text or a list of texts",
        ),
        (
            statement(json!({ "NotAction": "s3:*" })),
            "the policy's `Statement[0].NotAction` is `s3:*`: expected one of the two, not both forms",
        ),
        (
            statement(json!({ "Principal": { "AWS": 7 } })),
            "the policy's `Statement[0].Principal.AWS` is `7`: expected a text or a list of texts",
        ),
        (
            statement(json!({ "Condition": { "Bool": "true" } })),
            "the policy's `Statement[0].Condition.Bool` is `true`: expected an object of condition keys",
        ),
    ] {
        assert_eq!(Policy::from_value(document.clone()).unwrap_err().to_string(), message, "{document}");
    }
    assert!(Policy::parse("{").unwrap_err().to_string().starts_with("the policy is no JSON: "));
}
