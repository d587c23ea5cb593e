//! The last messages of a topic, for whoever comes later. Says nothing itself.

use std::collections::BTreeSet;

use serde_json::Value;

/// What went out last on a topic.
#[derive(Debug, Default)]
pub(super) struct Last {
    /// Messages are samples, and what has not changed is not in them: the last value of a quantity may be in an earlier one.
    pub(super) sampled: bool,
    /// Oldest first, with their quantities: each has the last value of one at least. One without quantities if not sampled.
    pub(super) messages: Vec<(Vec<String>, Vec<u8>)>,
}

impl Last {
    pub(super) fn keep(&mut self, payload: &[u8]) {
        if !self.sampled {
            self.messages.truncate(1);
            match self.messages.first_mut() {
                Some((_, last)) => {
                    last.clear();
                    last.extend_from_slice(payload);
                }
                None => self.messages.push((Vec::new(), payload.to_vec())),
            }
            return;
        }
        let Ok(sample) = serde_json::from_slice::<Sample>(payload) else { return };
        self.messages.push((sample.values.into_iter().map(|(name, _)| name).collect(), payload.to_vec()));
        let mut later = BTreeSet::new();
        let mut kept: Vec<_> = std::mem::take(&mut self.messages).into_iter().rev().collect();
        kept.retain(|(names, _)| names.iter().filter(|name| later.insert((*name).clone())).count() > 0);
        kept.reverse();
        self.messages = kept;
    }
}

/// As much of a message of a sample as matters here.
#[derive(serde::Deserialize)]
struct Sample {
    values: serde_json::Map<String, Value>,
}
