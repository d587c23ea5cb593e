//! The order in which readings go out: the live lane after the cursor, and the late lane beside it or
//! before it. Pure but for reading from the [`Outbox`](super::outbox::Outbox); time is an argument.
//!
//! A lane hands out messages in order and notes which are done. Only when everything up to the end of a
//! sample is done does its progress move: that is what the cursor in the log says. Which message may go out now is
//! decided in `ready`.
//!
//! With a rate, messages wait in line for their turns, and older ones give way to newer ones that say the same anew: each
//! topic gets its turn with the newest there is, and however much is read, no more waits than there are things to say.

mod lane;
mod ready;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use self::lane::Lane;
use super::bucket::Bucket;
use super::message::Message;
use crate::config::{Backlog, ClockPolicy};
use crate::log::{DeliveryState, RowRange, Stage};

/// Which lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LaneId {
    /// Readings after the cursor.
    Live,
    /// Older ranges of rows, marked `late`.
    Late,
}

/// A message's place in its lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ticket {
    /// Its lane.
    pub lane: LaneId,
    /// Its number in the lane's order.
    pub seq: u64,
    /// Its row.
    pub row: i64,
}

/// What moved in [`Lanes::advance`].
#[derive(Debug, Default, PartialEq)]
pub(super) struct Progress {
    /// The new cursor.
    pub cursor: Option<i64>,
    /// The new late ranges.
    pub late: Option<Vec<RowRange>>,
    /// Rows whose hand-shake need not be remembered any more.
    pub forget: Vec<i64>,
}

/// Both lanes.
#[derive(Debug)]
pub(super) struct Lanes {
    live: Lane,
    late: Lane,
    ranges: Vec<RowRange>,
    /// Rows done out of order, still to be passed; true for QoS 2, which the log remembers.
    done: BTreeMap<i64, bool>,
    /// The cursor as it was last told.
    told: i64,
    live_first: bool,
    bucket: Bucket,
    /// Messages that may go out in all.
    rate: Option<Bucket>,
    /// The rate let nothing out when last asked.
    short: bool,
    /// Finished hand-shakes passed, and not told yet.
    forget: Vec<i64>,
    hold: Option<Duration>,
    /// QoS 0 readings up to this row were taken while there was no connection.
    boundary: i64,
    discarded: usize,
    thinned: usize,
    /// The late lane rests: the daemon is about to leave and live readings come first.
    resting: bool,
}

impl Lanes {
    /// From what the log knows; `rate` is that of all messages, a second.
    pub(super) fn new(
        state: &DeliveryState,
        backlog: &Backlog,
        rate: Option<f64>,
        policy: ClockPolicy,
        now: Instant,
    ) -> Self {
        let (live_first, late_rate) = match backlog {
            Backlog::InOrder => (false, u32::MAX),
            Backlog::LiveFirst { rate } => (true, *rate),
        };
        let done = state.in_flight.iter().filter(|one| one.stage == Stage::Done);
        let mut lanes = Self {
            live: Lane { passed: state.cursor, ..Lane::default() },
            late: Lane::default(),
            ranges: state.late.clone(),
            done: done.map(|one| (one.row, true)).collect(),
            told: state.cursor,
            live_first,
            bucket: Bucket::new(f64::from(late_rate), now),
            rate: rate.map(|rate| Bucket::new(rate, now)),
            short: false,
            forget: Vec::new(),
            hold: match policy {
                ClockPolicy::Mark => None,
                ClockPolicy::Hold(max) => Some(max),
            },
            boundary: 0,
            discarded: 0,
            thinned: 0,
            resting: false,
        };
        lanes.restart();
        lanes
    }

    /// Goes back to what is not done: for a new connection.
    pub(super) fn restart(&mut self) {
        for lane in [&self.live, &self.late] {
            self.done.extend(
                lane.open.iter().filter(|entry| entry.done).map(|entry| (entry.row, entry.handshake)),
            );
        }
        self.live.rewind(self.live.passed);
        self.late.rewind(0);
        self.late.passed = 0;
        // What a row waits for may be gone: retention deletes under pressure.
        let (cursor, ranges) = (self.live.passed, &self.ranges);
        self.done.retain(|row, _| {
            *row > cursor || ranges.iter().any(|range| (range.next..=range.end).contains(row))
        });
    }

    /// Rows up to `boundary` were taken without a connection.
    pub(super) fn set_boundary(&mut self, boundary: i64) {
        self.boundary = boundary;
    }

    /// Makes what waits up to `boundary` late, so that the live lane begins after it. Answers whether
    /// there was anything. Only right after [`Lanes::restart`].
    pub(super) fn split(&mut self, boundary: i64) -> bool {
        let next = self.live.passed + 1;
        if !self.live_first || boundary < next {
            return false;
        }
        match self.ranges.last_mut() {
            Some(last) if last.end + 1 == next => last.end = boundary,
            _ => self.ranges.push(RowRange { next, end: boundary }),
        }
        self.live.passed = boundary;
        self.told = boundary;
        self.live.rewind(boundary);
        true
    }

