//! What policies let a user, a group or a role do: is it an administrator, on a path to that, or limited?
//!
//! *Administrator-like* is who may change nearly all of who may do what, of whatever wording: `*` on `*`, `iam:*`, everything
//! but a few actions, the same in several statements. At most a quarter of [`CORE`] may be missing. *On a path* is who may
//! do all that one of the known [`PATHS`] takes.
//!
//! An action counts where it is allowed on all resources of its kind in the own account: on `*`, on `role/*`, on everything but
//! some. On named resources, or on names that begin in some way, it does not, since what those are is not known here.
//! `user/${aws:username}`, and the name of who has the policy where that is known, count for the actions by which one gives oneself
//! permissions.
//!
//! A `Deny` takes away what it covers, if it has no condition. Conditions on an `Allow` that ask how, when or from where (a
//! second factor, addresses, a region) make nobody harmless, and the reading says that they stand there; those that everybody meets
//! are none. Any other condition
//! (`iam:PassedToService`, `iam:PermissionsBoundary`, a tag of the resource) may limit what it gives: the reading says that
//! this is unclear, and does not count it. Permissions boundaries and organizations' policies are not seen here.

use super::condition::{Clause, Test};
use super::document::{Effect, Policy, Statement};
use super::names::{Names, covers, has_wildcard, is_all};
use super::paths::{EscalationPath, PATHS, Step, step};
use super::principal::arn_parts;
use crate::addresses;
use crate::text::few;

/// What policies make of who has them. The later, the more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Power {
    /// No more than they say.
    Limited,
    /// Somebody who can become more than that.
    Path,
    /// An administrator, by whatever name.
    Administrator,
}

/// How sure it is that something is allowed. The later, the less.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Strength {
    /// Without conditions.
    Certain,
    /// Under conditions on how, when or from where.
    Conditional,
    /// Under conditions that may take away what it gives.
    Unclear,
}

/// A known path that is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FoundPath {
    /// The path.
    pub path: &'static EscalationPath,
    /// How sure it is.
    pub strength: Strength,
}

/// What is to be said of the policies of a user, a group or a role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PowerReading {
    /// What they make of who has them.
    pub power: Power,
    /// How sure that is; never [`Strength::Unclear`].
    pub strength: Strength,
    /// The paths that are open, in the order of [`PATHS`]; those that are unclear too.
    pub paths: Vec<FoundPath>,
    /// One sentence.
    pub reason: String,
    /// What may open more than is said, but was not understood.
    pub unclear: Option<String>,
}

/// The actions by which it is decided who may do what.
const CORE: &[Step] = &[
    step("iam:AddUserToGroup", "iam:group/"),
    step("iam:AttachGroupPolicy", "iam:group/"),
    step("iam:AttachRolePolicy", "iam:role/"),
    step("iam:AttachUserPolicy", "iam:user/"),
    step("iam:CreateAccessKey", "iam:user/"),
    step("iam:CreateLoginProfile", "iam:user/"),
    step("iam:CreatePolicy", "iam:policy/"),
    step("iam:CreatePolicyVersion", "iam:policy/"),
    step("iam:CreateRole", "iam:role/"),
    step("iam:CreateUser", "iam:user/"),
    step("iam:DeleteRolePolicy", "iam:role/"),
    step("iam:DetachRolePolicy", "iam:role/"),
    step("iam:DetachUserPolicy", "iam:user/"),
    step("iam:PassRole", "iam:role/"),
    step("iam:PutGroupPolicy", "iam:group/"),
    step("iam:PutRolePolicy", "iam:role/"),
    step("iam:PutUserPolicy", "iam:user/"),
    step("iam:SetDefaultPolicyVersion", "iam:policy/"),
    step("iam:UpdateAssumeRolePolicy", "iam:role/"),
    step("iam:UpdateLoginProfile", "iam:user/"),
];

