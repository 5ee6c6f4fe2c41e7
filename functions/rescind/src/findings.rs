//! What is to be done about a finding: one table, and for whom of the resources that a finding names a row is meant.
//!
//! Pure advice. Whether it is followed, the mode, the guard and the remediation's own look at the live resource say.

use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;

use crate::signal::{Direction, Finding, Involved, Proof, Role, Severity};
use crate::text::clean;

mod table;

use table::ROWS;

/// One thing to do about a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Response {
    /// Cut the instance off: something hostile is on it.
    Isolate,
    /// Cut the instance off if it is the one that acts. On a target anybody may call.
    IsolateActor,
    /// Keep out those who called on the instance, unless their addresses may be forged.
    Block,
    /// Make the credentials useless.
    Deactivate,
    /// The remediation of this name takes back what made it possible.
    TakeBack(&'static str),
    /// Tell people.
    Tell,
}

impl Response {
    /// The remediation that does it; telling takes none.
    pub fn remediation(self) -> Option<&'static str> {
        match self {
            Self::Isolate | Self::IsolateActor => Some("isolate-instance"),
            Self::Block => Some("block-address"),
            Self::Deactivate => Some("credentials-compromised"),
            Self::TakeBack(remediation) => Some(remediation),
            Self::Tell => None,
        }
    }

    /// Whether it is for such resources at all.
    fn is_about(self, involved: &Involved) -> bool {
        let is_subject = involved.role != Role::Beside;
        match self {
            Self::Isolate | Self::IsolateActor | Self::Block | Self::TakeBack("open-security-group-ingress") => {
                is_subject && involved.resource.kind == "AWS::EC2::Instance"
            }
            Self::Deactivate => CREDENTIALS.contains(&involved.resource.kind.as_str()),
            Self::TakeBack(_) => is_subject,
            Self::Tell => false,
        }
    }

    /// Whether it is meant for a resource that the finding names.
    fn is_for(self, finding: &Finding, involved: &Involved) -> bool {
        self.is_about(involved)
            && match self {
                Self::IsolateActor => acts(finding, involved),
                Self::Block => !acts(finding, involved) && callers(finding).next().is_some(),
                // It is the open port of an instance on which others call.
                Self::TakeBack("open-security-group-ingress") => !acts(finding, involved),
                _ => true,
            }
    }
}

/// Whose credentials can be made useless, also where the finding is about what they were used on.
const CREDENTIALS: &[&str] = &["AWS::IAM::AccessKey", "AWS::IAM::User", "AWS::IAM::Role"];

/// A row of the table.
#[derive(Debug, Clone, Copy)]
struct Row {
    /// The finding types.
    kinds: &'static [&'static str],
    /// What is done.
    responses: &'static [Response],
    /// Why, in a few words.
    reason: &'static str,
}

/// A finding as it is told of whatever is done about it: its type and how bad it is.
#[derive(Debug, Clone, PartialEq)]
pub struct Told {
    /// Its type; cleaned.
    pub kind: String,
    /// How bad it is, where it says so.
    pub severity: Option<Severity>,
    /// Why something is to be done about it, in a few words.
    pub reason: String,
}

impl Told {
    /// As a finding says it, and the table of it.
    pub fn of(finding: &Finding) -> Self {
        let reason = advice(finding).reason.into_owned();
        Self { kind: clean(&finding.kind, 120), severity: finding.severity, reason }
    }

    /// Why nothing is done about it for `what`, if it is milder than the owner asks for by `rescind:severity`, or does not say how bad it is.
    pub fn too_mild(&self, what: &str, least: Severity) -> Option<String> {
        let is_mild = self.severity.is_none_or(|severity| severity < least);
        is_mild.then(|| format!("{what} is left alone: {self}; `rescind:severity` asks for {least}"))
    }
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.severity {
            Some(severity) => write!(f, "{}, severity {severity}", self.kind),
            None => write!(f, "{}, without a severity", self.kind),
        }
    }
}

/// What is to be done about a finding, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advice {
    /// Telling, at the least.
    pub responses: &'static [Response],
    /// In a few words; cleaned.
    pub reason: Cow<'static, str>,
    /// Whether the table has the finding's type.
    pub is_listed: bool,
}

