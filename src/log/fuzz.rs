//! Databases whose rows and pages somebody else has changed, out of any bytes, for `crate::fuzz`.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use rusqlite::Connection;
use rusqlite::types::Value as Sql;

use super::query::Selection;
use super::series::Ask;
use super::*;
use crate::payload;
use crate::reading::picture::{ContentType, Sha256};
use crate::reading::{Clock, Image, Publish, Shape, Value, ValueKind};

/// 2026-11-20T07:00:00Z, µs.
const NOW: i64 = 1_795_158_000_000_000;

/// Columns that are changed, and so counted.
const COLUMNS: &str = "SELECT m.name, p.name FROM sqlite_schema AS m, pragma_table_info(m.name) AS p
  WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite_%' ORDER BY m.name, p.cid";

fn moment(wall: i64) -> Moment {
    Moment { wall: Timestamp(wall), since_boot: wall - NOW + 60_000_000, clock: Clock::Synced }
}

fn settings(path: &Path) -> config::Log {
    config::Log {
        path: path.to_owned(),
        key: None,
        sync: config::Sync::Normal,
        commit_interval: Duration::ZERO,
        retention: config::Retention {
            max_age: Some(Duration::from_secs(86_400)),
            ..config::Retention::default()
        },
    }
}

fn open(path: &Path) -> Result<Log, LogError> {
    let machine = Machine { boot_id: "boot".to_owned(), now: || moment(NOW + 10_000_000) };
    Log::open(&settings(path), &machine, &Board::new())
}

/// Changes, each a letter that says what and some bytes: of one column in one row, or of bytes of the file. Then everything
/// that reads a log reads it, and the log is opened for writing.
pub(crate) fn database(bytes: &[u8], scratch: &Path) {
    let path = scratch.join("bridge.db");
    clear(scratch);
    let written = std::fs::write(&path, whole(scratch));
    assert!(written.is_ok(), "{}: {written:?}", path.display());
    let mut changes = Changes(bytes);
    let mut file = Vec::new();
    if let Ok(connection) = Connection::open(&path) {
        // What SQLite refuses is refused.
        drop(connection.execute_batch("PRAGMA journal_mode = DELETE; PRAGMA ignore_check_constraints = ON"));
        for _ in 0..8 {
            let Some(kind) = changes.byte() else { break };
            match kind {
                b'!' => file.push((changes.number(), changes.number())),
                _ => drop(change(&connection, kind, &mut changes)),
            }
        }
    }
    if !file.is_empty() {
        damage(&path, &file);
    }
    read(&path);
    write(&path);
    clear(scratch);
}

fn clear(scratch: &Path) {
    for entry in std::fs::read_dir(scratch).into_iter().flatten().flatten() {
        drop(std::fs::remove_file(entry.path()));
    }
}

/// The bytes, piece by piece.
struct Changes<'a>(&'a [u8]);

impl Changes<'_> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    fn number(&mut self) -> usize {
        usize::from(self.byte().unwrap_or_default()) << 8 | usize::from(self.byte().unwrap_or_default())
    }

    fn value(&mut self) -> Sql {
        let mut eight = [0; 8];
        let kind = self.byte().unwrap_or_default();
        let length = usize::from(kind & 0x1f).min(self.0.len());
        let (taken, rest) = self.0.split_at(length);
        self.0 = rest;
        eight.iter_mut().zip(taken.iter().rev()).for_each(|(to, from)| *to = *from);
        match kind >> 5 {
            0 => Sql::Null,
            1 => Sql::Integer(i64::from_le_bytes(eight)),
            2 => Sql::Real(f64::from_le_bytes(eight)),
            3 => Sql::Blob(taken.to_owned()),
            4 => Sql::Text("x".repeat(length << 10)),
            5 => Sql::Integer(i64::MIN.wrapping_add(i64::from_le_bytes(eight))),
            _ => Sql::Text(String::from_utf8_lossy(taken).into_owned()),
        }
    }
}

