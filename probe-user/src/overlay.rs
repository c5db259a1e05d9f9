//! The overlay: which way traffic to a destination goes, and how the kernel is made to send it there.
//!
//! A destination is a set of prefixes behind one gateway, which is a peer. Its candidates are the direct way, over the
//! tunnel to that gateway, and one way through each relay, which is another gateway. Each is a path of its own with a
//! verdict of its own, for its probes go the way that the traffic would go.
//!
//! - [`choice`]: which candidate is used. Pure.
//! - [`plan`]: what routes and rules the kernel should have for it. Pure.
//! - [`kernel`]: what it has, and how that is changed.
//! - [`actuator`]: the task that makes the second what the first says, and looks whether it holds.

pub mod actuator;
pub mod choice;
pub mod kernel;
pub mod plan;

use std::time::Duration;

use anyhow::{Result, ensure};

/// How soon a running agent would have put its routes in again.
const PUT_BACK: Duration = Duration::from_millis(500);

/// Takes out all of our routes and rules, and returns how many of each there were.
///
/// # Errors
/// Where the kernel refuses, or somebody puts them in again.
pub async fn flush() -> Result<(usize, usize)> {
    let taken_out = actuator::flush().await?;
    tokio::time::sleep(PUT_BACK).await;
    ensure!(
        actuator::flush().await? == (0, 0),
        "the routes were put in again at once, as a running agent does: stop it first"
    );
    Ok(taken_out)
}
