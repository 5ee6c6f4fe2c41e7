//! Which samples the template's patterns let through, decided by the emulator's own matching.

use std::fs;

use rescind_tests::{World, repository};
use serde_json::Value;

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
    let own_role = &world.account.deployed.functions["security-groups"].role_arn;
    let mut tried = 0;
    let folders = fs::read_dir(repository().join("events")).expect("the samples are there").flatten();
    for folder in folders.filter(|folder| folder.path().is_dir()) {
        let remediation = folder.file_name().to_string_lossy().into_owned();
        for file in fs::read_dir(folder.path()).expect("the folder can be read").flatten() {
            let name = file.path().file_stem().expect("a file has a name").to_string_lossy().into_owned();
            let text = fs::read_to_string(file.path()).expect("the sample can be read");
            // The role's name has a random ending in every account.
            let text = text.replace("arn:aws:iam::111122223333:role/rescind-SecurityGroupsRole-EXAMPLE", own_role);
            let event: Value = serde_json::from_str(&text).expect("the sample is JSON");
            let mut matched: Vec<String> =
                world.route(&event).await.into_iter().map(|delivered| delivered.rule).collect();
            matched.sort();
            assert_eq!(matched, meant_for(&remediation, &name), "{remediation}/{name}");
            tried += 1;
        }
    }
    assert!(tried > 40, "{tried} samples");
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
