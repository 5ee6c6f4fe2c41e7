//! `make demo`: a security group is opened to the world, and closed again; an instance is cut off, and brought back.
//!
//! Only AWS itself is played, by moto. The template, its rules, their tags, the role and the function are the real ones.
//! The story goes as a deployment does: first Rescind shows what it would do, then a tag lets it do it, then a person undoes it.

mod isolation;
mod screen;

use std::panic;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use aws_sdk_ec2::types::{IpPermission, IpRange, SecurityGroupRule};
use rescind::{Outcome, Status};
use rescind_tests::cloudtrail::{self, Who};
use rescind_tests::{Function, Proxy, World, delivery, emulator};
use screen::{Mark, Screen};
use serde_json::Value;

/// The rule of the template that hears of the change; its tags are the settings.
const RULE: &str = "OpenSecurityGroupIngress";

/// Added to each of a function's requests, as in a Region. Without it the emulator may have answered one before the next is sent, and
/// which waits for which can't be told.
const LATENCY: Duration = Duration::from_millis(40);

#[tokio::main]
async fn main() -> ExitCode {
    // What the parts of this demo can't do without is a panic there, with a message for a person.
    panic::set_hook(Box::new(|info| {
        let message = info.payload_as_str().unwrap_or("something unexpected happened");
        eprintln!("\nerror: {message}");
    }));
    match tokio::spawn(story()).await {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(problem)) => {
            eprintln!("\nerror: {problem}");
            ExitCode::FAILURE
        }
        // The hook has told why.
        Err(_) => ExitCode::FAILURE,
    }
}

/// A part of the story that did not go as it must.
type Problem = String;

/// Fails with a sentence unless something holds.
fn ensure(holds: bool, problem: impl FnOnce() -> String) -> Result<(), Problem> {
    if holds { Ok(()) } else { Err(problem()) }
}

/// Says that an outcome is not the one that the story needs.
fn unexpected(outcome: &Outcome) -> Problem {
    format!("Rescind answered {} in {}: {}", outcome.status.as_str(), outcome.mode, outcome.reason)
}

/// The whole demo.
async fn story() -> Result<(), Problem> {
    let screen = Screen::new();
    let mut stage = Stage::set(&screen).await;

    screen.title("1. As it is deployed: dry-run");
    let shown = stage.act(&screen).await?;
    ensure(shown.outcome.status == Status::WouldRevert, || unexpected(&shown.outcome))?;
    ensure(shown.gone().is_empty(), || "dry-run took a rule away".to_owned())?;
    screen.say("\nNothing was changed: port 22 is still open to the world, and the outcome says so.");

    stage.let_it_act(&screen, &shown).await;

    screen.title("2. The same call again: enforce");
    let acted = stage.act(&screen).await?;
    let expected = [id(&acted.opened[0])];
    ensure(acted.outcome.status == Status::Reverted, || unexpected(&acted.outcome))?;
    ensure(acted.gone() == expected, || format!("{} was to go alone, and gone are {:?}", expected[0], acted.gone()))?;
    screen.say("\nGone is the rule for port 22, and it alone. The owner is told:\n");
    screen.notification(&stage.notification().await?);
    stage.deliver_again(&screen, &acted).await?;

    screen.title("3. A person wants it open after all: undo");
    stage.undo(&screen, &acted).await?;
    stage.deliver_again(&screen, &acted).await?;

    screen.title("4. Something hostile is on an instance: isolate-instance");
    isolation::act(&screen, &stage.world).await?;

    screen.what_next();
    Ok(())
}

/// The account, the function in it, and the group that it is all about.
struct Stage {
    world: World,
    group: String,
}

/// What happened in one act.
struct Act {
    event: Value,
    opened: Vec<SecurityGroupRule>,
    before: Vec<SecurityGroupRule>,
    after: Vec<SecurityGroupRule>,
    outcome: Outcome,
}

impl Act {
    /// The ids of the rules that are there no more.
    fn gone(&self) -> Vec<&str> {
        self.before.iter().map(id).filter(|id| !self.after.iter().any(|rule| self::id(rule) == *id)).collect()
    }
}

impl Stage {
    /// Starts everything and makes a group that is as it should be.
    async fn set(screen: &Screen) -> Self {
        let started = Instant::now();
        screen.progress("Starting moto, an emulator of the AWS APIs, and deploying template.yaml to it");
        let account = emulator::account();
        screen.done(started);

        let started = Instant::now();
        screen.progress("Starting the function security-groups under cargo lambda, with its own role");
        let proxy = Proxy::start(account.port).await;
        proxy.set_latency(LATENCY);
        let deployed = account.deployed.functions.get("security-groups").expect("the template has the function");
        let credentials = account.assume(&deployed.role_arn).await;
        let function = Function::start("security-groups", deployed.environment.clone(), Some(&credentials), proxy.port);
        screen.done(started);

        let started = Instant::now();
        screen.progress("Making a VPC and a security group with three inbound rules");
        let group = account.group("web", None).await;
        let standing = [
            permission(22, "10.0.0.0/8", "internal"),
            permission(22, "203.0.113.7/32", "office"),
            permission(80, "0.0.0.0/0", "website"),
        ];
        account.authorize(&group, &standing).await;
        screen.done(started);
        Self { world: World { account, proxy, function, name: "security-groups" }, group }
    }

