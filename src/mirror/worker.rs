//! The thread of a sink: takes batches one after the other, tries each until it is durable, answers.
//!
//! A thread of its own, so that the disk's fsync and the reading of the next messages overlap, and so that a
//! full disk under one mirror leaves the others alone. What to acknowledge and how is not decided here.

use std::hash::{BuildHasher, RandomState};
use std::io;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tracing::warn;

use super::{Aspect, Batch, Health, Reply, Session, Sink, SinkError, Stored};
use crate::log::LogError;
use crate::reading::Qos;
use crate::status::State;

/// First and longest wait before a sink that failed is tried again.
const BACK_OFF: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// How long a fault in the messages' content stays on the board at least, so that messages good and bad by
/// turns do not make a log line each.
const SHOWN: Duration = Duration::from_secs(10);

/// A batch, and what to acknowledge when it is durable.
#[derive(Debug, Default)]
pub struct Job {
    /// What to store.
    pub batch: Batch,
    /// Packet ids to acknowledge afterwards.
    pub acks: Vec<(u16, Qos)>,
    /// The connection on which these packet ids mean something.
    pub connection: u64,
}

/// What the worker says.
#[derive(Debug)]
pub enum Answer {
    /// The sink is open; nothing must be received before.
    Open(Session),
    /// A batch is durable.
    Stored {
        /// As in the job.
        acks: Vec<(u16, Qos)>,
        /// As in the job.
        connection: u64,
        /// Answers to be sent.
        replies: Vec<Reply>,
    },
}

/// How a sink's thread was left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Left {
    /// Everything it was given is durable.
    Stored,
    /// It was told to give up what it could not store, or the log is closed.
    GivenUp,
    /// It has panicked.
    Panicked,
    /// The disk does not answer; the thread waits for it still.
    Behind,
}

/// Handle on a sink's thread.
#[derive(Debug)]
pub struct Worker {
    jobs: SyncSender<Job>,
    /// Dropped to make the thread give up what it cannot store.
    patience: SyncSender<()>,
    ended: Receiver<bool>,
    thread: JoinHandle<()>,
}

impl Worker {
    /// Starts the thread. `answers` must hold as many as jobs are ever under way, and one more.
    pub fn start(
        name: &str,
        sink: Box<dyn Sink>,
        health: Health,
        answers: mpsc::Sender<Answer>,
    ) -> io::Result<Self> {
        let (jobs, taken) = sync_channel(1);
        let (patience, out_of_patience) = sync_channel(0);
        let (end, ended) = sync_channel(1);
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(move || {
            let mut run = Run { sink, health, patience: out_of_patience, shown: None };
            let stored = run.all(&taken, &answers).is_some();
            if stored {
                run.sink.close();
            }
            // The other side may have stopped waiting.
            end.try_send(stored).unwrap_or_default();
        })?;
        Ok(Self { jobs, patience, ended, thread })
    }

    /// Hands over a batch; gives it back when one waits already.
    pub fn give(&self, job: Job) -> Result<(), Box<Job>> {
        self.jobs.try_send(job).map_err(|error| match error {
            TrySendError::Full(job) | TrySendError::Disconnected(job) => Box::new(job),
        })
    }

    /// Ends the thread after what it was given; gives up after `wait`. What was not stored was not
    /// acknowledged either.
    pub fn finish(self, wait: Duration) -> Left {
        drop(self.jobs);
        let mut ended = self.ended.recv_timeout(wait);
        if ended == Err(RecvTimeoutError::Timeout) {
            drop(self.patience);
            ended = self.ended.recv_timeout(wait);
        }
        if ended == Err(RecvTimeoutError::Timeout) {
            warn!("a mirror's disk does not answer; its thread is left behind");
            return Left::Behind;
        }
        match (self.thread.join(), ended) {
            (Ok(()), Ok(true)) => Left::Stored,
            (Ok(()), Ok(false)) => Left::GivenUp,
            _ => Left::Panicked,
        }
    }
}

/// The thread's own state.
struct Run {
    sink: Box<dyn Sink>,
    health: Health,
    patience: Receiver<()>,
    /// Since when a fault of the content is on the board.
    shown: Option<Instant>,
}

impl Run {
    /// Everything there is to do; `None` when it was given up.
    fn all(&mut self, jobs: &Receiver<Job>, answers: &mpsc::Sender<Answer>) -> Option<()> {
        let session = self.retry(|sink| sink.open())?;
        // Once nobody listens any more, what was given is stored all the same.
        answers.blocking_send(Answer::Open(session)).unwrap_or_default();
        while let Ok(Job { batch, acks, connection }) = jobs.recv() {
            let mut stored = self.retry(|sink| sink.store(&batch))?;
            let replies = std::mem::take(&mut stored.replies);
            self.account(batch.messages.len(), stored);
            answers.blocking_send(Answer::Stored { acks, connection, replies }).unwrap_or_default();
        }
        Some(())
    }

    /// Tries until it works; `None` when told to give up.
    fn retry<T>(&mut self, mut action: impl FnMut(&mut dyn Sink) -> Result<T, SinkError>) -> Option<T> {
        let mut delay = BACK_OFF.0;
        loop {
            match action(&mut *self.sink) {
                Ok(value) => {
                    self.health.set(Aspect::Sink, State::Ok);
                    return Some(value);
                }
                Err(error) => {
                    self.health.set(Aspect::Sink, State::Failed(error.to_string()));
                    if matches!(error, SinkError::Log(LogError::Closed)) {
                        return None;
                    }
                    // Nothing is ever sent: this waits, or ends at once when the other end is dropped.
                    if self.patience.recv_timeout(jitter(delay)) != Err(RecvTimeoutError::Timeout) {
                        return None;
                    }
                    delay = (delay * 2).min(BACK_OFF.1);
                }
            }
        }
    }

