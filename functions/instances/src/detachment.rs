//! The Auto Scaling group and the target groups of an instance: how they are read, and the changing calls by which it is
//! taken out and put back, as data that can be shown, kept and made: parameters as the AWS CLI takes them.

use std::collections::BTreeMap;
use std::sync::Arc;

use aws_sdk_autoscaling::Client as AutoScaling;
use aws_sdk_elasticloadbalancingv2::Client as LoadBalancing;
use aws_sdk_elasticloadbalancingv2::types::{TargetDescription, TargetHealthStateEnum, TargetTypeEnum};
use futures_util::future::join_all;
use rescind::Call;
use rescind::signal::{field, items, text};
use rescind_lambda::{CallError, CallFailure, Scope, client, lacks, not_ours, parameter};
use serde_json::{Value, json};

/// The IAM actions of what is called.
pub mod action {
    /// `DescribeAutoScalingInstances`.
    pub const DESCRIBE_MEMBERS: &str = "autoscaling:DescribeAutoScalingInstances";
    /// `DetachInstances`.
    pub const DETACH: &str = "autoscaling:DetachInstances";
    /// `AttachInstances`.
    pub const ATTACH: &str = "autoscaling:AttachInstances";
    /// `DescribeTargetGroups`.
    pub const DESCRIBE_TARGET_GROUPS: &str = "elasticloadbalancing:DescribeTargetGroups";
    /// `DescribeTargetHealth`, which tells what is registered.
    pub const DESCRIBE_TARGETS: &str = "elasticloadbalancing:DescribeTargetHealth";
    /// `DeregisterTargets`.
    pub const DEREGISTER: &str = "elasticloadbalancing:DeregisterTargets";
    /// `RegisterTargets`.
    pub const REGISTER: &str = "elasticloadbalancing:RegisterTargets";
}

/// So many target groups of a VPC are looked through at most: each costs a call.
pub const MOST_TARGET_GROUPS: usize = 50;
/// So many of them side by side: Elastic Load Balancing refuses more at once.
const AT_ONCE: usize = 10;

/// What an instance is to be taken out of, or was.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scopes {
    /// Its Auto Scaling group.
    pub group: bool,
    /// Its target groups.
    pub targets: Targets,
}

/// Which target groups are meant.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Targets {
    /// None.
    #[default]
    None,
    /// Those of its VPC.
    All,
    /// These, by their ARNs.
    These(Vec<String>),
}

/// What an instance belongs to, as far as somebody asked for it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ties {
    /// The Auto Scaling group that it is in.
    pub group: Option<Membership>,
    /// The ports with which it is registered, by the ARN of the target group.
    pub targets: BTreeMap<String, Vec<i32>>,
    /// What could not be read, and why.
    pub unread: Vec<(&'static str, String)>,
    /// Its VPC has more than [`MOST_TARGET_GROUPS`], so they were not looked through.
    pub has_too_many_target_groups: bool,
}

/// That an instance is in an Auto Scaling group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Membership {
    /// The group's name.
    pub group: String,
    /// It can be detached: it is in service, and neither comes, goes nor stands by.
    pub is_in_service: bool,
}

/// The name of the Auto Scaling group among the facts.
pub const GROUP_FACT: &str = "Auto Scaling group";

/// The name of a target group among the facts.
pub fn target_fact(target_group: &str) -> String {
    // `arn:…:targetgroup/<name>/<id>`
    let name = target_group.split_once(":targetgroup/").map_or(target_group, |(_, name)| name);
    format!("target group {name}")
}

/// Takes an instance out of its Auto Scaling group, which starts another one in its place.
pub fn detach(group: &str, instance: &str) -> Call {
    let parameters =
        json!({"AutoScalingGroupName": group, "InstanceIds": [instance], "ShouldDecrementDesiredCapacity": false});
    call(action::DETACH, parameters)
}

/// Puts it back, which makes the group's desired capacity one more.
pub fn attach(group: &str, instance: &str) -> Call {
    call(action::ATTACH, json!({"AutoScalingGroupName": group, "InstanceIds": [instance]}))
}

