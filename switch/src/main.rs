//! The switch as a program.
fn main() {}