/// What is to be done about a finding. A type that the table has not, and what a custom detection rule found, is told.
pub fn advice(finding: &Finding) -> Advice {
    const TELL: &[Response] = &[Response::Tell];
    let kind = finding.kind.as_str();
    let row = ROWS.iter().find(|row| row.kinds.contains(&kind));
    match (row, &finding.custom_rule) {
        (Some(row), None) => Advice { responses: row.responses, reason: Cow::Borrowed(row.reason), is_listed: true },
        (row, Some(rule)) => {
            let reason = format!("the account's own detection rule `{rule}` found it");
            Advice { responses: TELL, reason: Cow::Owned(reason), is_listed: row.is_some() }
        }
        (None, None) => {
            let family = kind.split('/').next().unwrap_or_default();
            let of_family = |row: &Row| row.kinds.iter().any(|one| one.split('/').next() == Some(family));
            let what = if ROWS.iter().any(of_family) { "other findings of its family" } else { "no such finding" };
            let reason = format!("`{}` is not in the table, which has {what}", clean(kind, 120));
            Advice { responses: TELL, reason: Cow::Owned(reason), is_listed: false }
        }
    }
}

/// The resources for which `remediation` is to do something about a finding. Empty, when it is none of its affairs.
pub fn resources_for<'a>(remediation: &str, finding: &'a Finding) -> Vec<&'a Involved> {
    let all = candidates_for(remediation, finding).into_iter();
    all.filter(|(_, is_meant)| *is_meant).map(|(involved, _)| involved).collect()
}

/// Whether the table has `remediation` do something about findings of this type. By the type a rule's pattern lets a finding through,
/// whoever's rule found it: a remediation that is concerned has to answer.
pub fn concerns(remediation: &str, finding: &Finding) -> bool {
    responses_of(remediation, finding).next().is_some()
}

/// The resources of the kind for which the table has `remediation` do something about such findings, and whether it is meant for
/// each: on an instance that is only called upon nothing hostile is, and what the owner's own rule found is told.
pub fn candidates_for<'a>(remediation: &str, finding: &'a Finding) -> Vec<(&'a Involved, bool)> {
    let responses: Vec<&Response> = responses_of(remediation, finding).collect();
    let judged = |involved: &'a Involved| {
        let is_about = responses.iter().any(|response| response.is_about(involved));
        let is_meant = || finding.custom_rule.is_none() && responses.iter().any(|one| one.is_for(finding, involved));
        is_about.then(|| (involved, is_meant()))
    };
    finding.resources.iter().filter_map(judged).collect()
}

/// Why nothing is done about a finding that the owner's own rule found, if it is one.
pub fn found_by_owner(finding: &Finding) -> Option<String> {
    let tells = || format!("nothing is done about it ({}): {}", clean(&finding.kind, 120), advice(finding).reason);
    finding.custom_rule.as_ref().map(|_| tells())
}

/// What the table has `remediation` do about findings of such a type.
fn responses_of(remediation: &str, finding: &Finding) -> impl Iterator<Item = &'static Response> {
    let row = ROWS.iter().find(|row| row.kinds.contains(&finding.kind.as_str()));
    let of_row = row.map(|row| row.responses).unwrap_or_default();
    of_row.iter().filter(move |response| response.remediation() == Some(remediation))
}

/// Who called, as far as it is worth blocking: never an address that may be forged. [`Proof::Unproven`] ones take a
/// further look.
pub fn callers(finding: &Finding) -> impl Iterator<Item = (IpAddr, Proof)> {
    let called = finding.contacts.iter().filter(|contact| contact.direction == Some(Direction::Inbound));
    called
        .filter(|contact| contact.proof != Proof::Forgeable)
        .filter_map(|contact| Some((contact.address?, contact.proof)))
}

/// Whether a resource that the finding is about did something itself: it is the actor, or it began the connection.
/// GuardDuty calls an instance that talks to a drop point its target.
fn acts(finding: &Finding, involved: &Involved) -> bool {
    let began = || finding.contacts.iter().any(|contact| contact.direction == Some(Direction::Outbound));
    involved.role == Role::Actor || began()
}

#[cfg(test)]
mod tests;
