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
use rescind::journal::Facts;
use rescind::signal::{ApiCall, Fact, Resource, Signal, field, items, text};
use rescind::verdict::{Assessment, Evidence, Offender};
use rescind::{Call, Plan, Step};
use rescind_lambda::{
    CONFIG_RULE_SETTINGS, CallError, Heard, Operation, Remediation, ResourceState, Scope, Subject, parameter,
};
use serde_json::{Value, json};

use crate::instance;

/// See the module.
#[derive(Debug, Clone, Copy)]
pub struct Imdsv1Allowed;

/// The AWS Config rule whose judgement is heard. Security Hub and others put their own words around its name.
const CONFIG_RULE: &str = "ec2-imdsv2-check";

const MODIFY: &str = "ec2:ModifyInstanceMetadataOptions";
const OPERATIONS: &[Operation] =
    &[CONFIG_RULE_SETTINGS, Operation::reads(instance::action::DESCRIBE), Operation::changes(MODIFY)];

/// What a signal says of an instance's metadata options.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    told: Option<Options>,
}

/// The metadata options of an instance that matter here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// `HttpTokens`: `optional` or `required`.
    pub tokens: String,
    /// `HttpEndpoint`: `enabled` or `disabled`.
    pub endpoint: String,
}

/// How an instance stands.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct State {
    /// Its id and its options; `None` when it is gone, or about to be.
    instance: Option<(String, Options)>,
    tags: Vec<(String, String)>,
}

/// The one piece that can offend: tokens are optional.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TokensOptional;

impl Remediation for Imdsv1Allowed {
    const NAME: &'static str = "imdsv1-allowed";
    const CALLS: &'static [&'static str] = &["ec2:ModifyInstanceMetadataOptions", "ec2:RunInstances"];
    const OPERATIONS: &'static [Operation] = OPERATIONS;

    type Target = Target;
    type State = State;
    type Settings = ();
    type Offender = TokensOptional;

    fn listen(&self, signal: &Signal) -> Vec<Heard<Target>> {
        match &signal.fact {
            Fact::ApiCall(_) => match signal.called(Self::CALLS) {
                Some(call) if call.name == "RunInstances" => hear_started(signal, call),
                Some(call) => vec![hear_modified(signal, call)],
                None => Vec::new(),
            },
            Fact::ComplianceChange(change)
                if change.resource.kind == instance::KIND
                    && change.compliance == "NON_COMPLIANT"
                    && change.rule_name.contains(CONFIG_RULE) =>
            {
                vec![Heard::About { resource: change.resource.clone(), target: Target { told: None } }]
            }
            _ => Vec::new(),
        }
    }

    fn state_of_event(&self, resource: &Resource, target: &Target, live: Option<&State>) -> Option<State> {
        let told = target.told.clone()?;
        let tags = live.map(|live| live.tags.clone()).unwrap_or_default();
        Some(State { instance: Some((resource.id.clone(), told)), tags })
    }

    async fn read(&self, scope: &Scope, resource: &Resource, _: &Target) -> Result<State, CallError> {
        let Some(instance) = instance::describe(&instance::client(scope), &resource.id).await? else {
            return Ok(State::default());
        };
        let options = instance.metadata_options();
        // What is not told is taken for the worse.
        let tokens = options.and_then(|options| options.http_tokens()).unwrap_or(&HttpTokensState::Optional);
        let endpoint = options.and_then(|options| options.http_endpoint());
        let endpoint = endpoint.unwrap_or(&InstanceMetadataEndpointState::Enabled);
        let options = Options { tokens: tokens.as_str().to_owned(), endpoint: endpoint.as_str().to_owned() };
        Ok(State { instance: Some((resource.id.clone(), options)), tags: instance::tags(&instance) })
    }

    fn assess(&self, subject: &Subject<'_, Self>) -> Assessment<TokensOptional> {
        let Subject { resource, target, state, .. } = subject;
        let was_risky = target.told.as_ref().is_some_and(Options::allow_imdsv1);
        let Some((id, options)) = &state.instance else {
            let reason = format!("{} is gone, or about to be", resource.id);
            return if was_risky { Assessment::AlreadySafe { reason } } else { Assessment::Harmless { reason } };
        };
        let stands = format!("HttpTokens is `{}` and HttpEndpoint is `{}`", options.tokens, options.endpoint);
        if !options.allow_imdsv1() {
            let reason = format!("the metadata service of {id} answers no request without a session token: {stands}");
            return if was_risky { Assessment::AlreadySafe { reason } } else { Assessment::Harmless { reason } };
        }
        Assessment::Risky {
            reason: format!("the metadata service of {id} answers requests without a session token (IMDSv1)"),
            evidence: vec![Evidence::new([
                ("instance", id.clone()),
                ("HttpTokens", options.tokens.clone()),
                ("HttpEndpoint", options.endpoint.clone()),
            ])],
            offenders: vec![TokensOptional],
        }
    }

    fn plan(&self, subject: &Subject<'_, Self>, offenders: &[TokensOptional]) -> Plan {
        let Some((id, options)) = &subject.state.instance else { return Plan::default() };
        let set = |tokens: &str| Call {
            call: MODIFY.to_owned(),
            parameters: json!({"InstanceId": id, "HttpTokens": tokens}),
        };
        let steps = offenders.iter().map(|_| Step::planned(set("required"), set(&options.tokens)));
        Plan { steps: steps.collect(), note: None }
    }

    async fn make(&self, scope: &Scope, call: &Call) -> Result<(), CallError> {
        let client = instance::client(scope);
        let request = client.modify_instance_metadata_options().instance_id(parameter(call, "instanceId")?);
        let tokens = HttpTokensState::from(parameter(call, "httpTokens")?);
        CallError::or(MODIFY, request.http_tokens(tokens).send().await).map(drop)
    }
}

