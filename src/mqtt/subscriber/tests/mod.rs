//! The subscriber against a real mosquitto, into the real log and real files.

mod delivery;
mod filters;
mod outages;
mod sinks;

use std::path::Path;
use std::time::Duration;

use super::*;
use crate::config::{Mqtt, MqttVersion, Sync};
use crate::enrich::clock;
use crate::log::Machine;
use crate::log::testing::Folder;
use crate::mqtt::testing::{TestBroker, until};
use crate::status::State;

/// A mirror's surroundings: broker, log, board.
struct House {
    folder: Folder,
    broker: TestBroker,
    log: Log,
    board: Board,
    version: MqttVersion,
}

/// mosquitto 2.0.11 that is restarted while a subscriber works off a backlog forgets hand-shakes beyond its
/// window and sends those messages again as new (`docs/delivery.md`); with this it forgets none.
const WIDE_WINDOW: &str = "max_inflight_messages 60000";

impl House {
    fn new(version: MqttVersion, extra: &str) -> Self {
        let mut folder = Folder::new();
        folder.config.sync = Sync::Full;
        let machine = Machine { boot_id: "boot".into(), now: clock::now };
        let log = Log::open(&folder.config, &machine, &folder.board).unwrap();
        let board = folder.board.clone();
        Self { folder, broker: TestBroker::start(extra), log, board, version }
    }

    /// A folder for files of a test's own.
    fn path(&self) -> &Path {
        self.folder.folder.path()
    }

    fn mqtt(&self) -> Mqtt {
        Mqtt {
            keep_alive: Duration::from_secs(10),
            max_packet_size: 64 << 20,
            ..self.broker.config(self.version)
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
        let connection = rusqlite::Connection::open(self.folder.path()).unwrap();
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
