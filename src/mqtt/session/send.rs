//! Handing messages over: in order, as many as there is room for, QoS 2 only after its packet id is on disk.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use tracing::debug;

use super::{Phase, Session, Status, Stop, Waiting};
use crate::config::Mqtt;
use crate::enrich::clock;
use crate::log::{InFlight, LogError, Stage};
use crate::mqtt::connection::{Connected, Outgoing, Requests};
use crate::mqtt::failure::Failure;
use crate::mqtt::lanes::LaneId;
use crate::mqtt::message::{Message, cut};
use crate::mqtt::outbox::Outbox;
use crate::payload;
use crate::platform;
use crate::reading::Qos;

/// A report that cannot go out at the moment is tried again after this long.
const LATER: Duration = Duration::from_secs(1);

/// So many rows before one are looked through for the beginning of its sample: more than any sensor has quantities.
const LONGEST_SAMPLE: i64 = 128;

impl<O: Outbox, R: Requests> Session<'_, O, R> {
    /// Hands over as many messages as there is room for.
    pub(super) fn top_up(&mut self, now: Instant) -> Result<(), Stop> {
        self.turn = None;
        if self.window.resuming() > 0 || self.waiting != Waiting::Nothing || self.renewing {
            return Ok(());
        }
        if !matches!(self.phase, Phase::Running | Phase::Draining { .. }) {
            return Ok(());
        }
        if !self.begin_talk(now)? {
            return Ok(());
        }
        self.speak(now)?;
        if self.status == Status::Unsaid {
            self.say("online", now)?;
            self.status =
                if self.connected.max_qos == Qos::AtMostOnce { Status::Acknowledged } else { Status::Said };
        }
        if self.probing && (self.status != Status::Acknowledged || !self.window.is_empty()) {
            return Ok(());
        }
        if self.holds() {
            return Ok(());
        }
        let committed = *self.shared.committed.borrow();
        let since_boot = clock::since_boot();
        while self.window.is_open() && self.may(now) {
            let shared = &mut *self.shared;
            let ready = shared.lanes.ready(&mut shared.outbox, committed, now, since_boot)?;
            // Rows that need no publishing have moved the lanes, too.
            self.moved = true;
            let Some(lane) = ready else { break };
            let Some(head) = shared.lanes.head(lane) else { break };
            let Some(publish) = head.publish() else { break };
            // Asked before the message is made: a picture is read from the log for it.
            let bytes = head.picture_bytes();
            let size = if bytes > 0 { payload::picture_size(head.first(), bytes) } else { 0 };
            let room = self.window.has_room(publish.qos.min(self.connected.max_qos));
            if !room || !self.window.has_room_for(size) {
                break;
            }
            let outgoing = outgoing(
                &self.connected,
                &shared.config,
                &mut shared.outbox,
                head,
                lane,
                &mut shared.buffer,
            )?;
            match outgoing {
                Some(mut outgoing) => {
                    if bytes == 0 {
                        self.seal(&mut outgoing, now)?;
                    }
                    self.hand_over(lane, outgoing, bytes > 0, now)?;
                    if let Some(pace) = &mut self.pace {
                        pace.take();
                    }
                }
                None => self.pass_over(lane),
            }
            if self.probing {
                break;
            }
        }
        let discarded = self.shared.lanes.take_discarded();
        if discarded > 0 {
            self.shared.figures.discarded.add(discarded);
        }
        let thinned = self.shared.lanes.take_thinned();
        if thinned > 0 {
            self.shared.figures.thinned.add(thinned);
        }
        Ok(())
    }

    /// Whether it is time for a message of readings; if not, a turn is waited for.
    fn may(&mut self, now: Instant) -> bool {
        let Some(pace) = self.pace.as_mut() else { return true };
        let may = pace.has_token(now);
        if !may {
            self.turn = pace.next(now);
        }
        may
    }

    /// A picture that is not in the log any more: retention under pressure, which has told of it.
    fn pass_over(&mut self, lane: LaneId) {
        if let Some((message, ticket)) = self.shared.lanes.take(lane, false) {
            debug!("publisher: the picture of row {} is gone from the log", message.row());
            self.shared.lanes.done(ticket);
        }
    }

    pub(super) fn hand_over(
        &mut self,
        lane: LaneId,
        outgoing: Outgoing,
        picture: bool,
        now: Instant,
    ) -> Result<(), Stop> {
        let too_large = self.too_large(&outgoing);
        let shared = &mut *self.shared;
        let handshake = outgoing.qos == Qos::ExactlyOnce;
        let Some((_, ticket)) = shared.lanes.take(lane, handshake) else { return Ok(()) };
        if let Some(reason) = too_large {
            shared.lanes.done(ticket);
            shared.refuse(ticket.row, &outgoing.topic, reason, now);
            return Ok(());
        }
        let pkid = self.window.number(Some(ticket), outgoing.qos, now);
        if picture {
            self.window.load(pkid, outgoing.payload.len());
        }
        if handshake {
            let one = InFlight { row: ticket.row, packet_id: pkid, stage: Stage::Sent };
            shared.handshakes.insert(ticket.row, one);
            shared.saver.handshake(ticket.row, pkid, Stage::Sent);
            // Row → packet id must be on disk before the PUBLISH is handed over, or after a crash nobody knows
            // which hand-shake to resume. What comes after it in the order waits with it.
            self.staged.push_back(outgoing);
        } else if self.staged.is_empty() {
            self.give(outgoing)?;
        } else {
            self.staged.push_back(outgoing);
        }
        self.proven = self.probing && self.status == Status::Acknowledged;
        Ok(())
    }

    /// Why a message cannot go out, if it is too large.
    pub(super) fn too_large(&self, outgoing: &Outgoing) -> Option<String> {
        let (size, content) = (outgoing.packet_size(), outgoing.payload.len());
        let most = self.shared.config.max_payload;
        if let Some(most) = most.filter(|most| content > *most) {
            return Some(format!(
                "a content of {content} bytes is larger than the {most} that the platform takes"
            ));
        }
        // Guards against an endless loop: rumqttc ends the connection over it, and the next, and so on.
        (size > self.max_packet)
            .then(|| format!("a message of {size} bytes is larger than the {} allowed", self.max_packet))
    }

    pub(super) fn give(&self, outgoing: Outgoing) -> Result<(), Stop> {
        // `try`: awaiting a full queue in the task that polls would be a deadlock. It is never full, being
        // larger than the window; if it were, the connection would be given up.
        self.requests.try_publish(outgoing).map_err(|error| Failure::Protocol(error.to_string()).into())
    }

    /// The retained status message. At QoS 1, so that it takes a packet id like any other, and its
    /// acknowledgement shows that the connection works.
    pub(super) fn say(&mut self, word: &str, now: Instant) -> Result<(), Stop> {
        let Some(topic) = self.shared.config.status_topic.clone() else { return Ok(()) };
        let qos = Qos::AtLeastOnce.min(self.connected.max_qos);
        self.said = Some(self.window.number(None, qos, now));
        let retain = self.connected.retain_available;
        self.give(Outgoing { topic, qos, retain, payload: word.into() })
    }

    /// The bridge's report, retained, if it is due. At QoS 0: another one comes anyway, and it needs no place in
    /// the window. It never goes before what is numbered and waits, or packets would be taken for one another.
    pub(super) fn report(&mut self, now: Instant) -> Result<(), Stop> {
        if self.next_report.is_none_or(|due| now < due) {
            return Ok(());
        }
        let Some(report) = &self.shared.report else { return Ok(()) };
        let quiet = self.phase == Phase::Running
            && self.status == Status::Acknowledged
            && self.waiting == Waiting::Nothing
            && self.staged.is_empty()
            && self.window.resuming() == 0
            && !self.probing
            && !self.renewing;
        if !quiet || !self.window.has_room(Qos::AtMostOnce) {
            self.next_report = Some(now + LATER);
            return Ok(());
        }
        self.next_report = Some(now + report.every);
        let Some(topic) = self.shared.config.facts_topic() else { return Ok(()) };
        let retain = self.connected.retain_available;
        let mut payload = (report.make)();
        if let Some(integrity) = &self.shared.config.integrity {
            integrity.seal(&topic, &mut payload);
        }
        let outgoing = Outgoing { topic, qos: Qos::AtMostOnce, retain, payload };
        if outgoing.packet_size() > self.max_packet {
            debug!("publisher: a report of {} bytes is larger than allowed", outgoing.packet_size());
            return Ok(());
        }
        self.window.number(None, Qos::AtMostOnce, now);
        self.give(outgoing)
    }

    pub(super) fn save(&mut self, now: Instant) -> Result<(), Stop> {
        if !self.staged.is_empty() && self.waiting == Waiting::Nothing {
            self.waiting = Waiting::Unsaved;
        }
        if let Some(urgency) = self.shared.saver.due(now) {
            self.shared.save(urgency, now)?;
            if self.waiting == Waiting::Unsaved && self.shared.saver.is_under_way() {
                self.waiting = Waiting::UnderWay;
            }
        }
        Ok(())
    }

    /// The urgent save under way is durable, or was lost.
    pub(super) fn stored(&mut self, durable: bool) -> Result<(), Stop> {
        self.shared.reply = None;
        if !durable {
            self.shared.saver.failed();
            return Err(Stop::LogLost);
        }
        self.shared.saver.confirmed();
        if self.waiting == Waiting::UnderWay {
            self.waiting = Waiting::Nothing;
            for outgoing in std::mem::take(&mut self.staged) {
                self.give(outgoing)?;
            }
        }
        Ok(())
    }

    /// The message that this row went out in, with the first of its rows.
    pub(super) fn went_out(&mut self, row: i64) -> Result<Option<(i64, Outgoing)>, LogError> {
        let shared = &mut *self.shared;
        let committed = *shared.committed.borrow();
        let rows = shared.outbox.outgoing(row - LONGEST_SAMPLE, committed, 1 + LONGEST_SAMPLE as usize)?;
        let mut messages = VecDeque::new();
        cut(rows, &mut messages);
        let found = messages.iter().find(|message| message.readings().iter().any(|one| one.row == row));
        let Some(found) = found else { return Ok(None) };
        let (config, outbox) = (&shared.config, &mut shared.outbox);
        let outgoing = outgoing(&self.connected, config, outbox, found, LaneId::Live, &mut shared.buffer)?;
        Ok(outgoing.map(|outgoing| (found.row(), outgoing)))
    }

    /// The message of this row, as it goes out.
    pub(super) fn find(&mut self, row: i64, lane: LaneId) -> Result<Option<Outgoing>, LogError> {
        let shared = &mut *self.shared;
        let committed = *shared.committed.borrow();
        let rows = shared.outbox.outgoing(row - 1, committed, 1)?;
        let mut messages = VecDeque::new();
        cut(rows, &mut messages);
        match messages.iter().find(|message| message.row() == row) {
            Some(found) => {
                let (config, outbox) = (&shared.config, &mut shared.outbox);
                outgoing(&self.connected, config, outbox, found, lane, &mut shared.buffer)
            }
            None => Ok(None),
        }
    }
}

