//! A file of readings in any of the formats, row by row.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use super::columns::{Cell, Layout, Mapping};
use super::csv::{Field, Records};
use super::lines::{Lines, text, without_end};
use super::{Fault, Row, influx, jsonl, shown};
use crate::reading::Value;

/// How a file is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Comma-separated values (RFC 4180)
    Csv,
    /// One JSON object per line
    Jsonl,
    /// InfluxDB line protocol
    Influx,
}

impl Format {
    /// By the name of a file.
    pub fn of(path: &Path) -> Option<Self> {
        match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
            "csv" | "tsv" | "txt" => Some(Format::Csv),
            "jsonl" | "ndjson" | "json" => Some(Format::Jsonl),
            "lp" | "line" | "influx" => Some(Format::Influx),
            _ => None,
        }
    }
}

/// Names of columns that mean nothing to us, to be told of; no more than this.
const UNUSED: usize = 20;

/// Bytes read at once.
const BUFFER: usize = 1 << 16;

/// An open file.
#[derive(Debug)]
pub(super) struct Source<'a> {
    mapping: &'a Mapping,
    kind: Kind,
    /// Readings without a value so far.
    pub missing: u64,
    /// Columns, keys and tags that mean nothing to us.
    pub unused: BTreeSet<String>,
}

#[derive(Debug)]
enum Kind {
    Csv {
        records: Records<BufReader<File>>,
        layout: Layout<usize>,
        fields: Vec<Field>,
        /// Of the first line.
        columns: usize,
        waiting: bool,
    },
    Jsonl {
        lines: Lines<BufReader<File>>,
        buffer: Vec<u8>,
    },
    Influx {
        lines: Lines<BufReader<File>>,
        buffer: Vec<u8>,
    },
}

impl<'a> Source<'a> {
    /// Opens a file; of CSV, reads the names of the columns.
    pub fn open(path: &Path, format: Format, mapping: &'a Mapping) -> Result<Self, Fault> {
        let file = File::open(path)?;
        if !file.metadata()?.is_file() {
            return Err(Fault::File(
                "is no file; it is read twice, so a pipe will not do: write it to a file first".to_owned(),
            ));
        }
        let input = BufReader::with_capacity(BUFFER, file);
        let mut unused = BTreeSet::new();
        let kind = match format {
            Format::Csv => csv(Records::new(input, mapping.delimiter), mapping, &mut unused)?,
            Format::Jsonl => Kind::Jsonl { lines: Lines::new(input), buffer: Vec::new() },
            Format::Influx => Kind::Influx { lines: Lines::new(input), buffer: Vec::new() },
        };
        Ok(Self { mapping, kind, missing: 0, unused })
    }

    /// Bytes read so far.
    pub fn bytes(&self) -> u64 {
        match &self.kind {
            Kind::Csv { records, .. } => records.lines.bytes,
            Kind::Jsonl { lines, .. } | Kind::Influx { lines, .. } => lines.bytes,
        }
    }

    /// Appends the readings of the next line; answers whether there was one.
    pub fn next(&mut self, rows: &mut Vec<Row>) -> Result<bool, Fault> {
        let Self { mapping, kind, missing, unused } = self;
        match kind {
            Kind::Csv { records, layout, fields, columns, waiting } => {
                let line = match std::mem::take(waiting) {
                    true => Some(records.lines.number),
                    false => records.next(fields)?,
                };
                let Some(line) = line else { return Ok(false) };
                // 21,5 between commas is two fields, of which the first would be taken for the value.
                if fields.iter().skip(*columns).any(|field| !field.text.trim().is_empty()) {
                    let what = format!(
                        "has {} fields, and the first line {columns}; is a comma within a value not quoted?",
                        fields.len()
                    );
                    return Err(Fault::line(line, what));
                }
                mapping.rows(line, layout, |place| field(fields.get(*place), fields), rows, missing)?;
            }
            Kind::Jsonl { lines, buffer } => {
                buffer.clear();
                if !lines.append(buffer)? {
                    return Ok(false);
                }
                let line = text(without_end(buffer), lines.number)?.trim();
                if !line.is_empty() {
                    json(line, lines.number, mapping, rows, missing, unused)?;
                }
            }
            Kind::Influx { lines, buffer } => {
                buffer.clear();
                if !lines.append(buffer)? {
                    return Ok(false);
                }
                let number = lines.number;
                while influx::is_open(text(buffer, number)?) {
                    if !lines.append(buffer)? {
                        break;
                    }
                }
                let mut tell = |tag: &str| tell(unused, tag);
                influx::rows(text(buffer, number)?, number, mapping, rows, &mut tell)?;
            }
        }
        Ok(true)
    }
}

