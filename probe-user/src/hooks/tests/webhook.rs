//! Real servers.

use std::{
    io::{Read as _, Write as _},
    iter::repeat,
    net::{TcpListener, TcpStream},
    sync::mpsc::{self, Receiver},
};

use serde_json::Value;

use super::*;

/// Reads a request, as far as its body goes, and returns its head and its body.
fn request(stream: &mut TcpStream) -> (String, String) {
    stream.set_read_timeout(Some(LONG)).unwrap();
    let mut text = String::new();
    loop {
        let mut buffer = [0; 4_096];
        let read = stream.read(&mut buffer).unwrap();
        text.push_str(std::str::from_utf8(&buffer[..read]).unwrap());
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(": ")?;
            name.eq_ignore_ascii_case("content-length").then(|| value.parse::<usize>().unwrap())
        });
        if body.len() >= length.unwrap() {
            return (head.to_owned(), body.to_owned());
        }
    }
}

/// A server that gives one of these answers to each request, none at all to one whose answer is empty, and takes whatever comes
/// after them. Returns its URL and the requests.
fn server(answers: Vec<&'static str>) -> (String, Receiver<(String, String)>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/hook?x", listener.local_addr().unwrap());
    let (sender, requests) = mpsc::channel();
    thread::spawn(move || {
        let mut open = Vec::new();
        for status in answers.into_iter().chain(repeat("200 OK")) {
            let (mut stream, _) = listener.accept().unwrap();
            // For as long as the test looks at requests.
            if sender.send(request(&mut stream)).is_err() {
                return;
            }
            if status.is_empty() {
                open.push(stream);
                continue;
            }
            let answer =
                format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            stream.write_all(answer.as_bytes()).unwrap();
        }
    });
    (url, requests)
}

fn webhook(url: String, retries: u32, timeout: Duration) -> HookConfig {
    hook(HookAction::Webhook { url, retries }, timeout)
}

#[test]
fn a_server_gets_the_change_and_is_asked_again_until_it_takes_it() {
    let (url, requests) = server(vec!["503 Busy", "302 Found", "204 No Content"]);
    let hooks = Running::start(&[webhook(url, 3, LONG)]);
    hooks.tell(&change("nyc", "reachable", "isolated"));
    for _ in 0..3 {
        let (head, body) = requests.recv_timeout(LONG).unwrap();
        assert!(head.starts_with("POST /hook?x HTTP/1.1\r\n"), "{head}");
        assert!(head.to_lowercase().contains("\r\ncontent-type: application/json"), "{head}");
        let document: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(document["to"], "isolated", "{document}");
        assert_eq!(document["left_out"], 0, "{document}");
    }
    hooks.await_outcomes(&[[1, 2, 0]]);
}

#[test]
fn a_server_that_hangs_is_given_up_and_gets_the_newest_state_next() {
    let (url, requests) = server(vec![""]);
    let hooks = Running::start(&[webhook(url, 3, SHORT)]);
    hooks.tell(&change("nyc", "reachable", "isolated"));
    requests.recv_timeout(LONG).unwrap();
    hooks.tell(&change("nyc", "isolated", "reachable"));
    let (_, body) = requests.recv_timeout(LONG).unwrap();
    let document: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(document["to"], "reachable", "{document}");
    assert_eq!(document["left_out"], 1, "{document}");
    hooks.await_outcomes(&[[1, 0, 1]]);
}

#[test]
fn a_server_that_is_not_there_is_tried_again() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    drop(listener);
    let hooks = Running::start(&[webhook(url, 1, LONG)]);
    hooks.tell(&change("nyc", "reachable", "isolated"));
    hooks.await_outcomes(&[[0, 2, 0]]);
}
