//! Requests that the kernel hands over: the answer comes from userspace, with the kernel's number and T2.

use std::{
    fs,
    net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV6, UdpSocket},
    process::Command,
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use lab::{Lab, Process, Signal};
use probe_ebpf::{
    ntp,
    stamp::{self, LENGTH, Mode, Reply, Request},
    tlv::{HEADER_LENGTH, SOFTWARE_LOCAL, flag, kind},
};
use probe_user::datapath::{addresses, clock};
use socket2::SockRef;
use tests::agents::{PATIENCE, eventually};

/// Octets of the value of a Follow-Up Telemetry TLV.
const TELEMETRY: usize = 16;

/// How long the reflector's process is held up.
const PAUSE: Duration = Duration::from_millis(400);

/// Starts a reflector in site "b" of a lab, and waits for what it says then.
fn reflect(lab: &Lab) -> Result<Process> {
    let mut command = Command::new(lab::agent::binary(None)?);
    command.args(["reflect", "--interface", "wan0"]);
    let process = lab.site("b")?.spawn(command)?;
    eventually("the reflector is attached", || {
        ensure!(process.status()?.is_none(), "it has ended:\n{}", process.logs()?);
        Ok(process.logs()?.contains("reflecting"))
    })?;
    Ok(process)
}

/// A Session-Sender that asks for telemetry in each request.
struct Sender {
    socket: UdpSocket,
    sequence: u32,
}

impl Sender {
    fn new(from: IpAddr, to: IpAddr) -> Result<Self> {
        let socket = UdpSocket::bind((from, 0))?;
        socket.connect(SocketAddr::new(to, stamp::PORT))?;
        socket.set_read_timeout(Some(PATIENCE))?;
        let options = SockRef::from(&socket);
        // Two bits of ECN and six of DSCP, for the reply to bring back.
        if from.is_ipv4() {
            options.set_tos_v4(0xb9)?;
        } else {
            options.set_tclass_v6(0xb9)?;
        }
        Ok(Self { socket, sequence: 0 })
    }

    fn send(&mut self) -> Result<()> {
        let timestamp = ntp::from_unix_nanos(clock::realtime());
        let sequence = self.sequence;
        self.sequence += 1;
        let request = Request { sequence, timestamp, error_estimate: 0x8001, ssid: 99 };
        let mut octets = request.encode().to_vec();
        octets.extend([flag::UNRECOGNISED, kind::FOLLOW_UP_TELEMETRY, 0, TELEMETRY as u8]);
        octets.resize(LENGTH + HEADER_LENGTH + TELEMETRY, 0);
        self.socket.send(&octets)?;
        Ok(())
    }

    /// The next reply: its base, the flags of its TLV, and the value.
    fn receive(&self) -> Result<(Reply, u8, [u8; TELEMETRY])> {
        let mut buffer = [0; 200];
        let received = self.socket.recv(&mut buffer).context("no reply")?;
        ensure!(received == LENGTH + HEADER_LENGTH + TELEMETRY, "{received} octets");
        let reply = Reply::read(&buffer[..], 0, Mode::Unauthenticated).context("a short reply")?;
        let value = buffer[LENGTH + HEADER_LENGTH..].first_chunk().context("no value")?;
        Ok((reply, buffer[LENGTH], *value))
    }

    fn ask(&mut self) -> Result<(Reply, u8, [u8; TELEMETRY])> {
        self.send()?;
        self.receive()
    }
}

/// RFC 8972, section 4.7: each reply tells when the one before it left. It comes from the address that was
/// asked, which is not the first one of the host.
#[test]
fn telemetry_is_answered_by_userspace() -> Result<()> {
    let lab = Lab::builder().sites(&["a", "b"]).build()?;
    let (a, b) = (lab.site("a")?, lab.site("b")?);
    let (second_v4, second_v6) = ("10.77.2.77", "fd77:0:0:2::77");
    b.ip(&format!("addr add {second_v4}/24 dev wan0\naddr add {second_v6}/64 dev wan0 nodad\n"))?;
    let process = reflect(&lab)?;
    for (from, to) in [
        (IpAddr::from(a.ipv4()), IpAddr::from(b.ipv4())),
        (a.ipv4().into(), second_v4.parse()?),
        (a.ipv6().into(), b.ipv6().into()),
        (a.ipv6().into(), second_v6.parse()?),
    ] {
        let replies = a.namespace().run(|| {
            let mut sender = Sender::new(from, to)?;
            (0..5).map(|_| sender.ask()).collect::<Result<Vec<_>>>()
        })??;
        for (number, (reply, flags, _)) in (0..).zip(&replies) {
            assert_eq!((reply.sequence, reply.sender_sequence, reply.ssid), (number, number, 99));
            assert_eq!((reply.sender_ttl, *flags), (63, 0), "to {to}");
        }
        for pair in replies.windows(2) {
            let [(before, ..), (_, _, telemetry)] = pair else { unreachable!() };
            assert_eq!(telemetry[..4], before.sequence.to_be_bytes(), "to {to}");
            assert_eq!(telemetry[4..12], before.timestamp.to_be_bytes(), "to {to}");
            assert_eq!(telemetry[12], SOFTWARE_LOCAL);
        }
    }
    ensure!(process.stop()?.success());
    let logs = process.logs()?;
    assert!(logs.contains("deferred") && logs.contains("packets=20"), "{logs}");
    Ok(())
}

