//! Linker flags of the static binary.

use std::path::PathBuf;
use std::{env, fs};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=no-unwind.ld");
    if env::var("CARGO_CFG_TARGET_ENV").as_deref() == Ok("musl") {
        // Into the target folder, which clones of the repository may share: one that is gone must not be asked for it.
        let script = PathBuf::from(env::var("OUT_DIR")?).join("no-unwind.ld");
        fs::write(&script, include_str!("no-unwind.ld"))?;
        // A static binary relocates itself at its start. Packed, the table for that is 8 KB smaller, and it is
        // walked faster. Linkers have it since binutils 2.38, older ones warn and go on; musl reads it since
        // 1.2.4, and the toolchain brings 1.2.5.
        println!("cargo::rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
        println!("cargo::rustc-link-arg-bins=-Wl,-T,{}", script.display());
    }
    Ok(())
}
