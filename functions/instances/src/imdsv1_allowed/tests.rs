use proptest::prelude::*;
use rescind_lambda::testing::{called, judged};

use super::*;

fn signal(name: &str, request: &Value, response: &Value) -> Signal {
    called(&format!("ec2:{name}"), request, response).unwrap()
}

fn ids(heard: &[Heard<Option<Options>>]) -> Vec<&str> {
    heard.iter().map(|heard| heard.resource().id.as_str()).collect()
}

fn assessed(told: Option<Options>, state: &Standing<String>) -> (Assessment<String>, Plan) {
    let resource = signal("x", &json!({}), &json!({})).resource(instance::KIND, "i-1");
    judged(&Imdsv1Allowed, &(resource, told), state, &[]).unwrap()
}

fn state(tokens: &str, endpoint: &str) -> Standing<String> {
    Standing::new(effect).fact(TOKENS, tokens).with(endpoint.to_owned())
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
    for safe in [state("required", "enabled"), state("optional", "disabled"), Standing::new(effect).with(String::new())]
    {
        let (assessment, _) = assessed(None, &safe);
        assert!(matches!(assessment, Assessment::Harmless { .. }), "{assessment:?}");
        let told = Options { tokens: "optional".to_owned(), endpoint: "enabled".to_owned() };
        let (assessment, _) = assessed(Some(told), &safe);
        assert!(matches!(assessment, Assessment::AlreadySafe { .. }), "{assessment:?}");
    }
}

proptest! {
    /// The plan makes it safe, its inverse makes it what it was, and once made it is not made again.
    #[test]
    fn doing_and_undoing_leaves_it_as_it_was(tokens in "required|optional|sometimes", endpoint in "enabled|disabled") {
        let before = state(&tokens, &endpoint);
        let (_, plan) = assessed(None, &before);
        let after = plan.steps.iter().fold(before.clone(), |state, step| state.after(&step.call));
        let (assessment, again) = assessed(None, &after);
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
