//! What holds of all policies. They are made of the principals, conditions, actions and resources of the tables.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::{Value, json};

use super::*;

/// The values that the tables have under a field of their statements.
fn pool(field: &str) -> Vec<Value> {
    let cases = resource_cases();
    let statements = cases.iter().flat_map(|case| &case.statements);
    let mut values: Vec<Value> = statements.filter_map(|statement| statement.get(field).cloned()).collect();
    values.sort_by_key(ToString::to_string);
    values.dedup();
    values
}

fn statement(effects: &'static [&'static str]) -> impl Strategy<Value = Value> {
    let principal = prop_oneof![
        5 => select(pool("Principal")).prop_map(|value| ("Principal", value)),
        1 => select(pool("NotPrincipal")).prop_map(|value| ("NotPrincipal", value)),
    ];
    let action = prop_oneof![
        5 => select(pool("Action")).prop_map(|value| ("Action", value)),
        1 => select(pool("NotAction")).prop_map(|value| ("NotAction", value)),
    ];
    let resource = prop_oneof![
        5 => select(pool("Resource")).prop_map(|value| Some(("Resource", value))),
        1 => select(pool("NotResource")).prop_map(|value| Some(("NotResource", value))),
        1 => Just(None),
    ];
    let conditions = prop::option::weighted(0.6, prop::collection::vec(select(pool("Condition")), 1..3));
    (select(effects), principal, action, resource, conditions).prop_map(
        |(effect, principal, action, resource, conditions)| {
            let mut statement = json!({ "Effect": effect, principal.0: principal.1, action.0: action.1 });
            if let Some((field, value)) = resource {
                statement[field] = value;
            }
            for condition in conditions.into_iter().flatten() {
                for (operator, keys) in condition.as_object().unwrap() {
                    for (key, values) in keys.as_object().unwrap() {
                        statement["Condition"][operator][key] = values.clone();
                    }
                }
            }
            statement
        },
    )
}

pub(super) fn statements() -> impl Strategy<Value = Vec<Value>> {
    prop::collection::vec(statement(&["Allow", "Allow", "Deny"]), 1..5)
}

/// How far each `Allow` opens, by its digest; of two that are the same, one stands for both.
fn exposures(readings: &[Reading]) -> BTreeMap<String, Exposure> {
    readings.iter().map(|reading| (reading.digest.clone(), reading.exposure)).collect()
}

/// All that is said, but for where it stands.
fn said(readings: &[Reading]) -> BTreeSet<String> {
    readings
        .iter()
        .map(|reading| format!("{:?}", Reading { statement: 0, digest: String::new(), ..reading.clone() }))
        .collect()
}

fn reversed(value: &Value) -> Value {
    match value {
        Value::Array(values) => values.iter().rev().map(reversed).collect(),
        Value::Object(fields) => fields.iter().map(|(name, value)| (name.clone(), reversed(value))).collect(),
        other => other.clone(),
    }
}

