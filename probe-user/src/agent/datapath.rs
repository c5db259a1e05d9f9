//! Which datapath an agent gets: the BPF programs, or sockets.

use anyhow::{Context as _, Result};

use crate::{
    config::DatapathKind,
    datapath::{Datapath, Error, Options, attach},
    sender::sockets::Sockets,
};

/// Opens the datapath that is asked for, and lets it receive. `prepare` tells it all that it has to know
/// before its first packet, on either way.
///
/// # Errors
/// Where the datapath that was asked for is not to be had, or none at all.
pub(super) fn open(
    kind: DatapathKind,
    interfaces: &[String],
    options: Options,
    sockets: Option<&mut Sockets>,
    prepare: impl Fn(&mut Datapath) -> Result<(), Error>,
) -> Result<Datapath> {
    match kind {
        DatapathKind::Xdp => Ok(programs(interfaces, options, &prepare)?),
        DatapathKind::Socket => Ok(plain_sockets(options, sockets, &prepare)?),
        DatapathKind::Auto => match programs(interfaces, options, &prepare) {
            Ok(datapath) => Ok(datapath),
            // That is a mistake in the config, whatever moves the probes.
            Err(error @ Error::Attach(attach::Error::NoInterface(_))) => Err(error.into()),
            Err(error) => {
                tracing::warn!(%error, "no BPF programs: sockets do their work");
                plain_sockets(options, sockets, &prepare).with_context(|| error.to_string())
            }
        },
    }
}

fn programs(
    interfaces: &[String],
    options: Options,
    prepare: &impl Fn(&mut Datapath) -> Result<(), Error>,
) -> Result<Datapath, Error> {
    let mut datapath = Datapath::load(options)?;
    prepare(&mut datapath)?;
    for interface in interfaces {
        let attachment = datapath.attach(interface)?;
        let egress = if attachment.tcx { "tcx" } else { "clsact" };
        tracing::info!(interface, xdp = %attachment.mode, egress, "attached");
    }
    super::start_responder(&mut datapath);
    Ok(datapath)
}

fn plain_sockets(
    options: Options,
    sockets: Option<&mut Sockets>,
    prepare: &impl Fn(&mut Datapath) -> Result<(), Error>,
) -> Result<Datapath, Error> {
    let mut datapath = Datapath::socket(options, sockets)?;
    prepare(&mut datapath)?;
    let attachment = datapath.attach("any")?;
    tracing::info!(interface = attachment.interface, mode = %attachment.mode, "receiving");
    Ok(datapath)
}
