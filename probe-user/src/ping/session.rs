//! One session on one datapath.

use std::net::SocketAddr;

use anyhow::{Context as _, Result};
use probe_ebpf::{
    ntp::{self, Format},
    stamp::{Mode, TTL},
};

use super::{
    answers::Answers,
    summary::{self, Summary},
};
use crate::{
    account::{self, Memory as _, Rules, flow::Flow},
    datapath::{Datapath, Options, SessionKeys, clock},
    health::defect::Defects,
    keys::KeyRing,
    report::Probes,
    sender::{Attempts, Sender, Target, sockets::Sockets, template::Template},
    verdict::{MILLISECOND, Nanos},
};

/// There is one session in each datapath.
const SSID: u16 = 1;

/// How long after the last probe's timeout the account may take to settle.
const GRACE: Nanos = 500 * MILLISECOND;

/// What is to be done, the same for all datapaths.
pub(super) struct Plan {
    pub(super) target: SocketAddr,
    pub(super) interval: Nanos,
    pub(super) timeout: Nanos,
    pub(super) count: Option<u64>,
    pub(super) dscp: u8,
    pub(super) mode: Mode,
    /// The keys of a file, and the place of the one that signs.
    pub(super) keys: Option<(KeyRing, u8)>,
    /// Encoded.
    pub(super) tlvs: Vec<u8>,
    pub(super) has_direct_measurement: bool,
    pub(super) timestamps: Format,
    pub(super) is_stateful: bool,
}

impl Plan {
    fn slots(&self) -> u32 {
        account::slots_for(self.interval, self.timeout)
    }

    fn options(&self, sockets: &Sockets) -> Options {
        Options {
            sessions: u32::from(SSID),
            slots: self.slots(),
            peers: 1,
            reflector_port: 0,
            first_source_port: sockets.first_port(),
            source_ports: 1,
            timestamps: self.timestamps,
        }
    }

    fn sockets(&self) -> Result<Sockets> {
        Sockets::open(1, self.dscp, self.target.port())
            .context("cannot open a UDP port to send from")
    }
}

/// A session that runs.
pub(super) struct Session {
    // The first to go: it uses the datapath.
    sender: Sender,
    datapath: Datapath,
    attempts: Attempts,
    count: Option<u64>,
    rules: Rules,
    timestamps: Format,
    flow: Flow,
    answers: Answers,
    label: &'static str,
    detail: String,
    is_stopped: bool,
    /// When the last probe was seen to have been sent.
    ended_at: Option<Nanos>,
}

impl Session {
    /// A session that the kernel programs measure, on one interface.
    ///
    /// # Errors
    /// Where they are not to be had.
    pub(super) fn xdp(plan: &Plan, interface: &str) -> Result<Self> {
        let sockets = plan.sockets()?;
        let mut datapath = Datapath::load(plan.options(&sockets))?;
        datapath.refresh_addresses()?;
        let attachment = datapath.attach(interface)?;
        let detail = format!("{} on {interface}", attachment.mode);
        Self::start(plan, datapath, sockets, "xdp", detail)
    }

    /// A session that sockets measure. `why` it is not the kernel programs goes into the summary.
    ///
    /// # Errors
    /// Where the system gives no sockets or threads.
    pub(super) fn socket(plan: &Plan, why: &str) -> Result<Self> {
        let mut sockets = plan.sockets()?;
        let mut datapath = Datapath::socket(plan.options(&sockets), Some(&mut sockets))?;
        datapath.refresh_addresses()?;
        datapath.attach("any")?;
        Self::start(plan, datapath, sockets, "socket", why.to_owned())
    }

    fn start(
        plan: &Plan,
        mut datapath: Datapath,
        sockets: Sockets,
        label: &'static str,
        detail: String,
    ) -> Result<Self> {
        let key = plan.keys.as_ref().map_or(0, |(ring, place)| {
            datapath.set_keys(ring.placed());
            *place
        });
        let keys = SessionKeys { key, ..SessionKeys::default() };
        datapath.open_session(SSID, sockets.first_port(), plan.target, keys)?;
        datapath.set_direct_measurement(SSID, plan.has_direct_measurement);
        let attempts = Attempts::new(usize::from(SSID) + 1);
        let sender = Sender::start(sockets, plan.interval, attempts.clone())
            .context("cannot start the sending thread")?;
        sender.begin(vec![Target {
            ssid: SSID,
            flow: 0,
            reflector: plan.target,
            mark: 0,
            template: Template::new(SSID, plan.mode, &plan.tlvs),
            count: plan.count,
        }]);
        let rules = Rules {
            interval: plan.interval,
            timeout: plan.timeout,
            slots: plan.slots(),
            stateful: plan.is_stateful,
            defects: Defects::NONE,
        };
        Ok(Self {
            sender,
            datapath,
            attempts,
            count: plan.count,
            rules,
            timestamps: plan.timestamps,
            flow: Flow::default(),
            answers: Answers::default(),
            label,
            detail,
            is_stopped: false,
            ended_at: None,
        })
    }

