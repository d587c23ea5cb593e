//! Readings on their way between the log and files of other programs, and the comparison of what left with what
//! arrived. Streams: a file may be larger than memory. Prints nothing.
//!
//! | file | its job |
//! |---|---|
//! | `lines` | a file line by line, each of bounded length |
//! | `csv`, `jsonl`, `influx` | the formats |
//! | `columns` | which column means what |
//! | `when`, `value` | times and values as people and programs write them |
//! | `source` | a file of any format, as rows |
//! | `survey`, `import`, `publish` | a file is looked through first, then goes into the log |
//! | `verify` | what left beside what arrived |

pub mod columns;
mod csv;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
pub mod import;
pub mod influx;
mod jsonl;
mod lines;
pub mod publish;
mod source;
pub mod survey;
#[cfg(test)]
mod testing;
pub mod value;
pub mod verify;
pub mod when;

use std::io;

use crate::log::intake::Series;
use crate::reading::{Clock, Timestamp, Value};

pub use source::Format;

/// One reading out of a file.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Line of the file, counted from 1.
    pub line: u64,
    /// What it is of.
    pub series: Series,
    /// When it was taken.
    pub at: Timestamp,
    /// How far that can be trusted.
    pub clock: Clock,
    /// The value as the file has it.
    pub value: Raw,
}

/// A value as a file has it.
#[derive(Debug, Clone, PartialEq)]
pub enum Raw {
    /// A word without a type: what it is depends on the others of its quantity.
    Word(String),
    /// The file says what it is.
    Is(Value),
}

impl Raw {
    /// Bytes of a text; 0 for anything else.
    fn length(&self) -> usize {
        match self {
            Raw::Word(text) => text.len(),
            Raw::Is(Value::Text(text)) => text.len(),
            Raw::Is(_) => 0,
        }
    }
}

/// A line that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wrong {
    /// Line of the file, counted from 1.
    pub line: u64,
    /// What is wrong, and what to do.
    pub what: String,
}

/// Why a line could not be read.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// This line is wrong; the next may be right.
    #[error("line {}: {}", .0.line, .0.what)]
    Line(Wrong),
    /// The whole file cannot be used: the wrong columns, say.
    #[error("{0}")]
    File(String),
    /// The file cannot be read. The reason is told once: it is no source of its own.
    #[error("cannot be read: {0}")]
    Io(io::Error),
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl Fault {
    fn line(line: u64, what: impl Into<String>) -> Self {
        Self::Line(Wrong { line, what: what.into() })
    }
}

/// The beginning of a text, fit for one line of a message.
fn shown(text: &str) -> String {
    const SHOWN: usize = 40;
    let mut letters = text.chars();
    let mut shown: String = letters.by_ref().take(SHOWN).flat_map(char::escape_debug).collect();
    if letters.next().is_some() {
        shown.push('…');
    }
    shown
}
