//! Rows on their way out: as a table for people, CSV, JSON, or JSON lines. Knows nothing of what they mean.

use std::io::{self, Write};
use std::ops::Range;

use jiff::tz::TimeZone;
use serde_json::Value as Json;

use super::terminal::{Letters, spelled};
use crate::log::query::Line;
use crate::reading::{Clock, Timestamp, Value};

/// How rows are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// Columns for people; times in the local zone
    Table,
    /// Comma-separated values (RFC 4180); times in UTC
    Csv,
    /// One JSON array of objects; times in UTC
    Json,
    /// One JSON object per line; times in UTC
    Jsonl,
}

/// A number to twelve significant digits: more than any sensor has, and a mean of 33.85 does not show as
/// 33.849999999999994. CSV and JSON have every digit.
fn readable(number: f64) -> f64 {
    format!("{number:.11e}").parse().unwrap_or(number)
}

/// One value of a row.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
    /// Left-aligned.
    Text(String),
    /// A number, text or truth; right-aligned in a table.
    Value(Value),
    /// A time.
    Time(Timestamp),
    /// Nothing.
    None,
}

/// ECMA-48 colours that can be read on dark and on light, neighbours easy to tell apart.
const COLOURS: [u8; 11] = [36, 33, 35, 32, 34, 31, 96, 93, 95, 92, 94];

/// Rows of a table are held back until so many are there, to find the widths of the columns.
const SAMPLE: usize = 200;

/// Writes rows in one of the formats.
#[derive(Debug)]
pub struct Rows<W: Write> {
    out: W,
    format: Format,
    columns: Vec<String>,
    zone: TimeZone,
    /// Rows of a table whose widths are not settled.
    held: Vec<Vec<String>>,
    widths: Vec<usize>,
    begun: bool,
    bold: bool,
    letters: Letters,
    /// Columns of a table in the colour of what the first of them says.
    coloured: Range<usize>,
    /// What it has said so far, in the order of the colours.
    seen: Vec<String>,
}

impl<W: Write> Rows<W> {
    /// Rows with these columns. `zone` is for the times of a table; `bold` for its head on a terminal.
    pub fn new(out: W, format: Format, columns: Vec<String>, zone: TimeZone, bold: bool) -> Self {
        let widths = columns.iter().map(|name| name.chars().count()).collect();
        let (held, seen) = (Vec::new(), Vec::new());
        let letters = Letters::Unicode;
        Self { out, format, columns, zone, held, widths, begun: false, bold, letters, coloured: 0..0, seen }
    }

    /// Texts of a table are spelled in these letters.
    pub fn spelled(mut self, letters: Letters) -> Self {
        self.letters = letters;
        self
    }

    /// These columns of a table are coloured by what stands in the first of them.
    pub fn coloured_by(mut self, columns: Range<usize>) -> Self {
        self.coloured = columns;
        self
    }

    /// Writes a row, or holds it back for the table's sake.
    ///
    /// # Errors
    /// The output cannot be written; a closed pipe among others.
    pub fn row(&mut self, cells: &[Cell]) -> io::Result<()> {
        match self.format {
            Format::Table => {
                let texts = cells
                    .iter()
                    .map(|cell| spelled(&safe(&self.text(cell, true)), self.letters).into_owned());
                let texts: Vec<String> = texts.collect();
                self.held.push(texts);
                if self.begun || self.held.len() >= SAMPLE { self.write_held() } else { Ok(()) }
            }
            Format::Csv => {
                if !std::mem::replace(&mut self.begun, true) {
                    let heads: Vec<Cell> = self.columns.iter().map(|name| Cell::Text(name.clone())).collect();
                    self.csv(&heads)?;
                }
                self.csv(cells)
            }
            Format::Json => {
                let before = if std::mem::replace(&mut self.begun, true) { ",\n" } else { "[\n" };
                self.out.write_all(before.as_bytes())?;
                self.object(cells)
            }
            Format::Jsonl => {
                self.object(cells)?;
                self.out.write_all(b"\n")
            }
        }
    }

    /// Writes everything held back, now: for somebody who follows.
    ///
    /// # Errors
    /// As [`Rows::row`].
    pub fn flush(&mut self) -> io::Result<()> {
        if !self.held.is_empty() {
            self.write_held()?;
        }
        self.out.flush()
    }

    /// Writes the end; answers where it was written to.
    ///
    /// # Errors
    /// As [`Rows::row`].
    pub fn finish(mut self) -> io::Result<W> {
        match (self.format, self.begun) {
            (Format::Json, true) => self.out.write_all(b"\n]\n")?,
            (Format::Json, false) => self.out.write_all(b"[]\n")?,
            (Format::Table, false) => self.write_held()?,
            (Format::Csv, false) => {
                let heads: Vec<Cell> = self.columns.iter().map(|name| Cell::Text(name.clone())).collect();
                self.csv(&heads)?;
            }
            _ => {}
        }
        self.flush()?;
        Ok(self.out)
    }

