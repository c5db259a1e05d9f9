//! `linkprobe ping`: what measures, where there is a choice.

use std::{fs, os::unix::fs::PermissionsExt as _, process::Command};

use anyhow::{Context as _, Result};
use probe_user::datapath::ReflectorOptions;
use tests::ping::{Ping, all_answered, in_order, reflector, two_sites};

/// The same way by both datapaths at once, and what is between them.
#[test]
fn both_datapaths_side_by_side() -> Result<()> {
    let lab = two_sites()?;
    let _reflector = reflector(&lab, "b", &ReflectorOptions::default(), None)?;
    let a = lab.site("a")?;
    let document = Ping::json(a, "10.77.2.2 -c 200 -n 5ms --datapath both")?;
    all_answered(&document, 200);
    all_answered(&document["socket"], 200);
    assert_eq!(
        (&document["datapath"], &document["socket"]["datapath"]),
        (&"xdp".into(), &"socket".into())
    );
    let [xdp, socket] = [&document, &document["socket"]].map(|summary| in_order(summary, "rtt_us"));
    for (name, at) in [("p50", 1), ("p99", 2)] {
        let added = document["host_us"][name].as_f64().context("no difference")?;
        assert!((added - (socket[at] - xdp[at])).abs() < 1e-6, "{document}");
    }
    let text = Ping::run(a, "10.77.2.2 -c 20 -n 10ms --datapath both")?;
    for expected in
        ["by xdp (native on wan0) and socket\n", "this host adds to the round trip: p50"]
    {
        assert!(text.stdout.contains(expected), "{expected}: {text:?}");
    }
    Ok(())
}

/// Where XDP is not to be had, sockets measure, and the first line says why.
#[test]
fn without_privileges_sockets_measure() -> Result<()> {
    let lab = two_sites()?;
    let _reflector = reflector(&lab, "b", &ReflectorOptions::default(), None)?;
    let a = lab.site("a")?;
    let binary = lab.directory().join("linkprobe");
    fs::copy(lab::agent::binary(None)?, &binary)?;
    fs::set_permissions(lab.directory(), fs::Permissions::from_mode(0o755))?;
    let run = |datapath: &str| -> Result<Ping> {
        let mut command = Command::new("setpriv");
        command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups"]);
        command.arg("--inh-caps=-all").arg(&binary);
        command.args(["ping", "10.77.2.2", "-c", "20", "-n", "10ms", "--datapath", datapath]);
        Ok(Ping::from(a.output(command)?))
    };
    for (datapath, expected) in [("auto", "by socket (no xdp: "), ("socket", "by socket\n")] {
        let ping = run(datapath)?;
        assert_eq!(ping.code, Some(0), "{ping:?}");
        assert!(ping.stdout.contains(expected), "{ping:?}");
        assert!(ping.stdout.contains("20 sent, 20 answered, 0 lost"), "{ping:?}");
    }
    let ping = run("xdp")?;
    assert_eq!(ping.code, Some(2));
    assert!(
        ping.stderr.contains("CAP_BPF") && ping.stderr.contains("--datapath socket"),
        "{ping:?}"
    );
    Ok(())
}
