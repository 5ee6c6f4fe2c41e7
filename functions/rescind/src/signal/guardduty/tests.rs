use proptest::prelude::*;
use serde_json::{Value, json};

use crate::Outcome;
use crate::signal::{self, Contact, Direction, Fact, Finding, Proof, Role, Severity, Signal};
use crate::text::{LONGEST, clean};

const ACCOUNT: &str = "111122223333";
const REGION: &str = "eu-central-1";

/// An event as a delegated administrator of another account gets it.
fn event(detail: &Value) -> Value {
    json!({
        "detail-type": "GuardDuty Finding", "source": "aws.guardduty", "account": "999999999999", "id": "e1",
        "time": "2026-11-24T09:30:00Z", "region": "us-east-1", "detail": detail,
    })
}

fn decode(detail: &Value) -> Result<Signal, String> {
    signal::decode(event(detail)).map(|delivery| delivery.signal).map_err(|error| error.to_string())
}

fn finding(detail: &Value) -> Finding {
    let Fact::Finding(finding) = decode(detail).unwrap().fact else { panic!("no finding") };
    *finding
}

fn bare() -> Value {
    json!({"id": "f1", "type": "UnauthorizedAccess:EC2/SSHBruteForce", "accountId": ACCOUNT, "region": REGION})
}

fn with(name: &str, value: Value) -> Value {
    let mut detail = bare();
    detail[name] = value;
    detail
}

/// A finding about an instance, as EventBridge delivers it.
fn brute_force() -> Value {
    json!({
        "schemaVersion": "2.0", "accountId": ACCOUNT, "region": REGION, "partition": "aws", "id": "f1",
        "arn": "arn:aws:guardduty:eu-central-1:111122223333:detector/d1/finding/f1",
        "type": "UnauthorizedAccess:EC2/SSHBruteForce", "severity": 8.2, "title": "<b>198.51.100.7 guesses",
        "createdAt": "2026-11-23T09:00:00.000Z", "updatedAt": "2026-11-24T09:00:00.000Z",
        "resource": {
            "resourceType": "Instance",
            "instanceDetails": {"instanceId": "i-1", "networkInterfaces": [{"securityGroups": [{"groupId": "sg-1"}]}]},
        },
        "service": {
            "archived": false, "resourceRole": "TARGET", "additionalInfo": {"value": "{}", "type": "default"},
            "action": {"actionType": "NETWORK_CONNECTION", "networkConnectionAction": {
                "connectionDirection": "INBOUND", "protocol": "TCP", "blocked": false,
                "localPortDetails": {"port": 22, "portName": "SSH"},
                "remoteIpDetails": {"ipAddressV4": "198.51.100.7", "ipAddressV6": "2001:db8::7"},
            }},
        },
    })
}

/// The API's form of it: every name with a capital first letter.
fn with_capitals(value: &Value) -> Value {
    match value {
        Value::Object(map) => map.iter().map(|(name, inner)| (capital(name), with_capitals(inner))).collect(),
        Value::Array(list) => list.iter().map(with_capitals).collect(),
        other => other.clone(),
    }
}

fn capital(name: &str) -> String {
    let mut letters = name.chars();
    letters.next().into_iter().map(|first| first.to_ascii_uppercase()).chain(letters).collect()
}

/// Kinds, ids and roles.
fn named(finding: &Finding) -> Vec<(&str, &str, Role)> {
    let each = finding.resources.iter();
    each.map(|one| (one.resource.kind.as_str(), one.resource.id.as_str(), one.role)).collect()
}

#[test]
fn a_finding_is_of_its_own_account_and_region_and_stays_the_same_when_updated() {
    let signal = decode(&brute_force()).unwrap();
    assert_eq!((signal.id.as_str(), signal.account.as_str(), signal.region.as_str()), ("f1", ACCOUNT, REGION));
    assert_eq!((signal.source(), signal.name()), ("guardduty", "UnauthorizedAccess:EC2/SSHBruteForce"));
    assert_eq!(signal.time.to_rfc3339(), "2026-11-24T09:00:00+00:00");
    assert_eq!(signal.actor(), None);
    let mut later = brute_force();
    later["updatedAt"] = json!("2026-11-24T15:00:00.000Z");
    later["severity"] = json!(9);
    let later = decode(&later).unwrap();
    assert!(later.time > signal.time);
    let outcome = |signal: &Signal| {
        let Fact::Finding(finding) = &signal.fact else { panic!("no finding") };
        Outcome::id_of(signal, "isolate-instance", &finding.resources[0].resource)
    };
    assert_eq!(outcome(&signal), outcome(&later));
}

