//! From the names in the config to addresses.

use std::{io, net::SocketAddr, time::Duration};

use crate::config::{Host, PeerAddress};

/// Names are looked up again this often.
pub const AGAIN: Duration = Duration::from_secs(30);

/// A look-up that takes longer than this has failed.
const PATIENCE: Duration = Duration::from_secs(5);

/// The address of a peer. Of several, the one that was used before, else the first.
///
/// # Errors
/// Where the name does not resolve, or not in time.
pub async fn resolve(
    address: &PeerAddress,
    before: Option<SocketAddr>,
) -> Result<SocketAddr, io::Error> {
    let name = match &address.host {
        Host::Ip(ip) => return Ok(SocketAddr::new(*ip, address.port)),
        Host::Name(name) => name,
    };
    let found =
        tokio::time::timeout(PATIENCE, tokio::net::lookup_host((name.as_str(), address.port)))
            .await
            .map_err(|_| {
                io::Error::new(io::ErrorKind::TimedOut, "no answer from the name server")
            })??;
    let found: Vec<SocketAddr> = found.collect();
    before
        .filter(|before| found.contains(before))
        .or_else(|| found.first().copied())
        .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "the name has no address"))
}
