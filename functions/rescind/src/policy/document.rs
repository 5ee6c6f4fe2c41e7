//! The policy document, as AWS defines it (IAM user guide, *Grammar of the IAM JSON policy language*): one statement or a
//! list, one text or a list everywhere. What is not known is kept.

use serde_json::{Map, Value};

use super::condition::Clause;
use super::names::Names;
use super::principal::{NamedPrincipal, Principals};
use crate::text::clean;

/// Why a document can't be read. The message names the field.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// The text is no JSON.
    #[error("the policy is no JSON: {0}")]
    Json(String),
    /// A field is missing or is not what it has to be.
    #[error("the policy's `{field}` is {found}: expected {expected}")]
    Field {
        /// The path of the field, such as `Statement[2].Effect`.
        field: String,
        /// What is there.
        found: String,
        /// What was expected.
        expected: &'static str,
    },
}

impl PolicyError {
    fn new(field: impl Into<String>, found: Option<&Value>, expected: &'static str) -> Self {
        let found = match found {
            None => "missing".to_owned(),
            Some(Value::Null) => "null".to_owned(),
            Some(Value::Bool(value)) => format!("`{value}`"),
            Some(Value::Number(value)) => format!("`{value}`"),
            Some(Value::String(value)) => format!("`{}`", clean(value, 80)),
            Some(Value::Array(_)) => "a list".to_owned(),
            Some(Value::Object(_)) => "an object".to_owned(),
        };
        Self::Field { field: field.into(), found, expected }
    }
}

/// Whether a statement allows or denies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// What it names is allowed.
    Allow,
    /// What it names is denied, whatever else allows it.
    Deny,
}

/// One statement, and the JSON that it was read from.
#[derive(Debug, Clone, PartialEq)]
pub struct Statement {
    pub(super) raw: Value,
    pub(super) sid: Option<String>,
    pub(super) effect: Effect,
    pub(super) principals: Option<Principals>,
    /// In lower case.
    pub(super) actions: Names,
    /// As they are written, for people.
    pub(super) written_actions: Names,
    /// `None` in policies that stand for one resource, such as a role's trust policy.
    pub(super) resources: Option<Names>,
    pub(super) conditions: Vec<Clause>,
    /// Fields that a statement has not: perhaps they mean something to AWS.
    pub(super) unknown: Vec<String>,
}

const FIELDS: &[&str] =
    &["Sid", "Effect", "Principal", "NotPrincipal", "Action", "NotAction", "Resource", "NotResource", "Condition"];

impl Statement {
    fn read(raw: Value, path: &str) -> Result<Self, PolicyError> {
        let fields = raw.as_object().ok_or_else(|| PolicyError::new(path, Some(&raw), "a statement, an object"))?;
        let at = |name: &str| format!("{path}.{name}");
        let sid = match fields.get("Sid") {
            None | Some(Value::Null) => None,
            Some(Value::String(sid)) => Some(sid.clone()),
            Some(other) => return Err(PolicyError::new(at("Sid"), Some(other), "a text")),
        };
        let effect = match fields.get("Effect") {
            Some(Value::String(effect)) if effect == "Allow" => Effect::Allow,
            Some(Value::String(effect)) if effect == "Deny" => Effect::Deny,
            other => return Err(PolicyError::new(at("Effect"), other, "`Allow` or `Deny`")),
        };
        let Some(written_actions) = read_names(fields, path, "Action", "NotAction")? else {
            return Err(PolicyError::new(at("Action"), None, "an action or a list of actions, here or in `NotAction`"));
        };
        Ok(Self {
            sid,
            effect,
            principals: Principals::read(fields, path)?,
            actions: written_actions.in_lower_case(),
            written_actions,
            resources: read_names(fields, path, "Resource", "NotResource")?,
            conditions: match fields.get("Condition") {
                None => Vec::new(),
                Some(conditions) => Clause::read_all(conditions, &at("Condition"))?,
            },
            unknown: fields.keys().filter(|field| !FIELDS.contains(&field.as_str())).cloned().collect(),
            raw,
        })
    }

    /// The statement's own name, which need not be unique.
    pub fn sid(&self) -> Option<&str> {
        self.sid.as_deref()
    }

    /// Whether it allows or denies.
    pub fn effect(&self) -> Effect {
        self.effect
    }

    /// Whom it names, one by one and as written; for `NotPrincipal` nobody.
    pub fn principals(&self) -> &[NamedPrincipal] {
        self.principals.as_ref().filter(|principals| !principals.all_but).map_or(&[], |principals| &principals.entries)
    }

