//! `user-data-changed`: somebody has changed what a protected instance runs when it starts.
//!
//! ## What it takes back
//! The user data of an instance that its owner protects with a tag, changed by `ModifyInstanceAttribute`: it becomes what it
//! was. That is possible only while the instance is stopped. Where it runs (again), or where nobody knows what was there
//! before, the outcome says so (`reported`). CloudTrail masks the value, so it is read from the instance; it is kept for 400
//! days, as long as the outcome, before anything is put back.
//!
//! ## Why it is risky
//! User data is run as root, at the first start or, as whoever writes it says, at each. By stop, change and start somebody
//! gets all that the role of the instance may do, and all that is on it. MITRE ATT&CK T1037, T1578.
//!
//! ## Example
//! `aws ec2 modify-instance-attribute --instance-id i-0abc… --attribute userData --value file://script.b64` on a stopped
//! instance with the tag `rescind:protected`: seconds later its user data is what it was.
//!
//! ## Safety
//! Interrupts nothing: the instance is stopped, and nothing stops or starts it. It can be undone while it is stopped: the
//! changed user data comes back. Earlier state: the baseline, which has the user data as it was read whenever AWS Config
//! recorded the instance; the last that was read before the event. What stood only between two records of AWS Config is not
//! known. User data may hold secrets: its value stands in the baseline alone; outcomes, journal, logs and notifications
//! name it by its SHA-256 and length. Under that SHA-256 a person finds it, in Base64, in the table that the stack's output
//! `BaselineTable` names:
//!
//! ```sh
//! aws dynamodb query --table-name "$BASELINE" --key-condition-expression '#r = :r' --expression-attribute-names '{"#r": "resource"}' \
//!   --expression-attribute-values '{":r": {"S": "value/<SHA-256>"}}' --query 'Items[0].value.B' --output text
//! ```
//!
//! ## Tags
//! `rescind:protected-tag`, and those of every remediation. Where another tag protects, name it in the pattern of the rule
//! `rescind-user-data-changed-item`, too: by that the baseline learns of the instance.
//!
//! ## References
//! Amazon EC2 API: `ModifyInstanceAttribute`, `DescribeInstanceAttribute`. Amazon EC2 user guide: *Run commands when you
//! launch an EC2 instance with user data input*. AWS Config developer guide: *Components of a configuration item*.

use chrono::{DateTime, Utc};
use rescind::journal::Facts;
use rescind::settings::ResourceTag;
use rescind_lambda::KEPT_VALUE_OPERATIONS;
use rescind_lambda::prelude::*;

use crate::instance;
use crate::user_data::{self, Earlier, MODIFY, UserData};

/// See the module.
#[derive(Debug, Clone, Copy)]
pub struct UserDataChanged;

const OPERATIONS: &[Operation] = &[
    Operation::reads(instance::action::DESCRIBE),
    Operation::reads(instance::action::DESCRIBE_ATTRIBUTE),
    EARLIER_STATE_OPERATIONS[0],
    EARLIER_STATE_OPERATIONS[1],
    KEPT_VALUE_OPERATIONS[0],
    KEPT_VALUE_OPERATIONS[1],
    Operation::changes(MODIFY),
];

/// When the user data of an instance was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Target {
    time: DateTime<Utc>,
}

/// How an instance stands, and what its user data was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    /// `None` when it is gone, or about to be.
    instance: Option<Instance>,
    earlier: Earlier,
}

/// An instance.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Instance {
    id: String,
    /// `running`, `stopped` and so on.
    lifecycle: String,
    tags: Vec<(String, String)>,
    user_data: UserData,
}

/// The one piece that can offend: the user data is another, and was this.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changed {
    from: UserData,
}

