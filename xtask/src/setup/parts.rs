//! What the other commands need: how to find each part, and how to install it.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail};
use xtask::bpf::{self, NIGHTLY, Toolchain};

use super::{Purpose, apt::Apt, peers};
use crate::process::{Workspace, find_program, run, succeeds};

/// One thing that has to be there.
pub(super) struct Part {
    /// What people call it.
    pub(super) name: &'static str,
    /// The first purpose that needs it.
    pub(super) purpose: Purpose,
    /// How long it takes to install, roughly.
    pub(super) takes: &'static str,
    /// Describes the one that is there, if there is one.
    pub(super) find: fn(&Workspace) -> Option<String>,
    /// Installs it.
    pub(super) install: fn(&Workspace, &Apt) -> Result<()>,
}

/// All of them, in the order in which they are installed.
pub(super) const PARTS: &[Part] = &[
    Part {
        name: "a Rust compiler for BPF",
        purpose: Purpose::Build,
        takes: "about a minute",
        find: |_| Some(format!("{} for BPF", describe(&Toolchain::find()?))),
        install: |_, apt| install_compiler(apt),
    },
    Part {
        name: "bpf-linker",
        purpose: Purpose::Build,
        takes: "built from source, one to three minutes",
        find: |_| bpf::linker().map(|_| "bpf-linker".to_owned()),
        install: |workspace, _| install_linker(workspace),
    },
    Part {
        name: "ip",
        purpose: Purpose::Demo,
        takes: "some seconds",
        find: |_| find_program("ip").map(|_| "ip".to_owned()),
        install: |_, apt| apt.install(&["iproute2"]),
    },
    Part {
        name: "HAProxy",
        purpose: Purpose::Demo,
        takes: "some seconds",
        find: |_| find_program("haproxy").map(|_| "HAProxy".to_owned()),
        install: |_, apt| apt.install_dormant("haproxy", "haproxy"),
    },
    Part {
        name: "rustfmt",
        purpose: Purpose::Test,
        takes: "some seconds",
        find: |_| find_component("rustfmt", &["cargo-fmt", "rustfmt"]),
        install: |_, _| install_component("rustfmt"),
    },
    Part {
        name: "clippy",
        purpose: Purpose::Test,
        takes: "some seconds",
        find: |_| find_component("clippy", &["cargo-clippy", "clippy-driver"]),
        install: |_, _| install_component("clippy"),
    },
    Part {
        name: "Prometheus",
        purpose: Purpose::Test,
        takes: "some seconds",
        find: |workspace| {
            let found = PROMETHEUS.iter().all(|program| {
                tools(workspace).join(program).is_file()
                    || Path::new(program)
                        .file_name()
                        .is_some_and(|name| name.to_str().and_then(find_program).is_some())
            });
            found.then(|| "Prometheus".to_owned())
        },
        install: install_prometheus,
    },
    Part {
        name: "stamp-suite",
        purpose: Purpose::Test,
        takes: "built from source, one to three minutes",
        find: peers::find_stamp_suite,
        install: |workspace, _| peers::install_stamp_suite(workspace),
    },
    Part {
        name: "scapy",
        purpose: Purpose::Test,
        takes: "some seconds",
        find: peers::find_scapy,
        install: peers::install_scapy,
    },
    Part {
        name: "tshark",
        purpose: Purpose::Test,
        takes: "up to a minute",
        find: |_| find_program("tshark").map(|_| "tshark".to_owned()),
        install: |_, apt| apt.install(&["tshark"]),
    },
    Part {
        name: "BIRD",
        purpose: Purpose::Bench,
        takes: "some seconds",
        find: |_| find_program("bird").map(|_| "BIRD".to_owned()),
        install: |_, apt| apt.install_dormant("bird2", "bird"),
    },
    Part {
        name: "FRR",
        purpose: Purpose::Bench,
        takes: "some seconds",
        find: |_| peers::find_frr(),
        install: |_, apt| apt.install_dormant("frr", "frr"),
    },
    Part {
        name: "fping",
        purpose: Purpose::Bench,
        takes: "some seconds",
        find: |_| find_program("fping").map(|_| "fping".to_owned()),
        install: |_, apt| apt.install(&["fping"]),
    },
    Part {
        name: "irtt",
        purpose: Purpose::Bench,
        takes: "some seconds",
        find: |_| find_program("irtt").map(|_| "irtt".to_owned()),
        install: |_, apt| apt.install_dormant("irtt", "irtt"),
    },
];

