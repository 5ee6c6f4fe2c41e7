//! What the file of a remediation is written with: `use rescind_lambda::prelude::*;`.

pub use rescind::settings::{OwnSettings, SettingsError, TagKey, Tags};
pub use rescind::signal::{ApiCall, Fact, Resource, Signal, field, items, number, text, texts};
pub use rescind::text::{clean, few};
pub use rescind::verdict::{Assessment, Evidence, Offender};
pub use rescind::{Call, Plan, Step};
pub use serde_json::{Value, json};

pub use crate::aws::{CallError, Scope, not_ours, parameter, unless_gone};
pub use crate::baseline::EARLIER_STATE_OPERATIONS;
pub use crate::client;
pub use crate::remediation::{Further, Heard, Operation, Remediation, ResourceState, Subject};
pub use crate::standing::Standing;
