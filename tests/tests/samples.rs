//! Every sample in `events/`, replayed as a newcomer does it on a laptop: by the event alone, with the default settings.
//! The answers are kept as snapshots, for people to read.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use rescind::{Answer, Status, Verdict};
use rescind_tests::FUNCTIONS;
use serde_json::{Value, json};

/// The roles of the functions, as samples name them.
const OWN_ROLES: [&str; 6] = [
    "arn:aws:iam::111122223333:role/rescind-SecurityGroupsRole-EXAMPLE",
    "arn:aws:iam::111122223333:role/rescind-NetworkRole-EXAMPLE",
    "arn:aws:iam::111122223333:role/rescind-SharingRole-EXAMPLE",
    "arn:aws:iam::111122223333:role/rescind-IdentityRole-EXAMPLE",
    "arn:aws:iam::111122223333:role/rescind-DetectionRole-EXAMPLE",
    "arn:aws:iam::111122223333:role/rescind-InstancesRole-EXAMPLE",
];

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests stand in the repository").to_owned()
}

/// The samples: remediation, file stem, event.
fn samples() -> Vec<(String, String, Value)> {
    let mut samples = Vec::new();
    for folder in fs::read_dir(repository().join("events")).expect("events/ is there").flatten() {
        if !folder.path().is_dir() {
            continue;
        }
        for file in fs::read_dir(folder.path()).expect("the folder can be read").flatten() {
            let text = fs::read_to_string(file.path()).expect("the sample can be read");
            let event =
                serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", file.path().display()));
            let stem = file.path().file_stem().expect("a file has a name").to_string_lossy().into_owned();
            samples.push((folder.file_name().to_string_lossy().into_owned(), stem, event));
        }
    }
    samples.sort_by(|a, b| (&a.0, &a.1).cmp(&(&b.0, &b.1)));
    assert!(!samples.is_empty(), "there are samples");
    samples
}

/// Replays an event in the function of a remediation.
async fn replay(remediation: &str, event: Value, settings: &[(&str, &str)]) -> Result<Answer, String> {
    let settings: BTreeMap<String, String> =
        settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let function =
        FUNCTIONS.iter().find(|function| function.names().contains(&remediation)).expect("a function has it");
    rescind_lambda::replay(*function, settings, OWN_ROLES.map(str::to_owned).to_vec(), event).await
}

fn schema() -> jsonschema::Validator {
    let path = repository().join("functions/rescind/outcome.schema.json");
    let schema: Value =
        serde_json::from_str(&fs::read_to_string(path).expect("the schema is there")).expect("the schema is JSON");
    jsonschema::validator_for(&schema).expect("the schema is one")
}

/// What is only told unless its owner asks for more: its samples are replayed as if he did, but for those that are left alone.
const ASKED_FOR: [(&str, (&str, &str)); 1] = [("mfa-deactivated", ("RESCIND_CONTAIN", "deny-until-mfa"))];

#[tokio::test]
async fn every_sample_is_answered_as_its_name_says() {
    let schema = schema();
    for (remediation, name, event) in samples() {
        let is_asked_for = |(one, _): &&(&str, _)| *one == remediation && name.starts_with("takes-back-");
        let settings = ASKED_FOR.iter().filter(is_asked_for).map(|(_, setting)| *setting).collect::<Vec<_>>();
        let answer = replay(&remediation, event, &settings).await;
        if let Ok(answer) = &answer {
            let json = serde_json::to_value(answer).expect("an answer is JSON");
            let problems: Vec<String> =
                schema.iter_errors(&json).map(|error| format!("{}: {error}", error.instance_path())).collect();
            assert!(problems.is_empty(), "{name} breaks the schema: {problems:?}");
        }
        let would_act = answer.as_ref().is_ok_and(|answer| {
            answer
                .outcomes
                .iter()
                .any(|outcome| outcome.remediation == remediation && outcome.status == Status::WouldRevert)
        });
        if name.starts_with("leaves-alone-") {
            assert!(!would_act, "{name}: {answer:?}");
        } else {
            assert!(name.starts_with("takes-back-"), "{name} is neither takes-back- nor leaves-alone-");
            // Not every event tells how the resource stands. Then the replay says so, and does not guess.
            let needs_a_look = match &answer {
                Ok(answer) => answer.outcomes.iter().any(|outcome| {
                    outcome.remediation == remediation
                        && outcome.reason.contains("does not tell how the resource stands")
                }),
                Err(error) => error.contains("was not read"),
            };
            assert!(would_act || needs_a_look, "{name}: {answer:?}");
        }
        let told = match answer {
            Ok(mut answer) => {
                for outcome in &mut answer.outcomes {
                    outcome.timing = rescind::outcome::Timing::default();
                }
                serde_json::to_value(answer).expect("an answer is JSON")
            }
            Err(error) => json!({ "error": error }),
        };
        insta::with_settings!({ snapshot_path => format!("snapshots/{remediation}"), prepend_module_to_snapshot => false, omit_expression => true }, {
            insta::assert_json_snapshot!(name, told);
        });
    }
}

#[tokio::test]
async fn settings_of_a_bare_event_come_from_the_environment() {
    let event = || {
        let path = repository().join("events/open-security-group-ingress/takes-back-ssh-to-the-world.json");
        serde_json::from_str(&fs::read_to_string(path).expect("the sample is there")).expect("the sample is JSON")
    };
    let outcome = |answer: Result<Answer, String>| answer.expect("an answer").outcomes.remove(0);
    let https = outcome(replay("open-security-group-ingress", event(), &[("RESCIND_PORTS", "443")]).await);
    assert_eq!((https.verdict, https.status), (Verdict::Harmless, Status::Ignored));
    let off = outcome(replay("open-security-group-ingress", event(), &[("RESCIND_MODE", "off")]).await);
    assert_eq!((off.verdict, off.status), (Verdict::NotApplicable, Status::Ignored));
    for (name, value) in [
        ("RESCIND_PORTS", "ssh"),
        ("RESCIND_PROTS", "22"),
        ("RESCIND_MODE", "on"),
        ("RESCIND_MODE", "approve"),
        ("RESCIND_WIDEST_SOURCE", "/40"),
        ("RESCIND_ALLOWED_CIDRS", "10.0.0.0/8,10.1.0.0/16"),
        ("RESCIND_REMEDIATION", "everything"),
    ] {
        let bad = outcome(replay("open-security-group-ingress", event(), &[(name, value)]).await);
        assert_eq!(bad.status, Status::Misconfigured, "{name}={value}: {}", bad.reason);
    }
    // What would change something is refused where nothing is read.
    let enforce = outcome(replay("open-security-group-ingress", event(), &[("RESCIND_MODE", "enforce")]).await);
    assert_eq!(enforce.status, Status::Misconfigured);
}
