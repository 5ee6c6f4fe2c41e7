//! IP addresses: what is public, what is inside a list, how much a set of ranges covers.
//!
//! What counts as public follows the IANA special-purpose address registries (RFC 6890): everything but the ranges from
//! which nothing reaches a network interface over the internet.

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// Ranges that are not reached over the internet. They do not overlap.
const NOT_PUBLIC: &[&str] = &[
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "198.18.0.0/15",
    "224.0.0.0/3",
    "::/127",
    "fc00::/7",
    "fe80::/10",
    "ff00::/8",
];

fn not_public() -> impl Iterator<Item = IpNet> {
    NOT_PUBLIC.iter().filter_map(|text| text.parse().ok())
}

/// Reads a range, and puts it in AWS's canonical form: host bits cleared (`203.0.113.7/0` is `0.0.0.0/0`). A lone
/// address is a range of one.
pub fn parse(text: &str) -> Option<IpNet> {
    let text = text.trim();
    let net = text.parse::<IpNet>().ok().or_else(|| text.parse::<std::net::IpAddr>().ok().map(IpNet::from))?;
    Some(net.trunc())
}

/// Whether some of `net` is reached over the internet.
pub fn is_public(net: &IpNet) -> bool {
    !not_public().any(|private| private.contains(net))
}

/// What is left of `net` without the ranges of `minus`, as ranges.
pub fn without(net: IpNet, minus: &[IpNet]) -> Vec<IpNet> {
    if minus.iter().any(|range| range.contains(&net)) {
        return Vec::new();
    }
    let inside: Vec<IpNet> = minus.iter().filter(|range| net.contains(*range)).copied().collect();
    match net.subnets(net.prefix_len() + 1) {
        // Two ranges overlap only where one holds the other, so a half has fewer of them, or shorter ones.
        Ok(halves) if !inside.is_empty() => halves.flat_map(|half| without(half, &inside)).collect(),
        _ => vec![net],
    }
}

/// How wide a single public source may be before it is the world: the shortest prefix that still may stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Widest {
    /// For IPv4, 0 to 32.
    pub v4: u8,
    /// For IPv6, 0 to 128.
    pub v6: u8,
}

impl Default for Widest {
    fn default() -> Self {
        Self { v4: 8, v6: 32 }
    }
}

impl Widest {
    /// Whether a source is public and wider than may stand.
    pub fn is_exceeded_by(self, net: &IpNet) -> bool {
        is_public(net) && net.prefix_len() < self.prefix_for(net)
    }

    /// Whether sources, none of which needs to be wide alone, together cover more public addresses than one that may
    /// stand. IPv4 and IPv6 are counted apart.
    pub fn is_exceeded_by_all(self, nets: &[IpNet]) -> bool {
        !Coverage::of(nets).fits_in(self.coverage())
    }

    /// What a source that may just stand covers, of each family.
    pub fn coverage(self) -> Coverage {
        let of = |bits: u8, length: u8| 1_u128.checked_shl(u32::from(bits.saturating_sub(length))).unwrap_or(u128::MAX);
        Coverage { v4: of(32, self.v4), v6: of(128, self.v6) }
    }

    fn prefix_for(self, net: &IpNet) -> u8 {
        match net {
            IpNet::V4(_) => self.v4,
            IpNet::V6(_) => self.v6,
        }
    }
}

/// How many public addresses sources cover together. IPv4 and IPv6 are counted apart, since one has so many more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Coverage {
    v4: u128,
    v6: u128,
}

impl Coverage {
    /// What these ranges cover; an address that is in two of them counts once.
    pub fn of(nets: &[IpNet]) -> Self {
        let aggregated = IpNet::aggregate(&nets.to_vec());
        let (v4, v6): (Vec<IpNet>, Vec<IpNet>) = aggregated.into_iter().partition(|net| matches!(net, IpNet::V4(_)));
        let count = |nets: &[IpNet]| nets.iter().fold(0, |sum: u128, net| sum.saturating_add(public_size(net)));
        Self { v4: count(&v4), v6: count(&v6) }
    }

    /// Whether of no family more is covered than there.
    pub fn fits_in(self, other: Self) -> bool {
        self.v4 <= other.v4 && self.v6 <= other.v6
    }

    /// Of each family the larger one.
    #[must_use]
    pub fn or_larger(self, other: Self) -> Self {
        Self { v4: self.v4.max(other.v4), v6: self.v6.max(other.v6) }
    }
}

fn size(net: &IpNet) -> u128 {
    let host_bits = u32::from(net.max_prefix_len() - net.prefix_len());
    1_u128.checked_shl(host_bits).unwrap_or(u128::MAX)
}

fn public_size(net: &IpNet) -> u128 {
    if !is_public(net) {
        return 0;
    }
    not_public()
        .filter(|private| net.contains(private))
        .fold(size(net), |left, private| left.saturating_sub(size(&private)))
}

