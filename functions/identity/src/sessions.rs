//! The inline policy that denies everything to the sessions of a role that were issued before a time.
//!
//! It has the name and the shape that the IAM console gives it (IAM user guide, *Revoke IAM role temporary security
//! credentials*), so that people know it when they see it. Putting a policy again overwrites the one of that name, so what
//! else stands in it is kept.

use chrono::{DateTime, NaiveDate, SecondsFormat, Utc};
use serde_json::{Value, json};

/// The policy's name.
pub const POLICY: &str = "AWSRevokeOlderSessions";

/// Before which time a policy denies everything to sessions: the latest of its statements, if it has one that does so.
pub fn denied_before(document: &str) -> Option<DateTime<Utc>> {
    let document: Value = serde_json::from_str(document).ok()?;
    statements(&document)?.iter().filter_map(denial).max()
}

/// The document that denies everything to the sessions issued before `time`. Earlier denials give way to this one, all
/// other statements stay. `None`, when what stands there can't be read.
pub fn denying(document: Option<&str>, time: DateTime<Utc>) -> Option<String> {
    let mut document: Value = match document {
        Some(document) => serde_json::from_str(document).ok()?,
        None => json!({"Version": "2012-10-17", "Statement": []}),
    };
    let time_told = time.to_rfc3339_opts(SecondsFormat::Millis, true);
    let mut all = statements(&document)?;
    all.retain(|statement| denial(statement).is_none_or(|earlier| earlier > time));
    all.push(json!({
        "Effect": "Deny", "Action": ["*"], "Resource": ["*"],
        "Condition": {"DateLessThan": {"aws:TokenIssueTime": time_told}},
    }));
    document.as_object_mut()?.insert("Statement".to_owned(), Value::from(all));
    Some(document.to_string())
}

/// The statements: a list, or a lone one.
fn statements(document: &Value) -> Option<Vec<Value>> {
    match document.get("Statement")? {
        Value::Array(list) => Some(list.clone()),
        lone @ Value::Object(_) => Some(vec![lone.clone()]),
        _ => None,
    }
}

/// Before which time a statement denies everything to sessions. One that denies less, or asks for anything else besides,
/// counts for none.
fn denial(statement: &Value) -> Option<DateTime<Utc>> {
    const KNOWN: [&str; 5] = ["Sid", "Effect", "Action", "Resource", "Condition"];
    let statement = statement.as_object()?;
    let denies_all = statement.get("Effect")? == "Deny"
        && statement.keys().all(|key| KNOWN.contains(&key.as_str()))
        && texts(statement.get("Action")?).contains(&"*")
        && texts(statement.get("Resource")?).contains(&"*");
    let (operator, keys) = only(statement.get("Condition")?)?;
    let (key, times) = only(keys)?;
    let is_about_issue = operator == "DateLessThan" && key.eq_ignore_ascii_case("aws:TokenIssueTime");
    // One of several is enough for the condition to hold.
    let latest = || texts(times).into_iter().map(time).collect::<Option<Vec<_>>>()?.into_iter().max();
    (denies_all && is_about_issue).then(latest)?
}

/// The one pair of a map that has no other.
fn only(value: &Value) -> Option<(&str, &Value)> {
    let mut pairs = value.as_object()?.iter();
    let (key, value) = pairs.next()?;
    pairs.next().is_none().then_some((key, value))
}

/// A text, or a list of them.
fn texts(value: &Value) -> Vec<&str> {
    match value {
        Value::String(text) => vec![text],
        Value::Array(list) => list.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

/// A time as IAM's conditions have it: a date, or a date with a time.
fn time(text: &str) -> Option<DateTime<Utc>> {
    let day = || Some(NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?.and_hms_opt(0, 0, 0)?.and_utc());
    DateTime::parse_from_rfc3339(text).ok().map(|time| time.to_utc()).or_else(day)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    fn of(statements: &Value) -> String {
        json!({"Version": "2012-10-17", "Statement": statements}).to_string()
    }

    fn denial_at(time: &str) -> Value {
        json!({"Effect": "Deny", "Action": ["*"], "Resource": ["*"], "Condition": {"DateLessThan": {"aws:TokenIssueTime": time}}})
    }

    #[test]
    fn a_new_policy_denies_all_sessions_from_before() {
        let time = at("2026-11-24T09:30:00.123Z");
        let document = denying(None, time).unwrap();
        assert_eq!(denied_before(&document), Some(time));
        assert_eq!(document, of(&json!([denial_at("2026-11-24T09:30:00.123Z")])));
        assert!(!document.contains(' '));
    }

    #[test]
    fn an_earlier_denial_gives_way_and_the_rest_stays() {
        let other = json!({"Sid": "Mine", "Effect": "Deny", "Action": "s3:*", "Resource": "*"});
        let before = of(&json!([denial_at("2026-01-01T00:00:00Z"), other]));
        let time = at("2026-11-24T09:30:00Z");
        let after = denying(Some(&before), time).unwrap();
        assert_eq!(after, of(&json!([other, denial_at("2026-11-24T09:30:00.000Z")])));
        let later = of(&json!(denial_at("2027-01-01")));
        assert_eq!(denied_before(&denying(Some(&later), time).unwrap()), Some(at("2027-01-01T00:00:00Z")));
    }

    #[test]
    fn a_statement_that_denies_less_is_no_denial() {
        let whole = denial_at("2026-11-24T09:30:00Z");
        assert!(denied_before(&of(&whole)).is_some());
        for (path, value) in [
            ("/Effect", json!("Allow")),
            ("/Action", json!(["s3:*"])),
            ("/Resource", json!(["arn:aws:s3:::x"])),
            ("/Condition", json!({"DateLessThan": {"aws:TokenIssueTime": "x"}})),
            ("/Condition", json!({"DateGreaterThan": {"aws:TokenIssueTime": "2026-11-24T09:30:00Z"}})),
            ("/Condition", json!({"DateLessThan": {"aws:CurrentTime": "2026-11-24T09:30:00Z"}})),
            (
                "/Condition/DateLessThan",
                json!({"aws:TokenIssueTime": "2026-11-24T09:30:00Z", "aws:CurrentTime": "2026-11-24T09:30:00Z"}),
            ),
            (
                "/Condition",
                json!({"DateLessThan": {"aws:TokenIssueTime": "2026-11-24T09:30:00Z"}, "Bool": {"aws:SecureTransport": "false"}}),
            ),
        ] {
            let mut less = whole.clone();
            *less.pointer_mut(path).unwrap() = value;
            assert_eq!(denied_before(&of(&less)), None, "{less}");
        }
        let mut less = whole;
        less["NotAction"] = json!("s3:*");
        assert_eq!(denied_before(&of(&less)), None);
    }

    #[test]
    fn what_can_not_be_read_is_not_overwritten() {
        for document in ["", "[]", "{}", r#"{"Statement": 5}"#] {
            assert_eq!(denied_before(document), None, "{document}");
            assert_eq!(denying(Some(document), at("2026-11-24T09:30:00Z")), None, "{document}");
        }
    }
}
