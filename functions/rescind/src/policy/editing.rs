//! A policy without its risky part. What stays, stays as it was written and in its order.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::document::{Policy, Statement};
use super::exposure::{Exposure, Reading};
use super::principal::{NamedPrincipal, Who};

impl Policy {
    /// The policy without these statements; `None` when none is left: then the policy is to be deleted, since AWS takes none that is
    /// empty.
    pub fn without_statements(&self, statements: &BTreeSet<usize>) -> Option<Self> {
        let mut index = 0_usize;
        let mut policy = self.clone();
        policy.statements.retain(|_| {
            let stays = !statements.contains(&index);
            index += 1;
            stays
        });
        Some(policy).filter(|policy| !policy.statements.is_empty())
    }

    /// The policy without these principals of these statements, as they are written there. A statement that names nobody any more goes
    /// as a whole, as does one whose principal stands alone (`"Principal": "*"`). `None` when no statement is left.
    pub fn without_principals(&self, principals: &BTreeMap<usize, BTreeSet<NamedPrincipal>>) -> Option<Self> {
        let mut policy = self.clone();
        let edited =
            policy.statements.into_iter().enumerate().filter_map(|(index, statement)| match principals.get(&index) {
                Some(named) => without_principals(statement, named),
                None => Some(statement),
            });
        policy.statements = edited.collect();
        Some(policy).filter(|policy| !policy.statements.is_empty())
    }

    /// The policy without what these readings of it surely found, as far as it opens the resource at least `from`: without those
    /// principals, and without the statement where none but those is named. What is unclear stays. `None` when no statement is left.
    pub fn without(&self, readings: &[Reading], from: Exposure) -> Option<Self> {
        let mut principals = BTreeMap::new();
        for reading in readings.iter().filter(|reading| reading.is_surely_risky() && reading.exposure >= from) {
            let named = if reading.principals.is_empty() {
                // It names nobody in particular, so it goes as a whole.
                BTreeSet::new()
            } else {
                let wide = reading.principals.iter().filter(|(_, opening)| opening.exposure >= from);
                wide.map(|(principal, _)| principal.clone()).collect()
            };
            principals.insert(reading.statement, named);
        }
        self.without_principals(&principals)
    }

    /// The policy without the users and roles that are gone. AWS shows the unique id of one, which lets nobody in, and takes no policy
    /// that names it (`Invalid principal in policy`): so whoever deletes a role could keep a policy from being put. `None` when no
    /// statement is left.
    pub fn without_gone(&self) -> Option<Self> {
        let gone = |statement: &Statement| -> BTreeSet<NamedPrincipal> {
            statement.principals().iter().filter(|one| one.who() == Who::Deleted).cloned().collect()
        };
        let gone = self.statements.iter().map(gone).enumerate().filter(|(_, gone)| !gone.is_empty());
        self.without_principals(&gone.collect())
    }
}

impl Statement {
    /// The statement with this one alone of the principals that it names.
    pub fn naming_only(&self, principal: &NamedPrincipal) -> Option<Self> {
        let others = self.principals().iter().filter(|one| *one != principal).cloned().collect();
        without_principals(self.clone(), &others)
    }
}

/// The statement without these principals; `None` when it names nobody else.
fn without_principals(mut statement: Statement, named: &BTreeSet<NamedPrincipal>) -> Option<Statement> {
    let principals = statement.principals.as_mut().filter(|principals| !principals.all_but)?;
    principals.entries.retain(|entry| !named.contains(entry));
    if principals.entries.is_empty() {
        return None;
    }
    let raw = statement.raw.get_mut("Principal").and_then(Value::as_object_mut)?;
    raw.retain(|kind, names| {
        let is_named = |name: &Value| {
            name.as_str().is_some_and(|name| {
                named.contains(&NamedPrincipal { kind: Some(kind.to_owned()), name: name.to_owned() })
            })
        };
        match names {
            Value::Array(list) => {
                let before = list.len();
                list.retain(|name| !is_named(name));
                before == list.len() || !list.is_empty()
            }
            lone => !is_named(lone),
        }
    });
    Some(statement)
}
