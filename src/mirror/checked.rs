//! In front of a sink: only messages that carry what the mirror asks for reach it. The others are refused; the
//! newest of them are kept in the log, whatever the sink is, and all are acknowledged and counted.
//!
//! They are not dropped in silence, because a wrong key and a liar look the same at first; and not stored with the
//! rest, because who reads that must be able to trust it. What is refused does not count as the first of its `id`.

use std::borrow::Cow;

use super::{Batch, Incoming, Ledger, Session, Sink, SinkError, Stored, held};
use crate::integrity::Integrity;
use crate::log::{MirrorBatch, NewMessage, RefusedMessage};

/// Longest piece of a topic that a message for a person repeats, characters.
const SHOWN: usize = 80;

/// See the module.
pub(super) struct Checked {
    mirror: String,
    integrity: Integrity,
    sink: Box<dyn Sink>,
    ledger: Box<dyn Ledger>,
    /// What the sink has said of the batch at hand, which is given again when the refusals could not be stored.
    stored: Option<Stored>,
}

impl Checked {
    pub(super) fn new(
        mirror: &str,
        integrity: Integrity,
        sink: Box<dyn Sink>,
        ledger: Box<dyn Ledger>,
    ) -> Self {
        Self { mirror: mirror.to_owned(), integrity, sink, ledger, stored: None }
    }

    /// The messages that are refused, with the reasons.
    fn refused<'a>(&self, batch: &'a Batch) -> Vec<(&'a Incoming, &'static str)> {
        let messages = batch.messages.iter();
        messages
            .filter_map(|message| {
                let why = self.integrity.check(&message.topic, &message.payload).err()?;
                Some((message, why))
            })
            .collect()
    }
}

impl Sink for Checked {
    fn open(&mut self) -> Result<Session, SinkError> {
        self.sink.open()
    }

    fn store(&mut self, batch: &Batch) -> Result<Stored, SinkError> {
        let refused = self.refused(batch);
        let mut stored = match self.stored.take() {
            Some(stored) => stored,
            None => self.sink.store(&without(batch, &refused))?,
        };
        if let Some((last, why)) = refused.last() {
            // After the rest, with which packet ids of an earlier session are forgotten.
            if let Err(error) = self.ledger.store(self.record(&refused)) {
                self.stored = Some(stored);
                return Err(error.into());
            }
            stored.refused = refused.len();
            let topic: String = last.topic.chars().take(SHOWN).collect();
            stored.refusal = Some(format!("refused: {topic:?} {why}"));
        }
        Ok(stored)
    }

    fn close(&mut self) {
        self.sink.close();
    }
}

impl Checked {
    fn record(&self, refused: &[(&Incoming, &'static str)]) -> MirrorBatch {
        let messages: Vec<Incoming> = refused.iter().map(|(message, _)| (*message).clone()).collect();
        let held = held(&messages);
        let record = |(message, (_, why)): (Incoming, &(&Incoming, &str))| RefusedMessage {
            message: NewMessage {
                topic: message.topic,
                received: message.received,
                qos: message.qos,
                retained: message.retained,
                payload: message.payload,
                id: None,
                fields: None,
                told: Vec::new(),
            },
            reason: (*why).to_owned(),
        };
        MirrorBatch {
            mirror: self.mirror.clone(),
            refused: messages.into_iter().zip(refused).map(record).collect(),
            held,
            ..MirrorBatch::default()
        }
    }
}

/// The batch without these messages; as it is, and not copied, when there are none.
fn without<'a>(batch: &'a Batch, refused: &[(&Incoming, &str)]) -> Cow<'a, Batch> {
    if refused.is_empty() {
        return Cow::Borrowed(batch);
    }
    let mut refused = refused.iter().map(|(message, _)| *message).peekable();
    let kept = |message: &&Incoming| refused.next_if(|other| std::ptr::eq(*other, *message)).is_none();
    let messages = batch.messages.iter().filter(kept).cloned().collect();
    let Batch { messages: _, forget_all, released, subscribed, answered } = batch;
    Cow::Owned(Batch {
        messages,
        forget_all: *forget_all,
        released: released.clone(),
        subscribed: subscribed.clone(),
        answered: answered.clone(),
    })
}
