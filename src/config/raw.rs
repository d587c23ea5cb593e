//! The configuration as it is written: the single source of every key's name, type, default and description.
//!
//! The JSON Schema, the shape check and the tables of `docs/configuration.md` all come from here. Nothing
//! is checked here beyond the JSON type; a key that the schema requires may still be `None`, because the
//! shape check has then reported it and removed what it could not use.

use std::borrow::Cow;
use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde_json::{Map, Value};

/// Configuration of sensor-bridge.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Raw {
    /// Who this machine is and where it stands.
    pub(super) device: Option<Device>,
    /// The MQTT broker and how readings are published. Without it, readings are only logged.
    pub(super) mqtt: Option<Mqtt>,
    /// The SQLite log.
    pub(super) log: Option<Log>,
    /// What happens to readings taken before the clock is right.
    pub(super) clock: Option<Clock>,
    /// Where the daemon says how it is.
    pub(super) status: Option<Status>,
    /// Sensors to read.
    pub(super) sensors: Option<Vec<Sensor>>,
    /// Topics to subscribe to and to store.
    pub(super) mirror: Option<Vec<Mirror>>,
    /// What can be switched or set. An output changes by a command only.
    pub(super) outputs: Option<Vec<Output>>,
    /// Topics on which commands come in, and what each may do. Without it nothing can be commanded.
    pub(super) commands: Option<Vec<Command>>,
    /// The web page. Without it there is none, and no port is open.
    pub(super) web: Option<Web>,
}

/// The web page.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Web {
    /// Address and port. `127.0.0.1:8480` is for this machine only; `0.0.0.0:8480` and `[::]:8480` are for
    /// the network, and need a password. Port 0 takes a free one and logs it.
    #[schemars(required, extend("examples" = ["127.0.0.1:8480"]))]
    pub(super) listen: Option<String>,
    /// Password of the page. Better in a file of its own (`password_file`) or in the environment.
    #[schemars(extend("writeOnly" = true, "examples" = ["…"]))]
    pub(super) password: Option<String>,
    /// File that holds the password, found like `mqtt.password_file`. Programs send it as a bearer token.
    #[schemars(extend("examples" = ["web.password"]))]
    pub(super) password_file: Option<String>,
    /// Outputs that can be set on the page, by who knows the password. Default: none.
    #[schemars(extend("examples" = [["fan"]]))]
    pub(super) allow: Option<Vec<String>>,
    /// Further host names under which the page is asked for on this machine: that of a reverse proxy.
    /// `localhost` and loopback addresses always work.
    #[schemars(extend("examples" = [["pi.example.org"]]))]
    pub(super) hosts: Option<Vec<String>>,
}

/// Who this machine is and where it stands.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Device {
    /// Device id: fills `{device}` in topics. Default: the host name.
    #[schemars(extend("examples" = ["greenhouse-pi"]))]
    pub(super) id: Option<String>,
    /// A name that stands for the device id wherever it would leave this machine or be stored: topics, payloads,
    /// client id, log. Only who has the key can tell whose it is.
    #[schemars(extend("examples" = [{"key_file": "pseudonym.key"}]))]
    pub(super) pseudonym: Option<Pseudonym>,
    /// Fixed place of the device; added to every reading.
    pub(super) location: Option<Location>,
}

/// A name that stands for the device id.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Pseudonym {
    /// File with a key of at least 16 bytes: the name is the beginning of the HMAC-SHA-256 of the id. Found as
    /// `mqtt.password_file` is.
    #[schemars(required, extend("examples" = ["pseudonym.key"]))]
    pub(super) key_file: Option<String>,
}

/// Fixed place of the device.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Location {
    /// A name for people.
    #[schemars(extend("examples" = ["Greenhouse 2"]))]
    pub(super) name: Option<String>,
    /// Degrees north, WGS 84.
    #[schemars(range(min = -90, max = 90), extend("examples" = [47.59], "x-unit" = "°"))]
    pub(super) latitude: Option<f64>,
    /// Degrees east, WGS 84.
    #[schemars(range(min = -180, max = 180), extend("examples" = [0.91], "x-unit" = "°"))]
    pub(super) longitude: Option<f64>,
    /// Height above mean sea level.
    #[schemars(range(min = -12000, max = 100000), extend("examples" = [112], "x-unit" = "m"))]
    pub(super) altitude: Option<f64>,
    /// Decimals that latitude and longitude are rounded to before they leave the device, for privacy
    /// (2 is about a kilometre). Default: as written.
    #[schemars(range(min = 0, max = 9), extend("examples" = [2], "x-unit" = "decimals"))]
    pub(super) precision: Option<u8>,
}

/// An IoT platform.
#[derive(Debug, Default, Deserialize, JsonSchema)]
pub(super) struct Platform {
    /// Which platform.
    #[schemars(required, extend("examples" = ["home-assistant"]))]
    pub(super) name: Option<String>,
    /// The platform's own keys; their schema is the platform's.
    #[serde(flatten)]
    #[schemars(skip)]
    pub(super) options: Map<String, Value>,
}

