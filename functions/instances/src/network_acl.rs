//! How the network ACLs in front of an instance stand, and whose addresses are never blocked there.

use std::net::IpAddr;

use aws_sdk_ec2::Client;
use aws_sdk_ec2::types::{Filter, NetworkAcl, NetworkAclEntry, RuleAction};
use chrono::{DateTime, Utc};
use futures_util::future::try_join_all;
use ipnet::IpNet;
use rescind::journal::Facts;
use rescind::{Call, Resource, addresses};
use rescind_lambda::{CallError, Expiry, ResourceState, Scope};

use crate::{blocking, instance};

/// The IAM actions of what is called.
pub mod action {
    /// `DescribeNetworkAcls`.
    pub const DESCRIBE_ACLS: &str = "ec2:DescribeNetworkAcls";
    /// `DescribeAddresses`.
    pub const DESCRIBE_ADDRESSES: &str = "ec2:DescribeAddresses";
    /// `DescribeNetworkInterfaces`.
    pub const DESCRIBE_INTERFACES: &str = "ec2:DescribeNetworkInterfaces";
    /// `DescribeNatGateways`.
    pub const DESCRIBE_GATEWAYS: &str = "ec2:DescribeNatGateways";
    /// `DescribeManagedPrefixLists`.
    pub const DESCRIBE_LISTS: &str = "ec2:DescribeManagedPrefixLists";
    /// `GetManagedPrefixListEntries`.
    pub const GET_LIST: &str = "ec2:GetManagedPrefixListEntries";
}

/// Entries that an ACL may have for inbound IPv4, and as many for IPv6, beside the last one, which denies the rest (Amazon VPC user
/// guide, *Amazon VPC quotas*).
const MOST_ENTRIES: usize = 19;

/// How the network ACLs in front of an instance stand.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct State {
    /// The instance; `None` when it is gone, or about to be.
    pub instance: Option<Behind>,
    /// Every network ACL of the account and Region: what was blocked has to be found though the instance is gone.
    pub acls: Vec<Acl>,
    /// The address in question.
    pub address: Option<IpAddr>,
    /// The outcome for which this was read: its blocks are told apart from those of others.
    pub outcome: String,
    /// Addresses of the account itself in the Region: those of NAT gateways, and the one in question if an Elastic IP address or a
    /// network interface is it.
    pub own: Vec<IpAddr>,
    /// The ranges of AWS's own services, each with the name of its prefix list.
    pub services: Vec<(String, IpNet)>,
    /// How a block is ended; `None` where nothing can be scheduled.
    pub expiry: Option<Expiry>,
    /// When this was read.
    pub read_at: DateTime<Utc>,
}

/// An instance behind network ACLs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Behind {
    /// Its tags.
    pub tags: Vec<(String, String)>,
    /// The subnets of its network interfaces.
    pub subnets: Vec<String>,
}

/// A network ACL, by its inbound entries.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Acl {
    /// Its id.
    pub id: String,
    /// The subnets that it stands in front of.
    pub subnets: Vec<String>,
    /// Its tags.
    pub tags: Vec<(String, String)>,
    /// Its inbound entries, but for the last ones, which deny the rest.
    pub entries: Vec<Entry>,
}

/// An inbound entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// Entries are gone through by their numbers, the lowest first; the first that matches decides.
    pub number: i32,
    /// It denies.
    pub is_deny: bool,
    /// It is for every protocol and port.
    pub is_all_traffic: bool,
    /// From where.
    pub source: IpNet,
}

/// Where an address is to be denied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The entry's number.
    pub number: i32,
    /// A block that has to go for it: the entry, and the tag that tells of it.
    pub displaced: Option<(Entry, (String, String))>,
}

impl Entry {
    /// Denies one address everything.
    pub fn denying(address: IpAddr, number: i32) -> Self {
        Self { number, is_deny: true, is_all_traffic: true, source: IpNet::from(address) }
    }

    /// Whether it looks as ours do: it denies one address everything.
    fn is_block_of(&self, address: IpAddr) -> bool {
        *self == Self::denying(address, self.number)
    }
}

