//! The S3 server that scenarios start in a pod of their own: versitygw, pinned by `tests/stores`.

use std::path::PathBuf;

use anyhow::Result;

use crate::command::{command, output};
use crate::images;
use crate::stage::stage;

/// Builds it if it is not in the cache yet, and returns the program.
///
/// # Errors
/// When Go cannot build it; what it says is in the message.
pub async fn prepare() -> Result<PathBuf> {
    let script = images::root()?.join("hack/store-servers");
    let folder = stage("the S3 server of the scenarios (about 2 min from cold)", async {
        output(command(&script).arg("versitygw")).await
    });
    Ok(PathBuf::from(folder.await?.trim()).join("versitygw"))
}
