//! `linkprobe ping` against reflectors in namespaces.

use std::{
    fs, io, net::SocketAddr, os::unix::fs::PermissionsExt as _, process::Command, time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use lab::{Loss, Signal, clock};
use probe_ebpf::{hmac::Key, stamp};
use probe_user::datapath::ReflectorOptions;
use serde_json::Value;
use socket2::{Domain, Protocol, Socket, Type};
use tests::{
    agents::{PATIENCE, eventually},
    ping::{FOREIGN_TTL, Foreign, Ping, all_answered, count, in_order, reflector, two_sites},
};

/// Both versions of IP, both datapaths; every key of the document.
#[test]
fn a_healthy_way_is_measured_in_full() -> Result<()> {
    let lab = two_sites()?;
    let _reflector = reflector(&lab, "b", &ReflectorOptions::default(), None)?;
    let (a, b) = (lab.site("a")?, lab.site("b")?);
    for (target, datapath, detail) in [
        (b.ipv4().to_string(), "xdp", "native on wan0"),
        (b.ipv6().to_string(), "xdp", "native on wan0"),
        (format!("[{}]:862", b.ipv6()), "socket", ""),
    ] {
        let arguments = format!("{target} -c 100 -n 5ms --datapath {datapath}");
        let document = Ping::json(a, &arguments)?;
        all_answered(&document, 100);
        assert_eq!((count(&document, "reordered"), count(&document, "hops")), (0, 1));
        let [_, rtt, _, most] = in_order(&document, "rtt_us");
        assert!(rtt > 0.0 && most < 1e6, "{document}");
        // One clock: neither way takes less than nothing, nor both more than there and back.
        let [[.., least_there, _], [.., most_back]] =
            [in_order(&document, "forward_us"), in_order(&document, "reverse_us")];
        assert!(least_there > 0.0 && most_back < most, "{document}");
        assert!(document["clock_error_us"].is_null() || document["clock_error_us"].is_f64());
        assert_eq!(
            (&document["datapath"], &document["datapath_detail"]),
            (&datapath.into(), &detail.into())
        );
        let address: SocketAddr = document["target"].as_str().context("no target")?.parse()?;
        assert_eq!(address.port(), stamp::PORT);
    }
    let text = Ping::run(a, &format!("{} -c 10 -n 10ms", b.ipv4()))?;
    assert_eq!(text.code, Some(0));
    for expected in [
        "STAMP to 10.77.2.2:862 from 10.77.1.2: 44 octets every 10ms, unauthenticated, by xdp",
        "10 sent, 10 answered, 0 lost\n",
        "round trip",
        "1 hop to the reflector",
        "measured by xdp (native on wan0)",
    ] {
        assert!(text.stdout.contains(expected), "{expected}: {text:?}");
    }
    assert_eq!(text.stderr, "", "no live line where there is no terminal");
    Ok(())
}

/// RFC 8762, section 4.3: a stateful reflector's numbers tell where probes were lost.
#[test]
fn losses_are_what_the_network_has_lost() -> Result<()> {
    let lab = two_sites()?;
    let _reflector = reflector(&lab, "b", &ReflectorOptions::default(), None)?;
    let a = lab.site("a")?;
    let mut dropped_before = (0, 0);
    for (there, back, more) in [
        (0.1, 0.0, ""),
        (0.0, 0.1, ""),
        (0.1, 0.07, ""),
        (0.1, 0.07, "--stateless"),
        (0.1, 0.07, "--datapath socket"),
    ] {
        // Of n probes, n times the share, and the last ones pass.
        lab.loss_on_port("a", "b", stamp::PORT, Loss::Every(there))?;
        lab.loss_on_port("b", "a", stamp::PORT, Loss::Every(back))?;
        let document = Ping::json(a, &format!("10.77.2.2 -c 505 -n 2ms {more}"))?;
        let dropped = (lab.counters("a", "b")?.dropped, lab.counters("b", "a")?.dropped);
        let (forward, reverse) = (dropped.0 - dropped_before.0, dropped.1 - dropped_before.1);
        dropped_before = dropped;
        let expected = if more == "--stateless" {
            [505, 505 - forward - reverse, 0, 0, forward + reverse]
        } else {
            [505, 505 - forward - reverse, forward, reverse, 0]
        };
        let keys = ["sent", "answered", "lost_forward", "lost_reverse", "lost_unknown"];
        assert_eq!(
            keys.map(|key| count(&document, key)),
            expected,
            "{there} {back} {more}: {document}"
        );
        assert_eq!(forward, (505.0 * there) as u64);
        assert!(back == 0.0 || reverse >= 30, "{reverse}");
    }
    Ok(())
}

#[test]
fn no_answer_at_all_is_exit_code_1() -> Result<()> {
    let lab = two_sites()?;
    let a = lab.site("a")?;
    for datapath in ["xdp", "socket"] {
        let arguments = format!("10.77.2.2 -c 5 -n 10ms --timeout 200ms --datapath {datapath}");
        let ping = Ping::run(a, &format!("{arguments} --json"))?;
        assert_eq!(ping.code, Some(1), "{ping:?}");
        let document: Value = serde_json::from_str(&ping.stdout)?;
        assert_eq!(
            ["sent", "answered", "lost_unknown"].map(|key| count(&document, key)),
            [5, 0, 5]
        );
        assert!(document["rtt_us"].is_null() && document["hops"].is_null(), "{document}");
        let text = Ping::run(a, &arguments)?;
        assert_eq!(text.code, Some(1));
        assert!(
            text.stdout.contains("0 answered, 5 lost (100 %): 0 forward, 0 reverse, 5 unknown")
        );
    }
    Ok(())
}

#[test]
fn what_cannot_be_tried_is_exit_code_2_with_the_reason() -> Result<()> {
    let lab = two_sites()?;
    let a = lab.site("a")?;
    let open = lab.directory().join("open");
    fs::write(&open, format!("a {}\n", "5a".repeat(32)))?;
    fs::set_permissions(&open, fs::Permissions::from_mode(0o644))?;
    let private = lab.directory().join("private");
    fs::copy(&open, &private)?;
    fs::set_permissions(&private, fs::Permissions::from_mode(0o600))?;
    let (open, private) = (open.display(), private.display());
    for (arguments, expected) in [
        ("no-such-host.invalid", "cannot find the host of no-such-host.invalid:862"),
        ("10.77.2.2 --size 45", "44 without padding, or 48 to 1472 with it"),
        ("fd77:0:0:2::2 --size 1453", "48 to 1452"),
        ("10.77.2.2 --tlv location --size 91", "92 without padding, or 96 to 1472"),
        ("10.77.2.2 -i none --datapath xdp", "there is no interface `none`"),
        ("10.77.2.2 --count 0", "--count"),
        ("", "TARGET"),
        ("2001:db8::1 --datapath socket --interval 5us", "from 1ms to 1h"),
        (&format!("10.77.2.2 --auth {open}"), "chmod 600"),
        (&format!("10.77.2.2 --auth {private}#b"), "has no key `b`, but a"),
        (
            &format!("10.77.2.2 --auth {private} --tlv location --datapath xdp -c 5"),
            "only sockets can sign",
        ),
        (
            &format!("10.77.2.2 --auth {private} --tlv location --datapath both -c 5"),
            "only sockets can sign",
        ),
    ] {
        let ping = Ping::run(a, arguments)?;
        assert_eq!(ping.code, Some(2), "{arguments}: {ping:?}");
        assert!(ping.stderr.contains(expected), "{arguments}: {}", ping.stderr);
        assert_eq!(ping.stdout, "", "{arguments}");
    }
    a.ip("route del default")?;
    let ping = Ping::run(a, "192.0.2.1")?;
    assert_eq!(ping.code, Some(2));
    assert!(ping.stderr.contains("there is no route to 192.0.2.1"), "{}", ping.stderr);
    Ok(())
}

/// RFC 8762, section 4.4; RFC 8972, section 4.8.
#[test]
fn with_the_right_key_all_count_and_with_a_wrong_one_none() -> Result<()> {
    let lab = two_sites()?;
    let secret = [0x5a; 32];
    let options = ReflectorOptions { authenticated_only: true, ..ReflectorOptions::default() };
    let _reflector = reflector(&lab, "b", &options, Some(Key::new(&secret)))?;
    let a = lab.site("a")?;
    let file = lab.directory().join("keys");
    fs::write(&file, format!("right {}\nwrong {}\n", "5a".repeat(32), "a5".repeat(32)))?;
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600))?;
    let file = file.display();
    for more in [
        "--datapath xdp",
        "--datapath xdp --size 200",
        "--datapath socket",
        "--datapath socket --tlv location --tlv direct-measurement --size 400",
        "--tlv follow-up-telemetry",
    ] {
        let document = Ping::json(a, &format!("10.77.2.2 -c 50 -n 5ms --auth {file} {more}"))?;
        all_answered(&document, 50);
        let by = if more.contains("xdp") { "xdp" } else { "socket" };
        assert_eq!(document["datapath"], by, "{more}");
    }
    for datapath in ["xdp", "socket"] {
        for auth in [format!("--auth {file}#wrong"), String::new()] {
            let arguments = format!("10.77.2.2 -c 20 -n 5ms --timeout 200ms --datapath {datapath}");
            let ping = Ping::run(a, &format!("{arguments} {auth}"))?;
            assert_eq!(ping.code, Some(1), "{auth}: {ping:?}");
            assert!(ping.stdout.contains("20 sent, 0 answered"), "{ping:?}");
        }
    }
    let text = Ping::run(a, &format!("10.77.2.2 -c 3 --auth {file}#right"))?;
    assert!(text.stdout.contains("112 octets every 100ms, authenticated"), "{text:?}");
    Ok(())
}

