//! The commands that tell: `linkprobe status` and `linkprobe check` of a running agent, `linkprobe explain` of a config.
//!
//! - `table`: paths as a table for people; `columns`: any table.
//! - `overlay`: which way traffic goes.
//! - `explain`: what a config guarantees.
//! - `plugin`: paths as the one line and exit code of a monitoring plugin.
//! - `units`: numbers with units.

mod columns;
mod explain;
mod overlay;
mod plugin;
mod table;
#[cfg(test)]
mod tests;
pub(crate) mod units;

use std::io;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
pub use explain::{explain, explain_table};
pub use overlay::overlay_table;
pub use plugin::{Selection, check, check_region};
use serde::de::DeserializeOwned;
pub use table::status_table;

use crate::report::{Paths, Regions, overlay::Overlay};

/// Where an agent listens unless its config says otherwise.
pub const DEFAULT_URL: &str = "http://127.0.0.1:9862";

const EXAMPLE: &str = "write one such as http://127.0.0.1:9862";

/// How long an agent may take to answer.
const TIMEOUT: Duration = Duration::from_secs(3);

/// The longest answer that is read, in bytes: about that of 100,000 paths.
const LIMIT: u64 = 256 << 20;

/// Asks the agent at a URL for its paths. Without a scheme, `http://` is meant.
///
/// # Errors
/// Where no agent answers within three seconds, or what answers is none; the message says what to do.
pub fn fetch_paths(url: &str) -> Result<Paths> {
    fetch(url, "/api/v1/paths")
}

/// Asks the agent at a URL for its links to regions, as [`fetch_paths`] does for paths.
///
/// # Errors
/// As those of [`fetch_paths`].
pub fn fetch_regions(url: &str) -> Result<Regions> {
    fetch(url, "/api/v1/regions")
}

/// Asks the agent at a URL for its routes, as [`fetch_paths`] does for paths.
///
/// # Errors
/// As those of [`fetch_paths`], and where it routes nothing.
pub fn fetch_overlay(url: &str) -> Result<Overlay> {
    fetch(url, "/api/v1/overlay")
}

/// Asks the agent at a URL for the document at a path.
pub(crate) fn fetch<T: DeserializeOwned>(url: &str, path: &str) -> Result<T> {
    let base = base(url)?;
    // The variables for proxies are about the web, not about a service on this host.
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .timeout_global(Some(TIMEOUT))
        .http_status_as_error(false)
        .proxy(None)
        .build()
        .into();
    let mut response = match agent.get(format!("{base}{path}")).call() {
        Ok(response) => response,
        Err(error) => bail!(no_answer(&base, &error)),
    };
    let status = response.status();
    if status == 404
        && let Ok(why) = response.body_mut().read_to_string()
        && why.starts_with("this agent")
    {
        bail!("{base}: {}", why.trim_end());
    }
    if !status.is_success() {
        bail!("{base} answers {status}: is it a linkprobe agent?");
    }
    response.body_mut().with_config().limit(LIMIT).read_json().with_context(|| {
        format!("the answer of {base} cannot be read: is it a linkprobe agent of this version?")
    })
}

/// The URL of an agent in full, without a slash at its end.
pub(crate) fn base(url: &str) -> Result<String> {
    let (scheme, host) = url.split_once("://").unwrap_or(("http", url));
    if scheme != "http" {
        bail!("{url} is not the URL of an agent, which speaks plain HTTP; {EXAMPLE}");
    }
    Ok(format!("http://{}", host.trim_end_matches('/')))
}

fn no_answer(base: &str, error: &ureq::Error) -> String {
    match error {
        ureq::Error::Timeout(_) => {
            format!("{base} does not answer within {} s", TIMEOUT.as_secs())
        }
        ureq::Error::HostNotFound => format!("the host of {base} is not known"),
        ureq::Error::BadUri(_) | ureq::Error::Http(_) => {
            format!("{base} is not a URL; {EXAMPLE}")
        }
        ureq::Error::Io(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            format!("no agent answers at {base}: is `linkprobe run` running there?")
        }
        ureq::Error::Io(error) => format!("no agent answers at {base}: {error}"),
        other => format!("{base} does not answer as an agent does: {other}"),
    }
}

/// Asks the agent at a URL and checks what it says: exit code and line of `linkprobe check`. With a
/// `path`, the name of a peer, only that path counts; with a `region`, what that is to the node.
#[must_use]
pub fn check_agent(url: &str, path: Option<&str>, region: Option<&str>) -> (u8, String) {
    let checked = match (path, region) {
        (Some(peer), _) => fetch_paths(url).map(|paths| check(&paths, Selection::Path(peer))),
        (None, None) => fetch_paths(url).map(|paths| check(&paths, Selection::All)),
        // The paths are details, which an agent that is slow may leave out.
        (None, Some(region)) => fetch_regions(url)
            .map(|regions| check_region(&regions, fetch_paths(url).ok().as_ref(), region)),
    };
    checked.unwrap_or_else(|error| plugin::unknown(&format!("{error:#}")))
}
