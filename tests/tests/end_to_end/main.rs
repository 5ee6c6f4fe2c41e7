//! End to end: people change things on the emulator, the template's rules deliver, the real function answers, with the
//! role that the template gives it, and the state before and after is compared.

mod admin_policy_attached;
mod bad_input;
mod block_address;
mod credentials_compromised;
mod detached_instances;
mod every_remediation;
mod imdsv1_allowed;
mod isolate_instance;
mod left_behind;
mod model;
mod once;
mod open_security_group_ingress;
mod patterns;
mod permissions;
mod public_bucket_policy;
mod recorded_events;
mod requests;
mod role_trusts_stranger;
mod security_group_rule_modified;
mod security_group_rule_removed;
mod serial_console_enabled;
mod trouble;
mod user_data_changed;

use tokio::sync::{Mutex, MutexGuard};

/// What tries every remediation in every way keeps all processors busy by itself: one such test at a time, or calls take so long
/// that they are given up.
async fn alone() -> MutexGuard<'static, ()> {
    static BUSY: Mutex<()> = Mutex::const_new(());
    BUSY.lock().await
}
