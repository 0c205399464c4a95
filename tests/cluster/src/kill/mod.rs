//! The kill test: tasks with outputs, and in the life of each something is killed (`kill -9`) at a moment left to chance.
//!
//! It holds Bootlace to its word: a task that succeeded has its outputs stored, byte for byte, whatever died; no pod
//! hangs; and nothing half-made is left behind.
//!
//! - [`Victim`]: what is killed; [`Node`] finds it among the cluster's own.
//! - `attempt`: one task, from its creation to its outputs.
//! - `pipe`: the records of outputs.
//! - `orphans`: what must not be left when all is over.
//! - [`Table`]: what came of it.
//! - [`hooks`]: what becomes of a task whose hook is under way.

mod attempt;
pub mod hooks;
mod orphans;
mod pipe;
mod table;
mod victim;

use anyhow::{Result, ensure};
use futures::StreamExt;
use futures::stream;

use crate::processes::Node;
use crate::scenario::Namespace;
use attempt::Attempt;

pub use table::{End, Table};
pub use victim::Victim;

/// How much is killed, and what.
#[derive(Clone, Copy, Debug)]
pub struct Terms<'a> {
    /// Tasks, in each of which something is killed; more where chance has missed a victim in all of them.
    pub runs: u32,
    /// How many of them run at the same time.
    pub at_once: usize,
    /// Where chance begins: the same seed kills the same things after the same pauses.
    pub seed: u64,
    /// What is killed, in turn.
    pub victims: &'a [Victim],
}

/// The profile of the tasks: nothing to fetch, so that what is killed is the way of the outputs.
const PROFILE: &str = "{}";

/// As many times the runs there are at most, where one of the victims was never there to be killed.
const MORE: u32 = 5;

/// Runs the tasks in the scenario's namespace, kills, and looks at what is left.
///
/// # Errors
/// Where Bootlace does not keep its word, or nothing was there to be killed; the table is printed either way.
pub async fn run(namespace: &Namespace, terms: Terms<'_>) -> Result<()> {
    namespace.profile(PROFILE).await?;
    let node = Node::of_this_cluster()?;
    let mut chance = fastrand::Rng::with_seed(terms.seed);
    let attempts: Vec<_> = (0..terms.runs)
        .zip(terms.victims.iter().cycle())
        .map(|(number, &victim)| Attempt::new(number, victim, &mut chance))
        .collect();
    let mut ends = stream::iter(&attempts)
        .map(async |attempt| (attempt.victim(), attempt.run(namespace, &node).await))
        .buffer_unordered(terms.at_once);
    let mut table = Table::default();
    while let Some((victim, (met, end))) = ends.next().await {
        table.add(victim, met, end);
    }
    drop(ends);
    // A boot lives for some milliseconds, so a few runs may all have come too late for it.
    for number in terms.runs..terms.runs.saturating_mul(MORE) {
        let Some(victim) = table.never_met() else { break };
        let attempt = Attempt::new(number, victim, &mut chance);
        let (met, end) = attempt.run(namespace, &node).await;
        table.add(victim, met, end);
    }
    println!("{table}");
    let left = orphans::wait_for_none(namespace).await;
    ensure!(table.is_kept(), "with seed {}: {}", terms.seed, table.broken());
    left
}