impl Acl {
    /// Whether nothing of an address comes in.
    pub fn denies(&self, address: IpAddr) -> bool {
        let matching = |entry: &&Entry| entry.source.contains(&address);
        let mut matching: Vec<&Entry> = self.entries.iter().filter(matching).collect();
        matching.sort_by_key(|entry| entry.number);
        let denied = matching.iter().find(|entry| entry.is_deny && entry.is_all_traffic).map(|entry| entry.number);
        let allowed = matching.iter().find(|entry| !entry.is_deny).map(|entry| entry.number);
        match (denied, allowed) {
            (_, None) => true,
            (Some(denied), Some(allowed)) => denied < allowed,
            (None, Some(_)) => false,
        }
    }

    /// Where an address can be denied: at the first free number of `range` that comes before all that lets it in. Where the ACL has
    /// no more room, the block that ends first goes.
    pub fn place(&self, address: IpAddr, range: (i32, i32)) -> Option<Place> {
        let lets_in = self.entries.iter().filter(|entry| !entry.is_deny && entry.source.contains(&address));
        let before = lets_in.map(|entry| entry.number).min().unwrap_or(i32::MAX);
        let is_taken = |number: &i32| self.entries.iter().any(|entry| entry.number == *number);
        let free = (range.0..=range.1).take_while(|number| *number < before).find(|number| !is_taken(number));
        let of_family = |entry: &&Entry| entry.source.addr().is_ipv4() == address.is_ipv4();
        let is_full = self.entries.iter().filter(of_family).count() >= MOST_ENTRIES;
        if let Some(number) = free.filter(|_| !is_full) {
            return Some(Place { number, displaced: None });
        }
        // Whatever goes makes room for one of its family; and where no number was free, its own is.
        let ends = |entry: &&Entry| Some((blocking::end_of(&self.tags, entry.source.addr())?, **entry));
        let is_ours =
            |entry: &&Entry| (range.0..=range.1).contains(&entry.number) && entry.is_block_of(entry.source.addr());
        let candidates = self.entries.iter().filter(is_ours).filter(|entry| !is_full || of_family(entry));
        let candidates = candidates.filter(|entry| free.is_some() || entry.number < before);
        let (ending, first) =
            candidates.filter_map(|entry| ends(&entry)).min_by_key(|(ending, entry)| (ending.until, entry.number))?;
        Some(Place { number: free.unwrap_or(first.number), displaced: Some((first, ending.tag)) })
    }

    /// Where it denies one address everything.
    fn blocks_of(&self, address: IpAddr) -> impl Iterator<Item = &Entry> {
        self.entries.iter().filter(move |entry| entry.is_block_of(address))
    }
}

impl State {
    /// Reads the instance, the network ACLs and whose the addresses are, side by side.
    ///
    /// # Errors
    /// When EC2 could not be asked: who is not known to be a stranger is not blocked.
    pub async fn read(
        scope: &Scope,
        resource: &Resource,
        instance: &str,
        address: IpAddr,
        outcome: &str,
    ) -> Result<Self, CallError> {
        let client = instance::client(scope);
        let (found, acls, elastic, gateways, interfaces, services) = tokio::join!(
            Box::pin(instance::describe(&client, instance)),
            Box::pin(read_acls(&client, &resource.account)),
            Box::pin(read_elastic(&client, address)),
            Box::pin(read_gateways(&client)),
            Box::pin(read_interfaces(&client, address)),
            Box::pin(read_services(&client)),
        );
        let behind = found?.map(|found| {
            let interfaces = found.network_interfaces().iter();
            let mut subnets: Vec<String> =
                interfaces.filter_map(|interface| interface.subnet_id().map(str::to_owned)).collect();
            subnets.sort();
            subnets.dedup();
            Behind { tags: instance::tags(&found), subnets }
        });
        let mut own = elastic?;
        own.extend(gateways?);
        own.extend(interfaces?);
        Ok(Self {
            instance: behind,
            acls: acls?,
            address: Some(address),
            outcome: outcome.to_owned(),
            own,
            services: services?,
            expiry: scope.expiry().cloned(),
            read_at: scope.now(),
        })
    }