/// The MQTT broker and how readings are published.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[schemars(extend("if" = {"not": {"required": ["platform"]}}, "then" = {"required": ["url"]}))]
#[serde(deny_unknown_fields)]
pub(super) struct Mqtt {
    /// Broker: `mqtt://` (1883), `mqtts://` (TLS, 8883), `ws://` (80) or `wss://` (443), host, and a port
    /// if it is another. For WebSockets the path may follow; it is `/mqtt` if left out.
    /// Must be given unless the platform has one for all.
    #[schemars(extend("examples" = ["mqtts://broker.example:8883"]))]
    pub(super) url: Option<String>,
    /// IoT platform whose ways are kept: its topics, payloads, limits and commands. See docs/platforms.md.
    pub(super) platform: Option<Platform>,
    /// User name at the broker.
    #[schemars(extend("examples" = ["greenhouse"]))]
    pub(super) username: Option<String>,
    /// Password. Better in a file of its own (`password_file`) or in the environment.
    #[schemars(extend("writeOnly" = true, "examples" = ["…"]))]
    pub(super) password: Option<String>,
    /// File that holds the password; one line end at its end is ignored. A name without `/` in front: a
    /// systemd credential, else a file beside the configuration.
    #[schemars(extend("examples" = ["mqtt.password"]))]
    pub(super) password_file: Option<String>,
    /// Client id of the publishing connection; mirrors append `-<mirror id>`. Default: `sensor-bridge-<device>`.
    #[schemars(extend("examples" = ["sensor-bridge-greenhouse-pi"]))]
    pub(super) client_id: Option<String>,
    /// MQTT version: `3.1.1` or `5`.
    #[schemars(with = "Option<VersionText>", extend("default" = "3.1.1", "examples" = ["5"]))]
    pub(super) version: Option<NumberOrText>,
    /// How often an idle connection is probed.
    #[schemars(extend("default" = "30s", "examples" = ["1m"]))]
    pub(super) keep_alive: Option<DurationText>,
    /// Topic of the readings with `{device}`, `{sensor}` and `{quantity}`. With `{quantity}` each quantity
    /// is a message of its own; without, each sample of a sensor is one.
    #[schemars(extend("default" = "sensors/{device}/{sensor}/{quantity}", "examples" = ["castel/{device}/{sensor}"]))]
    pub(super) topic: Option<String>,
    /// Quality of service of readings: 0 at most once, 1 at least once, 2 exactly once.
    #[schemars(range(min = 0, max = 2), extend("default" = 1, "examples" = [2]))]
    pub(super) qos: Option<u8>,
    /// Whether the broker keeps the last reading for later subscribers.
    #[schemars(extend("default" = false, "examples" = [true]))]
    pub(super) retain: Option<bool>,
    /// Whether QoS 0 readings taken while the broker is away are sent later. QoS 1 and 2 always are.
    #[schemars(extend("default" = true, "examples" = [false]))]
    pub(super) buffer: Option<bool>,
    /// What is sent first after an outage.
    #[schemars(extend("default" = "in-order", "examples" = ["live-first"]))]
    pub(super) backlog: Option<Backlog>,
    /// Topic for readings that follow late, with the placeholders of `topic`. Only with
    /// `backlog: live-first`. Default: their own topic.
    #[schemars(extend("examples" = ["late/{device}/{sensor}/{quantity}"]))]
    pub(super) late_topic: Option<String>,
    /// Most late messages per second beside the fresh ones. Only with `backlog: live-first`.
    #[schemars(with = "Option<RateNumber>", extend("default" = 50, "examples" = [200], "x-unit" = "messages/s"))]
    pub(super) late_rate: Option<NumberOrText>,
    /// Most QoS 1 messages on their way at once.
    #[schemars(range(min = 1, max = 1000), extend("default" = 100, "examples" = [20], "x-unit" = "messages"))]
    pub(super) window: Option<u16>,
    /// Largest MQTT packet sent or taken; a larger reading is refused and reported.
    #[schemars(extend("default" = "32MB", "examples" = ["1MB"]))]
    pub(super) max_packet_size: Option<SizeText>,
    /// Whom to trust, and who we are. Only with `mqtts://` and `wss://`.
    pub(super) tls: Option<Tls>,
    /// HTTP proxy that opens the connection to the broker (CONNECT).
    #[schemars(extend("examples" = ["http://proxy.example:3128"]))]
    pub(super) proxy: Option<String>,
    /// User name at the proxy.
    #[schemars(extend("examples" = ["greenhouse"]))]
    pub(super) proxy_username: Option<String>,
    /// File that holds the password for the proxy; where it is looked for, see `password_file`.
    #[schemars(extend("examples" = ["proxy.password"]))]
    pub(super) proxy_password_file: Option<String>,
    /// Headers of the request that opens a WebSocket. Only with `ws://` and `wss://`.
    #[schemars(extend(
        "examples" = [{"X-Api-Key": "…"}],
        "additionalProperties" = {"type": "string", "writeOnly": true}
    ))]
    pub(super) headers: Option<BTreeMap<String, String>>,
    /// A password that is made or fetched for each connection, and renewed before it expires.
    // Somebody may write the token itself here, and must not find it in the journal.
    #[schemars(extend("writeOnly" = true))]
    pub(super) token: Option<Token>,
    /// Topic of the retained `online`/`offline` message. `{device}` may be used. Default: the first level of
    /// `topic`, then `/{device}/status`.
    #[schemars(extend("examples" = ["castel/{device}/status"]))]
    pub(super) status_topic: Option<String>,
    /// What JSON payloads carry as their last member so that readers can check them: `crc32` against accidents, or
    /// `{hmac_key_file: NAME}` with a key of at least 16 bytes, found as `password_file` is, against people.
    /// Default: nothing.
    #[schemars(extend("examples" = [{"hmac_key_file": "payload.key"}]))]
    pub(super) integrity: Option<Integrity>,
}

