//! The reflector in XDP, probed by a Session-Sender in plain userspace: sockets and nothing else.

use std::{
    net::{IpAddr, SocketAddr, UdpSocket},
    os::fd::AsRawFd as _,
    process::Command,
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use lab::{Lab, Process};
use probe_ebpf::{
    frame::Udp,
    ntp,
    stamp::{self, Mode, Reply, Request},
};
use probe_user::datapath::clock;
use tests::{
    agents::{PATIENCE, eventually},
    golden::{self, octets},
    kernel::{checksums_are_right, mend_checksums},
};

/// Octets of a TLV before its value.
const TLV_HEADER: usize = 4;

/// A lab of two sites, with a reflector in "b" that is attached.
fn reflector() -> Result<(Lab, Process)> {
    let lab = Lab::builder().sites(&["a", "b"]).build()?;
    let mut command = Command::new(lab::agent::binary(None)?);
    command.args(["reflect", "--interface", "wan0"]);
    let process = lab.site("b")?.spawn(command)?;
    eventually("the reflector is attached", || {
        ensure!(process.status()?.is_none(), "it has ended:\n{}", process.logs()?);
        Ok(process.logs()?.contains("reflecting"))
    })?;
    Ok((lab, process))
}

/// Fills a packet up with an Extra Padding TLV (RFC 8972, section 4.1), unrecognised until it was reflected.
fn pad(packet: &mut Vec<u8>, length: usize) {
    if let Some(padding) = length.checked_sub(packet.len() + TLV_HEADER) {
        packet.extend_from_slice(&[0, 1]);
        packet.extend_from_slice(&(padding as u16).to_be_bytes());
        packet.resize(length, 0x5a);
    }
}

/// Sends requests one after the other, and returns each reply with the TTL that it came with.
fn probe(from: IpAddr, to: IpAddr, count: u32, length: usize) -> Result<Vec<(Reply, Vec<u8>)>> {
    let socket = UdpSocket::bind((from, 0))?;
    socket.connect(SocketAddr::new(to, stamp::PORT))?;
    socket.set_read_timeout(Some(PATIENCE))?;
    let on: libc::c_int = 255;
    let (level, option) = if from.is_ipv4() {
        (libc::IPPROTO_IP, libc::IP_TTL)
    } else {
        (libc::IPPROTO_IPV6, libc::IPV6_UNICAST_HOPS)
    };
    // SAFETY: the option takes an int, and is given one.
    let set =
        unsafe { libc::setsockopt(socket.as_raw_fd(), level, option, (&raw const on).cast(), 4) };
    ensure!(set == 0, "cannot set the TTL");
    (0..count)
        .map(|sequence| {
            let timestamp = ntp::from_unix_nanos(clock::realtime());
            let request = Request { sequence, timestamp, error_estimate: 0x8001, ssid: 77 };
            let mut octets = request.encode().to_vec();
            pad(&mut octets, length);
            socket.send(&octets)?;
            let mut buffer = vec![0; 2_000];
            // The socket checks the UDP checksum: a reply with a wrong one never gets here.
            let received = socket.recv(&mut buffer).context("no reply")?;
            buffer.truncate(received);
            let reply =
                Reply::read(&buffer[..], 0, Mode::Unauthenticated).context("a short reply")?;
            ensure!(reply.sender_timestamp == timestamp, "T1 is not the one sent: {reply:?}");
            Ok((reply, buffer))
        })
        .collect()
}

/// RFC 8762, section 4.3: over a veth, in both versions of IP.
#[test]
fn a_plain_userspace_sender_gets_correct_replies() -> Result<()> {
    let (lab, _reflector) = reflector()?;
    let (a, b) = (lab.site("a")?, lab.site("b")?);
    for (from, to) in [
        (IpAddr::from(a.ipv4()), IpAddr::from(b.ipv4())),
        (IpAddr::from(a.ipv6()), IpAddr::from(b.ipv6())),
    ] {
        for length in [stamp::LENGTH, 101, 1_000] {
            let replies = a.namespace().run(|| probe(from, to, 20, length))??;
            for (number, (reply, octets)) in (0..).zip(&replies) {
                assert_eq!(octets.len(), length, "a reply is as long as its request");
                let mut request = octets[..stamp::LENGTH].to_vec();
                pad(&mut request, length);
                assert_eq!(
                    octets[stamp::LENGTH..],
                    request[stamp::LENGTH..],
                    "the padding comes back"
                );
                assert_eq!((reply.sequence, reply.sender_sequence), (number, number));
                assert_eq!((reply.ssid, reply.sender_error_estimate), (77, 0x8001));
                assert_eq!(reply.sender_ttl, 254, "255 less the router on the way");
                assert_eq!((&octets[38..40], &octets[41..44]), (&[0; 2][..], &[0; 3][..]));
                let residence = ntp::difference_nanos(reply.timestamp, reply.receive_timestamp);
                assert!(residence > 0, "T3 after T2: {reply:?}");
                // One host, one clock: T1 <= T2 <= T3, and none far from now.
                let forward =
                    ntp::difference_nanos(reply.receive_timestamp, reply.sender_timestamp);
                assert!((0..5_000_000_000).contains(&forward), "T2 - T1 is {forward} ns");
            }
        }
    }
    Ok(())
}

/// A raw socket on an interface, that keeps a note of the VLAN tags which the kernel takes off.
fn raw_socket(interface: &str) -> Result<socket2::Socket> {
    let all = i32::from((libc::ETH_P_ALL as u16).to_be());
    let (domain, protocol) = (socket2::Domain::PACKET, socket2::Protocol::from(all));
    let socket = socket2::Socket::new(domain, socket2::Type::RAW, Some(protocol))?;
    let name = std::ffi::CString::new(interface)?;
    let on: libc::c_int = 1;
    // SAFETY: the name ends with a zero byte; address and option are as long as is said.
    let failed = unsafe {
        let mut address: libc::sockaddr_ll = std::mem::zeroed();
        address.sll_family = libc::AF_PACKET as u16;
        address.sll_protocol = all as u16;
        address.sll_ifindex = libc::if_nametoindex(name.as_ptr()) as i32;
        let length = size_of::<libc::sockaddr_ll>() as libc::socklen_t;
        libc::bind(socket.as_raw_fd(), (&raw const address).cast(), length)
            | libc::setsockopt(
                socket.as_raw_fd(),
                libc::SOL_PACKET,
                libc::PACKET_AUXDATA,
                (&raw const on).cast(),
                size_of_val(&on) as libc::socklen_t,
            )
    };
    ensure!(failed == 0, "cannot use {interface}: {}", std::io::Error::last_os_error());
    socket.set_read_timeout(Some(Duration::from_millis(200)))?;
    Ok(socket)
}

/// Receives a frame as it was on the wire: with the outer VLAN tag, which the kernel hands over beside
/// the frame (`packet(7)`, PACKET_AUXDATA).
fn receive(socket: &socket2::Socket) -> Option<Vec<u8>> {
    let mut frame = vec![0_u8; 2_000];
    let mut control = [0_u64; 16];
    let mut part = libc::iovec { iov_base: frame.as_mut_ptr().cast(), iov_len: frame.len() };
    // SAFETY: the pointers lead to buffers of the lengths that are given with them, and outlive the
    // call; the control message is read as the type that its level and number say.
    unsafe {
        let mut message: libc::msghdr = std::mem::zeroed();
        message.msg_iov = &raw mut part;
        message.msg_iovlen = 1;
        message.msg_control = control.as_mut_ptr().cast();
        message.msg_controllen = size_of_val(&control);
        let received = libc::recvmsg(socket.as_raw_fd(), &raw mut message, 0);
        frame.truncate(usize::try_from(received).ok()?);
        let header = libc::CMSG_FIRSTHDR(&raw const message);
        if let Some(header) = header.as_ref()
            && (header.cmsg_level, header.cmsg_type) == (libc::SOL_PACKET, libc::PACKET_AUXDATA)
        {
            let note = libc::CMSG_DATA(header).cast::<libc::tpacket_auxdata>().read_unaligned();
            if note.tp_status & libc::TP_STATUS_VLAN_VALID != 0 {
                let tag = [note.tp_vlan_tpid.to_be_bytes(), note.tp_vlan_tci.to_be_bytes()];
                frame.splice(12..12, tag.concat());
            }
        }
    }
    Some(frame)
}

/// Up to two VLAN tags: the frame comes back with the same ones.
#[test]
fn tagged_requests_are_answered_with_the_same_tags() -> Result<()> {
    let (lab, _reflector) = reflector()?;
    let b = lab.site("b")?;
    let mut show = Command::new("ip");
    show.args(["-json", "link", "show", "dev", "wan0"]);
    let link: serde_json::Value = serde_json::from_slice(&b.output(show)?.stdout)?;
    let mac: Vec<u8> = link[0]["address"]
        .as_str()
        .context("no address")?
        .split(':')
        .map(|octet| u8::from_str_radix(octet, 16))
        .collect::<Result<_, _>>()?;
    for hex in [golden::REQUEST_VLAN, golden::REQUEST_QINQ] {
        let mut frame = octets(hex);
        frame[..6].copy_from_slice(&mac);
        let udp = Udp::find(&frame[..]).map_err(|why| anyhow::anyhow!("{why:?}"))?;
        let to: Vec<u8> = match udp.version {
            probe_ebpf::frame::IpVersion::V4 => b.ipv4().octets().to_vec(),
            probe_ebpf::frame::IpVersion::V6 => b.ipv6().octets().to_vec(),
        };
        let at = udp.udp_at - to.len();
        frame[at..at + to.len()].copy_from_slice(&to);
        mend_checksums(&mut frame);
        let answer = lab.wan().run(|| exchange(&frame))??;
        assert_eq!(answer[..6], frame[6..12], "back to the sender's address");
        assert!(checksums_are_right(&answer), "{answer:02x?}");
        assert_eq!(answer[12..udp.ip_at], frame[12..udp.ip_at], "the same tags");
        let reply = Reply::read(&answer[..], udp.payload_at(), Mode::Unauthenticated)
            .context("a short reply")?;
        assert_eq!((reply.sender_sequence, reply.ssid), (7, 0x1234));
    }
    Ok(())
}

/// Sends a frame, and returns the first one from port 862 that comes back.
fn exchange(frame: &[u8]) -> Result<Vec<u8>> {
    let socket = raw_socket("to-b")?;
    for _ in 0..20 {
        socket.send(frame)?;
        while let Some(answer) = receive(&socket) {
            if Udp::find(&answer[..]).is_ok_and(|udp| udp.source_port == stamp::PORT) {
                return Ok(answer);
            }
        }
        thread::sleep(Duration::from_millis(100));
    }
    anyhow::bail!("no reply came back")
}
