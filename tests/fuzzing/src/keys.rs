//! Key files.

use std::collections::BTreeSet;

use probe_ebpf::maps::MAX_KEYS;
use probe_user::keys::{KeyRing, check_id};

/// Whatever the file, it is refused or gives a usable ring.
///
/// # Panics
/// Where it gives another one, or an error that has more than one line.
pub fn check(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    match KeyRing::parse(text) {
        Ok(ring) => check_ring(&ring),
        Err(fault) => assert!(!fault.to_string().contains('\n')),
    }
}

fn check_ring(ring: &KeyRing) {
    let places: BTreeSet<u8> = ring.placed().iter().map(|(place, _)| *place).collect();
    let count = ring.ids().len();
    assert!((1..=MAX_KEYS as usize).contains(&count));
    assert_eq!(places, (1..=count as u8).collect());
    for id in ring.ids() {
        assert_eq!(check_id(id), Ok(()));
        assert!(ring.get(id).is_some());
    }
    let mut again = ring.clone();
    again.keep_places(ring);
    assert_eq!(again, *ring, "nothing changes, so nothing moves");
}