/// Another value in a column of a row, of whatever type its table takes.
fn change(connection: &Connection, kind: u8, changes: &mut Changes<'_>) -> rusqlite::Result<()> {
    let mut statement = connection.prepare(COLUMNS)?;
    let columns: Vec<(String, String)> =
        statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<rusqlite::Result<_>>()?;
    let Some((table, column)) = columns.get(usize::from(kind) % columns.len().max(1)) else { return Ok(()) };
    let row = changes.byte().unwrap_or_default();
    let value = changes.value();
    let rows = match row {
        0xff => String::new(),
        row => format!("WHERE rowid = (SELECT rowid FROM \"{table}\" LIMIT 1 OFFSET {})", row % 16),
    };
    connection.execute(&format!("UPDATE \"{table}\" SET \"{column}\" = ?1 {rows}"), [value]).map(drop)
}

fn damage(path: &Path, places: &[(usize, usize)]) {
    let Ok(mut bytes) = std::fs::read(path) else { return };
    for (place, how) in places {
        let length = bytes.len().max(1);
        if let Some(byte) = bytes.get_mut(place * 7 % length) {
            *byte ^= how.to_le_bytes()[0] | 1;
        }
    }
    drop(std::fs::write(path, bytes));
}

/// Everything that only looks. What cannot be read is an error; whatever is said of it is one short line.
fn read(path: &Path) {
    let Ok(mut reader) = Reader::open(path) else { return };
    let all = Selection::default();
    let mut lines = 0;
    drop(reader.select(&all, |line| {
        lines += 1;
        assert!(!line.value.to_string().is_empty() || matches!(line.value, Value::Text(_)));
        if lines < 1_000 { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    }));
    drop(reader.newest(&all, 10));
    drop(reader.after(&all, 0, 10));
    drop(reader.bounds(&all));
    drop(reader.buffer());
    drop((reader.span(), reader.last_row(), reader.latest(), reader.extent(), reader.known()));
    drop((reader.heard(0, 100, 10), reader.messages(0, 10), reader.delivery()));
    drop(reader.shots("eye", "image", (i64::MAX, Timestamp(0)), 10));
    let series = |sensor: &str, quantity: &str| Ask::new(sensor, quantity, (NOW - 3_600_000_000, NOW), 50);
    drop((reader.series(&series("air", "temperature")), reader.series(&series("air", "open"))));
    let origin = jiff::Timestamp::UNIX_EPOCH.to_zoned(jiff::tz::TimeZone::UTC);
    for every in ["1m", "1h", "1mo"] {
        let every = times::Every::parse(every).ok();
        let mut intervals = 0;
        drop(reader.intervals(
            &all,
            every,
            None,
            &origin,
            |_, _| {},
            |_| {
                intervals += 1;
                if intervals < 1_000 { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
            },
        ));
    }
    drop(reader.sql("SELECT * FROM readings", drop, |_| ControlFlow::Continue(())));
    drop(reader.sql("SELECT * FROM messages", drop, |_| ControlFlow::Continue(())));
    drop(reader.sql("SELECT * FROM commands", drop, |_| ControlFlow::Continue(())));
    publish(&mut reader);
}

/// As the publisher does: rows into payloads.
fn publish(reader: &mut Reader) {
    drop(reader.waiting(0, i64::MAX));
    let Ok(rows) = reader.outgoing(0, i64::MAX, 100) else { return };
    for row in &rows {
        let bytes = payload::json(std::slice::from_ref(row), false);
        assert!(serde_json::from_slice::<serde_json::Value>(&bytes).is_ok(), "no JSON is sent");
        if let Ok(Some(image)) = reader.image(row.row) {
            drop(payload::picture(row, &image, false));
        }
    }
}

/// As the daemon does, with the chores that come by themselves.
fn write(path: &Path) {
    let Ok(log) = open(path) else { return };
    drop((log.delivery(), log.mirror_state("all"), log.commands_left(Timestamp(NOW))));
    if let Ok(channels) = log.register(&channels()[..1]) {
        let reading = Reading { channel: channels[0], at: moment(NOW), value: Value::Float(1.0) };
        log.append(vec![reading]).unwrap_or_default();
    }
    drop(log.correct_clock(NOW));
    drop(log.store(messages()));
    drop(log.save_delivery(DeliveryUpdate { cursor: Some(3), ..DeliveryUpdate::default() }, Urgency::Now));
    drop(log.flush());
    drop(log.close());
}

/// A log with a few rows in every table.
fn whole(scratch: &Path) -> &'static [u8] {
    static WHOLE: OnceLock<Vec<u8>> = OnceLock::new();
    WHOLE.get_or_init(|| {
        let path = scratch.join("whole.db");
        let made = fill(&path);
        assert!(made.is_ok(), "{}: {made:?}", path.display());
        std::fs::read(&path).unwrap_or_default()
    })
}

fn fill(path: &Path) -> Result<(), LogError> {
    let log = open(path)?;
    let channels = log.register(&channels())?;
    let picture = Image {
        content_type: ContentType::Jpeg,
        width: 2,
        height: 2,
        sha256: Sha256([7; 32]),
        bytes: vec![0xff, 0xd8, 0xff],
        thumbnail: None,
    };
    for turn in 0..6 {
        let at = Moment {
            clock: if turn == 2 { Clock::Unsynced } else { Clock::Synced },
            ..moment(NOW - 300_000_000 + turn * 60_000_000)
        };
        let values = [
            Value::Float(20.0 + turn as f64),
            Value::Integer(turn),
            Value::Bool(turn % 2 == 0),
            Value::Text("ok".into()),
            Value::Image(Arc::new(picture.clone())),
        ];
        let sample =
            channels.iter().zip(values).map(|(channel, value)| Reading { channel: *channel, at, value });
        // Never more than the queue holds.
        log.append(sample.collect()).unwrap_or_default();
        log.flush()?;
    }
    log.store(messages())?;
    let command = NewCommand {
        received: moment(NOW),
        source: "t".into(),
        command: Some("a".into()),
        expires: Some(Timestamp(NOW + 1)),
        payload: "{}".into(),
        reply: Some(ReplyTo { topic: "r".into(), correlation: Some(vec![1]) }),
        refused: None,
    };
    log.note_commands(vec![CommandStep::Begin(command)])?;
    let update = DeliveryUpdate {
        cursor: Some(2),
        late: Some(vec![RowRange { next: 1, end: 2 }]),
        in_flight: vec![InFlight { row: 4, packet_id: 1, stage: Stage::Sent }],
        refused: vec![(3, "quota".to_owned())],
        ..DeliveryUpdate::default()
    };
    drop(log.save_delivery(update, Urgency::Now)?.blocking_recv());
    log.record_loss(3);
    log.close()
}

/// One of each kind.
fn channels() -> Vec<Channel> {
    let kinds = [
        ("air", "temperature", ValueKind::Float, Shape::Sample),
        ("air", "count", ValueKind::Integer, Shape::Sample),
        ("air", "open", ValueKind::Bool, Shape::Quantity),
        ("air", "state", ValueKind::Text, Shape::Quantity),
        ("eye", "image", ValueKind::Image, Shape::Base64),
    ];
    let channel = |(sensor, quantity, kind, shape): (&str, &str, ValueKind, Shape)| Channel {
        device: "pi".into(),
        sensor: sensor.to_owned().into(),
        quantity: quantity.to_owned().into(),
        unit: "°C".into(),
        kind,
        publish: Some(Publish {
            topic: format!("t/{quantity}"),
            late_topic: None,
            qos: Qos::ExactlyOnce,
            retain: false,
            shape,
            format: None,
            buffer: true,
        }),
        place: None,
    };
    kinds.map(channel).into()
}

fn messages() -> MirrorBatch {
    let columns = [(
        "v".to_owned(),
        config::TableColumn { path: config::JsonPath("/v".to_owned()), kind: config::ColumnKind::Real },
    )];
    MirrorBatch {
        mirror: "all".to_owned(),
        messages: vec![NewMessage {
            topic: "a/b".to_owned(),
            received: moment(NOW),
            qos: Qos::ExactlyOnce,
            retained: true,
            payload: b"{\"v\":1}".to_vec(),
            id: Some(("0123abcd".to_owned(), 1)),
            fields: Some(vec![Sql::Real(1.0)]),
            told: Vec::new(),
        }],
        table: Some(config::Table { name: "mine".to_owned(), columns: columns.into() }),
        held: vec![(7, 7)],
        subscribed: Some(vec![("a/#".to_owned(), Qos::AtLeastOnce)]),
        ..MirrorBatch::default()
    }
}
