use proptest::prelude::*;
use rescind::Resource;
use rescind_lambda::ResourceState;
use serde_json::{Value, json};

use super::*;
use crate::detachment::GROUP_FACT;
use crate::detachment::Membership;
use crate::instance::Group;
use rescind_lambda::testing;

const ACCOUNT: &str = "111122223333";

fn signal(kind: &str, severity: f64, role: &str) -> Signal {
    let detail = json!({
        "id": "f1", "type": kind, "accountId": ACCOUNT, "region": "eu-central-1", "severity": severity,
        "updatedAt": "2026-11-24T09:00:00.000Z", "title": "x",
        "resource": {"resourceType": "Instance", "instanceDetails": {"instanceId": "i-1", "networkInterfaces": [
            {"networkInterfaceId": "eni-1", "vpcId": "vpc-1", "securityGroups": [{"groupId": "sg-1"}]}]}},
        "service": {"resourceRole": role, "archived": false},
    });
    let event = json!({"id": "1", "source": "aws.guardduty", "detail-type": "GuardDuty Finding", "time": "2026-11-24T09:00:00Z",
        "account": ACCOUNT, "region": "eu-central-1", "detail": detail});
    rescind::signal::decode(event).unwrap().signal
}

fn heard(signal: &Signal) -> (Resource, Target) {
    match IsolateInstance.listen(signal).pop() {
        Some(Heard::About { resource, target }) => (resource, target),
        other => panic!("{other:?}"),
    }
}

fn judged(severity: f64, state: &State, tags: &[(&str, &str)]) -> (Assessment<Part>, Plan) {
    let about = heard(&signal("Backdoor:EC2/C&CActivity.B", severity, "ACTOR"));
    testing::judged(&IsolateInstance, &about, state, tags).unwrap()
}

fn interface(id: &str, groups: &[&str]) -> Interface {
    Interface { id: id.to_owned(), groups: groups.iter().map(|group| (*group).to_owned()).collect() }
}

fn running() -> State {
    let instance = Instance {
        id: "i-1".to_owned(),
        vpc: "vpc-1".to_owned(),
        interfaces: vec![interface("eni-1", &["sg-2", "sg-1", "sg-3"]), interface("eni-2", &["sg-1"])],
        tags: vec![("Name".to_owned(), "web".to_owned())],
        ..Instance::default()
    };
    State { instance: Some(instance), ..State::default() }
}

fn with_groups(state: State) -> State {
    let group = |id: &str, rules| Some(Group { id: id.to_owned(), rules });
    State { isolated: group("sg-i", Rules::Nothing), untracked: group("sg-u", Rules::Nothing), ..state }
}

fn calls_of(plan: Plan) -> Vec<Vec<String>> {
    let name = |step: Step| step.call.call.trim_start_matches("ec2:").to_owned();
    plan.groups().into_iter().map(|group| group.into_iter().map(name).collect()).collect()
}

#[test]
fn evidence_first_then_the_cut_then_marks_and_what_goes_together_is_made_together() {
    let (_, plan) = judged(8.0, &with_groups(running()), &[]);
    let swap = "ModifyNetworkInterfaceAttribute";
    let marks = ["CreateTags", "ModifyInstanceAttribute"];
    let open = ["AuthorizeSecurityGroupIngress", "AuthorizeSecurityGroupEgress"];
    let close = ["RevokeSecurityGroupIngress", "RevokeSecurityGroupEgress"];
    let cut = vec!["CreateSnapshots", swap, swap];
    let last = [vec![swap, swap], marks.to_vec(), close.to_vec()].concat();
    assert_eq!(calls_of(plan), [[cut.clone(), open.to_vec()].concat(), vec![swap, swap], open.to_vec(), last]);
    let (_, plan) = judged(8.0, &running(), &[]);
    let made = vec!["CreateSecurityGroup", "CreateSecurityGroup"];
    assert_eq!(calls_of(plan)[..2], [made, vec!["RevokeSecurityGroupEgress"; 2]]);
    let (_, plan) = judged(8.0, &with_groups(running()), &[("rescind:connections", "leave")]);
    assert_eq!(calls_of(plan), [[cut, marks.to_vec()].concat()]);
}

