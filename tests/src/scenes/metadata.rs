//! Instances whose metadata service needs a session token.

use aws_sdk_ec2::types::{HttpTokensState, InstanceMetadataOptionsRequest};
use serde_json::{Value, json};

use super::{Kind, instances};
use crate::World;
use crate::cloudtrail::{self, Who};

pub(super) const IMDSV1_ALLOWED: Kind = Kind {
    remediation: "imdsv1-allowed",
    function: "instances",
    mutation: ("ModifyInstanceMetadataOptions", 1),
    rule: "Imdsv1Allowed",
    set: |world, name| Box::pin(run(world, name)),
    change: |world, instance, who| Box::pin(allowed(world, instance, who)),
    harmless: None,
    words: |world, instance| Box::pin(in_words(world, instance)),
    contained: None,
};

/// Runs an instance that requires tokens.
pub async fn run(world: &World, name: &str) -> String {
    let tokens = InstanceMetadataOptionsRequest::builder().http_tokens(HttpTokensState::Required).build();
    let request = world.account.ec2().run_instances().image_id("ami-12c6146b").min_count(1).max_count(1);
    let answer = request.metadata_options(tokens).send().await.expect("an instance");
    let id = answer.instances()[0].instance_id().expect("an id").to_owned();
    let name = aws_sdk_ec2::types::Tag::builder().key("Name").value(name).build();
    world.account.ec2().create_tags().resources(&id).tags(name).send().await.expect("a tag");
    id
}

/// Somebody makes tokens optional.
pub async fn allowed(world: &World, id: &str, who: &Who) -> Value {
    let request = world.account.ec2().modify_instance_metadata_options().instance_id(id);
    request.http_tokens(HttpTokensState::Optional).send().await.expect("tokens are optional");
    cloudtrail::metadata_options_modified(&world.account.id, who, id, "optional")
}

/// How the instance's metadata service stands, and its tags. The emulator forgets the options that a call leaves out.
pub async fn in_words(world: &World, id: &str) -> Vec<String> {
    let instance = instances::describe(world, id).await;
    let options = instance.metadata_options().expect("options");
    vec![format!("tokens: {:?}", options.http_tokens()), json!(instances::tags(&instance)).to_string()]
}
