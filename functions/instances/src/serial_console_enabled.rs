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
use rescind_lambda::prelude::*;

use crate::instance;

/// See the module.
#[derive(Debug, Clone, Copy)]
pub struct SerialConsoleEnabled;

const STATUS: &str = "ec2:GetSerialConsoleAccessStatus";
const ENABLE: &str = "ec2:EnableSerialConsoleAccess";
const DISABLE: &str = "ec2:DisableSerialConsoleAccess";

/// The one piece: whether the account's users may be let onto serial consoles in the Region.
const ENABLED: &str = "SerialConsoleAccessEnabled";

impl Remediation for SerialConsoleEnabled {
    const NAME: &'static str = "serial-console-enabled";
    const CALLS: &'static [&'static str] = &[ENABLE];
    const OPERATIONS: &'static [Operation] =
        &[Operation::reads(STATUS), Operation::changes(DISABLE), Operation::changes(ENABLE)];

    type Target = ();
    type State = Standing;
    type Settings = ();
    type Offender = String;

    fn listen(&self, signal: &Signal) -> Vec<Heard<()>> {
        let resource = signal.resource("AWS::::Account", &signal.account);
        signal.called(Self::CALLS).map(|_| Heard::about(resource, ())).into_iter().collect()
    }

    fn state_of_event(&self, _: &Resource, (): &(), _: Option<&Standing>) -> Option<Standing> {
        Some(Standing::new(effect).fact(ENABLED, true))
    }

    async fn read(&self, scope: &Scope, _: &Resource, (): &()) -> Result<Standing, CallError> {
        let answer = instance::client(scope).get_serial_console_access_status().send().await;
        let answer = CallError::or(STATUS, answer)?;
        // What is not told is taken for the worse.
        Ok(Standing::new(effect).fact(ENABLED, answer.serial_console_access_enabled().unwrap_or(true)))
    }

    fn assess(&self, subject: &Subject<'_, Self>) -> Assessment<String> {
        let Resource { account, region, .. } = subject.resource;
        let reason = format!(
            "account {account} lets its users onto the serial consoles of its instances in {region}, past every security group"
        );
        if subject.state.get(ENABLED) != Some("true") {
            return Assessment::already_safe(format!("{reason}; that is disabled again already"));
        }
        Assessment::risky(reason, vec![Evidence::new([(ENABLED, "true")])], vec![ENABLED.to_owned()])
    }

    fn plan(&self, _: &Subject<'_, Self>, offenders: &[String]) -> Plan {
        let call = |action| Call::new(action, json!({}));
        Plan::of(offenders.iter().map(|_| Step::planned(call(DISABLE), call(ENABLE))))
    }

    async fn make(&self, scope: &Scope, call: &Call) -> Result<(), CallError> {
        let client = instance::client(scope);
        match call.call.as_str() {
            DISABLE => CallError::or(DISABLE, client.disable_serial_console_access().send().await).map(drop),
            ENABLE => CallError::or(ENABLE, client.enable_serial_console_access().send().await).map(drop),
            _ => Err(not_ours(call)),
        }
    }
}

fn effect(call: &Call) -> Vec<(String, Option<String>)> {
    vec![(ENABLED.to_owned(), Some((call.call == ENABLE).to_string()))]
}
