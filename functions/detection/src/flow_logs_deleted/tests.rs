use std::collections::BTreeMap;

use chrono::TimeDelta;
use rescind::journal::{Limit, Revert};
use rescind_lambda::testing::called;

use super::*;
use crate::flow_log::{Definition, effect};
use rescind::settings::{Settings, Tags};
use rescind_lambda::ResourceState;
use serde_json::json;

fn signal(request: &Value, response: &Value) -> Signal {
    called("ec2:DeleteFlowLogs", request, response).unwrap()
}

fn heard(request: &Value, response: &Value) -> Vec<Heard<Deleted>> {
    FlowLogsDeleted.listen(&signal(request, response))
}

/// The ids of what is to be looked at.
fn ids(heard: &[Heard<Deleted>]) -> Vec<&str> {
    let about = heard.iter().filter(|one| matches!(one, Heard::About { .. }));
    about.map(|one| one.resource().id.as_str()).collect()
}

fn definition(more: &Value) -> Option<Definition> {
    let mut told = json!({
        "flowLogId": "fl-1", "resourceId": "vpc-1", "trafficType": "ALL", "logDestinationType": "s3",
        "logDestination": "arn:aws:s3:::flows", "logFormat": "${version} ${srcaddr}", "maxAggregationInterval": 600,
    });
    told.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    Definition::read(&told)
}

fn judged(known: Known, live: Option<&Definition>) -> (Assessment<String>, Plan, Standing<Known>) {
    let Heard::About { resource, target } = heard(&json!({"flowLogId": ["fl-1"]}), &json!(null)).remove(0) else {
        panic!("it is about a flow log")
    };
    let standing = Standing::new(effect);
    let state = match live.map(Definition::piece) {
        Some((name, value)) => standing.fact(name, value),
        None => standing,
    }
    .with(known);
    let common = Settings::parse(&Tags::default(), &[]).unwrap();
    let subject = Subject {
        resource: &resource,
        target: &target,
        state: &state,
        common: &common,
        settings: &(),
        own_roles: &[],
        taken_back: &[],
    };
    let assessment = FlowLogsDeleted.assess(&subject);
    let plan = FlowLogsDeleted.plan(&subject, &["x".to_owned()]);
    (assessment, plan, state)
}

fn known() -> Known {
    let tags =
        vec![("team".to_owned(), "net".to_owned()), ("aws:cloudformation:stack-name".to_owned(), "x".to_owned())];
    Known { earlier: Ok((definition(&json!({})).unwrap(), Some(tags))), is_there: false, since: None }
}

#[test]
fn ids_are_read_in_every_way_that_records_write_them() {
    for (request, expected) in [
        (json!({"DeleteFlowLogsRequest": {"FlowLogId": {"tag": 1, "content": "fl-1"}}}), vec!["fl-1"]),
        (
            json!({"DeleteFlowLogsRequest": {"FlowLogId": [{"tag": 1, "content": "fl-1"}, {"tag": 2, "content": "fl-2"}]}}),
            vec!["fl-1", "fl-2"],
        ),
        (json!({"flowLogId": ["fl-1", "fl-1"]}), vec!["fl-1"]),
        (json!({"flowLogIds": {"items": ["fl-2"]}}), vec!["fl-2"]),
        (json!({"flowLogId": "fl-1"}), vec!["fl-1"]),
    ] {
        assert_eq!(ids(&heard(&request, &json!(null))), expected, "{request}");
    }
    for request in [json!(null), json!({}), json!({"flowLogId": {}}), json!({"flowLogId": "x"}), json!("fl-1")] {
        assert!(matches!(heard(&request, &json!(null)).as_slice(), [Heard::Unreadable { .. }]), "{request}");
    }
}

#[test]
fn what_the_answer_says_was_not_deleted_is_left_alone() {
    let request =
        json!({"DeleteFlowLogsRequest": {"FlowLogId": [{"tag": 1, "content": "fl-1"}, {"tag": 2, "content": "fl-2"}]}});
    let item =
        json!({"resourceId": "fl-2", "error": {"code": "InvalidFlowLogId.NotFound", "message": "fl-2 is not there"}});
    for unsuccessful in [json!({"item": item}), json!([item]), json!({"items": [item]})] {
        let response = json!({"DeleteFlowLogsResponse": {"requestId": "r", "unsuccessful": unsuccessful}});
        let heard = heard(&request, &response);
        assert_eq!((heard.len(), ids(&heard)), (2, vec!["fl-1"]), "{response}");
    }
    let none = json!({"DeleteFlowLogsResponse": {"requestId": "r", "unsuccessful": ""}});
    assert_eq!(ids(&heard(&request, &none)), ["fl-1", "fl-2"]);
}

#[test]
fn each_flow_log_has_a_token_of_its_own_and_always_the_same() {
    let token = |id: &str| match heard(&json!({"flowLogId": [id]}), &json!(null)).remove(0) {
        Heard::About { target, .. } => target.token,
        other => panic!("{other:?}"),
    };
    assert_eq!(token("fl-1"), token("fl-1"));
    assert_ne!(token("fl-1"), token("fl-2"));
    assert!(token("fl-1").len() <= 64);
}

