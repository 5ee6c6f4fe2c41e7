//! Who is at the other end, and whether it was really they.

use std::net::IpAddr;

use serde_json::Value;

use crate::signal::fields::{field, items, number, text};
use crate::signal::{Contact, Direction, Proof};
use crate::text::clean;

pub(super) fn read(kind: &str, service: &Value) -> Vec<Contact> {
    let none = Value::Null;
    let action = field(service, "action").unwrap_or(&none);
    let mut contacts = Vec::new();
    if let Some(connection) = field(action, "networkConnectionAction") {
        contacts.extend(of_connection(kind, connection));
    }
    if let Some(probe) = field(action, "portProbeAction") {
        for port in items(field(probe, "portProbeDetails")) {
            contacts.extend(each_address(port, Some(Direction::Inbound), Proof::Forgeable));
        }
    }
    for (name, proof) in [
        ("awsApiCallAction", Proof::Answered),
        ("rdsLoginAttemptAction", Proof::Answered),
        // The API server takes it from `X-Forwarded-For`, which the caller may have written.
        ("kubernetesApiCallAction", Proof::Unproven),
    ] {
        if let Some(call) = field(action, name) {
            contacts.extend(each_address(call, Some(Direction::Inbound), proof));
        }
    }
    // Whoever asks for a name began, and the finding may call it the target all the same: of a drop point, of a drive-by. Only a
    // rebinding attack is about being made to ask.
    if field(action, "dnsRequestAction").is_some() && !kind.ends_with("/MetadataDNSRebind") {
        let (direction, proof) = (Some(Direction::Outbound), Proof::Forgeable);
        contacts.push(Contact { address: None, local_port: None, protocol: None, direction, proof });
    }
    let sequence = field(service, "detection").and_then(|detection| field(detection, "sequence"));
    let endpoints = items(sequence.and_then(|sequence| field(sequence, "endpoints")));
    contacts.extend(endpoints.into_iter().filter_map(of_endpoint));
    contacts
}

fn of_connection(kind: &str, connection: &Value) -> Vec<Contact> {
    let protocol = text(connection, "protocol").map(|protocol| clean(protocol, 20).to_ascii_uppercase());
    let was_refused = !matches!(field(connection, "blocked"), None | Some(Value::Bool(false)));
    let proof = match protocol.as_deref() {
        _ if was_refused => Proof::Forgeable,
        // Guessing passwords takes a session, and so an answer.
        Some("TCP") if kind.contains("BruteForce") => Proof::Answered,
        Some("TCP") => Proof::Unproven,
        _ => Proof::Forgeable,
    };
    let contacts = each_address(connection, text(connection, "connectionDirection").and_then(direction), proof);
    contacts.into_iter().map(|contact| Contact { protocol: protocol.clone(), ..contact }).collect()
}

fn direction(text: &str) -> Option<Direction> {
    match text {
        _ if text.eq_ignore_ascii_case("INBOUND") => Some(Direction::Inbound),
        _ if text.eq_ignore_ascii_case("OUTBOUND") => Some(Direction::Outbound),
        _ => None,
    }
}

/// The endpoint of an attack sequence. How it was seen is not told.
fn of_endpoint(endpoint: &Value) -> Option<Contact> {
    let connection = field(endpoint, "connection");
    let direction = connection.and_then(|connection| text(connection, "direction")).and_then(direction);
    let address = address(endpoint, "ip")?;
    Some(Contact { address: Some(address), local_port: None, protocol: None, direction, proof: Proof::Unproven })
}

/// One contact for each address of the remote end, or one without an address for a port that was called upon.
fn each_address(action: &Value, direction: Option<Direction>, proof: Proof) -> Vec<Contact> {
    let local = field(action, "localPortDetails");
    let local_port = local.and_then(|local| number(local, "port")).and_then(|port| u16::try_from(port).ok());
    let remote = field(action, "remoteIpDetails").unwrap_or(&Value::Null);
    let contact = |address| Contact { address, local_port, protocol: None, direction, proof };
    let addresses = ["ipAddressV4", "ipAddressV6"].into_iter().filter_map(|name| address(remote, name));
    let mut contacts: Vec<Contact> = addresses.map(|address| contact(Some(address))).collect();
    if contacts.is_empty() && (local_port.is_some() || direction == Some(Direction::Outbound)) {
        contacts.push(contact(None));
    }
    contacts
}

fn address(value: &Value, name: &str) -> Option<IpAddr> {
    // An IPv4 address written as IPv6 one (`::ffff:198.51.100.7`) is that IPv4 address.
    let address = text(value, name)?.trim().parse::<IpAddr>().ok()?.to_canonical();
    (!address.is_unspecified()).then_some(address)
}
