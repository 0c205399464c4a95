//! The kill test: runs tasks with outputs, and kills one process (`kill -9`) during each, at a random time.
//!
//! It verifies a guarantee of Bootlace: the outputs of a task that succeeded are stored, byte for byte, no
//! matter which process was killed; no pod hangs; and no incomplete objects remain.
//!
//! - [`Victim`]: the process to kill. [`Node`] finds it among the processes of the cluster.
//! - `attempt`: one task, from its creation to its outputs.
//! - `pipe`: the Pipes, which record outputs.
//! - `orphans`: the objects that must not remain at the end.
//! - [`Table`]: the results.
//! - [`hooks`]: a process is killed while the hook of a task runs.

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

/// The parameters of the test.
#[derive(Clone, Copy, Debug)]
pub struct Options<'a> {
    /// The number of tasks. One process is killed during each. More tasks run if one of the victims was never
    /// killed.
    pub runs: u32,
    /// The number of tasks that run at the same time.
    pub at_once: usize,
    /// The seed of the random numbers: with the same seed, the same processes are killed after the same
    /// delays.
    pub seed: u64,
    /// The processes to kill, in turn.
    pub victims: &'a [Victim],
}

/// The profile of the tasks. It fetches nothing, so that most kills happen while outputs are stored.
const PROFILE: &str = "{}";

/// The maximum number of runs as a multiple of the requested one, if one of the victims was never killed.
const MAX_FACTOR: u32 = 5;

/// Runs the tasks in the namespace of the scenario, kills processes, and checks the results.
///
/// # Errors
/// If a guarantee is violated, or one of the victims was never killed. The table is printed in any case.
pub async fn run(namespace: &Namespace, options: Options<'_>) -> Result<()> {
    namespace.profile(PROFILE).await?;
    let node = Node::of_this_cluster()?;
    let mut rng = fastrand::Rng::with_seed(options.seed);
    let attempts: Vec<_> = (0..options.runs)
        .zip(options.victims.iter().cycle())
        .map(|(number, &victim)| Attempt::new(number, victim, &mut rng))
        .collect();
    let mut results = stream::iter(&attempts)
        .map(async |attempt| (attempt.victim(), attempt.run(namespace, &node).await))
        .buffer_unordered(options.at_once);
    let mut table = Table::default();
    while let Some((victim, (killed, end))) = results.next().await {
        table.add(victim, killed, end);
    }
    drop(results);
    // Boot runs for a few milliseconds, so all attempts to kill it can be too late if there are only a few.
    for number in options.runs..options.runs.saturating_mul(MAX_FACTOR) {
        let Some(victim) = table.never_killed() else { break };
        let attempt = Attempt::new(number, victim, &mut rng);
        let (killed, end) = attempt.run(namespace, &node).await;
        table.add(victim, killed, end);
    }
    println!("{table}");
    let no_orphans = orphans::wait_for_none(namespace).await;
    ensure!(table.is_success(), "with --seed={}: {}", options.seed, table.problems());
    no_orphans
}
