//! One agent at a time routes in a network namespace.

use std::{
    io,
    os::{
        linux::net::SocketAddrExt as _,
        unix::net::{SocketAddr, UnixListener},
    },
};

/// The name of the socket that stands for it: such names belong to a network namespace, and go with who has them.
const NAME: &[u8] = b"linkprobe-overlay";

/// Held by whoever changes routes.
#[derive(Debug)]
pub(super) struct Lock {
    _socket: UnixListener,
}

impl Lock {
    /// Takes it.
    ///
    /// # Errors
    /// Where somebody else has it (`AddrInUse`), or the system has no sockets left.
    pub(super) fn take() -> io::Result<Self> {
        let address = SocketAddr::from_abstract_name(NAME)?;
        Ok(Self { _socket: UnixListener::bind_addr(&address)? })
    }
}
