//! Linker flags of the static binary.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if std::env::var("CARGO_CFG_TARGET_ENV").as_deref() == Ok("musl") {
        // A static binary relocates itself at its start, by a table that is then all in memory. Packed, it takes 1 MB
        // less, of the image and of an idle webhook. Linkers have it since binutils 2.38, older ones warn and go on; musl
        // reads it since 1.2.4, and the toolchain brings 1.2.5.
        println!("cargo::rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
}
