//! Gathers changes of delivery progress and says when to save them. Pure; the caller does the saving.
//!
//! One urgent save is under way at a time and everything since goes into the next: that paces the commits by
//! what the disk does, however fast acknowledgements come.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use super::lanes::Progress;
use crate::log::{DeliveryUpdate, InFlight, RowRange, Stage, Urgency};

/// Acknowledgements not saved are repeated after a `kill -9`, so during a drain they are saved this often.
const PERIOD: Duration = Duration::from_millis(50);

/// From this many acknowledgements on a save does not wait for a commit that is due anyway.
const MANY: usize = 50;

/// Changes on their way to the log.
#[derive(Debug, Default)]
pub(super) struct Saver {
    pending: Pending,
    /// Given to the log and not confirmed; goes back to `pending` when the log could not store it.
    under_way: Option<Pending>,
    urgent: bool,
    /// A cursor and late ranges that went with `Urgency::Due` and may not be on disk yet.
    lazy: (Option<i64>, Option<Vec<RowRange>>),
    acknowledged: usize,
    last: Option<Instant>,
}

#[derive(Debug, Default)]
struct Pending {
    cursor: Option<i64>,
    late: Option<Vec<RowRange>>,
    forget_all: bool,
    in_flight: BTreeMap<i64, InFlight>,
    forget: BTreeSet<i64>,
    refused: Vec<(i64, String)>,
}

impl Pending {
    fn is_empty(&self) -> bool {
        self.cursor.is_none()
            && self.late.is_none()
            && !self.forget_all
            && self.in_flight.is_empty()
            && self.forget.is_empty()
            && self.refused.is_empty()
    }

    fn update(&self) -> DeliveryUpdate {
        DeliveryUpdate {
            cursor: self.cursor,
            late: self.late.clone(),
            forget_all: self.forget_all,
            in_flight: self.in_flight.values().copied().collect(),
            forget: self.forget.iter().copied().collect(),
            refused: self.refused.clone(),
        }
    }

    /// Puts `self`, which is older, under what came since.
    fn under(mut self, newer: Pending) -> Pending {
        if newer.forget_all {
            self.in_flight.clear();
            self.forget.clear();
        }
        for row in newer.forget {
            self.in_flight.remove(&row);
            self.forget.insert(row);
        }
        for (row, one) in newer.in_flight {
            self.forget.remove(&row);
            self.in_flight.insert(row, one);
        }
        self.refused.extend(newer.refused);
        Pending {
            cursor: newer.cursor.or(self.cursor),
            late: newer.late.or(self.late),
            forget_all: newer.forget_all || self.forget_all,
            ..self
        }
    }
}

impl Saver {
    /// The lanes have moved over `acknowledged` messages since.
    pub(super) fn progress(&mut self, progress: Progress) {
        self.pending.cursor = progress.cursor.or(self.pending.cursor);
        self.pending.late = progress.late.or(self.pending.late.take());
        for row in progress.forget {
            self.pending.in_flight.remove(&row);
            self.pending.forget.insert(row);
        }
    }

    /// A message was acknowledged.
    pub(super) fn acknowledged(&mut self) {
        self.acknowledged += 1;
    }

    /// A QoS 2 hand-shake has begun or come further.
    pub(super) fn handshake(&mut self, row: i64, packet_id: u16, stage: Stage) {
        self.pending.forget.remove(&row);
        self.pending.in_flight.insert(row, InFlight { row, packet_id, stage });
        self.urgent = true;
    }

    /// This row's hand-shake is not to be resumed.
    pub(super) fn forget(&mut self, row: i64) {
        self.pending.in_flight.remove(&row);
        self.pending.forget.insert(row);
        self.urgent = true;
    }

    /// The broker has forgotten all hand-shakes; those in `done` are finished and stay so.
    pub(super) fn forget_all(&mut self, done: impl Iterator<Item = i64>) {
        self.pending.forget_all = true;
        self.pending.in_flight.clear();
        self.pending.forget.clear();
        for row in done {
            self.handshake(row, 0, Stage::Done);
        }
        self.urgent = true;
    }

    /// The live lane has jumped: both must be on disk before anything after the jump is sent.
    pub(super) fn split(&mut self, cursor: i64, late: &[RowRange]) {
        self.pending.cursor = Some(cursor);
        self.pending.late = Some(late.to_vec());
        self.urgent = true;
    }

    /// A message was refused for good.
    pub(super) fn refused(&mut self, row: i64, reason: String) {
        self.pending.refused.push((row, reason));
        self.urgent = true;
    }

