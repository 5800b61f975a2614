//! How the program is linked: small, as most of a monitor's own memory is its program.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    // Relocations take a tenth of the room (glibc 2.36 and later know them).
    println!("cargo::rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    // Functions with the same code are one.
    println!("cargo::rustc-link-arg-bins=-Wl,--icf=all");
}
