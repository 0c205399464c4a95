//! The `CustomResourceDefinition`s of a controller, which all scenarios with it share.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::Result;
use tokio::sync::Mutex;

use crate::command::{command, output};

/// The paths that this process has applied. Scenarios run at the same time.
static APPLIED: Mutex<BTreeSet<PathBuf>> = Mutex::const_new(BTreeSet::new());

/// Applies the definitions in a file or folder, unless this process has done so before, and waits until the
/// API server serves them.
///
/// # Errors
/// If kubectl fails.
pub async fn apply(path: &Path) -> Result<()> {
    let mut done = APPLIED.lock().await;
    if done.contains(path) {
        return Ok(());
    }
    let mut apply = command("kubectl");
    let applied =
        output(apply.args(["apply", "--server-side", "--output=name", "--filename"]).arg(path)).await?;
    let mut wait = command("kubectl");
    wait.args(["wait", "--for=condition=Established", "--timeout=60s"]).args(applied.lines());
    output(&mut wait).await?;
    done.insert(path.to_owned());
    Ok(())
}
