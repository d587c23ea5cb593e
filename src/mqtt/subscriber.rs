//! Brings what a mirror, or whoever else has a sink, subscribes to from the broker into that sink, acknowledges
//! what is durable, and sends the sink's answers.
//!
//! Each has a connection and a thread of its own, with a persistent session: what is published while
//! we are away waits on the broker. Nothing is acknowledged before the sink has it on disk, and nothing is
//! acknowledged on a connection other than the one it came by. Where messages end up is not known here.
//!
//! Back-pressure: one batch is being stored while the next gathers; when that is full as well, no more is
//! read. Should the sink not recover within half a keep-alive, the connection is given up, because the broker
//! would end it for our silence, and is made again once the sink has stored what it was given.

mod filters;
mod finished;
mod intake;
mod keeper;
mod link;
mod replies;
#[cfg(test)]
mod tests;

use std::io;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::watch;
use tracing::{error, warn};

use self::keeper::Keeper;
use crate::config;
use crate::log::Log;
use crate::mirror::{self, Health, Sink};
use crate::reading::Qos;
use crate::status::Board;

/// How long each step of the end may take: storing and acknowledging what was read, then the sink's thread,
/// then that thread once more after it was told to give up.
const STOP: Duration = Duration::from_secs(2);

/// A running mirror.
#[derive(Debug)]
pub struct Subscriber {
    name: String,
    /// What is wanted; gone, to stop.
    orders: watch::Sender<Wanted>,
    ended: Receiver<()>,
    thread: JoinHandle<()>,
}

/// Starts a mirror: opens its sink, connects, subscribes, stores. What goes wrong after that is shown on the
/// board as `mirror <id>` and tried again; an error here means that no thread could be made.
pub fn start(
    mqtt: &config::Mqtt,
    mirror: &config::Mirror,
    log: Log,
    board: &Board,
) -> io::Result<Subscriber> {
    let made_of = mirror.clone();
    start_with(mqtt, mirror, Box::new(move || mirror::sink(&made_of, log.clone())), board)
}

/// The same with the sink given.
fn start_with(
    mqtt: &config::Mqtt,
    mirror: &config::Mirror,
    sink: MakeSink,
    board: &Board,
) -> io::Result<Subscriber> {
    let wanted = wanted(mirror);
    let name = format!("mirror {}", mirror.id);
    subscribe(mqtt, Subscription { name, id: mirror.id.clone(), wanted }, sink, board, Box::new(|_| {}))
}

/// What a mirror wants.
pub fn wanted(mirror: &config::Mirror) -> Vec<(String, Qos)> {
    mirror.topics.iter().map(|filter| (filter.clone(), mirror.qos)).collect()
}

/// Topic filters with the quality of service asked for.
type Wanted = Vec<(String, Qos)>;

/// What is subscribed to, and for whom.
#[derive(Debug, Clone)]
pub struct Subscription {
    /// Name on the board and of the threads.
    pub name: String,
    /// What is appended to the client id; another for each subscriber.
    pub id: String,
    /// Topic filters with the quality of service asked for.
    pub wanted: Vec<(String, Qos)>,
}

/// Makes a sink, which opens where an earlier one has ended.
pub type MakeSink = Box<dyn Fn() -> Box<dyn Sink> + Send>;

/// Is told whether messages can come in: connected, and all subscribed. Must not block.
pub type Watcher = Box<dyn Fn(bool) + Send>;

/// Starts a subscriber for any sink; as [`start`].
pub fn subscribe(
    mqtt: &config::Mqtt,
    subscription: Subscription,
    sink: MakeSink,
    board: &Board,
    watcher: Watcher,
) -> io::Result<Subscriber> {
    let Subscription { name, id, wanted } = subscription;
    let (orders, ordered) = watch::channel(wanted);
    let keeper = Keeper {
        mqtt: mqtt.clone(),
        client_id: format!("{}-{id}", mqtt.client_id),
        name: name.clone(),
        sink,
        health: Health::new(board.part(&name)),
        watcher,
        orders: ordered,
    };
    let (end, ended) = sync_channel(1);
    let thread = std::thread::Builder::new().name(name.clone()).spawn(move || {
        keeper.keep();
        // Nobody listens when the subscriber was dropped instead of stopped.
        end.try_send(()).unwrap_or_default();
    })?;
    Ok(Subscriber { name, orders, ended, thread })
}

impl Subscriber {
    /// Wants other topics from now on: what differs is subscribed to, and left, on the connection that there is, or on
    /// the next one.
    pub fn want(&self, wanted: Vec<(String, Qos)>) {
        // The thread is there as long as it is not stopped; one left behind by its disk has said so.
        self.orders.send_replace(wanted);
    }

    /// Stops for good: leaves all topics first, if the broker can be told, so that it does not keep for us what nobody
    /// will come for.
    pub fn retire(self) {
        self.want(Vec::new());
        // The end is the answer. Without a connection there is nothing to wait for, and `stop` does not.
        match self.ended.recv_timeout(STOP) {
            Ok(()) => self.join(),
            Err(_) => self.stop(),
        }
    }

    /// Stops reading, stores and acknowledges what was read, disconnects. Waits for that, but not for a disk
    /// that does not answer: what was not stored was not acknowledged, and the broker sends it again.
    pub fn stop(self) {
        let Self { name, orders, ended, thread } = self;
        drop(orders);
        // Its three steps, and some time for a busy machine.
        if ended.recv_timeout(STOP * 4) == Err(RecvTimeoutError::Timeout) {
            warn!("{name}: does not end in time; left behind");
        } else {
            join(&name, thread);
        }
    }

    fn join(self) {
        join(&self.name, self.thread);
    }
}

fn join(name: &str, thread: JoinHandle<()>) {
    if thread.join().is_err() {
        error!("{name}: its thread had panicked; please report this");
    }
}
