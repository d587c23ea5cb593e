//! The publisher on one connection: from the CONNACK to its end. Knows nothing of the connection before but
//! what [`Publishing`] kept.

use std::collections::VecDeque;
use std::pin::pin;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tracing::{debug, info};

use super::connection::{Connected, Connection, Dead, Event, Outgoing, Parameters, Requests, Will};
use super::deaths::Life;
use super::failure::Failure;
use super::lanes::{LaneId, Ticket};
use super::message::{Message, cut};
use super::outbox::Outbox;
use super::publisher::{Publishing, stopping};
use super::window::{Slot, Window};
use crate::config::Mqtt;
use crate::enrich::clock;
use crate::log::{InFlight, LogError, Stage};
use crate::payload;
use crate::reading::Qos;

/// Packet ids of a connection run up to this, or to the window if that is larger. Wider than the window, so
/// that one slow acknowledgement does not stop the others; constant, so that hand-shakes of an earlier
/// connection find room.
const SLOTS: u16 = 1024;

/// A message that the broker has not acknowledged for this long, though it answers pings, has been dropped
/// by it without a word. Only a new connection brings it back.
const STALLED: Duration = Duration::from_secs(120);

/// An interruption shorter than this makes no backlog: `live-first` would mark what was just about to go out
/// as late.
const SHORT: Duration = Duration::from_secs(1);

/// What is kept of the time to leave for saying `offline`.
const FAREWELL: Duration = Duration::from_millis(500);

/// How a connection ended.
#[derive(Debug)]
pub(super) enum End {
    /// By the stop signal.
    Stopped,
    /// By our own will; the next one may be made at once.
    Renew,
    /// By a failure.
    Failed {
        /// In words.
        why: String,
        /// It had been of use, so the back-off begins anew.
        useful: bool,
    },
}

/// What ends the steady state.
#[derive(Debug)]
enum Stop {
    Dead(Dead),
    Log(LogError),
    LogLost,
    Renew,
    Left,
}

impl From<LogError> for Stop {
    fn from(error: LogError) -> Self {
        Stop::Log(error)
    }
}

impl From<Failure> for Stop {
    fn from(why: Failure) -> Self {
        Stop::Dead(Dead { why, last: Vec::new() })
    }
}

/// Where the connection stands on its way to the end.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Phase {
    Running,
    /// Told to stop: still publishing.
    Draining {
        leave: Instant,
        deadline: Instant,
    },
    /// `offline` is on its way.
    Farewell {
        deadline: Instant,
    },
    /// DISCONNECT is on its way.
    Leaving {
        deadline: Instant,
    },
}

/// The retained `online` message.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Status {
    Unsaid,
    Said,
    Acknowledged,
}

/// Whether something waits for the log before the next message may go out.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Waiting {
    Nothing,
    /// For a save that has not begun.
    Unsaved,
    /// For the save under way.
    UnderWay,
}

struct Session<'a, O, R> {
    shared: &'a mut Publishing<O>,
    requests: R,
    connected: Connected,
    window: Window,
    /// Most that one packet may have, bytes.
    max_packet: usize,
    /// Numbered, and not handed over before their packet ids are on disk.
    staged: VecDeque<Outgoing>,
    waiting: Waiting,
    status: Status,
    phase: Phase,
    began: Instant,
    heard: Instant,
    next_check: Instant,
    /// Hand-shakes to resume.
    resumed: usize,
    acknowledged: bool,
    /// The broker has acknowledged our status and one message alone is in flight.
    proven: bool,
    /// A suspected message is being tried alone.
    probing: bool,
    /// rumqttc has lost so many slots that the connection must be renewed.
    renewing: bool,
    /// Acknowledgements since progress was last looked at.
    moved: bool,
    ack_max: Duration,
    ack_max_since: Instant,
}

