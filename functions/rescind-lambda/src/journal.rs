//! The journal: a DynamoDB table with one item for each outcome id. It is what makes a remediation happen once.
//!
//! A claim is a conditional write with a lease, after the Amazon DynamoDB developer guide, *Condition expressions*. The
//! table also has items that say what was taken back of late, and what is left alone: `history`; and what was cut off:
//! `containments`.

mod containments;
mod history;

pub(crate) use containments::Containments;
pub(crate) use history::{History, LeftAlone};

use std::collections::HashMap;
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue, ReturnValuesOnConditionCheckFailure};
use chrono::{DateTime, TimeDelta, Utc};
use rescind::journal::{Earlier, Facts, Phase};
use rescind::{Outcome, Step};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::aws::{Aws, CallError, CallFailure};
use crate::client;
use crate::clock;

/// How long an outcome is kept.
pub(crate) const KEPT: TimeDelta = TimeDelta::days(400);
/// How long a plan waits for a person.
const APPROVABLE: TimeDelta = TimeDelta::hours(24);
/// The largest event that is kept: an item may hold 400 KB.
const LARGEST_EVENT: usize = 250_000;

const GET: &str = "dynamodb:GetItem";
const UPDATE: &str = "dynamodb:UpdateItem";

type Item = HashMap<String, AttributeValue>;

/// The journal's table.
#[derive(Debug)]
pub(crate) struct Journal {
    table: String,
    function: String,
}

/// What became of a claim.
#[derive(Debug)]
pub(crate) enum Claim {
    /// It is ours to work on, with what earlier deliveries left.
    Ours(Box<Held>),
    /// Another delivery came to an end with it.
    Closed(Box<Entry>),
    /// Another delivery works on it.
    Busy,
}

/// A claim that is ours.
#[derive(Debug, Clone)]
pub(crate) struct Held {
    id: String,
    owner: String,
    /// What earlier deliveries left.
    pub(crate) earlier: Earlier,
    /// The status that was published last for this outcome.
    told: Option<String>,
    /// The delivery, where it stands in for the one that is kept: an update of a finding may tell of somebody else. What earlier
    /// deliveries did, is undone by theirs.
    delivery: Option<String>,
}

/// An entry as it is kept.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    /// Its phase, as written.
    pub(crate) phase: String,
    /// What was said last.
    pub(crate) outcome: Option<Outcome>,
    /// The steps that were noted last: those about to be made and those made before it.
    pub(crate) noted: Vec<Step>,
    /// The status that was published last.
    pub(crate) told: Option<String>,
    /// Another delivery has it claimed: it works on it, or is just telling it.
    pub(crate) is_held: bool,
    /// The function's input.
    pub(crate) delivery: Option<Value>,
    /// How the resource stood before it was changed.
    pub(crate) before: Option<Facts>,
    /// How it stood after that.
    pub(crate) after: Option<Facts>,
    /// Until when a plan may be approved.
    pub(crate) approvable_until: Option<DateTime<Utc>>,
}

/// What is written when a delivery comes to an end.
#[derive(Debug, Default)]
pub(crate) struct Ending {
    /// How the resource stood before it was changed.
    pub(crate) before: Option<Facts>,
    /// How it stands now.
    pub(crate) after: Option<Facts>,
    /// An approved plan could not be carried out: it waits for a person as before.
    pub(crate) still_awaits: bool,
    /// Another delivery works on the same resource: this one comes again.
    pub(crate) is_busy: bool,
    /// What waits for a person is another plan than the one that was told.
    pub(crate) is_another_plan: bool,
}

impl Journal {
    pub(crate) fn new(table: String, function: String) -> Self {
        Self { table, function }
    }

    async fn client(&self, aws: &Aws) -> std::sync::Arc<Client> {
        client!(aws.own().await, aws_sdk_dynamodb)
    }

