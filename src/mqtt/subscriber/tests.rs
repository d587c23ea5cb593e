//! The subscriber against a real mosquitto, into the real log and real files.

use std::collections::HashMap;
use std::fs;
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::*;
use crate::config::{Backlog, Broker as Address, ColumnKind, CsvColumn, JsonPath, Mqtt, MqttVersion};
use crate::config::{Retention, Sync, Table, TableColumn, Transport};
use crate::enrich::clock;
use crate::log::Machine;
use crate::reading::Qos;
use crate::status::State;

/// No condition of these tests takes this long, even on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A mosquitto of this test's own, in a folder of its own. Ends with it.
struct Broker {
    folder: PathBuf,
    port: u16,
    child: Option<Child>,
    extra: String,
}

impl Broker {
    fn start(folder: &Path, extra: &str) -> Self {
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let mut broker = Self { folder: folder.to_owned(), port, child: None, extra: extra.to_owned() };
        broker.run();
        broker
    }

    fn run(&mut self) {
        let Self { folder, port, extra, .. } = self;
        let config = format!(
            "listener {port} 127.0.0.1\nallow_anonymous true\npersistence true\npersistence_location {}/\n\
             autosave_on_changes true\nautosave_interval 1\nmax_queued_messages 0\nuser root\n{extra}\n",
            folder.display()
        );
        let path = folder.join("mosquitto.conf");
        fs::write(&path, config).unwrap();
        let program = ["/usr/sbin/mosquitto", "mosquitto"].into_iter().find(|path| Path::new(path).exists());
        let mut command = Command::new(program.unwrap_or("mosquitto"));
        command.arg("-c").arg(path).stdout(Stdio::null()).stderr(Stdio::null());
        self.child = Some(command.spawn().expect("these tests need mosquitto"));
        let port = self.port;
        until("mosquitto listens", || TcpStream::connect(("127.0.0.1", port)).is_ok());
    }

    /// In order: it saves its sessions.
    fn stop(&mut self) {
        let Some(mut child) = self.child.take() else { return };
        let status = Command::new("kill").arg(child.id().to_string()).status().unwrap();
        assert!(status.success());
        child.wait().unwrap();
    }

    fn publish(&self, arguments: &[&str], input: &[u8]) {
        let mut command = Command::new("mosquitto_pub");
        command.args(["-h", "127.0.0.1", "-p", &self.port.to_string()]).args(arguments);
        let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(input).unwrap();
        assert!(child.wait().unwrap().success());
    }

    /// One message per line.
    fn lines(&self, topic: &str, qos: u8, lines: impl IntoIterator<Item = String>) {
        let input: String = lines.into_iter().map(|line| line + "\n").collect();
        self.publish(&["-t", topic, "-q", &qos.to_string(), "-l"], input.as_bytes());
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap_or_default();
            drop(child.wait());
        }
    }
}

fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(begun.elapsed() < PATIENCE, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A mirror's surroundings: broker, log, board.
struct House {
    folder: tempfile::TempDir,
    broker: Broker,
    log: Log,
    board: Board,
    version: MqttVersion,
}

/// mosquitto 2.0.11 that is restarted while a subscriber works off a backlog forgets hand-shakes beyond its
/// window and sends those messages again as new (`docs/delivery.md`); with this it forgets none.
const WIDE_WINDOW: &str = "max_inflight_messages 60000";

impl House {
    fn new(version: MqttVersion, extra: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let board = Board::new();
        let broker = Broker::start(folder.path(), extra);
        let config = config::Log {
            path: folder.path().join("bridge.db"),
            sync: Sync::Full,
            commit_interval: Duration::ZERO,
            key: None,
            retention: Retention::default(),
        };
        let machine = Machine { boot_id: "boot".into(), now: clock::now };
        let log = Log::open(&config, &machine, &board).unwrap();
        Self { folder, broker, log, board, version }
    }

    fn mqtt(&self) -> Mqtt {
        Mqtt {
            broker: Address {
                transport: Transport::Tcp,
                host: "127.0.0.1".into(),
                port: self.broker.port,
                path: "/mqtt".into(),
                headers: Vec::new(),
                proxy: None,
                tls: crate::config::Tls::default(),
            },
            credentials: None,
            client_id: "bridge".into(),
            version: self.version,
            keep_alive: Duration::from_secs(10),
            backlog: Backlog::InOrder,
            window: 100,
            max_packet_size: 64 << 20,
            status_topic: Some("castel/x/status".into()),
            max_payload: None,
            rate: None,
            pace: None,
            clean: false,
            platform: None,
            integrity: None,
            pseudonym: None,
        }
    }

    fn mirror(&self, topics: &[&str], qos: Qos, sink: config::Sink) -> config::Mirror {
        let topics = topics.iter().map(|topic| (*topic).to_owned()).collect();
        config::Mirror { id: "m".into(), topics, qos, integrity: None, payload: None, sink }
    }

    fn start(&self, topics: &[&str], qos: Qos, sink: config::Sink) -> Subscriber {
        start(&self.mqtt(), &self.mirror(topics, qos, sink), self.log.clone(), &self.board).unwrap()
    }

    /// Starts a SQLite mirror and waits until it is subscribed.
    fn sqlite(&self, topics: &[&str], qos: Qos) -> Subscriber {
        let subscriber = self.start(topics, qos, SQLITE);
        self.subscribed(topics);
        subscriber
    }

    fn subscribed(&self, topics: &[&str]) {
        let mut wanted: Vec<_> = topics.iter().map(|topic| (*topic).to_owned()).collect();
        wanted.sort();
        until("it is subscribed", || {
            let state = self.log.mirror_state("m").unwrap();
            let mut have: Vec<_> = state.subscribed.into_iter().map(|(filter, _)| filter).collect();
            have.sort();
            have == wanted && self.state() == State::Ok
        });
    }

    fn state(&self) -> State {
        self.board.part("mirror m").state().0
    }

    fn figure(&self, name: &'static str) -> i64 {
        self.board.part("mirror m").figure(name).get()
    }

    fn query<T: rusqlite::types::FromSql>(&self, sql: &str) -> Vec<T> {
        let connection = rusqlite::Connection::open(self.folder.path().join("bridge.db")).unwrap();
        let mut statement = connection.prepare(sql).unwrap();
        statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    }

    fn payloads(&self, topic: &str) -> Vec<String> {
        self.query(&format!("SELECT CAST(payload AS TEXT) FROM messages WHERE topic = '{topic}' ORDER BY id"))
    }

    fn count(&self) -> i64 {
        self.query::<i64>("SELECT count(*) FROM messages")[0]
    }
}

const SQLITE: config::Sink = config::Sink::Sqlite { table: None };

fn numbers(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|number| number.to_string()).collect()
}

#[test]
fn a_token_is_renewed_without_a_message_lost_or_stored_twice() {
    for version in [MqttVersion::V311, MqttVersion::V5] {
        let house = House::new(version, "");
        let asked = house.folder.path().join("asked");
        let script = format!("echo asked >>{}; echo token", asked.display());
        let words = ["/bin/sh", "-c", &script].map(str::to_owned).to_vec();
        let password = config::Password::Command(words, Some(Duration::from_millis(250)));
        let credentials = Some(config::Credentials { username: "pi".into(), password });
        let mqtt = Mqtt { credentials, ..house.mqtt() };
        let mirror = house.mirror(&["a/#"], Qos::AtLeastOnce, SQLITE);
        let subscriber = start(&mqtt, &mirror, house.log.clone(), &house.board).unwrap();
        house.subscribed(&["a/#"]);
        let mut sent = 0;
        while fs::read_to_string(&asked).unwrap().lines().count() < 5 {
            house.broker.lines("a/t", 1, numbers(sent..sent + 50));
            sent += 50;
        }
        until("all is stored", || house.count() >= sent as i64);
        subscriber.stop();
        assert_eq!(house.payloads("a/t"), numbers(0..sent));
    }
}

