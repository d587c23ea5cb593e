//! What has been received and not yet handed to the sink, and what must not be taken twice. Pure: events in,
//! batches out; it does no I/O and asks no clock.

use std::collections::HashMap;

use super::super::connection::Message;
use super::finished::Finished;
use crate::mirror::{Batch, Incoming, fingerprint};
use crate::reading::{Moment, Qos};

/// Most messages that one batch gathers. What a commit costs is spread over them.
const MOST_MESSAGES: usize = 1000;

/// Most payload that one batch gathers, bytes; a single larger message still fits.
const MOST_BYTES: usize = 8 << 20;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Intake {
    batch: Batch,
    bytes: usize,
    /// To be acknowledged when the batch is durable.
    acks: Vec<(u16, Qos)>,
    /// QoS 2 packet ids taken and not released, with the hash of their message: such a message is not stored
    /// again when the broker sends it again. rumqttc does not tell them apart.
    held: HashMap<u16, i64>,
    /// QoS 1 messages of this connection, taken and not acknowledged.
    unacknowledged: HashMap<u16, i64>,
    /// The same of earlier connections. The broker must send these again, and cannot have given their packet
    /// ids to others, as no acknowledgement ever went out.
    carried: HashMap<u16, i64>,
    finished: Finished,
}

/// What became of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Taken {
    /// It goes into the batch.
    New,
    /// It is stored, or about to be, already.
    Repeat,
}

impl Intake {
    /// Begins with what an earlier run left.
    pub(super) fn new(held: Vec<(u16, i64)>) -> Self {
        Self { held: held.into_iter().collect(), ..Self::default() }
    }

    /// Takes a message.
    pub(super) fn message(&mut self, message: Message, received: Moment) -> Taken {
        let Message { pkid, qos, dup, retain, topic, payload, response } = message;
        let hash = if qos == Qos::AtMostOnce { 0 } else { fingerprint(&topic, &payload) };
        let known = match qos {
            Qos::AtMostOnce => None,
            Qos::AtLeastOnce => {
                self.unacknowledged.insert(pkid, hash);
                self.carried.remove(&pkid)
            }
            Qos::ExactlyOnce => self.held.insert(pkid, hash),
        };
        if qos != Qos::AtMostOnce {
            self.acks.push((pkid, qos));
            self.finished.saw(pkid, dup);
        }
        if dup && (known == Some(hash) || self.finished.has(pkid, hash)) {
            return Taken::Repeat;
        }
        self.bytes += topic.len() + payload.len();
        self.batch.messages.push(Incoming {
            topic,
            payload,
            qos,
            retained: retain,
            received,
            packet_id: pkid,
            dup,
            hash,
            response,
        });
        Taken::New
    }

    /// The broker has released a QoS 2 packet id: it may give it to another message.
    pub(super) fn released(&mut self, pkid: u16) {
        if let Some(hash) = self.held.remove(&pkid) {
            self.batch.released.push(pkid);
            self.finished.add(pkid, hash);
        }
    }

    /// These filters are subscribed now.
    pub(super) fn subscribed(&mut self, filters: Vec<(String, Qos)>) {
        self.batch.subscribed = Some(filters);
    }

    /// The broker has acknowledged an answer of ours.
    pub(super) fn answered(&mut self, number: i64) {
        self.batch.answered.push(number);
    }

    /// An acknowledgement went out.
    pub(super) fn acknowledged(&mut self, pkid: u16, qos: Qos) {
        if qos == Qos::AtLeastOnce
            && let Some(hash) = self.unacknowledged.remove(&pkid)
        {
            self.finished.add(pkid, hash);
        }
    }

    /// The connection is over. What was received is stored all the same: whether the broker still has it is
    /// not known. It cannot be acknowledged any more.
    pub(super) fn disconnected(&mut self) {
        self.acks.clear();
        self.carried.extend(self.unacknowledged.drain());
    }

    /// A connection is made, and the broker knows nothing of earlier ones: packet ids begin anew.
    pub(super) fn session_gone(&mut self) {
        self.held.clear();
        self.carried.clear();
        self.finished = Finished::default();
        self.batch.forget_all = true;
        self.batch.released.clear();
        // They are still to be stored, but their packet ids must not be held: they mean others by now.
        for message in &mut self.batch.messages {
            message.packet_id = 0;
        }
    }

    /// Whether the batch says that the broker's session is gone.
    pub(super) fn forgets(&self) -> bool {
        self.batch.forget_all
    }

    /// Whether no more should be read.
    pub(super) fn is_full(&self) -> bool {
        self.acks.len() >= MOST_MESSAGES
            || self.batch.messages.len() >= MOST_MESSAGES
            || self.bytes >= MOST_BYTES
    }

    /// Whether there is anything to hand over.
    pub(super) fn is_empty(&self) -> bool {
        self.batch.is_empty() && self.acks.is_empty()
    }

    /// Whether all there is can wait a little for company: a released packet id or an acknowledged answer alone
    /// is not worth a commit.
    pub(super) fn can_wait(&self) -> bool {
        let batch = &self.batch;
        self.acks.is_empty() && batch.messages.is_empty() && !batch.forget_all && batch.subscribed.is_none()
    }

