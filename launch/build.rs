//! Linker flags of the static binary.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=no-unwind.ld");
    if std::env::var("CARGO_CFG_TARGET_ENV").as_deref() == Ok("musl") {
        // A static binary relocates itself at its start. Packed, the table for that is 8 KB smaller, and it is
        // walked faster. Linkers have it since binutils 2.38, older ones warn and go on; musl reads it since
        // 1.2.4, and the toolchain brings 1.2.5.
        println!("cargo::rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
        println!("cargo::rustc-link-arg-bins=-Wl,-T,{}/no-unwind.ld", env!("CARGO_MANIFEST_DIR"));
    }
}
