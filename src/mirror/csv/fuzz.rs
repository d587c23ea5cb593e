//! Messages as records and fields out of any bytes, for `crate::fuzz`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::super::shape::Seen;
use super::super::{Incoming, field, fingerprint, identity};
use super::file::{first_boundary, last_boundary};
use super::recent::Recent;
use super::record::Columns;
use crate::config::{ColumnKind, CsvColumn, JsonPath, json_pointer};
use crate::reading::{Clock, Moment, Qos, Timestamp};

/// Two lines, the path of a field as it is configured and the topic; then the payload.
pub(crate) fn message(bytes: &[u8]) {
    let mut lines = bytes.splitn(3, |byte| *byte == b'\n');
    let mut line = || lines.next().unwrap_or_default();
    let (path, topic, payload) = (line(), line(), line());
    let path = JsonPath(json_pointer(&String::from_utf8_lossy(path)).unwrap_or_default());
    let message = Incoming {
        topic: String::from_utf8_lossy(topic).into_owned(),
        payload: payload.to_owned(),
        qos: Qos::ExactlyOnce,
        retained: false,
        received: Moment { wall: Timestamp(0), since_boot: 0, clock: Clock::Synced },
        packet_id: 1,
        dup: false,
        hash: fingerprint("", payload),
        response: None,
    };
    record(&message, &path);
    let mut tally = field::Tally::default();
    if let Some(document) = tally.parse(&message.topic, payload) {
        for kind in [ColumnKind::Integer, ColumnKind::Real, ColumnKind::Text] {
            tally.typed(&message.topic, &document, &path, kind);
        }
    }
    if let Some(said) = tally.last {
        assert!(!said.contains(char::is_control) && said.len() < 2_000, "one short line: {said:?}");
    }
}

/// Whatever stands in it, a message is one record, and what is read back is what came.
fn record(message: &Incoming, path: &JsonPath) {
    let named = CsvColumn::Field { name: "field".to_owned(), path: path.clone() };
    let columns = [CsvColumn::Time, CsvColumn::Topic, CsvColumn::Payload, CsvColumn::Id, named];
    let columns = Columns::new(&columns);
    let mut encoder = columns.encoder(false);
    let mut tally = field::Tally::default();
    encoder.push(message, &Seen::of_ours(message), &mut tally);
    encoder.push(message, &Seen::of_ours(message), &mut tally);
    let encoded = encoder.finish();
    // After a crash the file is cut behind its last whole record, and read from its first.
    assert_eq!(last_boundary(encoded.as_slice()).ok(), Some(encoded.len() as u64), "cut within");
    assert!(!encoded.contains(&0), "a NUL is what a power cut leaves");
    // The first of the two may be the rest of another.
    assert_eq!(first_boundary(&encoded), encoded.len() / 2);
    let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(encoded.as_slice());
    let mut records = 0;
    for read in reader.records() {
        let Ok(read) = read else { panic!("a record that cannot be read: {read:?}") };
        assert_eq!(read.len(), 5);
        assert_eq!(decoded(&read[1]), message.topic.as_bytes());
        assert_eq!(decoded(&read[2]), message.payload);
        let id = identity(&message.payload).map(|(epoch, row)| format!("{epoch}-{row}"));
        assert_eq!(read[3], id.unwrap_or_default());
        records += 1;
    }
    assert_eq!(records, 2);
    Recent::default().seed(&encoded, &columns);
}

/// What a text stands for.
fn decoded(text: &str) -> Vec<u8> {
    match text.strip_prefix("base64:") {
        Some(encoded) => STANDARD.decode(encoded).unwrap_or_default(),
        None => text.as_bytes().to_owned(),
    }
}
