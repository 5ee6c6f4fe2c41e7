//! CloudTrail records (and AWS Config's events) of what really happened on the emulator, in EventBridge's envelope.
//!
//! Their shapes follow the AWS CloudTrail user guide, *CloudTrail record contents*, and real records.

use std::sync::atomic::{AtomicU64, Ordering};

use aws_sdk_ec2::types::SecurityGroupRule;
use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};

use crate::{REGION, now};

/// Who makes a change.
#[derive(Debug, Clone)]
pub enum Who {
    /// A session of a role, by the role's ARN.
    Role(String),
    /// An IAM user, by name.
    User(String),
    /// The account's root user.
    Root,
    /// CloudFormation, with a role.
    CloudFormation(String),
}

impl Who {
    fn identity(&self, account: &str) -> Value {
        match self {
            Self::Role(role) | Self::CloudFormation(role) => {
                let name = role.rsplit('/').next().unwrap_or_default();
                let mut identity = json!({
                    "type": "AssumedRole", "principalId": "AROAEXAMPLE:session", "accountId": account,
                    "arn": format!("arn:aws:sts::{account}:assumed-role/{name}/session"), "accessKeyId": "ASIAEXAMPLE",
                    "sessionContext": {"sessionIssuer": {"type": "Role", "principalId": "AROAEXAMPLE", "arn": role,
                        "accountId": account, "userName": name}, "attributes": {"mfaAuthenticated": "false"}},
                });
                if matches!(self, Self::CloudFormation(_)) {
                    identity["invokedBy"] = json!("cloudformation.amazonaws.com");
                }
                identity
            }
            Self::User(name) => json!({
                "type": "IAMUser", "principalId": "AIDAEXAMPLE", "accountId": account, "userName": name,
                "arn": format!("arn:aws:iam::{account}:user/{name}"), "accessKeyId": "AKIAEXAMPLE",
            }),
            Self::Root => {
                json!({"type": "Root", "principalId": account, "arn": format!("arn:aws:iam::{account}:root"), "accountId": account})
            }
        }
    }
}

/// An id in the form of a UUID, a new one for each call.
pub fn event_id() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let nanos = now().timestamp_nanos_opt().unwrap_or_default().unsigned_abs();
    format!("{:08x}-{:04x}-4000-8000-{number:012x}", nanos >> 16 & 0xffff_ffff, nanos & 0xffff)
}

/// The record of a call, in its envelope.
pub fn record(account: &str, who: &Who, source: &str, name: &str, request: &Value, response: &Value) -> Value {
    let now = now().to_rfc3339_opts(SecondsFormat::Secs, true);
    let service = source.trim_start_matches("aws.");
    json!({
        "version": "0", "id": event_id(), "detail-type": "AWS API Call via CloudTrail", "source": source, "account": account,
        "time": now, "region": REGION, "resources": [],
        "detail": {
            "eventVersion": "1.11", "userIdentity": who.identity(account), "eventTime": now,
            "eventSource": format!("{service}.amazonaws.com"), "eventName": name, "awsRegion": REGION,
            "sourceIPAddress": "198.51.100.7", "userAgent": "aws-cli/2.31.0", "requestParameters": request,
            "responseElements": response, "requestID": event_id(), "eventID": event_id(), "readOnly": false,
            "eventType": "AwsApiCall", "managementEvent": true, "recipientAccountId": account, "eventCategory": "Management",
        }
    })
}

/// A rule as a record's `securityGroupRuleSet` tells it.
pub fn rule_item(account: &str, rule: &SecurityGroupRule) -> Value {
    let mut item = json!({
        "groupOwnerId": account, "groupId": rule.group_id(), "securityGroupRuleId": rule.security_group_rule_id(),
        "isEgress": rule.is_egress().unwrap_or_default(), "ipProtocol": rule.ip_protocol(),
        "fromPort": rule.from_port().unwrap_or(-1), "toPort": rule.to_port().unwrap_or(-1),
    });
    for (name, value) in [
        ("cidrIpv4", rule.cidr_ipv4()),
        ("cidrIpv6", rule.cidr_ipv6()),
        ("prefixListId", rule.prefix_list_id()),
        ("description", rule.description()),
    ] {
        if let Some(value) = value {
            item[name] = json!(value);
        }
    }
    if let Some(group) = rule.referenced_group_info() {
        item["referencedGroupInfo"] = json!({"groupId": group.group_id(), "userId": group.user_id()});
    }
    item
}

