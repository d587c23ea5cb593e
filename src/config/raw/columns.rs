//! Keys `mirror.columns`: those of a CSV file, and those of a table.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

/// Columns of a mirror.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(in crate::config) enum Columns {
    /// Of a CSV file, in order.
    List(Vec<CsvColumn>),
    /// Of a table, by name.
    Map(BTreeMap<String, TableColumn>),
}

/// One column of a CSV file.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(in crate::config) enum CsvColumn {
    /// `time`, `topic`, `payload`, `qos`, `retained` or `id`.
    Name(String),
    /// Heading and path into the JSON payload.
    Field(BTreeMap<String, String>),
}

/// One column of a table.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(in crate::config) enum TableColumn {
    /// The type; the path is the column's name.
    Kind(ColumnKind),
    /// Path and type.
    Full(FullColumn),
}

/// Path and type of a column.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct FullColumn {
    /// Where the value stands in the payload: `location.latitude`, `list[0]`, or a JSON Pointer such as
    /// `/location/latitude`. Default: the column's name.
    #[schemars(extend("examples" = ["location.latitude"]))]
    pub(in crate::config) path: Option<String>,
    /// Declared type.
    #[serde(rename = "type")]
    #[schemars(required, extend("examples" = ["real"]))]
    pub(in crate::config) kind: Option<ColumnKind>,
}

/// Type of a column.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(in crate::config) enum ColumnKind {
    /// A whole number.
    Integer,
    /// A number.
    Real,
    /// Text; whatever is not text is stored as its JSON.
    Text,
}
