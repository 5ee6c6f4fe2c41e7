//! Which groups keep their rules: those that their owner marks by a tag.

use rescind::settings::{OwnSettings, PROTECTED_TAG, ResourceTag, SettingsError, TagKey, Tags};

use crate::exposure::{Policy, judge};
use crate::policy::{ALLOWED_CIDRS, PORTS, WIDEST_SOURCE};
use crate::rule::Rule;
use crate::state::State;

/// A protected group, for a sentence.
pub fn protected(group: &str, state: &State) -> String {
    if state.is_from_event { format!("{group} (if it is protected)") } else { format!("the protected {group}") }
}

/// Which groups are protected, and which of their rules are not worth it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Protection {
    tag: ResourceTag,
    policy: Policy,
}

/// `rescind:protected-tag`, and the tags by which a rule is found open.
impl OwnSettings for Protection {
    const TAGS: &'static [TagKey] = &[PROTECTED_TAG, PORTS, ALLOWED_CIDRS, WIDEST_SOURCE];

    fn of_tags(tags: &Tags) -> Result<Self, SettingsError> {
        Ok(Self { tag: ResourceTag::of_tags(tags)?, policy: Policy::of_tags(tags)? })
    }
}

impl Protection {
    /// Why the group's rules are none of our business, if they are not. What an event alone tells, is taken for protected.
    pub fn spares(&self, state: &State) -> Option<String> {
        let Some(group) = &state.group else { return Some("the group is gone".to_owned()) };
        let tags = group.tags.iter().map(|(key, value)| (key.as_str(), value.as_str()));
        let is_protected = state.is_from_event || self.tag.marks(tags);
        (!is_protected).then(|| format!("{} does not have the tag {}", group.id, self.tag))
    }

    /// Those of `rules` that would let a forbidden source reach a guarded port, if they stood in the group again, or of
    /// which that can't be told. Nobody is helped by putting these back.
    pub fn open_ones<'a>(&self, rules: &'a [Rule], state: &State, account: &str, trusted: &[String]) -> Vec<&'a Rule> {
        let is_one = |rule: &Rule| rules.iter().any(|one| one == rule);
        let others =
            state.rules().iter().filter(|rule| !rules.iter().any(|one| !one.id.is_empty() && one.id == rule.id));
        let all: Vec<Rule> = others.chain(rules).cloned().collect();
        let findings = judge(&all, is_one, &self.policy.with_known_accounts(account, trusted), &state.lists);
        let is_unread = |rule: &Rule| findings.unread.iter().any(|(list, _)| rule.source.to_string() == *list);
        let is_open = |rule: &&Rule| findings.offences.iter().any(|offence| offence.rule == **rule) || is_unread(rule);
        rules.iter().filter(is_open).collect()
    }
}
