//! The rules of the house: what a remediation needs, what a crate may depend on, how long a file may be. Each message
//! says what is missing.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use rescind_tests::{FUNCTIONS, manual};
use serde_json::Value;

const HEADINGS: &[&str] = &["What it takes back", "Why it is risky", "Example", "Safety", "Tags", "References"];

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests stand in the repository").to_owned()
}

/// Every remediation, with the function that it belongs to.
fn remediations() -> Vec<(&'static str, &'static str)> {
    FUNCTIONS.iter().flat_map(|function| function.names().into_iter().map(|name| (function.name, name))).collect()
}

/// Where a remediation is written.
fn file_of(function: &str, name: &str) -> String {
    format!("functions/{function}/src/{}.rs", name.replace('-', "_"))
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
        let file = root.join(file_of(function, name));
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
                "{name} has no kind of change in tests/src/scenes.rs: write tests/src/scenes/{}.rs, and name it there",
                name.replace('-', "_")
            ));
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
            let file = repository().join(file_of(function.name, name));
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
fn a_remediation_is_read_in_two_minutes() {
    let lines_of = |(function, name): (&str, &str)| {
        let file = file_of(function, name);
        let text = fs::read_to_string(repository().join(&file)).expect("the file can be read");
        (text.lines().count(), file)
    };
    let mut lines: Vec<(usize, String)> = remediations().into_iter().map(lines_of).collect();
    lines.sort();
    let (longest, file) = lines.last().expect("there are remediations");
    assert!(
        *longest <= 250,
        "{file} has {longest} lines, more than 250: what is not about its own risk stands beside it"
    );
    let (median, _) = &lines[lines.len() / 2];
    assert!(
        *median <= 120,
        "half of the remediations have more than {median} lines, which is more than 120: {lines:#?}"
    );
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

fn of_type<'t>(template: &'t Value, kind: &str) -> Vec<(&'t String, &'t Value)> {
    let all = template["Resources"].as_object().expect("resources").iter();
    all.filter(|(_, resource)| resource["Type"] == kind)
        .map(|(name, resource)| (name, &resource["Properties"]))
        .collect()
}

/// AWS's quotas (Amazon EventBridge, AWS Lambda and AWS CloudFormation user guides, *Quotas*), as far as the catalogue comes near them.
#[test]
fn the_stack_stays_within_the_quotas_of_aws() {
    let template = rescind_tests::template("template.yaml");
    let rules = of_type(&template, "AWS::Events::Rule");
    for (name, rule) in &rules {
        // A name stands for an ARN of at most 120 characters.
        let pattern = rule["EventPattern"].to_string();
        let arns = pattern.matches("Fn::GetAtt").count() + pattern.matches(".Arn\"").count();
        let longest = pattern.len() + 120 * arns;
        assert!(longest <= 2048, "the pattern of {name} may have {longest} characters; EventBridge allows 2048");
    }
    let functions = of_type(&template, "AWS::Serverless::Function");
    for (name, _) in &functions {
        let permissions = of_type(&template, "AWS::Lambda::Permission").into_iter();
        let own: Vec<&String> = permissions
            .filter(|(_, one)| one["FunctionName"].to_string().contains(name.as_str()))
            .map(|(name, _)| name)
            .collect();
        assert!(
            own.len() == 1,
            "{name} has the permissions {own:?}: one for all rules of the stack is enough, and a policy has 20 KB"
        );
    }
    // SAM makes up to two more of a function: its version and the configuration of asynchronous invocations.
    let resources = template["Resources"].as_object().expect("resources").len() + 2 * functions.len();
    assert!(resources <= 500, "the stack has {resources} resources; CloudFormation allows 500");
    assert!(rules.len() <= 300, "the stack has {} rules; a bus holds 300", rules.len());
    rescind_tests::say(&format!("{} rules of 300, {resources} resources of 500", rules.len()));
}

