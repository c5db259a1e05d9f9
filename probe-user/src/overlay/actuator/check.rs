//! Looking whether everything is as it must be: routes and rules, what the kernel makes of them, and how it is set up.

use std::{fs, net::IpAddr};

use super::{Change, Error, Kernel, Worker, route_changes, rule_changes};
use crate::{
    datapath::addresses,
    overlay::{
        kernel::{Packet, Way},
        plan::{Gateway, Plan},
    },
    prefix::Prefix,
};

impl Worker {
    /// Reads all routes and rules, mends them, and asks the kernel where packets would go.
    pub(super) async fn check(&mut self) {
        let before = std::mem::take(&mut self.status.problems);
        if let Err(error) = self.mend().await {
            self.status.problems.push(error.to_string());
            // The socket may be the reason.
            match Kernel::open() {
                Ok(kernel) => self.kernel = kernel,
                Err(error) => self.status.problems.push(error.to_string()),
            }
        }
        self.verify().await;
        let plan = &self.plan;
        let found = plan.gateways.iter().filter_map(forwarding).chain(swallowed(plan));
        self.status.problems.extend(found);
        for problem in self.status.problems.iter().filter(|problem| !before.contains(problem)) {
            tracing::warn!("overlay: {problem}");
        }
        for problem in before.iter().filter(|problem| !self.status.problems.contains(problem)) {
            tracing::info!("overlay: no longer: {problem}");
        }
        self.publish();
    }

    /// Reads all again, and puts back what differs. What cannot be put in is a problem, and holds up nothing else.
    async fn mend(&mut self) -> Result<(), Error> {
        self.links = self.kernel.links().await?;
        let gateways = self.plan.gateways.iter();
        let up: Vec<bool> = gateways.map(|gateway| self.links.is_up(&gateway.interface)).collect();
        // With a tunnel the kernel takes out and in what leads there; nobody else has changed that.
        let is_drift = up == self.status.up;
        self.status.up = up;
        // What the choice waits for.
        self.publish();
        let rules = rule_changes(&self.plan.rules(), &self.kernel.rules().await?);
        for change in &rules {
            match self.kernel.change_rule(change).await {
                Ok(()) => self.note_repair(change, true),
                Err(error) => self.status.problems.push(error.to_string()),
            }
        }
        self.have = self.kernel.routes(&self.links).await?;
        for change in route_changes(&self.plan.routes(&self.via), &self.have) {
            match self.change(&change).await {
                Ok(()) => self.note_repair(&change, is_drift),
                // The tunnel itself is the problem then, and is told of once.
                Err(_) if self.leads_down(&change) => {}
                Err(error) => self.status.problems.push(error.to_string()),
            }
        }
        for (gateway, up) in self.plan.gateways.iter().zip(&self.status.up) {
            if !up {
                let Gateway { peer, interface, .. } = gateway;
                let problem = format!("the tunnel `{interface}` to {peer} is down or gone");
                self.status.problems.push(problem);
            } else if self.links.is_strange(&gateway.interface) {
                let Gateway { peer, interface, .. } = gateway;
                let problem = format!(
                    "the tunnel `{interface}` to {peer} carries no Ethernet frames, so nothing is measured there: use VXLAN, \
                     Geneve or gretap"
                );
                self.status.problems.push(problem);
            }
        }
        Ok(())
    }

    fn note_repair<T: std::fmt::Debug>(&mut self, change: &Change<T>, is_drift: bool) {
        self.status.repairs += u64::from(is_drift);
        tracing::debug!(?change, "overlay: mended");
    }

    /// Whether a route leads to a tunnel that is down.
    fn leads_down(&self, change: &Change<super::Route>) -> bool {
        let (Change::Add(route) | Change::Replace(route) | Change::Remove(route)) = change;
        route.to.interface().is_some_and(|interface| !self.links.is_up(interface))
    }

    /// Asks the kernel where the traffic of each destination would go, and where marked and relayed packets would.
    async fn verify(&mut self) {
        let mut wrong = Vec::new();
        let plan = std::sync::Arc::clone(&self.plan);
        let is_in = |(number, via): (usize, &usize)| {
            plan.missing(number, *via, &self.have).next().is_none()
        };
        let mut installed: Vec<bool> = self.via.iter().enumerate().map(is_in).collect();
        if plan.is_in_main_table() {
            for (number, prefix, gateway) in plan.chosen(&self.via) {
                let Some(to) = inside(&plan, prefix) else { continue };
                let packet = Packet { to, mark: 0, from: None };
                let what = format!("traffic to {prefix}");
                if let Some(problem) = self.misled(packet, gateway, &what).await {
                    wrong.push(problem);
                    installed[number] = false;
                }
            }
        }
        for (packet, gateway, what) in probes(&plan) {
            wrong.extend(self.misled(packet, gateway, &what).await);
        }
        self.status.installed = installed;
        self.status.problems.extend(wrong);
    }

