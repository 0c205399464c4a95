//! The kill test (`bootlace-cluster kill`), with few runs and only the processes that do not affect other
//! scenarios.

use anyhow::Result;
use bootlace_cluster::kill::{self, Options, Victim};
use bootlace_cluster::scenario::scenario;

#[tokio::test]
async fn what_succeeded_is_stored_whatever_is_killed() -> Result<()> {
    let options = Options { runs: 12, at_once: 2, seed: 7, victims: &Victim::OF_A_POD };
    scenario("kill").run(async |namespace| kill::run(namespace, options).await).await
}
