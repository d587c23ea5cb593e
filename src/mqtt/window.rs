//! What is in flight on one connection: which packet id carries which message. Pure bookkeeping.
//!
//! rumqttc gives no answer to "which packet id did this publish get". But a fresh `EventLoop` numbers the
//! publishes handed to it 1…R and wraps, R being the smaller of our limit and the broker's receive maximum,
//! so the ids can be foretold. The window hands out an id only when it is free: rumqttc's own answer to a
//! busy id is to stop sending ("collision"), from which it may never recover.

use std::collections::VecDeque;
use std::time::Instant;

use super::lanes::Ticket;
use crate::reading::Qos;

/// QoS 2 messages in flight, half-finished ones included. mosquitto on 3.1.1 silently drops what exceeds
/// its `max_inflight_messages`, which is 20 unless configured. With 20 QoS 2 messages in flight it drops a
/// QoS 1 message, too, and acknowledges it all the same.
pub(super) const HANDSHAKES: usize = 20;

/// Bytes of pictures on their way at once, or one picture if that is larger: rumqttc keeps each message in
/// memory until it is acknowledged.
pub(super) const PICTURES: usize = 4 << 20;

/// What a packet id stands for.
#[derive(Debug, Clone)]
pub(super) struct Slot {
    /// The message's place in its lane; `None` for the bridge's own status.
    pub ticket: Option<Ticket>,
    /// Quality of service it is sent with.
    pub qos: Qos,
    /// When it was handed over.
    pub since: Instant,
    /// Its PUBREC was seen.
    pub released: bool,
    /// Its PUBLISH was written.
    pub sent: bool,
    /// A hand-shake of an earlier connection.
    pub resumed: bool,
    /// Payload that it keeps in memory, if it is a picture.
    pub bytes: usize,
}

/// The messages in flight on one connection.
#[derive(Debug)]
pub(super) struct Window {
    ring: u16,
    limit: usize,
    next: u16,
    slots: Vec<Option<Slot>>,
    busy: usize,
    handshakes: usize,
    resuming: usize,
    /// Ids handed over whose PUBLISH was not reported as written yet.
    expected: VecDeque<u16>,
    /// QoS 0 messages handed over and not written yet, with the bytes of those that are pictures.
    unwritten: VecDeque<(Option<Ticket>, usize)>,
    /// Bytes of all pictures under way.
    bytes: usize,
}

/// rumqttc numbered a publish otherwise than foretold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mismatch(pub u16);

impl Window {
    /// `slots` is what the connection was opened with, `receive_max` the broker's answer, `limit` the most
    /// messages that the configuration wants in flight.
    pub(super) fn new(slots: u16, receive_max: u16, limit: usize) -> Self {
        let ring = slots.min(receive_max).max(1);
        Self {
            ring,
            limit: limit.clamp(1, usize::from(ring)),
            next: 1,
            slots: vec![None; usize::from(slots) + 1],
            busy: 0,
            handshakes: 0,
            resuming: 0,
            expected: VecDeque::new(),
            unwritten: VecDeque::new(),
            bytes: 0,
        }
    }

    /// Whether one more message of this quality can be handed over now.
    pub(super) fn has_room(&self, qos: Qos) -> bool {
        match qos {
            Qos::AtMostOnce => self.unwritten.len() < self.limit,
            Qos::AtLeastOnce | Qos::ExactlyOnce => {
                self.busy < self.limit && self.handshakes < HANDSHAKES && self.next_is_free()
            }
        }
    }

    /// Whether a picture whose message has so many bytes may come into memory now.
    pub(super) fn has_room_for(&self, bytes: usize) -> bool {
        bytes == 0 || self.bytes == 0 || self.bytes + bytes <= PICTURES
    }

