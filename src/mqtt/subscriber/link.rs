//! One life of a subscriber: connects, hands what came to the sink, connects again; what happens on a connection is in
//! `link/`. Decides when; what is taken twice is decided in `intake`, what is asked for in `filters`.

mod current;
mod hear;
mod send;
mod serve;

use std::future::Future;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, watch};
use tokio::time::sleep_until;
use tracing::warn;

use super::super::access;
use super::super::backoff::{Backoff, chance};
use super::super::connection::{Connection, Event, Parameters};
use super::super::failure::Failure;
use super::STOP;
use super::filters::Filters;
use super::intake::Intake;
use super::replies::Replies;
use crate::config;
use crate::mirror::{Answer, Aspect, Health, Job, Left, Reply, Worker};
use crate::reading::Qos;
use crate::status::State;

/// First and longest wait before the next connection.
const BACK_OFF: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// A connection that has lasted this long was a good one: after it, the waits begin anew.
const LASTING: Duration = Duration::from_secs(10);

/// Requests that rumqttc can hold: two batches of acknowledgements and what `filters` asks for.
const CAPACITY: usize = 2100;

/// Answers are sent one at a time. Two places, because with all of them taken rumqttc looks at nothing else.
const SLOTS: u16 = 2;

/// See the module.
pub(super) struct Link<'a> {
    pub client_id: String,
    pub mqtt: config::Mqtt,
    pub health: Health,
    pub intake: Intake,
    pub replies: Replies,
    pub filters: Filters,
    pub worker: Worker,
    pub answers: mpsc::Receiver<Answer>,
    /// What is wanted; the sender gone means to stop.
    pub orders: watch::Receiver<Vec<(String, Qos)>>,
    /// Number of the connection at hand. A packet id means nothing on another.
    pub connection: u64,
    /// A batch is with the sink.
    pub storing: Option<Storing>,
    /// Something was acknowledged or subscribed on this connection.
    pub progress: bool,
    /// Is told whether messages can come in.
    pub watcher: &'a (dyn Fn(bool) + Send),
}

/// The batch that is with the sink.
#[derive(Debug, Clone, Copy)]
pub(super) struct Storing {
    /// It says that the old subscriptions are gone.
    forgets: bool,
}

/// Why a connection is over.
#[derive(Debug)]
enum End {
    Stopped,
    /// The sink does not keep up; nothing was wrong with the connection.
    Stalled,
    /// The token expired: what was taken is acknowledged, and the next connection is made at once.
    Renewed,
    Lost(Failure),
}

