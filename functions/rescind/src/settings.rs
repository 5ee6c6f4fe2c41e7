//! What the owner wants: the tags of the rule that fired, typed and checked.
//!
//! Everything fails closed and aloud: an unknown `rescind:` tag or a value that does not parse is an error that names
//! the tag, and never leads to a change.
//!
//! EventBridge allows letters, digits, spaces and `+ - = . _ : / @` in tag values, at most 256 characters of them
//! (Amazon EventBridge user guide, *Tagging*), so lists are separated by spaces, and a long list goes on in
//! `rescind:<key>.2`, `.3` and so on.

mod marks;

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::arn;
use crate::journal::Limit;
use crate::signal::Severity;
use crate::text::clean;
pub use marks::{ExemptTag, Exemption, PrincipalPattern, ResourceTag};

/// What every tag of ours begins with.
pub const PREFIX: &str = "rescind:";

/// How far Rescind goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// Nothing is judged.
    Off,
    /// Everything but the changing calls, which are shown instead.
    #[default]
    DryRun,
    /// The plan is kept and told, and waits for a person.
    Approve,
    /// The change is taken back.
    Enforce,
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Off => "off",
            Self::DryRun => "dry-run",
            Self::Approve => "approve",
            Self::Enforce => "enforce",
        })
    }
}

/// A tag that a rule may carry: the key after `rescind:`, and what the manual says of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TagKey {
    /// The key without the prefix: `ports`.
    pub key: &'static str,
    /// Whether the value is a list that may go on in `.2`, `.3` …
    pub list: bool,
    /// What the value is.
    pub value: &'static str,
    /// What holds without the tag.
    pub default: &'static str,
}

/// The tags that every remediation understands.
pub const COMMON: &[TagKey] = &[
    TagKey { key: "mode", list: false, value: "`off`, `dry-run`, `approve` or `enforce`", default: "`dry-run`" },
    TagKey {
        key: "remediation",
        list: true,
        value: "names of remediations",
        default: "all of the function's that fit the signal",
    },
    TagKey {
        key: "exempt-tag",
        list: false,
        value: "`key` or `key=value`: a resource with this tag is left alone; a tag value that is a date ends the exemption with that day (UTC)",
        default: "`rescind:exempt`",
    },
    TagKey {
        key: "exempt-principals",
        list: true,
        value: "ARNs of roles or users whose changes are left alone; one that ends in `/` covers the path below it",
        default: "nobody",
    },
    TagKey {
        key: "trusted-accounts",
        list: true,
        value: "ids of accounts that are no strangers",
        default: "only the own account",
    },
    TagKey {
        key: "organization",
        list: false,
        value: "the id of the organization whose members are no strangers: `o-` and letters or digits",
        default: "no organization",
    },
    TagKey {
        key: "repeat-limit",
        list: false,
        value: "reverts of the same change by the same principal before Rescind stands back: `N/duration`",
        default: "`3/1h`",
    },
    TagKey {
        key: "blast-limit",
        list: false,
        value: "different resources that one remediation contains, which interrupts service, before the next ones wait for approval: `N/duration`",
        default: "`5/1h`",
    },
];

/// The lowest severity of a finding that counts, for the remediations that go by findings.
pub const SEVERITY: TagKey = TagKey {
    key: "severity",
    list: false,
    value: "the lowest severity of a finding that counts: `low`, `medium`, `high`, `critical` or a number",
    default: "`high`",
};

/// Which resources are protected, for the remediations that put back what these have lost.
pub const PROTECTED_TAG: TagKey = TagKey {
    key: "protected-tag",
    list: false,
    value: "`key` or `key=value`: what is changed at a resource with this tag is put back",
    default: "`rescind:protected`",
};

/// What the own tags of a remediation say. Several remediations may share one.
pub trait OwnSettings: Send + Sync + Sized {
    /// The tags that it understands beside those of every remediation.
    const TAGS: &'static [TagKey];

