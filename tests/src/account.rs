//! An account of the emulator, and what its people do there.

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_ec2::config::Credentials as SdkCredentials;
use aws_sdk_ec2::types::{
    Filter, IpPermission, IpRange, Ipv6Range, SecurityGroupRule, SecurityGroupRuleRequest, SecurityGroupRuleUpdate, Tag,
};
use serde_json::{Value, json};

use crate::REGION;
use crate::emulator::{Credentials, Deployed, DeployedRule};

/// An account, seen by its administrator.
#[derive(Debug, Clone)]
pub struct Account {
    /// Its id.
    pub id: String,
    /// The emulator's port.
    pub port: u16,
    /// What is deployed to it.
    pub deployed: Deployed,
}

impl Account {
    /// The configuration of a client with these credentials.
    pub fn config(&self, credentials: &Credentials) -> SdkConfig {
        let keys = SdkCredentials::new(
            &credentials.access_key_id,
            &credentials.secret_access_key,
            credentials.session_token.clone(),
            None,
            "tests",
        );
        SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(REGION))
            // Without the certificates for TLS: to read them takes longer than a call.
            .http_client(aws_smithy_http_client::Builder::new().build_http())
            .endpoint_url(format!("http://127.0.0.1:{}", self.port))
            .credentials_provider(aws_sdk_ec2::config::SharedCredentialsProvider::new(keys))
            .sleep_impl(aws_sdk_ec2::config::SharedAsyncSleep::new(TokioSleep))
            .build()
    }

    fn admin(&self) -> SdkConfig {
        self.config(&self.deployed.admin)
    }

    /// The administrator's client of EC2.
    pub fn ec2(&self) -> aws_sdk_ec2::Client {
        aws_sdk_ec2::Client::new(&self.admin())
    }

    /// The administrator's client of IAM.
    pub fn iam(&self) -> aws_sdk_iam::Client {
        aws_sdk_iam::Client::new(&self.admin())
    }

    /// The administrator's client of CloudTrail.
    pub fn cloudtrail(&self) -> aws_sdk_cloudtrail::Client {
        aws_sdk_cloudtrail::Client::new(&self.admin())
    }

    /// The administrator's client of KMS.
    pub fn kms(&self) -> aws_sdk_kms::Client {
        aws_sdk_kms::Client::new(&self.admin())
    }

    /// The administrator's client of S3, which names a bucket in the path: the emulator's address takes no names before it.
    pub fn s3(&self) -> aws_sdk_s3::Client {
        let config = aws_sdk_s3::config::Builder::from(&self.admin()).force_path_style(true).build();
        aws_sdk_s3::Client::from_conf(config)
    }

    /// The administrator's client of Amazon EC2 Auto Scaling.
    pub fn auto_scaling(&self) -> aws_sdk_autoscaling::Client {
        aws_sdk_autoscaling::Client::new(&self.admin())
    }

    /// The administrator's client of Elastic Load Balancing.
    pub fn load_balancing(&self) -> aws_sdk_elasticloadbalancingv2::Client {
        aws_sdk_elasticloadbalancingv2::Client::new(&self.admin())
    }

    /// The administrator's client of EventBridge.
    pub fn events(&self) -> aws_sdk_eventbridge::Client {
        aws_sdk_eventbridge::Client::new(&self.admin())
    }

    /// The administrator's client of Lambda.
    pub fn lambda(&self) -> aws_sdk_lambda::Client {
        aws_sdk_lambda::Client::new(&self.admin())
    }

    /// The administrator's client of SQS.
    pub fn sqs(&self) -> aws_sdk_sqs::Client {
        aws_sdk_sqs::Client::new(&self.admin())
    }

    /// The administrator's client of DynamoDB.
    pub fn dynamodb(&self) -> aws_sdk_dynamodb::Client {
        aws_sdk_dynamodb::Client::new(&self.admin())
    }

    /// The administrator's client of AWS Config.
    pub fn config_service(&self) -> aws_sdk_config::Client {
        aws_sdk_config::Client::new(&self.admin())
    }

    /// A new rule of AWS Config, one of those that AWS manages; its ARN.
    pub async fn config_rule(&self, name: &str, identifier: &str) -> String {
        let source = aws_sdk_config::types::Source::builder().owner(aws_sdk_config::types::Owner::Aws);
        let source = source.source_identifier(identifier).build().expect("a source");
        let rule = aws_sdk_config::types::ConfigRule::builder().config_rule_name(name).source(source);
        let config = self.config_service();
        config.put_config_rule().config_rule(rule.build()).send().await.expect("a rule");
        let rules = config.describe_config_rules().config_rule_names(name).send().await.expect("rules");
        rules.config_rules()[0].config_rule_arn().expect("a rule has an ARN").to_owned()
    }

    /// Credentials of a session of a role.
    pub async fn assume(&self, role_arn: &str) -> Credentials {
        let answer = aws_sdk_sts::Client::new(&self.admin())
            .assume_role()
            .role_arn(role_arn)
            .role_session_name("function")
            .send()
            .await
            .expect("the role can be assumed");
        let credentials = answer.credentials().expect("a session has credentials");
        Credentials {
            access_key_id: credentials.access_key_id().to_owned(),
            secret_access_key: credentials.secret_access_key().to_owned(),
            session_token: Some(credentials.session_token().to_owned()),
        }
    }

    /// A rule by its name in the template.
    pub fn rule(&self, logical_id: &str) -> &DeployedRule {
        let is_it = |rule: &&DeployedRule| rule.logical_id == logical_id;
        self.deployed.rules.iter().find(is_it).unwrap_or_else(|| panic!("the template has a rule {logical_id}"))
    }

    /// Sets a tag of a rule.
    pub async fn tag_rule(&self, logical_id: &str, key: &str, value: &str) {
        let tag = aws_sdk_eventbridge::types::Tag::builder().key(key).value(value).build().expect("a tag");
        self.events()
            .tag_resource()
            .resource_arn(&self.rule(logical_id).arn)
            .tags(tag)
            .send()
            .await
            .expect("the rule is tagged");
    }

    /// Removes a tag of a rule.
    pub async fn untag_rule(&self, logical_id: &str, key: &str) {
        let request = self.events().untag_resource().resource_arn(&self.rule(logical_id).arn).tag_keys(key);
        request.send().await.expect("the tag is removed");
    }

    /// A new VPC.
    pub async fn vpc(&self) -> String {
        let answer = self.ec2().create_vpc().cidr_block("10.0.0.0/16").send().await.expect("a VPC");
        answer.vpc().and_then(|vpc| vpc.vpc_id()).expect("a VPC has an id").to_owned()
    }

    /// A new security group without inbound rules, in a VPC of its own or in the one given.
    pub async fn group(&self, name: &str, vpc: Option<&str>) -> String {
        let vpc = match vpc {
            Some(vpc) => vpc.to_owned(),
            None => self.vpc().await,
        };
        let request = self.ec2().create_security_group().group_name(name).description(name).vpc_id(vpc);
        request.send().await.expect("a group").group_id().expect("a group has an id").to_owned()
    }

    /// Adds inbound rules to a group, in one call, and returns them in the order of the request.
    ///
    /// The emulator answers with the rules of the last permission alone, so they are what the group has more than before.
    pub async fn authorize(&self, group: &str, permissions: &[IpPermission]) -> Vec<SecurityGroupRule> {
        let before = self.rules(group).await;
        let request = self
            .ec2()
            .authorize_security_group_ingress()
            .group_id(group)
            .set_ip_permissions(Some(permissions.to_vec()));
        request.send().await.expect("the rules are made");
        let is_old = |id: Option<&str>| before.iter().any(|old| old.security_group_rule_id() == id);
        let mut made = self.rules(group).await;
        made.retain(|rule| !is_old(rule.security_group_rule_id()));
        made.sort_by_key(|rule| place(permissions, rule));
        made
    }

    /// All rules of a group, by id.
    pub async fn rules(&self, group: &str) -> Vec<SecurityGroupRule> {
        let filter = Filter::builder().name("group-id").values(group).build();
        let answer =
            self.ec2().describe_security_group_rules().filters(filter).send().await.expect("the rules can be read");
        let mut rules = answer.security_group_rules().to_vec();
        rules.sort_by(|a, b| a.security_group_rule_id().cmp(&b.security_group_rule_id()));
        rules
    }

    /// Removes rules of a group by their ids, all of one direction.
    pub async fn revoke(&self, group: &str, rules: &[SecurityGroupRule]) {
        let ids: Vec<String> =
            rules.iter().filter_map(|rule| rule.security_group_rule_id().map(str::to_owned)).collect();
        let ec2 = self.ec2();
        if rules.iter().any(|rule| rule.is_egress() == Some(true)) {
            let request = ec2.revoke_security_group_egress().group_id(group).set_security_group_rule_ids(Some(ids));
            request.send().await.expect("the rules are removed");
        } else {
            let request = ec2.revoke_security_group_ingress().group_id(group).set_security_group_rule_ids(Some(ids));
            request.send().await.expect("the rules are removed");
        }
    }

    /// Makes a rule of TCP with a range of IPv4 another one, and returns what a record tells of that.
    pub async fn modify(&self, group: &str, rule: &str, port: i32, range: &str, description: &str) -> Value {
        let to = SecurityGroupRuleRequest::builder().ip_protocol("tcp").from_port(port).to_port(port);
        let to = to.cidr_ipv4(range).description(description).build();
        let update = SecurityGroupRuleUpdate::builder().security_group_rule_id(rule).security_group_rule(to).build();
        let request = self.ec2().modify_security_group_rules().group_id(group).security_group_rules(update);
        request.send().await.expect("the rule is modified");
        json!({"IpProtocol": "tcp", "FromPort": port, "ToPort": port, "CidrIpv4": range, "Description": description})
    }

    /// What a group permits, in words, with descriptions and tags; and with ids, if these tell something.
    pub async fn in_words(&self, group: &str) -> Vec<String> {
        let words = |rule: &SecurityGroupRule| {
            let source = [rule.cidr_ipv4(), rule.cidr_ipv6(), rule.prefix_list_id()].into_iter().flatten().next();
            let group = rule.referenced_group_info().and_then(|group| group.group_id());
            let mut tags: Vec<String> =
                rule.tags().iter().map(|tag| format!("{:?}={:?}", tag.key(), tag.value())).collect();
            tags.sort();
            let direction = if rule.is_egress() == Some(true) { "out" } else { "in" };
            format!(
                "{direction} {:?} {:?}-{:?} {:?} {:?} {}",
                rule.ip_protocol(),
                rule.from_port(),
                rule.to_port(),
                source.or(group),
                rule.description(),
                tags.join(" ")
            )
        };
        let mut all: Vec<String> = self.rules(group).await.iter().map(words).collect();
        all.sort();
        all
    }

    /// Sets a tag of an EC2 resource.
    pub async fn tag(&self, resource: &str, key: &str, value: &str) {
        let tag = Tag::builder().key(key).value(value).build();
        self.ec2().create_tags().resources(resource).tags(tag).send().await.expect("the resource is tagged");
    }
}

