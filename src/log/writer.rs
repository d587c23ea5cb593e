//! The writer thread: when to commit, what to do when that fails, and what is said of it on the board.

use std::mem;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use tokio::sync::watch;
use tracing::error;

use super::Machine;
use super::checkpoint::Checkpointer;
use super::error::LogError;
use super::inbox::{Batch, Inbox, Job, Schedule, Woken, bulk};
use super::open::beside;
use super::retention::Sweeper;
use super::rollup::Roller;
use super::store::{Along, Answer, Outcome, Store};
use crate::status::{Figure, Part, State};

/// The fuzzer waits for no disk to become better: it has damaged the file itself.
const NO_TIME: Duration = Duration::from_millis(1);

/// Waits between two tries on a failing disk.
const FIRST_RETRY: Duration = if cfg!(fuzzing) { NO_TIME } else { Duration::from_millis(100) };
const LAST_RETRY: Duration = Duration::from_secs(5);

/// How long closing goes on trying. Leaving may take 10 s in all.
const LAST_CHANCE: Duration = if cfg!(fuzzing) { NO_TIME } else { Duration::from_secs(2) };

/// A mirror's batch, or a command, waits this long for the disk before its caller is told.
const PATIENCE: Duration = if cfg!(fuzzing) { NO_TIME } else { Duration::from_secs(10) };

/// Losses are recorded at once, but no more often than this: a disk that is too slow loses many times a second.
const BETWEEN_GAPS: Duration = Duration::from_secs(10);

/// How often the files are measured.
const BETWEEN_SIZES: Duration = Duration::from_secs(1);

/// Figures of the part `log`.
#[derive(Debug)]
struct Figures {
    rows: Figure,
    messages: Figure,
    repeats: Figure,
    commits: Figure,
    commit_max: Figure,
    bytes: Figure,
    wal: Figure,
    queue: Figure,
    rejected: Figure,
    lost: Figure,
    deleted: Figure,
}

impl Figures {
    fn new(part: &Part) -> Self {
        Self {
            rows: part.figure("rows"),
            messages: part.figure("messages"),
            repeats: part.figure("repeats"),
            commits: part.figure("commits"),
            commit_max: part.figure("commit_max_us"),
            bytes: part.figure("bytes"),
            wal: part.figure("wal_bytes"),
            queue: part.figure("queue"),
            rejected: part.figure("rejected"),
            lost: part.figure("lost"),
            deleted: part.figure("deleted"),
        }
    }
}

/// A disk that does not take what we have.
#[derive(Debug, Clone, Copy)]
struct Failing {
    wait: Duration,
    next: Instant,
}

/// Everything the thread owns.
#[derive(Debug)]
pub(super) struct Writer {
    store: Store,
    inbox: Arc<Inbox>,
    machine: Machine,
    path: PathBuf,
    commit_interval: Duration,
    committed: watch::Sender<i64>,
    part: Part,
    figures: Figures,
    /// What is to be said instead of "ok".
    notice: Option<String>,
    sweeper: Sweeper,
    roller: Roller,
    checkpointer: Checkpointer,
    /// Taken from the inbox and not committed.
    held: Batch,
    failing: Option<Failing>,
    last_commit: Option<Instant>,
    next_gap: Instant,
    /// There are gap records that no reading tells of.
    gaps_open: bool,
    /// Readings deleted before they were delivered, and not yet told of; and when to tell again.
    forced: usize,
    forced_told: Instant,
    sizes_at: Instant,
}

/// What a writer is made of.
#[derive(Debug)]
pub(super) struct Parts {
    pub store: Store,
    pub inbox: Arc<Inbox>,
    pub machine: Machine,
    pub path: PathBuf,
    pub commit_interval: Duration,
    pub committed: watch::Sender<i64>,
    pub part: Part,
    pub notice: Option<String>,
    pub sweeper: Sweeper,
    pub roller: Roller,
    pub checkpointer: Checkpointer,
}

