//! A TCP stream as applications have it: two threads, wherever the scheduler puts them, by the clock on the wall.

use std::{
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    thread,
    time::Duration,
};

use anyhow::{Result, anyhow, ensure};
use lab::{Lab, clock};

use super::load::SEGMENT;

/// Octets that are written or read at once.
const CHUNK: usize = 128 * 1024;
/// How long it flows before it counts.
const WARM: Duration = Duration::from_millis(200);

/// Sends from the first site to the second for some time, with the host's own congestion control, and returns
/// seconds per packet.
///
/// # Errors
/// Those of sockets, and where nothing arrives.
pub(super) fn flow(lab: &Lab, time: Duration) -> Result<f64> {
    let (from, to) = (&lab.sites()[0], &lab.sites()[1]);
    let listener = to.run(|| TcpListener::bind((to.ipv4(), 0)))??;
    let address = listener.local_addr()?;
    let mut sender = from.run(|| TcpStream::connect(address))??;
    let (mut receiver, _) = listener.accept()?;
    let packets = thread::scope(|scope| {
        scope.spawn(move || {
            let chunk = vec![0; CHUNK];
            // The receiver ends it.
            while sender.write_all(&chunk).is_ok() {}
        });
        let receiving = scope.spawn(move || {
            receive(&mut receiver, WARM)?;
            receive(&mut receiver, time)
        });
        receiving.join().unwrap_or_else(|_| Err(anyhow!("the receiver has panicked")))
    })?;
    ensure!(packets > 0.0, "no packet arrived");
    Ok(time.as_secs_f64() / packets)
}

/// Receives for some time, and returns how many packets came.
fn receive(stream: &mut TcpStream, time: Duration) -> Result<f64> {
    let mut chunk = vec![0; CHUNK];
    let (mut octets, end) = (0, clock::now() + time);
    while clock::now() < end {
        octets += stream.read(&mut chunk)?;
    }
    Ok(octets as f64 / SEGMENT)
}