    /// Reads them.
    ///
    /// # Errors
    /// [`SettingsError`], which names the tag.
    fn of_tags(tags: &Tags) -> Result<Self, SettingsError>;
}

/// A remediation that has no tags of its own.
impl OwnSettings for () {
    const TAGS: &'static [TagKey] = &[];

    fn of_tags(_: &Tags) -> Result<Self, SettingsError> {
        Ok(())
    }
}

/// Why settings can't be used. The message names the tag.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// A key that begins with our prefix and is none of ours.
    #[error("the tag `{tag}` is none that Rescind knows; known are {known}")]
    Unknown {
        /// The whole key.
        tag: String,
        /// The keys that may stand here.
        known: String,
    },
    /// A value that does not parse.
    #[error("the tag `{tag}` is `{found}`: expected {expected}")]
    Value {
        /// The whole key.
        tag: String,
        /// The value, or the part of it that does not parse.
        found: String,
        /// What was expected.
        expected: String,
    },
    /// The tags could not be read.
    #[error("the settings could not be read: {0}")]
    Unreadable(String),
}

impl SettingsError {
    /// The error for a tag, or a variable of the environment, that is none of `known`.
    pub fn unknown(tag: &str, known: &[TagKey]) -> Self {
        let known = known.iter().map(|tag| format!("`{PREFIX}{}`", tag.key)).collect::<Vec<_>>().join(", ");
        Self::Unknown { tag: clean(tag, 140), known }
    }

    /// The error for a value of a tag.
    pub fn value(key: &str, found: &str, expected: impl Into<String>) -> Self {
        Self::Value { tag: format!("{PREFIX}{key}"), found: clean(found, 100), expected: expected.into() }
    }
}

/// The `rescind:` tags of a rule, by their keys without the prefix.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tags(BTreeMap<String, String>);

impl Tags {
    /// Takes the tags that begin with our prefix; others are none of our business.
    pub fn of_rule<K: AsRef<str>, V: Into<String>>(tags: impl IntoIterator<Item = (K, V)>) -> Self {
        let ours = tags.into_iter().filter_map(|(key, value)| {
            let key = key.as_ref().strip_prefix(PREFIX)?.to_owned();
            Some((key, value.into()))
        });
        Self(ours.collect())
    }

    /// Takes settings from an environment: `RESCIND_EXEMPT_TAG` stands for `rescind:exempt-tag` and
    /// `RESCIND_ALLOWED_CIDRS_2` for `rescind:allowed-cidrs.2`. Variables that stand for none of `known` are left
    /// out.
    pub fn of_environment(variables: &BTreeMap<String, String>, known: &[TagKey]) -> Self {
        let mut tags = BTreeMap::new();
        for tag in known {
            let name = format!("RESCIND_{}", tag.key.to_ascii_uppercase().replace('-', "_"));
            for (variable, value) in variables {
                let rest = variable.strip_prefix(name.as_str());
                match rest {
                    Some("") => drop(tags.insert(tag.key.to_owned(), value.clone())),
                    Some(rest) if tag.list && is_continuation(rest, '_') => {
                        drop(tags.insert(format!("{}{}", tag.key, rest.replace('_', ".")), value.clone()));
                    }
                    _ => {}
                }
            }
        }
        Self(tags)
    }

    /// These tags, with those of `other` in place of equal keys.
    #[must_use]
    pub fn overridden_by(mut self, other: Self) -> Self {
        self.0.extend(other.0);
        self
    }

    /// Checks that every key is one of `known`.
    ///
    /// # Errors
    /// [`SettingsError::Unknown`] with the first key that is not.
    pub fn check(&self, known: &[TagKey]) -> Result<(), SettingsError> {
        let is_known = |key: &String| {
            known.iter().any(|tag| {
                key.strip_prefix(tag.key)
                    .is_some_and(|rest| rest.is_empty() || (tag.list && is_continuation(rest, '.')))
            })
        };
        match self.0.keys().find(|key| !is_known(key)) {
            None => Ok(()),
            Some(key) => Err(SettingsError::unknown(&format!("{PREFIX}{key}"), known)),
        }
    }

