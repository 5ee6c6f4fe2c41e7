//! What is taken away is taken away exactly.

use serde_json::json;

use super::*;

#[test]
fn the_stranger_goes_and_the_others_stay_as_they_were_written() {
    let document = json!({
        "Version": "2012-10-17",
        "Id": "kept",
        "Statement": [
            { "Sid": "a", "Effect": "Allow", "Principal": { "AWS": ["111122223333", "999999999999"], "Service": "ec2.amazonaws.com" }, "Action": "sts:AssumeRole" },
            { "Sid": "a", "Effect": "Allow", "Principal": { "AWS": "999999999999" }, "Action": "sts:AssumeRole" },
            { "Effect": "Deny", "Principal": "*", "Action": "sts:TagSession" },
        ],
    });
    let trust = Policy::from_value(document).unwrap();
    let left = trust.without(&role_trust(&trust, &friends()), Exposure::Shared).unwrap();
    let expected = json!({
        "Version": "2012-10-17",
        "Id": "kept",
        "Statement": [
            { "Sid": "a", "Effect": "Allow", "Principal": { "AWS": ["111122223333"], "Service": "ec2.amazonaws.com" }, "Action": "sts:AssumeRole" },
            { "Effect": "Deny", "Principal": "*", "Action": "sts:TagSession" },
        ],
    });
    assert_eq!(left.to_value(), expected);
    assert_eq!(Policy::parse(&left.to_string()).unwrap(), left);
}

#[test]
fn who_is_gone_keeps_no_policy_from_being_put() {
    const GONE: &str = "AROAEXAMPLEGONE12345";
    let ours = json!({ "AWS": ["arn:aws:iam::111122223333:root"] });
    let allow = |principal: &Value| json!({ "Effect": "Allow", "Principal": principal, "Action": "s3:GetObject" });
    let bucket = policy(&[
        allow(&json!("*")),
        allow(&json!({ "AWS": GONE })),
        allow(&json!({ "AWS": ["arn:aws:iam::111122223333:root", GONE] })),
        json!({ "Effect": "Deny", "NotPrincipal": { "AWS": GONE }, "Action": "s3:PutObject" }),
    ]);
    let left = bucket.without(&resource_policy(&bucket, &friends()), Exposure::Shared).unwrap();
    let left = left.without_gone().unwrap();
    assert_eq!(left, policy(&[allow(&ours), bucket.statements()[3].raw().clone()]));
    assert_eq!(policy(&[allow(&json!({ "AWS": GONE }))]).without_gone(), None);
    assert_eq!(left.without_gone(), Some(left));
}

#[test]
fn nothing_left_is_no_policy() {
    for principal in [json!("*"), json!({ "AWS": "*" }), json!({ "AWS": ["999999999999", "*"] })] {
        let bucket =
            Policy::from_value(json!({ "Statement": { "Effect": "Allow", "Principal": principal, "Action": "s3:*" } }));
        let bucket = bucket.unwrap();
        assert_eq!(bucket.without(&resource_policy(&bucket, &friends()), Exposure::Shared), None);
    }
}

#[test]
fn a_lone_statement_stays_alone_and_unclear_ones_stay() {
    let document = json!({
        "Statement": { "Effect": "Allow", "Principal": "*", "Action": "s3:*", "Condition": { "StringEquals": { "corp:team": "red" } } }
    });
    let bucket = Policy::from_value(document.clone()).unwrap();
    let readings = resource_policy(&bucket, &friends());
    assert!(readings[0].exposure.is_risky() && !readings[0].is_surely_risky());
    assert_eq!(bucket.without(&readings, Exposure::Deputy).unwrap().to_value(), document);
}

#[test]
fn the_same_name_under_another_kind_stays() {
    let document = json!({
        "Statement": [{ "Effect": "Allow", "Principal": { "AWS": ["999999999999"], "CanonicalUser": "999999999999" }, "Action": "s3:*" }]
    });
    let bucket = Policy::from_value(document).unwrap();
    let left = bucket.without(&resource_policy(&bucket, &friends()), Exposure::Shared);
    let expected = json!({
        "Statement": [{ "Effect": "Allow", "Principal": { "CanonicalUser": "999999999999" }, "Action": "s3:*" }]
    });
    assert_eq!(left.unwrap().to_value(), expected);
}

#[test]
fn only_what_opens_as_far_as_is_asked_for_goes() {
    let bucket = policy(&[
        json!({ "Effect": "Allow", "Principal": { "AWS": ["999999999999", "*"], "Service": "sns.amazonaws.com" }, "Action": "s3:*" }),
        json!({ "Effect": "Allow", "NotPrincipal": { "AWS": "999999999999" }, "Action": "s3:*" }),
    ]);
    let readings = resource_policy(&bucket, &friends());
    let left = |from| {
        bucket
            .without(&readings, from)
            .map(|left| left.statements().iter().map(|s| s.raw()["Principal"].clone()).collect())
    };
    let public: Option<Vec<Value>> = left(Exposure::Public);
    assert_eq!(public, Some(vec![json!({ "AWS": ["999999999999"], "Service": "sns.amazonaws.com" })]));
    assert_eq!(left(Exposure::Shared), Some(vec![json!({ "Service": "sns.amazonaws.com" })]));
    assert_eq!(left(Exposure::Deputy), None);
}