impl Offender for TokensOptional {
    fn fingerprint(&self) -> String {
        "HttpTokens".to_owned()
    }
}

impl Options {
    fn allow_imdsv1(&self) -> bool {
        self.tokens != "required" && self.endpoint != "disabled"
    }

    /// Reads `instanceMetadataOptions` of a record; `None` when it does not tell both.
    fn told(options: Option<&Value>) -> Option<Self> {
        let options = options?;
        Some(Self {
            tokens: text(options, "httpTokens")?.to_owned(),
            endpoint: text(options, "httpEndpoint")?.to_owned(),
        })
    }
}

impl ResourceState for State {
    fn id(&self) -> Option<&str> {
        self.instance.as_ref().map(|(id, _)| id.as_str())
    }

    fn tags(&self) -> &[(String, String)] {
        &self.tags
    }

    fn facts(&self) -> Facts {
        let tokens = self.instance.iter().map(|(_, options)| ("HttpTokens".to_owned(), options.tokens.clone()));
        tokens.collect()
    }

    fn after(&self, call: &Call) -> Self {
        let mut after = self.clone();
        if let (MODIFY, Some((_, options)), Some(tokens)) =
            (call.call.as_str(), &mut after.instance, text(&call.parameters, "httpTokens"))
        {
            tokens.clone_into(&mut options.tokens);
        }
        after
    }
}

/// A call that neither makes tokens optional nor switches the service on takes nothing away.
fn hear_modified(signal: &Signal, call: &ApiCall) -> Heard<Target> {
    let request = call.request();
    let Some(id) = text(request, "instanceId") else {
        return Heard::Unreadable {
            resource: signal.resource(instance::KIND, "unknown"),
            reason: "the record does not tell whose metadata options were changed".to_owned(),
        };
    };
    let resource = signal.resource(instance::KIND, id);
    let weakens = text(request, "httpTokens").is_some_and(|tokens| tokens != "required")
        || text(request, "httpEndpoint").is_some_and(|endpoint| endpoint != "disabled");
    if !weakens {
        let reason = format!("the call neither makes tokens optional at {id} nor switches its metadata service on");
        return Heard::Harmless { resource, reason };
    }
    let told = Options::told(field(call.response(), "instanceMetadataOptions"));
    Heard::About { resource, target: Target { told } }
}

/// The instances that one call started, as far as the record does not say that they require tokens.
fn hear_started(signal: &Signal, call: &ApiCall) -> Vec<Heard<Target>> {
    let started = items(field(call.response(), "instancesSet"));
    let told =
        |item: &&Value| Some((text(item, "instanceId")?.to_owned(), Options::told(field(item, "metadataOptions"))));
    let started: Vec<(String, Option<Options>)> = started.iter().filter_map(told).collect();
    let Some((first, _)) = started.first() else {
        let reason =
            "the record does not tell which instances were started; CloudTrail leaves out responses above 100 KB";
        return vec![Heard::Unreadable {
            resource: signal.resource(instance::KIND, "unknown"),
            reason: reason.to_owned(),
        }];
    };
    let is_safe = |told: &Option<Options>| told.as_ref().is_some_and(|options| !options.allow_imdsv1());
    if started.iter().all(|(_, told)| is_safe(told)) {
        let names = rescind::text::few(started.iter().map(|(id, _)| id.clone()).collect());
        let reason = format!("the metadata service answers no request without a session token: {names}");
        return vec![Heard::Harmless { resource: signal.resource(instance::KIND, first), reason }];
    }
    let hear = |(id, told): (String, Option<Options>)| Heard::About {
        resource: signal.resource(instance::KIND, &id),
        target: Target { told },
    };
    started.into_iter().filter(|(_, told)| !is_safe(told)).map(hear).collect()
}

#[cfg(test)]
mod tests;
