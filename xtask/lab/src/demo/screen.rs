//! What the demo shows: a timeline, and on a terminal a progress line below it.

use std::{
    env,
    io::{self, IsTerminal as _, Write as _},
    time::Instant,
};

use probe_user::verdict::State;

use crate::demo::plan::Plan;
use lab::clock;

/// Characters of the progress bar.
const BAR: usize = 24;
/// Clears the line that the cursor is in.
const CLEAR: &str = "\r\x1b[2K";
/// Seconds between two pictures of the progress line.
const FRAME: f64 = 0.1;

/// Standard output.
pub(crate) struct Screen {
    started: Instant,
    terminal: bool,
    colour: bool,
    drawn: Option<Instant>,
}

impl Screen {
    /// Starts the clock of the timeline.
    pub(crate) fn new() -> Self {
        let terminal = io::stdout().is_terminal();
        let colour = terminal && env::var_os("NO_COLOR").is_none();
        Self { started: clock::now(), terminal, colour, drawn: None }
    }

    /// A line of the timeline.
    pub(crate) fn event(&mut self, text: &str) {
        let seconds = self.started.elapsed().as_secs_f64();
        self.line(&format!("{seconds:6.2} s  {text}"));
    }

    /// A line.
    pub(crate) fn line(&mut self, text: &str) {
        let clear = if self.drawn.take().is_some() { CLEAR } else { "" };
        // Nobody may be listening any more; that is no reason to leave a lab behind.
        let _ = writeln!(io::stdout(), "{clear}{text}");
    }

    /// The progress line, with how many verdicts are in each state; nothing without a terminal.
    pub(crate) fn progress(&mut self, plan: &Plan, count: impl Fn(State) -> usize) {
        let due = self.drawn.is_none_or(|drawn| drawn.elapsed().as_secs_f64() >= FRAME);
        if !self.terminal || !due {
            return;
        }
        let full = ((plan.fraction() * BAR as f64) as usize).min(BAR);
        let bar = format!("{}{}", "█".repeat(full), "░".repeat(BAR - full));
        let counts: Vec<String> =
            [State::Healthy, State::Degraded, State::Unhealthy, State::Unknown]
                .into_iter()
                .map(|state| (state, count(state)))
                .filter(|(_, count)| *count > 0)
                .map(|(state, count)| self.state(state, &format!("{count} {state}")))
                .collect();
        let seconds = self.started.elapsed().as_secs_f64();
        let _ = write!(
            io::stdout(),
            "{CLEAR}{seconds:6.2} s  {bar}  {}  {}",
            plan.step(),
            counts.join(" ")
        );
        let _ = io::stdout().flush();
        self.drawn = Some(clock::now());
    }

    /// Text in the colour of a state.
    pub(crate) fn state(&self, state: State, text: &str) -> String {
        let code = match state {
            State::Healthy => 32,
            State::Degraded => 33,
            State::Unhealthy => 31,
            State::Unknown => 36,
        };
        self.paint(code, text)
    }

    /// Text that stands out.
    pub(crate) fn bold(&self, text: &str) -> String {
        self.paint(1, text)
    }

    fn paint(&self, code: u8, text: &str) -> String {
        if self.colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        if self.drawn.is_some() {
            let _ = write!(io::stdout(), "{CLEAR}");
            let _ = io::stdout().flush();
        }
    }
}
