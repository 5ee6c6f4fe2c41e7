//! What must hold of [`judge`] for any rules and any policy, held against a second, naive reading of the same promise:
//! addresses as numbers, ports one by one.

use super::*;
use proptest::prelude::*;
use rescind::addresses::parse;

fn net(text: &str) -> IpNet {
    parse(text).unwrap()
}

fn rule(id: &str, ports: &str, source: &str) -> Rule {
    let (protocol, range) = ports.split_once('/').unwrap_or((ports, "-1"));
    let (from, to) =
        range.strip_prefix('-').map_or_else(|| range.split_once('-').unwrap_or((range, range)), |_| (range, range));
    Rule {
        id: id.to_owned(),
        is_egress: false,
        protocol: Protocol::parse(protocol).unwrap(),
        from: from.parse().ok(),
        to: to.parse().ok(),
        source: parse(source).map_or_else(
            || match source.split_once('@') {
                Some((id, account)) => {
                    Source::Group { id: id.to_owned(), account: Some(account.to_owned()), peering: None }
                }
                None => Source::PrefixList(source.to_owned()),
            },
            Source::Cidr,
        ),
        description: None,
        tags: Vec::new(),
    }
}

fn policy(guarded: &[&str]) -> Policy {
    Policy {
        guarded: guarded.iter().map(|text| Guarded::parse(text).unwrap()).collect(),
        allowed: None,
        allowed_lists: BTreeSet::new(),
        widest: Widest::default(),
        known_accounts: BTreeSet::from(["111122223333".to_owned()]),
    }
}

fn offending(rules: &[Rule], policy: &Policy, lists: &PrefixLists) -> Vec<String> {
    judge(rules, |_| true, policy, lists).offences.into_iter().map(|offence| offence.rule.id).collect()
}

#[test]
fn guarded_things_are_read_and_nonsense_is_not() {
    for (text, shown) in
        [("22", "tcp/22"), ("20-25", "tcp/20-25"), ("udp/53", "udp/53"), ("icmp", "icmp"), ("all", "anything")]
    {
        assert_eq!(Guarded::parse(text).unwrap().to_string(), shown);
    }
    for text in ["", "ssh", "tcp", "tcp/", "22-20", "65536", "-1", "+22", "sctp/22", "22/tcp", "tcp/22-"] {
        assert_eq!(Guarded::parse(text), None, "{text}");
    }
}

#[test]
fn walking_around_the_guard_does_not_help() {
    let around = [
        rule("range", "tcp/20-25", "0.0.0.0/0"),
        rule("all", "-1", "0.0.0.0/0"),
        rule("number", "6/22", "0.0.0.0/0"),
        rule("ipv6", "tcp/22", "::/0"),
        rule("half", "tcp/22", "0.0.0.0/1"),
        rule("other-half", "tcp/22", "128.0.0.0/1"),
        rule("host-bits", "tcp/22", "208.236.235.254/0"),
        rule("stranger", "tcp/22", "sg-1@444455556666"),
        rule("list", "tcp/22", "pl-world"),
    ];
    let lists = PrefixLists::from([("pl-world".to_owned(), Ok(vec![net("0.0.0.0/0")]))]);
    let found = offending(&around, &policy(&["22"]), &lists);
    assert_eq!(found, around.iter().map(|rule| rule.id.clone()).collect::<Vec<_>>());
}

#[test]
fn what_complies_is_left_alone() {
    let fine = [
        rule("private", "tcp/22", "10.0.0.0/8"),
        rule("office", "tcp/22", "203.0.113.7/32"),
        rule("https", "tcp/443", "0.0.0.0/0"),
        rule("udp", "udp/22", "0.0.0.0/0"),
        rule("icmp", "icmp", "0.0.0.0/0"),
        rule("esp", "50", "0.0.0.0/0"),
        rule("own", "tcp/22", "sg-1@111122223333"),
        Rule { is_egress: true, ..rule("egress", "tcp/22", "0.0.0.0/0") },
    ];
    assert!(offending(&fine, &policy(&["22", "3389"]), &PrefixLists::new()).is_empty());
}

