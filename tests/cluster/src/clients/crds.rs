//! The `CustomResourceDefinition`s of a controller, which all scenarios with it share.

use std::path::Path;

use anyhow::Result;

use crate::command::{command, output};

/// Applies the definitions in a file, and waits until the API server serves them.
///
/// # Errors
/// If kubectl fails.
pub async fn apply(file: &Path) -> Result<()> {
    let mut apply = command("kubectl");
    let applied =
        output(apply.args(["apply", "--server-side", "--output=name", "--filename"]).arg(file)).await?;
    let mut wait = command("kubectl");
    wait.args(["wait", "--for=condition=Established", "--timeout=60s"]).args(applied.lines());
    output(&mut wait).await.map(drop)
}