/// The record of `AuthorizeSecurityGroupIngress`, as current records are: the nested request, and the rules that were made.
pub fn authorized(account: &str, who: &Who, group: &str, rules: &[SecurityGroupRule]) -> Value {
    let items: Vec<Value> = rules.iter().map(|rule| rule_item(account, rule)).collect();
    let permissions: Vec<Value> = rules
        .iter()
        .map(|rule| {
            let mut permission = json!({"ipProtocol": rule.ip_protocol(), "fromPort": rule.from_port(), "toPort": rule.to_port(),
                "groups": {}, "ipRanges": {}, "ipv6Ranges": {}, "prefixListIds": {}});
            if let Some(range) = rule.cidr_ipv4() {
                permission["ipRanges"] = json!({"items": [{"cidrIp": range}]});
            } else if let Some(range) = rule.cidr_ipv6() {
                permission["ipv6Ranges"] = json!({"items": [{"cidrIpv6": range}]});
            } else if let Some(list) = rule.prefix_list_id() {
                permission["prefixListIds"] = json!({"items": [{"prefixListId": list}]});
            }
            permission
        })
        .collect();
    let request = json!({"groupId": group, "ipPermissions": {"items": permissions}});
    let response = json!({"requestId": event_id(), "_return": true, "securityGroupRuleSet": {"items": items}});
    record(account, who, "aws.ec2", "AuthorizeSecurityGroupIngress", &request, &response)
}

/// The record of `ModifySecurityGroupRules` for one rule.
pub fn modified(account: &str, who: &Who, group: &str, rule: &str, to: &Value) -> Value {
    let request = json!({"ModifySecurityGroupRulesRequest": {"GroupId": group,
        "SecurityGroupRule": {"tag": 1, "SecurityGroupRuleId": rule, "SecurityGroupRule": to}}});
    let response = json!({"ModifySecurityGroupRulesResponse": {"requestId": event_id(), "return": true}});
    record(account, who, "aws.ec2", "ModifySecurityGroupRules", &request, &response)
}

/// The record of `RevokeSecurityGroupIngress` or `RevokeSecurityGroupEgress` by rule ids, with the rules that were removed.
pub fn revoked(account: &str, who: &Who, group: &str, rules: &[SecurityGroupRule]) -> Value {
    let ids: Vec<&str> = rules.iter().filter_map(SecurityGroupRule::security_group_rule_id).collect();
    let items: Vec<Value> = rules.iter().map(|rule| revoked_item(account, rule)).collect();
    let request = json!({"groupId": group, "securityGroupRuleIds": {"items": ids}});
    let response = json!({"requestId": event_id(), "_return": true, "revokedSecurityGroupRuleSet": {"items": items}});
    let is_egress = rules.iter().any(|rule| rule.is_egress() == Some(true));
    let name = if is_egress { "RevokeSecurityGroupEgress" } else { "RevokeSecurityGroupIngress" };
    record(account, who, "aws.ec2", name, &request, &response)
}

/// A rule as a record's `revokedSecurityGroupRuleSet` tells it.
fn revoked_item(account: &str, rule: &SecurityGroupRule) -> Value {
    let mut item = rule_item(account, rule);
    if let Some(map) = item.as_object_mut() {
        map.remove("groupOwnerId");
        if let Some(group) = map.remove("referencedGroupInfo") {
            map.insert("referencedGroupId".to_owned(), group["groupId"].clone());
        }
    }
    item
}

/// AWS Config's event about a group, as it stood with these rules at `captured`: a configuration item, or its summary
/// when it is too large.
pub fn configuration_item(
    account: &str,
    group: &str,
    rules: &[SecurityGroupRule],
    captured: DateTime<Utc>,
    is_oversized: bool,
) -> Value {
    let mut item = json!({
        "resourceType": "AWS::EC2::SecurityGroup", "resourceId": group, "awsAccountId": account, "awsRegion": REGION,
        "configurationItemStatus": "OK", "configurationStateId": event_id(),
        "configurationItemCaptureTime": captured.to_rfc3339_opts(SecondsFormat::Millis, true),
    });
    let (message, name) = if is_oversized {
        ("OversizedConfigurationItemChangeNotification", "configurationItemSummary")
    } else {
        item["configuration"] = configuration(account, group, rules);
        ("ConfigurationItemChangeNotification", "configurationItem")
    };
    let now = now().to_rfc3339_opts(SecondsFormat::Millis, true);
    json!({
        "version": "0", "id": event_id(), "detail-type": "Config Configuration Item Change", "source": "aws.config",
        "account": account, "time": now, "region": REGION, "resources": [],
        "detail": {"recordVersion": "1.3", "messageType": message, "notificationCreationTime": now, name: item},
    })
}