impl Writer {
    pub fn new(parts: Parts) -> Self {
        let Parts {
            store,
            inbox,
            machine,
            path,
            commit_interval,
            committed,
            part,
            notice,
            sweeper,
            roller,
            checkpointer,
        } = parts;
        let figures = Figures::new(&part);
        let now = Instant::now();
        let mut writer = Self {
            store,
            inbox,
            machine,
            path,
            commit_interval,
            committed,
            part,
            figures,
            notice,
            sweeper,
            roller,
            checkpointer,
            held: Batch::default(),
            failing: None,
            last_commit: None,
            next_gap: now,
            // Perhaps some of the last run; looking costs one query.
            gaps_open: true,
            forced: 0,
            forced_told: now,
            sizes_at: now,
        };
        writer.measure(now);
        writer.say_ok();
        writer
    }

    /// Runs until the log is closed. Answers what could not be written.
    pub fn run(mut self) -> Result<(), LogError> {
        loop {
            let woken = self.inbox.wait(self.schedule());
            let closing = woken == Woken::Closing;
            if let Some((retention, commit_interval)) = self.inbox.limits() {
                self.sweeper = Sweeper::new(retention);
                self.commit_interval = commit_interval;
            }
            let losses = closing || Instant::now() >= self.next_gap;
            if woken != Woken::Chores {
                self.inbox.take(&mut self.held, losses);
            }
            let mut done = Ok(());
            if !self.held.is_empty() || (losses && self.gaps_to_tell()) {
                done = self.commit(losses);
            } else if self.failing.is_some_and(|failing| failing.next <= Instant::now()) {
                self.try_again();
            }
            if closing {
                return self.finish(done);
            }
            self.chores();
        }
    }

    fn schedule(&self) -> Schedule {
        let now = Instant::now();
        let retry = self.failing.map(|failing| failing.next);
        let samples = retry.or(self.last_commit.map(|last| last + self.commit_interval)).unwrap_or(now);
        let gaps = self.gaps_to_tell().then_some(self.next_gap.max(retry.unwrap_or(self.next_gap)));
        let chores = match retry.filter(|_| self.held.is_empty()) {
            // With nothing held, no commit would find out whether the disk works again.
            Some(retry) => Some(retry),
            None => [self.sweeper.due(), self.roller.due(), gaps].into_iter().flatten().min(),
        };
        Schedule {
            samples,
            others: retry.unwrap_or(now),
            losses: self.next_gap.max(retry.unwrap_or(now)),
            chores: chores.map(|due| retry.map_or(due, |retry| due.max(retry))),
            holding: !self.held.is_empty(),
        }
    }

    fn gaps_to_tell(&self) -> bool {
        self.gaps_open && self.store.knows_gap_channel()
    }

    /// Commits what is held, and what there is to tell of losses if that is due; on failure keeps it for the
    /// next try.
    fn commit(&mut self, losses: bool) -> Result<(), LogError> {
        let begun = Instant::now();
        let report = losses && (self.gaps_open || self.held.lost > 0);
        let lost = self.held.lost;
        let (roller, readings) = (&mut self.roller, self.held.samples.iter().map(Vec::len).sum());
        let rows = roller.rows_along(readings, begun);
        let mut along = |connection: &Connection| roller.along(connection, rows, begun);
        let along: Option<Along<'_>> = if rows > 0 { Some(&mut along) } else { None };
        match self.store.commit(&self.held, report, (self.machine.now)(), along) {
            Ok(outcome) => {
                if lost > 0 || outcome.reported > 0 {
                    self.next_gap = begun + BETWEEN_GAPS;
                }
                if report {
                    self.gaps_open = !self.store.knows_gap_channel();
                }
                self.gaps_open |= lost > 0 && !report;
                self.committed(outcome, begun);
                Ok(())
            }
            Err(reason) => {
                self.failed(&reason);
                Err(LogError::Disk(reason))
            }
        }
    }

