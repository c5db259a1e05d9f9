//! `linkprobe replay`: the verdicts that a config would have given.
//!
//! - [`compare`]: where two configs differ.
//! - `text`: changes of verdicts as lines.

pub mod compare;
mod text;

#[cfg(test)]
mod tests;

use std::{
    fs::File,
    io::{self, Read as _, Write},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};
use clap::Args;

use crate::{
    config::Config,
    health::Goals,
    record::{
        Damage, codec, directory,
        header::Header,
        player::{Change, Player, Totals},
    },
};

/// The largest file that can be a segment, in octets.
const LARGEST: u64 = 256 << 20;

/// What is to be replayed.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Segments of a recording, the oldest first, or the directory that they are in
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

/// Replays, and prints what comes of it.
///
/// # Errors
/// Where a config or a recording cannot be read, or is damaged; the message says which, where, and how.
pub fn run(arguments: &Arguments, out: &mut impl Write) -> Result<()> {
    let first = goals(arguments.config.as_deref())?;
    let Some(second) = &arguments.compare else {
        let mut written = Ok(());
        let each = &mut |_, change: Change| {
            let line = if arguments.json { text::json(&change, None) } else { text::line(&change) };
            if written.is_ok() {
                written = writeln!(out, "{line}");
            }
        };
        let played = play(&arguments.files, &[first], each);
        written?;
        return played.map(drop);
    };
    let names = [name(arguments.config.as_deref()), name(Some(second))];
    let mut sides = [compare::Side::default(), compare::Side::default()];
    let totals = play(&arguments.files, &[first, goals(Some(second))?], &mut |side, change| {
        sides[side].changes.push(change);
    })?;
    for (side, totals) in sides.iter_mut().zip(totals) {
        side.totals = totals;
    }
    compare::print(&names, &sides, arguments.json, out)?;
    Ok(())
}

/// What a config asks of the verdicts.
fn goals(config: Option<&Path>) -> Result<Option<Goals>> {
    config.map(|file| Ok(Config::load(file)?.health.goals())).transpose()
}

fn name(config: Option<&Path>) -> String {
    config.map_or_else(|| "as recorded".to_owned(), |file| file.display().to_string())
}

/// Plays recordings with each of these goals, or with those of the agent for `None`, and tells every change of a verdict
/// and by which of them it is.
///
/// # Errors
/// Where one cannot be read, or is damaged. What comes before was told.
pub fn play(
    files: &[PathBuf],
    goals: &[Option<Goals>],
    sink: &mut impl FnMut(usize, Change),
) -> Result<Vec<Totals>> {
    let mut players: Vec<Player> = goals.iter().copied().map(Player::new).collect();
    let mut before: Option<Header> = None;
    let mut seen = Vec::new();
    for file in segments(files)? {
        let bytes =
            read(&file).with_context(|| format!("cannot read the recording {}", file.display()))?;
        let mut damage = match codec::open(&bytes) {
            Ok((header, mut ticks)) => {
                tell_what_is_missing(&file, before.as_ref(), &header);
                for (index, player) in players.iter_mut().enumerate() {
                    player.begin(&header, &mut |change| sink(index, change));
                }
                before = Some(header);
                loop {
                    match ticks.next(&mut seen) {
                        Ok(Some(now)) => {
                            for (index, player) in players.iter_mut().enumerate() {
                                player.tick(now, &seen, &mut |change| sink(index, change));
                            }
                        }
                        Ok(None) => break None,
                        Err(damage) => break Some(damage),
                    }
                }
            }
            Err(damage) => Some(damage),
        };
        if let Some(damage @ Damage::Truncated { .. }) = &damage {
            // An agent that was killed, or a full disk: what was written is good.
            tracing::warn!("{}: {damage}; replayed up to there", file.display());
        } else if let Some(damage) = damage.take() {
            return Err(damage).with_context(|| {
                format!("{} is no recording, or was damaged since", file.display())
            });
        }
    }
    Ok(players.into_iter().map(Player::finish).collect())
}

fn tell_what_is_missing(file: &Path, before: Option<&Header>, header: &Header) {
    let begins = text::time(header.unix);
    match before.filter(|before| before.run == header.run) {
        Some(before) if header.gap || header.sequence != before.sequence + 1 => {
            tracing::warn!("{}: a part before {begins} was not recorded", file.display());
        }
        None if header.sequence > 0 => tracing::warn!(
            "{}: what the agent had seen before {begins} is not there, so all verdicts begin as unknown",
            file.display()
        ),
        _ => {}
    }
}

/// The files that are meant, directories by their segments.
fn segments(files: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut all = Vec::new();
    for file in files {
        if !file.is_dir() {
            all.push(file.clone());
            continue;
        }
        let segments = directory::segments(file)
            .with_context(|| format!("cannot read the directory {}", file.display()))?;
        if segments.is_empty() {
            bail!("{} holds no recording: is it what [record] directory says?", file.display());
        }
        all.extend(segments.iter().map(|segment| directory::file(file, segment.number)));
    }
    Ok(all)
}

fn read(file: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(file)?.take(LARGEST + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LARGEST {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "it is too long for a segment"));
    }
    Ok(bytes)
}
