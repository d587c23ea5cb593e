//! `mirror`: topic filters, CSV files and tables.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;

use super::super::model::{ColumnKind, CsvColumn, JsonPath, Mirror, Sink, Table, TableColumn};
use super::super::problem::{KeyPath, Report, did_you_mean, quoted};
use super::super::raw::{self, Columns, SinkKind};
use super::super::topic::{check_filter, covers, overlaps, split_placeholders, unknown_placeholder};
use super::mqtt::qos;
use super::size;
use crate::reading::Qos;

/// Smaller, and every few messages would begin a file.
const SMALLEST_FILE: u64 = 10_000;

/// Tables and views of the log itself, and what the next version may add.
const TAKEN_TABLES: [&str; 24] = [
    "channel",
    "delivery",
    "device",
    "epoch",
    "event",
    "gap",
    "gaps",
    "held",
    "image",
    "images",
    "in_flight",
    "intent",
    "late",
    "message",
    "messages",
    "progress",
    "reading",
    "readings",
    "refusal",
    "refused",
    "sensor",
    "subscription",
    "topic",
    "unsynced",
];

/// Columns that every table of a mirror has.
const TAKEN_COLUMNS: [&str; 3] = ["id", "time", "topic"];

/// Names that SQLite gives to the row number.
const ROW_NUMBER: [&str; 3] = ["rowid", "oid", "_rowid_"];

