//! The short form of the kill test (`bootlace-cluster kill`): what can be killed beside other scenarios.

use anyhow::Result;
use bootlace_cluster::kill::{self, Terms, Victim};
use bootlace_cluster::scenario::scenario;

#[tokio::test]
async fn what_succeeded_is_stored_whatever_is_killed() -> Result<()> {
    let terms = Terms { runs: 12, at_once: 2, seed: 7, victims: &Victim::OF_A_POD };
    scenario("kill").run(async |namespace| kill::run(namespace, terms).await).await
}
