//! What bounds a config and a recording alike.

/// The most sessions, which is peers times flows: an SSID has 16 bits, and 0 names none
/// (RFC 8972, section 3).
pub const MAX_SESSIONS: usize = 65_535;
