//! One life of a subscriber: connects, reads, hands batches to the sink, acknowledges, connects again.
//! Decides when; what is taken twice is decided in `intake`, what is asked for in `filters`.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::pin;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, watch};
use tokio::time::sleep_until;
use tracing::{info, warn};

use super::super::access;
use super::super::backoff::{Backoff, chance};
use super::super::connection::{Connected, Connection, Event, NotTaken, Outgoing, Parameters, Requests};
use super::super::failure::Failure;
use super::STOP;
use super::filters::{Filters, Request};
use super::intake::{Intake, Taken};
use super::replies::Replies;
use crate::config;
use crate::enrich::clock;
use crate::mirror::{Answer, Aspect, Health, Job, Left, Reply, Worker};
use crate::reading::{Moment, Qos};
use crate::status::State;

/// First and longest wait before the next connection.
const BACK_OFF: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// A connection that has lasted this long was a good one: after it, the waits begin anew.
const LASTING: Duration = Duration::from_secs(10);

/// Requests that rumqttc can hold: two batches of acknowledgements and what `filters` asks for.
const CAPACITY: usize = 2100;

/// Answers are sent one at a time. Two places, because with all of them taken rumqttc looks at nothing else.
const SLOTS: u16 = 2;

/// How long a released packet id waits for a message to share its commit with. Not longer: should we be
/// killed meanwhile, and the broker have given the id to another message with the same topic and payload,
/// that one would be taken for a repeat.
const COMPANY: Duration = Duration::from_millis(50);

/// A SUBSCRIBE is answered within this time, or the connection is no good.
const ANSWER: Duration = Duration::from_secs(30);

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

/// The way to the end in order.
///
/// A connection that is closed while messages wait in our socket is reset, and the broker may not have read
/// our last acknowledgements then: it would send those messages again. So we ask it something and wait for the
/// answer, which comes after them; only then is it told that we leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Leaving {
    NotYet,
    Asked,
    Answered,
    Told,
}

/// A filter that nobody subscribes to: to leave it is a question that changes nothing.
const NOTHING: &str = "$sensor-bridge/nothing";

/// What belongs to one connection.
struct Current<R> {
    requests: R,
    /// Acknowledgements that found rumqttc's queue full.
    owed: VecDeque<(u16, Qos)>,
    keep_alive: Duration,
    heard: Instant,
    /// Packet id of the SUBSCRIBE or UNSUBSCRIBE under way, and since when.
    asked: Option<(Option<u16>, Instant)>,
    /// Largest packet that the broker takes, bytes.
    max_packet_size: Option<u32>,
    /// Since when an answer of ours waits for its acknowledgement.
    answering: Option<Instant>,
    /// Since when nothing is read.
    paused: Option<Instant>,
    /// When a batch that could wait was first seen.
    waiting: Option<Instant>,
    /// Nothing new is taken: only what was taken is stored and acknowledged.
    ending: bool,
    /// How far the end in order has come.
    leaving: Leaving,
    /// When the token that let us in is no good any more.
    expires: Option<Instant>,
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

    fn connected<R>(&mut self, connected: &Connected, requests: R) -> Current<R> {
        let had = !self.filters.subscribed().is_empty();
        self.filters.want(self.orders.borrow_and_update().clone());
        self.filters.connected(connected.session_present);
        if !connected.session_present {
            self.intake.session_gone();
            self.intake.subscribed(Vec::new());
            if had {
                info!("{}: the broker has no session any more; subscribing again", self.client_id);
            }
        }
        self.health.set(Aspect::Link, State::Ok);
        self.health.set(Aspect::Filters, self.filters.state());
        if self.filters.is_complete() {
            (self.watcher)(true);
        }
        Current {
            requests,
            owed: VecDeque::new(),
            keep_alive: connected.keep_alive,
            heard: Instant::now(),
            max_packet_size: connected.max_packet_size,
            asked: None,
            answering: None,
            paused: None,
            waiting: None,
            ending: false,
            leaving: Leaving::NotYet,
            expires: None,
        }
    }

    async fn serve<C: Connection>(&mut self, connection: &mut C, current: &mut Current<C::Requests>) -> End {
        match self.until_left(connection, current).await {
            End::Stopped if current.expires.is_some_and(|expires| Instant::now() >= expires) => End::Renewed,
            end => end,
        }
    }

