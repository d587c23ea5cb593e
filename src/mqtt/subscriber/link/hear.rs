//! What the broker says on a connection.

use std::time::Instant;

use tracing::warn;

use super::current::{Current, Leaving};
use super::{End, Link};
use crate::mirror::Aspect;
use crate::mqtt::backoff::chance;
use crate::mqtt::connection::{Connection, Event};
use crate::mqtt::failure::Failure;
use crate::mqtt::subscriber::intake::Taken;
use crate::reading::Moment;

impl Link<'_> {
    pub(super) fn event<C: Connection>(
        &mut self,
        connection: &mut C,
        current: &mut Current<C::Requests>,
        event: Event,
        now: Moment,
    ) -> Option<End> {
        if event.is_heard() {
            current.heard = Instant::now();
        }
        match event {
            // What is new stays with the broker: it is not acknowledged.
            Event::Message(_) if current.ending => {}
            Event::Message(message) if message.topic.is_empty() => {
                return Some(lost("a message without a topic"));
            }
            Event::Message(message) => {
                self.health.received.add(1);
                self.health.last.set(now.since_boot);
                if self.intake.message(message, now) == Taken::Repeat {
                    self.health.repeats.add(1);
                }
            }
            Event::Released(pkid) => {
                self.intake.released(pkid);
                connection.prime(Some(pkid));
            }
            Event::Sent(pkid) => self.replies.sent(pkid),
            Event::Done { pkid, refused } => {
                if let Some(reply) = self.replies.acknowledged(pkid) {
                    current.answering = None;
                    if let Some(why) = refused {
                        warn!("{}: the broker refuses an answer to {}: {why}", self.client_id, reply.topic);
                    }
                    self.intake.answered(reply.number);
                }
            }
            Event::Subscribing(pkid) | Event::Unsubscribing(pkid) => {
                if let Some((id, _)) = &mut current.asked {
                    *id = Some(pkid);
                }
            }
            Event::SubAck { pkid, granted } if current.awaits(pkid) => {
                current.asked = None;
                let granted = granted.first().copied().unwrap_or(Err("empty answer"));
                self.progress |= granted.is_ok();
                self.filters.answered(granted, Instant::now(), chance());
                self.filters_changed();
            }
            Event::UnsubAck(_) if current.leaving == Leaving::Asked => current.leaving = Leaving::Answered,
            Event::UnsubAck(pkid) if current.awaits(pkid) => {
                current.asked = None;
                self.filters.unsubscribed();
                self.filters_changed();
            }
            Event::Disconnecting if current.leaving == Leaving::Told => return Some(End::Stopped),
            // rumqttc's own answer to a broker that breaks the protocol; it says so nowhere else.
            Event::Disconnecting => return Some(lost("a topic alias that it never gave")),
            Event::Disconnected(why) => return Some(End::Lost(why)),
            _ => {}
        }
        None
    }

    /// Other topics are wanted: `ask` sends what is missing.
    pub(super) fn other_wishes(&mut self) {
        let wanted = self.orders.borrow_and_update().clone();
        self.filters.want(wanted);
        self.show_filters();
    }

    fn filters_changed(&mut self) {
        self.intake.subscribed(self.filters.subscribed().to_vec());
        self.show_filters();
    }

    /// Shows which filters are not granted, and tells the watcher once all are.
    pub(super) fn show_filters(&self) {
        self.health.set(Aspect::Filters, self.filters.state());
        if self.filters.is_complete() {
            (self.watcher)(true);
        }
    }
}

/// The broker has said what is not MQTT.
fn lost(what: &str) -> End {
    End::Lost(Failure::Protocol(what.to_owned()))
}
