//! Probes that need no network stack: they are as it would have sent them, and nothing is lost by it.

use std::{fmt::Write as _, fs, net::SocketAddr, process::Command, thread, time::Duration};

use anyhow::{Context as _, Result};
use lab::{Pair, Process, site::INTERFACE};
use probe_ebpf::{
    frame::Udp,
    maps::{Counter, SlotState},
    stamp::{Mode, Request},
};
use probe_user::{account::Memory as _, datapath::SessionKeys};
use tests::{
    agents::eventually,
    golden,
    kernel::{
        Kernel, SOURCE_PORT, XDP_DROP, XDP_PASS, XDP_REDIRECT, checksums_are_right, mend_checksums,
        template,
    },
};

const SSID: u16 = 0x1234;

/// A session that has sent one packet through the network stack, and that packet.
fn begun(hex: &str, reflector: &str) -> (Kernel, Vec<u8>) {
    let mut kernel = Kernel::new();
    let reflector: SocketAddr = reflector.parse().unwrap();
    kernel.datapath.open_session(SSID, SOURCE_PORT, reflector, SessionKeys::default()).unwrap();
    let sent = kernel.egress(&template(hex, SSID));
    assert_eq!(kernel.count(Counter::Stamped), 1);
    (kernel, sent)
}

/// Has a packet of the session made in a frame of this length, whose contents are left over from others.
fn made(kernel: &mut Kernel, length: usize) -> (u32, Vec<u8>) {
    let mut transmitter = kernel.datapath.transmitter().unwrap().unwrap();
    transmitter.prepare([SSID]);
    kernel.ingress(&vec![0xa5; length])
}

#[test]
fn packets_are_those_of_the_network_stack_with_the_next_number() {
    let cases = [(golden::REQUEST_V4, "192.0.2.2:862"), (golden::REQUEST_V6, "[2001:db8::2]:862")];
    for (hex, reflector) in cases {
        let (mut kernel, sent) = begun(hex, reflector);
        let (action, mut made) = made(&mut kernel, sent.len());
        assert_eq!(action, XDP_REDIRECT);
        assert!(checksums_are_right(&made));
        assert_eq!(kernel.count(Counter::Transmitted), 1);

        let udp = Udp::find(&made[..]).unwrap();
        let read = |frame: &[u8]| Request::read(frame, udp.payload_at(), Mode::Unauthenticated);
        let (first, second) = (read(&sent).unwrap(), read(&made).unwrap());
        assert_eq!((second.sequence, second.ssid), (1, SSID));
        assert!(second.timestamp > first.timestamp, "time goes on");
        let session = kernel.datapath.session(SSID);
        let slot = session.slot(1);
        assert_eq!(session.sent(), 2);
        assert_eq!((slot.sequence, slot.timestamp), (1, second.timestamp));
        assert_eq!(SlotState::from_u32(slot.state), SlotState::Sent);

        let at = udp.payload_at();
        made[at..at + 12].copy_from_slice(&sent[at..at + 12]);
        mend_checksums(&mut made);
        assert_eq!(made, sent, "all but number, time and checksum");
    }
}

#[test]
fn what_was_never_sent_so_is_not_made() {
    let cases = [
        // The network card would have to put the tag in, and the payload is longer.
        (golden::REQUEST_VLAN, "192.0.2.2:862"),
        (golden::REQUEST_LONG, "192.0.2.2:862"),
    ];
    for (hex, reflector) in cases {
        let (mut kernel, _) = begun(hex, reflector);
        assert_eq!(made(&mut kernel, 86).0, XDP_DROP);
        assert_eq!(kernel.datapath.session(SSID).sent(), 1, "it takes no number");
    }
    let (mut kernel, sent) = begun(golden::REQUEST_V4, "192.0.2.2:862");
    assert_eq!(made(&mut kernel, sent.len() + 1).0, XDP_DROP, "the frame has another length");
    kernel.datapath.close_session(SSID);
    assert_eq!(made(&mut kernel, sent.len()).0, XDP_DROP, "its session has ended");
    let (elsewhere, keys) = ("192.0.2.1:862".parse().unwrap(), SessionKeys::default());
    kernel.datapath.open_session(SSID, SOURCE_PORT, elsewhere, keys).unwrap();
    assert_eq!(made(&mut kernel, sent.len()).0, XDP_DROP, "the way of another session");
    assert_eq!(kernel.datapath.session(SSID).sent(), 0);
    assert_eq!(kernel.count(Counter::Transmitted), 0);
}

#[test]
fn a_frame_is_left_alone_when_no_packet_is_wanted() {
    let (mut kernel, sent) = begun(golden::REQUEST_V4, "192.0.2.2:862");
    let blank = vec![0; sent.len()];
    assert_eq!(kernel.ingress(&blank), (XDP_PASS, blank.clone()));
    made(&mut kernel, sent.len());
    assert_eq!(kernel.ingress(&blank), (XDP_PASS, blank), "the batch is at its end");
    assert_eq!(kernel.count(Counter::NotIp), 2);
}

