//! The readings against an evaluation of concrete requests, which is written from the IAM user guide (*Policy evaluation
//! logic*, *Condition operators*) and shares nothing with what it checks: no stranger gets in by a statement that is said to be
//! ours.

use std::collections::BTreeMap;

use ipnet::IpNet;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

/// Who asks, by what a policy can name: the texts under `AWS`, `Service`, `Federated` that mean this caller.
#[derive(Debug, Clone, Default)]
struct Caller {
    aws: Vec<&'static str>,
    service: Option<&'static str>,
    federated: Vec<String>,
    context: BTreeMap<String, Vec<String>>,
}

fn caller(context: &[(&str, &str)]) -> Caller {
    let context = context.iter().map(|(key, value)| (key.to_lowercase(), vec![(*value).to_owned()])).collect();
    Caller { context, ..Caller::default() }
}

/// Strangers of all kinds. What a stranger may choose freely is added to fit the statement.
fn strangers(is_trust: bool) -> Vec<Caller> {
    let anonymous = caller(&[("aws:SourceIp", "198.51.100.7")]);
    let role = Caller {
        aws: vec![
            "999999999999",
            "arn:aws:iam::999999999999:root",
            "arn:aws-cn:iam::999999999999:root",
            "arn:aws:iam::999999999999:role/admin",
            "arn:aws:iam::999999999999:user/eve",
            "arn:aws:sts::999999999999:assumed-role/x/y",
        ],
        ..caller(&[
            ("aws:SourceIp", "198.51.100.7"),
            ("aws:PrincipalAccount", "999999999999"),
            ("aws:PrincipalArn", "arn:aws:iam::999999999999:role/admin"),
            ("aws:PrincipalOrgID", "o-zzzzzzzzzz"),
            ("aws:PrincipalOrgPaths", "o-zzzzzzzzzz/r-1/ou-1/"),
            ("aws:PrincipalIsAWSService", "false"),
            ("aws:ViaAWSService", "false"),
            ("aws:userid", "AROASTRANGERSTRANGER1:alice"),
            ("aws:CurrentTime", "2026-01-01T00:00:00Z"),
            ("kms:CallerAccount", "999999999999"),
            ("sts:ExternalId", "guess"),
        ])
    };
    let mut lone = role.clone();
    lone.context.retain(|key, _| !key.starts_with("aws:principalorg"));
    let mut by_endpoint = role.clone();
    by_endpoint.context.remove("aws:sourceip");
    by_endpoint.context.insert("aws:sourcevpce".to_owned(), vec!["vpce-99999999".to_owned()]);
    by_endpoint.context.insert("aws:vpcsourceip".to_owned(), vec!["10.0.0.7".to_owned()]);
    by_endpoint.context.insert("aws:sourcevpc".to_owned(), vec!["vpc-99999999".to_owned()]);
    let with = |key: &str, value: &str| {
        let mut other = role.clone();
        other.context.insert(key.to_owned(), vec![value.to_owned()]);
        other
    };
    let much_alike = [
        with("aws:principalaccount", "111199999999"),
        with("aws:principalorgpaths", "o-aaaazzzzzz/r-1/"),
        with("aws:principalarn", "arn:aws:iam::999999999999:role/deploy"),
        with("aws:principalarn", "arn:aws:iam::999999999999:role/:111122223333:role/x"),
        with("aws:sourceip", "8.8.8.8"),
        with("aws:sourceip", "2001:db8::7"),
    ];
    let mut without_external_id = role.clone();
    without_external_id.context.remove("sts:externalid");
    let mut through_service = role.clone();
    through_service.context.insert("aws:viaawsservice".to_owned(), vec!["true".to_owned()]);
    through_service.context.insert("kms:viaservice".to_owned(), vec!["s3.us-east-1.amazonaws.com".to_owned()]);
    let for_a_stranger = |service, source: &str| Caller {
        service: Some(service),
        ..caller(&[
            ("aws:PrincipalIsAWSService", "true"),
            ("aws:PrincipalServiceName", service),
            ("aws:SourceArn", source),
            ("aws:SourceAccount", "999999999999"),
            ("aws:SourceOwner", "999999999999"),
            ("aws:SourceOrgID", "o-zzzzzzzzzz"),
        ])
    };
    let mut all = vec![anonymous, role, lone, by_endpoint, through_service];
    all.push(without_external_id);
    all.extend(much_alike);
    if !is_trust {
        // Of services that do not count as ours.
        all.extend([
            for_a_stranger("events.amazonaws.com", "arn:aws:events:us-east-1:999999999999:rule/r"),
            for_a_stranger("sns.amazonaws.com", "arn:aws:sns:us-east-1:999999999999:t"),
            for_a_stranger("s3.amazonaws.com", "arn:aws:s3:::strangers-bucket"),
            for_a_stranger("s3.amazonaws.com", "arn:aws:s3:::b-of-a-stranger"),
            for_a_stranger(
                "apigateway.amazonaws.com",
                "arn:aws:execute-api:us-east-1:999999999999:x/y/GET/:111122223333:z",
            ),
            for_a_stranger("cloudfront.amazonaws.com", "arn:aws:cloudfront::999999999999:distribution/E9"),
        ]);
    }
    for (issuer, claims) in TOKENS {
        let key = |claim: &str| format!("{issuer}:{claim}");
        let context = claims.iter().map(|(claim, value)| (key(claim), vec![(*value).to_owned()])).collect();
        let federated = vec![(*issuer).to_owned(), format!("arn:aws:iam::{ACCOUNT}:oidc-provider/{issuer}")];
        all.push(Caller { federated, context, ..Caller::default() });
    }
    all
}