fn tell(unused: &mut BTreeSet<String>, name: &str) {
    if unused.len() < UNUSED {
        unused.insert(shown(name));
    }
}

/// Names of columns or keys for a message: whatever stands in them, on one line, and not thousands.
fn listed<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let mut names = names.map(shown);
    let mut first: Vec<String> = names.by_ref().take(UNUSED).collect();
    if names.next().is_some() {
        first.push("…".to_owned());
    }
    first.join(", ")
}

fn csv(
    mut records: Records<BufReader<File>>,
    mapping: &Mapping,
    unused: &mut BTreeSet<String>,
) -> Result<Kind, Fault> {
    let mut fields = Vec::new();
    if records.next(&mut fields)?.is_none() {
        return Err(Fault::File("is empty".to_owned()));
    }
    let names: Vec<String> = match mapping.header {
        true => fields.iter().map(|field| field.text.trim().to_owned()).collect(),
        false => (1..=fields.len()).map(|number| number.to_string()).collect(),
    };
    // As it is written; a name that nobody spelled out also in capitals.
    let find = |wanted: &str| {
        names
            .iter()
            .position(|name| name == wanted)
            .or_else(|| names.iter().position(|name| name.eq_ignore_ascii_case(wanted)))
    };
    let listed = || listed(names.iter().map(String::as_str));
    let layout = mapping.layout(find, listed).map_err(Fault::File)?;
    for (place, name) in names.iter().enumerate().filter(|(place, _)| !layout.uses(place)) {
        let name = if name.is_empty() { format!("number {}", place + 1) } else { name.clone() };
        tell(unused, &name);
    }
    Ok(Kind::Csv { records, layout, fields, columns: names.len(), waiting: !mapping.header })
}

/// A quoted field is a text; but where all are quoted, the marks say nothing.
fn field<'a>(field: Option<&'a Field>, all: &[Field]) -> Cell<'a> {
    match field {
        None => Cell::Nothing,
        Some(field) if field.quoted && all.iter().any(|other| !other.quoted) => {
            Cell::Is(Value::Text(field.text.as_str().into()))
        }
        Some(field) => Cell::Word(&field.text),
    }
}

fn json(
    line: &str,
    number: u64,
    mapping: &Mapping,
    rows: &mut Vec<Row>,
    missing: &mut u64,
    unused: &mut BTreeSet<String>,
) -> Result<(), Fault> {
    let object = jsonl::object(line).map_err(|what| Fault::line(number, what))?;
    // An object may lack some of the quantities.
    let listed = |name: &str| mapping.wide.iter().find(|(key, _)| key == name).map(|(key, _)| key.as_str());
    let find = |name: &str| object.get_key_value(name).map(|(key, _)| key.as_str()).or_else(|| listed(name));
    let names = || self::listed(object.keys().map(String::as_str));
    let layout =
        mapping.layout(find, names).map_err(|what| Fault::line(number, what.replacen("column", "key", 1)))?;
    for key in object.keys().filter(|key| !layout.uses(&key.as_str())) {
        tell(unused, key);
    }
    mapping.rows(number, &layout, |key| jsonl::cell(&object, key), rows, missing)
}