/// What these policies together let a user, a group or a role of this account do. Who that is, is `user/…`, `role/…` or `group/…` with
/// the name and no path, where it is known: an action on oneself gives oneself permissions.
pub fn identity_policy<'a>(
    policies: impl IntoIterator<Item = &'a Policy>,
    account: &str,
    holder: Option<&str>,
) -> PowerReading {
    let statements: Vec<&Statement> = policies.into_iter().flat_map(Policy::statements).collect();
    let strength = |step: &Step| strength(step, &statements, account, holder);
    let found = |path: &'static EscalationPath| {
        let steps: Option<Vec<Strength>> = path.steps.iter().map(strength).collect();
        Some(FoundPath { path, strength: steps?.into_iter().max()? })
    };
    let paths: Vec<FoundPath> = PATHS.iter().filter_map(found).collect();
    let core: Vec<Strength> = CORE.iter().filter_map(strength).collect();
    let is_administrator = |limit: Strength| {
        let allowed = core.iter().filter(|&&strength| strength <= limit).count();
        let missing = CORE.len() - allowed.min(CORE.len());
        missing * 4 <= CORE.len()
    };
    let has_path = |limit: Strength| paths.iter().any(|found| found.strength <= limit);
    let (power, strength) = if is_administrator(Strength::Certain) {
        (Power::Administrator, Strength::Certain)
    } else if is_administrator(Strength::Conditional) {
        (Power::Administrator, Strength::Conditional)
    } else if has_path(Strength::Certain) {
        (Power::Path, Strength::Certain)
    } else if has_path(Strength::Conditional) {
        (Power::Path, Strength::Conditional)
    } else {
        (Power::Limited, Strength::Certain)
    };
    let unclear: Vec<String> = paths
        .iter()
        .filter(|found| found.strength == Strength::Unclear)
        .map(|found| found.path.name.to_owned())
        .collect();
    let unclear = (!unclear.is_empty()).then(|| format!("a condition may or may not take away {}", few(unclear)));
    PowerReading { power, strength, reason: reason(power, strength, &paths), paths, unclear }
}

fn reason(power: Power, strength: Strength, paths: &[FoundPath]) -> String {
    let open: Vec<&FoundPath> = paths.iter().filter(|found| found.strength <= strength).collect();
    let condition =
        if strength == Strength::Conditional { ", under a condition on how, when or from where" } else { "" };
    match (power, open.first()) {
        (Power::Administrator, _) => {
            format!("it allows nearly everything by which it is decided who may do what{condition}")
        }
        (Power::Path, Some(first)) => {
            let names = few(open.iter().map(|found| found.path.name.to_owned()).collect());
            format!("it is a path to more{condition}: {} ({names})", first.path.sentence)
        }
        _ => "none of the known paths to more is open".to_owned(),
    }
}

/// How sure it is that a step may be taken on all resources of its kind; `None` when it may not.
fn strength(step: &Step, statements: &[&Statement], account: &str, holder: Option<&str>) -> Option<Strength> {
    let action = step.action.to_ascii_lowercase();
    let about = |effect| {
        let action = action.as_str();
        statements.iter().filter(move |statement| statement.effect == effect && statement.actions.contain(action))
    };
    let denies: Vec<&&Statement> =
        about(Effect::Deny).filter(|deny| deny.conditions.is_empty() && deny.unknown.is_empty()).collect();
    let allowed = about(Effect::Allow).filter_map(|allow| {
        let targets = targets(step, &allow.resources_or_all(), account, holder)?;
        let is_denied = |target: &String| denies.iter().any(|deny| deny.resources_or_all().contain(target));
        let is_left = targets.iter().any(|target| !is_denied(target));
        is_left.then(|| allow_strength(allow))
    });
    allowed.min()
}

fn allow_strength(allow: &Statement) -> Strength {
    if !allow.unknown.is_empty() || !allow.conditions.iter().all(is_circumstance) {
        Strength::Unclear
    } else if allow.conditions.iter().all(is_always_met) {
        Strength::Certain
    } else {
        Strength::Conditional
    }
}

/// Whether a clause keeps nobody out: encryption in transit, a value of any form that each caller has, all addresses.
fn is_always_met(clause: &Clause) -> bool {
    const EACH_HAS: &[&str] =
        &["aws:principalaccount", "aws:principalarn", "aws:principaltype", "aws:requestedregion", "aws:userid"];
    let is_any = |value: &String| match clause.test {
        Test::Like => is_all(value) && EACH_HAS.contains(&clause.key.as_str()),
        Test::Address => addresses::parse(value) == Some(addresses::all_v4()) && clause.key == "aws:sourceip",
        _ => false,
    };
    let is_encryption = clause.test == Test::Bool && clause.key == "aws:securetransport" && clause.is_only("true");
    !clause.is_negated && (is_encryption || clause.values.iter().any(is_any))
}

