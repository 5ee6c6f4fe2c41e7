use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::signal::{self, Fact};

/// The types that GuardDuty's documentation lists, one on each line.
const LISTED: &str = include_str!("types.txt");

fn listed() -> Vec<&'static str> {
    LISTED.lines().filter(|line| !line.starts_with('#')).collect()
}

fn finding(kind: &str, resource: &Value, service: &Value) -> Finding {
    let event = json!({
        "detail-type": "GuardDuty Finding", "source": "aws.guardduty", "account": "111122223333",
        "time": "2026-11-24T09:30:00Z", "region": "eu-central-1", "detail": {
            "id": "f1", "type": kind, "accountId": "111122223333", "region": "eu-central-1", "severity": 8,
            "resource": resource, "service": service,
        },
    });
    let Fact::Finding(finding) = signal::decode(event).unwrap().signal.fact else { panic!("{kind} is no finding") };
    *finding
}

fn instance() -> Value {
    json!({"resourceType": "Instance", "instanceDetails": {"instanceId": "i-1"}})
}

fn connection(role: &str, direction: &str, protocol: &str) -> Value {
    json!({"resourceRole": role, "action": {"networkConnectionAction": {
        "connectionDirection": direction, "protocol": protocol, "localPortDetails": {"port": 22},
        "remoteIpDetails": {"ipAddressV4": "198.51.100.7"},
    }}})
}

/// The remediations that a finding calls, each with its resources' ids.
fn called(finding: &Finding) -> Vec<(&'static str, Vec<&str>)> {
    let remediations: BTreeSet<&str> =
        ROWS.iter().flat_map(|row| row.responses).filter_map(|r| r.remediation()).collect();
    let resources = |name| resources_for(name, finding).iter().map(|one| one.resource.id.as_str()).collect::<Vec<_>>();
    remediations.into_iter().map(|name| (name, resources(name))).filter(|(_, ids)| !ids.is_empty()).collect()
}

