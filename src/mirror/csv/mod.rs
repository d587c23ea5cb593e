//! The CSV sink: RFC 4180 files of chosen columns, a new one each day or when one grows too large.
//!
//! A file has no transactions, so exactly-once at QoS 2 is made of two steps: what is about to be appended is
//! written to the log first (an *intent*, with the packet ids), then appended and fsynced. After a crash the
//! file either ends with exactly those bytes, or it is cut back and the packet ids are forgotten. QoS 0 and
//! 1 need no intent: what was appended and not acknowledged comes again, and of our own messages the repeat
//! is recognised by its `id`.

mod file;
#[cfg(any(test, fuzzing))]
pub(super) mod fuzz;
mod intent;
mod name;
mod recent;
mod record;

use std::path::Path;

use tracing::warn;

use self::file::{Append, OpenFile};
use self::name::{Names, day};
use self::recent::Recent;
use self::record::Columns;
use super::shape::{Seen, Shape};
use super::{Batch, Ledger, Session, Sink, SinkError, Stored, field, held};
use crate::config::CsvColumn;
use crate::enrich::clock;
use crate::log::{Intent, MirrorBatch};

pub(super) use intent::recover;

/// Bytes appended at once, at most; a single larger message is appended alone.
const MOST_AT_ONCE: usize = 8 << 20;

/// How much of a file is written before its length is noted in the log: as much must be read again to find
/// a torn line after a crash.
const NOTE_EVERY: u64 = 16 << 20;

/// How much of the ends of the files is read at the start to know what was written last, bytes, and of how many files.
const TAIL: u64 = 4 << 20;
const FILES: usize = 100;

/// See the module.
pub(super) struct Csv {
    mirror: String,
    names: Names,
    columns: Columns,
    max_size: Option<u64>,
    shape: Option<Shape>,
    ledger: Box<dyn Ledger>,
    append: Append,
    current: Option<OpenFile>,
    recent: Recent,
    progress: Progress,
}

/// How far the batch at hand is stored: it is given again after an error.
#[derive(Debug, Default)]
struct Progress {
    messages: usize,
    notes: bool,
    stored: Stored,
}

/// Consecutive messages of a batch that go to one file, encoded.
struct Segment {
    bytes: Vec<u8>,
    end: usize,
    stored: Stored,
}

impl Csv {
    pub(super) fn new(
        mirror: &str,
        path: &str,
        columns: &[CsvColumn],
        max_size: Option<u64>,
        ledger: Box<dyn Ledger>,
    ) -> Self {
        Self {
            mirror: mirror.to_owned(),
            names: Names::new(path, mirror),
            columns: Columns::new(columns),
            max_size,
            shape: None,
            ledger,
            append: file::append(),
            current: None,
            recent: Recent::default(),
            progress: Progress::default(),
        }
    }

    /// Takes messages for those of another program, with a record for each reading.
    pub(super) fn shaped(self, shape: Option<Shape>) -> Self {
        Self { shape, ..self }
    }

    /// The file for messages of this day (days since the epoch), opened, put right and not yet full.
    fn file_for(&mut self, day: i64) -> Result<&mut OpenFile, SinkError> {
        let fits = |file: &OpenFile, max: Option<u64>| max.is_none_or(|max| file.len < max);
        let current = match self.current.take() {
            Some(file) if file.day == day && fits(&file, self.max_size) && file.is_as_left() => file,
            other => {
                let full = other.as_ref().is_some_and(|file| file.day == day && !fits(file, self.max_size));
                // Closed first: its lock would keep us from opening it again.
                drop(other);
                self.open_file(day, full)?
            }
        };
        Ok(self.current.insert(current))
    }