#[test]
fn what_a_remedy_needs_is_read() {
    let finding = finding(&brute_force());
    assert_eq!(finding.severity, Severity::of_number(8.2));
    assert_eq!(finding.title, "(b)198.51.100.7 guesses");
    assert_eq!(finding.calls_for_nothing(), None);
    assert_eq!(named(&finding), [("AWS::EC2::Instance", "i-1", Role::Target)]);
    let contact = |address: &str| Contact {
        address: address.parse().ok(),
        local_port: Some(22),
        protocol: Some("TCP".to_owned()),
        direction: Some(Direction::Inbound),
        proof: Proof::Answered,
    };
    assert_eq!(finding.contacts, [contact("198.51.100.7"), contact("2001:db8::7")]);
    assert_eq!(finding.unread, Vec::<String>::new());
}

#[test]
fn both_ways_of_writing_names_say_the_same() {
    let [small, large] = [brute_force(), with_capitals(&brute_force())].map(|detail| decode(&detail).unwrap());
    let alike = |signal: Signal| {
        let Fact::Finding(finding) = signal.fact.clone() else { panic!("no finding") };
        let finding = Finding { detail: Value::Null, ..*finding };
        Signal { fact: Fact::Finding(Box::new(finding)), ..signal }
    };
    assert_eq!(alike(small), alike(large));
}

#[test]
fn what_has_to_be_there_is_named_as_the_finding_spells_it() {
    for (name, value, says) in [
        ("id", Value::Null, "`detail.id` is missing"),
        ("id", json!("a\nb"), "`detail.id` is `a b`"),
        ("type", json!(""), "`detail.type` is missing"),
        ("accountId", Value::Null, "`detail.accountId` is missing"),
        ("accountId", json!("1234567891234"), "`detail.accountId` is `1234567891234`"),
        ("region", Value::Null, "`detail.region` is missing"),
        ("region", json!("evil.example/"), "`detail.region` is `evil.example/`"),
    ] {
        let message = decode(&with(name, value)).unwrap_err();
        assert!(message.starts_with(says), "{message}");
    }
    let mut large = with_capitals(&bare());
    large["AccountId"] = json!(5);
    let message = decode(&large).unwrap_err();
    assert!(message.starts_with("`detail.AccountId` is the number 5"), "{message}");
}

#[test]
fn times_are_read_as_attack_sequences_write_them_and_strange_ones_are_the_events() {
    for (text, time) in [
        ("2025-02-25 20:40:06.721", "2025-02-25T20:40:06.721+00:00"),
        ("2025-02-25 20:40:06", "2025-02-25T20:40:06+00:00"),
        ("2025-10-01T18:19:28.470Z", "2025-10-01T18:19:28.470+00:00"),
        ("+10000-01-01T00:00:00Z", "2026-11-24T09:30:00+00:00"),
        ("yesterday", "2026-11-24T09:30:00+00:00"),
    ] {
        assert_eq!(decode(&with("updatedAt", json!(text))).unwrap().time.to_rfc3339(), time, "{text}");
    }
}

#[test]
fn samples_and_what_was_laid_aside_call_for_nothing() {
    for service in [
        json!({"additionalInfo": {"sample": true}}),
        json!({"additionalInfo": {"type": "default", "value": "{\"sample\":true,\"x\":1}"}}),
        json!({"additionalInfo": {"sample": {}}}),
    ] {
        assert_eq!(finding(&with("service", service)).calls_for_nothing(), Some("the finding is a sample"));
    }
    let titled = finding(&with("title", json!("[SAMPLE] Something")));
    assert!(titled.is_sample);
    for archived in [json!(true), json!("true"), json!(1), json!({})] {
        let finding = finding(&with("service", json!({"archived": archived})));
        assert_eq!(finding.calls_for_nothing(), Some("the finding is archived"));
    }
    let plain = json!({"archived": "false", "additionalInfo": {"sample": false, "value": "{\"sample\":false}"}});
    assert_eq!(finding(&with("service", plain)).calls_for_nothing(), None);
    // Whoever can have a name of theirs in a title does not make it a sample by that.
    assert!(!finding(&with("title", json!("The user [SAMPLE] did something"))).is_sample);
}

