//! The group on the emulator, the model beside it, and what each action must do to both.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use aws_sdk_ec2::types::SecurityGroupRule;
use chrono::TimeDelta;
use rescind::{Outcome, Status};
use rescind_tests::cloudtrail::{self, Who};
use rescind_tests::{Fault, FunctionError, When, World, now};
use serde_json::{Value, json};

use super::change::{Change, CutOff, plans_for, takes_back};
use super::openings::{OPENINGS, Opening, content, contents, contents_of_inverse, id, is_ipv4, is_risky};
use super::{Action, Kill, LEASE};

/// The rules of the template that feed the remediation.
const RULES: [&str; 2] = ["OpenSecurityGroupIngress", "OpenSecurityGroupIngressItem"];

/// What breaks the model, in a sentence.
type Held = Result<(), String>;

/// See the module.
pub(super) struct Stage {
    world: World,
    vpc: String,
    /// What is delivered for the first event of each kind.
    routes: BTreeMap<String, Value>,
    is_enforced: bool,
    cases: usize,
    actions: usize,
    kills: usize,
    /// What happened in this sequence.
    story: Vec<String>,
    group: String,
    /// What is in the group, says the model.
    rules: Vec<SecurityGroupRule>,
    changes: Vec<Change>,
    /// What people put back by an undo: AWS Config's reports of it are left alone.
    put_back: Vec<&'static Opening>,
    /// Calls that took something away, says the model.
    revokes: usize,
    /// Those whose answer nobody heard.
    unheard: usize,
}

/// What came of an invocation; `None` when the function was killed.
type Answered = Option<Result<Outcome, FunctionError>>;

impl Stage {
    pub(super) async fn new(world: World) -> Self {
        for rule in RULES {
            // No sequence is a fight.
            world.account.tag_rule(rule, "rescind:repeat-limit", "30/1h").await;
        }
        let vpc = world.account.vpc().await;
        Self {
            world,
            vpc,
            routes: BTreeMap::new(),
            is_enforced: true,
            cases: 0,
            actions: 0,
            kills: 0,
            story: Vec::new(),
            group: String::new(),
            rules: Vec::new(),
            changes: Vec::new(),
            put_back: Vec::new(),
            revokes: 0,
            unheard: 0,
        }
    }

    /// Plays a sequence on a group of its own.
    ///
    /// # Errors
    /// When the group is not what the model says.
    pub(super) async fn play(&mut self, actions: &[Action]) -> Held {
        self.begin().await;
        for action in actions {
            self.actions += 1;
            self.act(action).await?;
            self.compare().await?;
        }
        // Nothing is lost: in the end each event is answered.
        for index in 0..self.changes.len() {
            self.deliver(index, None).await?;
            self.compare().await?;
        }
        Ok(())
    }

    /// What happened, and what broke the model.
    pub(super) fn told(&self, problem: &str) -> String {
        format!("{problem}\n\nwhat happened:\n- {}", self.story.join("\n- "))
    }

    /// How much was played.
    pub(super) fn counted(&self) -> String {
        format!("{} sequences, {} actions, {} kills", self.cases, self.actions, self.kills)
    }

    async fn begin(&mut self) {
        self.cases += 1;
        self.world.proxy.clear();
        if !self.is_enforced {
            self.switch().await;
        }
        self.story.clear();
        self.group = self.world.account.group(&format!("model-{}", self.cases), Some(&self.vpc)).await;
        self.rules = self.live().await;
        self.changes.clear();
        self.put_back.clear();
        (self.revokes, self.unheard) = (0, 0);
    }

    async fn act(&mut self, action: &Action) -> Held {
        match action {
            Action::Authorize(openings) => self.authorize(openings).await,
            Action::Modify { rule, opening } => self.modify(*rule, &OPENINGS[*opening]).await,
            Action::Revoke { rule } => self.revoke(*rule).await,
            Action::Report => {
                self.story.push(format!("{}: AWS Config records the group", self.changes.len()));
                let account = &self.world.account.id;
                let event = cloudtrail::configuration_item(account, &self.group, &self.rules, now(), false);
                self.hear(event, None).await;
            }
            Action::Deliver { change, kill } => {
                if let Some(index) = self.pick(*change, |change| !change.is_final()) {
                    return self.deliver(index, *kill).await;
                }
            }
            Action::Approve { change, kill } => {
                if let Some(index) = self.pick(*change, |change| change.is(Status::AwaitingApproval)) {
                    return self.approve(index, *kill).await;
                }
            }
            Action::Undo { change, force, kill } => {
                if let Some(index) = self.pick(*change, |change| change.is(Status::Reverted) && change.undone.is_none())
                {
                    return self.undo(index, *force, *kill).await;
                }
            }
            // A delivery that was cut off may have acted only where it might: its mode must not change before the next.
            Action::Switch if self.changes.iter().all(|change| change.cut_off.is_none()) => self.switch().await,
            Action::Switch => {}
        }
        Ok(())
    }