#[test]
fn the_table_has_each_listed_type_once_and_no_other() {
    let listed = listed();
    let rows: Vec<&str> = ROWS.iter().flat_map(|row| row.kinds).copied().collect();
    let set = |types: &[&'static str]| types.iter().copied().collect::<BTreeSet<_>>();
    assert_eq!(set(&listed), set(&rows));
    assert_eq!((listed.len(), rows.len()), (set(&listed).len(), set(&rows).len()), "a type stands there twice");
}

#[test]
fn each_row_says_something_and_why() {
    for row in ROWS {
        assert!(!row.responses.is_empty() && !row.kinds.is_empty(), "{row:?}");
        assert!((10..=120).contains(&row.reason.len()) && clean(row.reason, 120) == row.reason, "{row:?}");
        let tells_only = row.responses.contains(&Response::Tell);
        assert!(!tells_only || row.responses.len() == 1, "{row:?}");
    }
}

#[test]
fn who_guesses_is_isolated_and_whose_password_is_guessed_is_not() {
    let kind = "UnauthorizedAccess:EC2/SSHBruteForce";
    let actor = finding(kind, &instance(), &connection("ACTOR", "OUTBOUND", "TCP"));
    assert_eq!(called(&actor), [("isolate-instance", vec!["i-1"])]);
    let target = finding(kind, &instance(), &connection("TARGET", "INBOUND", "TCP"));
    assert_eq!(called(&target), [("block-address", vec!["i-1"]), ("open-security-group-ingress", vec!["i-1"])]);
    let untold = finding(kind, &instance(), &json!({}));
    assert_eq!(called(&untold), [("open-security-group-ingress", vec!["i-1"])]);
}

#[test]
fn a_scanned_instance_is_closed_and_nobody_is_blocked_for_it() {
    let probe = json!({"resourceRole": "TARGET", "action": {"portProbeAction": {"portProbeDetails": [
        {"localPortDetails": {"port": 22}, "remoteIpDetails": {"ipAddressV4": "198.51.100.7"}},
    ]}}});
    let finding = finding("Recon:EC2/PortProbeUnprotectedPort", &instance(), &probe);
    assert_eq!(called(&finding), [("open-security-group-ingress", vec!["i-1"])]);
    assert_eq!(callers(&finding).count(), 0);
}

#[test]
fn who_only_called_on_an_instance_does_not_get_it_isolated() {
    for kind in ["Trojan:EC2/DropPoint", "Backdoor:EC2/C&CActivity.B", "UnauthorizedAccess:EC2/TorRelay"] {
        let called_upon = finding(kind, &instance(), &connection("TARGET", "INBOUND", "TCP"));
        assert_eq!(called(&called_upon), [], "{kind}");
        // So has GuardDuty itself those who talk to a drop point.
        let calls = finding(kind, &instance(), &connection("TARGET", "OUTBOUND", "TCP"));
        assert_eq!(called(&calls), [("isolate-instance", vec!["i-1"])], "{kind}");
    }
    let malware = finding("Execution:EC2/MaliciousFile", &instance(), &json!({"featureName": "EbsVolumeScan"}));
    assert_eq!(called(&malware), [("isolate-instance", vec!["i-1"])]);
}

#[test]
fn who_asks_for_a_hostile_name_acts_though_guardduty_calls_it_the_target() {
    let asks = |role: &str| json!({"resourceRole": role, "action": {"actionType": "DNS_REQUEST", "dnsRequestAction": {"domain": "x.example"}}});
    for kind in ["Trojan:EC2/DropPoint!DNS", "Trojan:EC2/DriveBySourceTraffic!DNS", "Backdoor:EC2/C&CActivity.B!DNS"] {
        for role in ["TARGET", "ACTOR"] {
            let asked = finding(kind, &instance(), &asks(role));
            assert_eq!(called(&asked), [("isolate-instance", vec!["i-1"])], "{kind} {role}");
        }
    }
    // Whoever has a name looked up can make it ask for that one.
    let rebound = finding("UnauthorizedAccess:EC2/MetadataDNSRebind", &instance(), &asks("TARGET"));
    assert_eq!(called(&rebound), []);
}

#[test]
fn an_ipv4_address_written_as_ipv6_is_that_ipv4_address() {
    let kind = "UnauthorizedAccess:EC2/SSHBruteForce";
    let mut mapped = connection("TARGET", "INBOUND", "TCP");
    mapped["action"]["networkConnectionAction"]["remoteIpDetails"] = json!({"ipAddressV6": "::ffff:10.0.0.1"});
    let finding = finding(kind, &instance(), &mapped);
    assert_eq!(callers(&finding).map(|(address, _)| address.to_string()).collect::<Vec<_>>(), ["10.0.0.1"]);
}

#[test]
fn what_may_be_forged_blocks_nobody() {
    let kind = "UnauthorizedAccess:EC2/MaliciousIPCaller.Custom";
    for protocol in ["UDP", "ICMP", ""] {
        assert_eq!(called(&finding(kind, &instance(), &connection("TARGET", "INBOUND", protocol))), [], "{protocol}");
    }
    let by_tcp = finding(kind, &instance(), &connection("TARGET", "INBOUND", "TCP"));
    assert_eq!(called(&by_tcp), [("block-address", vec!["i-1"])]);
    assert_eq!(callers(&by_tcp).collect::<Vec<_>>(), [("198.51.100.7".parse().unwrap(), Proof::Unproven)]);
}

#[test]
fn whom_an_instance_calls_is_not_blocked() {
    // Or whoever is on the instance could have anybody blocked.
    let kind = "UnauthorizedAccess:EC2/MaliciousIPCaller.Custom";
    for role in ["ACTOR", "TARGET"] {
        let calls = finding(kind, &instance(), &connection(role, "OUTBOUND", "TCP"));
        assert_eq!(called(&calls), [("isolate-instance", vec!["i-1"])]);
        assert_eq!(callers(&calls).count(), 0);
    }
}

#[test]
fn the_node_of_a_cluster_is_not_cut_off_and_the_caller_of_a_bucket_is() {
    let mut cluster = json!({"resourceType": "EKSCluster", "eksClusterDetails": {"name": "shop"}});
    cluster["instanceDetails"] = json!({"instanceId": "i-1"});
    let mined = finding("CryptoCurrency:Runtime/BitcoinTool.B", &cluster, &json!({"resourceRole": "TARGET"}));
    assert_eq!(called(&mined), []);
    let bucket = json!({
        "resourceType": "S3Bucket", "s3BucketDetails": [{"name": "data", "arn": "arn:aws:s3:::data"}],
        "accessKeyDetails": {"accessKeyId": "AKIA1", "userName": "alice"},
    });
    let read = finding("Exfiltration:S3/MaliciousIPCaller", &bucket, &json!({"resourceRole": "TARGET"}));
    assert_eq!(called(&read), [("credentials-compromised", vec!["AKIA1"])]);
    let opened = finding("Policy:S3/BucketPublicAccessGranted", &bucket, &json!({"resourceRole": "TARGET"}));
    assert_eq!(called(&opened), [("bucket-public-access-block-removed", vec!["data"])]);
}

#[test]
fn an_attack_sequence_calls_for_each_of_its_resources() {
    let sequence = json!({"resourceRole": "TARGET", "detection": {"sequence": {
        "actors": [{"user": {"credentialUid": "ASIA1"}}],
        "resources": [
            {"resourceType": "EC2_INSTANCE", "uid": "i-1"},
            {"resourceType": "EC2_INSTANCE", "uid": "arn:aws:ec2:eu-central-1:111122223333:instance/i-2"},
            {"resourceType": "ACCESS_KEY", "uid": "ASIA1"},
            {"resourceType": "EC2_VPC", "uid": "vpc-1"},
        ],
    }}});
    let about = json!({"resourceType": "AttackSequence"});
    let instances = finding("AttackSequence:EC2/CompromisedInstanceGroup", &about, &sequence);
    assert_eq!(
        called(&instances),
        [("credentials-compromised", vec!["ASIA1"]), ("isolate-instance", vec!["i-1", "i-2"])]
    );
    let cluster = finding("AttackSequence:EKS/CompromisedCluster", &about, &sequence);
    assert_eq!(called(&cluster), [("credentials-compromised", vec!["ASIA1"])]);
}

#[test]
fn what_the_table_has_not_is_told() {
    let retired = "PrivilegeEscalation:Kubernetes/PrivilegedContainer";
    for (kind, says) in [
        (retired, "other findings of its family"),
        ("Trojan:EC2/New\"<b>", "other findings of its family"),
        ("Quantum:EC2/Tunnelling", "no such finding"),
        ("Trojan", "no such finding"),
        ("/", "no such finding"),
    ] {
        let advice = advice(&finding(kind, &instance(), &connection("ACTOR", "OUTBOUND", "TCP")));
        assert_eq!((advice.responses, advice.is_listed), (&[Response::Tell][..], false), "{kind}");
        assert!(advice.reason.ends_with(says) && clean(&advice.reason, 400) == advice.reason, "{}", advice.reason);
    }
}

#[test]
fn what_a_rule_of_the_owner_found_is_told_whatever_its_type() {
    let mut found = finding("Execution:EC2/MaliciousFile", &instance(), &json!({}));
    found.custom_rule = Some("mine".to_owned());
    assert_eq!(advice(&found).reason, "the account's own detection rule `mine` found it");
    assert_eq!(called(&found), []);
    // By its type a rule lets it through all the same: the remediation answers why it does nothing.
    assert!(concerns("isolate-instance", &found) && !concerns("block-address", &found));
    let candidates = candidates_for("isolate-instance", &found);
    assert!(matches!(candidates.as_slice(), [(_, false)]), "{candidates:?}");
    assert!(found_by_owner(&found).is_some_and(|why| why.contains("`mine`")));
}

proptest! {
    /// Whatever its type and its details: what is changed is among what it names, and only telling is for everything.
    #[test]
    fn nothing_is_called_for_that_the_finding_does_not_name(
        index in 0..listed().len(), role in "ACTOR|TARGET|x", direction in "INBOUND|OUTBOUND|x", protocol in "TCP|UDP|x",
    ) {
        let named = json!({
            "resourceType": "Instance", "instanceDetails": {"instanceId": "i-1"},
            "accessKeyDetails": {"accessKeyId": "AKIA1"},
        });
        let kind = listed()[index];
        let finding = finding(kind, &named, &connection(&role, &direction, &protocol));
        let called = called(&finding);
        prop_assert!(called.iter().all(|(_, ids)| ids.iter().all(|id| ["i-1", "AKIA1"].contains(id))));
        let has = |name| called.iter().any(|(one, _)| *one == name);
        prop_assert!(!(has("isolate-instance") && has("open-security-group-ingress")), "{kind}: {called:?}");
        prop_assert!(!has("block-address") || (protocol == "TCP" && direction == "INBOUND" && role != "ACTOR"));
        if advice(&finding).responses == [Response::Tell] {
            prop_assert_eq!(called, []);
        }
    }
}
