//! A million packets that nobody asked for: datagrams with any source address, from a raw socket.

use std::{
    fs, io,
    os::fd::AsRawFd as _,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result};
use lab::{Site, clock, site::INTERFACE};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

/// Packets in one system call, and on the way at once: a veth's ring has room for 256, and what overflows
/// would be real loss, of real packets too.
const BATCH: usize = 32;

/// After so many batches all that is on the way may arrive: packets of others count as arrivals of ours.
const BATCHES: u32 = 500;

/// How long a batch may take to arrive. What does not come by then is lost.
const PATIENCE: Duration = Duration::from_millis(200);

/// How often arrivals are looked at.
const LOOK: Duration = Duration::from_micros(50);

/// One flood at a time: two would take all the CPUs.
static TURN: Mutex<()> = Mutex::new(());

/// Packets that the interface of this thread's site has received.
fn received() -> Option<u64> {
    let text = fs::read_to_string("/proc/thread-self/net/dev").ok()?;
    let name = format!("{INTERFACE}:");
    let counts = text.lines().find_map(|line| line.trim().strip_prefix(&name))?;
    counts.split_whitespace().nth(1)?.parse().ok()
}

/// Sends `count` IPv4 packets to a site from the network namespace of this thread, a batch whenever the one
/// before has arrived. `write` fills in each of them, which has the octets of the one before; the kernel
/// adds the checksum of the IP header.
///
/// # Errors
/// Those of raw sockets.
pub fn send(
    to: &Site,
    packet: Vec<u8>,
    count: u32,
    write: impl FnMut(u32, &mut [u8]),
) -> Result<()> {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let (arrivals, is_over) = (AtomicU64::new(0), AtomicBool::new(false));
    thread::scope(|scope| {
        let watch = scope.spawn(|| {
            to.run(|| {
                while !is_over.load(Ordering::Relaxed) {
                    arrivals.store(received().context("no such interface")?, Ordering::Relaxed);
                    thread::sleep(LOOK);
                }
                anyhow::Ok(())
            })?
        });
        let sent = send_batches(to, packet, count, write, &arrivals);
        is_over.store(true, Ordering::Relaxed);
        watch.join().expect("it does not panic")?;
        sent
    })
}

fn send_batches(
    to: &Site,
    mut packet: Vec<u8>,
    count: u32,
    mut write: impl FnMut(u32, &mut [u8]),
    arrivals: &AtomicU64,
) -> Result<()> {
    let socket = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::from(libc::IPPROTO_RAW)))?;
    socket.connect(&SockAddr::from(std::net::SocketAddrV4::new(to.ipv4(), 0)))?;
    let mut packets = vec![packet.clone(); BATCH];
    for (batch, first) in (0..count).step_by(BATCH).enumerate() {
        if (batch as u32).is_multiple_of(BATCHES) {
            thread::sleep(PATIENCE / 10);
        }
        let length = BATCH.min((count - first) as usize);
        for (number, place) in (first..).zip(&mut packets[..length]) {
            write(number, &mut packet);
            place.copy_from_slice(&packet);
        }
        let before = arrivals.load(Ordering::Relaxed);
        send_all(&socket, &mut packets[..length])?;
        let deadline = clock::now() + PATIENCE;
        while arrivals.load(Ordering::Relaxed) < before + length as u64 && clock::now() < deadline {
            thread::sleep(LOOK);
        }
    }
    Ok(())
}

fn send_all(socket: &Socket, packets: &mut [Vec<u8>]) -> io::Result<()> {
    let mut parts: Vec<libc::iovec> = packets
        .iter_mut()
        .map(|packet| libc::iovec { iov_base: packet.as_mut_ptr().cast(), iov_len: packet.len() })
        .collect();
    let mut messages: Vec<libc::mmsghdr> = parts
        .iter_mut()
        .map(|part| {
            // SAFETY: all zeros is an empty header.
            let mut message: libc::mmsghdr = unsafe { std::mem::zeroed() };
            message.msg_hdr.msg_iov = part;
            message.msg_hdr.msg_iovlen = 1;
            message
        })
        .collect();
    let mut rest = messages.as_mut_slice();
    while !rest.is_empty() {
        // SAFETY: the headers lead into `parts`, and those into `packets`; all outlive the call.
        let sent =
            unsafe { libc::sendmmsg(socket.as_raw_fd(), rest.as_mut_ptr(), rest.len() as u32, 0) };
        let sent = usize::try_from(sent).map_err(|_| io::Error::last_os_error())?;
        rest = &mut rest[sent..];
    }
    Ok(())
}
