//! The queries of `docs/queries.md` do what they say, on a log as the bridge writes it.
//!
//! SQL for SQLite is always run. What is for pandas, DuckDB and Datasette is run as well where python3 has the
//! package (`make query-tools` puts them into a folder of their own), and said to be left out where not.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a helper that fails is a test that fails")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use rusqlite::Connection;
use rusqlite::types::Value as Sql;
use sensor_bridge::config;
use sensor_bridge::log::{Log, Machine};
use sensor_bridge::reading::{Channel, Clock, Moment, Reading, Timestamp, Value, ValueKind};
use sensor_bridge::status::Board;
use tempfile::TempDir;

const MINUTE: i64 = 60_000_000;

/// One fenced block of the document.
#[derive(Debug, Clone)]
struct Block {
    section: String,
    language: String,
    text: String,
}

fn document() -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/queries.md")).unwrap()
}

fn blocks() -> Vec<Block> {
    let text = document();
    let (mut blocks, mut section) = (Vec::new(), String::new());
    let mut open: Option<Block> = None;
    for line in text.lines() {
        match (&mut open, line.strip_prefix("```")) {
            (None, Some(language)) => {
                open = Some(Block {
                    section: section.clone(),
                    language: language.to_owned(),
                    text: String::new(),
                });
            }
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (Some(block), None) => block.text += &format!("{line}\n"),
            (None, None) => {
                if let Some(heading) = line.strip_prefix("## ") {
                    section = heading.to_owned();
                }
            }
        }
    }
    assert!(open.is_none(), "a block is not closed");
    blocks
}

fn of<'a>(blocks: &'a [Block], section: &'a str, language: &'a str) -> impl Iterator<Item = &'a str> {
    let fits = move |block: &&Block| block.section == section && block.language == language;
    blocks.iter().filter(fits).map(|block| block.text.as_str())
}

fn channel(sensor: &str, quantity: &str, unit: &str, kind: ValueKind) -> Channel {
    Channel {
        device: "pi".into(),
        sensor: sensor.to_owned().into(),
        quantity: quantity.to_owned().into(),
        unit: unit.into(),
        kind,
        publish: None,
        place: None,
    }
}

fn moment(wall: i64) -> Moment {
    Moment { wall: Timestamp(wall), since_boot: wall, clock: Clock::Synced }
}

/// A log with two days until now, in a folder of its own: two quantities a minute, a door, states; twenty minutes
/// before the end nothing at all. Answers now in µs.
fn log() -> (TempDir, i64) {
    let folder = tempfile::tempdir().unwrap();
    let now: i64 = Connection::open_in_memory()
        .unwrap()
        .query_row("SELECT unixepoch('now') * 1000000", [], |row| row.get(0))
        .unwrap();
    let config = config::Log {
        path: folder.path().join("bridge.db"),
        sync: config::Sync::Normal,
        commit_interval: Duration::ZERO,
        key: None,
        retention: config::Retention::default(),
    };
    let machine = Machine { boot_id: "boot".into(), now: || moment(0) };
    let log = Log::open(&config, &machine, &Board::new()).unwrap();
    let ids = log
        .register(&[
            channel("air", "temperature", "°C", ValueKind::Float),
            channel("air", "humidity", "%", ValueKind::Float),
            channel("soil", "temperature", "°C", ValueKind::Float),
            channel("door", "open", "", ValueKind::Bool),
            channel("air", "state", "", ValueKind::Text),
        ])
        .unwrap();
    log.record_loss(3);
    let append = |id: usize, time: i64, value: Value| {
        log.append(vec![Reading { channel: ids[id], at: moment(time), value }]).unwrap();
    };
    append(3, now - 2880 * MINUTE, Value::Bool(true));
    append(4, now - 2880 * MINUTE, Value::Text("ok".into()));
    for minute in 0..2880 {
        let time = now - (2880 - minute) * MINUTE;
        if minute % 500 == 0 {
            log.flush().unwrap();
        }
        if (2850..2870).contains(&minute) {
            continue;
        }
        append(0, time, Value::Float(10.0 + (minute % 1440) as f64 / 144.0));
        append(1, time, Value::Float(70.0 - (minute % 1440) as f64 / 144.0));
        append(2, time, Value::Float(8.5));
        if minute == 2000 {
            append(4, time, Value::Text("failed: no answer".into()));
            append(4, time + 1, Value::Text("ok".into()));
            append(3, time, Value::Bool(false));
        }
    }
    log.close().unwrap();
    (folder, now)
}

