//! What the tests of this room share: a log in a folder, files beside it.

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::time::Duration;

use tempfile::TempDir;

use super::Format;
use super::columns::Mapping;
use super::import::{Account, import};
use super::survey::{Manner, survey};
use crate::config;
use crate::log::intake::Intake;
use crate::log::query::Selection;
use crate::log::{Log, Machine, Reader};
use crate::reading::{Clock, Moment, Timestamp};
use crate::status::Board;

/// 2026-11-20T07:00:00Z, µs.
pub const NOON: i64 = 1_795_158_000_000_000;

pub fn on(_done: u64, _total: u64) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

pub fn manner(format: Format) -> Manner {
    let mapping = Mapping { device: Some("here".into()), ..Mapping::default() };
    Manner { format, mapping, mixed: false }
}

pub fn moment(wall: i64) -> Moment {
    Moment { wall: Timestamp(wall), since_boot: 60_000_000, clock: Clock::Synced }
}

pub struct House {
    folder: TempDir,
}

impl House {
    pub fn new() -> Self {
        let house = Self { folder: tempfile::tempdir().unwrap() };
        house.open().close().unwrap();
        house
    }

    pub fn log(&self) -> PathBuf {
        self.folder.path().join("bridge.db")
    }

    pub fn open(&self) -> Log {
        let config = config::Log {
            path: self.log(),
            sync: config::Sync::Normal,
            commit_interval: Duration::ZERO,
            key: None,
            retention: config::Retention::default(),
        };
        let machine = Machine { boot_id: "boot-1".to_owned(), now: || moment(NOON) };
        Log::open(&config, &machine, &Board::new()).unwrap()
    }

    pub fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    pub fn import(&self, file: &std::path::Path, manner: &Manner) -> Account {
        let known = Reader::open(&self.log()).unwrap().known().unwrap();
        let found = survey(file, manner, &known, &mut on).unwrap().unwrap();
        assert_eq!(found.examples, []);
        let (mut account, mut intake) = (Account::default(), Intake::open(&self.log()).unwrap());
        import(file, manner, &found, &mut intake, &mut account, &mut on).unwrap();
        account
    }

    pub fn readings(&self) -> Vec<String> {
        let mut lines = Vec::new();
        let mut reader = Reader::open(&self.log()).unwrap();
        reader
            .select(&Selection::default(), |line| {
                let channel = &line.channel;
                lines.push(format!(
                    "{} {} {} {} {} {} {}",
                    line.at,
                    channel.device,
                    channel.sensor,
                    channel.quantity,
                    line.value,
                    channel.unit,
                    line.clock.as_str()
                ));
                ControlFlow::Continue(())
            })
            .unwrap();
        lines
    }
}
