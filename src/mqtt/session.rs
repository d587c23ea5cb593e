//! The publisher on one connection: from the CONNACK to its end. Knows nothing of the connection before but
//! what [`Publishing`] kept. This file holds the loop; the steps are in the files beside it.

mod begin;
mod hear;
mod leave;
mod send;
mod talk;

use std::collections::VecDeque;
use std::pin::pin;
use std::time::{Duration, Instant};

use tokio::sync::oneshot::{Receiver, error::TryRecvError};
use tokio::sync::watch;

use super::access;
use super::bucket::Bucket;
use super::connection::{Connected, Connection, Dead, Event, Outgoing, Parameters, Requests, Will};
use super::failure::Failure;
use super::outbox::Outbox;
use super::publishing::{Publishing, stopping};
use super::talk::Talk;
use super::window::Window;
use crate::config::Mqtt;
use crate::log::LogError;
use crate::platform::Outcome;
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

/// The first report of a connection goes out after this long: by then there is something to tell.
const SETTLED: Duration = Duration::from_secs(5);

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
    /// Packet id of the status under way.
    said: Option<u16>,
    phase: Phase,
    began: Instant,
    heard: Instant,
    next_check: Instant,
    /// When the bridge's report is due.
    next_report: Option<Instant>,
    /// The platform's dialogue is not asked before.
    next_tick: Instant,
    /// How often the platform takes a message of readings.
    pace: Option<Bucket>,
    /// A message waits for its turn until then.
    turn: Option<Instant>,
    /// Hand-shakes to resume.
    resumed: usize,
    acknowledged: bool,
    /// The broker has acknowledged our status and one message alone is in flight.
    proven: bool,
    /// A suspected message is being tried alone.
    probing: bool,
    /// The connection must be renewed: rumqttc has lost so many slots, or the token expires.
    renewing: bool,
    /// When the token that let us in is no good any more.
    expires: Option<Instant>,
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
    let forget = shared.deaths.wants_clean();
    let parameters = parameters(&shared.config, shared.talk.as_mut(), forget);
    let failed = |why: Failure| End::Failed { why: why.to_string(), useful: false };
    let access = tokio::select! {
        access = access::fetch(&shared.config) => access,
        _ = stopping(stop) => return End::Stopped,
    };
    let opened =
        access.and_then(|access| Ok((C::open(&shared.config, &parameters, access.as_ref())?, access)));
    let (mut connection, access) = match opened {
        Ok(opened) => opened,
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
    session.expires = access.and_then(|access| access.until);
    if forget {
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
fn parameters(config: &Mqtt, talk: Option<&mut Talk>, forget: bool) -> Parameters {
    let slots = SLOTS.max(config.window);
    let manual_acks = talk.is_some();
    let words = talk.and_then(|talk| talk.dialogue().will());
    let words =
        words.map(|say| Will { topic: say.topic, payload: say.payload, qos: say.qos, retain: say.retain });
    Parameters {
        client_id: config.client_id.clone(),
        clean: forget || config.clean,
        will: words.or_else(|| our_will(config)),
        // A command is acknowledged when it is in the log.
        manual_acks,
        // Everything that can be handed over at once, and the status and the farewell.
        capacity: 2 * usize::from(slots) + 16,
        slots,
    }
}

fn our_will(config: &Mqtt) -> Option<Will> {
    let topic = config.status_topic.clone()?;
    // Not higher: a 5.0 broker may refuse the connection for a will that it cannot serve.
    Some(Will { topic, payload: b"offline".to_vec(), qos: Qos::AtMostOnce, retain: true })
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
            status: if shared.config.status_topic.is_some() { Status::Unsaid } else { Status::Acknowledged },
            said: None,
            phase: Phase::Running,
            began: now,
            heard: now,
            next_check: now,
            next_tick: now,
            next_report: shared.report.as_ref().map(|report| now + SETTLED.min(report.every)),
            pace: shared.config.pace.map(|pace| Bucket::new(f64::from(pace), now)),
            turn: None,
            resumed: 0,
            acknowledged: false,
            proven: false,
            probing,
            renewing: false,
            expires: None,
            moved: false,
            ack_max: Duration::ZERO,
            ack_max_since: now,
            shared,
        }
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
                        (tag, outcome) = heard(&mut self.shared.talk) => {
                            if let Err(stop) = self.outcome(tag, &outcome) {
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
                Err(TryRecvError::Empty) => {}
                Err(TryRecvError::Closed) => self.stored(false)?,
            }
        }
        self.renewing |= self.expires.is_some_and(|expires| now >= expires);
        self.renewing |= self.shared.talk.as_ref().is_some_and(Talk::wants_renewal);
        self.top_up(now)?;
        self.report(now)?;
        if self.moved {
            self.moved = false;
            if let Some(progress) = self.shared.lanes.advance() {
                self.shared.saver.progress(progress);
                self.shared.show_waiting();
            }
        }
        self.save(now)?;
        self.leave(now)?;
        if now >= self.next_check {
            self.check(now)?;
        }
        Ok(())
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
        let turn = self.turn.is_some();
        let lanes = if self.window.is_open() && self.waiting == Waiting::Nothing && !turn && !self.holds() {
            self.shared.lanes.wake(now)
        } else {
            None
        };
        let phase = match self.phase {
            Phase::Running => None,
            Phase::Draining { leave, .. } => Some(leave),
            Phase::Farewell { deadline } | Phase::Leaving { deadline } => Some(deadline),
        };
        let expires = self.expires.filter(|_| !self.renewing);
        // As in `top_up`: until then nothing could be said.
        let may_talk = self.waiting == Waiting::Nothing
            && !self.renewing
            && matches!(self.phase, Phase::Running | Phase::Draining { .. });
        let talk = if may_talk { self.talk_due(now) } else { None };
        let others = [self.shared.saver.wake(), lanes, phase, expires, self.next_report, talk, self.turn];
        others.into_iter().flatten().min().map_or(check, |other| other.min(check))
    }
}

/// Waits for what came of a platform's order; for ever when there is no dialogue.
async fn heard(talk: &mut Option<Talk>) -> (u64, Outcome) {
    match talk {
        Some(talk) => talk.outcome().await,
        None => std::future::pending().await,
    }
}

/// Waits for the urgent save under way; for ever when there is none.
async fn durable(reply: &mut Option<Receiver<()>>) -> bool {
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
            let mut connection = C::open(config, &parameters(config, None, false), None).unwrap();
            first(&mut connection).await.unwrap();
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        match config.version {
            MqttVersion::V311 => runtime.block_on(connect::<V4>(config)),
            MqttVersion::V5 => runtime.block_on(connect::<V5>(config)),
        }
    }
}
