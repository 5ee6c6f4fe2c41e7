use proptest::prelude::*;
use rescind_lambda::{Expiry, ResourceState};
use serde_json::json;

use super::*;
use crate::network_acl::{Behind, Entry};
use ipnet::IpNet;
use rescind::addresses;
use rescind_lambda::testing;

const HOSTILE: &str = "198.51.100.7";
/// The outcomes of two findings about the same address, the second an hour later.
const FIRST: &str = "0123";
const SECOND: &str = "4567";

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn target(caller: &str) -> Target {
    Target {
        kind: "UnauthorizedAccess:EC2/SSHBruteForce".to_owned(),
        reason: "it guesses".to_owned(),
        outcome: FIRST.to_owned(),
        time: "2026-11-24T09:30:00Z".parse().unwrap(),
        instance: "i-1".to_owned(),
        caller: address(caller),
    }
}

fn allow(number: i32, source: &str) -> Entry {
    Entry { number, is_deny: false, is_all_traffic: true, source: source.parse().unwrap() }
}

fn acl(entries: Vec<Entry>) -> Acl {
    Acl { id: "acl-1".to_owned(), subnets: vec!["subnet-1".to_owned()], tags: Vec::new(), entries }
}

fn state(acls: Vec<Acl>) -> State {
    State {
        instance: Some(Behind { tags: Vec::new(), subnets: vec!["subnet-1".to_owned()] }),
        acls,
        address: Some(address(HOSTILE)),
        outcome: FIRST.to_owned(),
        expiry: Some(Expiry { role: "r".to_owned(), console: "c".to_owned() }),
        read_at: "2026-11-24T09:31:00Z".parse().unwrap(),
        ..State::default()
    }
}

fn judged(target: &Target, state: &State, tags: &[(&str, &str)]) -> (Assessment<LetIn>, Plan) {
    let resource = Resource {
        kind: instance::KIND.to_owned(),
        id: "i-1".to_owned(),
        account: testing::ACCOUNT.to_owned(),
        region: "eu-central-1".to_owned(),
    };
    testing::judged(&BlockAddress, &(resource, target.clone()), state, tags).unwrap()
}

fn made(state: &State, plan: &Plan) -> State {
    plan.steps.iter().fold(state.clone(), |state, step| state.after(&step.call))
}

/// The numbers of the entries that a plan makes.
fn numbers_of(plan: &Plan) -> Vec<i64> {
    let entries = plan.steps.iter().filter(|step| step.call.call == action::CREATE_ENTRY);
    entries.filter_map(|step| step.call.parameters["RuleNumber"].as_i64()).collect()
}

#[test]
fn the_end_is_scheduled_before_the_block_is_made() {
    let (_, plan) = judged(&target(HOSTILE), &state(vec![acl(vec![allow(100, "0.0.0.0/0")])]), &[]);
    let groups: Vec<Vec<String>> =
        plan.clone().groups().into_iter().map(|group| group.into_iter().map(|step| step.call.call).collect()).collect();
    assert_eq!(groups, [vec![schedule::action::CREATE, action::CREATE_TAGS], vec![action::CREATE_ENTRY]]);
    assert_eq!(plan.steps[0].call.parameters["ScheduleExpression"], json!("at(2026-11-25T09:30:00)"));
    assert_eq!(plan.note.as_deref(), Some("until 2026-11-25 09:30 UTC"));
}

#[test]
fn an_entry_stands_before_all_that_lets_the_address_in() {
    let numbers = |entries: Vec<Entry>, tags: &[(&str, &str)]| {
        numbers_of(&judged(&target(HOSTILE), &state(vec![acl(entries)]), tags).1)
    };
    assert_eq!(numbers(vec![allow(100, "0.0.0.0/0")], &[]), [1]);
    assert_eq!(numbers(vec![allow(100, "0.0.0.0/0"), allow(1, "10.0.0.0/8")], &[]), [2]);
    // Nothing comes before entry 1, and a block behind it would block nobody.
    assert_eq!(numbers(vec![allow(1, "0.0.0.0/0")], &[]), [0; 0]);
    assert_eq!(numbers(vec![allow(100, "0.0.0.0/0")], &[("rescind:rule-numbers", "40-90")]), [40]);
    assert_eq!(numbers(vec![allow(100, "0.0.0.0/0")], &[("rescind:rule-numbers", "100-120")]), [0; 0]);
}

