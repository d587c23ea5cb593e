//! Section `mqtt`: the broker, and how readings are published. What proves who we are to it stands in [`super::tls`]
//! and [`super::token`].

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::integrity::Integrity;
use super::notation::{DurationText, NumberOrText, RateNumber, SizeText, VersionText};
use super::tls::Tls;
use super::token::Token;

/// The MQTT broker and how readings are published.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[schemars(extend("if" = {"not": {"required": ["platform"]}}, "then" = {"required": ["url"]}))]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct Mqtt {
    /// Broker: `mqtt://` (1883), `mqtts://` (TLS, 8883), `ws://` (80) or `wss://` (443), host, and a port
    /// if it is another. For WebSockets the path may follow; it is `/mqtt` if left out.
    /// Must be given unless the platform has one for all.
    #[schemars(extend("examples" = ["mqtts://broker.example:8883"]))]
    pub(in crate::config) url: Option<String>,
    /// IoT platform whose ways are kept: its topics, payloads, limits and commands. See docs/platforms.md.
    pub(in crate::config) platform: Option<Platform>,
    /// User name at the broker.
    #[schemars(extend("examples" = ["greenhouse"]))]
    pub(in crate::config) username: Option<String>,
    /// Password. Better in a file of its own (`password_file`) or in the environment.
    #[schemars(extend("writeOnly" = true, "examples" = ["…"]))]
    pub(in crate::config) password: Option<String>,
    /// File that holds the password; one line end at its end is ignored. A name without `/` in front: a
    /// systemd credential, else a file beside the configuration.
    #[schemars(extend("examples" = ["mqtt.password"]))]
    pub(in crate::config) password_file: Option<String>,
    /// Client id of the publishing connection; mirrors append `-<mirror id>`. Default: `sensor-bridge-<device>`.
    #[schemars(extend("examples" = ["sensor-bridge-greenhouse-pi"]))]
    pub(in crate::config) client_id: Option<String>,
    /// MQTT version: `3.1.1` or `5`.
    #[schemars(with = "Option<VersionText>", extend("default" = "3.1.1", "examples" = ["5"]))]
    pub(in crate::config) version: Option<NumberOrText>,
    /// How often an idle connection is probed.
    #[schemars(extend("default" = "30s", "examples" = ["1m"]))]
    pub(in crate::config) keep_alive: Option<DurationText>,
    /// Topic of the readings with `{device}`, `{sensor}` and `{quantity}`. With `{quantity}` each quantity
    /// is a message of its own; without, each sample of a sensor is one.
    #[schemars(extend("default" = "sensors/{device}/{sensor}/{quantity}", "examples" = ["castel/{device}/{sensor}"]))]
    pub(in crate::config) topic: Option<String>,
    /// Quality of service of readings: 0 at most once, 1 at least once, 2 exactly once.
    #[schemars(range(min = 0, max = 2), extend("default" = 1, "examples" = [2]))]
    pub(in crate::config) qos: Option<u8>,
    /// Whether the broker keeps the last reading for later subscribers.
    #[schemars(extend("default" = false, "examples" = [true]))]
    pub(in crate::config) retain: Option<bool>,
    /// Whether QoS 0 readings taken while the broker is away are sent later. QoS 1 and 2 always are.
    #[schemars(extend("default" = true, "examples" = [false]))]
    pub(in crate::config) buffer: Option<bool>,
    /// What is sent first after an outage.
    #[schemars(extend("default" = "in-order", "examples" = ["live-first"]))]
    pub(in crate::config) backlog: Option<Backlog>,
    /// Topic for readings that follow late, with the placeholders of `topic`. Only with
    /// `backlog: live-first`. Default: their own topic.
    #[schemars(extend("examples" = ["late/{device}/{sensor}/{quantity}"]))]
    pub(in crate::config) late_topic: Option<String>,
    /// Most late messages per second beside the fresh ones. Only with `backlog: live-first`.
    #[schemars(with = "Option<RateNumber>", extend("default" = 50, "examples" = [200], "x-unit" = "messages/s"))]
    pub(in crate::config) late_rate: Option<NumberOrText>,
    /// Most QoS 1 messages on their way at once.
    #[schemars(range(min = 1, max = 1000), extend("default" = 100, "examples" = [20], "x-unit" = "messages"))]
    pub(in crate::config) window: Option<u16>,
    /// Largest MQTT packet sent or taken; a larger reading is refused and reported.
    #[schemars(extend("default" = "32MB", "examples" = ["1MB"]))]
    pub(in crate::config) max_packet_size: Option<SizeText>,
    /// Whom to trust, and who we are. Only with `mqtts://` and `wss://`.
    pub(in crate::config) tls: Option<Tls>,
    /// HTTP proxy that opens the connection to the broker (CONNECT).
    #[schemars(extend("examples" = ["http://proxy.example:3128"]))]
    pub(in crate::config) proxy: Option<String>,
    /// User name at the proxy.
    #[schemars(extend("examples" = ["greenhouse"]))]
    pub(in crate::config) proxy_username: Option<String>,
    /// File that holds the password for the proxy; where it is looked for, see `password_file`.
    #[schemars(extend("examples" = ["proxy.password"]))]
    pub(in crate::config) proxy_password_file: Option<String>,
    /// Headers of the request that opens a WebSocket. Only with `ws://` and `wss://`.
    #[schemars(extend(
        "examples" = [{"X-Api-Key": "…"}],
        "additionalProperties" = {"type": "string", "writeOnly": true}
    ))]
    pub(in crate::config) headers: Option<BTreeMap<String, String>>,
    /// A password that is made or fetched for each connection, and renewed before it expires.
    // Somebody may write the token itself here, and must not find it in the journal.
    #[schemars(extend("writeOnly" = true))]
    pub(in crate::config) token: Option<Token>,
    /// Topic of the retained `online`/`offline` message. `{device}` may be used. Default: the first level of
    /// `topic`, then `/{device}/status`.
    #[schemars(extend("examples" = ["castel/{device}/status"]))]
    pub(in crate::config) status_topic: Option<String>,
    /// What JSON payloads carry as their last member so that readers can check them: `crc32` against accidents, or
    /// `{hmac_key_file: NAME}` with a key of at least 16 bytes, found as `password_file` is, against people.
    /// Default: nothing.
    #[schemars(extend("examples" = [{"hmac_key_file": "payload.key"}]))]
    pub(in crate::config) integrity: Option<Integrity>,
}

/// An IoT platform.
#[derive(Debug, Default, Deserialize, JsonSchema)]
pub(in crate::config) struct Platform {
    /// Which platform.
    #[schemars(required, extend("examples" = ["home-assistant"]))]
    pub(in crate::config) name: Option<String>,
    /// The platform's own keys; their schema is the platform's.
    #[serde(flatten)]
    #[schemars(skip)]
    pub(in crate::config) options: Map<String, Value>,
}

/// What is sent first after an outage.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(in crate::config) enum Backlog {
    /// Everything in the order taken.
    InOrder,
    /// Fresh readings at once; the backlog beside them, marked late.
    LiveFirst,
}
