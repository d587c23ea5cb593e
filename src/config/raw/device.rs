//! Section `device`: who this machine is and where it stands.

use schemars::JsonSchema;
use serde::Deserialize;

/// Who this machine is and where it stands.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct Device {
    /// Device id: fills `{device}` in topics. Default: the host name.
    #[schemars(extend("examples" = ["greenhouse-pi"]))]
    pub(in crate::config) id: Option<String>,
    /// A name that stands for the device id wherever it would leave this machine or be stored: topics, payloads,
    /// client id, log. Only who has the key can tell whose it is.
    #[schemars(extend("examples" = [{"key_file": "pseudonym.key"}]))]
    pub(in crate::config) pseudonym: Option<Pseudonym>,
    /// Fixed place of the device; added to every reading.
    pub(in crate::config) location: Option<Location>,
}

/// A name that stands for the device id.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct Pseudonym {
    /// File with a key of at least 16 bytes: the name is the beginning of the HMAC-SHA-256 of the id. Found as
    /// `mqtt.password_file` is.
    #[schemars(required, extend("examples" = ["pseudonym.key"]))]
    pub(in crate::config) key_file: Option<String>,
}

/// Fixed place of the device.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct Location {
    /// A name for people.
    #[schemars(extend("examples" = ["Greenhouse 2"]))]
    pub(in crate::config) name: Option<String>,
    /// Degrees north, WGS 84.
    #[schemars(range(min = -90, max = 90), extend("examples" = [47.59], "x-unit" = "°"))]
    pub(in crate::config) latitude: Option<f64>,
    /// Degrees east, WGS 84.
    #[schemars(range(min = -180, max = 180), extend("examples" = [0.91], "x-unit" = "°"))]
    pub(in crate::config) longitude: Option<f64>,
    /// Height above mean sea level.
    #[schemars(range(min = -12000, max = 100000), extend("examples" = [112], "x-unit" = "m"))]
    pub(in crate::config) altitude: Option<f64>,
    /// Decimals that latitude and longitude are rounded to before they leave the device, for privacy
    /// (2 is about a kilometre). Default: as written.
    #[schemars(range(min = 0, max = 9), extend("examples" = [2], "x-unit" = "decimals"))]
    pub(in crate::config) precision: Option<u8>,
}
