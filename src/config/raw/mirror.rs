//! Section `mirror`: topics to subscribe to and to store. The columns stand in [`super::columns`].

use schemars::JsonSchema;
use serde::Deserialize;

use super::columns::Columns;
use super::integrity::Integrity;
use super::notation::SizeText;

/// Topic filters and where their messages are stored.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct Mirror {
    /// Name of the mirror, unique; part of its client id. Default: what `to` says, then `csv-2` and so on.
    #[schemars(extend("examples" = ["weather"]))]
    pub(in crate::config) id: Option<String>,
    /// Topic filters to subscribe to: `+` is any one level, `#` any number at the end,
    /// `$share/<group>/<filter>` shares the work with others of the group. They must not overlap.
    #[schemars(required, length(min = 1), extend("examples" = [["castel/+/+/temperature"]]))]
    pub(in crate::config) topics: Option<Vec<String>>,
    /// Quality of service asked for.
    #[schemars(range(min = 0, max = 2), extend("default" = 1, "examples" = [2]))]
    pub(in crate::config) qos: Option<u8>,
    /// What messages must carry, as `mqtt.integrity` puts it there; several keys may be given as a list. Others are
    /// refused, and kept apart in the view `refused_messages`. Default: nothing is asked of them.
    #[schemars(extend("examples" = [{"hmac_key_file": ["payload.key", "payload.old.key"]}]))]
    pub(in crate::config) integrity: Option<Integrity>,
    /// Where messages go.
    #[schemars(required, extend("examples" = ["csv"]))]
    pub(in crate::config) to: Option<SinkKind>,
    /// Messages of another program, whose readings are stored one by one: device, sensor, quantity, value, unit, time. With
    /// `to: sqlite` into `table` (default: named as here), with `to: csv` a line each. See docs/mirror.md.
    #[schemars(extend("examples" = ["chirpstack"]))]
    pub(in crate::config) payload: Option<PayloadKind>,
    /// Zone of the local times in `payload: tasmota`: a name of the tz database, or a distance from UTC. Default: unknown.
    #[schemars(extend("examples" = ["Europe/Berlin", "+01:00"]))]
    pub(in crate::config) time_zone: Option<String>,
    /// CSV file; `{date}` is the day (UTC), `{mirror}` the mirror's id. Only with `to: csv`.
    #[schemars(extend("examples" = ["/var/lib/sensor-bridge/{mirror}-{date}.csv"]))]
    pub(in crate::config) path: Option<String>,
    /// A file that grows beyond this is closed and a numbered one begun. Only with `to: csv`.
    #[schemars(extend("examples" = ["100MB"]))]
    pub(in crate::config) max_size: Option<SizeText>,
    /// Table of your naming that is filled from JSON payloads. Only with `to: sqlite`. Default: messages are
    /// only stored as they are, in the view `messages`.
    #[schemars(extend("examples" = ["weather"]))]
    pub(in crate::config) table: Option<String>,
    /// With `to: csv` the list of columns: `time`, `topic`, `payload`, `qos`, `retained`, `id`, or
    /// `{heading: path}` for a field of a JSON payload. Default: time, topic, payload. With `to: sqlite`
    /// the columns of `table`: `{name: {path: location.latitude, type: real}}`, or `{value: real}` when the
    /// path is the name.
    #[schemars(extend("examples" = [["time", "topic", {"celsius": "value"}], {"value": "real"}]))]
    pub(in crate::config) columns: Option<Columns>,
}

/// Where messages go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(in crate::config) enum SinkKind {
    /// Into the log: the view `messages`, and a table of typed columns if one is named.
    Sqlite,
    /// Into CSV files.
    Csv,
}

/// Whose messages they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(in crate::config) enum PayloadKind {
    /// ChirpStack v4, events in JSON: `application/+/device/+/event/up`.
    ChirpStack,
    /// Tasmota: `tele/+/SENSOR`, `tele/+/STATE`.
    Tasmota,
    /// Zigbee2MQTT: `zigbee2mqtt/+`.
    Zigbee2Mqtt,
}
