//! Debian's packages: installed for all, or a program taken out of one for this tree only.

use std::{cell::Cell, fs, path::Path, process::Command};

use anyhow::{Context as _, Result, bail};

use crate::{
    host::Privilege,
    process::{find_program, run, succeeds},
};

/// The command that installs packages, for `env`.
const INSTALL: [&str; 8] = [
    "DEBIAN_FRONTEND=noninteractive",
    "apt-get",
    "install",
    "--yes",
    "--quiet=2",
    "--no-install-recommends",
    "-oDPkg::Lock::Timeout=300",
    "-oDpkg::Use-Pty=0",
];

/// Runs a command that installs a service, its first argument, while packages may start none; unless the
/// host has a policy of its own, which stays. Then takes the service out of what starts at boot.
const DORMANT: &str = r#"
policy=/usr/sbin/policy-rc.d
service=$1
shift
if [ ! -e $policy ]; then
    trap "rm -f $policy" EXIT
    trap "exit 1" HUP INT TERM
    printf '#!/bin/sh\nexit 101\n' >$policy && chmod 755 $policy || exit 1
fi
"$@" || exit 1
if [ -d /run/systemd/system ]; then
    systemctl disable --quiet --now "$service"
elif command -v systemctl >/dev/null; then
    systemctl disable --quiet "$service"
elif [ -e "/etc/init.d/$service" ]; then
    update-rc.d "$service" disable
fi
"#;

/// Debian's package manager, if this host has it.
pub(super) struct Apt {
    privilege: Privilege,
    /// Whether the lists of packages have been fetched by this process.
    updated: Cell<bool>,
}

impl Apt {
    /// One that asks nobody for a password.
    pub(super) fn new(privilege: Privilege) -> Self {
        Self { privilege, updated: Cell::new(false) }
    }

    /// Whether this host has apt.
    pub(super) fn exists() -> bool {
        find_program("apt-get").is_some() && find_program("dpkg-deb").is_some()
    }

    /// Whether all of these can be installed: by us, as root, from the sources that are configured.
    pub(super) fn can_install(&self, packages: &[&str]) -> bool {
        Self::exists() && self.privilege.unasked("apt-get").is_some() && {
            self.update();
            packages.iter().all(|package| offered(package))
        }
    }

    /// Installs these packages and what they depend on.
    ///
    /// # Errors
    /// Where there is no apt or nobody to be root; the error says what to type.
    pub(super) fn install(&self, packages: &[&str]) -> Result<()> {
        run(self.as_root("env", packages)?.args(INSTALL).args(packages))
    }

    /// Installs the package of a daemon, and sees to it that the host does not run it: neither now nor when
    /// it boots.
    ///
    /// # Errors
    /// As those of [`Apt::install`].
    pub(super) fn install_dormant(&self, package: &str, service: &str) -> Result<()> {
        let mut command = self.as_root("sh", &[package])?;
        command.args(["-c", DORMANT, "sh", service, "env"]).args(INSTALL).arg(package);
        run(&mut command)
    }

    /// A command that is to install `packages`, once the lists of packages are there.
    fn as_root(&self, program: &str, packages: &[&str]) -> Result<Command> {
        let packages = packages.join(" ");
        if !Self::exists() {
            bail!("this host has no apt: install by its own means what Debian calls {packages}");
        }
        let Some(command) = self.privilege.unasked(program) else {
            bail!("to install it needs root: type\n  {}", self.typed_install(&packages));
        };
        self.update();
        Ok(command)
    }

    /// Takes the `programs` (paths such as `usr/bin/promtool`) out of a package and puts them below
    /// `directory`. Nothing is installed, so nothing is started either.
    ///
    /// # Errors
    /// Where there is no apt, or the package or a program is not to be had.
    pub(super) fn extract(&self, package: &str, programs: &[&str], directory: &Path) -> Result<()> {
        if !Self::exists() {
            let names = programs.iter().filter_map(|program| program.rsplit('/').next());
            let names = names.collect::<Vec<_>>().join(" and ");
            bail!("this host has no apt: install {names} by its own means, into the PATH");
        }
        if !offered(package) {
            self.update();
        }
        let partial = directory.join("partial");
        if partial.exists() {
            fs::remove_dir_all(&partial).with_context(|| partial.display().to_string())?;
        }
        fs::create_dir_all(&partial).with_context(|| partial.display().to_string())?;
        if self.download(package, &partial).is_err() {
            // The lists may name a version that is gone by now.
            self.update();
            self.download(package, &partial).with_context(|| {
                let update = self.privilege.typed("apt-get update");
                format!("the lists of packages may be old: type\n  {update}\nand try again")
            })?;
        }
        let archive = fs::read_dir(&partial)?
            .filter_map(|entry| Some(entry.ok()?.path()))
            .find(|path| path.extension().is_some_and(|extension| extension == "deb"))
            .with_context(|| format!("apt-get has left no package in {}", partial.display()))?;
        run(Command::new("dpkg-deb").arg("--extract").arg(archive).arg(&partial))?;
        for program in programs {
            let (from, to) = (partial.join(program), directory.join(program));
            let parent = to.parent().unwrap_or(directory);
            fs::create_dir_all(parent).with_context(|| parent.display().to_string())?;
            fs::rename(&from, &to)
                .with_context(|| format!("the package {package} has no {program}"))?;
        }
        fs::remove_dir_all(&partial).with_context(|| partial.display().to_string())
    }

    fn download(&self, package: &str, directory: &Path) -> Result<()> {
        let mut command = Command::new("apt-get");
        command.current_dir(directory).args(["--quiet=2", "download"]);
        if self.privilege == Privilege::Root {
            // Else apt warns that its own user cannot write to our directory.
            command.arg("-oAPT::Sandbox::User=root");
        }
        run(command.arg(package))
    }

    /// Fetches the lists of packages, once. A source that does not answer is no reason to give up:
    /// the others may have what is wanted.
    fn update(&self) {
        if self.updated.replace(true) {
            return;
        }
        let Some(mut command) = self.privilege.unasked("apt-get") else { return };
        command.args(["--quiet=2", "-oDPkg::Lock::Timeout=300", "update"]);
        if let Err(error) = run(&mut command) {
            eprintln!("setup: going on with the lists of packages that are there: {error:#}");
        }
    }

    /// What one types to install `packages`, as [`Apt::install`] does.
    pub(super) fn typed_install(&self, packages: &str) -> String {
        let install = format!("apt-get install --no-install-recommends {packages}");
        self.privilege.typed(&format!("apt-get update && {install}"))
    }
}

/// Whether the lists have this package.
fn offered(package: &str) -> bool {
    succeeds(Command::new("apt-cache").args(["show", package]))
}
