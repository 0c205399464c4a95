//! The S3 server that scenarios start in a pod: versitygw, in the version that `tests/stores` pins.

use std::path::PathBuf;

use anyhow::Result;

use crate::builds;
use crate::command::command;
use crate::images;
use crate::stage::progressing;

const PACKAGE: &str = "github.com/versity/versitygw/cmd/versitygw";

/// Builds the server if it is not in the cache, and returns the path of the program.
///
/// # Errors
/// If the build fails. The message contains the output of Go.
pub async fn prepare() -> Result<PathBuf> {
    let root = images::root();
    let folder = progressing("building the S3 server", async |progress| {
        let total = builds::go_download(&root.join("tests/stores"), &[], &[PACKAGE], progress).await?;
        let mut script = command(root.join("hack/store-servers"));
        builds::go_build(script.arg("versitygw"), total, progress).await
    });
    Ok(PathBuf::from(folder.await?.trim()).join("versitygw"))
}