/// What payloads carry so that they can be checked.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(super) enum Integrity {
    /// A sum.
    Sum(Sum),
    /// A keyed one.
    Keyed(Keyed),
}

/// A sum that needs no key.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Sum {
    /// CRC-32.
    Crc32,
}

/// HMAC-SHA-256.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Keyed {
    /// File with the key, or several for a mirror: any of them will do.
    #[schemars(required, extend("examples" = ["payload.key"]))]
    pub(super) hmac_key_file: Option<OneOrMore>,
}

/// Whom to trust, and who we are.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Tls {
    /// Certificate authorities to trust instead of the system's, PEM. Where it is looked for, see `password_file`.
    #[schemars(extend("examples" = ["/etc/sensor-bridge/ca.pem"]))]
    pub(super) ca_file: Option<String>,
    /// Our certificate with those between it and its authority, PEM. With `key_file`. Where it is looked for, see
    /// `password_file`.
    #[schemars(extend("examples" = ["/etc/sensor-bridge/client.pem"]))]
    pub(super) cert_file: Option<String>,
    /// The key of our certificate, PEM without a pass phrase. With `cert_file`. Where it is looked for, see
    /// `password_file`.
    #[schemars(extend("examples" = ["client.key"]))]
    pub(super) key_file: Option<String>,
    /// Name that must stand in the broker's certificate, if it is not the host of `url`.
    #[schemars(extend("examples" = ["broker.internal"]))]
    pub(super) server_name: Option<String>,
    /// Oldest version of TLS to speak: `1.2` or `1.3`.
    #[schemars(with = "Option<TlsVersionText>", extend("default" = "1.2", "examples" = ["1.3"]))]
    pub(super) min_version: Option<NumberOrText>,
    /// SHA-256 fingerprint of the broker's certificate, hexadecimal: that certificate and no other, whoever
    /// signed it and whatever names and dates are in it. Several while certificates change.
    #[schemars(extend("examples" = ["9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"]))]
    pub(super) pin: Option<OneOrMore>,
    /// Accepts whatever certificate the broker shows: anybody in between can read and change everything.
    #[schemars(extend("default" = false, "examples" = [true]))]
    pub(super) insecure: Option<bool>,
}

/// One text or a list of them.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(super) enum OneOrMore {
    /// One.
    One(String),
    /// Several.
    More(Vec<String>),
}

/// A password that is made or fetched for each connection. One of `command`, `file`, `jwt` and `sas`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Token {
    /// Program with its arguments that prints the token; it has 20 s.
    #[schemars(extend("examples" = [["/usr/local/bin/token", "--device", "greenhouse"]]))]
    pub(super) command: Option<Vec<String>>,
    /// File that something else keeps up to date.
    #[schemars(extend("examples" = ["/run/token/mqtt"]))]
    pub(super) file: Option<String>,
    /// After how long the token of `command` or `file` is asked for anew. Default: only when a connection is made.
    #[schemars(extend("examples" = ["50m"]))]
    pub(super) refresh: Option<DurationText>,
    /// JSON Web Token signed with a key of ours.
    pub(super) jwt: Option<Jwt>,
    /// Shared access signature, as Azure's brokers want it.
    pub(super) sas: Option<Sas>,
}

/// JSON Web Token (RFC 7519) with `iat`, `exp` and `aud`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Jwt {
    /// Private key: RSA (signs RS256) or P-256 (signs ES256), PEM in PKCS #8 without a pass phrase.
    #[schemars(required, extend("examples" = ["device.key"]))]
    pub(super) key_file: Option<String>,
    /// Whom the token is for.
    #[schemars(required, extend("examples" = ["my-project"]))]
    pub(super) audience: Option<String>,
    /// How long a token is valid. A new connection is made with a new one before that.
    #[schemars(extend("default" = "1h", "examples" = ["20m"]))]
    pub(super) lifetime: Option<DurationText>,
}

