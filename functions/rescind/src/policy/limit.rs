//! Whom the clauses of a condition leave: what may be said of who calls when a clause holds, or when it does not.
//!
//! Which keys tell who calls follows the IAM user guide, *AWS global condition context keys*, and the Amazon S3 user guide,
//! *The meaning of "public"*. We are stricter than the latter where a fixed value names a stranger: an account, an
//! organization or a range of addresses that is not trusted is no public, but it is not ours either; and where a text pattern
//! has a wildcard in front of the account, since `*` matches colons there.

use super::condition::{Clause, Quantifier, Test};
use super::exposure::Stranger;
use super::issuers::{self, Tenant};
use super::names::{covers, has_wildcard, is_all};
use super::principal::{arn_parts, is_unique_id};
use super::{Friends, services};
use crate::addresses::{self, Widest};
use crate::arn::is_account;
use crate::text::clean;

/// Who may be behind a call, as far as one value of a condition tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Bound {
    /// Ours or trusted; in a few words.
    Friend(String),
    /// A fixed thing that does not show whose it is, such as a VPC endpoint; in a few words.
    Fixed(String),
    /// Who shows an external ID. That it was agreed upon is taken for granted.
    Agreed,
    /// Somebody else.
    Stranger(Stranger),
}

/// Whom a clause, or all of a `Deny`, leaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Limit {
    /// Everybody, or more than can be named.
    None,
    /// Nobody but these.
    To(Vec<Bound>),
    /// It may leave fewer; in a few words why that is not known.
    Unclear(String),
}

/// What clauses are read against.
#[derive(Debug, Clone, Copy)]
pub(super) struct Context<'a> {
    pub(super) friends: &'a Friends,
    /// The issuer of the tokens, where the principal is a provider of `OpenID Connect`.
    pub(super) issuer: Option<&'a str>,
    /// Whether the principal is a service.
    pub(super) is_service: bool,
}

/// Keys that tell how, when or on what a call is made, and not by whom: anybody can fulfil them.
const NOT_WHO: &[&str] = &[
    "aws:calledvia",
    "aws:calledviafirst",
    "aws:calledvialast",
    "aws:currenttime",
    "aws:epochtime",
    "aws:multifactorauthage",
    "aws:multifactorauthpresent",
    "aws:principaltype",
    "aws:referer",
    "aws:requestedregion",
    "aws:resourceaccount",
    "aws:resourceorgid",
    "aws:resourceorgpaths",
    "aws:securetransport",
    "aws:sourceidentity",
    "aws:tagkeys",
    "aws:tokenissuetime",
    "aws:useragent",
    "aws:username",
    "aws:viaawsservice",
    "aws:vpcsourceip",
    "kms:viaservice",
    "lambda:functionurlauthtype",
    "lambda:invokedviafunctionurl",
    "s3:authtype",
    "s3:delimiter",
    "s3:if-match",
    "s3:if-none-match",
    "s3:locationconstraint",
    "s3:max-keys",
    "s3:object-lock-legal-hold",
    "s3:object-lock-mode",
    "s3:object-lock-remaining-retention-days",
    "s3:object-lock-retain-until-date",
    "s3:prefix",
    "s3:requestobjecttagkeys",
    "s3:resourceaccount",
    "s3:signatureage",
    "s3:signatureversion",
    "s3:tlsversion",
    "s3:versionid",
    "s3:x-amz-acl",
    "s3:x-amz-content-sha256",
    "s3:x-amz-copy-source",
    "s3:x-amz-grant-full-control",
    "s3:x-amz-grant-read",
    "s3:x-amz-grant-read-acp",
    "s3:x-amz-grant-write",
    "s3:x-amz-grant-write-acp",
    "s3:x-amz-metadata-directive",
    "s3:x-amz-object-ownership",
    "s3:x-amz-server-side-encryption",
    "s3:x-amz-server-side-encryption-customer-algorithm",
    "s3:x-amz-storage-class",
    "s3:x-amz-website-redirect-location",
    "saml:aud",
    "saml:iss",
    "sts:rolesessionname",
    "sts:sourceidentity",
    "sts:transitivetagkeys",
];

/// The same, for keys that end in a name of one's own.
const NOT_WHO_PREFIXES: &[&str] = &[
    "aws:principaltag/",
    "aws:requesttag/",
    "aws:resourcetag/",
    "iam:resourcetag/",
    "s3:existingobjecttag/",
    "s3:requestobjecttag/",
];

