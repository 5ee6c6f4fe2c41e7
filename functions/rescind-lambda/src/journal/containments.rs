//! What was contained of late: so that no more is cut off than the owner allows, and nothing by two at the same time.

use aws_sdk_dynamodb::types::AttributeValue;
use rescind::journal::{Containment, MOST_COUNTED};

use super::{Item, Journal, KEPT, UPDATE, get_number, is_taken_over, json, number, text};
use crate::aws::{Aws, CallError};
use crate::clock;

/// Containments that are remembered; beyond it, the oldest are forgotten.
const REMEMBERED: usize = 4 * MOST_COUNTED;

/// The containments of one remediation in one account.
#[derive(Debug, Clone, Default)]
pub(crate) struct Containments {
    /// The latest last.
    pub(crate) list: Vec<Containment>,
    /// How often the list was written: who writes it next has to have read it.
    revision: i64,
}

impl Journal {
    /// The containments that `key` names.
    pub(crate) async fn containments(&self, aws: &Aws, key: &str) -> Result<Containments, CallError> {
        Ok(read(&self.get(aws, key).await?.unwrap_or_default()))
    }

    /// Adds one containment to `known`. Answers whether it is there; if not, somebody else wrote meanwhile.
    pub(crate) async fn contain(
        &self,
        aws: &Aws,
        key: &str,
        known: &Containments,
        containment: &Containment,
    ) -> Result<bool, CallError> {
        let others = known.list.iter().filter(|one| one.resource != containment.resource);
        let others: Vec<&Containment> = others.collect();
        let forgotten = others.len().saturating_sub(REMEMBERED - 1);
        let list = others.into_iter().skip(forgotten).chain([containment]).map(json).collect();
        let update = self
            .client(aws)
            .await
            .update_item()
            .table_name(&self.table)
            .key("id", text(key))
            .update_expression("SET contained = :list, revision = :next, expires = :expires")
            .condition_expression("attribute_not_exists(revision) OR revision = :known")
            .expression_attribute_values(":list", AttributeValue::L(list))
            .expression_attribute_values(":known", number(known.revision))
            .expression_attribute_values(":next", number(known.revision + 1))
            .expression_attribute_values(":expires", number((clock::now() + KEPT).timestamp()));
        match update.send().await {
            Ok(_) => Ok(true),
            Err(error) => {
                let error = CallError::from_sdk(UPDATE, &error);
                if is_taken_over(&error) { Ok(false) } else { Err(error) }
            }
        }
    }
}

fn read(item: &Item) -> Containments {
    let list = match item.get("contained") {
        Some(AttributeValue::L(list)) => list.as_slice(),
        _ => &[],
    };
    let list = list.iter().filter_map(|value| serde_json::from_str(value.as_s().ok()?).ok()).collect();
    Containments { list, revision: get_number(item, "revision").unwrap_or_default() }
}
