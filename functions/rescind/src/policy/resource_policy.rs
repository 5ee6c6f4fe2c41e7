//! Whom a resource's policy lets in, statement by statement.
//!
//! Each principal is judged for itself, and then narrowed by what has to hold besides: the statement's conditions, and each
//! `Deny` that surely covers the statement's actions and resources. Of all these the narrowest counts. A `Deny` that is not
//! understood, or that covers only a part, narrows nothing.

use std::collections::{BTreeMap, BTreeSet};

use super::condition::Clause;
use super::document::{Effect, Policy, Statement};
use super::exposure::{Exposure, Opening, Reading, Stranger};
use super::limit::{Bound, Context, Limit, when_false, when_true};
use super::principal::{NamedPrincipal, Principals, Who};
use super::{Friends, issuers, services};
use crate::text::{clean, few};

/// Whom each `Allow` statement of a resource's policy lets in: a bucket's, a queue's, a topic's, a key's, a secret's, a
/// repository's, a function's.
pub fn resource_policy(policy: &Policy, friends: &Friends) -> Vec<Reading> {
    read(policy, friends, false)
}

/// Who may assume a role, by each `Allow` statement of its trust policy.
///
/// AWS services are ours here: a role is passed to a service only within its own account.
pub fn role_trust(policy: &Policy, friends: &Friends) -> Vec<Reading> {
    read(policy, friends, true)
}

/// A principal before it is narrowed.
#[derive(Debug)]
struct Party {
    principal: Option<NamedPrincipal>,
    kind: Kind,
    exposure: Exposure,
    stranger: Option<Stranger>,
    account: Option<String>,
    /// The issuer of the tokens, where it is an `OpenID Connect` provider.
    issuer: Option<String>,
    unclear: Option<String>,
}

