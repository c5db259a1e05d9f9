//! Which of the two roles a frame is for.

use aya_ebpf::programs::XdpContext;
use probe_ebpf::{frame::Udp, maps::Counter};

use super::{Done, Refusal, packet::Packet, reflector, replies, state};

/// Handles one frame that has come in.
#[inline(always)]
pub(crate) fn handle(ctx: &XdpContext) -> Result<Done, Refusal> {
    let mut packet = Packet::of_xdp(ctx);
    let udp = Udp::find(&packet)?;
    let config = state::config().ok_or(Refusal::NotOurs(Counter::OtherPort))?;
    let port = udp.destination_port;
    if port == config.reflector_port {
        reflector::reflect(ctx, &mut packet, &udp, config).map(|()| Done::Reflected)
    } else if port.wrapping_sub(config.first_source_port) < config.source_ports {
        replies::accept(ctx, &packet, &udp, config).map(|()| Done::Accepted)
    } else {
        Err(Refusal::NotOurs(Counter::OtherPort))
    }
}