#[test]
fn each_kind_of_resource_is_found() {
    let own = |service: &str, rest: &str| format!("arn:aws:{service}:{REGION}:{ACCOUNT}:{rest}");
    let cases = [
        ("AccessKey", json!({"accessKeyDetails": {"accessKeyId": "AKIA1"}}), vec![("AWS::IAM::AccessKey", "AKIA1")]),
        (
            "AccessKey",
            json!({"accessKeyDetails": {"userType": "IAMUser", "userName": "alice"}}),
            vec![("AWS::IAM::User", "alice")],
        ),
        (
            "S3Object",
            json!({"s3BucketDetails": [{"name": "data", "s3ObjectDetails": [{"objectArn": "arn:aws:s3:::data/a/b"}]}]}),
            vec![("AWS::S3::Bucket", "data"), ("AWS::S3::Object", "data/a/b")],
        ),
        (
            "EKSCluster",
            json!({"eksClusterDetails": {"name": "shop", "arn": own("eks", "cluster/shop")}}),
            vec![("AWS::EKS::Cluster", "shop")],
        ),
        (
            "ECSCluster",
            json!({"ecsClusterDetails": {"arn": own("ecs", "cluster/c"), "taskDetails": {"arn": own("ecs", "task/c/t")}}}),
            vec![
                ("AWS::ECS::Cluster", "arn:aws:ecs:eu-central-1:111122223333:cluster/c"),
                ("AWS::ECS::Task", "arn:aws:ecs:eu-central-1:111122223333:task/c/t"),
            ],
        ),
        (
            "Lambda",
            json!({"lambdaDetails": {"functionArn": own("lambda", "function:pay:3")}}),
            vec![("AWS::Lambda::Function", "pay")],
        ),
        (
            "RDSDBInstance",
            json!({"rdsDbInstanceDetails": {"dbInstanceIdentifier": "db", "dbInstanceArn": own("rds", "db:db")}}),
            vec![("AWS::RDS::DBInstance", "db")],
        ),
        (
            "RDSLimitlessDB",
            json!({"rdsLimitlessDbDetails": {"dbShardGroupIdentifier": "shards"}}),
            vec![("AWS::RDS::DBShardGroup", "shards")],
        ),
        (
            "Instance",
            json!({
                "instanceDetails": {"instanceId": "i-1"},
                "ebsVolumeDetails": {"scannedVolumeDetails": [{"volumeArn": own("ec2", "volume/vol-1")}]},
            }),
            vec![("AWS::EC2::Instance", "i-1"), ("AWS::EC2::Volume", "vol-1")],
        ),
        (
            "EBSSnapshot",
            json!({"ebsSnapshotDetails": {"snapshotArn": "arn:aws:ec2:eu-central-1::snapshot/snap-1"}}),
            vec![("AWS::EC2::Snapshot", "snap-1")],
        ),
    ];
    for (about, mut resource, expected) in cases {
        resource["resourceType"] = json!(about);
        for resource in [resource.clone(), with_capitals(&resource)] {
            let finding = finding(&with("resource", resource));
            let found: Vec<(&str, &str)> = named(&finding).iter().map(|(kind, id, _)| (*kind, *id)).collect();
            assert_eq!(found, expected, "{about}");
            assert_eq!(finding.unread, Vec::<String>::new(), "{about}");
        }
    }
}

#[test]
fn what_the_finding_is_not_about_stands_beside() {
    let resource = json!({
        "resourceType": "AccessKey", "instanceDetails": {"instanceId": "i-1"},
        "accessKeyDetails": {"accessKeyId": "ASIA1", "principalId": "AROA1:i-1", "userName": "web", "userType": "Role"},
    });
    let finding = finding(&with("resource", resource));
    assert_eq!(
        named(&finding),
        [("AWS::EC2::Instance", "i-1", Role::Beside), ("AWS::IAM::AccessKey", "ASIA1", Role::Untold)]
    );
    let holder = finding.resources[1].holder.as_ref().unwrap();
    assert_eq!(holder.principal.as_deref(), Some("AROA1:i-1"));
}

#[test]
fn what_is_not_understood_or_is_of_another_account_is_told() {
    let resource = json!({
        "resourceType": "Satellite\"", "satelliteDetails": {}, "lambdaDetails": {
            "functionName": "pay", "functionArn": "arn:aws:lambda:eu-central-1:444455556666:function:pay",
        },
        "rdsDbInstanceDetails": {"dbInstanceIdentifier": "db", "dbInstanceArn": "arn:aws:rds:us-east-1:111122223333:db:db"},
        "s3BucketDetails": [{}], "instanceDetails": {"instanceId": "i\n1"},
    });
    let finding = finding(&with("resource", resource));
    assert_eq!(named(&finding), []);
    assert_eq!(
        finding.unread,
        [
            "AWS::EC2::Instance `i 1`, which is no id",
            "AWS::S3::Bucket without an id",
            "AWS::Lambda::Function `arn:aws:lambda:eu-central-1:444455556666:function:pay` of another account or region",
            "AWS::RDS::DBInstance `arn:aws:rds:us-east-1:111122223333:db:db` of another account or region",
            "the resource type `Satellite'`",
            "the field `satelliteDetails`",
        ]
    );
}