/// For `cargo xtask fuzz` alone.
pub(super) const FUZZER: Part = Part {
    name: "cargo-fuzz",
    purpose: Purpose::Test,
    takes: "built from source, about a minute",
    find: |workspace| {
        let mut fuzz = workspace.cargo(["fuzz", "--version"]);
        succeeds(&mut fuzz).then(|| "cargo-fuzz".to_owned())
    },
    install: |workspace, _| {
        let mut cargo =
            workspace.cargo(["install", "cargo-fuzz", "--version", FUZZER_VERSION, "--locked"]);
        run(cargo.env_remove("CARGO_TARGET_DIR").env_remove("RUSTFLAGS"))
    },
};

/// What the targets have been run with.
const FUZZER_VERSION: &str = "0.13.2";

/// Debian's compiler for BPF: the compiler, its cargo, and `core` built for BPF. The compiler also
/// brings the LLVM library that bpf-linker opens.
const DEBIAN_COMPILER: [&str; 3] = ["rustc-web", "cargo-web", "libstd-rust-web-dev-bpf"];

/// This version opens its LLVM (22) at run time and needs none to be built; later ones do.
const LINKER_VERSION: &str = "0.10.3";

/// The programs that the tests run, below [`tools`] or in the `PATH`.
const PROMETHEUS: [&str; 2] = ["usr/bin/prometheus", "usr/bin/promtool"];

/// Where programs are put that only this tree uses. The tests know this place.
pub(super) fn tools(workspace: &Workspace) -> PathBuf {
    workspace.root.join("target/tools")
}

fn describe(toolchain: &Toolchain) -> &'static str {
    match toolchain {
        Toolchain::Debian => "Debian's Rust",
        Toolchain::Nightly => NIGHTLY,
    }
}

fn install_compiler(apt: &Apt) -> Result<()> {
    if apt.can_install(&DEBIAN_COMPILER) {
        return apt.install(&DEBIAN_COMPILER);
    }
    // Needs neither Debian nor root.
    if find_program("rustup").is_some() {
        let mut rustup = Command::new("rustup");
        rustup.args(["toolchain", "install", NIGHTLY, "--profile", "minimal"]);
        return run(rustup.args(["--component", "rust-src"])).with_context(|| {
            let typed = apt.typed_install(&DEBIAN_COMPILER.join(" "));
            format!("Debian's compiler does as well: there, type\n  {typed}\nrustup says")
        });
    }
    if Apt::exists() {
        return apt.install(&DEBIAN_COMPILER);
    }
    bail!("this host has neither apt nor rustup: install rustup, and run this again")
}

fn install_linker(workspace: &Workspace) -> Result<()> {
    let mut cargo =
        workspace.cargo(["install", "bpf-linker", "--version", LINKER_VERSION, "--locked"]);
    // Its build is none of this tree's.
    run(cargo.env_remove("CARGO_TARGET_DIR").env_remove("RUSTFLAGS"))
}

/// A component of the toolchain that runs us: its programs stand beside its cargo, or in the `PATH`
/// where the toolchain is not rustup's.
fn find_component(name: &str, programs: &[&str]) -> Option<String> {
    let cargo = env::var_os("CARGO").map(PathBuf::from);
    let beside = cargo.as_deref().and_then(Path::parent);
    let rustup = env::var_os("RUSTUP_TOOLCHAIN").is_some();
    programs
        .iter()
        .all(|program| {
            beside.is_some_and(|directory| directory.join(program).is_file())
                || !rustup && find_program(program).is_some()
        })
        .then(|| name.to_owned())
}

fn install_component(name: &str) -> Result<()> {
    if find_program("rustup").is_none() {
        bail!("the toolchain is not rustup's: install {name} as you installed cargo");
    }
    run(Command::new("rustup").args(["component", "add", name]))
}

fn install_prometheus(workspace: &Workspace, apt: &Apt) -> Result<()> {
    let tools = tools(workspace);
    apt.extract("prometheus", &PROMETHEUS, &tools)?;
    for program in PROMETHEUS.map(|program| tools.join(program)) {
        if !succeeds(Command::new(&program).arg("--version")) {
            bail!("{} does not run here", program.display());
        }
    }
    Ok(())
}
