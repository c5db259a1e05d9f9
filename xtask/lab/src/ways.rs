//! Which way packets of the overlay go: the kernel's own answer, now or watched over time.

use std::{
    net::Ipv4Addr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use rtnetlink::{
    packet_core::{NetlinkMessage, NetlinkPayload},
    packet_route::{
        AddressFamily, RouteNetlinkMessage,
        route::{RouteAddress, RouteAttribute, RouteMessage},
    },
    sys::Socket,
};

use crate::{clock, lab::Lab, netlink, overlay::LAN, registry::lock, site::Site};

/// Time between two questions of a [`Watch`], and so the precision of its times.
const PERIOD: Duration = Duration::from_millis(5);

/// Where a gateway sends packets for the LAN of another site.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Way {
    /// Into the tunnel to that site.
    Direct,
    /// Into the tunnel to this one.
    Relay(String),
    /// Into no tunnel: there is no route, or it is none of the overlay.
    None,
}

impl Lab {
    /// Where a site sends IPv4 packets of its host for the host of another.
    ///
    /// # Errors
    /// Where a site is unknown, the lab has no overlay, or the kernel does not answer.
    pub fn way(&self, from: &str, to: &str) -> Result<Way> {
        self.question(from, from, to, LAN)?.ask_once()
    }

    /// Where `relay` sends IPv4 packets that come to it from the host of `from` for the host of `to`.
    ///
    /// # Errors
    /// As those of [`Lab::way`].
    pub fn way_at(&self, relay: &str, from: &str, to: &str) -> Result<Way> {
        self.question(relay, from, to, &self.site(from)?.tunnel())?.ask_once()
    }

    /// Watches where a site sends IPv4 packets of its host for the host of another.
    ///
    /// # Errors
    /// As those of [`Lab::way`].
    pub fn watch_way(&self, from: &str, to: &str) -> Result<Watch> {
        Watch::start(&self.question(from, from, to, LAN)?)
    }

    fn question<'a>(
        &'a self,
        at: &str,
        from: &str,
        to: &str,
        interface: &str,
    ) -> Result<Question<'a>> {
        let (source, destination) = (self.host(from)?.ipv4(), self.host(to)?.ipv4());
        let (at, to) = (self.site(at)?, self.site(to)?.tunnel());
        Ok(Question { at, source, destination, interface: interface.to_owned(), direct: to })
    }
}

/// A packet that comes in at a site, and whereto.
struct Question<'a> {
    at: &'a Site,
    source: Ipv4Addr,
    destination: Ipv4Addr,
    /// By which it comes in.
    interface: String,
    /// The tunnel that leads there directly.
    direct: String,
}

impl Question<'_> {
    fn ask_once(&self) -> Result<Way> {
        self.at.run(|| Asker::new(self)?.ask())?
    }
}

/// A netlink socket, and the question to put to it.
struct Asker {
    socket: Socket,
    request: Vec<u8>,
    direct: String,
}

impl Asker {
    /// Runs inside the site.
    fn new(question: &Question<'_>) -> Result<Self> {
        let socket = netlink::socket()?;
        let interface = netlink::index(&question.interface)
            .with_context(|| format!("{} has no {}", question.at.name(), question.interface))?;
        let mut route = RouteMessage::default();
        route.header.address_family = AddressFamily::Inet;
        route.header.source_prefix_length = 32;
        route.header.destination_prefix_length = 32;
        route.attributes = vec![
            RouteAttribute::Source(RouteAddress::Inet(question.source)),
            RouteAttribute::Destination(RouteAddress::Inet(question.destination)),
            RouteAttribute::Iif(interface),
        ];
        let request = netlink::request(RouteNetlinkMessage::GetRoute(route), 0);
        Ok(Self { socket, request, direct: question.direct.clone() })
    }

