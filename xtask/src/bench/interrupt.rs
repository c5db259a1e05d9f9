//! How a run ends early: whoever measures is asked to end, and waited for until it has put everything away.

use std::{
    process::{Child, Command},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result};
use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM},
    flag,
};

use crate::{
    host::Privilege,
    process::{judge, succeeds},
};

/// Time between two looks at a child.
const PERIOD: Duration = Duration::from_millis(50);

/// Whether this process was asked to end.
pub(super) struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// From now on, Ctrl-C and the like do not end this process.
    ///
    /// # Errors
    /// Where the signals cannot be watched.
    pub(super) fn watch() -> Result<Self> {
        let flag = Arc::new(AtomicBool::new(false));
        for signal in [SIGHUP, SIGINT, SIGTERM] {
            flag::register(signal, Arc::clone(&flag)).context("cannot watch for signals")?;
        }
        Ok(Self(flag))
    }

    /// Whether it has been asked.
    pub(super) fn has_come(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Runs to the end, with our own terminal. Where this process is asked to end meanwhile, so is the command.
    ///
    /// # Errors
    /// How it failed, as what one says of the command.
    pub(super) fn attempt(&self, command: &mut Command) -> Result<(), String> {
        let mut child = command.spawn().map_err(|error| format!("cannot be started: {error}"))?;
        let mut is_asked = false;
        loop {
            match child.try_wait() {
                Ok(Some(_)) if self.has_come() => return Err("was interrupted".to_owned()),
                Ok(Some(status)) => return judge(status),
                Ok(None) => {}
                Err(error) => return Err(format!("got lost: {error}")),
            }
            if self.has_come() && !is_asked {
                end(&child);
                is_asked = true;
            }
            thread::sleep(PERIOD);
        }
    }
}

/// Asks a child to end, which may be one of root. Ctrl-C at a terminal asks it too: to be asked twice does no harm.
fn end(child: &Child) {
    if let Some(mut command) = Privilege::find().unasked("kill") {
        // It may have ended by now.
        succeeds(command.arg("-TERM").arg(child.id().to_string()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_judged_by_its_end() {
        let interrupt = Interrupt(Arc::default());
        let shell = |script: &str| interrupt.attempt(Command::new("sh").args(["-c", script]));
        assert_eq!(shell("exit 0"), Ok(()));
        assert_eq!(shell("exit 3"), Err("failed with exit code 3".to_owned()));
        assert!(!interrupt.has_come());
    }

    #[test]
    fn an_interrupt_ends_the_command() {
        let interrupt = Interrupt(Arc::new(AtomicBool::new(true)));
        if Privilege::find() == Privilege::Root {
            let how = interrupt.attempt(Command::new("sleep").arg("600"));
            assert_eq!(how, Err("was interrupted".to_owned()));
        }
    }
}
