//! The conditions of a statement (IAM user guide, *Condition operators* and *Conditions with multiple context keys or
//! values*): all clauses have to hold, and of a clause's values one.

use serde_json::Value;

use super::document::{PolicyError, unexpected};
use crate::text::clean;

/// What an operator compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Test {
    /// Texts as they are.
    Equals,
    /// Texts with wildcards, which match colons too.
    Like,
    /// ARNs, part by part, with wildcards. `ArnEquals` and `ArnLike` do the same.
    Arn,
    /// Addresses and ranges.
    Address,
    /// `true` or `false`.
    Bool,
    /// Whether the key is absent.
    Null,
    /// Numbers, dates and bytes: never who somebody is.
    Other,
    /// None that AWS has.
    Unknown,
}

/// What is asked of a key with several values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Quantifier {
    /// `ForAnyValue`: false when the key is absent.
    Any,
    /// `ForAllValues`: true when the key is absent.
    All,
}

/// One operator on one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Clause {
    /// The operator as written.
    pub(super) operator: String,
    pub(super) test: Test,
    pub(super) is_negated: bool,
    pub(super) quantifier: Option<Quantifier>,
    /// `…IfExists`: true when the key is absent.
    pub(super) if_exists: bool,
    /// In lower case: keys are compared without regard to case.
    pub(super) key: String,
    pub(super) values: Vec<String>,
}

impl Clause {
    pub(super) fn read_all(conditions: &Value, path: &str) -> Result<Vec<Self>, PolicyError> {
        let operators = conditions.as_object().ok_or_else(|| unexpected(path, conditions, "an object of operators"))?;
        let mut clauses = Vec::new();
        for (operator, keys) in operators {
            let path = format!("{path}.{}", clean(operator, 60));
            let keys = keys.as_object().ok_or_else(|| unexpected(&path, keys, "an object of condition keys"))?;
            for (key, values) in keys {
                let values = read_values(values, &format!("{path}.{}", clean(key, 80)))?;
                clauses.push(Self::new(operator, key, values));
            }
        }
        Ok(clauses)
    }

    fn new(operator: &str, key: &str, values: Vec<String>) -> Self {
        let written = operator.to_ascii_lowercase();
        let (quantifier, rest) = match written.split_once(':') {
            Some(("foranyvalue", rest)) => (Some(Quantifier::Any), rest),
            Some(("forallvalues", rest)) => (Some(Quantifier::All), rest),
            _ => (None, written.as_str()),
        };
        let (if_exists, name) = match rest.strip_suffix("ifexists") {
            Some(name) => (true, name),
            None => (false, rest),
        };
        let (test, is_negated) = match name {
            "stringequals" | "stringequalsignorecase" => (Test::Equals, false),
            "stringnotequals" | "stringnotequalsignorecase" => (Test::Equals, true),
            "stringlike" => (Test::Like, false),
            "stringnotlike" => (Test::Like, true),
            "arnequals" | "arnlike" => (Test::Arn, false),
            "arnnotequals" | "arnnotlike" => (Test::Arn, true),
            "ipaddress" => (Test::Address, false),
            "notipaddress" => (Test::Address, true),
            "bool" => (Test::Bool, false),
            "null" => (Test::Null, false),
            "numericequals"
            | "numericlessthan"
            | "numericlessthanequals"
            | "numericgreaterthan"
            | "numericgreaterthanequals"
            | "dateequals"
            | "datelessthan"
            | "datelessthanequals"
            | "dategreaterthan"
            | "dategreaterthanequals"
            | "binaryequals" => (Test::Other, false),
            "numericnotequals" | "datenotequals" => (Test::Other, true),
            _ => (Test::Unknown, false),
        };
        Self {
            operator: operator.to_owned(),
            test,
            is_negated,
            quantifier,
            if_exists,
            key: key.to_ascii_lowercase(),
            values,
        }
    }

    /// Whether the clause holds for requests that have no such key, as far as the operator says.
    pub(super) fn holds_without_key(&self) -> bool {
        self.if_exists || self.quantifier == Some(Quantifier::All)
    }

    /// Whether the clause asks for the key to be there: `"Null": {key: "false"}`.
    pub(super) fn asks_for_key(&self, key: &str) -> bool {
        self.test == Test::Null
            && self.key == key
            && !self.values.is_empty()
            && self.values.iter().all(|value| value.eq_ignore_ascii_case("false"))
    }

    /// Whether it surely holds wherever another one holds: the same question, with at least the values that are let by.
    pub(super) fn is_as_wide_as(&self, other: &Self) -> bool {
        let has_all = |of: &Self, some: &Self| some.values.iter().all(|value| of.values.contains(value));
        let is_same = self.key == other.key && self.operator.eq_ignore_ascii_case(&other.operator);
        is_same
            && match self.test {
                Test::Unknown => has_all(self, other) && has_all(other, self),
                _ if self.is_negated => has_all(other, self),
                _ => has_all(self, other),
            }
    }

    /// Whether the only value is this.
    pub(super) fn is_only(&self, value: &str) -> bool {
        !self.values.is_empty() && self.values.iter().all(|one| one.eq_ignore_ascii_case(value))
    }
}

impl std::fmt::Display for Clause {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", clean(&self.operator, 60), clean(&self.key, 80))
    }
}

fn read_values(values: &Value, path: &str) -> Result<Vec<String>, PolicyError> {
    let scalar = |value: &Value| match value {
        Value::String(text) => Ok(text.clone()),
        Value::Bool(value) => Ok(value.to_string()),
        Value::Number(value) => Ok(value.to_string()),
        other => Err(unexpected(path, other, "a text, a number, `true` or `false`, or a list of them")),
    };
    match values {
        Value::Array(values) => values.iter().map(scalar).collect(),
        value => scalar(value).map(|value| vec![value]),
    }
}