/// Extra Padding (RFC 8972, section 4.1), all TLVs, PTP timestamps: our reflector answers each probe.
#[test]
fn sizes_tlvs_and_formats() -> Result<()> {
    let lab = two_sites()?;
    let _reflector = reflector(&lab, "b", &ReflectorOptions::default(), None)?;
    let a = lab.site("a")?;
    let tlvs = "--tlv class-of-service --tlv direct-measurement --tlv timestamp-information \
                --tlv location --tlv follow-up-telemetry --tlv access-report";
    for more in
        ["--size 44", "--size 48", "--size 1472", "--ptp", tlvs, "--tlv class-of-service --dscp ef"]
    {
        for datapath in ["xdp", "socket"] {
            let arguments = format!("10.77.2.2 -c 20 -n 5ms --datapath {datapath} {more}");
            all_answered(&Ping::json(a, &arguments)?, 20);
        }
    }
    let text = Ping::run(a, "10.77.2.2 -c 3 --size 1000 --ptp")?;
    assert!(text.stdout.contains("1000 octets") && text.stdout.contains("TAI"), "{text:?}");
    Ok(())
}

/// A reflector without RFC 8972, which sends some replies twice; and what it gets to see.
#[test]
fn a_reflector_that_knows_no_ssids() -> Result<()> {
    let lab = two_sites()?;
    let (a, b) = (lab.site("a")?, lab.site("b")?);
    let _foreign = Foreign::start(b, |number| if number % 10 == 9 { 2 } else { 1 })?;
    let witness = b.run(|| Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::UDP)))??;
    witness.set_nonblocking(true)?;
    for datapath in ["xdp", "socket"] {
        let arguments =
            format!("10.77.2.2 -c 50 -n 10ms --size 100 --dscp af41 --datapath {datapath}");
        let document = Ping::json(a, &arguments)?;
        assert_eq!(["sent", "answered"].map(|key| count(&document, key)), [50, 50], "{document}");
        assert_eq!(count(&document, "duplicates"), 5, "{document}");
        assert_eq!(count(&document, "hops"), u64::from(255 - FOREIGN_TTL));
        let (mut seen, mut packet) = (0, Vec::with_capacity(2_000));
        while let Ok(length) = witness.recv(packet.spare_capacity_mut()) {
            // SAFETY: the kernel has written so many octets.
            unsafe { packet.set_len(length) };
            // RFC 8762, section 4.2.1: the TTL is 255, less the router on the way.
            assert_eq!((packet[1], packet[8], length), (34 << 2, 254, 20 + 8 + 100));
            seen += 1;
            packet.clear();
        }
        assert_eq!(seen, 50);
    }
    Ok(())
}