/// Shared access signature.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Sas {
    /// File with the shared key, base64.
    #[schemars(required, extend("examples" = ["device.sas"]))]
    pub(super) key_file: Option<String>,
    /// What access is asked for. Must be given unless the platform knows it.
    #[schemars(extend("examples" = ["hub.azure-devices.net/devices/greenhouse-pi"]))]
    pub(super) resource: Option<String>,
    /// Name of the policy that the key belongs to; a device's own key has none.
    #[schemars(extend("examples" = ["device"]))]
    pub(super) policy: Option<String>,
    /// How long a signature is valid. A new connection is made with a new one before that.
    #[schemars(extend("default" = "1h", "examples" = ["1d"]))]
    pub(super) lifetime: Option<DurationText>,
}

/// What is sent first after an outage.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Backlog {
    /// Everything in the order taken.
    InOrder,
    /// Fresh readings at once; the backlog beside them, marked late.
    LiveFirst,
}

/// The SQLite log.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Log {
    /// Database file.
    #[schemars(extend("default" = "/var/lib/sensor-bridge/bridge.db", "examples" = ["/mnt/ssd/bridge.db"]))]
    pub(super) path: Option<String>,
    /// File with the key that encrypts the log: 64 hexadecimal digits, found like `mqtt.password_file`. Only in a
    /// program that was built with SQLCipher. Default: the log is not encrypted.
    #[schemars(extend("examples" = ["log.key"]))]
    pub(super) key_file: Option<String>,
    /// What a commit survives.
    #[schemars(extend("default" = "full", "examples" = ["normal"]))]
    pub(super) sync: Option<Sync>,
    /// Least time between two commits. `0s` commits as soon as the writer is free; more spares the flash
    /// and delays publishing by as much.
    #[schemars(extend("default" = "0s", "examples" = ["1s"]))]
    pub(super) commit_interval: Option<DurationText>,
    /// When old rows are deleted. Default: never.
    pub(super) retention: Option<Retention>,
}

/// What a commit survives.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Sync {
    /// Survives power cuts: the disk is told to write at every commit.
    Full,
    /// Survives a killed process; a power cut may cost the last seconds.
    Normal,
}

/// When old rows are deleted.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Retention {
    /// Delivered rows older than this are deleted.
    #[schemars(extend("examples" = ["90d"]))]
    pub(super) max_age: Option<DurationText>,
    /// Largest size of the database. The oldest rows go first, undelivered ones last and reported.
    #[schemars(extend("examples" = ["2GB"]))]
    pub(super) max_size: Option<SizeText>,
    /// Limits of pictures alone; the reading (time and size) stays when its picture goes. Default: as all rows.
    pub(super) images: Option<ImageRetention>,
}

/// When old pictures are deleted.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ImageRetention {
    /// Delivered pictures older than this are deleted.
    #[schemars(extend("examples" = ["14d"]))]
    pub(super) max_age: Option<DurationText>,
    /// Most that all pictures may take. The oldest go first, undelivered ones last and reported.
    #[schemars(extend("examples" = ["500MB"]))]
    pub(super) max_size: Option<SizeText>,
}

/// What a picture is published as.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Format {
    /// JSON with what is known of it, the bytes in base64.
    Json,
    /// Base64 text, nothing else.
    Base64,
    /// The bytes, nothing else.
    Binary,
}

/// What happens to readings taken before the clock is right.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Clock {
    /// What happens to readings taken before the clock is synchronised.
    #[schemars(extend("default" = "mark", "examples" = ["hold"]))]
    pub(super) unsynced: Option<Unsynced>,
    /// Longest time that readings are held. Only with `unsynced: hold`.
    #[schemars(extend("default" = "5m", "examples" = ["1h"]))]
    pub(super) max_hold: Option<DurationText>,
}

/// What happens to readings taken before the clock is synchronised.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Unsynced {
    /// Published at once, marked `"clock": "unsynced"`.
    Mark,
    /// Held until their time is corrected, at most `max_hold`.
    Hold,
}

/// Where the daemon says how it is.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Status {
    /// Unix socket on which `sensor-bridge status` and `why` ask; `off` for none. Default: `status.sock` in the
    /// runtime directory that systemd gives (`/run/sensor-bridge`), else the path of the database with `.sock`.
    #[schemars(extend("examples" = ["/run/sensor-bridge/status.sock"]))]
    pub(super) socket: Option<String>,
    /// How often the facts are published as retained JSON on the status topic with `/facts` behind it, 1 s to one
    /// day; `off` for never.
    #[schemars(with = "Option<IntervalText>", extend("default" = "5m", "examples" = ["1m"]))]
    pub(super) interval: Option<DurationText>,
}

