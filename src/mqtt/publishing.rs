//! What outlives a connection, and the making of one connection after another. What happens on one is in
//! `session`.

use std::collections::{BTreeMap, HashSet};
use std::time::{Duration, Instant};

use tokio::sync::{oneshot, watch};
use tracing::warn;

use super::backoff::{Backoff, chance};
use super::connection::Connection;
use super::deaths::Deaths;
use super::failure::Failure;
use super::lanes::Lanes;
use super::outbox::Outbox;
use super::publisher::Tuning;
use super::report::Report;
use super::saver::Saver;
use super::session::{self, End};
use super::talk::Talk;
use super::v4::V4;
use super::v5::V5;
use crate::config::{ClockPolicy, Mqtt, MqttVersion};
use crate::log::{InFlight, LogError, Stage, Urgency};
use crate::status::{Figure, Histogram, Part, State};

/// Saving progress when a connection has ended, or when the daemon leaves, waits at most this long.
pub(super) const SETTLE: Duration = Duration::from_secs(2);

/// A refusal is shown on the board this long.
const PROBLEM_SHOWN: Duration = Duration::from_secs(600);

/// Kinds of refusals that are remembered so as to log each once.
const PROBLEMS: usize = 1000;

/// The publisher's place on the board.
#[derive(Debug)]
pub(super) struct Figures {
    pub part: Part,
    pub published: Figure,
    pub in_flight: Figure,
    pub backlog: Figure,
    pub late_waiting: Figure,
    /// Rows committed, less what waits: with the log's own count of rows it tells the backlog while nobody is
    /// here to move the figures.
    pub delivered: Figure,
    pub refused: Figure,
    pub discarded: Figure,
    /// Messages that gave way to newer ones because the platform takes only so many.
    pub thinned: Figure,
    pub connections: Figure,
    pub reconnects: Figure,
    pub retry_ms: Figure,
    /// Slowest acknowledgement of the last ten seconds in which there were any, µs.
    pub ack_max_us: Figure,
    /// The last acknowledgement, µs.
    pub ack_us: Figure,
    /// From handing over to acknowledgement.
    pub ack: Histogram,
}

impl Figures {
    fn new(part: &Part) -> Self {
        Self {
            part: part.clone(),
            published: part.figure("published"),
            in_flight: part.figure("in_flight"),
            backlog: part.figure("backlog"),
            late_waiting: part.figure("late_waiting"),
            delivered: part.figure("delivered"),
            refused: part.figure("refused"),
            discarded: part.figure("discarded"),
            thinned: part.figure("thinned"),
            connections: part.figure("connections"),
            reconnects: part.figure("reconnects"),
            retry_ms: part.figure("retry_ms"),
            ack_max_us: part.figure("ack_max_us"),
            ack_us: part.figure("ack_us"),
            ack: part.histogram("ack"),
        }
    }
}

/// What outlives a connection.
#[derive(Debug)]
pub(super) struct Publishing<O> {
    pub config: Mqtt,
    pub outbox: O,
    pub committed: watch::Receiver<i64>,
    pub lanes: Lanes,
    /// QoS 2 hand-shakes begun and not finished, by row.
    pub handshakes: BTreeMap<i64, InFlight>,
    pub saver: Saver,
    /// Answers when the urgent save under way is durable.
    pub reply: Option<oneshot::Receiver<()>>,
    pub deaths: Deaths,
    pub figures: Figures,
    /// Since when there is no connection.
    pub offline_since: Instant,
    /// What was committed when the publisher started, until the first connection is made.
    pub committed_at_start: Option<i64>,
    /// What the bridge says of itself.
    pub report: Option<Report>,
    /// A platform's dialogue.
    pub talk: Option<Talk>,
    /// Payloads are written here first, and copied out at their exact size.
    pub buffer: Vec<u8>,
    backoff: Backoff,
    problems: HashSet<(String, String)>,
    /// What was refused is shown, and when something was refused last.
    problem: Option<(String, Instant)>,
}

