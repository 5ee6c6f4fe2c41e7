//! End to end: people change things on the emulator, the template's rules deliver, the real function answers, with the
//! role that the template gives it, and the state before and after is compared.

mod bad_input;
mod block_address;
mod credentials_compromised;
mod detached_instances;
mod imdsv1_allowed;
mod isolate_instance;
mod left_behind;
mod model;
mod once;
mod open_security_group_ingress;
mod patterns;
mod permissions;
mod recorded_events;
mod requests;
mod security_group_rule_modified;
mod security_group_rule_removed;
mod serial_console_enabled;
mod trouble;
mod user_data_changed;
