//! The checked configuration: ready to use, nothing left to validate, default or guess.
//!
//! Only [`super::load`] makes one. Every number has its unit in its type or its comment.

mod broker;
mod columns;
mod command;
mod credentials;
mod device;
mod log;
mod mirror;
mod mqtt;
mod output;
mod quantity;
mod sensor;
mod status;
mod tls;
mod web;

use crate::reading::Channel;

pub use super::pseudonym::Pseudonym;
pub use broker::{Broker, Proxy, Transport};
pub use columns::{ColumnKind, CsvColumn, JsonPath, TableColumn, ToldColumn};
pub use command::{Action, CommandSource, Permission};
pub use credentials::{Credentials, Password, Secret};
pub use device::Device;
pub use log::{ClockPolicy, ImageRetention, Log, Retention, Sync};
pub use mirror::{Mirror, Payload, PayloadKind, Sink, Table};
pub(super) use mqtt::facts_topic;
pub use mqtt::{Backlog, Chosen, Mqtt, MqttVersion};
pub use output::{Limits, Output, OutputDriver};
pub use quantity::{Calibration, Change, Filter, Quantity};
pub use sensor::Sensor;
pub use status::{Socket, Status};
pub use tls::{Tls, Trust};
pub use web::Web;

/// Everything the daemon needs to know.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Who we are and where we stand.
    pub device: Device,
    /// The broker; without one, readings are only logged.
    pub mqtt: Option<Mqtt>,
    /// The SQLite log.
    pub log: Log,
    /// What happens to readings taken before the clock is right.
    pub clock: ClockPolicy,
    /// Where the daemon says how it is.
    pub status: Status,
    /// Sensors in the order of the file; ids are unique.
    pub sensors: Vec<Sensor>,
    /// Mirrors in the order of the file; ids are unique.
    pub mirrors: Vec<Mirror>,
    /// Outputs in the order of the file; ids are unique, those of sensors included.
    pub outputs: Vec<Output>,
    /// Where commands come from, and what each source may do.
    pub commands: Vec<CommandSource>,
    /// What the platform may command, if anything.
    pub platform_commands: Option<CommandSource>,
    /// How the bridge publishes what it says of itself: the gap record (`bridge/lost`).
    pub gap_channel: Channel,
    /// The web page, if there is to be one.
    pub web: Option<Web>,
}