impl Party {
    /// How far strangers may get by it.
    fn widest(&self) -> Exposure {
        if self.kind == Kind::Service { Exposure::Deputy } else { Exposure::Public }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    Everyone,
    Named,
    Service,
    /// Whoever has a token of an issuer.
    Tokens,
}

/// A principal after it was narrowed.
#[derive(Debug)]
struct Narrowed {
    exposure: Exposure,
    strangers: BTreeSet<Stranger>,
    /// What keeps others out, in a few words.
    by: Vec<String>,
    unclear: Option<String>,
}

fn read(policy: &Policy, friends: &Friends, is_trust: bool) -> Vec<Reading> {
    let allows = policy.statements().iter().enumerate().filter(|(_, statement)| statement.effect == Effect::Allow);
    allows.map(|(index, statement)| read_statement(policy, index, statement, friends, is_trust)).collect()
}

fn read_statement(policy: &Policy, index: usize, statement: &Statement, friends: &Friends, is_trust: bool) -> Reading {
    let mut reading = Reading {
        statement: index,
        sid: statement.sid.clone(),
        digest: statement.digest(),
        exposure: Exposure::Ours,
        strangers: BTreeSet::new(),
        principals: BTreeMap::new(),
        reason: String::new(),
        unclear: None,
    };
    let grants_nothing = statement.actions.are_none() || statement.resources_or_all().are_none();
    if grants_nothing || (is_trust && !ASSUME.iter().any(|action| statement.actions.contain(action))) {
        "it lets nobody in, whoever it names".clone_into(&mut reading.reason);
        return reading;
    }
    let parties = parties(statement, friends, is_trust);
    // Found once for all parties: a policy may name hundreds of them, and of actions, too.
    let is_covering = |other: &&Statement| other.effect == Effect::Deny && covers_all(other, statement);
    let denies: Vec<&Statement> = policy.statements().iter().filter(is_covering).collect();
    let narrowed: Vec<(Party, Narrowed)> = parties
        .into_iter()
        .map(|party| {
            let narrowed = narrow(&party, &denies, statement, friends, is_trust);
            (party, narrowed)
        })
        .collect();
    let exposure = |of: &dyn Fn(&Narrowed) -> bool| {
        let exposures = narrowed.iter().filter(|(_, one)| of(one)).map(|(_, one)| one.exposure);
        exposures.max().unwrap_or(Exposure::Ours)
    };
    reading.exposure = exposure(&|_| true);
    let widest = || narrowed.iter().filter(|(_, one)| one.exposure == reading.exposure);
    let mut told = reading.exposure;
    if reading.exposure > Exposure::Ours && widest().all(|(_, one)| one.unclear.is_some()) {
        // Who is not understood hides nobody who surely is a stranger.
        match exposure(&|one| one.unclear.is_none()) {
            sure if sure >= Exposure::Shared => told = sure,
            _ => reading.unclear = widest().find_map(|(_, one)| one.unclear.clone()),
        }
    }
    for (party, one) in &narrowed {
        if one.exposure.is_risky() && one.unclear.is_none() {
            let opening = Opening { exposure: one.exposure, strangers: one.strangers.clone() };
            reading.principals.extend(party.principal.clone().map(|principal| (principal, opening)));
        }
        if one.exposure > Exposure::Ours {
            reading.strangers.extend(one.strangers.iter().cloned());
        }
    }
    reading.reason = reason(statement, told, &reading, &narrowed);
    reading
}

/// One sentence on what was found, as far as is `told`.
fn reason(statement: &Statement, told: Exposure, reading: &Reading, narrowed: &[(Party, Narrowed)]) -> String {
    let actions = statement.written_actions.in_words();
    let strangers = || few(reading.strangers.iter().map(ToString::to_string).collect());
    match told {
        Exposure::Public => {
            let widest = narrowed.iter().find(|(_, one)| one.exposure == Exposure::Public);
            let who = match widest.map(|(party, _)| party) {
                Some(Party { kind: Kind::Tokens, issuer, .. }) if lets_guests_in(issuer.as_deref(), statement) => {
                    "a guest of the identity pool needs no login".to_owned()
                }
                Some(Party { kind: Kind::Tokens, issuer: Some(issuer), .. }) => {
                    format!("anybody can have a token of {}", clean(issuer, 100))
                }
                _ if statement.principals.as_ref().is_some_and(|principals| principals.all_but) => {
                    "all but a few principals are meant".to_owned()
                }
                _ => "the principal is everybody".to_owned(),
            };
            let understood = if reading.unclear.is_some() { " that is understood" } else { "" };
            format!("anybody may use {actions}: {who}, and no condition{understood} keeps strangers out")
        }
        Exposure::Deputy if reading.strangers.iter().any(|stranger| matches!(stranger, Stranger::Service(_))) => {
            format!("{actions} may be used by {}: no condition says for whose resources", strangers())
        }
        Exposure::Deputy => {
            format!("{actions} may be used through a service by {}: neither ours nor trusted", strangers())
        }
        Exposure::Shared => format!("{actions} may be used by {}: neither ours nor trusted", strangers()),
        Exposure::Agreed => format!("{actions} may be used by {}, and an external ID has to be shown", strangers()),
        Exposure::Ours => {
            let by: BTreeSet<String> = narrowed.iter().flat_map(|(_, one)| one.by.iter().cloned()).collect();
            if by.is_empty() {
                "it lets in nobody but who is ours or trusted".to_owned()
            } else {
                format!("it is limited to {}", few(by.into_iter().collect()))
            }
        }
    }
}

/// The actions that give out a role's credentials. What else a trust policy may allow only adds to them.
const ASSUME: &[&str] = &["sts:assumerole", "sts:assumerolewithsaml", "sts:assumerolewithwebidentity"];

fn parties(statement: &Statement, friends: &Friends, is_trust: bool) -> Vec<Party> {
    let everyone = |unclear: Option<&str>| Party {
        principal: None,
        kind: Kind::Everyone,
        exposure: Exposure::Public,
        stranger: None,
        account: None,
        issuer: None,
        unclear: unclear.map(str::to_owned),
    };
    match &statement.principals {
        None => vec![everyone(Some("the statement names no principal"))],
        Some(Principals { all_but: true, .. }) => vec![everyone(None)],
        Some(Principals { entries, .. }) => {
            entries.iter().map(|principal| party(principal, friends, is_trust)).collect()
        }
    }
}

fn party(principal: &NamedPrincipal, friends: &Friends, is_trust: bool) -> Party {
    let party = |kind, exposure, stranger| Party {
        principal: Some(principal.clone()),
        kind,
        exposure,
        stranger,
        account: None,
        issuer: None,
        unclear: None,
    };
    let named = |stranger| party(Kind::Named, Exposure::Shared, Some(stranger));
    let who = principal.who();
    if is_ours(&who, friends) {
        return party(Kind::Named, Exposure::Ours, None);
    }
    match who {
        Who::Everyone => party(Kind::Everyone, Exposure::Public, None),
        Who::Account { account, .. } => Party { account: Some(account.clone()), ..named(Stranger::Account(account)) },
        Who::Canonical(id) => Party {
            unclear: Some(
                "a canonical user id does not show whose it is: it may be our own, or a CloudFront identity".to_owned(),
            ),
            ..named(Stranger::CanonicalUser(id))
        },
        Who::Service(service) if is_trust || services::is_ours(&service) => party(Kind::Service, Exposure::Ours, None),
        Who::Service(service) => party(Kind::Service, Exposure::Deputy, Some(Stranger::Service(service))),
        Who::Federated { account, issuer: Some(issuer) }
            if account.as_ref().is_none_or(|account| friends.has_account(account)) =>
        {
            Party { issuer: Some(issuer), ..party(Kind::Tokens, Exposure::Public, None) }
        }
        Who::Federated { issuer, .. } => Party { issuer, ..named(Stranger::Federated(principal.name.clone())) },
        Who::Pattern => Party {
            unclear: Some(format!("`{principal}` has a wildcard where AWS takes none")),
            ..party(Kind::Everyone, Exposure::Public, None)
        },
        _ => Party {
            unclear: Some(format!("`{principal}` is a principal that Rescind does not know")),
            ..named(Stranger::Other(principal.name.clone()))
        },
    }
}

/// Whether a principal is ours without a further look, or nobody at all.
fn is_ours(who: &Who, friends: &Friends) -> bool {
    match who {
        Who::Account { account, .. } => friends.has_account(account) || services::delivers_logs(account),
        // Whose a `CloudFront` identity is does not show; AWS's *The meaning of "public"* takes it as any fixed principal.
        Who::Deleted | Who::OriginAccessIdentity => true,
        Who::Canonical(id) => friends.canonical_users.contains(id),
        Who::Federated { account: Some(account), issuer } => {
            friends.has_account(account) && !issuer.as_deref().is_some_and(issuers::is_shared)
        }
        _ => false,
    }
}

fn narrow(party: &Party, denies: &[&Statement], statement: &Statement, friends: &Friends, is_trust: bool) -> Narrowed {
    let context = Context { friends, issuer: party.issuer.as_deref(), is_service: party.kind == Kind::Service };
    let has_guests = lets_guests_in(party.issuer.as_deref(), statement);
    let conditions = statement.conditions.iter().map(|clause| {
        match when_true(clause, &statement.conditions, context) {
            // The pool alone keeps nobody out who may come without a login.
            Limit::To(_) if has_guests && clause.key.starts_with(POOLS) => Limit::Unclear(
                "guests of an Amazon Cognito identity pool are let in without a login, which may be meant".to_owned(),
            ),
            limit => limit,
        }
    });
    let denies = denies.iter().filter_map(|deny| left_by(deny, party, context, is_trust));
    let mut narrowest = Narrowed {
        exposure: party.exposure,
        strangers: party.stranger.iter().cloned().collect(),
        by: Vec::new(),
        unclear: None,
    };
    // A service that counts as ours without a source may be told to act for strangers.
    if party.kind == Kind::Service && party.exposure == Exposure::Ours && !is_trust {
        let sources =
            conditions.clone().filter_map(|limit| if let Limit::To(bounds) = limit { Some(bounds) } else { None });
        narrowest.strangers = sources.flatten().filter_map(stranger).collect();
        narrowest.exposure = if narrowest.strangers.is_empty() { Exposure::Ours } else { party.widest() };
    }
    let mut unclear = party.unclear.clone();
    if !statement.unknown.is_empty() {
        unclear = Some(format!("the statement has a field `{}`", clean(&statement.unknown.join(", "), 80)));
    }
    let mut is_agreed = false;
    for limit in conditions.chain(denies) {
        match limit {
            Limit::None => {}
            Limit::Unclear(why) => unclear = unclear.or(Some(why)),
            Limit::To(bounds) => {
                let is_known = |bound: &Bound| !matches!(bound, Bound::Stranger(_));
                is_agreed |= bounds.contains(&Bound::Agreed) && bounds.iter().all(is_known);
                let narrowed = through(party, &bounds);
                // The same answer in whatever order the limits stand.
                let rank = |one: &Narrowed| {
                    let for_anybody = one.strangers.iter().any(|stranger| matches!(stranger, Stranger::Service(_)));
                    (one.exposure, for_anybody, one.strangers.len(), one.strangers.clone())
                };
                if rank(&narrowed) < rank(&narrowest) {
                    narrowest = narrowed;
                }
            }
        }
    }
    // Everybody who knows the external ID is everybody still; of a named stranger it is taken for agreed upon.
    if party.kind == Kind::Everyone && is_agreed {
        if narrowest.exposure == Exposure::Public {
            unclear = unclear
                .or(Some("only who knows the external ID gets in; AWS does not take it for a secret".to_owned()));
        }
        if narrowest.exposure == Exposure::Shared {
            narrowest.exposure = Exposure::Agreed;
        }
    }
    if narrowest.exposure > Exposure::Ours {
        narrowest.unclear = unclear;
    }
    narrowest
}

/// The issuer of Amazon Cognito's identity pools.
const POOLS: &str = "cognito-identity.amazonaws.com";

/// Whether a role is for those who did not log in (Amazon Cognito developer guide, *Role trust and permissions*).
fn lets_guests_in(issuer: Option<&str>, statement: &Statement) -> bool {
    let names_guests = |clause: &Clause| {
        clause.key.strip_prefix(POOLS) == Some(":amr")
            && !clause.is_negated
            && clause.values.iter().any(|value| value.eq_ignore_ascii_case("unauthenticated"))
    };
    issuer == Some(POOLS) && statement.conditions.iter().any(names_guests)
}

fn stranger(bound: Bound) -> Option<Stranger> {
    if let Bound::Stranger(stranger) = bound { Some(stranger) } else { None }
}

/// What is left of a principal when only these get by.
fn through(party: &Party, bounds: &[Bound]) -> Narrowed {
    let mut narrowed = Narrowed { exposure: Exposure::Ours, strangers: BTreeSet::new(), by: Vec::new(), unclear: None };
    for bound in bounds {
        let is_named = party.kind == Kind::Named;
        let (exposure, stranger) = match bound {
            Bound::Friend(words) => {
                narrowed.by.push(words.clone());
                continue;
            }
            // A stranger may well have an endpoint of its own.
            Bound::Fixed(words) if !is_named => {
                narrowed.by.push(words.clone());
                continue;
            }
            Bound::Agreed if is_named => (party.exposure.min(Exposure::Agreed), party.stranger.clone()),
            Bound::Stranger(stranger) if !is_named => (stranger.exposure().min(party.widest()), Some(stranger.clone())),
            Bound::Fixed(_) | Bound::Agreed | Bound::Stranger(_) => (party.exposure, party.stranger.clone()),
        };
        narrowed.exposure = narrowed.exposure.max(exposure);
        narrowed.strangers.extend(stranger);
    }
    narrowed
}

/// Whether a `Deny` is surely about all that an `Allow` is about.
fn covers_all(deny: &Statement, allow: &Statement) -> bool {
    let resources = deny.resources_or_all();
    deny.actions.contain_all(&allow.actions)
        && resources.are_fixed()
        && resources.contain_all(&allow.resources_or_all())
}

/// Whom a `Deny` leaves of a principal that an `Allow` names, all of which it covers; `None` when it is about somebody else.
fn left_by(deny: &Statement, party: &Party, context: Context, is_trust: bool) -> Option<Limit> {
    let principals = deny.principals.as_ref()?;
    let mut left = Vec::new();
    if principals.all_but {
        for entry in &principals.entries {
            let excepted = self::party(entry, context.friends, is_trust);
            match (excepted.exposure, excepted.stranger) {
                (Exposure::Ours, _) => left.push(Bound::Friend(entry.to_string())),
                (_, Some(stranger)) => left.push(Bound::Stranger(stranger)),
                (_, None) => return Some(Limit::None),
            }
        }
    } else if !principals.entries.iter().any(|entry| is_within(party, entry)) {
        return None;
    }
    // `{"AWS": "*"}` is whoever has credentials, which services and callers without credentials have not.
    let is_anybody = |entry: &NamedPrincipal| entry.kind.is_some() && entry.who() == Who::Everyone;
    let has_credentials = party
        .principal
        .as_ref()
        .is_some_and(|principal| matches!(principal.kind.as_deref(), Some("AWS" | "CanonicalUser")));
    let may_leave_others = !principals.all_but
        && !has_credentials
        && principals.entries.iter().filter(|entry| is_within(party, entry)).all(is_anybody);
    if !deny.unknown.is_empty() {
        return Some(Limit::Unclear("a `Deny` beside it is not understood".to_owned()));
    }
    let mut unclear =
        may_leave_others.then(|| "a `Deny` beside it is for principals of AWS, and may leave others".to_owned());
    for clause in &deny.conditions {
        match when_false(clause, context) {
            Limit::None => return Some(Limit::None),
            Limit::To(bounds) => left.extend(bounds),
            Limit::Unclear(why) => unclear = Some(format!("a `Deny` beside it may keep others out: {why}")),
        }
    }
    Some(unclear.map_or(Limit::To(left), Limit::Unclear))
}

/// Whether all that a principal of an `Allow` stands for is meant by a principal of a `Deny`.
fn is_within(party: &Party, denied: &NamedPrincipal) -> bool {
    match denied.who() {
        Who::Everyone => true,
        Who::Account { account, is_whole: true } => party.account.as_ref() == Some(&account),
        _ => party.principal.as_ref() == Some(denied),
    }
}