/// Takes an instance out of a target group.
pub fn deregister(target_group: &str, instance: &str, ports: &[i32]) -> Call {
    call(action::DEREGISTER, registration(target_group, instance, ports))
}

/// Puts it back, with the same ports.
pub fn register(target_group: &str, instance: &str, ports: &[i32]) -> Call {
    call(action::REGISTER, registration(target_group, instance, ports))
}

fn registration(target_group: &str, instance: &str, ports: &[i32]) -> Value {
    let targets: Vec<Value> = ports.iter().map(|port| json!({"Id": instance, "Port": port})).collect();
    json!({"TargetGroupArn": target_group, "Targets": targets})
}

fn call(action: &str, parameters: Value) -> Call {
    Call { call: action.to_owned(), parameters }
}

impl Scopes {
    /// What the steps of a plan took an instance out of.
    pub fn of_steps<'a>(calls: impl Iterator<Item = &'a Call> + Clone) -> Self {
        let group = calls.clone().any(|call| call.call == action::DETACH);
        let named = calls.filter(|call| call.call == action::DEREGISTER);
        let these: Vec<String> =
            named.filter_map(|call| text(&call.parameters, "targetGroupArn").map(str::to_owned)).collect();
        Self { group, targets: if these.is_empty() { Targets::None } else { Targets::These(these) } }
    }
}

impl Ties {
    /// Reads what an instance belongs to, as far as `scopes` ask for it. What can't be read, the answer tells: nothing that
    /// is done to the instance itself has to wait for it.
    pub async fn read(scope: &Scope, instance: &str, vpc: &str, scopes: &Scopes) -> Self {
        let group = async { if scopes.group { read_group(scope, instance).await } else { Ok(None) } };
        let targets = Box::pin(read_targets(scope, instance, vpc, &scopes.targets));
        let (group, targets) = tokio::join!(Box::pin(group), targets);
        let mut ties = Self::default();
        match group {
            Ok(group) => ties.group = group,
            Err(problem) => ties.unread.push((GROUP_FACT, problem.to_string())),
        }
        match targets {
            Ok(Some(targets)) => ties.targets = targets,
            Ok(None) => ties.has_too_many_target_groups = true,
            Err(problem) => ties.unread.push(("target groups", problem.to_string())),
        }
        ties
    }

    /// What is known, piece by piece, for comparing two moments.
    pub fn facts(&self) -> impl Iterator<Item = (String, String)> {
        let group = self.group.iter().map(|member| (GROUP_FACT.to_owned(), member.group.clone()));
        let targets = self.targets.iter().map(|(arn, ports)| {
            let ports: Vec<String> = ports.iter().map(|port| format!("port {port}")).collect();
            (target_fact(arn), ports.join(" "))
        });
        group.chain(targets)
    }

    /// What a call of this module makes of it.
    pub fn apply(&mut self, call: &Call) {
        let named = &call.parameters;
        let group = text(named, "autoScalingGroupName");
        let targets = text(named, "targetGroupArn");
        match (call.call.as_str(), group, targets) {
            (action::DETACH, Some(group), _) => {
                self.group.take_if(|member| member.group == group);
            }
            (action::ATTACH, Some(group), _) => {
                self.group = Some(Membership { group: group.to_owned(), is_in_service: true });
            }
            (action::DEREGISTER, _, Some(arn)) => {
                let gone = ports(named);
                if let Some(left) = self.targets.get_mut(arn) {
                    left.retain(|port| !gone.contains(port));
                }
                self.targets.retain(|_, ports| !ports.is_empty());
            }
            (action::REGISTER, _, Some(arn)) => {
                let all = self.targets.entry(arn.to_owned()).or_default();
                all.extend(ports(named));
                all.sort_unstable();
                all.dedup();
            }
            _ => {}
        }
    }
}

fn ports(named: &Value) -> Vec<i32> {
    let port = |target: &Value| field(target, "port").and_then(Value::as_i64).and_then(|port| i32::try_from(port).ok());
    items(field(named, "targets")).into_iter().filter_map(port).collect()
}

