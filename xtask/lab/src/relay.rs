//! Delay, jitter and with it reordering, by a thread in the WAN.
//!
//! A policy rule leads the packets of a delayed pair of sites into a TUN device. The thread holds each
//! for its time and writes it back; from there it takes the ordinary route, past the impairment
//! program, once. The second pass through the router has cost it a second hop, which is given back.

use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    fs::{File, OpenOptions},
    io::{self, Read as _, Write as _},
    os::{
        fd::AsRawFd as _,
        unix::{fs::OpenOptionsExt as _, net::UnixStream},
    },
    ptr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};

use crate::{
    clock,
    impairment::rule::{PAIRS, pair, site_of_ipv4, site_of_ipv6},
    namespace::Namespace,
    site::Site,
};

/// The TUN device in the WAN.
const DEVICE: &str = "delay0";
/// The routing table that leads into it.
const TABLE: u32 = 77;
/// Octets of the largest packet.
const LARGEST: usize = 65_536;
/// How many packets are taken in before those that are due go out.
const BATCH: usize = 64;

/// The device, its thread, and what it is told.
#[derive(Debug)]
pub(crate) struct Relay {
    shared: Arc<Shared>,
    /// Its end wakes the thread up and ends it.
    stop: Option<UnixStream>,
    thread: Option<JoinHandle<Result<()>>>,
    wan: Namespace,
}

/// Nanoseconds for each ordered pair of sites.
#[derive(Debug)]
struct Shared {
    base: Box<[AtomicU64]>,
    jitter: Box<[AtomicU64]>,
    undelivered: AtomicU64,
}

impl Relay {
    /// Makes the device and starts the thread. No packet is led there yet.
    pub(crate) fn start(wan: &Namespace) -> Result<Self> {
        let tun = wan.run(open_tun)??;
        wan.ip(&format!(
            "link set {DEVICE} addrgenmode none txqueuelen 100000 mtu 1500\n\
             link set {DEVICE} up\n\
             route add 0.0.0.0/0 dev {DEVICE} table {TABLE}\n\
             route add ::/0 dev {DEVICE} table {TABLE}\n"
        ))?;
        let zeros = || (0..PAIRS).map(|_| AtomicU64::new(0)).collect();
        let shared =
            Arc::new(Shared { base: zeros(), jitter: zeros(), undelivered: AtomicU64::new(0) });
        let (stop, stopped) = UnixStream::pair().context("cannot make a pair of sockets")?;
        let inside = Arc::clone(&shared);
        let thread = wan.thread("relay", move || run(tun, &stopped, &inside))?;
        Ok(Self { shared, stop: Some(stop), thread: Some(thread), wan: wan.clone() })
    }

    /// Sets the delay of a pair: `base`, and up to `jitter` more, evenly distributed.
    pub(crate) fn set(
        &self,
        from: &Site,
        to: &Site,
        base: Duration,
        jitter: Duration,
    ) -> Result<()> {
        let index = pair(u32::from(from.number()), u32::from(to.number())) as usize;
        let nanoseconds = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let was = self.shared.base[index].swap(nanoseconds(base), Ordering::Relaxed)
            + self.shared.jitter[index].swap(nanoseconds(jitter), Ordering::Relaxed);
        let verb = match (was > 0, base + jitter > Duration::ZERO) {
            (false, true) => "add",
            (true, false) => "del",
            _ => return Ok(()),
        };
        let (end, number) = (from.wan_end(), to.number());
        let rule = |prefix| format!("rule {verb} iif {end} to {prefix} lookup {TABLE}\n");
        self.wan.ip(&rule(format!("10.77.{number}.0/24")))?;
        self.wan.ip6(&rule(format!("fd77:0:0:{number:x}::/64")))
    }

