//! A message as one CSV record. Pure.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use rusqlite::types::Value as Sql;

use super::super::shape::Seen;
use super::super::{Incoming, field};
use crate::config::{CsvColumn, ToldColumn};
use crate::log::Told;

/// What stands before a value that is base64 because it could not be written as text. A text that happens
/// to begin so is encoded too, so that the mark always means what it says.
const MARK: &str = "base64:";

/// The configured columns.
#[derive(Debug, Clone)]
pub(super) struct Columns {
    columns: Vec<CsvColumn>,
    header: Vec<u8>,
}

impl Columns {
    pub(super) fn new(columns: &[CsvColumn]) -> Self {
        let mut writer = writer();
        for column in columns {
            put(&mut writer, heading(column).as_bytes());
        }
        end(&mut writer);
        Self { columns: columns.to_vec(), header: bytes(writer) }
    }

    /// The header line with its line end.
    pub(super) fn header(&self) -> &[u8] {
        &self.header
    }

    /// Positions of the topic and the id, if both are there: by these a repeat is known in the file.
    pub(super) fn topic_and_id(&self) -> Option<(usize, usize)> {
        let position = |wanted| self.columns.iter().position(|column| *column == wanted);
        Some((position(CsvColumn::Topic)?, position(CsvColumn::Id)?))
    }

    /// Position of the payload of messages without readings, where others have a record for each reading.
    pub(super) fn unread(&self) -> Option<usize> {
        self.columns.iter().position(|column| *column == CsvColumn::Told(ToldColumn::Unread))
    }

    /// Begins a piece of a file, with the header if it is the first.
    pub(super) fn encoder(&self, first: bool) -> Encoder {
        let mut writer = writer();
        if first {
            for column in &self.columns {
                put(&mut writer, heading(column).as_bytes());
            }
            end(&mut writer);
        }
        let parse = self.columns.iter().any(|column| matches!(column, CsvColumn::Field { .. }));
        Encoder { columns: self.columns.clone(), writer, parse }
    }
}

fn heading(column: &CsvColumn) -> &str {
    match column {
        CsvColumn::Time => "time",
        CsvColumn::Topic => "topic",
        CsvColumn::Payload => "payload",
        CsvColumn::Qos => "qos",
        CsvColumn::Retained => "retained",
        CsvColumn::Id => "id",
        CsvColumn::Field { name, .. } => name,
        CsvColumn::Told(ToldColumn::Device) => "device",
        CsvColumn::Told(ToldColumn::Sensor) => "sensor",
        CsvColumn::Told(ToldColumn::Quantity) => "quantity",
        CsvColumn::Told(ToldColumn::Value) => "value",
        CsvColumn::Told(ToldColumn::Unit) => "unit",
        CsvColumn::Told(ToldColumn::Taken) => "taken",
        CsvColumn::Told(ToldColumn::Unread) => "payload",
    }
}

/// What a reading says in this column.
fn told(column: ToldColumn, told: &Told) -> Cow<'_, str> {
    let text = |text: &'_ Option<String>| text.clone().unwrap_or_default().into();
    match column {
        ToldColumn::Device => text(&told.device),
        ToldColumn::Sensor => text(&told.sensor),
        ToldColumn::Quantity => Cow::Borrowed(&told.quantity),
        ToldColumn::Value => match &told.value {
            Sql::Integer(number) => number.to_string().into(),
            Sql::Real(number) => number.to_string().into(),
            Sql::Text(text) => Cow::Borrowed(text),
            Sql::Null | Sql::Blob(_) => Cow::Borrowed(""),
        },
        ToldColumn::Unit => text(&told.unit),
        ToldColumn::Taken => told.taken.map(|taken| taken.to_string()).unwrap_or_default().into(),
        ToldColumn::Unread => Cow::Borrowed(""),
    }
}

/// Encodes consecutive records.
pub(super) struct Encoder {
    columns: Vec<CsvColumn>,
    writer: csv::Writer<Vec<u8>>,
    parse: bool,
}

impl Encoder {
    /// Bytes so far.
    pub(super) fn len(&mut self) -> usize {
        flush(&mut self.writer);
        self.writer.get_ref().len()
    }

    /// Adds a message: a record, or one for each of its readings.
    pub(super) fn push(&mut self, message: &Incoming, seen: &Seen, tally: &mut field::Tally) {
        if seen.rows.is_empty() {
            self.record(message, seen, None, tally);
        }
        for row in &seen.rows {
            self.record(message, seen, Some(row), tally);
        }
    }

    fn record(&mut self, message: &Incoming, seen: &Seen, row: Option<&Told>, tally: &mut field::Tally) {
        let document = if self.parse { tally.parse(&message.topic, &message.payload) } else { None };
        for column in &self.columns {
            let writer = &mut self.writer;
            match column {
                CsvColumn::Time => put(writer, message.received.wall.to_string().as_bytes()),
                // No broker should hand on a topic with a NUL, but one that does must not have the file cut there.
                CsvColumn::Topic => put(writer, writable(message.topic.as_bytes()).as_bytes()),
                CsvColumn::Payload => put(writer, writable(&message.payload).as_bytes()),
                CsvColumn::Qos => put(writer, [b'0' + message.qos as u8].as_slice()),
                CsvColumn::Retained => put(writer, message.retained.to_string().as_bytes()),
                CsvColumn::Id => {
                    put(writer, seen.id().unwrap_or_default().as_bytes());
                }
                CsvColumn::Field { path, .. } => {
                    let value = document.as_ref().and_then(|document| tally.field(document, path));
                    let text = value.map(field::text).unwrap_or_default();
                    put(writer, writable(text.as_bytes()).as_bytes());
                }
                CsvColumn::Told(column) => match row {
                    Some(row) => put(writer, writable(told(*column, row).as_bytes()).as_bytes()),
                    None if *column == ToldColumn::Unread => {
                        put(writer, writable(&message.payload).as_bytes());
                    }
                    None => put(writer, b""),
                },
            }
        }
        end(&mut self.writer);
    }