    /// Claims an outcome for this delivery. `from` are the phases that it may be in beside not being there at all.
    pub(crate) async fn claim(
        &self,
        aws: &Aws,
        id: &str,
        delivery: &Value,
        from: &[Phase],
        lease: Duration,
    ) -> Result<Claim, CallError> {
        let now = clock::now();
        // Nobody else claims in the same nanosecond of the same process.
        let owner = format!("{}/{}", std::process::id(), now.timestamp_nanos_opt().unwrap_or_default());
        let until = now.timestamp_millis() + i64::try_from(lease.as_millis()).unwrap_or(i64::MAX / 2);
        let event = delivery.to_string();
        let mut update = self
            .client(aws)
            .await
            .update_item()
            .table_name(&self.table)
            .key("id", text(id))
            .expression_attribute_names("#phase", "phase")
            .expression_attribute_values(":open", text(Phase::Open.as_str()))
            .expression_attribute_values(":owner", text(&owner))
            .expression_attribute_values(":until", number(until))
            .expression_attribute_values(":now", number(now.timestamp_millis()))
            .expression_attribute_values(":one", number(1))
            .expression_attribute_values(":nobody", text("nobody"))
            .expression_attribute_values(":function", text(&self.function))
            .expression_attribute_values(":expires", number((now + KEPT).timestamp()))
            .return_values(ReturnValue::AllNew)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        let mut set = "SET #phase = :open, claimed_by = :owner, lease_until = :until, function_name = :function, \
             first_seen = if_not_exists(first_seen, :now), expires = :expires, \
             previous_claim = if_not_exists(claimed_by, :nobody)"
            .to_owned();
        let mut phases = Vec::new();
        for phase in from {
            phases.push(format!("#phase = :{0}", phase.as_str()));
            update = update.expression_attribute_values(format!(":{}", phase.as_str()), text(phase.as_str()));
        }
        // A plan that can no longer be approved keeps no later delivery from acting.
        if !from.contains(&Phase::Awaiting) {
            phases.push("(#phase = :awaiting AND approvable_until < :moment)".to_owned());
            update = update
                .expression_attribute_values(":awaiting", text(Phase::Awaiting.as_str()))
                .expression_attribute_values(":moment", text(&now.to_rfc3339()));
        }
        let is_free = format!("attribute_not_exists(id) OR (({}) AND lease_until < :now)", phases.join(" OR "));
        if event.len() <= LARGEST_EVENT {
            update = update.expression_attribute_values(":delivery", text(&event));
            set.push_str(", delivery = if_not_exists(delivery, :delivery)");
        }
        match update.condition_expression(is_free).update_expression(format!("{set} ADD attempts :one")).send().await {
            Ok(answer) => {
                let item = answer.attributes().cloned().unwrap_or_default();
                Ok(Claim::Ours(held(id, owner, &item).with_delivery(event)))
            }
            Err(error) => match error.as_service_error() {
                Some(UpdateItemError::ConditionalCheckFailedException(failed)) => {
                    let item = match failed.item() {
                        Some(item) => item.clone(),
                        None => self.get(aws, id).await?.unwrap_or_default(),
                    };
                    // An earlier try of this very call may have worked without our hearing of it.
                    if get_text(&item, "claimed_by").as_ref() == Some(&owner) {
                        return Ok(Claim::Ours(held(id, owner, &item).with_delivery(event)));
                    }
                    let is_closed = get_text(&item, "phase").is_some_and(|phase| phase != Phase::Open.as_str());
                    Ok(if is_closed { Claim::Closed(Box::new(entry(&item))) } else { Claim::Busy })
                }
                _ => Err(CallError::from_sdk(UPDATE, &error)),
            },
        }
    }

    /// Writes the steps that are about to be made and those made before, with their inverses.
    pub(crate) async fn note_steps(&self, aws: &Aws, held: &Held, steps: &[Step]) -> Result<(), CallError> {
        let steps = (":steps", json(&steps));
        match &held.delivery {
            Some(delivery) => {
                let expression = "SET planned_steps = :steps, delivery = :delivery";
                self.update(aws, held, expression, [steps, (":delivery", text(delivery))]).await
            }
            None => self.update(aws, held, "SET planned_steps = :steps", [steps]).await,
        }
    }