/// One sensor. The keys of its driver stand beside these.
#[derive(Debug, Default, Deserialize, JsonSchema)]
pub(super) struct Sensor {
    /// Name of the sensor, unique; fills `{sensor}` in topics. Not `bridge`.
    #[schemars(required, extend("examples" = ["air"]))]
    pub(super) id: Option<String>,
    /// What kind of sensor it is.
    #[schemars(required, extend("examples" = ["bme280"]))]
    pub(super) driver: Option<String>,
    /// Whether the sensor is read at all.
    #[schemars(extend("default" = true, "examples" = [false]))]
    pub(super) enabled: Option<bool>,
    /// Time between two readings, 10 ms to one day.
    #[schemars(extend("default" = "10s", "examples" = ["1m"]))]
    pub(super) interval: Option<DurationText>,
    /// A read that takes longer is reported as hung. Left out, a part that needs seconds has them on top.
    #[schemars(extend("default" = "5s", "examples" = ["20s"]))]
    pub(super) timeout: Option<DurationText>,
    /// Topic of this sensor's readings instead of `mqtt.topic`.
    #[schemars(extend("examples" = ["castel/{device}/{sensor}"]))]
    pub(super) topic: Option<String>,
    /// Quality of service instead of `mqtt.qos`.
    #[schemars(range(min = 0, max = 2), extend("examples" = [2]))]
    pub(super) qos: Option<u8>,
    /// Retain flag instead of `mqtt.retain`.
    #[schemars(extend("examples" = [true]))]
    pub(super) retain: Option<bool>,
    /// Buffering of QoS 0 readings instead of `mqtt.buffer`.
    #[schemars(extend("examples" = [false]))]
    pub(super) buffer: Option<bool>,
    /// What the sensor's pictures are published as.
    #[schemars(extend("default" = "json", "examples" = ["binary"]))]
    pub(super) format: Option<Format>,
    /// How single quantities are treated, by the driver's names. What is not named is logged and published
    /// whenever it changes.
    pub(super) quantities: Option<BTreeMap<String, Quantity>>,
    /// The driver's own keys; their schema is the driver's.
    #[serde(flatten)]
    #[schemars(skip)]
    pub(super) options: Map<String, Value>,
}

/// How one quantity of a sensor is treated.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Quantity {
    /// Whether the quantity is wanted.
    #[schemars(extend("default" = true, "examples" = [false]))]
    pub(super) enabled: Option<bool>,
    /// Unit to convert to. Default: the driver's.
    #[schemars(extend("examples" = ["°F"]))]
    pub(super) unit: Option<String>,
    /// Factor, after the conversion of the unit.
    #[schemars(extend("default" = 1, "examples" = [1.02]))]
    pub(super) scale: Option<f64>,
    /// Added after `scale`, in `unit`.
    #[schemars(extend("default" = 0, "examples" = [-0.4]))]
    pub(super) offset: Option<f64>,
    /// Coefficients c0, c1, c2 … of c0 + c1·x + c2·x² …, in `unit`; instead of `scale` and `offset`.
    #[schemars(length(min = 1, max = 10), extend("examples" = [[-0.4, 1.02, 0.001]]))]
    pub(super) polynomial: Option<Vec<f64>>,
    /// Decimals to round to. Default: no rounding.
    #[schemars(range(min = 0, max = 12), extend("examples" = [1], "x-unit" = "decimals"))]
    pub(super) round: Option<u8>,
    /// How much a value must differ from the last one sent: `any`, `always` (every sample is sent), a
    /// number in `unit`, or a percentage.
    #[schemars(with = "Option<ChangeText>", extend("default" = "any", "examples" = [0.1, "1%"]))]
    pub(super) change: Option<NumberOrText>,
    /// Sent after this long though unchanged.
    #[schemars(extend("examples" = ["10m"]))]
    pub(super) heartbeat: Option<DurationText>,
    /// Never sent more often than this; the newest value is kept and sent when its time has come.
    #[schemars(extend("examples" = ["1m"]))]
    pub(super) min_interval: Option<DurationText>,
    /// Smallest and largest believable value, in `unit`; outside, the sensor counts as faulty.
    #[schemars(length(min = 2, max = 2), extend("examples" = [[-40, 85]]))]
    pub(super) valid: Option<Vec<f64>>,
    /// Topic of this quantity.
    #[schemars(extend("examples" = ["castel/{device}/outdoor"]))]
    pub(super) topic: Option<String>,
    /// Quality of service of this quantity.
    #[schemars(range(min = 0, max = 2), extend("examples" = [2]))]
    pub(super) qos: Option<u8>,
    /// Retain flag of this quantity.
    #[schemars(extend("examples" = [true]))]
    pub(super) retain: Option<bool>,
    /// Buffering of this quantity's QoS 0 readings.
    #[schemars(extend("examples" = [false]))]
    pub(super) buffer: Option<bool>,
    /// What this quantity is published as, if it is a picture.
    #[schemars(extend("examples" = ["base64"]))]
    pub(super) format: Option<Format>,
}

