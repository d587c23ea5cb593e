//! `export`, `import` and `verify` as a person runs them: round trips, beside a running daemon, with a real broker.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a helper that fails is a test that fails")]

mod support;

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use proptest::prelude::*;
use sensor_bridge::config;
use sensor_bridge::log::{Log, Machine};
use sensor_bridge::reading::{Channel, Clock, Moment, Reading, Timestamp, Value, ValueKind};
use sensor_bridge::status::Board;
use serde_json::Value as Json;
use support::{Bridge, Mosquitto, Subscriber, wait_until};
use tempfile::TempDir;

/// 2026-11-20T07:00:00Z, µs.
const SEVEN: i64 = 1_795_158_000_000_000;

fn open(path: &Path) -> Log {
    let config = config::Log {
        path: path.to_owned(),
        sync: config::Sync::Normal,
        commit_interval: Duration::ZERO,
        key: None,
        retention: config::Retention::default(),
    };
    let now = || Moment { wall: Timestamp(SEVEN), since_boot: 1, clock: Clock::Synced };
    Log::open(&config, &Machine { boot_id: "boot".into(), now }, &Board::new()).unwrap()
}

fn run(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sensor-bridge"));
    for (name, _) in
        std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("SENSOR_BRIDGE"))
    {
        command.env_remove(name);
    }
    // No configuration: what is needed stands in the files.
    command.args(arguments).args(["--config", "/nowhere/config.yaml"]).output().unwrap()
}