#[test]
fn a_finding_below_the_tag_and_a_target_are_left_alone() {
    assert!(matches!(judged(6.9, &running(), &[]).0, Assessment::Harmless { .. }));
    assert!(matches!(judged(6.9, &running(), &[("rescind:severity", "medium")]).0, Assessment::Risky { .. }));
    let of_role = |role| IsolateInstance.listen(&signal("UnauthorizedAccess:EC2/SSHBruteForce", 8.0, role));
    assert!(matches!(of_role("TARGET")[..], [Heard::Harmless { .. }]));
    assert!(matches!(of_role("ACTOR")[..], [Heard::About { .. }]));
    assert!(IsolateInstance.listen(&signal("Nonsense:EC2/New", 9.0, "ACTOR")).is_empty());
}

#[test]
fn a_group_that_lets_something_through_isolates_nothing() {
    let mut state = with_groups(running());
    state.isolated.as_mut().unwrap().rules = Rules::Others;
    assert!(matches!(judged(8.0, &state, &[]).0, Assessment::Unclear { .. }));
    // One that was made by a delivery that was cut off is finished.
    for rules in [Rules::AsMade, Rules::HalfClosed] {
        state.isolated.as_mut().unwrap().rules = rules;
        assert_eq!(calls_of(judged(8.0, &state, &[]).1)[0], ["RevokeSecurityGroupEgress"; 2]);
    }
}

/// Somebody lets an isolated instance out again by the group itself, whose id stays, so that its interfaces look as they should.
#[test]
fn an_instance_is_not_isolated_by_a_group_that_lets_something_out() {
    let state = with_groups(running());
    let done = testing::done(&state, &judged(8.0, &state, &[]).1);
    let revoke = "RevokeSecurityGroupEgress";
    for rules in [Rules::AsMade, Rules::HalfClosed] {
        let mut leaking = done.clone();
        leaking.isolated.as_mut().unwrap().rules = rules;
        leaking.has_snapshots = false;
        let (assessment, plan) = judged(8.0, &leaking, &[]);
        assert!(
            matches!(&assessment, Assessment::Risky { reason, .. } if reason.contains("sg-i, which is to isolate it, lets something out")),
            "{assessment:?}"
        );
        let closed = testing::done(&leaking, &plan);
        assert_eq!((&closed.instance, closed.isolated.as_ref().unwrap().rules), (&done.instance, Rules::Nothing));
        assert!(matches!(judged(8.0, &closed, &[]).0, Assessment::AlreadySafe { .. }));
        assert_eq!(testing::undone(&closed, &plan), closed, "to undo this opens nothing");
        // First it is closed; then what got out meanwhile is cut off, if the owner wants that.
        let calls = calls_of(plan);
        assert_eq!(calls[0], [revoke; 2]);
        assert!(calls.iter().flatten().any(|call| call == "ModifyNetworkInterfaceAttribute"), "{calls:?}");
        let calls = calls_of(judged(8.0, &leaking, &[("rescind:connections", "leave")]).1);
        assert_eq!(calls, [vec![revoke; 2], vec!["CreateSnapshots"]]);
    }
    // What the read-back says, should IPv6 stay open.
    let mut half = done.clone();
    half.isolated.as_mut().unwrap().rules = Rules::HalfClosed;
    assert!(half.instance.as_ref().unwrap().interfaces.iter().all(|one| !half.is_isolated(one)));
    // Of other rules Rescind does not know what they are for: it says so, and not that it is isolated.
    half.isolated.as_mut().unwrap().rules = Rules::Others;
    assert!(matches!(judged(8.0, &half, &[]).0, Assessment::Unclear { .. }));
}

