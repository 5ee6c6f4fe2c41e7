//! Whatever is written as an address, a range or an ARN, one on each line: what is read is written again as the same,
//! and ranges keep the laws of sets. A line such as `8 32` says how wide a source may be.

#![no_main]

use ipnet::IpNet;
use libfuzzer_sys::{Corpus, fuzz_target};
use rescind::addresses::{self, AddressSet, Widest};
use rescind::arn::{self, Arn};

/// Some laws compare each range with each other one.
const MOST_RANGES: usize = 40;

fuzz_target!(|data: &[u8]| -> Corpus {
    let Ok(text) = std::str::from_utf8(data) else {
        return Corpus::Reject;
    };
    text.lines().for_each(check_arn);
    let ranges: Vec<IpNet> = text.lines().filter_map(addresses::parse).take(MOST_RANGES).collect();
    let widest = text.lines().find_map(widest).unwrap_or_default();
    for range in &ranges {
        check_range(range, widest);
    }
    check_sets(&ranges);
    check_widest(&ranges, widest);
    Corpus::Keep
});

fn widest(line: &str) -> Option<Widest> {
    let (v4, v6) = line.split_once(' ')?;
    Some(Widest { v4: v4.parse().ok()?, v6: v6.parse().ok()? })
}

fn check_arn(line: &str) {
    assert!(!(arn::is_account(line) && Arn::parse(line).is_some()));
    let Some(arn) = Arn::parse(line) else {
        return;
    };
    assert_eq!(Arn::parse(&arn.to_string()).as_ref(), Some(&arn), "what is written is read as the same");
    assert_eq!(arn.as_str(), line);
    let rest = format!(":{}:{}:{}:{}", arn.service(), arn.region(), arn.account(), arn.resource());
    assert!(line.ends_with(&rest), "{line} does not end with {rest}");
    assert!(["", "aws"].contains(&arn.account()) || arn::is_account(arn.account()));
}

fn check_range(range: &IpNet, widest: Widest) {
    assert_eq!(addresses::parse(&range.to_string()).as_ref(), Some(range), "what is written is read as the same");
    assert_eq!(*range, range.trunc(), "host bits are cleared");
    let all = if range.max_prefix_len() == 32 { addresses::all_v4() } else { addresses::all_v6() };
    assert!(all.contains(range));
    assert!(addresses::is_public(&all) && (!widest.is_exceeded_by(range) || widest.is_exceeded_by(&all)));
    let lone = addresses::parse(&range.network().to_string());
    assert!(lone.is_some_and(|lone| lone.prefix_len() == lone.max_prefix_len() && range.contains(&lone)));
    let [low, high] = halves(range);
    assert!(range.contains(&low) && range.contains(&high));
    let is_public = addresses::is_public(range);
    assert!(is_public || !(addresses::is_public(&low) || addresses::is_public(&high)), "a part of it is public");
    assert!(!is_public || addresses::is_public(&low) || addresses::is_public(&high), "no part of it is public");
    // A whole list is looked at as well as each of its ranges, and a list of one finds no more.
    assert!(!widest.is_exceeded_by_all(&[*range]) || widest.is_exceeded_by(range));
}

/// The two halves of a range; twice the address itself when there is but one.
fn halves(range: &IpNet) -> [IpNet; 2] {
    let length = range.max_prefix_len().min(range.prefix_len() + 1);
    [range.network(), range.broadcast()].map(|end| IpNet::new(end, length).unwrap_or(*range).trunc())
}

fn check_sets(ranges: &[IpNet]) {
    let set = AddressSet::new(ranges.iter().copied());
    assert_eq!(set, AddressSet::new(ranges.iter().rev().copied()), "the order means nothing");
    let in_halves = AddressSet::new(ranges.iter().flat_map(halves));
    assert_eq!(set, in_halves, "two halves are a whole");
    for range in ranges {
        let [low, high] = halves(range);
        assert!(set.contains(range) && set.contains(&low) && set.contains(&high));
    }
    for (index, range) in ranges.iter().enumerate() {
        // Without one of its ranges a set holds that one exactly when it holds both halves.
        let others = ranges.iter().enumerate().filter(|(other, _)| *other != index).map(|(_, range)| *range);
        let others = AddressSet::new(others);
        let [low, high] = halves(range);
        assert_eq!(others.contains(range), others.contains(&low) && others.contains(&high), "{range} in {others:?}");
    }
}

fn check_widest(ranges: &[IpNet], widest: Widest) {
    let exceeded = widest.is_exceeded_by_all(ranges);
    let reversed: Vec<IpNet> = ranges.iter().rev().copied().collect();
    assert_eq!(exceeded, widest.is_exceeded_by_all(&reversed), "the order means nothing");
    let twice: Vec<IpNet> = ranges.iter().chain(ranges).copied().collect();
    assert_eq!(exceeded, widest.is_exceeded_by_all(&twice), "the same addresses count once");
    let split: Vec<IpNet> = ranges.iter().flat_map(halves).collect();
    assert_eq!(exceeded, widest.is_exceeded_by_all(&split), "dividing a range hides nothing");
    let mut more = ranges.to_vec();
    for range in [addresses::all_v4(), addresses::all_v6()] {
        more.push(range);
        assert!(!exceeded || widest.is_exceeded_by_all(&more), "more addresses are never fewer");
    }
    if let Some((_, fewer)) = ranges.split_last() {
        assert!(exceeded || !widest.is_exceeded_by_all(fewer), "fewer addresses are never more");
    }
}
