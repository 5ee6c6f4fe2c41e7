//! The ranges of addresses that the owner trusts.

use crate::addresses::{self, AddressSet};
use crate::settings::{OwnSettings, SettingsError, TagKey, Tags};

/// `rescind:allowed-cidrs`, where a policy may let in who comes from certain addresses.
const ALLOWED_CIDRS: TagKey = TagKey {
    key: "allowed-cidrs",
    list: true,
    value: "ranges of addresses that are no strangers', such as those of an office, for conditions on `aws:SourceIp`",
    default: "private ranges alone",
};

/// The ranges that are no strangers', as [`Friends::networks`](super::Friends::networks) takes them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Networks(pub AddressSet);

impl OwnSettings for Networks {
    const TAGS: &'static [TagKey] = &[ALLOWED_CIDRS];

    fn of_tags(tags: &Tags) -> Result<Self, SettingsError> {
        let ranges = "ranges such as `203.0.113.0/24` or `2001:db8::/32`";
        let told = tags.parsed_list(ALLOWED_CIDRS.key, ranges, addresses::parse)?;
        Ok(Self(AddressSet::new(told.unwrap_or_default())))
    }
}
