//! Which message may go out now: reads on in the log, and lets out neither what is done already, nor what is given up,
//! nor what the clock or a rate holds back.

use std::time::{Duration, Instant};

use super::super::message::{Message, cut};
use super::super::outbox::Outbox;
use super::{LaneId, Lanes};
use crate::log::LogError;
use crate::reading::Qos;

/// Rows read from the log at once: enough that the query does not show in a drain, few enough that it takes
/// a millisecond or two.
pub(super) const PREFETCH: usize = 500;

/// How often a reading held back for the clock is looked at again.
pub(super) const HOLD_CHECK: Duration = Duration::from_secs(1);

/// Messages handed out whose place in the order is still open, per lane. Reached when one message stays
/// unacknowledged while others overtake it.
pub(super) const OPEN: usize = 4096;

impl Lanes {
    /// The lane whose next message may go out now; [`Lanes::head`] then shows it. `since_boot` in µs.
    pub(in crate::mqtt) fn ready(
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
    pub(in crate::mqtt) fn head(&self, lane: LaneId) -> Option<&Message> {
        let lane = match lane {
            LaneId::Live => &self.live,
            LaneId::Late => &self.late,
        };
        match self.rate {
            None => lane.queue.front(),
            Some(_) => lane.waiting.front().map(|(message, _)| message),
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
