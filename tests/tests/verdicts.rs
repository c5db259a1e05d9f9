//! What an agent says of its verdicts: as they change, and afterwards from its recording.

use std::{fs, path::Path, process::Command, sync::mpsc::Receiver};

use anyhow::{Context as _, Result, ensure};
use lab::{Agent, Lab, Loss, Mesh, Signal, agent, events};
use probe_user::{
    report::{Event, Regions},
    verdict::{Cause, State},
};
use serde_json::{Value, json};
use tests::agents::{PATIENCE, eventually, path};

/// Until a direction changes to this.
fn await_event(events: &Receiver<Event>, direction: &str, to: State) -> Result<Vec<Event>> {
    let mut seen = Vec::new();
    loop {
        let event = events
            .recv_timeout(PATIENCE)
            .with_context(|| format!("{direction} never becomes {to}; seen: {seen:?}"))?;
        let is_it = event.to == to && json!(event.direction) == direction;
        seen.push(event);
        if is_it {
            return Ok(seen);
        }
    }
}

/// What `linkprobe replay --json` makes of a recording.
fn replay(recording: &Path, more: &[&str]) -> Result<Vec<Value>> {
    let output = Command::new(agent::binary(None)?)
        .arg("replay")
        .arg("--json")
        .arg(recording)
        .args(more)
        .output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let lines = String::from_utf8(output.stdout)?;
    lines.lines().map(|line| Ok(serde_json::from_str(line)?)).collect()
}

/// The change of a verdict, from an event or from a line of a replay.
fn change(of: &Value) -> Value {
    let keys = ["peer", "region", "direction", "from", "to", "cause", "evidence"];
    keys.iter()
        .map(|key| ((*key).to_owned(), of[key].clone()))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

/// Two agents, of which the first records.
fn recording_pair(lab: &Lab, recording: &Path) -> Result<(Agent, Agent)> {
    let mesh = Mesh::default();
    let recorded = Mesh {
        more: format!("[record]\ndirectory = \"{}\"\nlimit = \"1MiB\"\n", recording.display()),
        ..Mesh::default()
    };
    let binary = agent::binary(None)?;
    let (a, b) = (lab.site("a")?, lab.site("b")?);
    let b = Agent::start(lab, b, &binary, &mesh.config(lab, b))?;
    b.await_ready()?;
    let a = Agent::start(lab, a, &binary, &recorded.config(lab, a))?;
    a.await_ready()?;
    Ok((a, b))
}

/// A replay says what the agent has said, event for event; another config says something else.
#[test]
fn what_was_said_live_is_what_the_recording_says() -> Result<()> {
    let lab = Lab::builder().sites(&["a", "b"]).build()?;
    let recording = lab.directory().join("recording");
    let (a, _b) = recording_pair(&lab, &recording)?;
    let listener = events::listen(lab.site("a")?)?;
    eventually("the path is healthy", || Ok(path(&a)?.state == State::Healthy))?;
    lab.loss("a", "b", Loss::Every(0.5))?;
    let mut live = await_event(&listener, "forward", State::Unhealthy)?;
    let sick = live.last().context("no event")?;
    assert_eq!((sick.cause, sick.peer.as_str()), (Cause::Loss, path(&a)?.peer.as_str()));
    assert!(sick.evidence.lost > 0 && sick.needs.is_some(), "{sick:?}");
    let link: Regions = serde_json::from_str(&a.get("/api/v1/regions")?.1)?;
    assert_eq!(link.regions.len(), 1, "{link:?}");
    assert_eq!(link.regions[0].forward.verdict, State::Unhealthy, "{link:?}");
    lab.clear("a", "b")?;
    live.extend(await_event(&listener, "forward", State::Healthy)?);
    let sequence = |event: &Event| event.revision.sequence;
    assert!(live.windows(2).all(|pair| sequence(&pair[1]) == sequence(&pair[0]) + 1), "{live:?}");
    a.stop()?;
    live.extend(listener);

    let recorded = replay(&recording, &[])?;
    let live: Vec<Value> = live.iter().map(|event| json!(event)).collect();
    // The agent may have said something before anybody listened.
    let first = recorded.len().checked_sub(live.len()).context("the recording is too short")?;
    let changes = |of: &[Value]| of.iter().map(change).collect::<Vec<_>>();
    assert_eq!(changes(&recorded[first..]), changes(&live));

    // All of it was over in less than this recovery takes.
    let patient = lab.directory().join("patient.toml");
    let more = "\n[health]\nrecovery = \"5m\"\ndamping = \"10m\"\n";
    fs::write(&patient, fs::read_to_string(a.config_file())? + more)?;
    let patient = replay(&recording, &["--config", patient.to_str().context("path")?])?;
    assert!(patient.iter().all(|change| change["to"] != "healthy"), "{patient:?}");
    Ok(())
}

/// An agent that is killed loses at most the last seconds, and the next one goes on behind it.
#[test]
fn a_recording_survives_its_agent() -> Result<()> {
    let lab = Lab::builder().sites(&["a", "b"]).build()?;
    let recording = lab.directory().join("recording");
    let (a, b) = recording_pair(&lab, &recording)?;
    eventually("the path is healthy", || Ok(path(&a)?.state == State::Healthy))?;
    // What is recorded is written every second.
    eventually("it is recorded", || Ok(!replay(&recording, &[])?.is_empty()))?;
    a.process().signal(Signal::Kill);
    a.process().wait(PATIENCE)?;
    let before = replay(&recording, &[])?;
    let healthy =
        |changes: &[Value]| changes.iter().filter(|change| change["to"] == "healthy").count();
    assert_eq!(healthy(&before), 2, "{before:?}");
    b.stop()?;
    let (_a, _b) = recording_pair(&lab, &recording)?;
    eventually("both runs are in it", || Ok(healthy(&replay(&recording, &[])?) == 4))
}
