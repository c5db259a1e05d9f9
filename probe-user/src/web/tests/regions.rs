//! Whether traffic may be sent to a region.

use serde_json::{Value, json};

use super::*;
use crate::{report::example, verdict::Reach};

fn server(reach: Reach) -> Server {
    let regions = Mutex::new(vec![example("nyc", reach), example("fra", Reach::Reachable)]);
    Server::start(Arc::new(Fake { regions, ..Fake::default() }))
}

#[test]
fn the_status_says_whether_traffic_may_be_sent() {
    for (reach, by_default, usable, reachable) in [
        (Reach::Unknown, 200, 503, 503),
        (Reach::Reachable, 200, 200, 200),
        (Reach::Impaired, 200, 200, 503),
        (Reach::Isolated, 503, 503, 503),
        (Reach::SelfIsolated, 200, 503, 503),
    ] {
        let server = server(reach);
        for (query, expected) in
            [("", by_default), ("?require=usable", usable), ("?require=reachable", reachable)]
        {
            let (status, kind, body) =
                server.ask("GET", &format!("/api/v1/regions/nyc/health{query}"));
            assert_eq!((status, kind.as_str()), (expected, "application/json"), "{reach} {query}");
            let body: Value = serde_json::from_str(&body).unwrap();
            assert_eq!(body["send"], expected == 200);
        }
        assert_eq!(server.ask("HEAD", "/api/v1/regions/nyc/health").0, by_default);
    }
}

#[test]
fn the_document_says_why() {
    let (_, _, body) = server(Reach::Isolated).ask("GET", "/api/v1/regions/nyc/health");
    let expected = json!({
        "node": "ams1",
        "region": "nyc",
        "at": 1.5,
        "reach": "isolated",
        "since": 1_799_999_997.0,
        "send": false,
        "why": "no path carries traffic there and back: forward unhealthy (loss), reverse healthy (passing)",
    });
    assert_eq!(serde_json::from_str::<Value>(&body).unwrap(), expected);
}

#[test]
fn what_is_asked_wrongly_is_told_what_would_be_right() {
    let server = server(Reach::Reachable);
    assert_eq!(
        server.ask("GET", "/api/v1/regions/sin/health"),
        text(404, "ams1 has no peer in region \"sin\"; its regions: fra, nyc\n")
    );
    for query in ["strict", "require=", "require=usable&x", "require=Usable"] {
        let right = "write ?require=usable or ?require=reachable, or nothing";
        assert_eq!(
            server.ask("GET", &format!("/api/v1/regions/nyc/health?{query}")),
            text(400, &format!("?{query} is not known here; {right}\n"))
        );
    }
}