#[test]
fn every_qos_wildcard_and_version_arrives_once_and_in_order() {
    for version in [MqttVersion::V311, MqttVersion::V5] {
        let house = House::new(version, "");
        house.broker.publish(&["-t", "a/old/t", "-r", "-m", "kept"], b"");
        let subscriber = house.sqlite(&["a/+/t", "b/#", "$share/group/c/#"], Qos::ExactlyOnce);
        for qos in 0..3 {
            house.broker.lines(&format!("a/{qos}/t"), qos, numbers(0..500));
        }
        house.broker.publish(&["-t", "b", "-q", "1", "-m", "parent"], b"");
        house.broker.publish(&["-t", "b/x/y", "-q", "1", "-n"], b"");
        house.broker.publish(&["-t", "b/binary", "-q", "2", "-s"], &[0, 255, 10, 34]);
        house.broker.publish(&["-t", "c/shared", "-q", "1", "-m", "shared"], b"");
        house.broker.publish(&["-t", "a/x/not", "-q", "1", "-m", "not subscribed"], b"");
        house.broker.publish(&["-t", "b/end", "-q", "1", "-m", "end"], b"");
        until("all is stored", || house.count() >= 1506);
        until("every hand-shake is finished", || house.log.mirror_state("m").unwrap().held.is_empty());
        subscriber.stop();
        assert_eq!(house.state(), State::Stopped);
        assert_eq!(house.count(), 1506);
        for qos in 0..3 {
            assert_eq!(house.payloads(&format!("a/{qos}/t")), numbers(0..500), "QoS {qos}, {version:?}");
            let sql = format!("SELECT DISTINCT qos FROM messages WHERE topic = 'a/{qos}/t'");
            assert_eq!(house.query::<i64>(&sql), [i64::from(qos)]);
        }
        assert_eq!(house.query::<String>("SELECT topic FROM messages WHERE retained"), ["a/old/t"]);
        assert_eq!(house.payloads("b/x/y"), [""]);
        assert_eq!(
            house.query::<Vec<u8>>("SELECT CAST(payload AS BLOB) FROM messages WHERE topic = 'b/binary'"),
            [vec![0, 255, 10, 34]]
        );
        assert_eq!((house.figure("received"), house.figure("stored")), (1506, 1506));
    }
}

#[test]
fn what_comes_while_it_is_away_waits_on_the_broker() {
    for version in [MqttVersion::V311, MqttVersion::V5] {
        let house = House::new(version, "");
        house.sqlite(&["t/#"], Qos::ExactlyOnce).stop();
        house.broker.lines("t/1", 1, numbers(0..200));
        house.broker.lines("t/2", 2, numbers(0..200));
        let subscriber = house.sqlite(&["t/#"], Qos::ExactlyOnce);
        until("all is stored", || house.count() >= 400);
        subscriber.stop();
        assert_eq!(house.payloads("t/1"), numbers(0..200), "{version:?}");
        assert_eq!(house.payloads("t/2"), numbers(0..200), "{version:?}");
    }
}

#[test]
fn a_broker_that_restarts_in_the_midst_costs_nothing_and_repeats_nothing_of_qos_2() {
    for version in [MqttVersion::V311, MqttVersion::V5] {
        let mut house = House::new(version, WIDE_WINDOW);
        let subscriber = house.sqlite(&["t/#"], Qos::ExactlyOnce);
        for round in 0..3 {
            let range = round * 300..(round + 1) * 300;
            house.broker.lines("t/2", 2, numbers(range.clone()));
            let own = range.map(|row| format!("{{\"id\":\"3f9c2a1b-{}\",\"value\":{row}}}", row + 1));
            house.broker.lines("t/1", 1, own);
            house.broker.stop();
            until("the loss is shown", || matches!(house.state(), State::Failed(_)));
            house.broker.run();
            until("it is back", || house.state() == State::Ok);
        }
        until("all is stored", || house.count() >= 1800);
        subscriber.stop();
        assert_eq!(house.payloads("t/2"), numbers(0..900), "{version:?}");
        assert_eq!(house.payloads("t/1").len(), 900, "{version:?}");
        assert!(house.figure("reconnects") >= 3);
    }
}

#[test]
fn a_broker_that_has_forgotten_us_is_subscribed_to_again() {
    let mut house = House::new(MqttVersion::V311, "");
    let subscriber = house.sqlite(&["t/#"], Qos::AtLeastOnce);
    house.broker.stop();
    fs::remove_file(house.folder.path().join("mosquitto.db")).unwrap();
    house.broker.run();
    until("it is back", || {
        house.broker.publish(&["-t", "t/x", "-q", "1", "-m", "again"], b"");
        house.count() > 0
    });
    subscriber.stop();
}