/// One interval of a millisecond after the other, and none of the slots is read too late.
#[test]
fn a_thousand_probes_a_second() -> Result<()> {
    let lab = two_sites()?;
    let _reflector = reflector(&lab, "b", &ReflectorOptions::default(), None)?;
    let began = clock::now();
    let document = Ping::json(lab.site("a")?, "10.77.2.2 -c 5000 -n 1ms")?;
    let took = clock::now() - began;
    all_answered(&document, 5_000);
    assert!(took >= Duration::from_millis(4_500), "faster than asked for: {took:?}");
    assert!(took < Duration::from_secs(15), "the pace was not kept: {took:?}");
    Ok(())
}

/// Without `--count`, a signal ends it, with the summary and the exit code of what was measured.
#[test]
fn a_signal_ends_it_with_the_summary() -> Result<()> {
    let lab = two_sites()?;
    let _reflector = reflector(&lab, "b", &ReflectorOptions::default(), None)?;
    for signal in [Signal::Interrupt, Signal::Terminate] {
        let before = lab.counters("b", "a")?.seen;
        let mut command = Command::new(lab::agent::binary(None)?);
        command.args(["ping", "10.77.2.2", "-n", "10ms"]);
        let ping = lab.site("a")?.spawn(command)?;
        eventually("some answers", || Ok(lab.counters("b", "a")?.seen > before + 20))?;
        ping.signal(signal);
        let ended = ping.wait(PATIENCE)?;
        let text = ping.logs()?;
        assert_eq!(ended.code(), Some(0), "{text}");
        assert!(text.contains(" answered, 0 lost\n") && text.contains("measured by"), "{text}");
    }
    Ok(())
}

