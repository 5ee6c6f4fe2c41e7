//! Whether what is there is what was put: AWS lays a document out anew, and writes some of its principals otherwise.

use serde_json::{Map, Value};

use super::document::{Policy, Statement};
use super::principal::{NamedPrincipal, Who, arn_parts};
use crate::arn::is_account;
use crate::text::digest;

impl Policy {
    /// Whether this document, as it was put, is the one that AWS tells now: nobody has changed it since.
    pub fn is_told_as(&self, live: &Self) -> bool {
        let is_there = |put: &Statement| live.statements.iter().any(|one| put.is_told_as(one));
        let was_put = |one: &Statement| self.statements.iter().any(|put| put.is_told_as(one));
        self.statements.iter().all(is_there) && live.statements.iter().all(was_put)
    }
}

impl Statement {
    /// The same for the same statement, however AWS lays it out: lists of one, and the order of lists and fields, are nothing.
    pub fn digest(&self) -> String {
        digest([normal(&self.raw).to_string().as_str()])
    }

    /// Whether this statement, as it was put, is the one that AWS tells.
    pub fn is_told_as(&self, live: &Self) -> bool {
        normal(&self.raw) == normal(&live.raw) || self.is_rewritten(live)
    }

    /// Whether it is the same but for its name and for whom it names.
    pub(super) fn is_same_for_others(&self, other: &Self) -> bool {
        let fields = ["Principal", "Sid"];
        self.but_for(&fields) == other.but_for(&fields)
    }

    fn but_for(&self, fields: &[&str]) -> Value {
        let mut rest = self.raw.clone();
        rest.as_object_mut().into_iter().for_each(|rest| rest.retain(|field, _| !fields.contains(&field.as_str())));
        normal(&rest)
    }

    /// Whether this statement is the one that AWS tells, though its principals differ: AWS writes the account for a canonical user
    /// (Amazon S3 user guide, *The Principal*), the ARN for a unique id, and the unique id for who is gone.
    pub fn is_rewritten(&self, live: &Self) -> bool {
        let is_gone = |one: &&NamedPrincipal| one.who() == Who::Deleted;
        let is_written_anew = |one: &&NamedPrincipal| is_gone(one) || one.kind.as_deref() == Some("CanonicalUser");
        let (put, now) = (self.principals(), live.principals());
        let (anew, gone) = (put.iter().filter(is_written_anew).count(), now.iter().filter(is_gone).count());
        // Who is there by another name is one of those; somebody else is another call's.
        let is_named = |one: &NamedPrincipal, by: &[NamedPrincipal]| by.iter().any(|other| other.is_same_as(one));
        let came = now.iter().filter(|one| !is_gone(one) && !is_named(one, put)).count();
        let went = put.iter().filter(|one| !is_written_anew(one) && !is_named(one, now)).count();
        anew + gone > 0 && came <= anew && went <= gone && self.but_for(&["Principal"]) == live.but_for(&["Principal"])
    }
}

/// A list of one is its element, lists and fields have no order, an account is its root, and what is no text is its text.
fn normal(value: &Value) -> Value {
    match value {
        Value::Array(list) => {
            let mut list: Vec<Value> = list.iter().map(normal).collect();
            list.sort_by_cached_key(ToString::to_string);
            match list.as_slice() {
                [lone] => lone.clone(),
                _ => Value::Array(list),
            }
        }
        Value::Object(fields) => {
            let mut fields: Vec<(String, Value)> =
                fields.iter().map(|(name, value)| (name.clone(), normal(value))).collect();
            fields.sort_by(|(one, _), (other, _)| one.cmp(other));
            Value::Object(fields.into_iter().collect::<Map<String, Value>>())
        }
        Value::String(text) => match arn_parts(text) {
            Some([_, _, "iam", "", account, "root"]) if is_account(account) => Value::from(account),
            _ => value.clone(),
        },
        Value::Bool(_) | Value::Number(_) => Value::from(value.to_string()),
        Value::Null => Value::Null,
    }
}

#[cfg(test)]
mod tests {
    use std::slice::from_ref;

    use serde_json::json;

    use super::*;

    fn allow(principal: &Value, action: &Value) -> Value {
        json!({"Effect": "Allow", "Principal": principal, "Action": action, "Resource": "*"})
    }

    fn policy(statements: &[Value]) -> Policy {
        Policy::from_value(json!({"Version": "2012-10-17", "Statement": statements})).unwrap()
    }

    fn is_told(put: &[Value], live: &[Value]) -> bool {
        policy(put).is_told_as(&policy(live))
    }

    #[test]
    fn what_aws_writes_otherwise_is_the_same() {
        let read = json!("s3:GetObject");
        let stranger = json!({"AWS": "arn:aws:iam::999999999999:root"});
        for put in [
            json!({"AWS": ["arn:aws:iam::999999999999:root"]}),
            json!({"AWS": "999999999999"}),
            json!({"CanonicalUser": "79a59df900b949e55d96a1e698fbacedfd6e09d98eacf8f8d5218e7cd47ef2be"}),
            json!({"AWS": "AROAEXAMPLESTRANGER1"}),
        ] {
            assert!(is_told(&[allow(&put, &json!([read]))], &[allow(&stranger, &read)]), "{put}");
        }
        let gone = json!({"AWS": "AROAEXAMPLEGONE12345"});
        assert!(is_told(&[allow(&json!({"AWS": "arn:aws:iam::999999999999:role/x"}), &read)], &[allow(&gone, &read)]));
    }

    #[test]
    fn a_digest_does_not_depend_on_the_layout() {
        let of = |text: &str| Policy::parse(text).unwrap().statements()[0].digest();
        let one = of(r#"{"Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}"#);
        assert_eq!(one, of(r#"{ "Statement": [{ "Resource": ["*"], "Action": "*", "Effect": "Allow" }] }"#));
        assert_ne!(one, of(r#"{"Statement":{"Effect":"Deny","Action":"*","Resource":"*"}}"#));
    }

    #[test]
    fn what_somebody_changed_since_is_not() {
        let (read, write) = (json!("s3:GetObject"), json!("s3:PutObject"));
        let one = |account: &str| json!({"AWS": account});
        let put = allow(&one("999999999999"), &read);
        assert!(!is_told(from_ref(&put), &[allow(&one("888888888888"), &read)]));
        assert!(!is_told(from_ref(&put), &[allow(&one("999999999999"), &write)]));
        assert!(!is_told(from_ref(&put), &[put.clone(), allow(&one("888888888888"), &read)]));
        assert!(!is_told(&[put.clone(), allow(&one("888888888888"), &read)], &[put]));
        // Who was written anew is one, and not two.
        let (id, stranger) = ("AROAEXAMPLESTRANGER1", "arn:aws:iam::999999999999:role/x");
        let some = |names: &[&str]| allow(&json!({"AWS": names}), &read);
        assert!(is_told(&[some(&[id, "111122223333"])], &[some(&[stranger, "111122223333"])]));
        assert!(!is_told(&[some(&[id, "111122223333"])], &[some(&[stranger, "111122223333", "888888888888"])]));
        assert!(!is_told(&[some(&[stranger, "111122223333"])], &[some(&[id, "888888888888"])]));
    }
}
