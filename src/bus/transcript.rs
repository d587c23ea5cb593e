//! I2C traffic as a file: written while a real bus is read, played back through the real driver later, so that a
//! user can send us what their bus said. One JSON object a line; [`Entry`] is the format.

#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufRead, BufReader, LineWriter, Read as _, Write};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Instant, SystemTime};

use embedded_hal::i2c::{Error as _, ErrorKind};
use serde::{Deserialize, Serialize};

use super::i2c::{I2cError, Line};
use super::{BusError, lock};

/// Larger files than this are no recording of a sensor.
const MOST_ENTRIES: usize = 1_000_000;

/// Longer lines are no transfer: 64 KiB is the longest that a Pi can do, in hexadecimal, both ways.
const LONGEST_LINE: u64 = 300_000;

/// What the file calls a transfer that nobody acknowledged; other errors stand in words.
const NACK: &str = "nack";

/// One line of a transcript: a transfer, or the beginning of a reading.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    /// Seconds since the recording began; for people, not played back.
    #[serde(default)]
    time: f64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    address: Option<u8>,
    /// Bytes that were written, hexadecimal; left out when it was a read only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    write: Option<String>,
    /// Bytes that were read, hexadecimal; with an error, as many as were asked for, and of no meaning.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    read: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    /// "reading": a driver that was opened is asked for values.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    mark: Option<String>,
}

const READING: &str = "reading";

/// Where a recording goes; shared by all buses of a program.
#[derive(Debug)]
pub(super) struct Recording {
    begin: Instant,
    out: Mutex<Out>,
}

#[derive(Debug)]
struct Out {
    file: LineWriter<File>,
    /// The first line that could not be written.
    failure: Option<String>,
}

impl Recording {
    pub(super) fn create(path: &Path) -> Result<Self, BusError> {
        let file = File::create(path)
            .map_err(|error| BusError(format!("{} cannot be written: {error}", path.display())))?;
        let out = Mutex::new(Out { file: LineWriter::new(file), failure: None });
        Ok(Self { begin: Instant::now(), out })
    }

    /// A driver begins a reading.
    pub(super) fn mark_reading(&self) {
        self.note(Entry { mark: Some(READING.to_owned()), ..Entry::default() });
    }

    /// Why the file is not complete, if it is not.
    pub(super) fn failure(&self) -> Option<String> {
        lock(&self.out).failure.clone()
    }

    fn note(&self, mut entry: Entry) {
        entry.time = (self.begin.elapsed().as_secs_f64() * 1e6).round() / 1e6;
        let mut out = lock(&self.out);
        if out.failure.is_some() {
            return;
        }
        let written = serde_json::to_string(&entry)
            .map_err(std::io::Error::from)
            .and_then(|line| writeln!(out.file, "{line}"));
        // The bus is what matters to the driver; whoever asked for the recording is told at its end.
        out.failure = written.err().map(|error| error.to_string());
    }
}

/// A bus whose traffic is written down.
pub(super) struct Recorder {
    pub(super) line: Arc<Mutex<dyn Line>>,
    pub(super) recording: Arc<Recording>,
}

impl Recorder {
    fn note(&self, address: u8, write: Option<&[u8]>, read: Option<&[u8]>, done: &Result<(), I2cError>) {
        self.recording.note(Entry {
            address: Some(address),
            write: write.map(hexadecimal),
            read: read.map(hexadecimal),
            error: done.as_ref().err().map(|error| match error.kind() {
                ErrorKind::NoAcknowledge(_) => NACK.to_owned(),
                _ => error.to_string(),
            }),
            ..Entry::default()
        });
    }
}

impl Line for Recorder {
    fn write(&mut self, address: u8, bytes: &[u8]) -> Result<(), I2cError> {
        let done = lock(&self.line).write(address, bytes);
        self.note(address, Some(bytes), None, &done);
        done
    }

    fn read(&mut self, address: u8, buffer: &mut [u8]) -> Result<(), I2cError> {
        let done = lock(&self.line).read(address, buffer);
        self.note(address, None, Some(buffer), &done);
        done
    }

    fn write_read(&mut self, address: u8, bytes: &[u8], buffer: &mut [u8]) -> Result<(), I2cError> {
        let done = lock(&self.line).write_read(address, bytes, buffer);
        self.note(address, Some(bytes), Some(buffer), &done);
        done
    }
}

/// A transfer as it was recorded.
#[derive(Debug, Clone, PartialEq)]
struct Transfer {
    line: usize,
    write: Option<Vec<u8>>,
    read: Option<Vec<u8>>,
    error: Option<String>,
}