/// A terminal of its own for the standard error of a process: the line that is written over and over.
#[test]
fn on_a_terminal_there_is_a_live_line() -> Result<()> {
    let lab = two_sites()?;
    let _reflector = reflector(&lab, "b", &ReflectorOptions::default(), None)?;
    let (mut ours, mut theirs) = (0, 0);
    let none = std::ptr::null_mut();
    // SAFETY: both pointers lead to an int, and the others may be null.
    let opened =
        unsafe { libc::openpty(&raw mut ours, &raw mut theirs, none, none.cast(), none.cast()) };
    ensure!(opened == 0, "no terminal: {}", io::Error::last_os_error());
    // SAFETY: the call has just opened both, and nobody else has them.
    let (mut ours, theirs) = unsafe {
        use std::os::fd::FromRawFd as _;
        (fs::File::from_raw_fd(ours), fs::File::from_raw_fd(theirs))
    };
    let mut command = Command::new(lab::agent::binary(None)?);
    command.args(["ping", "10.77.2.2", "-c", "80", "-n", "10ms"]).stderr(theirs);
    let output = lab.site("a")?.run(|| command.stdout(std::process::Stdio::piped()).output())??;
    drop(command);
    let mut octets = vec![0; 4_096];
    let length = io::Read::read(&mut ours, &mut octets)?;
    let lines = String::from_utf8_lossy(&octets[..length]).into_owned();
    assert!(lines.contains("\r20 sent") || lines.matches(" sent  ").count() >= 2, "{lines:?}");
    assert!(lines.ends_with("\r\u{1b}[K"), "the line is taken away at the end: {lines:?}");
    let summary = Ping::from(output);
    assert!(summary.stdout.contains("80 sent, 80 answered, 0 lost"), "{summary:?}");
    Ok(())
}