    /// Takes note of the bytes of the picture just numbered `pkid`.
    pub(super) fn load(&mut self, pkid: u16, bytes: usize) {
        let of = match pkid {
            0 => self.unwritten.back_mut().map(|(_, bytes)| bytes),
            _ => self.slots[usize::from(pkid)].as_mut().map(|slot| &mut slot.bytes),
        };
        if let Some(of) = of {
            *of = bytes;
            self.bytes += bytes;
        }
    }

    /// Whether it is worth while to look for a message.
    pub(super) fn is_open(&self) -> bool {
        self.busy < self.limit && self.unwritten.len() < self.limit
    }

    /// Whether one message beyond the limit (the farewell) can still be numbered.
    pub(super) fn has_spare(&self) -> bool {
        self.busy < usize::from(self.ring) && self.handshakes < HANDSHAKES && self.next_is_free()
    }

    fn next_is_free(&self) -> bool {
        self.slots[usize::from(self.next)].is_none()
    }

    /// Takes the next packet id for a message that is about to be handed over; 0 at QoS 0. Messages must be
    /// handed over in the order in which they were numbered.
    pub(super) fn number(&mut self, ticket: Option<Ticket>, qos: Qos, now: Instant) -> u16 {
        if qos == Qos::AtMostOnce {
            self.unwritten.push_back((ticket, 0));
            return 0;
        }
        let pkid = self.next;
        self.next = if pkid == self.ring { 1 } else { pkid + 1 };
        self.expected.push_back(pkid);
        let slot = Slot { ticket, qos, since: now, released: false, sent: false, resumed: false, bytes: 0 };
        self.occupy(pkid, slot);
        pkid
    }

    /// Takes over a QoS 2 hand-shake of an earlier connection. Answers false for an id that this connection
    /// cannot have.
    pub(super) fn resume(&mut self, pkid: u16, ticket: Ticket, released: bool, now: Instant) -> bool {
        if pkid == 0 || self.slots.get(usize::from(pkid)).is_none_or(Option::is_some) {
            return false;
        }
        self.resuming += 1;
        let slot = Slot {
            ticket: Some(ticket),
            qos: Qos::ExactlyOnce,
            since: now,
            released,
            sent: true,
            resumed: true,
            bytes: 0,
        };
        self.occupy(pkid, slot);
        true
    }

    fn occupy(&mut self, pkid: u16, slot: Slot) {
        self.busy += 1;
        self.handshakes += usize::from(slot.qos == Qos::ExactlyOnce);
        self.slots[usize::from(pkid)] = Some(slot);
    }

    /// Hand-shakes of an earlier connection that are not finished. Until they are, nothing new goes out:
    /// a new message could get an id that the broker still knows as another message's.
    pub(super) fn resuming(&self) -> usize {
        self.resuming
    }

    /// A QoS 0 publish was written: answers its ticket.
    pub(super) fn written(&mut self) -> Option<Ticket> {
        let (ticket, bytes) = self.unwritten.pop_front()?;
        self.bytes -= bytes;
        ticket
    }

    /// A publish with this id was written.
    pub(super) fn sent(&mut self, pkid: u16) -> Result<(), Mismatch> {
        let slot = self.slots.get_mut(usize::from(pkid)).and_then(Option::as_mut);
        if let Some(Slot { resumed: true, .. }) = slot {
            return Ok(());
        }
        match (self.expected.pop_front(), slot) {
            (Some(expected), Some(slot)) if expected == pkid => {
                slot.sent = true;
                Ok(())
            }
            _ => Err(Mismatch(pkid)),
        }
    }

    /// PUBREC for this id: answers the message.
    pub(super) fn released(&mut self, pkid: u16) -> Option<&Slot> {
        let slot = self.slots.get_mut(usize::from(pkid))?.as_mut()?;
        slot.released = true;
        // From here on only the packet id is kept.
        self.bytes -= std::mem::take(&mut slot.bytes);
        Some(slot)
    }

