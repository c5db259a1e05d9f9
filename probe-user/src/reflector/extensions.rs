//! The TLVs of a request become those of its reply (RFC 8972, section 4; RFC 9503).

use probe_ebpf::{
    frame::Address,
    hmac::{Key, TAG_LENGTH},
    maps::Counter,
    stamp::Mode,
    tlv::{self, Facts, HEADER_LENGTH, Header, Survey, flag, kind},
};

use super::{
    Request, Settings, location,
    return_path::{self, ReturnPath},
    telemetry::{self, LastReply},
};

/// The Access IDs that there are (RFC 8972, section 4.6): 3GPP and non-3GPP networks.
const ACCESS_IDS: std::ops::RangeInclusive<u8> = 1..=2;

/// What is known when a request's TLVs are looked at.
pub(super) struct Context<'a> {
    pub(super) settings: &'a Settings,
    pub(super) request: &'a Request<'a>,
    pub(super) mode: Mode,
    /// The key that the base packet is signed with.
    pub(super) key: Option<&'a Key>,
    /// The number of the reply in its session.
    pub(super) number: u32,
    /// The Sequence Number of the reply: that, or the sender's.
    pub(super) sequence: u32,
    /// The session's reply before this one, if it is known.
    pub(super) last: Option<LastReply>,
}

/// What the TLVs ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Done {
    /// DSCP and ECN of the reply.
    pub(super) traffic_class: u8,
    /// The address of ours that it is sent from.
    pub(super) source: Address,
}

/// The outcome of looking for an HMAC TLV (RFC 8972, section 4.8).
enum Integrity<'a> {
    /// There is none, and none is wanted.
    Absent,
    /// It stands at this offset, and was made with this key.
    Verified(usize, &'a Key),
    /// It is wrong, misplaced, malformed, or missing where it must not be.
    Failed,
}

/// Turns the TLVs of a payload into those of the reply, in place, and signs them.
///
/// # Errors
/// [`Counter::NoReplyWanted`] where the sender has asked for none.
pub(super) fn reflect(payload: &mut [u8], context: &Context<'_>) -> Result<Done, Counter> {
    let base = context.mode.length();
    let mut walk = Walk {
        done: Done {
            traffic_class: context.request.traffic_class,
            source: context.request.destination,
        },
        has_return_path: false,
        wants_reply: true,
        context,
        facts: facts(context),
    };
    if tlv::is_plain_padding(&*payload, base, payload.len()) {
        return Ok(walk.done);
    }
    match integrity(payload, context) {
        Integrity::Failed => mark_all(payload, base),
        Integrity::Absent => walk.run(payload, base),
        Integrity::Verified(at, key) => {
            walk.facts.trusted = true;
            walk.run(payload, base);
            let (covered, rest) = payload.split_at_mut(at);
            let tag = key.tag(&[&context.sequence.to_be_bytes(), &covered[base..]]);
            rest[HEADER_LENGTH..HEADER_LENGTH + TAG_LENGTH].copy_from_slice(&tag);
        }
    }
    if walk.wants_reply { Ok(walk.done) } else { Err(Counter::NoReplyWanted) }
}

fn facts(context: &Context<'_>) -> Facts {
    let Context { settings, request, mode, number, .. } = *context;
    let source = settings.synchronisation_source;
    Facts {
        permitted: settings.permitted_dscps,
        ..Facts::new(mode, request.traffic_class, number, source)
    }
}

/// Looks for the HMAC TLV and verifies it, before anything in the others is used.
fn integrity<'a>(payload: &[u8], context: &Context<'a>) -> Integrity<'a> {
    let (base, end) = (context.mode.length(), payload.len());
    let mut found = None;
    let mut at = base;
    while let Some(tlv) = Header::read(payload, at, end) {
        // Only Extra Padding may follow it; a second one may not either.
        let is_misplaced = found.is_some() && tlv.kind != kind::EXTRA_PADDING;
        if is_misplaced || (tlv.kind == kind::HMAC && tlv.is_malformed) {
            return Integrity::Failed;
        }
        if tlv.kind == kind::HMAC {
            found = Some(at);
        }
        if tlv.is_malformed {
            break;
        }
        at = tlv.next(at);
    }
    let Some(at) = found else {
        return match tlv::survey(payload, base, end, context.mode) {
            // Section 4.8: a lone Extra Padding TLV is all that needs no HMAC in authenticated mode.
            Survey::Userspace if context.mode == Mode::Authenticated => Integrity::Failed,
            _ => Integrity::Absent,
        };
    };
    let Some(tag) = payload[at + HEADER_LENGTH..].first_chunk() else { return Integrity::Failed };
    let is_signed = |key: &Key| key.has_signed(&[&payload[..4], &payload[base..at]], tag);
    let signer = match context.key {
        Some(key) => is_signed(key).then_some(key),
        // Unauthenticated mode: any key that we have.
        None => context.settings.keys.iter().flatten().find(|key| is_signed(key)),
    };
    signer.map_or(Integrity::Failed, |key| Integrity::Verified(at, key))
}

