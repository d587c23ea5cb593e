//! Section `status`: where the daemon says how it is.

use schemars::JsonSchema;
use serde::Deserialize;

use super::notation::{DurationText, IntervalText};

/// Where the daemon says how it is.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct Status {
    /// Unix socket on which `sensor-bridge status` and `why` ask; `off` for none. Default: `status.sock` in the
    /// runtime directory that systemd gives (`/run/sensor-bridge`), else the path of the database with `.sock`.
    #[schemars(extend("examples" = ["/run/sensor-bridge/status.sock"]))]
    pub(in crate::config) socket: Option<String>,
    /// How often the facts are published as retained JSON on the status topic with `/facts` behind it, 1 s to one
    /// day; `off` for never.
    #[schemars(with = "Option<IntervalText>", extend("default" = "5m", "examples" = ["1m"]))]
    pub(in crate::config) interval: Option<DurationText>,
}
