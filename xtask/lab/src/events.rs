//! The event stream of an agent.

use std::{
    io::{BufRead as _, BufReader},
    sync::mpsc,
};

use anyhow::{Context as _, Result};
use probe_user::report::Event;

use crate::{agent::WEB, site::Site};

/// Every change of a verdict that the agent of a site tells from now on, until it ends.
///
/// # Errors
/// Where no agent answers there.
pub fn listen(site: &Site) -> Result<mpsc::Receiver<Event>> {
    let (events, receiver) = mpsc::channel();
    let (begun, has_begun) = mpsc::channel();
    site.namespace().thread("events", move || {
        let agent: ureq::Agent = ureq::Agent::config_builder().proxy(None).build().into();
        let stream = agent.get(format!("http://{WEB}/api/v1/events")).call();
        // Nobody waits for it any more where it cannot be sent.
        begun.send(stream.as_ref().map(drop).map_err(ToString::to_string)).ok();
        let Ok(stream) = stream else { return };
        let lines = BufReader::new(stream.into_body().into_reader()).lines();
        for line in lines.map_while(Result::ok) {
            let Some(data) = line.strip_prefix("data: ") else { continue };
            let event = serde_json::from_str(data).expect("an event is a JSON document");
            if events.send(event).is_err() {
                return;
            }
        }
    })?;
    let begun = has_begun.recv().context("the thread that listens is gone")?;
    begun.map_err(|why| anyhow::anyhow!("{}: no events: {why}", site.name()))?;
    Ok(receiver)
}