    /// The network ACLs in front of the instance, and the subnets whose ACL is not known: those of a VPC that another account
    /// shares.
    pub fn in_front(&self) -> (Vec<&Acl>, Vec<&str>) {
        let Some(instance) = &self.instance else { return (Vec::new(), Vec::new()) };
        let has = |acl: &&Acl, subnet: &String| acl.subnets.contains(subnet);
        let acls = self.acls.iter().filter(|acl| instance.subnets.iter().any(|subnet| has(acl, subnet)));
        let is_unknown = |subnet: &&String| !self.acls.iter().any(|acl| has(&acl, subnet));
        let unknown = instance.subnets.iter().filter(is_unknown).map(String::as_str);
        (acls.collect(), unknown.collect())
    }

    /// Why an address is never blocked, if so.
    pub fn spares(&self, address: IpAddr, never: &[IpNet]) -> Option<String> {
        if !addresses::is_public(&IpNet::from(address)) {
            return Some("it is private".to_owned());
        }
        if let Some(range) = never.iter().find(|range| range.contains(&address)) {
            return Some(format!("it is in {range} of rescind:never-block"));
        }
        if self.own.contains(&address) {
            return Some("it is the account's own".to_owned());
        }
        let service = self.services.iter().find(|(_, range)| range.contains(&address));
        service.map(|(name, _)| format!("it is in AWS's own {name}"))
    }
}

impl ResourceState for State {
    fn id(&self) -> Option<&str> {
        None
    }

    fn tags(&self) -> &[(String, String)] {
        self.instance.as_ref().map(|instance| instance.tags.as_slice()).unwrap_or_default()
    }

    /// Where the address in question, and no other, is blocked, and by which other outcome, if so.
    fn facts(&self) -> Facts {
        let mut facts = Facts::new();
        for acl in &self.acls {
            let Some(address) = self.address else { continue };
            let ending = blocking::end_of(&acl.tags, address).filter(|ending| ending.outcome != self.outcome);
            let told = |entry: &Entry| match &ending {
                Some(ending) if ending.is_of(entry.number) => format!("{} of {}", entry.number, ending.outcome),
                _ => entry.number.to_string(),
            };
            let numbers: Vec<String> = acl.blocks_of(address).map(told).collect();
            if !numbers.is_empty() {
                facts.insert(format!("{address} in {}", acl.id), format!("entry {}", numbers.join(" ")));
            }
        }
        facts
    }

    fn after(&self, call: &Call) -> Self {
        blocking::applied(self, call)
    }
}

/// A network ACL as it stands now.
pub(crate) async fn read_acl(client: &Client, id: &str) -> Result<Option<Acl>, CallError> {
    let answer = client.describe_network_acls().network_acl_ids(id).send().await;
    let answer = CallError::or(action::DESCRIBE_ACLS, answer)?;
    Ok(answer.network_acls().first().map(acl))
}

/// Those of the account: it may see others, of VPCs that are shared with it, and may not change them.
async fn read_acls(client: &Client, account: &str) -> Result<Vec<Acl>, CallError> {
    let mut pages = client.describe_network_acls().into_paginator().send();
    let mut acls = Vec::new();
    while let Some(page) = pages.next().await {
        let page = CallError::or(action::DESCRIBE_ACLS, page)?;
        let is_own = |acl: &&NetworkAcl| acl.owner_id().is_none_or(|owner| owner == account);
        acls.extend(page.network_acls().iter().filter(is_own).map(acl));
    }
    Ok(acls)
}

fn acl(acl: &NetworkAcl) -> Acl {
    let subnets = acl.associations().iter().filter_map(|one| one.subnet_id().map(str::to_owned));
    let pair =
        |tag: &aws_sdk_ec2::types::Tag| Some((tag.key()?.to_owned(), tag.value().unwrap_or_default().to_owned()));
    Acl {
        id: acl.network_acl_id().unwrap_or_default().to_owned(),
        subnets: subnets.collect(),
        tags: acl.tags().iter().filter_map(pair).collect(),
        entries: acl.entries().iter().filter_map(entry).collect(),
    }
}

