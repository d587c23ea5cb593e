//! The order in which readings go out: the live lane after the cursor, and the late lane beside it or
//! before it. Pure but for reading from the [`Outbox`]; time is an argument.
//!
//! A lane hands out messages in order and notes which are done. Only when everything up to the end of a
//! sample is done does its progress move: that is what the cursor in the log says.
//!
//! With a rate, messages wait in line for their turns, and older ones give way to newer ones that say the same anew: each
//! topic gets its turn with the newest there is, and however much is read, no more waits than there are things to say.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::bucket::Bucket;
use super::lane::Lane;
use super::message::{Message, cut};
use super::outbox::Outbox;
use crate::config::{Backlog, ClockPolicy};
use crate::log::{DeliveryState, LogError, RowRange, Stage};
use crate::reading::Qos;

/// Rows read from the log at once: enough that the query does not show in a drain, few enough that it takes
/// a millisecond or two.
const PREFETCH: usize = 500;

/// How often a reading held back for the clock is looked at again.
const HOLD_CHECK: Duration = Duration::from_secs(1);

/// Messages handed out whose place in the order is still open, per lane. Reached when one message stays
/// unacknowledged while others overtake it.
const OPEN: usize = 4096;

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

    /// The lane whose next message may go out now; [`Lanes::head`] then shows it. `since_boot` in µs.
    pub(super) fn ready(
        &mut self,
        outbox: &mut impl Outbox,
        committed: i64,
        now: Instant,
        since_boot: i64,
    ) -> Result<Option<LaneId>, LogError> {
        if let Some(rate) = &mut self.rate {
            self.short = !rate.has_token(now);
            if self.short {
                return Ok(None);
            }
        }
        if !self.live_first && !self.ranges.is_empty() {
            // Left over from when it was `live-first`: older than everything else, so first.
            let ready = self.prepare(LaneId::Late, outbox, committed, now, since_boot)?;
            return Ok(ready.then_some(LaneId::Late));
        }
        let token = self.bucket.has_token(now);
        if self.prepare(LaneId::Live, outbox, committed, now, since_boot)? {
            return Ok(Some(LaneId::Live));
        }
        let may = !self.ranges.is_empty() && !self.resting && token;
        let ready = may && self.prepare(LaneId::Late, outbox, committed, now, since_boot)?;
        Ok(ready.then_some(LaneId::Late))
    }

    /// The next message of a lane that is ready.
    pub(super) fn head(&self, lane: LaneId) -> Option<&Message> {
        let lane = match lane {
            LaneId::Live => &self.live,
            LaneId::Late => &self.late,
        };
        match self.rate {
            None => lane.queue.front(),
            Some(_) => lane.waiting.front().map(|(message, _)| message),
        }
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

    /// Whether the lane has a message that may go out. With a rate, everything that is there is looked at first.
    fn prepare(
        &mut self,
        id: LaneId,
        outbox: &mut impl Outbox,
        committed: i64,
        now: Instant,
        since_boot: i64,
    ) -> Result<bool, LogError> {
        if self.rate.is_none() {
            return self.bring(id, outbox, committed, now, since_boot);
        }
        while self.bring(id, outbox, committed, now, since_boot)? {
            self.thinned += self.lane(id).admit();
            if self.lane(id).open.len() >= OPEN {
                // Whatever gave way at the front makes room to read on.
                self.live.advance(&mut self.forget);
                self.late.advance(&mut self.forget);
            }
        }
        Ok(!self.lane(id).waiting.is_empty())
    }

    /// Brings a message to the front of the lane that is neither done already, nor given up, nor held.
    fn bring(
        &mut self,
        id: LaneId,
        outbox: &mut impl Outbox,
        committed: i64,
        now: Instant,
        since_boot: i64,
    ) -> Result<bool, LogError> {
        let (hold, boundary) = (self.hold, self.boundary);
        if self.lane(id).held.is_some_and(|until| until > now) || self.lane(id).open.len() >= OPEN {
            return Ok(false);
        }
        loop {
            if self.lane(id).queue.is_empty() && !self.refill(id, outbox, committed)? {
                return Ok(false);
            }
            let lane = match id {
                LaneId::Live => &mut self.live,
                LaneId::Late => &mut self.late,
            };
            let Some(head) = lane.queue.front() else { continue };
            let wait = hold.and_then(|max| held(head, max, since_boot));
            if let Some(wait) = wait {
                // Read it again later: its time will have been corrected in the log.
                let before = head.row() - 1;
                lane.queue.clear();
                lane.position = before;
                lane.held = Some(now + wait.min(HOLD_CHECK));
                return Ok(false);
            }
            lane.held = None;
            let known = if self.done.is_empty() { None } else { self.done.remove(&head.row()) };
            let lost = known.is_none() && head.row() <= boundary && is_unbuffered(head);
            if known.is_none() && !lost {
                return Ok(true);
            }
            self.discarded += usize::from(lost);
            if let Some(message) = lane.queue.pop_front() {
                lane.open(&message, true, known == Some(true));
            }
        }
    }

    /// Reads on; false when there is nothing to read.
    fn refill(&mut self, id: LaneId, outbox: &mut impl Outbox, committed: i64) -> Result<bool, LogError> {
        let (after, until) = match id {
            LaneId::Live => (self.live.position, committed),
            LaneId::Late => {
                let position = self.late.position;
                let Some(range) = self.ranges.iter().find(|range| range.end > position) else {
                    return Ok(false);
                };
                (position.max(range.next - 1), range.end)
            }
        };
        if after >= until {
            return Ok(false);
        }
        let rows = outbox.outgoing(after, until, PREFETCH)?;
        let lane = self.lane(id);
        match rows.last() {
            Some(last) if rows.len() >= PREFETCH => {
                lane.position = last.row;
                cut(rows, &mut lane.queue);
            }
            _ => {
                lane.position = until;
                cut(rows, &mut lane.queue);
                // Rows that are not published let the cursor pass.
                lane.cover(until);
            }
        }
        Ok(true)
    }
}

