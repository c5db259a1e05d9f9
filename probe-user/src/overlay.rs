//! The overlay: which way traffic to a destination goes, and how the kernel is made to send it there.
//!
//! A destination is a set of prefixes behind one gateway, which is a peer. Its candidates are the direct way, over the
//! tunnel to that gateway, and one way through each relay, which is another gateway. Each is a path of its own with a
//! verdict of its own, for its probes go the way that the traffic would go.
//!
//! - [`choice`]: which candidate is used. Pure.
//! - [`plan`]: what routes and rules the kernel should have for it. Pure.
//! - [`kernel`]: what it has, and how that is changed.
//! - `lock`: one agent at a time.
//! - [`actuator`]: the task that makes the second what the first says, and looks whether it holds.

pub mod actuator;
pub mod choice;
pub mod kernel;
mod lock;
pub mod plan;
