//! What an instance belongs to: an Auto Scaling group, and target groups in which it is registered with ports of its own.

use aws_sdk_autoscaling::types::LaunchTemplateSpecification;
use aws_sdk_ec2::types::{InstanceType, RequestLaunchTemplateData};
use aws_sdk_elasticloadbalancingv2::types::{ProtocolEnum, TargetDescription, TargetTypeEnum};

use super::instances;
use crate::World;

/// An Auto Scaling group of the instance's subnet, with the instance in it, and room for `most` instances.
pub async fn auto_scaling_group(world: &World, name: &str, instance: &str, most: i32) {
    let subnet = instances::describe(world, instance).await.subnet_id().expect("a subnet").to_owned();
    let data = RequestLaunchTemplateData::builder().image_id("ami-12c6146b").instance_type(InstanceType::M5Large);
    let request = world.account.ec2().create_launch_template().launch_template_name(name);
    request.launch_template_data(data.build()).send().await.expect("a launch template");
    let template = LaunchTemplateSpecification::builder().launch_template_name(name).version("1").build();
    let client = world.account.auto_scaling();
    let request = client.create_auto_scaling_group().auto_scaling_group_name(name).launch_template(template);
    let request = request.min_size(0).max_size(most).desired_capacity(0).vpc_zone_identifier(subnet);
    request.send().await.expect("a group");
    let request = client.attach_instances().auto_scaling_group_name(name).instance_ids(instance);
    request.send().await.expect("the instance is in it");
}

/// The ids of the instances of an Auto Scaling group.
pub async fn members(world: &World, name: &str) -> Vec<String> {
    let request = world.account.auto_scaling().describe_auto_scaling_groups().auto_scaling_group_names(name);
    let answer = request.send().await.expect("groups");
    let members = answer.auto_scaling_groups()[0].instances().iter();
    members.map(|member| member.instance_id().expect("an id").to_owned()).collect()
}

/// A target group of the instance's VPC, for port 80, in which instances are registered with these ports; its ARN.
pub async fn target_group(world: &World, name: &str, instance: &str, targets: &[(&str, i32)]) -> String {
    let vpc = instances::describe(world, instance).await.vpc_id().expect("a VPC").to_owned();
    let client = world.account.load_balancing();
    let request = client.create_target_group().name(name).protocol(ProtocolEnum::Http).port(80).vpc_id(vpc);
    let answer = request.target_type(TargetTypeEnum::Instance).send().await.expect("a target group");
    let arn = answer.target_groups()[0].target_group_arn().expect("an ARN").to_owned();
    let target = |(id, port): &(&str, i32)| TargetDescription::builder().id(*id).port(*port).build();
    let targets: Vec<TargetDescription> = targets.iter().map(target).collect();
    if !targets.is_empty() {
        let request = client.register_targets().target_group_arn(&arn).set_targets(Some(targets));
        request.send().await.expect("they are registered");
    }
    arn
}

/// What is registered in a target group, with its ports.
pub async fn registered(world: &World, arn: &str) -> Vec<String> {
    let request = world.account.load_balancing().describe_target_health().target_group_arn(arn);
    let answer = request.send().await.expect("targets");
    let targets = answer.target_health_descriptions().iter().filter_map(|one| one.target());
    let mut all: Vec<String> =
        targets.map(|one| format!("{}:{:?}", one.id().unwrap_or_default(), one.port())).collect();
    all.sort();
    all
}
