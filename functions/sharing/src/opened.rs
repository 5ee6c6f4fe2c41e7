//! What a call has opened by putting a resource's policy: judged by the policy that is there, the one that the call put, and the one
//! before. Whatever resource has such a policy is judged by this.

use rescind::policy::{Exposure, Friends, Policy, Reading, Statement, resource_policy};
use rescind::text::few;
use rescind::verdict::{Assessment, Evidence};

/// What is known of a resource's policy before a change.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Earlier {
    /// Neither the baseline nor AWS Config knows.
    #[default]
    Unknown,
    /// This one, or none, as AWS Config saw it at this moment.
    Policy(Option<String>, String),
}

/// What a call has opened.
#[derive(Debug)]
pub struct Opened<'a> {
    /// The resource, for people: `bucket orders`.
    what: String,
    live: Option<Policy>,
    told: Option<Policy>,
    before: &'a Earlier,
    /// What the call put, where the record tells it: what can't be read of the record, may be anything.
    put: Option<Vec<Reading>>,
    /// The statements that let strangers in, as far as anything is understood.
    risky: Vec<Reading>,
    /// Those of the earlier policy, each with its name.
    earlier: Vec<(String, Reading)>,
    /// The earlier policy is known, and let no stranger in.
    earlier_is_compliant: bool,
}

impl<'a> Opened<'a> {
    /// Reads the policies. `was_taken_back` tells whether a piece that AWS Config saw at a moment is one of those ([`Subject::was_taken_back`](rescind_lambda::Subject::was_taken_back)).
    ///
    /// # Errors
    /// A sentence, when the one that is there can't be read.
    pub fn of(
        what: String,
        live: Option<&str>,
        told: Option<Policy>,
        before: &'a Earlier,
        friends: &Friends,
        was_taken_back: impl Fn(&str, &str) -> bool,
    ) -> Result<Self, String> {
        let read = |text: Option<&str>| text.map(Policy::parse).transpose();
        let risky = |policy: Option<&Policy>| {
            let readings = policy.map(|policy| resource_policy(policy, friends)).unwrap_or_default();
            readings.into_iter().filter(|reading| reading.exposure.is_risky()).collect::<Vec<_>>()
        };
        let live = read(live).map_err(|problem| format!("the policy of {what}: {problem}"))?;
        // An earlier policy that can't be read is as good as none that is known.
        let known = match before {
            Earlier::Policy(text, _) => read(text.as_deref()).ok(),
            Earlier::Unknown => None,
        };
        let is_known = known.is_some();
        let known = known.flatten();
        let named = |reading: Reading| Some((piece(statement(known.as_ref(), &reading)?), reading));
        let mut earlier: Vec<_> = risky(known.as_ref()).into_iter().filter_map(named).collect();
        let is_compliant = is_known && earlier.iter().all(|(_, reading)| reading.exposure < Exposure::Shared);
        if let Earlier::Policy(_, captured) = before {
            earlier.retain(|(piece, _)| !was_taken_back(piece, captured));
        }
        let put = told.as_ref().map(|told| resource_policy(told, friends));
        let risky = risky(live.as_ref());
        Ok(Self { what, live, told, before, put, risky, earlier, earlier_is_compliant: is_compliant })
    }

    /// Whether the call opened the resource. The offenders are statements, by the names of their pieces.
    pub fn assessment(&self) -> Assessment<String> {
        let what = &self.what;
        let of_call = self.risky.iter().filter(|reading| self.is_put(reading));
        let (stood, found): (Vec<_>, Vec<_>) = of_call.partition(|reading| self.stood_before(reading));
        let (sure, left): (Vec<_>, Vec<_>) = found.into_iter().partition(|reading| is_to_go(reading));
        let words = |some: &[&Reading]| few(some.iter().map(|reading| in_words(reading)).collect());
        let evidence = |some: &[&Reading]| {
            let opens = some.iter().map(|reading| in_words(reading));
            opens.map(|opens| Evidence::new([("policy of", what.clone()), ("opens", opens)])).collect()
        };
        let reason = format!("the policy of {what}: {}", words(if sure.is_empty() { &left } else { &sure }));
        let put: Vec<&Reading> = self.put.iter().flatten().filter(|reading| is_to_go(reading)).collect();
        let was_sure = !put.is_empty();
        // All that the call put is there, and was before: nothing of it was taken back.
        let is_again = was_sure && put.iter().all(|one| stood.iter().any(|now| self.is_same(one, now)));
        if !sure.is_empty() {
            let offenders = sure.iter().filter_map(|reading| self.piece(reading)).collect();
            return Assessment::risky(reason, evidence(&sure), offenders);
        }
        if !left.is_empty() {
            if was_sure && !is_again {
                let closed = "that is left to a person, and what surely was open is closed already";
                return Assessment::already_safe(format!("{reason}; {closed}"));
            }
            return Assessment::report(format!("{reason}; left to a person"), evidence(&left));
        }
        if is_again {
            let before = "AWS Config saw that before the call already, so it is left to a person";
            return Assessment::report(format!("the policy of {what}: {}; {before}", words(&stood)), evidence(&stood));
        }
        match (was_sure, self.risky.is_empty()) {
            (true, true) => Assessment::already_safe(format!("the policy of {what} lets no stranger in any more")),
            (true, false) => Assessment::already_safe(format!(
                "what the policy of {what} lets strangers do now, is not of this call"
            )),
            (false, _) => Assessment::harmless(format!("the call lets no stranger into {what}")),
        }
    }