    /// The value of a key that is no list, trimmed.
    pub fn one(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(|value| value.trim())
    }

    /// Whether a tag says `other`, and not `default`, which holds without the tag.
    ///
    /// # Errors
    /// [`SettingsError::Value`] for another word.
    pub fn departs(&self, key: &'static str, default: &str, other: &str) -> Result<bool, SettingsError> {
        match self.one(key) {
            None => Ok(false),
            Some(word) if word == default => Ok(false),
            Some(word) if word == other => Ok(true),
            Some(word) => Err(SettingsError::value(key, word, format!("`{default}` or `{other}`"))),
        }
    }

    /// The elements of a list, those of `key.2`, `key.3` … included; `None` when there is no such tag at all.
    pub fn list(&self, key: &str) -> Option<Vec<&str>> {
        let mut parts: Vec<(u32, &str)> = self
            .0
            .iter()
            .filter_map(|(name, value)| match name.strip_prefix(key)? {
                "" => Some((1, value.as_str())),
                rest if is_continuation(rest, '.') => Some((rest.get(1..)?.parse().ok()?, value.as_str())),
                _ => None,
            })
            .collect();
        parts.sort_unstable();
        (!parts.is_empty()).then(|| parts.iter().flat_map(|(_, value)| value.split_whitespace()).collect())
    }

    /// The value of [`SEVERITY`].
    ///
    /// # Errors
    /// [`SettingsError::Value`] when it is none.
    pub fn severity(&self) -> Result<Severity, SettingsError> {
        let Some(text) = self.one(SEVERITY.key) else { return Ok(Severity::HIGH) };
        let expected = "`low`, `medium`, `high`, `critical` or a number up to 10";
        Severity::parse(text).ok_or_else(|| SettingsError::value(SEVERITY.key, text, expected))
    }

    /// ARNs of principals, or of all below a path; empty without the tag.
    ///
    /// # Errors
    /// [`SettingsError::Value`] for what is no such ARN.
    pub fn principals(&self, key: &str) -> Result<Vec<PrincipalPattern>, SettingsError> {
        let expected = "ARNs of IAM roles or users, or one that ends in `/` for a path";
        Ok(self.parsed_list(key, expected, PrincipalPattern::parse)?.unwrap_or_default())
    }

    /// As [`Tags::list`], each element parsed.
    ///
    /// # Errors
    /// [`SettingsError::Value`] for an element that `parse` refuses, and for a list with nothing in it: an empty value
    /// says neither "all" nor "none" clearly enough.
    pub fn parsed_list<T>(
        &self,
        key: &str,
        expected: &str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Result<Option<Vec<T>>, SettingsError> {
        let Some(words) = self.list(key) else {
            return Ok(None);
        };
        if words.is_empty() {
            return Err(SettingsError::value(key, "", expected));
        }
        words
            .into_iter()
            .map(|word| parse(word).ok_or_else(|| SettingsError::value(key, word, expected)))
            .collect::<Result<_, _>>()
            .map(Some)
    }
}

/// Whether `rest` is `.2` to `.99` (or `_2` … in an environment), and in no other way of writing a number.
fn is_continuation(rest: &str, separator: char) -> bool {
    rest.strip_prefix(separator).is_some_and(|digits| {
        matches!(digits.len(), 1..=2)
            && !digits.starts_with(['0', '+'])
            && digits.parse::<u32>().is_ok_and(|number| number >= 2)
    })
}

/// What every remediation needs to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// How far to go.
    pub mode: Mode,
    /// The remediations that the rule is for; `None` for all that fit.
    pub remediations: Option<Vec<String>>,
    /// Which resources are left alone.
    pub exempt_tag: ExemptTag,
    /// Whose changes are left alone.
    pub exempt_principals: Vec<PrincipalPattern>,
    /// Accounts that are no strangers.
    pub trusted_accounts: Vec<String>,
    /// The organization whose members are no strangers.
    pub organization: Option<String>,
    /// When to stand back from a fight.
    pub repeat_limit: Limit,
    /// How many containments may interrupt service.
    pub blast_limit: Limit,
}

