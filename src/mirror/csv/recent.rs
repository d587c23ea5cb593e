//! Which messages of ours a CSV mirror has seen lately, so that a repeat is not written again. Bounded.
//!
//! A repeat comes soon (what was in flight when a connection broke) or is the last message of its topic
//! (retained, sent again with every new subscription). So the last ones of all topics together are kept, and
//! the very last one of each topic.

use std::collections::{HashMap, HashSet, VecDeque};

use super::super::fingerprint;
use super::record::Columns;

/// Messages remembered: more than any broker keeps in flight for one client by default, and about 0.5 MB.
const MESSAGES: usize = 16_384;

/// Topics whose last message is remembered.
const TOPICS: usize = 16_384;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Recent {
    order: VecDeque<i64>,
    seen: HashSet<i64>,
    last: HashMap<i64, i64>,
    /// Seen since the last [`Recent::keep_new`]: topic and message.
    new: Vec<(i64, i64)>,
    new_seen: HashSet<i64>,
}

impl Recent {
    /// Whether a message of this id was not seen before. It counts as seen from now on, until `forget_new`.
    pub(super) fn is_new(&mut self, topic: &str, id: &str) -> bool {
        let message = fingerprint(topic, id.as_bytes());
        let topic = fingerprint(topic, b"");
        let known = self.seen.contains(&message) || self.last.get(&topic) == Some(&message);
        if known || !self.new_seen.insert(message) {
            return false;
        }
        self.new.push((topic, message));
        true
    }

    /// The new ones are durable.
    pub(super) fn keep_new(&mut self) {
        for (topic, message) in std::mem::take(&mut self.new) {
            if self.last.len() >= TOPICS && !self.last.contains_key(&topic) {
                // More topics than we remember: begin again rather than grow. The window goes on.
                self.last.clear();
            }
            self.last.insert(topic, message);
            if self.seen.insert(message) {
                self.order.push_back(message);
            }
            if self.order.len() > MESSAGES
                && let Some(oldest) = self.order.pop_front()
            {
                self.seen.remove(&oldest);
            }
        }
        self.new_seen.clear();
    }

    /// The new ones could not be stored and will come again.
    pub(super) fn forget_new(&mut self) {
        self.new.clear();
        self.new_seen.clear();
    }

    /// Remembers what stands in the tail of a file, which begins and ends at a record. Where a message has a record for
    /// each of its readings, a crash may have left some of the last one's only: it is taken again if it comes again.
    pub(super) fn seed(&mut self, tail: &[u8], columns: &Columns) {
        let Some((topic, id)) = columns.topic_and_id() else { return };
        let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(tail);
        let mut record = csv::StringRecord::new();
        let mut last: Option<(String, String)> = None;
        let mut whole = true;
        while let Ok(true) = reader.read_record(&mut record) {
            let (Some(topic), Some(id)) = (record.get(topic), record.get(id)) else { continue };
            whole =
                columns.unread().is_none_or(|at| record.get(at).is_some_and(|payload| !payload.is_empty()));
            if last.as_ref().is_some_and(|last| (&*last.0, &*last.1) == (topic, id)) {
                continue;
            }
            if let Some((topic, id)) = last.replace((topic.to_owned(), id.to_owned()))
                && !id.is_empty()
            {
                self.is_new(&topic, &id);
            }
        }
        if let Some((topic, id)) = last.filter(|(_, id)| whole && !id.is_empty()) {
            self.is_new(&topic, &id);
        }
        self.keep_new();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repeat_is_known_within_the_window_and_as_the_last_of_its_topic() {
        let mut recent = Recent::default();
        assert!(recent.is_new("quiet", "aaaaaaaa-1"));
        assert!(!recent.is_new("quiet", "aaaaaaaa-1"), "already in the same batch");
        assert!(recent.is_new("other", "aaaaaaaa-1"), "another topic is another message");
        recent.keep_new();
        for row in 1..=MESSAGES as i64 + 10 {
            assert!(recent.is_new("busy", &format!("aaaaaaaa-{row}")));
            recent.keep_new();
        }
        assert!(!recent.is_new("busy", "aaaaaaaa-20"), "in the window");
        assert!(recent.is_new("busy", "aaaaaaaa-5"), "older than the window");
        assert!(!recent.is_new("quiet", "aaaaaaaa-1"), "the last of its topic");
        assert!(recent.is_new("quiet", "bbbbbbbb-1"), "another epoch");
        assert!(recent.order.len() <= MESSAGES && recent.seen.len() <= MESSAGES);
    }

    #[test]
    fn what_was_not_stored_is_no_repeat() {
        let mut recent = Recent::default();
        assert!(recent.is_new("t", "aaaaaaaa-1"));
        recent.forget_new();
        assert!(recent.is_new("t", "aaaaaaaa-1"));
    }

    #[test]
    fn topics_are_bounded() {
        let mut recent = Recent::default();
        for topic in 0..TOPICS + 5 {
            recent.is_new(&topic.to_string(), "aaaaaaaa-1");
            recent.keep_new();
        }
        assert!(recent.last.len() <= TOPICS);
    }
}
