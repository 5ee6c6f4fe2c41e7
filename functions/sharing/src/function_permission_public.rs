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

use crate::permission::{self, ADD, Function, GET, REMOVE, TAGS};

#[cfg(test)]
mod tests;

/// See the module.
#[derive(Debug, Clone, Copy)]
pub struct FunctionPermissionPublic;

const FUNCTION: &str = "AWS::Lambda::Function";

/// The statement that a call added.
#[derive(Debug, Clone, PartialEq)]
pub struct Added {
    function: Function,
    sid: String,
    /// The statement, where the record tells it.
    told: Option<Value>,
}

impl Remediation for FunctionPermissionPublic {
    const NAME: &'static str = "function-permission-public";
    const CALLS: &'static [&'static str] = &[ADD];
    const OPERATIONS: &'static [Operation] =
        &[Operation::reads(GET), Operation::reads(TAGS), Operation::changes(REMOVE), Operation::changes(ADD)];

    type Target = Added;
    /// One piece, the statement; with the statement as it is written.
    type State = Standing<Option<Value>>;
    type Settings = Networks;
    type Offender = String;

    fn hear(&self, signal: &Signal, call: &ApiCall) -> Vec<Heard<Added>> {
        let told = text(call.response(), "statement").and_then(|text| serde_json::from_str::<Value>(text).ok());
        let sid = told.as_ref().and_then(|told| text(told, "sid")).or(text(call.request(), "statementId"));
        let function = Function::of_call(signal, call.request(), told.as_ref());
        let (Some(sid), Some(function)) = (sid, function) else {
            let resource = signal.resource(FUNCTION, "unknown");
            let reason = "the record does not tell which statement was added to which function";
            return vec![Heard::unreadable(resource, reason)];
        };
        let mut resource = signal.resource(FUNCTION, &function.name);
        resource.account.clone_from(&function.account);
        resource.region.clone_from(&function.region);
        vec![Heard::about(resource, Added { sid: sid.to_owned(), function, told })]
    }

    fn state_of_event(&self, _: &Resource, target: &Added, live: Option<&Self::State>) -> Option<Self::State> {
        let told = target.told.clone()?;
        Some(standing(target, Some(told)).tagged_as(live))
    }

    async fn read(&self, scope: &Scope, _: &Resource, target: &Added) -> Result<Self::State, CallError> {
        let policy = Box::pin(permission::policy(scope, &target.function));
        let (policy, tags) = tokio::join!(policy, Box::pin(permission::tags(scope, &target.function)));
        let policy = policy?;
        let mut statements = policy.iter().flat_map(Policy::statements).map(Statement::raw);
        let statement = statements.find(|statement| text(statement, "sid") == Some(&target.sid));
        Ok(standing(target, statement.cloned()).tagged(tags?))
    }

    fn assess(&self, subject: &Subject<'_, Self>) -> Assessment<String> {
        let Subject { target, state, .. } = subject;
        let name = format!(
            "statement {} of the policy of {}",
            clean(&target.sid, 100),
            clean(&target.function.to_string(), 200)
        );
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
        let reason = format!("{name}: {}", reading.reason);
        let evidence = vec![Evidence::new([("statement", target.sid.clone()), ("opens", reading.reason.clone())])];
        if !reading.exposure.is_risky() && invokes_for_anybody(statement) {
            let reason =
                format!("{name}: a service may invoke it, and no condition says for whose resources; left to a person");
            return Assessment::report(reason, evidence);
        }
        if !reading.exposure.is_risky() {
            return Assessment::harmless(reason);
        }
        if let Some(unclear) = &reading.unclear {
            return Assessment::report(format!("{reason}; left to a person: {unclear}"), evidence);
        }
        // For anybody, a service may be meant to act: that is how many triggers are made.
        let is_for_anybody = |stranger: &Stranger| matches!(stranger, Stranger::Service(_));
        if reading.exposure == Exposure::Deputy && reading.strangers.iter().all(is_for_anybody) {
            let reason = format!("{reason}; left to a person: a trigger may hang on it");
            return Assessment::report(reason, evidence);
        }
        if permission::parameters(&target.function, statement).is_none() {
            let reason = format!("{reason}; left to a person: `AddPermission` could not make the statement again");
            return Assessment::report(reason, evidence);
        }
        Assessment::risky(reason, evidence, vec![permission::piece(&target.sid)])
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
        match call.call.as_str() {
            REMOVE => permission::remove(scope, call).await,
            ADD => permission::add(scope, call).await,
            _ => Err(not_ours(call)),
        }
    }
}

/// Whether a service may invoke the function without a condition. Also one that is nothing to worry about elsewhere: anybody can have AWS
/// Config, which only writes its records into a bucket, ask a function for a judgement.
fn invokes_for_anybody(statement: &Value) -> bool {
    let is_service = field(statement, "principal").is_some_and(|principal| field(principal, "service").is_some());
    let invokes = text(statement, "action").is_some_and(|action| action.eq_ignore_ascii_case("lambda:InvokeFunction"));
    is_service && invokes && field(statement, "condition").is_none()
}

fn standing(target: &Added, statement: Option<Value>) -> Standing<Option<Value>> {
    let written = |told: &Value| permission::parameters(&target.function, told).unwrap_or_else(|| told.clone());
    let piece = permission::piece(&target.sid);
    Standing::new(permission::effect).optional_fact(piece, statement.as_ref().map(written)).with(statement)
}