/// What was recorded at one address.
#[derive(Debug, Default)]
struct Track {
    transfers: Vec<Transfer>,
    /// Where readings begin.
    readings: Vec<usize>,
    next: usize,
    /// The driver did something else: only its beginning anew is answered.
    lost: bool,
}

/// Size and time of the last change of a file: with another of either it is taken for another recording.
pub(super) type Stamp = (u64, Option<SystemTime>);

/// Those of the recording at this path, if it can be looked at.
pub(super) fn stamp(path: &str) -> Option<Stamp> {
    let about = std::fs::metadata(path).ok()?;
    Some((about.len(), about.modified().ok()))
}

/// A bus that answers as recorded.
#[derive(Debug)]
pub(super) struct Replay {
    file: String,
    tracks: BTreeMap<u8, Track>,
}

impl Replay {
    pub(super) fn open(path: &str) -> Result<Self, BusError> {
        let file = File::open(path)
            .map_err(|error| BusError(format!("the recording {path} cannot be read: {error}")))?;
        Self::read(path, BufReader::new(file))
    }

    fn read(path: &str, mut lines: impl BufRead) -> Result<Self, BusError> {
        let wrong = |what: String| BusError(format!("the recording {path} {what}"));
        let mut tracks: BTreeMap<u8, Track> = BTreeMap::new();
        let mut marked = false;
        let mut line = String::new();
        for number in 1.. {
            line.clear();
            let read = (&mut lines).take(LONGEST_LINE).read_line(&mut line);
            if read.map_err(|error| wrong(format!("cannot be read: {error}")))? == 0 {
                break;
            }
            if line.len() as u64 == LONGEST_LINE {
                return Err(wrong(format!("has a line {number} that is longer than any transfer")));
            }
            if number > MOST_ENTRIES {
                return Err(wrong(format!("has more than {MOST_ENTRIES} lines")));
            }
            if line.trim().is_empty() {
                continue;
            }
            let entry: Entry = serde_json::from_str(&line)
                .map_err(|error| wrong(format!("has a line {number} that is no entry: {error}")))?;
            let Some(address) = entry.address else {
                marked |= entry.mark.as_deref() == Some(READING);
                continue;
            };
            let bytes = |text: Option<String>| match text {
                None => Ok(None),
                Some(text) => from_hexadecimal(&text).map(Some).ok_or_else(|| {
                    wrong(format!("has a line {number} whose bytes are not hexadecimal: {text:?}"))
                }),
            };
            let (write, read) = (bytes(entry.write)?, bytes(entry.read)?);
            let track = tracks.entry(address).or_default();
            if std::mem::take(&mut marked) {
                track.readings.push(track.transfers.len());
            }
            track.transfers.push(Transfer { line: number, write, read, error: entry.error });
        }
        if tracks.is_empty() {
            return Err(wrong("has no transfer in it".to_owned()));
        }
        Ok(Self { file: path.to_owned(), tracks })
    }

    /// Answers a transfer with what was recorded next at this address.
    ///
    /// At the end, the readings begin again, so that a short recording feeds a sensor for ever. A driver that was
    /// opened again (its first transfer comes) begins from the start.
    fn answer(&mut self, address: u8, write: Option<&[u8]>, read: Option<&mut [u8]>) -> Result<(), I2cError> {
        let Some(track) = self.tracks.get_mut(&address) else {
            return Err(I2cError::other(format!(
                "the recording {} has nothing of address {address:#04x}",
                self.file
            )));
        };
        let length = read.as_ref().map(|buffer| buffer.len());
        let fits = |transfer: &Transfer| {
            transfer.write.as_deref() == write && transfer.read.as_ref().map(Vec::len) == length
        };
        if track.next == track.transfers.len() {
            // The second reading, if there is one: the first may still have seen traces of the opening.
            track.next = track.readings.get(1).or(track.readings.first()).copied().unwrap_or(0);
        }
        let position = match track.transfers.get(track.next).is_some_and(|next| !track.lost && fits(next)) {
            true => track.next,
            false if track.transfers.first().is_some_and(fits) => 0,
            false => {
                track.lost = true;
                let expected = track.transfers.get(track.next).map(describe).unwrap_or_default();
                return Err(I2cError::other(format!(
                    "the recording {} does not fit: the driver wants to {} at address {address:#04x}, but {expected}: \
                     other options, another version, or a recording that began later?",
                    self.file,
                    operation(write, length)
                )));
            }
        };
        track.lost = false;
        track.next = position + 1;
        let Some(transfer) = track.transfers.get(position) else {
            return Err(I2cError::other("the recording is empty"));
        };
        match transfer.error.as_deref() {
            Some(NACK) => return Err(I2cError::no_acknowledge(address)),
            Some(error) => return Err(I2cError::other(format!("recorded: {error}"))),
            None => {}
        }
        if let (Some(buffer), Some(bytes)) = (read, &transfer.read) {
            buffer.copy_from_slice(bytes);
        }
        Ok(())
    }
}