fn rows(connection: &Connection, sql: &str, named: &[(&str, &str)]) -> (Vec<String>, Vec<Vec<Sql>>) {
    let mut statement = connection.prepare(sql).unwrap_or_else(|error| panic!("{error}\n{sql}"));
    for (name, value) in named {
        if let Some(place) = statement.parameter_index(name).unwrap() {
            statement.raw_bind_parameter(place, value).unwrap();
        }
    }
    let names: Vec<String> = statement.column_names().map(str::to_owned).collect();
    let mut found = statement.raw_query();
    let mut all = Vec::new();
    while let Some(row) = found.next().unwrap_or_else(|error| panic!("{error}\n{sql}")) {
        all.push((0..names.len()).map(|column| row.get(column).unwrap()).collect());
    }
    (names, all)
}

fn open(folder: &TempDir) -> Connection {
    let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
    Connection::open_with_flags(folder.path().join("bridge.db"), flags).unwrap()
}

fn integer(value: &Sql) -> i64 {
    match value {
        Sql::Integer(number) => *number,
        other => panic!("{other:?} is no integer"),
    }
}

/// Asks as Grafana does with its plugin for SQLite (frser-sqlite-datasource 3 and 4): Grafana fills in `$__interval_ms`,
/// the plugin `$__from` and `$__to`, whole seconds in ms, by plain replacing; and columns get the type of their first
/// value, `time` that of a time in seconds. Answers the names, and the rows as they would be shown.
fn as_grafana(
    connection: &Connection,
    sql: &str,
    (from, to): (i64, i64),
    interval: i64,
) -> (Vec<String>, Vec<Vec<Sql>>) {
    let second = |ms: i64| (ms / 1000 * 1000).to_string();
    let sql = sql.replace("$__interval_ms", &interval.to_string());
    let sql = sql.replace("$__from", &second(from)).replace("$__to", &second(to));
    assert!(!sql.contains('$'), "{sql}");
    let (names, rows) = rows(connection, &sql, &[]);
    for (place, name) in names.iter().enumerate() {
        let mut values = rows.iter().map(|row| &row[place]).filter(|value| **value != Sql::Null);
        let kind = |value: &Sql| std::mem::discriminant(value);
        let first = values.next().map(kind);
        assert!(
            values.all(|value| Some(kind(value)) == first),
            "{name}: some are cut to whole numbers, or lost\n{sql}"
        );
        if name == "time" {
            assert!(rows.iter().all(|row| matches!(row[place], Sql::Integer(_))), "{name}\n{sql}");
        }
    }
    (names, rows)
}

#[test]
fn grafana() {
    let (folder, now) = log();
    let connection = open(&folder);
    let (from, to) = (now / 1000 - 24 * 3_600_000, now / 1000);
    let found: Vec<_> = of(&blocks(), "Grafana", "sql")
        .map(|sql| {
            let (names, rows) = as_grafana(&connection, sql, (from, to), 600_000);
            let time = names.iter().position(|name| name == "time").expect("a column `time`");
            for row in &rows {
                let seconds = integer(&row[time]);
                assert!((from / 1000 - 600..=now / 1_000_000).contains(&seconds), "{seconds}\n{sql}");
            }
            // A long series is made into wide ones, which is refused when it goes back in time.
            let is_table =
                sql.contains("max(time)") && !sql.contains("WITH") || sql.contains("DESC LIMIT 500");
            assert!(is_table || rows.is_sorted_by_key(|row| integer(&row[time])), "{sql}");
            rows
        })
        .collect();
    let lengths: Vec<usize> = found.iter().map(Vec::len).collect();
    // Ten minutes each of a day, two of them without readings and one cut by its ends.
    assert!((143..=145).contains(&lengths[0]), "{lengths:?}");
    assert_eq!(lengths[1], lengths[0] * 2, "air and soil");
    assert_eq!(lengths[2..], [2, 5, 2]);
    assert_eq!(found[2][0][1], Sql::Integer(1), "the door was open before");
    assert_eq!(found[2][0][0], Sql::Integer(from / 1000));
    let latest = |text: &Sql| matches!(text, Sql::Text(text) if text.starts_with("19.993"));
    assert!(latest(&found[3][2][2]), "the latest temperature: {:?}", found[3]);
    assert_eq!(found[4][1][2], Sql::Text("failed: no answer".into()));
    // The range is found by the index, not by looking at everything.
    for sql in of(&blocks(), "Grafana", "sql").take(2) {
        let sql = sql.replace("$__from", "1").replace("$__to", "2").replace("$__interval_ms", "3");
        let (_, plan) = rows(&connection, &format!("EXPLAIN QUERY PLAN {sql}"), &[]);
        let plan = format!("{plan:?}");
        assert!(plan.contains("reading_by_channel (channel=? AND time>? AND time<?)"), "{plan}");
    }
}

