//! Sources that are too wide together, though none of them is alone.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use ipnet::IpNet;
use rescind::addresses::{Coverage, Widest};

use super::Reach;

/// The source of a rule.
pub(super) struct Source {
    /// What it covers.
    pub nets: Vec<IpNet>,
    /// Whether the rule may be taken away.
    pub may_go: bool,
}

/// What is too wide together.
pub(super) struct TooWide {
    /// What the rules open that have to go.
    pub go: BTreeSet<Reach>,
    /// What is reached by too wide sources even so, by the first of the rules that do.
    pub stay: BTreeSet<Reach>,
}

/// A port that too wide sources reach together, and the state of working out who has to go.
struct Crowd<'a> {
    reaches: Vec<&'a Reach>,
    /// What may be covered: as much as one source may, or as much as those cover that can't go.
    allowed: Coverage,
    kept: Vec<IpNet>,
}

/// Finds the rules that have to go so that the sources for each port do not cover too much together. One that adds nothing
/// stays, and so do the narrowest that there is room for: with any one back that goes, it would be too much again.
///
/// `parts` are the rules that open each guarded thing, and `sources` those of all rules.
pub(super) fn too_wide(parts: &[Vec<Reach>], sources: &[Source], widest: Widest) -> TooWide {
    let mut crowds: Vec<Crowd<'_>> = parts.iter().flat_map(|part| crowds(part, sources, widest)).collect();
    let may_go = |reach: &&&Reach| sources.get(reach.index).is_some_and(|source| source.may_go);
    let suspects: BTreeSet<usize> =
        crowds.iter().flat_map(|crowd| crowd.reaches.iter().filter(may_go)).map(|reach| reach.index).collect();
    let mut narrowest_first: Vec<(usize, &Source)> =
        suspects.into_iter().filter_map(|index| Some((index, sources.get(index)?))).collect();
    narrowest_first.sort_by_key(|(index, source)| (Reverse(shortest_prefix(&source.nets)), *index));
    let mut gone = BTreeSet::new();
    for (index, source) in narrowest_first {
        let its = |crowd: &&mut Crowd<'_>| crowd.reaches.iter().any(|reach| reach.index == index);
        let has_room = crowds.iter_mut().filter(its).all(|crowd| crowd.with(&source.nets).is_some());
        if has_room {
            for crowd in crowds.iter_mut().filter(its) {
                crowd.kept = crowd.with(&source.nets).unwrap_or_default();
            }
        } else {
            gone.insert(index);
        }
    }
    let stay = crowds.iter().filter(|crowd| widest.is_exceeded_by_all(&crowd.kept));
    TooWide {
        stay: stay.filter_map(|crowd| crowd.reaches.first().map(|reach| **reach)).collect(),
        go: crowds
            .iter()
            .flat_map(|crowd| &crowd.reaches)
            .filter(|reach| gone.contains(&reach.index))
            .map(|reach| **reach)
            .collect(),
    }
}

/// The ports that too wide sources reach together; of those that the same rules open, one.
fn crowds<'a>(part: &'a [Reach], sources: &[Source], widest: Widest) -> Vec<Crowd<'a>> {
    // Between two neighbouring starts (or ends) of ranges every port is reached by the same rules.
    let starts: BTreeSet<u16> =
        part.iter().flat_map(|reach| [Some(reach.ports.0), reach.ports.1.checked_add(1)]).flatten().collect();
    let mut different: BTreeMap<Vec<usize>, Vec<&Reach>> = BTreeMap::new();
    for port in starts {
        let here: Vec<&Reach> = part.iter().filter(|reach| (reach.ports.0..=reach.ports.1).contains(&port)).collect();
        different.insert(here.iter().map(|reach| reach.index).collect(), here);
    }
    let crowd = |reaches: Vec<&'a Reach>| {
        let nets = |all: bool| -> Vec<IpNet> {
            let sources = reaches.iter().filter_map(|reach| sources.get(reach.index));
            sources.filter(|source| all || !source.may_go).flat_map(|source| source.nets.iter().copied()).collect()
        };
        let kept = nets(false);
        let allowed = widest.coverage().or_larger(Coverage::of(&kept));
        widest.is_exceeded_by_all(&nets(true)).then_some(Crowd { reaches, allowed, kept })
    };
    different.into_values().filter_map(crowd).collect()
}

impl Crowd<'_> {
    /// What is covered with one source more, if that is not too much.
    fn with(&self, more: &[IpNet]) -> Option<Vec<IpNet>> {
        let all = IpNet::aggregate(&self.kept.iter().chain(more).copied().collect());
        Coverage::of(&all).fits_in(self.allowed).then_some(all)
    }
}

/// How wide a source is, on a scale on which those of IPv4 and IPv6 can be put in order. One without ranges is narrow.
fn shortest_prefix(nets: &[IpNet]) -> u8 {
    nets.iter().map(|net| net.prefix_len().saturating_mul(128 / net.max_prefix_len())).min().unwrap_or(128)
}
