//! The schema of what a function answers.

use std::fs;
use std::sync::LazyLock;

use jsonschema::Validator;
use serde_json::Value;

use crate::repository;

static SCHEMA: LazyLock<Validator> = LazyLock::new(|| {
    let text =
        fs::read_to_string(repository().join("functions/rescind/outcome.schema.json")).expect("the schema is there");
    jsonschema::validator_for(&serde_json::from_str(&text).expect("the schema is JSON")).expect("the schema is one")
});

/// Holds an answer against the schema.
///
/// # Panics
/// When it breaks it.
pub fn check(answer: &Value) {
    let problems: Vec<String> =
        SCHEMA.iter_errors(answer).map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert!(problems.is_empty(), "the answer breaks the schema: {problems:?}\n{answer:#}");
}