#[test]
fn what_is_made_anew_is_what_was_there_and_an_undo_deletes_it() {
    let (assessment, plan, state) = judged(known(), None);
    assert!(matches!(assessment, Assessment::Risky { .. }), "{assessment:?}");
    let [step] = plan.steps.as_slice() else { panic!("{plan:?}") };
    let mut expected = json!({
        "ResourceIds": ["vpc-1"], "ResourceType": "VPC", "TrafficType": "ALL", "LogDestinationType": "s3",
        "LogDestination": "arn:aws:s3:::flows", "LogFormat": "${version} ${srcaddr}", "MaxAggregationInterval": 600,
        "DestinationOptions": {"FileFormat": "plain-text", "HiveCompatiblePartitions": false, "PerHourPartition": false},
        "TagSpecifications": [{"ResourceType": "vpc-flow-log", "Tags": [{"Key": "team", "Value": "net"}]}],
    });
    expected["ClientToken"] = step.call.parameters["ClientToken"].clone();
    assert_eq!(step.call.parameters, expected);
    let after = state.after(&step.call);
    let (piece, _) = definition(&json!({})).unwrap().piece();
    assert!(after.get(&piece).is_some());
    assert_eq!(after.after(step.inverse.as_ref().unwrap()), state);
    // What a call says is enough to make it.
    assert_eq!(Definition::read(&step.call.parameters), definition(&json!({})));
}

#[test]
fn tags_that_nobody_knows_are_missed_aloud() {
    let (was, _) = known().earlier.unwrap();
    let (_, plan, _) = judged(Known { earlier: Ok((was, None)), ..known() }, None);
    assert!(plan.note.unwrap().contains("no tags"));
    let captured = "2026-11-24T09:00:00Z".parse().unwrap();
    let configuration = json!({"resourceId": "vpc-1", "logDestination": "arn:aws:s3:::flows", "logDestinationType": "s3",
        "logFormat": "${version}", "maxAggregationInterval": 60});
    let state = |supplementary: Value| {
        let supplementary = supplementary.as_object().unwrap().clone();
        rescind::Snapshot { captured, configuration: configuration.clone(), supplementary }
    };
    assert_eq!(Definition::of_state(&state(json!({}))).unwrap().1, None);
    assert_eq!(Definition::of_state(&state(json!({"FlowLog": {"tags": []}}))).unwrap().1, Some(vec![]));
}

#[test]
fn one_like_it_is_enough_and_another_one_is_not() {
    let same = definition(&json!({"destinationOptions": {"fileFormat": "plain-text"}})).unwrap();
    assert!(matches!(judged(known(), Some(&same)).0, Assessment::AlreadySafe { .. }));
    let other = definition(&json!({"logDestination": "arn:aws:s3:::elsewhere"})).unwrap();
    assert!(matches!(judged(known(), Some(&other)).0, Assessment::Risky { .. }));
    let still_there = Known { is_there: true, ..known() };
    // What is read may be older than the call: it is tried again.
    assert!(matches!(judged(still_there, None).0, Assessment::Unclear { .. }));
}

/// A script that deletes all flow logs every ten minutes meets another id each time.
#[test]
fn a_fight_over_a_flow_log_is_one_whatever_its_id() {
    let now = "2026-11-24T10:00:00Z".parse().unwrap();
    let deleted = |id: &str, more: &Value| {
        let (was, tags) = known().earlier.unwrap();
        let was = if more.is_null() { was } else { definition(more).unwrap() };
        let Assessment::Risky { offenders, .. } = judged(Known { earlier: Ok((was, tags)), ..known() }, None).0 else {
            panic!("it is made anew")
        };
        let changes: Vec<String> = offenders.iter().map(Offender::fingerprint).collect();
        (FlowLogsDeleted.remembered_as(id).to_owned(), changes)
    };
    let mut journal: BTreeMap<String, Vec<Revert>> = BTreeMap::new();
    for (minutes, id) in [(30, "fl-1"), (20, "fl-2"), (10, "fl-3")] {
        let (key, changes) = deleted(id, &json!(null));
        let at = now - TimeDelta::minutes(minutes);
        journal.entry(key).or_default().push(Revert { outcome: id.to_owned(), at, changes });
    }
    let is_fought = |(key, changes): (String, Vec<String>)| {
        let history = journal.get(&key).map(Vec::as_slice).unwrap_or_default();
        changes.iter().all(|change| Limit::hourly(3).is_reached(history, change, now))
    };
    assert!(is_fought(deleted("fl-4", &json!(null))));
    // Other networks and other destinations are another matter.
    assert!(!is_fought(deleted("fl-5", &json!({"resourceId": "vpc-2"}))));
    assert!(!is_fought(deleted("fl-6", &json!({"logDestination": "arn:aws:s3:::elsewhere"}))));
}

#[test]
fn what_nobody_knows_is_reported() {
    let (assessment, plan, _) = judged(Known { earlier: Err("nobody knows".to_owned()), ..known() }, None);
    assert!(matches!(assessment, Assessment::Report { reason, .. } if reason.contains("create-flow-logs")));
    assert!(plan.steps.is_empty());
}

#[test]
fn a_definition_that_is_not_whole_is_none() {
    for missing in ["resourceId", "logDestination", "logFormat", "maxAggregationInterval"] {
        assert_eq!(definition(&json!({missing: null})), None, "{missing}");
    }
    assert_eq!(definition(&json!({"resourceId": "x-1"})), None);
    for resource in ["subnet-1", "eni-1", "tgw-1", "tgw-attach-1"] {
        assert!(definition(&json!({"resourceId": resource})).is_some(), "{resource}");
    }
}

#[test]
fn a_log_group_is_named_once() {
    let group = json!({"logDestinationType": "cloud-watch-logs", "logGroupName": "flows",
        "logDestination": "arn:aws:logs:eu-central-1:111122223333:log-group:flows", "deliverLogsPermissionArn": "arn:aws:iam::111122223333:role/flows"});
    let definition = definition(&group).unwrap();
    let call = definition.create(&[], "t");
    assert_eq!(call.parameters["LogGroupName"], "flows");
    assert!(call.parameters.get("LogDestination").is_none() && call.parameters.get("DestinationOptions").is_none());
    assert_eq!(call.parameters["DeliverLogsPermissionArn"], "arn:aws:iam::111122223333:role/flows");
}
