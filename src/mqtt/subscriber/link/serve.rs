//! One connection, from CONNACK to its end: waits for whatever comes first, and lets the others act on it.

use std::pin::pin;
use std::time::Instant;

use tokio::time::sleep_until;
use tracing::info;

use super::current::Current;
use super::{End, Link};
use crate::enrich::clock;
use crate::mirror::Aspect;
use crate::mqtt::connection::{Connected, Connection};
use crate::mqtt::subscriber::STOP;
use crate::status::State;

impl Link<'_> {
    /// Takes over what CONNACK says.
    pub(super) fn connected<R>(&mut self, connected: &Connected, requests: R) -> Current<R> {
        let had = !self.filters.subscribed().is_empty();
        self.filters.want(self.orders.borrow_and_update().clone());
        self.filters.connected(connected.session_present);
        if !connected.session_present {
            self.intake.session_gone();
            self.intake.subscribed(Vec::new());
            if had {
                info!("{}: the broker has no session any more; subscribing again", self.client_id);
            }
        }
        // In this order: it is not shown as well before it is subscribed.
        self.show_filters();
        self.health.set(Aspect::Link, State::Ok);
        Current::new(connected, requests)
    }

    /// Until it is over; a token that has expired is no reason to stop.
    pub(super) async fn serve<C: Connection>(
        &mut self,
        connection: &mut C,
        current: &mut Current<C::Requests>,
    ) -> End {
        match self.until_left(connection, current).await {
            End::Stopped if current.expires.is_some_and(|expires| Instant::now() >= expires) => End::Renewed,
            end => end,
        }
    }

    async fn until_left<C: Connection>(
        &mut self,
        connection: &mut C,
        current: &mut Current<C::Requests>,
    ) -> End {
        let mut leave_by = None;
        loop {
            let event = {
                // Kept over the inner loop: dropped half-way, it could lose a packet (see `Connection`).
                let mut poll = pin!(connection.poll());
                loop {
                    let expired = current.expires.is_some_and(|expires| Instant::now() >= expires);
                    if leave_by.is_none() && (expired || self.is_over()) {
                        current.ending = true;
                        leave_by = Some(Instant::now() + STOP);
                    }
                    if let Some(end) = self.step(current, leave_by) {
                        return end;
                    }
                    let reading = current.paused.is_none();
                    let due = self.due(current, leave_by);
                    tokio::select! {
                        biased;
                        changed = self.orders.changed(), if leave_by.is_none() => {
                            if changed.is_ok() {
                                self.other_wishes();
                            }
                        }
                        answer = self.answers.recv() => match answer {
                            Some(answer) => current.owed.extend(self.stored(answer)),
                            // The log is closed, or the sink's thread has panicked; the board says it.
                            None => return End::Stopped,
                        },
                        event = &mut poll, if reading => break event,
                        () = sleep_until(due.into()) => {}
                    }
                }
            };
            let now = clock::now();
            match event {
                Ok(event) => {
                    let mut next = Some(event);
                    while let Some(event) = next {
                        if let Some(end) = self.event(connection, current, event, now) {
                            return end;
                        }
                        next = connection.buffered();
                    }
                }
                Err(dead) => {
                    for event in dead.last {
                        if let Some(end) = self.event(connection, current, event, now) {
                            return end;
                        }
                    }
                    return if leave_by.is_some() { End::Stopped } else { End::Lost(dead.why) };
                }
            }
        }
    }
}
