//! The command line of `linkprobe ping`.

use std::{path::PathBuf, time::Duration};

use clap::{Args, ValueEnum};
use probe_ebpf::stamp;

use super::packet::Tlv;
use crate::config::{self, PeerAddress};

/// Shorter than this, a host's own timers are what would be measured.
const LEAST_INTERVAL: Duration = Duration::from_millis(1);

/// Longer than this, nobody waits.
const LONGEST_INTERVAL: Duration = Duration::from_secs(3_600);

/// The range of timeouts.
const TIMEOUTS: [Duration; 2] = [Duration::from_millis(10), Duration::from_secs(60)];

/// What is to be probed, and how.
#[derive(Args, Clone, Debug)]
pub struct Arguments {
    /// The reflector's host, by name or address, and UDP port.
    // Brackets would be a link in a comment for documentation.
    #[arg(
        value_name = "TARGET",
        help = "The reflector: HOST, HOST:PORT, IPV6 or [IPV6]:PORT; the port is 862 unless given",
        value_parser = target
    )]
    pub target: PeerAddress,
    /// End after this many probes; without it, Ctrl-C ends it
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub count: Option<u64>,
    /// Time between two probes, from 1ms to 1h
    #[arg(short = 'n', long, value_name = "TIME", default_value = "100ms", value_parser = interval)]
    pub interval: Duration,
    /// Time after which a probe is lost, from 10ms to 60s
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = timeout)]
    pub timeout: Duration,
    /// Octets of UDP payload, filled up by an Extra Padding TLV
    #[arg(long, value_name = "OCTETS")]
    pub size: Option<usize>,
    /// Code point of the probes: a number from 0 to 63, or a name such as ef or af41
    #[arg(long, value_name = "DSCP", default_value = "0", value_parser = dscp)]
    pub dscp: u8,
    /// Authenticate with a key of this file: the one with this ID, else the file's current one
    #[arg(long, value_name = "FILE[#ID]", value_parser = auth)]
    pub auth: Option<Auth>,
    /// The reflector is stateless: its numbers do not tell where a probe was lost
    #[arg(long)]
    pub stateless: bool,
    /// Send timestamps in the PTPv2 format instead of NTP's
    #[arg(long)]
    pub ptp: bool,
    /// Add a TLV (RFC 8972) to each probe; may be given several times
    #[arg(long = "tlv", value_name = "NAME", value_enum)]
    pub tlvs: Vec<Tlv>,
    /// What measures: xdp in the kernel, socket in userspace, both side by side, or whichever can be had
    #[arg(long, value_name = "WHICH", value_enum, default_value_t = Choice::Auto)]
    pub datapath: Choice,
    /// Interface for xdp; without it, that of the route to TARGET
    #[arg(short, long, value_name = "IFACE")]
    pub interface: Option<String>,
    /// Print one JSON document at the end, and nothing else
    #[arg(long)]
    pub json: bool,
}

/// Which datapath measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Choice {
    /// XDP where that is to be had, else sockets.
    Auto,
    /// XDP.
    Xdp,
    /// Sockets: needs no privileges.
    Socket,
    /// Both, side by side.
    Both,
}

/// A key in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Auth {
    /// The file.
    pub file: PathBuf,
    /// The key's id; `None` for the file's current key.
    pub id: Option<String>,
}

fn target(text: &str) -> Result<PeerAddress, String> {
    PeerAddress::parse(text, stamp::PORT)
}

fn interval(text: &str) -> Result<Duration, String> {
    duration(text, LEAST_INTERVAL, LONGEST_INTERVAL)
}

fn timeout(text: &str) -> Result<Duration, String> {
    let [least, most] = TIMEOUTS;
    duration(text, least, most)
}

fn duration(text: &str, least: Duration, most: Duration) -> Result<Duration, String> {
    let duration = humantime::parse_duration(text)
        .map_err(|_| "not a duration; write a number and a unit, such as 100ms".to_owned())?;
    if (least..=most).contains(&duration) {
        return Ok(duration);
    }
    let [least, most] = [least, most].map(humantime::format_duration);
    Err(format!("out of range; write a duration from {least} to {most}"))
}

fn dscp(text: &str) -> Result<u8, String> {
    config::code_point(text)
        .or_else(|| text.parse().ok().filter(|number| *number < 64))
        .ok_or_else(|| "not a DSCP; write a number from 0 to 63 or a name such as ef".to_owned())
}

fn auth(text: &str) -> Result<Auth, String> {
    let (file, id) = match text.rsplit_once('#') {
        Some((file, id)) => (file, Some(id)),
        None => (text, None),
    };
    if file.is_empty() || id == Some("") {
        return Err("write the name of a key file, and #ID behind it to choose a key".to_owned());
    }
    Ok(Auth { file: file.into(), id: id.map(ToOwned::to_owned) })
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Ping {
        #[command(flatten)]
        arguments: Arguments,
    }

    fn parse(line: &str) -> Result<Arguments, String> {
        Ping::try_parse_from(["ping"].into_iter().chain(line.split_whitespace()))
            .map(|ping| ping.arguments)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn a_target_is_all_that_is_needed() {
        let arguments = parse("reflector.example.net").unwrap();
        assert_eq!(arguments.target.to_string(), "reflector.example.net:862");
        assert_eq!((arguments.count, arguments.size), (None, None));
        assert_eq!(arguments.interval, Duration::from_millis(100));
        assert_eq!(arguments.timeout, Duration::from_secs(1));
        assert_eq!(arguments.datapath, Choice::Auto);
    }

    #[test]
    fn all_that_can_be_said() {
        let arguments = parse(
            "[2001:db8::1]:8620 -c 5 --interval 1ms --timeout 2s --size 100 --dscp ef --stateless \
             --auth /etc/keys#old --ptp --tlv location --tlv access-report --datapath both -i eth0 --json",
        )
        .unwrap();
        assert_eq!(arguments.target.to_string(), "[2001:db8::1]:8620");
        assert_eq!((arguments.count, arguments.dscp), (Some(5), 46));
        assert_eq!(arguments.tlvs, [Tlv::Location, Tlv::AccessReport]);
        let auth = Auth { file: "/etc/keys".into(), id: Some("old".to_owned()) };
        assert_eq!(arguments.auth, Some(auth));
        assert_eq!(parse("a --dscp 63").unwrap().dscp, 63);
        assert_eq!(parse("a --auth keys").unwrap().auth.unwrap().id, None);
    }

    #[test]
    fn what_cannot_be_is_refused_with_what_can() {
        for (line, expected) in [
            ("", "TARGET"),
            ("10.0.0.300", "is not an IPv4 address"),
            ("a:0", "has no valid port"),
            ("a --count 0", "0 is not in 1.."),
            ("a --interval 100us", "from 1ms to 1h"),
            ("a --interval 100", "a number and a unit"),
            ("a --timeout 61s", "from 10ms to 1m"),
            ("a --dscp 64", "from 0 to 63"),
            ("a --auth keys#", "name of a key file"),
            ("a --tlv hmac", "class-of-service"),
            ("a --datapath tcp", "both"),
        ] {
            let error = parse(line).unwrap_err();
            assert!(error.contains(expected), "{line}: {error}");
        }
    }
}