    /// What measures, and how.
    pub(super) fn describe(&self) -> String {
        summary::datapath(self.label, &self.detail)
    }

    /// Sends no more probes.
    pub(super) fn stop(&mut self) {
        self.sender.set_targets(Vec::new());
        self.is_stopped = true;
    }

    /// Reads the slots. To be called so often that none is taken again in between.
    pub(super) fn tick(&mut self, now: Nanos) {
        let attempts = u64::from(self.attempts.of(SSID));
        self.datapath.catch_up();
        let memory = self.datapath.session(SSID);
        // That the path is silent changes nothing here: no verdict waits for its probes. Nor is any loss guessed at.
        self.flow.judge_alone(&memory, &self.rules, now);
        self.answers.collect(&memory, self.rules.slots);
        let is_complete = self.count.is_some_and(|count| attempts >= count);
        if (is_complete || self.is_stopped) && self.ended_at.is_none() {
            self.ended_at = Some(now);
        }
    }

    /// Keeps up with the host's clock and addresses.
    pub(super) fn check_host(&mut self) {
        self.datapath.refresh_clock();
        if let Err(error) = self.datapath.refresh_addresses() {
            tracing::warn!(%error, "cannot look up the addresses of this host");
        }
    }

    /// Whether all probes have been sent, and are either answered or lost.
    pub(super) fn is_over(&self, now: Nanos) -> bool {
        let Some(ended_at) = self.ended_at else { return false };
        let Probes { sent, not_sent, answered, lost_forward, lost_reverse, lost_unknown, .. } =
            self.probes();
        let settled = answered + lost_forward + lost_reverse + lost_unknown;
        // What waits for its neighbour's address has been tried, and may still leave.
        settled == sent && not_sent == 0 || now >= ended_at + self.rules.timeout + GRACE
    }

    /// What became of the probes so far.
    pub(super) fn probes(&self) -> Probes {
        let attempts = self.attempts.of(SSID);
        let sent = self.datapath.session(SSID).sent();
        let missing = attempts.wrapping_sub(sent) as i32;
        Probes {
            sent: u64::from(sent),
            not_sent: u64::try_from(missing).unwrap_or(0),
            ..self.flow.totals()
        }
    }

    /// The measured times so far.
    pub(super) const fn answers(&self) -> &Answers {
        &self.answers
    }

    /// What was measured.
    pub(super) fn summary(&self) -> Summary {
        let probes = self.probes();
        let replies = self.datapath.session(SSID).replies();
        let is_answered = probes.answered > 0;
        let ours = clock::Quality::now().error_estimate(self.timestamps);
        let errors = [ours, replies.error_estimate].map(ntp::synchronised_error);
        let error = errors[0].zip(errors[1]).filter(|_| is_answered);
        Summary {
            sent: probes.sent,
            answered: probes.answered,
            lost_forward: probes.lost_forward,
            lost_reverse: probes.lost_reverse,
            lost_unknown: probes.lost_unknown,
            duplicates: u64::from(replies.duplicates),
            reordered: u64::from(replies.reordered),
            rtt_us: self.answers.round_trip.quantiles(),
            forward_us: self.answers.forward.quantiles(),
            reverse_us: self.answers.reverse.quantiles(),
            clock_error_us: error.map(|(ours, theirs)| ours.saturating_add(theirs) as f64 / 1e3),
            hops: is_answered.then(|| TTL - replies.sender_ttl),
            not_sent: probes.not_sent,
            datapath: self.label,
            datapath_detail: self.detail.clone(),
            may_be_stateless: self.rules.stateful && !self.answers.has_own_numbers(),
            same_format: Format::of(replies.error_estimate) == self.timestamps,
        }
    }
}
