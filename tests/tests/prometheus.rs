//! The metrics, read by a real Prometheus and checked by its `promtool`.

use std::{
    fs,
    io::Write as _,
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use lab::{Lab, Mesh};
use tests::{
    agents::{eventually, healthy_pair},
    tools::tool,
};

#[test]
fn promtool_finds_nothing_wrong() -> Result<()> {
    let (_lab, a, _b) = healthy_pair(&Mesh::default())?;
    let (status, text) = a.get("/metrics")?;
    assert_eq!(status, 200);
    let rounds =
        text.lines().find_map(|line| line.strip_prefix("linkprobe_tick_lateness_seconds_count "));
    assert!(rounds.is_some_and(|rounds| rounds != "0"), "{text}");
    let mut promtool = Command::new(tool("usr/bin/promtool"))
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("promtool does not start (`cargo xtask setup` installs it)")?;
    promtool.stdin.take().context("no standard input")?.write_all(text.as_bytes())?;
    let output = promtool.wait_with_output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.trim().is_empty(), "{said}\n{text}");
    Ok(())
}

/// One value that Prometheus has for a query, by its HTTP API.
fn query(lab: &Lab, query: &str) -> Result<Option<f64>> {
    let url = format!("http://127.0.0.1:9090/api/v1/query?query={query}");
    let answer = lab.site("a")?.namespace().run(|| {
        ureq::get(&url).call().ok().and_then(|mut answer| answer.body_mut().read_to_string().ok())
    })?;
    let Some(answer) = answer else { return Ok(None) };
    let answer: serde_json::Value = serde_json::from_str(&answer)?;
    let value = answer["data"]["result"][0]["value"][1].as_str();
    Ok(value.and_then(|value| value.parse().ok()))
}

#[test]
fn prometheus_scrapes_the_agent() -> Result<()> {
    let (lab, _a, _b) = healthy_pair(&Mesh::default())?;
    let directory = tempfile::tempdir()?;
    let config = directory.path().join("prometheus.yml");
    fs::write(
        &config,
        "global: { scrape_interval: 1s }\n\
         scrape_configs:\n\
         - job_name: linkprobe\n  static_configs: [{ targets: ['127.0.0.1:9862'] }]\n",
    )?;
    let mut prometheus = Command::new(tool("usr/bin/prometheus"));
    prometheus
        .arg(format!("--config.file={}", config.display()))
        .arg(format!("--storage.tsdb.path={}", directory.path().join("data").display()))
        .arg("--web.listen-address=127.0.0.1:9090");
    let process = lab.site("a")?.spawn(prometheus)?;
    eventually("Prometheus has scraped the agent", || {
        ensure!(process.status()?.is_none(), "Prometheus has ended:\n{}", process.logs()?);
        Ok(query(&lab, "up")? == Some(1.0))
    })?;
    for (wanted, least) in [
        ("linkprobe_probes_answered_total", 1.0),
        ("linkprobe_path_state{state=\"healthy\",direction=\"reverse\"}", 1.0),
        ("linkprobe_rtt_seconds_count", 1.0),
        ("linkprobe_reflector_packets_total{action=\"reflected\"}", 1.0),
        ("linkprobe_datapath_info{mode=\"native\"}", 1.0),
    ] {
        let encoded: String =
            wanted.replace('{', "%7B").replace('}', "%7D").replace('"', "%22").replace('=', "%3D");
        let value = query(&lab, &encoded)?;
        assert!(value.is_some_and(|value| value >= least), "{wanted} is {value:?}");
    }
    process.stop()?;
    process.wait(Duration::from_secs(5))?;
    Ok(())
}