/// RFC 8972, section 4.8: nothing is processed, and every TLV is copied with the I flag.
fn mark_all(payload: &mut [u8], base: usize) {
    let end = payload.len();
    let mut at = base;
    while let Some(tlv) = Header::read(&*payload, at, end) {
        payload[at] = own_flags(&tlv) | flag::INTEGRITY;
        if tlv.is_malformed {
            return;
        }
        at = tlv.next(at);
    }
}

/// The flags of a TLV by its type and length.
const fn own_flags(tlv: &Header) -> u8 {
    let unrecognised = match tlv.kind {
        kind::EXTRA_PADDING..=kind::RETURN_PATH => 0,
        _ => flag::UNRECOGNISED,
    };
    if tlv.is_malformed { unrecognised | flag::MALFORMED } else { unrecognised }
}

/// A walk over the TLVs of a packet, from the first to the last.
struct Walk<'a> {
    context: &'a Context<'a>,
    facts: Facts,
    done: Done,
    has_return_path: bool,
    wants_reply: bool,
}

impl Walk<'_> {
    fn run(&mut self, payload: &mut [u8], base: usize) {
        let end = payload.len();
        let mut at = base;
        while let Some(tlv) = Header::read(&*payload, at, end) {
            if !tlv::is_for_userspace(tlv.kind) {
                let asked = tlv::reflect_one(payload, at, &tlv, &self.facts);
                self.done.traffic_class = asked.unwrap_or(self.done.traffic_class);
            } else if tlv.is_malformed {
                payload[at] = own_flags(&tlv);
                if tlv.kind == kind::FOLLOW_UP_TELEMETRY {
                    telemetry::fill_in(payload, at, &tlv, None);
                }
            } else {
                payload[at] = self.flags_of(payload, at, &tlv);
            }
            if tlv.is_malformed || payload[at] & flag::MALFORMED != 0 {
                return;
            }
            at = tlv.next(at);
        }
    }

    /// Does what a well-formed TLV asks for, and returns its flags.
    fn flags_of(&mut self, payload: &mut [u8], at: usize, tlv: &Header) -> u8 {
        let value = &mut payload[at + HEADER_LENGTH..tlv.next(at)];
        match tlv.kind {
            kind::LOCATION if !location::fill_in(value, self.context.request) => flag::MALFORMED,
            kind::ACCESS_REPORT => access_report(value),
            kind::FOLLOW_UP_TELEMETRY => {
                telemetry::fill_in(payload, at, tlv, self.context.last);
                0
            }
            kind::DESTINATION_NODE_ADDRESS => self.destination_node(value),
            kind::RETURN_PATH => self.return_path(value),
            // The HMAC is written when all that it covers is.
            _ => 0,
        }
    }

    /// RFC 9503, section 3: U unless it is we who are meant; the reply then comes from that address.
    fn destination_node(&mut self, value: &[u8]) -> u8 {
        let Some(address) = return_path::address(value) else { return flag::MALFORMED };
        let Context { settings, request, .. } = self.context;
        let is_ours = address == request.destination || settings.local_addresses.contains(&address);
        if !is_ours {
            return flag::UNRECOGNISED;
        }
        if address.version() == request.destination.version() {
            self.done.source = address;
        }
        0
    }

    /// RFC 9503, section 4: only the first one counts.
    fn return_path(&mut self, value: &mut [u8]) -> u8 {
        if std::mem::replace(&mut self.has_return_path, true) {
            return flag::UNRECOGNISED;
        }
        match return_path::follow(value, self.context.request) {
            ReturnPath::Used => 0,
            ReturnPath::NotUsable => flag::UNRECOGNISED,
            ReturnPath::Malformed => flag::MALFORMED,
            ReturnPath::NoReply => {
                self.wants_reply = false;
                0
            }
        }
    }
}

/// RFC 8972, section 4.6: Access ID and Return Code are echoed, what is reserved is zeroed. A report with
/// an Access ID that does not exist is not taken notice of.
fn access_report(value: &mut [u8]) -> u8 {
    if !ACCESS_IDS.contains(&(value[0] >> 4)) {
        return flag::UNRECOGNISED;
    }
    value[0] &= 0xf0;
    value[2..4].fill(0);
    0
}
