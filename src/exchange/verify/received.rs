//! What somebody received, from wherever it was kept: the messages of a mirror's database, its CSV file, payloads
//! line by line, an export, another log.

use std::fs::File;
use std::io::BufReader;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value as Json};

use super::ledger::{Ledger, Message};
use super::report::Report;
use super::{Failure, Window};
use crate::exchange::csv::Records;
use crate::exchange::lines::{Lines, without_end};
use crate::exchange::source::Source;
use crate::exchange::survey::Manner;
use crate::exchange::{Fault, Format, Raw, Row, jsonl};
use crate::log::intake::Series;
use crate::log::query::Selection;
use crate::log::{LogFile, Reader};

/// Messages read at once, each with its payload.
const MESSAGES: usize = 200;

/// Rows between two words of progress.
const STEP: u64 = 1_000;

/// Where what was received is kept.
#[derive(Debug, Clone)]
pub enum Received {
    /// A database of sensor-bridge: its mirrored messages or, where there are none, its readings.
    Database(LogFile),
    /// A file, and how to read it if it has no ids.
    File(PathBuf, Box<Manner>),
}

impl Received {
    /// Whether a file is a database, by its first bytes.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn is_database(path: &Path) -> std::io::Result<bool> {
        File::open(path).map(drop)?;
        Ok(LogFile::is_one(path))
    }
}

/// Progress: done and in all; may break it off.
type Tell<'a> = &'a mut dyn FnMut(u64, u64) -> ControlFlow<()>;

/// Compares. `None` when it was broken off.
///
/// # Errors
/// One of the two cannot be read.
pub fn compare(
    log: impl Into<LogFile>,
    received: &Received,
    window: Window,
    progress: Tell<'_>,
) -> Result<Option<Report>, Failure> {
    let log = log.into();
    let is_own = matches!(received, Received::Database(file) if is_same(&file.path, &log.path));
    let mut ledger = Ledger::open(Reader::open(log)?, window)?;
    let by_id = match received {
        Received::Database(file) => database(file, is_own, &mut ledger, progress)?,
        Received::File(path, manner) if manner.format == Format::Csv => {
            csv(path, manner, &mut ledger, progress)?
        }
        Received::File(path, manner) if manner.format == Format::Jsonl => {
            payloads(path, manner, &mut ledger, progress)?
        }
        Received::File(path, manner) => rows(path, manner, &mut ledger, progress)?,
    };
    match by_id {
        Some(_) if is_own && ledger.identified() == 0 => Err(Failure::NoMirror),
        Some(by_id) => ledger.finish(by_id, progress),
        None => Ok(None),
    }
}

/// Whether two names are of one file.
fn is_same(one: &Path, other: &Path) -> bool {
    one.canonicalize().ok().zip(other.canonicalize().ok()).is_some_and(|(one, other)| one == other)
}

/// Each of these answers whether what arrived was told apart by ids; `None` when broken off.
type ById = Result<Option<bool>, Failure>;

fn database(file: &LogFile, is_own: bool, ledger: &mut Ledger, progress: Tell<'_>) -> ById {
    let mut reader = Reader::open(file)?;
    let (_, last) = reader.last_ids()?;
    // Its own readings are all in the log itself, whatever has arrived anywhere.
    if last == 0 && !is_own {
        return readings(reader, ledger, progress);
    }
    let mut after = 0;
    loop {
        let messages = reader.messages(after, MESSAGES)?;
        let Some(newest) = messages.last() else { return Ok(Some(true)) };
        after = newest.id;
        for message in messages {
            enter(ledger, Some(message.topic), std::str::from_utf8(&message.payload).unwrap_or_default())?;
        }
        if progress(after.unsigned_abs(), last.unsigned_abs()).is_break() {
            return Ok(None);
        }
    }
}