fn auto_scaling(scope: &Scope) -> Arc<AutoScaling> {
    client!(scope, aws_sdk_autoscaling)
}

fn load_balancing(scope: &Scope) -> Arc<LoadBalancing> {
    client!(scope, aws_sdk_elasticloadbalancingv2)
}

/// The group that an instance is in. One that is being detached or terminated is in none any more.
async fn read_group(scope: &Scope, instance: &str) -> Result<Option<Membership>, CallError> {
    let answer = auto_scaling(scope).describe_auto_scaling_instances().instance_ids(instance).send().await;
    let answer = CallError::or(action::DESCRIBE_MEMBERS, answer)?;
    let member = answer.auto_scaling_instances().iter().find(|one| one.instance_id() == Some(instance));
    Ok(member.and_then(|member| {
        let state = member.lifecycle_state().unwrap_or_default();
        let is_leaving = ["Detach", "Terminat"].iter().any(|start| state.starts_with(start));
        let group = member.auto_scaling_group_name().filter(|_| !is_leaving)?;
        Some(Membership { group: group.to_owned(), is_in_service: state == "InService" })
    }))
}

/// The ports of an instance by target group; `None` where there are too many of these.
async fn read_targets(
    scope: &Scope,
    instance: &str,
    vpc: &str,
    targets: &Targets,
) -> Result<Option<BTreeMap<String, Vec<i32>>>, CallError> {
    let client = load_balancing(scope);
    let groups = match targets {
        Targets::None => return Ok(Some(BTreeMap::new())),
        Targets::These(groups) => groups.clone(),
        Targets::All => match read_target_groups(&client, vpc).await? {
            Some(groups) => groups,
            None => return Ok(None),
        },
    };
    let mut found = BTreeMap::new();
    for some in groups.chunks(AT_ONCE) {
        for (group, ports) in some.iter().zip(join_all(some.iter().map(|one| read_ports(&client, one, instance))).await)
        {
            match ports {
                Ok(ports) if ports.is_empty() => {}
                Ok(ports) => {
                    found.insert(group.clone(), ports);
                }
                Err(problem) if problem.failure == CallFailure::Gone => {}
                Err(problem) => return Err(problem),
            }
        }
    }
    Ok(Some(found))
}

/// The target groups of a VPC in which instances are registered as such.
async fn read_target_groups(client: &LoadBalancing, vpc: &str) -> Result<Option<Vec<String>>, CallError> {
    let mut pages = client.describe_target_groups().into_paginator().send();
    let mut groups = Vec::new();
    while let Some(page) = pages.next().await {
        let page = CallError::or(action::DESCRIBE_TARGET_GROUPS, page)?;
        let of_instances = page
            .target_groups()
            .iter()
            .filter(|group| group.target_type() == Some(&TargetTypeEnum::Instance) && group.vpc_id() == Some(vpc));
        groups.extend(of_instances.filter_map(|group| group.target_group_arn().map(str::to_owned)));
        if groups.len() > MOST_TARGET_GROUPS {
            return Ok(None);
        }
    }
    Ok(Some(groups))
}

/// The ports with which an instance is registered. What is being deregistered is told for a while: it is draining.
async fn read_ports(client: &LoadBalancing, group: &str, instance: &str) -> Result<Vec<i32>, CallError> {
    // Asked for the instance alone, the answer is about the group's own port, and not about others.
    let answer = client.describe_target_health().target_group_arn(group).send().await;
    let answer = CallError::or(action::DESCRIBE_TARGETS, answer).map_err(known)?;
    let is_leaving = |one: &aws_sdk_elasticloadbalancingv2::types::TargetHealthDescription| {
        one.target_health().and_then(|health| health.state()) == Some(&TargetHealthStateEnum::Draining)
    };
    let standing = answer.target_health_descriptions().iter().filter(|one| !is_leaving(one));
    let own = standing.filter_map(|one| one.target()).filter(|target| target.id() == Some(instance));
    let mut ports: Vec<i32> = own.filter_map(TargetDescription::port).collect();
    ports.sort_unstable();
    ports.dedup();
    Ok(ports)
}