    async fn until_left<C: Connection>(
        &mut self,
        connection: &mut C,
        current: &mut Current<C::Requests>,
    ) -> End {
        let mut leave_by = None;
        loop {
            let event = {
                // Kept over the inner loop: dropped half-way, it could lose a packet (see `Connection`).
                let mut poll = pin!(connection.poll());
                loop {
                    let expired = current.expires.is_some_and(|expires| Instant::now() >= expires);
                    if leave_by.is_none() && (expired || self.is_over()) {
                        current.ending = true;
                        leave_by = Some(Instant::now() + STOP);
                    }
                    if let Some(end) = self.step(current, leave_by) {
                        return end;
                    }
                    let reading = current.paused.is_none();
                    let due = self.due(current, leave_by);
                    tokio::select! {
                        biased;
                        changed = self.orders.changed(), if leave_by.is_none() => {
                            if changed.is_ok() {
                                self.other_wishes();
                            }
                        }
                        answer = self.answers.recv() => match answer {
                            Some(answer) => current.owed.extend(self.stored(answer)),
                            // The log is closed, or the sink's thread has panicked; the board says it.
                            None => return End::Stopped,
                        },
                        event = &mut poll, if reading => break event,
                        () = sleep_until(due.into()) => {}
                    }
                }
            };
            let now = clock::now();
            match event {
                Ok(event) => {
                    let mut next = Some(event);
                    while let Some(event) = next {
                        if let Some(end) = self.event(connection, current, event, now) {
                            return end;
                        }
                        next = connection.buffered();
                    }
                }
                Err(dead) => {
                    for event in dead.last {
                        if let Some(end) = self.event(connection, current, event, now) {
                            return end;
                        }
                    }
                    return if leave_by.is_some() { End::Stopped } else { End::Lost(dead.why) };
                }
            }
        }
    }

    /// What is due by itself, apart from events and answers.
    fn step<R: Requests>(&mut self, current: &mut Current<R>, leave_by: Option<Instant>) -> Option<End> {
        let now = Instant::now();
        while let Some((pkid, qos)) = current.owed.front().copied() {
            if current.requests.try_ack(pkid, qos).is_err() {
                break;
            }
            current.owed.pop_front();
            self.intake.acknowledged(pkid, qos);
        }
        let wait = self.intake.can_wait() && leave_by.is_none();
        current.waiting = if wait && !self.intake.is_empty() { current.waiting.or(Some(now)) } else { None };
        if current.waiting.is_none_or(|since| now - since >= COMPANY) {
            self.give();
        }
        match leave_by {
            Some(by) => {
                self.answer(current, now);
                let stored = self.storing.is_none() && self.intake.is_empty();
                let done = stored && current.owed.is_empty() && self.replies.is_empty();
                if done
                    && current.leaving == Leaving::NotYet
                    && current.requests.try_unsubscribe(NOTHING).is_ok()
                {
                    current.leaving = Leaving::Asked;
                }
                if current.leaving == Leaving::Answered && current.requests.try_disconnect().is_ok() {
                    current.leaving = Leaving::Told;
                }
                current.paused = None;
                return (now >= by).then_some(End::Stopped);
            }
            None => {
                self.answer(current, now);
                self.ask(current, now);
            }
        }
        let full = self.intake.is_full();
        if current.paused.is_some() && !full {
            // What the broker said meanwhile is in the socket.
            current.heard = now;
        }
        current.paused = if full { current.paused.or(Some(now)) } else { None };
        if current.paused.is_some_and(|since| now - since >= current.keep_alive / 2) {
            return Some(End::Stalled);
        }
        if current.paused.is_none() && now - current.heard >= silence(current.keep_alive) {
            return Some(End::Lost(Failure::Silent(silence(current.keep_alive).as_secs())));
        }
        let asked = [current.asked.map(|(_, since)| since), current.answering];
        let unanswered = asked.into_iter().flatten().any(|since| now - since >= ANSWER);
        unanswered.then_some(End::Lost(Failure::TimedOut))
    }

    /// When `step` has something to do though nothing happens.
    fn due<R>(&self, current: &Current<R>, leave_by: Option<Instant>) -> Instant {
        let patience = match current.paused {
            Some(since) => since + current.keep_alive / 2,
            None => current.heard + silence(current.keep_alive),
        };
        // While the sink is busy, its answer is what is waited for.
        let waiting = current.waiting.filter(|_| self.storing.is_none()).map(|since| since + COMPANY);
        let asked = current.asked.map(|(_, since)| since + ANSWER);
        let answering = current.answering.map(|since| since + ANSWER);
        let again = self.filters.due().filter(|_| !self.filters.is_waiting());
        let expires = current.expires.filter(|_| leave_by.is_none());
        [waiting, asked, answering, again, leave_by, expires]
            .into_iter()
            .flatten()
            .fold(patience, Instant::min)
    }

    /// Sends the next SUBSCRIBE or UNSUBSCRIBE.
    fn ask<R: Requests>(&mut self, current: &mut Current<R>, now: Instant) {
        // Not before the old subscriptions are forgotten for good: if we were killed in between, the next run
        // would find a session, believe the old list, and never ask for what is missing.
        if self.intake.forgets() || self.storing.is_some_and(|storing| storing.forgets) {
            return;
        }
        // rumqttc numbers both, and would give both one packet id.
        if self.replies.is_waiting() {
            return;
        }
        while let Some(request) = self.filters.next(now) {
            let sent = match request {
                Request::Subscribe(filter, qos) => current.requests.try_subscribe(filter, *qos),
                Request::Unsubscribe(filter) => current.requests.try_unsubscribe(filter),
            };
            match sent {
                Ok(()) => {
                    current.asked = Some((None, now));
                    return;
                }
                Err(NotTaken::Full) => return self.filters.not_now(),
                Err(NotTaken::Invalid) => {
                    self.filters.not_sent(now, chance());
                    self.health.set(Aspect::Filters, self.filters.state());
                }
            }
        }
    }

