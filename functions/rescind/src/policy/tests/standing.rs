//! What stood before is told from what is new.

use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::json;

use super::properties::statements;
use super::*;

/// Divides a policy that was put over another one.
fn divided(now: &Policy, put: Option<&Policy>, before: Option<&Policy>, is_trust: bool) -> Division {
    let readings = |policy: &Policy| read(policy, &friends(), is_trust);
    let (put_readings, earlier) = (put.map(readings), before.map(readings).unwrap_or_default());
    let against = |reading: &Reading| {
        let statement = &now.statements()[reading.statement];
        let no_closer = |of: Option<&Policy>, one: &Reading| {
            of.is_some_and(|of| of.statements()[one.statement].is_as_wide_as(statement))
        };
        Against {
            put: put_readings
                .as_ref()
                .map(|put_readings| put_readings.iter().filter(|one| no_closer(put, one)).collect::<Vec<_>>()),
            earlier: earlier.iter().filter(|one| no_closer(before, one)).collect(),
        }
    };
    now.divide(readings, against)
}

fn risky(policy: &Policy, is_trust: bool) -> Vec<Reading> {
    read(policy, &friends(), is_trust).into_iter().filter(|reading| reading.exposure.is_risky()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn what_a_call_puts_is_its_own_and_what_is_put_again_stood(statements in statements(), is_trust: bool) {
        let now = policy(&statements);
        let risky = risky(&now, is_trust);
        for put in [None, Some(&now)] {
            prop_assert_eq!(divided(&now, put, None, is_trust), Division { stood: Vec::new(), new: risky.clone() });
            let again = divided(&now, put, Some(&now), is_trust);
            prop_assert_eq!(again.new, Vec::new());
            let stood: BTreeSet<usize> = again.stood.iter().map(|reading| reading.statement).collect();
            prop_assert_eq!(stood, risky.iter().map(|reading| reading.statement).collect::<BTreeSet<_>>());
        }
        prop_assert_eq!(divided(&now, Some(&policy(&[])), None, is_trust), Division::default());
    }

    #[test]
    fn who_goes_opens_nothing(statements in statements(), at in any::<Index>(), is_trust: bool) {
        let before = policy(&statements);
        let at = at.index(statements.len());
        let statement = &before.statements()[at];
        for one in statement.principals() {
            let rest = before.without_principals(&BTreeMap::from([(at, BTreeSet::from([one.clone()]))]));
            let Some(rest) = rest.filter(|_| statement.effect() == Effect::Allow) else { continue };
            prop_assert_eq!(divided(&rest, None, Some(&before), is_trust).new, Vec::new());
        }
    }
}

#[test]
fn a_statement_is_as_wide_as_what_lets_do_no_more() {
    let statement = |action: Value, resource: Value, condition: Value| {
        let mut statement = json!({ "Effect": "Allow", "Principal": "*", "Action": action, "Resource": resource });
        if !condition.is_null() {
            statement["Condition"] = condition;
        }
        policy(&[statement]).statements()[0].clone()
    };
    let all = || json!("arn:aws:s3:::b/*");
    let from = |operator: &str, values: Value| json!({ operator: { "aws:PrincipalAccount": values } });
    let read = |resource: Value, condition: Value| statement(json!("s3:GetObject"), resource, condition);
    let wide = [
        (read(all(), Value::Null), read(json!("arn:aws:s3:::b/x*"), Value::Null)),
        (statement(json!("S3:get*"), all(), Value::Null), read(all(), Value::Null)),
        (read(all(), Value::Null), read(all(), from("StringEquals", json!("999999999999")))),
        (
            read(all(), from("StringEquals", json!(["999999999999", "888888888888"]))),
            read(all(), from("stringequals", json!("888888888888"))),
        ),
        (
            read(all(), from("StringNotEquals", json!("999999999999"))),
            read(all(), from("StringNotEquals", json!(["888888888888", "999999999999"]))),
        ),
    ];
    for (one, other) in &wide {
        assert!(one.is_as_wide_as(one) && other.is_as_wide_as(other));
        assert!(one.is_as_wide_as(other), "{} {}", one.raw(), other.raw());
        assert!(!other.is_as_wide_as(one), "{} {}", one.raw(), other.raw());
    }
    // What a variable stands for is not known, but the same is the same in whatever order.
    let (home, every) = (json!(["arn:aws:s3:::b/${aws:username}", "arn:aws:s3:::b"]), json!("arn:aws:s3:::*"));
    let backwards = json!(["arn:aws:s3:::b", "arn:aws:s3:::b/${aws:username}"]);
    assert!(read(home.clone(), Value::Null).is_as_wide_as(&read(backwards, Value::Null)));
    assert!(!read(every, Value::Null).is_as_wide_as(&read(home, Value::Null)));
    // An operator that is none of AWS's may mean anything.
    let odd = |values: Value| read(all(), from("StringResembles", values));
    assert!(odd(json!(["a", "b"])).is_as_wide_as(&odd(json!(["b", "a"]))));
    assert!(!odd(json!(["a", "b"])).is_as_wide_as(&odd(json!("a"))));
    let deny = policy(&[json!({ "Effect": "Deny", "Principal": "*", "Action": "s3:GetObject", "Resource": all() })]);
    assert!(!deny.statements()[0].is_as_wide_as(&read(all(), Value::Null)));
}