/// The message as it goes out: never better than the broker takes, never retained when late. `None` for a
/// picture that is not in the log any more.
fn outgoing(
    connected: &Connected,
    config: &Mqtt,
    outbox: &mut impl Outbox,
    message: &Message,
    lane: LaneId,
    buffer: &mut Vec<u8>,
) -> Result<Option<Outgoing>, LogError> {
    let Some(publish) = message.publish() else { return Ok(None) };
    let late = lane == LaneId::Late;
    let mut payload = if message.picture_bytes() > 0 {
        // Not into the buffer, which would keep the size of the largest picture for ever.
        let Some(image) = outbox.image(message.row())? else { return Ok(None) };
        payload::picture(message.first(), &image, late)
    } else {
        platform::write(buffer, message.readings(), late);
        buffer.clone()
    };
    let topic = publish.late_topic.as_ref().filter(|_| late).unwrap_or(&publish.topic);
    let our_json = publish.shape.is_json() && (publish.format.is_none() || message.picture_bytes() > 0);
    if let Some(integrity) = config.integrity.as_ref().filter(|_| our_json) {
        integrity.seal(topic, &mut payload);
    }
    Ok(Some(Outgoing {
        topic: topic.clone(),
        qos: publish.qos.min(connected.max_qos),
        retain: publish.retain && !late && connected.retain_available,
        payload,
    }))
}