/// Whether all threads of a process have taken notice of a SIGSTOP.
fn is_stopped(pid: u32) -> Result<bool> {
    for thread in fs::read_dir(format!("/proc/{pid}/task"))? {
        let status = fs::read_to_string(thread?.path().join("status"))?;
        if !status.contains("State:\tT") {
            return Ok(false);
        }
    }
    Ok(true)
}

/// T2 is when the request came, not when userspace got round to it.
#[test]
fn the_kernel_says_when_a_deferred_request_came() -> Result<()> {
    let lab = Lab::builder().sites(&["a", "b"]).build()?;
    let (a, b) = (lab.site("a")?, lab.site("b")?);
    let process = reflect(&lab)?;
    let (reply, flags, _) = a.namespace().run(|| {
        let mut sender = Sender::new(a.ipv4().into(), b.ipv4().into())?;
        process.signal(Signal::Stop);
        eventually("all threads stand still", || is_stopped(process.pid()))?;
        sender.send()?;
        thread::sleep(PAUSE);
        process.signal(Signal::Continue);
        sender.receive()
    })??;
    let there = ntp::difference_nanos(reply.receive_timestamp, reply.sender_timestamp);
    let residence = ntp::difference_nanos(reply.timestamp, reply.receive_timestamp);
    let pause = PAUSE.as_nanos() as i64;
    assert_eq!(flags, 0);
    assert!((0..pause / 2).contains(&there), "{there} ns there");
    assert!(residence > pause * 3 / 4, "{residence} ns at the reflector");
    Ok(())
}

/// What another process has at the port must not keep the reflector from working.
#[test]
fn where_the_port_is_taken_the_kernel_answers_alone() -> Result<()> {
    let lab = Lab::builder().sites(&["a", "b"]).build()?;
    let (a, b) = (lab.site("a")?, lab.site("b")?);
    let _taken = b.namespace().run(|| UdpSocket::bind(("0.0.0.0", stamp::PORT)))??;
    let process = reflect(&lab)?;
    let logs = process.logs()?;
    assert!(logs.contains("cannot bind UDP port 862"), "{logs}");
    let answer = || Sender::new(a.ipv4().into(), b.ipv4().into())?.ask();
    let (_, flags, telemetry) = a.namespace().run(answer)??;
    assert_eq!((flags, telemetry), (flag::UNRECOGNISED, [0; TELEMETRY]));
    Ok(())
}

/// A link-local address belongs to an interface, and the kernel says which one.
#[test]
fn a_neighbour_is_answered_at_its_link_local_address() -> Result<()> {
    let lab = Lab::builder().sites(&["a", "b"]).build()?;
    let site = lab.site("b")?;
    let link_local = || -> Result<Ipv6Addr> {
        let all = addresses::local()?;
        let addresses = all.iter().map(|address| Ipv6Addr::from(address.octets()));
        addresses.into_iter().find(Ipv6Addr::is_unicast_link_local).context("no such address")
    };
    let reflector = site.namespace().run(link_local)??;
    let _process = reflect(&lab)?;
    let (reply, flags, _) = lab.wan().run(|| {
        // SAFETY: the name ends with a zero byte.
        let interface = unsafe { libc::if_nametoindex(c"to-b".as_ptr()) };
        let socket = UdpSocket::bind("[::]:0")?;
        socket.set_read_timeout(Some(PATIENCE))?;
        socket.connect(SocketAddrV6::new(reflector, stamp::PORT, 0, interface))?;
        Sender { socket, sequence: 0 }.ask()
    })??;
    assert_eq!((reply.sequence, reply.ssid, flags), (0, 99, 0));
    Ok(())
}
