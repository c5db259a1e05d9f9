//! `linkprobe replay`: the verdicts that a config would have given.
//!
//! - [`compare`]: where two configs differ.
//! - `goals`: what a config asks, and whether that fits the recording.
//! - `segments`: which files are replayed, and in which order.
//! - `text`: changes of verdicts as lines.

pub mod compare;
mod goals;
mod segments;
mod text;

#[cfg(test)]
mod tests;

use std::{io::Write, ops::ControlFlow, path::PathBuf};

use anyhow::Result;
use clap::Args;

use self::{goals::Tried, segments::Segment};
use crate::record::{
    Damage, codec,
    header::Header,
    player::{Change, Player, Totals},
};

/// What is to be replayed.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Segments of a recording, in any order, or the directory that they are in
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// The config whose `[health]` is tried; without it, that of the agent that recorded
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Another config: print what differs, "-" only with the first and "+" only with this one, and the sums
    #[arg(long, value_name = "FILE")]
    pub compare: Option<PathBuf>,
    /// Print one JSON object on each line
    #[arg(long)]
    pub json: bool,
}

/// Replays, and prints what comes of it. What was damaged or left out is said in the log.
///
/// # Errors
/// Where a config or a file cannot be read, or nothing in it is a recording; the message says which, where, and how.
pub fn run(arguments: &Arguments, out: &mut impl Write) -> Result<()> {
    replay(arguments, out, &mut |warning| tracing::warn!("{warning}"))
}

fn replay(
    arguments: &Arguments,
    out: &mut impl Write,
    tell: &mut impl FnMut(String),
) -> Result<()> {
    let first = Tried::load(arguments.config.as_deref())?;
    let second = arguments.compare.as_deref().map(|file| Tried::load(Some(file))).transpose()?;
    let segments = segments::find(&arguments.files, tell)?;
    for tried in [Some(&first), second.as_ref()].into_iter().flatten() {
        tried.compare_with(&segments, tell);
    }
    let Some(second) = second else {
        return print(segments, &first, arguments.json, out, tell);
    };
    let mut sides = [compare::Side::default(), compare::Side::default()];
    let mut sink = |side: usize, change| {
        sides[side].changes.push(change);
        ControlFlow::Continue(())
    };
    let totals = Stage::new(&[&first, &second], &mut sink, tell).play(segments);
    for (side, totals) in sides.iter_mut().zip(totals) {
        side.totals = totals;
    }
    compare::print(&[first.name, second.name], &sides, arguments.json, out)?;
    Ok(())
}

/// Prints every change as soon as it is found, as long as somebody reads it.
fn print(
    segments: Vec<Segment>,
    tried: &Tried,
    json: bool,
    out: &mut impl Write,
    tell: &mut impl FnMut(String),
) -> Result<()> {
    let mut written = Ok(());
    let mut sink = |_, change: Change| {
        let line = if json { text::json(&change, None) } else { text::line(&change) };
        written = writeln!(out, "{line}");
        if written.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    };
    Stage::new(&[tried], &mut sink, tell).play(segments);
    Ok(written?)
}

/// Where a recording is played with several goals at once.
struct Stage<'s, S, T> {
    players: Vec<Player>,
    /// Run and sequence of the segment that was played last.
    before: Option<(u64, u64)>,
    /// Is told every change of a verdict, and whose goals have brought it; says when that is enough.
    sink: &'s mut S,
    tell: &'s mut T,
}

impl<'s, S, T> Stage<'s, S, T>
where
    S: FnMut(usize, Change) -> ControlFlow<()>,
    T: FnMut(String),
{
    fn new(tried: &[&Tried], sink: &'s mut S, tell: &'s mut T) -> Self {
        let players = tried.iter().map(|tried| Player::new(tried.goals)).collect();
        Self { players, before: None, sink, tell }
    }

    /// Plays all segments, or until the sink has enough. One that is damaged is played as far as it goes.
    fn play(mut self, segments: Vec<Segment>) -> Vec<Totals> {
        for mut segment in segments {
            let file = segment.file.display().to_string();
            let played = match segment.read() {
                Ok(bytes) => self.play_segment(&file, &bytes),
                // It has made room for a newer one since.
                Err(error) => {
                    (self.tell)(format!("left out: {error:#}"));
                    self.players.iter_mut().for_each(Player::cut_off);
                    ControlFlow::Continue(())
                }
            };
            if played.is_break() {
                break;
            }
        }
        self.players.into_iter().map(Player::finish).collect()
    }

    fn play_segment(&mut self, file: &str, bytes: &[u8]) -> ControlFlow<()> {
        match self.play_ticks(file, bytes) {
            Ok(flow) => flow,
            Err(damage) => {
                (self.tell)(format!("{file}: {damage}; replayed up to there"));
                self.players.iter_mut().for_each(Player::cut_off);
                ControlFlow::Continue(())
            }
        }
    }

    fn play_ticks(&mut self, file: &str, bytes: &[u8]) -> Result<ControlFlow<()>, Damage> {
        let (header, mut ticks) = codec::open(bytes)?;
        self.tell_what_is_missing(file, &header);
        self.before = Some((header.run, header.sequence));
        let mut flow = self.each(|player, mut sink| player.begin(&header, &mut sink));
        let mut seen = Vec::new();
        while flow.is_continue()
            && let Some(now) = ticks.next(&mut seen)?
        {
            flow = self.each(|player, mut sink| player.tick(now, &seen, &mut sink));
        }
        Ok(flow)
    }

    fn each(&mut self, act: impl Fn(&mut Player, &mut dyn FnMut(Change))) -> ControlFlow<()> {
        let mut flow = ControlFlow::Continue(());
        for (index, player) in self.players.iter_mut().enumerate() {
            act(player, &mut |change| {
                if flow.is_continue() {
                    flow = (self.sink)(index, change);
                }
            });
        }
        flow
    }

    fn tell_what_is_missing(&mut self, file: &str, header: &Header) {
        let begins = text::time(header.unix);
        match self.before.filter(|(run, _)| *run == header.run) {
            Some((_, before)) if header.gap || header.sequence != before.wrapping_add(1) => {
                (self.tell)(format!("{file}: a part before {begins} is missing"));
            }
            None if header.sequence > 0 => (self.tell)(format!(
                "{file}: what the agent had seen before {begins} is not there, so all verdicts begin as unknown"
            )),
            _ => {}
        }
    }
}
