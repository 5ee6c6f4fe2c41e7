//! End to end: people change things on the emulator, the template's rules deliver, the real function answers, with the
//! role that the template gives it, and the state before and after is compared.

mod bad_input;
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
mod trouble;
