//! What tests of agents that route ask again and again.

use anyhow::{Context as _, Result, bail};
use lab::{Agent, Mesh};
use probe_user::{report::overlay::Overlay, verdict::State};

/// Agents that route, and judge fast.
#[must_use]
pub fn mesh() -> Mesh {
    Mesh { overlay: true, more: "[health]\nprofile = \"fast\"\n".to_owned(), ..Mesh::default() }
}

/// What an agent says of its routes.
///
/// # Errors
/// Where it does not answer, or routes nothing.
pub fn routes(agent: &Agent) -> Result<Overlay> {
    let (status, body) = agent.get("/api/v1/overlay")?;
    if status != 200 {
        bail!("{} answers {status}: {body}", agent.node());
    }
    serde_json::from_str(&body).with_context(|| body.clone())
}

/// Whether an agent finds every candidate healthy in both directions, and nothing wrong with the kernel's routes.
///
/// # Errors
/// As those of [`routes`].
pub fn is_well(agent: &Agent) -> Result<bool> {
    let overlay = routes(agent)?;
    let mut candidates = overlay.destinations.iter().flat_map(|to| &to.candidates);
    let all_healthy = candidates.all(|candidate| {
        [&candidate.forward, &candidate.reverse].iter().all(|way| way.verdict == State::Healthy)
    });
    Ok(all_healthy && overlay.problems.is_empty())
}