/// Makes a connection and publishes on it until it ends.
pub(super) async fn run<C: Connection, O: Outbox>(
    shared: &mut Publishing<O>,
    stop: &mut watch::Receiver<Option<Instant>>,
) -> End {
    let clean = shared.deaths.wants_clean();
    let parameters = parameters(&shared.config, clean);
    let failed = |why: Failure| End::Failed { why: why.to_string(), useful: false };
    let mut connection = match C::open(&shared.config, &parameters) {
        Ok(connection) => connection,
        Err(why) => return failed(why),
    };
    let connected = tokio::select! {
        connected = first(&mut connection) => connected,
        // Dropping a connection that is being made is safe only because it is never polled again.
        _ = stopping(stop) => return End::Stopped,
    };
    let connected = match connected {
        Ok(connected) => connected,
        Err(dead) => {
            shared.deaths.unreachable();
            return failed(dead.why);
        }
    };
    let mut session = Session::new(shared, connection.requests(), connected, &parameters);
    if clean {
        return session.forget(&mut connection).await;
    }
    let stop = match session.begin(&mut connection) {
        Ok(()) => session.steady(&mut connection, stop).await,
        Err(error) => Stop::Log(error),
    };
    session.end(stop)
}

/// A stable client id used for publishing only, and a session that outlives the connection: QoS 2
/// hand-shakes are resumed in it.
fn parameters(config: &Mqtt, clean: bool) -> Parameters {
    let slots = SLOTS.max(config.window);
    Parameters {
        client_id: config.client_id.clone(),
        clean,
        will: Some(Will {
            topic: config.status_topic.clone(),
            payload: b"offline".to_vec(),
            // Not higher: a 5.0 broker may refuse the connection for a will that it cannot serve.
            qos: Qos::AtMostOnce,
            retain: true,
        }),
        manual_acks: false,
        // Everything that can be handed over at once, and the status and the farewell.
        capacity: 2 * usize::from(slots) + 16,
        slots,
    }
}

/// Polls until the CONNACK, uncancelled.
async fn first<C: Connection>(connection: &mut C) -> Result<Connected, Dead> {
    loop {
        if let Event::Connected(connected) = connection.poll().await? {
            return Ok(connected);
        }
    }
}

impl<'a, O: Outbox, R: Requests> Session<'a, O, R> {
    fn new(
        shared: &'a mut Publishing<O>,
        requests: R,
        connected: Connected,
        parameters: &Parameters,
    ) -> Self {
        let now = Instant::now();
        let probing = shared.deaths.suspect().is_some();
        let limit = if probing { 1 } else { usize::from(shared.config.window) };
        let theirs = connected.max_packet_size.unwrap_or(u32::MAX);
        Self {
            window: Window::new(parameters.slots, connected.receive_max, limit),
            max_packet: theirs.min(shared.config.max_packet_size) as usize,
            requests,
            connected,
            staged: VecDeque::new(),
            waiting: Waiting::Nothing,
            status: Status::Unsaid,
            phase: Phase::Running,
            began: now,
            heard: now,
            next_check: now,
            resumed: 0,
            acknowledged: false,
            proven: false,
            probing,
            renewing: false,
            moved: false,
            ack_max: Duration::ZERO,
            ack_max_since: now,
            shared,
        }
    }

    /// The session that could not be resumed has been forgotten by the broker. This connection has no
    /// session that outlives it, so it serves for nothing else.
    async fn forget<C: Connection>(mut self, connection: &mut C) -> End {
        info!("publisher: the broker's session was given up; messages in flight are sent again");
        self.shared.deaths.cleaned();
        self.shared.handshakes.clear();
        self.shared.lanes.restart();
        self.shared.saver.forget_all(self.shared.lanes.done_handshakes());
        let leave = Instant::now() + FAREWELL;
        self.disconnect(leave);
        while let Ok(Ok(event)) = tokio::time::timeout_at(leave.into(), connection.poll()).await {
            debug!("publisher: leaving: {event:?}");
        }
        End::Renew
    }

    /// After the CONNACK: what is resumed, what is sent again, what has become late.
    fn begin<C: Connection>(&mut self, connection: &mut C) -> Result<(), LogError> {
        let shared = &mut *self.shared;
        let committed = *shared.committed.borrow();
        shared.figures.connections.add(1);
        shared.figures.reconnects.set((shared.figures.connections.get() - 1).max(0));
        shared.figures.retry_ms.set(0);
        shared.lanes.restart();
        shared.lanes.set_boundary(committed);
        let short = shared.offline_since.elapsed() < SHORT;
        let boundary = match shared.committed_at_start.take() {
            Some(at_start) if short => Some(at_start),
            _ if short => None,
            _ => Some(committed),
        };
        if boundary.is_some_and(|boundary| shared.lanes.split(boundary)) {
            shared.saver.split(shared.lanes.cursor(), shared.lanes.ranges());
            // The jump of the live lane must be durable before anything after it goes out.
            self.waiting = Waiting::Unsaved;
        }
        if self.connected.session_present {
            self.resume(connection)?;
        } else if !self.shared.handshakes.is_empty() {
            // The broker has forgotten: everything unacknowledged is sent again, as new.
            self.shared.handshakes.clear();
            self.shared.saver.forget_all(self.shared.lanes.done_handshakes());
        }
        debug!(
            "publisher: connected, session {}, resuming {}, window {} of {}",
            self.connected.session_present,
            self.resumed,
            self.shared.config.window,
            self.window.ring()
        );
        Ok(())
    }

