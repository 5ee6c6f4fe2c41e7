//! What is asked for: `{"undo": "<outcome id>"}`, with `"force": true` if need be, or `{"approve": "<outcome id>"}`, by a person;
//! `{"undo": "<outcome id>", "expired": true}` by a schedule.

use serde_json::{Value, json};

use crate::signal::SignalError;

/// A request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// Put a resource back as it was found.
    Undo {
        /// The outcome whose steps are undone.
        id: String,
        /// Why.
        why: Why,
    },
    /// Carry out a plan.
    Approve {
        /// The outcome that holds the plan.
        id: String,
    },
}

/// Why something is undone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// A person wants it so.
    Asked,
    /// A person wants it so even though the resource has changed since.
    Forced,
    /// It was to hold only until now: nobody has decided anything.
    Expired,
}

impl Request {
    /// The outcome that it is about.
    pub fn id(&self) -> &str {
        match self {
            Self::Undo { id, .. } | Self::Approve { id } => id,
        }
    }

    /// The request as JSON.
    pub fn to_json(&self) -> Value {
        match self {
            Self::Undo { id, why: Why::Asked } => json!({ "undo": id }),
            Self::Undo { id, why: Why::Forced } => json!({ "undo": id, "force": true }),
            Self::Undo { id, why: Why::Expired } => json!({ "undo": id, "expired": true }),
            Self::Approve { id } => json!({ "approve": id }),
        }
    }

    /// Reads a request; `None` when the input is none.
    ///
    /// # Errors
    /// [`SignalError`] when it looks like one and can't be read.
    pub fn read(input: &Value) -> Result<Option<Self>, SignalError> {
        let (undo, approve) = (input.get("undo"), input.get("approve"));
        let wrong = |field: &str, problem: &str, expected| SignalError::Field {
            field: field.to_owned(),
            problem: problem.to_owned(),
            expected,
        };
        let id = |field: &str, value: &Value| {
            let is_id = |text: &&str| {
                text.len() == 32 && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
            };
            let found = value.as_str().filter(is_id).map(str::to_owned);
            found.ok_or_else(|| wrong(field, "is no outcome id", "32 hexadecimal digits, as the outcome's `id`"))
        };
        match (undo, approve) {
            (None, None) => Ok(None),
            (Some(_), Some(_)) => Err(wrong("undo", "stands beside `approve`", "one of the two")),
            (None, Some(value)) => Ok(Some(Self::Approve { id: id("approve", value)? })),
            (Some(value), None) => {
                let flag = |name: &str| match input.get(name) {
                    None => Ok(false),
                    Some(Value::Bool(flag)) => Ok(*flag),
                    Some(_) => Err(wrong(name, "is neither", "true or false")),
                };
                let why = match (flag("force")?, flag("expired")?) {
                    (true, true) => return Err(wrong("force", "stands beside `expired`", "one of the two")),
                    (true, false) => Why::Forced,
                    (false, true) => Why::Expired,
                    (false, false) => Why::Asked,
                };
                Ok(Some(Self::Undo { id: id("undo", value)?, why }))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_told_from_events() {
        let id = "0123456789abcdef0123456789abcdef";
        assert_eq!(Request::read(&json!({"detail-type": "x"})), Ok(None));
        for why in [Why::Asked, Why::Forced, Why::Expired] {
            let undo = Request::Undo { id: id.into(), why };
            assert_eq!(Request::read(&undo.to_json()), Ok(Some(undo)));
        }
        assert_eq!(Request::read(&json!({"approve": id})), Ok(Some(Request::Approve { id: id.into() })));
        for wrong in [
            json!({"undo": 5}),
            json!({"undo": "repeat/x"}),
            json!({"undo": id, "approve": id}),
            json!({"undo": id, "force": "yes"}),
            json!({"undo": id, "expired": 1}),
            json!({"undo": id, "force": true, "expired": true}),
        ] {
            assert!(Request::read(&wrong).is_err(), "{wrong}");
        }
    }
}