    fn committed(&mut self, outcome: Outcome, begun: Instant) {
        let now = Instant::now();
        self.failing = None;
        self.last_commit = Some(now);
        let is_along = outcome.along;
        let Batch { samples, jobs, delivery, lost } = mem::take(&mut self.held);
        let messages: usize = jobs.iter().map(|job| job.messages().len()).sum();
        let payload: usize = jobs.iter().flat_map(Job::messages).map(|message| message.payload.len()).sum();
        let readings = samples.iter().map(Vec::len).sum();
        let bulk: usize = samples.iter().map(|sample| bulk(sample)).sum();
        // The pictures are in the database: their memory is not needed any longer.
        drop(samples);
        let waiting = self.inbox.release(readings, bulk);
        let took = i64::try_from((now - begun).as_micros()).unwrap_or(i64::MAX);
        self.figures.rows.add(readings);
        self.figures.commits.add(1);
        self.figures.commit_max.set(self.figures.commit_max.get().max(took));
        self.figures.queue.set(waiting as i64);
        self.figures.lost.add(usize::try_from(lost).unwrap_or(usize::MAX));
        if lost > 0 {
            self.part.warn(format!("{lost} readings were lost while the disk did not keep up"));
        }
        if let Some(reason) = outcome.rejected.first() {
            self.figures.rejected.add(outcome.rejected.len());
            error!("log: {} samples cannot be stored and are dropped: {reason}", outcome.rejected.len());
        }

        // Whoever is told of the rows may ask for their delivery at once, so the answers come first.
        delivery.committed();
        for (job, answer) in jobs.into_iter().zip(outcome.answers) {
            self.answer(job, answer);
        }
        let last_row = self.store.ids.next_row - 1;
        self.committed.send_if_modified(|row| mem::replace(row, last_row) != last_row);

        self.sweeper.after_commit(readings + messages, payload, bulk, now);
        self.roller.after_commit(last_row, is_along, now);
        self.checkpointer.after_commit(&self.store.connection);
        if now >= self.sizes_at {
            self.measure(now);
        }
        self.say_ok();
    }

    /// An error on the way only says that the caller does not wait any more.
    fn answer(&mut self, job: Job, answer: Answer) {
        match (job, answer) {
            (Job::Register(_, reply), Answer::Registered(ids)) => drop(reply.try_send(Ok(ids))),
            (Job::Register(_, reply), Answer::Refused(reason)) => {
                drop(reply.try_send(Err(LogError::Refused(reason))));
            }
            (Job::Correct(_, reply), Answer::Corrected { more: false }) => {
                self.store.corrected();
                drop(reply.try_send(Ok(())));
            }
            // The next lot, after whatever has come in between.
            (Job::Correct(offset, reply), Answer::Corrected { more: true }) => {
                self.held.jobs.push(Job::Correct(offset, reply));
            }
            (Job::Correct(_, reply), Answer::Refused(reason)) => {
                drop(reply.try_send(Err(LogError::Refused(reason))));
            }
            (Job::Store(batch, _, reply), Answer::Stored(stored)) => {
                self.figures.messages.add(batch.messages.len() - stored.repeats);
                self.figures.repeats.add(stored.repeats);
                drop(reply.try_send(Ok(stored)));
            }
            (Job::Store(_, _, reply), Answer::Refused(reason)) => {
                drop(reply.try_send(Err(LogError::Refused(reason))));
            }
            (Job::Command(_, _, reply), Answer::Commanded(logged)) => drop(reply.try_send(Ok(logged))),
            (Job::Command(_, _, reply), Answer::Refused(reason)) => {
                drop(reply.try_send(Err(LogError::Refused(reason))));
            }
            #[cfg(test)]
            (Job::Run(_, reply), _) => drop(reply.try_send(Ok(()))),
            (job, answer) => error!("log: {answer:?} is no answer to {job:?}"),
        }
    }

    /// The disk did not take it: keep the readings and deliveries, tell those who wait and can try again.
    fn failed(&mut self, reason: &str) {
        let now = Instant::now();
        self.roller.put_off(now);
        let wait = self.failing.map_or(FIRST_RETRY, |failing| (failing.wait * 2).min(LAST_RETRY));
        self.failing = Some(Failing { wait, next: now + wait });
        self.part.set(State::Failed(reason.to_owned()));
        self.figures.queue.set(self.inbox.readings() as i64);
        let jobs = mem::take(&mut self.held.jobs);
        for job in jobs {
            let error = LogError::Disk(reason.to_owned());
            match job {
                Job::Register(_, reply) => drop(reply.try_send(Err(error))),
                Job::Correct(_, reply) => drop(reply.try_send(Err(error))),
                Job::Store(_, since, reply) if now - since >= PATIENCE => drop(reply.try_send(Err(error))),
                Job::Command(_, since, reply) if now - since >= PATIENCE => drop(reply.try_send(Err(error))),
                Job::Store(..) | Job::Command(..) => self.held.jobs.push(job),
                #[cfg(test)]
                Job::Run(..) => self.held.jobs.push(job),
            }
        }
    }