    fn write_held(&mut self) -> io::Result<()> {
        let held = std::mem::take(&mut self.held);
        for row in &held {
            for (width, text) in self.widths.iter_mut().zip(row) {
                *width = (*width).max(text.chars().count());
            }
        }
        if !std::mem::replace(&mut self.begun, true) {
            let head = aligned(&self.columns, &self.widths, None);
            let line = if self.bold { format!("\x1b[1m{head}\x1b[0m\n") } else { format!("{head}\n") };
            self.out.write_all(line.as_bytes())?;
        }
        for row in &held {
            let colour = self.colour(row).map(|colour| (self.coloured.clone(), colour));
            writeln!(self.out, "{}", aligned(row, &self.widths, colour))?;
        }
        Ok(())
    }

    /// ECMA-48 colour of a row: another one for each new name, until there are no more.
    fn colour(&mut self, row: &[String]) -> Option<u8> {
        let name = row.get(self.coloured.start).filter(|_| !self.coloured.is_empty())?;
        let place = self.seen.iter().position(|seen| seen == name).unwrap_or(self.seen.len());
        if place == self.seen.len() && place < COLOURS.len() {
            self.seen.push(name.clone());
        }
        COLOURS.get(place).copied()
    }

    /// RFC 4180. The csv crate would want a buffer of its own for each row, or the output for itself.
    fn csv(&mut self, cells: &[Cell]) -> io::Result<()> {
        for (place, cell) in cells.iter().enumerate() {
            let text = self.text(cell, false);
            let before = if place == 0 { "" } else { "," };
            match text.contains(['"', ',', '\r', '\n']) {
                true => write!(self.out, "{before}\"{}\"", text.replace('"', "\"\""))?,
                false => write!(self.out, "{before}{text}")?,
            }
        }
        self.out.write_all(b"\r\n")
    }

    /// By hand, so that the columns keep their order.
    fn object(&mut self, cells: &[Cell]) -> io::Result<()> {
        for (place, (name, cell)) in self.columns.iter().zip(cells).enumerate() {
            let before = if place == 0 { "{" } else { "," };
            write!(self.out, "{before}{}:{}", Json::from(name.as_str()), json(cell))?;
        }
        self.out.write_all(b"}")
    }

    fn text(&self, cell: &Cell, for_people: bool) -> String {
        match cell {
            Cell::Text(text) => text.clone(),
            Cell::Value(Value::Float(number)) if for_people => readable(*number).to_string(),
            Cell::Value(value) => value.to_string(),
            Cell::Time(time) if for_people => local(*time, &self.zone),
            Cell::Time(time) => time.to_string(),
            Cell::None => String::new(),
        }
    }
}

/// A time as a person reads it: `2026-11-20 08:00:00.123+01:00`.
pub fn local(time: Timestamp, zone: &TimeZone) -> String {
    match jiff::Timestamp::from_microsecond(time.0) {
        Ok(instant) => instant.to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M:%S%.3f%:z").to_string(),
        Err(_) => time.to_string(),
    }
}

fn json(cell: &Cell) -> Json {
    match cell {
        Cell::Text(text) => text.as_str().into(),
        Cell::Time(time) => time.to_string().into(),
        Cell::Value(Value::Float(number)) => (*number).into(),
        Cell::Value(Value::Integer(number)) => (*number).into(),
        Cell::Value(Value::Bool(state)) => (*state).into(),
        Cell::Value(Value::Text(text)) => (&**text).into(),
        Cell::Value(Value::Image(image)) => image.to_string().into(),
        Cell::None => Json::Null,
    }
}

/// Line breaks and escapes in a text must not play with somebody's terminal.
fn safe(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { '·' } else { letter }).collect()
}

fn aligned(texts: &[String], widths: &[usize], colour: Option<(Range<usize>, u8)>) -> String {
    let mut line = String::new();
    for (place, (text, width)) in texts.iter().zip(widths).enumerate() {
        match colour.as_ref().filter(|(columns, _)| columns.contains(&place) && !text.is_empty()) {
            Some((_, colour)) => {
                let room = width.saturating_sub(text.chars().count());
                line.push_str(&format!("\x1b[{colour}m{text}\x1b[0m{:room$}  ", ""));
            }
            None => line.push_str(&format!("{text:<width$}  ")),
        }
    }
    line.truncate(line.trim_end().len());
    line
}

