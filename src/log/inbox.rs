//! The bounded queue from everybody to the writer thread. Knows when work is due, not how it is done.
//!
//! Not a channel, because the writer takes everything waiting at once, deliveries fold into one another,
//! and what the writer holds back while the disk is full still counts against the bound.

use std::mem;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::delivery::Pending;
use super::error::{Busy, LogError};
use super::{CommandLogged, CommandStep, DeliveryUpdate, MirrorBatch, NewMessage, Stored, Urgency};
use crate::config::Retention;
use crate::reading::{Channel, ChannelId, Reading};

/// Most readings accepted and not yet committed: about 3 MB; 27 minutes of a full disk at 20 a second.
pub(super) const MAX_READINGS: usize = 32_768;

/// Most bytes of pictures accepted and not yet committed, or one picture if that is larger.
pub(super) const MAX_BULK: usize = 32 << 20;

/// Most other requests waiting. Their callers block, so there are few; this only has to be a bound.
const MAX_JOBS: usize = 256;

/// One request whose caller waits for the answer.
#[derive(Debug)]
pub(super) enum Job {
    Register(Vec<Channel>, Reply<Vec<ChannelId>>),
    Correct(i64, Reply<()>),
    Store(Box<MirrorBatch>, Instant, Reply<Stored>),
    Command(Vec<CommandStep>, Instant, Reply<Vec<CommandLogged>>),
    /// Lets a test turn a screw of the write connection, outside of any transaction.
    #[cfg(test)]
    Run(fn(&rusqlite::Connection), Reply<()>),
}

impl Job {
    /// The messages that it brings.
    pub fn messages(&self) -> &[NewMessage] {
        match self {
            Job::Store(batch, ..) => &batch.messages,
            _ => &[],
        }
    }
}

/// Where an answer goes. Room for one, so sending never blocks.
pub(super) type Reply<T> = SyncSender<Result<T, LogError>>;

/// Bytes of the pictures in a sample.
pub(super) fn bulk(sample: &[Reading]) -> usize {
    sample.iter().map(|reading| reading.value.bulk()).sum()
}

/// What the writer takes in one go.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub samples: Vec<Vec<Reading>>,
    pub jobs: Vec<Job>,
    pub delivery: Pending,
    /// Readings that were refused with [`Busy`].
    pub lost: u64,
}

impl Batch {
    pub fn is_empty(&self) -> bool {
        self.samples.is_empty() && self.jobs.is_empty() && self.delivery.is_empty() && self.lost == 0
    }
}

/// Before these moments the writer does not want to be woken for the kinds of work that can wait.
#[derive(Debug, Clone, Copy)]
pub(super) struct Schedule {
    /// Samples: `log.commit_interval` after the last commit, or the next try on a failing disk.
    pub samples: Instant,
    /// Everything else: only a failing disk puts it off.
    pub others: Instant,
    /// Records of losses.
    pub losses: Instant,
    /// The writer's own chores.
    pub chores: Option<Instant>,
    /// Whether the writer still holds work that it could not commit.
    pub holding: bool,
}

/// What the writer was woken for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Woken {
    /// Work is due.
    Work,
    /// Its own chores are, and no work.
    Chores,
    /// The end.
    Closing,
}

#[derive(Debug, Default)]
pub(super) struct Inbox {
    state: Mutex<Waiting>,
    /// There is work.
    work: Condvar,
    /// There is room for a job.
    room: Condvar,
}

#[derive(Debug, Default)]
struct Waiting {
    batch: Batch,
    /// Readings accepted and not committed, those that the writer holds included.
    readings: usize,
    /// Bytes of pictures among them.
    bulk: usize,
    /// Other limits and another commit interval, for the writer to take over.
    limits: Option<(Retention, Duration)>,
    /// The writer's schedule may have changed.
    nudged: bool,
    closing: bool,
    ended: bool,
}

