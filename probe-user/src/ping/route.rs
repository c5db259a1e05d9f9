//! How packets get from here to the reflector.

use std::{
    ffi::CStr,
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    os::fd::AsRawFd as _,
};

use anyhow::{Context as _, Result, bail};
use futures_util::TryStreamExt as _;
use rtnetlink::{RouteMessageBuilder, packet_route::route::RouteAttribute};

/// The way to a reflector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// The address of ours that it sees.
    pub source: IpAddr,
    /// Octets of the longest packet, from the IP header on.
    pub mtu: usize,
}

impl Route {
    /// Asks the kernel for the way to an address; sends nothing.
    ///
    /// # Errors
    /// Where there is no route.
    pub fn to(target: SocketAddr) -> Result<Self> {
        let ours: IpAddr = match target {
            SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        let socket = UdpSocket::bind((ours, 0)).context("cannot open a UDP socket")?;
        let no_route = || format!("there is no route to {}", target.ip());
        socket.connect(target).with_context(no_route)?;
        let source = socket.local_addr().with_context(no_route)?.ip();
        let mtu = mtu(&socket, target.is_ipv4()).context("cannot find out the path's MTU")?;
        Ok(Self { source, mtu })
    }
}

/// What the kernel knows of the longest packet on a connected socket's way.
fn mtu(socket: &UdpSocket, is_ipv4: bool) -> io::Result<usize> {
    let (level, option) = if is_ipv4 {
        (libc::IPPROTO_IP, libc::IP_MTU)
    } else {
        (libc::IPPROTO_IPV6, libc::IPV6_MTU)
    };
    let mut mtu: libc::c_int = 0;
    let mut length = size_of_val(&mtu) as libc::socklen_t;
    // SAFETY: the option is an int, and there is room for one.
    let got = unsafe {
        let value = (&raw mut mtu).cast();
        libc::getsockopt(socket.as_raw_fd(), level, option, value, &raw mut length)
    };
    if got != 0 {
        return Err(io::Error::last_os_error());
    }
    usize::try_from(mtu).map_err(io::Error::other)
}

/// The interface by which packets to an address leave.
///
/// # Errors
/// Where the kernel does not say, or names none.
pub async fn interface(target: IpAddr) -> Result<String> {
    let (connection, handle, _) = rtnetlink::new_connection()?;
    let connection = tokio::spawn(connection);
    let length = if target.is_ipv4() { 32 } else { 128 };
    let question = RouteMessageBuilder::<IpAddr>::new()
        .destination_prefix(target, length)
        .context("no address to look for a route to")?
        .build();
    let answer = handle.route().get(question).execute().try_next().await;
    connection.abort();
    let answer = answer.with_context(|| format!("there is no route to {target}"))?;
    let index = answer.into_iter().flat_map(|route| route.attributes).find_map(|attribute| {
        if let RouteAttribute::Oif(index) = attribute { Some(index) } else { None }
    });
    match index.map(name_of) {
        Some(name) => name.context("the interface of the route has no name"),
        None => bail!("the route to {target} names no interface; name one with --interface"),
    }
}

fn name_of(index: u32) -> io::Result<String> {
    let mut name: [libc::c_char; libc::IF_NAMESIZE] = [0; libc::IF_NAMESIZE];
    // SAFETY: the buffer has the length that the call asks for, and ends with a zero byte after it.
    unsafe {
        if libc::if_indextoname(index, name.as_mut_ptr()).is_null() {
            return Err(io::Error::last_os_error());
        }
        Ok(CStr::from_ptr(name.as_ptr()).to_string_lossy().into_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_to_oneself_is_the_loopback_interface() {
        let target = SocketAddr::from((Ipv4Addr::LOCALHOST, 862));
        let route = Route::to(target).unwrap();
        assert_eq!(route.source, target.ip());
        assert!(route.mtu >= 1_280, "{}", route.mtu);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        assert_eq!(runtime.block_on(interface(target.ip())).unwrap(), "lo");
    }
}
