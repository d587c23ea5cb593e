//! `table` and `columns` of a mirror: names in SQL, headings in CSV, paths into JSON payloads.

use std::collections::{BTreeMap, HashSet};

use super::super::model::{ColumnKind, CsvColumn, JsonPath, TableColumn};
use super::super::problem::{KeyPath, Report, did_you_mean, quoted};
use super::super::raw;

/// Tables and views of the log itself, and what the next version may add.
const TAKEN_TABLES: [&str; 32] = [
    "channel",
    "channel_of_2",
    "command",
    "commands",
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
    "refused_message",
    "refused_messages",
    "refused",
    "rollup",
    "sensor",
    "stale",
    "stretch",
    "subscription",
    "topic",
    "unsynced",
];

/// Columns that every table of a mirror has.
const TAKEN_COLUMNS: [&str; 3] = ["id", "time", "topic"];

/// Names that SQLite gives to the row number.
const ROW_NUMBER: [&str; 3] = ["rowid", "oid", "_rowid_"];

pub(super) fn table_name(name: &str, path: &KeyPath, report: &mut Report) {
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

pub(super) fn table_columns(
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

pub(super) fn csv_columns(raw: Vec<raw::CsvColumn>, path: &KeyPath, report: &mut Report) -> Vec<CsvColumn> {
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

pub(crate) fn pointer(text: &str) -> Option<String> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_logs_own_tables_are_refused() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/log");
        let steps = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        let steps = steps.filter(|path| path.extension().is_some_and(|extension| extension == "sql"));
        let schema: String = steps.map(|path| std::fs::read_to_string(path).unwrap()).collect();
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
        assert!(count > 25, "found only {count}");
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
