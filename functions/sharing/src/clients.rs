//! The clients of what is shared, and what is read in the same way of several kinds of it.

use std::sync::Arc;

use aws_sdk_ec2::types::Filter;
use rescind_lambda::{CallError, Scope, client};

/// The client of EC2.
pub(crate) fn ec2(scope: &Scope) -> Arc<aws_sdk_ec2::Client> {
    client!(scope, aws_sdk_ec2)
}

/// The client of Lambda.
pub(crate) fn lambda(scope: &Scope) -> Arc<aws_sdk_lambda::Client> {
    client!(scope, aws_sdk_lambda)
}

/// What [`tags`] calls.
pub(crate) const DESCRIBE_TAGS: &str = "ec2:DescribeTags";

/// The tags of a resource of EC2. A resource has at most fifty, which one page holds.
pub(crate) async fn tags(client: &aws_sdk_ec2::Client, id: &str) -> Result<Vec<(String, String)>, CallError> {
    let of_resource = Filter::builder().name("resource-id").values(id).build();
    let answer = CallError::or(DESCRIBE_TAGS, client.describe_tags().filters(of_resource).send().await)?;
    let pair = |tag: &aws_sdk_ec2::types::TagDescription| {
        Some((tag.key()?.to_owned(), tag.value().unwrap_or_default().to_owned()))
    };
    Ok(answer.tags().iter().filter_map(pair).collect())
}
