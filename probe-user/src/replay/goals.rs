//! What is tried over a recording, and whether it fits how paths were probed then.

use std::{path::Path, time::Duration};

use anyhow::Result;

use super::segments::Segment;
use crate::{
    config::{Config, ProbeConfig},
    health::{Goals, guarantee::Probing},
    record::header::Probe,
    verdict::Nanos,
};

/// What is asked of the verdicts, and by whom.
#[derive(Clone, Debug)]
pub(super) struct Tried {
    /// The name of the config.
    pub(super) name: String,
    /// What it asks; `None` for what the agent asked that recorded.
    pub(super) goals: Option<Goals>,
    probe: Option<ProbeConfig>,
}

impl Tried {
    /// What a config asks of the verdicts; its key file need not be here.
    ///
    /// # Errors
    /// Where it cannot be read, or is wrong.
    pub(super) fn load(config: Option<&Path>) -> Result<Self> {
        let Some(file) = config else {
            return Ok(Self { name: "as recorded".to_owned(), goals: None, probe: None });
        };
        let config = Config::load_without_keys(file)?;
        let (goals, probe) = (Some(config.health.goals()), Some(config.probe));
        Ok(Self { name: file.display().to_string(), goals, probe })
    }

    /// Tells once where it does not fit to how paths were probed.
    pub(super) fn compare_with(&self, segments: &[Segment], tell: &mut impl FnMut(String)) {
        let (Some(goals), Some(probe)) = (&self.goals, &self.probe) else { return };
        let name = &self.name;
        let others = segments.iter().map(|segment| segment.probe);
        if let Some(other) = others.clone().find(|recorded| probe.probing() != probing(*recorded)) {
            tell(format!(
                "{name}: only [health] counts; paths were probed as recorded, {}",
                describe(other)
            ));
        }
        let expires = |recorded: &Probe| goals.expiry < recorded.interval + recorded.timeout;
        if let Some(recorded) = others.clone().find(expires) {
            tell(format!(
                "{name}: health.expiry, {}, is less than interval plus timeout of the recording, {}: verdicts \
                 expire between two probes",
                readable(goals.expiry),
                describe(recorded),
            ));
        }
    }
}

const fn probing(Probe { interval, timeout, flows }: Probe) -> Probing {
    Probing { interval, timeout, flows }
}

fn describe(Probe { interval, timeout, flows }: Probe) -> String {
    let [interval, timeout] = [interval, timeout].map(readable);
    format!("with interval = {interval:?}, timeout = {timeout:?}, flows = {flows}")
}

fn readable(nanos: Nanos) -> String {
    humantime::format_duration(Duration::from_nanos(nanos)).to_string().replace(' ', "")
}