    /// PUBACK or PUBCOMP, positive or not: frees the id and answers the message.
    pub(super) fn done(&mut self, pkid: u16) -> Option<Slot> {
        let slot = self.slots.get_mut(usize::from(pkid))?.take()?;
        self.busy -= 1;
        self.bytes -= slot.bytes;
        self.handshakes -= usize::from(slot.qos == Qos::ExactlyOnce);
        self.resuming -= usize::from(slot.resumed);
        Some(slot)
    }

    /// Messages with a packet id that are not acknowledged.
    pub(super) fn in_flight(&self) -> usize {
        self.busy
    }

    /// Whether nothing at all is under way.
    pub(super) fn is_empty(&self) -> bool {
        self.busy == 0 && self.unwritten.is_empty()
    }

    /// The message that was handed over first of those in flight.
    pub(super) fn oldest(&self) -> Option<&Slot> {
        self.slots.iter().flatten().min_by_key(|slot| slot.since)
    }

    /// Highest packet id in use before the ids begin again.
    pub(super) fn ring(&self) -> u16 {
        self.ring
    }

    /// Changes the most messages in flight.
    pub(super) fn set_limit(&mut self, limit: usize) {
        self.limit = limit.clamp(1, usize::from(self.ring));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rumqttc::{MqttState, Packet, PubAck, PubComp, PubRec, Publish, QoS, Request};

    use super::super::lanes::LaneId;
    use super::*;

    fn ticket(row: i64) -> Ticket {
        Ticket { lane: LaneId::Live, seq: 0, row }
    }

    #[test]
    fn ids_run_up_and_wrap() {
        let mut window = Window::new(1024, 3, 100);
        let now = Instant::now();
        let mut ids = Vec::new();
        for row in 1..=7 {
            let pkid = window.number(Some(ticket(row)), Qos::AtLeastOnce, now);
            ids.push(pkid);
            window.sent(pkid).unwrap();
            assert_eq!(window.done(pkid).unwrap().ticket, Some(ticket(row)));
        }
        assert_eq!(ids, [1, 2, 3, 1, 2, 3, 1]);
    }

    #[test]
    fn a_busy_id_is_waited_for() {
        let mut window = Window::new(3, u16::MAX, 3);
        let now = Instant::now();
        for row in 1..=3 {
            window.number(Some(ticket(row)), Qos::AtLeastOnce, now);
        }
        window.done(2).unwrap();
        // Two in flight of three, but the next id is 1 and still in use.
        assert_eq!(window.in_flight(), 2);
        assert!(!window.has_room(Qos::AtLeastOnce));
        assert!(window.has_room(Qos::AtMostOnce));
        window.done(1).unwrap();
        assert!(window.has_room(Qos::AtLeastOnce));
    }

    #[test]
    fn twenty_handshakes_at_most() {
        let mut window = Window::new(1024, u16::MAX, 100);
        let now = Instant::now();
        for row in 1..=20 {
            assert!(window.has_room(Qos::ExactlyOnce));
            window.number(Some(ticket(row)), Qos::ExactlyOnce, now);
        }
        window.released(1).unwrap();
        assert!(!window.has_room(Qos::ExactlyOnce), "a released one still counts");
        assert!(!window.has_room(Qos::AtLeastOnce), "mosquitto would drop it");
        assert!(window.has_room(Qos::AtMostOnce));
        window.done(1).unwrap();
        assert!(window.has_room(Qos::ExactlyOnce));
    }

    #[test]
    fn resumed_hand_shakes_keep_their_ids() {
        let mut window = Window::new(10, u16::MAX, 10);
        let now = Instant::now();
        assert!(window.resume(7, ticket(1), false, now));
        assert!(!window.resume(7, ticket(2), false, now), "taken");
        assert!(!window.resume(0, ticket(2), false, now) && !window.resume(11, ticket(2), false, now));
        window.sent(7).unwrap();
        assert_eq!(window.resuming(), 1);
        window.done(7).unwrap();
        assert_eq!(window.resuming(), 0);
        assert_eq!(window.number(Some(ticket(2)), Qos::ExactlyOnce, now), 1);
    }

    #[test]
    fn pictures_in_memory_are_bounded_by_their_bytes() {
        let mut window = Window::new(1024, u16::MAX, 100);
        let now = Instant::now();
        assert!(window.has_room_for(2 * PICTURES), "one is always taken");
        for (row, qos) in (1..).zip([Qos::AtMostOnce, Qos::AtLeastOnce, Qos::ExactlyOnce]) {
            assert!(window.has_room_for(PICTURES / 3));
            let pkid = window.number(Some(ticket(row)), qos, now);
            window.load(pkid, PICTURES / 3);
        }
        assert!(!window.has_room_for(PICTURES / 3));
        assert!(window.has_room_for(0), "readings are not held up");
        window.written().unwrap();
        assert!(window.has_room_for(PICTURES / 3) && !window.has_room_for(2 * (PICTURES / 3)));
        window.released(2).unwrap();
        assert!(window.has_room_for(2 * (PICTURES / 3)));
        window.done(2).unwrap();
        window.done(1).unwrap();
        assert_eq!(window.bytes, 0);
    }

    #[test]
    fn an_unforeseen_id_is_noticed() {
        let mut window = Window::new(10, u16::MAX, 10);
        window.number(Some(ticket(1)), Qos::AtLeastOnce, Instant::now());
        assert_eq!(window.sent(2), Err(Mismatch(2)));
    }

    #[derive(Debug, Clone, Copy)]
    enum Step {
        Publish(u8),
        Ack(usize),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![(0..3u8).prop_map(Step::Publish), (0..64usize).prop_map(Step::Ack)];
        proptest::collection::vec(step, 0..400)
    }

    proptest! {
        /// Against the real thing: whatever is acknowledged in whatever order, rumqttc's state machine gives
        /// the ids that the window foretold and never reports a collision.
        #[test]
        fn foretells_the_ids_of_rumqttc(slots in 1..40u16, limit in 1..60usize, steps in steps()) {
            let mut state = MqttState::new(slots, false);
            let mut window = Window::new(slots, u16::MAX, limit);
            let mut flying: Vec<(u16, QoS)> = Vec::new();
            for (row, step) in (1..).zip(steps) {
                match step {
                    Step::Publish(level) => {
                        let qos = Qos::try_from(i64::from(level)).unwrap();
                        if !window.has_room(qos) { continue }
                        let foretold = window.number(Some(ticket(row)), qos, Instant::now());
                        let raw = [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce][usize::from(level)];
                        let request = Request::Publish(Publish::new("t", raw, Vec::new()));
                        match state.handle_outgoing_packet(request).unwrap() {
                            Some(Packet::Publish(publish)) => prop_assert_eq!(publish.pkid, foretold),
                            other => prop_assert!(false, "collision: {:?}", other),
                        }
                        if foretold == 0 {
                            prop_assert_eq!(window.written(), Some(ticket(row)));
                        } else {
                            prop_assert_eq!(window.sent(foretold), Ok(()));
                            flying.push((foretold, raw));
                        }
                    }
                    Step::Ack(which) if !flying.is_empty() => {
                        let (pkid, qos) = flying.swap_remove(which % flying.len());
                        if qos == QoS::ExactlyOnce {
                            state.handle_incoming_packet(Packet::PubRec(PubRec::new(pkid))).unwrap();
                            state.handle_incoming_packet(Packet::PubComp(PubComp::new(pkid))).unwrap();
                        } else {
                            state.handle_incoming_packet(Packet::PubAck(PubAck::new(pkid))).unwrap();
                        }
                        prop_assert!(window.done(pkid).is_some());
                    }
                    Step::Ack(_) => {}
                }
                prop_assert_eq!(usize::from(state.inflight()), window.in_flight());
                prop_assert!(window.in_flight() <= limit.min(usize::from(slots)));
            }
        }
    }
}
