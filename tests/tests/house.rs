//! The rules of the house: what a remediation needs, what a crate may depend on, how long a file may be. Each message
//! says what is missing.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use rescind_tests::FUNCTIONS;
use serde_json::Value;

const HEADINGS: &[&str] = &["What it takes back", "Why it is risky", "Example", "Safety", "Tags", "References"];

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests stand in the repository").to_owned()
}

/// Every remediation, with the function that it belongs to.
fn remediations() -> Vec<(&'static str, &'static str)> {
    FUNCTIONS.iter().flat_map(|function| function.names().into_iter().map(|name| (function.name, name))).collect()
}

fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        // `cargo fuzz` may build beside its crate.
        if path.is_dir() && !path.ends_with("target") {
            found.extend(files(&path, ending));
        } else if path.to_string_lossy().ends_with(ending) {
            found.push(path);
        }
    }
    found.sort();
    found
}

#[test]
fn a_remediation_has_its_file_its_manual_its_samples_its_rule_and_its_case() {
    let root = repository();
    let template = fs::read_to_string(root.join("template.yaml")).expect("the template is there");
    let mut missing = Vec::new();
    for (function, name) in remediations() {
        let file = root.join(format!("functions/{function}/src/{}.rs", name.replace('-', "_")));
        let text = fs::read_to_string(&file).unwrap_or_default();
        if text.is_empty() {
            missing.push(format!("{name} has no file {}", file.display()));
        }
        for heading in HEADINGS {
            if !text.contains(&format!("//! ## {heading}\n")) {
                missing.push(format!("the manual of {name} has no heading `{heading}`"));
            }
        }
        for kind in ["takes-back-", "leaves-alone-"] {
            let is_kind =
                |path: &PathBuf| path.file_name().is_some_and(|file| file.to_string_lossy().starts_with(kind));
            if !files(&root.join("events").join(name), ".json").iter().any(is_kind) {
                missing.push(format!("events/{name} has no sample {kind}…"));
            }
        }
        let is_named = |line: &str| {
            line.contains("rescind:remediation") && line.split([' ', ',', '"', '}']).any(|word| word == name)
        };
        if !template.lines().any(is_named) {
            missing.push(format!("no rule in template.yaml has the tag rescind:remediation with {name}"));
        }
        if !rescind_tests::KINDS.iter().any(|kind| kind.remediation == name) {
            missing.push(format!(
                "{name} has no kind of change in tests/src/scenes.rs, for the tests of faults and kills"
            ));
        }
        let case = root.join(format!("tests/tests/end_to_end/{}.rs", name.replace('-', "_")));
        if !case.exists() {
            missing.push(format!("{name} has no end-to-end case {}", case.display()));
        }
    }
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}

#[test]
fn names_are_unique_and_samples_belong_to_a_remediation() {
    let names: BTreeSet<&str> = remediations().iter().map(|(_, name)| *name).collect();
    assert_eq!(names.len(), remediations().len());
    for folder in fs::read_dir(repository().join("events")).expect("events/ is there").flatten() {
        let name = folder.file_name().to_string_lossy().into_owned();
        assert!(!folder.path().is_dir() || names.contains(name.as_str()), "events/{name} belongs to no remediation");
    }
}

#[test]
fn the_tags_of_every_remediation_are_documented_in_its_file() {
    for function in FUNCTIONS {
        for remediation in function.remediations {
            let name = remediation.name();
            let file = repository().join(format!("functions/{}/src/{}.rs", function.name, name.replace('-', "_")));
            let text = fs::read_to_string(file).expect("the file is there");
            for tag in remediation.tags() {
                assert!(
                    text.contains(&format!("`rescind:{}`", tag.key)),
                    "the manual of {name} does not name rescind:{}",
                    tag.key
                );
            }
        }
    }
}

#[test]
fn files_stay_readable() {
    let root = repository();
    for path in files(&root.join("functions"), ".rs").into_iter().chain(files(&root.join("tests"), ".rs")) {
        let lines = fs::read_to_string(&path).expect("the file can be read").lines().count();
        let is_a_functions = path.ends_with("main.rs") && path.starts_with(root.join("functions"));
        let most = if is_a_functions { 25 } else { 600 };
        assert!(lines <= most, "{} has {lines} lines, more than {most}: divide it along its meaning", path.display());
    }
}

#[test]
fn dependencies_run_one_way_and_the_core_is_pure() {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(repository())
        .output()
        .expect("cargo runs");
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo prints JSON");
    for package in metadata["packages"].as_array().expect("there are packages") {
        let name = package["name"].as_str().expect("a package has a name");
        let dependencies: BTreeSet<&str> = package["dependencies"]
            .as_array()
            .expect("a list")
            .iter()
            .filter(|dependency| dependency["kind"].is_null())
            .filter_map(|dependency| dependency["name"].as_str())
            .collect();
        let has = |start: &str| dependencies.iter().any(|dependency| dependency.starts_with(start));
        match name {
            "rescind" => {
                for impure in [
                    "aws-sdk",
                    "aws-config",
                    "aws-smithy",
                    "tokio",
                    "lambda_runtime",
                    "rescind-lambda",
                    "rand",
                    "hyper",
                ] {
                    assert!(!has(impure), "the core depends on {impure}");
                }
            }
            "rescind-lambda" => {
                assert!(
                    !has("aws-sdk-ec2") && !has("aws-sdk-iam") && FUNCTIONS.iter().all(|function| !has(function.name)),
                    "the shell depends on a function's affairs"
                )
            }
            "rescind-tests" => {}
            function => {
                let others = FUNCTIONS.iter().filter(|other| other.name != function);
                for other in others {
                    assert!(!dependencies.contains(other.name), "{function} depends on {}", other.name);
                }
            }
        }
    }
}

#[test]
fn the_core_asks_no_clock_no_environment_and_no_chance() {
    for path in files(&repository().join("functions/rescind/src"), ".rs") {
        let text = fs::read_to_string(&path).expect("the file can be read");
        for word in ["::now(", "std::env", "std::fs", "std::net::Tcp", "std::process", "rand::", "async fn", "println!"]
        {
            assert!(!text.contains(word), "{} uses {word}", path.display());
        }
    }
}