#[test]
fn narrow_pieces_that_make_a_whole_lose_the_widest_until_the_rest_may_stand() {
    let pieces = [
        rule("a", "tcp/22", "8.0.0.0/9"),
        rule("b", "tcp/22", "9.0.0.0/9"),
        rule("c", "tcp/22", "11.0.0.0/9"),
        rule("office", "tcp/22", "203.0.113.7/32"),
    ];
    assert_eq!(offending(&pieces, &policy(&["22"]), &PrefixLists::new()), ["b", "c"]);
    // Of a change, only its own rules go.
    let found = judge(&pieces, |rule| rule.id == "a", &policy(&["22"]), &PrefixLists::new());
    assert_eq!(found.offences.iter().map(|offence| offence.rule.id.as_str()).collect::<Vec<_>>(), ["a"]);
    // A rule that is the world by itself does not draw its neighbours in.
    let with_world = [rule("world", "tcp/22", "0.0.0.0/0"), rule("office", "tcp/22", "203.0.113.7/32")];
    assert_eq!(offending(&with_world, &policy(&["22"]), &PrefixLists::new()), ["world"]);
}

#[test]
fn what_adds_nothing_to_the_excess_stays() {
    let together = |rules: &[Rule], blame: &dyn Fn(&Rule) -> bool| -> Vec<String> {
        let found = judge(rules, blame, &policy(&["22", "3389"]), &PrefixLists::new());
        found.offences.into_iter().map(|offence| offence.rule.id).collect()
    };
    let others =
        [rule("a", "tcp/22", "8.0.0.0/9"), rule("b", "tcp/22", "9.0.0.0/9"), rule("c", "tcp/22", "11.0.0.0/9")];
    // IPv4 and IPv6 are counted apart.
    let with_v6: Vec<Rule> = [rule("v6", "tcp/22", "2001:db8::/32")].into_iter().chain(others.clone()).collect();
    assert_eq!(together(&with_v6, &|_| true), ["c"]);
    // What another rule covers anyway lets nobody in.
    let rules = [
        rule("old", "tcp/22", "8.0.0.0/8"),
        rule("inside", "tcp/22", "8.0.0.0/9"),
        rule("more", "tcp/22", "9.9.9.9/32"),
    ];
    assert_eq!(together(&rules, &|rule| rule.id != "old"), ["more"]);
    // Two that cover each other do not hide behind each other.
    let twice = [rule("old", "-1", "8.0.0.0/8"), rule("x", "tcp/22", "9.0.0.0/8"), rule("y", "tcp/20-25", "9.0.0.0/8")];
    assert_eq!(together(&twice, &|rule| rule.id != "old"), ["x", "y"]);
    // A rule that has to go for one port makes room at another.
    let ports = [
        rule("old", "tcp/3389", "8.0.0.0/8"),
        rule("both", "tcp/22-3389", "9.0.0.0/9"),
        rule("old-22", "tcp/22", "11.0.0.0/9"),
        rule("beside", "tcp/22", "12.0.0.0/9"),
    ];
    assert_eq!(together(&ports, &|rule| ["both", "beside"].contains(&rule.id.as_str())), ["both"]);
}

#[test]
fn where_nothing_tells_what_is_new_no_rule_goes_for_what_all_cover() {
    let rules = [
        rule("office", "tcp/22", "8.0.0.0/8"),
        rule("new", "tcp/22", "203.0.113.7/32"),
        rule("world", "tcp/22", "::/0"),
    ];
    let found = judge(&rules, |_| Blame::Alone, &policy(&["22"]), &PrefixLists::new());
    assert_eq!(found.offences.iter().map(|offence| offence.rule.id.as_str()).collect::<Vec<_>>(), ["world"]);
    assert_eq!(found.too_wide_together, ["tcp/22"], "and it is not hidden");
    let blame = |rule: &Rule| if rule.id == "new" { Blame::Full } else { Blame::Alone };
    let found = judge(&rules[..2], blame, &policy(&["22"]), &PrefixLists::new());
    assert_eq!(found.offences.iter().map(|offence| offence.rule.id.as_str()).collect::<Vec<_>>(), ["new"]);
    assert!(found.too_wide_together.is_empty());
}