/// A person asks the console for all that was done, whichever function did it; and what fails for good is told and can be handed
/// over again.
#[test]
fn every_function_can_be_asked_to_undo_and_its_failures_are_told() {
    let template = rescind_tests::template("template.yaml");
    let policies = &template["Resources"]["ConsoleRole"]["Properties"]["Policies"];
    let mut statements = policies[0]["PolicyDocument"]["Statement"].as_array().into_iter().flatten();
    let asks = statements.find(|statement| statement["Sid"] == "AskFunctions").expect("the console asks the functions");
    assert_eq!((&asks["Effect"], &asks["Action"]), (&"Allow".into(), &"lambda:InvokeFunction".into()));
    let asked = asks["Resource"].to_string();
    for (name, function) in of_type(&template, "AWS::Serverless::Function") {
        let full = function["FunctionName"]["Fn::Sub"].as_str().expect("a function has a name");
        // By its ARN, or where the two would wait for each other by its name.
        let is_asked =
            [format!(r#"["{name}","Arn"]"#), format!(r#"{full}""#)].iter().any(|resource| asked.contains(resource));
        assert!(is_asked || name == "Console", "ConsoleRole may not invoke {name}: its outcomes can't be undone");
        for resource in [format!("{name}Failures"), format!("{name}FailuresAlarm")] {
            assert!(template["Resources"].get(&resource).is_some(), "template.yaml lacks {resource}");
        }
        let output = format!("{name}FailuresQueue");
        assert!(template["Outputs"].get(&output).is_some(), "template.yaml lacks the output {output}");
    }
}

/// Who lets a stack only watch can rely on it, whatever the tags say.
#[test]
fn a_stack_that_only_watches_is_denied_all_that_changes_anything() {
    let template = rescind_tests::template("template.yaml");
    let equals = |condition: &Value| condition["Fn::Equals"] == serde_json::json!([{"Ref": "Rights"}, "watch"]);
    assert!(equals(&template["Conditions"]["OnlyWatches"]), "{}", template["Conditions"]["OnlyWatches"]);
    assert_eq!(template["Resources"]["WatchOnly"]["Condition"], "OnlyWatches");
    let policy = &template["Resources"]["WatchOnly"]["Properties"];
    let [statement] = policy["PolicyDocument"]["Statement"].as_array().expect("statements").as_slice() else {
        panic!("WatchOnly has one statement")
    };
    let parts: Vec<&String> = statement.as_object().expect("a statement").keys().collect();
    assert_eq!(parts, ["Action", "Effect", "Resource", "Sid"], "nothing limits the deny");
    assert_eq!((&statement["Effect"], &statement["Resource"]), (&"Deny".into(), &"*".into()));
    let denied = statement["Action"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let denied: BTreeSet<&str> = denied.collect();
    let all = FUNCTIONS.iter().flat_map(|function| function.remediations).flat_map(|one| one.operations());
    let changing = all.filter(|operation| operation.changes).map(|operation| operation.action);
    // The journal and the baseline are Rescind's own.
    let changing: BTreeSet<&str> = changing.filter(|action| !action.starts_with("dynamodb:")).collect();
    assert_eq!(denied, changing, "WatchOnly denies what is on the left; remediations change by what is on the right");
    let roles = policy["Roles"].as_array().into_iter().flatten();
    let roles: BTreeSet<&str> = roles.filter_map(|role| role["Ref"].as_str()).collect();
    let acting = of_type(&template, "AWS::Serverless::Function").into_iter().map(|(name, _)| format!("{name}Role"));
    let acting: BTreeSet<String> = acting.filter(|name| name != "ConsoleRole").collect();
    assert_eq!(roles, acting.iter().map(String::as_str).collect(), "WatchOnly is for each role that changes anything");
}

/// The calls that a rule lets through, as `service:Operation`.
fn calls_of(rule: &Value) -> BTreeSet<String> {
    let detail = &rule["EventPattern"]["detail"];
    let texts = |value: &Value| -> Vec<String> {
        let texts = value.as_array().into_iter().flatten();
        texts.filter_map(|one| one.as_str().or(one["prefix"].as_str()).map(str::to_owned)).collect()
    };
    let names = texts(&detail["eventName"]);
    let services = texts(&detail["eventSource"]).into_iter();
    let calls = services.flat_map(|source| {
        let service = source.trim_end_matches(".amazonaws.com").to_owned();
        names.iter().map(move |name| format!("{service}:{name}")).collect::<Vec<_>>()
    });
    calls.collect()
}

/// IAM tells its calls in us-east-1 alone. What is not forwarded from there, a stack in another Region never hears.
#[test]
fn what_remediations_hear_of_iam_is_forwarded_from_us_east_1_and_nothing_else() {
    let template = rescind_tests::template("infra/global.yaml");
    let forwarded: BTreeSet<String> =
        of_type(&template, "AWS::Events::Rule").iter().flat_map(|(_, rule)| calls_of(rule)).collect();
    let all = FUNCTIONS.iter().flat_map(|function| function.remediations);
    let heard: BTreeSet<String> = all
        .flat_map(|remediation| remediation.calls())
        .filter(|call| call.starts_with("iam:"))
        .map(|call| (*call).to_owned())
        .collect();
    let missing: Vec<&String> = heard.difference(&forwarded).collect();
    assert!(missing.is_empty(), "infra/global.yaml does not forward {missing:?}");
    // A pattern without any call is none.
    let more: Vec<&String> = forwarded.difference(&heard).collect();
    assert!(heard.is_empty() || more.is_empty(), "infra/global.yaml forwards {more:?}, which nobody hears");
}

/// What a remediation hears by CloudTrail is what its rules let through: no call is waited for that never comes, and none comes that
/// nobody hears.
#[test]
fn the_calls_of_every_remediation_are_those_that_its_rules_let_through() {
    let template = rescind_tests::template("template.yaml");
    for function in FUNCTIONS {
        for remediation in function.remediations {
            let mut heard = BTreeSet::new();
            for (_, rule) in of_type(&template, "AWS::Events::Rule") {
                let tags = rule["Tags"].as_array().into_iter().flatten();
                let named =
                    tags.filter(|tag| tag["Key"] == "rescind:remediation").filter_map(|tag| tag["Value"].as_str());
                if named.flat_map(|names| names.split(' ')).any(|name| name == remediation.name()) {
                    heard.extend(calls_of(rule));
                }
            }
            let declared: BTreeSet<String> = remediation.calls().iter().map(|call| (*call).to_owned()).collect();
            assert_eq!(
                heard,
                declared,
                "{}: the calls that its rules let through, and those that it says",
                remediation.name()
            );
        }
    }
}

/// What is left of the files that `make new-remediation` wrote.
const TO_WRITE: &str = "TO WRITE";

#[test]
fn nothing_of_a_new_remediation_is_left_to_write() {
    let root = repository();
    let mut left = Vec::new();
    for (function, name) in remediations() {
        let file = name.replace('-', "_");
        let mut own = vec![root.join(file_of(function, name)), root.join(format!("tests/src/scenes/{file}.rs"))];
        own.extend(files(&root.join("events").join(name), ".json"));
        own.extend(files(&root.join(format!("functions/{function}/src/{file}")), ".rs"));
        for path in own.into_iter().chain([root.join("template.yaml")]) {
            let text = fs::read_to_string(&path).unwrap_or_default();
            let lines = text.lines().enumerate().filter(|(_, line)| line.contains(TO_WRITE));
            let path = path.strip_prefix(&root).unwrap_or(&path);
            left.extend(lines.map(|(number, line)| format!("{}:{}: {}", path.display(), number + 1, line.trim())));
        }
    }
    left.sort();
    left.dedup();
    assert!(left.is_empty(), "{}", left.join("\n"));
}

#[test]
fn people_are_told_of_every_remediation() {
    let root = repository();
    let mut lacking = Vec::new();
    for (file, what) in [
        ("README.md", "the table What it takes back"),
        ("events/README.md", "a section for its samples"),
        ("CHANGELOG.md", "a line"),
    ] {
        let text = fs::read_to_string(root.join(file)).expect("the file is there");
        let is_told = |name: &str| text.contains(&format!("`{name}`")) || text.contains(&format!("## {name}\n"));
        let untold = remediations().into_iter().filter(|(_, name)| !is_told(name));
        lacking.extend(untold.map(|(_, name)| format!("{file} lacks {what} of {name}")));
    }
    assert!(lacking.is_empty(), "{}", lacking.join("\n"));
}

/// `make manual` writes it.
#[test]
fn the_manual_is_what_the_remediations_say() {
    let path = repository().join(manual::FILE);
    let text = manual::manual(&repository(), FUNCTIONS);
    if std::env::var_os("RESCIND_WRITE_MANUAL").is_some() {
        fs::write(&path, &text).expect("the manual can be written");
    }
    let stands = fs::read_to_string(&path).unwrap_or_default();
    let differs = stands.lines().zip(text.lines()).find(|(old, new)| old != new);
    assert!(
        stands == text,
        "{} is not what the remediations say: run `make manual`; the first difference: {differs:?}",
        manual::FILE
    );
}
