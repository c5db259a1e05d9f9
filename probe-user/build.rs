//! Builds the BPF programs, so that the agent is one file with all inside.

use std::{env, path::PathBuf};

use anyhow::{Context as _, Result};

fn main() -> Result<()> {
    let manifest = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").context("CARGO_MANIFEST_DIR")?);
    let out = PathBuf::from(env::var_os("OUT_DIR").context("OUT_DIR")?);
    let root = manifest.parent().context("the package has no parent directory")?;
    for watched in ["probe-ebpf/src", "probe-ebpf/Cargo.toml", "Cargo.lock"] {
        println!("cargo::rerun-if-changed={}", root.join(watched).display());
    }
    println!("cargo::rerun-if-env-changed=PATH");
    let objects = xtask::bpf::build(root, &out)?;
    println!("cargo::rustc-env=LINKPROBE_OBJECTS={}", objects.display());
    println!("cargo::metadata=objects={}", objects.display());
    Ok(())
}
