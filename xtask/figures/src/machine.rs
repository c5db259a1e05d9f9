//! What everything was measured on, out of what Linux says of itself. Pure: the texts are arguments.

use serde::{Deserialize, Serialize};

use crate::Unit;

/// A machine.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// The model of its processor.
    pub processor: String,
    /// How many processors its kernel sees.
    pub cores: usize,
    /// Whether it is a virtual one, which shares these with others.
    pub is_virtual: bool,
    /// Octets of memory.
    pub memory: u64,
    /// Its kernel, such as `Linux 6.1.0-31-amd64`.
    pub kernel: String,
    /// Its distribution, such as `Debian GNU/Linux 12 (bookworm)`.
    pub distribution: String,
}

impl Machine {
    /// By the texts of `/proc/cpuinfo`, `/proc/meminfo`, `/proc/sys/kernel/osrelease` and `/etc/os-release`. What they
    /// do not say is told as unknown, or 0.
    #[must_use]
    pub fn new(cpuinfo: &str, meminfo: &str, osrelease: &str, distribution: &str) -> Self {
        // Names of fields differ by architecture: ARM has no model, only numbers.
        let models = ["model name", "Model", "CPU part"];
        let model = models.iter().find_map(|name| field(cpuinfo, name, ':'));
        let flags = field(cpuinfo, "flags", ':').unwrap_or_default();
        let memory = field(meminfo, "MemTotal", ':')
            .and_then(|text| text.split(' ').next()?.parse::<u64>().ok());
        Self {
            processor: model.unwrap_or("unknown").to_owned(),
            cores: cpuinfo.lines().filter(|line| name_of(line, ':') == Some("processor")).count(),
            is_virtual: flags.split_whitespace().any(|flag| flag == "hypervisor"),
            memory: memory.unwrap_or(0) * 1024,
            kernel: format!("Linux {}", osrelease.trim()),
            distribution: field(distribution, "PRETTY_NAME", '=')
                .unwrap_or("unknown")
                .trim_matches('"')
                .to_owned(),
        }
    }

    /// What it is called, and what it has.
    pub(crate) fn rows(&self) -> [(&'static str, String); 5] {
        let cores = match self.is_virtual {
            true => format!("{}, of a virtual machine", self.cores),
            false => self.cores.to_string(),
        };
        [
            ("processor", self.processor.clone()),
            ("cores", cores),
            ("memory", Unit::Octets.show(self.memory as f64)),
            ("kernel", self.kernel.clone()),
            ("distribution", self.distribution.clone()),
        ]
    }
}

/// What stands behind the first field of this name.
fn field<'a>(text: &'a str, name: &str, sign: char) -> Option<&'a str> {
    let line = text.lines().find(|line| name_of(line, sign) == Some(name))?;
    line.split_once(sign).map(|(_, value)| value.trim())
}

fn name_of(line: &str, sign: char) -> Option<&str> {
    line.split_once(sign).map(|(name, _)| name.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_is_what_its_files_say() {
        let cpuinfo = "processor\t: 0\nmodel name\t: EPYC: 7B13\nflags\t\t: fpu hypervisor sse\n\n\
                       processor\t: 1\nmodel name\t: EPYC: 7B13\nflags\t\t: fpu\n";
        let os = "NAME=\"Debian\"\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\n";
        let machine =
            Machine::new(cpuinfo, "MemTotal:  4194304 kB\nMemFree: 1 kB\n", "6.1.0\n", os);
        let expected = Machine {
            processor: "EPYC: 7B13".to_owned(),
            cores: 2,
            is_virtual: true,
            memory: 4 << 30,
            kernel: "Linux 6.1.0".to_owned(),
            distribution: "Debian GNU/Linux 12 (bookworm)".to_owned(),
        };
        assert_eq!(machine, expected);
        assert!(machine.rows().contains(&("memory", "4 GiB".to_owned())));
        assert!(machine.rows().contains(&("cores", "2, of a virtual machine".to_owned())));
    }

    #[test]
    fn what_is_not_said_is_unknown() {
        let machine = Machine::new("", "", "", "");
        assert_eq!((machine.processor.as_str(), machine.cores, machine.memory), ("unknown", 0, 0));
    }
}
