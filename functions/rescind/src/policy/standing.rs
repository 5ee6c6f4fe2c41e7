//! What of a policy a call has opened, and what stood before: statement by statement, and principal by principal.
//!
//! A call puts a policy as a whole. Who was let in before is not let in by it, however it is written now; and what surely is
//! open is excused only by what surely was, and was no closer.

use std::collections::{BTreeMap, BTreeSet};

use super::Friends;
use super::condition::Clause;
use super::document::{Effect, Policy, Statement};
use super::exposure::{Exposure, Opening, Reading};
use super::limit::{Bound, Context, Limit, when_false};
use super::principal::{NamedPrincipal, Who};

/// What a reading is held against.
#[derive(Debug, Clone, Default)]
pub struct Against<'r> {
    /// What a call put that may be what was read; `None` where that is not known, and so may be anything.
    pub put: Option<Vec<&'r Reading>>,
    /// What was there before that may excuse it.
    pub earlier: Vec<&'r Reading>,
}

/// What a call has put of what is risky. Of a statement that is in both, each says what holds of its own principals.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Division {
    /// What was no less open before.
    pub stood: Vec<Reading>,
    /// What was not.
    pub new: Vec<Reading>,
}

/// Whose doing it is that somebody is let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Whose {
    /// It stood before.
    Nobodys,
    TheCalls,
    AnotherCalls,
}

impl Policy {
    /// Divides what is risky among the readings of this policy. Where that is a part of a statement, `read` reads it anew.
    pub fn divide<'r>(
        &self,
        read: impl Fn(&Self) -> Vec<Reading>,
        against: impl Fn(&Reading) -> Against<'r>,
    ) -> Division {
        let risky = |policy: &Self| read(policy).into_iter().filter(|reading| reading.exposure.is_risky());
        let (mut stood, mut rest) = (Vec::new(), Vec::new());
        let (mut but_stood, mut but_rest) = (BTreeMap::new(), BTreeMap::new());
        for reading in risky(self) {
            let held = against(&reading);
            let (mut from_before, mut known) = (BTreeSet::new(), BTreeSet::new());
            for (whom, opening) in &reading.principals {
                match held.whose(whom, opening) {
                    Whose::TheCalls => continue,
                    Whose::Nobodys => from_before.insert(whom.clone()),
                    Whose::AnotherCalls => true,
                };
                known.insert(whom.clone());
            }
            let statement = self.statements.get(reading.statement);
            let named: BTreeSet<_> = statement.map_or(&[][..], Statement::principals).iter().cloned().collect();
            if !from_before.is_empty() && from_before != named {
                but_stood.insert(reading.statement, &named - &from_before);
            } else if !from_before.is_empty() {
                stood.push(reading.clone());
            }
            if known.is_empty() {
                rest.push(reading);
            } else if known != named {
                but_rest.insert(reading.statement, known);
            }
        }
        // Somebody is left in each of these statements, so that they stand where they stood.
        let parts = |without: &BTreeMap<usize, BTreeSet<NamedPrincipal>>| -> Vec<Reading> {
            let policy = if without.is_empty() { None } else { self.without_principals(without) };
            policy.iter().flat_map(&risky).filter(|part| without.contains_key(&part.statement)).collect()
        };
        stood.extend(parts(&but_stood));
        rest.extend(parts(&but_rest));
        let mut division = Division { stood, new: Vec::new() };
        for reading in rest {
            match against(&reading).whose_rest(&reading) {
                Whose::Nobodys => division.stood.push(reading),
                Whose::TheCalls => division.new.push(reading),
                Whose::AnotherCalls => {}
            }
        }
        division.stood.sort_by_key(|reading| reading.statement);
        division.new.sort_by_key(|reading| reading.statement);
        division
    }
}

impl Against<'_> {
    /// Whose doing it is that a reading surely lets in a principal.
    fn whose(&self, whom: &NamedPrincipal, opening: &Opening) -> Whose {
        self.judge(
            |put| put.lets_in(whom, opening, NamedPrincipal::is_same_as),
            |was| was.lets_in(whom, opening, NamedPrincipal::covers),
        )
    }

    /// Whose doing a reading is as a whole, of which no principal is known.
    fn whose_rest(&self, reading: &Reading) -> Whose {
        let now = reading.opening();
        match (reading.is_surely_risky(), reading.principals.is_empty()) {
            (true, false) => Whose::TheCalls,
            // AWS may have written anew whom it does not mean.
            (true, true) => self.judge(
                |put| put.names_nobody() && put.opening().is_as_wide_as(&now),
                |was| was.names_nobody() && was.opening().is_as_wide_as(&now) && was.digest == reading.digest,
            ),
            // What was not sure may excuse what is not.
            (false, _) => self.judge(
                |put| put.exposure == now.exposure && put.opening().is_as_wide_as(&now),
                |was| was.opening().is_as_wide_as(&now),
            ),
        }
    }

    fn judge(&self, is_put: impl Fn(&Reading) -> bool, was_there: impl Fn(&Reading) -> bool) -> Whose {
        if self.put.as_ref().is_some_and(|put| !put.iter().any(|one| is_put(one))) {
            Whose::AnotherCalls
        } else if self.earlier.iter().any(|one| was_there(one)) {
            Whose::Nobodys
        } else {
            Whose::TheCalls
        }
    }
}