#[test]
fn an_attack_sequence_names_several_resources() {
    let detail = json!({
        "resource": {"resourceType": "AttackSequence"},
        "service": {"resourceRole": "TARGET", "detection": {"sequence": {
            "uid": "s1",
            "actors": [{"id": "USER:AROA1", "user": {"name": "web", "credentialUid": "ASIA1", "type": "AssumedRole"}}],
            "resources": [
                {"uid": "ASIA1", "resourceType": "ACCESS_KEY", "accountId": ACCOUNT, "region": REGION,
                 "data": {"accessKey": {"principalId": "AROA1:s", "userName": "web", "userType": "Role"}}},
                {"uid": "arn:aws:s3:::data", "name": "data", "resourceType": "S3_BUCKET", "accountId": ACCOUNT},
                {"uid": "i-1", "resourceType": "EC2_INSTANCE", "region": REGION},
                {"uid": "i-1", "resourceType": "EC2_INSTANCE"},
                {"uid": "i-2", "resourceType": "EC2_INSTANCE", "accountId": "444455556666"},
                {"uid": "i-3", "resourceType": "EC2_INSTANCE", "region": "us-east-1"},
                {"uid": "w", "resourceType": "KUBERNETES_WORKLOAD"},
            ],
            "endpoints": [{"id": "e", "ip": "198.51.100.7", "port": 4040, "connection": {"direction": "INBOUND"}}],
        }}},
    });
    let mut whole = bare();
    whole.as_object_mut().unwrap().extend(detail.as_object().unwrap().clone());
    for whole in [with_capitals(&whole), whole] {
        let finding = finding(&whole);
        assert_eq!(
            named(&finding),
            [
                ("AWS::IAM::AccessKey", "ASIA1", Role::Actor),
                ("AWS::S3::Bucket", "data", Role::Untold),
                ("AWS::EC2::Instance", "i-1", Role::Untold),
            ]
        );
        assert_eq!(finding.resources[0].holder.as_ref().unwrap().name.as_deref(), Some("web"));
        assert_eq!(finding.contacts.len(), 1);
        assert_eq!(
            finding.unread,
            [
                "AWS::EC2::Instance `i-2` of another account or region",
                "AWS::EC2::Instance `i-3` of another account or region",
                "the KUBERNETES_WORKLOAD `w`",
            ]
        );
    }
}

#[test]
fn who_called_is_told_with_how_sure_it_is() {
    let remote = json!({"ipAddressV4": "198.51.100.7"});
    let connection = |protocol: &str, blocked: bool| json!({"networkConnectionAction": {"protocol": protocol, "blocked": blocked, "remoteIpDetails": remote}});
    for (kind, action, proof) in [
        ("UnauthorizedAccess:EC2/SSHBruteForce", connection("TCP", false), Proof::Answered),
        ("UnauthorizedAccess:EC2/SSHBruteForce", connection("TCP", true), Proof::Forgeable),
        ("UnauthorizedAccess:EC2/TorClient", connection("TCP", false), Proof::Unproven),
        ("UnauthorizedAccess:EC2/TorClient", connection("UDP", false), Proof::Forgeable),
        ("x", json!({"portProbeAction": {"portProbeDetails": [{"remoteIpDetails": remote}]}}), Proof::Forgeable),
        ("x", json!({"awsApiCallAction": {"api": "x", "remoteIpDetails": remote}}), Proof::Answered),
        ("x", json!({"rdsLoginAttemptAction": {"remoteIpDetails": remote}}), Proof::Answered),
        ("x", json!({"kubernetesApiCallAction": {"remoteIpDetails": remote}}), Proof::Unproven),
    ] {
        let mut detail = with("service", json!({"action": action}));
        detail["type"] = json!(kind);
        let told: Vec<Proof> = finding(&detail).contacts.iter().map(|contact| contact.proof).collect();
        assert_eq!(told, [proof], "{kind} {action}");
    }
}

