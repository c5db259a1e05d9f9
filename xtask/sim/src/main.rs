//! `sim`: what `cargo xtask sim` and `cargo xtask bench health` run.

fn main() {}
