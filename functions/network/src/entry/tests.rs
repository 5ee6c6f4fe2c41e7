use super::*;
use proptest::prelude::*;
use rescind::settings::{OwnSettings, Tags};

fn guards(tags: &[(&str, &str)]) -> Guards {
    Guards::of_tags(&Tags::of_rule(tags.iter().copied())).unwrap()
}

/// `entry(100, "allow", "6", Some((22, 22)), "0.0.0.0/0")`
fn entry(number: i32, action: &str, protocol: &str, ports: Option<(u16, u16)>, source: &str) -> Entry {
    let cidr = if source.contains(':') { "ipv6CidrBlock" } else { "cidrBlock" };
    let mut told =
        json!({"ruleNumber": number, "ruleAction": action, "aclProtocol": protocol, "egress": false, cidr: source});
    if let Some((from, to)) = ports {
        told["portRange"] = json!({"from": from, "to": to});
    }
    Entry::read(&told).unwrap()
}

fn opened(entry: &Entry, among: &[Entry], guards: &Guards) -> Vec<String> {
    entry.opens(among, guards).into_iter().map(|(what, _)| what).collect()
}

fn opens(entry: &Entry, among: &[Entry]) -> Vec<String> {
    opened(entry, among, &guards(&[]))
}

#[test]
fn an_entry_is_read_in_every_way_that_it_is_told() {
    let plain = entry(100, "allow", "6", Some((22, 22)), "0.0.0.0/0");
    for told in [
        json!({"ruleNumber": "100", "ruleAction": "ALLOW", "aclProtocol": 6, "egress": "false", "cidrBlock": "9.9.9.9/0",
            "portRange": {"from": "22", "to": "22"}, "icmpTypeCode": {}}),
        json!({"ruleNumber": 100, "ruleAction": "allow", "protocol": "tcp", "egress": false, "cidrBlock": "0.0.0.0/0",
            "portRange": {"from": 22, "to": 22}}),
        plain.parameters("acl-1"),
    ] {
        assert_eq!(Entry::read(&told), Some(plain), "{told}");
    }
    assert_eq!(plain.to_string(), "allow tcp/22 from 0.0.0.0/0");
}

#[test]
fn what_its_protocol_does_not_heed_makes_no_other_entry() {
    let all = entry(100, "allow", "-1", None, "0.0.0.0/0");
    let told = json!({"ruleNumber": 100, "ruleAction": "allow", "aclProtocol": "-1", "egress": false, "cidrBlock": "0.0.0.0/0",
        "portRange": {"from": -1, "to": -1}, "icmpTypeCode": {"type": 0, "code": 0}});
    assert_eq!(Entry::read(&told), Some(all));
    assert_eq!(entry(100, "allow", "6", Some((0, 65_535)), "::/0"), entry(100, "allow", "6", None, "::/0"));
}

#[test]
fn what_is_no_inbound_entry_is_none() {
    for (name, value) in [
        ("egress", json!(true)),
        ("egress", json!(null)),
        ("ruleAction", json!("maybe")),
        ("aclProtocol", json!("999")),
        ("aclProtocol", json!({})),
        ("cidrBlock", json!("world")),
        ("ruleNumber", json!(32_767)),
        ("ruleNumber", json!("x")),
    ] {
        let mut told = json!({"ruleNumber": 1, "ruleAction": "allow", "aclProtocol": "6", "egress": false, "cidrBlock": "0.0.0.0/0"});
        told[name] = value;
        assert_eq!(Entry::read(&told), None, "{told}");
    }
    assert_eq!(Entry::read(&json!("HIDDEN_DUE_TO_SECURITY_REASONS")), None);
}

#[test]
fn the_world_is_found_in_every_disguise() {
    for (protocol, ports, source, what) in [
        ("6", Some((22, 22)), "0.0.0.0/0", "tcp/22"),
        ("6", Some((20, 25)), "0.0.0.0/0", "tcp/22"),
        ("6", None, "0.0.0.0/0", "tcp/22 tcp/3389"),
        ("-1", None, "0.0.0.0/0", "tcp/22 tcp/3389"),
        ("6", Some((3389, 3389)), "::/0", "tcp/3389"),
        ("6", Some((22, 22)), "0.0.0.0/1", "tcp/22"),
        ("6", Some((22, 22)), "208.236.235.254/0", "tcp/22"),
        ("6", Some((1024, 65_535)), "0.0.0.0/0", "tcp/3389"),
    ] {
        let entry = entry(100, "allow", protocol, ports, source);
        assert_eq!(opens(&entry, &[entry]).join(" "), what, "{entry}");
    }
}

