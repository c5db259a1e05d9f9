//! The config as a JSON Schema, for editors that complete and check TOML.
//!
//! - `overlay`: `[overlay]`.

mod overlay;

use serde_json::{Value, json};

use super::reflector::{MAX_RATE, ReflectorConfig};
use super::value::{MAX_NAME, readable};
use super::{HealthConfig, ProbeConfig, Profile, RecordConfig, WebConfig, hook};
use crate::{health::settings::limits, hooks::Kind};

const DURATION: &str = r"^\s*([0-9]+(\.[0-9]+)?\s*[a-zA-Zµ]+\s*)+$";

/// The JSON Schema (draft 2020-12) of the config file. What it cannot express, such as names that
/// must differ, only [`super::Config::parse`] checks.
#[must_use]
pub fn schema() -> Value {
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "linkprobe config",
        "type": "object",
        "required": ["node"],
        "additionalProperties": false,
        "properties": {
            "node": node(),
            "probe": probe(),
            "health": health(),
            "record": record(),
            "auth": auth(),
            "reflector": reflector(),
            "peer": { "type": "array", "description": "Whom to probe.", "items": peer() },
            "overlay": overlay::section(),
            "web": web(),
            "hook": { "type": "array", "description": "Who is told of changes.", "items": hook() },
        },
    })
}

fn section(description: &str, required: &[&str], properties: &Value) -> Value {
    json!({
        "type": "object",
        "description": description,
        "required": required,
        "additionalProperties": false,
        "properties": properties,
    })
}

fn name(description: &str) -> Value {
    json!({
        "type": "string",
        "description": description,
        "pattern": "^[A-Za-z0-9][A-Za-z0-9._-]*$",
        "maxLength": MAX_NAME,
    })
}

fn node() -> Value {
    let interfaces = json!({
        "type": "array",
        "description": "The network interfaces that probes leave and enter by.",
        "items": { "type": "string", "pattern": r"^[^\s/:]+$", "maxLength": 15 },
        "minItems": 1,
        "uniqueItems": true,
    });
    section(
        "Who this node is.",
        &["name", "region", "interfaces"],
        &json!({
            "name": name("Name of this node."),
            "region": name("The region (data center) that this node belongs to."),
            "interfaces": interfaces,
            "datapath": {
                "enum": ["auto", "xdp", "socket"],
                "description": "What moves the probes: the BPF programs, sockets, or the first that can be had.",
                "default": "auto",
            },
        }),
    )
}

fn probe() -> Value {
    let default = ProbeConfig::default();
    section(
        "How peers are probed.",
        &[],
        &json!({
            "interval": {
                "type": "string",
                "description": "Time between two probes of one flow, 1ms to 60s.",
                "pattern": DURATION,
                "default": readable(default.interval),
            },
            "timeout": {
                "type": "string",
                "description": "The latest time at which a probe is given up, 10ms to 60s.",
                "pattern": DURATION,
                "default": readable(default.timeout),
            },
            "flows": {
                "type": "integer",
                "description": "Flows for each peer; each has a UDP source port of its own.",
                "minimum": 1,
                "maximum": 64,
                "default": default.flows,
            },
            "dscp": {
                "description": "Differentiated services code point of the probes: a number or a name such as \"ef\".",
                "oneOf": [
                    { "type": "integer", "minimum": 0, "maximum": 63 },
                    { "type": "string" },
                ],
                "default": default.dscp,
            },
            "timestamps": {
                "enum": ["ntp", "ptp"],
                "description": "The format of this node's timestamps.",
                "default": "ntp",
            },
            "port": {
                "type": "integer",
                "description": "UDP port of this node's Session-Reflector, and of peers whose address names none.",
                "minimum": 1,
                "maximum": 65535,
                "default": default.port,
            },
        }),
    )
}

fn health() -> Value {
    let default = HealthConfig::default();
    let profiles = Profile::ALL.map(Profile::label);
    let duration = |description: &str, default| {
        json!({
            "type": "string",
            "description": description,
            "pattern": DURATION,
            "default": readable(default),
        })
    };
    section(
        "What is asked of the verdicts. Numbers given here override those of the profile.",
        &[],
        &json!({
            "profile": {
                "enum": profiles,
                "description": "Ready-made numbers; `linkprobe explain` tells what they guarantee.",
                "default": Profile::default().label(),
            },
            "accepted_loss": {
                "type": "string",
                "description": format!("The loss that is accepted, {}% to {}%.", 100.0 * limits::ACCEPTED_LOSS.start(), 100.0 * limits::ACCEPTED_LOSS.end()),
                "pattern": r"^\s*[0-9]+(\.[0-9]+)?\s*%\s*$",
                "default": format!("{}%", 100.0 * default.accepted_loss),
            },
            "false_alarms_per_year": {
                "type": "number",
                "description": "False alarms in a year on a path that loses as much as is accepted.",
                "minimum": limits::FALSE_ALARMS.start(),
                "maximum": limits::FALSE_ALARMS.end(),
                "default": default.false_alarms_per_year,
            },
            "recovery": duration("So long all probes must pass to make a direction healthy.", default.recovery),
            "recovery_probes": {
                "type": "integer",
                "description": "So many probes at least must pass to make a direction healthy.",
                "minimum": limits::RECOVERY_PROBES.start(),
                "maximum": limits::RECOVERY_PROBES.end(),
                "default": default.recovery_probes,
            },
            "damping": duration("The most that recovery grows to for a direction that relapses again and again; recovery_probes, as many times more.", default.damping),
            "blip": duration("Losses of probes that were sent within this time count as one.", default.blip),
            "expiry": duration("The age at which evidence expires and the verdict becomes unknown; at least probe.interval plus probe.timeout.", default.expiry),
            "latency_factor": {
                "type": "number",
                "description": "Round trips beyond so many times their usual length are slow; 0 not to look at them.",
                "minimum": 0,
                "maximum": limits::LATENCY_FACTOR.end(),
                "default": default.latency_factor,
            },
        }),
    )
}

