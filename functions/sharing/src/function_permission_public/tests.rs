use rescind_lambda::ResourceState;
use rescind_lambda::testing::{self, called};

use super::*;

const ARN: &str = "arn:aws:lambda:eu-central-1:111122223333:function:orders";

fn signal(name: &str, request: &Value, statement: &Value) -> Signal {
    let response = if statement.is_null() { Value::Null } else { json!({"statement": statement.to_string()}) };
    called(&format!("lambda:{name}"), request, &response).unwrap()
}

fn statement(principal: Value, condition: Value) -> Value {
    let mut statement = json!({"Sid": "x", "Effect": "Allow", "Action": "lambda:InvokeFunction", "Resource": ARN});
    statement["Principal"] = principal;
    if !condition.is_null() {
        statement["Condition"] = condition;
    }
    statement
}

fn heard(name: &str, request: &Value, statement: &Value) -> (Resource, Added) {
    match FunctionPermissionPublic.listen(&signal(name, request, statement)).remove(0) {
        Heard::About { resource, target } => (resource, target),
        other => panic!("{other:?}"),
    }
}

fn judged(statement: &Value) -> (Assessment<String>, Plan, Standing<Option<Value>>) {
    let about = heard("AddPermission20150331v2", &json!({"functionName": "orders"}), statement);
    let state = permission::standing(&about.1, Some(statement.clone()));
    let tags = [("rescind:trusted-accounts", "777788889999")];
    let (assessment, plan) = testing::judged(&FunctionPermissionPublic, &about, &state, &tags).unwrap();
    (assessment, plan, state)
}

#[test]
fn a_function_is_named_in_every_way_and_by_every_name_of_the_call() {
    let mut seen = Vec::new();
    for name in ["AddPermission", "AddPermission20150331", "AddPermission20150331v2"] {
        for function in ["orders:live", "111122223333:function:orders:live", &format!("{ARN}:live")] {
            seen.push(heard(name, &json!({"functionName": function, "statementId": "x"}), &Value::Null));
        }
        let request = json!({"functionName": "orders", "qualifier": "live", "statementId": "x"});
        seen.push(heard(name, &request, &Value::Null));
    }
    for (resource, added) in &seen {
        assert_eq!((resource, added), (&seen[0].0, &seen[0].1));
        assert_eq!(Value::Object(added.function.parameters()), json!({"FunctionName": ARN, "Qualifier": "live"}));
    }
}

#[test]
fn a_function_of_another_account_is_that_accounts() {
    let arn = "arn:aws:lambda:us-west-2:444455556666:function:orders";
    let (resource, _) = heard("AddPermission", &json!({"functionName": arn, "statementId": "x"}), &Value::Null);
    assert_eq!((resource.account.as_str(), resource.region.as_str()), ("444455556666", "us-west-2"));
}

#[test]
fn what_a_record_does_not_tell_is_told() {
    for request in [
        json!(null),
        json!({"functionName": "orders"}),
        json!({"statementId": "x"}),
        json!({"functionName": "a:b:c:d", "statementId": "x"}),
    ] {
        let heard = FunctionPermissionPublic.listen(&signal("AddPermission", &request, &Value::Null));
        assert!(matches!(heard[..], [Heard::Unreadable { .. }]), "{request}: {heard:?}");
    }
}

