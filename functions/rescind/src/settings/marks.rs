//! Tags of resources that say something to Rescind, and principals that settings name.

use std::fmt;

use chrono::{DateTime, NaiveDate, Utc};

use super::{OwnSettings, PROTECTED_TAG, SettingsError, TagKey, Tags};
use crate::arn::{self, Arn};
use crate::text::clean;

/// A tag by which an owner marks resources: `key`, or `key=value`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResourceTag {
    key: String,
    value: Option<String>,
}

/// The tag that protects a resource, as [`PROTECTED_TAG`] says.
impl OwnSettings for ResourceTag {
    const TAGS: &'static [TagKey] = &[PROTECTED_TAG];

    fn of_tags(tags: &Tags) -> Result<Self, SettingsError> {
        let key = PROTECTED_TAG.key;
        let Some(text) = tags.one(key) else { return Ok(Self::new("rescind:protected")) };
        Self::parse(text).ok_or_else(|| SettingsError::value(key, text, "`key` or `key=value`"))
    }
}

impl ResourceTag {
    /// A tag with this key and any value.
    pub fn new(key: &str) -> Self {
        Self { key: key.to_owned(), value: None }
    }

    /// Reads `key` or `key=value`.
    pub fn parse(text: &str) -> Option<Self> {
        let (key, value) = match text.split_once('=') {
            Some((key, value)) => (key.trim(), Some(value.trim())),
            None => (text, None),
        };
        (!key.is_empty() && value != Some("")).then(|| Self { key: key.to_owned(), value: value.map(str::to_owned) })
    }

    /// Whether a resource with these `tags` is marked: it has the tag, and its value is the one wanted, or at least none
    /// that says no.
    pub fn marks<'a>(&self, tags: impl IntoIterator<Item = (&'a str, &'a str)>) -> bool {
        let value = tags.into_iter().find(|(key, _)| *key == self.key).map(|(_, value)| value.trim());
        value.is_some_and(|value| self.value.as_deref().map_or(!says_no(value), |wanted| value == wanted))
    }
}

impl fmt::Display for ResourceTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.key)?;
        self.value.iter().try_for_each(|value| write!(f, "={value}"))
    }
}

fn says_no(value: &str) -> bool {
    ["false", "no", "off", "0"].iter().any(|no| value.eq_ignore_ascii_case(no))
}

/// The tag that exempts a resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExemptTag(ResourceTag);

impl Default for ExemptTag {
    fn default() -> Self {
        Self(ResourceTag::new("rescind:exempt"))
    }
}

/// What the tags of a resource say about an exemption.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Exemption {
    /// No such tag, or one that says `false`.
    None,
    /// Exempt; the text says by what.
    Exempt(String),
    /// It was exempt until a day that is over; the text says so.
    Ended(String),
    /// The tag's value can't be understood: neither to be trusted nor to be overridden.
    Unclear(String),
}

impl ExemptTag {
    pub(super) fn parse(text: &str) -> Option<Self> {
        ResourceTag::parse(text).map(Self)
    }

    /// What the `tags` of a resource say at `now`.
    pub fn applies<'a>(&self, tags: impl IntoIterator<Item = (&'a str, &'a str)>, now: DateTime<Utc>) -> Exemption {
        let Some((_, value)) = tags.into_iter().find(|(key, _)| *key == self.0.key) else {
            return Exemption::None;
        };
        let value = value.trim();
        let tag = format!("the tag `{}={}`", clean(&self.0.key, 128), clean(value, 60));
        if let Some(wanted) = &self.0.value {
            return if value == wanted { Exemption::Exempt(tag) } else { Exemption::None };
        }
        if let Ok(last_day) = NaiveDate::parse_from_str(value, "%Y-%m-%d") {
            return if now.date_naive() <= last_day {
                Exemption::Exempt(format!("{tag}, which ends with that day"))
            } else {
                Exemption::Ended(format!("{tag} has ended"))
            };
        }
        if looks_like_a_date(value) {
            return Exemption::Unclear(format!("{tag} looks like a date and is none: expected `YYYY-MM-DD`"));
        }
        if says_no(value) {
            return Exemption::None;
        }
        Exemption::Exempt(tag)
    }
}

fn looks_like_a_date(value: &str) -> bool {
    let is_digit_or_separator = |c: char| c.is_ascii_digit() || matches!(c, '-' | '/' | '.');
    value.len() >= 6 && value.starts_with(|c: char| c.is_ascii_digit()) && value.chars().all(is_digit_or_separator)
        || value.get(..5).is_some_and(|start| start.ends_with('-') && start.bytes().take(4).all(|b| b.is_ascii_digit()))
}

/// A principal, or all below a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrincipalPattern(String);

impl PrincipalPattern {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let arn = Arn::parse(text)?;
        let is_principal = arn.service() == "iam"
            && arn::is_account(arn.account())
            && (arn.resource() == "root" || ["role/", "user/"].iter().any(|kind| arn.resource().starts_with(kind)));
        is_principal.then(|| Self(text.to_owned()))
    }

    /// Whether `principal`, the ARN of a role or user, is meant.
    pub fn covers(&self, principal: &str) -> bool {
        if self.0.ends_with('/') { principal.starts_with(&self.0) } else { principal == self.0 }
    }
}