    /// Opens the newest file of the day, or the next when that is full or has other columns.
    fn open_file(&self, day: i64, next: bool) -> Result<OpenFile, SinkError> {
        let base = self.names.base(day);
        let mut number = name::highest(&base)?.map_or(0, |number| number + u32::from(next));
        let noted = self.ledger.state(&self.mirror)?.intent;
        loop {
            let path = name::numbered(&base, number);
            let boundary = noted.as_ref().filter(|intent| path.as_os_str() == intent.file.as_str());
            let boundary = boundary.map_or(0, |intent| intent.from);
            match OpenFile::open(&path, day, self.columns.header(), boundary) {
                Ok(Some(file)) if self.max_size.is_none_or(|max| file.len < max) => {
                    self.note(&path, file.len);
                    return Ok(file);
                }
                Ok(_) => number += 1,
                // Another mirror may be configured to write to what is only a number of ours.
                Err(SinkError::InUse(_)) if number > 0 => number += 1,
                Err(error) => return Err(error),
            }
        }
    }

    /// Notes in the log that a record ends here. Only saves reading after a crash, so a failure is no error.
    fn note(&self, path: &Path, len: u64) {
        if let Err(error) = self.ledger.store(intent::mark(&self.mirror, path, len)) {
            warn!("{}: its length could not be noted: {error}", path.display());
        }
    }

    /// Remembers what was written last: in the newest file, and in those before it while that is little. With a date
    /// these may be of the day before.
    fn seed(&mut self, today: i64) -> Result<(), SinkError> {
        let mut paths = Vec::new();
        for day in if self.names.dated() { vec![today, today - 1] } else { vec![today] } {
            let base = self.names.base(day);
            if let Some(highest) = name::highest(&base)? {
                paths.extend((0..=highest).rev().take(FILES).map(|number| name::numbered(&base, number)));
            }
        }
        let (mut tails, mut room) = (Vec::new(), TAIL);
        for path in paths.iter().take(FILES) {
            let tail = file::tail(path, self.columns.header(), room).unwrap_or_else(|error| {
                // It is written to no more, so nothing else depends on it.
                warn!("{}: repeats of what it holds are not known: {error}", path.display());
                Vec::new()
            });
            room = room.saturating_sub(tail.len() as u64);
            tails.push(tail);
            if room == 0 {
                break;
            }
        }
        tails.iter().rev().for_each(|tail| self.recent.seed(tail, &self.columns));
        Ok(())
    }

    /// Encodes as many messages as go into the current file together.
    fn segment(&mut self, batch: &Batch) -> Result<Segment, SinkError> {
        let begin = self.progress.messages;
        let today = self.names.day(&batch.messages[begin]);
        let len = self.file_for(today)?.len;
        let mut segment = Segment { bytes: Vec::new(), end: begin, stored: Stored::default() };
        let mut encoder = self.columns.encoder(len == 0);
        for message in &batch.messages[begin..] {
            let bytes = encoder.len();
            let full = self.max_size.is_some_and(|max| len + bytes as u64 >= max);
            if segment.end > begin && (full || bytes >= MOST_AT_ONCE || self.names.day(message) != today) {
                break;
            }
            segment.end += 1;
            let mut fields = field::Tally::default();
            let seen = match &self.shape {
                Some(shape) => shape.read(message, &mut fields),
                None => Seen::of_ours(message),
            };
            if seen.id().is_some_and(|id| !self.recent.is_new(&message.topic, &id)) {
                segment.stored.repeats += 1;
            } else {
                encoder.push(message, &seen, &mut fields);
                segment.stored.fields.add(fields);
            }
        }
        // Nothing but repeats: not even a header is due.
        if segment.stored.repeats < segment.end - begin {
            segment.bytes = encoder.finish();
        }
        Ok(segment)
    }

    /// Makes a segment durable.
    fn commit(&mut self, batch: &Batch, segment: &Segment) -> Result<(), SinkError> {
        let messages = &batch.messages[self.progress.messages..segment.end];
        let held = held(messages);
        let Some(file) = self.current.as_mut() else { return Ok(()) };
        if !held.is_empty() {
            let notes = if self.progress.notes {
                Batch::default().notes(&self.mirror)
            } else {
                batch.notes(&self.mirror)
            };
            let intent = (!segment.bytes.is_empty()).then(|| intended(file, &segment.bytes, &held));
            self.ledger.store(MirrorBatch { held, intent, ..notes })?;
            self.progress.notes = true;
            file.noted = file.len;
        }
        if !segment.bytes.is_empty() {
            file.append(&segment.bytes, &mut self.append)?;
        }
        Ok(())
    }
}