    /// Takes up the QoS 2 hand-shakes where they stood, through `EventLoop::pending`: the PUBLISH with its
    /// packet id and DUP, or the PUBREL when the PUBREC was seen. rumqttc's own resend has DUP=0.
    fn resume<C: Connection>(&mut self, connection: &mut C) -> Result<(), LogError> {
        let now = Instant::now();
        for one in self.shared.handshakes.values().copied().collect::<Vec<_>>() {
            let lane = self.shared.lanes.lane_of(one.row);
            // It is in no lane: those begin after the hand-shakes are done.
            let ticket = Ticket { lane, seq: u64::MAX, row: one.row };
            let released = one.stage == Stage::Released;
            let outgoing = if released { None } else { self.find(one.row, lane)? };
            let can = released || outgoing.is_some();
            if !can || !self.window.resume(one.packet_id, ticket, released, now) {
                // Deleted under pressure, or an id of a larger window: not to be resumed. If the row is
                // still there, it is sent again as new.
                self.shared.handshakes.remove(&one.row);
                self.shared.saver.forget(one.row);
                continue;
            }
            match outgoing {
                Some(outgoing) => connection.resume_publish(one.packet_id, outgoing),
                None => connection.resume_pubrel(one.packet_id),
            }
        }
        self.resumed = self.window.resuming();
        Ok(())
    }

    /// The message of this row, as it goes out.
    fn find(&mut self, row: i64, lane: LaneId) -> Result<Option<Outgoing>, LogError> {
        let committed = *self.shared.committed.borrow();
        let rows = self.shared.outbox.outgoing(row - 1, committed, 1)?;
        let mut messages = VecDeque::new();
        cut(rows, &mut messages);
        let found = messages.iter().find(|message| message.row() == row);
        Ok(found.and_then(|message| outgoing(&self.connected, message, lane, &mut self.shared.buffer)))
    }

    async fn steady<C: Connection>(
        &mut self,
        connection: &mut C,
        stop: &mut watch::Receiver<Option<Instant>>,
    ) -> Stop {
        let mut committed = self.shared.committed.clone();
        let mut commits = true;
        loop {
            let polled = {
                // Pinned over the inner loop and never dropped half-way: rumqttc notes a packet as sent
                // before it awaits the socket, so a dropped future can lose it for good.
                let mut poll = pin!(connection.poll());
                loop {
                    if let Err(stop) = self.step() {
                        return stop;
                    }
                    let wake = self.wake();
                    tokio::select! {
                        // First, so that during a drain nothing else costs a turn; what the others would
                        // tell, `step` sees by itself.
                        biased;
                        polled = &mut poll => break polled,
                        stored = durable(&mut self.shared.reply) => {
                            if let Err(stop) = self.stored(stored) {
                                return stop;
                            }
                        }
                        changed = committed.changed(), if commits => commits = changed.is_ok(),
                        deadline = stopping(stop), if self.phase == Phase::Running => self.drain(deadline),
                        () = tokio::time::sleep_until(wake.into()) => {}
                    }
                }
            };
            let now = Instant::now();
            match polled {
                Ok(event) => {
                    if let Err(why) = self.apply(event, now) {
                        return why.into();
                    }
                    while let Some(event) = connection.buffered() {
                        if let Err(why) = self.apply(event, now) {
                            return why.into();
                        }
                    }
                    self.note_lost_slots(connection.lost_slots());
                }
                Err(dead) => return Stop::Dead(dead),
            }
            if self.phase == Phase::Running {
                let deadline = *stop.borrow();
                if let Some(deadline) = deadline {
                    self.drain(deadline);
                }
            }
        }
    }

