//! A recording to replay: a value a line, or seconds and a value, over and over.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::time::Duration;

use crate::sensor::SensorError;

/// A recording larger than this is refused: it is held in memory.
const LARGEST_RECORDING: u64 = 16 << 20;

/// A recording; never empty.
#[derive(Debug, PartialEq)]
pub(super) enum Recording {
    /// One value after another.
    Values { values: Vec<f64>, next: usize },
    /// Values with the seconds since the beginning at which they begin to hold, rising.
    Timed { rows: Vec<(f64, f64)>, length: f64 },
}

impl Recording {
    /// Reads a file.
    pub(super) fn load(path: &Path) -> Result<Self, SensorError> {
        let failed = |error: std::io::Error| {
            SensorError::Bus(format!("the recording {} cannot be read: {error}", path.display()))
        };
        let file = File::open(path).map_err(failed)?;
        if file.metadata().map_err(failed)?.len() > LARGEST_RECORDING {
            return Err(SensorError::Bus(format!(
                "the recording {} is larger than {} MiB",
                path.display(),
                LARGEST_RECORDING >> 20
            )));
        }
        let (mut rows, mut lines) = (Vec::new(), Vec::new());
        for (index, line) in BufReader::new(file.take(LARGEST_RECORDING)).lines().enumerate() {
            let line = line.map_err(failed)?;
            match row(line.trim()) {
                Ok(Some(row)) => {
                    rows.push(row);
                    lines.push(index + 1);
                }
                Ok(None) => {}
                // A heading.
                Err(_) if rows.is_empty() && index == 0 => {}
                Err(what) => return Err(wrong(path, index + 1, &what)),
            }
        }
        Self::of(rows).map_err(|(row, what)| wrong(path, lines.get(row).copied().unwrap_or(1), &what))
    }

    /// A recording of these rows, or the index of the row that is wrong.
    pub(super) fn of(rows: Vec<(Option<f64>, f64)>) -> Result<Self, (usize, String)> {
        let Some((first, _)) = rows.first() else { return Err((0, "there is no value in it".to_owned())) };
        if first.is_none() {
            let values = rows
                .iter()
                .enumerate()
                .map(|(index, (time, value))| match time {
                    None => Ok(*value),
                    Some(_) => Err((index, "it has a time where the rows before have none".to_owned())),
                })
                .collect::<Result<_, _>>()?;
            return Ok(Recording::Values { values, next: 0 });
        }
        let mut timed: Vec<(f64, f64)> = Vec::with_capacity(rows.len());
        for (index, (time, value)) in rows.iter().enumerate() {
            let time = time.ok_or((index, "it has no time where the rows before have one".to_owned()))?;
            if timed.last().is_some_and(|(before, _)| *before >= time) {
                return Err((index, format!("its time {time} is not after the one before")));
            }
            timed.push((time - first.unwrap_or_default(), *value));
        }
        Ok(Recording::looping(timed))
    }

    /// The last value holds for as long as the one before it did, and a single one for ever.
    fn looping(rows: Vec<(f64, f64)>) -> Self {
        let last = rows.last().map_or(0.0, |row| row.0);
        let before = rows.iter().rev().nth(1).map_or(last - 1.0, |row| row.0);
        let length = last + (last - before);
        Recording::Timed { rows, length }
    }

    /// The next value, or the one of this time since the beginning.
    pub(super) fn next(&mut self, elapsed: Duration) -> f64 {
        match self {
            Recording::Values { values, next } => {
                let value = values[*next];
                *next = (*next + 1) % values.len();
                value
            }
            Recording::Timed { rows, length } => {
                let time = elapsed.as_secs_f64() % *length;
                rows[rows.partition_point(|(start, _)| *start <= time).saturating_sub(1)].1
            }
        }
    }
}

/// A line as a time (s) and a value; `None` for an empty line or a comment.
fn row(line: &str) -> Result<Option<(Option<f64>, f64)>, String> {
    if line.is_empty() || line.starts_with('#') {
        return Ok(None);
    }
    let number = |text: &str| match text.trim().parse::<f64>() {
        Ok(number) if number.is_finite() => Ok(number),
        _ => Err(format!("\"{}\" is not a number", text.trim())),
    };
    match line.split_once(',') {
        None => Ok(Some((None, number(line)?))),
        Some((time, value)) => Ok(Some((Some(number(time)?), number(value)?))),
    }
}

fn wrong(path: &Path, line: usize, what: &str) -> SensorError {
    SensorError::WrongAnswer(format!("the recording {}, line {line}: {what}", path.display()))
}