fn record() -> Value {
    let default = RecordConfig::default();
    section(
        "What the verdicts were made of, kept on disk for `linkprobe replay`.",
        &[],
        &json!({
            "directory": {
                "type": "string",
                "description": "Where it is kept, looked for beside the config; nothing is recorded without it.",
                "minLength": 1,
            },
            "limit": {
                "type": "string",
                "description": "The most that it takes on disk, 1MiB to 1TiB; the oldest part makes room for the newest.",
                "pattern": r"^\s*[0-9]+\s*([KMGT]iB|[kMGT]?B)\s*$",
                "default": format!("{}MiB", default.limit >> 20),
            },
        }),
    )
}

fn auth() -> Value {
    section(
        "Authenticated mode: which keys sign the probes.",
        &[],
        &json!({
            "keys": {
                "type": "string",
                "description": "The key file, looked for beside the config. Only its owner may read or write it.",
                "minLength": 1,
            },
            "key": {
                "type": "string",
                "description": "The id of the key that signs; the first of the file if not given.",
                "minLength": 1,
            },
            "require": {
                "type": "boolean",
                "description": "Whether the reflector answers authenticated requests only; true if there are keys, unless given.",
            },
        }),
    )
}

fn reflector() -> Value {
    let default = ReflectorConfig::default();
    let allow: Vec<String> = default.allow.iter().map(ToString::to_string).collect();
    section(
        "Whom the Session-Reflector answers, and how.",
        &[],
        &json!({
            "rate": {
                "type": "integer",
                "description": "Requests per second that it answers to one source address; 0 for no limit.",
                "minimum": 0,
                "maximum": MAX_RATE,
                "default": default.rate,
            },
            "allow": {
                "type": "array",
                "description": "The prefixes that it answers to, besides peers.",
                "items": { "type": "string", "minLength": 1 },
                "default": allow,
            },
            "stateless": {
                "type": "boolean",
                "description": "It copies sequence numbers and does not count by itself.",
                "default": default.stateless,
            },
        }),
    )
}

fn peer() -> Value {
    section(
        "A peer.",
        &["name", "region", "address"],
        &json!({
            "name": name("Name of the peer; no two share one."),
            "region": name("The region (data center) that the peer belongs to."),
            "address": {
                "type": "string",
                "description": "IP, IPv4:port, [IPv6]:port, host name or host name:port of its Session-Reflector.",
                "minLength": 1,
            },
            "reflector": {
                "enum": ["stateful", "stateless"],
                "description": "A stateless reflector copies our sequence numbers, so that loss has no direction.",
                "default": "stateful",
            },
            "auth": {
                "type": "string",
                "description": "The id of the key that this peer is probed with instead of auth.key; \"none\" for unauthenticated mode.",
                "minLength": 1,
            },
        }),
    )
}

fn web() -> Value {
    section(
        "The HTTP server.",
        &[],
        &json!({
            "listen": {
                "type": "string",
                "description": "The address and port that it listens on.",
                "default": WebConfig::default().listen.to_string(),
            },
            "agent_check": {
                "type": "string",
                "description": "The address and port where HAProxy's agent checks are answered; nowhere without it.",
            },
        }),
    )
}

fn hook() -> Value {
    let kinds = Kind::ALL.map(Kind::label);
    let duration = |description: &str, default| {
        json!({
            "type": "string",
            "description": description,
            "pattern": DURATION,
            "default": readable(default),
        })
    };
    let mut hook = section(
        "A command or a server that is told of changes.",
        &["name"],
        &json!({
            "name": name("Its name in logs and metrics; no two hooks share one."),
            "command": {
                "type": "array",
                "description": "A program by its whole path, and its arguments; it gets the change on its standard input.",
                "items": { "type": "string" },
                "minItems": 1,
            },
            "webhook": {
                "type": "string",
                "description": "The URL that the change is posted to.",
                "pattern": "^http://.+$",
            },
            "on": {
                "type": "array",
                "description": "Of what it is told.",
                "items": { "enum": kinds },
                "minItems": 1,
                "default": [Kind::Region.label()],
            },
            "timeout": duration("How long one run may take, 100ms to 5m.", hook::TIMEOUT),
            "min_interval": duration("The least time between two runs for the same region, path or node, up to 1h.", hook::MIN_INTERVAL),
            "retries": {
                "type": "integer",
                "description": "How often a webhook that fails is tried again soon; then once a minute.",
                "minimum": 0,
                "maximum": hook::MAX_RETRIES,
                "default": hook::RETRIES,
            },
        }),
    );
    hook["oneOf"] = json!([{ "required": ["command"] }, { "required": ["webhook"] }]);
    hook
}