/// Elastic Load Balancing names its errors in its own way.
fn known(error: CallError) -> CallError {
    let is_gone = error.code.as_deref() == Some("TargetGroupNotFound");
    if is_gone { CallError { failure: CallFailure::Gone, ..error } } else { error }
}

/// Whether a call is one of this module.
pub fn is_own(call: &Call) -> bool {
    [action::DETACH, action::ATTACH, action::DEREGISTER, action::REGISTER].contains(&call.call.as_str())
}

/// Makes one of the calls of this module. Where it is so already, it is as it should be. A group that is gone takes nothing
/// back: that is no error here, so that the rest of an undo is made, and the read-back says that it is missing.
///
/// # Errors
/// When AWS does not accept it, or the call is none of these.
pub async fn make(scope: &Scope, call: &Call) -> Result<(), CallError> {
    match call.call.as_str() {
        action::DETACH | action::ATTACH => change_group(scope, call).await,
        _ => change_targets(scope, call).await,
    }
}

async fn change_group(scope: &Scope, call: &Call) -> Result<(), CallError> {
    let client = auto_scaling(scope);
    let group = parameter(call, "autoScalingGroupName")?;
    let ids = items(field(&call.parameters, "instanceIds"));
    let instance = ids.first().and_then(|id| id.as_str()).ok_or_else(|| lacks(call, "instanceIds"))?;
    let is_to_be_in = call.call == action::ATTACH;
    let answer = if is_to_be_in {
        let request = client.attach_instances().auto_scaling_group_name(group).instance_ids(instance);
        CallError::or(action::ATTACH, request.send().await).map(drop)
    } else {
        let request = client.detach_instances().auto_scaling_group_name(group).instance_ids(instance);
        let request = request.should_decrement_desired_capacity(false);
        CallError::or(action::DETACH, request.send().await).map(drop)
    };
    let Err(problem) = answer else { return Ok(()) };
    // Amazon EC2 Auto Scaling has one error for all that it does not accept, and words that tell which.
    if problem.failure != CallFailure::Refused {
        return Err(problem);
    }
    if is_to_be_in && problem.message.contains("name not found") {
        return Ok(());
    }
    // An earlier try of this very call may have worked, or somebody else was faster.
    let is_in = |member: &Option<Membership>| member.as_ref().is_some_and(|member| member.group == group);
    match read_group(scope, instance).await {
        Ok(member) if is_in(&member) == is_to_be_in => Ok(()),
        _ => Err(problem),
    }
}

async fn change_targets(scope: &Scope, call: &Call) -> Result<(), CallError> {
    let client = load_balancing(scope);
    let group = parameter(call, "targetGroupArn")?;
    let target = |one: &Value| {
        let port = field(one, "port").and_then(Value::as_i64).and_then(|port| i32::try_from(port).ok());
        Some(TargetDescription::builder().id(text(one, "id")?).set_port(port).build())
    };
    let targets = items(field(&call.parameters, "targets")).into_iter().filter_map(target).collect();
    match call.call.as_str() {
        action::DEREGISTER => {
            let request = client.deregister_targets().target_group_arn(group).set_targets(Some(targets));
            let answer = request.send().await.map(drop);
            match CallError::or(action::DEREGISTER, answer).map_err(known) {
                // It is not there already.
                Err(problem) if problem.code.as_deref() == Some("InvalidTarget") => Ok(()),
                answer => answer,
            }
        }
        action::REGISTER => {
            let request = client.register_targets().target_group_arn(group).set_targets(Some(targets));
            let answer = request.send().await.map(drop);
            match CallError::or(action::REGISTER, answer).map_err(known) {
                Err(problem) if problem.failure == CallFailure::Gone => Ok(()),
                answer => answer,
            }
        }
        _ => Err(not_ours(call)),
    }
}
