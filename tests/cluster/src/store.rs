//! The S3 server that scenarios start in a pod of their own: versitygw, pinned by `tests/stores`.

use std::path::PathBuf;

use anyhow::Result;

use crate::builds;
use crate::command::command;
use crate::images;
use crate::stage::progressing;

const PACKAGE: &str = "github.com/versity/versitygw/cmd/versitygw";

/// Builds it if it is not in the cache yet, and returns the program.
///
/// # Errors
/// When Go cannot build it; what it says is in the message.
pub async fn prepare() -> Result<PathBuf> {
    let root = images::root();
    let folder = progressing("building the S3 server that tasks boot from", async |progress| {
        let total = builds::go_fetch(&root.join("tests/stores"), &[], &[PACKAGE], progress).await?;
        let mut script = command(root.join("hack/store-servers"));
        builds::go_build(script.arg("versitygw"), total, progress).await
    });
    Ok(PathBuf::from(folder.await?.trim()).join("versitygw"))
}