#[test]
fn what_is_gone_or_isolated_needs_nothing() {
    assert!(matches!(judged(8.0, &State::default(), &[]).0, Assessment::Harmless { .. }));
    let state = with_groups(running());
    let done = judged(8.0, &state, &[]).1.steps.iter().fold(state, |state, step| state.after(&step.call));
    assert!(matches!(judged(8.0, &done, &[]).0, Assessment::AlreadySafe { .. }));
    // But for the group that a delivery left open when it was cut off.
    let mut left = done;
    left.untracked.as_mut().unwrap().rules = Rules::Everything;
    let close = vec!["RevokeSecurityGroupIngress", "RevokeSecurityGroupEgress"];
    assert_eq!(calls_of(judged(8.0, &left, &[]).1), [close]);
}

#[test]
fn tags_that_do_not_parse_are_named() {
    for (key, value) in [("rescind:severity", "urgent"), ("rescind:connections", "maybe")] {
        let error = Wanted::of_tags(&Tags::of_rule([(key, value)])).unwrap_err();
        assert!(error.to_string().contains(key), "{error}");
    }
}

fn any_state() -> impl Strategy<Value = State> {
    let group = proptest::sample::select(vec!["sg-1", "sg-2", "sg-3", "sg-i"]);
    let groups = proptest::collection::vec(group, 1..5);
    let interfaces = proptest::collection::vec(groups, 1..4);
    let keys = vec!["Name", "rescind:finding", "rescind:groups-of-eni-0", "team"];
    let tags = proptest::sample::subsequence(keys, 0..4);
    let rules = proptest::sample::select(vec![Rules::Nothing, Rules::AsMade, Rules::HalfClosed]);
    (interfaces, tags, rules, any::<(bool, bool, bool, bool, bool)>()).prop_map(|(interfaces, tags, rules, flags)| {
        let (is_protected, is_spot, has_isolated, has_untracked, has_snapshots) = flags;
        let numbered = interfaces.iter().enumerate();
        let group = |there: bool, id: &str, rules| there.then(|| Group { id: id.to_owned(), rules });
        State {
            instance: Some(Instance {
                id: "i-1".to_owned(),
                vpc: "vpc-1".to_owned(),
                interfaces: numbered.map(|(n, groups)| interface(&format!("eni-{n}"), groups)).collect(),
                tags: tags.into_iter().map(|key| (key.to_owned(), "old".to_owned())).collect(),
                is_protected,
                is_spot,
                ..Instance::default()
            }),
            isolated: group(has_isolated, "sg-i", rules),
            untracked: group(has_untracked, "sg-u", if has_snapshots { Rules::Everything } else { Rules::Nothing }),
            has_snapshots,
            ..State::default()
        }
    })
}

/// Every text in a call's parameters.
fn texts(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::String(text) => found.push(text.clone()),
        Value::Array(list) => list.iter().for_each(|one| texts(one, found)),
        Value::Object(map) => map.values().for_each(|one| texts(one, found)),
        _ => {}
    }
}

proptest! {
    #[test]
    fn undoing_brings_back_what_stood_before_and_applying_twice_is_applying_once(state in any_state()) {
        let (assessment, plan) = judged(8.0, &state, &[]);
        let Assessment::Risky { .. } = assessment else { return Ok(()) };
        let done = plan.steps.iter().fold(state.clone(), |state, step| state.after(&step.call));
        prop_assert!(matches!(judged(8.0, &done, &[]).0, Assessment::AlreadySafe { .. }), "{done:?}");
        let twice = plan.steps.iter().fold(done.clone(), |state, step| state.after(&step.call));
        prop_assert_eq!(&twice.instance, &done.instance);
        let inverses = plan.steps.iter().rev().filter_map(|step| step.inverse.as_ref());
        let back = inverses.fold(done, |state, inverse| state.after(inverse));
        prop_assert_eq!(back.facts(), state.facts());
        prop_assert_eq!(back.tags(), state.tags());
    }

    #[test]
    fn nothing_but_the_instance_and_what_is_its_own_is_changed(state in any_state()) {
        let own = ["i-1", "eni-0", "eni-1", "eni-2", "vpc-1"];
        for step in judged(8.0, &state, &[]).1.steps {
            let mut found = Vec::new();
            texts(&step.call.parameters, &mut found);
            let ids = found.iter().filter(|text| ["i-", "eni-", "vpc-"].iter().any(|start| text.starts_with(start)));
            for id in ids {
                prop_assert!(own.contains(&id.as_str()), "{id} in {step:?}");
            }
        }
    }
}

