//! The last messages of a topic, for whoever comes later. Says nothing itself.

use std::collections::BTreeSet;

use serde_json::Value;

/// What went out last on a topic.
#[derive(Debug, Default)]
pub(super) struct Last {
    /// Messages are samples, and what has not changed is not in them: the last value of a quantity may be in an earlier one.
    pub(super) sampled: bool,
    /// Oldest first: each has the last value of one quantity at least. One if not sampled.
    pub(super) messages: Vec<Message>,
}

/// One of them.
#[derive(Debug)]
pub(super) struct Message {
    /// Of a sample; none if it is of one anyway.
    pub(super) quantities: Vec<String>,
    pub(super) payload: Vec<u8>,
    /// When it went out, µs since boot.
    pub(super) at: i64,
}

impl Last {
    pub(super) fn keep(&mut self, payload: &[u8], at: i64) {
        let message = |quantities| Message { quantities, payload: payload.to_vec(), at };
        if !self.sampled {
            self.messages.truncate(1);
            match self.messages.first_mut() {
                Some(last) => {
                    last.payload.clear();
                    last.payload.extend_from_slice(payload);
                    last.at = at;
                }
                None => self.messages.push(message(Vec::new())),
            }
            return;
        }
        let Ok(sample) = serde_json::from_slice::<Sample>(payload) else { return };
        self.messages.push(message(sample.values.into_iter().map(|(name, _)| name).collect()));
        let mut later = BTreeSet::new();
        let mut kept: Vec<_> = std::mem::take(&mut self.messages).into_iter().rev().collect();
        kept.retain(|one| one.quantities.iter().filter(|name| later.insert((*name).clone())).count() > 0);
        kept.reverse();
        self.messages = kept;
    }
}

/// As much of a message of a sample as matters here.
#[derive(serde::Deserialize)]
struct Sample {
    values: serde_json::Map<String, Value>,
}