impl Inbox {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        // Nothing under the lock can panic halfway through a change.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a sample, or refuses it whole.
    pub fn append(&self, sample: Vec<Reading>) -> Result<(), Busy> {
        let bulk = bulk(&sample);
        let mut state = self.lock();
        let crowded = bulk > 0 && state.bulk > 0 && state.bulk + bulk > MAX_BULK;
        if state.closing || state.ended || crowded || state.readings + sample.len() > MAX_READINGS {
            return Err(Busy);
        }
        state.readings += sample.len();
        state.bulk += bulk;
        let wake = state.batch.samples.is_empty();
        state.batch.samples.push(sample);
        drop(state);
        // The writer is told of the first only: waking it again for each would cost more than the insert.
        if wake {
            self.work.notify_one();
        }
        Ok(())
    }

    /// Takes note of readings that were not taken.
    pub fn record_loss(&self, count: u64) {
        let mut state = self.lock();
        state.batch.lost = state.batch.lost.saturating_add(count);
        drop(state);
        self.work.notify_one();
    }

    /// Makes the writer look at its own chores again.
    pub fn nudge(&self) {
        self.lock().nudged = true;
        self.work.notify_one();
    }

    /// Gives the writer other limits and another commit interval.
    pub fn limit(&self, retention: Retention, commit_interval: Duration) {
        let mut state = self.lock();
        state.limits = Some((retention, commit_interval));
        state.nudged = true;
        drop(state);
        self.work.notify_one();
    }

    /// The limits given since the last look.
    pub fn limits(&self) -> Option<(Retention, Duration)> {
        self.lock().limits.take()
    }

    /// Folds in a step of delivery.
    pub fn deliver(
        &self,
        update: DeliveryUpdate,
        urgency: Urgency,
    ) -> Result<oneshot::Receiver<()>, LogError> {
        let mut state = self.lock();
        if state.closing || state.ended {
            return Err(LogError::Closed);
        }
        let news = state.batch.delivery.is_empty() || urgency == Urgency::Now;
        let receiver = state.batch.delivery.fold(update, urgency, Instant::now());
        drop(state);
        if news {
            self.work.notify_one();
        }
        Ok(receiver)
    }

    /// Puts a job in the queue, waiting for room, and waits for its answer.
    pub fn ask<T>(&self, job: impl FnOnce(Reply<T>) -> Job) -> Result<T, LogError> {
        let receiver = self.put(job)?;
        // The writer answers every job it takes, and drops those left when it ends.
        receiver.recv().unwrap_or(Err(LogError::Closed))
    }