impl Link<'_> {
    /// Runs until stopped, or until the sink has ended.
    pub(super) async fn run<C: Connection>(&mut self) {
        let mut back_off = Backoff::new(BACK_OFF.0, BACK_OFF.1);
        if self.open().await {
            loop {
                let begun = Instant::now();
                self.progress = false;
                let end = match self.connect::<C>().await {
                    End::Renewed if self.is_over() => End::Stopped,
                    end => end,
                };
                self.connection += 1;
                (self.watcher)(false);
                self.intake.disconnected();
                self.replies.disconnected();
                match end {
                    End::Stopped => break,
                    End::Renewed => continue,
                    End::Stalled => {
                        let why = "disconnected until the sink stores again; the broker keeps QoS 1 and 2 meanwhile";
                        self.health.set(Aspect::Link, State::Degraded(why.to_owned()));
                        back_off.reset();
                    }
                    End::Lost(why) => {
                        self.health.reconnects.add(1);
                        self.health.set(Aspect::Link, State::Failed(format!("{}: {why}", self.mqtt.broker)));
                        if self.progress || begun.elapsed() >= LASTING {
                            back_off.reset();
                        }
                    }
                }
                if !self.wait(back_off.delay(chance())).await {
                    break;
                }
            }
        }
    }

    /// To be stopped, or left with nothing to do.
    fn is_over(&self) -> bool {
        self.orders.has_changed().is_err() || self.filters.is_done_with()
    }

    /// Waits for the sink to open: only then is it known which messages must not be taken again.
    async fn open(&mut self) -> bool {
        let Some(answer) = unless(&mut self.orders, self.answers.recv()).await else { return false };
        let Some(Answer::Open(session)) = answer else { return false };
        self.intake = Intake::new(session.held);
        let wanted = self.orders.borrow_and_update().clone();
        self.filters = Filters::new(wanted, session.subscribed);
        self.will_answer(session.replies);
        true
    }

    /// Waits before the next connection: the given time, and as long as the sink has no room. False to stop.
    async fn wait(&mut self, delay: Duration) -> bool {
        let until = tokio::time::Instant::now() + delay;
        let mut over = false;
        loop {
            self.give();
            if over && !self.intake.is_full() {
                return true;
            }
            tokio::select! {
                biased;
                () = stopped(&mut self.orders) => return false,
                answer = self.answers.recv() => match answer {
                    Some(answer) => drop(self.stored(answer)),
                    None => return false,
                },
                () = sleep_until(until), if !over => over = true,
            }
        }
    }

    /// Hands the batch to the sink if that is free. Whatever has come in while it was storing goes together:
    /// the slower the disk, the larger the groups, and no message waits for company without need.
    fn give(&mut self) {
        if self.storing.is_some() || self.intake.is_empty() {
            return;
        }
        let (batch, acks) = self.intake.take();
        let forgets = batch.forget_all;
        // It cannot be full: one batch is under way at a time. A worker that has ended closes `answers`.
        if self.worker.give(Job { batch, acks, connection: self.connection }).is_ok() {
            self.storing = Some(Storing { forgets });
        }
    }

    /// One connection, from CONNECT to its end.
    async fn connect<C: Connection>(&mut self) -> End {
        let parameters = Parameters {
            client_id: self.client_id.clone(),
            clean: false,
            will: None,
            manual_acks: true,
            capacity: CAPACITY,
            slots: SLOTS,
        };
        let access = match unless(&mut self.orders, access::fetch(&self.mqtt)).await {
            None => return End::Stopped,
            Some(Ok(access)) => access,
            Some(Err(why)) => return End::Lost(why),
        };
        let mut connection = match C::open(&self.mqtt, &parameters, access.as_ref()) {
            Ok(connection) => connection,
            Err(why) => return End::Lost(why),
        };
        let connected = match unless(&mut self.orders, connection.poll()).await {
            None => return End::Stopped,
            Some(Ok(Event::Connected(connected))) => connected,
            Some(Ok(_)) => return End::Lost(Failure::Protocol("the first answer is no CONNACK".to_owned())),
            Some(Err(dead)) => return End::Lost(dead.why),
        };
        // Without it, a PUBREL of a hand-shake begun on another connection would end this one.
        connection.prime(None);
        let mut current = self.connected(&connected, connection.requests());
        current.expires = access.and_then(|access| access.until);
        self.serve(&mut connection, &mut current).await
    }

    /// The sink has stored a batch; answers what is to be acknowledged on the connection at hand.
    fn stored(&mut self, answer: Answer) -> Vec<(u16, Qos)> {
        self.storing = None;
        let Answer::Stored { acks, connection, replies } = answer else { return Vec::new() };
        self.will_answer(replies);
        if connection != self.connection {
            return Vec::new();
        }
        self.progress |= !acks.is_empty();
        acks
    }

    fn will_answer(&mut self, replies: Vec<Reply>) {
        let left = self.replies.add(replies);
        if left > 0 {
            warn!("{}: {left} answers wait for the next start: too many are under way", self.client_id);
        }
    }

    /// The end: what was read and not yet stored is stored, though it cannot be acknowledged any more.
    pub(super) fn finish(mut self) -> Left {
        if !self.intake.is_empty() {
            let (batch, acks) = self.intake.take();
            // There is room for one behind the one being stored. If not, the sink has ended, and the board says so.
            drop(self.worker.give(Job { batch, acks, connection: self.connection }));
        }
        // It may have an answer to give, and nobody else waits for it.
        self.answers.close();
        let left = self.worker.finish(STOP);
        match left {
            Left::Stored => self.health.set(Aspect::Link, State::Stopped),
            Left::GivenUp | Left::Behind => {
                let why = "stopped before everything was stored; the broker sends QoS 1 and 2 again";
                self.health.set(Aspect::Link, State::Failed(why.to_owned()));
            }
            // Nobody has stopped it.
            Left::Panicked => {}
        }
        left
    }
}

/// Returns when the mirror is to stop: nothing is wanted of it any more, or the subscriber is dropped. What else is
/// wanted is looked at when there is a connection.
pub(super) async fn stopped(orders: &mut watch::Receiver<Vec<(String, Qos)>>) {
    // The sender going away is the signal.
    while orders.changed().await.is_ok() {}
}

/// A future's value, or `None` when the mirror is to stop first.
async fn unless<T>(
    orders: &mut watch::Receiver<Vec<(String, Qos)>>,
    future: impl Future<Output = T>,
) -> Option<T> {
    tokio::select! {
        biased;
        () = stopped(orders) => None,
        value = future => Some(value),
    }
}
