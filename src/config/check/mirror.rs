//! `mirror`: topic filters, CSV files and tables.

use std::collections::HashMap;
use std::path::Path;

use super::super::SecretPlaces;
use super::super::model::{CsvColumn, Mirror, Sink, Table};
use super::super::problem::{KeyPath, Report, quoted};
use super::super::raw::{self, Columns, SinkKind};
use super::super::topic::{check_filter, covers, overlaps, split_placeholders, unknown_placeholder};
use super::columns::{csv_columns, table_columns, table_name};
use super::integrity;
use super::mqtt::qos;
use super::payload;
use super::size;
use crate::reading::Qos;

/// Smaller, and every few messages would begin a file.
const SMALLEST_FILE: u64 = 10_000;

pub(super) fn check(
    raw: Vec<raw::Mirror>,
    log: &Path,
    places: &SecretPlaces,
    path: &KeyPath,
    report: &mut Report,
) -> Vec<Mirror> {
    let ids = ids(&raw, path, report);
    let mut tables: HashMap<String, (usize, Table)> = HashMap::new();
    let mut files: HashMap<String, usize> = HashMap::new();
    let mut mirrors = Vec::new();
    for (index, (raw, id)) in raw.into_iter().zip(ids).enumerate() {
        let path = path.index(index);
        let topics = raw.topics.clone().unwrap_or_default();
        check_topics(&topics, &path.key("topics"), report);
        let qos = qos(raw.qos).unwrap_or(Qos::AtLeastOnce);
        let integrity = integrity::wanted(raw.integrity.as_ref(), places, &path.key("integrity"), report);
        let payload = payload::check(&raw, &path, report);
        let sink = match raw.to {
            // Missing or unknown, and reported.
            None => continue,
            Some(SinkKind::Sqlite) => match &payload {
                Some(payload) => payload::table(raw, payload, &path, report),
                None => sqlite(raw, &path, report),
            },
            Some(SinkKind::Csv) => csv(raw, payload.is_some(), &path, report),
        };
        match &sink {
            Sink::Sqlite { table: Some(table) } => same_table(index, table, &mut tables, &path, report),
            Sink::Csv { path: file, .. } => same_file(index, file, &id, log, &mut files, &path, report),
            Sink::Sqlite { table: None } => {}
        }
        mirrors.push(Mirror { id, topics, qos, integrity, payload, sink });
    }
    mirrors
}

/// Ids as given; for the others what `to` says, then `csv-2` and so on.
fn ids(raw: &[raw::Mirror], path: &KeyPath, report: &mut Report) -> Vec<String> {
    let mut taken: HashMap<&str, usize> = HashMap::new();
    for (index, id) in raw.iter().enumerate().filter_map(|(index, raw)| Some((index, raw.id.as_deref()?))) {
        let path = path.index(index).key("id");
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if id.is_empty() || id.len() > 64 || !id.chars().all(plain) {
            report.problem(&path, "must be 1 to 64 letters, digits, \"-\" or \"_\"");
        } else if let Some(first) = taken.insert(id, index) {
            report.problem(&path, format!("{} is the id of mirror[{first}] already", quoted(id)));
        }
    }
    let mut counts: HashMap<&str, usize> = HashMap::new();
    let mut next = |kind: &'static str| {
        loop {
            let count = counts.entry(kind).and_modify(|count| *count += 1).or_insert(1);
            let id = if *count == 1 { kind.to_owned() } else { format!("{kind}-{count}") };
            if !taken.contains_key(id.as_str()) {
                return id;
            }
        }
    };
    raw.iter()
        .map(|raw| match (&raw.id, raw.to) {
            (Some(id), _) => id.clone(),
            (None, Some(SinkKind::Sqlite)) => next("sqlite"),
            (None, _) => next("csv"),
        })
        .collect()
}

fn check_topics(topics: &[String], path: &KeyPath, report: &mut Report) {
    for (index, filter) in topics.iter().enumerate() {
        let path = path.index(index);
        if let Err(why) = check_filter(filter) {
            report.problem(&path, why);
            continue;
        }
        let earlier = topics.iter().take(index).filter(|other| check_filter(other).is_ok());
        let Some(other) = earlier.into_iter().find(|other| overlaps(other, filter)) else { continue };
        let message = if covers(other, filter) {
            format!("{} is covered by {}: its messages would arrive twice", quoted(filter), quoted(other))
        } else if covers(filter, other) {
            format!("{} covers {}: its messages would arrive twice", quoted(filter), quoted(other))
        } else {
            format!("{} and {} overlap: some messages would arrive twice", quoted(other), quoted(filter))
        };
        report.suggest(&path, message, Some("leave the narrower one out".into()));
    }
}

/// Keys that mean nothing here.
pub(super) fn no_file(raw: &raw::Mirror, path: &KeyPath, report: &mut Report) {
    for (key, given) in [("path", raw.path.is_some()), ("max_size", raw.max_size.is_some())] {
        if given {
            let hint = "`to: sqlite` writes into the log (`log.path`)".to_owned();
            report.suggest(&path.key(key), "goes with `to: csv`", Some(hint));
        }
    }
}