impl<O: Outbox> Publishing<O> {
    /// From what the log knows.
    pub(super) fn new(
        config: &Mqtt,
        policy: ClockPolicy,
        tuning: &Tuning,
        part: &Part,
        mut outbox: O,
    ) -> Result<Self, LogError> {
        let now = Instant::now();
        let state = outbox.state()?;
        let committed = outbox.committed();
        let unfinished = state.in_flight.iter().filter(|one| one.stage != Stage::Done);
        let publishing = Self {
            config: config.clone(),
            outbox,
            committed,
            lanes: Lanes::new(&state, &config.backlog, config.rate, policy, now),
            handshakes: unfinished.map(|one| (one.row, *one)).collect(),
            saver: Saver::default(),
            reply: None,
            deaths: Deaths::default(),
            figures: Figures::new(part),
            offline_since: now,
            committed_at_start: None,
            report: None,
            talk: None,
            buffer: Vec::new(),
            backoff: Backoff::new(tuning.backoff.0, tuning.backoff.1),
            problems: HashSet::new(),
            problem: None,
        };
        publishing.show_waiting();
        Ok(publishing)
    }

    /// Connection after connection, each with a fresh `EventLoop`: rumqttc's own reconnect tries without a
    /// pause (15,000 times a second), loses what is queued and repeats what was acknowledged.
    pub(super) async fn run(&mut self, mut stop: watch::Receiver<Option<Instant>>) {
        loop {
            let end = match self.config.version {
                MqttVersion::V311 => self.connect::<V4>(&mut stop).await,
                MqttVersion::V5 => self.connect::<V5>(&mut stop).await,
            };
            self.settle().await;
            self.show_waiting();
            match end {
                End::Stopped => return,
                End::Renew => {}
                End::Failed { why, useful } => {
                    if useful {
                        self.backoff.reset();
                    }
                    let delay = self.backoff.delay(chance());
                    self.figures.retry_ms.set(i64::try_from(delay.as_millis()).unwrap_or(i64::MAX));
                    self.figures.part.set(State::Failed(why));
                    tokio::select! {
                        () = tokio::time::sleep(delay) => {}
                        _ = stopping(&mut stop) => return,
                    }
                }
            }
        }
    }

    async fn connect<C: Connection>(&mut self, stop: &mut watch::Receiver<Option<Instant>>) -> End {
        session::run::<C, O>(self, stop).await
    }

    /// Saves what is not saved, and waits for it within reason.
    async fn settle(&mut self) {
        let deadline = tokio::time::Instant::now() + SETTLE;
        self.saver.insist();
        loop {
            if let Some(reply) = self.reply.take() {
                match tokio::time::timeout_at(deadline, reply).await {
                    Ok(Ok(())) => self.saver.confirmed(),
                    Ok(Err(_)) | Err(_) => {
                        self.saver.failed();
                        warn!("the log has not stored delivery progress yet");
                        return;
                    }
                }
            }
            if !self.saver.is_dirty() {
                return;
            }
            if let Err(error) = self.save(Urgency::Now, Instant::now()) {
                warn!("delivery progress: {error}");
                return;
            }
        }
    }

    /// Hands the pending changes to the log.
    pub(super) fn save(&mut self, urgency: Urgency, now: Instant) -> Result<(), LogError> {
        let update = self.saver.take(urgency, now);
        match self.outbox.save(update, urgency) {
            Ok(reply) if urgency == Urgency::Now => self.reply = Some(reply),
            // Nothing waits for what goes with the next commit: if that fails, the next save has it.
            Ok(reply) => drop(reply),
            Err(error) => {
                self.saver.failed();
                return Err(error);
            }
        }
        Ok(())
    }

    /// A message that will never be sent again: kept for the operator, counted, logged once per kind.
    pub(super) fn refuse(&mut self, row: i64, topic: &str, reason: String, now: Instant) {
        self.figures.refused.add(1);
        self.complain(topic, &reason, now);
        self.saver.refused(row, reason);
    }

    /// Shows that something is refused, and logs it once per kind. Of several kinds the newest is shown, and not each
    /// that comes again: every change of the state is a line in the journal.
    pub(super) fn complain(&mut self, topic: &str, reason: &str, now: Instant) {
        if self.problems.len() >= PROBLEMS {
            self.problems.clear();
        }
        let words = format!("{topic}: {reason}");
        let is_new = self.problems.insert((topic.to_owned(), reason.to_owned()));
        if is_new {
            self.figures.part.warn(words.clone());
        }
        let shown = self.problem.take().filter(|_| !is_new).map_or(words, |(shown, _)| shown);
        self.figures.part.set(State::Degraded(shown.clone()));
        self.problem = Some((shown, now));
    }

