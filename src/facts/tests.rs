//! Facts of a log and a board that are real, asked for over a real socket; and why values were not published.

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::time::Duration;

use super::ask::{AskError, Door};
use super::socket::{Answer, Server, place};
use super::why::explain;
use super::*;
use crate::config::{self, Socket};
use crate::filter::{SensorFilter, Trace};
use crate::log::Machine;
use crate::reading::{Clock as Quality, Measured, Timestamp, Value};
use crate::status::State;

const YAML: &str = "
device: { id: pi }
log: { path: DB, retention: { max_size: 1GB } }
mqtt: { url: mqtt://broker.example }
sensors:
  - { id: air, driver: sim, interval: 1s, quantities: { value: { change: 0.1, heartbeat: 5m } } }
  - { id: air.out, driver: sim, interval: 1s }
outputs:
  - { id: fan, driver: digital-output, bus: gpio-sim, pin: 22 }
mirror:
  - { id: back, topics: [\"a/#\"], to: sqlite }
";

fn moment(seconds: f64) -> Moment {
    let micros = (seconds * 1e6) as i64;
    Moment { wall: Timestamp(1_795_158_000_000_000 + micros), since_boot: micros, clock: Quality::Synced }
}

struct House {
    folder: tempfile::TempDir,
    board: Board,
    config: Config,
    facts: Facts,
}

impl House {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let yaml = YAML.replace("DB", &folder.path().join("bridge.db").to_string_lossy());
        let config = config::parse(&yaml, std::iter::empty()).unwrap();
        let board = Board::new();
        let machine = Machine { boot_id: "boot".into(), now: || moment(100.0) };
        let log = Log::open(&config.log, &machine, &board).unwrap();
        let facts = Facts::new(&config, &board, &log, || moment(100.0));
        Self { folder, board, config, facts }
    }

    fn socket(&self) -> std::path::PathBuf {
        self.folder.path().join("bridge.db.sock")
    }

    fn serve(&self) -> Server {
        let server = Server::start(&self.config, None, &self.facts, &self.board);
        server.expect("the socket can be made")
    }
}

#[test]
fn the_board_becomes_facts() {
    let house = House::new();
    let part = |name: &str| house.board.part(name);
    part("publisher").set(State::Failed("connection refused".into()));
    part("publisher").figure("delivered").set(-250);
    part("publisher").figure("ack_us").set(12_300);
    part("publisher").histogram("ack").observe(Duration::from_millis(3));
    part("sensor air").set(State::Ok);
    part("sensor air").figure("passed").add(7);
    part("mirror back").set(State::Degraded("no JSON".into()));
    part("mirror back").figure("last_us").set(98_500_000);
    part("sensor gone").set(State::Stopped);
    part("output gone").set(State::Stopped);
    part("output fan").set(State::Ok);
    part("output fan").figure("level_thousandths").set(100_000);
    part("output fan").figure("changes").add(3);
    part("commands").figure("done").add(2);
    let snapshot = house.facts.snapshot();
    let broker = snapshot.broker.as_ref().unwrap();
    assert_eq!((broker.condition.state, broker.backlog_rows), (Word::Failed, 250));
    assert_eq!((broker.round_trip_seconds, broker.retry_seconds), (Some(0.0123), None));
    assert_eq!((broker.latency.count, broker.latency.buckets[2]), (1, (0.005, 1)));
    assert_eq!((snapshot.sensors[0].passed, snapshot.sensors[0].quantities[0].value.clone()), (7, None));
    assert_eq!(snapshot.mirrors[0].last_message_seconds, Some(1.5));
    assert_eq!(snapshot.mirrors[0].condition.reason.as_deref(), Some("no JSON"));
    let parts: Vec<&str> = snapshot.parts.iter().map(|part| part.part.as_str()).collect();
    assert_eq!(parts, ["commands"], "those that the configuration no longer names are left out");
    let fan = &snapshot.outputs[0];
    assert_eq!((fan.output.as_str(), fan.level, fan.digital, fan.changes), ("fan", 100.0, true, 3));
    assert!(snapshot.health.healthy, "the broker has been away for an instant: {:?}", snapshot.health);
    assert_eq!(snapshot.health.warnings.len(), 2);
    assert_eq!(snapshot.log.max_size_bytes, Some(1_000_000_000));
    assert!(snapshot.log.size_bytes > 0 && snapshot.log.condition.state == Word::Ok);
    let event = snapshot.events.iter().find(|event| event.part == "publisher").unwrap();
    assert_eq!((event.what.as_str(), event.warning), ("failed: connection refused", true));
    // What goes over the wire is the same.
    let json = serde_json::to_string(&snapshot).unwrap();
    assert_eq!(serde_json::from_str::<Snapshot>(&json).unwrap(), snapshot);
}

#[test]
fn a_backlog_that_drains_says_when_it_is_gone() {
    let house = House::new();
    let delivered = house.board.part("publisher").figure("delivered");
    let begin = Instant::now();
    for (second, waiting) in [(0, 1_000), (1, 900), (2, 800)] {
        delivered.set(-waiting);
        house.facts.inner.note_pace(begin + Duration::from_secs(second));
    }
    let broker = house.facts.snapshot().broker.unwrap();
    assert!((broker.drain_per_second - 100.0).abs() < 1e-6, "{broker:?}");
    assert!((broker.drain_seconds_left.unwrap() - 8.0).abs() < 1e-6, "{broker:?}");
    delivered.set(0);
    let broker = house.facts.snapshot().broker.unwrap();
    assert_eq!((broker.drain_per_second, broker.drain_seconds_left), (0.0, None));
}

#[test]
fn the_socket_answers_and_goes_with_the_daemon() {
    use std::os::unix::fs::PermissionsExt;
    let house = House::new();
    let door = Door::of(&house.config).unwrap();
    assert!(matches!(door.ask("status"), Err(AskError::NoDaemon { .. })));
    let server = house.serve();
    let mode = std::fs::metadata(house.socket()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o660);
    let Ok(Answer::Status(snapshot)) = door.ask("status") else { panic!("no status") };
    assert_eq!(snapshot.device, "pi");
    let Ok(Answer::Metrics(text)) = door.ask("metrics") else { panic!("no metrics") };
    assert!(text.contains("\nsensor_bridge_healthy 1\n") || text.contains("\nsensor_bridge_healthy 0\n"));
    let Ok(Answer::Why(why)) = door.ask("why air.value") else { panic!("no reason") };
    assert_eq!(why.quantities[0].lines, ["nothing was read yet"]);
    let refused = |request: &str| match door.ask(request) {
        Err(AskError::Refused(why)) => why,
        other => panic!("{request}: {other:?}"),
    };
    // A sensor whose name begins with that of another and a dot.
    for asked in ["why air.out", "why air.out.value"] {
        let Ok(Answer::Why(why)) = door.ask(asked) else { panic!("no reason: {asked}") };
        assert_eq!((why.sensor.as_str(), why.quantities.len()), ("air.out", 1));
    }
    assert_eq!(refused("why wind"), "there is no sensor \"wind\"; there are air, air.out");
    assert_eq!(refused("why air.x"), "sensor air has no quantity \"x\"; it has value");
    assert_eq!(refused("why air.out.x"), "sensor air.out has no quantity \"x\"; it has value");
    assert!(refused("erase").contains("ask for status"));
    assert!(refused("why").contains("ask for status"));
    drop(server);
    assert!(!house.socket().exists());
    let error = door.ask("status").unwrap_err().to_string();
    assert!(error.starts_with("no sensor-bridge is running: nothing answers at "), "{error}");
}

#[test]
fn bad_clients_are_shown_the_door_and_keep_nobody_waiting() {
    let house = House::new();
    let _server = house.serve();
    let connect = || UnixStream::connect(house.socket()).unwrap();
    // More than are served at a time, and none of them says anything.
    let silent: Vec<UnixStream> = (0..20).map(|_| connect()).collect();
    let begun = Instant::now();
    let door = Door::at(house.socket());
    assert!(matches!(door.ask("status"), Ok(Answer::Status(_))));
    assert!(begun.elapsed() < Duration::from_secs(10), "those before it must not hold it up for ever");
    for mut stream in silent {
        let mut answer = Vec::new();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        stream.read_to_end(&mut answer).unwrap();
        assert!(answer.is_empty(), "nothing was asked");
    }
    // A request without end is cut off.
    let mut long = connect();
    long.write_all(&[b'x'; 100_000]).unwrap_or_default();
    let mut answer = String::new();
    if long.read_to_string(&mut answer).is_ok() {
        assert!(answer.is_empty() || answer.contains("ask for status"), "{answer}");
    }
    // Half a request, and gone.
    connect().write_all(b"sta").unwrap();
    // No text at all.
    let mut garbage = connect();
    garbage.write_all(&[0xff, 0, 0xfe, b'\n']).unwrap();
    let mut answer = String::new();
    garbage.read_to_string(&mut answer).unwrap();
    assert!(answer.contains("ask for status"), "{answer}");
    assert!(matches!(door.ask("status"), Ok(Answer::Status(_))));
}

#[test]
fn what_a_killed_daemon_left_is_replaced_and_nothing_else() {
    let house = House::new();
    let part = || house.board.part("status socket");
    let start = || Server::start(&house.config, None, &house.facts, &house.board);
    drop(UnixListener::bind(house.socket()).unwrap());
    assert!(house.socket().exists(), "left behind");
    let server = start().unwrap();
    assert!(start().is_none());
    let State::Degraded(why) = part().state().0 else { panic!("not shown") };
    assert!(why.contains("another sensor-bridge answers here"), "{why}");
    drop(server);
    std::fs::write(house.socket(), "mine").unwrap();
    assert!(start().is_none());
    assert_eq!(std::fs::read_to_string(house.socket()).unwrap(), "mine");
}

#[test]
fn the_answer_must_come_from_the_daemon_that_is_meant() {
    let house = House::new();
    let _server = house.serve();
    let mut other = house.config.clone();
    other.log.path = house.folder.path().join("other.db");
    other.status.socket = Socket::Usual;
    std::os::unix::fs::symlink(house.socket(), house.folder.path().join("other.db.sock")).unwrap();
    let error = Door::of(&other).unwrap().ask("status").unwrap_err().to_string();
    assert!(error.contains("logs to") && error.contains("bridge.db"), "{error}");
    other.status.socket = Socket::At(house.socket());
    assert!(Door::of(&other).unwrap().ask("status").is_ok());
    other.status.socket = Socket::Off;
    assert!(matches!(Door::of(&other), Err(AskError::Off)));
}

#[test]
fn where_the_socket_is() {
    let database = Path::new("/data/bridge.db");
    let at = |socket: &Socket, runtime: Option<&str>| {
        place(socket, database, runtime.map(std::ffi::OsStr::new))
            .map(|path| path.to_str().unwrap().to_owned())
    };
    let run = Some("/run/sensor-bridge");
    let beside = Some("/data/bridge.db.sock".to_owned());
    assert_eq!(at(&Socket::Usual, run).as_deref(), Some(super::socket::UNDER_SYSTEMD));
    assert_eq!(at(&Socket::Usual, Some("/run/a:/run/b")).as_deref(), Some("/run/a/status.sock"));
    assert_eq!(at(&Socket::Usual, None), beside);
    assert_eq!(at(&Socket::Usual, Some("relative")), beside);
    assert_eq!(at(&Socket::At("/x".into()), run).as_deref(), Some("/x"));
    assert_eq!(at(&Socket::Off, run), None);
}

/// Plays samples (time in seconds, value) and answers what is said at the end.
fn told(yaml: &str, samples: &[(f64, f64)], kept: bool, now: f64) -> Vec<String> {
    let yaml = format!(
        "sensors: [ {{ id: air, driver: sim, min: 0, max: 50, quantities: {{ value: {{ unit: °C, {yaml} }} }} }} ]"
    );
    let yaml = yaml.replace("unit: °C, ", "");
    let config = config::parse(&yaml, std::iter::empty()).unwrap();
    let quantities = &config.sensors[0].quantities;
    let mut filter = SensorFilter::new(quantities);
    let mut traces = vec![Trace::default(); quantities.len()];
    for (number, (time, value)) in samples.iter().enumerate() {
        let at = moment(*time);
        let sample = [Measured { quantity: quantities[0].index, value: Value::Float(*value) }];
        let verdict = filter.judge(Duration::from_secs_f64(*time), &sample);
        let kept = kept || number + 1 < samples.len();
        verdict.trace(&mut traces, at, kept);
        filter.settle(Duration::from_secs_f64(*time), at, verdict, kept);
    }
    explain(&quantities[0], &traces[0], moment(now))
}

#[test]
fn every_reason_is_told() {
    let step = [(0.0, 21.43), (10.0, 21.47)];
    // (configuration, samples, kept, asked at) → lines
    type Case<'a> = (&'a str, &'a [(f64, f64)], bool, f64, &'a [&'a str]);
    let table: &[Case<'_>] = &[
        ("change: 0.1", &[], true, 0.0, &["nothing was read yet"]),
        ("change: 0.1", &step[..1], true, 3.0, &["3.0 s ago: 21.43 went into the log"]),
        (
            "change: 0.1, heartbeat: 5m",
            &step,
            true,
            48.0,
            &[
                "38 s ago: 21.43 → 21.47 is under the 0.1 deadband; heartbeat in 4 m 12 s",
                "48 s ago: 21.43 went into the log",
            ],
        ),
        (
            "change: 1%",
            &step,
            true,
            10.0,
            &[
                "0 s ago: 21.43 → 21.47 is under the deadband of 1 % of 21.43 (0.2143); there is no heartbeat",
                "10 s ago: 21.43 went into the log",
            ],
        ),
        (
            "change: any, heartbeat: 10s",
            &[(0.0, 5.0), (9.0, 5.0)],
            true,
            11.0,
            &[
                "2.0 s ago: 5 as before; the heartbeat is due with the next reading",
                "11 s ago: 5 went into the log",
            ],
        ),
        (
            "change: any, min_interval: 30s",
            &[(0.0, 5.0), (4.0, 6.0)],
            true,
            4.0,
            &[
                "0 s ago: 6 came 4.0 s after the one before: min_interval 30s keeps it back for another 26 s",
                "4.0 s ago: 5 went into the log",
            ],
        ),
        (
            "valid: [0, 40]",
            &[(0.0, 5.0), (1.0, 45.0)],
            true,
            2.0,
            &["1.0 s ago: value 45 is outside its valid range (0 to 40)", "2.0 s ago: 5 went into the log"],
        ),
        (
            "change: any",
            &[(0.0, 5.0)],
            false,
            1.0,
            &["1.0 s ago: 5 was lost: the log did not take it; is the disk full or slow?"],
        ),
        (
            "change: 0.1",
            &[(0.0, 5.0), (1.0, 5.01), (2.0, 6.0)],
            true,
            2.0,
            &["0 s ago: 6 went into the log", "1.0 s ago: 5 → 5.01 is under the 0.1 deadband"],
        ),
    ];
    for (yaml, samples, kept, now, lines) in table {
        assert_eq!(told(yaml, samples, *kept, *now), *lines, "{yaml}");
    }
}
