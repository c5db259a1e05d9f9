//! Fetching from servers that answer, that answer wrongly, and that are not there.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::thread;

use super::super::{check_agent, fetch_paths};
use super::{agent, healthy, regions};
use crate::verdict::Reach;

/// A server that gives one answer to one request, which is for the paths. Returns its address.
fn server(answer: String) -> String {
    server_of("/api/v1/paths", answer)
}

/// The same for a request of another document.
fn server_of(document: &'static str, answer: String) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = Vec::new();
        let mut buffer = [0; 1024];
        while !request.ends_with(b"\r\n\r\n") {
            let read = stream.read(&mut buffer).unwrap();
            request.extend_from_slice(&buffer[..read]);
        }
        let expected = format!("GET {document} HTTP/1.1\r\n");
        assert!(request.starts_with(expected.as_bytes()));
        stream.write_all(answer.as_bytes()).unwrap();
    });
    address
}

fn http(status: &str, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}")
}

fn error(url: &str) -> String {
    format!("{:#}", fetch_paths(url).unwrap_err())
}

#[test]
fn an_agent_is_asked_whatever_the_form_of_its_url() {
    let paths = agent(vec![healthy("nyc1", "nyc")]);
    for form in ["http://ADDRESS", "http://ADDRESS/", "ADDRESS"] {
        let address = server(http("200 OK", &serde_json::to_string(&paths).unwrap()));
        assert_eq!(fetch_paths(&form.replace("ADDRESS", &address)).unwrap(), paths, "{form}");
    }
}

/// What is said of a region needs no details, which this server does not give.
#[test]
fn a_region_is_checked_without_its_paths() {
    let isolated = serde_json::to_string(&regions("nyc", Reach::Isolated)).unwrap();
    let address = server_of("/api/v1/regions", http("200 OK", &isolated));
    let ways = "forward unhealthy (loss), reverse healthy (passing)";
    let line = format!(
        "CRITICAL - nyc isolated since 3 s: no path carries traffic there and back: {ways}"
    );
    assert_eq!(check_agent(&address, None, Some("nyc")), (2, line));
}

#[test]
fn nobody_there() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let expected =
        format!("no agent answers at http://{address}: is `linkprobe run` running there?");
    assert_eq!(error(&address.to_string()), expected);
    assert_eq!(
        check_agent(&address.to_string(), Some("nyc1"), None),
        (3, format!("UNKNOWN - {expected}"))
    );
}

#[test]
fn somebody_else_there() {
    let address = server(http("404 Not Found", "no"));
    let expected = format!("http://{address} answers 404 Not Found: is it a linkprobe agent?");
    assert_eq!(error(&address), expected);

    let address = server(http("200 OK", "{\"node\": 1}"));
    let expected = format!(
        "the answer of http://{address} cannot be read: is it a linkprobe agent of this version?"
    );
    let error_text = error(&address);
    assert!(error_text.starts_with(&expected), "{error_text}");

    let address = server("SSH-2.0-OpenSSH_9.2\r\n".to_owned());
    let error_text = error(&address);
    let expected = format!("http://{address} does not answer as an agent does: ");
    assert!(error_text.starts_with(&expected), "{error_text}");
}

#[test]
fn a_server_that_keeps_silent_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let expected = format!("http://{address} does not answer within 3 s");
    assert_eq!(error(&address.to_string()), expected);
}

#[test]
fn what_is_no_url_of_an_agent() {
    let right = "write one such as http://127.0.0.1:9862";
    assert_eq!(
        error("https://ams1:9862"),
        format!("https://ams1:9862 is not the URL of an agent, which speaks plain HTTP; {right}")
    );
    assert_eq!(error("http://"), format!("http:// is not a URL; {right}"));
    assert_eq!(error("a b"), format!("http://a b is not a URL; {right}"));
}