/// A set of ranges.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AddressSet(Vec<IpNet>);

impl AddressSet {
    /// The set of these ranges.
    pub fn new(nets: impl IntoIterator<Item = IpNet>) -> Self {
        Self(IpNet::aggregate(&nets.into_iter().collect()))
    }

    /// Whether every address of `net` is in the set.
    pub fn contains(&self, net: &IpNet) -> bool {
        // Aggregated ranges are as large as can be, so a range that lies in the union lies in one of them.
        self.0.iter().any(|range| range.contains(net))
    }
}

/// Every IPv4 address.
pub fn all_v4() -> IpNet {
    IpNet::V4(Ipv4Net::default())
}

/// Every IPv6 address.
pub fn all_v6() -> IpNet {
    IpNet::V6(Ipv6Net::default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn net(text: &str) -> IpNet {
        parse(text).unwrap()
    }

    #[test]
    fn every_listed_range_parses_and_none_overlaps_another() {
        let ranges: Vec<IpNet> = not_public().collect();
        assert_eq!(ranges.len(), NOT_PUBLIC.len());
        for (index, range) in ranges.iter().enumerate() {
            assert!(
                !ranges.iter().skip(index + 1).any(|other| other.contains(range) || range.contains(other)),
                "{range}"
            );
        }
    }

    #[test]
    fn host_bits_do_not_hide_the_world() {
        assert_eq!(net("208.236.235.254/0"), all_v4());
        assert_eq!(net("2001:db8::1/0"), all_v6());
        assert_eq!(net("198.51.100.7"), net("198.51.100.7/32"));
        assert_eq!(parse("0.0.0.0/33"), None);
        assert_eq!(parse("world"), None);
    }

    #[test]
    fn wide_and_public_is_the_world() {
        let widest = Widest::default();
        for open in
            ["0.0.0.0/0", "0.0.0.0/1", "128.0.0.0/1", "8.0.0.0/7", "::/0", "2000::/3", "2001::/16", "10.0.0.0/7"]
        {
            assert!(widest.is_exceeded_by(&net(open)), "{open}");
        }
        for fine in
            ["10.0.0.0/8", "8.0.0.0/8", "203.0.113.7/32", "fc00::/7", "2001:db8::/32", "240.0.0.0/4", "100.64.0.0/10"]
        {
            assert!(!widest.is_exceeded_by(&net(fine)), "{fine}");
        }
    }

    #[test]
    fn halves_make_a_whole_and_private_space_does_not_count() {
        let widest = Widest::default();
        let all = |texts: &[&str]| widest.is_exceeded_by_all(&texts.iter().map(|text| net(text)).collect::<Vec<_>>());
        assert!(all(&["8.0.0.0/9", "8.128.0.0/9", "9.0.0.0/9"]));
        assert!(!all(&["8.0.0.0/9", "8.128.0.0/9"]));
        assert!(!all(&["8.0.0.0/8", "8.0.0.0/8", "8.1.0.0/16"]), "the same addresses count once");
        assert!(!all(&["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7"]));
        assert!(all(&["2001:db8::/32", "2001:db9::/32"]));
        assert!(all(&["0.0.0.0/0"]) && all(&["::/0"]));
    }

    #[test]
    fn what_is_left_of_a_range() {
        let left = |of: &str, minus: &[&str]| {
            let minus: Vec<IpNet> = minus.iter().map(|text| net(text)).collect();
            without(net(of), &minus).iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(left("10.0.0.0/8", &[]), ["10.0.0.0/8"]);
        assert_eq!(left("10.0.0.0/8", &["0.0.0.0/0"]), Vec::<String>::new());
        assert_eq!(left("10.0.0.0/8", &["10.0.0.0/9"]), ["10.128.0.0/9"]);
        assert_eq!(left("10.0.0.0/8", &["10.0.0.0/9", "10.128.0.0/9"]), Vec::<String>::new());
        assert_eq!(left("10.0.0.0/8", &["11.0.0.0/8", "::/0"]), ["10.0.0.0/8"]);
        assert_eq!(left("0.0.0.0/0", &["198.51.100.7/32"]).len(), 32);
        assert_eq!(left("198.51.100.7/32", &["198.51.100.6/32"]), ["198.51.100.7/32"]);
        assert_eq!(left("::/0", &["::/1"]), ["8000::/1"]);
    }

    #[test]
    fn neighbours_in_a_list_hold_what_spans_them() {
        let set = AddressSet::new([net("203.0.113.0/25"), net("203.0.113.128/25"), net("2001:db8::/32")]);
        assert!(set.contains(&net("203.0.113.0/24")) && set.contains(&net("2001:db8:1::/48")));
        assert!(!set.contains(&net("203.0.112.0/23")) && !set.contains(&all_v4()));
    }
}