#[test]
fn changed_filters_are_put_right_without_asking_for_all_again() {
    for version in [MqttVersion::V311, MqttVersion::V5] {
        let house = House::new(version, "");
        house.broker.publish(&["-t", "keep/x", "-r", "-m", "retained"], b"");
        house.sqlite(&["keep/#", "drop/#"], Qos::AtLeastOnce).stop();
        assert_eq!(house.payloads("keep/x"), ["retained"]);
        let subscriber = house.sqlite(&["keep/#", "add/#"], Qos::AtLeastOnce);
        for topic in ["drop/x", "add/x", "keep/y"] {
            house.broker.publish(&["-t", topic, "-q", "1", "-m", topic], b"");
        }
        until("the last is stored", || !house.payloads("keep/y").is_empty());
        subscriber.stop();
        assert_eq!(house.payloads("drop/x"), [""; 0], "{version:?}");
        assert_eq!(house.payloads("add/x"), ["add/x"]);
        assert_eq!(house.payloads("keep/x"), ["retained"], "not sent again: it was not subscribed again");
    }
}

/// Everything is allowed but to subscribe to `secret/#`.
const RULES: &str = r#"{
  "defaultACLAccess": {
    "publishClientSend": true, "publishClientReceive": true, "subscribe": true, "unsubscribe": true
  },
  "clients": [],
  "groups": [{"groupname": "all", "roles": [{"rolename": "all"}]}],
  "roles": [{"rolename": "all", "acls": [
    {"acltype": "subscribeLiteral", "topic": "secret/#", "allow": false}
  ]}],
  "anonymousGroup": "all"
}"#;

/// mosquitto's dynamic security plugin, which comes with it.
fn plugin() -> PathBuf {
    let folders = [
        "/usr/lib/x86_64-linux-gnu",
        "/usr/lib/aarch64-linux-gnu",
        "/usr/lib/arm-linux-gnueabihf",
        "/usr/lib",
    ];
    let plugins = folders.map(|folder| Path::new(folder).join("mosquitto_dynamic_security.so"));
    plugins.into_iter().find(|plugin| plugin.exists()).expect("mosquitto 2.0 comes with this plugin")
}

#[test]
fn a_refused_filter_is_shown_and_the_others_go_on() {
    for version in [MqttVersion::V311, MqttVersion::V5] {
        // mosquitto's acl_file grants every SUBSCRIBE and then stays silent; this plugin of its own refuses.
        let folder = tempfile::tempdir().unwrap();
        let rules = folder.path().join("rules.json");
        fs::write(&rules, RULES).unwrap();
        let extra = format!("plugin {}\nplugin_opt_config_file {}", plugin().display(), rules.display());
        let house = House::new(version, &extra);
        let subscriber = house.start(&["secret/#", "open/#"], Qos::AtLeastOnce, SQLITE);
        until(
            "the refusal is shown",
            || matches!(house.state(), State::Degraded(why) if why.contains("secret/#")),
        );
        house.broker.publish(&["-t", "open/x", "-q", "1", "-m", "open"], b"");
        until("the other goes on", || house.payloads("open/x") == ["open"]);
        subscriber.stop();
    }
}

#[test]
fn own_repeats_are_dropped_and_counted() {
    let house = House::new(MqttVersion::V311, "");
    let subscriber = house.sqlite(&["t/#"], Qos::AtLeastOnce);
    let own = |row: usize| format!("{{\"id\":\"3f9c2a1b-{row}\",\"value\":{row}}}");
    house.broker.lines("t/a", 1, [1, 2, 2, 1, 3].map(own));
    house.broker.lines("t/b", 1, [1].map(own));
    until("all is received", || house.figure("stored") + house.figure("repeats") >= 6);
    subscriber.stop();
    assert_eq!(house.payloads("t/a"), [1, 2, 3].map(own));
    assert_eq!(house.payloads("t/b"), [1].map(own));
    assert_eq!(house.figure("repeats"), 2);
}

