//! Our Session-Reflector in XDP, probed by stamp-suite: 10,000 probes each, none lost, none rejected.

use std::{collections::HashMap, net::IpAddr, path::Path, time::Duration};

use anyhow::Result;
use lab::Site;
use probe_ebpf::{
    hmac::Key,
    maps::{Counter, Fate},
};
use probe_user::datapath::{Datapath, ReflectorOptions};
use serde_json::Value;
use tests::{
    ping::{reflector, two_sites},
    stamp_suite::{Sender, key_file, number},
};

/// Probes of each run.
const PROBES: u64 = 10_000;

/// Time between two probes. At this pace a sender that gets no time for half a second loses nothing: its
/// socket has room for the replies.
const PACE: &str = "--send-delay 2ms --timeout 5";

/// How long a run may take.
const PATIENCE: Duration = Duration::from_secs(90);

/// All TLVs that the kernel answers by itself in unauthenticated mode.
const KERNEL: &str = "--cos --dscp 46 --direct-measurement --timestamp-info --extra-padding 200";

/// TLVs for which it needs userspace, beside others.
const USERSPACE: &str = "--cos --dscp 10 --direct-measurement --timestamp-info --location \
                         --follow-up-telemetry --extra-padding 32";

const SECRET: [u8; 32] = [0x5a; 32];
const OTHER_SECRET: [u8; 32] = [0xa5; 32];

/// Replies that may come out of order: where the host moves a sender to another CPU between two probes, the second may be
/// through before the first.
const OVERTAKING: u64 = PROBES / 1_000;

/// What a run must have come to: every probe answered once and in order, and no TLV with a flag. Each of
/// `types` was in every reply.
#[track_caller]
fn all_is_well(summary: &Value, types: &[u64]) {
    for pointer in ["/packets_sent", "/packets_received", "/measurements/answered_probes"] {
        assert_eq!(number(summary, pointer), PROBES, "{pointer}: {summary:#}");
    }
    for key in ["unknown_replies", "duplicate_replies", "late_replies"] {
        assert_eq!(number(summary, &format!("/measurements/{key}")), 0, "{key}: {summary:#}");
    }
    assert!(number(summary, "/measurements/reordered_replies") <= OVERTAKING, "{summary:#}");
    let validation = &summary["measurements"]["tlv_validation"];
    if validation.is_null() {
        assert!(types.is_empty(), "no reply had a TLV: {summary:#}");
        return;
    }
    assert_eq!(number(validation, "/rejected_replies"), 0, "{validation:#}");
    for pointer in ["unrecognized", "malformed", "integrity_failed", "conformant_reflected"] {
        assert_eq!(number(validation, &format!("/flags/{pointer}")), 0, "{validation:#}");
    }
    for pointer in ["/hmac/unverified", "/hmac/failed"] {
        assert_eq!(number(validation, pointer), 0, "{validation:#}");
    }
    for kind in types {
        assert_eq!(number(validation, &format!("/by_type/{kind}/observed")), PROBES, "TLV {kind}");
    }
}

/// Nothing was dropped; returns how many requests were answered by the kernel, and by userspace.
#[track_caller]
fn nothing_dropped(datapath: &Datapath) -> (u64, u64) {
    let mut fates = HashMap::new();
    for (counter, packets) in datapath.counters() {
        assert!(
            packets == 0 || counter.fate() != Fate::Dropped,
            "{packets} dropped: {}",
            counter.label()
        );
        *fates.entry(counter.label()).or_insert(0) += packets;
    }
    let of = |counter: Counter| fates.get(counter.label()).copied().unwrap_or_default();
    (of(Counter::Reflected), of(Counter::Deferred))
}

/// Starts a sender for each address and list of arguments, all at once, and returns their summaries.
fn run(
    site: &Site,
    targets: [IpAddr; 2],
    key: Option<&Path>,
    count: u64,
    arguments: &[&str],
) -> Result<Vec<Value>> {
    let mut senders = Vec::new();
    for more in arguments {
        for target in targets {
            let ssid = 100 + senders.len();
            let more = format!("{PACE} --count {count} --ssid {ssid} {more}");
            senders.push(Sender::start(site, target, key, &more)?);
        }
    }
    senders.iter().map(|sender| sender.summary(PATIENCE)).collect()
}