#[test]
fn a_statement_is_removed_and_made_again_exactly() {
    for (principal, condition, parameters) in [
        (json!("*"), json!(null), json!({"Principal": "*"})),
        (
            json!({"AWS": "arn:aws:iam::444455556666:root"}),
            json!(null),
            json!({"Principal": "arn:aws:iam::444455556666:root"}),
        ),
        (
            json!("*"),
            json!({"StringEquals": {"aws:PrincipalOrgID": "o-a1b2c3d4e5"}}),
            json!({"Principal": "*", "PrincipalOrgID": "o-a1b2c3d4e5"}),
        ),
        (
            json!({"Service": "s3.amazonaws.com"}),
            json!({"StringEquals": {"AWS:SourceAccount": "444455556666"}}),
            json!({"Principal": "s3.amazonaws.com", "SourceAccount": "444455556666"}),
        ),
        (
            json!("*"),
            json!({"StringEquals": {"lambda:FunctionUrlAuthType": "NONE"}}),
            json!({"Principal": "*", "FunctionUrlAuthType": "NONE"}),
        ),
        (
            json!("*"),
            json!({"Bool": {"lambda:InvokedViaFunctionUrl": "true"}}),
            json!({"Principal": "*", "InvokedViaFunctionUrl": true}),
        ),
    ] {
        let (assessment, plan, state) = judged(&statement(principal, condition));
        assert!(matches!(assessment, Assessment::Risky { .. }), "{parameters}: {assessment:?}");
        let [step] = &plan.steps[..] else { panic!("{plan:?}") };
        assert_eq!(step.call, Call::new(REMOVE, json!({"FunctionName": ARN, "StatementId": "x"})));
        let mut added = json!({"FunctionName": ARN, "StatementId": "x", "Action": "lambda:InvokeFunction"});
        added.as_object_mut().unwrap().extend(parameters.as_object().unwrap().clone());
        assert_eq!(step.inverse, Some(Call::new(ADD, added)));
        let after = state.after(&step.call);
        assert!(after.facts().is_empty());
        assert_eq!(after.after(step.inverse.as_ref().unwrap()).facts(), state.facts());
    }
}

#[test]
fn what_lets_in_only_ours_is_left_alone() {
    for (principal, condition) in [
        (json!({"AWS": "arn:aws:iam::111122223333:root"}), json!(null)),
        (json!({"AWS": "arn:aws:iam::777788889999:role/partner"}), json!(null)),
        (json!("*"), json!({"StringEquals": {"AWS:SourceAccount": "111122223333"}})),
        (json!({"Service": "s3.amazonaws.com"}), json!({"StringEquals": {"AWS:SourceAccount": "111122223333"}})),
    ] {
        let (assessment, ..) = judged(&statement(principal.clone(), condition));
        assert!(matches!(assessment, Assessment::Harmless { .. }), "{principal}: {assessment:?}");
    }
}

#[test]
fn what_could_not_be_made_again_and_what_is_unclear_is_told() {
    let mut odd = vec![
        statement(json!({"Service": "apigateway.amazonaws.com"}), json!(null)),
        statement(json!({"AWS": ["*", "arn:aws:iam::444455556666:root"]}), json!(null)),
        statement(json!("*"), json!({"StringNotEquals": {"aws:SourceAccount": "444455556666"}})),
        statement(json!("*"), json!({"Null": {"lambda:FunctionUrlAuthType": "true"}})),
    ];
    let mut list = statement(json!("*"), json!(null));
    list["Action"] = json!(["lambda:InvokeFunction", "lambda:UpdateFunctionCode"]);
    odd.push(list);
    for statement in odd {
        let (assessment, plan, _) = judged(&statement);
        assert!(matches!(assessment, Assessment::Report { .. }), "{statement}: {assessment:?}");
        assert!(plan.steps.is_empty());
    }
}

#[test]
fn a_service_that_only_writes_records_elsewhere_invokes_for_anybody() {
    let config = json!({"Service": "config.amazonaws.com"});
    let (assessment, ..) = judged(&statement(config.clone(), Value::Null));
    let Assessment::Report { reason, .. } = &assessment else { panic!("{assessment:?}") };
    assert!(reason.ends_with("no condition says for whose resources; left to a person"), "{reason}");
    assert!(!reason.contains("ours or trusted"), "{reason}");
    for action in ["lambda:*", "*", "Lambda:invokefunction", "lambda:Invoke*"] {
        let mut all = statement(config.clone(), Value::Null);
        all["Action"] = json!(action);
        let (assessment, ..) = judged(&all);
        assert!(matches!(assessment, Assessment::Report { .. }), "{action}: {assessment:?}");
    }
    let ours = json!({"StringEquals": {"AWS:SourceAccount": "111122223333"}});
    let (assessment, ..) = judged(&statement(config, ours));
    assert!(matches!(assessment, Assessment::Harmless { .. }), "{assessment:?}");
    // Lambda@Edge adds this one itself.
    let mut edge = statement(json!({"Service": "replicator.lambda.amazonaws.com"}), Value::Null);
    edge["Action"] = json!("lambda:GetFunction");
    let (assessment, ..) = judged(&edge);
    assert!(matches!(assessment, Assessment::Harmless { .. }), "{assessment:?}");
}