const WEB: &str = "arn:aws:elasticloadbalancing:eu-central-1:111122223333:targetgroup/web/1a2b";

fn with_ties(state: State, ties: Ties) -> State {
    State { ties, ..state }
}

fn tied() -> Ties {
    Ties {
        group: Some(Membership { group: "web".to_owned(), is_in_service: true }),
        targets: [(WEB.to_owned(), vec![80, 8080])].into(),
        ..Ties::default()
    }
}

#[test]
fn what_it_belongs_to_is_left_to_the_tag() {
    let (detach, deregister) = ("autoscaling:DetachInstances", "elasticloadbalancing:DeregisterTargets");
    let state = with_ties(with_groups(running()), tied());
    for (tags, expected) in [
        (vec![], vec![]),
        (vec![("rescind:detach", "auto-scaling-group")], vec![detach]),
        (vec![("rescind:detach", "target-groups")], vec![deregister]),
        (vec![("rescind:detach", "target-groups auto-scaling-group")], vec![deregister, detach]),
    ] {
        let calls = calls_of(judged(8.0, &state, &tags).1);
        let last = calls.last().unwrap();
        let at_the_end = &last[last.len() - expected.len()..];
        assert_eq!(at_the_end, expected, "after everything else, so that an undo begins with it");
        let all =
            calls.iter().flatten().filter(|call| !["Describe", "Get"].iter().any(|start| call.starts_with(start)));
        let of_others = all.filter(|call| call.contains(':')).count();
        assert_eq!(of_others, expected.len(), "{calls:?}");
    }
    let tags = Tags::of_rule([("rescind:detach", "everything")]);
    assert!(Wanted::of_tags(&tags).unwrap_err().to_string().contains("rescind:detach"));
}

#[test]
fn what_can_not_be_read_or_detached_hinders_no_cut_and_is_told() {
    let tags = [("rescind:detach", "auto-scaling-group target-groups")];
    let reason = |ties: Ties| {
        let (assessment, plan) = judged(8.0, &with_ties(with_groups(running()), ties), &tags);
        let Assessment::Risky { reason, offenders, .. } = assessment else { panic!("{assessment:?}") };
        assert_eq!(calls_of(plan)[0][..2], ["CreateSnapshots", "ModifyNetworkInterfaceAttribute"]);
        (reason, offenders)
    };
    let unread = Ties { unread: vec![(GROUP_FACT, "no answer".to_owned())], ..Ties::default() };
    let (told, offenders) = reason(unread);
    assert!(told.contains("its Auto Scaling group could not be read: no answer"), "{told}");
    // So it counts as unfinished, and the next delivery looks again.
    assert!(offenders.contains(&Part::Unread(GROUP_FACT)));
    let (told, _) = reason(Ties { has_too_many_target_groups: true, ..Ties::default() });
    assert!(told.contains("target groups were not looked at: vpc-1 has more than 50"), "{told}");
    let standby = Ties { group: Some(Membership { group: "web".to_owned(), is_in_service: false }), ..Ties::default() };
    let (told, offenders) = reason(standby);
    assert!(told.contains("stays in the Auto Scaling group web"), "{told}");
    assert!(!offenders.iter().any(|part| matches!(part, Part::InGroup(_))));
}