    fn ask(&self) -> Result<Way> {
        self.socket.send(&self.request, 0).context("cannot ask for a route")?;
        let (answer, _) = self.socket.recv_from_full().context("no answer about a route")?;
        let message = NetlinkMessage::<RouteNetlinkMessage>::deserialize(&answer)?;
        match message.payload {
            NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewRoute(route)) => self.way(&route),
            // No route, or one that refuses.
            NetlinkPayload::Error(_) => Ok(Way::None),
            other => bail!("an answer about a route that is none: {other:?}"),
        }
    }

    fn way(&self, route: &RouteMessage) -> Result<Way> {
        let device = route.attributes.iter().find_map(|attribute| match attribute {
            RouteAttribute::Oif(index) => Some(*index),
            _ => None,
        });
        let Some(device) = device else { return Ok(Way::None) };
        let device = netlink::name(device)?;
        if device == self.direct {
            return Ok(Way::Direct);
        }
        Ok(device.strip_prefix("ov-").map_or(Way::None, |relay| Way::Relay(relay.to_owned())))
    }
}

/// A thread that asks the kernel again and again. A way that is taken for less than the 5 ms between two
/// questions is not seen.
#[derive(Debug)]
pub struct Watch {
    seen: Arc<Mutex<Seen>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Result<()>>>,
}

/// The ways so far, and why there are no more.
#[derive(Debug, Default)]
struct Seen {
    ways: Vec<(Instant, Way)>,
    problem: Option<String>,
}

impl Watch {
    fn start(question: &Question<'_>) -> Result<Self> {
        let asker = question.at.run(|| Asker::new(question))??;
        let first = question.at.run(|| asker.ask())??;
        let seen = Seen { ways: vec![(clock::now(), first)], problem: None };
        let seen = Arc::new(Mutex::new(seen));
        let stop = Arc::new(AtomicBool::new(false));
        let (noted, stopped) = (Arc::clone(&seen), Arc::clone(&stop));
        let thread = question.at.thread("ways", move || {
            while !stopped.load(Ordering::Relaxed) {
                thread::sleep(PERIOD);
                let answer = asker.ask();
                let mut noted = lock(&noted);
                match answer {
                    Ok(way) if noted.ways.last().is_none_or(|(_, last)| *last != way) => {
                        noted.ways.push((clock::now(), way));
                    }
                    Ok(_) => {}
                    Err(error) => {
                        noted.problem = Some(format!("{error:#}"));
                        return;
                    }
                }
            }
        })?;
        Ok(Self { seen, stop, thread: Some(thread) })
    }

    /// All ways since it began, and when each was first seen; the first at its beginning.
    ///
    /// # Errors
    /// Where the kernel has stopped to answer.
    pub fn ways(&self) -> Result<Vec<(Instant, Way)>> {
        let seen = lock(&self.seen);
        ensure!(seen.problem.is_none(), "{:?}", seen.problem);
        Ok(seen.ways.clone())
    }

    /// The way at present.
    ///
    /// # Errors
    /// As those of [`Watch::ways`].
    pub fn now(&self) -> Result<Way> {
        let last = self.ways()?.pop();
        last.map(|(_, way)| way).ok_or_else(|| anyhow!("a watch begins with a way"))
    }

    /// Waits for a way that is wanted, and returns since when it is taken: `since`, if it was already then.
    /// None if it is not taken `at_most` this long from now.
    ///
    /// # Errors
    /// As those of [`Watch::ways`].
    pub fn await_way(
        &self,
        since: Instant,
        at_most: Duration,
        wanted: impl Fn(&Way) -> bool,
    ) -> Result<Option<Instant>> {
        let deadline = clock::now() + at_most;
        loop {
            let ways = self.ways()?;
            // The last one before counts, and lasts until the next.
            let first = ways.partition_point(|(at, _)| *at <= since).saturating_sub(1);
            if let Some((at, _)) = ways[first..].iter().find(|(_, way)| wanted(way)) {
                return Ok(Some((*at).max(since)));
            }
            if clock::now() >= deadline {
                return Ok(None);
            }
            thread::sleep(PERIOD);
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}
