//! RFC 8762, section 4.4: the authenticated mode.

use super::*;

/// RFC 8762, section 4.3.2: every field of the reply, and its HMAC.
#[test]
fn an_authenticated_request_becomes_its_reply() {
    let key = Key::new(SECRET);
    let mut asked = signed(&key, &[]);
    // What must be zero is covered by the HMAC, but otherwise ignored.
    asked[28..40].fill(0xff);
    let tag = key.tag(&[&asked[..HMAC_AT]]);
    asked[HMAC_AT..].copy_from_slice(&tag);
    let mut reflector = Reflector::new(settings_with_keys());
    let answer = reflector.reflect(request(&asked), 0, || T3).unwrap();
    let expected = octets(
        "00000000 000000000000000000000000 ee00000100001000 00ff 1234 00000000 \
         ee00000100000000 0000000000000000 00000007 000000000000000000000000 \
         ee00000040000000 8c22 000000000000 fd 000000000000000000000000000000",
    );
    assert_eq!(answer.payload[..HMAC_AT], expected);
    assert_eq!(answer.payload[HMAC_AT..], key.tag(&[&expected]));
}

/// RFC 8762, section 4.4: what fails verification is discarded; it leaves no state either.
#[test]
fn what_is_not_signed_by_us_is_refused() {
    let mut reflector = Reflector::new(settings_with_keys());
    let good = signed(&Key::new(SECRET), &[]);
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 1;
        assert_eq!(reflector.reflect(request(&bad), 0, || T3), Err(Counter::Hmac), "octet {at}");
    }
    let foreign = signed(&Key::new(b"of somebody else"), &[]);
    assert_eq!(reflector.reflect(request(&foreign), 0, || T3), Err(Counter::Hmac));
    let open = payload(Mode::Unauthenticated, &[]);
    assert_eq!(reflector.reflect(request(&open), 0, || T3), Err(Counter::TooShort));
    assert_eq!(reflector.sessions(), 0);
    assert!(reflector.reflect(request(&good), 0, || T3).is_ok());
}

#[test]
fn the_mode_is_that_of_the_sender() {
    let mut settings = settings_with_keys();
    settings.authenticated_only = false;
    settings.peers = HashMap::from([(sender(), true)]);
    let mut reflector = Reflector::new(settings);
    let open = payload(Mode::Unauthenticated, &[0; 100]);
    assert_eq!(reflector.reflect(request(&open), 0, || T3), Err(Counter::Hmac));
    let from_another = Request { source: Address::v4([192, 0, 2, 9]), ..request(&open) };
    assert!(reflector.reflect(from_another, 0, || T3).is_ok());
}

/// A key can be changed while a session runs: the reply is signed with the key of the request.
#[test]
fn the_key_is_that_of_the_request() {
    let mut reflector = Reflector::new(settings_with_keys());
    for (number, secret) in [SECRET, b"another", SECRET].into_iter().enumerate() {
        let key = Key::new(secret);
        let answer = reflector.reflect(request(&signed(&key, &[])), 0, || T3).unwrap();
        assert_eq!(answer.payload[..4], (number as u32).to_be_bytes());
        assert_eq!(answer.payload[HMAC_AT..], key.tag(&[&answer.payload[..HMAC_AT]]));
    }
    reflector.settings_mut().keys[1] = None;
    let gone = signed(&Key::new(SECRET), &[]);
    assert_eq!(reflector.reflect(request(&gone), 0, || T3), Err(Counter::Hmac));
}