fn is_not_who(key: &str) -> bool {
    NOT_WHO.contains(&key) || NOT_WHO_PREFIXES.iter().any(|prefix| key.starts_with(prefix))
}

/// Who is left when a clause of an `Allow` holds. `all` are the clauses beside which it stands.
pub(super) fn when_true(clause: &Clause, all: &[Clause], context: Context) -> Limit {
    match clause.test {
        Test::Unknown => return unknown_operator(clause),
        Test::Null => return Limit::None,
        _ if clause.is_negated => return Limit::None,
        _ => {}
    }
    // Who has no such key gets by, unless another clause asks for the key.
    let is_asked_for = all.iter().any(|other| other.asks_for_key(&clause.key));
    match bounds(clause, context) {
        limit if is_asked_for || !clause.holds_without_key() => limit,
        // Each token has a subject and an audience, so that the clause may well do what was meant by it.
        Limit::To(_) if is_in_each_token(clause, context) => {
            Limit::Unclear(format!("`{clause}` holds without the key"))
        }
        _ => Limit::None,
    }
}

/// Whether a clause is about a claim that each token has (`OpenID Connect` Core, *ID Token*).
fn is_in_each_token(clause: &Clause, context: Context) -> bool {
    let claim = context.issuer.and_then(|issuer| issuers::claim_of(issuer, &clause.key));
    matches!(claim, Some("sub" | "aud"))
}

/// Who is left when a clause of a `Deny` does not hold.
pub(super) fn when_false(clause: &Clause, context: Context) -> Limit {
    match clause.test {
        Test::Unknown => return unknown_operator(clause),
        Test::Null => return Limit::None,
        // AWS's services are left; callers without credentials have no such key, so it takes `IfExists` to keep them out.
        Test::Bool if clause.key == "aws:principalisawsservice" && clause.if_exists && clause.is_only("false") => {
            return Limit::To(vec![Bound::Stranger(Stranger::Service("any AWS service".to_owned()))]);
        }
        _ => {}
    }
    match (clause.is_negated, clause.quantifier) {
        // Who has no such key, and who has one value of several, is left.
        (true, Some(Quantifier::Any)) => Limit::None,
        // Who has the key, and has it with one of these values, is left.
        (true, _) => bounds(clause, context),
        // Everybody else is left, if it is a key that we know.
        (false, _) => match bounds(clause, context) {
            unclear @ Limit::Unclear(_) => unclear,
            _ => Limit::None,
        },
    }
}

fn unknown_operator(clause: &Clause) -> Limit {
    Limit::Unclear(format!("`{clause}` has an operator that is none of AWS's"))
}

/// What one value tells.
enum Told {
    One(Bound),
    Anybody,
    Unclear,
}

/// Who calls when the key has one of the clause's values.
fn bounds(clause: &Clause, context: Context) -> Limit {
    let key = clause.key.as_str();
    if let Some(claim) = context.issuer.and_then(|issuer| issuers::claim_of(issuer, key)) {
        return of_claim(clause, claim, context);
    }
    if is_not_who(key) {
        return Limit::None;
    }
    // The caller's own value is what each caller has.
    let itself = format!("${{{key}}}");
    if clause.values.iter().any(|value| value.trim_matches('*').eq_ignore_ascii_case(&itself)) {
        return Limit::None;
    }
    if key == "aws:sourceip" {
        return of_addresses(clause, context.friends);
    }
    if key == "aws:principalisawsservice" {
        return match (clause.test, clause.is_only("true")) {
            (Test::Bool, true) => Limit::To(vec![Bound::Stranger(Stranger::Service("any AWS service".to_owned()))]),
            _ => Limit::None,
        };
    }
    let told: fn(&str, Test, Context) -> Told = match key {
        "aws:principalaccount"
        | "aws:sourceaccount"
        | "aws:sourceowner"
        | "aws:vpceaccount"
        | "s3:dataaccesspointaccount"
        | "kms:calleraccount" => of_account,
        "aws:principalorgid" | "aws:sourceorgid" | "aws:vpceorgid" => of_organization,
        "aws:principalorgpaths" | "aws:sourceorgpaths" | "aws:vpceorgpaths" => of_organization_path,
        "aws:principalarn"
        | "aws:sourcearn"
        | "aws:sourcevpcarn"
        | "s3:dataaccesspointarn"
        | "lambda:sourcefunctionarn"
        | "s3:x-amz-server-side-encryption-aws-kms-key-id" => of_arn,
        "aws:sourcevpce" | "aws:sourcevpc" => of_network,
        "aws:userid" => of_user_id,
        "aws:principalservicename" | "aws:principalservicenameslist" => of_service,
        "sts:externalid" => of_external_id,
        // The service sets these, so they tell for whom it acts; another caller would choose them.
        "lambda:eventsourcetoken" if context.is_service => of_token,
        key if context.is_service && key.starts_with("kms:encryptioncontext:aws:") && key.ends_with(":arn") => of_arn,
        _ => return Limit::Unclear(format!("`{clause}` is a condition that Rescind does not know")),
    };
    if !matches!(clause.test, Test::Equals | Test::Like | Test::Arn) {
        return Limit::Unclear(format!("`{clause}` does not fit together"));
    }
    gather(clause, clause.values.iter().map(|value| told(value, clause.test, context)))
}

