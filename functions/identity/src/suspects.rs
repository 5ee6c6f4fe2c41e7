//! Which credentials a finding names: whose they are, and what can be done about them.

use chrono::{DateTime, SubsecRound, Utc};
use rescind::findings::{self, Told};
use rescind::signal::{Finding, Involved, Resource, Signal, field, text};
use rescind::text::{clean, few};
use rescind::verdict::Evidence;
use rescind_lambda::Heard;

use crate::credential::{Credential, Holder, State};
use crate::instance_role;
use crate::principal::is_name;
use crate::sessions::POLICY;

/// The remediation that the table of findings has for them.
pub const REMEDIATION: &str = "credentials-compromised";

/// What a finding says of credentials.
#[derive(Debug, Clone, PartialEq)]
pub struct Target {
    /// The finding.
    pub finding: Told,
    /// What they are.
    pub credential: Credential,
    /// The ids of the access keys, those of sessions included; cleaned.
    pub keys: Vec<String>,
    /// The user or role, as the finding tells it.
    pub told: Option<Holder>,
    /// When the session was in use.
    pub seen: DateTime<Utc>,
    /// When the finding was sent out: sessions from before are denied.
    pub sent: DateTime<Utc>,
}

impl Target {
    /// The finding, with the keys and with what stands at whom they are of.
    pub fn evidence(&self, state: &State) -> Vec<Evidence> {
        let mut parts = vec![("finding", self.finding.kind.clone())];
        if !self.keys.is_empty() {
            parts.push(("keys", few(self.keys.clone())));
        }
        if let Some(holder) = &state.holder {
            parts.push(("holder", clean(&holder.arn, 200)));
        }
        if state.policy.is_some() {
            parts.push(("policy", format!("{POLICY} is there already; an undo puts it back as it was")));
        }
        vec![Evidence::new(parts)]
    }
}

/// All that a finding names, each once.
pub fn hear(signal: &Signal, finding: &Finding) -> Vec<Heard<Target>> {
    if !findings::concerns(REMEDIATION, finding) && !instance_role::concerns(finding) {
        return Vec::new();
    }
    if let Some(reason) = findings::found_by_owner(finding) {
        return vec![Heard::harmless(account(signal), reason)];
    }
    let mut all: Vec<(Resource, Target)> = Vec::new();
    let (of_instances, left) = of_instances(finding);
    let named = credentials(signal, finding, of_instances.is_empty() && left.is_empty());
    for (resource, credential, key) in named.into_iter().chain(of_instances) {
        // Several sessions of one role are one affair.
        if let Some((_, target)) = all.iter_mut().find(|(one, _)| *one == resource) {
            target.keys.extend(key);
            continue;
        }
        let (seen, sent) = times(signal, finding);
        let told = told(finding, &resource, &credential);
        let keys = key.into_iter().collect();
        all.push((resource, Target { finding: Told::of(finding), told, credential, keys, seen, sent }));
    }
    all.into_iter().map(|(resource, target)| Heard::about(resource, target)).chain(left).collect()
}

/// Each of the credentials that a finding names: what is to be changed, what it is, and the access key.
///
/// Where none is named, that is answered, too, if nothing else is: `is_alone`.
fn credentials(signal: &Signal, finding: &Finding, is_alone: bool) -> Vec<(Resource, Credential, Option<String>)> {
    let named = findings::resources_for(REMEDIATION, finding);
    if !named.is_empty() || !is_alone {
        return named.into_iter().map(credential).collect();
    }
    // Of the root user's sign-in, a finding need not name a key; of somebody without credentials, it can't.
    let details = field(&finding.detail, "resource").and_then(|resource| field(resource, "accessKeyDetails"));
    let is_root = details.and_then(|details| text(details, "userType")).is_some_and(|kind| kind == "Root");
    let credential = if is_root { Credential::Beyond(OF_ROOT.to_owned()) } else { Credential::Unnamed };
    vec![(account(signal), credential, None)]
}

