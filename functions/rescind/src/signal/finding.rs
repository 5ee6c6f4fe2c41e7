//! Findings: a service of AWS judges that something is wrong.
//!
//! The types hold what a remedy needs to know, whoever found it: GuardDuty today. Security Hub, Inspector and Macie tell
//! the same in other words, and the little that they tell beyond it is in [`Finding::detail`].

use std::fmt;
use std::net::IpAddr;

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::Resource;

/// What a service found. The signal's id is the finding's, so that all its updates are one fact, and lead to one outcome
/// for each remediation and resource; the signal's time is that of the update.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    /// The service, as outcomes name it: `guardduty`.
    pub service: &'static str,
    /// What the service calls this kind of finding, such as `UnauthorizedAccess:EC2/SSHBruteForce`.
    pub kind: String,
    /// One sentence of the service's; cleaned, may be empty.
    pub title: String,
    /// How bad it is by the service's own measure. A later update may raise it; `None` reaches no threshold.
    pub severity: Option<Severity>,
    /// When it was found first. The signal's time is that of the latest update.
    pub created: Option<DateTime<Utc>>,
    /// When what it is about was first seen, and when last.
    pub seen: (Option<DateTime<Utc>>, Option<DateTime<Utc>>),
    /// When this update of it was sent out; the signal's time may be some minutes before.
    pub sent: Option<DateTime<Utc>>,
    /// Somebody, or a rule of theirs, laid it aside.
    pub is_archived: bool,
    /// Made up, for trying things out.
    pub is_sample: bool,
    /// The owner's own detection rule that found it, where it was one; cleaned.
    pub custom_rule: Option<String>,
    /// The resources that it names, each once, all of the signal's account and region.
    pub resources: Vec<Involved>,
    /// With whom they spoke, or who called on them.
    pub contacts: Vec<Contact>,
    /// What it names that is not among the resources, and why: for people; cleaned.
    pub unread: Vec<String>,
    /// The whole finding, as it came.
    pub detail: Value,
}

impl Finding {
    /// Why nothing is to be done whatever it says, if so: it was laid aside, or made up.
    pub fn calls_for_nothing(&self) -> Option<&'static str> {
        if self.is_archived {
            Some("the finding is archived")
        } else if self.is_sample {
            Some("the finding is a sample")
        } else {
            None
        }
    }
}

/// A resource that a finding names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Involved {
    /// The resource, of the finding's account and region.
    pub resource: Resource,
    /// Its part in it.
    pub role: Role,
    /// Whose credentials they are, for an access key, and for a user or role that was there without one.
    pub holder: Option<Holder>,
}

/// The part of a resource in a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// It did it.
    Actor,
    /// It was done to it.
    Target,
    /// The finding is about it, and does not tell which of the two.
    Untold,
    /// The finding is about something else: this is its caller, its node, its volume.
    Beside,
}

/// Whose credentials an access key is. By names that others chose: never the only reason to change anything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// The unique id of the user or role, and for a role's session `:` and the session's name.
    pub principal: Option<String>,
    /// The user's or the role's name.
    pub name: Option<String>,
    /// `IAMUser`, `AssumedRole`, `Root` …
    pub kind: Option<String>,
}

/// Somebody at the other end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contact {
    /// Their address.
    pub address: Option<IpAddr>,
    /// The port of the resource that was called upon.
    pub local_port: Option<u16>,
    /// `TCP`, `UDP` …, where told.
    pub protocol: Option<String>,
    /// Who began.
    pub direction: Option<Direction>,
    /// Whether it was really they.
    pub proof: Proof,
}

/// Who began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// They called.
    Inbound,
    /// The resource did.
    Outbound,
}

/// Whether an address can be that of somebody else, whom an attacker wants to have blocked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proof {
    /// Both sides spoke: a sign-in, a call of an API. Nobody does that with a forged address.
    Answered,
    /// A TCP connection as flow logs see it, in which a lone SYN of a forged sender looks the same, or an address that a
    /// proxy told. It takes a further look.
    Unproven,
    /// One packet is enough for it: a probe, UDP, what was refused.
    Forgeable,
}

/// How bad a finding is, in tenths from 0.0 to 10.0: GuardDuty's scale, and that of the CVSS. Security Hub's normalized
/// severity is the number of tenths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Severity {
    tenths: u8,
}

impl Severity {
    /// From 1.0.
    pub const LOW: Self = Self { tenths: 10 };
    /// From 4.0.
    pub const MEDIUM: Self = Self { tenths: 40 };
    /// From 7.0.
    pub const HIGH: Self = Self { tenths: 70 };
    /// From 9.0.
    pub const CRITICAL: Self = Self { tenths: 90 };

    /// Reads a number from 0 to 10. What lies between two tenths is the lower one.
    pub fn of_number(number: f64) -> Option<Self> {
        // The slack is for numbers such as 8.2, ten times which is a little less than 82.
        let fits = |tenths: &u8| f64::from(*tenths) <= number * 10.0 + 1e-6;
        (0.0..=10.0).contains(&number).then(|| (0..=100).rev().find(fits).map(|tenths| Self { tenths }))?
    }

    /// Reads `8`, `7.5`, or the lowest of a level by its name: `low`, `medium`, `high`, `critical`.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "low" => Some(Self::LOW),
            "medium" => Some(Self::MEDIUM),
            "high" => Some(Self::HIGH),
            "critical" => Some(Self::CRITICAL),
            _ if text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') => Self::of_number(text.parse().ok()?),
            _ => None,
        }
    }

    /// The name of its level, by the Amazon GuardDuty user guide, *Findings severity levels*.
    pub fn level(self) -> &'static str {
        match self {
            _ if self >= Self::CRITICAL => "critical",
            _ if self >= Self::HIGH => "high",
            _ if self >= Self::MEDIUM => "medium",
            _ => "low",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{} ({})", self.tenths / 10, self.tenths % 10, self.level())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_severity_is_read_to_the_tenth_and_told_with_its_level() {
        for (number, told) in [
            (0.0, "0.0 (low)"),
            (2.0, "2.0 (low)"),
            (4.0, "4.0 (medium)"),
            (6.99, "6.9 (medium)"),
            (8.2, "8.2 (high)"),
            (8.95, "8.9 (high)"),
            (10.0, "10.0 (critical)"),
        ] {
            assert_eq!(Severity::of_number(number).map(|severity| severity.to_string()).as_deref(), Some(told));
        }
        for number in [-0.1, 10.1, 1e308, f64::NAN, f64::NEG_INFINITY] {
            assert_eq!(Severity::of_number(number), None, "{number}");
        }
    }

    #[test]
    fn every_tenth_is_written_and_read_as_itself() {
        for tenths in 0..=100 {
            let number = format!("{}.{}", tenths / 10, tenths % 10);
            assert_eq!(Severity::parse(&number), Some(Severity { tenths }), "{number}");
        }
        assert_eq!(Severity::parse("high"), Severity::parse("7"));
        for text in ["", "High", "inf", "nan", "1e1", "-1", "+7", "11", "7,5", ".", "7.0.0"] {
            assert_eq!(Severity::parse(text), None, "{text}");
        }
    }
}
