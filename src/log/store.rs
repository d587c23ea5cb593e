//! One transaction: everything that the writer holds goes in together, or nothing does.
//! Knows no threads, no schedule and no retries.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use rusqlite::{Connection, params};

use super::error::{Fault, classify, is_corrupt};
use super::inbox::{Batch, Job};
use super::mirror::{self, StoreError};
use super::open::note_damage;
use super::stretch::Stretch;
use super::{CommandLogged, Stored};
use super::{channel, command, gap, picture};
use crate::reading::{ChannelId, Clock, Moment, Reading, Value};

/// `reading.flags`: the time is what an unsynchronised clock said.
pub(super) const UNSYNCED: i64 = 1;
/// `reading.flags`: belongs to the same sample as the row before.
pub(super) const CONTINUES: i64 = 2;
/// `reading.flags`: was unsynchronised; the time has been put right.
pub(super) const CORRECTED: i64 = 4;

/// The next row ids. We give them out ourselves: SQLite would reuse those of deleted last rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ids {
    pub next_row: i64,
    pub next_message: i64,
}

/// The write connection and what is known of the database.
#[derive(Debug)]
pub(super) struct Store {
    pub connection: Connection,
    pub ids: Ids,
    known: mirror::Known,
    stretch: Stretch,
    boot_first_row: i64,
    /// Row id of the gap channel; 0 until it is known.
    gap_channel: Arc<AtomicI64>,
    /// That the database is damaged is left as word for the next start.
    damage_noted: bool,
    /// There are readings to be corrected that have come since the last correction.
    unsynced: Arc<AtomicBool>,
}

/// What became of a [`Batch`].
#[derive(Debug, Default)]
pub(super) struct Outcome {
    /// One per job, in their order.
    pub answers: Vec<Answer>,
    /// Why samples were thrown away.
    pub rejected: Vec<String>,
    /// Gap records written: readings they stand for.
    pub reported: i64,
    /// What was to go along is committed, too.
    pub along: bool,
}

/// The answer to one job.
#[derive(Debug)]
pub(super) enum Answer {
    Registered(Vec<ChannelId>),
    Corrected { more: bool },
    Stored(Stored),
    Commanded(Vec<CommandLogged>),
    Refused(String),
}

/// Something of the writer's own that goes along with a commit.
pub(super) type Along<'a> = &'a mut dyn FnMut(&Connection) -> rusqlite::Result<()>;

/// Why a transaction was rolled back.
#[derive(Debug)]
enum Abort {
    Sqlite(rusqlite::Error),
    Refused(String),
}

impl From<rusqlite::Error> for Abort {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl From<StoreError> for Abort {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Sqlite(error) => Self::Sqlite(error),
            StoreError::Table(reason) => Self::Refused(reason),
        }
    }
}

impl Abort {
    fn fault(self) -> Fault {
        match self {
            Self::Sqlite(error) => classify(&error),
            Self::Refused(reason) => Fault::Request(reason),
        }
    }
}

impl Store {
    pub fn new(connection: Connection, ids: Ids, boot_first_row: i64, gap_channel: Arc<AtomicI64>) -> Self {
        Self {
            connection,
            ids,
            known: mirror::Known::default(),
            stretch: Stretch::default(),
            boot_first_row,
            gap_channel,
            damage_noted: false,
            unsynced: Arc::default(),
        }
    }

    /// Whether there are readings to be corrected; shared.
    pub fn unsynced(&self) -> Arc<AtomicBool> {
        self.unsynced.clone()
    }

    /// Whether it is known where to tell of lost readings.
    pub fn knows_gap_channel(&self) -> bool {
        self.gap_channel.load(Ordering::Relaxed) != 0
    }