    /// The cursor.
    pub(super) fn cursor(&self) -> i64 {
        self.live.passed
    }

    /// The late ranges.
    pub(super) fn ranges(&self) -> &[RowRange] {
        &self.ranges
    }

    /// Rows that wait up to `committed`, both lanes; those that are not published among them.
    pub(super) fn backlog(&self, committed: i64) -> (i64, i64) {
        let late: i64 = self.ranges.iter().map(|range| range.end - range.next + 1).sum();
        ((committed - self.live.passed).max(0) + late, late)
    }

    /// Which lane a row stands in.
    pub(super) fn lane_of(&self, row: i64) -> LaneId {
        if row > self.live.passed { LaneId::Live } else { LaneId::Late }
    }

    /// From now on the late lane rests.
    pub(super) fn rest(&mut self) {
        self.resting = self.live_first;
    }

    /// A row was done outside its lane: a resumed hand-shake, or one given up.
    pub(super) fn done_before(&mut self, row: i64, handshake: bool) {
        self.done.insert(row, handshake);
    }

    /// Rows done out of order whose hand-shakes the log must remember.
    pub(super) fn done_handshakes(&self) -> impl Iterator<Item = i64> {
        self.done.iter().filter(|(_, handshake)| **handshake).map(|(row, _)| *row)
    }

    /// QoS 0 readings given up since the last call.
    pub(super) fn take_discarded(&mut self) -> usize {
        std::mem::take(&mut self.discarded)
    }

    /// Messages that gave way to newer ones since the last call.
    pub(super) fn take_thinned(&mut self) -> usize {
        std::mem::take(&mut self.thinned)
    }

    /// Takes the next message of a lane; `handshake` if it goes out at QoS 2.
    pub(super) fn take(&mut self, lane: LaneId, handshake: bool) -> Option<(Message, Ticket)> {
        if lane == LaneId::Late && self.live_first {
            self.bucket.take();
        }
        if let Some(rate) = &mut self.rate {
            rate.take();
            let (message, seq) = self.lane(lane).turn(handshake)?;
            let row = message.row();
            return Some((message, Ticket { lane, seq, row }));
        }
        let of = self.lane(lane);
        let message = of.queue.pop_front()?;
        let seq = of.open(&message, false, handshake);
        let row = message.row();
        Some((message, Ticket { lane, seq, row }))
    }

    /// This message needs no more attention.
    pub(super) fn done(&mut self, ticket: Ticket) {
        self.lane(ticket.lane).done(ticket.seq);
    }

    /// Moves on over what is done. `None` when nothing moved.
    pub(super) fn advance(&mut self) -> Option<Progress> {
        let forget = std::mem::take(&mut self.forget);
        let mut progress = Progress { forget, ..Progress::default() };
        self.live.advance(&mut progress.forget);
        self.late.advance(&mut progress.forget);
        if self.live.passed != self.told {
            self.told = self.live.passed;
            progress.cursor = Some(self.told);
        }
        progress.late = self.trim_ranges();
        (progress != Progress::default()).then_some(progress)
    }

    fn trim_ranges(&mut self) -> Option<Vec<RowRange>> {
        let passed = self.late.passed;
        let first = self.ranges.first_mut()?;
        if first.next > passed {
            return None;
        }
        self.ranges.retain(|range| range.end > passed);
        if let Some(first) = self.ranges.first_mut() {
            first.next = first.next.max(passed + 1);
        }
        Some(self.ranges.clone())
    }

    /// Whether everything up to `committed` that may go out now has gone out and is done.
    pub(super) fn is_drained(&self, committed: i64) -> bool {
        if self.short {
            // What the rate holds back stays in the log for the next start: a turn each could take minutes.
            return self.live.under_way() + self.late.under_way() == 0;
        }
        let late = self.ranges.is_empty() || self.resting || self.late.held.is_some();
        let live = self.live.position >= committed && self.live.queue.is_empty() || self.live.held.is_some();
        late && live && self.live.open.is_empty() && self.late.open.is_empty()
    }

    /// When to look again though nothing happens: a reading held for the clock, a token for the late lane, or the next
    /// turn.
    pub(super) fn wake(&self, now: Instant) -> Option<Instant> {
        let waits = self.live_first && !self.ranges.is_empty() && !self.resting;
        // With a token at hand it is not the rate that is waited for.
        let token = (waits && self.late.held.is_none()).then(|| self.bucket.next(now)).flatten();
        let turn = self.rate.as_ref().filter(|_| self.short).and_then(|rate| rate.next(now));
        // What is held could not go out before its turn either.
        turn.or_else(|| [self.live.held, self.late.held, token].into_iter().flatten().min())
    }

    fn lane(&mut self, lane: LaneId) -> &mut Lane {
        match lane {
            LaneId::Live => &mut self.live,
            LaneId::Late => &mut self.late,
        }
    }
}