/// Something that can be switched or set.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Output {
    /// Name of the output, unique, those of sensors included; fills `{sensor}` in topics.
    #[schemars(required, extend("examples" = ["fan"]))]
    pub(super) id: Option<String>,
    /// What it is made of.
    #[schemars(required, extend("examples" = ["digital-output"]))]
    pub(super) driver: Option<OutputKind>,
    /// BCM number of the pin (22 for GPIO22). With `pwm` one that has the hardware: 12, 13, 18 or 19. Not with
    /// `pca9685`.
    #[schemars(range(min = 0, max = 45), extend("examples" = [22]))]
    pub(super) pin: Option<u8>,
    /// Whose pin: `gpio` (default) for this machine's, `gpio-sim` for simulated ones. With `pca9685` the I2C bus:
    /// `i2c-1`, or `sim-1` for a simulated one.
    #[schemars(extend("examples" = ["i2c-1"]))]
    pub(super) bus: Option<String>,
    /// I2C address, `0x40` to `0x7f`. Only with `pca9685`; default `0x40`.
    #[schemars(with = "Option<AddressText>", extend("examples" = ["0x41"]))]
    pub(super) address: Option<NumberOrText>,
    /// Channel of the PCA9685.
    #[schemars(range(min = 0, max = 15), extend("examples" = [3]))]
    pub(super) channel: Option<u8>,
    /// Whether low means on, as with most relay boards.
    #[schemars(extend("default" = false, "examples" = [true]))]
    pub(super) active_low: Option<bool>,
    /// Pulses per second: 1 to 50,000 with `pwm` (default 1,000), 24 to 1,526 with `pca9685` (default 200), where all
    /// channels of a chip share one.
    #[schemars(range(min = 1, max = 50000), extend("examples" = [50], "x-unit" = "Hz"))]
    pub(super) frequency: Option<f64>,
    /// The safe level: at the start, at the end, and when the bridge decides by itself. `off`, `on`, or percent.
    #[schemars(with = "Option<LevelText>", extend("default" = "off", "examples" = ["on", 20], "x-unit" = "%"))]
    pub(super) safe: Option<LevelGiven>,
    /// Smallest level that can be set; 0 (off) always can. Not with `digital-output`.
    #[schemars(range(min = 0, max = 100), extend("default" = 0, "examples" = [30], "x-unit" = "%"))]
    pub(super) min: Option<f64>,
    /// Largest level that can be set. Not with `digital-output`.
    #[schemars(range(min = 0, max = 100), extend("default" = 100, "examples" = [80], "x-unit" = "%"))]
    pub(super) max: Option<f64>,
    /// Least time between two changes; an earlier command is refused. Going to the safe level is always allowed.
    #[schemars(extend("examples" = ["5s"]))]
    pub(super) min_interval: Option<DurationText>,
    /// Fastest change. Not with `digital-output`; what the bridge makes safe by itself goes at once.
    #[schemars(range(min = 0.1, max = 10000), extend("examples" = [20], "x-unit" = "%/s"))]
    pub(super) slew: Option<f64>,
    /// Longest time on without a break; then it goes to the safe level.
    #[schemars(extend("examples" = ["1h"]))]
    pub(super) max_on: Option<DurationText>,
    /// When the connection over which it is commanded is lost for so long, it goes to the safe level.
    #[schemars(extend("examples" = ["5m"]))]
    pub(super) link_lost: Option<DurationText>,
    /// Topic of its level instead of `mqtt.topic`.
    #[schemars(extend("examples" = ["castel/{device}/{sensor}"]))]
    pub(super) topic: Option<String>,
    /// Quality of service instead of `mqtt.qos`.
    #[schemars(range(min = 0, max = 2), extend("examples" = [2]))]
    pub(super) qos: Option<u8>,
    /// Retain flag instead of `mqtt.retain`.
    #[schemars(extend("examples" = [true]))]
    pub(super) retain: Option<bool>,
    /// Buffering of its QoS 0 readings instead of `mqtt.buffer`.
    #[schemars(extend("examples" = [false]))]
    pub(super) buffer: Option<bool>,
}

/// What an output is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum OutputKind {
    /// A pin that is high or low: a relay, a transistor.
    DigitalOutput,
    /// A pin with pulses by the Pi's hardware: a fan's speed, a lamp's brightness.
    Pwm,
    /// A channel of a PCA9685 on I2C: 16 outputs with pulses.
    Pca9685,
}