#[track_caller]
fn well(arguments: &[&str]) -> String {
    let output = run(arguments);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// A series and what its readings are.
#[derive(Debug, Clone)]
struct Series {
    device: &'static str,
    sensor: &'static str,
    quantity: &'static str,
    unit: &'static str,
    kind: ValueKind,
}

const KINDS: [ValueKind; 4] = [ValueKind::Float, ValueKind::Integer, ValueKind::Bool, ValueKind::Text];

fn series(mixed: bool) -> impl Strategy<Value = Vec<Series>> {
    let one = (0..2usize, 0..3usize, 0..4usize, 0..5usize, 0..4usize).prop_map(
        move |(device, sensor, quantity, unit, kind)| {
            let kind = if mixed { kind } else { (device + sensor + quantity + unit) % 4 };
            Series {
                device: ["greenhouse-pi", "my pi, the=old"][device],
                sensor: ["air", "21", "a \"b\""][sensor],
                quantity: ["temperature", "rel humidity", "x,y", "state"][quantity],
                unit: ["", "°C", "l/100 km", "a,b=\"c\"", "%"][unit],
                kind: KINDS[kind],
            }
        },
    );
    prop::collection::vec(one, 1..5)
}

fn value(kind: ValueKind) -> BoxedStrategy<Value> {
    let finite = any::<f64>().prop_filter("finite", |number| number.is_finite());
    match kind {
        ValueKind::Float => prop_oneof![
            finite,
            (-500..500i32).prop_map(|tenths| f64::from(tenths) / 10.0),
            Just(-0.0),
            Just(21.0),
            Just(9_007_199_254_740_994.0),
        ]
        .prop_map(Value::Float)
        .boxed(),
        ValueKind::Integer => prop_oneof![any::<i64>(), -5..5i64].prop_map(Value::Integer).boxed(),
        ValueKind::Bool => any::<bool>().prop_map(Value::Bool).boxed(),
        _ => prop_oneof![
            "[a-zé\",;=\\\\ \r\n]{0,8}".prop_map(|text: String| text),
            prop::sample::select(vec![
                "",
                "21",
                "007",
                "1e5",
                "nan",
                "true",
                "ok",
                " x ",
                "failed: no answer"
            ])
            .prop_map(str::to_owned),
        ]
        .prop_map(|text| Value::Text(text.into()))
        .boxed(),
    }
}

type Readings = Vec<(Series, i64, Clock, Value)>;

fn readings(mixed: bool, times: std::ops::Range<i64>) -> impl Strategy<Value = Readings> {
    let clocks = prop::sample::select(vec![Clock::Synced, Clock::Unsynced, Clock::Corrected]);
    series(mixed).prop_flat_map(move |series| {
        let time = prop_oneof![times.clone(), SEVEN..SEVEN + 5];
        let one =
            (prop::sample::select(series), time, clocks.clone()).prop_flat_map(|(series, time, clock)| {
                value(series.kind).prop_map(move |value| (series.clone(), time, clock, value))
            });
        // Some twice: equal readings must stay two.
        prop::collection::vec((one, 1..3usize), 1..40).prop_map(|some| {
            some.into_iter().flat_map(|(one, times)| std::iter::repeat_n(one, times)).collect()
        })
    })
}

/// A log with these readings.
fn fill(path: &Path, readings: &Readings) {
    let log = open(path);
    for (series, time, clock, value) in readings {
        let channel = Channel {
            device: series.device.into(),
            sensor: series.sensor.into(),
            quantity: series.quantity.into(),
            unit: series.unit.into(),
            kind: series.kind,
            publish: None,
            place: None,
        };
        let channel = log.register(&[channel]).unwrap()[0];
        let at = Moment { wall: Timestamp(*time), since_boot: 1, clock: *clock };
        log.append(vec![Reading { channel, at, value: value.clone() }]).unwrap();
    }
    log.close().unwrap();
}

/// Export → import into another log → export gives the same bytes, and importing again adds nothing.
fn round_trip(format: &str, readings: &Readings, mixed: bool) -> Result<(), TestCaseError> {
    let folder = TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
    let (one, other) = (path("one.db"), path("other.db"));
    fill(Path::new(&one), readings);
    open(Path::new(&other)).close().unwrap();
    let (first, second) = (path("first"), path("second"));
    well(&["export", "--database", &one, "--format", format, "--output", &first]);
    let mut import = vec!["import", "--database", &other, "--format", format, "--json", &first];
    import.extend(mixed.then_some("--mixed"));
    let added: Json = serde_json::from_str(&well(&import)).unwrap();
    prop_assert_eq!(&added["files"][0]["added"], &Json::from(readings.len()));
    let again: Json = serde_json::from_str(&well(&import)).unwrap();
    prop_assert_eq!(&again["files"][0]["added"], &Json::from(0));
    well(&["export", "--database", &other, "--format", format, "--output", &second]);
    let (first, second) = (fs::read_to_string(&first).unwrap(), fs::read_to_string(&second).unwrap());
    prop_assert_eq!(first, second);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 10, max_shrink_iters: 40, ..ProptestConfig::default() })]

    #[test]
    fn csv_goes_round(readings in readings(false, -60_000_000_000_000_000..200_000_000_000_000_000)) {
        round_trip("csv", &readings, false)?;
    }

    #[test]
    fn csv_goes_round_with_quantities_of_several_kinds(readings in readings(true, 0..SEVEN)) {
        round_trip("csv", &readings, true)?;
    }

    #[test]
    fn json_lines_go_round(readings in readings(false, i64::MIN..i64::MAX)) {
        round_trip("jsonl", &readings, false)?;
    }

    #[test]
    fn line_protocol_goes_round(readings in readings(true, -9_000_000_000_000_000..9_000_000_000_000_000)) {
        round_trip("influx", &readings, true)?;
    }
}

fn history(folder: &Path, lines: usize) -> PathBuf {
    let path = folder.join("history.csv");
    let mut file = std::io::BufWriter::new(fs::File::create(&path).unwrap());
    writeln!(file, "time,sensor,quantity,value,unit").unwrap();
    for line in 0..lines {
        writeln!(file, "{},cellar,temperature,{}.5,°C", 1_600_000_000 + line * 10, line % 30).unwrap();
    }
    file.into_inner().unwrap();
    path
}