    fn account(&mut self, messages: usize, stored: Stored) {
        let health = &self.health;
        health.stored.add(messages.saturating_sub(stored.repeats + stored.refused));
        health.refused.add(stored.refused);
        health.repeats.add(stored.repeats);
        health.missing_fields.add(stored.fields.missing);
        health.refused_fields.add(stored.fields.refused);
        health.bad_json.add(stored.fields.bad_json);
        if self.shown.is_some_and(|since| since.elapsed() < SHOWN) {
            return;
        }
        match stored.refusal.or(stored.fields.last) {
            Some(why) => {
                self.shown = Some(Instant::now());
                health.set(Aspect::Content, State::Degraded(why));
            }
            None if self.shown.take().is_some() => health.set(Aspect::Content, State::Ok),
            None => {}
        }
    }
}

/// Three quarters to five quarters of a delay, so that several mirrors on one disk do not try in step.
fn jitter(delay: Duration) -> Duration {
    // Hashing with random keys is the randomness that std has.
    let random = RandomState::new().hash_one(delay) % 1000;
    delay * 3 / 4 + delay * u32::try_from(random).unwrap_or_default() / 2000
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mirror::fake;
    use crate::status::Board;

    fn start(sink: impl Sink + 'static) -> (Worker, mpsc::Receiver<Answer>, crate::status::Part) {
        let part = Board::new().part("mirror x");
        let health = Health::new(part.clone());
        health.set(Aspect::Link, State::Ok);
        let (answers, answered) = mpsc::channel(4);
        (Worker::start("test", Box::new(sink), health, answers).unwrap(), answered, part)
    }

    fn job(count: usize) -> Job {
        let messages = (0..count).map(|_| fake::message("t", b"x", Qos::AtLeastOnce)).collect();
        Job {
            batch: Batch { messages, ..Batch::default() },
            acks: vec![(7, Qos::AtLeastOnce)],
            connection: 3,
        }
    }

    /// Fails as often as told, then stores.
    struct Stubborn {
        failures: usize,
        fields: super::super::field::Tally,
    }

    impl Sink for Stubborn {
        fn open(&mut self) -> Result<Session, SinkError> {
            Ok(Session::default())
        }
        fn store(&mut self, _: &Batch) -> Result<Stored, SinkError> {
            if self.failures > 0 {
                self.failures -= 1;
                let why = io::Error::from(io::ErrorKind::StorageFull);
                return Err(SinkError::File { path: "/data/x.csv".into(), what: "cannot append", why });
            }
            Ok(Stored { repeats: 1, fields: self.fields.clone(), ..Stored::default() })
        }
    }

    #[test]
    fn a_batch_is_tried_again_and_answered_only_when_stored() {
        let (worker, mut answers, part) = start(Stubborn { failures: 1, fields: Default::default() });
        assert!(matches!(answers.blocking_recv(), Some(Answer::Open(_))));
        worker.give(job(3)).unwrap();
        while !matches!(part.state().0, State::Failed(why) if why.contains("/data/x.csv") && why.contains("free some space"))
        {
            assert!(answers.try_recv().is_err(), "answered before it was stored");
            std::thread::yield_now();
        }
        let Some(Answer::Stored { acks, connection, .. }) = answers.blocking_recv() else {
            panic!("no answer")
        };
        assert_eq!((acks, connection), (vec![(7, Qos::AtLeastOnce)], 3));
        assert_eq!(part.state().0, State::Ok);
        assert!(part.figures().contains(&("stored", 2)) && part.figures().contains(&("repeats", 1)));
        assert_eq!(worker.finish(Duration::from_secs(5)), Left::Stored);
    }

    #[test]
    fn the_end_does_not_wait_for_a_full_disk() {
        let (worker, mut answers, _) = start(Stubborn { failures: usize::MAX, fields: Default::default() });
        assert!(matches!(answers.blocking_recv(), Some(Answer::Open(_))));
        worker.give(job(1)).unwrap();
        assert_eq!(worker.finish(Duration::from_millis(50)), Left::GivenUp);
        assert!(answers.blocking_recv().is_none(), "given up means not acknowledged");
    }

    #[test]
    fn bad_content_is_shown_and_counted() {
        let fields =
            super::super::field::Tally { bad_json: 2, last: Some("no JSON".into()), ..Default::default() };
        let (worker, mut answers, part) = start(Stubborn { failures: 0, fields });
        worker.give(job(1)).unwrap();
        answers.blocking_recv().unwrap();
        answers.blocking_recv().unwrap();
        assert_eq!(part.state().0, State::Degraded("no JSON".into()));
        assert!(part.figures().contains(&("bad_json", 2)));
        assert_eq!(worker.finish(Duration::from_secs(5)), Left::Stored);
    }

    #[test]
    fn jitter_stays_within_a_quarter() {
        for _ in 0..1000 {
            let delay = jitter(Duration::from_secs(4));
            assert!((Duration::from_secs(3)..=Duration::from_secs(5)).contains(&delay), "{delay:?}");
        }
    }
}
