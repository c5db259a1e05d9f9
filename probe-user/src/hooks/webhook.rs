//! A server that is told of a change: a POST with the document.

use std::time::Duration;

use super::Failure;

/// Posts a document. Blocks for `limit` at most.
///
/// # Errors
/// Where there is no answer in time, or it is not one that says that all is well (2xx).
pub(super) fn post(url: &str, document: &str, limit: Duration) -> Result<(), Failure> {
    // The variables for proxies are about the web, not about what an agent is configured to tell.
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .timeout_global(Some(limit))
        .http_status_as_error(false)
        .max_redirects(0)
        .proxy(None)
        .build()
        .into();
    match agent.post(url).content_type("application/json").send(document) {
        Ok(response) if response.status().is_success() => Ok(()),
        Ok(response) => Err(Failure::Failed(format!("{url} answers {}", response.status()))),
        Err(ureq::Error::Timeout(_)) => Err(Failure::TimedOut(format!(
            "{url} has not answered within {}",
            humantime::format_duration(limit)
        ))),
        Err(error) => Err(Failure::Failed(format!("{url} cannot be told: {error}"))),
    }
}
