//! Babel, as BIRD 2 speaks it, between the gateways.

use std::{fmt::Write as _, fs, process::Command};

use anyhow::{Context as _, Result};
use lab::{Lab, Site, overlay::LAN};

use crate::topology;

/// Starts BIRD in every site. Of the last 16 hellos `limit` must have come, or the link counts as dead.
///
/// # Errors
/// Where it is not installed.
pub(super) fn start(lab: &Lab, limit: u8) -> Result<()> {
    for site in lab.sites() {
        let file = |kind: &str| lab.directory().join(format!("{}-bird.{kind}", site.name()));
        let path = file("conf");
        fs::write(&path, config(lab, site, limit)).with_context(|| path.display().to_string())?;
        let mut command = Command::new("bird");
        command.args(["-f", "-c"]).arg(path);
        command.arg("-s").arg(file("ctl")).arg("-P").arg(file("pid"));
        site.spawn(command).context("BIRD, Debian's package bird2")?;
    }
    Ok(())
}

/// Its config. A link costs ten times the milliseconds of its delay: so the best detour costs more than the
/// direct path, but the relay itself is nearer to the destination than we are, which is what Babel wants of it
/// to change over without asking first. `limit` says how many of the last 16 hellos must have come.
fn config(lab: &Lab, site: &Site, limit: u8) -> String {
    let mut text = format!(
        "log stderr all;\n\
         router id {};\n\
         protocol device {{ scan time 1; }}\n\
         protocol direct {{ ipv4; interface \"{LAN}\"; }}\n\
         protocol kernel {{ ipv4 {{ import none; export where source = RTS_BABEL; }}; }}\n\
         protocol babel {{\n\
         ipv4 {{ import all; export where source ~ [ RTS_DEVICE, RTS_BABEL ]; }};\n",
        site.tunnel_ipv4(),
    );
    for other in lab.sites().iter().filter(|other| other.number() != site.number()) {
        let (tunnel, cost) = (other.tunnel(), 10 * topology::delay(site.name(), other.name()));
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "interface \"{tunnel}\" {{ type wired; rxcost {cost}; limit {limit}; hello interval 100 ms; }};"
        );
    }
    text + "}\n"
}