#[test]
fn twenty_megabytes_arrive_and_more_than_allowed_is_shown() {
    for version in [MqttVersion::V311, MqttVersion::V5] {
        let house = House::new(version, "");
        let big: Vec<u8> =
            (0..20 << 20).map(|place: u32| (place.wrapping_mul(2_654_435_761) >> 11) as u8).collect();
        let path = house.folder.path().join("big");
        fs::write(&path, &big).unwrap();
        let subscriber = house.sqlite(&["t/#"], Qos::ExactlyOnce);
        house.broker.publish(&["-t", "t/big", "-q", "2", "-f", path.to_str().unwrap()], b"");
        until("it is stored", || house.count() == 1);
        let stored = house.query::<Vec<u8>>("SELECT CAST(payload AS BLOB) FROM messages");
        assert!(stored[0] == big);
        subscriber.stop();
    }
    // On 3.1.1 only: a 5.0 broker is told the limit and drops what is larger.
    let house = House::new(MqttVersion::V311, "");
    let mqtt = Mqtt { max_packet_size: 1000, ..house.mqtt() };
    let mirror = house.mirror(&["t/#"], Qos::AtLeastOnce, SQLITE);
    let subscriber = start(&mqtt, &mirror, house.log.clone(), &house.board).unwrap();
    house.subscribed(&["t/#"]);
    house.broker.lines("t/x", 1, ["x".repeat(2000)]);
    until("it is shown", || matches!(house.state(), State::Failed(why) if why.contains("max_packet_size")));
    subscriber.stop();
    // What to do is said there; then it arrives.
    let subscriber = house.sqlite(&["t/#"], Qos::AtLeastOnce);
    until("it is stored", || house.count() == 1);
    subscriber.stop();
}

#[test]
fn json_goes_into_typed_columns_and_what_is_none_is_kept() {
    let house = House::new(MqttVersion::V5, "");
    let column = |path: &str, kind| TableColumn { path: JsonPath(path.into()), kind };
    let columns = [
        ("value", column("/value", ColumnKind::Real)),
        ("where", column("/location/name", ColumnKind::Text)),
    ];
    let columns = columns.into_iter().map(|(name, column)| (name.to_owned(), column)).collect();
    let sink = config::Sink::Sqlite { table: Some(Table { name: "climate".into(), columns }) };
    let subscriber = house.start(&["t/#"], Qos::AtLeastOnce, sink);
    house.subscribed(&["t/#"]);
    let payloads = [
        r#"{"value":21.5,"location":{"name":"Greenhouse \"2\""}}"#,
        "no JSON",
        r#"{"value":"warm"}"#,
        r#"{"value":true}"#,
    ];
    house.broker.lines("t/x", 1, payloads.map(str::to_owned));
    until("all is stored", || house.count() == 4);
    until("it is shown", || matches!(house.state(), State::Degraded(_)));
    subscriber.stop();
    assert_eq!(house.payloads("t/x"), payloads);
    let values = house.query::<Option<f64>>("SELECT value FROM climate ORDER BY id");
    assert_eq!(values, [Some(21.5), None, Some(1.0)]);
    assert_eq!(
        house.query::<Option<String>>("SELECT \"where\" FROM climate ORDER BY id")[0].as_deref(),
        Some("Greenhouse \"2\"")
    );
    let counts = ["bad_json", "refused_fields", "missing_fields"].map(|name| house.figure(name));
    assert_eq!(counts, [1, 1, 2]);
}

#[test]
fn csv_is_acknowledged_only_when_it_is_on_disk() {
    for version in [MqttVersion::V311, MqttVersion::V5] {
        let mut house = House::new(version, WIDE_WINDOW);
        let folder = house.folder.path().join("csv");
        // A file where the folder should be: the sink cannot open.
        fs::write(&folder, "in the way").unwrap();
        let path = folder.join("{mirror}.csv").display().to_string();
        let sink = || config::Sink::Csv {
            path: path.clone(),
            columns: vec![CsvColumn::Topic, CsvColumn::Qos, CsvColumn::Payload],
            max_size: None,
        };
        let subscriber = house.start(&["t/#"], Qos::ExactlyOnce, sink());
        until("it is shown", || matches!(house.state(), State::Failed(why) if why.contains("csv")));
        fs::remove_file(&folder).unwrap();
        house.subscribed(&["t/#"]);
        house.broker.lines("t/2", 2, numbers(0..300));
        house.broker.stop();
        house.broker.run();
        house.broker.lines("t/2", 2, numbers(300..600));
        until("all is stored", || house.figure("stored") >= 600);
        subscriber.stop();
        house.broker.lines("t/2", 2, numbers(600..700));
        let subscriber = house.start(&["t/#"], Qos::ExactlyOnce, sink());
        until("all is stored", || house.figure("stored") >= 700);
        subscriber.stop();
        let text = fs::read_to_string(folder.join("m.csv")).unwrap();
        let expected: String = numbers(0..700).iter().map(|number| format!("t/2,2,{number}\r\n")).collect();
        assert_eq!(text, format!("topic,qos,payload\r\n{expected}"), "{version:?}");
    }
}