    /// Writes what became of it. The claim holds for as long as it takes to tell it; an outcome that need not be told is
    /// given up at once.
    pub(crate) async fn finish(
        &self,
        aws: &Aws,
        held: &Held,
        outcome: &Outcome,
        ending: &Ending,
        telling: Option<Duration>,
    ) -> Result<(), CallError> {
        let now = clock::now();
        let until =
            telling.map_or(0, |time| now.timestamp_millis() + i64::try_from(time.as_millis()).unwrap_or_default());
        let phase = if ending.still_awaits { Phase::Awaiting } else { Phase::after(outcome.status) };
        let mut fields = vec![
            ("#phase", ":phase", text(phase.as_str())),
            ("lease_until", ":until", number(until)),
            ("expires", ":expires", number((now + KEPT).timestamp())),
        ];
        if let Some(delivery) = &held.delivery {
            fields.push(("delivery", ":delivery", text(delivery)));
        }
        if ending.still_awaits {
            // The plan that was told is the one that a person approves.
            fields.push(("planned_steps", ":steps", json(&outcome.steps)));
        } else {
            fields.push(("outcome", ":outcome", json(outcome)));
            if phase == Phase::Awaiting {
                fields.push(("approvable_until", ":approvable", text(&(now + APPROVABLE).to_rfc3339())));
            }
        }
        let facts = [("before_facts", ":before", &ending.before), ("after_facts", ":after", &ending.after)];
        fields.extend(facts.into_iter().filter_map(|(name, value, facts)| Some((name, value, json(facts.as_ref()?)))));
        match self.set(aws, held, &fields, "").await {
            // Too large for one item. That it is kept at all comes before what only an undo needs.
            Err(problem) if problem.code.as_deref() == Some("ValidationException") => {
                fields
                    .retain(|(name, ..)| !["before_facts", "after_facts", "planned_steps", "delivery"].contains(name));
                self.set(aws, held, &fields, " REMOVE delivery, before_facts, after_facts, planned_steps").await
            }
            answer => answer,
        }
    }

    /// Sets fields of an entry that is ours, and ends the claim.
    async fn set(
        &self,
        aws: &Aws,
        held: &Held,
        fields: &[(&'static str, &'static str, AttributeValue)],
        and: &str,
    ) -> Result<(), CallError> {
        let sets: Vec<String> = fields.iter().map(|(name, value, _)| format!("{name} = {value}")).collect();
        let expression = format!("SET ended_claim = :owner, {}{and}", sets.join(", "));
        let values = fields.iter().map(|(_, placeholder, value)| (*placeholder, value.clone()));
        self.update(aws, held, &expression, values).await
    }

    /// Gives the claim up as if it had never been.
    pub(crate) async fn release(&self, aws: &Aws, held: &Held) -> Result<(), CallError> {
        self.update(aws, held, "SET lease_until = :zero, ended_claim = :owner", [(":zero", number(0))]).await
    }

    /// Remembers which status was published of an entry.
    pub(crate) async fn mark_told(&self, aws: &Aws, id: &str, status: &str) -> Result<(), CallError> {
        let update = self.client(aws).await.update_item().table_name(&self.table).key("id", text(id));
        let update = update
            .condition_expression("attribute_exists(id)")
            .update_expression("SET told = :told, lease_until = :zero")
            .expression_attribute_values(":told", text(status))
            .expression_attribute_values(":zero", number(0));
        update.send().await.map(drop).map_err(|error| CallError::from_sdk(UPDATE, &error))
    }