    /// The JSON that it was read from.
    pub fn raw(&self) -> &Value {
        &self.raw
    }

    /// Whether an action is among those that it is about, such as `lambda:InvokeFunction`, in whatever case and by whatever pattern.
    pub fn is_about(&self, action: &str) -> bool {
        self.actions.contain(&action.to_ascii_lowercase())
    }

    /// The resources, which are all where none is named.
    pub(super) fn resources_or_all(&self) -> Names {
        self.resources.clone().unwrap_or_else(Names::all)
    }
}

/// A policy document. Statements are known by their index, since names need not be unique.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    /// The document without its statements.
    pub(super) frame: Map<String, Value>,
    /// Whether the document has a lone statement instead of a list.
    pub(super) is_lone: bool,
    pub(super) statements: Vec<Statement>,
}

impl Policy {
    /// Reads a document from its text.
    ///
    /// # Errors
    ///
    /// [`PolicyError`] when the text is no JSON or no policy.
    pub fn parse(text: &str) -> Result<Self, PolicyError> {
        let document = serde_json::from_str(text).map_err(|error| PolicyError::Json(clean(&error.to_string(), 120)))?;
        Self::from_value(document)
    }

    /// Reads a document from a JSON value.
    ///
    /// # Errors
    ///
    /// [`PolicyError`] when the value is no policy.
    pub fn from_value(document: Value) -> Result<Self, PolicyError> {
        let Value::Object(mut frame) = document else {
            return Err(PolicyError::new("document", Some(&document), "an object with a `Statement`"));
        };
        let (is_lone, statements) = match frame.remove("Statement") {
            Some(Value::Array(statements)) => (false, statements),
            Some(statement @ Value::Object(_)) => (true, vec![statement]),
            other => return Err(PolicyError::new("Statement", other.as_ref(), "a statement or a list of statements")),
        };
        let read = |(index, raw)| Statement::read(raw, &format!("Statement[{index}]"));
        let statements = statements.into_iter().enumerate().map(read).collect::<Result<_, _>>()?;
        Ok(Self { frame, is_lone, statements })
    }

    /// The statements in their order.
    pub fn statements(&self) -> &[Statement] {
        &self.statements
    }

    /// The document as JSON, to be put back.
    pub fn to_value(&self) -> Value {
        let mut document = self.frame.clone();
        let mut statements: Vec<Value> = self.statements.iter().map(|statement| statement.raw.clone()).collect();
        let statements = match statements.pop() {
            Some(lone) if self.is_lone && statements.is_empty() => lone,
            last => {
                statements.extend(last);
                Value::Array(statements)
            }
        };
        document.insert("Statement".to_owned(), statements);
        Value::Object(document)
    }
}

impl std::fmt::Display for Policy {
    /// The document as JSON text.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.to_value().fmt(f)
    }
}

fn read_names(
    fields: &Map<String, Value>,
    path: &str,
    of: &'static str,
    but: &'static str,
) -> Result<Option<Names>, PolicyError> {
    let read = |name: &str| match fields.get(name) {
        None => Ok(None),
        Some(value) => texts(value, &format!("{path}.{name}"))
            .map(|texts| Some(texts.into_iter().map(str::to_owned).collect::<Vec<String>>())),
    };
    match (read(of)?, read(but)?) {
        (None, None) => Ok(None),
        (Some(patterns), None) => Ok(Some(Names::Of(patterns))),
        (None, Some(patterns)) => Ok(Some(Names::AllBut(patterns))),
        (Some(_), Some(_)) => {
            Err(PolicyError::new(format!("{path}.{but}"), fields.get(but), "one of the two, not both forms"))
        }
    }
}

/// A text or a list of texts.
pub(super) fn texts<'a>(value: &'a Value, path: &str) -> Result<Vec<&'a str>, PolicyError> {
    const EXPECTED: &str = "a text or a list of texts";
    match value {
        Value::String(text) => Ok(vec![text]),
        Value::Array(values) => {
            let text = |value: &'a Value| value.as_str().ok_or_else(|| PolicyError::new(path, Some(value), EXPECTED));
            values.iter().map(text).collect()
        }
        other => Err(PolicyError::new(path, Some(other), EXPECTED)),
    }
}

/// An error of a field, for the parts that are read elsewhere.
pub(super) fn unexpected(path: &str, found: &Value, expected: &'static str) -> PolicyError {
    PolicyError::new(path, Some(found), expected)
}
