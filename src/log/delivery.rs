//! How far delivery has come: changes folded together in memory, written as one, read back.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use rusqlite::{Connection, params};
use tokio::sync::oneshot;

use super::{DeliveryState, DeliveryUpdate, InFlight, RowRange, Stage, Urgency};
use crate::reading::Timestamp;

/// An update that is not urgent is written after this long, if nothing took it along before.
const LAZY: Duration = Duration::from_secs(1);

/// Updates not yet written, folded into one: a thousand acknowledgements cost one row.
#[derive(Debug, Default)]
pub(super) struct Pending {
    cursor: Option<i64>,
    late: Option<Vec<RowRange>>,
    forget_all: bool,
    /// By row: the newest stage, or `None` to forget it.
    in_flight: BTreeMap<i64, Option<InFlight>>,
    refused: BTreeMap<i64, String>,
    replies: Vec<oneshot::Sender<()>>,
    /// Length of `replies` at which those nobody waits for are dropped.
    prune_at: usize,
    urgent: bool,
    due: Option<Instant>,
}

impl Pending {
    /// Takes in one more update.
    pub fn fold(&mut self, update: DeliveryUpdate, urgency: Urgency, now: Instant) -> oneshot::Receiver<()> {
        let DeliveryUpdate { cursor, late, forget_all, in_flight, forget, refused } = update;
        if forget_all {
            self.forget_all = true;
            self.in_flight.clear();
        }
        self.cursor = cursor.or(self.cursor);
        if late.is_some() {
            self.late = late;
        }
        self.in_flight.extend(in_flight.into_iter().map(|entry| (entry.row, Some(entry))));
        self.in_flight.extend(forget.into_iter().map(|row| (row, None)));
        self.refused.extend(refused);
        self.urgent |= urgency == Urgency::Now;
        self.due.get_or_insert(now + LAZY);
        self.reply()
    }

    /// A later set of updates on top of this one, which could not be written yet.
    pub fn absorb(&mut self, later: Pending) {
        if later.forget_all {
            self.forget_all = true;
            self.in_flight.clear();
        }
        self.cursor = later.cursor.or(self.cursor);
        if later.late.is_some() {
            self.late = later.late;
        }
        self.in_flight.extend(later.in_flight);
        self.refused.extend(later.refused);
        self.replies.extend(later.replies);
        self.urgent |= later.urgent;
        self.due = self.due.or(later.due);
    }

    /// When this must be written at the latest; `None` when there is nothing.
    pub fn due(&self, now: Instant) -> Option<Instant> {
        if self.urgent { Some(now) } else { self.due }
    }

    /// Whether somebody waits for it.
    pub fn is_urgent(&self) -> bool {
        self.urgent
    }

    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.due.is_none()
    }

    /// Most callers drop their receiver at once; while the disk is full the senders must not pile up.
    fn reply(&mut self) -> oneshot::Receiver<()> {
        if self.replies.len() >= self.prune_at.max(64) {
            self.replies.retain(|reply| !reply.is_closed());
            self.prune_at = self.replies.len() * 2;
        }
        let (reply, receiver) = oneshot::channel();
        self.replies.push(reply);
        receiver
    }

    /// Writes it, inside the caller's transaction.
    pub fn write(&self, connection: &Connection, now: Timestamp) -> rusqlite::Result<()> {
        if let Some(cursor) = self.cursor {
            connection.prepare_cached("UPDATE progress SET cursor = ?1")?.execute([cursor])?;
        }
        if let Some(late) = &self.late {
            connection.prepare_cached("DELETE FROM late")?.execute([])?;
            let mut insert = connection.prepare_cached("INSERT INTO late (next, \"end\") VALUES (?1, ?2)")?;
            for range in late {
                insert.execute([range.next, range.end])?;
            }
        }
        if self.forget_all {
            connection.prepare_cached("DELETE FROM in_flight")?.execute([])?;
        }
        let mut keep = connection.prepare_cached(
            "INSERT INTO in_flight (row, packet_id, stage) VALUES (?1, ?2, ?3)
             ON CONFLICT (row) DO UPDATE SET packet_id = excluded.packet_id, stage = excluded.stage",
        )?;
        let mut forget = connection.prepare_cached("DELETE FROM in_flight WHERE row = ?1")?;
        for (row, entry) in &self.in_flight {
            match entry {
                Some(entry) => keep.execute(params![row, entry.packet_id, entry.stage as i64])?,
                None => forget.execute([row])?,
            };
        }
        let mut refuse = connection.prepare_cached(
            "INSERT INTO refusal (row, time, reason) VALUES (?1, ?2, ?3) ON CONFLICT (row) DO NOTHING",
        )?;
        for (row, reason) in &self.refused {
            refuse.execute(params![row, now.0, reason])?;
        }
        Ok(())
    }

    /// Tells everybody who still waits that it is durable.
    pub fn committed(self) {
        for reply in self.replies {
            // An error only says that the caller did not care to wait.
            reply.send(()).ok();
        }
    }
}