#[test]
fn a_broker_that_is_away_is_shown_and_the_end_does_not_wait_for_it() {
    let mut house = House::new(MqttVersion::V311, "");
    house.broker.stop();
    let subscriber = house.start(&["t/#"], Qos::AtLeastOnce, SQLITE);
    until(
        "it is shown",
        || matches!(house.state(), State::Failed(why) if why.contains(&house.broker.port.to_string())),
    );
    let begun = Instant::now();
    subscriber.stop();
    assert!(begun.elapsed() < Duration::from_secs(2));
}

#[test]
fn two_mirrors_do_not_throw_each_other_out() {
    let house = House::new(MqttVersion::V311, "");
    let one = house.sqlite(&["t/#"], Qos::AtLeastOnce);
    let mut mirror = house.mirror(&["t/#"], Qos::AtLeastOnce, SQLITE);
    mirror.id = "n".into();
    let two = start(&house.mqtt(), &mirror, house.log.clone(), &house.board).unwrap();
    until("it is subscribed", || !house.log.mirror_state("n").unwrap().subscribed.is_empty());
    house.broker.lines("t/x", 1, numbers(0..10));
    until("both have all", || house.count() == 20);
    one.stop();
    two.stop();
    let counts: HashMap<String, i64> = ["m", "n"]
        .into_iter()
        .map(|id| (id.to_owned(), house.board.part(&format!("mirror {id}")).figure("reconnects").get()))
        .collect();
    assert_eq!(counts.values().sum::<i64>(), 0);
}

/// A sink that stores nothing until it is let.
#[derive(Clone)]
struct Gate {
    open: std::sync::Arc<std::sync::atomic::AtomicBool>,
    stored: std::sync::Arc<std::sync::Mutex<Vec<Vec<u8>>>>,
}

impl Sink for Gate {
    fn open(&mut self) -> Result<mirror::Session, mirror::SinkError> {
        Ok(mirror::Session::default())
    }

    fn store(&mut self, batch: &mirror::Batch) -> Result<mirror::Stored, mirror::SinkError> {
        until("the gate opens", || self.open.load(std::sync::atomic::Ordering::SeqCst));
        let payloads = batch.messages.iter().map(|message| message.payload.clone());
        self.stored.lock().unwrap().extend(payloads);
        Ok(mirror::Stored::default())
    }
}

#[test]
fn a_sink_that_hangs_bounds_what_is_read_and_loses_nothing() {
    for version in [MqttVersion::V311, MqttVersion::V5] {
        // Without a limit of the broker's on what is in flight, so that only ours is left.
        let house = House::new(version, "max_inflight_messages 0");
        let (open, stored) = (std::sync::Arc::default(), std::sync::Arc::default());
        let gate = Gate { open: std::sync::Arc::clone(&open), stored: std::sync::Arc::clone(&stored) };
        let gate = Box::new(move || Box::new(gate.clone()) as Box<dyn Sink>);
        let mqtt = Mqtt { keep_alive: Duration::from_secs(5), ..house.mqtt() };
        let mirror = house.mirror(&["t/#"], Qos::ExactlyOnce, SQLITE);
        let subscriber = start_with(&mqtt, &mirror, gate, &house.board).unwrap();
        // The first batch, which forgets the session that never was, must pass before it subscribes.
        open.store(true, std::sync::atomic::Ordering::SeqCst);
        until("it is subscribed", || {
            house.broker.publish(&["-t", "t/first", "-q", "1", "-m", "first"], b"");
            stored.lock().unwrap().iter().any(|payload| payload == b"first")
        });
        open.store(false, std::sync::atomic::Ordering::SeqCst);
        house.broker.lines("t/2", 2, numbers(0..5000));
        until(
            "it is given up",
            || matches!(house.state(), State::Degraded(why) if why.contains("until the sink stores again")),
        );
        let received = house.figure("received");
        assert!(received < 2200, "{received} messages were read");
        open.store(true, std::sync::atomic::Ordering::SeqCst);
        until("all is stored", || {
            stored.lock().unwrap().iter().filter(|payload| *payload != b"first").count() >= 5000
        });
        subscriber.stop();
        let stored = stored.lock().unwrap();
        let rest: Vec<_> = stored
            .iter()
            .filter(|payload| *payload != b"first")
            .map(|payload| String::from_utf8_lossy(payload))
            .collect();
        assert_eq!(rest, numbers(0..5000), "{version:?}");
    }
}

