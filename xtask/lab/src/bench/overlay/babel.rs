//! Babel, as BIRD 2 speaks it, between the gateways.

use std::{fs, process::Command};

use anyhow::{Context as _, Result};
use lab::{Lab, Site, overlay::LAN};

/// Starts BIRD in every site.
pub(super) fn start(lab: &Lab) -> Result<()> {
    for site in lab.sites() {
        let file = |kind: &str| lab.directory().join(format!("{}-bird.{kind}", site.name()));
        let path = file("conf");
        fs::write(&path, config(site)).with_context(|| path.display().to_string())?;
        let mut command = Command::new("bird");
        command.args(["-f", "-c"]).arg(path);
        command.arg("-s").arg(file("ctl")).arg("-P").arg(file("pid"));
        site.spawn(command).context("BIRD, Debian's package bird2")?;
    }
    Ok(())
}

/// Its config: the LAN is announced, and all hellos of the last 16 must have come (`limit`).
fn config(site: &Site) -> String {
    format!(
        "log stderr all;\n\
         router id {};\n\
         protocol device {{ scan time 1; }}\n\
         protocol direct {{ ipv4; interface \"{LAN}\"; }}\n\
         protocol kernel {{\n\
         \u{20} ipv4 {{ import none; export where source = RTS_BABEL; }};\n\
         }}\n\
         protocol babel {{\n\
         \u{20} ipv4 {{ import all; export where source ~ [ RTS_DEVICE, RTS_BABEL ]; }};\n\
         \u{20} interface \"ov-*\" {{\n\
         \u{20}   type wired;\n\
         \u{20}   limit {};\n\
         \u{20}   hello interval 100 ms;\n\
         \u{20}   update interval 1 s;\n\
         \u{20} }};\n\
         }}\n",
        site.tunnel_ipv4(),
        std::env::var("BABEL_LIMIT").unwrap_or_else(|_| "12".into()),
    )
}
