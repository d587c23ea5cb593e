//! What the user says about the columns of a file, for the subcommands that read one.

use std::path::Path;
use std::time::Duration;

use anyhow::{anyhow, bail};
use clap::ValueEnum;
use jiff::tz::TimeZone;

use crate::exchange::Format;
use crate::exchange::columns::{Fixed, Mapping, Role};
use crate::exchange::survey::Manner;
use crate::exchange::when::{Times, Unit};

/// How a file is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum FileFormat {
    /// Comma-separated values; also with ; or tab
    Csv,
    /// One JSON object per line
    Jsonl,
    /// InfluxDB line protocol
    Influx,
}

/// What a number that is a time counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum TimeUnit {
    S,
    Ms,
    Us,
    Ns,
}

/// Columns, and what they do not say.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "What the file says")]
pub struct Layout {
    /// csv, jsonl or influx; by the name of the file unless given
    #[arg(long, value_enum)]
    format: Option<FileFormat>,
    /// The column with the time; else time, timestamp, ts, datetime or date
    #[arg(long, value_name = "COLUMN")]
    time_column: Option<String>,
    /// The column with the device; else device, node or host
    #[arg(long, value_name = "COLUMN")]
    device_column: Option<String>,
    /// The column with the sensor; else sensor
    #[arg(long, value_name = "COLUMN")]
    sensor_column: Option<String>,
    /// The column with the quantity; else quantity, metric, measurement or field
    #[arg(long, value_name = "COLUMN")]
    quantity_column: Option<String>,
    /// The column with the value; COLUMN=QUANTITY, several times, for a file with a column for each quantity
    #[arg(long, value_name = "COLUMN[=QUANTITY]")]
    value_column: Vec<String>,
    /// The column with the unit; else unit
    #[arg(long, value_name = "COLUMN")]
    unit_column: Option<String>,
    /// What numbers in the time column count; by their size unless given (influx: ns)
    #[arg(long, value_enum)]
    time_unit: Option<TimeUnit>,
    /// Zone of times that name none: UTC, Europe/Paris; that of this machine unless given
    #[arg(long, value_name = "ZONE", value_parser = zone)]
    zone: Option<TimeZone>,
    /// Numbers are written 21,5
    #[arg(long)]
    decimal_comma: bool,
    /// What stands between the fields of a CSV file; found out unless given
    #[arg(long, value_name = "CHARACTER", value_parser = delimiter)]
    delimiter: Option<u8>,
    /// The CSV file has no names of columns in its first line: they are 1, 2, 3 and so on
    #[arg(long)]
    no_header: bool,
}

fn zone(text: &str) -> Result<TimeZone, String> {
    TimeZone::get(text).map_err(|_| format!("no time zone \"{text}\"; write UTC, or as in Europe/Paris"))
}

fn delimiter(text: &str) -> Result<u8, String> {
    match text {
        "tab" | "\\t" => Ok(b'\t'),
        _ => match text.as_bytes() {
            [byte] if byte.is_ascii() && !byte.is_ascii_alphanumeric() && *byte != b'"' => Ok(*byte),
            _ => Err("one character, or tab".to_owned()),
        },
    }
}

impl Layout {
    /// How to take a file, with what the user says of all its readings. `device` is for readings that name none.
    ///
    /// # Errors
    /// The format is not known by the name, or columns contradict one another.
    pub fn manner(&self, path: &Path, fixed: Fixed, device: Option<String>) -> anyhow::Result<Manner> {
        let format = match self.format {
            Some(FileFormat::Csv) => Format::Csv,
            Some(FileFormat::Jsonl) => Format::Jsonl,
            Some(FileFormat::Influx) => Format::Influx,
            None => Format::of(path).ok_or_else(|| {
                let name = path.display();
                anyhow!(
                    "{name}: which format? Say --format csv, jsonl or influx, or name it .csv, .jsonl or .lp"
                )
            })?,
        };
        let mut mapping = Mapping {
            fixed,
            device,
            times: Times {
                unit: self.time_unit.map(|unit| match unit {
                    TimeUnit::S => Unit::Seconds,
                    TimeUnit::Ms => Unit::Milliseconds,
                    TimeUnit::Us => Unit::Microseconds,
                    TimeUnit::Ns => Unit::Nanoseconds,
                }),
                zone: self.zone.clone().unwrap_or_else(TimeZone::system),
            },
            decimal_comma: self.decimal_comma,
            delimiter: self.delimiter,
            header: !self.no_header,
            ..Mapping::default()
        };
        let named = [
            (Role::Time, &self.time_column),
            (Role::Device, &self.device_column),
            (Role::Sensor, &self.sensor_column),
            (Role::Quantity, &self.quantity_column),
            (Role::Unit, &self.unit_column),
        ];
        for (role, column) in named {
            mapping.columns.extend(column.clone().map(|column| (role, column)));
        }
        match self.value_column.as_slice() {
            [column] if !column.contains('=') => {
                mapping.columns.insert(Role::Value, column.clone());
            }
            columns => {
                for column in columns {
                    let (column, quantity) = column.split_once('=').unwrap_or((column, column));
                    mapping.wide.push((column.to_owned(), quantity.to_owned()));
                }
                if !mapping.wide.is_empty() && mapping.fixed.quantity.is_some() {
                    bail!("--quantity and several --value-column: each column is a quantity of its own");
                }
            }
        }
        Ok(Manner { format, mapping, mixed: false })
    }
}

/// How a length of time is said in a note.
pub fn days(length: Duration) -> String {
    crate::config::amount::format_duration(length)
}