/// Tokens that strangers can have.
const TOKENS: &[(&str, &[(&str, &str)])] = &[
    (
        "token.actions.githubusercontent.com",
        &[("sub", "repo:evil/deploy:ref:refs/heads/main"), ("aud", "sts.amazonaws.com")],
    ),
    (
        "token.actions.githubusercontent.com",
        &[("sub", "repo:our-org-evil/deploy:ref:refs/heads/main"), ("aud", "sts.amazonaws.com")],
    ),
    ("token.actions.githubusercontent.com", &[("sub", "ref:refs/heads/main"), ("repository_owner_id", "66")]),
    ("gitlab.com", &[("sub", "project_path:our-evil/app:ref_type:branch:ref:main"), ("aud", "https://gitlab.com")]),
    ("app.terraform.io", &[("sub", "organization:evil:workspace:prod:x"), ("aud", "aws.workload.identity")]),
    ("accounts.google.com", &[("aud", "evil.apps.googleusercontent.com")]),
    ("cognito-identity.amazonaws.com", &[("aud", "us-east-1:evil"), ("amr", "authenticated")]),
    ("cognito-identity.amazonaws.com", &[("aud", "us-east-1:evil"), ("amr", "unauthenticated")]),
    ("graph.facebook.com", &[("app_id", "666")]),
    ("oidc.vercel.com", &[("aud", "https://vercel.com/evil"), ("sub", "owner:evil:project:x")]),
    ("agent.buildkite.com", &[("sub", "organization:evil:pipeline:app:x")]),
];

/// Keys whose value the caller chooses, in their own account or in the call.
fn is_free(key: &str) -> bool {
    const FREE: &[&str] = &[
        "aws:referer",
        "aws:useragent",
        "aws:securetransport",
        "aws:multifactorauthpresent",
        "aws:username",
        "sts:rolesessionname",
    ];
    let prefixes =
        ["aws:principaltag/", "s3:", "lambda:functionurl", "lambda:invoked", "kms:viaservice", "aws:resource"];
    FREE.contains(&key)
        || (prefixes.iter().any(|prefix| key.starts_with(prefix))
            && !key.contains("accesspoint")
            && !key.contains("kms-key-id"))
}

fn texts(value: &Value) -> Vec<String> {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    value.as_array().map_or_else(|| vec![text(value)], |list| list.iter().map(text).collect())
}

fn like(pattern: &[u8], text: &[u8]) -> bool {
    match (pattern.split_first(), text.split_first()) {
        (None, None) => true,
        (Some((b'*', rest)), _) if like(rest, text) => true,
        (Some((b'*', _)), Some((_, later))) => like(pattern, later),
        (Some((b'?', rest)), Some((_, later))) => like(rest, later),
        (Some((one, rest)), Some((other, later))) => one == other && like(rest, later),
        (_, None) | (None, _) => false,
    }
}

