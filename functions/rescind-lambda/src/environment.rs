//! What the function's environment says. Read once, when the function starts.

use std::collections::BTreeMap;
use std::time::Duration;

/// The variables of the environment that are no settings of a remediation.
const RESERVED: &[&str] = &[
    "RESCIND_ACCOUNT",
    "RESCIND_OWN_ROLES",
    "RESCIND_BUS",
    "RESCIND_STACK",
    "RESCIND_STATE",
    "RESCIND_JOURNAL",
    "RESCIND_BASELINE",
    "RESCIND_LEASE_MS",
    "RESCIND_EXPIRY_ROLE",
    "RESCIND_CONSOLE",
];

/// The template gives every function 30 seconds; a claim outlives them a little.
const LEASE: Duration = Duration::from_secs(35);

/// How what holds only for a time is ended: by schedules of EventBridge Scheduler that ask the console.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expiry {
    /// The ARN of the role that Scheduler takes on.
    pub role: String,
    /// The ARN of the console.
    pub console: String,
}

/// The function's environment.
#[derive(Debug, Clone, Default)]
pub(crate) struct Environment {
    /// The account that the function runs in. Absent on a laptop, where every account is taken for it.
    pub(crate) account: Option<String>,
    /// The roles of Rescind's functions.
    pub(crate) own_roles: Vec<String>,
    /// The bus that outcomes are put on; absent on a laptop, where they are not.
    pub(crate) bus: Option<String>,
    /// The stack's name, for logs.
    pub(crate) stack: Option<String>,
    /// The journal's table; absent on a laptop, where nothing is kept.
    pub(crate) journal: Option<String>,
    /// The table of earlier states; absent on a laptop, where AWS Config alone is asked.
    pub(crate) baseline: Option<String>,
    /// How what holds only for a time is ended; absent on a laptop, where nothing is scheduled.
    pub(crate) expiry: Option<Expiry>,
    /// The function's name in Lambda.
    pub(crate) function_name: String,
    /// How long a claim in the journal holds: longer than the function can run.
    pub(crate) lease: Duration,
    /// Judge by the event alone: no AWS call is made, and nothing is changed.
    pub(crate) from_event_alone: bool,
    /// The settings of bare events.
    pub(crate) settings: BTreeMap<String, String>,
}

impl Environment {
    /// Reads the process's environment.
    #[expect(clippy::disallowed_methods, reason = "the one place where the environment is read")]
    pub(crate) fn read() -> Self {
        let variables: Vec<(String, String)> = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.to_string_lossy().into_owned())))
            .collect();
        let named = |(name, value): &(String, String)| (name == "AWS_LAMBDA_FUNCTION_NAME").then(|| value.clone());
        let function_name = variables.iter().find_map(named).unwrap_or_default();
        Self { function_name, ..Self::from_variables(variables) }
    }

    fn from_variables(variables: impl IntoIterator<Item = (String, String)>) -> Self {
        let mut ours: BTreeMap<String, String> =
            variables.into_iter().filter(|(name, _)| name.starts_with("RESCIND_")).collect();
        let mut reserved: BTreeMap<&str, String> = BTreeMap::new();
        for name in RESERVED {
            if let Some(value) = ours.remove(*name).filter(|value| !value.trim().is_empty()) {
                reserved.insert(name, value.trim().to_owned());
            }
        }
        let expiry = reserved.remove("RESCIND_EXPIRY_ROLE").zip(reserved.remove("RESCIND_CONSOLE"));
        let expiry = expiry.map(|(role, console)| Expiry { role, console });
        Self {
            expiry,
            account: reserved.remove("RESCIND_ACCOUNT"),
            own_roles: reserved
                .remove("RESCIND_OWN_ROLES")
                .map(|roles| roles.split_whitespace().map(str::to_owned).collect())
                .unwrap_or_default(),
            bus: reserved.remove("RESCIND_BUS"),
            stack: reserved.remove("RESCIND_STACK"),
            journal: reserved.remove("RESCIND_JOURNAL"),
            baseline: reserved.remove("RESCIND_BASELINE"),
            lease: reserved
                .remove("RESCIND_LEASE_MS")
                .and_then(|text| text.parse().ok())
                .map_or(LEASE, Duration::from_millis),
            function_name: String::new(),
            // `event` is the only word; another one must not lead to changes.
            from_event_alone: reserved.remove("RESCIND_STATE").is_some(),
            settings: ours,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_what_is_not_reserved() {
        let variables = [
            ("RESCIND_ACCOUNT", "111122223333"),
            ("RESCIND_OWN_ROLES", "a b"),
            ("RESCIND_STATE", "event"),
            ("RESCIND_BUS", " "),
            ("RESCIND_MODE", "off"),
            ("PATH", "/bin"),
        ];
        let environment =
            Environment::from_variables(variables.map(|(name, value)| (name.to_owned(), value.to_owned())));
        assert_eq!(environment.account.as_deref(), Some("111122223333"));
        assert_eq!(environment.own_roles, ["a", "b"]);
        assert!(environment.from_event_alone);
        assert_eq!(environment.bus, None);
        assert_eq!(environment.settings, BTreeMap::from([("RESCIND_MODE".to_owned(), "off".to_owned())]));
    }
}