    /// Commits a batch. On an error nothing of it is in the database and it may be tried again. What goes `along` is
    /// the writer's own, in the same transaction: it costs no fsync, and when it fails the batch is committed without.
    ///
    /// First without savepoints, which cost a copy of each page touched; only when a request turns out to
    /// be wrong by itself again with one around each, so that it alone is thrown out.
    pub fn commit(
        &mut self,
        batch: &Batch,
        report: bool,
        now: Moment,
        along: Option<Along<'_>>,
    ) -> Result<Outcome, String> {
        #[cfg(test)]
        for job in &batch.jobs {
            if let Job::Run(run, _) = job {
                run(&self.connection);
            }
        }
        if along.is_some()
            && let Ok(outcome) = self.attempt(batch, report, now, false, along)
        {
            return Ok(outcome);
        }
        match self.attempt(batch, report, now, false, None) {
            Ok(outcome) => return Ok(outcome),
            Err(Fault::Disk(reason)) => return Err(reason),
            Err(Fault::Request(_)) => {}
        }
        self.attempt(batch, report, now, true, None).map_err(|fault| match fault {
            Fault::Disk(reason) | Fault::Request(reason) => reason,
        })
    }

    fn attempt(
        &mut self,
        batch: &Batch,
        report: bool,
        now: Moment,
        careful: bool,
        along: Option<Along<'_>>,
    ) -> Result<Outcome, Fault> {
        let before = self.ids;
        let outcome = self.write(batch, report, now, careful, along);
        outcome.map_err(|abort| {
            self.ids = before;
            self.forget();
            self.roll_back();
            if let Abort::Sqlite(error) = &abort {
                self.note_damage(error);
            }
            abort.fault()
        })
    }

    /// What a commit comes to, an open need not: without a word from here the next start would go on with the file.
    fn note_damage(&mut self, error: &rusqlite::Error) {
        if self.damage_noted || !is_corrupt(error) {
            return;
        }
        let Some(path) = self.connection.path() else { return };
        match note_damage(Path::new(path)) {
            Ok(()) => self.damage_noted = true,
            Err(error) => tracing::warn!("{path}: that it is damaged cannot be noted: {error}"),
        }
    }

    /// What was learnt from rows that are not there after all.
    fn forget(&mut self) {
        self.known = mirror::Known::default();
        self.stretch = Stretch::default();
    }

    /// SQLite has often rolled back by itself after an I/O error; asking again would be an error.
    fn roll_back(&self) {
        if !self.connection.is_autocommit()
            && let Err(error) = self.connection.execute_batch("ROLLBACK")
        {
            tracing::warn!("log: rolling back: {error}");
        }
    }

    fn write(
        &mut self,
        batch: &Batch,
        report: bool,
        now: Moment,
        careful: bool,
        along: Option<Along<'_>>,
    ) -> Result<Outcome, Abort> {
        let mut outcome = Outcome::default();
        self.connection.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        for sample in &batch.samples {
            if let Err(reason) = self.guarded(careful, |store| Ok(store.insert(sample)?))? {
                outcome.rejected.push(reason);
            }
        }
        if !batch.delivery.is_empty() {
            batch.delivery.write(&self.connection, now.wall)?;
        }
        for job in &batch.jobs {
            let answer = self.guarded(careful, |store| store.do_job(job, now))?;
            outcome.answers.push(answer.unwrap_or_else(Answer::Refused));
        }
        if batch.lost > 0 {
            gap::record_busy(&self.connection, batch.lost, now.wall)?;
        }
        if report {
            outcome.reported = self.report_gaps(now)?;
        }
        if let Some(along) = along {
            along(&self.connection)?;
            outcome.along = true;
        }
        self.connection.prepare_cached("COMMIT")?.execute([])?;
        Ok(outcome)
    }

    /// Runs one request's part. When careful, a request that is wrong by itself leaves no trace.
    fn guarded<T>(
        &mut self,
        careful: bool,
        part: impl FnOnce(&mut Self) -> Result<T, Abort>,
    ) -> Result<Result<T, String>, Abort> {
        if !careful {
            return part(self).map(Ok);
        }
        let before = self.ids;
        self.connection.execute_batch("SAVEPOINT request")?;
        let abort = match part(self) {
            Ok(done) => {
                self.connection.execute_batch("RELEASE request")?;
                return Ok(Ok(done));
            }
            Err(abort) => abort,
        };
        let reason = match abort {
            Abort::Sqlite(error) => match classify(&error) {
                Fault::Disk(_) => return Err(Abort::Sqlite(error)),
                Fault::Request(reason) => reason,
            },
            Abort::Refused(reason) => reason,
        };
        self.connection.execute_batch("ROLLBACK TO request; RELEASE request")?;
        self.ids = before;
        self.forget();
        Ok(Err(reason))
    }

