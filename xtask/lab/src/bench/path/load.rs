//! Ordinary traffic from one site to another, all of whose work one thread does.
//!
//! The thread holds both ends. What it sends, the kernel carries through both stacks and the WAN before the system
//! call returns; so the time that it runs is what the packets take, whatever else the host does.

use std::{
    io::{self, ErrorKind, Read as _, Write as _},
    net::{TcpListener, TcpStream, UdpSocket},
    os::fd::AsRawFd as _,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use lab::Lab;

use super::{
    super::{
        datagrams::Datagrams,
        slices::{SLICE, measured},
    },
    stream,
};

/// Octets of a datagram: small, so that packets count and not octets.
const DATAGRAM: usize = 64;
/// Datagrams that are on their way at once.
const BATCH: usize = 64;
/// Octets that are written or read at once.
const CHUNK: usize = 64 * 1024;
/// Octets of TCP payload in a packet of 1,500 octets, with timestamps.
pub(super) const SEGMENT: f64 = 1448.0;
/// How long is waited for what is on its way.
const PATIENCE: Duration = Duration::from_millis(3);

/// What flows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Traffic {
    /// One TCP stream.
    Tcp,
    /// Small UDP datagrams of one flow.
    Udp,
    /// One TCP stream as applications have it.
    Stream,
}

impl Traffic {
    pub(super) const ALL: [Self; 3] = [Self::Stream, Self::Tcp, Self::Udp];

    /// What it is called in tables.
    pub(super) const fn label(self) -> &'static str {
        match self {
            Self::Tcp => "One TCP stream, per CPU",
            Self::Udp => "UDP datagrams of 64 octets, per CPU",
            Self::Stream => "One TCP stream, by the clock",
        }
    }

    /// What is measured of it.
    pub(super) const fn measure(self) -> &'static str {
        match self {
            Self::Tcp | Self::Udp => "CPU per packet",
            Self::Stream => "time per packet",
        }
    }

    /// Sends from the first site to the second for some slices, and returns seconds per packet, of CPU or by the
    /// clock.
    ///
    /// # Errors
    /// Those of sockets, and where packets get lost.
    pub(super) fn flow(self, lab: &Lab, slices: usize) -> Result<f64> {
        match self {
            Self::Tcp => measured(slices, || Stream::open(lab), Stream::pass),
            Self::Udp => measured(slices, || Flow::open(lab), Flow::pass),
            Self::Stream => stream::flow(lab, SLICE * slices as u32),
        }
    }
}

/// Both ends of a TCP stream.
struct Stream {
    from: TcpStream,
    to: TcpStream,
    chunk: Vec<u8>,
}

impl Stream {
    fn open(lab: &Lab) -> Result<Self> {
        let (from, to) = (&lab.sites()[0], &lab.sites()[1]);
        let listener = to.run(|| TcpListener::bind((to.ipv4(), 0)))??;
        let address = listener.local_addr()?;
        let from = from.run(|| TcpStream::connect(address))?.context("cannot connect")?;
        let (to, _) = listener.accept()?;
        unpaced(&from)?;
        from.set_nonblocking(true)?;
        to.set_read_timeout(Some(PATIENCE))?;
        Ok(Self { from, to, chunk: vec![0; CHUNK] })
    }

    /// Writes what has room, and reads what has come; returns how many packets that was.
    fn pass(&mut self) -> Result<f64> {
        unless_early(self.from.write(&self.chunk))?;
        Ok(unless_early(self.to.read(&mut self.chunk))? as f64 / SEGMENT)
    }
}

/// Has a stream send as fast as it is taken in. What a host uses else may pace its packets by timers, as BBR does,
/// and a thread that waits for timers shows nothing of what packets take.
fn unpaced(stream: &TcpStream) -> Result<()> {
    let name = "reno";
    // SAFETY: the call reads the name's octets, which outlive it.
    let result = unsafe {
        libc::setsockopt(
            stream.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_CONGESTION,
            name.as_ptr().cast(),
            name.len() as u32,
        )
    };
    ensure!(result == 0, "cannot choose {name}: {}", io::Error::last_os_error());
    Ok(())
}

/// Both ends of a flow of datagrams.
struct Flow {
    from: UdpSocket,
    to: UdpSocket,
    batch: Datagrams,
}

impl Flow {
    fn open(lab: &Lab) -> Result<Self> {
        let (from, to) = (&lab.sites()[0], &lab.sites()[1]);
        let receiver = to.run(|| UdpSocket::bind((to.ipv4(), 0)))??;
        let sender = from.run(|| UdpSocket::bind((from.ipv4(), 0)))??;
        sender.connect(receiver.local_addr()?)?;
        receiver.set_read_timeout(Some(Duration::from_millis(200)))?;
        Ok(Self { from: sender, to: receiver, batch: Datagrams::new(BATCH, DATAGRAM) })
    }

    /// Sends a batch and takes it in; returns how many packets that was.
    fn pass(&mut self) -> Result<f64> {
        let sent = self.batch.send(&self.from)?;
        let mut received = 0;
        while received < sent {
            let more = self.batch.receive(&self.to);
            received += more.with_context(|| format!("{received} of {sent} datagrams came"))?;
        }
        Ok(sent as f64)
    }
}

/// How many octets were moved; none where there was nothing to be moved yet.
fn unless_early(moved: io::Result<usize>) -> io::Result<usize> {
    match moved {
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => Ok(0),
        moved => moved,
    }
}
