//! Columns of a mirror: of the user's table, and of a CSV file.

/// One column of a [`Table`](super::Table).
#[derive(Debug, Clone, PartialEq)]
pub struct TableColumn {
    /// Where the value stands in the payload.
    pub path: JsonPath,
    /// Declared type.
    pub kind: ColumnKind,
}

/// SQL type of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColumnKind {
    /// `INTEGER`
    Integer,
    /// `REAL`
    Real,
    /// `TEXT`
    Text,
}

/// A path into a JSON document as a JSON Pointer (RFC 6901): written `location.latitude` or
/// `list[0]` in the configuration, `/location/latitude` here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JsonPath(pub String);

/// One column of a CSV mirror.
#[derive(Debug, Clone, PartialEq)]
pub enum CsvColumn {
    /// Time received, RFC 3339 in UTC.
    Time,
    /// Topic.
    Topic,
    /// Payload as it came; base64 when it is not UTF-8.
    Payload,
    /// 0, 1 or 2.
    Qos,
    /// `true` or `false`.
    Retained,
    /// The `id` of a message of ours.
    Id,
    /// A field of a JSON payload, under a heading of the user's naming.
    Field {
        /// Heading.
        name: String,
        /// Where it stands.
        path: JsonPath,
    },
    /// Of a mirror with a [`Payload`](super::Payload): what one reading says.
    Told(ToldColumn),
}

/// What a message of another program says of one reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ToldColumn {
    /// Name of the device.
    Device,
    /// Part of the device.
    Sensor,
    /// What was measured.
    Quantity,
    /// Its value.
    Value,
    /// Its unit.
    Unit,
    /// When, by the message.
    Taken,
    /// The payload, where no reading was found in it.
    Unread,
}
