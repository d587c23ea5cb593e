//! What mirrors store: messages, the user's typed tables, held packet ids, intents and subscriptions.
//! Works inside the writer's transaction and commits nothing itself.

use std::collections::{HashMap, HashSet};

use rusqlite::types::Value as Sql;
use rusqlite::{Connection, OptionalExtension, ToSql, params, params_from_iter};

use super::{Intent, MirrorBatch, MirrorState, NewMessage, Stored, Told, refused_message};
use crate::config::{ColumnKind, Table};
use crate::reading::{Clock, Qos};

/// Topics remembered with their row id; beyond it the memory starts anew.
const MAX_TOPICS: usize = 10_000;

/// What is known of the database from earlier batches. Must be dropped whenever a transaction is rolled
/// back: it may name rows that never came to be.
#[derive(Debug, Default)]
pub(super) struct Known {
    topics: HashMap<String, i64>,
    mirrors: HashMap<String, i64>,
    tables: HashMap<String, Table>,
    readings: HashSet<String>,
}

/// Why a batch was not stored.
#[derive(Debug)]
pub(super) enum StoreError {
    Sqlite(rusqlite::Error),
    /// The user's table cannot be used as configured.
    Table(String),
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

/// Stores a batch; `next` is the id of the next message.
pub(super) fn store(
    connection: &Connection,
    known: &mut Known,
    next: &mut i64,
    batch: &MirrorBatch,
) -> Result<Stored, StoreError> {
    let mirror = mirror_id(connection, known, &batch.mirror)?;
    if let Some(table) = &batch.table {
        prepare_table(connection, known, table)?;
    }
    if let Some(name) = &batch.readings {
        prepare_readings(connection, known, name)?;
    }
    let stored = insert_messages(connection, known, mirror, next, batch)?;
    refused_message::store(connection, mirror, &batch.refused)?;
    keep_session(connection, mirror, batch)?;
    Ok(stored)
}

fn mirror_id(connection: &Connection, known: &mut Known, name: &str) -> rusqlite::Result<i64> {
    if let Some(id) = known.mirrors.get(name) {
        return Ok(*id);
    }
    connection
        .prepare_cached("INSERT INTO mirror (name) VALUES (?1) ON CONFLICT (name) DO NOTHING")?
        .execute([name])?;
    let id = connection
        .prepare_cached("SELECT id FROM mirror WHERE name = ?1")?
        .query_row([name], |row| row.get(0))?;
    known.mirrors.insert(name.to_owned(), id);
    Ok(id)
}

fn topic_id(connection: &Connection, known: &mut Known, name: &str) -> rusqlite::Result<i64> {
    if let Some(id) = known.topics.get(name) {
        return Ok(*id);
    }
    let found: Option<i64> = connection
        .prepare_cached("SELECT id FROM topic WHERE name = ?1")?
        .query_row([name], |row| row.get(0))
        .optional()?;
    let id = match found {
        Some(id) => id,
        None => {
            connection.prepare_cached("INSERT INTO topic (name) VALUES (?1)")?.execute([name])?;
            connection.last_insert_rowid()
        }
    };
    if known.topics.len() >= MAX_TOPICS {
        known.topics.clear();
    }
    known.topics.insert(name.to_owned(), id);
    Ok(id)
}

fn insert_messages(
    connection: &Connection,
    known: &mut Known,
    mirror: i64,
    next: &mut i64,
    batch: &MirrorBatch,
) -> rusqlite::Result<Stored> {
    let mut stored = Stored::default();
    let mut insert = connection.prepare_cached(
        "INSERT INTO message (id, mirror, topic, time, flags, payload, origin, number)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
         ON CONFLICT (number, origin, mirror, topic) WHERE origin IS NOT NULL DO NOTHING",
    )?;
    let insert_fields = batch.table.as_ref().map(insert_into);
    let insert_told = batch.readings.as_ref().map(|name| {
        let columns = "message, time, topic, device, sensor, quantity, value, unit, taken";
        format!("INSERT INTO {} ({columns}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)", quote(name))
    });
    for message in &batch.messages {
        let topic = topic_id(connection, known, &message.topic)?;
        let flags = flags(message);
        let (origin, number) = message.id.as_ref().map(|(epoch, row)| (epoch, row)).unzip();
        let payload = payload(&message.payload);
        let time = message.received.wall.0;
        if insert.execute(params![*next, mirror, topic, time, flags, payload, origin, number])? == 0 {
            stored.repeats += 1;
            continue;
        }
        if let (Some(sql), Some(fields)) = (&insert_fields, &message.fields) {
            insert_typed(connection, sql, *next, message, fields)?;
        }
        if let Some(sql) = &insert_told {
            insert_readings(connection, sql, *next, message)?;
        }
        *next += 1;
    }
    Ok(stored)
}

/// What is known of how a message came, in one number.
pub(super) fn flags(message: &NewMessage) -> i64 {
    let unsynced = i64::from(message.received.clock == Clock::Unsynced);
    message.qos as i64 | i64::from(message.retained) << 2 | unsynced << 3
}

/// Text where it is text, so that people can read it. A NUL would end it for most tools: then it is bytes.
pub(super) fn payload(bytes: &[u8]) -> Box<dyn ToSql + '_> {
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.contains('\0') => Box::new(text),
        _ => Box::new(bytes),
    }
}