fn arn_like(pattern: &str, text: &str) -> bool {
    let (patterns, texts): (Vec<&str>, Vec<&str>) = (pattern.splitn(6, ':').collect(), text.splitn(6, ':').collect());
    patterns.len() == 6
        && texts.len() == 6
        && patterns.iter().zip(&texts).all(|(pattern, text)| like(pattern.as_bytes(), text.as_bytes()))
}

/// Whether a condition holds. What is not known to AWS does not.
fn holds(operator: &str, key: &str, wanted: &[String], context: &BTreeMap<String, Vec<String>>) -> bool {
    let operator = operator.to_lowercase();
    let (quantifier, name) = operator.split_once(':').unwrap_or(("", &operator));
    let found = context.get(&key.to_lowercase());
    if name == "null" {
        return wanted.iter().any(|wanted| (wanted == "true") == found.is_none());
    }
    let (name, if_exists) = name.strip_suffix("ifexists").map_or((name, false), |name| (name, true));
    let is_negated = name.contains("not");
    let Some(found) = found else {
        return if_exists || quantifier == "forallvalues" || (is_negated && quantifier != "foranyvalue");
    };
    let matches = |found: &String| {
        let one = |wanted: &String| match name.replace("not", "").as_str() {
            "stringequals" | "bool" | "dateequals" => wanted == found,
            "datelessthan" => found < wanted,
            "stringlike" => like(wanted.as_bytes(), found.as_bytes()),
            "arnlike" | "arnequals" => arn_like(wanted, found),
            "ipaddress" => match (addresses::parse(wanted), found.parse::<std::net::IpAddr>()) {
                (Some(range), Ok(address)) => range.contains(&IpNet::from(address)),
                _ => false,
            },
            _ => false,
        };
        wanted.iter().any(one) != is_negated
    };
    if quantifier == "forallvalues" { found.iter().all(matches) } else { found.iter().any(matches) }
}

fn is_named(caller: &Caller, named: &Value) -> bool {
    if named == "*" {
        return true;
    }
    let has = |kind: &str, is: &dyn Fn(&str) -> bool| {
        named.get(kind).map(texts).unwrap_or_default().iter().any(|name| is(name))
    };
    has("AWS", &|name| (name == "*" && !caller.aws.is_empty()) || caller.aws.contains(&name))
        || has("Service", &|name| caller.service == Some(name))
        || has("Federated", &|name| caller.federated.iter().any(|one| one == name))
}

fn meets(statement: &Value, caller: &Caller, action: &str, resource: &str) -> bool {
    let principal = match (statement.get("Principal"), statement.get("NotPrincipal")) {
        (Some(named), _) => is_named(caller, named),
        (None, Some(named)) => !is_named(caller, named),
        (None, None) => false,
    };
    let of = |field: &str, text: &str| {
        let form = |text: &str| if field.ends_with("Action") { text.to_lowercase() } else { text.to_owned() };
        let found = statement.get(field)?;
        Some(
            texts(found)
                .iter()
                .any(|pattern| pattern == "*:*" || like(form(pattern).as_bytes(), form(text).as_bytes())),
        )
    };
    let action = of("Action", action).or_else(|| of("NotAction", action).map(|found| !found)).unwrap_or(false);
    let resource = of("Resource", resource).or_else(|| of("NotResource", resource).map(|found| !found)).unwrap_or(true);
    let no_conditions = serde_json::Map::new();
    let conditions = statement.get("Condition").and_then(Value::as_object).unwrap_or(&no_conditions);
    let mut clauses = conditions.iter().flat_map(|(operator, keys)| {
        keys.as_object().unwrap().iter().map(move |(key, values)| (operator, key, values))
    });
    principal
        && action
        && resource
        && clauses.all(|(operator, key, values)| holds(operator, key, &texts(values), &caller.context))
}

/// Names that a pattern of the statements matches, and some others.
fn names(statements: &[Value], fields: [&str; 2], others: &[&str]) -> Vec<String> {
    let found =
        statements.iter().flat_map(|statement| fields.iter().filter_map(|field| statement.get(*field))).flat_map(texts);
    found
        .map(|pattern| pattern.replace('*', "x").replace('?', "y"))
        .chain(others.iter().map(|&other| other.to_owned()))
        .collect()
}

