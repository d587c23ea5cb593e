//! The order in which readings go out, over rows in memory and a clock of the test's own.

mod order;
mod turns;

use std::time::Instant;

use tokio::sync::{oneshot, watch};

use super::super::outbox::Outbox;
use super::{Lanes, Ticket};
use crate::config::{Backlog, ClockPolicy};
use crate::log::{DeliveryState, DeliveryUpdate, LogError, Urgency};
use crate::mqtt::message::tests::logged;
use crate::reading::{Image, Logged, Shape};

/// Rows in memory; row ids that are missing are readings that are not published.
struct Rows(Vec<Logged>);

impl Outbox for Rows {
    fn state(&mut self) -> Result<DeliveryState, LogError> {
        Ok(DeliveryState::default())
    }

    fn committed(&self) -> watch::Receiver<i64> {
        watch::channel(0).1
    }

    fn outgoing(&mut self, after: i64, until: i64, limit: usize) -> Result<Vec<Logged>, LogError> {
        let wanted = self.0.iter().filter(|row| row.row > after && row.row <= until);
        Ok(wanted.take(limit).cloned().collect())
    }

    fn image(&mut self, _: i64) -> Result<Option<Image>, LogError> {
        Ok(None)
    }

    fn save(&mut self, _: DeliveryUpdate, _: Urgency) -> Result<oneshot::Receiver<()>, LogError> {
        Err(LogError::Closed)
    }
}

fn rows(ids: impl IntoIterator<Item = i64>) -> Rows {
    Rows(ids.into_iter().map(|row| logged(row, "a", row, Shape::Quantity, false)).collect())
}

fn lanes(state: DeliveryState, backlog: Backlog) -> Lanes {
    Lanes::new(&state, &backlog, None, ClockPolicy::Mark, Instant::now())
}

fn take(lanes: &mut Lanes, rows: &mut Rows, committed: i64) -> Option<Ticket> {
    let lane = lanes.ready(rows, committed, Instant::now(), 0).unwrap()?;
    Some(lanes.take(lane, false).unwrap().1)
}