/// A group as AWS Config records it: a permission for each rule, without ids and tags of rules.
pub fn configuration(account: &str, group: &str, rules: &[SecurityGroupRule]) -> Value {
    let permissions = |is_egress: bool| -> Vec<Value> {
        let meant = rules.iter().filter(|rule| rule.is_egress() == Some(is_egress));
        let permission = |rule: &SecurityGroupRule| {
            let described = |mut element: Value| {
                if let Some(description) = rule.description() {
                    element["description"] = json!(description);
                }
                vec![element]
            };
            json!({
                "ipProtocol": rule.ip_protocol(), "fromPort": rule.from_port(), "toPort": rule.to_port(),
                "ipRanges": rule.cidr_ipv4().into_iter().collect::<Vec<_>>(),
                "ipv4Ranges": rule.cidr_ipv4().map(|range| described(json!({"cidrIp": range}))).unwrap_or_default(),
                "ipv6Ranges": rule.cidr_ipv6().map(|range| described(json!({"cidrIpv6": range}))).unwrap_or_default(),
                "prefixListIds":
                    rule.prefix_list_id().map(|list| described(json!({"prefixListId": list}))).unwrap_or_default(),
                "userIdGroupPairs": rule
                    .referenced_group_info()
                    .map(|group| described(json!({"groupId": group.group_id(), "userId": account})))
                    .unwrap_or_default(),
            })
        };
        meant.map(permission).collect()
    };
    json!({
        "groupId": group, "ownerId": account, "ipPermissions": permissions(false), "ipPermissionsEgress": permissions(true),
    })
}

/// What `GetResourceConfigHistory` answers: states of a resource, the newest first. The emulator has no history.
pub fn history(states: &[(DateTime<Utc>, Value)]) -> Value {
    let item = |(captured, configuration): &(DateTime<Utc>, Value)| {
        json!({
            "version": "1.3", "configurationItemStatus": "OK", "resourceType": "AWS::EC2::SecurityGroup",
            "configurationItemCaptureTime": captured.timestamp_millis() as f64 / 1000.0,
            "configuration": configuration.to_string(), "supplementaryConfiguration": {},
        })
    };
    json!({"configurationItems": states.iter().map(item).collect::<Vec<_>>()})
}

/// AWS Config's event about a resource of this type that a rule finds wanting.
pub fn non_compliant(account: &str, (rule, rule_arn): (&str, &str), (kind, id): (&str, &str)) -> Value {
    let now = now().to_rfc3339_opts(SecondsFormat::Millis, true);
    json!({
        "version": "0", "id": event_id(), "detail-type": "Config Rules Compliance Change", "source": "aws.config",
        "account": account, "time": now, "region": REGION, "resources": [],
        "detail": {
            "messageType": "ComplianceChangeNotification", "configRuleName": rule, "configRuleARN": rule_arn,
            "resourceType": kind, "resourceId": id, "awsAccountId": account, "awsRegion": REGION,
            "newEvaluationResult": {"complianceType": "NON_COMPLIANT", "resultRecordedTime": now},
        },
    })
}

/// The record of `ModifyInstanceMetadataOptions`, nested as those of newer EC2 actions are.
pub fn metadata_options_modified(account: &str, who: &Who, instance: &str, tokens: &str) -> Value {
    let request = json!({"ModifyInstanceMetadataOptionsRequest": {"InstanceId": instance, "HttpTokens": tokens}});
    let options =
        json!({"state": "pending", "httpTokens": tokens, "httpEndpoint": "enabled", "httpPutResponseHopLimit": 1});
    let response = json!({"requestId": event_id(), "instanceId": instance, "instanceMetadataOptions": options});
    let response = json!({"ModifyInstanceMetadataOptionsResponse": response});
    record(account, who, "aws.ec2", "ModifyInstanceMetadataOptions", &request, &response)
}