fn readings(mut reader: Reader, ledger: &mut Ledger, progress: Tell<'_>) -> ById {
    let total = reader.span()?;
    let (mut done, mut failed, mut stopped) = (0, None, false);
    reader.select(&Selection::default(), |line| {
        let (series, value) = (Series::of(&line.channel), Raw::Is(line.value));
        let row = Row { line: 0, series, at: line.at, clock: line.clock, value };
        done += 1;
        failed = ledger.reading(&row).err();
        stopped = done % STEP == 0 && progress(done, total).is_break();
        if failed.is_none() && !stopped { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    match failed {
        Some(error) => Err(error.into()),
        None => Ok((!stopped).then_some(false)),
    }
}

/// Enters a message by its payload.
fn enter(ledger: &mut Ledger, topic: Option<String>, payload: &str) -> Result<(), Failure> {
    match object(payload).and_then(|body| Some((id_of(&body)?, body))) {
        Some(((epoch, row), body)) => {
            ledger.message(Message { topic, epoch, row, body: Some(body), value: None })?;
        }
        None => ledger.without_identity(),
    }
    Ok(())
}

fn object(payload: &str) -> Option<Map<String, Json>> {
    payload.starts_with('{').then(|| jsonl::object(payload).ok()).flatten()
}

/// Epoch and row of a message of ours.
fn id_of(body: &Map<String, Json>) -> Option<(String, i64)> {
    body.get("id").and_then(Json::as_str).and_then(identity)
}

/// `<epoch>-<row>`.
fn identity(id: &str) -> Option<(String, i64)> {
    let (epoch, row) = id.split_once('-')?;
    let ours = epoch.len() == 8 && epoch.bytes().all(|byte| byte.is_ascii_hexdigit());
    Some((epoch.to_owned(), row.parse().ok()?)).filter(|_| ours)
}

/// A CSV mirror has a topic, and an id or payload; anything else is taken for an export.
fn csv(path: &Path, manner: &Manner, ledger: &mut Ledger, progress: Tell<'_>) -> ById {
    let file = File::open(path).map_err(Fault::Io)?;
    let size = file.metadata().map_err(Fault::Io)?.len();
    let mut records = Records::new(BufReader::new(file), manner.mapping.delimiter);
    let mut fields = Vec::new();
    records.next(&mut fields)?;
    let place = |name: &str| fields.iter().position(|field| field.text == name);
    let (topic, payload, id, value) = (place("topic"), place("payload"), place("id"), place("value"));
    if topic.is_none() && payload.is_none() && id.is_none() {
        return rows(path, manner, ledger, progress);
    }
    if payload.is_none() && id.is_none() {
        return Err(Fault::File(
            "has neither a column id nor payload, by which messages could be told apart; add id to the columns of the mirror".to_owned(),
        )
        .into());
    }
    for turn in 1_u64.. {
        if records.next(&mut fields)?.is_none() {
            break;
        }
        let get = |place: Option<usize>| {
            place
                .and_then(|place| fields.get(place))
                .map(|field| field.text.clone())
                .filter(|text| !text.is_empty())
        };
        match (get(payload), get(id).as_deref().and_then(identity)) {
            (Some(payload), _) if payload.starts_with('{') => enter(ledger, get(topic), &payload)?,
            (_, Some((epoch, row))) => {
                ledger.message(Message { topic: get(topic), epoch, row, body: None, value: get(value) })?
            }
            _ => ledger.without_identity(),
        }
        if turn.is_multiple_of(STEP) && progress(records.lines.bytes, size).is_break() {
            return Ok(None);
        }
    }
    Ok(Some(true))
}

/// JSON lines: payloads of ours, as `mosquitto_sub` prints them, or an export.
fn payloads(path: &Path, manner: &Manner, ledger: &mut Ledger, progress: Tell<'_>) -> ById {
    if !has_ids(path)? {
        return rows(path, manner, ledger, progress);
    }
    let file = File::open(path).map_err(Fault::Io)?;
    let size = file.metadata().map_err(Fault::Io)?.len();
    let mut lines = Lines::new(BufReader::new(file));
    let mut buffer = Vec::new();
    for turn in 1_u64.. {
        buffer.clear();
        if !lines.append(&mut buffer)? {
            break;
        }
        let line = payload(&buffer);
        if !line.is_empty() {
            enter(ledger, None, line)?;
        }
        if turn.is_multiple_of(STEP) && progress(lines.bytes, size).is_break() {
            return Ok(None);
        }
    }
    Ok(Some(true))
}

/// Whether there is a message with an identity. It need not be the first one: under the same first level of the topic
/// are the bridge's `online` and its facts, both retained, and whatever others say.
fn has_ids(path: &Path) -> Result<bool, Failure> {
    let mut lines = Lines::new(BufReader::new(File::open(path).map_err(Fault::Io)?));
    let mut buffer = Vec::new();
    while lines.append(&mut buffer)? {
        if object(payload(&buffer)).is_some_and(|body| id_of(&body).is_some()) {
            return Ok(true);
        }
        buffer.clear();
    }
    Ok(false)
}

/// What stands on a line; nothing for bytes that are no text, a picture's say.
fn payload(line: &[u8]) -> &str {
    std::str::from_utf8(without_end(line)).unwrap_or_default().trim()
}

/// An export in any format.
fn rows(path: &Path, manner: &Manner, ledger: &mut Ledger, progress: Tell<'_>) -> ById {
    let size = std::fs::metadata(path).map_err(Fault::Io)?.len();
    let mut source = Source::open(path, manner.format, &manner.mapping)?;
    let mut rows = Vec::new();
    for turn in 1_u64.. {
        rows.clear();
        if !source.next(&mut rows)? {
            break;
        }
        for row in &rows {
            ledger.reading(row)?;
        }
        if turn.is_multiple_of(STEP) && progress(source.bytes(), size).is_break() {
            return Ok(None);
        }
    }
    Ok(Some(false))
}
