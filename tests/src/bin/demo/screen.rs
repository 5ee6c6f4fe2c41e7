//! How the demo looks: plain lines that read well at 100 columns, coloured only on a terminal.

use std::collections::BTreeMap;
use std::io::{IsTerminal, Write, stdout};
use std::time::Instant;

use aws_sdk_ec2::types::SecurityGroupRule;
use rescind::{Call, Outcome, Status};
use rescind_tests::proxy;
use serde_json::Value;

use crate::isolation::brief;

const WIDTH: usize = 98;

/// What became of a rule in a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    None,
    New,
    Gone,
}

#[derive(Debug, Clone, Copy)]
enum Style {
    Bold,
    Dim,
    Red,
    Green,
    Yellow,
}

/// The terminal, or whatever stands in its place.
#[derive(Debug)]
pub struct Screen {
    has_colours: bool,
}

/// See `LATENCY`.
const ADDED: &str = "with 40 ms added to each call to AWS, as in a Region";

impl Screen {
    pub fn new() -> Self {
        let is_refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self { has_colours: stdout().is_terminal() && !is_refused }
    }

    fn paint(&self, style: Style, text: &str) -> String {
        let code = match style {
            Style::Bold => 1,
            Style::Dim => 2,
            Style::Red => 31,
            Style::Green => 32,
            Style::Yellow => 33,
        };
        if self.has_colours { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    /// Prints as it is. Whoever closes the pipe has seen enough: that is no error.
    fn put(text: &str) {
        let mut out = stdout().lock();
        let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    }

    fn line(text: &str) {
        Self::put(&format!("{text}\n"));
    }

    /// A sentence, broken at the edge; a line break at its beginning is kept.
    pub fn say(&self, text: &str) {
        let sentence = text.trim_start_matches('\n');
        Self::put(&"\n".repeat(text.len() - sentence.len()));
        for line in wrap(sentence, WIDTH) {
            Self::line(&line);
        }
    }

    /// What is being done; [`Screen::done`] ends the line.
    pub fn progress(&self, what: &str) {
        Self::put(&format!("{what} ... "));
    }

    pub fn done(&self, since: Instant) {
        Self::line(&self.paint(Style::Dim, &format!("{:.1} s", since.elapsed().as_secs_f64())));
    }

    pub fn title(&self, text: &str) {
        Self::line(&format!("\n\n{}\n{}", self.paint(Style::Bold, text), "-".repeat(text.chars().count())));
    }

    /// Something to paste into a shell.
    pub fn command(&self, lines: &[&str]) {
        for line in lines {
            Self::line(&format!("    {line}"));
        }
    }

    /// Rules of a group, one a line.
    pub fn table(&self, rules: &[SecurityGroupRule], mark: impl Fn(&SecurityGroupRule) -> Mark) {
        let row = |sign: &str, cells: [&str; 4], note: &str| {
            let [id, port, source, description] = cells;
            format!("  {sign} {id:<22}  {port:<8}  {source:<16}  {description:<12}  {note}").trim_end().to_owned()
        };
        Self::line(&self.paint(Style::Dim, &row(" ", ["rule", "port", "source", "description"], "")));
        for rule in rules {
            let port = port(rule);
            let cells = [
                rule.security_group_rule_id().unwrap_or_default(),
                &port,
                rule.cidr_ipv4().unwrap_or_default(),
                rule.description().unwrap_or_default(),
            ];
            Self::line(&match mark(rule) {
                Mark::None => row(" ", cells, ""),
                Mark::New => self.paint(Style::Yellow, &row("+", cells, "new")),
                Mark::Gone => self.paint(Style::Red, &row("-", cells, "taken back")),
            });
        }
    }

    /// What the function answered, in words.
    pub fn outcome(&self, outcome: &Outcome) {
        let style = if outcome.status == Status::Reverted { Style::Green } else { Style::Yellow };
        let status = format!("Rescind: {}", outcome.status.as_str());
        Self::line(&format!("{} ({}, {})", self.paint(style, &status), outcome.remediation, outcome.mode));
        self.field("why", &outcome.reason);
        for evidence in &outcome.evidence {
            let said = |name: &str| evidence.0.get(name).map(String::as_str).unwrap_or_default();
            self.field("evidence", &format!("{} opens {}: {}", said("rule"), said("opens"), said("why")));
        }
        self.field("who", &format!("{} ({}, by {})", outcome.actor.arn, outcome.signal.name, outcome.actor.via));
        for step in &outcome.steps {
            if outcome.status == Status::Reverted {
                self.call("Called:", &step.call);
                if let Some(inverse) = &step.inverse {
                    self.call("To undo it:", inverse);
                }
            } else {
                self.call("It would call:", &step.call);
            }
        }
    }

    /// Names and what they stand for, one a line.
    pub fn list(&self, lines: &BTreeMap<String, String>) {
        for (name, value) in lines {
            Self::line(&format!("    {name:<24}  {value}"));
        }
    }

    /// What the function answered to a finding, its many steps one a line.
    pub fn isolation(&self, outcome: &Outcome, trips: usize) {
        let status = format!("Rescind: {}", outcome.status.as_str());
        Self::line(&format!("{} ({}, {})", self.paint(Style::Green, &status), outcome.remediation, outcome.mode));
        self.field("why", &outcome.reason);
        Self::line("\n  Called; each that changes something of the instance is kept with what undoes it:\n");
        for step in &outcome.steps {
            let (operation, what) = (step.call.call.as_str(), brief(&step.call.parameters));
            let wrapped = wrap(&what, WIDTH - 42);
            for (index, line) in wrapped.iter().enumerate() {
                Self::line(format!("    {:<36}  {line}", if index == 0 { operation } else { "" }).trim_end());
            }
        }
        Self::line("");
        self.field("took", &format!("{} ms in the function, {ADDED}", outcome.timing.handler_ms));
        self.field(
            "calls",
            &format!(
                "{} to AWS; it was cut off after {trips} round trips: 3 where the VPC has the two groups already",
                outcome.timing.aws_calls
            ),
        );
    }

    fn call(&self, title: &str, call: &Call) {
        Self::line(&format!("\n  {title}\n"));
        self.command(&shell(call).lines().collect::<Vec<_>>());
    }

    fn field(&self, name: &str, text: &str) {
        for (index, line) in wrap(text, WIDTH - 12).iter().enumerate() {
            let name = self.paint(Style::Dim, &format!("{:<8}", if index == 0 { name } else { "" }));
            Self::line(&format!("  {name}  {line}"));
        }
    }

    /// How long it took. `trips` are the round trips until the rule was gone.
    pub fn timing(&self, outcome: &Outcome, calls: &[proxy::Call], trips: Option<usize>) {
        let timing = &outcome.timing;
        let changing = calls.iter().filter(|call| call.changes()).count();
        Self::line("");
        self.field(
            "took",
            &format!(
                "{} ms in the function, {ADDED}; {} ms from the event to done (its time is in whole seconds)",
                timing.handler_ms, timing.event_to_done_ms
            ),
        );
        let until = trips.map(|trips| format!("; the rule was gone after {trips} round trips"));
        self.field(
            "calls",
            &format!("{} to AWS, {changing} of them changing something{}", timing.aws_calls, until.unwrap_or_default()),
        );
    }

    /// A notification as it is mailed.
    pub fn notification(&self, lines: &[String]) {
        for line in lines {
            Self::line(format!("  | {line}").trim_end());
        }
    }

    pub fn what_next(&self) {
        self.title("What to try next");
        let tries: [(&str, &[&str]); 4] = [
            ("cargo lambda and sam are in .venv:", &["export PATH=$PWD/.venv/bin:$PATH"]),
            (
                "Replay a sample event, in two terminals (what there is: events/README.md):",
                &[
                    "make watch",
                    "cargo lambda invoke security-groups --data-file \\",
                    "  events/open-security-group-ingress/takes-back-port-range.json",
                ],
            ),
            ("Run every test:", &["make test"]),
            ("Deploy it to an account of yours, in dry-run:", &["sam build && sam deploy --guided"]),
        ];
        for (title, command) in tries {
            Self::line(&format!("\n{title}\n"));
            self.command(command);
        }
    }
}

/// What a rule opens.
fn port(rule: &SecurityGroupRule) -> String {
    let protocol = rule.ip_protocol().unwrap_or_default();
    match (rule.from_port(), rule.to_port()) {
        _ if protocol == "-1" => "all".to_owned(),
        (Some(from), Some(to)) if from != to => format!("{protocol}/{from}-{to}"),
        (Some(port), _) => format!("{protocol}/{port}"),
        _ => protocol.to_owned(),
    }
}

/// A call as the AWS CLI takes it: `aws ec2 revoke-security-group-ingress --cli-input-json '…'`.
fn shell(call: &Call) -> String {
    let (service, operation) = call.call.split_once(':').unwrap_or(("", &call.call));
    let mut command = String::new();
    for letter in operation.chars() {
        if letter.is_ascii_uppercase() && !command.is_empty() {
            command.push('-');
        }
        command.push(letter.to_ascii_lowercase());
    }
    let input = json(&call.parameters, 0).replace('\'', r"'\''");
    format!("aws {service} {command} --cli-input-json '{input}'")
}

/// JSON that breaks lines only where one would be too long.
fn json(value: &Value, indent: usize) -> String {
    let inner = " ".repeat(indent + 2);
    let parts: Vec<String> = match value {
        Value::Object(fields) => {
            fields.iter().map(|(name, value)| format!("\"{name}\": {}", json(value, indent + 2))).collect()
        }
        Value::Array(items) => items.iter().map(|item| json(item, indent + 2)).collect(),
        other => return other.to_string(),
    };
    let (open, close) = if value.is_object() { ('{', '}') } else { ('[', ']') };
    let short = format!("{open}{}{close}", parts.join(", "));
    // The outermost one always breaks: it stands after the command's name.
    if indent > 0 && short.len() + indent < 80 && !short.contains('\n') {
        return short;
    }
    format!("{open}\n{inner}{}\n{}{close}", parts.join(&format!(",\n{inner}")), " ".repeat(indent))
}

/// Breaks a text between words.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let line = lines.last_mut().expect("there is a line");
        if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > width {
            lines.push(word.to_owned());
        } else {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines
}
