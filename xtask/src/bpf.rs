//! Finds a compiler for `bpfel-unknown-none`, and builds the BPF programs with it.
//!
//! `aya-build` does the same for a rustup nightly; it knows neither Debian's compiler nor where to
//! find bpf-linker its LLVM, and turns each line of the inner cargo into a warning of the outer one.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail};

/// The target of the BPF programs. Big-endian hosts are not supported.
pub const TARGET: &str = "bpfel-unknown-none";

/// The nightly that is used where Debian's compiler is not installed. Pinned to one with LLVM 22: what a
/// later LLVM writes, bpf-linker 0.10.3 cannot read.
pub const NIGHTLY: &str = "nightly-2026-05-20";

/// A compiler that can build for [`TARGET`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Toolchain {
    /// rustup's [`NIGHTLY`] with the sources of `core`, which it builds itself.
    Nightly,
    /// Debian's compiler with its prebuilt `core` (packages `rustc-web`, `cargo-web`,
    /// `libstd-rust-web-dev-bpf`).
    Debian,
}

impl Toolchain {
    /// The first one that is there.
    #[must_use]
    pub fn find() -> Option<Self> {
        if Path::new("/usr/lib/rustlib").join(TARGET).is_dir()
            && Path::new("/usr/bin/cargo").is_file()
        {
            return Some(Self::Debian);
        }
        nightly_sysroot()?
            .join("lib/rustlib/src/rust/library/core/Cargo.toml")
            .is_file()
            .then_some(Self::Nightly)
    }

    /// Where the shared library of this compiler's LLVM is, which bpf-linker opens at run time.
    fn libraries(&self) -> Option<PathBuf> {
        match self {
            Self::Nightly => Some(nightly_sysroot()?.join("lib")),
            Self::Debian => Some(format!("/usr/lib/{}-linux-gnu", env::consts::ARCH).into()),
        }
    }

    /// A cargo of this toolchain, free of what an outer cargo has put into the environment.
    fn cargo(&self) -> Command {
        let mut command = match self {
            Self::Nightly => {
                let mut command = Command::new("rustup");
                command.args(["run", NIGHTLY, "cargo"]);
                command
            }
            Self::Debian => {
                let mut command = Command::new("/usr/bin/cargo");
                // The target is not a stable one; this compiler is.
                command.env("RUSTC_BOOTSTRAP", "1").env("RUSTC", "/usr/bin/rustc");
                command
            }
        };
        for (name, _) in env::vars_os() {
            let text = name.to_string_lossy();
            if text.starts_with("CARGO") && text != "CARGO_HOME" || text.starts_with("RUSTC_W") {
                command.env_remove(&name);
            }
        }
        command.env_remove("RUSTUP_TOOLCHAIN").env_remove("RUSTFLAGS");
        command
    }
}

/// Where rustup has [`NIGHTLY`], if it has it.
fn nightly_sysroot() -> Option<PathBuf> {
    let rustc = Command::new("rustc")
        .args([&format!("+{NIGHTLY}"), "--print", "sysroot"])
        // To look is not to install.
        .env("RUSTUP_AUTO_INSTALL", "0")
        .output()
        .ok()?;
    let sysroot = String::from_utf8(rustc.stdout).ok()?;
    rustc.status.success().then(|| PathBuf::from(sysroot.trim()))
}

/// The linker for BPF, if it is installed: in the `PATH` or in cargo's own directory.
#[must_use]
pub fn linker() -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let cargo_home = env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| env::var_os("HOME").map(|home| PathBuf::from(home).join(".cargo")));
    env::split_paths(&path)
        .chain(cargo_home.map(|home| home.join("bin")))
        .map(|directory| directory.join("bpf-linker"))
        .find(|file| file.is_file())
}

/// Builds the programs of `probe-ebpf` below `out`, and returns the directory with the objects.
///
/// # Errors
/// Where a tool is missing, or the compiler refuses; the compiler's words are in the error.
pub fn build(root: &Path, out: &Path) -> Result<PathBuf> {
    let missing = "run `cargo xtask setup`, which installs it";
    let toolchain = Toolchain::find()
        .with_context(|| format!("there is no Rust compiler for {TARGET}: {missing}"))?;
    let linker = linker().with_context(|| format!("bpf-linker is not installed: {missing}"))?;

    // `allows-misaligned-mem-access`: packet headers stand at odd places, and all hosts that linkprobe
    // supports read and write them there in one go.
    let flags = [
        "-Cdebuginfo=2",
        "-Clink-arg=--btf",
        "-Ctarget-cpu=v3",
        "-Ctarget-feature=+alu32,+allows-misaligned-mem-access",
        &format!("-Clinker={}", linker.display()),
    ]
    .join("\x1f");
    let others = env::var_os("LD_LIBRARY_PATH").unwrap_or_default();
    // An empty entry would mean the current directory.
    let others = env::split_paths(&others).filter(|path| !path.as_os_str().is_empty());
    let libraries = env::join_paths(toolchain.libraries().into_iter().chain(others))
        .context("LD_LIBRARY_PATH cannot be extended")?;

    let target_directory = out.join("bpf");
    let mut cargo = toolchain.cargo();
    cargo
        .current_dir(root)
        .args(["build", "--release", "--package", "probe-ebpf", "--bins", "--features", "bpf"])
        .args(["--target", TARGET, "--target-dir"])
        .arg(&target_directory)
        .env("CARGO_ENCODED_RUSTFLAGS", flags)
        .env("LD_LIBRARY_PATH", libraries);
    if toolchain == Toolchain::Nightly {
        cargo.arg("-Zbuild-std=core");
    }
    let output = cargo.output().with_context(|| format!("cannot start {cargo:?}"))?;
    if !output.status.success() {
        bail!("{cargo:?} failed:\n{}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(target_directory.join(TARGET).join("release"))
}