    /// Whether anything is not on its way to the disk.
    pub(super) fn is_dirty(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Whether a save must be confirmed before the next urgent one.
    pub(super) fn is_under_way(&self) -> bool {
        self.under_way.is_some()
    }

    /// What was left to the next commit becomes pending again: for somebody who is about to leave.
    pub(super) fn insist(&mut self) {
        let (cursor, late) = std::mem::take(&mut self.lazy);
        self.pending.cursor = self.pending.cursor.or(cursor);
        self.pending.late = self.pending.late.take().or(late);
    }

    /// How to save what is pending, if it is time.
    pub(super) fn due(&self, now: Instant) -> Option<Urgency> {
        if self.pending.is_empty() || self.under_way.is_some() {
            return None;
        }
        if self.urgent {
            return Some(Urgency::Now);
        }
        if self.last.is_some_and(|last| now < last + PERIOD) {
            return None;
        }
        Some(if self.acknowledged >= MANY { Urgency::Now } else { Urgency::Due })
    }

    /// When [`Saver::due`] is to be asked again.
    pub(super) fn wake(&self) -> Option<Instant> {
        let waits = !self.pending.is_empty() && self.under_way.is_none() && !self.urgent;
        if waits { self.last.map(|last| last + PERIOD) } else { None }
    }

    /// What to save. With `Urgency::Now`, [`Saver::confirmed`] or [`Saver::failed`] must follow.
    pub(super) fn take(&mut self, urgency: Urgency, now: Instant) -> DeliveryUpdate {
        let pending = std::mem::take(&mut self.pending);
        let update = pending.update();
        if urgency == Urgency::Now {
            self.under_way = Some(pending);
            self.acknowledged = 0;
            self.urgent = false;
            self.lazy = (None, None);
        } else {
            self.lazy = (update.cursor.or(self.lazy.0), update.late.clone().or(self.lazy.1.take()));
        }
        self.last = Some(now);
        update
    }

    /// The urgent save is durable.
    pub(super) fn confirmed(&mut self) {
        self.under_way = None;
    }

    /// The urgent save failed: it is pending again, under what came since.
    pub(super) fn failed(&mut self) {
        if let Some(older) = self.under_way.take() {
            let newer = std::mem::take(&mut self.pending);
            self.pending = older.under(newer);
            self.urgent = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moved(cursor: i64) -> Progress {
        Progress { cursor: Some(cursor), ..Progress::default() }
    }

    #[test]
    fn few_acknowledgements_go_with_the_next_commit_many_do_not_wait() {
        let start = Instant::now();
        let mut saver = Saver::default();
        assert_eq!(saver.due(start), None);
        saver.acknowledged();
        saver.progress(moved(1));
        assert_eq!(saver.due(start), Some(Urgency::Due));
        assert_eq!(saver.take(Urgency::Due, start).cursor, Some(1));
        for cursor in 2..=60 {
            saver.acknowledged();
            saver.progress(moved(cursor));
        }
        assert_eq!(saver.due(start), None, "not again so soon");
        assert_eq!(saver.wake(), Some(start + PERIOD));
        assert_eq!(saver.due(start + PERIOD), Some(Urgency::Now));
        assert_eq!(saver.take(Urgency::Now, start + PERIOD).cursor, Some(60));
    }

    #[test]
    fn hand_shakes_do_not_wait_but_for_the_save_before() {
        let now = Instant::now();
        let mut saver = Saver::default();
        saver.handshake(7, 1, Stage::Sent);
        assert_eq!(saver.due(now), Some(Urgency::Now));
        saver.take(Urgency::Now, now);
        saver.handshake(7, 1, Stage::Released);
        saver.handshake(7, 1, Stage::Done);
        assert_eq!(saver.due(now), None);
        saver.confirmed();
        assert_eq!(saver.due(now), Some(Urgency::Now));
        let update = saver.take(Urgency::Now, now);
        assert_eq!(update.in_flight, [InFlight { row: 7, packet_id: 1, stage: Stage::Done }]);
    }

    #[test]
    fn what_the_log_could_not_store_is_tried_again() {
        let now = Instant::now();
        let mut saver = Saver::default();
        saver.handshake(1, 1, Stage::Sent);
        saver.handshake(2, 2, Stage::Sent);
        saver.refused(9, "no".to_owned());
        saver.take(Urgency::Now, now);
        saver.progress(Progress { cursor: Some(1), late: None, forget: vec![1] });
        saver.handshake(2, 2, Stage::Released);
        saver.failed();
        let update = saver.take(Urgency::Now, now);
        assert_eq!(update.cursor, Some(1));
        assert_eq!(update.forget, [1]);
        assert_eq!(update.in_flight, [InFlight { row: 2, packet_id: 2, stage: Stage::Released }]);
        assert_eq!(update.refused.len(), 1);
    }

    #[test]
    fn forgetting_all_keeps_what_is_finished() {
        let mut saver = Saver::default();
        saver.handshake(1, 1, Stage::Sent);
        saver.forget_all([5].into_iter());
        let update = saver.take(Urgency::Now, Instant::now());
        assert!(update.forget_all);
        assert_eq!(update.in_flight, [InFlight { row: 5, packet_id: 0, stage: Stage::Done }]);
    }
}
