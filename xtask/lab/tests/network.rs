//! What the lab does to packets, on real namespaces. Needs root, and fails without.

use std::{
    collections::BTreeSet,
    io::{Read as _, Write as _},
    net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket},
    os::fd::AsRawFd as _,
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result};
use lab::{Counters, Lab, Link, Loss, Site, clock};

const SILENCE: Duration = Duration::from_millis(150);

fn two_sites() -> Result<Lab> {
    Lab::builder().sites(&["fra", "nyc"]).build()
}

fn address(site: &Site, ipv6: bool) -> IpAddr {
    if ipv6 { site.ipv6().into() } else { site.ipv4().into() }
}

/// A socket at each of two sites, and numbered datagrams from one to the other.
struct Stream {
    sender: UdpSocket,
    receiver: UdpSocket,
}

impl Stream {
    fn open(lab: &Lab, from: &str, to: &str, ipv6: bool) -> Result<Self> {
        let bind = |name| -> Result<UdpSocket> {
            let site = lab.site(name)?;
            let socket = site.run(|| UdpSocket::bind((address(site, ipv6), 0)))??;
            socket.set_read_timeout(Some(SILENCE))?;
            Ok(socket)
        };
        let (sender, receiver) = (bind(from)?, bind(to)?);
        sender.connect(receiver.local_addr()?)?;
        receiver.connect(sender.local_addr()?)?;
        Ok(Self { sender, receiver })
    }

    /// Sends so many, and returns the numbers of those that arrive, in the order of arrival.
    fn send(&self, count: u32) -> Result<Vec<u32>> {
        let mut arrived = Vec::new();
        let mut buffer = [0; 4];
        for number in 0..count {
            self.sender.send(&number.to_be_bytes())?;
            // The receiver's buffer holds a few hundred.
            if number % 100 == 99 || number + 1 == count {
                let last = number;
                while arrived.last() != Some(&last) && self.receiver.recv(&mut buffer).is_ok() {
                    arrived.push(u32::from_be_bytes(buffer));
                }
            }
        }
        Ok(arrived)
    }

    /// Time for one datagram from one site to the other.
    fn one_way(&self) -> Result<Duration> {
        let sent = clock::now();
        self.sender.send(b"time")?;
        self.receiver.recv(&mut [0; 4])?;
        Ok(sent.elapsed())
    }
}

#[test]
fn packets_pass_and_are_counted_in_both_versions() -> Result<()> {
    let lab = Lab::builder().sites(&["fra", "nyc", "sin"]).build()?;
    for ipv6 in [false, true] {
        for from in ["fra", "nyc", "sin"] {
            for to in ["fra", "nyc", "sin"].into_iter().filter(|to| *to != from) {
                let before = lab.counters(from, to)?;
                assert_eq!(Stream::open(&lab, from, to, ipv6)?.send(50)?.len(), 50);
                let counted = lab.counters(from, to)? - before;
                assert_eq!(counted, Counters { seen: 50, matched: 50, dropped: 0 });
            }
        }
    }
    Ok(())
}

#[test]
fn an_even_share_is_exact_and_evenly_spread() -> Result<()> {
    let lab = two_sites()?;
    for (ipv6, share, lost) in [
        (false, 0.3, 300),
        (true, 0.3, 300),
        (false, 0.1, 100),
        (true, 0.013, 13),
        (false, 0.5, 500),
    ] {
        let stream = Stream::open(&lab, "fra", "nyc", ipv6)?;
        lab.loss("fra", "nyc", Loss::Every(share))?;
        let before = lab.counters("fra", "nyc")?;
        let arrived: BTreeSet<u32> = stream.send(1000)?.into_iter().collect();
        let counted = lab.counters("fra", "nyc")? - before;
        assert_eq!(arrived.len(), 1000 - lost, "{share}");
        assert_eq!(counted, Counters { seen: 1000, matched: 1000, dropped: lost as u64 });
        let step = (1.0 / share) as u32;
        let dropped: Vec<u32> = (0..1000).filter(|n| !arrived.contains(n)).collect();
        for pair in dropped.windows(2) {
            assert!((step..=step + 1).contains(&(pair[1] - pair[0])), "{share}: {pair:?}");
        }
    }
    Ok(())
}

#[test]
fn random_loss_has_its_probability_and_no_pattern() -> Result<()> {
    let lab = two_sites()?;
    lab.loss("fra", "nyc", Loss::Random(0.3))?;
    let arrived = Stream::open(&lab, "fra", "nyc", false)?.send(5000)?;
    let counted = lab.counters("fra", "nyc")?;
    assert_eq!(counted.seen, 5000);
    assert_eq!(counted.dropped, 5000 - arrived.len() as u64);
    // Six standard deviations of 5000 draws.
    let ratio = counted.loss_ratio().context("packets were seen")?;
    assert!((ratio - 0.3).abs() < 0.039, "{ratio}");
    // At an even share of 30 % no two in a row would be lost.
    let arrived: BTreeSet<u32> = arrived.into_iter().collect();
    let lost = |n: u32| !arrived.contains(&n);
    let pairs = (0..4999).filter(|n| lost(*n) && lost(n + 1)).count();
    assert!((300..600).contains(&pairs), "{pairs} pairs, of which 450 are expected");
    Ok(())
}