#[test]
fn with_a_list_whatever_is_outside_of_it_goes() {
    let policy = Policy {
        allowed: Some(AddressSet::new([net("203.0.113.0/25"), net("203.0.113.128/25")])),
        allowed_lists: BTreeSet::from(["pl-ours".to_owned()]),
        ..policy(&["22"])
    };
    let rules = [
        rule("inside", "tcp/22", "203.0.113.0/24"),
        rule("private", "tcp/22", "10.0.0.0/8"),
        rule("ours", "tcp/22", "pl-ours"),
        rule("list", "tcp/22", "pl-other"),
    ];
    let lists = PrefixLists::from([("pl-other".to_owned(), Ok(vec![net("203.0.113.7/32"), net("192.0.2.0/24")]))]);
    assert_eq!(offending(&rules, &policy, &lists), ["private", "list"]);
}

#[test]
fn a_list_that_cannot_be_read_is_told_and_only_where_it_matters() {
    let lists = PrefixLists::from([("pl-1".to_owned(), Err("no".to_owned()))]);
    let rules = [rule("a", "tcp/22", "pl-1"), rule("b", "tcp/22", "0.0.0.0/0")];
    let found = judge(&rules, |_| true, &policy(&["22"]), &lists);
    assert_eq!((found.offences.len(), found.unread.len()), (1, 1));
    let found = judge(&rules, |rule| rule.id == "b", &policy(&["22"]), &lists);
    assert_eq!((found.offences.len(), found.unread.len()), (1, 0));
    assert!(judge(&rules, |_| true, &policy(&["443"]), &lists).unread.is_empty());
}

/// Ranges with edges where mistakes are made.
fn ranges() -> impl Strategy<Value = String> {
    prop_oneof![
        (any::<u32>(), 0_u8..=32)
            .prop_map(|(address, length)| format!("{}/{length}", std::net::Ipv4Addr::from(address))),
        (
            prop::sample::select(vec!["0.0.0.0", "128.0.0.0", "10.0.0.0", "8.0.0.0", "9.128.0.0", "172.16.0.0"]),
            0_u8..=16
        )
            .prop_map(|(address, length)| format!("{address}/{length}")),
        prop::sample::select(vec!["::/0", "::/1", "8000::/1", "2001:db8::/32", "2001:db8::/31", "fd00::/8"])
            .prop_map(str::to_owned),
    ]
}

fn rules() -> impl Strategy<Value = Vec<Rule>> {
    let ports = prop::sample::select(vec![
        "tcp/22",
        "tcp/20-25",
        "tcp/0-65535",
        "-1",
        "udp/22",
        "tcp/443",
        "tcp/3389",
        "icmp",
        "tcp/23-3389",
    ]);
    prop::collection::vec((ports, ranges(), prop::bool::weighted(0.1)), 0..12).prop_map(|rules| {
        let one = |(index, (ports, range, is_egress)): (usize, (&str, String, bool))| Rule {
            is_egress,
            ..rule(&format!("sgr-{index:02}"), ports, &range)
        };
        rules.into_iter().enumerate().map(one).collect()
    })
}

fn policies() -> impl Strategy<Value = Policy> {
    let guarded = prop::sample::subsequence(vec!["22", "20-25", "udp/22", "icmp", "3389"], 1..4);
    let allowed = prop::option::of(prop::collection::vec(ranges(), 1..5));
    (guarded, allowed, 0_u8..=32, 0_u8..=64).prop_map(|(guarded, allowed, v4, v6)| Policy {
        allowed: allowed.map(|ranges| AddressSet::new(ranges.iter().map(|range| net(range)))),
        widest: Widest { v4, v6 },
        ..policy(&guarded)
    })
}