    /// The readings of one sample, in consecutive rows.
    fn insert(&mut self, sample: &[Reading]) -> rusqlite::Result<()> {
        let mut insert = self.connection.prepare_cached(
            "INSERT INTO reading (id, channel, time, value, flags) VALUES (?1, ?2, ?3, ?4, ?5)",
        )?;
        for (place, reading) in sample.iter().enumerate() {
            let unsynced = reading.at.clock == Clock::Unsynced;
            let corrected = if reading.at.clock == Clock::Corrected { CORRECTED } else { 0 };
            let continues = if place > 0 { CONTINUES } else { 0 };
            let flags = continues | corrected | if unsynced { UNSYNCED } else { 0 };
            let (row, channel, time) = (self.ids.next_row, reading.channel.0, reading.at.wall.0);
            match &reading.value {
                Value::Float(number) => insert.execute(params![row, channel, time, number, flags])?,
                Value::Integer(number) => insert.execute(params![row, channel, time, number, flags])?,
                Value::Bool(state) => insert.execute(params![row, channel, time, state, flags])?,
                Value::Text(text) => insert.execute(params![row, channel, time, &**text, flags])?,
                Value::Image(image) => {
                    insert.execute(params![row, channel, time, image.bytes.len() as i64, flags])?;
                    picture::insert(&self.connection, row, image)?;
                    1
                }
            };
            if unsynced {
                self.stretch.note(&self.connection, row, reading.at)?;
                self.unsynced.store(true, Ordering::Relaxed);
            }
            self.ids.next_row += 1;
        }
        Ok(())
    }

    fn do_job(&mut self, job: &Job, now: Moment) -> Result<Answer, Abort> {
        match job {
            Job::Register(channels, _) => {
                let ids = channels.iter().map(|channel| channel::register(&self.connection, channel));
                Ok(Answer::Registered(ids.collect::<rusqlite::Result<_>>()?))
            }
            Job::Correct(offset, _) => {
                let more = self.stretch.correct(&self.connection, self.boot_first_row, *offset)?;
                Ok(Answer::Corrected { more })
            }
            Job::Store(batch, ..) => {
                let mut next = self.ids.next_message;
                let stored = mirror::store(&self.connection, &mut self.known, &mut next, batch)?;
                self.ids.next_message = next;
                Ok(Answer::Stored(stored))
            }
            Job::Command(steps, ..) => {
                Ok(Answer::Commanded(command::write(&self.connection, steps, now.wall)?))
            }
            #[cfg(test)]
            Job::Run(..) => Ok(Answer::Corrected { more: false }),
        }
    }

    /// Turns gap records that nobody was told of into readings of the gap channel.
    fn report_gaps(&mut self, now: Moment) -> rusqlite::Result<i64> {
        let channel = self.gap_channel.load(Ordering::Relaxed);
        if channel == 0 {
            return Ok(0);
        }
        let lost = gap::unreported(&self.connection)?;
        for count in &lost {
            let reading = Reading { channel: ChannelId(channel), at: now, value: Value::Integer(*count) };
            self.insert(&[reading])?;
        }
        if !lost.is_empty() {
            gap::mark_reported(&self.connection)?;
        }
        Ok(lost.iter().sum())
    }

    /// A correction is committed, and with it everything that came before.
    pub fn corrected(&self) {
        self.unsynced.store(false, Ordering::Relaxed);
    }

    /// Runs the writer's own chore in a transaction; `Err` when nothing of it happened.
    pub fn chore<T>(&mut self, chore: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, String> {
        let run = |connection: &Connection| {
            connection.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
            let done = chore(connection)?;
            connection.prepare_cached("COMMIT")?.execute([])?;
            Ok(done)
        };
        run(&self.connection).map_err(|error: rusqlite::Error| {
            self.roll_back();
            self.note_damage(&error);
            match classify(&error) {
                Fault::Disk(reason) | Fault::Request(reason) => reason,
            }
        })
    }
}
