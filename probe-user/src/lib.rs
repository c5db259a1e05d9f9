//! The agent of linkprobe, in three rings. An outer ring uses the inner ones, never the other way.
//!
//! **Core**: plain values in, plain values out. No clock, no socket, no async; time is an argument.
//! - [`verdict`]: states, directions, causes.
//! - [`account`]: from the memory of the kernel to the outcome of every probe.
//! - [`limits`]: what bounds a config and a recording alike.
//! - `places`: sets of places in a list.
//! - `prefetch`: a hint to the processor.
//! - [`prefix`]: prefixes of addresses.
//! - [`health`]: from outcomes to verdicts.
//! - [`record`]: what the verdicts were made of, and the same again with other numbers (its `directory`, `disk` and `recorder` are io).
//! - [`random`]: pseudorandom numbers for simulations.
//! - [`reflector`]: from a request to its reply, where the kernel does not do it.
//! - [`report`]: the documents that the outside reads.
//!
//! **Io**: moves bytes, decides nothing.
//! - [`datapath`]: the BPF programs and their maps.
//! - [`keys`]: key files.
//! - [`sender`]: the thread that sends probes when they are due.
//! - [`resolve`]: from the names in the config to addresses.
//! - [`web`] and [`metrics`]: HTTP, HAProxy's agent checks and the Prometheus format.
//! - [`hooks`]: commands and servers that are told of changes.
//!
//! **Shell**: wiring.
//! - [`config`]: the file.
//! - [`agent`]: a running agent.
//! - [`client`]: the commands that ask a running agent.
//! - [`guard`]: keeps a command running against a target that can be reached.
//! - [`ping`]: an ad-hoc session.
//! - [`replay`]: what other numbers would have made of a recording.

pub mod account;
pub mod agent;
pub mod client;
pub mod config;
pub mod datapath;
pub mod guard;
pub mod health;
pub mod hooks;
pub mod keys;
pub mod limits;
pub mod metrics;
pub mod overlay;
pub mod ping;
mod places;
mod prefetch;
pub mod prefix;
pub mod random;
pub mod record;
pub mod reflector;
pub mod replay;
pub mod report;
pub mod resolve;
pub mod sender;
pub mod verdict;
pub mod web;