#[test]
fn who_has_the_same_instance_profile_is_named() {
    let profile = "arn:aws:iam::111122223333:instance-profile/web";
    let mut finding = signal("Backdoor:EC2/C&CActivity.B", 8.0, "ACTOR");
    let Fact::Finding(told) = &mut finding.fact else { panic!("a finding") };
    told.detail["resource"]["instanceDetails"]["iamInstanceProfile"] = json!({"arn": profile});
    let (_, target) = heard(&finding);
    let mut state = running();
    state.sharers = (2..8).map(|n| format!("i-{n}")).collect();
    let named = |state: &State| {
        let (instance, profile) = (state.instance.as_ref().unwrap(), target.told.profile.as_ref());
        let evidence = evidence(state, instance, &target.finding.kind, profile);
        evidence[0].0.get("shares_instance_profile_with").cloned()
    };
    // What the finding tells may be over by now.
    assert_eq!(named(&state), None);
    state.instance.as_mut().unwrap().profile = Some(profile.to_owned());
    assert_eq!(named(&state).as_deref(), Some("i-2, i-3, i-4, 3 more"));
}

#[test]
fn the_steps_of_an_outcome_tell_what_an_undo_looks_at() {
    let steps = |tags: &[(&str, &str)]| judged(8.0, &with_ties(with_groups(running()), tied()), tags).1.steps;
    let of = |steps: Vec<Step>| Scopes::of_steps(steps.iter().map(|step| &step.call));
    assert_eq!(of(steps(&[])), Scopes::default());
    let both = of(steps(&[("rescind:detach", "auto-scaling-group target-groups")]));
    assert_eq!(both, Scopes { group: true, targets: Targets::These(vec![WEB.to_owned()]) });
}

fn any_ties() -> impl Strategy<Value = Ties> {
    let group = proptest::option::of(any::<bool>());
    let group = group.prop_map(|one| one.map(|is_in_service| Membership { group: "web".to_owned(), is_in_service }));
    let ports =
        proptest::collection::btree_set(1..65536, 1..4).prop_map(|ports| ports.into_iter().collect::<Vec<i32>>());
    let targets = proptest::collection::btree_map("arn:aws:e:r:1:targetgroup/[a-c]/1", ports, 0..4);
    (group, targets).prop_map(|(group, targets)| Ties { group, targets, ..Ties::default() })
}

proptest! {
    #[test]
    fn an_undo_ties_it_again_as_it_was_and_nobody_else(
        state in any_state(),
        ties in any_ties(),
        detach in proptest::sample::subsequence(vec!["auto-scaling-group", "target-groups"], 1..=2),
    ) {
        let state = with_ties(state, ties);
        let tag = detach.join(" ");
        let tags = [("rescind:detach", tag.as_str())];
        let (assessment, plan) = judged(8.0, &state, &tags);
        let Assessment::Risky { .. } = assessment else { return Ok(()) };
        let done = plan.steps.iter().fold(state.clone(), |state, step| state.after(&step.call));
        prop_assert!(matches!(judged(8.0, &done, &tags).0, Assessment::AlreadySafe { .. }), "{done:?}");
        for step in plan.steps.iter().filter(|step| detachment::is_own(&step.call)) {
            let is_of_group = step.call.call.starts_with("autoscaling:");
            let word = if is_of_group { "auto-scaling-group" } else { "target-groups" };
            prop_assert!(detach.contains(&word), "{step:?}");
            let mut found = Vec::new();
            texts(&step.call.parameters, &mut found);
            prop_assert!(found.iter().filter(|text| text.starts_with("i-")).all(|id| id == "i-1"));
        }
        let inverses = plan.steps.iter().rev().filter_map(|step| step.inverse.as_ref());
        let back = inverses.fold(done, |state, inverse| state.after(inverse));
        prop_assert_eq!(&back.ties, &state.ties);
        prop_assert_eq!(back.facts(), state.facts());
    }
}
