//! Which samples the template's patterns let through, decided by the emulator's own matching.

use std::fs;

use rescind::signal::Fact;
use rescind_tests::{World, delivery, guardduty, repository};
use serde_json::{Value, json};

/// The rules that a sample is meant for, by their names in the template.
fn meant_for(remediation: &str, name: &str) -> &'static [&'static str] {
    match (remediation, name) {
        // What the function has to judge, though it is harmless: a pattern can't tell.
        (
            "open-security-group-ingress",
            "leaves-alone-private-source"
            | "leaves-alone-https-only"
            | "leaves-alone-office-address"
            | "leaves-alone-icmp"
            | "leaves-alone-udp-53"
            | "leaves-alone-call-returned-false",
        ) => &["OpenSecurityGroupIngress"],
        ("security-group-rule-removed", "leaves-alone-open-rule" | "leaves-alone-no-such-rule") => {
            &["SecurityGroupRuleRemoved"]
        }
        // What was modified may be open, and may have been another rule before.
        (_, "leaves-alone-modified-description" | "takes-back-modified-rule" | "takes-back-modified-rules") => {
            &["OpenSecurityGroupIngress", "SecurityGroupRuleModified"]
        }
        ("isolate-instance", "leaves-alone-guessed-passwords") => &["AttackedPort", "BlockAddress", "IsolateInstance"],
        ("block-address", "leaves-alone-guessing-passwords-of-others") => &["IsolateInstance"],
        ("block-address", "leaves-alone-port-probe") => &["AttackedPort"],
        ("block-address", name) if name.contains("listed") => &["BlockAddress", "IsolateInstance"],
        ("block-address", _) => &["AttackedPort", "BlockAddress", "IsolateInstance"],
        ("isolate-instance", "leaves-alone-unusual-port") => &[],
        ("isolate-instance", _) => &["IsolateInstance"],
        // What a record's lists say, a pattern can't tell.
        (
            "imdsv1-allowed",
            "leaves-alone-tokens-required"
            | "leaves-alone-hop-limit"
            | "leaves-alone-endpoint-disabled"
            | "leaves-alone-started-with-tokens",
        ) => &["Imdsv1Allowed"],
        ("imdsv1-allowed", name) if name.starts_with("takes-back-config-") => &["Ec2Imdsv2Check"],
        ("imdsv1-allowed", name) if name.starts_with("takes-back-") => &["Imdsv1Allowed"],
        ("user-data-changed", "leaves-alone-config-protected-instance") => &["UserDataChangedItem"],
        ("user-data-changed", name) if name.starts_with("takes-back-") => &["UserDataChanged"],
        ("serial-console-enabled", name) if name.starts_with("takes-back-") => &["SerialConsoleEnabled"],
        ("credentials-compromised", "leaves-alone-password-policy") => &[],
        ("credentials-compromised", _) => &["CredentialsCompromised"],
        (_, "takes-back-guardduty-port-probe") => &["AttackedPort"],
        // Near misses: reads, failed calls, other calls, other resources, our own changes.
        (_, name) if name.starts_with("leaves-alone-") => &[],
        (_, "takes-back-config-configuration-item" | "takes-back-config-configuration-item-oversized") => {
            &["OpenSecurityGroupIngressItem"]
        }
        (_, name) if name.starts_with("takes-back-config-restricted-ssh") => &["RestrictedSsh"],
        (_, "takes-back-config-restricted-rdp-of-security-hub") => &["RestrictedRdp"],
        (_, "takes-back-config-high-risk-ports-of-security-hub") => &["HighRiskPorts"],
        (_, "takes-back-config-restricted-common-ports") => &["RestrictedCommonPorts"],
        ("security-group-rule-removed", _) => &["SecurityGroupRuleRemoved"],
        _ => &["OpenSecurityGroupIngress"],
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_sample_is_matched_by_exactly_the_rules_meant_for_it() {
    let world = World::new("dry-run").await;
    let functions = &world.account.deployed.functions;
    let role = |function: &str| functions[function].role_arn.as_str();
    let mut tried = 0;
    let folders = fs::read_dir(repository().join("events")).expect("the samples are there").flatten();
    for folder in folders.filter(|folder| folder.path().is_dir()) {
        let remediation = folder.file_name().to_string_lossy().into_owned();
        for file in fs::read_dir(folder.path()).expect("the folder can be read").flatten() {
            let name = file.path().file_stem().expect("a file has a name").to_string_lossy().into_owned();
            let text = fs::read_to_string(file.path()).expect("the sample can be read");
            // The role's name has a random ending in every account.
            let text = text
                .replace("arn:aws:iam::111122223333:role/rescind-SecurityGroupsRole-EXAMPLE", role("security-groups"))
                .replace("arn:aws:iam::111122223333:role/rescind-InstancesRole-EXAMPLE", role("instances"))
                .replace("arn:aws:iam::111122223333:role/rescind-IdentityRole-EXAMPLE", role("identity"));
            // A rule hears of its own account alone.
            let text = text.replace("111122223333", &world.account.id);
            let event: Value = serde_json::from_str(&text).expect("the sample is JSON");
            let mut matched: Vec<String> =
                delivery::deliver(&world.account, &event).await.into_iter().map(|delivered| delivered.rule).collect();
            matched.sort();
            assert_eq!(matched, meant_for(&remediation, &name), "{remediation}/{name}");
            tried += 1;
        }
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
