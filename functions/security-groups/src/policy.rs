//! The settings by which a rule is found open, read from the tags of a rule of EventBridge.

use std::collections::BTreeSet;

use rescind::addresses::{self, AddressSet, Widest};
use rescind::settings::{SettingsError, TagKey, Tags};

use crate::exposure::{Guarded, Policy};

/// `rescind:ports`.
pub const PORTS: TagKey = TagKey {
    key: "ports",
    list: true,
    value: "what is guarded: `22`, `20-25` (TCP), `udp/53`, `tcp/20-25`, `icmp`, `icmpv6`, `all`",
    default: "`22 3389`",
};

/// `rescind:allowed-cidrs`.
pub const ALLOWED_CIDRS: TagKey = TagKey {
    key: "allowed-cidrs",
    list: true,
    value: "the only ranges, or prefix lists by id, that may reach what is guarded",
    default: "any but the world",
};

/// `rescind:widest-source`.
pub const WIDEST_SOURCE: TagKey = TagKey {
    key: "widest-source",
    list: true,
    value: "how wide a public source may be: a prefix length for IPv4, then one for IPv6",
    default: "`/8 /32`",
};

impl Policy {
    /// Reads [`PORTS`], [`ALLOWED_CIDRS`] and [`WIDEST_SOURCE`].
    ///
    /// # Errors
    /// [`SettingsError`], which names the tag.
    pub fn of_tags(tags: &Tags) -> Result<Self, SettingsError> {
        let ports = "ports or protocols such as `22`, `tcp/20-25`, `udp/53`, `icmp` or `all`";
        let guarded = tags
            .parsed_list(PORTS.key, ports, Guarded::parse)?
            .unwrap_or_else(|| ["22", "3389"].iter().filter_map(|port| Guarded::parse(port)).collect());
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
        Ok(Self { guarded, allowed, allowed_lists, widest: widest(tags)?, known_accounts: BTreeSet::new() })
    }
}

fn widest(tags: &Tags) -> Result<Widest, SettingsError> {
    const EXPECTED: &str = "a prefix length for IPv4 and one for IPv6, such as `/8 /32`";
    let key = WIDEST_SOURCE.key;
    let length = |word: &str| word.strip_prefix('/').unwrap_or(word).parse::<u8>().ok();
    let Some(lengths) = tags.parsed_list(key, EXPECTED, length)? else { return Ok(Widest::default()) };
    match lengths.as_slice() {
        [v4] if *v4 <= 32 => Ok(Widest { v4: *v4, ..Widest::default() }),
        [v4, v6] if *v4 <= 32 && *v6 <= 128 => Ok(Widest { v4: *v4, v6: *v6 }),
        _ => Err(SettingsError::value(key, tags.one(key).unwrap_or_default(), EXPECTED)),
    }
}