    /// The state while connected: refusals stay visible for a while.
    pub(super) fn show_connected(&mut self, now: Instant) {
        self.problem.take_if(|(_, since)| now > *since + PROBLEM_SHOWN);
        let problem = self.problem.as_ref().map(|(words, _)| words.clone());
        self.figures.part.set(problem.map_or(State::Ok, State::Degraded));
    }

    /// What waits, on the board.
    pub(super) fn show_waiting(&self) {
        let committed = *self.committed.borrow();
        let (backlog, late) = self.lanes.backlog(committed);
        self.figures.backlog.set(backlog);
        self.figures.late_waiting.set(late);
        self.figures.delivered.set(committed - backlog);
    }

    /// What the end of an accepted connection looks like to a person.
    pub(super) fn explain(&self, why: &Failure, rival: bool) -> String {
        if rival && *why != Failure::TakenOver {
            return format!(
                "connections end as soon as they are accepted ({why}); does another client use the client id {:?}?",
                self.config.client_id
            );
        }
        why.to_string()
    }
}

/// Waits for the stop signal and answers the deadline. A publisher dropped without a word stops at once.
pub(super) async fn stopping(stop: &mut watch::Receiver<Option<Instant>>) -> Instant {
    match stop.wait_for(Option::is_some).await {
        Ok(deadline) => deadline.unwrap_or_else(Instant::now),
        Err(_) => Instant::now(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::{DeliveryState, DeliveryUpdate};
    use crate::reading::{Image, Logged};
    use crate::status::Board;

    /// A log with nothing in it.
    struct Nothing;

    impl Outbox for Nothing {
        fn state(&mut self) -> Result<DeliveryState, LogError> {
            Ok(DeliveryState::default())
        }

        fn committed(&self) -> watch::Receiver<i64> {
            watch::channel(0).1
        }

        fn outgoing(&mut self, _: i64, _: i64, _: usize) -> Result<Vec<Logged>, LogError> {
            Ok(Vec::new())
        }

        fn image(&mut self, _: i64) -> Result<Option<Image>, LogError> {
            Ok(None)
        }

        fn save(&mut self, _: DeliveryUpdate, _: Urgency) -> Result<oneshot::Receiver<()>, LogError> {
            Err(LogError::Closed)
        }
    }

    fn publishing(board: &Board) -> Publishing<Nothing> {
        let text = "device: { id: pi }\nmqtt: { url: \"mqtt://broker\" }\n\
                    sensors: [{ id: wave, driver: sim, scenario: sine }]";
        let config = crate::config::parse(text, std::iter::empty()).unwrap();
        let (mqtt, part) = (config.mqtt.unwrap(), board.part("publisher"));
        Publishing::new(&mqtt, ClockPolicy::Mark, &Tuning::default(), &part, Nothing).unwrap()
    }

    /// A broker whose access rules refuse several topics refuses them by turns, with every reading.
    #[test]
    fn what_is_refused_by_turns_is_told_once_each() {
        let board = Board::new();
        let mut publishing = publishing(&board);
        for _ in 0..100 {
            for topic in ["t/a", "t/b", "t/c"] {
                publishing.complain(topic, "refused by the broker: not authorised", Instant::now());
            }
        }
        assert!(matches!(board.part("publisher").state().0, State::Degraded(_)));
        // A line and a change of state for each.
        assert!(board.warnings() <= 6, "{}", board.warnings());
    }

    #[test]
    fn after_a_refusal_a_connection_that_is_back_is_seen_to_be_back() {
        let board = Board::new();
        let mut publishing = publishing(&board);
        let now = Instant::now();
        publishing.complain("t/a", "too large", now);
        publishing.figures.part.set(State::Failed("connection lost".to_owned()));
        publishing.show_connected(now + Duration::from_secs(2));
        let shown = board.part("publisher").state().0;
        assert!(matches!(&shown, State::Degraded(why) if why.contains("too large")), "{shown}");
        publishing.show_connected(now + PROBLEM_SHOWN + Duration::from_secs(1));
        assert_eq!(board.part("publisher").state().0, State::Ok);
    }
}