    fn put<T>(&self, job: impl FnOnce(Reply<T>) -> Job) -> Result<Receiver<Result<T, LogError>>, LogError> {
        let (reply, receiver) = sync_channel(1);
        let mut state = self.lock();
        while state.batch.jobs.len() >= MAX_JOBS && !state.closing && !state.ended {
            state = self.room.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if state.closing || state.ended {
            return Err(LogError::Closed);
        }
        state.batch.jobs.push(job(reply));
        drop(state);
        self.work.notify_one();
        Ok(receiver)
    }

    /// Asks the writer to end once everything is committed.
    pub fn close(&self) {
        self.lock().closing = true;
        self.work.notify_one();
        self.room.notify_all();
    }

    /// Waits until something is due, or the writer should close.
    pub fn wait(&self, schedule: Schedule) -> Woken {
        let mut state = self.lock();
        loop {
            if state.closing {
                return Woken::Closing;
            }
            let now = Instant::now();
            let work = state.due(schedule, now);
            if work.is_some_and(|due| due <= now) {
                return Woken::Work;
            }
            if mem::take(&mut state.nudged) || schedule.chores.is_some_and(|due| due <= now) {
                return Woken::Chores;
            }
            match [work, schedule.chores].into_iter().flatten().min() {
                Some(due) => {
                    let wait = self.work.wait_timeout(state, due - now);
                    state = wait.unwrap_or_else(PoisonError::into_inner).0;
                }
                None => state = self.work.wait(state).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }

    /// Adds everything waiting to what the writer holds; losses only when their record is due.
    pub fn take(&self, held: &mut Batch, with_losses: bool) {
        let mut state = self.lock();
        let lost = if with_losses { 0 } else { mem::take(&mut state.batch.lost) };
        let fresh = mem::take(&mut state.batch);
        state.batch.lost = lost;
        drop(state);
        self.room.notify_all();
        if held.is_empty() {
            *held = fresh;
            return;
        }
        held.samples.extend(fresh.samples);
        held.jobs.extend(fresh.jobs);
        held.delivery.absorb(fresh.delivery);
        held.lost += fresh.lost;
    }

    /// Makes room for as many readings, and bytes of pictures among them, as were committed or given up;
    /// answers how many readings still wait.
    pub fn release(&self, readings: usize, bulk: usize) -> usize {
        let mut state = self.lock();
        state.readings = state.readings.saturating_sub(readings);
        state.bulk = state.bulk.saturating_sub(bulk);
        state.readings
    }

    /// Readings accepted and not committed.
    pub fn readings(&self) -> usize {
        self.lock().readings
    }

    /// Whether there is a writer.
    pub fn has_writer(&self) -> bool {
        !self.lock().ended
    }

    /// The writer is gone: answers whoever waits, and everybody from now on.
    pub fn end(&self) {
        let mut state = self.lock();
        state.ended = true;
        // Dropping the replies is what wakes their callers.
        state.batch = Batch::default();
        drop(state);
        self.room.notify_all();
    }
}

impl Waiting {
    /// When work is due.
    fn due(&self, schedule: Schedule, now: Instant) -> Option<Instant> {
        let batch = &self.batch;
        let samples = (!batch.samples.is_empty()).then_some(schedule.samples);
        let jobs = (!batch.jobs.is_empty() || schedule.holding).then_some(schedule.others);
        // What can wait waits as samples do: to write it takes along those that have come, which are published then,
        // and their progress would be the next to be written.
        let others = if batch.delivery.is_urgent() { schedule.others } else { schedule.samples };
        let delivery = batch.delivery.due(now).map(|due| due.max(others));
        let losses = (batch.lost > 0).then_some(schedule.losses);
        [samples, jobs, delivery, losses].into_iter().flatten().min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::testing::{NOON, moment};
    use crate::reading::{Value, picture};

    /// Or a commit would follow each second's acknowledgements, and bring what is acknowledged in the next.
    #[test]
    fn progress_that_can_wait_does_not_bring_samples_in_before_their_time() {
        let (inbox, now) = (Inbox::default(), Instant::now());
        let later = now + Duration::from_secs(3600);
        let chores = Some(now + Duration::from_millis(1200));
        let schedule = Schedule { samples: later, others: now, losses: later, chores, holding: false };
        let number = Reading { channel: ChannelId(1), at: moment(NOON), value: Value::Integer(1) };
        inbox.append(vec![number]).unwrap();
        let update = DeliveryUpdate { cursor: Some(1), ..DeliveryUpdate::default() };
        drop(inbox.deliver(update.clone(), Urgency::Due).unwrap());
        assert_eq!(inbox.wait(schedule), Woken::Chores);
        drop(inbox.deliver(update, Urgency::Now).unwrap());
        assert_eq!(inbox.wait(schedule), Woken::Work);
    }

    #[test]
    fn pictures_that_wait_are_bounded_by_their_bytes() {
        let inbox = Inbox::default();
        let sample = |bytes| {
            let value = Value::Image(picture::tests::image(1, bytes).into());
            vec![Reading { channel: ChannelId(1), at: moment(NOON), value }]
        };
        // One is always taken, however large.
        inbox.append(sample(MAX_BULK + 1)).unwrap();
        assert_eq!(inbox.append(sample(1)), Err(Busy));
        // Numbers are not held up by pictures.
        let number = Reading { channel: ChannelId(1), at: moment(NOON), value: Value::Integer(1) };
        inbox.append(vec![number]).unwrap();
        assert_eq!(inbox.release(1, MAX_BULK + 1), 1);
        inbox.append(sample(MAX_BULK / 2)).unwrap();
        inbox.append(sample(MAX_BULK / 2)).unwrap();
        assert_eq!(inbox.append(sample(1)), Err(Busy));
    }
}