#[test]
fn who_is_kept_out_already_needs_no_entry() {
    let denied = Entry::denying(address(HOSTILE), 5);
    let wider = Entry { source: "198.51.100.0/24".parse().unwrap(), ..denied };
    for entries in
        [vec![denied, allow(100, "0.0.0.0/0")], vec![wider, allow(6, "0.0.0.0/0")], vec![allow(100, "10.0.0.0/8")]]
    {
        let (assessment, _) = judged(&target(HOSTILE), &state(vec![acl(entries)]), &[]);
        assert!(matches!(assessment, Assessment::AlreadySafe { .. }), "{assessment:?}");
    }
    // Denied one port only, or behind what lets it in.
    let part = Entry { is_all_traffic: false, ..denied };
    for entries in [vec![part, allow(100, "0.0.0.0/0")], vec![allow(4, "0.0.0.0/0"), denied]] {
        let (assessment, _) = judged(&target(HOSTILE), &state(vec![acl(entries)]), &[]);
        assert!(matches!(assessment, Assessment::Risky { .. }), "{assessment:?}");
    }
}

#[test]
fn an_old_finding_blocks_nobody_and_neither_does_one_without_an_end() {
    let open = state(vec![acl(vec![allow(100, "0.0.0.0/0")])]);
    let late = State { read_at: "2026-11-25T09:29:00Z".parse().unwrap(), ..open.clone() };
    assert!(matches!(judged(&target(HOSTILE), &late, &[]).0, Assessment::Harmless { .. }));
    assert!(matches!(judged(&target(HOSTILE), &late, &[("rescind:block-for", "2d")]).0, Assessment::Risky { .. }));
    let endless = State { expiry: None, ..open };
    assert!(matches!(judged(&target(HOSTILE), &endless, &[]).0, Assessment::Report { .. }));
}

/// The same address an hour later, in another outcome.
fn later(caller: &str, outcome: &str) -> Target {
    let first = target(caller);
    Target { outcome: outcome.to_owned(), time: first.time + TimeDelta::hours(1), ..first }
}

/// What a plan blocks for an outcome, and what is left once it is undone.
fn blocked(target: &Target, before: &State) -> (Plan, State) {
    let before = State { outcome: target.outcome.clone(), address: Some(target.caller), ..before.clone() };
    let (_, plan) = judged(target, &before, &[]);
    let after = made(&before, &plan);
    (plan, after)
}

fn undone(state: &State, plan: &Plan) -> State {
    plan.steps
        .iter()
        .rev()
        .filter_map(|step| step.inverse.as_ref())
        .fold(state.clone(), |state, call| state.after(call))
}

fn denied(state: &State) -> Vec<(i32, String)> {
    let ours = state.acls[0].entries.iter().filter(|entry| entry.source.to_string().starts_with("198.51.100."));
    ours.map(|entry| (entry.number, entry.source.to_string())).collect()
}

/// By another way than its end: it had to go for another address, or somebody deleted the entry.
#[test]
fn the_end_of_a_block_that_is_gone_spares_a_later_one_of_the_same_address_and_number() {
    let of_others = (0..17).map(|number| Entry::denying(IpAddr::from([203, 0, 113, number]), 200 + i32::from(number)));
    let nearly_full = state(vec![acl(of_others.chain([allow(100, "0.0.0.0/0")]).collect())]);
    let (first, blocks_first) = blocked(&target(HOSTILE), &nearly_full);
    assert_eq!(denied(&blocks_first), [(1, format!("{HOSTILE}/32"))]);
    let (_, displaced) = blocked(&target("198.51.100.8"), &blocks_first);
    assert_eq!(denied(&displaced), [(2, "198.51.100.8/32".to_owned())]);
    let mut deleted = blocks_first.clone();
    deleted.acls[0].entries.retain(|entry| entry.number != 1);
    for gone in [displaced, deleted] {
        let (second, again) = blocked(&later(HOSTILE, SECOND), &gone);
        assert_eq!(denied(&again), [(1, format!("{HOSTILE}/32"))]);
        let ended = undone(&again, &first);
        assert_eq!(ended, again, "it is the block of the second outcome");
        assert_eq!(denied(&undone(&ended, &second)), []);
        // A person who undoes the first is told of it: the engine compares these.
        let of_first = State { outcome: FIRST.to_owned(), ..again };
        let piece = |state: &State| state.facts().into_values().collect::<Vec<_>>();
        assert_eq!((piece(&blocks_first), piece(&of_first)), (vec!["entry 1".into()], vec!["entry 1 of 4567".into()]));
    }
}