/// An inbound entry. The last ones, which deny the rest, have numbers that no other may have.
fn entry(entry: &NetworkAclEntry) -> Option<Entry> {
    let source = entry.cidr_block().or_else(|| entry.ipv6_cidr_block()).and_then(addresses::parse)?;
    let number = entry.rule_number().filter(|number| *number < 32_767)?;
    (entry.egress() == Some(false)).then(|| Entry {
        number,
        is_deny: entry.rule_action() == Some(&RuleAction::Deny),
        is_all_traffic: entry.protocol() == Some("-1"),
        source,
    })
}

async fn read_elastic(client: &Client, address: IpAddr) -> Result<Vec<IpAddr>, CallError> {
    if address.is_ipv6() {
        return Ok(Vec::new());
    }
    let filter = Filter::builder().name("public-ip").values(address.to_string()).build();
    let answer = client.describe_addresses().filters(filter).send().await;
    let answer = CallError::or(action::DESCRIBE_ADDRESSES, answer)?;
    Ok(answer.addresses().iter().filter_map(|one| one.public_ip()?.parse().ok()).collect())
}

/// The addresses of the NAT gateways, those of regional ones among them, which need not be Elastic IP addresses of the account.
async fn read_gateways(client: &Client) -> Result<Vec<IpAddr>, CallError> {
    let mut pages = client.describe_nat_gateways().into_paginator().send();
    let mut addresses = Vec::new();
    while let Some(page) = pages.next().await {
        let page = CallError::or(action::DESCRIBE_GATEWAYS, page)?;
        let of_page = page.nat_gateways().iter().flat_map(aws_sdk_ec2::types::NatGateway::nat_gateway_addresses);
        addresses.extend(of_page.filter_map(|one| one.public_ip()?.parse::<IpAddr>().ok()));
    }
    Ok(addresses)
}

/// Whether a network interface has the address: an instance's, a task's, a load balancer's, or one inside of a VPC whose ranges are
/// public ones.
async fn read_interfaces(client: &Client, address: IpAddr) -> Result<Vec<IpAddr>, CallError> {
    let names: &[&str] = match address {
        IpAddr::V4(_) => &["association.public-ip", "addresses.private-ip-address"],
        IpAddr::V6(_) => &["ipv6-addresses.ipv6-address"],
    };
    let found = names.iter().map(async |name| {
        let filter = Filter::builder().name(*name).values(address.to_string()).build();
        let answer = client.describe_network_interfaces().filters(filter).send().await;
        CallError::or(action::DESCRIBE_INTERFACES, answer)
    });
    let is_found = try_join_all(found).await?.iter().any(|answer| !answer.network_interfaces().is_empty());
    Ok(if is_found { vec![address] } else { Vec::new() })
}

/// The ranges of AWS's services, as its own prefix lists have them (Amazon VPC user guide, *AWS-managed prefix lists*).
async fn read_services(client: &Client) -> Result<Vec<(String, IpNet)>, CallError> {
    let filter = Filter::builder().name("owner-id").values("AWS").build();
    let mut pages = client.describe_managed_prefix_lists().filters(filter).into_paginator().send();
    let mut lists = Vec::new();
    while let Some(page) = pages.next().await {
        let page = CallError::or(action::DESCRIBE_LISTS, page)?;
        let lists_of_page = page.prefix_lists().iter();
        lists.extend(
            lists_of_page
                .filter_map(|list| Some((list.prefix_list_id()?.to_owned(), list.prefix_list_name()?.to_owned()))),
        );
    }
    let entries = lists.iter().map(async |(id, name)| {
        let mut ranges = Vec::new();
        let mut pages = client.get_managed_prefix_list_entries().prefix_list_id(id).into_paginator().send();
        while let Some(page) = pages.next().await {
            let page = CallError::or(action::GET_LIST, page)?;
            let of_page = page.entries().iter().filter_map(|entry| addresses::parse(entry.cidr()?));
            ranges.extend(of_page.map(|range| (name.clone(), range)));
        }
        Ok(ranges)
    });
    Ok(try_join_all(entries).await?.concat())
}