#[test]
fn bursts_have_their_length_and_their_share() -> Result<()> {
    let lab = two_sites()?;
    let stream = Stream::open(&lab, "fra", "nyc", false)?;
    // Runs are counted from the first packet of the lab.
    let before = lab.counters("fra", "nyc")?;
    assert_eq!(before.seen % 4, 0, "{before:?}");
    lab.loss("fra", "nyc", Loss::Bursts(0.3))?;
    let arrived: BTreeSet<u32> = stream.send(8000)?.into_iter().collect();
    for run in 0..2000 {
        let of_run = (4 * run..4 * run + 4).filter(|number| arrived.contains(number)).count();
        assert!(of_run == 0 || of_run == 4, "{of_run} of run {run} arrived");
    }
    // Six standard deviations of 2000 draws.
    let ratio = (lab.counters("fra", "nyc")? - before).loss_ratio().context("packets were seen")?;
    assert!((ratio - 0.3).abs() < 0.062, "{ratio}");
    Ok(())
}

#[test]
fn a_blackhole_has_one_direction_until_it_has_both() -> Result<()> {
    let lab = two_sites()?;
    let there = Stream::open(&lab, "fra", "nyc", false)?;
    let back = Stream::open(&lab, "nyc", "fra", true)?;
    lab.loss("fra", "nyc", Loss::Blackhole)?;
    assert_eq!(there.send(20)?.len(), 0);
    assert_eq!(back.send(20)?.len(), 20);
    lab.blackhole_both("fra", "nyc")?;
    assert_eq!(back.send(20)?.len(), 0);
    assert_eq!(lab.counters("nyc", "fra")?.dropped, 20);
    lab.clear_both("fra", "nyc")?;
    assert_eq!((there.send(20)?.len(), back.send(20)?.len()), (20, 20));
    Ok(())
}

#[test]
fn a_rule_for_a_port_spares_the_other_flows() -> Result<()> {
    let lab = two_sites()?;
    for ipv6 in [false, true] {
        let (sick, well) =
            (Stream::open(&lab, "fra", "nyc", ipv6)?, Stream::open(&lab, "fra", "nyc", ipv6)?);
        let before = lab.counters("fra", "nyc")?;
        lab.loss_on_port("fra", "nyc", sick.sender.local_addr()?.port(), Loss::Blackhole)?;
        assert_eq!((sick.send(20)?.len(), well.send(30)?.len()), (0, 30));
        let counted = lab.counters("fra", "nyc")? - before;
        assert_eq!(counted, Counters { seen: 50, matched: 20, dropped: 20 });
        lab.clear("fra", "nyc")?;
        assert_eq!(sick.send(20)?.len(), 20);
    }
    Ok(())
}

#[test]
fn delay_has_a_direction_and_loss_applies_once() -> Result<()> {
    let lab = two_sites()?;
    for ipv6 in [false, true] {
        let there = Stream::open(&lab, "fra", "nyc", ipv6)?;
        let back = Stream::open(&lab, "nyc", "fra", ipv6)?;
        let direct = hops(&there)?;
        lab.delay("fra", "nyc", Duration::from_millis(30))?;
        let times: Vec<Duration> = (0..20).map(|_| there.one_way()).collect::<Result<_>>()?;
        let least = times.iter().min().context("there are times")?;
        assert!((30..40).contains(&least.as_millis()), "{times:?}");
        let times: Vec<Duration> = (0..20).map(|_| back.one_way()).collect::<Result<_>>()?;
        assert!(times.iter().min().context("there are times")?.as_millis() < 10, "{times:?}");
        assert_eq!(hops(&there)?, direct, "a delay is not a hop");

        lab.loss("fra", "nyc", Loss::Every(0.2))?;
        let before = lab.counters("fra", "nyc")?;
        assert_eq!(there.send(100)?.len(), 80);
        let counted = lab.counters("fra", "nyc")? - before;
        assert_eq!(counted, Counters { seen: 100, matched: 100, dropped: 20 });

        lab.clear("fra", "nyc")?;
        lab.delay("fra", "nyc", Duration::ZERO)?;
        assert!(there.one_way()?.as_millis() < 10);
    }
    assert_eq!(lab.undelivered(), 0);
    Ok(())
}