impl Remediation for UserDataChanged {
    const NAME: &'static str = "user-data-changed";
    const CALLS: &'static [&'static str] = &["ec2:ModifyInstanceAttribute"];
    const OPERATIONS: &'static [Operation] = OPERATIONS;

    type Target = Target;
    type State = State;
    type Settings = ResourceTag;
    type Offender = Changed;

    /// One call changes one attribute, and names it in either of two ways: by a parameter of its own, or by `attribute`.
    fn hear(&self, signal: &Signal, call: &ApiCall) -> Vec<Heard<Target>> {
        let request = call.request();
        let Some(id) = text(request, "instanceId") else {
            let resource = signal.resource(instance::KIND, "unknown");
            return vec![Heard::unreadable(
                resource,
                "the record does not tell of which instance an attribute was changed",
            )];
        };
        let resource = signal.resource(instance::KIND, id);
        let is_named = text(request, "attribute").is_some_and(|attribute| attribute.eq_ignore_ascii_case("userData"));
        if !is_named && field(request, "userData").is_none() {
            return vec![Heard::harmless(resource, format!("the call changes another attribute of {id}"))];
        }
        vec![Heard::about(resource, Target { time: signal.time })]
    }

    /// An event tells neither what the user data is nor what it was.
    fn state_of_event(&self, _: &Resource, _: &Target, _: Option<&State>) -> Option<State> {
        None
    }

    async fn read(&self, scope: &Scope, resource: &Resource, target: &Target) -> Result<State, CallError> {
        let client = instance::client(scope);
        let (found, user_data, earlier) = tokio::join!(
            Box::pin(instance::describe(&client, &resource.id)),
            Box::pin(user_data::read(&client, &resource.id)),
            Box::pin(Earlier::read(scope, resource, target.time)),
        );
        let instance = found?.zip(user_data?).map(|(instance, user_data)| Instance {
            id: resource.id.clone(),
            lifecycle: instance::lifecycle_state(&instance).to_owned(),
            tags: instance::tags(&instance),
            user_data,
        });
        Ok(State { instance, earlier })
    }

    fn assess(&self, subject: &Subject<'_, Self>) -> Assessment<Changed> {
        let Subject { resource, state, settings, .. } = subject;
        let Some(instance) = &state.instance else {
            return Assessment::harmless(format!("{} is gone, or about to be", resource.id));
        };
        let Instance { id, lifecycle, tags, user_data } = instance;
        if !settings.marks(tags.iter().map(|(key, value)| (key.as_str(), value.as_str()))) {
            let reason = format!("its user data was changed, and {id} does not have the tag {settings}");
            return Assessment::harmless(reason);
        }
        let mut evidence = vec![("instance", id.clone()), ("state", lifecycle.clone()), ("is", user_data.to_string())];
        let changed = format!("the user data of the protected {id} was changed");
        let (from, read) = match &state.earlier {
            // Another time it may be read.
            Earlier::Unread(problem) => return Assessment::unclear(format!("{changed}; {problem}")),
            Earlier::Unknown => {
                let reason =
                    format!("{changed}; what it was is not known: AWS Config had not recorded the instance by then");
                return Assessment::report(reason, vec![Evidence::new(evidence)]);
            }
            Earlier::Known { user_data: from, read } if from == user_data => {
                let reason = format!("the user data of {id} is what it was at {read}: {user_data}");
                return Assessment::already_safe(reason);
            }
            Earlier::Known { user_data, read } => (user_data, read),
        };
        evidence.extend([("was", from.to_string()), ("was read", read.clone())]);
        let evidence = vec![Evidence::new(evidence)];
        match lifecycle.as_str() {
            "stopped" => Assessment::risky(
                format!("{changed} from {from} to {user_data}"),
                evidence,
                vec![Changed { from: from.clone() }],
            ),
            // Nothing can be changed for a moment yet, and then it can.
            "stopping" => Assessment::unclear(format!("{changed}; it is stopping, and not stopped yet")),
            _ => Assessment::report(
                format!(
                    "{changed} from {from} to {user_data}, and the instance is {lifecycle}: only while it is stopped can it be put back"
                ),
                evidence,
            ),
        }
    }

    fn plan(&self, subject: &Subject<'_, Self>, offenders: &[Changed]) -> Plan {
        let Some(instance) = &subject.state.instance else { return Plan::default() };
        let set = |user_data: &UserData| user_data::set(&instance.id, user_data);
        let steps = offenders.iter().map(|Changed { from }| Step::planned(set(from), set(&instance.user_data)));
        let note = match &subject.state.earlier {
            Earlier::Known { read, .. } => Some(format!("put back as it was read at {read}")),
            _ => None,
        };
        Plan { steps: steps.collect(), note }
    }

    /// Both values: what is there, for a person and for an undo; and what was, by the name that the plan gives it.
    async fn keep_evidence(&self, scope: &Scope, subject: &Subject<'_, Self>) -> Result<(), CallError> {
        let State { instance, earlier } = subject.state;
        let is = instance.as_ref().map(|instance| &instance.user_data);
        let was = match earlier {
            Earlier::Known { user_data, .. } => Some(user_data),
            Earlier::Unknown | Earlier::Unread(_) => None,
        };
        let values = is.into_iter().chain(was).map(UserData::value).filter(|value| !value.is_empty());
        futures_util::future::try_join_all(values.map(|value| scope.keep_value(value))).await.map(drop)
    }

    async fn make(&self, scope: &Scope, call: &Call) -> Result<(), CallError> {
        user_data::make(scope, call).await
    }
}

impl Offender for Changed {
    fn fingerprint(&self) -> String {
        "UserData".to_owned()
    }
}

impl ResourceState for State {
    fn id(&self) -> Option<&str> {
        self.instance.as_ref().map(|instance| instance.id.as_str())
    }

    fn tags(&self) -> &[(String, String)] {
        self.instance.as_ref().map(|instance| instance.tags.as_slice()).unwrap_or_default()
    }

    fn facts(&self) -> Facts {
        self.instance.iter().map(|instance| ("UserData".to_owned(), instance.user_data.name().to_owned())).collect()
    }

    fn after(&self, call: &Call) -> Self {
        let mut after = self.clone();
        if let (Some(instance), Some(name)) = (&mut after.instance, user_data::name_in(call)) {
            instance.user_data = UserData::named(name);
        }
        after
    }
}

#[cfg(test)]
mod tests;
