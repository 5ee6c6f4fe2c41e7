//! Which samples the template's patterns let through, decided by the emulator's own matching.

use std::collections::BTreeMap;
use std::fs;

use rescind::signal::Fact;
use rescind_tests::{World, delivery, guardduty, repository};
use serde_json::{Value, json};

/// The names of the functions' roles in the samples, by the functions' names.
fn role_in_samples(function: &str) -> String {
    let capital =
        |word: &str| word.chars().take(1).map(|c| c.to_ascii_uppercase()).chain(word.chars().skip(1)).collect();
    let name: String = function.split('-').map(|word| -> String { capital(word) }).collect();
    format!("arn:aws:iam::111122223333:role/rescind-{name}Role-EXAMPLE")
}

/// Which rules a sample is matched by is kept as a snapshot, for people to read; what takes a change back has to be matched by a
/// rule of its remediation.
#[tokio::test(flavor = "multi_thread")]
async fn each_sample_is_matched_by_the_rules_meant_for_it() {
    let world = World::new("dry-run").await;
    let functions = &world.account.deployed.functions;
    let folders = fs::read_dir(repository().join("events")).expect("the samples are there").flatten();
    let mut tried = 0;
    for folder in folders.filter(|folder| folder.path().is_dir()) {
        let remediation = folder.file_name().to_string_lossy().into_owned();
        let is_of_remediation = |rule: &String| {
            let named = world.account.rule(rule).tags.get("rescind:remediation");
            named.is_some_and(|names| names.split(' ').any(|name| name == remediation))
        };
        let mut matches: BTreeMap<String, String> = BTreeMap::new();
        for file in fs::read_dir(folder.path()).expect("the folder can be read").flatten() {
            let name = file.path().file_stem().expect("a file has a name").to_string_lossy().into_owned();
            let mut text = fs::read_to_string(file.path()).expect("the sample can be read");
            // A role's name has a random ending in every account.
            for (function, deployed) in functions {
                text = text.replace(&role_in_samples(function), &deployed.role_arn);
            }
            // A rule hears of its own account alone.
            let text = text.replace("111122223333", &world.account.id);
            let event: Value = serde_json::from_str(&text).expect("the sample is JSON");
            let mut matched: Vec<String> =
                delivery::deliver(&world.account, &event).await.into_iter().map(|delivered| delivered.rule).collect();
            matched.sort();
            let is_heard = matched.iter().any(is_of_remediation);
            assert!(
                is_heard || name.starts_with("leaves-alone-"),
                "no rule of {remediation} lets {name} through: {matched:?}"
            );
            matches.insert(name, if matched.is_empty() { "none".to_owned() } else { matched.join(" ") });
            tried += 1;
        }
        insta::with_settings!({ snapshot_path => format!("../snapshots/{remediation}"), prepend_module_to_snapshot => false, omit_expression => true }, {
            insta::assert_json_snapshot!("matched-by", matches);
        });
    }
    assert!(tried > 40, "{tried} samples");
}

/// Whether a pattern lets findings of a type through; alternatives of `$or` each have their types.
fn lets_through(pattern: &Value, kind: &str) -> bool {
    let list = |types: &Value| {
        let mut types = types.as_array().into_iter().flatten();
        types.any(|one| {
            one.as_str() == Some(kind) || one["prefix"].as_str().is_some_and(|start| kind.starts_with(start))
        })
    };
    let alternatives = pattern["$or"].as_array().into_iter().flatten();
    list(&pattern["type"]) || alternatives.into_iter().any(|alternative| list(&alternative["type"]))
}

/// What the table only tells never reaches a function, where it would end as none of its business, with an alarm.
#[tokio::test(flavor = "multi_thread")]
async fn the_types_that_reach_a_remediation_are_those_that_the_table_has_for_it() {
    let world = World::new("dry-run").await;
    let types = repository().join("functions/rescind/src/findings/types.txt");
    let types = fs::read_to_string(types).expect("the types are there");
    for (rule, remediation, at_least) in [
        ("AttackedPort", "open-security-group-ingress", 4),
        ("BlockAddress", "block-address", 3),
        ("CredentialsCompromised", "credentials-compromised", 40),
        ("IsolateInstance", "isolate-instance", 60),
    ] {
        let pattern = &world.account.rule(rule).pattern["detail"];
        let mut reach = 0;
        for kind in types.lines().map(str::trim).filter(|line| line.contains(':')) {
            let event = guardduty::finding(&world.account.id, kind, 8.0, &json!({}), &json!({}));
            let signal = rescind::signal::decode(event).expect("a finding").signal;
            let Fact::Finding(finding) = &signal.fact else { panic!("{signal:?}") };
            let advice = rescind::findings::advice(finding);
            let calls = advice.responses.iter().any(|one| one.remediation() == Some(remediation));
            assert_eq!(lets_through(pattern, kind), calls, "{rule}: {kind}");
            reach += usize::from(calls);
        }
        assert!(reach >= at_least, "{rule}: {reach} types");
    }
}

/// The roles of instances are heard of by the findings that isolate these; a sequence, by the rule that hears of its credentials. No
/// finding comes by both: the tags of one of them would decide what the other one's are for.
#[tokio::test(flavor = "multi_thread")]
async fn the_role_of_an_instance_is_heard_of_by_one_rule_alone() {
    let world = World::new("dry-run").await;
    let types = repository().join("functions/rescind/src/findings/types.txt");
    let types = fs::read_to_string(types).expect("the types are there");
    let lets = |rule: &str, kind: &str| lets_through(&world.account.rule(rule).pattern["detail"], kind);
    for kind in types.lines().map(str::trim).filter(|line| line.contains(':')) {
        let of_credentials = lets("CredentialsCompromised", kind);
        let by_either = lets("InstanceRoleSessions", kind) || of_credentials;
        assert_eq!(by_either, lets("IsolateInstance", kind) || of_credentials, "{kind}");
        assert!(!(lets("InstanceRoleSessions", kind) && of_credentials), "{kind} comes twice");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_delivered_is_the_event_with_the_rule_that_matched() {
    let world = World::new("dry-run").await;
    let path = repository().join("events/open-security-group-ingress/takes-back-ssh-to-the-world.json");
    let event: Value =
        serde_json::from_str(&fs::read_to_string(path).expect("the sample is there")).expect("the sample is JSON");
    let delivered = world.route(&event).await.remove(0);
    assert_eq!(delivered.input["rule"], Value::from(world.account.rule("OpenSecurityGroupIngress").arn.as_str()));
    assert_eq!(delivered.input["event"], event);
    assert!(delivered.input["ingested"].is_string());
}