    /// All records.
    pub(super) fn finish(self) -> Vec<u8> {
        bytes(self.writer)
    }
}

/// The bytes as text, or marked base64 when they are none: not UTF-8, or with a NUL, which most readers of
/// CSV stumble over (and which tells a page that a power cut left unwritten from one that was written).
fn writable(bytes: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.contains('\0') && !text.starts_with(MARK) => Cow::Borrowed(text),
        _ => {
            let mut text = MARK.to_owned();
            STANDARD.encode_string(bytes, &mut text);
            Cow::Owned(text)
        }
    }
}

// Writing to a `Vec` cannot fail; what `csv` answers besides is a record of unequal length, which a flexible
// writer does not mind. So there is nothing to report from the functions below.

fn writer() -> csv::Writer<Vec<u8>> {
    // RFC 4180, 2.1: records end with CRLF.
    csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).flexible(true).from_writer(Vec::new())
}

fn put(writer: &mut csv::Writer<Vec<u8>>, value: &[u8]) {
    writer.write_field(value).unwrap_or_default();
}

fn end(writer: &mut csv::Writer<Vec<u8>>) {
    writer.write_record(None::<&[u8]>).unwrap_or_default();
}

fn flush(writer: &mut csv::Writer<Vec<u8>>) {
    writer.flush().unwrap_or_default();
}

fn bytes(writer: csv::Writer<Vec<u8>>) -> Vec<u8> {
    writer.into_inner().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::JsonPath;
    use crate::mirror::fake;
    use crate::reading::Qos;

    fn line(columns: &[CsvColumn], message: &Incoming) -> String {
        let mut encoder = Columns::new(columns).encoder(false);
        encoder.push(message, &Seen::of_ours(message), &mut field::Tally::default());
        String::from_utf8(encoder.finish()).unwrap()
    }

    #[test]
    fn every_column() {
        let field = CsvColumn::Field { name: "value, °C".into(), path: JsonPath("/value".into()) };
        let columns = [
            CsvColumn::Time,
            CsvColumn::Topic,
            CsvColumn::Payload,
            CsvColumn::Qos,
            CsvColumn::Retained,
            CsvColumn::Id,
            field,
        ];
        let header = Columns::new(&columns).header().to_vec();
        assert_eq!(header, "time,topic,payload,qos,retained,id,\"value, °C\"\r\n".as_bytes());
        let mut message = fake::message("a/b", br#"{"id":"3f9c2a1b-7","value":21.5}"#, Qos::AtLeastOnce);
        message.received.wall.0 = 1_795_158_000_123_456;
        message.retained = true;
        assert_eq!(
            line(&columns, &message),
            "2026-11-20T07:00:00.123456Z,a/b,\"{\"\"id\"\":\"\"3f9c2a1b-7\"\",\"\"value\"\":21.5}\",1,true,3f9c2a1b-7,21.5\r\n"
        );
    }

    #[test]
    fn what_is_no_text_is_marked() {
        for (payload, expected) in [
            (b"plain".as_slice(), "plain\r\n"),
            (b"", "\"\"\r\n"),
            (b"a,b", "\"a,b\"\r\n"),
            (b"say \"hi\"", "\"say \"\"hi\"\"\"\r\n"),
            (b"two\nlines", "\"two\nlines\"\r\n"),
            (b"two\r\nlines", "\"two\r\nlines\"\r\n"),
            (b"\xff\xfe", "base64://4=\r\n"),
            (b"a\0b", "base64:YQBi\r\n"),
            (b"base64:YQ==", "base64:YmFzZTY0OllRPT0=\r\n"),
        ] {
            let message = fake::message("t", payload, Qos::AtMostOnce);
            assert_eq!(line(&[CsvColumn::Payload], &message), expected);
        }
    }

    #[test]
    fn fields_are_text_or_empty() {
        let column = |path: &str| CsvColumn::Field { name: "x".into(), path: JsonPath(path.into()) };
        for (payload, expected) in [
            (r#"{"x":"a,b"}"#, "\"a,b\"\r\n"),
            (r#"{"x":true}"#, "true\r\n"),
            (r#"{"x":[1,2]}"#, "\"[1,2]\"\r\n"),
            (r#"{"x":null}"#, "\"\"\r\n"),
            (r#"{"y":1}"#, "\"\"\r\n"),
            (r#"{"x":"\u0000"}"#, "base64:AA==\r\n"),
            ("no json", "\"\"\r\n"),
        ] {
            let message = fake::message("t", payload.as_bytes(), Qos::AtMostOnce);
            assert_eq!(line(&[column("/x")], &message), expected, "{payload}");
        }
    }
}