/// Whether a clause asks how, when, from where or by whom, and not on what or with what.
fn is_circumstance(clause: &Clause) -> bool {
    const KEYS: &[&str] = &[
        "aws:calledvia",
        "aws:calledviafirst",
        "aws:calledvialast",
        "aws:currenttime",
        "aws:epochtime",
        "aws:federatedprovider",
        "aws:multifactorauthage",
        "aws:multifactorauthpresent",
        "aws:principalaccount",
        "aws:principalarn",
        "aws:principalorgid",
        "aws:principalorgpaths",
        "aws:principaltype",
        "aws:referer",
        "aws:requestedregion",
        "aws:securetransport",
        "aws:sourceidentity",
        "aws:sourceip",
        "aws:sourcevpc",
        "aws:sourcevpce",
        "aws:tokenissuetime",
        "aws:useragent",
        "aws:userid",
        "aws:username",
        "aws:viaawsservice",
        "aws:vpcsourceip",
    ];
    KEYS.contains(&clause.key.as_str()) || clause.key.starts_with("aws:principaltag/")
}

/// Resources of a step's kind that stand for all of them, if these resources are all of them.
fn targets(step: &Step, resources: &Names, account: &str, holder: Option<&str>) -> Option<Vec<String>> {
    match resources {
        Names::Of(patterns) => patterns.iter().find_map(|pattern| {
            let targets = samples(step, pattern, account);
            let is_oneself =
                is_oneself(step, pattern) || holder.is_some_and(|own| is_holder(step, pattern, account, own));
            (is_oneself || targets.iter().all(|target| covers(pattern, target))).then_some(targets)
        }),
        Names::AllBut(patterns) => {
            let is_excepted = patterns
                .iter()
                .any(|pattern| samples(step, pattern, account).iter().all(|target| covers(pattern, target)));
            (!is_excepted).then(|| samples(step, "*", account))
        }
    }
}

/// Two resources of a step's kind with names that no one would think of, in the partition and region of a pattern.
fn samples(step: &Step, pattern: &str, account: &str) -> Vec<String> {
    let (service, prefix) = step.on.split_once(':').unwrap_or_default();
    let [_, partition, _, region, _, _] = arn_parts(pattern).unwrap_or_default();
    let or = |part: &str, default: &str| {
        if part.is_empty() || has_wildcard(part) { default.to_owned() } else { part.to_owned() }
    };
    let partition = or(partition, "aws");
    let region = if service == "iam" { String::new() } else { or(region, "us-east-1") };
    let sample = |name: &str| format!("arn:{partition}:{service}:{region}:{account}:{prefix}{name}");
    vec![sample("rescind-sample/1"), sample("Z0.y")]
}

/// Whether a pattern is for who has the policy, and that is all that a step takes.
fn is_holder(step: &Step, pattern: &str, account: &str, holder: &str) -> bool {
    const ON_ONESELF: &[&str] = &[
        "iam:AttachGroupPolicy",
        "iam:AttachRolePolicy",
        "iam:AttachUserPolicy",
        "iam:PutGroupPolicy",
        "iam:PutRolePolicy",
        "iam:PutUserPolicy",
    ];
    let (kind, name) = holder.split_once('/').unwrap_or_default();
    let is_named = |[_, _, service, _, owner, resource]: [&str; 6]| {
        service == "iam"
            && owner == account
            && resource
                .strip_prefix(kind)
                .is_some_and(|path| path.starts_with('/') && path.ends_with(&format!("/{name}")))
    };
    // A path is not known here: one that is written out is taken for the holder's.
    ON_ONESELF.contains(&step.action)
        && step.on == format!("iam:{kind}/")
        && (covers(pattern, &format!("arn:aws:iam::{account}:{holder}")) || arn_parts(pattern).is_some_and(is_named))
}

/// Whether a pattern is the own user, and that is all that a step takes.
fn is_oneself(step: &Step, pattern: &str) -> bool {
    matches!(step.action, "iam:AttachUserPolicy" | "iam:PutUserPolicy")
        && arn_parts(pattern).is_some_and(|[_, _, service, _, _, resource]| {
            service == "iam"
                && matches!(resource, "user/${aws:username}" | "user/*${aws:username}" | "user/*/${aws:username}")
        })
}