/// A topic on which commands come in.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[schemars(extend("if" = {"not": {"required": ["from"]}}, "then" = {"required": ["topic"]}))]
#[serde(deny_unknown_fields)]
pub(super) struct Command {
    /// Topic, without wildcards. `{device}` may be used. Either this or `from` must be given.
    #[schemars(extend("examples" = ["castel/{device}/command"]))]
    pub(super) topic: Option<String>,
    /// `platform`: these are the commands that come the way of `mqtt.platform`.
    #[schemars(extend("examples" = ["platform"]))]
    pub(super) from: Option<CommandsFrom>,
    /// Quality of service asked for.
    #[schemars(range(min = 0, max = 2), extend("default" = 1, "examples" = [2]))]
    pub(super) qos: Option<u8>,
    /// What may be commanded from here: ids of outputs, and `read`, `interval`, `change`, `pause`, `resume`,
    /// `republish`, `status`, `reload`; with `read:air` on that sensor only.
    #[schemars(required, length(min = 1), extend("examples" = [["fan", "status", "read:air"]]))]
    pub(super) allow: Option<Vec<String>>,
    /// File with a key of at least 16 bytes: then every command must carry its HMAC-SHA-256. Found as
    /// `mqtt.password_file` is.
    #[schemars(extend("examples" = ["command.key"]))]
    pub(super) hmac_key_file: Option<String>,
    /// Topic of the answers, unless a command (MQTT 5) names one. `{device}` may be used. Default: no answer.
    #[schemars(extend("examples" = ["castel/{device}/reply"]))]
    pub(super) reply: Option<String>,
    /// Whether commands are obeyed while the clock is not synchronised and cannot tell whether they have expired.
    #[schemars(extend("default" = "refuse", "examples" = ["obey"]))]
    pub(super) unsynced: Option<CommandsUnsynced>,
}

/// What happens to commands while the clock is not synchronised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum CommandsUnsynced {
    /// They are refused.
    Refuse,
    /// They are obeyed if they have not expired by the clock as it is.
    Obey,
}

/// Where commands come from if not on a topic of our own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum CommandsFrom {
    /// The platform.
    Platform,
}

/// Topic filters and where their messages are stored.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Mirror {
    /// Name of the mirror, unique; part of its client id. Default: what `to` says, then `csv-2` and so on.
    #[schemars(extend("examples" = ["weather"]))]
    pub(super) id: Option<String>,
    /// Topic filters to subscribe to: `+` is any one level, `#` any number at the end,
    /// `$share/<group>/<filter>` shares the work with others of the group. They must not overlap.
    #[schemars(required, length(min = 1), extend("examples" = [["castel/+/+/temperature"]]))]
    pub(super) topics: Option<Vec<String>>,
    /// Quality of service asked for.
    #[schemars(range(min = 0, max = 2), extend("default" = 1, "examples" = [2]))]
    pub(super) qos: Option<u8>,
    /// What messages must carry, as `mqtt.integrity` puts it there; several keys may be given as a list. Others are
    /// refused, and kept apart in the view `refused_messages`. Default: nothing is asked of them.
    #[schemars(extend("examples" = [{"hmac_key_file": ["payload.key", "payload.old.key"]}]))]
    pub(super) integrity: Option<Integrity>,
    /// Where messages go.
    #[schemars(required, extend("examples" = ["csv"]))]
    pub(super) to: Option<SinkKind>,
    /// Messages of another program, whose readings are stored one by one: device, sensor, quantity, value, unit, time. With
    /// `to: sqlite` into `table` (default: named as here), with `to: csv` a line each. See docs/mirror.md.
    #[schemars(extend("examples" = ["chirpstack"]))]
    pub(super) payload: Option<PayloadKind>,
    /// Zone of the local times in `payload: tasmota`: a name of the tz database, or a distance from UTC. Default: unknown.
    #[schemars(extend("examples" = ["Europe/Berlin", "+01:00"]))]
    pub(super) time_zone: Option<String>,
    /// CSV file; `{date}` is the day (UTC), `{mirror}` the mirror's id. Only with `to: csv`.
    #[schemars(extend("examples" = ["/var/lib/sensor-bridge/{mirror}-{date}.csv"]))]
    pub(super) path: Option<String>,
    /// A file that grows beyond this is closed and a numbered one begun. Only with `to: csv`.
    #[schemars(extend("examples" = ["100MB"]))]
    pub(super) max_size: Option<SizeText>,
    /// Table of your naming that is filled from JSON payloads. Only with `to: sqlite`. Default: messages are
    /// only stored as they are, in the view `messages`.
    #[schemars(extend("examples" = ["weather"]))]
    pub(super) table: Option<String>,
    /// With `to: csv` the list of columns: `time`, `topic`, `payload`, `qos`, `retained`, `id`, or
    /// `{heading: path}` for a field of a JSON payload. Default: time, topic, payload. With `to: sqlite`
    /// the columns of `table`: `{name: {path: location.latitude, type: real}}`, or `{value: real}` when the
    /// path is the name.
    #[schemars(extend("examples" = [["time", "topic", {"celsius": "value"}], {"value": "real"}]))]
    pub(super) columns: Option<Columns>,
}