/// The ports that a rule opens of those that are guarded: the naive reading, port by port.
fn opens(rule: &Rule, policy: &Policy) -> BTreeSet<(Protocol, u16)> {
    let mut opened = BTreeSet::new();
    for guarded in &policy.guarded {
        let (protocol, ports) = match guarded {
            Guarded::Ports { protocol, first, last } => (*protocol, *first..=*last),
            Guarded::Protocol(protocol) => (*protocol, 0..=0),
            Guarded::All => continue,
        };
        for port in ports {
            let by_protocol = rule.protocol == Protocol::All || rule.protocol == protocol;
            let unlimited = rule.protocol == Protocol::All || protocol == Protocol::Icmp;
            let by_port = unlimited || (rule.from.unwrap() <= i32::from(port) && i32::from(port) <= rule.to.unwrap());
            if !rule.is_egress && by_protocol && by_port {
                opened.insert((protocol, port));
            }
        }
    }
    opened
}

/// First and last address, as numbers.
fn bounds(net: &IpNet) -> (bool, u128, u128) {
    match net {
        IpNet::V4(net) => (false, u128::from(u32::from(net.network())), u128::from(u32::from(net.broadcast()))),
        IpNet::V6(net) => (true, u128::from(net.network()), u128::from(net.broadcast())),
    }
}

fn range_of(rule: &Rule) -> IpNet {
    match &rule.source {
        Source::Cidr(net) => *net,
        other => panic!("{other} is no range"),
    }
}