    /// What is wrong with the way that a packet would take, if anything is. A tunnel that is down has been told of.
    async fn misled(&self, packet: Packet<'_>, gateway: &Gateway, what: &str) -> Option<String> {
        if !self.links.is_up(&gateway.interface) {
            return None;
        }
        let way = match self.kernel.way(packet, &self.links).await {
            Ok(way) => way,
            Err(error) => {
                return Some(format!("the kernel does not say where {what} goes: {error}"));
            }
        };
        let Way { interface, gateway: neighbour } = &way;
        let neighbour = neighbour.unwrap_or(packet.to);
        if interface.as_ref() == Some(&gateway.interface) && neighbour == gateway.address {
            return None;
        }
        let goes = interface.as_ref().map_or_else(
            || "nowhere".to_owned(),
            |interface| format!("by `{interface}` to {neighbour}"),
        );
        Some(format!(
            "the kernel misleads {what}: it would go {goes} instead of by `{}` to {}; look for a route or rule that comes \
             first (`ip rule`, `ip route get`)",
            gateway.interface, gateway.address
        ))
    }
}

/// An address of a prefix, as that of a host in it, which is in no other prefix within; `None` where the first few are not.
fn inside(plan: &Plan, prefix: Prefix) -> Option<IpAddr> {
    let gateways = || plan.gateways.iter();
    let all = || gateways().flat_map(|gateway| gateway.prefixes.iter()).chain(&plan.local);
    let is_elsewhere = |address: IpAddr| {
        let within = |other: &&Prefix| other.length() > prefix.length() && other.contains(address);
        all().any(|other| within(&other)) || gateways().any(|gateway| gateway.address == address)
    };
    // The ends of the halves, of the quarters and so on are likely to be in different ones.
    let bits = if prefix.is_ipv4() { 32 } else { 128 };
    let host = |bit: u8| match prefix.address() {
        IpAddr::V4(first) => IpAddr::V4((first.to_bits() | 1 << bit).into()),
        IpAddr::V6(first) => IpAddr::V6((first.to_bits() | 1 << bit).into()),
    };
    match bits - prefix.length() {
        0 => Some(prefix.address()),
        free => (0..free).map(host).find(|address| !is_elsewhere(*address)),
    }
}

/// Addresses of this host in the prefix of a destination: what comes in by a tunnel for the network there would be sent on.
fn swallowed(plan: &Plan) -> impl Iterator<Item = String> {
    let local = addresses::local().unwrap_or_default();
    let prefixes = plan
        .gateways
        .iter()
        .flat_map(|gateway| gateway.prefixes.iter().map(move |prefix| (prefix, gateway)));
    prefixes.filter_map(move |(prefix, gateway)| {
        let inside = |address: &IpAddr| {
            prefix.contains(*address) && !plan.local.iter().any(|local| local.contains(*address))
        };
        let address = local.iter().map(|address| IpAddr::from(address.octets()).to_canonical()).find(inside)?;
        Some(format!(
            "{address} is an address of this host within {prefix}, which is behind {}: name its network in `local`, or what \
             comes for it by a tunnel is sent on",
            gateway.peer
        ))
    })
}

/// A marked probe for each table, and a packet that comes in by each tunnel; with the gateway that it is to go to.
fn probes(plan: &Plan) -> impl Iterator<Item = (Packet<'_>, &Gateway, String)> {
    let gateways = || plan.gateways.iter().enumerate();
    let marked = gateways().flat_map(move |(number, destination)| {
        // One destination tells of a relay's table: there is but one route in it. Each has a direct route.
        let via = plan
            .candidates(number)
            .filter(move |via| *via == number || number == usize::from(*via == 0));
        via.map(move |via| {
            let (to, mark) = (destination.address, Plan::mark(number, via));
            let gateway = &plan.gateways[via];
            let what = format!("probes to {} through {}", destination.peer, gateway.peer);
            (Packet { to, mark, from: None }, gateway, what)
        })
    });
    let relayed = gateways().filter_map(move |(number, gateway)| {
        let (_, from) = gateways().find(|(other, from)| {
            *other != number && from.address.is_ipv4() == gateway.address.is_ipv4()
        })?;
        let source = Some((from.address, from.interface.as_str()));
        let what = format!("what {} sends through here to {}", from.peer, gateway.peer);
        // What could loop is what goes to the prefixes.
        let prefix = gateway.prefixes.first().and_then(|prefix| inside(plan, *prefix));
        let to = prefix.unwrap_or(gateway.address);
        Some((Packet { to, mark: 0, from: source }, gateway, what))
    });
    marked.chain(relayed)
}

/// What keeps this host from relaying what comes in by a tunnel, and from receiving what was relayed.
fn forwarding(gateway: &Gateway) -> Option<String> {
    let Gateway { interface, address, .. } = gateway;
    let version = if address.is_ipv4() { "ipv4" } else { "ipv6" };
    let read = |interface: &str, name: &str| {
        let path = format!("/proc/sys/net/{version}/conf/{interface}/{name}");
        fs::read_to_string(path).ok()?.trim().parse::<i32>().ok()
    };
    // IPv6 is forwarded on all interfaces or on none.
    let decides = if address.is_ipv4() { interface.as_str() } else { "all" };
    if read(decides, "forwarding") == Some(0) {
        return Some(format!(
            "this host does not forward what comes in by `{interface}`: set net/{version}/conf/{decides}/forwarding to 1"
        ));
    }
    let strictest = read("all", "rp_filter").max(read(interface, "rp_filter"));
    (address.is_ipv4() && strictest == Some(1)).then(|| {
        format!(
            "this host drops what comes by another way than it would answer: set net/ipv4/conf/{interface}/rp_filter and \
             net/ipv4/conf/all/rp_filter to 0 or 2"
        )
    })
}
