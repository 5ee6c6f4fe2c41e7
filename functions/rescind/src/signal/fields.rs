//! Reading JSON that others wrote: strictly where a decision hangs on it, tolerantly where AWS itself varies.

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

use super::SignalError;
use crate::text::clean;

/// An object together with its path from the top of the input, so that errors can name the field.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fields<'a> {
    map: Option<&'a Map<String, Value>>,
    path: &'a str,
}

impl<'a> Fields<'a> {
    pub(super) fn new(value: &'a Value, path: &'a str) -> Self {
        Self { map: value.as_object(), path }
    }

    /// The path of a field of this object.
    pub(super) fn path(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }

    /// A field's value; `None` when it is missing or null.
    pub(super) fn get(&self, name: &str) -> Option<&'a Value> {
        self.map.and_then(|map| map.get(name)).filter(|value| !value.is_null())
    }

    /// A text that has to be there and must not be empty.
    pub(super) fn text(&self, name: &str, expected: &'static str) -> Result<&'a str, SignalError> {
        self.optional_text(name, expected)?.ok_or_else(|| SignalError::Field {
            field: self.path(name),
            problem: "is missing".to_owned(),
            expected,
        })
    }

    /// A text that may be missing; an empty one counts as missing.
    pub(super) fn optional_text(&self, name: &str, expected: &'static str) -> Result<Option<&'a str>, SignalError> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.as_str()).filter(|text| !text.is_empty())),
            Some(other) => Err(wrong(&self.path(name), other, expected)),
        }
    }

    /// A time in RFC 3339, which may be missing.
    pub(super) fn optional_time(&self, name: &str) -> Result<Option<DateTime<Utc>>, SignalError> {
        const EXPECTED: &str = "a time such as `2026-11-24T09:30:00Z`";
        let Some(text) = self.optional_text(name, EXPECTED)? else {
            return Ok(None);
        };
        match DateTime::parse_from_rfc3339(text) {
            Ok(time) => Ok(Some(time.to_utc())),
            Err(_) => Err(wrong(&self.path(name), &Value::from(text), EXPECTED)),
        }
    }

    /// A yes or no, as JSON or as text, which may be missing.
    pub(super) fn optional_bool(&self, name: &str) -> Result<Option<bool>, SignalError> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::Bool(value)) => Ok(Some(*value)),
            Some(Value::String(text)) if text.eq_ignore_ascii_case("true") => Ok(Some(true)),
            Some(Value::String(text)) if text.eq_ignore_ascii_case("false") => Ok(Some(false)),
            Some(other) => Err(wrong(&self.path(name), other, "true or false")),
        }
    }

    /// An object that has to be there.
    pub(super) fn object(&self, name: &str) -> Result<&'a Value, SignalError> {
        const EXPECTED: &str = "an object";
        match self.get(name) {
            Some(value @ Value::Object(_)) => Ok(value),
            Some(other) => Err(wrong(&self.path(name), other, EXPECTED)),
            None => {
                Err(SignalError::Field { field: self.path(name), problem: "is missing".to_owned(), expected: EXPECTED })
            }
        }
    }
}

/// The error for a field that holds something else than expected.
pub(super) fn wrong(field: &str, found: &Value, expected: &'static str) -> SignalError {
    let problem = match found {
        Value::Null => "is null".to_owned(),
        Value::Bool(value) => format!("is {value}"),
        Value::Number(value) => format!("is the number {value}"),
        Value::String(text) => format!("is `{}`", clean(text, 60)),
        Value::Array(_) => "is a list".to_owned(),
        Value::Object(_) => "is an object".to_owned(),
    };
    SignalError::Field { field: field.to_owned(), problem, expected }
}

/// All texts and numbers of a value, wherever they stand: AWS writes a list as texts, as objects that hold one, or as a lone one.
pub fn texts(value: Option<&Value>) -> Vec<String> {
    match value {
        Some(Value::String(text)) if !text.is_empty() => vec![text.clone()],
        Some(Value::Number(number)) => vec![number.to_string()],
        Some(Value::Array(list)) => list.iter().flat_map(|one| texts(Some(one))).collect(),
        Some(Value::Object(map)) => map.values().flat_map(|one| texts(Some(one))).collect(),
        _ => Vec::new(),
    }
}

/// A field of a CloudTrail request or response. AWS writes a name with a small first letter in most records and with a
/// capital one inside the wrappers of newer EC2 actions (`GroupId` in `ModifySecurityGroupRulesRequest`).
pub fn field<'a>(value: &'a Value, name: &str) -> Option<&'a Value> {
    let map = value.as_object()?;
    map.get(name)
        .or_else(|| {
            let mut letters = name.chars();
            let first = letters.next()?;
            map.get(&format!("{}{}", first.to_ascii_uppercase(), letters.as_str()))
        })
        .filter(|value| !value.is_null())
}

/// The elements of a list in any of the ways CloudTrail writes one: `{"items": […]}`, `[…]`, a lone element for a list
/// of one, `{}` or null for an empty one.
pub fn items(value: Option<&Value>) -> Vec<&Value> {
    match value {
        Some(Value::Array(elements)) => elements.iter().collect(),
        Some(Value::Object(map)) => match map.get("items") {
            Some(inner) => items(Some(inner)),
            None if map.is_empty() => Vec::new(),
            None => value.into_iter().collect(),
        },
        _ => Vec::new(),
    }
}

/// A text field of a request or response, when it is a non-empty text.
pub fn text<'a>(value: &'a Value, name: &str) -> Option<&'a str> {
    field(value, name).and_then(Value::as_str).filter(|text| !text.is_empty())
}

/// A number field of a request or response; records hold numbers as JSON numbers or as text.
pub fn number(value: &Value, name: &str) -> Option<i64> {
    match field(value, name)? {
        Value::Number(number) => number.as_i64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn lists_are_read_in_every_way_that_cloudtrail_writes_them() {
        let one = json!({"a": 1});
        assert_eq!(items(Some(&json!({"items": [{"a": 1}, {"b": 2}]}))).len(), 2);
        assert_eq!(items(Some(&json!([{"a": 1}]))), [&one]);
        assert_eq!(items(Some(&one)), [&one]);
        assert_eq!(items(Some(&json!({"items": {"a": 1}}))), [&one]);
        for empty in [json!({}), json!(null), json!({"items": []}), json!("x")] {
            assert!(items(Some(&empty)).is_empty(), "{empty}");
        }
    }

    #[test]
    fn numbers_may_be_text_and_names_may_begin_with_a_capital() {
        assert_eq!(number(&json!({"fromPort": "22"}), "fromPort"), Some(22));
        assert_eq!(number(&json!({"FromPort": 22}), "fromPort"), Some(22));
        assert_eq!(number(&json!({"fromPort": "ssh"}), "fromPort"), None);
    }
}
