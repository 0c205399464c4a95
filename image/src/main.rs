//! Builds Bootlace's image into a file: `bootlace-image --output dist/bootlace.tar`.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Parser;

/// Build Bootlace's image as an OCI archive. The same sources give the same digest.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// The cargo profile of the binaries: `dist` is what is shipped, `release` builds faster.
    #[arg(long, default_value = "dist")]
    profile: String,
    /// The image's name.
    #[arg(long, default_value = concat!("localhost/bootlace:", env!("CARGO_PKG_VERSION")))]
    reference: String,
    /// The file to write.
    #[arg(long, default_value = "dist/bootlace.tar")]
    output: PathBuf,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("the image folder has a parent")?;
    if let Some(folder) = arguments.output.parent() {
        std::fs::create_dir_all(folder).with_context(|| format!("create {}", folder.display()))?;
    }
    let digest =
        bootlace_image::product::write(root, &arguments.profile, &arguments.reference, &arguments.output)?;
    println!("{} {digest} {}", arguments.reference, arguments.output.display());
    Ok(())
}
