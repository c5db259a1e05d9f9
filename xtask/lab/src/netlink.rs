//! What all who ask the kernel about routes need: a socket, a request in octets, numbers and names of interfaces.

use std::{
    ffi::{CStr, CString},
    io,
};

use anyhow::{Context as _, Result};
use rtnetlink::{
    packet_core::{NLM_F_REQUEST, NetlinkHeader, NetlinkMessage},
    packet_route::RouteNetlinkMessage,
    sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE},
};

/// A socket to the kernel of the namespace in which the calling thread is, wherever it is used later.
pub(crate) fn socket() -> Result<Socket> {
    let mut socket = Socket::new(NETLINK_ROUTE).context("no netlink socket")?;
    socket.bind_auto()?;
    socket.connect(&SocketAddr::new(0, 0))?;
    Ok(socket)
}

/// A request as it is sent, with flags besides the one that every request has.
pub(crate) fn request(message: RouteNetlinkMessage, flags: u16) -> Vec<u8> {
    let mut header = NetlinkHeader::default();
    header.flags = NLM_F_REQUEST | flags;
    let mut message = NetlinkMessage::new(header, message.into());
    message.finalize();
    let mut octets = vec![0; message.buffer_len()];
    message.serialize(&mut octets);
    octets
}

/// The number of an interface, where the calling thread is.
pub(crate) fn index(name: &str) -> Option<u32> {
    let name = CString::new(name).ok()?;
    // SAFETY: the string ends with a zero and lives through the call.
    let index = unsafe { libc::if_nametoindex(name.as_ptr()) };
    (index > 0).then_some(index)
}

/// The name of an interface, where the calling thread is.
pub(crate) fn name(index: u32) -> Result<String> {
    let mut name = [0; libc::IF_NAMESIZE];
    // SAFETY: the array has the room that the call asks for, and lives through it.
    if unsafe { libc::if_indextoname(index, name.as_mut_ptr()) }.is_null() {
        return Err(io::Error::last_os_error()).context("an interface without a name");
    }
    // SAFETY: the call has written a string that ends with a zero.
    let name = unsafe { CStr::from_ptr(name.as_ptr()) };
    Ok(name.to_string_lossy().into_owned())
}
