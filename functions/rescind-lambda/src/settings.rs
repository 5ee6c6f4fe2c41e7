//! Reads the tags of the rule that fired.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rescind::arn::Arn;
use rescind::settings::{SettingsError, Tags};
use rescind::signal::{Delivery, Fact};

use crate::aws::{Aws, CallError};
use crate::baseline::config_client;
use crate::client;

/// How long tags are remembered: a change of a tag takes effect within this time.
const REMEMBERED: Duration = Duration::from_mins(1);
/// Rules remembered at most; beyond it all are forgotten. No account has as many rules as this.
const MOST: usize = 1000;

/// The tags of rules, remembered for a while.
#[derive(Debug, Default)]
pub(crate) struct RuleTags {
    remembered: Mutex<HashMap<String, (Instant, Tags)>>,
}

impl RuleTags {
    /// The tags for a delivery, if they are remembered.
    pub(crate) fn remembered(&self, delivery: &Delivery) -> Option<Tags> {
        let mut tags = Tags::default();
        for arn in sources(delivery).ok()? {
            tags = tags.overridden_by(self.recall(arn.as_str())?);
        }
        Some(tags)
    }

    fn recall(&self, arn: &str) -> Option<Tags> {
        let remembered = self.remembered.lock().unwrap_or_else(PoisonError::into_inner);
        remembered.get(arn).filter(|(since, _)| since.elapsed() < REMEMBERED).map(|(_, tags)| tags.clone())
    }

    /// The tags for a delivery that came through a rule: those of the EventBridge rule, and over them those of the AWS
    /// Config rule whose judgement the signal is.
    pub(crate) async fn read(&self, aws: &Aws, delivery: &Delivery) -> Result<Tags, SettingsError> {
        let sources = sources(delivery)?;
        let mut reads = Vec::new();
        for arn in &sources {
            reads.push(self.read_one(aws, arn));
        }
        let mut tags = Tags::default();
        for read in join_all(reads).await {
            tags = tags.overridden_by(read?);
        }
        Ok(tags)
    }

    async fn read_one(&self, aws: &Aws, arn: &Arn) -> Result<Tags, SettingsError> {
        if let Some(tags) = self.recall(arn.as_str()) {
            return Ok(tags);
        }
        let tags = list_tags(aws, arn).await.map_err(|error| SettingsError::Unreadable(error.to_string()))?;
        let mut remembered = self.remembered.lock().unwrap_or_else(PoisonError::into_inner);
        if remembered.len() >= MOST {
            remembered.clear();
        }
        remembered.insert(arn.as_str().to_owned(), (Instant::now(), tags.clone()));
        Ok(tags)
    }
}

/// Where the settings of a delivery stand, the more particular later.
fn sources(delivery: &Delivery) -> Result<Vec<Arn>, SettingsError> {
    let mut sources: Vec<Arn> = delivery.rule.iter().cloned().collect();
    if let Fact::ComplianceChange(change) = &delivery.signal.fact
        && let Some(text) = &change.rule_arn
    {
        let arn = Arn::parse(text).filter(|arn| arn.service() == "config").ok_or_else(|| {
            SettingsError::Unreadable(format!("`{}` is not the ARN of a Config rule", rescind::text::clean(text, 200)))
        })?;
        if !sources.contains(&arn) {
            sources.push(arn);
        }
    }
    Ok(sources)
}

async fn list_tags(aws: &Aws, arn: &Arn) -> Result<Tags, CallError> {
    let scope = aws.own().await;
    if arn.service() == "config" {
        let mut pages =
            config_client(&scope).list_tags_for_resource().resource_arn(arn.as_str()).into_paginator().send();
        let mut tags = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| CallError::from_sdk("config:ListTagsForResource", &error))?;
            tags.extend(page.tags().iter().filter_map(|tag| Some((tag.key()?.to_owned(), tag.value()?.to_owned()))));
        }
        return Ok(Tags::of_rule(tags));
    }
    let client = client!(scope, aws_sdk_eventbridge);
    let answer = client
        .list_tags_for_resource()
        .resource_arn(arn.as_str())
        .send()
        .await
        .map_err(|error| CallError::from_sdk("events:ListTagsForResource", &error))?;
    Ok(Tags::of_rule(answer.tags().iter().map(|tag| (tag.key(), tag.value()))))
}

/// Waits for a few futures side by side.
async fn join_all<F: Future>(futures: Vec<F>) -> Vec<F::Output> {
    futures_util::future::join_all(futures).await
}