/// Peers of the agent in the tests that follow.
const PEERS: usize = 100;

/// Starts a reflector on the far machine.
fn reflector(pair: &Pair, arguments: &[&str]) -> Result<Process> {
    let mut reflect = Command::new(lab::agent::binary(None)?);
    reflect.args(["reflect", "--rate", "0"]).args(arguments);
    pair.far().spawn(reflect)
}

/// An agent with a hundred peers, which are addresses of the far machine.
fn agent(pair: &Pair) -> Result<Process> {
    let mut config = format!(
        "[node]\nname = \"near\"\nregion = \"near\"\ninterfaces = [\"{INTERFACE}\"]\n\
         [probe]\ninterval = \"100ms\"\nflows = 1\n[web]\nlisten = \"{}\"\n",
        lab::agent::WEB
    );
    for index in 0..PEERS {
        let address = Pair::address(index);
        writeln!(
            config,
            "[[peer]]\nname = \"p{index}\"\nregion = \"far\"\naddress = \"{address}\""
        )?;
    }
    let file = pair.directory().join("near.toml");
    fs::write(&file, config)?;
    let mut run = Command::new(lab::agent::binary(None)?);
    run.arg("run").arg("--config").arg(file);
    pair.near().spawn(run)
}

/// What the agent's metrics say.
fn metrics(pair: &Pair) -> Result<String> {
    let answer =
        pair.near().run(|| ureq::get(format!("http://{}/metrics", lab::agent::WEB)).call())?;
    Ok(answer?.body_mut().read_to_string()?)
}

/// The sum of the samples that begin so.
fn sum(metrics: &str, sample: &str) -> Result<f64> {
    let values = metrics.lines().filter(|line| line.starts_with(sample));
    values.map(|line| Ok(line.rsplit_once(' ').context("no value")?.1.parse::<f64>()?)).sum()
}

/// Waits until all paths are healthy in both directions, and then for five seconds of probes. Returns those that were sent
/// through the network stack, those that went straight to the driver, and what was lost.
fn watched(pair: &Pair) -> Result<[f64; 3]> {
    eventually("all paths are healthy", || {
        // Until the agent has begun, nobody answers.
        let Ok(metrics) = metrics(pair) else { return Ok(false) };
        let healthy = metrics.lines().filter(|line| {
            line.starts_with("linkprobe_path_state{")
                && line.contains("state=\"healthy\"")
                && line.ends_with(" 1")
        });
        Ok(healthy.count() == 2 * PEERS)
    })?;
    let look = || -> Result<[f64; 3]> {
        let metrics = metrics(pair)?;
        Ok([
            sum(&metrics, "linkprobe_sender_packets_total{way=\"stack\"}")?,
            sum(&metrics, "linkprobe_sender_packets_total{way=\"driver\"}")?,
            sum(&metrics, "linkprobe_probes_lost_total{")?,
        ])
    };
    let before = look()?;
    thread::sleep(Duration::from_secs(5));
    let after = look()?;
    Ok([0, 1, 2].map(|at| after[at] - before[at]))
}

#[test]
fn most_probes_go_straight_to_the_driver_and_none_is_lost() -> Result<()> {
    let pair = Pair::build(PEERS)?;
    let (reflector, agent) = (reflector(&pair, &["--interface", INTERFACE])?, agent(&pair)?);
    let [stack, driver, lost] = watched(&pair)?;
    assert_eq!(lost, 0.0, "{stack} by the network stack, {driver} straight to the driver");
    // One of twenty goes through the network stack, and those that leave alone.
    assert!(driver > stack && stack > driver / 40.0, "{stack} by the network stack, {driver} not");
    agent.stop()?;
    reflector.stop()?;
    Ok(())
}

/// Without an XDP program at the other end, a veth takes no frames.
#[test]
fn where_the_driver_takes_no_frames_any_more_the_network_stack_sends_all() -> Result<()> {
    let pair = Pair::build(PEERS)?;
    let (by_xdp, agent) = (reflector(&pair, &["--interface", INTERFACE])?, agent(&pair)?);
    let [_, driver, _] = watched(&pair)?;
    assert!(driver > 1_000.0, "{driver}");
    by_xdp.stop()?;
    let by_sockets = reflector(&pair, &["--datapath", "socket"])?;
    // What went to nobody meanwhile is counted by then.
    thread::sleep(Duration::from_secs(5));
    let [stack, driver, lost] = watched(&pair)?;
    assert_eq!([driver, lost], [0.0, 0.0], "{stack} by the network stack");
    assert!(stack > 1_000.0, "{stack}");
    agent.stop()?;
    by_sockets.stop()?;
    Ok(())
}
