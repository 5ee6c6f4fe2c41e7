//! Whatever comes in, the function answers or says what is wrong with it; it never panics.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use proptest::prelude::*;
use serde_json::{Value, json};

/// What the function says to an input, by the event alone.
fn replay(input: Value) -> Result<rescind::Answer, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(rescind_lambda::replay(security_groups::FUNCTION, BTreeMap::new(), Vec::new(), input))
}

static SAMPLES: LazyLock<Vec<(String, Value)>> = LazyLock::new(|| {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../events/open-security-group-ingress");
    let read = |file: fs::DirEntry| {
        let text = fs::read_to_string(file.path()).expect("the sample can be read");
        (
            file.file_name().to_string_lossy().into_owned(),
            serde_json::from_str::<Value>(&text).expect("the sample is JSON"),
        )
    };
    fs::read_dir(folder).expect("the samples are there").flatten().map(read).collect()
});

fn sample() -> Value {
    let is_it = |(name, _): &&(String, Value)| name == "takes-back-ssh-to-the-world.json";
    SAMPLES.iter().find(is_it).expect("the sample is there").1.clone()
}

/// The paths of everything in a value, as JSON pointers.
fn paths(value: &Value, path: &str, found: &mut Vec<String>) {
    found.push(path.to_owned());
    match value {
        Value::Object(map) => {
            for (name, inner) in map {
                paths(inner, &format!("{path}/{}", name.replace('~', "~0").replace('/', "~1")), found);
            }
        }
        Value::Array(list) => {
            for (index, inner) in list.iter().enumerate() {
                paths(inner, &format!("{path}/{index}"), found);
            }
        }
        _ => {}
    }
}

#[test]
fn every_field_of_every_sample_may_hold_anything() {
    let strange = [
        Value::Null,
        json!(true),
        json!(-1),
        json!(1e308),
        json!(""),
        json!("..."),
        json!("HIDDEN_DUE_TO_SECURITY_REASONS"),
        json!([]),
        json!([[]]),
        json!({}),
        json!({"items": {"items": {}}}),
    ];
    let mut tried = 0;
    for (name, sample) in SAMPLES.iter() {
        let mut found = Vec::new();
        paths(sample, "", &mut found);
        for path in found {
            for value in &strange {
                let mut event = sample.clone();
                *event.pointer_mut(&path).expect("the path is there") = value.clone();
                let answer = replay(event.clone());
                if let Err(error) = answer {
                    assert!(error.len() > 10 && !error.contains('\n'), "{name} {path}={value}: {error}");
                }
                tried += 1;
            }
        }
    }
    println!("{tried} inputs tried");
    assert!(tried > 10_000);
}

#[test]
fn errors_name_the_field_and_what_was_expected() {
    let sample = sample();
    for (path, value, field, expected) in [
        ("/detail/eventName", json!(5), "`detail.eventName`", "API operation"),
        ("/detail/eventName", Value::Null, "`detail.eventName`", "API operation"),
        ("/detail/eventTime", json!("yesterday"), "`detail.eventTime`", "a time such as"),
        ("/detail/awsRegion", json!("evil.example/"), "`detail.awsRegion`", "an AWS region"),
        ("/detail/recipientAccountId", json!("12"), "`detail.recipientAccountId`", "twelve digits"),
        ("/detail/userIdentity", json!("root"), "`detail.userIdentity`", "an object"),
        ("/detail", json!("x"), "`detail`", "an object"),
        ("/source", json!(1), "`source`", "string"),
        ("/time", json!("..."), "`time`", ""),
        ("/detail-type", json!("Scheduled Event"), "`Scheduled Event`", "reads no events"),
    ] {
        let mut event = sample.clone();
        *event.pointer_mut(path).expect("the path is there") = value;
        let error = replay(event).expect_err(path);
        assert!(error.contains(field) && error.contains(expected), "{path}: {error}");
    }
    for (input, expected) in [
        (json!("x"), "`input`"),
        (json!([]), "`input`"),
        (json!({}), "detail-type"),
        (json!({"rule": "x", "event": sample}), "`rule`"),
        (json!({"rule": "arn:aws:iam::111122223333:role/x", "event": sample}), "`rule`"),
        (json!({"rule": "arn:aws:events:eu-central-1:111122223333:rule/x"}), "event"),
        (
            json!({"rule": "arn:aws:events:eu-central-1:111122223333:rule/x", "ingested": "soon", "event": sample}),
            "`ingested`",
        ),
    ] {
        let error = replay(input).expect_err(expected);
        assert!(error.contains(expected), "{error}");
    }
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,20}".prop_map(Value::from),
    ];
    let name = prop_oneof![
        ".{0,8}",
        prop::sample::select(vec![
            "detail",
            "source",
            "detail-type",
            "event",
            "rule",
            "ingested",
            "requestParameters",
            "responseElements",
            "items",
            "ipPermissions",
            "groupId",
            "userIdentity",
            "configurationItem",
            "newEvaluationResult",
            "eventName",
            "eventSource",
        ])
        .prop_map(str::to_owned),
    ];
    leaf.prop_recursive(6, 128, 8, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::vec((name.clone(), inner), 0..8)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    #[test]
    fn no_json_panics(input in any_json()) {
        drop(replay(input));
    }

    /// Strange requests and responses inside a record that is otherwise sound reach the remediation itself.
    #[test]
    fn no_request_or_response_panics(request in any_json(), response in any_json(), name in 0_usize..2) {
        let mut event = sample();
        *event.pointer_mut("/detail/requestParameters").expect("it is there") = request;
        *event.pointer_mut("/detail/responseElements").expect("it is there") = response;
        *event.pointer_mut("/detail/eventName").expect("it is there") =
            json!(["AuthorizeSecurityGroupIngress", "ModifySecurityGroupRules"][name]);
        drop(replay(event));
    }
}