    /// Packets that the kernel would not take back.
    pub(crate) fn undelivered(&self) -> u64 {
        self.shared.undelivered.load(Ordering::Relaxed)
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

/// Runs inside the WAN: a TUN device belongs to the namespace of the thread that opens it.
fn open_tun() -> Result<File> {
    let tun = OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(libc::O_NONBLOCK)
        .open("/dev/net/tun")
        .context("cannot open /dev/net/tun: delays need a kernel with CONFIG_TUN")?;
    // SAFETY: `ifreq` is plain data, for which zeros are a value.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(DEVICE.bytes()) {
        *to = from.cast_signed();
    }
    request.ifr_ifru.ifru_flags = (libc::IFF_TUN | libc::IFF_NO_PI) as i16;
    // SAFETY: the descriptor is open, and the kernel reads and writes one `ifreq`, which lives here.
    if unsafe { libc::ioctl(tun.as_raw_fd(), libc::TUNSETIFF, ptr::from_mut(&mut request)) } != 0 {
        return Err(io::Error::last_os_error()).context("cannot make a TUN device");
    }
    Ok(tun)
}

/// A packet on its way: due, place in the order of arrival, bytes.
type Held = Reverse<(Instant, u64, Vec<u8>)>;

/// The thread.
fn run(mut tun: File, stopped: &UnixStream, shared: &Shared) {
    be_punctual();
    let mut held: BinaryHeap<Held> = BinaryHeap::new();
    let mut buffer = vec![0; LARGEST];
    let (mut arrived, mut random) = (0, Random(0x9e37_79b9_7f4a_7c15));
    while wait(&tun, stopped, held.peek().map(|Reverse((due, ..))| *due)) {
        for _ in 0..BATCH {
            let Ok(length) = tun.read(&mut buffer) else { break };
            let mut packet = buffer[..length].to_vec();
            give_hop_back(&mut packet);
            arrived += 1;
            let due = clock::now() + shared.delay(&packet, &mut random);
            held.push(Reverse((due, arrived, packet)));
        }
        while held.peek().is_some_and(|Reverse((due, ..))| *due <= clock::now()) {
            let Some(Reverse((_, _, packet))) = held.pop() else { break };
            if tun.write(&packet).is_err() {
                shared.undelivered.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

impl Shared {
    /// How long to hold a packet.
    fn delay(&self, packet: &[u8], random: &mut Random) -> Duration {
        let Some(index) = sites_of(packet) else { return Duration::ZERO };
        let base = self.base[index].load(Ordering::Relaxed);
        let jitter = match self.jitter[index].load(Ordering::Relaxed) {
            0 => 0,
            most => random.next() % (most + 1),
        };
        Duration::from_nanos(base + jitter)
    }
}

/// The index of the pair of sites between which an IP packet travels.
fn sites_of(packet: &[u8]) -> Option<usize> {
    let (from, to) = match packet.first()? >> 4 {
        4 => (
            site_of_ipv4(*packet.get(12..)?.first_chunk()?)?,
            site_of_ipv4(*packet.get(16..)?.first_chunk()?)?,
        ),
        6 => (
            site_of_ipv6(*packet.get(8..)?.first_chunk()?)?,
            site_of_ipv6(*packet.get(24..)?.first_chunk()?)?,
        ),
        _ => return None,
    };
    Some(pair(from, to) as usize)
}

/// Adds one to TTL or Hop Limit.
fn give_hop_back(packet: &mut [u8]) {
    match packet.first().map(|first| first >> 4) {
        Some(4) if packet.len() >= 20 && packet[8] < 255 => {
            packet[8] += 1;
            // RFC 1624: the TTL is the upper half of its word.
            let sum = u32::from(!u16::from_be_bytes([packet[10], packet[11]])) + 0x0100;
            let folded = (sum & 0xffff) + (sum >> 16);
            packet[10..12].copy_from_slice(&(!(folded as u16)).to_be_bytes());
        }
        Some(6) if packet.len() >= 40 => packet[7] = packet[7].saturating_add(1),
        _ => {}
    }
}

/// Waits for a packet or the time; false when it is time to end.
fn wait(tun: &File, stopped: &UnixStream, due: Option<Instant>) -> bool {
    let mut polled = [
        libc::pollfd { fd: tun.as_raw_fd(), events: libc::POLLIN, revents: 0 },
        libc::pollfd { fd: stopped.as_raw_fd(), events: libc::POLLIN, revents: 0 },
    ];
    let timeout = due.map(|due| {
        let left = due.saturating_duration_since(clock::now());
        libc::timespec {
            tv_sec: left.as_secs().cast_signed(),
            tv_nsec: i64::from(left.subsec_nanos()),
        }
    });
    let timeout = timeout.as_ref().map_or(ptr::null(), ptr::from_ref);
    // SAFETY: both arrays and the time live through the call; no signal mask is given.
    unsafe { libc::ppoll(polled.as_mut_ptr(), 2, timeout, ptr::null()) };
    polled[1].revents == 0
}

/// Asks for timers without slack and, where the system allows it, for the CPU before ordinary threads:
/// the lab's network is not to suffer from a busy host.
fn be_punctual() {
    let priority = libc::sched_param { sched_priority: 10 };
    // SAFETY: both calls change only the calling thread; the parameter lives through the call.
    unsafe {
        libc::prctl(libc::PR_SET_TIMERSLACK, 1);
        libc::sched_setscheduler(0, libc::SCHED_FIFO, &raw const priority);
    }
}

/// Xorshift64: for jitter it need not be good, only to be there.
struct Random(u64);

impl Random {
    const fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hop_is_given_back_with_a_right_checksum() {
        let sum = |header: &[u8]| {
            let words = header.chunks(2).map(|w| u32::from(u16::from_be_bytes([w[0], w[1]])));
            let sum: u32 = words.sum();
            (sum & 0xffff) + (sum >> 16)
        };
        for ttl in 0..=254 {
            for low in 0..=255 {
                let mut header =
                    [0x45, 0, 0, 28, 0, low, 0x40, 0, ttl, 17, 0, 0, 10, 77, 1, 2, 10, 77, 2, 2];
                let checksum = !(sum(&header) as u16);
                header[10..12].copy_from_slice(&checksum.to_be_bytes());
                give_hop_back(&mut header);
                assert_eq!(header[8], ttl + 1);
                assert_eq!(sum(&header), 0xffff, "TTL {ttl}");
            }
        }
        let mut ipv6 = [0; 40];
        (ipv6[0], ipv6[7]) = (0x60, 62);
        give_hop_back(&mut ipv6);
        assert_eq!(ipv6[7], 63);
    }

    #[test]
    fn sites_are_read_from_both_versions() {
        let mut ipv4 = [0; 20];
        ipv4[0] = 0x45;
        ipv4[12..].copy_from_slice(&[10, 77, 1, 2, 10, 77, 3, 2]);
        assert_eq!(sites_of(&ipv4), Some(pair(1, 3) as usize));
        let mut ipv6 = [0; 40];
        ipv6[0] = 0x60;
        ipv6[8..16].copy_from_slice(&[0xfd, 0x77, 0, 0, 0, 0, 0, 2]);
        ipv6[24..32].copy_from_slice(&[0xfd, 0x77, 0, 0, 0, 0, 0, 1]);
        assert_eq!(sites_of(&ipv6), Some(pair(2, 1) as usize));
        assert_eq!(sites_of(&ipv4[..15]), None);
        assert_eq!(sites_of(&[]), None);
        ipv4[13] = 78;
        assert_eq!(sites_of(&ipv4), None);
    }
}