/// Where messages go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum SinkKind {
    /// Into the log: the view `messages`, and a table of typed columns if one is named.
    Sqlite,
    /// Into CSV files.
    Csv,
}

/// Whose messages they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum PayloadKind {
    /// ChirpStack v4, events in JSON: `application/+/device/+/event/up`.
    ChirpStack,
    /// Tasmota: `tele/+/SENSOR`, `tele/+/STATE`.
    Tasmota,
    /// Zigbee2MQTT: `zigbee2mqtt/+`.
    Zigbee2Mqtt,
}

/// Columns of a mirror.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(super) enum Columns {
    /// Of a CSV file, in order.
    List(Vec<CsvColumn>),
    /// Of a table, by name.
    Map(BTreeMap<String, TableColumn>),
}

/// One column of a CSV file.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(super) enum CsvColumn {
    /// `time`, `topic`, `payload`, `qos`, `retained` or `id`.
    Name(String),
    /// Heading and path into the JSON payload.
    Field(BTreeMap<String, String>),
}

/// One column of a table.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(super) enum TableColumn {
    /// The type; the path is the column's name.
    Kind(ColumnKind),
    /// Path and type.
    Full(FullColumn),
}

/// Path and type of a column.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct FullColumn {
    /// Where the value stands in the payload: `location.latitude`, `list[0]`, or a JSON Pointer such as
    /// `/location/latitude`. Default: the column's name.
    #[schemars(extend("examples" = ["location.latitude"]))]
    pub(super) path: Option<String>,
    /// Declared type.
    #[serde(rename = "type")]
    #[schemars(required, extend("examples" = ["real"]))]
    pub(super) kind: Option<ColumnKind>,
}

/// Type of a column.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum ColumnKind {
    /// A whole number.
    Integer,
    /// A number.
    Real,
    /// Text; whatever is not text is stored as its JSON.
    Text,
}

/// What may be written as a number or in words.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub(super) enum NumberOrText {
    Number(f64),
    Text(String),
}

/// A level as written.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub(super) enum LevelGiven {
    Switch(bool),
    Percent(f64),
    Text(String),
}

/// A duration as written.
#[derive(Debug, Clone, Deserialize)]
#[serde(transparent)]
pub(super) struct DurationText(pub(super) String);

/// A size as written.
#[derive(Debug, Clone, Deserialize)]
#[serde(transparent)]
pub(super) struct SizeText(pub(super) String);

/// Schemas of the types that are no plain JSON type.
macro_rules! written_as {
    ($name:ident, $title:literal, $schema:tt) => {
        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                $title.into()
            }
            fn inline_schema() -> bool {
                true
            }
            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!($schema)
            }
        }
    };
}

struct VersionText;
struct TlsVersionText;
struct ChangeText;
struct RateNumber;
struct AddressText;
struct LevelText;
struct IntervalText;

written_as!(DurationText, "duration", {
    "type": "string",
    "title": "duration",
    "pattern": r"^\s*([0-9]+(\.[0-9]+)?\s*(ms|s|m|h|d)\s*)+$"
});
written_as!(SizeText, "size", {
    "type": "string",
    "title": "size",
    "pattern": r"^\s*[0-9]+(\.[0-9]+)?\s*([kMGT]B|[KMGT]iB|B)\s*$"
});
written_as!(IntervalText, "interval", {
    "anyOf": [
        {"type": "string", "title": "duration", "pattern": r"^\s*([0-9]+(\.[0-9]+)?\s*(ms|s|m|h|d)\s*)+$"},
        {"type": "string", "enum": ["off"]}
    ]
});
written_as!(VersionText, "version", {
    "anyOf": [{"type": "string", "enum": ["3.1.1", "4", "5", "5.0"]}, {"type": "number", "enum": [4, 5]}]
});
written_as!(TlsVersionText, "TLS version", {
    "anyOf": [{"type": "string", "enum": ["1.2", "1.3"]}, {"type": "number", "enum": [1.2, 1.3]}]
});
written_as!(ChangeText, "change", {
    "anyOf": [
        {"type": "string", "pattern": r"^(any|always|\s*[0-9.eE+-]+\s*%?\s*)$"},
        {"type": "number", "exclusiveMinimum": 0}
    ]
});
written_as!(RateNumber, "rate", {
    "anyOf": [{"type": "integer", "minimum": 1, "maximum": 100000}, {"type": "string", "pattern": r"^\s*[0-9]+\s*/\s*s\s*$"}]
});
written_as!(AddressText, "address", {
    "anyOf": [{"type": "string", "pattern": "^(0[xX][0-9a-fA-F]{1,2}|[0-9]{1,3})$"}, {"type": "integer", "minimum": 3, "maximum": 127}]
});
written_as!(LevelText, "level", {
    "anyOf": [{"type": "string", "enum": ["off", "on"]}, {"type": "boolean"}, {"type": "number", "minimum": 0, "maximum": 100}]
});