    /// Three times out of four one of the changes that an action makes sense for; else any: nothing must come of it then.
    fn pick(&self, number: usize, makes_sense: impl Fn(&Change) -> bool) -> Option<usize> {
        let all: Vec<usize> = (0..self.changes.len()).collect();
        let good: Vec<usize> = all.iter().copied().filter(|index| makes_sense(&self.changes[*index])).collect();
        let from = if good.is_empty() || number.is_multiple_of(4) { all } else { good };
        from.get(number.checked_rem(from.len())?).copied()
    }

    // What people do.

    async fn authorize(&mut self, openings: &[(usize, bool)]) {
        let name = format!("by-{}", self.changes.len());
        let mut chosen: Vec<(&Opening, bool)> = Vec::new();
        for (index, is_tagged) in openings {
            let opening = &OPENINGS[*index];
            if self.is_free(opening) && !chosen.iter().any(|(other, _)| *other == opening) {
                chosen.push((opening, *is_tagged));
            }
        }
        if chosen.is_empty() {
            return;
        }
        self.story.push(format!("{}: somebody adds {chosen:?}", self.changes.len()));
        let permissions: Vec<_> = chosen.iter().map(|(opening, _)| opening.permission(&name)).collect();
        let made = self.world.account.authorize(&self.group, &permissions).await;
        for (rule, (_, is_tagged)) in made.iter().zip(&chosen) {
            if *is_tagged {
                self.world.account.tag(id(rule), "ticket", &name).await;
            }
        }
        self.rules = self.live().await;
        let told = made.iter().filter_map(|rule| Some((id(rule).to_owned(), Opening::of(rule)?))).collect();
        let event = cloudtrail::authorized(&self.world.account.id, &self.world.alice(), &self.group, &made);
        self.hear(event, Some(told)).await;
    }

    async fn modify(&mut self, number: usize, opening: &'static Opening) {
        // The emulator can't modify to or from IPv6, and the harness not to more than one port of TCP.
        let rules: Vec<&SecurityGroupRule> = self.rules.iter().filter(|rule| is_ipv4(rule)).collect();
        if rules.is_empty() || !opening.is_one_port() || !self.is_free(opening) {
            return;
        }
        let (rule, name) = (id(rules[number % rules.len()]).to_owned(), format!("by-{}", self.changes.len()));
        self.story.push(format!("{}: somebody makes {opening:?} of {rule}", self.changes.len()));
        let account = &self.world.account;
        let to = account.modify(&self.group, &rule, opening.from, opening.range, &name).await;
        self.rules = self.live().await;
        let event = cloudtrail::modified(&self.world.account.id, &self.world.alice(), &self.group, &rule, &to);
        self.hear(event, Some(vec![(rule, opening)])).await;
    }

    async fn revoke(&mut self, number: usize) {
        // Rather a risky one: that is where people and Rescind meet.
        let is_meant = |rule: &&SecurityGroupRule| is_risky(rule) || number.is_multiple_of(4);
        let inbound: Vec<&SecurityGroupRule> =
            self.rules.iter().filter(|rule| Opening::of(rule).is_some()).filter(is_meant).collect();
        let Some(rule) = number.checked_rem(inbound.len()).map(|index| inbound[index].clone()) else { return };
        self.story.push(format!("somebody takes away {}", content(&rule)));
        self.world.account.revoke(&self.group, std::slice::from_ref(&rule)).await;
        self.rules.retain(|other| *other != rule);
    }