    /// The batch, and what to acknowledge when it is durable.
    pub(super) fn take(&mut self) -> (Batch, Vec<(u16, Qos)>) {
        self.bytes = 0;
        (std::mem::take(&mut self.batch), std::mem::take(&mut self.acks))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reading::{Clock, Timestamp};

    fn now() -> Moment {
        Moment { wall: Timestamp(0), since_boot: 0, clock: Clock::Synced }
    }

    fn message(pkid: u16, qos: Qos, dup: bool, payload: &str) -> Message {
        Message { pkid, qos, dup, retain: false, topic: "t".into(), payload: payload.into(), response: None }
    }

    fn take(intake: &mut Intake, pkid: u16, qos: Qos, dup: bool, payload: &str) -> Taken {
        intake.message(message(pkid, qos, dup, payload), now())
    }

    #[test]
    fn qos_2_is_taken_once_until_it_is_released() {
        let qos = Qos::ExactlyOnce;
        let mut intake = Intake::new(Vec::new());
        assert_eq!(take(&mut intake, 1, qos, false, "a"), Taken::New);
        assert_eq!(take(&mut intake, 1, qos, true, "a"), Taken::Repeat);
        intake.disconnected();
        assert_eq!(take(&mut intake, 1, qos, true, "a"), Taken::Repeat, "on another connection");
        assert_eq!(take(&mut intake, 1, qos, true, "b"), Taken::New, "another message");
        assert_eq!(
            take(&mut intake, 1, qos, false, "b"),
            Taken::New,
            "DUP not set: the broker says it is new"
        );
        let (batch, acks) = intake.take();
        assert_eq!(batch.messages.len(), 3);
        assert_eq!(acks, [(1, qos); 3], "every one since the reconnection is acknowledged");
        intake.released(1);
        intake.released(9);
        assert_eq!(take(&mut intake, 1, qos, true, "b"), Taken::New, "released, so it is another");
        assert_eq!(intake.take().0.released, [1]);
    }

    #[test]
    fn qos_2_is_remembered_from_an_earlier_run() {
        let hash = fingerprint("t", b"a");
        let mut intake = Intake::new(vec![(7, hash)]);
        assert_eq!(take(&mut intake, 7, Qos::ExactlyOnce, true, "a"), Taken::Repeat);
        let (batch, acks) = intake.take();
        assert!(batch.messages.is_empty());
        assert_eq!(acks, [(7, Qos::ExactlyOnce)]);
    }

    #[test]
    fn qos_1_is_taken_once_only_if_it_was_never_acknowledged() {
        let qos = Qos::AtLeastOnce;
        let mut intake = Intake::new(Vec::new());
        take(&mut intake, 1, qos, false, "a");
        take(&mut intake, 2, qos, false, "b");
        intake.take();
        intake.acknowledged(1, qos);
        intake.disconnected();
        assert_eq!(take(&mut intake, 1, qos, true, "a"), Taken::New, "its id may be another's by now");
        assert_eq!(take(&mut intake, 2, qos, true, "b"), Taken::Repeat);
        assert_eq!(take(&mut intake, 2, qos, true, "b"), Taken::New, "told apart once");
        assert_eq!(intake.take().1.len(), 3);
    }

    #[test]
    fn a_lost_session_forgets_ids_and_keeps_messages() {
        let mut intake = Intake::new(vec![(7, 7)]);
        take(&mut intake, 1, Qos::ExactlyOnce, false, "a");
        take(&mut intake, 2, Qos::AtLeastOnce, false, "b");
        intake.disconnected();
        intake.session_gone();
        assert_eq!(take(&mut intake, 1, Qos::ExactlyOnce, true, "a"), Taken::New);
        assert_eq!(take(&mut intake, 2, Qos::AtLeastOnce, true, "b"), Taken::New);
        let (batch, acks) = intake.take();
        assert!(batch.forget_all);
        let ids: Vec<_> = batch.messages.iter().map(|message| message.packet_id).collect();
        assert_eq!(ids, [0, 0, 1, 2]);
        assert_eq!(acks, [(1, Qos::ExactlyOnce), (2, Qos::AtLeastOnce)]);
    }

    #[test]
    fn it_is_bounded() {
        let mut intake = Intake::new(Vec::new());
        for pkid in 1..=MOST_MESSAGES as u16 {
            assert!(!intake.is_full());
            take(&mut intake, pkid, Qos::AtLeastOnce, false, "a");
        }
        assert!(intake.is_full());
        intake.take();
        take(&mut intake, 0, Qos::AtMostOnce, false, &"x".repeat(MOST_BYTES));
        assert!(intake.is_full());
        intake.take();
        assert!(!intake.is_full() && intake.is_empty());
    }

    #[test]
    fn a_released_id_alone_can_wait() {
        let mut intake = Intake::new(vec![(7, 7)]);
        intake.released(7);
        assert!(intake.can_wait() && !intake.is_empty());
        intake.subscribed(Vec::new());
        assert!(!intake.can_wait());
    }
}
