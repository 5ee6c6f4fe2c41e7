//! Everything that one test needs: an account, the function in it, and a proxy between the two.

use rescind::{Answer, Outcome};
use serde_json::Value;

use crate::account::Account;
use crate::cloudtrail::Who;
use crate::delivery::{self, Delivered};
use crate::emulator;
use crate::function::{Function, FunctionError};
use crate::proxy::Proxy;

/// An account with its function running.
#[derive(Debug)]
pub struct World {
    /// The account.
    pub account: Account,
    /// Between the function and AWS.
    pub proxy: Proxy,
    /// The function.
    pub function: Function,
    /// Its name, as in the template.
    pub name: &'static str,
}

impl World {
    /// A new world of the function `security-groups`. `mode` becomes the tag `rescind:mode` of every rule.
    pub async fn new(mode: &str) -> Self {
        Self::of("security-groups", mode, []).await
    }

    /// As [`World::new`], with more variables in the function's environment than the template gives it.
    pub async fn with_environment(mode: &str, more: impl IntoIterator<Item = (String, String)>) -> Self {
        Self::of("security-groups", mode, more).await
    }

    /// A new world of any function.
    pub async fn of(name: &'static str, mode: &str, more: impl IntoIterator<Item = (String, String)>) -> Self {
        let account = emulator::account();
        for rule in account.deployed.rules.iter().filter(|rule| rule.tags.contains_key("rescind:mode")) {
            account.tag_rule(&rule.logical_id, "rescind:mode", mode).await;
        }
        let proxy = Proxy::start(account.port).await;
        let deployed = &account.deployed.functions[name];
        let credentials = account.assume(&deployed.role_arn).await;
        let environment = deployed.environment.clone().into_iter().chain(more);
        let function = Function::start(name, environment, Some(&credentials), proxy.port);
        Self { account, proxy, function, name }
    }

    /// Somebody who works in the account.
    pub fn alice(&self) -> Who {
        Who::Role(format!("arn:aws:iam::{}:role/developer", self.account.id))
    }

    /// Lets the account's rules match an event.
    pub async fn route(&self, event: &Value) -> Vec<Delivered> {
        let mut delivered = delivery::deliver(&self.account, event).await;
        delivered.retain(|one| one.target.ends_with(self.name));
        delivered
    }

    /// Lets the account's rules match an event, and the function answer what they deliver.
    pub async fn deliver(&self, event: &Value) -> Vec<Result<Answer, FunctionError>> {
        let mut answers = Vec::new();
        for delivered in self.route(event).await {
            answers.push(self.invoke(&delivered.input).await);
        }
        answers
    }

    /// The outcome of an event that one rule matches and one remediation hears.
    pub async fn outcome(&self, event: &Value) -> Outcome {
        let mut answers = self.deliver(event).await;
        assert_eq!(answers.len(), 1, "one rule matches: {answers:?}");
        let mut answer =
            answers.remove(0).unwrap_or_else(|error| panic!("{error:?}\n{}", self.function.log().join("\n")));
        assert_eq!(answer.outcomes.len(), 1, "one remediation hears it: {answer:?}");
        answer.outcomes.remove(0)
    }

    /// The outcome of an event that several rules match, by the one of this name in the template.
    pub async fn outcome_by(&self, rule: &str, event: &Value) -> Outcome {
        let delivered = self.route(event).await.into_iter().find(|one| one.rule == rule);
        let input = delivered.unwrap_or_else(|| panic!("{rule} matches")).input;
        let answer = self.invoke(&input).await;
        let mut answer = answer.unwrap_or_else(|error| panic!("{error:?}\n{}", self.function.log().join("\n")));
        answer.outcomes.remove(0)
    }

    /// Lets AWS Config report a group as it stands, as recorded a minute ago, so that the baseline has it.
    pub async fn record(&self, group: &str) {
        let rules = self.account.rules(group).await;
        let captured = crate::now() - chrono::TimeDelta::minutes(1);
        let item = crate::cloudtrail::configuration_item(&self.account.id, group, &rules, captured, false);
        self.outcome(&item).await;
    }

    /// Invokes the function. Its answer is held against the schema.
    ///
    /// # Errors
    /// When the function fails.
    pub async fn invoke(&self, input: &Value) -> Result<Answer, FunctionError> {
        let answer = self.function.invoke(input).await?;
        crate::schema::check(&answer);
        Ok(serde_json::from_value(answer).expect("the answer has the shape of an answer"))
    }
}
