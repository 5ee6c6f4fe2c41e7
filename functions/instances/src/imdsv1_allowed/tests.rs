use proptest::prelude::*;
use rescind::settings::{Settings, Tags};

use super::*;

fn signal(name: &str, request: &Value, response: &Value) -> Signal {
    let detail = json!({"eventName": name, "eventSource": "ec2.amazonaws.com", "eventID": "e", "requestParameters": request,
        "responseElements": response, "userIdentity": {"type": "Root"}});
    let event = json!({"id": "1", "source": "aws.ec2", "detail-type": "AWS API Call via CloudTrail", "account": "111122223333",
        "time": "2026-11-24T09:00:00Z", "region": "eu-central-1", "detail": detail});
    rescind::signal::decode(event).unwrap().signal
}

fn ids(heard: &[Heard<Target>]) -> Vec<&str> {
    heard.iter().map(|heard| heard.resource().id.as_str()).collect()
}

fn assessed(target: &Target, state: &State) -> (Assessment<TokensOptional>, Plan) {
    let resource = signal("x", &json!({}), &json!({})).resource(instance::KIND, "i-1");
    let common = Settings::parse(&Tags::default(), &[]).unwrap();
    let subject = Subject { resource: &resource, target, state, common: &common, settings: &(), own_roles: &[] };
    let assessment = Imdsv1Allowed.assess(&subject);
    let plan = match &assessment {
        Assessment::Risky { offenders, .. } => Imdsv1Allowed.plan(&subject, offenders),
        _ => Plan::default(),
    };
    (assessment, plan)
}

fn state(tokens: &str, endpoint: &str) -> State {
    let options = Options { tokens: tokens.to_owned(), endpoint: endpoint.to_owned() };
    State { instance: Some(("i-1".to_owned(), options)), tags: Vec::new() }
}

#[test]
fn only_what_takes_the_token_away_or_switches_the_service_on_is_heard() {
    let heard = |request: Value| {
        let nested = json!({"ModifyInstanceMetadataOptionsRequest": request});
        let heard = Imdsv1Allowed.listen(&signal("ModifyInstanceMetadataOptions", &nested, &json!(null)));
        heard.iter().filter(|heard| matches!(heard, Heard::About { .. })).count()
    };
    assert_eq!(heard(json!({"InstanceId": "i-1", "HttpTokens": "optional"})), 1);
    assert_eq!(heard(json!({"InstanceId": "i-1", "HttpEndpoint": "enabled"})), 1);
    assert_eq!(heard(json!({"InstanceId": "i-1", "HttpTokens": "required"})), 0);
    assert_eq!(heard(json!({"InstanceId": "i-1", "HttpPutResponseHopLimit": 2})), 0);
    // A value of tomorrow is looked at.
    assert_eq!(heard(json!({"InstanceId": "i-1", "HttpTokens": "sometimes"})), 1);
}

#[test]
fn what_a_record_does_not_tell_is_told() {
    for (name, request) in [("ModifyInstanceMetadataOptions", json!({})), ("RunInstances", json!({}))] {
        let heard = Imdsv1Allowed.listen(&signal(name, &request, &json!(null)));
        assert!(matches!(heard[..], [Heard::Unreadable { .. }]), "{name}: {heard:?}");
    }
}

#[test]
fn started_instances_are_heard_one_by_one() {
    let items = json!([{"instanceId": "i-1", "metadataOptions": {"httpTokens": "required", "httpEndpoint": "enabled"}},
        {"instanceId": "i-2", "metadataOptions": {"httpTokens": "optional", "httpEndpoint": "enabled"}}, {"instanceId": "i-3"}]);
    let heard = Imdsv1Allowed.listen(&signal("RunInstances", &json!({}), &json!({"instancesSet": {"items": items}})));
    assert_eq!(ids(&heard), ["i-2", "i-3"]);
    let items =
        json!([{"instanceId": "i-1", "metadataOptions": {"httpTokens": "required", "httpEndpoint": "enabled"}}]);
    let heard = Imdsv1Allowed.listen(&signal("RunInstances", &json!({}), &json!({"instancesSet": {"items": items}})));
    assert!(matches!(heard[..], [Heard::Harmless { .. }]), "{heard:?}");
}

#[test]
fn a_service_that_is_switched_off_or_wants_tokens_is_left_alone() {
    for safe in [state("required", "enabled"), state("optional", "disabled"), State::default()] {
        let (assessment, _) = assessed(&Target { told: None }, &safe);
        assert!(matches!(assessment, Assessment::Harmless { .. }), "{assessment:?}");
        let told = Options { tokens: "optional".to_owned(), endpoint: "enabled".to_owned() };
        let (assessment, _) = assessed(&Target { told: Some(told) }, &safe);
        assert!(matches!(assessment, Assessment::AlreadySafe { .. }), "{assessment:?}");
    }
}

proptest! {
    /// The plan makes it safe, its inverse makes it what it was, and once made it is not made again.
    #[test]
    fn doing_and_undoing_leaves_it_as_it_was(tokens in "required|optional|sometimes", endpoint in "enabled|disabled") {
        let before = state(&tokens, &endpoint);
        let (_, plan) = assessed(&Target { told: None }, &before);
        let after = plan.steps.iter().fold(before.clone(), |state, step| state.after(&step.call));
        let (assessment, again) = assessed(&Target { told: None }, &after);
        let is_harmless = matches!(assessment, Assessment::Harmless { .. });
        prop_assert!(is_harmless && again.steps.is_empty());
        let back = plan.steps.iter().filter_map(|step| step.inverse.as_ref());
        prop_assert_eq!(back.fold(after, |state, call| state.after(call)), before);
    }

    /// Whatever a record says, nothing but the instances that it names is heard.
    #[test]
    fn nothing_else_is_named(request in "[a-z]{0,8}", id in "i-[0-9a-f]{1,17}") {
        let record = json!({"instanceId": id, "httpTokens": request, "x": {"instanceId": "i-other"}});
        let heard = Imdsv1Allowed.listen(&signal("ModifyInstanceMetadataOptions", &record, &json!(null)));
        prop_assert!(heard.iter().all(|heard| heard.resource().id == id));
    }
}
