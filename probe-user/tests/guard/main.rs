//! `linkprobe guard` with real commands and agents that say what a test wants.
//!
//! - `moves`: where the command runs.
//! - `process`: how it is started and ended.
//! - `files`: the file of targets, and dry runs.

mod fake;
mod files;
mod moves;
mod process;

/// A command that says where it starts, and that it was told to end.
const WORKER: &str =
    "trap 'echo end-{name} >>said; exit 0' TERM; echo {name} >>said; while :; do sleep 0.05; done";
