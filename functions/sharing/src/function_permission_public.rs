//! `function-permission-public`: strangers, or everybody, may invoke or use a Lambda function.
//!
//! ## What it takes back
//! The statement that a call of `AddPermission` added to the policy of a function, a version or an alias, if it lets in everybody or
//! somebody who is neither ours nor trusted: directly, or through a service that is told to act for him. The other statements stay.
//! A service that may act for anybody, since no condition says for whose resources, is only told of: a trigger may hang on it.
//!
//! ## Why it is risky
//! Whoever may invoke a function runs it with its role and with input of his choice, and comes back whenever he likes. Security Hub control
//! Lambda.1; MITRE ATT&CK T1546.
//!
//! ## Example
//! `aws lambda add-permission --function-name orders --statement-id x --action lambda:InvokeFunction --principal "*"`: seconds later the
//! statement is gone.
//!
//! ## Safety
//! Who invokes the function by this statement alone is refused. It can be undone: the same statement is added again. One that `AddPermission`
//! could not make again exactly is only told of. Earlier state: the event.
//!
//! ## Tags
//! Those of every remediation; `rescind:trusted-accounts`, `rescind:organization` and `rescind:allowed-cidrs` tell who is no stranger.
//!
//! ## References
//! AWS Lambda API: `AddPermission`, `RemovePermission`, `GetPolicy`, `ListTags`. AWS Lambda developer guide: *Viewing resource-based IAM
//! policies in Lambda*.

use rescind::policy::{Exposure, Networks, Policy, Statement, Stranger, resource_policy};
use rescind_lambda::prelude::*;

use crate::permission::{self, ADD, Added, REMOVE};

#[cfg(test)]
mod tests;

/// See the module.
#[derive(Debug, Clone, Copy)]
pub struct FunctionPermissionPublic;

impl Remediation for FunctionPermissionPublic {
    const NAME: &'static str = "function-permission-public";
    const CALLS: &'static [&'static str] = &[ADD];
    const OPERATIONS: &'static [Operation] = permission::OPERATIONS;

    type Target = Added;
    /// One piece, the statement; with the statement as it is written.
    type State = Standing<Option<Value>>;
    type Settings = Networks;
    type Offender = String;

    fn hear(&self, signal: &Signal, call: &ApiCall) -> Vec<Heard<Added>> {
        Added::heard(signal, call)
    }

    fn state_of_event(&self, _: &Resource, target: &Added, live: Option<&Self::State>) -> Option<Self::State> {
        let told = target.told.clone()?;
        Some(permission::standing(target, Some(told)).tagged_as(live))
    }

    async fn read(&self, scope: &Scope, _: &Resource, target: &Added) -> Result<Self::State, CallError> {
        permission::read(scope, target).await
    }

    fn assess(&self, subject: &Subject<'_, Self>) -> Assessment<String> {
        let Subject { target, state, .. } = subject;
        let (sid, function) = (clean(&target.sid, 100), clean(&target.function.to_string(), 200));
        let name = format!("statement {sid} of the policy of {function}");
        let Some(statement) = &state.more else {
            return Assessment::already_safe(format!("{name} is gone"));
        };
        let policy = match Policy::from_value(json!({"Statement": [statement]})) {
            Ok(policy) => policy,
            Err(problem) => return Assessment::unclear(format!("{name} can't be read: {problem}")),
        };
        let Some(reading) = resource_policy(&policy, &subject.friends_and(subject.settings)).into_iter().next() else {
            return Assessment::harmless(format!("{name} allows nothing"));
        };
        let (reason, is_risky) = (format!("{name}: {}", reading.reason), reading.exposure.is_risky());
        if !is_risky && !policy.statements().iter().any(invokes_for_anybody) {
            return Assessment::harmless(reason);
        }
        // For anybody, a service may be meant to act: that is how many triggers are made.
        let acts_for_anybody = |stranger: &Stranger| matches!(stranger, Stranger::Service(_));
        let is_trigger = reading.exposure == Exposure::Deputy && reading.strangers.iter().all(acts_for_anybody);
        let left = match &reading.unclear {
            _ if !is_risky => Some("a service may invoke it, and no condition says for whose resources"),
            Some(unclear) => Some(unclear.as_str()),
            None if is_trigger => Some("a trigger may hang on it"),
            None => permission::parameters(&target.function, statement)
                .is_none()
                .then_some("`AddPermission` could not make the statement again"),
        };
        let evidence = vec![Evidence::new([("statement", target.sid.clone()), ("opens", reading.reason)])];
        match left {
            Some(why) if !is_risky => Assessment::report(format!("{name}: {why}; left to a person"), evidence),
            Some(why) => Assessment::report(format!("{reason}; left to a person: {why}"), evidence),
            None => Assessment::risky(reason, evidence, vec![permission::piece(&target.sid)]),
        }
    }

    fn plan(&self, subject: &Subject<'_, Self>, _: &[String]) -> Plan {
        let statement = subject.state.more.as_ref();
        let added = statement.and_then(|statement| permission::parameters(&subject.target.function, statement));
        let Some(added) = added else { return Plan::default() };
        let mut removed = subject.target.function.parameters();
        removed.insert("StatementId".to_owned(), json!(subject.target.sid));
        Plan::of([Step::planned(Call::new(REMOVE, Value::Object(removed)), Call::new(ADD, added))])
    }

    async fn make(&self, scope: &Scope, call: &Call) -> Result<(), CallError> {
        permission::make(scope, call).await
    }
}

/// Whether a service may invoke the function without a condition. Also one that is nothing to worry about elsewhere: anybody can have AWS
/// Config, which only writes its records into a bucket, ask a function for a judgement.
fn invokes_for_anybody(statement: &Statement) -> bool {
    let is_service = field(statement.raw(), "principal").is_some_and(|principal| field(principal, "service").is_some());
    is_service && statement.is_about("lambda:InvokeFunction") && field(statement.raw(), "condition").is_none()
}
