//! Findings of GuardDuty, in EventBridge's envelope.
//!
//! Their shape follows the Amazon GuardDuty user guide, *Finding details*.

use chrono::SecondsFormat;
use serde_json::{Value, json};

use crate::cloudtrail::event_id;
use crate::{REGION, now};

/// A finding about `resource`, with what `service` tells of it.
pub fn finding(account: &str, kind: &str, severity: f64, resource: &Value, service: &Value) -> Value {
    let now = now().to_rfc3339_opts(SecondsFormat::Millis, true);
    let mut told =
        json!({"serviceName": "guardduty", "archived": false, "count": 1, "eventFirstSeen": now, "eventLastSeen": now});
    if let (Some(told), Some(more)) = (told.as_object_mut(), service.as_object()) {
        told.extend(more.clone());
    }
    json!({
        "version": "0", "id": event_id(), "detail-type": "GuardDuty Finding", "source": "aws.guardduty", "account": account,
        "time": now, "region": REGION, "resources": [],
        "detail": {
            "schemaVersion": "2.0", "accountId": account, "region": REGION, "partition": "aws", "id": event_id().replace('-', ""),
            "arn": format!("arn:aws:guardduty:{REGION}:{account}:detector/d/finding/f"), "type": kind, "severity": severity,
            "createdAt": now, "updatedAt": now, "title": "A finding.", "description": "A finding.", "resource": resource,
            "service": told,
        }
    })
}

/// A finding that something hostile is on an instance.
pub fn hostile_instance(account: &str, instance: &str) -> Value {
    let resource =
        json!({"resourceType": "Instance", "instanceDetails": {"instanceId": instance, "networkInterfaces": []}});
    finding(account, "Backdoor:EC2/C&CActivity.B", 8.0, &resource, &json!({"resourceRole": "ACTOR"}))
}

/// A finding that something hostile is on an instance that has this profile, by its ARN.
pub fn hostile_instance_with(account: &str, instance: &str, profile: &str) -> Value {
    let mut event = hostile_instance(account, instance);
    event["detail"]["resource"]["instanceDetails"]["iamInstanceProfile"] = json!({"arn": profile});
    event
}

/// A finding that somebody outside guesses the passwords of an instance.
pub fn guessed_passwords(account: &str, instance: &str, address: &str) -> Value {
    let resource =
        json!({"resourceType": "Instance", "instanceDetails": {"instanceId": instance, "networkInterfaces": []}});
    let family = if address.contains(':') { "ipAddressV6" } else { "ipAddressV4" };
    let action = json!({"actionType": "NETWORK_CONNECTION", "networkConnectionAction": {"connectionDirection": "INBOUND",
        "blocked": false, "protocol": "TCP", "localPortDetails": {"port": 22, "portName": "SSH"}, "remoteIpDetails": {family: address}}});
    let service = json!({"resourceRole": "TARGET", "action": action});
    finding(account, "UnauthorizedAccess:EC2/SSHBruteForce", 2.0, &resource, &service)
}

/// What a finding tells of an access key and its holder.
pub fn credentials(key: &str, principal: &str, name: &str, kind: &str) -> Value {
    json!({"accessKeyId": key, "principalId": principal, "userName": name, "userType": kind})
}

/// A finding that somebody else uses these credentials.
pub fn compromised(account: &str, credentials: &Value) -> Value {
    let resource = json!({"resourceType": "AccessKey", "accessKeyDetails": credentials});
    let kind = "UnauthorizedAccess:IAMUser/InstanceCredentialExfiltration.OutsideAWS";
    finding(account, kind, 8.0, &resource, &json!({"resourceRole": "TARGET"}))
}

/// A finding that somebody read a bucket with these credentials from where nobody should.
pub fn read_bucket(account: &str, credentials: &Value) -> Value {
    let bucket = json!([{"name": "customer-data", "arn": "arn:aws:s3:::customer-data"}]);
    let resource = json!({"resourceType": "S3Bucket", "accessKeyDetails": credentials, "s3BucketDetails": bucket});
    finding(account, "Exfiltration:S3/MaliciousIPCaller", 8.0, &resource, &json!({"resourceRole": "TARGET"}))
}

/// An attack sequence with these credentials.
pub fn attack_sequence(account: &str, all: &[Value]) -> Value {
    let resource = |one: &Value| {
        json!({"uid": one["accessKeyId"], "name": one["accessKeyId"], "accountId": account, "region": REGION,
            "resourceType": "ACCESS_KEY", "data": {"accessKey": one}})
    };
    let resources: Vec<Value> = all.iter().map(resource).collect();
    let sequence = json!({"resourceRole": "TARGET", "detection": {"sequence": {"actors": [], "resources": resources}}});
    let about = json!({"resourceType": "AttackSequence"});
    finding(account, "AttackSequence:IAM/CompromisedCredentials", 9.0, &about, &sequence)
}