    /// Sends the next answer, one at a time and not beside a SUBSCRIBE.
    fn answer<R: Requests>(&mut self, current: &mut Current<R>, now: Instant) {
        while current.asked.is_none()
            && let Some(reply) = self.replies.next()
        {
            let correlation = reply.correlation.clone();
            let payload = reply.payload.clone();
            let message =
                Outgoing { topic: reply.topic.clone(), qos: Qos::AtLeastOnce, retain: false, payload };
            // The properties: two bytes more of their length, an identifier, and two of the data's length.
            let size = message.packet_size() + correlation.as_ref().map_or(0, |data| data.len() + 5);
            // Ours as well: on 3.1.1 rumqttc ends the connection over it, and the next, and so on.
            let most = current.max_packet_size.unwrap_or(u32::MAX).min(self.mqtt.max_packet_size);
            let fits = size <= most as usize;
            let taken =
                if fits { current.requests.try_answer(message, correlation) } else { Err(NotTaken::Invalid) };
            match taken {
                Ok(()) => {
                    self.replies.handed_over();
                    current.answering = Some(now);
                    return;
                }
                Err(NotTaken::Full) => return,
                Err(NotTaken::Invalid) => {
                    warn!(
                        "{}: an answer to {} cannot be sent: too large, or no topic",
                        self.client_id, reply.topic
                    );
                    if let Some(number) = self.replies.give_up() {
                        self.intake.answered(number);
                    }
                }
            }
        }
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

    fn event<C: Connection>(
        &mut self,
        connection: &mut C,
        current: &mut Current<C::Requests>,
        event: Event,
        now: Moment,
    ) -> Option<End> {
        if event.is_heard() {
            current.heard = Instant::now();
        }
        match event {
            // What is new stays with the broker: it is not acknowledged.
            Event::Message(_) if current.ending => {}
            Event::Message(message) if message.topic.is_empty() => {
                return Some(lost("a message without a topic"));
            }
            Event::Message(message) => {
                self.health.received.add(1);
                self.health.last.set(now.since_boot);
                if self.intake.message(message, now) == Taken::Repeat {
                    self.health.repeats.add(1);
                }
            }
            Event::Released(pkid) => {
                self.intake.released(pkid);
                connection.prime(Some(pkid));
            }
            Event::Sent(pkid) => self.replies.sent(pkid),
            Event::Done { pkid, refused } => {
                if let Some(reply) = self.replies.acknowledged(pkid) {
                    current.answering = None;
                    if let Some(why) = refused {
                        warn!("{}: the broker refuses an answer to {}: {why}", self.client_id, reply.topic);
                    }
                    self.intake.answered(reply.number);
                }
            }
            Event::Subscribing(pkid) | Event::Unsubscribing(pkid) => {
                if let Some((id, _)) = &mut current.asked {
                    *id = Some(pkid);
                }
            }
            Event::SubAck { pkid, granted } if is(current, pkid) => {
                current.asked = None;
                let granted = granted.first().copied().unwrap_or(Err("empty answer"));
                self.progress |= granted.is_ok();
                self.filters.answered(granted, Instant::now(), chance());
                self.filters_changed();
            }
            Event::UnsubAck(_) if current.leaving == Leaving::Asked => current.leaving = Leaving::Answered,
            Event::UnsubAck(pkid) if is(current, pkid) => {
                current.asked = None;
                self.filters.unsubscribed();
                self.filters_changed();
            }
            Event::Disconnecting if current.leaving == Leaving::Told => return Some(End::Stopped),
            // rumqttc's own answer to a broker that breaks the protocol; it says so nowhere else.
            Event::Disconnecting => return Some(lost("a topic alias that it never gave")),
            Event::Disconnected(why) => return Some(End::Lost(why)),
            _ => {}
        }
        None
    }

    /// Other topics are wanted: `ask` sends what is missing.
    fn other_wishes(&mut self) {
        let wanted = self.orders.borrow_and_update().clone();
        self.filters.want(wanted);
        self.health.set(Aspect::Filters, self.filters.state());
        if self.filters.is_complete() {
            (self.watcher)(true);
        }
    }

    fn filters_changed(&mut self) {
        self.intake.subscribed(self.filters.subscribed().to_vec());
        self.health.set(Aspect::Filters, self.filters.state());
        if self.filters.is_complete() {
            (self.watcher)(true);
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

/// The broker has said what is not MQTT.
fn lost(what: &str) -> End {
    End::Lost(Failure::Protocol(what.to_owned()))
}

/// Whether an answer is to the request under way.
fn is<R>(current: &Current<R>, pkid: u16) -> bool {
    current.asked.is_some_and(|(id, _)| id == Some(pkid))
}

/// Nothing heard for this long means that nobody is there: two pings went unanswered.
fn silence(keep_alive: Duration) -> Duration {
    keep_alive * 2 + Duration::from_secs(5)
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
