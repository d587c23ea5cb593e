//! Answers to messages, on their way to the broker: one at a time, each until it is acknowledged. Pure: events
//! in, messages out.
//!
//! They go out on the connection that the messages come in by, not by the publisher: what is to be answered can
//! only have come while this one was there; an answer does not wait behind a backlog of readings; and MQTT 5's
//! correlation data, which belong to one message, need no place in the log of readings. The sink keeps each
//! answer on disk until its acknowledgement is noted there, so none is lost by a cut or a crash.

use std::collections::VecDeque;

use crate::mirror::Reply;

/// Most answers that wait. A flood of messages can make more than the broker takes one by one; reading on is what
/// brings its acknowledgements, so what is too much is left to the sink, which has it on disk for the next start.
const MOST: usize = 1000;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Replies {
    waiting: VecDeque<Reply>,
    under_way: Option<(Reply, Option<u16>)>,
}

impl Replies {
    /// These are to be sent after all others. Answers how many are too many.
    pub(super) fn add(&mut self, replies: Vec<Reply>) -> usize {
        let room = MOST.saturating_sub(self.waiting.len());
        let left = replies.len().saturating_sub(room);
        self.waiting.extend(replies.into_iter().take(room));
        left
    }

    /// The next to be sent, if none is under way.
    pub(super) fn next(&self) -> Option<&Reply> {
        if self.under_way.is_some() { None } else { self.waiting.front() }
    }

    /// The next was handed over.
    pub(super) fn handed_over(&mut self) {
        self.under_way = self.waiting.pop_front().map(|reply| (reply, None));
    }

    /// The next will not be sent; answers its number.
    pub(super) fn give_up(&mut self) -> Option<i64> {
        self.waiting.pop_front().map(|reply| reply.number)
    }

    /// A PUBLISH with this packet id was written.
    pub(super) fn sent(&mut self, pkid: u16) {
        if let Some((_, id @ None)) = &mut self.under_way {
            *id = Some(pkid);
        }
    }

    /// The broker has answered to this packet id; answers the number of the reply that is done with.
    pub(super) fn acknowledged(&mut self, pkid: u16) -> Option<Reply> {
        let (reply, _) = self.under_way.take_if(|(_, id)| *id == Some(pkid))?;
        Some(reply)
    }

    /// The connection is over: what was under way is sent again.
    pub(super) fn disconnected(&mut self) {
        if let Some((reply, _)) = self.under_way.take() {
            self.waiting.push_front(reply);
        }
    }

    /// One is under way.
    pub(super) fn is_waiting(&self) -> bool {
        self.under_way.is_some()
    }

    /// Nothing is to be sent and nothing under way.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.under_way.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(number: i64) -> Reply {
        Reply { number, topic: "r".into(), payload: Vec::new(), correlation: None }
    }

    #[test]
    fn one_at_a_time_in_order_and_again_after_a_cut() {
        let mut replies = Replies::default();
        replies.add(vec![reply(1), reply(2)]);
        assert_eq!(replies.next().map(|next| next.number), Some(1));
        replies.handed_over();
        assert_eq!(replies.next(), None);
        replies.sent(7);
        assert_eq!(replies.acknowledged(8), None, "another's");
        replies.disconnected();
        assert_eq!(replies.next().map(|next| next.number), Some(1));
        replies.handed_over();
        replies.sent(1);
        assert_eq!(replies.acknowledged(1).map(|done| done.number), Some(1));
        assert_eq!(replies.give_up(), Some(2));
        assert!(replies.is_empty());
        assert_eq!(replies.add((0..MOST as i64 + 5).map(reply).collect()), 5);
        assert_eq!(replies.waiting.len(), MOST);
    }
}
