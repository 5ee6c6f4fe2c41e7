//! May we? Everything that can stand between a risky change and taking it back.

use chrono::{DateTime, Utc};

use crate::settings::{Exemption, Mode, Settings};
use crate::signal::{Actor, Signal};

/// What is known when the guard is asked.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// The signal.
    pub signal: &'a Signal,
    /// The owner's settings.
    pub settings: &'a Settings,
    /// The tags of the resource, as read live.
    pub resource_tags: &'a [(String, String)],
    /// The time now.
    pub now: DateTime<Utc>,
    /// Whether nothing live was read, so that nothing may be changed.
    pub from_event_alone: bool,
    /// Whether a person approved the plan.
    pub is_approved: bool,
}

/// The guard's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Permission {
    /// Take it back.
    Act,
    /// Show what would be done.
    ShowOnly,
    /// Keep the plan until a person approves it.
    Ask,
    /// The owner exempts who made it, for as long as the change stands; the text says how.
    ExemptActor(String),
    /// The owner exempts the resource, for as long as its tag says so; the text says how.
    ExemptResource(String),
    /// The settings forbid to go on; the text says which and why.
    Misconfigured(String),
}

/// Whether one of Rescind's own roles made the change: told by the role behind the session, which nobody else can
/// take on, and never by a name or user agent.
pub fn is_own_change(actor: Option<&Actor>, own_roles: &[String]) -> bool {
    let principal = actor.and_then(|actor| actor.principal.as_deref());
    principal.is_some_and(|principal| own_roles.iter().any(|role| role == principal))
}

/// Answers whether a risky change may be taken back.
pub fn may_act(question: &Question<'_>) -> Permission {
    let Question { signal, settings, .. } = question;
    if let Some(principal) = signal.actor().and_then(|actor| actor.principal.as_deref())
        && settings.exempt_principals.iter().any(|pattern| pattern.covers(principal))
    {
        return Permission::ExemptActor(format!(
            "`rescind:exempt-principals` covers {}",
            crate::text::clean(principal, 200)
        ));
    }
    let tags = question.resource_tags.iter().map(|(key, value)| (key.as_str(), value.as_str()));
    match settings.exempt_tag.applies(tags, question.now) {
        Exemption::Exempt(tag) => return Permission::ExemptResource(format!("the resource has {tag}")),
        Exemption::Unclear(problem) => return Permission::Misconfigured(problem),
        Exemption::None | Exemption::Ended(_) => {}
    }
    match settings.mode {
        Mode::Enforce | Mode::Approve if question.from_event_alone => Permission::Misconfigured(
            "`RESCIND_STATE=event` judges by the event alone, and nothing is changed on an event's word: `enforce` and `approve` are refused"
                .to_owned(),
        ),
        Mode::Approve if !question.is_approved => Permission::Ask,
        Mode::Enforce | Mode::Approve => Permission::Act,
        Mode::DryRun | Mode::Off => Permission::ShowOnly,
    }
}
