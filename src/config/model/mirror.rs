//! What is subscribed to, and where it is written. The columns stand in [`super::columns`].

use std::collections::BTreeMap;

use jiff::tz::TimeZone;

use super::columns::{CsvColumn, TableColumn};
use crate::integrity::Integrity;
use crate::reading::Qos;

/// One mirror: topic filters into one sink.
#[derive(Debug, Clone, PartialEq)]
pub struct Mirror {
    /// Name, unique; part of the client id, so its session survives a reordered file.
    pub id: String,
    /// Topic filters; none covers another, so that no message arrives twice.
    pub topics: Vec<String>,
    /// Quality of service asked for.
    pub qos: Qos,
    /// What messages must carry; the others are refused.
    pub integrity: Option<Integrity>,
    /// Whose messages they are, if they are looked into.
    pub payload: Option<Payload>,
    /// Where messages go.
    pub sink: Sink,
}

/// How messages of another program are read.
#[derive(Debug, Clone, PartialEq)]
pub struct Payload {
    /// Whose they are.
    pub kind: PayloadKind,
    /// Where local times are from.
    pub zone: Option<TimeZone>,
}

/// A program whose messages are understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PayloadKind {
    /// ChirpStack v4, JSON.
    ChirpStack,
    /// Tasmota.
    Tasmota,
    /// Zigbee2MQTT.
    Zigbee2Mqtt,
}

impl PayloadKind {
    /// As in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::ChirpStack => "chirpstack",
            Self::Tasmota => "tasmota",
            Self::Zigbee2Mqtt => "zigbee2mqtt",
        }
    }
}

/// Where a mirror writes.
#[derive(Debug, Clone, PartialEq)]
pub enum Sink {
    /// The `messages` view of the log, and a table of typed columns if one is named.
    Sqlite {
        /// The user's table.
        table: Option<Table>,
    },
    /// CSV files.
    Csv {
        /// Path with `{date}` (UTC, `2026-11-20`) and `{mirror}` filled in per file.
        path: String,
        /// Columns in order.
        columns: Vec<CsvColumn>,
        /// A file larger than this is closed and numbered, bytes.
        max_size: Option<u64>,
    },
}

/// A table of the user's naming, filled from JSON payloads.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    /// SQL name: letters, digits and `_`, none of the log's own.
    pub name: String,
    /// Columns by name; none for the table of readings of a mirror with a [`Payload`].
    pub columns: BTreeMap<String, TableColumn>,
}
