//! The defects of the incident, for a build that is there to show them: that with the feature `simulation`. The product
//! has neither the defects nor the variable.

use anyhow::Result;

#[cfg(feature = "simulation")]
use crate::health::defect::Defect;
use crate::health::defect::Defects;

/// The environment variable that names them: `validation`, `freshness` or `both`.
#[cfg(feature = "simulation")]
const VARIABLE: &str = "LINKPROBE_DEFECT";

/// None.
#[cfg(not(feature = "simulation"))]
#[expect(
    clippy::unnecessary_wraps,
    reason = "the test-only build may be asked for what it has not"
)]
pub(super) const fn chosen() -> Result<Defects> {
    Ok(Defects::NONE)
}

/// Those that the environment asks for; none where it does not.
///
/// # Errors
/// Where it asks for others.
#[cfg(feature = "simulation")]
pub(super) fn chosen() -> Result<Defects> {
    let Some(name) = std::env::var_os(VARIABLE) else { return Ok(Defects::NONE) };
    let name = name.to_string_lossy();
    let defects = match &*name {
        "validation" => Defects::NONE.with(Defect::Revalidation),
        "freshness" => Defects::NONE.with(Defect::Pinning),
        "both" => Defects::NONE.with(Defect::Revalidation).with(Defect::Pinning),
        other => anyhow::bail!("{VARIABLE}={other}: write validation, freshness or both"),
    };
    tracing::warn!(
        "THIS BUILD HAS THE DEFECTS OF THE INCIDENT, and was told to use them ({VARIABLE}={name}): its verdicts may stay \
         wrong for ever. It is there to show that, and for nothing else"
    );
    Ok(defects)
}
