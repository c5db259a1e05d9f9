//! What this host is: its kernel, and how to become root on it.

use std::{fs, path::Path, process::Command};

use anyhow::{Context as _, Result, bail};

use crate::process::{find_program, succeeds};

/// The first kernel with all that the programs call, and that the tests run on.
const OLDEST_KERNEL: (u32, u32) = (6, 1);

/// What root may lack in a container, with the bit in the capability sets of Linux.
const CAPABILITIES: [(&str, u32); 2] = [("CAP_NET_ADMIN", 12), ("CAP_SYS_ADMIN", 21)];

/// How a program that needs root gets it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Privilege {
    /// We are root.
    Root,
    /// We are not, and `sudo` is installed; it may ask for a password.
    Sudo,
    /// Neither.
    None,
}

impl Privilege {
    /// What this process has.
    pub(crate) fn find() -> Self {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        if effective_user(&status) == Some(0) {
            Self::Root
        } else if find_program("sudo").is_some() {
            Self::Sudo
        } else {
            Self::None
        }
    }

    /// A command that does as root what `program` does, where nobody need be asked for a password.
    pub(crate) fn unasked(self, program: &str) -> Option<Command> {
        match self {
            Self::Root => Some(Command::new(program)),
            Self::Sudo if succeeds(Command::new("sudo").args(["-n", "true"])) => {
                let mut command = Command::new("sudo");
                command.args(["-n", program]);
                Some(command)
            }
            Self::Sudo | Self::None => None,
        }
    }

    /// What one types so that the shell `commands` run as root.
    pub(crate) fn typed(self, commands: &str) -> String {
        match self {
            Self::Root => commands.to_owned(),
            Self::Sudo => format!("sudo sh -c '{commands}'"),
            Self::None => format!("su -c '{commands}'"),
        }
    }
}

/// The release of the running kernel, such as `6.1.0-31-amd64`.
///
/// # Errors
/// Where this is not Linux.
pub(crate) fn kernel_release() -> Result<String> {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease")
        .context("linkprobe needs Linux: /proc/sys/kernel/osrelease cannot be read")?;
    Ok(release.trim().to_owned())
}

/// Checks that this host can run the BPF programs.
///
/// # Errors
/// Says what is missing: a kernel that is new enough, its BPF system call, or root's capabilities.
pub(crate) fn check_datapath(privilege: Privilege) -> Result<()> {
    let release = kernel_release()?;
    if version(&release).is_none_or(|version| version < OLDEST_KERNEL) {
        let (major, minor) = OLDEST_KERNEL;
        bail!("linkprobe needs Linux {major}.{minor} or newer, this is {release}");
    }
    if !Path::new("/proc/sys/kernel/unprivileged_bpf_disabled").exists() {
        bail!("this kernel ({release}) has no BPF system call: it wants CONFIG_BPF_SYSCALL=y");
    }
    if privilege == Privilege::Root {
        let status = fs::read_to_string("/proc/self/status").context("/proc/self/status")?;
        let missing = missing_capabilities(&status);
        if !missing.is_empty() {
            bail!(
                "root lacks {} here, as in a container: give it that, or use a virtual machine",
                missing.join(" and ")
            );
        }
    }
    Ok(())
}

/// Major and minor number of a kernel release.
fn version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|letter: char| !letter.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

/// The effective user in the text of `/proc/PID/status`: the second of four.
fn effective_user(status: &str) -> Option<u32> {
    let line = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

/// Those of [`CAPABILITIES`] that are not effective in the text of `/proc/PID/status`.
fn missing_capabilities(status: &str) -> Vec<&'static str> {
    let effective = status
        .lines()
        .find_map(|line| line.strip_prefix("CapEff:"))
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .unwrap_or(0);
    CAPABILITIES
        .iter()
        .filter(|(_, bit)| effective >> bit & 1 == 0)
        .map(|(name, _)| *name)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOT: &str = "Name:\tsh\nUid:\t1000\t0\t0\t0\nCapEff:\t000001ffffffffff\n";
    const CONTAINER: &str = "Name:\tsh\nUid:\t0\t0\t0\t0\nCapEff:\t00000000a80425fb\n";

    #[test]
    fn kernel_releases_are_compared_as_numbers() {
        assert_eq!(version("6.1.0-31-amd64"), Some((6, 1)));
        assert_eq!(version("6.18-rc3"), Some((6, 18)));
        assert_eq!(version("next"), None);
        assert!(version("5.15.0") < Some(OLDEST_KERNEL));
        assert!(version("6.10.0") > Some(OLDEST_KERNEL));
    }

    #[test]
    fn the_effective_user_counts() {
        assert_eq!(effective_user(ROOT), Some(0));
        assert_eq!(effective_user("Uid:\t0\t1000\t0\t0\n"), Some(1000));
        assert_eq!(effective_user(""), None);
    }

    #[test]
    fn a_container_without_capabilities_is_told_apart() {
        assert!(missing_capabilities(ROOT).is_empty());
        assert_eq!(missing_capabilities(CONTAINER), ["CAP_NET_ADMIN", "CAP_SYS_ADMIN"]);
    }
}
