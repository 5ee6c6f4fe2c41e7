//! What a call has opened by putting a resource's policy: judged by the policy that is there, the one that the call put, and the one
//! before. Whatever resource has such a policy is judged by this.

use rescind::policy::{
    Against, Division, Exposure, Friends, NamedPrincipal, Policy, Reading, Statement, resource_policy,
};
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
    /// What of the policy that is there lets strangers in and is of the call, as far as anything is understood.
    division: Division,
    /// The policy that is there lets strangers in, whoever put that.
    is_open: bool,
    /// Who was let in by the earlier policy; `None` where that is not known.
    earlier: Option<Vec<Reading>>,
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
        let parse = |text: Option<&str>| text.map(Policy::parse).transpose();
        let read = |policy: &Policy| resource_policy(policy, friends);
        let live = parse(live).map_err(|problem| format!("the policy of {what}: {problem}"))?;
        // An earlier policy that can't be read is as good as none that is known.
        let (known, captured) = match before {
            Earlier::Policy(text, captured) => (parse(text.as_deref()).ok(), captured.as_str()),
            Earlier::Unknown => (None, ""),
        };
        let earlier = known.as_ref().map(|known| known.as_ref().map(read).unwrap_or_default());
        let known = known.flatten();
        let put = told.as_ref().map(read);
        // Who was let in by what was taken back, is let in anew.
        let remaining = |reading: &Reading| {
            let statement = statement(known.as_ref(), reading)?;
            let mut reading = reading.clone();
            reading.principals.retain(|one, _| !was_taken_back(&part(statement, one), captured));
            (!was_taken_back(&piece(statement), captured)).then_some(reading)
        };
        let remaining: Vec<Reading> = earlier.iter().flatten().filter_map(remaining).collect();
        let against = |reading: &Reading| {
            let now = statement(live.as_ref(), reading);
            let no_closer = |policy: Option<&Policy>, one: &Reading| {
                statement(policy, one).zip(now).is_some_and(|(one, now)| one.is_as_wide_as(now))
            };
            let is_rewritten =
                |put: &Reading| statement(told.as_ref(), put).zip(now).is_some_and(|(put, now)| put.is_rewritten(now));
            let put = put.as_ref().filter(|put| !put.iter().any(is_rewritten));
            // In another statement than before, somebody may get by what was denied.
            let is_let_by =
                known.as_ref().zip(live.as_ref()).is_some_and(|(was, now)| was.let_by(reading, now, friends));
            let is_excuse = |one: &&Reading| {
                now.is_some_and(|now| one.digest == now.digest()) || (is_let_by && no_closer(known.as_ref(), one))
            };
            Against {
                put: put.map(|put| put.iter().filter(|one| no_closer(told.as_ref(), one)).collect()),
                earlier: remaining.iter().filter(is_excuse).collect(),
            }
        };
        let division = live.as_ref().map(|live| live.divide(read, against)).unwrap_or_default();
        let is_open = live.iter().flat_map(read).any(|reading| reading.exposure.is_risky());
        Ok(Self { what, live, told, before, put, division, is_open, earlier })
    }

    /// Whether the call opened the resource. The offenders are statements, by the names of their pieces.
    pub fn assessment(&self) -> Assessment<String> {
        let what = &self.what;
        let Division { stood, new } = &self.division;
        let (sure, left): (Vec<_>, Vec<_>) = new.iter().partition(|reading| is_to_go(reading));
        let stood: Vec<&Reading> = stood.iter().collect();
        let words = |some: &[&Reading]| few(some.iter().map(|reading| in_words(reading)).collect());
        let evidence = |some: &[&Reading]| {
            let opens = some.iter().map(|reading| in_words(reading));
            opens.map(|opens| Evidence::new([("policy of", what.clone()), ("opens", opens)])).collect()
        };
        let reason = format!("the policy of {what}: {}", words(if sure.is_empty() { &left } else { &sure }));
        let put: Vec<&Reading> = self.put.iter().flatten().filter(|reading| is_to_go(reading)).collect();
        let was_sure = !put.is_empty();
        // All that the call put is there, and was before: nothing of it was taken back.
        let is_again = was_sure && put.iter().all(|one| one.is_within(&self.standing_for(one), Exposure::Shared));
        if !sure.is_empty() {
            let offenders = sure.iter().flat_map(|reading| self.offenders(reading)).collect();
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
        match (was_sure, self.is_open) {
            (true, false) => Assessment::already_safe(format!("the policy of {what} lets no stranger in any more")),
            (true, true) => Assessment::already_safe(format!(
                "what the policy of {what} lets strangers do now was not opened by this call"
            )),
            (false, _) => Assessment::harmless(format!("the call lets no stranger into {what}")),
        }
    }

    /// What stood before and still lets do what the call put.
    fn standing_for(&self, put: &Reading) -> Vec<&Reading> {
        let told = statement(self.told.as_ref(), put);
        let is_no_closer = |reading: &&Reading| {
            statement(self.live.as_ref(), reading).zip(told).is_some_and(|(live, told)| live.is_as_wide_as(told))
        };
        self.division.stood.iter().filter(is_no_closer).collect()
    }

    /// The policy that takes back these offenders, `None` for no policy at all; and why it is that one.
    pub fn back(&self, offenders: &[String]) -> (Option<String>, String) {
        // What somebody else has made of it since, the earlier policy knows nothing of.
        let told = self.told.as_ref().zip(self.live.as_ref());
        let is_that_of_the_call = told.is_none_or(|(told, live)| told.is_told_as(live));
        let to_go = || self.division.new.iter().filter(|reading| is_to_go(reading));
        let is_all = to_go().flat_map(|reading| self.offenders(reading)).all(|one| offenders.contains(&one));
        let widest = self.earlier.as_ref().map(|earlier| earlier.iter().map(|one| one.exposure).max());
        let was_compliant = widest.is_some_and(|widest| widest < Some(Exposure::Shared));
        let why = match self.before {
            _ if widest.is_none() => "its earlier policy is not known",
            _ if !is_that_of_the_call => "its policy was changed since the call",
            _ if was_compliant && !is_all => "the rest is left alone",
            Earlier::Policy(Some(earlier), captured) if was_compliant => {
                return (Some(earlier.clone()), format!("its policy of {captured} comes back"));
            }
            Earlier::Policy(None, captured) if was_compliant => {
                return (None, format!("it had no policy at {captured}, and has none again"));
            }
            _ if self.earlier.iter().flatten().any(is_to_go) => "its earlier policy let strangers in, too",
            _ => "its earlier policy may have let strangers in, too",
        };
        let meant: Vec<Reading> = to_go().filter_map(|reading| self.meant(reading, offenders)).collect();
        let rest = self.live.as_ref().and_then(|policy| policy.without(&meant, Exposure::Shared));
        let put = rest.as_ref().and_then(Policy::without_gone);
        let gone = if put == rest { "" } else { ", with users or roles that are gone, whom AWS refuses" };
        let left = if put.is_none() { ", and nothing is left of the policy" } else { "" };
        (put.map(|put| put.to_string()), format!("{why}, so that only this is taken out{gone}{left}"))
    }

    /// What a reading is known by: its statement's piece; or where it is about a part of the statement, that of each principal.
    fn offenders(&self, reading: &Reading) -> Vec<String> {
        let Some(statement) = statement(self.live.as_ref(), reading) else { return Vec::new() };
        if reading.digest == statement.digest() {
            return vec![piece(statement)];
        }
        let to_go = reading.principals.iter().filter(|(_, opening)| opening.exposure >= Exposure::Shared);
        to_go.map(|(one, _)| part(statement, one)).collect()
    }

    /// A reading, as far as it is about these offenders.
    fn meant(&self, reading: &Reading, offenders: &[String]) -> Option<Reading> {
        let statement = statement(self.live.as_ref(), reading)?;
        if reading.digest == statement.digest() {
            return offenders.contains(&piece(statement)).then(|| reading.clone());
        }
        let mut reading = reading.clone();
        reading.principals.retain(|one, _| offenders.contains(&part(statement, one)));
        (!reading.principals.is_empty()).then_some(reading)
    }
}

/// The name of a statement among the pieces: the same however it is laid out.
pub fn piece(statement: &Statement) -> String {
    format!("statement {}", statement.digest())
}

/// The name of a part of a statement: as that of the statement, if it named this principal alone.
fn part(statement: &Statement, principal: &NamedPrincipal) -> String {
    statement.naming_only(principal).as_ref().map_or_else(|| piece(statement), piece)
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