/// Where a rule stands in the request that made it: the permission and, in it, the source.
fn place(permissions: &[IpPermission], rule: &SecurityGroupRule) -> Option<(usize, usize)> {
    permissions.iter().enumerate().find_map(|(index, permission)| {
        let is_same = permission.ip_protocol() == rule.ip_protocol()
            && (permission.ip_protocol() == Some("-1")
                || (permission.from_port(), permission.to_port()) == (rule.from_port(), rule.to_port()));
        let group = rule.referenced_group_info().and_then(|group| group.group_id());
        let ranges = permission.ip_ranges().iter().map(|range| (range.cidr_ip(), rule.cidr_ipv4()));
        let ranges_v6 = permission.ipv6_ranges().iter().map(|range| (range.cidr_ipv6(), rule.cidr_ipv6()));
        let lists = permission.prefix_list_ids().iter().map(|list| (list.prefix_list_id(), rule.prefix_list_id()));
        let groups = permission.user_id_group_pairs().iter().map(|pair| (pair.group_id(), group));
        let mut sources = ranges.chain(ranges_v6).chain(lists).chain(groups);
        let source = sources.position(|(asked, made)| asked.is_some() && asked == made)?;
        is_same.then_some((index, source))
    })
}

/// A permission for one range, IPv4 or IPv6: `permission("tcp", 22, 22, "0.0.0.0/0")`.
///
/// Its description has no space: the emulator encodes one as `+` when it computes a request's signature anew, the SDK as
/// `%20`, and the call would be refused.
pub fn permission(protocol: &str, from: i32, to: i32, range: &str) -> IpPermission {
    let permission = IpPermission::builder().ip_protocol(protocol).from_port(from).to_port(to);
    if range.contains(':') {
        permission.ipv6_ranges(Ipv6Range::builder().cidr_ipv6(range).build()).build()
    } else {
        permission.ip_ranges(IpRange::builder().cidr_ip(range).description(format!("for-{range}")).build()).build()
    }
}

/// Sleeps for the SDK's retries.
#[derive(Debug)]
struct TokioSleep;

impl aws_sdk_ec2::config::AsyncSleep for TokioSleep {
    fn sleep(&self, duration: std::time::Duration) -> aws_sdk_ec2::config::Sleep {
        aws_sdk_ec2::config::Sleep::new(tokio::time::sleep(duration))
    }
}