    /// Somebody opens two ports to the world with one call, and Rescind answers.
    async fn act(&self, screen: &Screen) -> Result<Act, Problem> {
        let account = &self.world.account;
        screen.say(&format!("\nInbound rules of {} (web):\n", self.group));
        screen.table(&self.rules().await, |_| Mark::None);

        let asked = [permission(22, "0.0.0.0/0", "debugging"), permission(443, "0.0.0.0/0", "website")];
        let opened = account.authorize(&self.group, &asked).await;
        ensure(opened.len() == asked.len(), || "the emulator did not open the group".to_owned())?;
        let before = self.rules().await;
        let event = cloudtrail::authorized(&account.id, &Who::User("alice".to_owned()), &self.group, &opened);
        screen.say("\nalice opens tcp/22 and tcp/443 to the world, with one AuthorizeSecurityGroupIngress.");
        screen.say(&format!("CloudTrail's event reaches the function by the rule {}.\n", account.rule(RULE).name));

        self.world.proxy.clear();
        let outcome = self.world.outcome(&event).await;
        screen.outcome(&outcome);
        let calls = self.world.proxy.calls();
        let trips = (outcome.status == Status::Reverted)
            .then(|| self.world.proxy.round_trips_until("RevokeSecurityGroupIngress"));
        screen.timing(&outcome, &calls, trips);

        let after = self.rules().await;
        screen.say(&format!("\nInbound rules of {} now:\n", self.group));
        screen.table(&before, |rule| {
            if !after.iter().any(|left| id(left) == id(rule)) {
                Mark::Gone
            } else if opened.iter().any(|new| id(new) == id(rule)) {
                Mark::New
            } else {
                Mark::None
            }
        });
        Ok(Act { event, opened, before, after, outcome })
    }

    /// The owner lets Rescind act, and the group is made as it was.
    async fn let_it_act(&mut self, screen: &Screen, last: &Act) {
        screen.title("The owner lets it act: one tag of the rule, no deployment");
        screen.say("");
        screen.command(&[
            "aws events tag-resource --tags Key=rescind:mode,Value=enforce \\",
            &format!("  --resource-arn {}", self.world.account.rule(RULE).arn),
        ]);
        self.world.account.tag_rule(RULE, "rescind:mode", "enforce").await;
        self.remove(&last.opened).await;
        // A running function remembers tags for a while; a new one reads them at once.
        self.world.function.restart();
        screen.say(
            "\nOn AWS that takes effect within 60 seconds, as a function remembers tags for that long. Here the function is \
             started anew instead, and the two rules are removed by hand.",
        );
    }

    /// A person has an outcome undone.
    async fn undo(&self, screen: &Screen, act: &Act) -> Result<(), Problem> {
        screen.say("");
        screen.command(&[
            "aws lambda invoke --function-name rescind-console --cli-binary-format raw-in-base64-out \\",
            &format!("  --payload '{{\"undo\": \"{}\"}}' answer.json", act.outcome.id),
        ]);
        let request = serde_json::json!({ "undo": act.outcome.id });
        let answer = self.world.invoke(&request).await.map_err(|error| error.message)?;
        let undone = answer.outcomes.first().ok_or("the undo was not answered")?;
        ensure(undone.status == Status::Undone, || unexpected(undone))?;
        screen.say(&format!(
            "\n{}: {}. The group has the rule again, under a new id:\n",
            undone.status.as_str(),
            undone.reason
        ));
        let rules = self.rules().await;
        screen.table(
            &rules,
            |rule| if act.before.iter().any(|old| id(old) == id(rule)) { Mark::None } else { Mark::New },
        );
        ensure(rules.len() == act.before.len(), || "the undo did not put back what was there".to_owned())?;
        Ok(())
    }

    /// Events are delivered at least once: a second delivery changes nothing.
    async fn deliver_again(&self, screen: &Screen, act: &Act) -> Result<(), Problem> {
        self.world.proxy.clear();
        let again = self.world.outcome(&act.event).await;
        ensure(self.world.proxy.changes().is_empty(), || {
            format!("a second delivery of the same event changed something; {}", unexpected(&again))
        })?;
        let status = again.status.as_str();
        screen
            .say(&format!("\nThe same event, delivered once more: {status}. No call was made that changes anything."));
        Ok(())
    }

    /// Somebody removes rules by hand.
    async fn remove(&self, rules: &[SecurityGroupRule]) {
        let ids = rules.iter().map(|rule| id(rule).to_owned()).collect();
        let ec2 = self.world.account.ec2();
        let request = ec2.revoke_security_group_ingress().group_id(&self.group).set_security_group_rule_ids(Some(ids));
        request.send().await.expect("the rules are removed");
    }

    /// The inbound rules of the group.
    async fn rules(&self) -> Vec<SecurityGroupRule> {
        let mut rules = self.world.account.rules(&self.group).await;
        rules.retain(|rule| rule.is_egress() != Some(true));
        rules.sort_by_key(|rule| (rule.from_port(), rule.cidr_ipv4().map(str::to_owned)));
        rules
    }

    /// What the topic gets, line by line, for the last outcome.
    async fn notification(&self) -> Result<Vec<String>, Problem> {
        let told = delivery::wait_for(&self.world.account, "OutcomeNotification").await;
        let lines = told.last().and_then(|told| told["text"].as_array());
        let lines = lines.ok_or("nobody was told of the outcome")?;
        Ok(lines.iter().filter_map(Value::as_str).map(str::to_owned).collect())
    }
}

/// A rule's id.
fn id(rule: &SecurityGroupRule) -> &str {
    rule.security_group_rule_id().unwrap_or_default()
}

/// A permission for one TCP port and one range. The emulator can't take a description with spaces.
fn permission(port: i32, range: &str, description: &str) -> IpPermission {
    let range = IpRange::builder().cidr_ip(range).description(description).build();
    IpPermission::builder().ip_protocol("tcp").from_port(port).to_port(port).ip_ranges(range).build()
}
