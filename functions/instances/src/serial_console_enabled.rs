//! `serial-console-enabled`: the account lets its users onto instances by a way that no security group guards.
//!
//! ## What it takes back
//! The account's access to the serial console of its instances, in the Region in which it was enabled: it is disabled again.
//!
//! ## Why it is risky
//! Who may push a key to the serial console reaches the boot loader and the operating system of every instance in the
//! Region, whatever its network lets through. MITRE ATT&CK T1021.
//!
//! ## Example
//! `aws ec2 enable-serial-console-access`: seconds later it is disabled.
//!
//! ## Safety
//! Who is connected by the serial console stays connected until the session ends. It can be undone: access is enabled again. Earlier
//! state: the event. An account has no tags, so it can't be exempted by one: exempt the principal.
//!
//! ## Tags
//! Those of every remediation.
//!
//! ## References
//! Amazon EC2 API: `EnableSerialConsoleAccess`, `DisableSerialConsoleAccess`, `GetSerialConsoleAccessStatus`. Amazon EC2 user
//! guide: *Configure access to the EC2 Serial Console*.

use rescind::journal::Facts;
use rescind::settings::{SettingsError, TagKey, Tags};
use rescind::signal::{Fact, Resource, Signal};
use rescind::verdict::{Assessment, Evidence};
use rescind::{Call, Plan, Step};
use rescind_lambda::{CallError, Heard, Operation, Remediation, ResourceState, Scope, Subject};
use serde_json::json;

use crate::instance;

/// See the module.
#[derive(Debug, Clone, Copy)]
pub struct SerialConsoleEnabled;

const STATUS: &str = "ec2:GetSerialConsoleAccessStatus";
const ENABLE: &str = "ec2:EnableSerialConsoleAccess";
const DISABLE: &str = "ec2:DisableSerialConsoleAccess";
const OPERATIONS: &[Operation] = &[
    Operation::reads(STATUS),
    Operation::changes(DISABLE),
    // The inverse.
    Operation::changes(ENABLE),
];

/// Whether the account's users may be let onto serial consoles in the Region.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Access {
    /// `SerialConsoleAccessEnabled`.
    pub is_enabled: bool,
}

impl Remediation for SerialConsoleEnabled {
    type Target = ();
    type State = Access;
    type Settings = ();
    type Offender = Access;

    fn name(&self) -> &'static str {
        "serial-console-enabled"
    }

    fn tags(&self) -> &'static [TagKey] {
        &[]
    }

    fn operations(&self) -> &'static [Operation] {
        OPERATIONS
    }

    fn listen(&self, signal: &Signal) -> Vec<Heard<()>> {
        let Fact::ApiCall(call) = &signal.fact else { return Vec::new() };
        if call.service != "ec2.amazonaws.com" || call.name != "EnableSerialConsoleAccess" {
            return Vec::new();
        }
        let resource = Resource {
            kind: "AWS::::Account".to_owned(),
            id: signal.account.clone(),
            account: signal.account.clone(),
            region: signal.region.clone(),
        };
        vec![Heard::About { resource, target: () }]
    }

    fn settings(&self, _: &Tags) -> Result<(), SettingsError> {
        Ok(())
    }

    fn state_of_event(&self, _: &Resource, (): &(), _: Option<&Access>) -> Option<Access> {
        Some(Access { is_enabled: true })
    }

    async fn read(&self, scope: &Scope, _: &Resource, (): &()) -> Result<Access, CallError> {
        let answer = instance::client(scope).get_serial_console_access_status().send().await;
        let answer = answer.map_err(|error| CallError::from_sdk(STATUS, &error))?;
        // What is not told is taken for the worse.
        Ok(Access { is_enabled: answer.serial_console_access_enabled().unwrap_or(true) })
    }

    fn fingerprint(&self, _: &Access) -> String {
        "SerialConsoleAccessEnabled".to_owned()
    }

    fn assess(&self, subject: &Subject<'_, Self>) -> Assessment<Access> {
        let Subject { resource, state, .. } = subject;
        let reason = format!(
            "account {} lets its users onto the serial consoles of its instances in {}, past every security group",
            resource.account, resource.region
        );
        if !state.is_enabled {
            return Assessment::AlreadySafe { reason: format!("{reason}; that is disabled again already") };
        }
        let evidence = vec![Evidence::new([("SerialConsoleAccessEnabled", "true")])];
        Assessment::Risky { reason, evidence, offenders: vec![**state] }
    }

    fn plan(&self, _: &Subject<'_, Self>, offenders: &[Access]) -> Plan {
        let call = |name: &str| Call { call: name.to_owned(), parameters: json!({}) };
        let steps = offenders.iter().map(|_| Step::planned(call(DISABLE), call(ENABLE)));
        Plan { steps: steps.collect(), note: None }
    }

    async fn make(&self, scope: &Scope, call: &Call) -> Result<(), CallError> {
        let client = instance::client(scope);
        match call.call.as_str() {
            DISABLE => {
                let answer = client.disable_serial_console_access().send().await;
                answer.map(drop).map_err(|error| CallError::from_sdk(DISABLE, &error))
            }
            ENABLE => {
                let answer = client.enable_serial_console_access().send().await;
                answer.map(drop).map_err(|error| CallError::from_sdk(ENABLE, &error))
            }
            other => Err(CallError::malformed(DISABLE, format!("`{other}` is not a call of this remediation"))),
        }
    }
}

impl ResourceState for Access {
    fn id(&self) -> Option<&str> {
        None
    }

    fn tags(&self) -> &[(String, String)] {
        &[]
    }

    fn facts(&self) -> Facts {
        Facts::from([("SerialConsoleAccessEnabled".to_owned(), self.is_enabled.to_string())])
    }

    fn after(&self, call: &Call) -> Self {
        match call.call.as_str() {
            ENABLE => Self { is_enabled: true },
            DISABLE => Self { is_enabled: false },
            _ => *self,
        }
    }
}
