//! What happened to a resource before: what was taken back from a principal of late, so that a fight is noticed, and what is
//! left alone, whoever made it.

use aws_sdk_dynamodb::types::AttributeValue;
use chrono::{DateTime, TimeDelta, Utc};
use rescind::journal::{MOST_COUNTED, Revert};

use super::{Journal, KEPT, UPDATE, get_number, is_taken_over, json, number, text};
use crate::aws::{Aws, CallError};
use crate::clock;

/// Reverts that are remembered for one principal and resource; beyond it, the older half is forgotten.
const REMEMBERED: usize = 2 * MOST_COUNTED;

/// What the journal knows of a principal's changes of a resource.
#[derive(Debug, Clone, Default)]
pub(crate) struct History {
    /// What was taken back.
    pub(crate) reverts: Vec<Revert>,
    /// What is left alone, whoever made it, and why.
    pub(crate) left_alone: Vec<(String, LeftAlone)>,
    /// When a person last undid something here.
    pub(crate) undone_at: Option<DateTime<Utc>>,
}

/// Why a change is left alone when a service reports it that only looks at the state, and does not tell who made it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LeftAlone {
    /// A person put it back with `undo`.
    Undone,
    /// A principal made it that the owner exempts.
    Exempt,
    /// Rescind stands back from a fight over it.
    StoodBack,
}

impl LeftAlone {
    const ALL: [Self; 3] = [Self::Undone, Self::Exempt, Self::StoodBack];

    fn attribute(self) -> &'static str {
        match self {
            Self::Undone => "undone",
            Self::Exempt => "exempt",
            Self::StoodBack => "stood_back",
        }
    }

    /// For a sentence.
    pub(crate) fn in_words(self) -> &'static str {
        match self {
            Self::Undone => "a person put it back with `undo`",
            Self::Exempt => "a principal made it that `rescind:exempt-principals` covers",
            Self::StoodBack => "Rescind stands back from a fight over it",
        }
    }
}

impl Journal {
    /// What was taken back of late, by `key`: principal and resource.
    pub(crate) async fn history(&self, aws: &Aws, key: &str) -> Result<History, CallError> {
        let item = self.get(aws, key).await?.unwrap_or_default();
        let list = |name: &str| match item.get(name) {
            Some(AttributeValue::L(list)) => list.iter().filter_map(|value| value.as_s().ok().cloned()).collect(),
            _ => Vec::new(),
        };
        let reverts = list("reverts").iter().filter_map(|text| serde_json::from_str(text).ok()).collect();
        let left = LeftAlone::ALL.into_iter().flat_map(|why| {
            let changes = item.get(why.attribute()).and_then(|set| set.as_ss().ok()).cloned().unwrap_or_default();
            changes.into_iter().map(move |change| (change, why))
        });
        let undone_at = get_number(&item, "undone_at").and_then(DateTime::from_timestamp_millis);
        Ok(History { reverts, left_alone: left.collect(), undone_at })
    }

    /// Remembers a revert.
    pub(crate) async fn remember_revert(
        &self,
        aws: &Aws,
        key: &str,
        known: &History,
        revert: &Revert,
    ) -> Result<(), CallError> {
        if known.reverts.len() >= REMEMBERED {
            let kept: Vec<AttributeValue> =
                known.reverts.iter().skip(REMEMBERED / 2).chain([revert]).map(json).collect();
            return self.remember(aws, key, "SET reverts = :list, expires = :expires", kept).await;
        }
        let append = "SET reverts = list_append(if_not_exists(reverts, :empty), :list), expires = :expires";
        self.remember(aws, key, append, vec![json(revert)]).await
    }

    /// Remembers that changes are left alone, and when something was undone.
    pub(crate) async fn leave_alone(
        &self,
        aws: &Aws,
        key: &str,
        why: LeftAlone,
        changes: &[String],
    ) -> Result<(), CallError> {
        let is_undone = why == LeftAlone::Undone;
        if changes.is_empty() && !is_undone {
            return Ok(());
        }
        let mut update = self
            .client(aws)
            .await
            .update_item()
            .table_name(&self.table)
            .key("id", text(key))
            .expression_attribute_values(":expires", number((clock::now() + KEPT).timestamp()));
        let mut expression = "SET expires = :expires".to_owned();
        if is_undone {
            expression.push_str(", undone_at = :now");
            update = update.expression_attribute_values(":now", number(clock::now().timestamp_millis()));
        }
        if !changes.is_empty() {
            expression = format!("{expression} ADD {} :changes", why.attribute());
            update = update.expression_attribute_values(":changes", AttributeValue::Ss(changes.to_vec()));
        }
        let update = update.update_expression(expression);
        update.send().await.map(drop).map_err(|error| CallError::from_sdk(UPDATE, &error))
    }

    async fn remember(
        &self,
        aws: &Aws,
        key: &str,
        expression: &str,
        list: Vec<AttributeValue>,
    ) -> Result<(), CallError> {
        let mut update = self
            .client(aws)
            .await
            .update_item()
            .table_name(&self.table)
            .key("id", text(key))
            .update_expression(expression)
            .expression_attribute_values(":list", AttributeValue::L(list))
            .expression_attribute_values(":expires", number((clock::now() + KEPT).timestamp()));
        if expression.contains(":empty") {
            update = update.expression_attribute_values(":empty", AttributeValue::L(Vec::new()));
        }
        update.send().await.map(drop).map_err(|error| CallError::from_sdk(UPDATE, &error))
    }

    /// Whether `outcome` is the first within `within` in which Rescind stands back for `key`, so that it is told only once.
    pub(crate) async fn begins_to_stand_back(
        &self,
        aws: &Aws,
        key: &str,
        outcome: &str,
        within: TimeDelta,
    ) -> Result<bool, CallError> {
        let now = clock::now();
        let update = self
            .client(aws)
            .await
            .update_item()
            .table_name(&self.table)
            .key("id", text(key))
            .update_expression("SET standing_back_until = :until, standing_back_in = :outcome, expires = :expires")
            .condition_expression(
                "attribute_not_exists(standing_back_until) OR standing_back_until < :now OR standing_back_in = :outcome",
            )
            .expression_attribute_values(":outcome", text(outcome))
            .expression_attribute_values(":expires", number((now + KEPT).timestamp()))
            .expression_attribute_values(":until", number((now + within).timestamp_millis()))
            .expression_attribute_values(":now", number(now.timestamp_millis()));
        match update.send().await {
            Ok(_) => Ok(true),
            Err(error) => {
                let error = CallError::from_sdk(UPDATE, &error);
                if is_taken_over(&error) { Ok(false) } else { Err(error) }
            }
        }
    }
}