    /// Whether a disk that has failed takes anything again, when there is nothing left to be written: who wanted it has
    /// been told, or it was a chore.
    fn try_again(&mut self) {
        let touch = |connection: &Connection| connection.execute("UPDATE progress SET cursor = cursor", []);
        match self.store.chore(touch) {
            Ok(_) => {
                self.failing = None;
                self.say_ok();
            }
            Err(reason) => self.failed(&reason),
        }
    }

    /// What is not anybody's request: retention, and roll-ups that are far behind, in small steps. Not on a failing
    /// disk: deleting needs room in the WAL as well.
    fn chores(&mut self) {
        let due = |at: Option<Instant>| at.is_some_and(|due| due <= Instant::now());
        if self.failing.is_none() && due(self.sweeper.due()) {
            self.sweep();
        }
        if self.failing.is_none() && due(self.roller.due()) {
            self.roller.step(&mut self.store);
            self.checkpointer.after_commit(&self.store.connection);
        }
    }

    fn sweep(&mut self) {
        match self.sweeper.step(&mut self.store, (self.machine.now)()) {
            Ok(swept) => {
                self.figures.deleted.add(swept.deleted);
                self.figures.lost.add(swept.forced);
                self.forced += swept.forced;
                self.gaps_open |= swept.forced > 0;
                self.tell_of_forced(false);
                self.checkpointer.after_commit(&self.store.connection);
                if !swept.more {
                    self.checkpointer.wake();
                }
            }
            Err(reason) => self.failed(&reason),
        }
    }

    /// One line for many steps.
    fn tell_of_forced(&mut self, last: bool) {
        let now = Instant::now();
        if self.forced > 0 && (last || now >= self.forced_told) {
            self.part.warn(format!(
                "{} readings were deleted before they were delivered: log.retention.max_size is reached",
                self.forced
            ));
            self.forced = 0;
            self.forced_told = now + BETWEEN_GAPS;
        }
    }

    fn measure(&mut self, now: Instant) {
        let size = |suffix| std::fs::metadata(beside(&self.path, suffix)).map_or(0, |file| file.len() as i64);
        let wal = size("-wal");
        self.figures.wal.set(wal);
        self.figures.bytes.set(size("") + wal);
        self.sizes_at = now + BETWEEN_SIZES;
    }

    fn say_ok(&self) {
        self.part.set(self.notice.clone().map_or(State::Ok, State::Degraded));
    }

    /// The end: everything is committed or given up aloud, and the WAL is copied into the database.
    fn finish(mut self, mut done: Result<(), LogError>) -> Result<(), LogError> {
        // Clock corrections come in lots; and a disk that is only slow or held by somebody gets another chance.
        let deadline = Instant::now() + LAST_CHANCE;
        while !self.held.is_empty() && (done.is_ok() || Instant::now() < deadline) {
            if done.is_err() {
                std::thread::sleep(FIRST_RETRY);
            }
            done = self.commit(true);
        }
        if done.is_err() {
            let readings: usize = self.held.samples.iter().map(Vec::len).sum();
            if readings > 0 {
                error!("log: {readings} readings could not be written and are lost");
            }
        } else {
            self.checkpointer.last(&self.store.connection);
            self.measure(Instant::now());
        }
        self.tell_of_forced(true);
        self.part.set(State::Stopped);
        done
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // Also when the thread panics: nobody may wait for a writer that is gone.
        self.inbox.end();
        if std::thread::panicking() {
            let why = "internal error (panic): nothing is logged any more; restart the service, and please report this";
            self.part.set(State::Failed(why.to_owned()));
        }
    }
}