fn gather(clause: &Clause, told: impl Iterator<Item = Told>) -> Limit {
    let mut bounds = Vec::new();
    let mut is_unclear = clause.values.is_empty();
    for one in told {
        match one {
            Told::One(bound) => bounds.push(bound),
            Told::Anybody => return Limit::None,
            Told::Unclear => is_unclear = true,
        }
    }
    if is_unclear {
        Limit::Unclear(format!("`{clause}` has a value that is not fixed or not known"))
    } else {
        Limit::To(bounds)
    }
}

/// What a value with wildcards or variables in it tells; `None` when it is fixed.
fn unless_fixed(value: &str, test: Test) -> Option<Told> {
    if value.contains("${") || value.is_empty() {
        Some(Told::Unclear)
    } else if !has_wildcard(value) {
        None
    } else if test == Test::Equals {
        // The characters themselves are meant, which no key has: somebody thought otherwise.
        Some(Told::Unclear)
    } else {
        Some(Told::Anybody)
    }
}

fn account(id: &str, friends: &Friends) -> Told {
    if friends.has_account(id) {
        Told::One(Bound::Friend(format!("account {id}")))
    } else if is_account(id) {
        Told::One(Bound::Stranger(Stranger::Account(id.to_owned())))
    } else {
        Told::Unclear
    }
}

fn of_account(value: &str, test: Test, context: Context) -> Told {
    unless_fixed(value, test).unwrap_or_else(|| account(value, context.friends))
}

fn organization(id: &str, friends: &Friends) -> Told {
    if friends.has_organization(id) {
        Told::One(Bound::Friend(format!("organization {}", clean(id, 40))))
    } else if id.starts_with("o-") {
        Told::One(Bound::Stranger(Stranger::Organization(id.to_owned())))
    } else {
        Told::Unclear
    }
}

fn of_organization(value: &str, test: Test, context: Context) -> Told {
    unless_fixed(value, test).unwrap_or_else(|| organization(value, context.friends))
}

/// `o-…/r-…/ou-…/*`: the organization comes first.
fn of_organization_path(value: &str, test: Test, context: Context) -> Told {
    match value.split_once('/') {
        Some((id, _)) => unless_fixed(id, test).unwrap_or_else(|| organization(id, context.friends)),
        None => unless_fixed(value, test).unwrap_or(Told::Unclear),
    }
}

fn of_arn(value: &str, test: Test, context: Context) -> Told {
    if test != Test::Equals && is_all(value) {
        return Told::Anybody;
    }
    if value.contains("${") || (test == Test::Equals && has_wildcard(value)) {
        return Told::Unclear;
    }
    let Some([_, partition, service, region, owner, resource]) = arn_parts(value) else {
        // A text such as `arn:aws:iam::*` is no whole ARN, and yet a pattern of ARNs of anybody's.
        let is_anybodys = test == Test::Like && ANYBODYS.iter().any(|arn| covers(value, arn));
        return if is_anybodys { Told::Anybody } else { Told::Unclear };
    };
    // Wildcards of texts match colons, so that one in front of the account may match another account and more.
    let is_firm = test == Test::Arn || ![partition, service, region].iter().any(|part| has_wildcard(part));
    if is_account(owner) {
        return if is_firm { account(owner, context.friends) } else { Told::Unclear };
    }
    let bucket = resource.split('/').next().unwrap_or_default();
    let is_bucket = service == "s3" && !bucket.is_empty() && !has_wildcard(bucket);
    match (owner, is_bucket, is_firm) {
        // Names of buckets are nobody else's as long as the bucket stands.
        ("" | "*", true, true) => Told::One(Bound::Fixed(format!("bucket {}", clean(bucket, 80)))),
        ("cloudfront", _, true) if !has_wildcard(resource) => {
            Told::One(Bound::Fixed("a CloudFront origin access identity".to_owned()))
        }
        (_, true, false) => Told::Unclear,
        _ if has_wildcard(owner) || (owner.is_empty() && has_wildcard(resource)) => Told::Anybody,
        _ => Told::Unclear,
    }
}

