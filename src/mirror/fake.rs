//! Test doubles: a ledger in memory that behaves as the log does, and can be made to fail.

use std::sync::{Arc, Mutex};

use super::{Incoming, Ledger, fingerprint};
use crate::log::{LogError, MirrorBatch, MirrorState, NewMessage, RefusedMessage, Stored};
use crate::reading::{Clock, Moment, Qos, Timestamp};

/// A message as it would be received.
pub(crate) fn message(topic: &str, payload: &[u8], qos: Qos) -> Incoming {
    Incoming {
        topic: topic.to_owned(),
        payload: payload.to_vec(),
        qos,
        retained: false,
        received: Moment { wall: Timestamp(1_795_158_000_123_456), since_boot: 1, clock: Clock::Synced },
        packet_id: 0,
        dup: false,
        hash: fingerprint(topic, payload),
        response: None,
    }
}

/// What a ledger holds.
#[derive(Debug, Clone, Default)]
pub(crate) struct Kept {
    pub(crate) state: MirrorState,
    pub(crate) messages: Vec<NewMessage>,
    pub(crate) refused: Vec<RefusedMessage>,
    /// Stores that still succeed; `None` for no limit.
    pub(crate) works: Option<usize>,
}

/// Cheap to clone; all clones are the same ledger.
#[derive(Debug, Clone, Default)]
pub(crate) struct Memory(pub(crate) Arc<Mutex<Kept>>);

impl Memory {
    /// A ledger of its own with the same content, as a crash at this moment would leave it.
    pub(crate) fn after_a_crash(&self) -> Self {
        let mut kept = self.0.lock().unwrap().clone();
        kept.works = None;
        Self(Arc::new(Mutex::new(kept)))
    }
}

impl Ledger for Memory {
    fn state(&self, _: &str) -> Result<MirrorState, LogError> {
        Ok(self.0.lock().unwrap().state.clone())
    }

    fn store(&self, batch: MirrorBatch) -> Result<Stored, LogError> {
        let mut kept = self.0.lock().unwrap();
        if let Some(works) = &mut kept.works {
            *works = works.checked_sub(1).ok_or(LogError::Closed)?;
        }
        let state = &mut kept.state;
        if batch.forget_all {
            state.held.clear();
        }
        state.held.retain(|(id, _)| !batch.released.contains(id));
        for held in batch.held {
            state.held.retain(|(id, _)| *id != held.0);
            state.held.push(held);
        }
        state.intent = batch.intent.or(state.intent.take());
        state.subscribed = batch.subscribed.unwrap_or(std::mem::take(&mut state.subscribed));
        kept.refused.extend(batch.refused);
        let mut repeats = 0;
        for message in batch.messages {
            let same = |old: &&NewMessage| old.topic == message.topic && old.id == message.id;
            if message.id.is_some() && kept.messages.iter().any(|old| same(&old)) {
                repeats += 1;
            } else {
                kept.messages.push(message);
            }
        }
        Ok(Stored { repeats })
    }
}