    /// Everything that is to be done now: progress, saves, new messages, watches.
    fn step(&mut self) -> Result<(), Stop> {
        let now = Instant::now();
        if let Some(reply) = &mut self.shared.reply {
            match reply.try_recv() {
                Ok(()) => self.stored(true)?,
                Err(tokio::sync::oneshot::error::TryRecvError::Empty) => {}
                Err(tokio::sync::oneshot::error::TryRecvError::Closed) => self.stored(false)?,
            }
        }
        self.top_up(now)?;
        if self.moved {
            self.moved = false;
            if let Some(progress) = self.shared.lanes.advance() {
                self.shared.saver.progress(progress);
            }
        }
        self.save(now)?;
        self.leave(now)?;
        if now >= self.next_check {
            self.check(now)?;
        }
        Ok(())
    }

    /// Hands over as many messages as there is room for.
    fn top_up(&mut self, now: Instant) -> Result<(), Stop> {
        if self.window.resuming() > 0 || self.waiting != Waiting::Nothing || self.renewing {
            return Ok(());
        }
        if !matches!(self.phase, Phase::Running | Phase::Draining { .. }) {
            return Ok(());
        }
        if self.status == Status::Unsaid {
            self.say("online", now)?;
            self.status =
                if self.connected.max_qos == Qos::AtMostOnce { Status::Acknowledged } else { Status::Said };
        }
        if self.probing && (self.status != Status::Acknowledged || !self.window.is_empty()) {
            return Ok(());
        }
        let committed = *self.shared.committed.borrow();
        let since_boot = clock::since_boot();
        while self.window.is_open() {
            let shared = &mut *self.shared;
            let ready = shared.lanes.ready(&mut shared.outbox, committed, now, since_boot)?;
            // Rows that need no publishing have moved the lanes, too.
            self.moved = true;
            let Some(lane) = ready else { break };
            let Some(head) = shared.lanes.head(lane) else { break };
            let Some(outgoing) = outgoing(&self.connected, head, lane, &mut shared.buffer) else { break };
            if !self.window.has_room(outgoing.qos) {
                break;
            }
            self.hand_over(lane, outgoing, now)?;
            if self.probing {
                break;
            }
        }
        let discarded = self.shared.lanes.take_discarded();
        if discarded > 0 {
            self.shared.figures.discarded.add(discarded);
        }
        Ok(())
    }

    fn hand_over(&mut self, lane: LaneId, outgoing: Outgoing, now: Instant) -> Result<(), Stop> {
        let shared = &mut *self.shared;
        let handshake = outgoing.qos == Qos::ExactlyOnce;
        let Some((_, ticket)) = shared.lanes.take(lane, handshake) else { return Ok(()) };
        let size = outgoing.packet_size();
        if size > self.max_packet {
            // Guards against an endless loop: rumqttc ends the connection over it, and the next, and so on.
            shared.lanes.done(ticket);
            let reason = format!("a message of {size} bytes is larger than the {} allowed", self.max_packet);
            shared.refuse(ticket.row, &outgoing.topic, reason, now);
            return Ok(());
        }
        let pkid = self.window.number(Some(ticket), outgoing.qos, now);
        if handshake {
            let one = InFlight { row: ticket.row, packet_id: pkid, stage: Stage::Sent };
            shared.handshakes.insert(ticket.row, one);
            shared.saver.handshake(ticket.row, pkid, Stage::Sent);
            // Row → packet id must be on disk before the PUBLISH is handed over, or after a crash nobody knows
            // which hand-shake to resume. What comes after it in the order waits with it.
            self.staged.push_back(outgoing);
        } else if self.staged.is_empty() {
            self.give(outgoing)?;
        } else {
            self.staged.push_back(outgoing);
        }
        self.proven = self.probing && self.status == Status::Acknowledged;
        Ok(())
    }

    fn give(&self, outgoing: Outgoing) -> Result<(), Stop> {
        // `try`: awaiting a full queue in the task that polls would be a deadlock. It is never full, being
        // larger than the window; if it were, the connection would be given up.
        self.requests.try_publish(outgoing).map_err(|error| Failure::Protocol(error.to_string()).into())
    }

    /// The retained status message. At QoS 1, so that it takes a packet id like any other, and its
    /// acknowledgement shows that the connection works.
    fn say(&mut self, word: &str, now: Instant) -> Result<(), Stop> {
        let qos = Qos::AtLeastOnce.min(self.connected.max_qos);
        self.window.number(None, qos, now);
        let topic = self.shared.config.status_topic.clone();
        let retain = self.connected.retain_available;
        self.give(Outgoing { topic, qos, retain, payload: word.into() })
    }

