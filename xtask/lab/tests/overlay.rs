//! The overlay of the lab: its tunnels, its hosts, and what is measured on them. Needs root, and fails without.

use std::{
    env, fs,
    io::{Read as _, Write as _},
    net::{IpAddr, Ipv4Addr, TcpListener, TcpStream, UdpSocket},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result};
use lab::{Counters, Host, Lab, Loss, Stream, Way, clock};

const SILENCE: Duration = Duration::from_millis(150);

fn three_sites() -> Result<Lab> {
    Lab::builder().sites(&["fra", "nyc", "sin"]).overlay().build()
}

fn relay(name: &str) -> Way {
    Way::Relay(name.to_owned())
}

fn address(host: &Host, ipv6: bool) -> IpAddr {
    if ipv6 { host.ipv6().into() } else { host.ipv4().into() }
}

/// How many of 100 datagrams from one host arrive at another, sent one at a time.
fn arrive(lab: &Lab, from: &str, to: &str, ipv6: bool) -> Result<u32> {
    let (from, to) = (lab.host(from)?, lab.host(to)?);
    let receiver = to.run(|| UdpSocket::bind((address(to, ipv6), 0)))??;
    receiver.set_read_timeout(Some(SILENCE))?;
    let sender = from.run(|| UdpSocket::bind((address(from, ipv6), 0)))??;
    sender.connect(receiver.local_addr()?)?;
    for number in 0..100_u8 {
        // Without a route the first one is answered by an ICMP error, which the next one gets to hear.
        let _ = sender.send(&[number]);
    }
    Ok((0..100).map_while(|_| receiver.recv(&mut [0; 1]).ok()).count() as u32)
}

#[test]
fn hosts_reach_one_another_by_routes_only() -> Result<()> {
    let lab = three_sites()?;
    assert_eq!(lab.way("fra", "nyc")?, Way::None);
    assert_eq!(arrive(&lab, "fra", "nyc", false)?, 0);
    lab.install_direct_routes(100)?;
    assert_eq!(lab.way("fra", "nyc")?, Way::Direct);
    for ipv6 in [false, true] {
        for from in ["fra", "nyc", "sin"] {
            for to in ["fra", "nyc", "sin"].into_iter().filter(|to| *to != from) {
                let before = lab.counters(from, to)?;
                assert_eq!(arrive(&lab, from, to, ipv6)?, 100, "{from} to {to}");
                let counted = (lab.counters(from, to)? - before).seen;
                // And a neighbour that is looked for now and then.
                assert!((100..=104).contains(&counted), "{counted} packets of {from} to {to}");
            }
        }
    }
    Ok(())
}

#[test]
fn a_switch_puts_a_route_in_and_takes_it_away() -> Result<()> {
    let lab = three_sites()?;
    lab.install_route("fra", "nyc", "sin", 200)?;
    let switch = lab.switch("fra", "nyc", 100)?;
    for _ in 0..2 {
        assert_eq!(lab.way("fra", "nyc")?, relay("sin"));
        switch.set(true)?;
        assert_eq!(lab.way("fra", "nyc")?, Way::Direct);
        assert!(switch.set(true).is_err());
        switch.set(false)?;
    }
    assert_eq!(lab.way("fra", "nyc")?, relay("sin"));
    assert!(switch.set(false).is_err());
    Ok(())
}

/// Packets at the WAN since an earlier reading, without those that look for neighbours: a few.
fn roughly(lab: &Lab, from: &str, to: &str, before: Counters) -> Result<u64> {
    Ok((lab.counters(from, to)? - before).seen / 10 * 10)
}

#[test]
fn loss_hits_one_direction_of_one_tunnel() -> Result<()> {
    let lab = three_sites()?;
    lab.install_direct_routes(100)?;
    lab.loss("fra", "nyc", Loss::Blackhole)?;
    assert_eq!(arrive(&lab, "fra", "nyc", false)?, 0);
    assert_eq!(arrive(&lab, "nyc", "fra", false)?, 100);
    assert_eq!(arrive(&lab, "fra", "sin", false)?, 100);

    let direct = lab.counters("fra", "nyc")?;
    let (first, second) = (lab.counters("fra", "sin")?, lab.counters("sin", "nyc")?);
    lab.install_route("fra", "nyc", "sin", 50)?;
    assert_eq!(lab.way("fra", "nyc")?, relay("sin"));
    assert_eq!(lab.way("nyc", "fra")?, Way::Direct);
    assert_eq!(lab.way_at("sin", "fra", "nyc")?, Way::Direct);
    assert_eq!(arrive(&lab, "fra", "nyc", false)?, 100);
    assert_eq!(roughly(&lab, "fra", "nyc", direct)?, 0);
    assert_eq!(roughly(&lab, "fra", "sin", first)?, 100);
    assert_eq!(roughly(&lab, "sin", "nyc", second)?, 100);

    // Of a detour, each of its two links counts.
    lab.loss("sin", "nyc", Loss::Blackhole)?;
    assert_eq!(arrive(&lab, "fra", "nyc", false)?, 0);
    lab.clear("sin", "nyc")?;
    lab.loss("fra", "sin", Loss::Blackhole)?;
    assert_eq!(arrive(&lab, "fra", "nyc", false)?, 0);
    Ok(())
}