fn describe(transfer: &Transfer) -> String {
    let length = transfer.read.as_ref().map(Vec::len);
    format!("line {} has: {}", transfer.line, operation(transfer.write.as_deref(), length))
}

fn operation(write: Option<&[u8]>, read: Option<usize>) -> String {
    match (write, read) {
        (Some(bytes), None) => format!("write {}", hexadecimal(bytes)),
        (Some(bytes), Some(length)) => format!("write {} and read {length} bytes", hexadecimal(bytes)),
        (None, Some(length)) => format!("read {length} bytes"),
        (None, None) => "do nothing".to_owned(),
    }
}

impl Line for Replay {
    fn probe(&mut self, address: u8) -> Result<(), I2cError> {
        if self.tracks.contains_key(&address) { Ok(()) } else { Err(I2cError::no_acknowledge(address)) }
    }

    fn write(&mut self, address: u8, bytes: &[u8]) -> Result<(), I2cError> {
        self.answer(address, Some(bytes), None)
    }

    fn read(&mut self, address: u8, buffer: &mut [u8]) -> Result<(), I2cError> {
        self.answer(address, None, Some(buffer))
    }

    fn write_read(&mut self, address: u8, bytes: &[u8], buffer: &mut [u8]) -> Result<(), I2cError> {
        self.answer(address, Some(bytes), Some(buffer))
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        // Writing to a String cannot fail.
        write!(text, "{byte:02x}").unwrap_or_default();
    }
    text
}

fn from_hexadecimal(text: &str) -> Option<Vec<u8>> {
    if !text.is_ascii() || !text.len().is_multiple_of(2) {
        return None;
    }
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn replay(lines: &str) -> Result<Replay, BusError> {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), lines).unwrap();
        Replay::open(file.path().to_str().unwrap())
    }

    const LINES: &str = r#"
{"time": 0.001, "address": 64, "write": "00399f"}
{"mark": "reading"}
{"address": 64, "write": "01", "read": "0001"}
{"address": 65, "read": "aa"}
{"mark": "reading"}
{"address": 64, "write": "01", "read": "0002"}
{"address": 64, "write": "02", "error": "nack"}
"#;

    #[test]
    fn it_answers_as_recorded_and_readings_come_round() {
        let mut bus = replay(LINES).unwrap();
        let register = |bus: &mut Replay| {
            let mut answer = [0; 2];
            bus.write_read(64, &[1], &mut answer).map(|()| answer[1])
        };
        bus.write(64, &[0, 0x39, 0x9F]).unwrap();
        assert_eq!(register(&mut bus), Ok(1));
        for _ in 0..3 {
            assert_eq!(register(&mut bus), Ok(2));
            assert_eq!(bus.write(64, &[2]), Err(I2cError::no_acknowledge(64)));
        }
        // Opened again.
        bus.write(64, &[0, 0x39, 0x9F]).unwrap();
        assert_eq!(register(&mut bus), Ok(1));
        let mut other = [0];
        for _ in 0..2 {
            bus.read(65, &mut other).unwrap();
            assert_eq!(other, [0xAA]);
        }
    }

    #[test]
    fn what_was_not_recorded_is_an_error_until_the_driver_begins_anew() {
        let mut bus = replay(LINES).unwrap();
        bus.write(64, &[0, 0x39, 0x9F]).unwrap();
        let error = bus.read(64, &mut [0; 3]).unwrap_err().to_string();
        assert!(
            error
                .contains("wants to read 3 bytes at address 0x40, but line 4 has: write 01 and read 2 bytes"),
            "{error}"
        );
        assert!(bus.write_read(64, &[1], &mut [0; 2]).is_err(), "it is lost");
        bus.write(64, &[0, 0x39, 0x9F]).unwrap();
        bus.write_read(64, &[1], &mut [0; 2]).unwrap();
        let error = bus.read(0x76, &mut [0]).unwrap_err().to_string();
        assert!(error.contains("has nothing of address 0x76"), "{error}");
    }

    #[test]
    fn a_file_that_is_no_recording_says_where() {
        for (lines, words) in [
            ("", "has no transfer"),
            ("{\"address\": 64, \"write\": \"0\"}", "line 1 whose bytes are not hexadecimal"),
            ("\n{\"adress\": 64}", "line 2 that is no entry"),
            ("temperature: 21", "line 1 that is no entry"),
        ] {
            let error = replay(lines).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
        assert!(Replay::open("/nowhere/at/all").unwrap_err().to_string().contains("cannot be read"));
    }
}
