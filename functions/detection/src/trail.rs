//! A trail of CloudTrail: whose records name it, whether it records, and the calls that change that.

use aws_sdk_cloudtrail::operation::list_tags::ListTagsOutput;
use aws_sdk_cloudtrail::types::ResourceTag;
use rescind::arn::{self, Arn};
use rescind_lambda::prelude::*;

/// As AWS Config names the type.
const KIND: &str = "AWS::CloudTrail::Trail";
/// `GetTrailStatus`.
const STATUS: &str = "cloudtrail:GetTrailStatus";
/// `ListTags`.
const TAGS: &str = "cloudtrail:ListTags";
/// `StartLogging`.
pub const START: &str = "cloudtrail:StartLogging";
/// `StopLogging`.
pub const STOP: &str = "cloudtrail:StopLogging";

/// All that is called here.
pub const OPERATIONS: &[Operation] =
    &[Operation::reads(STATUS), Operation::reads(TAGS), Operation::changes(START), Operation::changes(STOP)];

/// The one piece: whether the trail records.
pub const LOGGING: &str = "IsLogging";

/// A trail of which nothing is known.
pub fn standing() -> Standing {
    Standing::new(effect)
}

/// The trail of a call, which names it by its name or by its ARN. One of ours is told by its name, which its home Region knows.
pub fn heard(signal: &Signal, call: &ApiCall) -> Vec<Heard<Arn>> {
    let unreadable = |reason| vec![Heard::unreadable(signal.resource(KIND, "unknown"), reason)];
    let Some(named) = text(call.request(), "name") else {
        return unreadable("the record does not tell which trail was stopped");
    };
    let Signal { account, region, .. } = signal;
    let caller = Arn::parse(&call.actor.arn);
    let partition = caller.as_ref().map_or("aws", Arn::partition);
    let of_name = || format!("arn:{partition}:cloudtrail:{region}:{account}:trail/{named}");
    let trail = Arn::parse(&if named.starts_with("arn:") { named.to_owned() } else { of_name() });
    let is_well_formed = |trail: &Arn| arn::is_region(trail.region()) && arn::is_account(trail.account());
    let Some(trail) = trail.filter(is_well_formed) else { return unreadable("what was stopped is no trail") };
    let mut resource = signal.resource(KIND, trail.as_str());
    if trail.account() == *account {
        trail.resource().strip_prefix("trail/").unwrap_or(named).clone_into(&mut resource.id);
        trail.region().clone_into(&mut resource.region);
    }
    vec![Heard::about(resource, trail)]
}

/// How a trail stands. One of another account can't be looked at.
///
/// # Errors
/// When CloudTrail could not be asked.
pub async fn read(scope: &Scope, resource: &Resource, trail: &Arn) -> Result<Standing, CallError> {
    if trail.account() != resource.account {
        return Ok(standing());
    }
    let client = client!(scope, aws_sdk_cloudtrail);
    let (status, tags) = tokio::join!(
        Box::pin(client.get_trail_status().name(&resource.id).send()),
        Box::pin(client.list_tags().resource_id_list(trail.as_str()).send()),
    );
    let Some(status) = unless_gone(CallError::or(STATUS, status))? else { return Ok(standing()) };
    let tags = unless_gone(CallError::or(TAGS, tags))?;
    let tags = tags.iter().flat_map(ListTagsOutput::resource_tag_list).flat_map(ResourceTag::tags_list);
    let tags = tags.map(|tag| (tag.key().to_owned(), tag.value().unwrap_or_default().to_owned())).collect();
    // What is not told is taken for the worse.
    Ok(standing().fact(LOGGING, status.is_logging().unwrap_or(false)).tagged(tags))
}

/// Makes one of the calls of this module.
///
/// # Errors
/// When CloudTrail does not accept it.
pub async fn make(scope: &Scope, call: &Call) -> Result<(), CallError> {
    let client = client!(scope, aws_sdk_cloudtrail);
    let name = parameter(call, "name")?;
    match call.call.as_str() {
        START => CallError::or(START, client.start_logging().name(name).send().await).map(drop),
        STOP => CallError::or(STOP, client.stop_logging().name(name).send().await).map(drop),
        _ => Err(not_ours(call)),
    }
}

fn effect(call: &Call) -> Vec<(String, Option<String>)> {
    vec![(LOGGING.to_owned(), Some((call.call == START).to_string()))]
}