#[test]
fn what_lets_nobody_in_that_may_not_is_harmless() {
    for (action, protocol, ports, source) in [
        ("deny", "6", Some((22, 22)), "0.0.0.0/0"),
        ("allow", "6", Some((443, 443)), "0.0.0.0/0"),
        ("allow", "17", Some((22, 22)), "0.0.0.0/0"),
        ("allow", "1", None, "0.0.0.0/0"),
        ("allow", "47", None, "0.0.0.0/0"),
        ("allow", "6", Some((22, 22)), "10.0.0.0/8"),
        ("allow", "6", Some((22, 22)), "203.0.113.7/32"),
        ("allow", "6", Some((22, 22)), "fc00::/7"),
    ] {
        let entry = entry(100, action, protocol, ports, source);
        assert!(opens(&entry, &[entry]).is_empty(), "{entry}");
    }
}

#[test]
fn a_deny_before_it_counts_as_far_as_it_really_denies() {
    let open = entry(100, "allow", "6", Some((20, 25)), "0.0.0.0/0");
    let behind = |deny: Entry| opens(&open, &[open, deny]).join(" ");
    assert_eq!(behind(entry(90, "deny", "6", Some((22, 22)), "0.0.0.0/0")), "");
    assert_eq!(behind(entry(90, "deny", "-1", None, "0.0.0.0/0")), "");
    assert_eq!(behind(entry(110, "deny", "6", Some((22, 22)), "0.0.0.0/0")), "tcp/22", "it comes too late");
    assert_eq!(behind(entry(90, "deny", "17", Some((22, 22)), "0.0.0.0/0")), "tcp/22", "another protocol");
    assert_eq!(behind(entry(90, "deny", "6", Some((23, 23)), "0.0.0.0/0")), "tcp/22", "another port");
    assert_eq!(behind(entry(90, "deny", "6", Some((22, 22)), "0.0.0.0/1")), "tcp/22", "the other half is left");
    assert_eq!(behind(entry(90, "deny", "-1", None, "198.51.100.7/32")), "tcp/22", "one address less");
    assert_eq!(behind(entry(90, "deny", "6", Some((22, 22)), "::/0")), "tcp/22", "another family");
}

#[test]
fn denies_add_up_and_leave_what_they_leave() {
    let open = entry(100, "allow", "6", Some((22, 22)), "0.0.0.0/0");
    let half = |number, source| entry(number, "deny", "6", Some((22, 22)), source);
    assert!(opens(&open, &[open, half(80, "0.0.0.0/1"), half(90, "128.0.0.0/1")]).is_empty());
    let wide = entry(100, "allow", "6", Some((1, 65_535)), "0.0.0.0/0");
    let guards = guards(&[("rescind:ports", "20-25")]);
    assert_eq!(opened(&wide, &[wide, half(90, "0.0.0.0/0")], &guards).join(" "), "tcp/20-21 tcp/23-25");
}

#[test]
fn a_deny_of_one_type_of_icmp_denies_too_little() {
    let guards = guards(&[("rescind:ports", "icmp")]);
    let open = entry(100, "allow", "1", None, "0.0.0.0/0");
    let told = |kind: i32| {
        json!({"ruleNumber": 90, "ruleAction": "deny", "aclProtocol": "1", "egress": false,
        "cidrBlock": "0.0.0.0/0", "icmpTypeCode": {"type": kind, "code": -1}})
    };
    assert_eq!(opened(&open, &[open, Entry::read(&told(8)).unwrap()], &guards), ["icmp"]);
    assert!(opened(&open, &[open, Entry::read(&told(-1)).unwrap()], &guards).is_empty());
}

#[test]
fn sources_may_be_too_wide_together() {
    let first = entry(100, "allow", "6", Some((22, 22)), "8.0.0.0/8");
    let second = entry(110, "allow", "6", Some((22, 22)), "9.0.0.0/8");
    assert!(opens(&second, &[second]).is_empty());
    assert_eq!(second.opens(&[first, second], &guards(&[])), [("tcp/22".to_owned(), Why::Together)]);
    let inside = entry(120, "allow", "6", Some((22, 22)), "8.1.0.0/16");
    assert!(opens(&inside, &[first, inside]).is_empty(), "it adds nothing");
}

