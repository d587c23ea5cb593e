//! A log in a folder of its own, and a publisher over it.

use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

use super::PATIENCE;
use crate::config::{ClockPolicy, Mqtt};
use crate::log::Log;
use crate::log::testing::{self, Folder, NOON};
use crate::mqtt::outbox::LogOutbox;
use crate::mqtt::publisher::{Beside, Publisher, Tuning};
use crate::reading::{Channel, ChannelId, Moment, Publish, Qos, Reading, Shape, Value, ValueKind};
use crate::status::{Board, State};

pub fn moment() -> Moment {
    testing::moment(NOON)
}

/// A log in a folder of its own, and readings for it.
pub struct Bench {
    _folder: Folder,
    pub log: Log,
    pub board: Board,
    pub beside: Beside,
}

pub fn publish(topic: &str, qos: Qos) -> Publish {
    Publish {
        topic: topic.to_owned(),
        late_topic: None,
        qos,
        retain: false,
        shape: Shape::Quantity,
        format: None,
        buffer: true,
    }
}

impl Bench {
    pub fn new() -> Self {
        let folder = Folder::new();
        let (log, board) = (folder.open(), folder.board.clone());
        Self { _folder: folder, log, board, beside: Beside::default() }
    }

    pub fn channel(&self, publish: Publish) -> ChannelId {
        let channel = Channel {
            device: "pi".to_owned(),
            sensor: "air".into(),
            quantity: publish.topic.rsplit('/').next().unwrap().into(),
            unit: String::new(),
            kind: ValueKind::Integer,
            publish: Some(publish),
            place: None,
        };
        self.log.register(&[channel]).unwrap()[0]
    }

    pub fn append(&self, channel: ChannelId, numbers: RangeInclusive<i64>) {
        for number in numbers {
            let reading = Reading { channel, at: moment(), value: Value::Integer(number) };
            while self.log.append(vec![reading.clone()]).is_err() {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
    }

    pub fn start(&self, config: &Mqtt) -> Publisher {
        let tuning = Tuning { backoff: (Duration::from_millis(20), Duration::from_millis(100)) };
        let log = self.log.clone();
        let open = move || LogOutbox::open(log.clone(), None);
        Publisher::start_with(
            config.clone(),
            ClockPolicy::Mark,
            tuning,
            open,
            &self.board,
            self.beside.clone(),
        )
        .unwrap()
    }

    pub fn figure(&self, name: &'static str) -> i64 {
        self.board.part("publisher").figure(name).get()
    }

    pub fn until(&self, what: &str, holds: impl Fn() -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !holds() {
            assert!(Instant::now() < deadline, "{what} did not come about:\n{}", self.board);
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    pub fn state(&self) -> State {
        self.board.part("publisher").state().0
    }

    /// Everything committed is delivered and nothing is remembered in flight.
    pub fn assert_delivered(&self) {
        let state = self.log.delivery().unwrap();
        assert_eq!(state.cursor, *self.log.committed().borrow(), "{state:?}");
        assert!(state.in_flight.is_empty() && state.late.is_empty(), "{state:?}");
    }
}

pub fn soon() -> Instant {
    Instant::now() + Duration::from_secs(10)
}