/// A sink that does not come to an end with this payload until it is let.
struct Stuck {
    payload: &'static [u8],
    open: std::sync::Arc<std::sync::atomic::AtomicBool>,
}

impl Sink for Stuck {
    fn open(&mut self) -> Result<mirror::Session, mirror::SinkError> {
        Ok(mirror::Session::default())
    }

    fn store(&mut self, batch: &mirror::Batch) -> Result<mirror::Stored, mirror::SinkError> {
        if batch.messages.iter().any(|message| message.payload == self.payload) {
            until("the sink goes on", || self.open.load(std::sync::atomic::Ordering::SeqCst));
        }
        Ok(mirror::Stored::default())
    }
}

/// Hundredths of a second of processor time that threads of this name have had.
fn processor_time(name: &str) -> u64 {
    let mut sum = 0;
    for task in fs::read_dir("/proc/self/task").unwrap() {
        let Ok(stat) = fs::read_to_string(task.unwrap().path().join("stat")) else { continue };
        let Some((before, after)) = stat.rsplit_once(") ") else { continue };
        let times = after.split(' ').skip(11).take(2).map(|ticks| ticks.parse::<u64>().unwrap());
        sum += if before.ends_with(&format!("({name}")) { times.sum() } else { 0 };
    }
    sum
}

/// The first message is stored and released by the broker while the others are with a sink that hangs: what was
/// released waits with them.
#[test]
fn nobody_is_busy_while_the_sink_hangs() {
    let house = House::new(MqttVersion::V311, "");
    let open = std::sync::Arc::<std::sync::atomic::AtomicBool>::default();
    let is_open = open.clone();
    let sink = Box::new(move || Box::new(Stuck { payload: b"5", open: is_open.clone() }) as Box<dyn Sink>);
    let mirror = config::Mirror { id: "idle".into(), ..house.mirror(&["t/#"], Qos::ExactlyOnce, SQLITE) };
    let subscriber = start_with(&house.mqtt(), &mirror, sink, &house.board).unwrap();
    until("it is subscribed", || house.board.part("mirror idle").state().0 == State::Ok);
    house.broker.lines("t/2", 2, numbers(0..10));
    until("all have come", || house.board.part("mirror idle").figure("received").get() == 10);
    std::thread::sleep(Duration::from_millis(300));
    let before = processor_time("mirror idle");
    std::thread::sleep(Duration::from_secs(1));
    let took = processor_time("mirror idle") - before;
    assert!(took < 20, "{took} % of a processor");
    open.store(true, std::sync::atomic::Ordering::SeqCst);
    subscriber.stop();
}

/// A sink that answers every message with this many bytes.
struct Talker {
    bytes: usize,
    answered: std::sync::Arc<std::sync::Mutex<Vec<i64>>>,
}

impl Sink for Talker {
    fn open(&mut self) -> Result<mirror::Session, mirror::SinkError> {
        Ok(mirror::Session::default())
    }

    fn store(&mut self, batch: &mirror::Batch) -> Result<mirror::Stored, mirror::SinkError> {
        self.answered.lock().unwrap().extend(&batch.answered);
        let answer = |number| mirror::Reply {
            number,
            topic: "r".into(),
            payload: vec![b'x'; self.bytes],
            correlation: None,
        };
        let replies = (1..).zip(&batch.messages).map(|(number, _)| answer(number)).collect();
        Ok(mirror::Stored { replies, ..mirror::Stored::default() })
    }
}