/// Inner segments are lost one by one, so there is one outer packet for each of them, on every hop, with a
/// delay and without.
#[test]
fn every_segment_in_a_tunnel_is_a_packet() -> Result<()> {
    const OCTETS: usize = 3_000_000;
    let lab = three_sites()?;
    lab.install_direct_routes(100)?;
    lab.install_route("fra", "nyc", "sin", 50)?;
    let (fra, nyc) = (lab.host("fra")?, lab.host("nyc")?);
    for delay in [Duration::ZERO, Duration::from_millis(2)] {
        lab.delay("fra", "sin", delay)?;
        lab.delay("sin", "nyc", delay)?;
        let hops = [("fra", "sin"), ("sin", "nyc")];
        let before = hops.map(|(from, to)| lab.counters(from, to));
        let listener = nyc.run(|| TcpListener::bind((nyc.ipv4(), 0)))??;
        let target = listener.local_addr()?;
        let mut stream = fra.run(|| TcpStream::connect(target))??;
        let reader = thread::spawn(move || -> Result<usize> {
            Ok(listener.accept()?.0.read_to_end(&mut Vec::new())?)
        });
        stream.write_all(&vec![7; OCTETS])?;
        drop(stream);
        assert_eq!(reader.join().ok().context("the reader panicked")??, OCTETS);
        for ((from, to), before) in hops.into_iter().zip(before) {
            let seen = (lab.counters(from, to)? - before?).seen as usize;
            assert!(seen >= OCTETS.div_ceil(1410), "{seen} packets for {OCTETS} octets");
        }
    }
    assert_eq!(lab.undelivered(), 0);
    Ok(())
}

#[test]
fn a_tunnel_has_the_delay_of_its_way() -> Result<()> {
    let lab = three_sites()?;
    lab.install_direct_routes(100)?;
    lab.delay("fra", "nyc", Duration::from_millis(30))?;
    let (fra, nyc) = (lab.host("fra")?, lab.host("nyc")?);
    let receiver = nyc.run(|| UdpSocket::bind((nyc.ipv4(), 0)))??;
    receiver.set_read_timeout(Some(Duration::from_secs(1)))?;
    let sender = fra.run(|| UdpSocket::bind((fra.ipv4(), 0)))??;
    sender.connect(receiver.local_addr()?)?;
    let one_way = || -> Result<u128> {
        let sent = clock::now();
        sender.send(b"time")?;
        receiver.recv(&mut [0; 4])?;
        Ok(sent.elapsed().as_millis())
    };
    let least =
        |_| (0..10).map(|_| one_way()).collect::<Result<Vec<_>>>().map(|t| t.into_iter().min());
    let direct = least(())?.context("times")?;
    assert!((30..40).contains(&direct), "{direct} ms");
    lab.install_route("fra", "nyc", "sin", 50)?;
    let relayed = least(())?.context("times")?;
    assert!(relayed < 10, "{relayed} ms");
    Ok(())
}

#[test]
fn a_stream_knows_its_stalls_and_loses_nothing() -> Result<()> {
    let lab = three_sites()?;
    lab.install_direct_routes(100)?;
    let watch = lab.watch_way("fra", "nyc")?;
    let stream = Stream::start(lab.host("fra")?, lab.host("nyc")?)?;
    let begun = clock::now();
    thread::sleep(Duration::from_millis(300));
    let calm = stream.longest_gap(begun);
    assert!(calm < Duration::from_millis(150), "{calm:?}");

    let struck = clock::now();
    lab.blackhole_both("fra", "nyc")?;
    thread::sleep(Duration::from_millis(400));
    assert!(stream.longest_gap(struck) > Duration::from_millis(350));
    let moved = clock::now();
    lab.install_route("fra", "nyc", "sin", 50)?;
    lab.install_route("nyc", "fra", "sin", 50)?;
    let seen = watch.await_way(struck, Duration::from_secs(5), |way| *way == relay("sin"))?;
    let late = seen.context("the watch has not seen the way change")?.duration_since(moved);
    assert!(late < Duration::from_millis(500), "{late:?}");
    stream.await_arrival_after(moved, Duration::from_secs(20))?;
    let stall = stream.longest_gap(struck);
    assert!(stall > Duration::from_millis(350) && stall < Duration::from_secs(5), "{stall:?}");
    let totals = stream.finish()?;
    assert_eq!(totals.sent, totals.received);
    assert!(totals.sent > 100 * 256, "{totals:?}");
    assert_eq!(
        watch.ways()?.into_iter().map(|(_, way)| way).collect::<Vec<_>>(),
        [Way::Direct, relay("sin")]
    );
    Ok(())
}

#[test]
fn an_overlay_goes_with_its_lab() -> Result<()> {
    let lab = three_sites()?;
    let prefix = lab.wan().name().trim_end_matches("wan").to_owned();
    let names = || -> Result<usize> {
        let names = fs::read_dir("/run/netns")?
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        Ok(names.filter(|name| name.starts_with(&prefix)).count())
    };
    assert_eq!(names()?, 7);
    let elsewhere = env::temp_dir().join(format!("{prefix}elsewhere"));
    let litter = ["one", "two"].map(|name| elsewhere.join(name));
    for directory in &litter {
        fs::create_dir_all(directory)?;
        fs::write(directory.join("crash.log"), "")?;
    }
    lab.remove_too(litter[0].clone())?;
    assert_eq!(lab.host("nyc")?.ipv4(), Ipv4Addr::new(10, 78, 2, 2));
    drop(lab);
    assert_eq!(names()?, 0);
    assert_eq!(litter.map(|directory| directory.exists()), [false, true]);

    let plain = Lab::builder().site("fra").build()?;
    plain.remove_too(elsewhere.join("two"))?;
    let refused = plain.host("fra").err().context("a host without an overlay")?;
    assert!(refused.to_string().contains("without an overlay"), "{refused}");
    drop(plain);
    assert!(!elsewhere.exists());
    Ok(())
}
