//! Why there is no datapath.

use std::io;

use aya::maps::MapError;

use super::attach;

/// Why the datapath cannot be had, or cannot do what it was told.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The kernel refused the object.
    #[error("cannot load the BPF programs: {0}{hint}", hint = privileges())]
    Load(#[from] aya::EbpfError),
    /// The kernel refused a program.
    #[error("the kernel refused the BPF program `{program}`: {source}{hint}", hint = privileges())]
    Verify {
        /// Its name.
        program: &'static str,
        /// What the kernel said.
        source: Box<aya::programs::ProgramError>,
    },
    /// A program cannot be attached.
    #[error(transparent)]
    Attach(#[from] attach::Error),
    /// A map cannot be written.
    #[error("cannot write the BPF map {map}: {source}")]
    Map {
        /// Its name.
        map: &'static str,
        /// What the kernel said.
        source: MapError,
    },
    /// A map cannot be mapped into memory.
    #[error("cannot map the BPF map {map} into memory: {source}")]
    Memory {
        /// Its name.
        map: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
    /// The addresses of the host cannot be found out.
    #[error("cannot list the addresses of this host: {0}")]
    Addresses(io::Error),
    /// The Session-Reflector's UDP port cannot be had.
    #[error("cannot bind UDP port {port}: {source}{hint}", hint = about_port(*port, source))]
    Bind {
        /// The port.
        port: u16,
        /// What the kernel said.
        source: io::Error,
    },
    /// The sockets that probes leave by cannot be received from.
    #[error("cannot receive replies: {0}")]
    Receive(io::Error),
    /// A thread cannot be started.
    #[error("cannot start the thread `{thread}`: {source}")]
    Thread {
        /// Its name.
        thread: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
    /// The object lacks something: it was not built from the same source.
    #[error("the BPF object has no `{0}`")]
    Missing(&'static str),
}

fn privileges() -> &'static str {
    // SAFETY: the call has no arguments and cannot fail.
    if unsafe { libc::geteuid() } == 0 {
        ""
    } else {
        "; this needs root, or the capabilities CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON"
    }
}

fn about_port(port: u16, error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::PermissionDenied => format!(
            "; either let everybody (`sysctl net.ipv4.ip_unprivileged_port_start={port}`), or give \
             linkprobe the capability CAP_NET_BIND_SERVICE, or choose a port from 1024 up"
        ),
        io::ErrorKind::AddrInUse => {
            "; another process has it (`ss -ulnp` lists them): stop it, or choose another port"
                .to_owned()
        }
        _ => String::new(),
    }
}
