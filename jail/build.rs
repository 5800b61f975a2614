//! Compiles the seccomp filters, so that a program which confines itself has only to load them.

#[path = "src/seccomp/ioctls.rs"]
mod ioctls;
#[path = "src/seccomp/kind.rs"]
#[allow(unreachable_pub)] // It is public in the library.
mod kind;
#[path = "src/seccomp/lists.rs"]
mod lists;
#[path = "src/seccomp/program.rs"]
mod program;
#[path = "src/seccomp/rule.rs"]
mod rule;

use std::fmt::Write;
use std::path::PathBuf;
use std::{env, fs};

use kind::ThreadKind;
use program::OWN_PROCESS;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=src/seccomp");
    let mut text = format!("const OWN_PROCESS: u32 = {OWN_PROCESS};\n");
    text.push_str("fn program(kind: ThreadKind) -> &'static [sock_filter] {\n    match kind {\n");
    for kind in ThreadKind::ALL {
        add_arm(&mut text, kind).expect("a string can be written to");
    }
    text.push_str("    }\n}\n");
    let folder = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    fs::write(folder.join("programs.rs"), text).expect("OUT_DIR can be written to");
}

fn add_arm(text: &mut String, kind: ThreadKind) -> std::fmt::Result {
    writeln!(text, "        // {}", kind.name())?;
    write!(text, "        ThreadKind::{kind:?} => &[")?;
    for program::Instruction { code, jt, jf, k } in program::compile(&lists::of(kind)) {
        write!(text, "sock_filter {{ code: {code}, jt: {jt}, jf: {jf}, k: {k} }}, ")?;
    }
    writeln!(text, "],")
}
