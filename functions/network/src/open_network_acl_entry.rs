//! `open-network-acl-entry`: an entry of a network ACL lets the world reach a guarded port.
//!
//! ## What it takes back
//! An inbound entry that allows, made by `CreateNetworkAclEntry` or `ReplaceNetworkAclEntry`, as far as it really lets a forbidden source
//! reach a guarded port: what entries with lower numbers deny, it does not. The other entries stay. An entry that was made is deleted. One
//! that was replaced becomes what it was, where the baseline or AWS Config's history tells and that was compliant; else it is deleted.
//! One that denied becomes what it was, too, if another entry lets in by now what it kept out.
//!
//! ## Why it is risky
//! It is the one thing that stands between the internet and an instance whose security group is open. Security Hub control EC2.21; MITRE
//! ATT&CK T1562.007.
//!
//! ## Example
//! `aws ec2 create-network-acl-entry --ingress --rule-number 90 --protocol 6 --port-range From=22,To=22 --cidr-block 0.0.0.0/0
//! --rule-action allow …`: seconds later the entry is gone.
//!
//! ## Safety
//! Interrupts traffic, connections in flight too: a network ACL judges packets one by one. An entry goes as a whole, with the ports that
//! may be open. One for replies (1024-65535) holds 3389: deny 3389 before it, or let it begin at
//! 32768 where nothing in the subnet (a NAT gateway, a load balancer, a Lambda function) gets replies below that. It can be undone: the entry
//! is made again, or replaced again. Nothing is done where the entry is another one by now. Earlier state: the event, or history.
//!
//! ## Tags
//! `rescind:ports`, `rescind:allowed-cidrs`, `rescind:widest-source`, and those of every remediation.
//!
//! ## References
//! Amazon EC2 API: `CreateNetworkAclEntry`, `ReplaceNetworkAclEntry`, `DeleteNetworkAclEntry`. Amazon VPC user guide: *Network ACL rules*.

use rescind::ports::Guards;
use rescind_lambda::prelude::*;

use crate::acl::{self, Acl, Earlier, Made, piece};

/// See the module.
#[derive(Debug, Clone, Copy)]
pub struct OpenNetworkAclEntry;

impl Remediation for OpenNetworkAclEntry {
    const NAME: &'static str = "open-network-acl-entry";
    const CALLS: &'static [&'static str] = &[acl::CREATE, acl::REPLACE];
    const OPERATIONS: &'static [Operation] = acl::OPERATIONS;

    type Target = Made;
    type State = Standing<Acl>;
    type Settings = Guards;
    type Offender = String;

    fn hear(&self, signal: &Signal, call: &ApiCall) -> Vec<Heard<Made>> {
        Made::heard(signal, call)
    }

    fn state_of_event(&self, _: &Resource, made: &Made, live: Option<&Standing<Acl>>) -> Option<Standing<Acl>> {
        // What an entry was that was replaced, an event never tells.
        if live.is_some() && made.replaced.is_some() {
            return None;
        }
        let others = live.iter().flat_map(|live| &live.more.entries).filter(|entry| entry.number != made.entry.number);
        let entries = others.chain([&made.entry]).copied().collect();
        Some(acl::standing(Acl { entries, earlier: Earlier::default() }, made.entry.number))
    }

    async fn read(&self, scope: &Scope, resource: &Resource, made: &Made) -> Result<Standing<Acl>, CallError> {
        acl::read(scope, resource, made).await
    }

    fn assess(&self, subject: &Subject<'_, Self>) -> Assessment<String> {
        let entry = subject.target.entry;
        let opens = entry.opens(&subject.state.more.entries, subject.settings);
        let (acl, number) = (&subject.resource.id, entry.number);
        let bared = || subject.state.more.bared(&entry, subject.settings);
        if let (true, Some((behind, what))) = (opens.is_empty(), bared()) {
            let reason =
                format!("entry {number} of {acl} ({entry}) no longer keeps out what entry {behind} lets in: {what}");
            if !subject.state.more.entries.contains(&entry) {
                return Assessment::already_safe(format!("{reason}; it is gone or another one by now"));
            }
            let evidence = [("entry", behind.to_string()), ("opens", what), ("instead of a deny", entry.to_string())];
            return Assessment::risky(reason, vec![Evidence::new(evidence)], vec![piece(number)]);
        }
        let Some((_, why)) = opens.first() else {
            let reason = format!("entry {number} of {acl} ({entry}) lets no forbidden source reach a guarded port");
            return Assessment::harmless(reason);
        };
        let what = opens.iter().map(|(what, _)| what.as_str()).collect::<Vec<_>>().join(", ");
        let reason = format!("entry {number} of {acl} lets {}", why.in_words(&entry.source.to_string(), &what));
        if !subject.state.more.entries.contains(&entry) {
            return Assessment::already_safe(format!("{reason}; it is gone or another one by now"));
        }
        let evidence = [("entry", number.to_string()), ("opens", what), ("permits", entry.to_string())];
        Assessment::risky(reason, vec![Evidence::new(evidence)], vec![piece(number)])
    }

    fn plan(&self, subject: &Subject<'_, Self>, _: &[String]) -> Plan {
        let (id, entry) = (&subject.resource.id, &subject.target.entry);
        let delete = || Plan::of([Step::planned(acl::delete(id, entry), acl::create(id, entry))]);
        if subject.target.replaced.is_none() {
            return delete();
        }
        let Acl { entries, earlier } = &subject.state.more;
        let why = match earlier {
            Earlier::Known(Some(earlier), captured) if earlier.opens(entries, subject.settings).is_empty() => {
                let replace = Step::planned(acl::replace(id, earlier), acl::replace(id, entry));
                let note = format!("it becomes what it was, `{earlier}`, as AWS Config saw it at {captured}");
                return Plan::of([replace]).noting(note);
            }
            Earlier::Known(Some(earlier), captured) => format!("what it was (`{earlier}` at {captured}) is open, too"),
            Earlier::Known(None, captured) => format!("AWS Config saw no such entry at {captured}"),
            Earlier::Unknown(why) => why.clone(),
        };
        delete().noting(format!("it is deleted, since {why}"))
    }

    async fn make(&self, scope: &Scope, call: &Call) -> Result<(), CallError> {
        acl::make(scope, call).await
    }
}

#[cfg(test)]
mod tests;