    fn save(&mut self, now: Instant) -> Result<(), Stop> {
        if !self.staged.is_empty() && self.waiting == Waiting::Nothing {
            self.waiting = Waiting::Unsaved;
        }
        if let Some(urgency) = self.shared.saver.due(now) {
            self.shared.save(urgency, now)?;
            if self.waiting == Waiting::Unsaved && self.shared.saver.is_under_way() {
                self.waiting = Waiting::UnderWay;
            }
        }
        Ok(())
    }

    /// The urgent save under way is durable, or was lost.
    fn stored(&mut self, durable: bool) -> Result<(), Stop> {
        self.shared.reply = None;
        if !durable {
            self.shared.saver.failed();
            return Err(Stop::LogLost);
        }
        self.shared.saver.confirmed();
        if self.waiting == Waiting::UnderWay {
            self.waiting = Waiting::Nothing;
            for outgoing in std::mem::take(&mut self.staged) {
                self.give(outgoing)?;
            }
        }
        Ok(())
    }

    fn apply(&mut self, event: Event, now: Instant) -> Result<(), Failure> {
        if event.is_heard() {
            self.heard = now;
        }
        match event {
            Event::Sent(0) => {
                if let Some(ticket) = self.window.written() {
                    self.shared.lanes.done(ticket);
                    self.shared.figures.published.add(1);
                    self.shared.saver.acknowledged();
                    self.moved = true;
                }
            }
            Event::Sent(pkid) => self.window.sent(pkid).map_err(|mismatch| Failure::Collision(mismatch.0))?,
            Event::Rec(pkid) => {
                let slot = self.window.released(pkid).filter(|slot| slot.qos == Qos::ExactlyOnce);
                if let Some(row) = slot.and_then(|slot| slot.ticket).map(|ticket| ticket.row) {
                    let one = InFlight { row, packet_id: pkid, stage: Stage::Released };
                    self.shared.handshakes.insert(row, one);
                    self.shared.saver.handshake(row, pkid, Stage::Released);
                }
            }
            Event::Done { pkid, refused } => {
                if let Some(slot) = self.window.done(pkid) {
                    self.finish(pkid, &slot, refused, now);
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// A message with a packet id has come to its end.
    fn finish(&mut self, pkid: u16, slot: &Slot, refused: Option<&'static str>, now: Instant) {
        let Some(ticket) = slot.ticket else {
            self.status_acknowledged(refused, now);
            return;
        };
        let shared = &mut *self.shared;
        self.acknowledged = true;
        self.moved = true;
        self.ack_max = self.ack_max.max(now - slot.since);
        shared.deaths.acknowledged();
        shared.saver.acknowledged();
        if slot.qos == Qos::ExactlyOnce {
            shared.handshakes.remove(&ticket.row);
            // Finished before others that were sent before it: remembered until the cursor has passed.
            shared.saver.handshake(ticket.row, pkid, Stage::Done);
        }
        if slot.resumed {
            shared.lanes.done_before(ticket.row, true);
        } else {
            shared.lanes.done(ticket);
        }
        match refused {
            None => shared.figures.published.add(1),
            Some(reason) => self.refused(ticket.row, reason, now),
        }
        if self.probing {
            // The suspect is innocent.
            self.probing = false;
            self.window.set_limit(usize::from(self.shared.config.window));
        }
    }

    fn status_acknowledged(&mut self, refused: Option<&'static str>, now: Instant) {
        self.status = Status::Acknowledged;
        if let Some(reason) = refused {
            let topic = self.shared.config.status_topic.clone();
            self.shared.complain(&topic, &format!("refused by the broker: {reason}"), now);
        }
        if let Phase::Farewell { deadline } = self.phase {
            self.disconnect(deadline);
        }
    }

    /// A negative acknowledgement of 5.0; on 3.1.1 the broker drops such messages in silence.
    fn refused(&mut self, row: i64, reason: &str, now: Instant) {
        let lane = self.shared.lanes.lane_of(row);
        let topic = match self.find(row, lane) {
            Ok(Some(outgoing)) => outgoing.topic,
            Ok(None) | Err(_) => format!("row {row}"),
        };
        self.shared.refuse(row, &topic, format!("refused by the broker: {reason}"), now);
    }

    /// Guards against rumqttc's leak on 5.0: it sends nothing any more when its count of free slots, which
    /// negative acknowledgements wear down, has come to nothing.
    fn note_lost_slots(&mut self, lost: u16) {
        if lost == 0 {
            return;
        }
        let left = self.window.ring().saturating_sub(lost);
        if !self.probing {
            self.window.set_limit(usize::from(self.shared.config.window.min(left)));
        }
        self.renewing = left < self.window.ring().div_ceil(2);
    }

    /// Told to stop.
    fn drain(&mut self, deadline: Instant) {
        let left = deadline.saturating_duration_since(Instant::now());
        let leave = deadline - FAREWELL.min(left / 4);
        self.phase = Phase::Draining { leave, deadline };
        self.shared.lanes.rest();
    }

    /// The steps of leaving: what is committed goes out, then `offline`, then DISCONNECT.
    fn leave(&mut self, now: Instant) -> Result<(), Stop> {
        match self.phase {
            Phase::Running => {
                if self.renewing && self.window.is_empty() && self.staged.is_empty() {
                    return Err(Stop::Renew);
                }
            }
            Phase::Draining { leave, deadline } => {
                let committed = *self.shared.committed.borrow();
                let under_way = !self.window.is_empty() || !self.staged.is_empty();
                let drained = !under_way
                    && self.waiting == Waiting::Nothing
                    && self.status != Status::Unsaid
                    && self.shared.lanes.is_drained(committed);
                if !drained && now < leave {
                    return Ok(());
                }
                let orderly =
                    self.window.resuming() == 0 && self.staged.is_empty() && self.window.has_spare();
                if !orderly {
                    // No packet id for a farewell; dropping the connection makes the broker say it for us.
                    return Err(Stop::Left);
                }
                self.say("offline", now)?;
                self.phase = Phase::Farewell { deadline };
                if self.connected.max_qos == Qos::AtMostOnce {
                    self.disconnect(deadline);
                }
            }
            Phase::Farewell { deadline } => {
                if now >= deadline {
                    self.disconnect(now + FAREWELL);
                }
            }
            Phase::Leaving { deadline } => {
                if now >= deadline {
                    return Err(Stop::Left);
                }
            }
        }
        Ok(())
    }

    /// DISCONNECT; then the broker closes the connection.
    fn disconnect(&mut self, deadline: Instant) {
        if self.requests.try_disconnect().is_err() {
            debug!("publisher: no room for a DISCONNECT; the broker will publish the last will");
        }
        self.phase = Phase::Leaving { deadline: deadline.min(Instant::now() + FAREWELL) };
    }

    /// Once a second or so: watchdogs and the board.
    fn check(&mut self, now: Instant) -> Result<(), Stop> {
        self.next_check = now + Duration::from_secs(1);
        let shared = &mut *self.shared;
        shared.show_connected(now);
        shared.show_waiting();
        shared.figures.in_flight.set(i64::try_from(self.window.in_flight()).unwrap_or(i64::MAX));
        if now >= self.ack_max_since + Duration::from_secs(10) && !self.ack_max.is_zero() {
            shared.figures.ack_max_us.set(i64::try_from(self.ack_max.as_micros()).unwrap_or(i64::MAX));
            (self.ack_max, self.ack_max_since) = (Duration::ZERO, now);
        }
        let silent = self.patience();
        if now >= self.heard + silent {
            // rumqttc on 5.0 never notices a half-open connection whose send buffer is full: it awaits the
            // flush without a time-out.
            return Err(Failure::Silent(silent.as_secs()).into());
        }
        let stalled = self.window.oldest().is_some_and(|slot| now >= slot.since + STALLED.max(silent));
        if stalled && self.staged.is_empty() {
            return Err(Failure::Unacknowledged(STALLED.max(silent).as_secs()).into());
        }
        Ok(())
    }

    /// How long nothing may be heard: a ping and its answer fit in twice.
    fn patience(&self) -> Duration {
        2 * self.connected.keep_alive + Duration::from_secs(5)
    }

    /// When to take a step though nothing happens.
    fn wake(&self) -> Instant {
        let now = Instant::now();
        let busy = !self.window.is_empty() || self.shared.saver.is_dirty();
        let check = if busy { self.next_check } else { self.heard + self.patience() };
        let lanes = if self.window.is_open() && self.waiting == Waiting::Nothing {
            self.shared.lanes.wake(now)
        } else {
            None
        };
        let phase = match self.phase {
            Phase::Running => None,
            Phase::Draining { leave, .. } => Some(leave),
            Phase::Farewell { deadline } | Phase::Leaving { deadline } => Some(deadline),
        };
        [Some(check), self.shared.saver.wake(), lanes, phase].into_iter().flatten().min().unwrap_or(check)
    }

    /// Takes what the broker had still said, and judges the death.
    fn end(mut self, stop: Stop) -> End {
        let now = Instant::now();
        let leaving = self.phase != Phase::Running;
        let end = match stop {
            Stop::Left => End::Stopped,
            Stop::Renew => End::Renew,
            Stop::Log(error) => End::Failed { why: format!("log: {error}"), useful: false },
            Stop::LogLost => {
                End::Failed { why: "the log could not store delivery progress".to_owned(), useful: false }
            }
            Stop::Dead(dead) => self.died(dead, now),
        };
        if let Some(progress) = self.shared.lanes.advance() {
            self.shared.saver.progress(progress);
        }
        self.shared.offline_since = now;
        self.shared.figures.in_flight.set(0);
        if leaving { End::Stopped } else { end }
    }

    fn died(&mut self, dead: Dead, now: Instant) -> End {
        for event in dead.last {
            // What the broker had said before the error counts as if it had been read in time.
            if let Err(why) = self.apply(event, now) {
                debug!("publisher: after the end: {why}");
            }
        }
        let alone = self.window.in_flight() == 1 && self.staged.is_empty();
        let oldest = self.window.oldest().and_then(|slot| slot.ticket).filter(|_| self.staged.is_empty());
        let life = Life {
            lived: now - self.began,
            acknowledged: self.acknowledged,
            resume_stuck: self.resumed > 0 && self.window.resuming() == self.resumed,
            oldest: oldest.map(|ticket| ticket.row),
            proven: self.proven && alone,
            why: dead.why.clone(),
        };
        let verdict = self.shared.deaths.died(&life);
        if let (Some(row), Some(ticket)) = (verdict.poison, oldest) {
            self.convict(row, ticket, now);
        }
        End::Failed { why: self.shared.explain(&dead.why, verdict.rival), useful: verdict.useful }
    }

    /// This message is given up: the connection died each time that it was sent alone.
    fn convict(&mut self, row: i64, ticket: Ticket, now: Instant) {
        let handshake = self.shared.handshakes.remove(&row).is_some();
        if handshake {
            self.shared.saver.handshake(row, 0, Stage::Done);
        }
        self.shared.lanes.done(ticket);
        let topic = match self.find(row, ticket.lane) {
            Ok(Some(outgoing)) => outgoing.topic,
            Ok(None) | Err(_) => format!("row {row}"),
        };
        let reason = "the connection breaks each time it is sent".to_owned();
        self.shared.refuse(row, &topic, reason, now);
    }
}

/// The message as it goes out: never better than the broker takes, never retained when late.
fn outgoing(
    connected: &Connected,
    message: &Message,
    lane: LaneId,
    buffer: &mut Vec<u8>,
) -> Option<Outgoing> {
    let publish = message.publish()?;
    let late = lane == LaneId::Late;
    payload::write_json(buffer, message.readings(), late);
    let topic = publish.late_topic.as_ref().filter(|_| late).unwrap_or(&publish.topic);
    Some(Outgoing {
        topic: topic.clone(),
        qos: publish.qos.min(connected.max_qos),
        retain: publish.retain && !late && connected.retain_available,
        payload: buffer.clone(),
    })
}

/// Waits for the urgent save under way; for ever when there is none.
async fn durable(reply: &mut Option<tokio::sync::oneshot::Receiver<()>>) -> bool {
    match reply {
        Some(reply) => reply.await.is_ok(),
        None => std::future::pending().await,
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::config::MqttVersion;
    use crate::mqtt::v4::V4;
    use crate::mqtt::v5::V5;

    /// Connects as the publisher does, and vanishes without a word.
    pub(crate) fn vanish(config: &Mqtt) {
        async fn connect<C: Connection>(config: &Mqtt) {
            let mut connection = C::open(config, &parameters(config, false)).unwrap();
            first(&mut connection).await.unwrap();
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        match config.version {
            MqttVersion::V311 => runtime.block_on(connect::<V4>(config)),
            MqttVersion::V5 => runtime.block_on(connect::<V5>(config)),
        }
    }
}