/// Names that the decoder looks for, in both spellings, and others.
fn name() -> impl Strategy<Value = String> {
    prop::sample::select(vec![
        "resource",
        "Resource",
        "service",
        "Service",
        "action",
        "Action",
        "detection",
        "sequence",
        "actors",
        "resources",
        "endpoints",
        "user",
        "data",
        "accessKey",
        "uid",
        "ip",
        "severity",
        "Severity",
        "updatedAt",
        "title",
        "archived",
        "additionalInfo",
        "sample",
        "value",
        "resourceType",
        "ResourceType",
        "resourceRole",
        "instanceDetails",
        "instanceId",
        "accessKeyDetails",
        "accessKeyId",
        "userType",
        "userName",
        "s3BucketDetails",
        "s3ObjectDetails",
        "objectArn",
        "name",
        "arn",
        "lambdaDetails",
        "functionArn",
        "networkConnectionAction",
        "portProbeAction",
        "portProbeDetails",
        "remoteIpDetails",
        "RemoteIpDetails",
        "ipAddressV4",
        "localPortDetails",
        "port",
        "protocol",
        "blocked",
        "accountId",
        "region",
        "items",
        "customDetectionRuleName",
        "unheardOf",
    ])
    .prop_map(str::to_owned)
}

fn any_json() -> impl Strategy<Value = Value> {
    let words = prop::sample::select(vec![
        "Instance",
        "AttackSequence",
        "EC2_INSTANCE",
        "ACCESS_KEY",
        "S3_BUCKET",
        "IAMUser",
        "TCP",
        "INBOUND",
        "ACTOR",
        "i-1",
        "198.51.100.7",
        "arn:aws:lambda:us-east-1:444455556666:function:x",
        "arn:aws:s3:::x",
        "arn:",
        ACCOUNT,
        "444455556666",
        REGION,
        "us-east-1",
        "\u{202e}\u{1b}\"<\\",
        "{\"sample\":{}}",
        "",
    ]);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        words.prop_map(Value::from),
        ".{0,500}".prop_map(Value::from),
    ];
    leaf.prop_recursive(7, 200, 8, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::vec((name(), inner), 0..8).prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

/// Resources and services in which each field may be anything, and so may those of a real one.
fn details() -> impl Strategy<Value = Value> {
    let strange = (any_json(), any_json(), any_json(), any_json());
    let whole = strange.prop_map(|(resource, service, severity, title)| {
        json!({"resource": resource, "service": service, "severity": severity, "title": title})
    });
    let sequence = any_json().prop_map(|sequence| json!({"service": {"detection": {"sequence": sequence}}}));
    let one = (any_json(), any_json()).prop_map(|(one, other)| json!({
        "resource": {"resourceType": "Lambda", "lambdaDetails": one, "s3BucketDetails": [other]},
        "service": {"detection": {"sequence": {"resources": [one, other]}}, "action": {"networkConnectionAction": one}},
    }));
    prop_oneof![whole, sequence, one, any_json()]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn with_its_id_type_account_and_region_a_finding_is_decoded_whatever_else_it_holds(
        details in details(), capitals in any::<bool>(), kind in "[ -~]{1,60}",
    ) {
        let mut detail = details.as_object().cloned().unwrap_or_default();
        let own = json!({"id": "f1", "type": kind, "accountId": ACCOUNT, "region": REGION});
        let own = if capitals { with_capitals(&own) } else { own };
        if capitals {
            for name in ["id", "type", "accountId", "region"] {
                detail.remove(name);
            }
        }
        detail.extend(own.as_object().unwrap().clone());
        let signal = decode(&Value::Object(detail));
        prop_assert!(signal.is_ok(), "{signal:?}");
        let signal = signal.unwrap();
        prop_assert_eq!((signal.id.as_str(), signal.account.as_str(), signal.region.as_str()), ("f1", ACCOUNT, REGION));
        let Fact::Finding(finding) = &signal.fact else { panic!("no finding") };
        // What is repeated is clean.
        for text in finding.unread.iter().chain([&finding.title]).chain(&finding.custom_rule) {
            prop_assert_eq!(&clean(text, LONGEST + 1), text);
        }
        let advice = crate::findings::advice(finding);
        prop_assert_eq!(clean(&advice.reason, 1000), advice.reason.as_ref());
        // Nothing of another account or region is named, and each resource once.
        for (index, one) in finding.resources.iter().enumerate() {
            let resource = &one.resource;
            prop_assert_eq!((resource.account.as_str(), resource.region.as_str()), (ACCOUNT, REGION));
            prop_assert!(!resource.id.contains("444455556666") || !resource.id.starts_with("arn:"), "{resource:?}");
            prop_assert!(finding.resources[..index].iter().all(|other| other.resource != *resource));
            let outcome = serde_json::to_value(Outcome::begin(&signal, "x", resource)).unwrap();
            prop_assert_eq!(clean(outcome["resource"]["id"].as_str().unwrap(), 1000), outcome["resource"]["id"].as_str().unwrap());
        }
    }
}