/// Columns of readings, as `query`, `tail` and `export` show them.
pub fn reading_columns(format: Format) -> Vec<String> {
    let names: &[&str] = match format {
        Format::Table => &["time", "sensor", "quantity", "value", "unit", "clock"],
        _ => &["time", "device", "sensor", "quantity", "value", "unit", "clock"],
    };
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// Cells for [`reading_columns`]. A table says of the clock only what is worth saying.
pub fn reading_cells(line: &Line, format: Format) -> Vec<Cell> {
    let channel = &line.channel;
    let mut cells = vec![Cell::Time(line.at)];
    if format != Format::Table {
        cells.push(Cell::Text(channel.device.clone()));
    }
    cells.push(Cell::Text(channel.sensor.to_string()));
    cells.push(Cell::Text(channel.quantity.to_string()));
    cells.push(Cell::Value(line.value.clone()));
    cells.push(Cell::Text(channel.unit.clone()));
    cells.push(match (format, line.clock) {
        (Format::Table, Clock::Synced) => Cell::None,
        (_, clock) => Cell::Text(clock.as_str().to_owned()),
    });
    cells
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(format: Format, rows: &[Vec<Cell>]) -> String {
        let columns = ["time", "value", "note"].map(str::to_owned).to_vec();
        let zone = TimeZone::fixed(jiff::tz::offset(1));
        let mut out = Rows::new(Vec::new(), format, columns, zone, false);
        for row in rows {
            out.row(row).unwrap();
        }
        String::from_utf8(out.finish().unwrap()).unwrap()
    }

    #[test]
    fn every_format() {
        let rows = [
            vec![
                Cell::Time(Timestamp(0)),
                Cell::Value(Value::Float(21.0)),
                Cell::Text("a \"b\", c\n".into()),
            ],
            vec![Cell::Time(Timestamp(1)), Cell::Value(Value::Bool(true)), Cell::None],
        ];
        assert_eq!(
            written(Format::Table, &rows),
            "time                           value  note\n\
             1970-01-01 01:00:00.000+01:00  21     a \"b\", c·\n\
             1970-01-01 01:00:00.000+01:00  true\n"
        );
        assert_eq!(
            written(Format::Csv, &rows),
            "time,value,note\r\n1970-01-01T00:00:00.000000Z,21,\"a \"\"b\"\", c\n\"\r\n1970-01-01T00:00:00.000001Z,true,\r\n"
        );
        let objects = "{\"time\":\"1970-01-01T00:00:00.000000Z\",\"value\":21.0,\"note\":\"a \\\"b\\\", c\\n\"}|\
                       {\"time\":\"1970-01-01T00:00:00.000001Z\",\"value\":true,\"note\":null}";
        assert_eq!(written(Format::Jsonl, &rows), format!("{}\n", objects.replace('|', "\n")));
        let array = written(Format::Json, &rows);
        assert_eq!(array, format!("[\n{}\n]\n", objects.replace('|', ",\n")));
        assert!(serde_json::from_str::<Json>(&array).is_ok());
    }

    #[test]
    fn people_see_twelve_digits() {
        for (number, expected) in [
            (33.849999999999994, "33.85"),
            (1.7096666666666664, "1.70966666667"),
            (-0.0001, "-0.0001"),
            (64532262912.0, "64532262912"),
        ] {
            assert_eq!(readable(number).to_string(), expected);
        }
        assert!(readable(f64::NAN).is_nan());
    }

    #[test]
    fn letters_and_colours_of_a_table() {
        let columns = ["sensor", "value", "unit"].map(str::to_owned).to_vec();
        let mut out = Rows::new(Vec::new(), Format::Table, columns, TimeZone::UTC, false)
            .spelled(Letters::Ascii)
            .coloured_by(0..2);
        for (sensor, unit) in [("a", "°C"), ("b", "µs"), ("a", "%")] {
            out.row(&[Cell::Text(sensor.into()), Cell::Value(Value::Integer(5)), Cell::Text(unit.into())])
                .unwrap();
        }
        let text = String::from_utf8(out.finish().unwrap()).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "sensor  value  unit");
        assert_eq!(lines[1], "\x1b[36ma\x1b[0m       \x1b[36m5\x1b[0m      degC");
        assert_eq!(lines[2], "\x1b[33mb\x1b[0m       \x1b[33m5\x1b[0m      us");
        assert!(lines[3].starts_with("\x1b[36ma"), "{text}");
    }

    #[test]
    fn no_rows_are_still_an_answer() {
        assert_eq!(written(Format::Table, &[]), "time  value  note\n");
        assert_eq!(written(Format::Csv, &[]), "time,value,note\r\n");
        assert_eq!(written(Format::Json, &[]), "[]\n");
        assert_eq!(written(Format::Jsonl, &[]), "");
    }
}
