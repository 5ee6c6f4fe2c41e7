//! The last act: GuardDuty finds something hostile on an instance, which is cut off and then brought back.

use std::collections::BTreeMap;

use rescind::{Outcome, Status};
use rescind_tests::scenes::instances;
use rescind_tests::{Function, Proxy, World, guardduty};
use serde_json::{Value, json};

use crate::screen::Screen;
use crate::{Problem, ensure, unexpected};

const RULE: &str = "IsolateInstance";

/// Plays the act in the account of the other ones.
pub async fn act(screen: &Screen, world: &World) -> Result<(), Problem> {
    let account = world.account.clone();
    account.tag_rule(RULE, "rescind:mode", "enforce").await;
    let proxy = Proxy::start(account.port).await;
    let deployed = account.deployed.functions.get("instances").ok_or("the template lacks the function instances")?;
    let credentials = account.assume(&deployed.role_arn).await;
    let function = Function::start("instances", deployed.environment.clone(), Some(&credentials), proxy.port);
    let world = World { account, proxy, function, name: "instances" };

    let id = instances::run(&world, "web-1").await;
    let before = standing(&world, &id).await;
    screen.say(&format!("\nThe instance {id} (web-1), and the security groups of its network interfaces:\n"));
    screen.list(&before);
    screen
        .say("\nGuardDuty finds that it takes orders from a host that is known for that: Backdoor:EC2/C&CActivity.B.");
    screen.say(&format!(
        "The finding reaches the function instances by the rule {}, whose tag was set to enforce in the same way.\n",
        world.account.rule(RULE).name
    ));
    world.proxy.clear();
    world.proxy.set_latency(crate::LATENCY);
    let outcome = world.outcome(&guardduty::hostile_instance(&world.account.id, &id)).await;
    ensure(outcome.status == Status::Reverted, || unexpected(&outcome))?;
    screen.isolation(&outcome, world.proxy.round_trips_until("ModifyNetworkInterfaceAttribute"));
    screen.say(
        "\nBetween the swaps the interfaces have the group that lets everything through: only so AWS ends connections that it \
         tracks. It is opened once more after the first swap, should another isolation have closed it meanwhile. \
         The tag rescind:connections = leave leaves these steps out.",
    );
    let after = standing(&world, &id).await;
    ensure(is_cut_off(&world, &id).await, || "an interface can still be reached".to_owned())?;
    screen.say("\nThe instance now. It goes on running, for whoever looks into it:\n");
    screen.list(&after);
    bring_back(screen, &world, &id, &outcome, &before).await
}

async fn bring_back(
    screen: &Screen,
    world: &World,
    id: &str,
    outcome: &Outcome,
    before: &BTreeMap<String, String>,
) -> Result<(), Problem> {
    screen.say("\nIt was a false alarm, and a person has it undone:\n");
    screen.command(&[
        "aws lambda invoke --function-name rescind-console --cli-binary-format raw-in-base64-out \\",
        &format!("  --payload '{{\"undo\": \"{}\"}}' answer.json", outcome.id),
    ]);
    let answer = world.invoke(&json!({"undo": outcome.id})).await.map_err(|error| error.message)?;
    let undone = answer.outcomes.first().ok_or("the undo was not answered")?;
    ensure(undone.status == Status::Undone, || unexpected(undone))?;
    let now = standing(world, id).await;
    ensure(now == *before, || format!("it stands otherwise than before: {now:?}"))?;
    screen.say("\nundone. It stands as it did before; the snapshots of its volumes, which are evidence, stay, and so do the two groups:\n");
    screen.list(&now);
    Ok(())
}

/// Whether each interface has one group, which lets nothing through.
async fn is_cut_off(world: &World, id: &str) -> bool {
    let instance = instances::describe(world, id).await;
    instance
        .network_interfaces()
        .iter()
        .all(|interface| matches!(interface.groups(), [group] if group.group_name() == Some("rescind-isolated")))
}

/// What a person would look at: the groups of each interface, by their names, and Rescind's tags.
async fn standing(world: &World, id: &str) -> BTreeMap<String, String> {
    let instance = instances::describe(world, id).await;
    let mut lines: BTreeMap<String, String> = BTreeMap::new();
    for interface in instance.network_interfaces() {
        let mut groups: Vec<&str> = interface.groups().iter().filter_map(|group| group.group_name()).collect();
        // The emulator forgets their order.
        groups.sort_unstable();
        lines.insert(interface.network_interface_id().unwrap_or_default().to_owned(), groups.join(", "));
    }
    for (key, value) in instances::tags(&instance) {
        if ["rescind:isolated", "rescind:finding"].contains(&key.as_str()) {
            lines.insert(format!("tag {key}"), value);
        }
    }
    let is_protected = instances::is_protected(world, id).await;
    lines.insert("termination protection".to_owned(), if is_protected { "yes" } else { "no" }.to_owned());
    lines
}

/// What a call is about, in a few words.
pub fn brief(parameters: &Value) -> String {
    let named = |name: &str| parameters[name].as_str().map(str::to_owned);
    // A group that is still to be made is named with its VPC.
    let group = |text: String| text.split(" in ").next().unwrap_or_default().to_owned();
    let interface = named("NetworkInterfaceId").map(|interface| {
        let groups: Vec<&str> =
            parameters["Groups"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        format!("{interface} gets {}", group(groups.join(", ")))
    });
    let tags = parameters["Tags"].as_array().map(|tags| {
        let keys: Vec<&str> = tags.iter().filter_map(|tag| tag["Key"].as_str()).collect();
        keys.join(", ")
    });
    let protection =
        parameters["DisableApiTermination"]["Value"].as_bool().map(|is| format!("DisableApiTermination: {is}"));
    let instance = parameters["InstanceSpecification"]["InstanceId"].as_str().map(str::to_owned);
    let what = interface
        .or(tags)
        .or(protection)
        .or(instance)
        .or_else(|| named("GroupName"))
        .or_else(|| named("GroupId").map(group));
    what.unwrap_or_default()
}
