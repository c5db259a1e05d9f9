//! `linkprobe ping` in a site of the lab, and Session-Reflectors for it.

use std::{
    io,
    net::{SocketAddr, UdpSocket},
    process::{Command, Output},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use lab::{Lab, Site};
use probe_ebpf::{
    hmac::Key,
    ntp::{self, Format},
    stamp::{self, Mode, Reply, Request},
};
use probe_user::datapath::{Datapath, Options, ReflectorOptions, clock};
use serde_json::Value;

/// What a `linkprobe ping` has come to.
#[derive(Debug)]
pub struct Ping {
    /// Its exit code.
    pub code: Option<i32>,
    /// What it wrote to standard output.
    pub stdout: String,
    /// What it wrote to standard error.
    pub stderr: String,
}

impl Ping {
    /// Runs it in a site, with these arguments, separated by spaces.
    ///
    /// # Errors
    /// Where it cannot be started; that it fails is not an error.
    pub fn run(site: &Site, arguments: &str) -> Result<Self> {
        let mut command = Command::new(lab::agent::binary(None)?);
        command.arg("ping").args(arguments.split_whitespace());
        Ok(Self::from(site.output(command)?))
    }

    /// Runs it with `--json`, and returns the document. There must have been an answer.
    ///
    /// # Errors
    /// Where there was none, or what it wrote is no such document.
    pub fn json(site: &Site, arguments: &str) -> Result<Value> {
        let ping = Self::run(site, &format!("{arguments} --json"))?;
        ensure!(ping.code == Some(0), "{arguments}: {ping:?}");
        serde_json::from_str(&ping.stdout).with_context(|| ping.stdout)
    }
}

impl From<Output> for Ping {
    fn from(output: Output) -> Self {
        let text = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
        let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
        Self { code: output.status.code(), stdout, stderr }
    }
}

/// A lab of two sites, "a" and "b".
///
/// # Errors
/// Where it cannot be built.
pub fn two_sites() -> Result<Lab> {
    Lab::builder().sites(&["a", "b"]).build()
}

/// A count in the document; panics where it has none, as a test does.
#[must_use]
#[track_caller]
pub fn count(document: &Value, key: &str) -> u64 {
    document[key].as_u64().unwrap_or_else(|| panic!("no {key} in {document}"))
}

/// Panics unless all probes of the document were answered.
#[track_caller]
pub fn all_answered(document: &Value, sent: u64) {
    assert_eq!((count(document, "sent"), count(document, "answered")), (sent, sent), "{document}");
    for key in ["lost_forward", "lost_reverse", "lost_unknown", "duplicates", "not_sent"] {
        assert_eq!(count(document, key), 0, "{key} in {document}");
    }
}

/// The quantiles of a time, which must be there, and in order.
#[must_use]
#[track_caller]
pub fn in_order(document: &Value, key: &str) -> [f64; 4] {
    let quantile = |name: &str| document[key][name].as_f64();
    let all = ["min", "p50", "p99", "max"].map(|name| quantile(name).expect("a number"));
    assert!(all.is_sorted(), "{key} in {document}");
    all
}

/// Attaches our reflector, with the thread for what the kernel cannot answer, in a site. It works until it
/// is dropped.
///
/// # Errors
/// Where the kernel refuses.
pub fn reflector(
    lab: &Lab,
    site: &str,
    options: &ReflectorOptions,
    key: Option<Key>,
) -> Result<Datapath> {
    lab.site(site)?.run(|| {
        let mut datapath = Datapath::load(Options {
            sessions: 1,
            slots: 1,
            peers: 1,
            reflector_port: stamp::PORT,
            first_source_port: 0,
            source_ports: 0,
            timestamps: Format::Ntp,
        })?;
        datapath.refresh_addresses()?;
        datapath.set_keys(&key.map(|key| (1, key)).into_iter().collect::<Vec<_>>());
        datapath.set_reflector(options)?;
        datapath.start_responder()?;
        datapath.attach(lab::site::INTERFACE)?;
        Ok(datapath)
    })?
}

/// The TTL with which [`Foreign`] says that all requests came.
pub const FOREIGN_TTL: u8 = 250;

/// A small stateful reflector in userspace that knows nothing of RFC 8972: what it returns as SSID is zero.
pub struct Foreign {
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Foreign {
    /// Starts it in a site. It answers the request with the number n `copies(n)` times.
    ///
    /// # Errors
    /// Where there is no socket.
    pub fn start(site: &Site, copies: impl Fn(u32) -> u32 + Send + 'static) -> Result<Self> {
        let address = SocketAddr::from((site.ipv4(), stamp::PORT));
        let socket = site.run(|| UdpSocket::bind(address))??;
        socket.set_read_timeout(Some(Duration::from_millis(20)))?;
        let is_over = Arc::new(AtomicBool::new(false));
        let ends = Arc::clone(&is_over);
        let thread = thread::spawn(move || {
            let mut next = 0;
            while !ends.load(Ordering::Relaxed) {
                // What is no request shows as a reply that is missing.
                answer(&socket, &mut next, &copies).ok();
            }
        });
        Ok(Self { is_over, thread: Some(thread) })
    }
}

impl Drop for Foreign {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        self.thread.take().map(JoinHandle::join);
    }
}

/// Receives one request, and answers it.
fn answer(socket: &UdpSocket, next: &mut u32, copies: impl Fn(u32) -> u32) -> io::Result<()> {
    let mut octets = [0; 2_000];
    let (length, from) = socket.recv_from(&mut octets)?;
    let receive_timestamp = ntp::from_unix_nanos(clock::realtime());
    let request = Request::read(&octets[..length], 0, Mode::Unauthenticated);
    let request = request.ok_or(io::ErrorKind::InvalidData)?;
    let reply = Reply {
        sequence: *next,
        timestamp: ntp::from_unix_nanos(clock::realtime()),
        error_estimate: 0x8c01,
        ssid: 0,
        receive_timestamp,
        sender_sequence: request.sequence,
        sender_timestamp: request.timestamp,
        sender_error_estimate: request.error_estimate,
        sender_ttl: FOREIGN_TTL,
    };
    *next += 1;
    reply.write(&mut octets[..length], 0, Mode::Unauthenticated);
    for _ in 0..copies(request.sequence) {
        socket.send_to(&octets[..length], from)?;
    }
    Ok(())
}
