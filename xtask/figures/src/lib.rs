//! What the parts of the benchmark have in common: figures that were measured, and how they are shown.
//!
//! A part measures, and returns a [`Part`]: plain data, with every sample in it. The terminal, the JSON file and the
//! page are made of that and of nothing else.
//!
//! - [`part`]: the data.
//! - [`sample`]: units, medians and spreads.
//! - [`terminal`]: a part as text.
//! - [`machine`]: what everything was measured on.
//! - [`page`]: all parts as a page of Markdown.
//! - [`plot`]: a plot as SVG.

pub mod machine;
pub mod page;
pub mod part;
pub mod plot;
pub mod sample;
pub mod terminal;
mod ticks;

pub use machine::Machine;
pub use page::Report;
pub use part::{Axis, Cell, Part, Plot, Series, Table, Target};
pub use sample::{Samples, Unit};