impl Settings {
    /// Reads the common settings.
    ///
    /// `remediations` are the names that `rescind:remediation` may hold.
    ///
    /// # Errors
    /// [`SettingsError`], which names the tag.
    pub fn parse(tags: &Tags, remediations: &[&str]) -> Result<Self, SettingsError> {
        let mode = match tags.one("mode") {
            None | Some("dry-run") => Mode::DryRun,
            Some("off") => Mode::Off,
            Some("approve") => Mode::Approve,
            Some("enforce") => Mode::Enforce,
            Some(other) => {
                return Err(SettingsError::value("mode", other, "`off`, `dry-run`, `approve` or `enforce`"));
            }
        };
        let names = format!("one of {}", remediations.join(", "));
        let only =
            tags.parsed_list("remediation", &names, |word| remediations.contains(&word).then(|| word.to_owned()))?;
        let exempt_tag = match tags.one("exempt-tag") {
            None => ExemptTag::default(),
            Some(text) => ExemptTag::parse(text)
                .ok_or_else(|| SettingsError::value("exempt-tag", text, "`key` or `key=value`"))?,
        };
        let exempt_principals = tags.principals("exempt-principals")?;
        let trusted_accounts = tags.parsed_list("trusted-accounts", "account ids of twelve digits", |word| {
            arn::is_account(word).then(|| word.to_owned())
        })?;
        let organization = match tags.one("organization") {
            None => None,
            Some(id) if is_organization(id) => Some(id.to_owned()),
            Some(other) => return Err(SettingsError::value("organization", other, "an id such as `o-a1b2c3d4e5`")),
        };
        Ok(Self {
            mode,
            remediations: only,
            exempt_tag,
            exempt_principals,
            trusted_accounts: trusted_accounts.unwrap_or_default(),
            organization,
            repeat_limit: limit(tags, "repeat-limit", 3)?,
            blast_limit: limit(tags, "blast-limit", 5)?,
        })
    }
}

/// Whether a text is the id of an organization (AWS Organizations API reference, `Organization`).
fn is_organization(id: &str) -> bool {
    let rest = id.strip_prefix("o-").unwrap_or_default();
    (10..=32).contains(&rest.len()) && rest.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
}