fn sqlite(raw: raw::Mirror, path: &KeyPath, report: &mut Report) -> Sink {
    no_file(&raw, path, report);
    let columns_path = path.key("columns");
    let columns = match raw.columns {
        Some(Columns::Map(columns)) => Some(table_columns(columns, &columns_path, report)),
        Some(Columns::List(_)) => {
            let hint = "write a map: `columns: {value: real}`".to_owned();
            report.suggest(&columns_path, "a list of columns goes with `to: csv`", Some(hint));
            return Sink::Sqlite { table: None };
        }
        None => None,
    };
    let table = match (raw.table, columns) {
        (Some(name), Some(columns)) => {
            table_name(&name, &path.key("table"), report);
            Some(Table { name, columns })
        }
        (Some(_), None) => {
            if !report.has_problem_at(&columns_path) {
                let hint = "write for example `columns: {value: real}`".to_owned();
                report.suggest(&columns_path, "is missing beside `table`", Some(hint));
            }
            None
        }
        (None, Some(_)) => {
            if !report.has_problem_at(&path.key("table")) {
                report
                    .problem(&path.key("table"), "is missing beside `columns`: name the table that has them");
            }
            None
        }
        (None, None) => None,
    };
    Sink::Sqlite { table }
}

fn csv(raw: raw::Mirror, told: bool, path: &KeyPath, report: &mut Report) -> Sink {
    if raw.table.is_some() {
        report.problem(&path.key("table"), "goes with `to: sqlite`");
    }
    let file_path = path.key("path");
    match &raw.path {
        Some(file) => check_file(file, &file_path, report),
        None if report.has_problem_at(&file_path) => {}
        None => {
            let hint = "write for example `path: \"/var/lib/sensor-bridge/{date}.csv\"`".to_owned();
            report.suggest(&file_path, "is missing: the CSV file to write", Some(hint));
        }
    }
    let columns_path = path.key("columns");
    let columns = match raw.columns {
        // Given all the same, they were reported.
        _ if told => payload::columns(),
        None => vec![CsvColumn::Time, CsvColumn::Topic, CsvColumn::Payload],
        Some(Columns::List(columns)) => csv_columns(columns, &columns_path, report),
        Some(Columns::Map(_)) => {
            let hint = "write a list: `columns: [time, topic, {celsius: value}]`".to_owned();
            report.suggest(&columns_path, "a map of columns goes with `to: sqlite`", Some(hint));
            Vec::new()
        }
    };
    let max_size = size(raw.max_size.as_ref(), SMALLEST_FILE, u64::MAX, &path.key("max_size"), report);
    Sink::Csv { path: raw.path.unwrap_or_default(), columns, max_size }
}

fn check_file(file: &str, path: &KeyPath, report: &mut Report) {
    const KNOWN: [&str; 2] = ["{date}", "{mirror}"];
    if file.trim().is_empty() || file.contains('\0') || file.ends_with('/') {
        report.problem(path, "must name a file");
        return;
    }
    match split_placeholders(file) {
        Err(why) => report.suggest(path, why, Some(format!("possible: {}", KNOWN.join(", ")))),
        Ok(pieces) => {
            for name in pieces.into_iter().filter_map(Result::err) {
                if !KNOWN.contains(&format!("{{{name}}}").as_str()) {
                    let error = unknown_placeholder(name, &KNOWN);
                    report.suggest(path, error.message, error.suggestion);
                }
            }
        }
    }
}

fn same_table(
    index: usize,
    table: &Table,
    tables: &mut HashMap<String, (usize, Table)>,
    path: &KeyPath,
    report: &mut Report,
) {
    let Some((first, other)) = tables.get(&table.name.to_ascii_lowercase()) else {
        tables.insert(table.name.to_ascii_lowercase(), (index, table.clone()));
        return;
    };
    if other.columns != table.columns {
        let message = format!("mirror[{first}] fills the table {} with other columns", quoted(&table.name));
        report.suggest(&path.key("table"), message, Some("name the same columns, or another table".into()));
    }
}

fn same_file(
    index: usize,
    file: &str,
    id: &str,
    log: &Path,
    files: &mut HashMap<String, usize>,
    path: &KeyPath,
    report: &mut Report,
) {
    // Left out or wrong was reported.
    if file.is_empty() {
        return;
    }
    let path = path.key("path");
    if Path::new(file) == log {
        report.problem(&path, "is the database of the log (`log.path`)");
    }
    match files.get(&file.replace("{mirror}", id)) {
        Some(first) => {
            let message = format!("mirror[{first}] writes this file already");
            report.suggest(&path, message, Some("use {mirror} in the path".into()));
        }
        None => {
            files.insert(file.replace("{mirror}", id), index);
        }
    }
}
