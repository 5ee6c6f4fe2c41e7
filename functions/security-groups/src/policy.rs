//! The settings by which a rule is found open, read from the tags of a rule of EventBridge.

use std::collections::BTreeSet;

use rescind::addresses::{self, AddressSet};
use rescind::ports;
pub use rescind::ports::{PORTS, WIDEST_SOURCE};
use rescind::settings::{OwnSettings, SettingsError, TagKey, Tags};

use crate::exposure::Policy;

/// `rescind:allowed-cidrs`.
pub const ALLOWED_CIDRS: TagKey = TagKey {
    key: "allowed-cidrs",
    list: true,
    value: "the only ranges, or prefix lists by id, that may reach what is guarded",
    default: "any but the world",
};

impl OwnSettings for Policy {
    const TAGS: &'static [TagKey] = &[PORTS, ALLOWED_CIDRS, WIDEST_SOURCE];

    fn of_tags(tags: &Tags) -> Result<Self, SettingsError> {
        let is_list = |word: &&str| word.starts_with("pl-");
        let allowed = tags.parsed_list(
            ALLOWED_CIDRS.key,
            "ranges such as `10.0.0.0/8` or `2001:db8::/32`, or prefix lists such as `pl-0123`",
            |word| {
                if is_list(&word) { Some(Err(word.to_owned())) } else { addresses::parse(word).map(Ok) }
            },
        )?;
        let allowed_lists = allowed.iter().flatten().filter_map(|entry| entry.clone().err()).collect();
        let allowed = allowed.map(|entries| AddressSet::new(entries.into_iter().filter_map(Result::ok)));
        Ok(Self {
            guarded: ports::guarded(tags)?,
            allowed,
            allowed_lists,
            widest: ports::widest(tags)?,
            known_accounts: BTreeSet::new(),
        })
    }
}
