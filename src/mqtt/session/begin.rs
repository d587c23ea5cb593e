//! The beginning of a connection: what is resumed, what is sent again, what has become late.

use std::time::Instant;

use tracing::{debug, info};

use super::{End, FAREWELL, SHORT, Session, Waiting};
use crate::log::{LogError, Stage};
use crate::mqtt::connection::{Connection, Requests};
use crate::mqtt::lanes::Ticket;
use crate::mqtt::outbox::Outbox;

impl<O: Outbox, R: Requests> Session<'_, O, R> {
    /// The session that could not be resumed has been forgotten by the broker. This connection has no
    /// session that outlives it, so it serves for nothing else.
    pub(super) async fn forget<C: Connection>(mut self, connection: &mut C) -> End {
        info!("publisher: the broker's session was given up; messages in flight are sent again");
        self.shared.deaths.cleaned();
        self.shared.handshakes.clear();
        self.shared.lanes.restart();
        self.shared.saver.forget_all(self.shared.lanes.done_handshakes());
        let leave = Instant::now() + FAREWELL;
        self.disconnect(leave);
        while let Ok(Ok(event)) = tokio::time::timeout_at(leave.into(), connection.poll()).await {
            debug!("publisher: leaving: {event:?}");
        }
        End::Renew
    }

    /// After the CONNACK: what is resumed, what is sent again, what has become late.
    pub(super) fn begin<C: Connection>(&mut self, connection: &mut C) -> Result<(), LogError> {
        let shared = &mut *self.shared;
        let committed = *shared.committed.borrow();
        shared.figures.connections.add(1);
        shared.figures.reconnects.set((shared.figures.connections.get() - 1).max(0));
        shared.figures.retry_ms.set(0);
        if let Some(talk) = &mut shared.talk {
            talk.restart();
        }
        shared.lanes.restart();
        shared.lanes.set_boundary(committed);
        let short = shared.offline_since.elapsed() < SHORT;
        let boundary = match shared.committed_at_start.take() {
            Some(at_start) if short => Some(at_start),
            _ if short => None,
            _ => Some(committed),
        };
        if boundary.is_some_and(|boundary| shared.lanes.split(boundary)) {
            shared.saver.split(shared.lanes.cursor(), shared.lanes.ranges());
            // The jump of the live lane must be durable before anything after it goes out.
            self.waiting = Waiting::Unsaved;
        }
        if self.connected.session_present {
            self.resume(connection)?;
        } else if !self.shared.handshakes.is_empty() {
            // The broker has forgotten: everything unacknowledged is sent again, as new.
            self.shared.handshakes.clear();
            self.shared.saver.forget_all(self.shared.lanes.done_handshakes());
        }
        debug!(
            "publisher: connected, session {}, resuming {}, window {} of {}",
            self.connected.session_present,
            self.resumed,
            self.shared.config.window,
            self.window.ring()
        );
        Ok(())
    }

    /// Takes up the QoS 2 hand-shakes where they stood, through `EventLoop::pending`: the PUBLISH with its
    /// packet id and DUP, or the PUBREL when the PUBREC was seen. rumqttc's own resend has DUP=0.
    pub(super) fn resume<C: Connection>(&mut self, connection: &mut C) -> Result<(), LogError> {
        let now = Instant::now();
        for one in self.shared.handshakes.values().copied().collect::<Vec<_>>() {
            let lane = self.shared.lanes.lane_of(one.row);
            // It is in no lane: those begin after the hand-shakes are done.
            let ticket = Ticket { lane, seq: u64::MAX, row: one.row };
            let released = one.stage == Stage::Released;
            let outgoing = if released { None } else { self.find(one.row, lane)? };
            let can = released || outgoing.is_some();
            if !can || !self.window.resume(one.packet_id, ticket, released, now) {
                // Deleted under pressure, or an id of a larger window: not to be resumed. If the row is
                // still there, it is sent again as new.
                self.shared.handshakes.remove(&one.row);
                self.shared.saver.forget(one.row);
                continue;
            }
            match outgoing {
                Some(outgoing) => connection.resume_publish(one.packet_id, outgoing),
                None => connection.resume_pubrel(one.packet_id),
            }
        }
        self.resumed = self.window.resuming();
        Ok(())
    }
}