#[test]
fn a_block_ends_whatever_became_of_its_tag() {
    let open = state(vec![acl(vec![allow(100, "0.0.0.0/0")])]);
    let (plan, after) = blocked(&target(HOSTILE), &open);
    let end = |tags: &[(&str, &str)]| {
        let mut standing = after.clone();
        standing.acls[0].tags = tags.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        denied(&undone(&standing, &plan))
    };
    assert_eq!(end(&[]), [], "somebody removed it");
    for value in [
        "mine",
        "",
        "2026-11-26T00:00:00Z",
        "2026-11-25T09:30:00Z/0123",
        "2026-11-25T09:30:00Z/0123/1",
        // Left behind by an earlier block, should ours not have been written.
        "2026-11-24T12:00:00Z/4567/1",
        // That of another entry, which keeps the same address out.
        "2026-11-25T10:30:00Z/4567/2",
    ] {
        assert_eq!(end(&[("rescind:blocks:198.51.100.7", value)]), [], "{value}");
    }
    // Of another address, or of another outcome whose end is to come; by an earlier release, that told no number.
    assert_eq!(end(&[("rescind:blocks:198.51.100.8", "2026-11-25T10:30:00Z/4567/1")]), []);
    for value in ["2026-11-25T10:30:00Z/4567/1", "2026-11-25T10:30:00Z/4567"] {
        assert_eq!(end(&[("rescind:blocks:198.51.100.7", value)]), [(1, format!("{HOSTILE}/32"))], "{value}");
    }
    // What an earlier release journaled names no tag.
    let old = calls::allow_again("acl-1", address(HOSTILE), 1);
    assert_eq!(denied(&after.after(&old)), []);
}

#[test]
fn of_a_shared_vpc_nothing_is_changed() {
    let shared = state(vec![Acl { subnets: vec!["subnet-2".to_owned()], ..acl(vec![allow(100, "0.0.0.0/0")]) }]);
    let (assessment, _) = judged(&target(HOSTILE), &shared, &[]);
    assert!(matches!(&assessment, Assessment::Report { reason, .. } if reason.contains("subnet-1")), "{assessment:?}");
}

#[test]
fn settings_that_do_not_parse_are_named() {
    for (key, value) in [
        ("rescind:block-for", "forever"),
        ("rescind:block-for", "5m"),
        ("rescind:block-for", "366d"),
        ("rescind:never-block", "partner"),
        ("rescind:never-block", " "),
        ("rescind:rule-numbers", "0-5"),
        ("rescind:rule-numbers", "9-1"),
        ("rescind:rule-numbers", "1-40000"),
        ("rescind:rule-numbers", "5"),
    ] {
        let error = Wanted::of_tags(&Tags::of_rule([(key, value)])).unwrap_err();
        assert!(error.to_string().contains(key), "{error}");
    }
}

fn entries() -> impl Strategy<Value = Vec<Entry>> {
    let source = prop_oneof![
        Just("0.0.0.0/0"),
        Just("198.51.100.0/24"),
        Just("198.51.100.7/32"),
        Just("198.51.100.9/32"),
        Just("10.0.0.0/8"),
        Just("::/0"),
        Just("2001:db8::1/128"),
    ];
    let one = (1..60, any::<bool>(), any::<bool>(), source);
    prop::collection::vec(one, 0..24).prop_map(|all| {
        let mut entries: Vec<Entry> = Vec::new();
        for (number, is_deny, is_all_traffic, source) in all {
            if entries.iter().all(|entry| entry.number != number) {
                let source = source.parse().unwrap();
                entries.push(Entry { number, is_deny, is_all_traffic, source });
            }
        }
        entries
    })
}