/// ARNs that nobody would think of.
const ANYBODYS: [&str; 2] = ["arn:aws:iam::000000000000:role/Z0.y", "arn:aws:sns:us-east-1:000000000000:Z0.y"];

fn of_network(value: &str, test: Test, _: Context) -> Told {
    unless_fixed(value, test).unwrap_or_else(|| {
        let is_id = value.starts_with("vpce-") || value.starts_with("vpc-");
        if is_id { Told::One(Bound::Fixed(clean(value, 40))) } else { Told::Unclear }
    })
}

/// `AIDA…` for a user, `AROA…:session` for a role, the account for its root (IAM user guide, *aws:userid*).
fn of_user_id(value: &str, test: Test, context: Context) -> Told {
    if value.contains("${") {
        return Told::Unclear;
    }
    let id = value.split([':', '*']).next().unwrap_or_default();
    if is_unique_id(id) && (test != Test::Equals || !has_wildcard(value)) {
        return Told::One(Bound::Fixed(format!("the identity {}", clean(id, 40))));
    }
    unless_fixed(value, test).unwrap_or_else(|| account(value, context.friends))
}

fn of_service(value: &str, test: Test, _: Context) -> Told {
    unless_fixed(value, test).unwrap_or_else(|| {
        let service = value.to_ascii_lowercase();
        if services::is_ours(&service) {
            Told::One(Bound::Friend(clean(&service, 80)))
        } else {
            Told::One(Bound::Stranger(Stranger::Service(service)))
        }
    })
}

fn of_external_id(value: &str, test: Test, _: Context) -> Told {
    unless_fixed(value, test).unwrap_or(Told::One(Bound::Agreed))
}

fn of_token(value: &str, test: Test, _: Context) -> Told {
    unless_fixed(value, test).unwrap_or_else(|| Told::One(Bound::Fixed("one skill".to_owned())))
}

fn of_claim(clause: &Clause, claim: &str, context: Context) -> Limit {
    let issuer = context.issuer.unwrap_or_default();
    if !matches!(clause.test, Test::Equals | Test::Like) {
        return Limit::Unclear(format!("`{clause}` does not fit together"));
    }
    let told = |value: &String| match issuers::tenant(issuer, claim, value, clause.test == Test::Like) {
        Tenant::Fixed => Told::One(Bound::Fixed(format!("`{}`", clean(value, 120)))),
        Tenant::Any => Told::Anybody,
        Tenant::Unclear => Told::Unclear,
    };
    gather(clause, clause.values.iter().map(told))
}

/// Addresses: trusted ranges are ours; private ones nobody calls from over the internet; public ones are a stranger's, and
/// the world when they are as wide together as the S3 user guide's *The meaning of "public"* has it (wider than /8, for
/// IPv6 /32).
fn of_addresses(clause: &Clause, friends: &Friends) -> Limit {
    let is_unclear = || Limit::Unclear(format!("`{clause}` has a value that is no range of addresses"));
    let nets: Option<Vec<ipnet::IpNet>> = clause.values.iter().map(|value| addresses::parse(value)).collect();
    let Some(nets) = nets.filter(|nets| clause.test == Test::Address && !nets.is_empty()) else { return is_unclear() };
    let is_foreign = |net: &ipnet::IpNet| addresses::is_public(net) && !friends.networks.contains(net);
    let foreign: Vec<ipnet::IpNet> = nets.iter().copied().filter(is_foreign).collect();
    if Widest::default().is_exceeded_by_all(&foreign) {
        return Limit::None;
    }
    let bound = |net: &ipnet::IpNet| {
        if friends.networks.contains(net) {
            Bound::Friend(net.to_string())
        } else if addresses::is_public(net) {
            Bound::Stranger(Stranger::Addresses(net.to_string()))
        } else {
            Bound::Fixed(format!("the private range {net}"))
        }
    };
    Limit::To(nets.iter().map(bound).collect())
}
