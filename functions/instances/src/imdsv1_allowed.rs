//! `imdsv1-allowed`: an instance gives out its role's credentials to whoever can make it send a plain request.
//!
//! ## What it takes back
//! That the instance metadata service answers without a session token (IMDSv1): tokens become required. Heard are
//! `ModifyInstanceMetadataOptions`, each instance that `RunInstances` starts, and AWS Config's rule `ec2-imdsv2-check`. The
//! other metadata options stay as they are.
//!
//! ## Why it is risky
//! One forged request, sent by way of the server's own software, reads the credentials of the instance's role. A session
//! token needs a `PUT` request, which such software seldom makes. Security Hub control EC2.8; MITRE ATT&CK T1552.005.
//!
//! ## Example
//! `aws ec2 modify-instance-metadata-options --http-tokens optional`: seconds later it is `required` again.
//!
//! ## Safety
//! Software on the instance that knows only `IMDSv1` loses its credentials; CloudWatch's metric `MetadataNoToken` tells
//! beforehand whether there is any. It can be undone: tokens become optional again. Earlier state: the event. An instance
//! whose metadata service is switched off is left alone. Started by an Auto Scaling group, each next instance comes as its
//! launch template says, and is taken back again: mend the template.
//!
//! ## Tags
//! Those of every remediation.
//!
//! ## References
//! Amazon EC2 API: `ModifyInstanceMetadataOptions`, `InstanceMetadataOptionsResponse`. Amazon EC2 user guide: *Use the Instance
//! Metadata Service to access instance metadata*. AWS Config developer guide: *ec2-imdsv2-check*.

use aws_sdk_ec2::types::{HttpTokensState, InstanceMetadataEndpointState};
use rescind_lambda::{CONFIG_RULE_SETTINGS, prelude::*};

use crate::instance;

/// See the module.
#[derive(Debug, Clone, Copy)]
pub struct Imdsv1Allowed;

/// The AWS Config rule whose judgement is heard.
const CONFIG_RULE: &str = "ec2-imdsv2-check";

const MODIFY: &str = "ec2:ModifyInstanceMetadataOptions";
const RUN: &str = "ec2:RunInstances";

/// The one piece that can offend: whether tokens are `optional` or `required`.
const TOKENS: &str = "HttpTokens";

/// The metadata options of an instance that matter here, as a record tells them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    tokens: String,
    /// `HttpEndpoint`: `enabled` or `disabled`.
    endpoint: String,
}

impl Remediation for Imdsv1Allowed {
    const NAME: &'static str = "imdsv1-allowed";
    const CALLS: &'static [&'static str] = &[MODIFY, RUN];
    const OPERATIONS: &'static [Operation] =
        &[CONFIG_RULE_SETTINGS, Operation::reads(instance::action::DESCRIBE), Operation::changes(MODIFY)];

    type Target = Option<Options>;
    /// With `HttpEndpoint`. An instance that is gone, or about to be, has neither.
    type State = Standing<String>;
    type Settings = ();
    type Offender = String;

    fn listen(&self, signal: &Signal) -> Vec<Heard<Option<Options>>> {
        if let Some(call) = signal.called(Self::CALLS) {
            return if call.name == "RunInstances" { started(signal, call) } else { vec![modified(signal, call)] };
        }
        let instance = signal.noncompliant(instance::KIND, &[CONFIG_RULE]);
        instance.map(|instance| Heard::about(instance.clone(), None)).into_iter().collect()
    }

    fn state_of_event(
        &self,
        _: &Resource,
        told: &Option<Options>,
        live: Option<&Standing<String>>,
    ) -> Option<Standing<String>> {
        let Options { tokens, endpoint } = told.clone()?;
        Some(Standing::new(effect).fact(TOKENS, tokens).tagged_as(live).with(endpoint))
    }

    async fn read(
        &self,
        scope: &Scope,
        resource: &Resource,
        _: &Option<Options>,
    ) -> Result<Standing<String>, CallError> {
        let Some(instance) = instance::describe(&instance::client(scope), &resource.id).await? else {
            return Ok(Standing::new(effect).with(String::new()));
        };
        let options = instance.metadata_options();
        // What is not told is taken for the worse.
        let tokens = options.and_then(|options| options.http_tokens()).unwrap_or(&HttpTokensState::Optional);
        let endpoint = options.and_then(|options| options.http_endpoint());
        let endpoint = endpoint.unwrap_or(&InstanceMetadataEndpointState::Enabled).as_str().to_owned();
        Ok(Standing::new(effect).fact(TOKENS, tokens.as_str()).tagged(instance::tags(&instance)).with(endpoint))
    }

    fn assess(&self, subject: &Subject<'_, Self>) -> Assessment<String> {
        let (id, endpoint) = (&subject.resource.id, &subject.state.more);
        let was_risky = subject.target.as_ref().is_some_and(|told| allows_imdsv1(&told.tokens, &told.endpoint));
        let safe = if was_risky { Assessment::already_safe } else { Assessment::harmless };
        let Some(tokens) = subject.state.get(TOKENS) else { return safe(format!("{id} is gone, or about to be")) };
        if !allows_imdsv1(tokens, endpoint) {
            let stands = format!("HttpTokens is `{tokens}` and HttpEndpoint is `{endpoint}`");
            return safe(format!("the metadata service of {id} answers no request without a session token: {stands}"));
        }
        let reason = format!("the metadata service of {id} answers requests without a session token (IMDSv1)");
        let evidence = [("instance", id.as_str()), (TOKENS, tokens), ("HttpEndpoint", endpoint)];
        Assessment::risky(reason, vec![Evidence::new(evidence)], vec![TOKENS.to_owned()])
    }

    fn plan(&self, subject: &Subject<'_, Self>, offenders: &[String]) -> Plan {
        let set = |tokens| Call::new(MODIFY, json!({"InstanceId": subject.resource.id, "HttpTokens": tokens}));
        let Some(before) = subject.state.get(TOKENS) else { return Plan::default() };
        Plan::of(offenders.iter().map(|_| Step::planned(set("required"), set(before))))
    }

    async fn make(&self, scope: &Scope, call: &Call) -> Result<(), CallError> {
        let client = instance::client(scope);
        let request = client.modify_instance_metadata_options().instance_id(parameter(call, "instanceId")?);
        let tokens = HttpTokensState::from(parameter(call, "httpTokens")?);
        CallError::or(MODIFY, request.http_tokens(tokens).send().await).map(drop)
    }
}