/// Reads a limit; `hourly` holds without a tag.
fn limit(tags: &Tags, key: &'static str, hourly: usize) -> Result<Limit, SettingsError> {
    let Some(text) = tags.one(key) else { return Ok(Limit::hourly(hourly)) };
    let expected = "a number from 1 to 30 and a time, such as `3/1h` or `10/30m`";
    Limit::parse(text).ok_or_else(|| SettingsError::value(key, text, expected))
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, Utc};

    use super::*;

    fn tags(pairs: &[(&str, &str)]) -> Tags {
        Tags::of_rule(pairs.iter().copied())
    }

    fn parse(pairs: &[(&str, &str)]) -> Result<Settings, SettingsError> {
        Settings::parse(&tags(pairs), &["open-security-group-ingress"])
    }

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    #[test]
    fn without_tags_nothing_is_changed() {
        assert_eq!(parse(&[]).unwrap().mode, Mode::DryRun);
    }

    #[test]
    fn a_tag_of_two_words_has_one_of_them_as_its_default() {
        let departs = |value: &str| tags(&[("rescind:role", value)]).departs("role", "leave", "deny");
        assert!(!tags(&[]).departs("role", "leave", "deny").unwrap());
        assert!(!departs("leave").unwrap());
        assert!(departs(" deny ").unwrap());
        for other in ["", "Deny", "deny leave"] {
            let error = departs(other).unwrap_err().to_string();
            assert!(error.contains("`rescind:role`") && error.contains("`leave` or `deny`"), "{error}");
        }
    }

    #[test]
    fn unknown_keys_and_bad_values_name_the_tag() {
        let unknown = tags(&[("rescind:modus", "enforce"), ("team", "web")]).check(COMMON).unwrap_err();
        assert!(unknown.to_string().contains("`rescind:modus`"), "{unknown}");
        for (key, value) in [
            ("mode", "Enforce!"),
            ("mode", ""),
            ("remediation", "open-everything"),
            ("remediation", " "),
            ("exempt-tag", "=x"),
            ("exempt-principals", "alice"),
            ("exempt-principals", "arn:aws:iam::111122223333:policy/x"),
            ("trusted-accounts", "1234"),
        ] {
            let key = format!("rescind:{key}");
            let error = parse(&[(&key, value)]).unwrap_err();
            assert!(error.to_string().contains(&format!("`{key}`")), "{error}");
        }
    }

    #[test]
    fn lists_go_on_in_numbered_tags_and_in_their_order() {
        let tags = tags(&[("rescind:x.10", "d"), ("rescind:x", "a b"), ("rescind:x.2", "c")]);
        assert_eq!(tags.list("x"), Some(vec!["a", "b", "c", "d"]));
        let known = [TagKey { key: "x", list: true, value: "", default: "" }];
        assert_eq!(tags.check(&known), Ok(()));
        for bad in ["x.1", "x.02", "x.+2", "x.2.3", "x.a", "x.", "x.100", "xy"] {
            assert!(Tags::of_rule([(format!("rescind:{bad}"), "")]).check(&known).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_environment_speaks_as_tags_do() {
        let variables =
            [("RESCIND_MODE", "off"), ("RESCIND_TRUSTED_ACCOUNTS_2", "x"), ("RESCIND_BUS", "b"), ("PATH", "p")];
        let variables = variables.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
        let expected = tags(&[("rescind:mode", "off"), ("rescind:trusted-accounts.2", "x")]);
        assert_eq!(Tags::of_environment(&variables, COMMON), expected);
    }

    #[test]
    fn an_exemption_ends_with_its_day() {
        let tag = ExemptTag::default();
        let value = |value, now| tag.applies([("rescind:exempt", value)], at(now));
        assert!(matches!(value("2026-12-31", "2026-12-31T23:59:59Z"), Exemption::Exempt(_)));
        assert!(matches!(value("2026-12-31", "2027-01-01T00:00:00Z"), Exemption::Ended(_)));
        assert!(matches!(value("2026-13-31", "2026-12-31T00:00:00Z"), Exemption::Unclear(_)));
        assert!(matches!(value("31.12.2026", "2026-12-31T00:00:00Z"), Exemption::Unclear(_)));
        assert!(matches!(value("2026-12-31x", "2026-12-31T00:00:00Z"), Exemption::Unclear(_)));
        assert!(matches!(value("", "2026-12-31T00:00:00Z"), Exemption::Exempt(_)));
        assert_eq!(value("false", "2026-12-31T00:00:00Z"), Exemption::None);
        let own = ExemptTag::parse("env=sandbox").unwrap();
        assert!(matches!(own.applies([("env", "sandbox")], at("2026-12-31T00:00:00Z")), Exemption::Exempt(_)));
        assert_eq!(own.applies([("env", "prod")], at("2026-12-31T00:00:00Z")), Exemption::None);
    }

    #[test]
    fn a_principal_is_compared_whole_and_a_path_only_when_it_ends_in_a_slash() {
        let role = "arn:aws:iam::111122223333:role/deploy";
        assert!(PrincipalPattern::parse(role).unwrap().covers(role));
        assert!(!PrincipalPattern::parse(role).unwrap().covers("arn:aws:iam::111122223333:role/deploy-evil"));
        let path = PrincipalPattern::parse("arn:aws:iam::111122223333:role/ci/").unwrap();
        assert!(path.covers("arn:aws:iam::111122223333:role/ci/terraform"));
        assert!(!path.covers("arn:aws:iam::111122223333:role/cifake"));
    }
}