/// The record of `RunInstances`, with what it tells of each instance's tokens.
pub fn instances_started(account: &str, who: &Who, started: &[(&str, &str)]) -> Value {
    let item = |(id, tokens): &(&str, &str)| json!({"instanceId": id, "metadataOptions": {"httpTokens": tokens, "httpEndpoint": "enabled"}});
    let items: Vec<Value> = started.iter().map(item).collect();
    let response = json!({"requestId": event_id(), "instancesSet": {"items": items}});
    record(account, who, "aws.ec2", "RunInstances", &json!({"instanceType": "m5.large"}), &response)
}

/// The record of `EnableSerialConsoleAccess`, which says nothing but that.
pub fn serial_console_enabled(account: &str, who: &Who) -> Value {
    let request = json!({"EnableSerialConsoleAccessRequest": ""});
    let response =
        json!({"EnableSerialConsoleAccessResponse": {"requestId": event_id(), "serialConsoleAccessEnabled": true}});
    record(account, who, "aws.ec2", "EnableSerialConsoleAccess", &request, &response)
}

/// The record of `ModifyInstanceAttribute` for user data, which CloudTrail masks.
pub fn user_data_changed(account: &str, who: &Who, instance: &str) -> Value {
    let request = json!({"instanceId": instance, "userData": "<sensitiveDataRemoved>"});
    let response = json!({"requestId": event_id(), "_return": true});
    record(account, who, "aws.ec2", "ModifyInstanceAttribute", &request, &response)
}

/// AWS Config's event about an instance with these tags, as it saw it at `captured`.
pub fn instance_item(
    account: &str,
    instance: &str,
    tags: &std::collections::BTreeMap<String, String>,
    captured: DateTime<Utc>,
) -> Value {
    let mut event = configuration_item(account, instance, &[], captured, false);
    let item = &mut event["detail"]["configurationItem"];
    item["resourceType"] = json!("AWS::EC2::Instance");
    item["tags"] = json!(tags);
    item["configuration"] = json!({"instanceId": instance});
    event
}

/// The record of `AttachUserPolicy`, `AttachRolePolicy` or `AttachGroupPolicy`: `kind` is the word in the middle.
pub fn policy_attached(account: &str, who: &Who, (kind, name): (&str, &str), policy: &str) -> Value {
    let mut request = json!({"policyArn": policy});
    request[format!("{}Name", kind.to_lowercase())] = json!(name);
    record(account, who, "aws.iam", &format!("Attach{kind}Policy"), &request, &Value::Null)
}

/// The record of `DeactivateMFADevice`.
pub fn mfa_deactivated(account: &str, who: &Who, user: &str, serial: &str) -> Value {
    let request = json!({"userName": user, "serialNumber": serial});
    record(account, who, "aws.iam", "DeactivateMFADevice", &request, &Value::Null)
}

/// The record of `UpdateAssumeRolePolicy`.
pub fn trust_updated(account: &str, who: &Who, role: &str, document: &str) -> Value {
    let request = json!({"roleName": role, "policyDocument": document});
    record(account, who, "aws.iam", "UpdateAssumeRolePolicy", &request, &Value::Null)
}

/// The record of `CreateRole`.
pub fn role_created(account: &str, who: &Who, role: &str, document: &str) -> Value {
    let request = json!({"roleName": role, "assumeRolePolicyDocument": document});
    let response =
        json!({"role": {"roleName": role, "path": "/", "arn": format!("arn:aws:iam::{account}:role/{role}")}});
    record(account, who, "aws.iam", "CreateRole", &request, &response)
}

/// AWS Config's event about a user, role or group, by its type and unique id, as it saw it at `captured`: of no Region.
pub fn principal_item(
    account: &str,
    (kind, id): (&str, &str),
    configuration: &Value,
    captured: DateTime<Utc>,
) -> Value {
    let mut event = configuration_item(account, id, &[], captured, false);
    let item = &mut event["detail"]["configurationItem"];
    item["resourceType"] = json!(kind);
    item["awsRegion"] = json!("global");
    item["configuration"] = configuration.clone();
    event
}