fn insert_typed(
    connection: &Connection,
    sql: &str,
    id: i64,
    message: &NewMessage,
    fields: &[Sql],
) -> rusqlite::Result<()> {
    let own =
        [Sql::Integer(id), Sql::Text(message.received.wall.to_string()), Sql::Text(message.topic.clone())];
    connection.prepare_cached(sql)?.execute(params_from_iter(own.iter().chain(fields)))?;
    Ok(())
}

fn insert_readings(
    connection: &Connection,
    sql: &str,
    id: i64,
    message: &NewMessage,
) -> rusqlite::Result<()> {
    let received = message.received.wall.to_string();
    for told in &message.told {
        let Told { device, sensor, quantity, value, unit, taken } = told;
        let taken = taken.map(|taken| taken.to_string());
        connection.prepare_cached(sql)?.execute(params![
            id,
            received,
            message.topic,
            device,
            sensor,
            quantity,
            value,
            unit,
            taken
        ])?;
    }
    Ok(())
}

/// Packet ids, intent and subscriptions, in the order in which the broker's session has lived them.
fn keep_session(connection: &Connection, mirror: i64, batch: &MirrorBatch) -> rusqlite::Result<()> {
    if batch.forget_all {
        connection.prepare_cached("DELETE FROM held WHERE mirror = ?1")?.execute([mirror])?;
    }
    for id in &batch.released {
        connection
            .prepare_cached("DELETE FROM held WHERE mirror = ?1 AND packet_id = ?2")?
            .execute(params![mirror, id])?;
    }
    for (id, hash) in &batch.held {
        connection
            .prepare_cached("INSERT OR REPLACE INTO held (mirror, packet_id, hash) VALUES (?1, ?2, ?3)")?
            .execute(params![mirror, id, hash])?;
    }
    if let Some(intent) = &batch.intent {
        let ids: Vec<String> = intent.packet_ids.iter().map(u16::to_string).collect();
        connection
            .prepare_cached(
                "INSERT OR REPLACE INTO intent (mirror, file, \"from\", \"to\", sha256, packet_ids)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )?
            // Lengths of files fit i64: Linux's off_t is one.
            .execute(params![
                mirror,
                intent.file,
                intent.from as i64,
                intent.to as i64,
                intent.sha256,
                ids.join(",")
            ])?;
    }
    if let Some(filters) = &batch.subscribed {
        connection.prepare_cached("DELETE FROM subscription WHERE mirror = ?1")?.execute([mirror])?;
        for (filter, qos) in filters {
            connection
                .prepare_cached(
                    "INSERT OR REPLACE INTO subscription (mirror, filter, qos) VALUES (?1, ?2, ?3)",
                )?
                .execute(params![mirror, filter, *qos as i64])?;
        }
    }
    Ok(())
}

/// Makes the user's table or adds what columns it lacks; refuses a table that is not a mirror's.
fn prepare_table(connection: &Connection, known: &mut Known, table: &Table) -> Result<(), StoreError> {
    if known.tables.get(&table.name) == Some(table) {
        return Ok(());
    }
    let name = quote(&table.name);
    if !has_table(connection, &table.name, false)? {
        connection.execute_batch(&format!(
            "CREATE TABLE {name} (id INTEGER PRIMARY KEY REFERENCES message (id) ON DELETE CASCADE,
               time TEXT NOT NULL, topic TEXT NOT NULL)"
        ))?;
        connection.execute("INSERT OR IGNORE INTO mirror_table (name) VALUES (?1)", [&table.name])?;
    }
    add_columns(connection, table, &name)?;
    known.tables.insert(table.name.clone(), table.clone());
    Ok(())
}

/// Whether a mirror's table of this name is there; refuses one of another kind, or of somebody else.
fn has_table(connection: &Connection, name: &str, of_readings: bool) -> Result<bool, StoreError> {
    let says = |sql: &str| connection.prepare_cached(sql)?.query_row([name], |row| row.get::<_, bool>(0));
    if !says("SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE name = ?1 COLLATE NOCASE)")? {
        return Ok(false);
    }
    if !says("SELECT EXISTS (SELECT 1 FROM mirror_table WHERE name = ?1 COLLATE NOCASE)")? {
        return Err(StoreError::Table(format!(
            "table \"{name}\" exists already and is not a mirror's; choose another name"
        )));
    }
    // A column that only tables of readings have: in others it could only be one of the user's.
    let many = says(
        "SELECT EXISTS (SELECT 1 FROM pragma_table_info(?1) WHERE name = 'message' AND \"notnull\" = 1)",
    )?;
    if many != of_readings {
        let (is, other) = if many { ("readings", "columns") } else { ("columns", "readings") };
        return Err(StoreError::Table(format!(
            "table \"{name}\" holds {is} of messages, not {other}; choose another name"
        )));
    }
    Ok(true)
}

