//! Putting another config in force while probes go on.

use super::{
    capacity,
    state::{State, nanos, reflector_options},
};
use crate::{config::Config, health::Settings};

impl State {
    /// Puts another config in force. What it leaves as it is goes on undisturbed. With it comes what it means for the
    /// verdicts, which may take long to find out: no judge is to wait for that.
    ///
    /// # Errors
    /// Why it is refused; then nothing has changed.
    pub fn reload(&mut self, loaded: Result<(Config, Settings), String>) -> Result<String, String> {
        let applied = loaded.and_then(|(config, settings)| {
            self.accepts(&config)?;
            self.settings = Settings { defects: self.settings.defects, ..settings };
            Ok(self.apply(config))
        });
        self.last_reload_successful = applied.is_ok();
        applied
    }

    fn accepts(&self, config: &Config) -> Result<(), String> {
        let fixed = self.config.needs_restart(config);
        if !fixed.is_empty() {
            return Err(format!("a restart is needed to change {}", fixed.join(", ")));
        }
        let options = self.datapath.options();
        if capacity::slots(config) > options.slots {
            return Err("a restart is needed to shorten probe.interval so much".to_owned());
        }
        let sessions = config.paths() * usize::from(config.probe.flows);
        if sessions > options.sessions as usize {
            return Err(format!(
                "a restart is needed for {sessions} sessions (paths x flows): there is room for {}",
                options.sessions
            ));
        }
        Ok(())
    }

    fn apply(&mut self, mut config: Config) -> String {
        config.auth.keys.keep_places(&self.config.auth.keys);
        let (old, new) = (std::mem::replace(&mut self.config, config), &self.config);
        self.datapath.set_keys(new.auth.keys.joined(&old.auth.keys).placed());
        if old.probe.interval != new.probe.interval {
            self.sender.set_interval(nanos(new.probe.interval));
        }
        if old.probe.dscp != new.probe.dscp {
            self.sender.set_dscp(new.probe.dscp);
        }
        let options = reflector_options(new);
        if reflector_options(&old) != options
            && let Err(error) = self.datapath.set_reflector(&options)
        {
            tracing::error!(%error, "the reflector goes on as before");
        }
        let before = self.peers.len();
        let kept = self.set_peers(&old);
        // Nobody signs any more with those that are gone.
        self.datapath.set_keys(self.config.auth.keys.placed());
        format!("peers: {kept} kept, {} new, {} removed", self.peers.len() - kept, before - kept)
    }
}
