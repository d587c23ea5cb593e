//! The configuration as it is written: the single source of every key's name, type, default and description.
//!
//! The JSON Schema, the shape check and the tables of `docs/configuration.md` all come from here. Nothing
//! is checked here beyond the JSON type; a key that the schema requires may still be `None`, because the
//! shape check has then reported it and removed what it could not use.

mod columns;
mod command;
mod device;
mod integrity;
mod log;
mod mirror;
mod mqtt;
mod notation;
mod output;
mod quantity;
mod sensor;
mod status;
mod tls;
mod token;
mod web;

use schemars::JsonSchema;
use serde::Deserialize;

pub(super) use columns::{ColumnKind, Columns, CsvColumn, TableColumn};
pub(super) use command::{Command, CommandsUnsynced};
pub(super) use device::{Device, Location, Pseudonym};
pub(super) use integrity::{Integrity, Keyed, Sum};
pub(super) use log::{Clock, ImageRetention, Log, Sync, Unsynced};
pub(super) use mirror::{Mirror, PayloadKind, SinkKind};
pub(super) use mqtt::{Backlog, Mqtt};
pub(super) use notation::{DurationText, LevelGiven, NumberOrText, OneOrMore, SizeText};
pub(super) use output::{Output, OutputKind};
pub(super) use quantity::{Format, Quantity};
pub(super) use sensor::Sensor;
pub(super) use status::Status;
pub(super) use tls::Tls;
pub(super) use token::{Jwt, Sas, Token};
pub(super) use web::Web;

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