fn allows_imdsv1(tokens: &str, endpoint: &str) -> bool {
    tokens != "required" && endpoint != "disabled"
}

fn effect(call: &Call) -> Vec<(String, Option<String>)> {
    let tokens = text(&call.parameters, "httpTokens").map(str::to_owned);
    vec![(TOKENS.to_owned(), tokens)]
}

/// Reads the options in a record; `None` when it does not tell both.
fn options(told: Option<&Value>) -> Option<Options> {
    let part = |name| text(told?, name).map(str::to_owned);
    Some(Options { tokens: part("httpTokens")?, endpoint: part("httpEndpoint")? })
}

/// A call that neither makes tokens optional nor switches the service on takes nothing away.
fn modified(signal: &Signal, call: &ApiCall) -> Heard<Option<Options>> {
    let Some(id) = text(call.request(), "instanceId") else {
        let resource = signal.resource(instance::KIND, "unknown");
        return Heard::unreadable(resource, "the record does not tell whose metadata options were changed");
    };
    let resource = signal.resource(instance::KIND, id);
    let says_other = |name, than| text(call.request(), name).is_some_and(|value| value != than);
    if !says_other("httpTokens", "required") && !says_other("httpEndpoint", "disabled") {
        let reason = format!("the call neither makes tokens optional at {id} nor switches its metadata service on");
        return Heard::harmless(resource, reason);
    }
    Heard::about(resource, options(field(call.response(), "instanceMetadataOptions")))
}

/// The instances that one call started, as far as the record does not say that they require tokens.
fn started(signal: &Signal, call: &ApiCall) -> Vec<Heard<Option<Options>>> {
    let instances = items(field(call.response(), "instancesSet"));
    let told = |item: &&Value| Some((text(item, "instanceId")?.to_owned(), options(field(item, "metadataOptions"))));
    let all: Vec<(String, Option<Options>)> = instances.iter().filter_map(told).collect();
    let Some((first, _)) = all.first() else {
        let resource = signal.resource(instance::KIND, "unknown");
        let reason =
            "the record does not tell which instances were started; CloudTrail leaves out responses above 100 KB";
        return vec![Heard::unreadable(resource, reason)];
    };
    let is_safe = |told: &Option<Options>| told.as_ref().is_some_and(|one| !allows_imdsv1(&one.tokens, &one.endpoint));
    if all.iter().all(|(_, told)| is_safe(told)) {
        let names = few(all.iter().map(|(id, _)| id.clone()).collect());
        let reason = format!("the metadata service answers no request without a session token: {names}");
        return vec![Heard::harmless(signal.resource(instance::KIND, first.as_str()), reason)];
    }
    let risky = all.into_iter().filter(|(_, told)| !is_safe(told));
    risky.map(|(id, told)| Heard::about(signal.resource(instance::KIND, id), told)).collect()
}

#[cfg(test)]
mod tests;
