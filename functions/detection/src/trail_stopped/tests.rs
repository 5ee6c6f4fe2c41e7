use rescind_lambda::testing;

use super::*;
use serde_json::Value;

const ARN: &str = "arn:aws:cloudtrail:eu-central-1:111122223333:trail/audit";

fn signal(request: &Value, caller: &str) -> Signal {
    let event = json!({
        "detail-type": "AWS API Call via CloudTrail", "source": "aws.cloudtrail", "account": "111122223333",
        "time": "2026-11-24T09:30:00Z", "region": "eu-central-1",
        "detail": {"eventName": "StopLogging", "eventSource": "cloudtrail.amazonaws.com", "eventID": "e1",
            "requestParameters": request, "responseElements": null, "userIdentity": {"type": "IAMUser", "arn": caller}},
    });
    rescind::signal::decode(event).unwrap().signal
}

fn heard(request: &Value) -> Heard<Arn> {
    TrailStopped.listen(&signal(request, "arn:aws:iam::111122223333:user/mallory")).remove(0)
}

fn about(name: &str) -> (Resource, Arn) {
    match heard(&json!({"name": name})) {
        Heard::About { resource, target } => (resource, target),
        other => panic!("{other:?}"),
    }
}

fn assess(name: &str, state: &Standing) -> Assessment<String> {
    testing::judged(&TrailStopped, &about(name), state, &[]).unwrap().0
}

#[test]
fn a_name_and_an_arn_are_the_same_trail() {
    assert_eq!(about("audit"), about(ARN));
    let (resource, target) = about("audit");
    assert_eq!((resource.id.as_str(), resource.region.as_str(), target.as_str()), ("audit", "eu-central-1", ARN));
}

#[test]
fn the_home_region_is_that_of_the_arn() {
    let (resource, _) = about("arn:aws:cloudtrail:us-east-1:111122223333:trail/audit");
    assert_eq!((resource.id.as_str(), resource.region.as_str()), ("audit", "us-east-1"));
}

#[test]
fn the_partition_is_that_of_the_caller() {
    let signal = signal(&json!({"name": "audit"}), "arn:aws-cn:iam::111122223333:user/mallory");
    let Heard::About { target, .. } = TrailStopped.listen(&signal).remove(0) else { panic!("about a trail") };
    assert_eq!(target.partition(), "aws-cn");
}

#[test]
fn a_trail_of_another_account_is_reported_and_never_started() {
    let name = "arn:aws:cloudtrail:eu-central-1:444455556666:trail/organization";
    let (resource, target) = about(name);
    assert_eq!((resource.account.as_str(), target.account()), ("111122223333", "444455556666"));
    let state = TrailStopped.state_of_event(&resource, &target, None).unwrap();
    for state in [state, trail::standing()] {
        assert!(matches!(assess(name, &state), Assessment::Report { reason, .. } if reason.contains("444455556666")));
    }
}

#[test]
fn what_records_again_is_safe_and_what_is_gone_is_told() {
    let logging = |is_logging: bool| trail::standing().fact(LOGGING, is_logging);
    assert!(matches!(assess("audit", &logging(false)), Assessment::Risky { .. }));
    assert!(matches!(assess("audit", &logging(true)), Assessment::AlreadySafe { .. }));
    assert!(matches!(assess("audit", &trail::standing()), Assessment::Report { .. }));
}

#[test]
fn what_tells_no_trail_is_not_guessed() {
    for request in [
        json!(null),
        json!({}),
        json!({"name": ""}),
        json!({"name": 5}),
        json!("HIDDEN_DUE_TO_SECURITY_REASONS"),
        json!({"name": "arn:aws:cloudtrail"}),
        json!({"name": "arn:aws:cloudtrail:evil.example/:111122223333:trail/audit"}),
        json!({"name": "arn:aws:cloudtrail:eu-central-1::trail/audit"}),
        json!({"name": "a b"}),
    ] {
        assert!(matches!(heard(&request), Heard::Unreadable { .. }), "{request}");
    }
}
