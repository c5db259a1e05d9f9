//! A sequence of requests, written so that any octets are one, and that small changes to them are small
//! changes to it.
//!
//! The first octet says how the reflector is set ([`option`]). Each request then has seven octets and
//! its payload: sender, source port, TTL, traffic class, time since the one before, how it is signed, and
//! how many octets lie behind the base packet.

use probe_ebpf::{
    frame::Address,
    hmac::{Key, TAG_LENGTH},
    stamp::{HMAC_AT, Mode},
    tlv::{HEADER_LENGTH, Header, kind},
};
use probe_user::{reflector::Settings, verdict::Nanos};

/// The bits of the first octet.
pub mod option {
    /// Authenticated requests only.
    pub const AUTHENTICATED: u8 = 1;
    /// Stateless.
    pub const STATELESS: u8 = 1 << 1;
    /// Only some senders are allowed.
    pub const ALLOW_LIST: u8 = 1 << 2;
    /// There is a limit of the rate.
    pub const RATE: u8 = 1 << 3;
    /// The second sender is a peer that must authenticate.
    pub const PEER: u8 = 1 << 4;
    /// Half of the DSCPs are forbidden.
    pub const DSCP: u8 = 1 << 5;
}

/// Entries of the reflector's tables.
pub const TABLE_SIZE: usize = 4;

/// The addresses of this host.
pub const OWN: [[u8; 4]; 2] = [[192, 0, 2, 2], [192, 0, 2, 3]];

/// The secrets of the keys with the indices 1 and 2.
pub const SECRETS: [&[u8]; 2] = [b"the first secret", b"the second secret"];

/// A reflector's settings.
///
/// # Panics
/// Never: the prefix is one.
#[must_use]
pub fn settings(options: u8) -> Settings {
    let has = |bit| options & bit != 0;
    let mut settings = Settings {
        authenticated_only: has(option::AUTHENTICATED),
        stateless: has(option::STATELESS),
        source_cost: if has(option::RATE) { 100_000_000 } else { 0 },
        permitted_dscps: if has(option::DSCP) { 0x5555_5555_5555_5555 } else { u64::MAX },
        local_addresses: OWN.map(Address::v4).into(),
        table_size: TABLE_SIZE,
        ..Settings::default()
    };
    if has(option::ALLOW_LIST) {
        settings.allowed = Some(vec!["192.0.2.0/29".parse().expect("a prefix")]);
    }
    if has(option::PEER) {
        settings.peers.insert(sender(1), true);
    }
    for (place, secret) in settings.keys.iter_mut().zip(SECRETS) {
        *place = Some(Key::new(secret));
    }
    settings
}

/// The address of a sender.
#[must_use]
pub const fn sender(number: u8) -> Address {
    Address::v4([192, 0, 2, number % 16])
}

/// One request.
#[derive(Clone, Debug)]
pub struct Step {
    /// Whose it is.
    pub source: Address,
    /// From which port.
    pub source_port: u16,
    /// To which address of ours.
    pub destination: Address,
    /// TTL as received.
    pub ttl: u8,
    /// DSCP and ECN as received.
    pub traffic_class: u8,
    /// Nanoseconds since the request before.
    pub after: Nanos,
    /// The UDP payload.
    pub payload: Vec<u8>,
}

impl Step {
    /// Reads the first request of a script, and returns what is behind it.
    #[must_use]
    pub fn read<'a>(script: &'a [u8], settings: &Settings) -> Option<(Self, &'a [u8])> {
        let (&[who, port, ttl, traffic_class, after, signature, length], rest) =
            script.split_first_chunk()?;
        let source = sender(who & 0xf);
        let mode = settings.mode_of(&source);
        // A base packet of zeros but for the octets that are there, so that short scripts lead far.
        let (given, rest) = rest.split_at(rest.len().min(usize::from(length)));
        let mut payload = vec![0; mode.length()];
        payload[..4].copy_from_slice(&[0, 0, 0, 7]);
        payload[mode.offsets().ssid] = port >> 4;
        payload.extend(given);
        if signature & 0x80 != 0 {
            payload.truncate(usize::from(length));
        }
        if signature & 0x40 != 0
            && let Some(octet) = payload.get_mut(usize::from(after))
        {
            *octet ^= ttl;
        }
        sign(&mut payload, mode, signature);
        let step = Self {
            source,
            source_port: if port == 0xff { 862 } else { 50_000 + u16::from(port & 0xf) },
            destination: Address::v4(OWN[usize::from(who >> 4) % OWN.len()]),
            ttl,
            traffic_class,
            after: u64::from(after) * 10_000_000,
            payload,
        };
        Some((step, rest))
    }
}

/// Signs a payload as two bits of its script say: with one of the two keys, or with one that the reflector
/// does not have. The HMAC TLV too, unless one more bit says otherwise.
fn sign(payload: &mut [u8], mode: Mode, signature: u8) {
    let key = match signature & 0b11 {
        0 | 1 => Key::new(SECRETS[0]),
        2 => Key::new(SECRETS[1]),
        _ => Key::new(b"a secret of somebody else"),
    };
    if signature & 0b100 == 0 {
        sign_tlvs(payload, mode, &key);
    }
    if mode == Mode::Authenticated && payload.len() >= mode.length() {
        let (covered, rest) = payload.split_at_mut(HMAC_AT);
        rest[..TAG_LENGTH].copy_from_slice(&key.tag(&[covered]));
    }
}

/// Writes the tag of the first HMAC TLV of a packet, if it has one, and returns where that TLV stands.
pub fn sign_tlvs(payload: &mut [u8], mode: Mode, key: &Key) -> Option<usize> {
    let at = find_hmac_tlv(payload, mode)?;
    let (covered, rest) = payload.split_at_mut(at);
    let tag = key.tag(&[&covered[..4], &covered[mode.length()..]]);
    rest[HEADER_LENGTH..HEADER_LENGTH + TAG_LENGTH].copy_from_slice(&tag);
    Some(at)
}

/// Where the first well-formed HMAC TLV of a packet stands.
#[must_use]
pub fn find_hmac_tlv(payload: &[u8], mode: Mode) -> Option<usize> {
    let mut at = mode.length();
    while let Some(tlv) = Header::read(payload, at, payload.len()) {
        if tlv.is_malformed {
            return None;
        }
        if tlv.kind == kind::HMAC {
            return Some(at);
        }
        at = tlv.next(at);
    }
    None
}
