//! Linker flags of the static binary.

use std::path::PathBuf;
use std::{env, fs};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=no-unwind.ld");
    if env::var("CARGO_CFG_TARGET_ENV").as_deref() == Ok("musl") {
        // In the target directory, which clones of the repository can share: a path in a clone may be
        // deleted.
        let script = PathBuf::from(env::var("OUT_DIR")?).join("no-unwind.ld");
        fs::write(&script, include_str!("no-unwind.ld"))?;
        // A static binary relocates itself at startup. The packed relocation table is 8 KB smaller and
        // faster. Linkers support it since binutils 2.38 (older ones print a warning), musl since 1.2.4; the
        // toolchain contains 1.2.5.
        println!("cargo::rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
        println!("cargo::rustc-link-arg-bins=-Wl,-T,{}", script.display());
    }
    Ok(())
}
