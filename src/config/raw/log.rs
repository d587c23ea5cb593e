//! Sections `log` and `clock`: how readings are stored, and what happens to those taken before the clock is right.

use schemars::JsonSchema;
use serde::Deserialize;

use super::notation::{DurationText, SizeText};

/// The SQLite log.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct Log {
    /// Database file.
    #[schemars(extend("default" = "/var/lib/sensor-bridge/bridge.db", "examples" = ["/mnt/ssd/bridge.db"]))]
    pub(in crate::config) path: Option<String>,
    /// File with the key that encrypts the log: 64 hexadecimal digits, found like `mqtt.password_file`. Only in a
    /// program that was built with SQLCipher. Default: the log is not encrypted.
    #[schemars(extend("examples" = ["log.key"]))]
    pub(in crate::config) key_file: Option<String>,
    /// What a commit survives.
    #[schemars(extend("default" = "full", "examples" = ["normal"]))]
    pub(in crate::config) sync: Option<Sync>,
    /// Least time between two commits. `0s` commits as soon as the writer is free; more spares the flash
    /// and delays publishing by as much.
    #[schemars(extend("default" = "0s", "examples" = ["1s"]))]
    pub(in crate::config) commit_interval: Option<DurationText>,
    /// When old rows are deleted. Default: never.
    pub(in crate::config) retention: Option<Retention>,
}

/// What a commit survives.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(in crate::config) enum Sync {
    /// Survives power cuts: the disk is told to write at every commit.
    Full,
    /// Survives a killed process; a power cut may cost the last seconds.
    Normal,
}

/// When old rows are deleted.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct Retention {
    /// Delivered rows older than this are deleted.
    #[schemars(extend("examples" = ["90d"]))]
    pub(in crate::config) max_age: Option<DurationText>,
    /// Largest size of the database. The oldest rows go first, undelivered ones last and reported.
    #[schemars(extend("examples" = ["2GB"]))]
    pub(in crate::config) max_size: Option<SizeText>,
    /// Limits of pictures alone; the reading (time and size) stays when its picture goes. Default: as all rows.
    pub(in crate::config) images: Option<ImageRetention>,
}

/// When old pictures are deleted.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct ImageRetention {
    /// Delivered pictures older than this are deleted.
    #[schemars(extend("examples" = ["14d"]))]
    pub(in crate::config) max_age: Option<DurationText>,
    /// Most that all pictures may take. The oldest go first, undelivered ones last and reported.
    #[schemars(extend("examples" = ["500MB"]))]
    pub(in crate::config) max_size: Option<SizeText>,
}

/// What happens to readings taken before the clock is right.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct Clock {
    /// What happens to readings taken before the clock is synchronised.
    #[schemars(extend("default" = "mark", "examples" = ["hold"]))]
    pub(in crate::config) unsynced: Option<Unsynced>,
    /// Longest time that readings are held. Only with `unsynced: hold`.
    #[schemars(extend("default" = "5m", "examples" = ["1h"]))]
    pub(in crate::config) max_hold: Option<DurationText>,
}

/// What happens to readings taken before the clock is synchronised.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(in crate::config) enum Unsynced {
    /// Published at once, marked `"clock": "unsynced"`.
    Mark,
    /// Held until their time is corrected, at most `max_hold`.
    Hold,
}
