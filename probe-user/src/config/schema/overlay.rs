//! `[overlay]` as a JSON Schema.

use serde_json::{Value, json};

use super::{super::DEFAULT_METRIC, name};

/// The section.
pub(super) fn section() -> Value {
    let names = json!({ "type": "array", "items": name("Name of a peer."), "uniqueItems": true });
    let mut relays = names;
    relays["description"] = json!(
        "The peers through which others are reached; all that have a destination unless given."
    );
    let destination = super::section(
        "What lies behind a gateway.",
        &["peer", "interface"],
        &json!({
            "peer": name("The peer that is the gateway. Its address is an IP address."),
            "interface": {
                "type": "string",
                "description": "The tunnel to it, which nothing else uses.",
                "pattern": r"^[^\s/:]+$",
                "maxLength": 15,
            },
            "prefixes": {
                "type": "array",
                "description": "The prefixes behind it; none for one that only relays.",
                "items": { "type": "string", "minLength": 1 },
                "uniqueItems": true,
            },
        }),
    );
    super::section(
        "What is routed around sick paths.",
        &["destinations"],
        &json!({
            "table": {
                "description": "The routing table for the routes: a number or \"main\".",
                "oneOf": [
                    { "type": "integer", "minimum": 1, "maximum": i32::MAX },
                    { "const": "main" },
                ],
                "default": "main",
            },
            "metric": {
                "type": "integer",
                "description": "The metric of the routes; the kernel takes the lowest of several.",
                "minimum": 1,
                "maximum": i32::MAX,
                "default": DEFAULT_METRIC,
            },
            "relays": relays,
            "local": {
                "type": "array",
                "description": "What lies behind this node, where it is within the prefix of a destination.",
                "items": { "type": "string", "minLength": 1 },
                "uniqueItems": true,
            },
            "destinations": {
                "type": "array",
                "description": "What is routed.",
                "items": destination,
                "minItems": 1,
            },
        }),
    )
}
