//! Linker flags of the static binary.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if std::env::var("CARGO_CFG_TARGET_ENV").as_deref() == Ok("musl") {
        // A static binary relocates itself at its start, with a table that is then in memory. The packed
        // format saves 1 MB of the image and of the memory of an idle webhook. Linkers support it since
        // binutils 2.38; older ones print a warning and ignore the option. musl supports it since 1.2.4, and
        // the toolchain contains 1.2.5.
        println!("cargo::rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
}
