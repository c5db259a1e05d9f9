//! What an outcome says of one direction.

use super::{Settings, defect::Defect};
use crate::{
    account::{Lost, Outcome},
    verdict::Direction,
};

/// What an outcome says of one direction.
pub(super) enum Says {
    /// The probe passed there.
    Passed,
    /// It was lost there.
    Lost,
    /// Probes pass there, though nothing is known of this one.
    Alive,
    /// Nothing.
    Nothing,
    /// A loss that was reported was none.
    NotLost,
}

/// What an outcome says of a direction.
pub(super) const fn says(outcome: Outcome, direction: Direction, settings: &Settings) -> Says {
    use Direction::{Forward, Reverse};
    match (outcome, direction) {
        (Outcome::Lost(_), _) if settings.defects.has(Defect::NoDirection) => Says::Lost,
        (Outcome::Lost(_), Reverse) if settings.defects.has(Defect::BlindReverse) => Says::Passed,
        (Outcome::Answered { .. }, _) | (Outcome::Lost(Lost::Reverse), Forward) => Says::Passed,
        (Outcome::Lost(Lost::Forward), Forward)
        | (Outcome::Lost(Lost::Reverse | Lost::Silent), Reverse)
        | (Outcome::Lost(Lost::Unknown), _) => Says::Lost,
        (Outcome::Lost(Lost::Forward), Reverse) => Says::Alive,
        (Outcome::Lost(Lost::Silent), Forward) => Says::Nothing,
        (Outcome::TakenBack(Lost::Forward | Lost::Unknown), Forward)
        | (Outcome::TakenBack(Lost::Reverse | Lost::Unknown | Lost::Silent), Reverse) => {
            Says::NotLost
        }
        (Outcome::TakenBack(_), _) => Says::Alive,
    }
}