    /// An event is on its way. It is a minute old: that a rule is not to be seen means that it is gone, and what AWS
    /// Config has recorded in this sequence is no earlier state.
    async fn hear(&mut self, mut event: Value, told: Option<Vec<(String, &'static Opening)>>) {
        let time = Value::from((now() - TimeDelta::minutes(1)).to_rfc3339());
        if told.is_some() {
            event["detail"]["eventTime"] = time.clone();
        }
        event["time"] = time;
        let input = self.route(event).await;
        self.changes.push(Change {
            input,
            told,
            answered: None,
            cut_off: None,
            taken: Vec::new(),
            is_unclear: false,
            after: BTreeSet::new(),
            undone: None,
        });
    }

    /// What is delivered for an event. Events of one kind go the same way, and the emulator takes its time to tell it.
    async fn route(&mut self, event: Value) -> Value {
        let kind = format!("{} {}", event["detail-type"], event["detail"]["eventName"]);
        if !self.routes.contains_key(&kind) {
            let mut delivered = self.world.route(&event).await;
            delivered.retain(|one| RULES.contains(&one.rule.as_str()));
            assert_eq!(delivered.len(), 1, "one rule matches: {delivered:?}");
            self.routes.insert(kind.clone(), delivered.remove(0).input);
        }
        let mut input = self.routes[&kind].clone();
        input["event"] = event;
        input
    }

    async fn switch(&mut self) {
        self.is_enforced = !self.is_enforced;
        let mode = if self.is_enforced { "enforce" } else { "approve" };
        self.story.push(format!("the mode becomes `{mode}`"));
        for rule in RULES {
            self.world.account.tag_rule(rule, "rescind:mode", mode).await;
        }
        // A new process remembers no tags.
        self.world.function.restart();
    }

    // What Rescind does.

    async fn deliver(&mut self, index: usize, kill: Option<Kill>) -> Held {
        let input = self.changes[index].input.clone();
        let expected = self.expected(index);
        self.story.push(format!("{index} is delivered"));
        self.run(index, &input, kill, expected, true).await
    }

    async fn approve(&mut self, index: usize, kill: Option<Kill>) -> Held {
        self.settle(index).await?;
        let change = &self.changes[index];
        let request = json!({"approve": change.outcome_id()});
        self.story.push(format!("{index} is approved"));
        if !change.is(Status::AwaitingApproval) {
            return self.refused(index, &request, "waits for approval").await;
        }
        let offenders = self.offenders(change);
        let fits = change.answered.as_ref().is_some_and(|outcome| plans_for(outcome, &offenders));
        let expected = match self.status_now(change) {
            Status::Reverted | Status::AwaitingApproval if !offenders.is_empty() => {
                if fits {
                    Status::Reverted
                } else {
                    Status::AwaitingApproval
                }
            }
            other => other,
        };
        self.run(index, &request, kill, vec![expected], false).await
    }

    /// A delivery or an approval, and what may come of it.
    async fn run(
        &mut self,
        index: usize,
        input: &Value,
        kill: Option<Kill>,
        expected: Vec<Status>,
        is_delivery: bool,
    ) -> Held {
        if let Some(cut_off) = &self.changes[index].cut_off {
            tokio::time::sleep(LEASE.saturating_sub(cut_off.since.elapsed())).await;
        }
        let offenders = self.offenders(&self.changes[index]);
        let answer = self.invoke(input, kill).await;
        let gone = self.gone(&offenders).await?;
        let now = contents(&self.rules);
        let left: Vec<SecurityGroupRule> = offenders.iter().filter(|rule| !gone.contains(rule)).cloned().collect();
        let change = &mut self.changes[index];
        let earlier = change.cut_off.take();
        let was_meddled = earlier.as_ref().is_some_and(|cut| cut.left.iter().any(|rule| !offenders.contains(rule)));
        change.is_unclear |= was_meddled;
        change.taken.extend(gone.iter().cloned());
        let outcome = match answer {
            Some(answer) => answer.map_err(|error| format!("no answer: {error:?}"))?,
            None => {
                let said = change.answered.iter().map(|outcome| outcome.status);
                let expected = expected.into_iter().chain(said).collect();
                change.cut_off = Some(CutOff { since: Instant::now(), expected, left });
                return Ok(());
            }
        };
        let status = outcome.status;
        hold(expected.contains(&status), || format!("{status:?} instead of {expected:?}: {}", outcome.reason))?;
        let is_known = is_delivery && earlier.is_none() && change.is_final();
        if is_known {
            return hold(gone.is_empty() && change.answered.as_ref() == Some(&outcome), || {
                format!("another outcome than before: {outcome:?}")
            });
        }
        match status {
            Status::Reverted => {
                // Somebody took it all away, and a delivery that was cut off might have.
                change.is_unclear |= earlier.is_some() && change.taken.is_empty();
                let was_done = earlier.is_some() && gone.is_empty() && !change.taken.is_empty();
                hold(left.is_empty() || was_done, || format!("reverted, and still there: {:?}", contents(&left)))?;
                hold(change.is_unclear || takes_back(&outcome, &change.taken), || {
                    let told = outcome.steps.iter().map(contents_of_inverse).collect::<Vec<_>>();
                    format!("taken back is {:?}, and told is {told:?}", contents(&change.taken))
                })?;
                change.after = now;
            }
            _ => hold(gone.is_empty(), || format!("{status:?}, and gone: {:?}", contents(&gone)))?,
        }
        if status == Status::AwaitingApproval && earlier.is_none() {
            hold(plans_for(&outcome, &offenders), || {
                format!("this is no plan for {:?}: {outcome:?}", contents(&offenders))
            })?;
        }
        change.answered = Some(outcome);
        Ok(())
    }

    async fn undo(&mut self, index: usize, force: bool, mut kill: Option<Kill>) -> Held {
        self.settle(index).await?;
        let change = &self.changes[index];
        if change.is_unclear {
            return Ok(());
        }
        let request = json!({"undo": change.outcome_id(), "force": force});
        self.story.push(format!("{index} is undone{}", if force { " by force" } else { "" }));
        if !change.is(Status::Reverted) {
            return self.refused(index, &request, "only what is `reverted`").await;
        }
        let (undone, taken) = (change.undone.clone(), change.taken.clone());
        let is_due = undone.is_none() && (force || contents(&self.rules) == change.after);
        let missing: Vec<&SecurityGroupRule> =
            taken.iter().filter(|rule| Opening::of(rule).is_some_and(|opening| self.is_free(opening))).collect();
        let missing: BTreeSet<String> = missing.into_iter().filter(|_| is_due).map(content).collect();
        let mut back = Vec::new();
        let outcome = loop {
            let answer = self.invoke(&request, kill.take()).await;
            back.extend(self.back(&missing).await?);
            match answer {
                Some(answer) => break answer.map_err(|error| format!("no answer: {error:?}"))?,
                // A person asks again.
                None => tokio::time::sleep(LEASE).await,
            }
        };
        if let Some(undone) = undone {
            return hold(outcome == undone, || format!("another outcome than before: {outcome:?}"));
        }
        let expected = if is_due { Status::Undone } else { Status::Ignored };
        hold(outcome.status == expected, || format!("{:?}, not {expected:?}: {}", outcome.status, outcome.reason))?;
        let there = contents(&back);
        hold(there == missing, || format!("put back {there:?} instead of {missing:?}: {}", outcome.reason))?;
        if is_due {
            self.put_back.extend(taken.iter().filter_map(Opening::of));
            self.changes[index].undone = Some(outcome);
            if !back.is_empty() {
                self.own_change(index, &back).await?;
            }
        }
        Ok(())
    }

    /// What Rescind put back is an event, too. Its rule leaves it out; should it come all the same, it is ignored.
    async fn own_change(&mut self, index: usize, back: &[SecurityGroupRule]) -> Held {
        let account = &self.world.account;
        let role = Who::Role(account.deployed.functions["security-groups"].role_arn.clone());
        let mut input = self.changes[index].input.clone();
        input["event"] = cloudtrail::authorized(&account.id, &role, &self.group, back);
        let answer = self.world.invoke(&input).await.map_err(|error| format!("{error:?}"))?;
        hold(answer.outcomes[0].status == Status::Ignored, || format!("its own change: {answer:?}"))
    }

    /// Delivers what was cut off once more.
    async fn settle(&mut self, index: usize) -> Held {
        if self.changes[index].cut_off.is_some() {
            self.deliver(index, None).await?;
            self.compare().await?;
        }
        Ok(())
    }

    async fn refused(&self, index: usize, request: &Value, because: &str) -> Held {
        let because = if self.changes[index].answered.is_some() { because } else { "no outcome" };
        let answer = self.world.invoke(request).await;
        let is_refused = matches!(&answer, Err(error) if error.message.contains(because));
        hold(is_refused, || format!("not refused with `{because}`: {answer:?}"))
    }

    async fn invoke(&mut self, input: &Value, kill: Option<Kill>) -> Answered {
        if let Some(Kill { operation, skip, when }) = kill {
            self.world.proxy.disturb(operation, skip, 1, Fault::Timeout, when);
        }
        let held = async {
            while !self.world.proxy.is_held() {
                tokio::time::sleep(std::time::Duration::from_millis(2)).await;
            }
        };
        let answer = tokio::select! {
            answer = self.world.invoke(input) => Some(answer.map(|mut answer| answer.outcomes.remove(0))),
            () = held => None,
        };
        if let (None, Some(kill)) = (&answer, kill) {
            self.story.push(format!("the function is killed at {kill:?}"));
            self.world.function.restart();
            self.kills += 1;
            self.unheard += usize::from(kill.operation == "RevokeSecurityGroupIngress" && kill.when == When::After);
        }
        self.world.proxy.calm();
        answer
    }

    // What the model says.

    fn is_free(&self, opening: &Opening) -> bool {
        !self.rules.iter().any(|rule| Opening::of(rule) == Some(opening))
    }

    /// What is risky now of what a change tells.
    fn offenders(&self, change: &Change) -> Vec<SecurityGroupRule> {
        let is_meant = |rule: &SecurityGroupRule| match &change.told {
            Some(told) => told.iter().any(|(told, _)| told == id(rule)),
            None => Opening::of(rule).is_some_and(|opening| !self.put_back.contains(&opening)),
        };
        self.rules.iter().filter(|rule| is_risky(rule) && is_meant(rule)).cloned().collect()
    }

    /// What a change comes to that nothing has been said about.
    fn status_now(&self, change: &Change) -> Status {
        let is_gone = |told: &str, opening: &Opening| {
            !self.rules.iter().any(|rule| id(rule) == told && Opening::of(rule) == Some(opening))
        };
        if !self.offenders(change).is_empty() {
            if self.is_enforced { Status::Reverted } else { Status::AwaitingApproval }
        } else if !change.taken.is_empty() {
            Status::Reverted
        } else if change.told.iter().flatten().any(|(told, opening)| opening.is_risky && is_gone(told, opening)) {
            Status::AlreadySafe
        } else {
            Status::Ignored
        }
    }

    /// What a delivery may say.
    fn expected(&self, index: usize) -> Vec<Status> {
        let change = &self.changes[index];
        let now = self.status_now(change);
        match (&change.answered, &change.cut_off) {
            (Some(outcome), None) if change.is_final() => vec![outcome.status],
            (_, None) => vec![now],
            (_, Some(cut_off)) => {
                let mut all = cut_off.expected.clone();
                // It can't know whether it was faster than somebody else.
                all.extend([now].into_iter().chain((now == Status::AlreadySafe).then_some(Status::Reverted)));
                if !change.taken.is_empty() {
                    all.push(Status::Reverted);
                    all.retain(|status| [Status::Reverted, Status::AwaitingApproval].contains(status));
                }
                all
            }
        }
    }

    // What is really there.

    async fn live(&self) -> Vec<SecurityGroupRule> {
        self.world.account.rules(&self.group).await
    }

    /// The group is what the model says, and nothing was taken away twice.
    async fn compare(&self) -> Held {
        let live = self.live().await;
        hold(live == self.rules, || differs(&live, &self.rules))?;
        let is_revoke = |call: &&rescind_tests::Call| call.operation == "RevokeSecurityGroupIngress";
        let calls = self.world.proxy.calls();
        let heard = calls.iter().filter(is_revoke).filter(|call| call.status == Some(200)).count();
        let made = heard + self.unheard;
        hold(made == self.revokes, || format!("{made} calls took something away instead of {}", self.revokes))
    }

    /// What has been taken away since the last look: of the offenders alone, and all of those with the same tags at once.
    async fn gone(&mut self, offenders: &[SecurityGroupRule]) -> Result<Vec<SecurityGroupRule>, String> {
        let live = self.live().await;
        let (left, gone): (Vec<_>, Vec<_>) = self.rules.clone().into_iter().partition(|rule| live.contains(rule));
        hold(live == left, || differs(&live, &left))?;
        hold(gone.iter().all(|rule| offenders.contains(rule)), || {
            format!("gone is {:?}, where only {:?} offends", contents(&gone), contents(offenders))
        })?;
        let calls: BTreeSet<String> = gone.iter().map(|rule| format!("{:?}", rule.tags())).collect();
        self.revokes += calls.len();
        let is_halved = |rule: &SecurityGroupRule| calls.contains(&format!("{:?}", rule.tags()));
        hold(left.iter().all(|rule| !offenders.contains(rule) || !is_halved(rule)), || {
            format!("of the rules with the same tags only these went: {:?}", contents(&gone))
        })?;
        self.rules = left;
        Ok(gone)
    }

    /// What has been put back since the last look: of what is missing alone.
    async fn back(&mut self, missing: &BTreeSet<String>) -> Result<Vec<SecurityGroupRule>, String> {
        let live = self.live().await;
        let (old, back): (Vec<_>, Vec<_>) = live.iter().cloned().partition(|rule| self.rules.contains(rule));
        hold(old == self.rules, || differs(&old, &self.rules))?;
        hold(back.iter().all(|rule| missing.contains(&content(rule))), || {
            format!("put back {:?} where {missing:?} was missing", contents(&back))
        })?;
        self.rules = live;
        Ok(back)
    }
}

fn differs(live: &[SecurityGroupRule], model: &[SecurityGroupRule]) -> String {
    format!("the group is {live:#?} instead of {model:#?}")
}

fn hold(is_so: bool, problem: impl FnOnce() -> String) -> Held {
    if is_so { Ok(()) } else { Err(problem()) }
}
