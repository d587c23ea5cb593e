//! The room as its callers see it: a real file, the real writer thread.

mod commits;
mod damage;
mod files;
mod full_disk;
mod mirrored;
mod pictures;
mod readings;
mod retention;
mod rollups;

use super::testing::*;
use super::*;
use crate::reading::{Clock, Timestamp, Value, ValueKind};
use crate::status::State;

fn message(topic: &str, payload: &[u8], id: Option<(&str, i64)>) -> NewMessage {
    NewMessage {
        topic: topic.into(),
        received: moment(NOON),
        qos: Qos::AtLeastOnce,
        retained: true,
        payload: payload.into(),
        id: id.map(|(epoch, row)| (epoch.into(), row)),
        fields: None,
        told: Vec::new(),
    }
}