#[test]
fn the_shell() {
    let (folder, _) = log();
    let connection = open(&folder);
    let lengths: Vec<usize> =
        of(&blocks(), "The sqlite3 shell", "sql").map(|sql| rows(&connection, sql, &[]).1.len()).collect();
    assert!((2..=3).contains(&lengths[0]) && (2..=3).contains(&lengths[1]), "{lengths:?}");
    assert!(lengths[2] >= 3 || lengths[2] == 0, "{lengths:?}: none just after midnight");
    assert_eq!(lengths[3..], [1]);
}

/// The queries of `queries.yaml` by name.
fn canned() -> BTreeMap<String, String> {
    let all = blocks();
    let yaml = of(&all, "Datasette", "yaml").next().unwrap().to_owned();
    let source = config_file(&yaml);
    let queries = source["databases"]["bridge"]["queries"].as_object().unwrap().clone();
    queries.into_iter().map(|(name, query)| (name, query["sql"].as_str().unwrap().to_owned())).collect()
}

fn config_file(yaml: &str) -> serde_json::Value {
    let source = ::config::File::from_str(yaml, ::config::FileFormat::Yaml);
    ::config::Config::builder().add_source(source).build().unwrap().try_deserialize().unwrap()
}

#[test]
fn datasette() {
    let (folder, _) = log();
    let connection = open(&folder);
    let named = [(":sensor", "air"), (":quantity", "temperature"), (":days", "1")];
    let mut lengths = BTreeMap::new();
    for (name, sql) in canned() {
        lengths.insert(name, rows(&connection, &sql, &named).1.len());
    }
    assert_eq!((lengths["latest"], lengths["lost"]), (100, 1));
    assert!((24..=25).contains(&lengths["hours"]), "{lengths:?}");
    let Some(python) = python("datasette") else { return };
    let all = blocks();
    fs::write(folder.path().join("queries.yaml"), of(&all, "Datasette", "yaml").next().unwrap()).unwrap();
    for (name, expected) in lengths {
        let url = format!("/bridge/{name}.json?sensor=air&quantity=temperature&days=1&_shape=array");
        let arguments = ["-m", "datasette", "bridge.db", "--metadata", "queries.yaml", "--get", &url];
        let output = run(&python, &folder, &arguments);
        let answer: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(answer.as_array().unwrap().len(), expected, "{name}: {answer}");
    }
}

#[test]
fn pandas_and_duckdb_on_frames() {
    let Some(python) = python("pandas") else { return };
    let (folder, _) = log();
    let all = blocks();
    let mut script = String::new();
    for block in of(&all, "pandas", "python") {
        if block.contains("import duckdb") && self::python("duckdb").is_none() {
            continue;
        }
        script += block;
    }
    let printed = run(&python, &folder, &["-c", &script]).stdout;
    let printed = String::from_utf8(printed).unwrap();
    assert!(printed.contains("humidity") && printed.contains("temperature"), "{printed}");
    assert!(printed.contains("-1.0") || printed.contains("-0.99"), "they move against each other: {printed}");
}

