//! Loops, the list of prefixes, the rate and the size of the tables.

use probe_ebpf::maps::ALLOWANCE;

use super::*;

fn number(answer: Result<Answer, Counter>) -> u32 {
    u32::from_be_bytes(*answer.unwrap().payload.first_chunk().unwrap())
}

#[test]
fn two_reflectors_do_not_answer_each_other() {
    let mut reflector = Reflector::new(Settings { port: 8_620, ..Settings::default() });
    let asked = payload(Mode::Unauthenticated, &[]);
    for source_port in [862, 8_620] {
        let from = Request { source_port, ..request(&asked) };
        assert_eq!(reflector.reflect(from, 0, || T3), Err(Counter::ReflectorLoop));
    }
    let reply = reflector.reflect(request(&asked), 0, || T3).unwrap();
    let outcome = reflector.reflect(request(&reply.payload), 0, || T3);
    assert_eq!(outcome, Err(Counter::ReflectorLoop), "whatever port a reply comes from");
}

#[test]
fn only_those_on_the_list_and_our_peers_are_answered() {
    let asked = payload(Mode::Unauthenticated, &[]);
    let cases = [
        ("192.0.2.0/24", true),
        ("192.0.2.1", true),
        ("192.0.2.0/31", true),
        ("192.0.2.0/32", false),
        ("192.0.3.0/24", false),
        ("2001:db8::/32", false),
        ("0.0.0.0/0", true),
        // As in the kernel's trie, where IPv4 addresses are IPv4-mapped ones.
        ("::/0", true),
    ];
    for (prefix, is_listed) in cases {
        let allowed = Some(vec![prefix.parse().unwrap()]);
        let settings = Settings { allowed, ..Settings::default() };
        let outcome = Reflector::new(settings).reflect(request(&asked), 0, || T3);
        let expected = if is_listed { None } else { Some(Counter::NotAllowed) };
        assert_eq!(outcome.err(), expected, "{prefix}");
    }
    let peers = HashMap::from([(sender(), false)]);
    let settings = Settings { allowed: Some(Vec::new()), peers, ..Settings::default() };
    let mut reflector = Reflector::new(settings);
    assert!(reflector.reflect(request(&asked), 0, || T3).is_ok(), "a peer");
    reflector.settings_mut().peers.clear();
    assert_eq!(reflector.reflect(request(&asked), 0, || T3), Err(Counter::NotAllowed));
}

#[test]
fn a_source_has_its_rate() {
    let mut reflector =
        Reflector::new(Settings { source_cost: ALLOWANCE / 10, ..Settings::default() });
    let asked = payload(Mode::Unauthenticated, &[]);
    let mut answered = |source, now| {
        (0..20)
            .filter(|_| {
                let from = Request { source, ..request(&asked) };
                match reflector.reflect(from, now, || T3) {
                    Ok(_) => true,
                    Err(counter) => {
                        assert_eq!(counter, Counter::RateLimited);
                        false
                    }
                }
            })
            .count()
    };
    let other = Address::v4([198, 51, 100, 1]);
    assert_eq!(answered(sender(), 0), 5, "half of the allowance, for a new session");
    assert_eq!(answered(other, 0), 5, "another source has its own");
    assert_eq!(answered(sender(), ALLOWANCE / 10), 1);
    // The session has lasted by the first of these, but knocks as a new one.
    assert_eq!(answered(sender(), 20 * SECOND), 10, "all of it, for one that lasts");
}

/// A flood of new sessions pushes out new ones, and none that lasts. To be a peer's is no privilege: its
/// address may be forged.
#[test]
fn a_flood_leaves_lasting_sessions_alone() {
    let peer = Address::v4([192, 0, 2, 7]);
    let mut reflector = Reflector::new(Settings {
        table_size: 8,
        peers: HashMap::from([(peer, false)]),
        ..Settings::default()
    });
    let asked = payload(Mode::Unauthenticated, &[]);
    let of_peer = Request { source: peer, ..request(&asked) };
    for expected in 0..6 {
        let now = u64::from(expected) * SECOND / 4;
        assert_eq!(number(reflector.reflect(request(&asked), now, || T3)), expected);
    }
    assert_eq!(number(reflector.reflect(of_peer, 2 * SECOND, || T3)), 0);
    for source_port in 1_000..2_000 {
        let flood = Request { source_port, ..request(&asked) };
        assert_eq!(number(reflector.reflect(flood, 2 * SECOND, || T3)), 0);
        assert!(reflector.sessions() <= 2 * 8);
    }
    assert_eq!(number(reflector.reflect(request(&asked), 2 * SECOND, || T3)), 6);
    assert_eq!(number(reflector.reflect(of_peer, 2 * SECOND, || T3)), 0, "it had to go");

    reflector.sweep(60 * SECOND, 10 * SECOND);
    assert_eq!(reflector.sessions(), 0);
}

/// Not more sessions can last than there is room for; the others still are answered.
#[test]
fn the_table_of_lasting_sessions_is_bounded() {
    let mut reflector = Reflector::new(Settings { table_size: 3, ..Settings::default() });
    let asked = payload(Mode::Unauthenticated, &[]);
    for round in 0..10 {
        for source_port in 1_000..1_006 {
            let from = Request { source_port, ..request(&asked) };
            assert!(reflector.reflect(from, round * SECOND, || T3).is_ok());
            assert!(reflector.sessions() <= 6);
        }
    }
}
