//! Whom a role's trust policy lets in, who was not let in before.

use rescind::policy::{Against, Division, Exposure, Friends, Policy, Reading, role_trust};
use rescind::text::{clean, few};
use rescind::verdict::Evidence;
use serde_json::json;

/// From here on a trust policy is open to a stranger.
const OPEN: Exposure = Exposure::Shared;

/// What is to be said of a trust policy.
#[derive(Debug)]
pub struct Trust {
    policy: Policy,
    /// Of each statement.
    readings: Vec<Reading>,
    /// What of it is risky and of the call.
    division: Division,
}

impl Trust {
    /// Reads a trust policy, and the one before it. One that can't be read is taken for none.
    ///
    /// # Errors
    /// A sentence, when the policy can't be read.
    pub fn of(document: &str, before: Option<&str>, friends: &Friends) -> Result<Self, String> {
        Self::of_call(None, document, before, friends)
    }

    /// As [`Self::of`], after a call put what is told: whom that did not let in, the call did not let in. Where that is not told,
    /// or can't be read, all is the call's.
    ///
    /// # Errors
    /// A sentence, when the policy can't be read.
    pub fn of_call(
        told: Option<&str>,
        document: &str,
        before: Option<&str>,
        friends: &Friends,
    ) -> Result<Self, String> {
        let policy = Policy::parse(document).map_err(|problem| problem.to_string())?;
        let read = |policy: &Policy| role_trust(policy, friends);
        let known = |text: Option<&str>| text.and_then(|text| Policy::parse(text).ok());
        let before = known(before).as_ref().map(read).unwrap_or_default();
        let told = known(told);
        let put = told.as_ref().map(read);
        let against = |reading: &Reading| {
            let live = policy.statements().get(reading.statement);
            let is_rewritten =
                |told: &Policy| told.statements().iter().any(|one| live.is_some_and(|live| one.is_rewritten(live)));
            let put = put.as_ref().filter(|_| !told.as_ref().is_some_and(is_rewritten));
            Against { put: put.map(|put| put.iter().collect()), earlier: before.iter().collect() }
        };
        let division = policy.divide(read, against);
        Ok(Self { readings: read(&policy), division, policy })
    }

    /// Whether nobody has changed it since it was put as it is told.
    pub fn is_that_of(&self, told: &str) -> bool {
        Policy::parse(told).is_ok_and(|told| told.is_told_as(&self.policy))
    }

    /// What surely opens the role to somebody new.
    fn new_readings(&self) -> impl Iterator<Item = &Reading> {
        self.division.new.iter().filter(|reading| is_to_go(reading))
    }

    /// Whether it surely lets in a stranger who was not let in before.
    pub fn is_risky(&self) -> bool {
        self.new_readings().next().is_some()
    }

    /// Whether it surely lets in none but who is ours, trusted, or has to show an external ID.
    pub fn is_ours(&self) -> bool {
        self.readings.iter().all(|reading| !reading.exposure.is_risky())
    }

    /// What is open and has to be judged by a person: what is not understood, what is open by way of a service only, and who was
    /// let in before already.
    pub fn doubtful(&self) -> Option<String> {
        let Division { stood, new } = &self.division;
        let told = stood.iter().chain(new.iter().filter(|reading| !is_to_go(reading))).map(|reading| {
            let why = match &reading.unclear {
                Some(unclear) => clean(unclear, 200),
                None if reading.exposure < OPEN => "it is a service that acts for others".to_owned(),
                None => "which AWS Config saw before already".to_owned(),
            };
            format!("{} ({why})", reading.reason)
        });
        let told: Vec<String> = told.collect();
        (!told.is_empty()).then(|| few(told))
    }

    /// The policy without the strangers who are new, and without who is gone, whom IAM refuses; `None` when it lets in nobody any more,
    /// and can't be put so.
    pub fn without_strangers(&self) -> Option<String> {
        let new: Vec<Reading> = self.new_readings().cloned().collect();
        let rest = self.policy.without(&new, OPEN).and_then(|rest| rest.without_gone());
        rest.map(|policy| policy.to_string())
    }

    /// What is newly open, or the widest that is.
    pub fn in_words(&self) -> String {
        let new: Vec<String> = self.new_readings().map(|reading| reading.reason.clone()).collect();
        let told = || match self.readings.iter().max_by_key(|reading| reading.exposure) {
            Some(widest) if widest.exposure.is_risky() && self.division == Division::default() => {
                "what lets strangers in now was put by another one".to_owned()
            }
            Some(widest) => widest.reason.clone(),
            None => "it lets in nobody".to_owned(),
        };
        if new.is_empty() { told() } else { few(new) }
    }

