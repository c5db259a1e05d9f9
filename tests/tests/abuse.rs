//! Floods against running agents: they change nothing that is measured.

use std::{net::Ipv4Addr, thread, time::Duration};

use anyhow::{Context as _, Result};
use lab::{Agent, Lab, Loss, Mesh};
use probe_ebpf::{
    checksum::Sum,
    maps::Counter,
    ntp,
    stamp::{PORT, Reply, Request},
};
use probe_user::{datapath::clock, report::Quantiles};
use tests::{
    agents::{dropped, healthy_pair, lost, path, since},
    flood,
};

const FLOOD: u32 = 1_000_000;

/// An IPv4 packet with this UDP payload. The sender's kernel adds the checksum of the header.
fn datagram(from: (Ipv4Addr, u16), to: (Ipv4Addr, u16), payload: &[u8]) -> Vec<u8> {
    let length = |octets: usize| (octets as u16).to_be_bytes();
    let mut packet = vec![0x45, 0, 0, 0, 0, 0, 0, 0, 255, 17, 0, 0];
    packet[2..4].copy_from_slice(&length(28 + payload.len()));
    packet.extend_from_slice(&from.0.octets());
    packet.extend_from_slice(&to.0.octets());
    packet.extend_from_slice(&from.1.to_be_bytes());
    packet.extend_from_slice(&to.1.to_be_bytes());
    packet.extend_from_slice(&length(8 + payload.len()));
    packet.extend_from_slice(&[0; 2]);
    packet.extend_from_slice(payload);
    packet
}

/// Puts another payload into a packet, with its checksum.
fn set_payload(packet: &mut [u8], payload: &[u8]) {
    packet[28..].copy_from_slice(payload);
    packet[26..28].fill(0);
    let udp_length = (packet.len() - 20) as u16;
    let sum = Sum::ZERO.add_slice(&packet[12..]).add_be16(17).add_be16(udp_length);
    packet[26..28].copy_from_slice(&sum.udp_checksum());
}

fn rtt(agent: &Agent) -> Result<Quantiles> {
    path(agent)?.rtt_us.context("no round trip was measured")
}

/// Replies with the right addresses, ports and SSID, from the place of the peer itself: all that is
/// missing is the T1 of a probe that waits.
#[test]
fn a_million_forged_replies_change_neither_loss_nor_round_trips() -> Result<()> {
    let (lab, a, b) = healthy_pair(&Mesh::default())?;
    let (before, rtt_before) = (path(&a)?.probes, rtt(&a)?);
    let before_b = path(&b)?.probes;
    let flow = path(&a)?.flows.into_iter().next().context("no flow")?;
    let (victim, peer) = (lab.site("a")?.ipv4(), lab.site("b")?.ipv4());
    let now = ntp::from_unix_nanos(clock::realtime());
    let mut reply = Reply {
        sequence: 0,
        timestamp: now,
        error_estimate: 0x8001,
        ssid: flow.ssid,
        receive_timestamp: now,
        sender_sequence: 0,
        sender_timestamp: now,
        sender_error_estimate: 0x8001,
        sender_ttl: 255,
    };
    let packet = datagram((peer, PORT), (victim, flow.source_port), &reply.encode());
    lab.site("b")?.run(|| {
        flood::send(lab.site("a")?, packet, FLOOD, |number, packet| {
            // All numbers that may be on the way, with times that may be near.
            reply.sequence = number;
            reply.sender_sequence = number % 4_096;
            reply.sender_timestamp = now + u64::from(number) * 0x1_0000_0001;
            // A residence that would make the round trip short.
            reply.timestamp = reply.receive_timestamp + u64::from(number % 1_000);
            set_payload(packet, &reply.encode());
        })
    })??;
    let seen = since(&before, &a)?;
    assert_eq!((lost(&seen), seen.sent), (0, seen.answered), "{seen:?}");
    assert_eq!(lost(&since(&before_b, &b)?), 0);
    let forged = [Counter::WrongTimestamp, Counter::NotSent, Counter::Duplicate, Counter::Late];
    let refused: u64 = forged.iter().map(|reason| dropped(&a, *reason)).sum::<Result<u64>>()?;
    assert_eq!(refused, u64::from(FLOOD), "each of them is counted");
    assert_eq!(dropped(&a, Counter::Duplicate)?, 0, "none had a T1 that was right");
    let rtt_after = rtt(&a)?;
    assert!(rtt_after.min > rtt_before.min / 4.0, "{rtt_before:?}, then {rtt_after:?}");
    assert!(rtt_after.p50 < rtt_before.p50 * 4.0 + 500.0, "{rtt_before:?}, then {rtt_after:?}");
    Ok(())
}

/// Requests of a million sessions, from as many sources and ports as there are, at the reflector of a
/// session that loses packets in both directions at the same time.
#[test]
fn a_million_new_sessions_leave_the_loss_of_an_active_one_exact() -> Result<()> {
    let (lab, a, b) = healthy_pair(&Mesh::default())?;
    let counters =
        |lab: &Lab| -> Result<_> { Ok((lab.counters("a", "b")?, lab.counters("b", "a")?)) };
    let (victim, neighbour) = (lab.site("b")?.ipv4(), lab.site("a")?.ipv4());
    let before = counters(&lab)?;
    let (before_a, before_b) = (path(&a)?.probes, path(&b)?.probes);
    // One in eleven on the way from b to a, where nothing goes but packets of the agents themselves.
    lab.loss("b", "a", Loss::Every(0.09))?;
    let request = Request { sequence: 0, timestamp: 1, error_estimate: 0x8001, ssid: 1 };
    let packet = datagram((neighbour, 1_024), (victim, PORT), &request.encode());
    // From the router in between: it need not pass the lossy link, and its replies go nowhere.
    lab.wan().run(|| {
        flood::send(lab.site("b")?, packet, FLOOD, |number, packet| {
            let [_, host, high, low] = number.to_be_bytes();
            packet[12..16].copy_from_slice(&[203, 0, 113, host]);
            packet[20..22].copy_from_slice(&[0x80, high]);
            let ssid = u16::from_be_bytes([low, host]).max(1);
            set_payload(packet, &Request { sequence: number, ssid, ..request }.encode());
        })
    })??;
    thread::sleep(Duration::from_millis(500));
    lab.clear("b", "a")?;
    let after = counters(&lab)?;
    let (a, b) = (since(&before_a, &a)?, since(&before_b, &b)?);
    let lost_on_the_way = after.1.dropped - before.1.dropped;
    assert_eq!((a.lost_forward, b.lost_reverse), (0, 0), "{a:?} {b:?}");
    assert_eq!((a.lost_unknown, b.lost_unknown), (0, 0), "{a:?} {b:?}");
    assert_eq!(a.lost_reverse + b.lost_forward, lost_on_the_way, "{a:?} {b:?}");
    assert!(lost_on_the_way > 50, "only {lost_on_the_way} were dropped");
    Ok(())
}
