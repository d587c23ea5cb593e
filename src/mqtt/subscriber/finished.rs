//! Messages whose hand-shake was finished lately, in case the broker has forgotten that and sends them again.
//! Pure.
//!
//! By the protocol, a packet id that is free again means another message. But a broker that restarts can
//! forget how far it had come: mosquitto keeps the state of `max_inflight_messages` (20) only, though it has
//! more half-finished at QoS 2, and sends the rest again, with their old packet ids and DUP set. Taking an
//! equal message for such a repeat is safe only while the broker cannot have used that packet id anew. So it
//! is done only for a broker that is seen to count its packet ids up, and only for ids that lie less far back
//! than half of what was counted; one that takes the lowest free id gets every message stored.

use std::collections::{HashMap, VecDeque};

/// Messages remembered.
const REMEMBERED: usize = 500;

/// What more must have been counted: at least as many as may be under way and not yet seen.
const MARGIN: usize = 100;

/// See the module.
#[derive(Debug, Default, Clone)]
pub(super) struct Finished {
    order: VecDeque<u16>,
    hashes: HashMap<u16, i64>,
    /// Packet id of the newest message.
    newest: Option<u16>,
    /// How many packet ids of new messages were each the successor of the one before.
    in_a_row: usize,
}

impl Finished {
    /// A message came with this packet id; `dup`: it may be one sent again.
    pub(super) fn saw(&mut self, pkid: u16, dup: bool) {
        match self.newest.map(|newest| newest.checked_add(1).unwrap_or(1)) {
            Some(next) if next == pkid => self.in_a_row = self.in_a_row.saturating_add(1),
            // Sent again, so it says nothing about how new ids are chosen.
            Some(_) if dup => return,
            // Ids may be used again from here on: what was finished before says nothing any more.
            _ => *self = Self::default(),
        }
        self.newest = Some(pkid);
    }

    /// Its hand-shake is finished on our side.
    pub(super) fn add(&mut self, pkid: u16, hash: i64) {
        if self.hashes.insert(pkid, hash).is_none() {
            self.order.push_back(pkid);
        }
        if self.order.len() > REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.hashes.remove(&oldest);
        }
    }

    /// Whether a message with DUP set is one of those.
    pub(super) fn has(&self, pkid: u16, hash: i64) -> bool {
        // Packet ids go from 1 to 65,535; whether 0 is counted makes no difference here.
        let back = self.newest.map(|newest| usize::from(newest.wrapping_sub(pkid)));
        back.is_some_and(|back| self.in_a_row >= 2 * back + MARGIN) && self.hashes.get(&pkid) == Some(&hash)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broker_that_counts_up_is_recognised() {
        let mut finished = Finished::default();
        // Over the end of the packet ids, 0 being none.
        let ids = (65_000..=u16::MAX).chain(1..=600);
        for pkid in ids {
            finished.saw(pkid, false);
            finished.add(pkid, 7);
        }
        assert!(finished.has(550, 7));
        assert!(!finished.has(550, 8), "another message");
        assert!(!finished.has(50, 7), "too long ago");
        assert!(!finished.has(700, 7), "not seen");
        for pkid in 590..=600 {
            finished.saw(pkid, true);
        }
        assert!(finished.has(600, 7), "what is sent again may go back");
        finished.saw(601, false);
        assert!(finished.has(600, 7), "and then goes on");
        assert!(finished.hashes.len() <= REMEMBERED && finished.order.len() <= REMEMBERED);
    }

    #[test]
    fn one_that_uses_ids_again_is_not() {
        for cycle in [1, 2, 20, 100, 500, 999] {
            let mut finished = Finished::default();
            for count in 0..2500 {
                let pkid = count % cycle + 1;
                let mut first_copy_lost = finished.clone();
                first_copy_lost.saw(pkid, true);
                assert!(!first_copy_lost.has(pkid, 7), "cycle of {cycle}");
                finished.saw(pkid, false);
                finished.add(pkid, 7);
            }
        }
    }
}