    /// The statements that are new, one by one.
    pub fn evidence(&self) -> Vec<Evidence> {
        let evidence = |reading: &Reading| {
            let sid = reading.sid.as_deref().map(|sid| format!(" ({})", clean(sid, 60))).unwrap_or_default();
            let statement =
                ("statement", format!("{} of {}{sid}", reading.statement + 1, self.policy.statements().len()));
            let names: Vec<String> = reading.principals.keys().map(ToString::to_string).collect();
            let principals = (!names.is_empty()).then(|| ("principals", few(names)));
            Evidence::new([statement, ("opens", reading.reason.clone())].into_iter().chain(principals))
        };
        self.new_readings().map(evidence).collect()
    }
}

/// Surely open to strangers.
fn is_to_go(reading: &Reading) -> bool {
    reading.is_surely_risky() && reading.exposure >= OPEN
}

/// A trust policy that lets in nobody: IAM takes none without a statement.
pub fn nobody() -> String {
    let everybody = json!({"Effect": "Deny", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"});
    json!({"Version": "2012-10-17", "Statement": [everybody]}).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    const OURS: &str = "arn:aws:iam::111122223333:root";
    const STRANGER: &str = "arn:aws:iam::999999999999:root";

    fn trust(principal: &Value, condition: &Value) -> String {
        let mut statement = json!({"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"});
        if !condition.is_null() {
            statement["Condition"] = condition.clone();
        }
        json!({"Version": "2012-10-17", "Statement": [statement]}).to_string()
    }

    fn of(document: &str, before: Option<&str>) -> Trust {
        Trust::of(document, before, &Friends::new("111122223333")).unwrap()
    }

    #[test]
    fn only_the_stranger_goes() {
        let both = of(&trust(&json!({"AWS": [OURS, STRANGER], "Service": "ec2.amazonaws.com"}), &Value::Null), None);
        assert!(both.is_risky());
        let left = both.without_strangers().unwrap();
        assert_eq!(left, trust(&json!({"AWS": [OURS], "Service": "ec2.amazonaws.com"}), &Value::Null));
        assert!(!of(&left, None).is_risky() && of(&left, None).is_ours());
    }

    #[test]
    fn strangers_in_any_wording_are_found() {
        for principal in [
            json!("*"),
            json!({"AWS": "*"}),
            json!({"AWS": "999999999999"}),
            json!({"AWS": "arn:aws:iam::999999999999:role/x"}),
            json!({"AWS": "arn:aws:sts::999999999999:assumed-role/x/y"}),
            json!({"Federated": "accounts.google.com"}),
            json!({"Federated": "arn:aws:iam::999999999999:saml-provider/x"}),
        ] {
            assert!(of(&trust(&principal, &Value::Null), None).is_risky(), "{principal}");
        }
        let agreed = json!({"StringEquals": {"sts:ExternalId": "a-b-c"}});
        let vendor = of(&trust(&json!({"AWS": STRANGER}), &agreed), None);
        assert!(!vendor.is_risky() && vendor.doubtful().is_none());
        assert!(!of(&trust(&json!({"Service": "lambda.amazonaws.com"}), &Value::Null), None).is_risky());
    }

    #[test]
    fn who_was_let_in_before_stays_and_a_person_is_told() {
        let before = trust(&json!({"AWS": STRANGER}), &Value::Null);
        let now = trust(&json!({"AWS": [STRANGER, OURS]}), &Value::Null);
        let same = of(&now, Some(&before));
        assert!(!same.is_risky() && same.doubtful().is_some());
        let more =
            of(&trust(&json!({"AWS": [STRANGER, "arn:aws:iam::888888888888:root"]}), &Value::Null), Some(&before));
        assert!(more.is_risky());
        assert_eq!(more.without_strangers().unwrap(), trust(&json!({"AWS": [STRANGER]}), &Value::Null));
        assert!(!of(&before, None).is_ours());
        // Wider than before is new.
        assert!(of(&trust(&json!({"AWS": "*"}), &Value::Null), Some(&before)).is_risky());
        assert!(of(&now, Some("no policy")).is_risky());
    }

    #[test]
    fn where_nobody_is_left_nobody_is_let_in() {
        assert_eq!(of(&trust(&json!({"AWS": STRANGER}), &Value::Null), None).without_strangers(), None);
        let nobody = of(&nobody(), None);
        assert!(nobody.is_ours() && !nobody.is_risky() && nobody.doubtful().is_none());
        assert!(Trust::of("[]", None, &Friends::new("111122223333")).is_err());
    }

    #[test]
    fn a_deny_that_is_gone_opens_what_stood_before() {
        let everybody = json!({"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"});
        let all_but = |account: &str| {
            json!({"Effect": "Deny", "Principal": "*", "Action": "sts:*",
                "Condition": {"StringNotEquals": {"aws:PrincipalAccount": ["111122223333", account]}}})
        };
        let policy = |statements: &[&Value]| json!({"Version": "2012-10-17", "Statement": statements}).to_string();
        let before = policy(&[&everybody, &all_but("111122223333")]);
        let now = policy(&[&everybody]);
        assert!(!of(&before, None).is_risky() && of(&now, Some(&before)).is_risky());
        assert_eq!(of(&now, Some(&before)).without_strangers(), None);
        // It lets in another stranger than before.
        let (one, other) =
            (policy(&[&everybody, &all_but("888888888888")]), policy(&[&everybody, &all_but("999999999999")]));
        assert!(of(&other, Some(&one)).is_risky() && !of(&one, Some(&one)).is_risky());
        assert!(!of(&one, Some(&now)).is_risky(), "it is closer than before");
    }

    #[test]
    fn what_was_not_sure_before_excuses_nothing_that_is_sure_now() {
        let statement =
            |principal: &Value| json!({"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"});
        let unclear = json!({"Effect": "Deny", "Principal": "*", "Action": "sts:*",
            "Condition": {"StringNotEquals": {"corp:team": "red"}}});
        let policy = |statements: &[&Value]| json!({"Version": "2012-10-17", "Statement": statements}).to_string();
        let all_but = json!({"Effect": "Allow", "NotPrincipal": {"AWS": OURS}, "Action": "sts:AssumeRole"});
        for allow in [statement(&json!({"AWS": "*"})), statement(&json!({"AWS": STRANGER})), all_but] {
            let (before, now) = (policy(&[&allow, &unclear]), policy(&[&allow]));
            assert!(!of(&before, None).is_risky() && of(&before, None).doubtful().is_some());
            assert!(of(&now, Some(&before)).is_risky(), "{now}");
            assert!(!of(&now, Some(&now)).is_risky(), "{now}");
        }
    }

    #[test]
    fn who_was_let_in_with_others_is_not_new() {
        let everybody = trust(&json!({"AWS": "*"}), &Value::Null);
        let one = trust(&json!({"AWS": STRANGER}), &Value::Null);
        let role = trust(&json!({"AWS": "arn:aws:iam::999999999999:role/x"}), &Value::Null);
        for (now, before) in [(&one, &everybody), (&role, &everybody), (&role, &one)] {
            assert!(!of(now, Some(before)).is_risky() && of(now, Some(before)).doubtful().is_some(), "{now}");
            assert!(of(before, Some(now)).is_risky(), "{before}");
        }
    }

    #[test]
    fn behind_a_star_the_condition_tells_who_is_meant() {
        let meant = |account: &str| trust(&json!("*"), &json!({"StringEquals": {"aws:PrincipalAccount": account}}));
        assert!(of(&meant("999999999999"), Some(&meant("888888888888"))).is_risky());
        assert!(!of(&meant("888888888888"), Some(&meant("888888888888"))).is_risky());
    }

    #[test]
    fn who_is_gone_hinders_nobody_from_being_put_out() {
        let now = trust(&json!({"AWS": [OURS, STRANGER, "AROAEXAMPLEGONE12345"]}), &Value::Null);
        assert_eq!(of(&now, None).without_strangers(), Some(trust(&json!({"AWS": [OURS]}), &Value::Null)));
        let now = trust(&json!({"AWS": [STRANGER, "AROAEXAMPLEGONE12345"]}), &Value::Null);
        assert_eq!(of(&now, None).without_strangers(), None);
    }

    #[test]
    fn who_is_not_understood_hides_no_stranger() {
        let pool = json!({"StringEqualsIfExists": {"cognito-identity.amazonaws.com:aud": "us-east-1:pool"}});
        let both = trust(&json!({"AWS": STRANGER, "Federated": "cognito-identity.amazonaws.com"}), &pool);
        let trusting = of(&both, None);
        assert!(trusting.is_risky() && trusting.in_words().contains("account 999999999999"), "{}", trusting.in_words());
        let left = trust(&json!({"Federated": "cognito-identity.amazonaws.com"}), &pool);
        assert_eq!(trusting.without_strangers(), Some(left.clone()));
        assert!(!of(&left, None).is_risky() && of(&left, None).doubtful().is_some());
    }

    #[test]
    fn what_names_nobody_goes_as_a_whole() {
        let all_but = json!({"Effect": "Allow", "NotPrincipal": {"AWS": STRANGER}, "Action": "sts:AssumeRole"});
        let ours = json!({"Effect": "Allow", "Principal": {"AWS": OURS}, "Action": "sts:AssumeRole"});
        let document = json!({"Version": "2012-10-17", "Statement": [all_but, ours]}).to_string();
        let trust = of(&document, None);
        assert!(trust.is_risky());
        assert_eq!(
            trust.without_strangers().unwrap(),
            json!({"Version": "2012-10-17", "Statement": [ours]}).to_string()
        );
    }
}
