//! The clock. Nothing else asks it.

use std::time::SystemTime;

use chrono::{DateTime, Utc};

/// The time now.
#[expect(clippy::disallowed_methods, reason = "the one place where the clock is asked")]
pub(crate) fn now() -> DateTime<Utc> {
    Utc::now()
}

/// The time now, as the standard library tells it.
pub(crate) fn system_now() -> SystemTime {
    now().into()
}