impl Reading {
    /// Whether one of the principals that are `alike` surely opens no less.
    fn lets_in(
        &self,
        whom: &NamedPrincipal,
        opening: &Opening,
        alike: impl Fn(&NamedPrincipal, &NamedPrincipal) -> bool,
    ) -> bool {
        self.principals.iter().any(|(one, own)| own.is_as_wide_as(opening) && alike(one, whom))
    }

    /// Whether it surely lets somebody in whom it does not name.
    fn names_nobody(&self) -> bool {
        self.principals.is_empty() && self.is_surely_risky()
    }

    /// Whether all whom this surely lets in, as far as `from` or further, are let in by one of these no less.
    pub fn is_within(&self, others: &[&Self], from: Exposure) -> bool {
        let held = Against { put: None, earlier: others.to_vec() };
        if self.principals.is_empty() {
            return held.whose_rest(self) == Whose::Nobodys;
        }
        let mut wide = self.principals.iter().filter(|(_, opening)| opening.exposure >= from);
        wide.all(|(whom, opening)| held.whose(whom, opening) == Whose::Nobodys)
    }
}

impl NamedPrincipal {
    /// Whether whoever is meant by another one is meant by this one, too.
    fn covers(&self, other: &Self) -> bool {
        self == other
            || match (self.who(), other.who()) {
                (Who::Everyone, Who::Everyone | Who::Account { .. }) => true,
                (Who::Account { account, is_whole: true }, Who::Account { account: of, .. }) => account == of,
                _ => false,
            }
    }

    /// Whether the same is meant by both, in whatever way they are written.
    pub(super) fn is_same_as(&self, other: &Self) -> bool {
        self.covers(other) && other.covers(self)
    }
}

impl Policy {
    /// Whether who is let in by a statement of a `later` policy, for which this is said of it, was not kept out of it by what this policy denies:
    /// that is denied there, too, or was not denied to those. What is not understood may have kept them out.
    pub fn let_by(&self, reading: &Reading, later: &Self, friends: &Friends) -> bool {
        let Some(now) = later.statements.get(reading.statement) else { return false };
        let is_still_denied = |deny: &Statement| later.statements.iter().any(|other| other.denies_no_less_than(deny));
        let mut denies = self.statements.iter().filter(|one| one.effect == Effect::Deny && one.may_be_about(now));
        denies.all(|deny| deny.leaves(reading, friends) || is_still_denied(deny))
    }
}

impl Statement {
    /// Whether a `Deny` may be about something that an `Allow` lets somebody do.
    fn may_be_about(&self, allow: &Self) -> bool {
        let accounts = |statement: &Self| -> Option<BTreeSet<String>> {
            let account = |one: &NamedPrincipal| match one.who() {
                Who::Account { account, .. } => Some(account),
                _ => None,
            };
            statement
                .principals()
                .iter()
                .map(account)
                .collect::<Option<_>>()
                .filter(|_| !statement.principals().is_empty())
        };
        let are_others = accounts(self).zip(accounts(allow)).is_some_and(|(own, theirs)| own.is_disjoint(&theirs));
        !are_others
            && self.actions.may_meet(&allow.actions)
            && self.resources_or_all().may_meet(&allow.resources_or_all())
    }

    /// Whether a `Deny` surely leaves everybody whom a reading is about.
    fn leaves(&self, reading: &Reading, friends: &Friends) -> bool {
        let context = Context { friends, issuer: None, is_service: false };
        let mut left = BTreeSet::new();
        for clause in &self.conditions {
            match when_false(clause, context) {
                Limit::None => return self.unknown.is_empty(),
                Limit::Unclear(_) => {}
                Limit::To(bounds) => left.extend(bounds.into_iter().filter_map(|bound| match bound {
                    Bound::Stranger(stranger) => Some(stranger),
                    _ => None,
                })),
            }
        }
        reading.exposure < Exposure::Public && reading.strangers.is_subset(&left)
    }

    /// Whether this denies all that another `Deny` denies.
    fn denies_no_less_than(&self, deny: &Self) -> bool {
        let is_everybody = |one: &NamedPrincipal| one.kind.is_none() && one.who() == Who::Everyone;
        let is_for_all = self.principals == deny.principals || self.principals().iter().any(is_everybody);
        self.effect == Effect::Deny && is_for_all && self.covers(deny)
    }

    /// Whether all that another `Allow` lets somebody do, this one lets him do: on the same resources or more, and under no other
    /// conditions. Whom they name is another question.
    pub fn is_as_wide_as(&self, other: &Self) -> bool {
        self.effect == Effect::Allow && other.effect == Effect::Allow && self.covers(other)
    }

    /// Whether this is about all that another statement is about, whatever the two say of whom.
    fn covers(&self, other: &Self) -> bool {
        let (own, theirs) = (self.resources_or_all(), other.resources_or_all());
        let holds_for_theirs = |clause| other.conditions.iter().any(|their| Clause::is_as_wide_as(clause, their));
        let is_wider = || {
            self.unknown.is_empty()
                && self.actions.contain_all(&other.actions)
                && own.are_fixed()
                && theirs.are_fixed()
                && own.contain_all(&theirs)
                && self.conditions.iter().all(holds_for_theirs)
        };
        is_wider() || self.is_same_for_others(other)
    }
}