fn addresses(site: &Site) -> [IpAddr; 2] {
    [site.ipv4().into(), site.ipv6().into()]
}

/// IPv4 and IPv6, without TLVs, with those that the kernel answers, and with all.
#[test]
fn stamp_suite_is_answered_in_unauthenticated_mode() -> Result<()> {
    let lab = two_sites()?;
    let ours = reflector(&lab, "b", &ReflectorOptions::default(), None)?;
    let (a, b) = (lab.site("a")?, lab.site("b")?);
    let summaries = run(a, addresses(b), None, PROBES, &["", KERNEL, USERSPACE])?;
    for (index, summary) in summaries.iter().enumerate() {
        let types: &[u64] = [&[][..], &[1, 3, 4, 5], &[1, 2, 3, 4, 5, 7]][index / 2];
        all_is_well(summary, types);
    }
    for summary in &summaries[2..] {
        // RFC 8972, section 4.5: what it reckons of our counters is that nothing is missing.
        for key in ["forward_missing", "reverse_missing", "unavailable", "discontinuities"] {
            assert_eq!(number(summary, &format!("/measurements/direct_measurement/{key}")), 0);
        }
    }
    for summary in &summaries[4..] {
        // Section 4.7: our telemetry names replies that it has got.
        assert_eq!(number(summary, "/measurements/follow_up/unmatched"), 0, "{summary:#}");
        assert_eq!(number(summary, "/measurements/follow_up/matched"), PROBES - 1, "{summary:#}");
    }
    assert_eq!(nothing_dropped(&ours), (4 * PROBES, 2 * PROBES));
    Ok(())
}

/// RFC 8762, section 4.4, and RFC 8972, section 4.8: with a key that both know.
#[test]
fn stamp_suite_is_answered_in_authenticated_mode() -> Result<()> {
    let lab = two_sites()?;
    let options = ReflectorOptions { authenticated_only: true, ..ReflectorOptions::default() };
    let ours = reflector(&lab, "b", &options, Some(Key::new(&SECRET)))?;
    let (a, b) = (lab.site("a")?, lab.site("b")?);
    let key = key_file(&lab, "key", &SECRET)?;
    let summaries = run(a, addresses(b), Some(&key), PROBES, &["", USERSPACE])?;
    for (index, summary) in summaries.iter().enumerate() {
        all_is_well(summary, if index < 2 { &[] } else { &[1, 2, 3, 4, 5, 7, 8] });
    }
    for summary in &summaries[2..] {
        let validation = &summary["measurements"]["tlv_validation"];
        assert_eq!(number(validation, "/hmac/verified"), PROBES, "{validation:#}");
    }
    assert_eq!(nothing_dropped(&ours), (2 * PROBES, 2 * PROBES));
    Ok(())
}

/// One wrong key: nothing is answered, with and without TLVs.
#[test]
fn stamp_suite_with_another_key_gets_no_answer() -> Result<()> {
    const PROBES: u64 = 1_000;
    let lab = two_sites()?;
    let options = ReflectorOptions { authenticated_only: true, ..ReflectorOptions::default() };
    let ours = reflector(&lab, "b", &options, Some(Key::new(&SECRET)))?;
    let (a, b) = (lab.site("a")?, lab.site("b")?);
    let key = key_file(&lab, "key", &OTHER_SECRET)?;
    for summary in run(a, addresses(b), Some(&key), PROBES, &["", USERSPACE])? {
        assert_eq!(number(&summary, "/packets_sent"), PROBES);
        assert_eq!(number(&summary, "/packets_received"), 0, "{summary:#}");
    }
    let of = |wanted: Counter| {
        let counters = ours.counters();
        counters.into_iter().find(|(counter, _)| *counter == wanted).map(|(_, count)| count)
    };
    assert_eq!(of(Counter::Hmac), Some(4 * PROBES));
    assert_eq!((of(Counter::Reflected), of(Counter::Deferred)), (Some(0), Some(0)));
    Ok(())
}