#[test]
fn duckdb() {
    let Some(python) = python("duckdb") else { return };
    let (folder, _) = log();
    let all = blocks();
    let sql: Vec<&str> = of(&all, "DuckDB", "sql").collect();
    // How the extension comes is tried when it comes with Python; elsewhere it is not fetched for a test.
    let bring = of(&all, "DuckDB", "python").next().unwrap();
    let attach = sql[0].strip_prefix("INSTALL sqlite;\n").unwrap();
    let script = format!("{DUCKDB}\nask({bring:?}, {attach:?}, {:?})", sql[1]);
    let printed = String::from_utf8(run(&python, &folder, &["-c", &script]).stdout).unwrap();
    println!("{printed}");
    assert!(printed.ends_with("5 rows\n") || printed.starts_with("left out"), "{printed}");
}

/// Runs the queries, each with an extension folder of its own.
const DUCKDB: &str = r#"
import duckdb

def connect(bring):
    duck = duckdb.connect()
    duck.execute("SET autoinstall_known_extensions = false")
    duck.execute("SET extension_directory = 'extensions'")
    try:
        exec(bring.replace("duckdb.sql(", "duck.sql("), {"duck": duck})
        duck.execute("LOAD sqlite")
    except (ImportError, duckdb.Error) as error:
        print("left out: DuckDB has no extension for SQLite here:", str(error).split("\n")[0])
        return None
    return duck

def ask(bring, attach, question):
    if duck := connect(bring):
        duck.execute(attach)
        print(len(duck.execute(question).fetchall()), "rows")
"#;

/// What `docs/exchange.md` has of Parquet: an export and the log become the same readings.
#[test]
fn parquet() {
    let Some(python) = python("duckdb") else { return };
    let (folder, _) = log();
    let export = Command::new(env!("CARGO_BIN_EXE_sensor-bridge"))
        .args(["export", "--database", "bridge.db", "--output", "all.csv"])
        .current_dir(folder.path())
        .output()
        .unwrap();
    assert!(export.status.success(), "{export:?}");
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/exchange.md")).unwrap();
    let lines: Vec<String> = page
        .split("duckdb -c \"")
        .skip(1)
        .map(|rest| rest.split_once('"').unwrap().0.replace("/var/lib/sensor-bridge/", ""))
        .collect();
    assert_eq!(lines.len(), 2);
    let all = blocks();
    let bring = of(&all, "DuckDB", "python").next().unwrap();
    let script = format!("{DUCKDB}\n{PARQUET}\nboth({bring:?}, {:?}, {:?})", lines[0], lines[1]);
    let printed = String::from_utf8(run(&python, &folder, &["-c", &script]).stdout).unwrap();
    println!("{printed}");
    let mut found: Vec<&str> = printed.lines().filter(|line| !line.starts_with("left out")).collect();
    found.dedup();
    // Two days by the minute without twenty minutes, of temperature; its mean.
    assert_eq!(found, ["2860 14.96"], "{printed}");
}

const PARQUET: &str = r#"
def both(bring, of_export, of_log):
    duck = duckdb.connect()
    duck.execute(of_export)
    show(duck)
    if duck := connect(bring):
        duck.execute(of_log)
        show(duck)

def show(duck):
    (count, mean), = duck.execute("""SELECT count(*), avg(CAST(value AS DOUBLE)) FROM 'all.parquet'
        WHERE sensor = 'air' AND quantity = 'temperature' AND unit = '°C'
          AND time > current_timestamp - INTERVAL 3 DAY""").fetchall()
    print(count, f"{mean:.2f}")
"#;

/// A python3 that has the package: that of `make query-tools`, or the system's.
fn python(package: &str) -> Option<PathBuf> {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/query-tools/bin/python3");
    let import = format!("import {package}");
    let found = [own, PathBuf::from("python3")].into_iter().find(|python| {
        Command::new(python).args(["-c", &import]).output().is_ok_and(|output| output.status.success())
    });
    if found.is_none() {
        println!("left out: no python3 with {package}; `make query-tools` installs it");
    }
    found
}

fn run(python: &Path, folder: &TempDir, arguments: &[&str]) -> Output {
    let output = Command::new(python).args(arguments).current_dir(folder.path()).output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {error}");
    output
}
