//! What can be measured, and how each part is started.

use std::{ffi::OsString, process::Command, time::Duration};

use anyhow::Result;
use clap::ValueEnum;

use crate::{
    build, lab,
    process::Workspace,
    setup::{self, Purpose},
    sim,
};

/// What can be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Part {
    /// A reflected packet: in the kernel program alone, and in whole reflectors beside stamp-suite.
    Reflector,
    /// Ordinary traffic through an interface with our programs on it, beside one without.
    Path,
    /// A probe that is sent: by sendmmsg, straight to the driver, and by AF_XDP.
    Send,
    /// A whole agent: CPU and memory by paths and probes, beside others that probe.
    Agent,
    /// How many paths one agent can have.
    Scale,
    /// What is measured while the host is under load: errors of round trips and false loss, beside others.
    Truth,
    /// Verdicts: how soon loss is seen, how often an alarm is false, beside others; what an outcome costs. Needs
    /// no root.
    Health,
    /// Routes: how long a TCP stream stands still when a path falls sick, and when it is well again, beside
    /// Babel and BFD.
    Overlay,
}

impl Part {
    /// All of them, in the order in which they run: those that say the most in a short time first.
    pub(super) const ALL: [Self; 8] = [
        Self::Reflector,
        Self::Path,
        Self::Send,
        Self::Agent,
        Self::Scale,
        Self::Truth,
        Self::Health,
        Self::Overlay,
    ];

    /// What it is called, here and as a subcommand of the lab.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Reflector => "reflector",
            Self::Path => "path",
            Self::Send => "send",
            Self::Agent => "agent",
            Self::Scale => "scale",
            Self::Truth => "truth",
            Self::Health => "health",
            Self::Overlay => "overlay",
        }
    }

    /// How long it takes, roughly, in a quick run or in a full one: for the first guess at what is left.
    pub(super) const fn typical(self, quick: bool) -> Duration {
        let [quickly, fully] = match self {
            Self::Reflector => [20, 120],
            Self::Path | Self::Send | Self::Agent | Self::Scale | Self::Truth => [30, 240],
            Self::Health => [90, 600],
            Self::Overlay => [400, 1_200],
        };
        Duration::from_secs(if quick { quickly } else { fully })
    }

    /// Whether it runs in network namespaces, as root.
    pub(super) fn is_of_the_lab(self) -> bool {
        self != Self::Health
    }

    /// What has to be installed for it.
    pub(super) fn purpose(self) -> Purpose {
        if self.is_of_the_lab() { Purpose::Bench } else { Purpose::Build }
    }

    /// The command that measures it, but for its options.
    ///
    /// # Errors
    /// Where it needs root, and nobody can be root here.
    pub(super) fn command(self, workspace: &Workspace) -> Result<Command> {
        if self == Self::Health {
            let mut command = sim::command(workspace)?;
            command.arg("bench");
            return Ok(command);
        }
        let stamp_suite: [OsString; 2] =
            ["--stamp-suite".into(), setup::stamp_suite(workspace).into()];
        let arguments = match self {
            Self::Reflector | Self::Agent | Self::Truth => &stamp_suite[..],
            _ => &[],
        };
        lab::command(workspace, &build::agent(workspace)?, &["bench", self.name()], arguments)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_are_all_and_called_as_they_are_typed() {
        let typed: Vec<_> = Part::value_variants()
            .iter()
            .filter_map(|part| Some(part.to_possible_value()?.get_name().to_owned()))
            .collect();
        assert_eq!(typed, Part::ALL.map(Part::name));
    }

    #[test]
    fn those_beside_stamp_suite_are_told_where_it_is() {
        let workspace = Workspace::find().unwrap();
        let has = |part: Part| {
            part.command(&workspace)
                .is_ok_and(|command| command.get_args().any(|argument| argument == "--stamp-suite"))
        };
        // Nobody may be able to be root here.
        if Part::Path.command(&workspace).is_ok() {
            let told: Vec<Part> = Part::ALL.into_iter().filter(|part| has(*part)).collect();
            assert_eq!(told, [Part::Reflector, Part::Agent, Part::Truth]);
        }
    }
}