#[test]
fn jitter_reorders_and_loses_nothing() -> Result<()> {
    let lab = two_sites()?;
    lab.delay_with_jitter("fra", "nyc", Duration::from_millis(5), Duration::from_millis(20))?;
    let stream = Stream::open(&lab, "fra", "nyc", false)?;
    for number in 0..100_u32 {
        stream.sender.send(&number.to_be_bytes())?;
    }
    let mut buffer = [0; 4];
    let arrived: Vec<u32> =
        std::iter::from_fn(|| stream.receiver.recv(&mut buffer).ok().map(|_| buffer))
            .map(u32::from_be_bytes)
            .collect();
    let mut sorted = arrived.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, (0..100).collect::<Vec<_>>());
    assert_ne!(arrived, sorted);
    Ok(())
}

#[test]
fn every_segment_of_tcp_is_a_packet() -> Result<()> {
    const OCTETS: usize = 4_000_000;
    let lab = two_sites()?;
    let nyc = lab.site("nyc")?;
    for delay in [Duration::ZERO, Duration::from_millis(2)] {
        lab.delay("fra", "nyc", delay)?;
        let before = lab.counters("fra", "nyc")?;
        let listener = nyc.run(|| TcpListener::bind((nyc.ipv4(), 0)))??;
        let target = listener.local_addr()?;
        let mut stream = lab.site("fra")?.run(|| TcpStream::connect(target))??;
        let reader = thread::spawn(move || -> Result<usize> {
            Ok(listener.accept()?.0.read_to_end(&mut Vec::new())?)
        });
        stream.write_all(&vec![7; OCTETS])?;
        drop(stream);
        assert_eq!(reader.join().ok().context("the reader panicked")??, OCTETS);
        let seen = (lab.counters("fra", "nyc")? - before).seen as usize;
        assert!(seen >= OCTETS.div_ceil(1460), "{seen} packets for {OCTETS} octets");
    }
    assert_eq!(lab.undelivered(), 0);
    Ok(())
}

#[test]
fn a_link_goes_down_and_comes_back() -> Result<()> {
    let lab = two_sites()?;
    let fra = lab.site("fra")?;
    for set in [Site::set_link, Site::set_carrier] {
        for ipv6 in [false, true] {
            let there = Stream::open(&lab, "fra", "nyc", ipv6)?;
            let back = Stream::open(&lab, "nyc", "fra", ipv6)?;
            set(fra, Link::Down)?;
            back.sender.send(b"lost")?;
            assert!(
                there.sender.send(b"lost").is_err() || there.receiver.recv(&mut [0; 4]).is_err()
            );
            assert!(back.receiver.recv(&mut [0; 4]).is_err());
            set(fra, Link::Up)?;
            let deadline = clock::now() + Duration::from_secs(5);
            while !(there.one_way().is_ok() && back.one_way().is_ok()) {
                assert!(clock::now() < deadline, "no packets after the link is back");
            }
        }
    }
    Ok(())
}

/// How far the TTL or Hop Limit of a datagram has come down from 64.
fn hops(stream: &Stream) -> Result<i32> {
    let ipv6 = matches!(stream.receiver.local_addr()?, SocketAddr::V6(_));
    let (level, option, kind) = if ipv6 {
        (libc::IPPROTO_IPV6, libc::IPV6_RECVHOPLIMIT, libc::IPV6_HOPLIMIT)
    } else {
        (libc::IPPROTO_IP, libc::IP_RECVTTL, libc::IP_TTL)
    };
    let socket = stream.receiver.as_raw_fd();
    let one = 1_i32;
    // SAFETY: the option's value is an int that lives through the call.
    let set = unsafe { libc::setsockopt(socket, level, option, (&raw const one).cast(), 4) };
    assert_eq!(set, 0, "{}", std::io::Error::last_os_error());
    stream.sender.send(b"hops")?;
    let (mut octets, mut control) = ([0_u8; 4], [0_u64; 8]);
    let mut piece = libc::iovec { iov_base: octets.as_mut_ptr().cast(), iov_len: 4 };
    // SAFETY: `msghdr` is plain data, for which zeros are a value.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = &raw mut piece;
    message.msg_iovlen = 1;
    message.msg_control = control.as_mut_ptr().cast();
    message.msg_controllen = size_of_val(&control);
    // SAFETY: the message's buffers live through the call, with the lengths that it says.
    let received = unsafe { libc::recvmsg(socket, &raw mut message, 0) };
    assert_eq!(received, 4, "{}", std::io::Error::last_os_error());
    // SAFETY: the kernel has filled in the control messages, and null stands for none.
    let first = unsafe { libc::CMSG_FIRSTHDR(&raw const message).as_ref() };
    let first = first.context("no control message")?;
    assert_eq!((first.cmsg_level, first.cmsg_type), (level, kind));
    // SAFETY: the data of this kind of control message is an int.
    Ok(64 - unsafe { libc::CMSG_DATA(first).cast::<i32>().read_unaligned() })
}