/// The strangers who get in by a statement.
fn entries(statements: &[Value], index: usize, is_trust: bool, friends: &Friends) -> Vec<String> {
    let actions = names(
        statements,
        ["Action", "NotAction"],
        &["s3:GetObject", "s3:PutObject", "sts:AssumeRole", "sts:AssumeRoleWithWebIdentity"],
    );
    let resources = names(statements, ["Resource", "NotResource"], &["arn:aws:s3:::b/y"]);
    let calls = || actions.iter().flat_map(|action| resources.iter().map(move |resource| (action, resource)));
    let allow = &statements[index];
    let mut entries = Vec::new();
    let is_stranger = |caller: &Caller| {
        let address = caller.context.get("aws:sourceip").and_then(|addresses| addresses::parse(addresses.first()?));
        !address.is_some_and(|address| friends.networks.contains(&address))
    };
    for mut stranger in strangers(is_trust).into_iter().filter(is_stranger) {
        for (_, keys) in allow.get("Condition").and_then(Value::as_object).into_iter().flatten() {
            for (key, values) in keys.as_object().unwrap().iter().filter(|(key, _)| is_free(&key.to_lowercase())) {
                let free = texts(values).first().cloned().unwrap_or_default().replace('*', "x");
                stranger.context.entry(key.to_lowercase()).or_insert(vec![free]);
            }
        }
        for (action, resource) in calls() {
            let denies = |other: &Value| other["Effect"] == "Deny" && meets(other, &stranger, action, resource);
            let gives_credentials = !is_trust || action.to_lowercase().starts_with("sts:assume");
            if gives_credentials && meets(allow, &stranger, action, resource) && !statements.iter().any(denies) {
                entries.push(format!("{stranger:?} {action} {resource}"));
            }
        }
    }
    entries
}

/// The statements by which a stranger gets in and that are said to be ours.
fn gaps(statements: &[Value], is_trust: bool, friends: &Friends) -> Vec<String> {
    let readings = read(&policy(statements), friends, is_trust);
    let ours = readings.iter().filter(|reading| reading.exposure == Exposure::Ours);
    ours.flat_map(|reading| entries(statements, reading.statement, is_trust, friends)).collect()
}

#[test]
fn no_stranger_gets_in_by_what_the_tables_call_ours() {
    for case in resource_cases() {
        assert_eq!(gaps(&case.statements, case.trust, &case.friends()), [""; 0], "{}", case.name);
    }
}

/// Cases for which it takes other strangers, or policy variables.
const OTHERS: &[&str] = &[
    "a Deny on resources that depend on the caller is of no account",
    "a role pattern within a stranger's account",
    "a stranger's account by a VPC endpoint, which may be the stranger's",
    "the caller's account is the caller's account",
];

#[test]
fn strangers_get_in_by_what_the_tables_call_public_or_shared() {
    let cases = resource_cases().into_iter().filter(|case| {
        matches!(case.answers.as_slice(), [answer] if answer == "public" || answer == "shared: account 999999999999")
    });
    for case in cases.filter(|case| !OTHERS.contains(&case.name.as_str())) {
        let index = case.statements.iter().position(|statement| statement["Effect"] == "Allow").unwrap();
        assert!(!entries(&case.statements, index, case.trust, &case.friends()).is_empty(), "{}", case.name);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn no_stranger_gets_in_by_what_is_called_ours(statements in properties::statements(), is_trust: bool) {
        prop_assert_eq!(gaps(&statements, is_trust, &friends()), Vec::<String>::new());
    }
}

#[test]
fn the_evaluation_knows_ours_from_strangers() {
    let allow = json!({ "Effect": "Allow", "Principal": "*", "Action": "s3:*", "Resource": "*", "Condition": { "StringEquals": { "aws:PrincipalAccount": "999999999999" } } });
    let may: Vec<bool> = strangers(true)
        .iter()
        .take(2)
        .map(|caller| meets(&allow, caller, "s3:GetObject", "arn:aws:s3:::b/x"))
        .collect();
    assert_eq!(may, [false, true]);
}