pub(super) fn check(raw: Vec<raw::Mirror>, log: &Path, path: &KeyPath, report: &mut Report) -> Vec<Mirror> {
    let ids = ids(&raw, path, report);
    let mut tables: HashMap<String, (usize, Table)> = HashMap::new();
    let mut files: HashMap<String, usize> = HashMap::new();
    let mut mirrors = Vec::new();
    for (index, (raw, id)) in raw.into_iter().zip(ids).enumerate() {
        let path = path.index(index);
        let topics = raw.topics.clone().unwrap_or_default();
        check_topics(&topics, &path.key("topics"), report);
        let qos = qos(raw.qos).unwrap_or(Qos::AtLeastOnce);
        let sink = match raw.to {
            // Missing or unknown, and reported.
            None => continue,
            Some(SinkKind::Sqlite) => sqlite(raw, &path, report),
            Some(SinkKind::Csv) => csv(raw, &path, report),
        };
        match &sink {
            Sink::Sqlite { table: Some(table) } => same_table(index, table, &mut tables, &path, report),
            Sink::Csv { path: file, .. } => same_file(index, file, &id, log, &mut files, &path, report),
            Sink::Sqlite { table: None } => {}
        }
        mirrors.push(Mirror { id, topics, qos, sink });
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

fn sqlite(raw: raw::Mirror, path: &KeyPath, report: &mut Report) -> Sink {
    for (key, given) in [("path", raw.path.is_some()), ("max_size", raw.max_size.is_some())] {
        if given {
            let hint = "`to: sqlite` writes into the log (`log.path`)".to_owned();
            report.suggest(&path.key(key), "goes with `to: csv`", Some(hint));
        }
    }
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

fn table_name(name: &str, path: &KeyPath, report: &mut Report) {
    let lower = name.to_ascii_lowercase();
    if let Err(why) = sql_name(name) {
        report.problem(path, why);
    } else if TAKEN_TABLES.contains(&lower.as_str())
        || lower.starts_with("sqlite_")
        || lower.starts_with("mirror")
    {
        let hint = format!("choose another, for example \"my_{lower}\"");
        report.suggest(path, format!("{} is a name of the log's own", quoted(name)), Some(hint));
    }
}

fn sql_name(name: &str) -> Result<(), String> {
    let begins = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    let plain = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    match begins && plain && name.len() <= 64 {
        true => Ok(()),
        false => Err(format!(
            "{} must be 1 to 64 letters, digits or \"_\", and not begin with a digit",
            quoted(name)
        )),
    }
}

fn table_columns(
    raw: BTreeMap<String, raw::TableColumn>,
    path: &KeyPath,
    report: &mut Report,
) -> BTreeMap<String, TableColumn> {
    let mut columns = BTreeMap::new();
    let mut seen = HashSet::new();
    if raw.is_empty() && !report.has_problem_at(path) {
        report.problem(path, "names no column");
    }
    for (name, column) in raw {
        let path = path.key(&name);
        let lower = name.to_ascii_lowercase();
        if let Err(why) = sql_name(&name) {
            report.problem(&path, why);
        } else if TAKEN_COLUMNS.contains(&lower.as_str()) || ROW_NUMBER.contains(&lower.as_str()) {
            let hint = format!("choose another, for example \"payload_{lower}\" with a `path`");
            report.suggest(&path, format!("every table has a column {} already", quoted(&lower)), Some(hint));
        } else if !seen.insert(lower) {
            report.problem(&path, "stands here twice: SQL does not tell capitals from small letters");
        }
        let (written, kind) = match column {
            raw::TableColumn::Kind(kind) => (None, Some(kind)),
            raw::TableColumn::Full(full) => (full.path, full.kind),
        };
        let at = if written.is_some() { path.key("path") } else { path };
        let json = json_path(written.as_deref().unwrap_or(&name), &at, report);
        let kind = match kind {
            Some(raw::ColumnKind::Integer) => ColumnKind::Integer,
            Some(raw::ColumnKind::Text) => ColumnKind::Text,
            // A missing type was reported.
            Some(raw::ColumnKind::Real) | None => ColumnKind::Real,
        };
        columns.insert(name, TableColumn { path: json, kind });
    }
    columns
}

fn csv(raw: raw::Mirror, path: &KeyPath, report: &mut Report) -> Sink {
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

fn csv_columns(raw: Vec<raw::CsvColumn>, path: &KeyPath, report: &mut Report) -> Vec<CsvColumn> {
    if raw.is_empty() {
        report.problem(path, "names no column");
    }
    let mut headings = HashSet::new();
    let mut columns = Vec::new();
    for (index, column) in raw.into_iter().enumerate() {
        let path = path.index(index);
        let Some((heading, column)) = csv_column(column, &path, report) else { continue };
        if !headings.insert(heading.clone()) {
            report.problem(&path, format!("the heading {} stands here twice", quoted(&heading)));
        }
        columns.push(column);
    }
    columns
}

/// A column and its heading.
fn csv_column(column: raw::CsvColumn, path: &KeyPath, report: &mut Report) -> Option<(String, CsvColumn)> {
    const KNOWN: [(&str, CsvColumn); 6] = [
        ("time", CsvColumn::Time),
        ("topic", CsvColumn::Topic),
        ("payload", CsvColumn::Payload),
        ("qos", CsvColumn::Qos),
        ("retained", CsvColumn::Retained),
        ("id", CsvColumn::Id),
    ];
    let fields = match column {
        raw::CsvColumn::Name(name) => {
            if let Some((_, column)) = KNOWN.iter().find(|(known, _)| *known == name) {
                return Some((name, column.clone()));
            }
            let near = did_you_mean(&name, KNOWN.map(|(known, _)| known));
            let hint = near.unwrap_or_else(|| format!("for a field of the payload write {{{name}: {name}}}"));
            report.suggest(path, format!("unknown column {}", quoted(&name)), Some(hint));
            return None;
        }
        raw::CsvColumn::Field(fields) => fields,
    };
    let mut fields = fields.into_iter();
    let (Some((name, written)), None) = (fields.next(), fields.next()) else {
        report.suggest(
            path,
            "must be one heading and its path",
            Some("write for example {celsius: value}".into()),
        );
        return None;
    };
    if name.trim().is_empty() {
        report.problem(path, "the heading is empty");
    }
    let json = json_path(&written, &path.key(&name), report);
    Some((name.clone(), CsvColumn::Field { name, path: json }))
}

/// `location.latitude`, `list[0].x` or a JSON Pointer as a JSON Pointer (RFC 6901).
fn json_path(text: &str, path: &KeyPath, report: &mut Report) -> JsonPath {
    match pointer(text) {
        Some(pointer) => JsonPath(pointer),
        None => {
            let hint = "write for example value, location.latitude, list[0] or /location/latitude".to_owned();
            report.suggest(path, format!("{} is no path into a JSON document", quoted(text)), Some(hint));
            JsonPath(String::new())
        }
    }
}

fn pointer(text: &str) -> Option<String> {
    if text.starts_with('/') {
        // "~" only as "~0" and "~1" (RFC 6901 section 3).
        let sound = text.split('~').skip(1).all(|after| after.starts_with(['0', '1']));
        return sound.then(|| text.to_owned());
    }
    let mut pointer = String::new();
    for step in text.split('.') {
        let (name, mut indexes) = match step.find('[') {
            Some(at) => step.split_at(at),
            None => (step, ""),
        };
        // A document that is a list has no name before its first index.
        if name.is_empty() && (indexes.is_empty() || !pointer.is_empty()) || name.contains(']') {
            return None;
        }
        if !name.is_empty() {
            pointer.push('/');
            pointer.push_str(&name.replace('~', "~0").replace('/', "~1"));
        }
        while !indexes.is_empty() {
            let (index, rest) = indexes.strip_prefix('[')?.split_once(']')?;
            // RFC 6901 allows no leading zeros.
            let index: usize = index.parse().ok()?;
            pointer.push_str(&format!("/{index}"));
            indexes = rest;
        }
    }
    Some(pointer)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_logs_own_tables_are_refused() {
        let schema = include_str!("../../log/schema.sql");
        let own = schema.lines().filter_map(|line| {
            let rest = line.strip_prefix("CREATE TABLE ").or_else(|| line.strip_prefix("CREATE VIEW "))?;
            rest.split([' ', '(']).next()
        });
        let mut count = 0;
        for name in own {
            let mut report = Report::default();
            table_name(name, &KeyPath::default(), &mut report);
            assert!(report.has_problems(), "{name} is a table of the log, yet a mirror may take it");
            count += 1;
        }
        assert!(count > 10, "found only {count}");
    }

    #[test]
    fn paths_into_payloads() {
        for (text, expected) in [
            ("value", Some("/value")),
            ("location.latitude", Some("/location/latitude")),
            ("list[0]", Some("/list/0")),
            ("a[1][2].b", Some("/a/1/2/b")),
            ("[0].x", Some("/0/x")),
            ("a/b", Some("/a~1b")),
            ("a~b", Some("/a~0b")),
            ("/a.b/c", Some("/a.b/c")),
            ("/a~1b", Some("/a~1b")),
            ("", None),
            ("a..b", None),
            ("a.", None),
            ("a[", None),
            ("a[x]", None),
            ("a[0]b", None),
            ("a.[0]", None),
            ("a]", None),
            ("/a~2", None),
        ] {
            assert_eq!(pointer(text).as_deref(), expected, "{text}");
        }
    }
}
