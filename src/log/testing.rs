//! What the tests of this room share: a log in a folder of its own, channels, readings, a machine.

use std::path::PathBuf;
use std::time::Duration;

use tempfile::TempDir;

use super::{Log, Machine};
use crate::config;
use crate::reading::{
    Channel, ChannelId, Clock, Moment, Place, Publish, Qos, Reading, Shape, Timestamp, Value, ValueKind,
};
use crate::status::Board;

/// 2026-11-20T07:00:00Z, µs.
pub const NOON: i64 = 1_795_158_000_000_000;

pub fn moment(wall: i64) -> Moment {
    Moment { wall: Timestamp(wall), since_boot: wall - NOON + 60_000_000, clock: Clock::Synced }
}

pub fn machine() -> Machine {
    Machine { boot_id: "boot-1".to_owned(), now: || moment(NOON) }
}

pub struct Folder {
    pub folder: TempDir,
    pub config: config::Log,
    pub board: Board,
}

impl Folder {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = config::Log {
            path: folder.path().join("bridge.db"),
            sync: config::Sync::Normal,
            commit_interval: Duration::ZERO,
            retention: config::Retention::default(),
        };
        Self { folder, config, board: Board::new() }
    }

    pub fn path(&self) -> PathBuf {
        self.config.path.clone()
    }

    pub fn open(&self) -> Log {
        Log::open(&self.config, &machine(), &self.board).unwrap()
    }

    pub fn figure(&self, name: &'static str) -> i64 {
        self.board.part("log").figure(name).get()
    }

    /// What a power cut would leave: the files as they are on disk at this moment, in another folder.
    pub fn as_after_a_crash(&self) -> Self {
        let copy = Self::new();
        for suffix in ["", "-wal"] {
            let from = super::open::beside(&self.path(), suffix);
            if from.exists() {
                std::fs::copy(from, super::open::beside(&copy.path(), suffix)).unwrap();
            }
        }
        copy
    }
}

pub fn channel(quantity: &str) -> Channel {
    Channel {
        device: "greenhouse-pi".into(),
        sensor: "air".to_owned().into(),
        quantity: quantity.to_owned().into(),
        unit: "°C".into(),
        kind: ValueKind::Float,
        publish: Some(Publish {
            topic: format!("castel/greenhouse-pi/air/{quantity}"),
            late_topic: None,
            qos: Qos::AtLeastOnce,
            retain: false,
            shape: Shape::Quantity,
            format: None,
            buffer: true,
        }),
        place: Some(Place { name: Some("Greenhouse 2".into()), latitude: Some(47.59), ..Place::default() }),
    }
}

/// A channel that is only logged.
pub fn silent(quantity: &str) -> Channel {
    Channel { publish: None, ..channel(quantity) }
}

pub fn reading(channel: ChannelId, time: i64, value: f64) -> Reading {
    Reading { channel, at: moment(time), value: Value::Float(value) }
}

/// Waits until so many rows were ever committed.
pub fn until_committed(log: &Log, row: i64) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async {
        let mut committed = log.committed();
        let wait = committed.wait_for(|committed| *committed >= row);
        tokio::time::timeout(Duration::from_secs(20), wait).await.expect("nothing committed").unwrap();
    });
}

/// Polls until a condition holds.
pub fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = std::time::Instant::now();
    while !holds() {
        assert!(begun.elapsed() < Duration::from_secs(20), "{what} did not come about");
        std::thread::sleep(Duration::from_millis(5));
    }
}