    /// An update of an entry that is ours. Fails when another delivery has taken it over.
    async fn update(
        &self,
        aws: &Aws,
        held: &Held,
        expression: &str,
        values: impl IntoIterator<Item = (&'static str, AttributeValue)>,
    ) -> Result<(), CallError> {
        let mut update = self
            .client(aws)
            .await
            .update_item()
            .table_name(&self.table)
            .key("id", text(&held.id))
            .update_expression(expression)
            .condition_expression("claimed_by = :owner")
            .expression_attribute_values(":owner", text(&held.owner));
        if expression.contains("#phase") {
            update = update.expression_attribute_names("#phase", "phase");
        }
        for (name, value) in values {
            update = update.expression_attribute_values(name, value);
        }
        update.send().await.map(drop).map_err(|error| CallError::from_sdk(UPDATE, &error))
    }

    async fn get(&self, aws: &Aws, id: &str) -> Result<Option<Item>, CallError> {
        let get = self.client(aws).await.get_item().table_name(&self.table).key("id", text(id)).consistent_read(true);
        let answer = get.send().await.map_err(|error| CallError::from_sdk(GET, &error))?;
        Ok(answer.item().cloned())
    }

    /// Reads an entry.
    pub(crate) async fn load(&self, aws: &Aws, id: &str) -> Result<Option<Entry>, CallError> {
        Ok(self.get(aws, id).await?.map(|item| entry(&item)))
    }
}

impl Held {
    /// With the delivery that is to be kept, if it is another one and no earlier delivery has begun anything.
    fn with_delivery(mut self: Box<Self>, event: String) -> Box<Self> {
        let has_begun = !self.earlier.steps_begun().is_empty();
        self.delivery = (self.earlier.attempts > 0 && !has_begun && event.len() <= LARGEST_EVENT).then_some(event);
        self
    }

    /// The status that was published last for this outcome.
    pub(crate) fn told(&self) -> Option<&str> {
        self.told.as_deref()
    }
}

/// Whether an update failed on its condition: another delivery has taken the entry over.
pub(crate) fn is_taken_over(error: &CallError) -> bool {
    error.failure == CallFailure::Refused && error.code.as_deref() == Some("ConditionalCheckFailedException")
}

fn text(value: &str) -> AttributeValue {
    AttributeValue::S(value.to_owned())
}

fn number(value: i64) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

fn json(value: &impl serde::Serialize) -> AttributeValue {
    AttributeValue::S(serde_json::to_string(value).unwrap_or_default())
}

fn get_text(item: &Item, name: &str) -> Option<String> {
    item.get(name).and_then(|value| value.as_s().ok()).cloned()
}

fn get_number(item: &Item, name: &str) -> Option<i64> {
    item.get(name).and_then(|value| value.as_n().ok()).and_then(|number| number.parse().ok())
}

fn get_json<T: DeserializeOwned>(item: &Item, name: &str) -> Option<T> {
    serde_json::from_str(&get_text(item, name)?).ok()
}

fn held(id: &str, owner: String, item: &Item) -> Box<Held> {
    let attempts = get_number(item, "attempts").and_then(|number| u64::try_from(number).ok()).unwrap_or(1);
    let previous = get_text(item, "previous_claim").filter(|claim| claim != "nobody");
    let earlier = Earlier {
        attempts: attempts.saturating_sub(1),
        was_cut_off: previous.is_some() && previous != get_text(item, "ended_claim"),
        outcome: get_json(item, "outcome"),
        noted: get_json(item, "planned_steps").unwrap_or_default(),
    };
    Box::new(Held { id: id.to_owned(), owner, earlier, told: get_text(item, "told"), delivery: None })
}

fn entry(item: &Item) -> Entry {
    Entry {
        phase: get_text(item, "phase").unwrap_or_default(),
        outcome: get_json(item, "outcome"),
        noted: get_json(item, "planned_steps").unwrap_or_default(),
        told: get_text(item, "told"),
        is_held: get_number(item, "lease_until").is_some_and(|until| until > clock::now().timestamp_millis()),
        delivery: get_json(item, "delivery"),
        before: get_json(item, "before_facts"),
        after: get_json(item, "after_facts"),
        approvable_until: get_text(item, "approvable_until")
            .and_then(|time| DateTime::parse_from_rfc3339(&time).ok())
            .map(|time| time.to_utc()),
    }
}