/// How long this message must still wait for the clock.
fn held(message: &Message, max: Duration, since_boot: i64) -> Option<Duration> {
    let taken = message.readings().iter().filter_map(|reading| reading.since_boot).max()?;
    let age = Duration::from_micros(u64::try_from(since_boot - taken).unwrap_or(0));
    max.checked_sub(age).filter(|left| !left.is_zero())
}

fn is_unbuffered(message: &Message) -> bool {
    message.publish().is_some_and(|publish| publish.qos == Qos::AtMostOnce && !publish.buffer)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;
    use tokio::sync::{oneshot, watch};

    use super::super::message::tests::logged;
    use super::*;
    use crate::log::{DeliveryUpdate, InFlight, Urgency};
    use crate::reading::{Logged, Shape};

    /// Rows in memory; row ids that are missing are readings that are not published.
    struct Rows(Vec<Logged>);

    impl Outbox for Rows {
        fn state(&mut self) -> Result<DeliveryState, LogError> {
            Ok(DeliveryState::default())
        }

        fn committed(&self) -> watch::Receiver<i64> {
            watch::channel(0).1
        }

        fn outgoing(&mut self, after: i64, until: i64, limit: usize) -> Result<Vec<Logged>, LogError> {
            let wanted = self.0.iter().filter(|row| row.row > after && row.row <= until);
            Ok(wanted.take(limit).cloned().collect())
        }

        fn image(&mut self, _: i64) -> Result<Option<crate::reading::Image>, LogError> {
            Ok(None)
        }

        fn save(&mut self, _: DeliveryUpdate, _: Urgency) -> Result<oneshot::Receiver<()>, LogError> {
            Err(LogError::Closed)
        }
    }

    fn rows(ids: impl IntoIterator<Item = i64>) -> Rows {
        Rows(ids.into_iter().map(|row| logged(row, "a", row, Shape::Quantity, false)).collect())
    }

    fn lanes(state: DeliveryState, backlog: Backlog) -> Lanes {
        Lanes::new(&state, &backlog, None, ClockPolicy::Mark, Instant::now())
    }

    fn take(lanes: &mut Lanes, rows: &mut Rows, committed: i64) -> Option<Ticket> {
        let lane = lanes.ready(rows, committed, Instant::now(), 0).unwrap()?;
        Some(lanes.take(lane, false).unwrap().1)
    }

    #[test]
    fn the_cursor_follows_the_contiguous_prefix() {
        let mut rows = rows(1..=3);
        let mut lanes = lanes(DeliveryState::default(), Backlog::InOrder);
        let tickets: Vec<_> = (0..3).map(|_| take(&mut lanes, &mut rows, 3).unwrap()).collect();
        assert_eq!(take(&mut lanes, &mut rows, 3), None);
        lanes.done(tickets[1]);
        assert_eq!(lanes.advance(), None);
        lanes.done(tickets[0]);
        assert_eq!(lanes.advance().unwrap().cursor, Some(2));
        assert!(!lanes.is_drained(3));
        lanes.done(tickets[2]);
        assert_eq!(lanes.advance().unwrap().cursor, Some(3));
        assert!(lanes.is_drained(3));
    }

    #[test]
    fn rows_that_are_not_published_let_the_cursor_pass() {
        let mut rows = rows([2]);
        let mut lanes = lanes(DeliveryState::default(), Backlog::InOrder);
        assert_eq!(take(&mut lanes, &mut rows, 1), None);
        assert_eq!(lanes.advance().unwrap().cursor, Some(1));
        let ticket = take(&mut lanes, &mut rows, 9).unwrap();
        assert_eq!(take(&mut lanes, &mut rows, 12), None);
        assert_eq!(lanes.cursor(), 1);
        lanes.done(ticket);
        assert_eq!(lanes.advance().unwrap().cursor, Some(12));
    }

    #[test]
    fn after_a_restart_only_what_is_not_done_comes_again() {
        let mut rows = rows(1..=5);
        let state = DeliveryState {
            cursor: 1,
            late: vec![],
            in_flight: vec![InFlight { row: 3, packet_id: 0, stage: Stage::Done }],
        };
        let mut lanes = lanes(state, Backlog::InOrder);
        let second = take(&mut lanes, &mut rows, 5).unwrap();
        let fourth = take(&mut lanes, &mut rows, 5).unwrap();
        assert_eq!((second.row, fourth.row), (2, 4));
        lanes.done(fourth);
        lanes.restart();
        assert_eq!(lanes.done_handshakes().collect::<Vec<_>>(), [3]);
        let again = take(&mut lanes, &mut rows, 5).unwrap();
        assert_eq!(again.row, 2);
        let fifth = take(&mut lanes, &mut rows, 5).unwrap();
        assert_eq!(fifth.row, 5);
        lanes.done(second);
        assert_eq!(lanes.advance(), None, "a ticket of an earlier connection says nothing");
        lanes.done(again);
        let progress = lanes.advance().unwrap();
        assert_eq!((progress.cursor, progress.forget), (Some(4), vec![3]));
    }

    #[test]
    fn live_first_puts_the_backlog_beside() {
        let mut rows = rows(1..=6);
        let mut lanes = lanes(DeliveryState::default(), Backlog::LiveFirst { rate: 1 });
        assert!(lanes.split(4));
        assert!(!lanes.split(4));
        assert_eq!((lanes.cursor(), lanes.ranges()), (4, &[RowRange { next: 1, end: 4 }][..]));
        let order: Vec<_> = std::iter::from_fn(|| take(&mut lanes, &mut rows, 6))
            .map(|ticket| (ticket.lane, ticket.row))
            .collect();
        assert_eq!(order, [(LaneId::Live, 5), (LaneId::Live, 6), (LaneId::Late, 1)], "then no token");
        assert!(lanes.wake(Instant::now()).unwrap() > Instant::now());
        lanes.restart();
        assert!(lanes.split(6), "what was not acknowledged becomes late too, in one range");
        assert_eq!(lanes.ranges(), [RowRange { next: 1, end: 6 }]);
    }

    #[test]
    fn the_late_lane_keeps_its_rate() {
        let mut rows = rows(1..=1000);
        let mut lanes = lanes(DeliveryState::default(), Backlog::LiveFirst { rate: 100 });
        lanes.split(1000);
        let start = Instant::now();
        let mut sent = 0;
        for millisecond in 0..2000 {
            let now = start + Duration::from_millis(millisecond);
            while let Some(lane) = lanes.ready(&mut rows, 1000, now, 0).unwrap() {
                lanes.take(lane, false).unwrap();
                sent += 1;
            }
        }
        assert!((198..=206).contains(&sent), "{sent} in two seconds");
    }

    #[test]
    fn nobody_wakes_for_what_is_on_its_way_already() {
        let mut rows = rows(1..=4);
        let mut lanes = lanes(DeliveryState::default(), Backlog::LiveFirst { rate: 1_000_000 });
        lanes.split(4);
        let now = Instant::now() + Duration::from_secs(1);
        for _ in 0..4 {
            assert_eq!(lanes.ready(&mut rows, 4, now, 0).unwrap(), Some(LaneId::Late));
            lanes.take(LaneId::Late, false).unwrap();
        }
        assert_eq!(lanes.ready(&mut rows, 4, now, 0).unwrap(), None);
        assert_eq!(lanes.wake(now), None);
    }

    #[test]
    fn left_over_late_ranges_go_first_when_in_order() {
        let mut rows = rows(1..=6);
        let state = DeliveryState {
            cursor: 5,
            late: vec![RowRange { next: 1, end: 2 }, RowRange { next: 4, end: 4 }],
            in_flight: vec![],
        };
        let mut lanes = lanes(state, Backlog::InOrder);
        let mut order = Vec::new();
        for _ in 0..4 {
            let ticket = take(&mut lanes, &mut rows, 6).unwrap();
            order.push((ticket.lane, ticket.row));
            lanes.done(ticket);
            lanes.advance();
        }
        let late = [1, 2, 4].map(|row| (LaneId::Late, row));
        assert_eq!(order[..3], late);
        assert_eq!(order[3], (LaneId::Live, 6));
        assert!(lanes.ranges().is_empty());
    }

    #[test]
    fn unbuffered_readings_of_an_outage_are_given_up() {
        let mut rows = rows(1..=4);
        for row in &mut rows.0 {
            let publish = Arc::make_mut(&mut row.channel).publish.as_mut().unwrap();
            publish.qos = Qos::AtMostOnce;
            publish.buffer = row.row == 2;
        }
        let mut lanes = lanes(DeliveryState::default(), Backlog::InOrder);
        lanes.set_boundary(3);
        let sent: Vec<_> = std::iter::from_fn(|| take(&mut lanes, &mut rows, 4)).map(|one| one.row).collect();
        assert_eq!(sent, [2, 4]);
        assert_eq!(lanes.take_discarded(), 2);
    }

    #[test]
    fn a_reading_waits_for_the_clock_but_not_for_ever() {
        let mut rows = rows(1..=2);
        rows.0[0].since_boot = Some(10_000_000);
        let policy = ClockPolicy::Hold(Duration::from_secs(60));
        let start = Instant::now();
        let fresh = || Lanes::new(&DeliveryState::default(), &Backlog::InOrder, None, policy, start);
        let mut lanes = fresh();
        assert_eq!(lanes.ready(&mut rows, 2, start, 11_000_000).unwrap(), None);
        assert_eq!(lanes.wake(start), Some(start + HOLD_CHECK));
        assert!(lanes.is_drained(2), "nothing that may go out");
        let later = start + HOLD_CHECK;
        assert_eq!(lanes.ready(&mut rows, 2, later, 69_999_999).unwrap(), None);
        rows.0[0].since_boot = None;
        let later = later + HOLD_CHECK;
        assert_eq!(lanes.ready(&mut rows, 2, later, 69_999_999).unwrap(), Some(LaneId::Live), "corrected");
        rows.0[0].since_boot = Some(10_000_000);
        assert_eq!(fresh().ready(&mut rows, 2, start, 70_000_000).unwrap(), Some(LaneId::Live), "too old");
    }

    /// A reading of this sensor's quantity, a message of its own or with others of the sensor.
    fn told(row: i64, sensor: &str, quantity: &str, shape: Shape) -> Logged {
        let mut told = logged(row, sensor, row, shape, false);
        let channel = Arc::make_mut(&mut told.channel);
        channel.quantity = quantity.into();
        if let Some(publish) = channel.publish.as_mut().filter(|_| shape == Shape::Quantity) {
            publish.topic = format!("t/{sensor}/{quantity}");
        }
        told
    }

    fn rated(rate: f64, now: Instant) -> Lanes {
        Lanes::new(&DeliveryState::default(), &Backlog::InOrder, Some(rate), ClockPolicy::Mark, now)
    }

    /// What goes out now, as its rows.
    fn turn(lanes: &mut Lanes, rows: &mut Rows, committed: i64, now: Instant) -> Option<(Ticket, Vec<i64>)> {
        let lane = lanes.ready(rows, committed, now, 0).unwrap()?;
        let head = lanes.head(lane).unwrap().row();
        let (message, ticket) = lanes.take(lane, false).unwrap();
        assert_eq!(head, message.row());
        Some((ticket, message.readings().iter().map(|reading| reading.row).collect()))
    }

    #[test]
    fn of_what_is_too_much_the_newest_of_each_topic_goes_out_in_turn() {
        let of = |row: i64| ["a", "b", "c"][(row as usize - 1) % 3];
        let mut rows = Rows((1..=30).map(|row| told(row, of(row), "q", Shape::Quantity)).collect());
        let start = Instant::now();
        let mut lanes = rated(1.0, start);
        let mut sent = Vec::new();
        // Three topics with a message each second, of which one may go out.
        for tenth in 0..=100_u64 {
            let now = start + Duration::from_millis(100 * tenth);
            let committed = (3 * (1 + tenth as i64 / 10)).min(30);
            if let Some((ticket, _)) = turn(&mut lanes, &mut rows, committed, now) {
                sent.push((tenth, ticket.row));
                lanes.done(ticket);
                lanes.advance();
            }
            assert_eq!(turn(&mut lanes, &mut rows, committed, now), None);
            let next = lanes.wake(now).expect("it is looked again at the next turn");
            assert!(next > now && next <= now + Duration::from_secs(1));
        }
        let expected = [1, 5, 9, 10, 14, 18, 19, 23, 27, 28, 29];
        assert_eq!(sent, (0..).step_by(10).zip(expected).collect::<Vec<_>>());
        assert_eq!(lanes.cursor(), 29, "what gave way is passed");
        assert_eq!(lanes.take_thinned() + sent.len(), 29);
        let (last, _) = turn(&mut lanes, &mut rows, 30, start + Duration::from_secs(11)).unwrap();
        lanes.done(last);
        assert_eq!((last.row, lanes.advance().unwrap().cursor), (30, Some(30)));
        assert!(lanes.is_drained(30));
    }

    #[test]
    fn a_large_backlog_shrinks_to_what_there_is_to_say() {
        // 20,000 messages of two topics, and one of a third before them.
        let of = |row: i64| if row == 1 { "rare" } else { ["a", "b"][row as usize % 2] };
        let mut rows = Rows((1..=20_001).map(|row| told(row, of(row), "q", Shape::Quantity)).collect());
        let start = Instant::now();
        let mut lanes = rated(1.0, start);
        let mut sent = Vec::new();
        for second in 0..10 {
            let now = start + Duration::from_secs(second);
            if let Some((ticket, _)) = turn(&mut lanes, &mut rows, 20_001, now) {
                sent.push(ticket.row);
                lanes.done(ticket);
            }
            lanes.advance();
            assert!(lanes.live.open.len() <= OPEN + PREFETCH && lanes.live.waiting.len() <= 3);
        }
        assert_eq!(sent, [1, 20_000, 20_001]);
        assert_eq!((lanes.cursor(), lanes.take_thinned()), (20_001, 19_998));
        assert!(lanes.is_drained(20_001));
    }

    #[test]
    fn only_what_is_said_anew_gives_way() {
        let mut rows = Rows(vec![
            told(1, "a", "temperature", Shape::Sample),
            told(2, "b", "temperature", Shape::Sample),
            told(3, "a", "humidity", Shape::Sample),
            told(4, "a", "temperature", Shape::Sample),
        ]);
        // Rows 5 and 6 are one sample of both.
        let start = Instant::now();
        let mut lanes = rated(1000.0, start);
        let mut later = start;
        let mut next = |lanes: &mut Lanes, rows: &mut Rows, committed| {
            later += Duration::from_millis(2);
            turn(lanes, rows, committed, later).map(|(_, rows)| rows)
        };
        assert_eq!(
            next(&mut lanes, &mut rows, 4),
            Some(vec![3]),
            "in the first place, and in order in its topic"
        );
        rows.0.push(told(5, "a", "humidity", Shape::Sample));
        rows.0.push(told(6, "a", "temperature", Shape::Sample));
        (rows.0[5].continues, rows.0[5].at) = (true, rows.0[4].at);
        assert_eq!(next(&mut lanes, &mut rows, 6), Some(vec![2]));
        assert_eq!(next(&mut lanes, &mut rows, 6), Some(vec![5, 6]));
        assert_eq!(next(&mut lanes, &mut rows, 6), None);
        assert_eq!(lanes.take_thinned(), 2);
    }

    #[test]
    fn leaving_does_not_wait_for_turns() {
        let mut rows = Rows((1..=3).map(|row| told(row, &format!("s{row}"), "q", Shape::Quantity)).collect());
        let start = Instant::now();
        let mut lanes = rated(0.001, start);
        let (first, _) = turn(&mut lanes, &mut rows, 3, start).unwrap();
        assert_eq!(turn(&mut lanes, &mut rows, 3, start), None);
        assert!(!lanes.is_drained(3), "one is under way");
        lanes.done(first);
        lanes.advance();
        assert!(lanes.is_drained(3));
        assert_eq!(lanes.cursor(), 1, "the others go out after the next start");
        lanes.restart();
        let later = start + Duration::from_secs(2000);
        assert_eq!(turn(&mut lanes, &mut rows, 3, later).unwrap().1, [2]);
    }

    proptest! {
        /// With a rate: in order in each topic, never more than it allows, nothing passed that neither went out nor gave way
        /// to something newer, and in the end the newest of everything has gone out.
        #[test]
        fn thinned_and_nothing_else(
            sensors in proptest::collection::vec((0..4usize, 0..3usize), 1..80),
            sample: bool,
            steps in proptest::collection::vec((0..30u64, 0..6i64, 0..4usize, 0..40u8), 1..100),
        ) {
            let shape = if sample { Shape::Sample } else { Shape::Quantity };
            let key = |row: i64| sensors[row as usize - 1];
            let end = sensors.len() as i64;
            let mut rows = Rows((1..=end).map(|row| {
                let (sensor, quantity) = key(row);
                told(row, &format!("s{sensor}"), &format!("q{quantity}"), shape)
            }).collect());
            let start = Instant::now();
            let (mut now, mut committed) = (start, 0);
            let mut lanes = rated(100.0, start);
            let (mut flying, mut done, mut count) = (Vec::<Ticket>::new(), BTreeMap::new(), 0);
            let mut last: BTreeMap<String, i64> = BTreeMap::new();
            let finish = std::iter::repeat_n((30, 6, 0, 1), 200);
            for (wait, more, which, cut) in steps.into_iter().chain(finish) {
                now += Duration::from_millis(wait);
                committed = (committed + more).min(end);
                if cut == 0 {
                    lanes.restart();
                    flying.clear();
                    // What was not acknowledged may come again.
                    last.clear();
                }
                if let Some(lane) = lanes.ready(&mut rows, committed, now, 0).unwrap() {
                    let (message, ticket) = lanes.take(lane, false).unwrap();
                    prop_assert!(!done.contains_key(&ticket.row), "row {} again", ticket.row);
                    let before = last.insert(message.publish().unwrap().topic.clone(), ticket.row);
                    prop_assert!(before < Some(ticket.row), "{before:?} before {}", ticket.row);
                    flying.push(ticket);
                    count += 1;
                }
                if !flying.is_empty() {
                    let ticket = flying.remove(which % flying.len());
                    lanes.done(ticket);
                    done.insert(ticket.row, ());
                }
                lanes.advance();
                let most = 1.0 + 5.0 + 100.0 * (now - start).as_secs_f64();
                prop_assert!(f64::from(count) <= most, "{count} in {:?}", now - start);
                for row in (1..=lanes.cursor()).filter(|row| !done.contains_key(row)) {
                    prop_assert!((row + 1..=committed).any(|newer| key(newer) == key(row)), "row {row} is lost");
                }
            }
            prop_assert_eq!(lanes.cursor(), end);
            for row in (1..=end).filter(|row| !(row + 1..=end).any(|newer| key(newer) == key(*row))) {
                prop_assert!(done.contains_key(&row), "row {row} is the newest");
            }
        }
    }

    #[derive(Debug, Clone, Copy)]
    enum Step {
        Take,
        Done(usize),
        Commit(i64),
        Restart,
        Split,
    }

    proptest! {
        /// Whatever happens in whatever order: nothing is skipped, nothing is passed before it is done, and
        /// in the end everything has been.
        #[test]
        fn nothing_is_lost(
            published in proptest::collection::vec(any::<bool>(), 1..60),
            live_first: bool,
            steps in proptest::collection::vec(prop_oneof![
                3 => Just(Step::Take),
                3 => (0..8usize).prop_map(Step::Done),
                2 => (1..6i64).prop_map(Step::Commit),
                1 => Just(Step::Restart),
                1 => Just(Step::Split),
            ], 0..300),
        ) {
            let all: Vec<i64> = (1..).zip(&published).filter(|(_, yes)| **yes).map(|(row, _)| row).collect();
            let end = published.len() as i64;
            let mut rows = rows(all.iter().copied());
            let backlog = if live_first { Backlog::LiveFirst { rate: 1_000_000 } } else { Backlog::InOrder };
            let mut lanes = lanes(DeliveryState::default(), backlog);
            let (mut committed, mut flying, mut done) = (0, Vec::<Ticket>::new(), BTreeMap::new());
            let mut now = Instant::now();
            let finish = std::iter::repeat_n([Step::Commit(60), Step::Take, Step::Done(0)], 200).flatten();
            for step in steps.into_iter().chain(finish) {
                now += Duration::from_millis(1);
                match step {
                    Step::Take => if let Some(lane) = lanes.ready(&mut rows, committed, now, 0).unwrap() {
                        let ticket = lanes.take(lane, false).unwrap().1;
                        prop_assert!(!done.contains_key(&ticket.row), "row {} again", ticket.row);
                        flying.push(ticket);
                    },
                    Step::Done(which) if !flying.is_empty() => {
                        let ticket = flying.remove(which % flying.len());
                        lanes.done(ticket);
                        done.insert(ticket.row, ());
                    }
                    Step::Done(_) => {}
                    Step::Commit(more) => committed = (committed + more).min(end),
                    Step::Restart => {
                        lanes.restart();
                        flying.clear();
                    }
                    Step::Split => {
                        lanes.restart();
                        flying.clear();
                        lanes.split(committed);
                    }
                }
                lanes.advance();
                let late = |row: i64| lanes.ranges().iter().any(|range| (range.next..=range.end).contains(&row));
                for row in all.iter().filter(|row| **row <= lanes.cursor() && !late(**row)) {
                    prop_assert!(done.contains_key(row), "row {row} was passed and not done");
                }
            }
            prop_assert_eq!(done.len(), all.len());
            prop_assert_eq!((lanes.cursor(), lanes.ranges().len()), (end, 0));
        }
    }
}