proptest! {
    /// Once made, the addresses are kept out, no entry but blocks of ours is touched, no ACL is overfilled, and undoing leaves nothing of it.
    #[test]
    fn what_is_made_keeps_them_out_and_what_is_undone_is_gone(entries in entries(), tagged in any::<bool>()) {
        let tags = if tagged { vec![calls::tag_of(address("198.51.100.9"), "2026-11-24T12:00:00Z".parse().unwrap(), "x", 1)] } else { Vec::new() };
        let before = state(vec![Acl { tags: tags.clone(), ..acl(entries.clone()) }]);
        let (assessment, plan) = judged(&target(HOSTILE), &before, &[]);
        let after = made(&before, &plan);
        if let Assessment::Risky { .. } = assessment {
            let again = judged(&target(HOSTILE), &after, &[]);
            let is_safe = matches!(again.0, Assessment::AlreadySafe { .. });
            prop_assert!(is_safe && again.1.steps.is_empty(), "{:?}", again.0);
        } else {
            prop_assert_eq!(&after, &before);
        }
        let lost: Vec<&Entry> = entries.iter().filter(|entry| !after.acls[0].entries.contains(entry)).collect();
        let is_ours = |entry: &&Entry| tagged && **entry == Entry::denying(address("198.51.100.9"), entry.number);
        prop_assert!(lost.len() <= 1 && lost.iter().all(is_ours), "{lost:?}");
        let v4 = |state: &State| state.acls[0].entries.iter().filter(|entry| entry.source.addr().is_ipv4()).count();
        prop_assert!(v4(&after) <= v4(&before).max(19));
        let inverses = plan.steps.iter().rev().filter_map(|step| step.inverse.as_ref());
        let undone = inverses.fold(after, |state, call| state.after(call));
        prop_assert_eq!(undone.facts(), before.facts());
        let kept: Vec<Entry> = entries.iter().filter(|entry| !lost.contains(entry)).copied().collect();
        prop_assert_eq!(&undone.acls[0].entries, &kept);
    }

    /// Whatever the finding says, nobody is blocked but who called, and never one of the private ranges.
    #[test]
    fn never_wider_than_the_evidence(caller in any::<IpAddr>()) {
        let open = state(vec![acl(vec![allow(100, "0.0.0.0/0"), allow(101, "::/0")])]);
        let (_, plan) = judged(&target(&caller.to_string()), &State { address: Some(caller), ..open }, &[]);
        for step in plan.steps.iter().filter(|step| step.call.call == action::CREATE_ENTRY) {
            let range = ["CidrBlock", "Ipv6CidrBlock"].iter().find_map(|name| step.call.parameters[name].as_str()).unwrap();
            prop_assert_eq!(range.parse::<IpNet>().unwrap(), IpNet::from(caller));
            prop_assert!(addresses::is_public(&IpNet::from(caller)));
        }
    }
}

fn found(address: &str, updated: &str) -> Signal {
    let action = json!({"networkConnectionAction": {"connectionDirection": "INBOUND", "protocol": "TCP",
        "localPortDetails": {"port": 22}, "remoteIpDetails": {"ipAddressV4": address}}});
    let detail = json!({
        "id": "f1", "type": "UnauthorizedAccess:EC2/SSHBruteForce", "accountId": "111122223333", "region": "eu-central-1",
        "severity": 2, "updatedAt": updated,
        "resource": {"resourceType": "Instance", "instanceDetails": {"instanceId": "i-1"}},
        "service": {"resourceRole": "TARGET", "action": action},
    });
    let event = json!({"id": "1", "source": "aws.guardduty", "detail-type": "GuardDuty Finding", "time": "2026-11-24T09:00:00Z",
        "account": "111122223333", "region": "eu-central-1", "detail": detail});
    rescind::signal::decode(event).unwrap().signal
}

#[test]
fn each_attacker_and_each_update_of_a_finding_is_looked_at() {
    let id = |address: &str, updated: &str| {
        let signal = found(address, updated);
        let heard = BlockAddress.listen(&signal);
        let [Heard::About { resource, target }] = &heard[..] else { panic!("{heard:?}") };
        assert_eq!(target.outcome, Outcome::id_of(&signal, NAME, resource));
        assert_eq!(BlockAddress.remembered_as(&resource.id), format!("i-1/{address}"));
        target.outcome.clone()
    };
    let first = id(HOSTILE, "2026-11-24T09:00:00Z");
    assert_eq!(first, id(HOSTILE, "2026-11-24T09:00:00Z"), "the same update");
    assert_ne!(first, id("198.51.100.8", "2026-11-24T09:00:00Z"), "another attacker");
    assert_ne!(first, id(HOSTILE, "2026-11-25T09:30:00Z"), "a later update, when the block may have ended");
}

#[test]
fn what_is_not_this_accounts_or_has_no_room_is_told() {
    let full = state(vec![acl((1..=20).map(|number| allow(number, "0.0.0.0/0")).collect())]);
    let (assessment, _) = judged(&target(HOSTILE), &full, &[]);
    assert!(matches!(&assessment, Assessment::Report { reason, .. } if reason.contains("no room")), "{assessment:?}");
}