/// The roles of the instances that a finding calls hostile, and the instances whose roles are left alone.
#[expect(clippy::type_complexity, reason = "as `credentials` has them, and what is left")]
fn of_instances(finding: &Finding) -> (Vec<(Resource, Credential, Option<String>)>, Vec<Heard<Target>>) {
    let (mut meant, mut left) = (Vec::new(), Vec::new());
    for told in instance_role::told(finding) {
        match told {
            instance_role::Told::Meant(resource, profile) => {
                meant.push((resource, Credential::OfInstance(profile), None));
            }
            instance_role::Told::Left(resource, reason) => left.push(Heard::harmless(resource, reason)),
        }
    }
    (meant, left)
}

fn account(signal: &Signal) -> Resource {
    signal.resource("AWS::::Account", signal.account.as_str())
}

const OF_ROOT: &str = "they are the root user's, which nobody but the root user can take out of use";

fn credential(involved: &Involved) -> (Resource, Credential, Option<String>) {
    let Resource { kind, id, .. } = &involved.resource;
    let same = || involved.resource.clone();
    let is_key = kind == "AWS::IAM::AccessKey";
    let key = is_key.then(|| clean(id, 140));
    let holder = involved.holder.as_ref();
    let of = holder.and_then(|holder| holder.kind.as_deref()).unwrap_or_default();
    let name = holder.and_then(|holder| holder.name.as_deref()).filter(|name| is_name(name));
    // A session is known by the unique id of its role, `:` and the session's name.
    let role = holder.and_then(|holder| holder.principal.as_deref()?.split(':').next()).filter(|id| !id.is_empty());
    let beyond = |what: &str| Credential::Beyond(what.to_owned());
    match (of, name, role) {
        ("Root", ..) => (same(), beyond(OF_ROOT), key),
        ("AWSAccount" | "AWSService", ..) => {
            (same(), beyond("they are another account's, or a service's, as far as the finding tells"), key)
        }
        _ if is_key && id.starts_with("AKIA") => (same(), Credential::Key, key),
        ("AssumedRole" | "Role", Some(name), Some(role)) => {
            let resource = Resource { kind: "AWS::IAM::Role".to_owned(), id: name.to_owned(), ..same() };
            (resource, Credential::Sessions { role: role.to_owned() }, key)
        }
        ("AssumedRole" | "Role", ..) => (same(), beyond("the finding does not tell which role's session it is"), key),
        ("IAMUser", ..) => {
            (same(), beyond("it is a session of a user, who has to be denied by hand, or given another password"), key)
        }
        _ => (
            same(),
            beyond("it is the session of neither a role nor a user of this account, as far as the finding tells"),
            key,
        ),
    }
}

/// When the session was in use, and when the finding was sent out. The session was issued before its activity was first seen.
/// An attack sequence tells the times of several activities, so there it is the last one.
fn times(signal: &Signal, finding: &Finding) -> (DateTime<Utc>, DateTime<Utc>) {
    // A policy has them in milliseconds.
    let sent = finding.sent.map_or(signal.time, |sent| sent.max(signal.time)).trunc_subsecs(3);
    let (first, last) = finding.seen;
    let seen = if finding.kind.starts_with("AttackSequence:") { last } else { first };
    (seen.map_or(sent, |seen| seen.min(sent)), sent)
}

/// The user or role as a finding tells it.
fn told(finding: &Finding, resource: &Resource, credential: &Credential) -> Option<Holder> {
    let (kind, name) = match credential {
        Credential::Key => {
            let is_it = |involved: &&Involved| involved.resource == *resource;
            let involved = finding.resources.iter().find(is_it)?;
            ("user", involved.holder.as_ref()?.name.as_deref().filter(|name| is_name(name))?)
        }
        Credential::Sessions { .. } => ("role", resource.id.as_str()),
        Credential::OfInstance(_) | Credential::Beyond(_) | Credential::Unnamed => return None,
    };
    let partition = text(&finding.detail, "partition").unwrap_or("aws");
    let arn = format!("arn:{partition}:iam::{}:{kind}/{name}", resource.account);
    Some(Holder { arn, name: name.to_owned(), tags: Vec::new() })
}
