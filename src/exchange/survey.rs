//! The first look through a file: is every line right, what is in it, of what kind is each quantity. Changes nothing.

use std::collections::{BTreeSet, HashMap};
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use super::columns::Mapping;
use super::source::{Format, Source};
use super::value::{Kinds, Rule};
use super::{Fault, Row, Wrong};
use crate::config::topic::check_level;
use crate::log::intake::Series;
use crate::reading::{Channel, Timestamp, ValueKind};

/// Most series in one file: each takes memory, and a column mapped wrongly makes one of every line.
const SERIES: usize = 20_000;

/// Longest unit, bytes.
const LONGEST_UNIT: usize = 128;

/// Longest text that a reading can have, bytes.
const LONGEST_TEXT: usize = 65_536;

/// Wrong lines that are kept to be told of; all are counted.
const TOLD: usize = 10;

/// How a file is to be taken.
#[derive(Debug, Clone)]
pub struct Manner {
    /// How it is written.
    pub format: Format,
    /// What its columns mean.
    pub mapping: Mapping,
    /// A quantity may have numbers and texts.
    pub mixed: bool,
}

/// What is in a file.
#[derive(Debug, Default)]
pub struct Survey {
    /// Readings.
    pub readings: u64,
    /// Records without a value, which are left out.
    pub missing: u64,
    /// Lines that are wrong.
    pub wrong: u64,
    /// The first of them, in order.
    pub examples: Vec<Wrong>,
    /// Columns that mean nothing to us.
    pub unused: BTreeSet<String>,
    /// Every series, in the order met.
    pub series: Vec<Found>,
    pub(super) places: HashMap<Series, usize>,
}

/// What there is of one series.
#[derive(Debug, Clone)]
pub struct Found {
    /// Its names.
    pub series: Series,
    /// Readings.
    pub readings: u64,
    /// The oldest.
    pub first: Timestamp,
    /// The newest.
    pub last: Timestamp,
    /// What its values are taken for.
    pub rule: Rule,
    kinds: Kinds,
}

/// Looks through a file. `known` are the channels of the log; `progress` hears bytes read and in all, and may
/// break it off.
///
/// # Errors
/// The file cannot be read or used at all. Lines that are wrong are no error here; they are counted.
pub fn survey(
    path: &Path,
    manner: &Manner,
    known: &[Arc<Channel>],
    progress: &mut dyn FnMut(u64, u64) -> ControlFlow<()>,
) -> Result<Option<Survey>, Fault> {
    let size = std::fs::metadata(path)?.len();
    let mut source = Source::open(path, manner.format, &manner.mapping)?;
    let mut survey = Survey::default();
    let mut rows = Vec::new();
    for turn in 1_u64.. {
        rows.clear();
        match source.next(&mut rows) {
            Ok(true) => {}
            Ok(false) => break,
            // What came before the fault counts for nothing: nothing goes in.
            Err(Fault::Line(wrong)) => {
                survey.wrong(wrong);
                rows.clear();
            }
            Err(fault) => return Err(fault),
        }
        for row in &rows {
            match survey.add(row) {
                Ok(()) => {}
                Err(Fault::Line(wrong)) => survey.wrong(wrong),
                Err(fault) => return Err(fault),
            }
        }
        if turn.is_multiple_of(1_000) && progress(source.bytes(), size).is_break() {
            return Ok(None);
        }
    }
    survey.missing = source.missing;
    survey.unused = source.unused;
    survey.settle(manner.mixed, known);
    Ok(Some(survey))
}

impl Survey {
    fn wrong(&mut self, wrong: Wrong) {
        self.wrong += 1;
        if self.examples.len() < TOLD {
            self.examples.push(wrong);
        }
    }

    fn add(&mut self, row: &Row) -> Result<(), Fault> {
        let place = match self.places.get(&row.series) {
            Some(place) => *place,
            None => {
                check(&row.series).map_err(|what| Fault::line(row.line, what))?;
                if self.series.len() >= SERIES {
                    return Err(Fault::File(format!(
                        "line {}: more than {SERIES} different sensors and quantities; is a column of values taken for names?",
                        row.line
                    )));
                }
                self.series.push(Found {
                    series: row.series.clone(),
                    readings: 0,
                    first: row.at,
                    last: row.at,
                    rule: Rule::Each,
                    kinds: Kinds::default(),
                });
                self.places.insert(row.series.clone(), self.series.len() - 1);
                self.series.len() - 1
            }
        };
        if row.value.length() > LONGEST_TEXT {
            return Err(Fault::line(
                row.line,
                format!("a text of more than {LONGEST_TEXT} bytes is no reading"),
            ));
        }
        let found = &mut self.series[place];
        found.readings += 1;
        found.first = found.first.min(row.at);
        found.last = found.last.max(row.at);
        found.kinds.add(row.line, &row.value);
        self.readings += 1;
        Ok(())
    }

    /// What each quantity is taken for, now that all its values are known.
    fn settle(&mut self, mixed: bool, known: &[Arc<Channel>]) {
        let mut wrongs = Vec::new();
        for found in &mut self.series {
            if mixed {
                continue;
            }
            let alike = known.iter().filter(|channel| Series::of(channel) == found.series);
            let kinds: Vec<ValueKind> = alike.map(|channel| channel.kind).collect();
            match found.kinds.rule(&kinds) {
                Ok(rule) => found.rule = rule,
                Err((lines, what)) => {
                    let Series { sensor, quantity, .. } = &found.series;
                    let what = format!(
                        "{sensor} {quantity}: {what}; correct it, or take them as they are with --mixed"
                    );
                    wrongs.extend(lines.into_iter().map(|line| Wrong { line, what: what.clone() }));
                }
            }
        }
        for wrong in wrongs {
            self.wrong(wrong);
        }
        self.examples.sort_by_key(|wrong| wrong.line);
    }
}

fn check(series: &Series) -> Result<(), String> {
    for (what, name) in
        [("device", &series.device), ("sensor", &series.sensor), ("quantity", &series.quantity)]
    {
        check_level(name).map_err(|why| format!("{what} \"{}\" {why}", super::shown(name)))?;
    }
    if series.unit.len() > LONGEST_UNIT || series.unit.chars().any(char::is_control) {
        return Err(format!(
            "unit \"{}\" is too long, or has a line break in it",
            super::shown(&series.unit)
        ));
    }
    Ok(())
}