#[test]
fn with_a_list_whatever_is_outside_of_it_is_forbidden() {
    let guards = guards(&[("rescind:allowed-cidrs", "10.0.0.0/9 10.128.0.0/9 203.0.113.0/24")]);
    let from = |source: &str| {
        let entry = entry(100, "allow", "6", Some((22, 22)), source);
        opened(&entry, &[entry], &guards)
    };
    assert!(from("10.0.0.0/8").is_empty() && from("203.0.113.7/32").is_empty());
    assert_eq!(from("192.168.0.0/16"), ["tcp/22"]);
    assert_eq!(from("203.0.112.0/23"), ["tcp/22"]);
    let half = entry(90, "deny", "-1", None, "203.0.112.0/24");
    let wide = entry(100, "allow", "6", Some((22, 22)), "203.0.112.0/23");
    assert!(opened(&wide, &[wide, half], &guards).is_empty(), "what is left is inside");
}

fn any_entry() -> impl Strategy<Value = Entry> {
    let sources = ["0.0.0.0/0", "0.0.0.0/1", "128.0.0.0/1", "8.0.0.0/7", "10.0.0.0/8", "192.0.2.0/24", "::/0"];
    let protocols = [Protocol::All, Protocol::Tcp, Protocol::Udp, Protocol::Icmp];
    let ports = prop_oneof![Just(None), (18_u16..26, 0_u16..6).prop_map(|(from, more)| Some((from, from + more)))];
    (1..9_i32, any::<bool>(), 0..protocols.len(), ports, 0..sources.len()).prop_map(
        move |(number, is_allow, protocol, ports, source)| {
            let source = addresses::parse(sources[source]).unwrap();
            let entry = Entry { number, is_allow, protocol: protocols[protocol], ports, icmp: (-1, -1), source };
            entry.inbound(false).unwrap()
        },
    )
}

/// Whether an entry lets a packet in, packet by packet.
fn lets_in(entry: &Entry, among: &[Entry], protocol: Protocol, port: u16, address: IpNet) -> bool {
    let matches = |one: &&Entry| one.overlap(protocol, port, port).is_some() && one.source.contains(&address);
    let mut all: Vec<&Entry> = among.iter().filter(|one| one.number != entry.number).chain([entry]).collect();
    all.sort_by_key(|one| one.number);
    let denies = |one: &&&Entry| !one.is_allow && one.number < entry.number;
    entry.is_allow && matches(&entry) && !all.iter().filter(denies).any(matches)
}

proptest! {
    /// Without any widest source, and with nothing allowed, an entry opens a port exactly if it lets one packet in.
    #[test]
    fn an_entry_opens_what_it_lets_in(entry in any_entry(), among in prop::collection::vec(any_entry(), 0..6)) {
        let mut numbers = BTreeSet::from([entry.number]);
        let among: Vec<Entry> = among.into_iter().filter(|one| numbers.insert(one.number)).chain([entry]).collect();
        let nothing = guards(&[("rescind:ports", "20-23"), ("rescind:allowed-cidrs", "100.64.0.1/32")]);
        let told = opened(&entry, &among, &nothing);
        // One address of each part into which the sources divide all addresses.
        let addresses = ["1.2.3.4", "8.1.1.1", "10.1.1.1", "130.0.0.1", "192.0.2.1", "2001:db8::1"];
        for port in 20..=23_u16 {
            let is_open = addresses.iter().any(|address| {
                lets_in(&entry, &among, Protocol::Tcp, port, addresses::parse(address).unwrap())
            });
            let is_told = told.iter().any(|what| {
                let ports = what.strip_prefix("tcp/").unwrap();
                let (first, last) = ports.split_once('-').unwrap_or((ports, ports));
                (first.parse().unwrap()..=last.parse::<u16>().unwrap()).contains(&port)
            });
            prop_assert_eq!(is_told, is_open, "port {} of {} among {:?}", port, entry, among);
        }
    }

    #[test]
    fn parameters_make_the_same_entry(entry in any_entry()) {
        prop_assert_eq!(Entry::read(&entry.parameters("acl-1")), Some(entry));
    }
}
