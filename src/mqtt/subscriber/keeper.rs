//! The thread of a subscriber: makes its link and its sink, and makes them anew should either panic. Whatever a broker
//! or a message has said to bring that about: it is seen, it is not a silence, and the rest goes on.

use std::io;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::sleep;

use super::super::backoff::{Backoff, chance};
use super::filters::Filters;
use super::intake::Intake;
use super::link::{Link, stopped};
use super::replies::Replies;
use super::{MakeSink, STOP, Wanted, Watcher};
use crate::config::{self, MqttVersion};
use crate::mirror::{Aspect, Health, Left, Worker};
use crate::status::State;

/// First and longest wait before all is made anew.
const BACK_OFF: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// How one life ended.
enum End {
    Stopped,
    Panicked,
    /// The same, and the sink may still write where another would begin to.
    Stuck,
}

/// See the module.
pub(super) struct Keeper {
    pub mqtt: config::Mqtt,
    pub client_id: String,
    /// Of the sink's thread.
    pub name: String,
    pub sink: MakeSink,
    pub health: Health,
    pub watcher: Watcher,
    /// What is wanted; the sender gone means to stop.
    pub orders: watch::Receiver<Wanted>,
}

impl Keeper {
    /// Runs until stopped.
    pub(super) fn keep(mut self) {
        let mut back_off = Backoff::new(BACK_OFF.0, BACK_OFF.1);
        loop {
            let why = match self.subscribe() {
                Ok(End::Stopped) => return,
                Ok(End::Panicked) => "internal error (panic); please report this",
                Ok(End::Stuck) => {
                    let why = "internal error (panic), and the disk does not answer; restart the service";
                    return self.health.set(Aspect::Link, State::Failed(why.to_owned()));
                }
                Err(error) => &format!("cannot start: {error}"),
            };
            self.health.set(Aspect::Link, State::Failed(why.to_owned()));
            if !self.wait(back_off.delay(chance())) {
                return;
            }
        }
    }

    /// Subscribes and stores until it is stopped, or something panics.
    fn subscribe(&self) -> io::Result<End> {
        // One job is under way at a time, and the answer of `open` comes before any.
        let (answers, answered) = mpsc::channel(2);
        let worker = Worker::start(&self.name, (self.sink)(), self.health.clone(), answers)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
        let mut link = Link {
            client_id: self.client_id.clone(),
            mqtt: self.mqtt.clone(),
            health: self.health.clone(),
            intake: Intake::default(),
            replies: Replies::default(),
            filters: Filters::new(Vec::new(), Vec::new()),
            worker,
            answers: answered,
            orders: self.orders.clone(),
            connection: 0,
            storing: None,
            progress: false,
            watcher: &*self.watcher,
        };
        let run = AssertUnwindSafe(|| match self.mqtt.version {
            MqttVersion::V311 => runtime.block_on(link.run::<super::super::v4::V4>()),
            MqttVersion::V5 => runtime.block_on(link.run::<super::super::v5::V5>()),
        });
        Ok(match std::panic::catch_unwind(run) {
            Ok(()) => match link.finish() {
                Left::Panicked => End::Panicked,
                Left::Stored | Left::GivenUp | Left::Behind => End::Stopped,
            },
            Err(_) => {
                (self.watcher)(false);
                // What it had taken is not acknowledged: the broker sends it again.
                match link.worker.finish(STOP) {
                    Left::Behind => End::Stuck,
                    Left::Stored | Left::GivenUp | Left::Panicked => End::Panicked,
                }
            }
        })
    }

    /// False to stop.
    fn wait(&mut self, delay: Duration) -> bool {
        let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_time().build() else {
            return false;
        };
        runtime.block_on(async {
            tokio::select! {
                () = stopped(&mut self.orders) => false,
                () = sleep(delay) => true,
            }
        })
    }
}