/// The library ends the connection over a packet that is larger than it was told, on each connection anew.
#[test]
fn an_answer_that_is_larger_than_allowed_is_given_up() {
    for version in [MqttVersion::V311, MqttVersion::V5] {
        let house = House::new(version, "");
        let answered = std::sync::Arc::<std::sync::Mutex<Vec<i64>>>::default();
        let heard = answered.clone();
        let sink =
            Box::new(move || Box::new(Talker { bytes: 5000, answered: heard.clone() }) as Box<dyn Sink>);
        let mirror = house.mirror(&["t/#"], Qos::AtLeastOnce, SQLITE);
        let mqtt = Mqtt { max_packet_size: 2000, ..house.mqtt() };
        let subscriber = start_with(&mqtt, &mirror, sink, &house.board).unwrap();
        until("it is subscribed", || house.state() == State::Ok);
        house.broker.publish(&["-t", "t/1", "-q", "1", "-m", "x"], b"");
        until("it is done with", || *answered.lock().unwrap() == [1] || house.figure("reconnects") > 0);
        assert_eq!(house.figure("reconnects"), 0, "{version:?}: {}", house.state());
        subscriber.stop();
    }
}

/// A mirror's sink that panics, once in all its lives, when it is to store this payload.
struct Fragile {
    sink: Box<dyn Sink>,
    payload: &'static [u8],
    broken: std::sync::Arc<std::sync::atomic::AtomicBool>,
}

impl Sink for Fragile {
    fn open(&mut self) -> Result<mirror::Session, mirror::SinkError> {
        self.sink.open()
    }

    fn store(&mut self, batch: &mirror::Batch) -> Result<mirror::Stored, mirror::SinkError> {
        let is_it = batch.messages.iter().any(|message| message.payload == self.payload);
        if is_it && !self.broken.swap(true, std::sync::atomic::Ordering::SeqCst) {
            panic!("as the test wants it");
        }
        self.sink.store(batch)
    }
}

#[test]
fn a_panic_of_the_sink_or_of_the_link_is_seen_and_loses_nothing() {
    for version in [MqttVersion::V311, MqttVersion::V5] {
        for of_the_sink in [true, false] {
            let house = House::new(version, "");
            let mirror = house.mirror(&["t/#"], Qos::ExactlyOnce, SQLITE);
            let (made_of, log) = (mirror.clone(), house.log.clone());
            let broken = std::sync::Arc::<std::sync::atomic::AtomicBool>::default();
            broken.store(!of_the_sink, std::sync::atomic::Ordering::SeqCst);
            let sink = move || {
                let sink = mirror::sink(&made_of, log.clone());
                Box::new(Fragile { sink, payload: b"17", broken: broken.clone() }) as Box<dyn Sink>
            };
            let ups = std::sync::Mutex::new(0);
            let watcher = Box::new(move |up: bool| {
                let mut ups = ups.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                *ups += i32::from(up);
                assert!(of_the_sink || !up || *ups > 1, "as the test wants it");
            });
            let subscription =
                Subscription { name: "mirror m".into(), id: "m".into(), wanted: wanted(&mirror) };
            let subscriber =
                subscribe(&house.mqtt(), subscription, Box::new(sink), &house.board, watcher).unwrap();
            let panicked = || matches!(house.state(), State::Failed(why) if why.contains("panic"));
            if of_the_sink {
                until("it is subscribed", || !house.log.mirror_state("m").unwrap().subscribed.is_empty());
                house.broker.lines("t/2", 2, numbers(0..50));
                until("it is seen", panicked);
            } else {
                until("it is seen", panicked);
                until("it is subscribed", || !house.log.mirror_state("m").unwrap().subscribed.is_empty());
                house.broker.lines("t/2", 2, numbers(0..50));
            }
            until("all is stored", || house.count() >= 50);
            subscriber.stop();
            assert_eq!(house.count(), 50, "{version:?}, of the sink: {of_the_sink}");
            assert_eq!(house.state(), State::Stopped);
        }
    }
}