    /// The policy that takes back these statements, `None` for no policy at all; and why it is that one.
    pub fn back(&self, offenders: &[String]) -> (Option<String>, String) {
        // What somebody else has made of it since, the earlier policy knows nothing of.
        let told = self.told.as_ref().zip(self.live.as_ref());
        let is_that_of_the_call = told.is_none_or(|(told, live)| told.is_told_as(live));
        let why = match self.before {
            Earlier::Policy(Some(earlier), captured) if self.earlier_is_compliant && is_that_of_the_call => {
                return (Some(earlier.clone()), format!("its policy of {captured} comes back"));
            }
            Earlier::Policy(None, captured) if self.earlier_is_compliant && is_that_of_the_call => {
                return (None, format!("it had no policy at {captured}, and has none again"));
            }
            Earlier::Unknown => "its earlier policy is not known",
            Earlier::Policy(..) if is_that_of_the_call => "its earlier policy let strangers in, too",
            Earlier::Policy(..) => "its policy was changed since the call",
        };
        let is_meant = |reading: &&Reading| self.piece(reading).is_some_and(|piece| offenders.contains(&piece));
        let readings: Vec<Reading> = self.risky.iter().filter(is_meant).cloned().collect();
        let rest = self.live.as_ref().and_then(|policy| policy.without(&readings, Exposure::Shared));
        let put = rest.as_ref().and_then(Policy::without_gone);
        let gone = if put == rest { "" } else { ", with users or roles that are gone, whom AWS refuses" };
        let left = if put.is_none() { ", and nothing is left of the policy" } else { "" };
        (put.map(|put| put.to_string()), format!("{why}, so that only this is taken out{gone}{left}"))
    }

    fn piece(&self, reading: &Reading) -> Option<String> {
        statement(self.live.as_ref(), reading).map(piece)
    }

    /// Whether the call put what is there.
    fn is_put(&self, live: &Reading) -> bool {
        self.put.as_ref().is_none_or(|put| put.iter().any(|put| self.is_same(put, live)))
    }

    fn is_same(&self, put: &Reading, live: &Reading) -> bool {
        let statements = || statement(self.told.as_ref(), put).zip(statement(self.live.as_ref(), live));
        (put.exposure == live.exposure && put.strangers == live.strangers)
            || statements().is_some_and(|(put, live)| put.is_rewritten(live))
    }

    /// Whether this statement stood before, and was no less open: a `Deny` that is gone may have opened it.
    fn stood_before(&self, reading: &Reading) -> bool {
        let piece = self.piece(reading);
        self.earlier.iter().any(|(before, was)| {
            piece.as_ref() == Some(before) && was.exposure >= reading.exposure && was.strangers == reading.strangers
        })
    }
}

/// The name of a statement among the pieces: the same however it is laid out.
pub fn piece(statement: &Statement) -> String {
    format!("statement {}", statement.digest())
}

/// The statement that a reading of a policy is about.
fn statement<'p>(policy: Option<&'p Policy>, reading: &Reading) -> Option<&'p Statement> {
    policy?.statements().get(reading.statement)
}

/// Surely open to strangers, and not only to a service that acts for them.
fn is_to_go(reading: &Reading) -> bool {
    reading.is_surely_risky() && reading.exposure >= Exposure::Shared
}

fn in_words(reading: &Reading) -> String {
    match &reading.unclear {
        Some(unclear) => format!("{} (unclear: {unclear})", reading.reason),
        None => reading.reason.clone(),
    }
}
