//! One lane: what was read and not handed out, what was handed out and is not done, and how far everything
//! is. Pure.

use std::collections::VecDeque;
use std::time::Instant;

use crate::mqtt::message::Message;

/// What has been handed out, or was done already when its turn came.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) row: i64,
    pub(super) covers: Option<i64>,
    pub(super) done: bool,
    pub(super) handshake: bool,
}

#[derive(Debug, Default)]
pub(super) struct Lane {
    /// Last row read.
    pub(super) position: i64,
    /// Read and not handed out.
    pub(super) queue: VecDeque<Message>,
    /// With a rate only: read, and waiting for their turn, with their numbers. Their places in the order are open already,
    /// because they take their turns in another one.
    pub(super) waiting: VecDeque<(Message, u64)>,
    /// Handed out and not passed, in order; the first has the number `base`.
    pub(super) open: VecDeque<Entry>,
    pub(super) base: u64,
    /// Everything up to this row is done.
    pub(super) passed: i64,
    /// Held back for the clock until then.
    pub(super) held: Option<Instant>,
}

impl Lane {
    /// Forgets what was read; the next row is the one after `position`.
    pub(super) fn rewind(&mut self, position: i64) {
        self.base += self.open.len() as u64;
        self.open.clear();
        self.queue.clear();
        self.waiting.clear();
        self.position = position;
        self.held = None;
    }

    pub(super) fn open(&mut self, message: &Message, done: bool, handshake: bool) -> u64 {
        let entry = Entry { row: message.row(), covers: message.covers, done, handshake };
        self.open.push_back(entry);
        self.base + self.open.len() as u64 - 1
    }

    pub(super) fn done(&mut self, seq: u64) {
        let index = seq.checked_sub(self.base).and_then(|index| usize::try_from(index).ok());
        if let Some(entry) = index.and_then(|index| self.open.get_mut(index)) {
            entry.done = true;
        }
    }

    /// Lets the next message that was read wait for its turn. Waiting messages that say nothing but what it says anew give way
    /// to it, and it takes the first of their places in the line. Answers how many gave way.
    pub(super) fn admit(&mut self) -> usize {
        let Some(message) = self.queue.pop_front() else { return 0 };
        let (mut place, mut index, mut gone) = (None, 0, 0);
        while let Some((older, seq)) = self.waiting.get(index) {
            if message.replaces(older) {
                let seq = *seq;
                self.waiting.remove(index);
                self.done(seq);
                place.get_or_insert(index);
                gone += 1;
            } else {
                index += 1;
            }
        }
        let seq = self.open(&message, false, false);
        let mut at = place.unwrap_or(self.waiting.len());
        self.waiting.insert(at, (message, seq));
        // What else waits on its topic is older, and goes first.
        for later in at + 1..self.waiting.len() {
            if self.waiting[later].0.shares_topic(&self.waiting[at].0) {
                self.waiting.swap(at, later);
                at = later;
            }
        }
        gone
    }

    /// Takes the message whose turn it is, with its number.
    pub(super) fn turn(&mut self, handshake: bool) -> Option<(Message, u64)> {
        let (message, seq) = self.waiting.pop_front()?;
        let index = seq.checked_sub(self.base).and_then(|index| usize::try_from(index).ok());
        if let Some(entry) = index.and_then(|index| self.open.get_mut(index)) {
            entry.handshake = handshake;
        }
        Some((message, seq))
    }

    /// Messages under way.
    pub(super) fn under_way(&self) -> usize {
        self.open.iter().filter(|entry| !entry.done).count() - self.waiting.len()
    }

    /// There is nothing to publish up to this row beyond what was read.
    pub(super) fn cover(&mut self, row: i64) {
        if let Some(message) = self.queue.back_mut() {
            message.covers = Some(row);
        } else if let Some(entry) = self.open.back_mut() {
            entry.covers = Some(row);
        } else {
            self.passed = row;
        }
    }

    /// Passes what is done at the front; rows of finished hand-shakes go to `forget`.
    pub(super) fn advance(&mut self, forget: &mut Vec<i64>) {
        while self.open.front().is_some_and(|entry| entry.done) {
            let Some(entry) = self.open.pop_front() else { break };
            self.base += 1;
            if entry.handshake {
                forget.push(entry.row);
            }
            if let Some(row) = entry.covers {
                self.passed = row;
            }
        }
    }
}