/// Whether the source is forbidden by itself: the naive reading.
fn is_forbidden(rule: &Rule, allowed: Option<&[IpNet]>, widest: Widest) -> bool {
    let net = range_of(rule);
    let (is_v6, first, last) = bounds(&net);
    if let Some(allowed) = allowed {
        // Walk through the allowed ranges, always to the end of one that holds the next address.
        let mut address = Some(first);
        while let Some(at) = address.filter(|address| *address <= last) {
            let holding = allowed.iter().map(bounds).filter(|(v6, from, to)| *v6 == is_v6 && *from <= at && at <= *to);
            match holding.map(|(_, _, to)| to).max() {
                None => return true,
                Some(to) => address = to.checked_add(1),
            }
        }
        return false;
    }
    let length = net.prefix_len();
    rescind::addresses::is_public(&net) && if is_v6 { length < widest.v6 } else { length < widest.v4 }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// With a list, what goes is exactly what lets a source outside of it reach a guarded port.
    #[test]
    fn with_a_list_exactly_the_offenders_go(
        rules in rules(), guarded in policies(), allowed in prop::collection::vec(ranges(), 1..6),
    ) {
        let allowed: Vec<IpNet> = allowed.iter().map(|range| net(range)).collect();
        let policy = Policy { allowed: Some(AddressSet::new(allowed.iter().copied())), ..guarded };
        let expected: Vec<String> = rules
            .iter()
            .filter(|rule| !opens(rule, &policy).is_empty() && is_forbidden(rule, Some(&allowed), policy.widest))
            .map(|rule| rule.id.clone())
            .collect();
        prop_assert_eq!(offending(&rules, &policy, &PrefixLists::new()), expected);
    }

    /// Without a list, what is the world by itself goes; what goes beside it was too much together, and without it the
    /// rest is not; and nothing goes that opens nothing guarded, or only to private addresses.
    #[test]
    fn without_a_list_the_world_goes_and_no_more_than_needed(rules in rules(), policy in policies()) {
        let policy = Policy { allowed: None, ..policy };
        let findings = judge(&rules, |_| true, &policy, &PrefixLists::new());
        let gone: BTreeSet<&str> = findings.offences.iter().map(|offence| offence.rule.id.as_str()).collect();
        for rule in &rules {
            let opened = opens(rule, &policy);
            let alone = !opened.is_empty() && is_forbidden(rule, None, policy.widest);
            let why = findings.offences.iter().find(|offence| offence.rule.id == rule.id).map(|offence| offence.why);
            prop_assert_eq!(alone, why == Some(Why::World), "{:?}", rule);
            if why == Some(Why::Together) {
                prop_assert!(!opened.is_empty() && rescind::addresses::is_public(&range_of(rule)), "{:?}", rule);
            }
        }
        let left = |port: &(Protocol, u16)| -> Vec<IpNet> {
            let stays = |rule: &&Rule| !gone.contains(rule.id.as_str()) && opens(rule, &policy).contains(port);
            rules.iter().filter(stays).map(range_of).collect()
        };
        let ports: BTreeSet<(Protocol, u16)> = rules.iter().flat_map(|rule| opens(rule, &policy)).collect();
        for port in &ports {
            prop_assert!(!policy.widest.is_exceeded_by_all(&left(port)), "{:?}", port);
        }
        // Each that went for what it adds was needed: with it alone back, some port is too open again.
        for offence in findings.offences.iter().filter(|offence| offence.why == Why::Together) {
            let too_open = opens(&offence.rule, &policy).iter().any(|port| {
                let all: Vec<IpNet> = left(port).into_iter().chain([range_of(&offence.rule)]).collect();
                policy.widest.is_exceeded_by_all(&all)
            });
            prop_assert!(too_open, "{:?}", offence);
        }
        prop_assert!(findings.too_wide_together.is_empty(), "nothing stays that may go");
    }

    /// Nothing goes for sources of the other family, nor for what other rules cover anyway.
    #[test]
    fn what_adds_nothing_changes_nothing(
        rules in rules(), policy in policies(), suspects in any::<u16>(), inside in any::<prop::sample::Index>(), longer in 0_u8..=8,
    ) {
        let policy = Policy { allowed: None, ..policy };
        let blame = |rule: &Rule| rule.id.trim_start_matches("sgr-").parse().is_ok_and(|index: u32| suspects >> index & 1 == 1);
        let gone = |rules: &[Rule]| -> BTreeMap<String, Why> {
            let found = judge(rules, blame, &policy, &PrefixLists::new());
            found.offences.into_iter().map(|offence| (offence.rule.id, offence.why)).collect()
        };
        let all = gone(&rules);
        for is_v6 in [false, true] {
            let family: Vec<Rule> = rules.iter().filter(|rule| bounds(&range_of(rule)).0 == is_v6).cloned().collect();
            let of_family = all.iter().filter(|(id, _)| family.iter().any(|rule| rule.id == **id));
            prop_assert_eq!(gone(&family), of_family.map(|(id, why)| (id.clone(), *why)).collect());
        }
        if !rules.is_empty() {
            let around = inside.get(&rules);
            let net = range_of(around);
            let length = net.prefix_len().saturating_add(longer).min(net.max_prefix_len());
            let inside = IpNet::new(net.network(), length).unwrap();
            let one_more = Rule { id: "covered".to_owned(), source: Source::Cidr(inside), ..around.clone() };
            if !all.contains_key(&around.id) && !is_forbidden(around, None, policy.widest) {
                let with: Vec<Rule> = rules.iter().cloned().chain([one_more]).collect();
                prop_assert_eq!(gone(&with), all);
            }
        }
    }

    /// Only what the change made goes, and once it is gone nothing more is found.
    #[test]
    fn only_suspects_go_and_a_safe_state_stays_as_it_is(rules in rules(), policy in policies(), suspects in any::<u16>()) {
        let is_suspect = |rule: &Rule| {
            let index: u32 = rule.id.trim_start_matches("sgr-").parse().unwrap();
            suspects >> index & 1 == 1
        };
        let found = judge(&rules, is_suspect, &policy, &PrefixLists::new());
        prop_assert!(found.offences.iter().all(|offence| is_suspect(&offence.rule)));
        let left: Vec<Rule> = rules.iter().filter(|rule| !found.offences.iter().any(|offence| offence.rule == **rule)).cloned().collect();
        prop_assert_eq!(judge(&left, is_suspect, &policy, &PrefixLists::new()).offences, []);
    }
}