fn intended(file: &OpenFile, bytes: &[u8], held: &[(u16, i64)]) -> Intent {
    Intent {
        file: file.path.display().to_string(),
        from: file.len,
        to: file.len + bytes.len() as u64,
        sha256: intent::sha256(bytes),
        packet_ids: held.iter().map(|(id, _)| *id).collect(),
    }
}

impl Sink for Csv {
    fn open(&mut self) -> Result<Session, SinkError> {
        self.current = None;
        self.recent = Recent::default();
        let session = recover(&self.mirror, &*self.ledger)?;
        let today = if self.names.dated() { day(clock::now().wall) } else { 0 };
        let base = self.names.base(today);
        // Now rather than at the first message, so that a path that cannot be written is seen at once.
        file::create_folder(&base)?;
        if name::highest(&base)?.is_some() {
            // Put right before it is read.
            self.file_for(today)?;
        }
        self.seed(today)?;
        Ok(session)
    }

    fn store(&mut self, batch: &Batch) -> Result<Stored, SinkError> {
        while self.progress.messages < batch.messages.len() {
            let segment = self.segment(batch).and_then(|segment| {
                self.commit(batch, &segment)?;
                Ok(segment)
            });
            // Remembered only once they are durable: otherwise the next attempt would drop them as repeats.
            let segment = match segment {
                Ok(segment) => segment,
                Err(error) => {
                    self.recent.forget_new();
                    return Err(error);
                }
            };
            self.recent.keep_new();
            self.progress.messages = segment.end;
            self.progress.stored.repeats += segment.stored.repeats;
            self.progress.stored.fields.add(segment.stored.fields);
            if let Some(file) = self.current.as_mut().filter(|file| file.len - file.noted >= NOTE_EVERY) {
                file.noted = file.len;
                let (path, len) = (file.path.clone(), file.len);
                self.note(&path, len);
            }
        }
        if batch.has_notes() && !self.progress.notes {
            self.ledger.store(batch.notes(&self.mirror))?;
        }
        Ok(std::mem::take(&mut self.progress).stored)
    }

    fn close(&mut self) {
        if let Some(file) = self.current.take() {
            self.note(&file.path, file.len);
        }
    }
}

#[cfg(test)]
mod tests;

#[cfg(test)]
impl Csv {
    /// Makes every append write half of its bytes and fail, as a full disk does, while `fails` is set.
    pub(super) fn append_half_while(&mut self, fails: std::sync::Arc<std::sync::atomic::AtomicBool>) {
        use std::io::Write;
        let mut real = file::append();
        self.append = Box::new(move |file, bytes| {
            if fails.load(std::sync::atomic::Ordering::SeqCst) {
                file.write_all(&bytes[..bytes.len() / 2])?;
                return Err(std::io::ErrorKind::StorageFull.into());
            }
            real(file, bytes)
        });
    }
}

/// Topic and payload of every record, read as any reader of CSV would.
#[cfg(test)]
pub(super) fn read_back(path: &std::path::Path, topic: usize, payload: usize) -> Vec<(String, Vec<u8>)> {
    use base64::Engine;
    let mut reader = csv::Reader::from_path(path).unwrap();
    let record = |record: csv::Result<csv::StringRecord>| {
        let record = record.unwrap();
        let bytes = match record[payload].strip_prefix("base64:") {
            Some(text) => base64::engine::general_purpose::STANDARD.decode(text).unwrap(),
            None => record[payload].as_bytes().to_vec(),
        };
        (record[topic].to_owned(), bytes)
    };
    reader.records().map(record).collect()
}
