//! Lambda functions that nobody but an own bucket may invoke.

use aws_sdk_lambda::primitives::Blob;
use aws_sdk_lambda::types::{FunctionCode, Runtime};
use serde_json::{Value, json};

use super::Kind;
use crate::cloudtrail::{self, Who};
use crate::{REGION, World};

pub(super) const OPENED: Kind = Kind {
    remediation: "function-permission-public",
    function: "sharing",
    mutation: ("RemovePermission", 1),
    rule: "FunctionPermissionPublic",
    set: |world, name| Box::pin(set(world, name)),
    change: |world, function, who| Box::pin(add(world, function, "everybody", "*", None, who)),
    harmless: Some(|world, function, who| {
        Box::pin(async move {
            let account = world.account.id.clone();
            add(world, function, "own-topic", "sns.amazonaws.com", Some(&account), who).await
        })
    }),
    words: |world, function| Box::pin(in_words(world, function)),
    contained: None,
};

async fn set(world: &World, name: &str) -> String {
    let code = FunctionCode::builder().zip_file(Blob::new("none")).build();
    let request = world.account.lambda().create_function().function_name(name).code(code).handler("bootstrap");
    let request = request.runtime(Runtime::from("provided.al2023")).tags("team", "orders");
    // Any role that Lambda may assume.
    let role = &world.account.deployed.functions["sharing"].role_arn;
    request.role(role).send().await.expect("a function");
    add(world, name, "own-bucket", "s3.amazonaws.com", Some(&world.account.id), &world.alice()).await;
    name.to_owned()
}

/// Somebody adds a permission to a function.
async fn add(world: &World, function: &str, sid: &str, principal: &str, source: Option<&str>, who: &Who) -> Value {
    let request = world.account.lambda().add_permission().function_name(function).statement_id(sid);
    let request = request.action("lambda:InvokeFunction").principal(principal);
    let answer = request.set_source_account(source.map(str::to_owned)).send().await.expect("a permission");
    let mut request = json!({"functionName": function, "statementId": sid, "action": "lambda:InvokeFunction",
        "principal": principal});
    if let Some(source) = source {
        request["sourceAccount"] = json!(source);
    }
    let response = json!({"statement": answer.statement()});
    cloudtrail::record(&world.account.id, who, "aws.lambda", "AddPermission20150331v2", &request, &response)
}

async fn in_words(world: &World, function: &str) -> Vec<String> {
    let arn = format!("arn:aws:lambda:{REGION}:{}:function:{function}", world.account.id);
    let policy = world.account.lambda().get_policy().function_name(function).send().await.expect("a policy");
    let policy: Value = serde_json::from_str(policy.policy().unwrap_or_default()).expect("JSON");
    let tags = world.account.lambda().list_tags().resource(arn).send().await.expect("tags");
    let mut words: Vec<String> =
        policy["Statement"].as_array().expect("statements").iter().map(ToString::to_string).collect();
    words.sort();
    words.push(format!("{:?}", tags.tags()));
    words
}
