//! Model: people change a group and change it back, reports come late, twice, in any order or to a function that is
//! killed; plans are approved and reverts are undone, in random sequences. After each action the group is, rule by rule,
//! what a simple model says.
//!
//! A failure shows the shortest sequence that was found. `PROPTEST_CASES` and `PROPTEST_RNG_SEED` make it more, or other,
//! sequences.

mod change;
mod openings;
mod stage;

use std::cell::RefCell;
use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed, TestError, TestRunner};
use rescind_tests::{When, World};

use openings::OPENINGS;
use stage::Stage;

/// Sequences, if nobody says otherwise.
const CASES: u32 = 24;
/// The same sequences each time, if nobody says otherwise.
const SEED: u64 = 5;
/// How long a claim holds, so that who is killed is not waited for for long. Nothing here runs side by side.
const LEASE: Duration = Duration::from_millis(400);

/// What happens. Which rule, change or outcome a number means follows from what there is by then, so that a sequence keeps
/// its sense when one of its actions is left out.
#[derive(Debug, Clone)]
enum Action {
    /// Somebody adds rules in one call, and puts a tag of their own on some.
    Authorize(Vec<(usize, bool)>),
    /// Somebody makes another rule of one.
    Modify { rule: usize, opening: usize },
    /// Somebody takes a rule away.
    Revoke { rule: usize },
    /// AWS Config records the group.
    Report,
    /// A change is delivered, for the first time or again.
    Deliver { change: usize, kill: Option<Kill> },
    /// Somebody approves a plan.
    Approve { change: usize, kill: Option<Kill> },
    /// Somebody undoes a revert.
    Undo { change: usize, force: bool, kill: Option<Kill> },
    /// The owner goes over from `enforce` to `approve`, or back.
    Switch,
}

/// The function is killed at a call, if it comes to that.
#[derive(Debug, Clone, Copy)]
struct Kill {
    operation: &'static str,
    /// Calls of the operation that go well before that.
    skip: usize,
    when: When,
}

/// Any action. Changes are delivered, and reverts undone, more often than the rest.
fn action() -> impl Strategy<Value = Action> {
    let which = 0..100_usize;
    let to_take_back = || kill("RevokeSecurityGroupIngress");
    let to_put_back = kill("AuthorizeSecurityGroupIngress");
    prop_oneof![
        4 => authorize(),
        1 => (which.clone(), 0..OPENINGS.len()).prop_map(|(rule, opening)| Action::Modify { rule, opening }),
        2 => which.clone().prop_map(|rule| Action::Revoke { rule }),
        1 => Just(Action::Report),
        8 => (which.clone(), to_take_back()).prop_map(|(change, kill)| Action::Deliver { change, kill }),
        3 => (which.clone(), to_take_back()).prop_map(|(change, kill)| Action::Approve { change, kill }),
        5 => (which, any::<bool>(), to_put_back).prop_map(|(change, force, kill)| Action::Undo { change, force, kill }),
        1 => Just(Action::Switch),
    ]
}

fn authorize() -> impl Strategy<Value = Action> {
    prop::collection::vec((0..OPENINGS.len(), any::<bool>()), 1..=4).prop_map(Action::Authorize)
}

/// At times, a kill at one of the calls of an invocation that makes changes by this operation.
fn kill(change: &'static str) -> impl Strategy<Value = Option<Kill>> {
    let operation = prop_oneof![
        3 => (Just(change), 0..2_usize),
        1 => (Just("DescribeSecurityGroupRules"), 0..2_usize),
        2 => (Just("UpdateItem"), 0..5_usize),
        1 => (Just("PutEvents"), Just(0)),
    ];
    let kill = (operation, prop_oneof![Just(When::Before), Just(When::After)])
        .prop_map(|((operation, skip), when)| Kill { operation, skip, when });
    prop::option::weighted(0.4, kill)
}

#[test]
fn the_group_is_what_the_model_says_whatever_happens() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let world = runtime
        .block_on(World::with_environment("enforce", [("RESCIND_LEASE_MS".to_owned(), LEASE.as_millis().to_string())]));
    let stage = RefCell::new(runtime.block_on(Stage::new(world)));

    let is_set = |name| std::env::var_os(name).is_some();
    let mut config =
        Config { failure_persistence: None, max_shrink_iters: 100, max_shrink_time: 60_000, ..Config::default() };
    if !is_set("PROPTEST_CASES") {
        config.cases = CASES;
    }
    if !is_set("PROPTEST_RNG_SEED") {
        config.rng_seed = RngSeed::Fixed(SEED);
    }
    let seed = config.rng_seed;
    let sequences = (prop::option::of(Just(Action::Switch)), authorize(), prop::collection::vec(action(), 2..=9));
    let sequences =
        sequences.prop_map(|(mode, first, more)| mode.into_iter().chain([first]).chain(more).collect::<Vec<_>>());
    let result = TestRunner::new(config).run(&sequences, |actions| {
        let mut stage = stage.borrow_mut();
        runtime.block_on(stage.play(&actions)).map_err(|problem| TestCaseError::fail(stage.told(&problem)))
    });
    rescind_tests::say(&format!("{seed:?}: {}", stage.borrow().counted()));
    match result {
        Ok(()) => {}
        Err(TestError::Fail(problem, actions)) => panic!("{problem}\n\nwith {seed:?}: {actions:?}"),
        Err(TestError::Abort(problem)) => panic!("{problem}"),
    }
}