fn configuration(folder: &Path, url: &str, rest: &str) -> String {
    format!(
        "device: {{ id: shed }}\nlog: {{ path: {}/bridge.db }}\nmqtt: {{ url: \"{url}\", topic: \"t/{{sensor}}/{{quantity}}\" }}\n\
         sensors:\n  - {{ id: wave, driver: sim, scenario: sine, interval: 20ms, quantities: {{ value: {{ change: always }} }} }}\n{rest}",
        folder.display()
    )
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn number(bridge: &Bridge, sql: &str) -> i64 {
    bridge.database().query_row(sql, [], |row| row.get(0)).unwrap()
}

/// Waits until there is more of it; at first there is no database, or no table.
#[track_caller]
fn until_more_than(bridge: &Bridge, least: i64, sql: &str) {
    wait_until(Duration::from_secs(30), sql, || {
        let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
        let connection = rusqlite::Connection::open_with_flags(bridge.database_path(), flags);
        connection
            .and_then(|known| known.query_row(sql, [], |row| row.get::<_, i64>(0)))
            .is_ok_and(|found| found > least)
    });
}

const OWN: &str = "SELECT count(*) FROM readings WHERE sensor = 'wave' AND id > 0";
const IMPORTED: &str = "SELECT count(*) FROM readings WHERE sensor = 'cellar'";
const WAITING: &str = "SELECT (SELECT max(id) FROM reading) - cursor FROM progress";

#[test]
fn an_import_beside_the_running_daemon_disturbs_nothing_and_publishes_nothing() {
    let mut broker = Mosquitto::start();
    let url = broker.url();
    let subscriber = Subscriber::persistent(broker.port(), "witness", &["t/#"], 1);
    let mut bridge = Bridge::start(|folder| configuration(folder, &url, ""));
    until_more_than(&bridge, 20, "SELECT cursor FROM progress");
    // A backlog, which must neither be lost nor taken for delivered.
    broker.stop();
    let before = number(&bridge, OWN);
    let file = history(bridge.folder(), 20_000);
    let name = file.to_str().unwrap();
    let output = bridge.run(&["import", name]);
    assert!(output.status.success(), "{}", said(&output));
    assert!(said(&output).contains("20000 readings added, 0 were there already"), "{}", said(&output));
    assert_eq!(number(&bridge, IMPORTED), 20_000);
    wait_until(Duration::from_secs(20), "it goes on reading", || number(&bridge, OWN) > before + 10);
    let again = bridge.run(&["import", name]);
    assert!(said(&again).contains("0 readings added, 20000 were there already"), "{}", said(&again));
    let refused = bridge.run(&["import", "--publish", "--sensor", "wave", "--quantity", "value", name]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(number(&bridge, WAITING) > 10, "the backlog waits");

    broker.resume();
    wait_until(Duration::from_secs(60), "the backlog is delivered", || number(&bridge, WAITING) <= 3);
    assert!(bridge.terminate().success(), "{}", bridge.last_words());
    let words = bridge.stderr();
    assert!(!words.contains("cannot be stored") && !words.contains("were lost"), "{words}");
    // Rows 1 … n without a hole, and every one of them at the subscriber, none of the imported.
    let rows = number(&bridge, "SELECT max(id) FROM reading");
    assert_eq!(number(&bridge, "SELECT count(*) FROM reading WHERE id > 0"), rows);
    let delivered = number(&bridge, "SELECT cursor FROM progress");
    let mut seen = std::collections::HashSet::new();
    wait_until(Duration::from_secs(20), "everything delivered was received", || {
        for message in subscriber.messages() {
            assert!(!message.topic.contains("cellar"), "{}", message.topic);
            if message.topic.starts_with("t/wave/") {
                seen.insert(message.payload);
            }
        }
        seen.len() as i64 >= delivered
    });
}

#[test]
fn what_is_imported_to_be_published_waits_behind_what_waits_already() {
    let broker = Mosquitto::start();
    let url = broker.url();
    let mut bridge = Bridge::start(|folder| configuration(folder, &url, ""));
    until_more_than(&bridge, 5, "SELECT count(*) FROM reading");
    let file = bridge.folder().join("old.csv");
    fs::write(
        &file,
        "time,value\n2020-01-01T00:00:00Z,7.25\n2020-01-01T00:00:01Z,7.5\n2020-01-01T00:00:01Z,7.5\n",
    )
    .unwrap();
    let import = ["import", "--publish", "--sensor", "wave", "--quantity", "value", file.to_str().unwrap()];
    let running = bridge.run(&import);
    assert_eq!(running.status.code(), Some(1));
    assert!(said(&running).contains("sudo systemctl stop sensor-bridge"), "{}", said(&running));
    assert!(bridge.terminate().success());
    let unknown = bridge.run(&[
        "import",
        "--publish",
        "--sensor",
        "cellar",
        "--quantity",
        "value",
        file.to_str().unwrap(),
    ]);
    assert!(
        said(&unknown).contains("cellar value of shed is not in the configuration"),
        "{}",
        said(&unknown)
    );
    let last = number(&bridge, "SELECT max(id) FROM reading");
    let done = bridge.run(&import);
    assert!(said(&done).contains("2 readings added, 1 were there already"), "{}", said(&done));
    assert!(said(&bridge.run(&import)).contains("0 readings added, 3 were"), "a second time");
    assert_eq!(number(&bridge, "SELECT min(id) FROM readings WHERE time < '2021'"), last + 1);

    let subscriber = Subscriber::start(broker.port(), &["t/wave/value"], 1);
    bridge.resume();
    let mut old = Vec::new();
    wait_until(Duration::from_secs(20), "the imported ones", || {
        let texts = subscriber.messages().into_iter().map(|message| message.payload);
        old = texts.filter(|text| text.contains("\"time\":\"2020-")).collect();
        old.len() >= 2
    });
    assert!(old[0].contains("\"value\":7.25") && old[1].contains("\"value\":7.5"), "{old:?}");
}

#[test]
fn verify_tells_a_whole_mirror_from_one_with_holes() {
    let broker = Mosquitto::start();
    let url = broker.url();
    let mirror = "mirror:\n  - { id: all, topics: [\"t/#\"], qos: 1, to: sqlite }\n";
    let mut bridge = Bridge::start(|folder| configuration(folder, &url, mirror));
    until_more_than(&bridge, 100, "SELECT count(*) FROM message");
    // The mirror begins after the first readings, and what is under way at the end is delivered and not mirrored yet.
    let taken = |order: &str| -> String {
        let sql = format!(
            "SELECT json_extract(payload, '$.time') FROM message WHERE topic = (SELECT id FROM topic WHERE name = 't/wave/value')
             ORDER BY id {order} LIMIT 1"
        );
        bridge.database().query_row(&sql, [], |row| row.get(0)).unwrap()
    };
    let range =
        ["--sensor", "wave", "--quantity", "value", "--since", &taken("ASC"), "--until", &taken("DESC")];
    assert!(bridge.terminate().success());
    let whole = bridge.run(&[&["verify"], &range[..]].concat());
    assert!(whole.status.success() && said(&whole).contains("Nothing is missing."), "{}", said(&whole));

    let copy = bridge.folder().join("copy.db");
    assert!(bridge.run(&["backup", copy.to_str().unwrap()]).status.success());
    let holed = rusqlite::Connection::open(&copy).unwrap();
    let gone = "DELETE FROM message WHERE topic = (SELECT id FROM topic WHERE name = 't/wave/value') AND id IN (SELECT id FROM message ORDER BY id LIMIT 5 OFFSET 20)";
    let gone = holed.execute(gone, []).unwrap();
    drop(holed);
    let arguments = [&["verify", copy.to_str().unwrap()], &range[..]].concat();
    let output = bridge.run(&arguments);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(
        said(&output).contains(&format!("{gone} of ")) && said(&output).contains("Missing:\n  wave value: "),
        "{}",
        said(&output)
    );
    let json: Json =
        serde_json::from_slice(&bridge.run(&[&arguments[..], &["--json"]].concat()).stdout).unwrap();
    assert_eq!((&json["missing"], &json["complete"]), (&Json::from(gone), &Json::from(false)));
    assert!(json["channels"][0]["gaps"][0]["from"].is_string(), "{json:#}");
}

#[test]
fn a_wrong_line_is_named_and_nothing_goes_in() {
    let folder = TempDir::new().unwrap();
    let database = folder.path().join("bridge.db");
    open(&database).close().unwrap();
    let file = folder.path().join("x.csv");
    fs::write(&file, "time,sensor,quantity,value\n2020-01-01,a,b,1\nsoon,a,b,2\n").unwrap();
    let output =
        run(&["import", "--device", "d", "--database", database.to_str().unwrap(), file.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        said(&output).contains("x.csv:3: \"soon\" is not a time")
            && said(&output).contains("nothing was imported")
    );
    let reader = rusqlite::Connection::open(&database).unwrap();
    assert_eq!(reader.query_row("SELECT count(*) FROM reading", [], |row| row.get::<_, i64>(0)).unwrap(), 0);
}

#[test]
fn an_export_that_cannot_be_finished_leaves_nothing() {
    let folder = TempDir::new().unwrap();
    let (one, path) = (folder.path().join("one.db"), folder.path().join("out.lp"));
    let beyond = Series { device: "d", sensor: "s", quantity: "q", unit: "", kind: ValueKind::Integer };
    fill(&one, &vec![(beyond, i64::MAX / 10, Clock::Synced, Value::Integer(1))]);
    let output = run(&["export", "--database", one.to_str().unwrap(), "--output", path.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("export as CSV or JSON lines"), "{}", said(&output));
    let left: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(!left.iter().any(|name| name.to_string_lossy().contains("out")), "{left:?}");
    let parquet = run(&["export", "--database", one.to_str().unwrap(), "--output", "x.parquet"]);
    assert!(said(&parquet).contains("duckdb -c"), "{}", said(&parquet));
}

/// Peak resident memory of a process in kB while it runs.
fn peak(command: &mut Command) -> (u64, std::process::ExitStatus) {
    let mut child =
        command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null()).spawn().unwrap();
    let mut peak = 0;
    loop {
        let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let now = line.and_then(|line| line.trim().trim_end_matches(" kB").trim().parse().ok()).unwrap_or(0);
        peak = peak.max(now);
        if let Some(status) = child.try_wait().unwrap() {
            return (peak, status);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// However long the file, memory is bounded: what 200,000 lines take is what 20,000 take. `EXCHANGE_LINES` makes it more.
#[test]
fn a_long_file_takes_no_more_memory_than_a_short_one() {
    let folder = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let lines = std::env::var("EXCHANGE_LINES").ok().and_then(|lines| lines.parse().ok()).unwrap_or(200_000);
    let takes = |lines: usize| {
        let database = folder.path().join(format!("{lines}.db"));
        open(&database).close().unwrap();
        let file = history(folder.path(), lines);
        let out = folder.path().join("out.csv");
        let program = || Command::new(env!("CARGO_BIN_EXE_sensor-bridge"));
        let common = ["--database", database.to_str().unwrap()];
        let import = peak(program().arg("import").args(common).args(["--device", "d"]).arg(&file));
        let export = peak(program().arg("export").args(common).args(["--force", "--output"]).arg(&out));
        assert!(import.1.success() && export.1.success());
        assert_eq!(fs::read_to_string(&out).unwrap().lines().count(), lines + 1);
        import.0.max(export.0)
    };
    let (short, long) = (takes(20_000), takes(lines));
    assert!(long < short + 8_192, "{short} kB for 20,000 lines, {long} kB for {lines}");
}