/// Delivery as it is stored.
pub(super) fn load(connection: &Connection) -> rusqlite::Result<DeliveryState> {
    let cursor = connection.query_row("SELECT cursor FROM progress", [], |row| row.get(0))?;
    let late = connection
        .prepare_cached("SELECT next, \"end\" FROM late ORDER BY next")?
        .query_map([], |row| Ok(RowRange { next: row.get(0)?, end: row.get(1)? }))?
        .collect::<rusqlite::Result<_>>()?;
    let in_flight = connection
        .prepare_cached("SELECT row, packet_id, stage FROM in_flight ORDER BY row")?
        .query_map([], |row| {
            let stage = match row.get::<_, i64>(2)? {
                0 => Stage::Sent,
                1 => Stage::Released,
                _ => Stage::Done,
            };
            Ok(InFlight { row: row.get(0)?, packet_id: row.get(1)?, stage })
        })?
        .collect::<rusqlite::Result<_>>()?;
    Ok(DeliveryState { cursor, late, in_flight })
}

/// What of the log still waits, by row; a copy of [`DeliveryState`] made for asking.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    /// Rows after it wait.
    pub cursor: i64,
    /// So do these.
    pub late: Vec<RowRange>,
    /// And these.
    pub in_flight: BTreeSet<i64>,
}

impl Waiting {
    /// As stored.
    pub fn load(connection: &Connection) -> rusqlite::Result<Self> {
        let DeliveryState { cursor, late, in_flight } = load(connection)?;
        let in_flight = in_flight.iter().filter(|entry| entry.stage != Stage::Done).map(|entry| entry.row);
        Ok(Self { cursor, late, in_flight: in_flight.collect() })
    }

    /// Whether a published row still waits for delivery.
    pub fn contains(&self, row: i64) -> bool {
        row > self.cursor
            || self.in_flight.contains(&row)
            || self.late.iter().any(|range| (range.next..=range.end).contains(&row))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::schema;

    fn entry(row: i64, packet_id: u16, stage: Stage) -> InFlight {
        InFlight { row, packet_id, stage }
    }

    /// What is folded together must come out as if each update had been written by itself.
    #[test]
    fn folding_is_the_same_as_writing_one_by_one() {
        let updates = [
            DeliveryUpdate {
                in_flight: vec![entry(5, 1, Stage::Sent), entry(6, 2, Stage::Sent)],
                ..Default::default()
            },
            DeliveryUpdate {
                in_flight: vec![entry(5, 1, Stage::Released)],
                cursor: Some(4),
                ..Default::default()
            },
            DeliveryUpdate { forget: vec![5], cursor: Some(5), ..Default::default() },
            DeliveryUpdate {
                forget_all: true,
                in_flight: vec![entry(7, 1, Stage::Sent)],
                ..Default::default()
            },
            DeliveryUpdate { late: Some(vec![RowRange { next: 1, end: 3 }]), ..Default::default() },
            DeliveryUpdate {
                refused: vec![(7, "not authorised".into())],
                forget: vec![7],
                ..Default::default()
            },
            DeliveryUpdate { in_flight: vec![entry(9, 3, Stage::Done)], ..Default::default() },
        ];
        let now = Instant::now();
        let mut by_one = Connection::open_in_memory().unwrap();
        schema::migrate(&mut by_one, 0, schema::STEPS).unwrap();
        for update in &updates {
            let mut pending = Pending::default();
            pending.fold(update.clone(), Urgency::Due, now);
            pending.write(&by_one, Timestamp(0)).unwrap();
        }
        // Every way to cut the list in two: `absorb` must agree with `fold`.
        for cut in 0..=updates.len() {
            let mut together = Connection::open_in_memory().unwrap();
            schema::migrate(&mut together, 0, schema::STEPS).unwrap();
            let (mut first, mut second) = (Pending::default(), Pending::default());
            for update in &updates[..cut] {
                first.fold(update.clone(), Urgency::Due, now);
            }
            for update in &updates[cut..] {
                second.fold(update.clone(), Urgency::Due, now);
            }
            first.absorb(second);
            first.write(&together, Timestamp(0)).unwrap();
            assert_eq!(load(&together).unwrap(), load(&by_one).unwrap(), "cut at {cut}");
        }
        assert_eq!(load(&by_one).unwrap().in_flight, [entry(9, 3, Stage::Done)]);
    }

    #[test]
    fn senders_nobody_waits_for_do_not_pile_up() {
        let mut pending = Pending::default();
        let now = Instant::now();
        for row in 0..10_000 {
            pending.fold(DeliveryUpdate { cursor: Some(row), ..Default::default() }, Urgency::Due, now);
        }
        assert!(pending.replies.len() <= 128, "{}", pending.replies.len());
    }

    #[test]
    fn urgent_is_due_now_and_lazy_within_a_second() {
        let now = Instant::now();
        let mut pending = Pending::default();
        assert_eq!(pending.due(now), None);
        pending.fold(DeliveryUpdate::default(), Urgency::Due, now);
        pending.fold(DeliveryUpdate::default(), Urgency::Due, now + Duration::from_millis(900));
        assert_eq!(pending.due(now), Some(now + LAZY));
        pending.fold(DeliveryUpdate::default(), Urgency::Now, now);
        assert_eq!(pending.due(now), Some(now));
    }
}
