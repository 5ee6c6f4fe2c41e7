//! Whatever tags a rule carries (here one on each line, as `key=value`): they are settings, or an error that names the
//! tag.

#![no_main]

use std::collections::{BTreeMap, BTreeSet};

use libfuzzer_sys::{Corpus, fuzz_target};
use rescind::settings::{COMMON, Exemption, PREFIX};
use rescind::text::clean;
use rescind::{Mode, Settings, SettingsError, Tags};
use serde_json::json;

const REMEDIATIONS: &[&str] = &["open-security-group-ingress", "other-remediation"];
/// No message about tags is longer, in characters.
const LONGEST_MESSAGE: usize = 600;

/// A rule has each tag once.
type Pairs = BTreeMap<String, String>;

fuzz_target!(|data: &[u8]| -> Corpus {
    let Ok(text) = std::str::from_utf8(data) else {
        return Corpus::Reject;
    };
    let pair = |line: &str| line.split_once('=').map(|(key, value)| (key.to_owned(), value.to_owned()));
    let pairs: Pairs = text.lines().filter_map(pair).collect();
    let tags = Tags::of_rule(&pairs);
    check_keys(&pairs, &tags);
    match Settings::parse(&tags, REMEDIATIONS) {
        Ok(settings) => check_settings(&settings, &tags, &pairs),
        Err(error) => check_error(&error, &tags),
    }
    Corpus::Keep
});

/// Every key of ours that the manual does not name is refused, and by its name.
fn check_keys(pairs: &Pairs, tags: &Tags) {
    let ours: Pairs = pairs.clone().into_iter().filter(|(key, _)| key.starts_with(PREFIX)).collect();
    assert_eq!(&Tags::of_rule(&ours), tags, "the tags of others mean nothing");
    assert_eq!(&tags.clone().overridden_by(tags.clone()), tags);
    let unknown: BTreeSet<&String> = ours.keys().filter(|key| !is_documented(key)).collect();
    match tags.check(COMMON) {
        Ok(()) => {
            assert!(unknown.is_empty(), "{unknown:?} is accepted");
            assert_eq!(&Tags::of_environment(&environment(&ours), COMMON), tags, "an environment says the same");
        }
        Err(error) => {
            let message = error.to_string();
            check_message(&message);
            assert!(unknown.iter().any(|key| message.contains(&format!("`{}`", clean(key, 140)))), "{message}");
        }
    }
}

/// What the manual says: `rescind:<key>`, and for lists `rescind:<key>.2` to `rescind:<key>.99`.
fn is_documented(tag: &str) -> bool {
    COMMON.iter().any(|known| {
        let key = format!("{PREFIX}{}", known.key);
        tag == key || (known.list && (2..=99).any(|number| tag == format!("{key}.{number}")))
    })
}

/// The variables that stand for tags.
fn environment(ours: &Pairs) -> Pairs {
    let name = |key: &str| key.replace(':', "_").replace(['-', '.'], "_").to_ascii_uppercase();
    let others = [("PATH".to_owned(), "/bin".to_owned()), ("RESCIND_MODE_2".to_owned(), "enforce".to_owned())];
    ours.iter().map(|(key, value)| (name(key), value.clone())).chain(others).collect()
}

/// An error names a tag that the rule carries.
fn check_error(error: &SettingsError, tags: &Tags) {
    let message = error.to_string();
    check_message(&message);
    let is_named = |key: &str| message.contains(&format!("`{PREFIX}{key}`"));
    let is_set = |key: &str| tags.one(key).is_some() || tags.list(key).is_some();
    assert!(COMMON.iter().any(|known| is_named(known.key) && is_set(known.key)), "{message} names no tag");
}

/// A message is repeated in logs and outcomes.
fn check_message(message: &str) {
    assert_eq!(clean(message, LONGEST_MESSAGE), message, "the message is short and has no hostile characters");
}

fn check_settings(settings: &Settings, tags: &Tags, pairs: &Pairs) {
    // Nothing but the very word has anything changed.
    assert_eq!(settings.mode == Mode::Enforce, tags.one("mode") == Some("enforce"));
    assert_eq!(settings.mode.to_string(), tags.one("mode").unwrap_or("dry-run"));
    let named = settings.remediations.as_deref();
    assert!(named.is_none_or(|names| !names.is_empty() && names.iter().all(|n| REMEDIATIONS.contains(&n.as_str()))));
    assert!(settings.trusted_accounts.iter().all(|account| rescind::arn::is_account(account)));
    assert!((1..=1000).contains(&settings.repeat_limit.times));
    assert!(settings.repeat_limit.within.num_seconds() > 0);
    check_principals(settings, tags);
    check_exemptions(settings, pairs);
    for rewritten in [in_one_tag(tags), in_many_tags(tags)] {
        assert_eq!(Settings::parse(&rewritten, REMEDIATIONS).as_ref(), Ok(settings), "{rewritten:?} says the same");
    }
}

fn check_principals(settings: &Settings, tags: &Tags) {
    let words = tags.list("exempt-principals").unwrap_or_default();
    assert_eq!(words.len(), settings.exempt_principals.len());
    for (pattern, word) in settings.exempt_principals.iter().zip(words) {
        assert!(pattern.covers(word) && !pattern.covers(""));
        let longer = pattern.covers(&format!("{word}x"));
        assert_eq!(longer, word.ends_with('/'), "{word} covers more than it says");
    }
}

/// Resources carry tags that others write.
fn check_exemptions(settings: &Settings, pairs: &Pairs) {
    let now = serde_json::from_value(json!("2026-11-24T09:30:00Z")).unwrap_or_default();
    let on_resource = pairs.iter().map(|(key, value)| (key.as_str(), value.as_str()));
    match settings.exempt_tag.applies(on_resource, now) {
        Exemption::None => {}
        Exemption::Exempt(text) | Exemption::Ended(text) | Exemption::Unclear(text) => check_message(&text),
    }
    assert_eq!(settings.exempt_tag.applies([], now), Exemption::None, "without a tag nothing is exempt");
}

/// The same tags as plainly as can be: no spaces that say nothing, and each list in one tag.
fn in_one_tag(tags: &Tags) -> Tags {
    let value = |key| Some(tags.list(key)?.join(" "));
    let plain = |known: &rescind::TagKey| {
        let value = if known.list { value(known.key) } else { tags.one(known.key).map(str::to_owned) };
        Some((format!("{PREFIX}{}", known.key), value?))
    };
    Tags::of_rule(COMMON.iter().filter_map(plain))
}

/// The same tags, with a tag for each word of a list as long as there are numbers.
fn in_many_tags(tags: &Tags) -> Tags {
    let mut pairs = Vec::new();
    for known in COMMON.iter().filter(|known| known.list) {
        let mut words = tags.list(known.key).unwrap_or_default().into_iter();
        for number in 2..99 {
            pairs.extend(words.next().map(|word| (format!("{PREFIX}{}.{number}", known.key), word.to_owned())));
        }
        let rest: Vec<&str> = words.collect();
        if !rest.is_empty() {
            pairs.push((format!("{PREFIX}{}.99", known.key), rest.join("  ")));
        }
    }
    let single = COMMON.iter().filter(|known| !known.list);
    pairs.extend(single.filter_map(|known| Some((format!("{PREFIX}{}", known.key), tags.one(known.key)?.to_owned()))));
    Tags::of_rule(pairs)
}
