//! The account, whose serial consoles nobody may be let onto.

use super::Kind;
use crate::cloudtrail;

pub(super) const ENABLED: Kind = Kind {
    remediation: "serial-console-enabled",
    function: "instances",
    mutation: ("DisableSerialConsoleAccess", 1),
    rule: "SerialConsoleEnabled",
    set: |world, _| {
        Box::pin(async move {
            world.proxy.set_serial_console(false);
            world.account.id.clone()
        })
    },
    change: |world, _, who| {
        Box::pin(async move {
            world.proxy.set_serial_console(true);
            cloudtrail::serial_console_enabled(&world.account.id, who)
        })
    },
    harmless: None,
    words: |world, _| Box::pin(async move { vec![format!("enabled: {}", world.proxy.serial_console())] }),
    contained: None,
};