/// Makes the table of readings. It has a row for each, so it has numbers of its own.
fn prepare_readings(connection: &Connection, known: &mut Known, name: &str) -> Result<(), StoreError> {
    if known.readings.contains(name) {
        return Ok(());
    }
    if !has_table(connection, name, true)? {
        let index = |what: &str| quote(&format!("mirror_{name}_by_{what}"));
        connection.execute_batch(&format!(
            "CREATE TABLE {table} (id INTEGER PRIMARY KEY,
               message INTEGER NOT NULL REFERENCES message (id) ON DELETE CASCADE,
               time TEXT NOT NULL, topic TEXT NOT NULL, device TEXT, sensor TEXT, quantity TEXT NOT NULL, value,
               unit TEXT, taken TEXT);
             CREATE INDEX {by_message} ON {table} (message);
             CREATE INDEX {by_device} ON {table} (device, quantity, time);",
            table = quote(name),
            by_message = index("message"),
            by_device = index("device"),
        ))?;
        connection.execute("INSERT OR IGNORE INTO mirror_table (name) VALUES (?1)", [name])?;
    }
    known.readings.insert(name.to_owned());
    Ok(())
}

fn add_columns(connection: &Connection, table: &Table, name: &str) -> Result<(), StoreError> {
    let mut present: HashMap<String, String> = connection
        .prepare("SELECT lower(name), type FROM pragma_table_info(?1)")?
        .query_map([&table.name], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<rusqlite::Result<_>>()?;
    for (column, declared) in &table.columns {
        let wanted = match declared.kind {
            ColumnKind::Integer => "INTEGER",
            ColumnKind::Real => "REAL",
            ColumnKind::Text => "TEXT",
        };
        let lower = column.to_ascii_lowercase();
        if matches!(lower.as_str(), "id" | "time" | "topic") {
            return Err(StoreError::Table(format!(
                "column \"{column}\" of table {name} is taken by the log itself"
            )));
        }
        match present.get(&lower) {
            Some(kind) if kind == wanted => {}
            Some(kind) => {
                return Err(StoreError::Table(format!(
                    "column \"{column}\" of table {name} is {kind} already, not {wanted}; choose another name for it"
                )));
            }
            None => {
                connection
                    .execute_batch(&format!("ALTER TABLE {name} ADD COLUMN {} {wanted}", quote(column)))?;
                present.insert(lower, wanted.to_owned());
            }
        }
    }
    Ok(())
}

fn insert_into(table: &Table) -> String {
    let columns: Vec<String> = table.columns.keys().map(|column| quote(column)).collect();
    let own = ["id", "time", "topic"].map(str::to_owned);
    let all: Vec<String> = own.into_iter().chain(columns).collect();
    let marks = vec!["?"; all.len()].join(", ");
    format!("INSERT INTO {} ({}) VALUES ({marks})", quote(&table.name), all.join(", "))
}

/// An identifier, safe in SQL.
fn quote(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// What is kept for a mirror of this name.
pub(super) fn load(connection: &Connection, mirror: &str) -> rusqlite::Result<MirrorState> {
    let held = connection
        .prepare_cached(
            "SELECT packet_id, hash FROM held WHERE mirror = (SELECT id FROM mirror WHERE name = ?1) ORDER BY 1",
        )?
        .query_map([mirror], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<rusqlite::Result<_>>()?;
    let intent = connection
        .prepare_cached(
            "SELECT file, \"from\", \"to\", sha256, packet_ids FROM intent
             WHERE mirror = (SELECT id FROM mirror WHERE name = ?1)",
        )?
        .query_row([mirror], |row| {
            let ids: String = row.get(4)?;
            Ok(Intent {
                file: row.get(0)?,
                from: row.get::<_, i64>(1)? as u64,
                to: row.get::<_, i64>(2)? as u64,
                sha256: row.get(3)?,
                packet_ids: ids.split(',').filter_map(|id| id.parse().ok()).collect(),
            })
        })
        .optional()?;
    let subscribed = connection
        .prepare_cached(
            "SELECT filter, qos FROM subscription WHERE mirror = (SELECT id FROM mirror WHERE name = ?1) ORDER BY 1",
        )?
        .query_map([mirror], |row| {
            let level: i64 = row.get(1)?;
            let qos = Qos::try_from(level).map_err(|level| rusqlite::Error::IntegralValueOutOfRange(1, level))?;
            Ok((row.get(0)?, qos))
        })?
        .collect::<rusqlite::Result<_>>()?;
    Ok(MirrorState { held, intent, subscribed })
}