fn json_of_any_kind() -> impl Strategy<Value = Value> {
    let word = select(vec![
        "Statement",
        "Effect",
        "Allow",
        "Deny",
        "Principal",
        "NotPrincipal",
        "AWS",
        "Service",
        "Federated",
        "*",
        "Action",
        "NotAction",
        "Resource",
        "Condition",
        "StringEquals",
        "ForAllValues:StringLike",
        "Null",
        "aws:SourceArn",
        "aws:SourceIp",
        "arn:aws:iam::",
        "arn:aws:iam::111122223333:root",
        "${aws:username}",
        "::/0",
        "é*?",
    ]);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        word.clone().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 64, 5, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::vec(
                (prop_oneof![9 => word.clone().prop_map(str::to_owned), 1 => any::<String>()], inner),
                0..6
            )
            .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

const FRIENDLY: &[(&str, &str, &str)] = &[
    ("StringEquals", "aws:PrincipalOrgID", "o-aaaaaaaaaa"),
    ("ForAnyValue:StringLike", "aws:PrincipalOrgPaths", "o-aaaaaaaaaa/*"),
    ("StringEquals", "aws:PrincipalAccount", "111122223333"),
    ("StringEquals", "aws:SourceAccount", "444455556666"),
    ("ArnLike", "aws:SourceArn", "arn:aws:events:*:111122223333:rule/*"),
    ("ArnEquals", "aws:PrincipalArn", "arn:aws:iam::111122223333:role/x"),
    ("IpAddress", "aws:SourceIp", "203.0.113.7"),
    ("StringEquals", "kms:CallerAccount", "111122223333"),
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn a_deny_opens_nothing(statements in statements(), deny in statement(&["Deny"]), at in any::<Index>(), is_trust: bool) {
        let before = exposures(&read(&policy(&statements), &friends(), is_trust));
        let mut with_deny = statements.clone();
        with_deny.insert(at.index(statements.len() + 1), deny);
        let after = exposures(&read(&policy(&with_deny), &friends(), is_trust));
        for (digest, exposure) in &after {
            prop_assert!(*exposure <= before[digest]);
        }
    }

    #[test]
    fn a_friendly_condition_leaves_nobody_but_ours(allow in statement(&["Allow"]), friendly in select(FRIENDLY), is_trust: bool) {
        let (operator, key, value) = friendly;
        let before = read(&policy(std::slice::from_ref(&allow)), &friends(), is_trust);
        let mut narrowed = allow.clone();
        // A key that stands there already, under the same operator, would be replaced and not added.
        prop_assume!(allow.pointer(&format!("/Condition/{operator}/{key}")).is_none());
        narrowed["Condition"][operator][key] = json!(value);
        let after = read(&policy(&[narrowed]), &friends(), is_trust);
        prop_assert!(after[0].exposure <= before[0].exposure);
        prop_assert_eq!(after[0].exposure, Exposure::Ours, "{:?}", after[0]);
    }

    #[test]
    fn the_order_does_not_matter(statements in statements(), is_trust: bool) {
        let backwards: Vec<Value> = statements.iter().rev().map(reversed).collect();
        let one = read(&policy(&statements), &friends(), is_trust);
        let other = read(&policy(&backwards), &friends(), is_trust);
        let plain = |readings: &[Reading]| -> BTreeSet<String> {
            let without_words = |reading: &Reading| Reading { reason: String::new(), unclear: reading.unclear.as_ref().map(|_| String::new()), ..reading.clone() };
            said(&readings.iter().map(without_words).collect::<Vec<_>>())
        };
        prop_assert_eq!(plain(&one), plain(&other));
    }

    #[test]
    fn what_is_risky_goes_and_all_the_rest_stays(statements in statements(), is_trust: bool) {
        let policy = policy(&statements);
        let readings = read(&policy, &friends(), is_trust);
        let risky: BTreeSet<usize> = readings.iter().filter(|reading| reading.is_surely_risky()).map(|reading| reading.statement).collect();

        let whole = policy.without_statements(&risky);
        let rest: Vec<&Value> = statements.iter().enumerate().filter(|(index, _)| !risky.contains(index)).map(|(_, raw)| raw).collect();
        let left: Vec<Value> = whole.iter().flat_map(Policy::statements).map(|statement| statement.raw().clone()).collect();
        prop_assert_eq!(left.iter().collect::<Vec<_>>(), rest);

        let exact = policy.without(&readings, Exposure::Deputy);
        if risky.is_empty() {
            prop_assert_eq!(exact.as_ref(), Some(&policy));
        }
        let again = exact.as_ref().map(|policy| read(policy, &friends(), is_trust)).unwrap_or_default();
        prop_assert!(again.iter().all(|reading| !reading.is_surely_risky()), "{again:?}");
        let is_untouched = |statement: &&Statement| {
            let index = statements.iter().position(|raw| raw == statement.raw());
            index.is_some_and(|index| !risky.contains(&index))
        };
        for statement in policy.statements().iter().filter(is_untouched) {
            prop_assert!(exact.as_ref().is_some_and(|left| left.statements().contains(statement)));
        }
        if let Some(left) = exact {
            prop_assert_eq!(Policy::parse(&left.to_string()).unwrap(), left);
        }
    }

    #[test]
    fn a_document_is_given_back_as_it_was(statements in statements()) {
        let document = json!({ "Id": "x", "Statement": statements, "Strange": [1, null] });
        prop_assert_eq!(Policy::from_value(document.clone()).unwrap().to_value(), document);
    }

    #[test]
    fn identity_policies_get_no_wider_by_a_deny(statements in statements(), deny in statement(&["Deny"])) {
        let before = policy(&statements);
        let deny = policy(&[deny]);
        let (alone, with_deny) = (identity_policy([&before], ACCOUNT, None), identity_policy([&before, &deny], ACCOUNT, None));
        prop_assert!(with_deny.power <= alone.power && with_deny.paths.len() <= alone.paths.len());
        prop_assert_eq!(&identity_policy([&deny, &before], ACCOUNT, None), &with_deny);
    }

    #[test]
    fn no_json_is_too_strange(document in json_of_any_kind(), is_trust: bool) {
        for document in [document.clone(), json!({ "Statement": document })] {
            if let Ok(policy) = Policy::from_value(document) {
                let readings = read(&policy, &friends(), is_trust);
                let _ = policy.without(&readings, Exposure::Deputy);
                let _ = identity_policy([&policy], ACCOUNT, None);
            }
        }
        let _ = Policy::parse(&document.to_string());
    }
}

#[test]
fn no_statements_no_readings() {
    let empty = policy(&[]);
    assert_eq!(read(&empty, &friends(), false), []);
    assert_eq!(read(&empty, &friends(), true), []);
    assert_eq!(identity_policy([&empty], ACCOUNT, None).power, Power::Limited);
}
