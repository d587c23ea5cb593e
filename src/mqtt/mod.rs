//! Everything that speaks MQTT: connections, the publisher, the subscriber. The only room that names `rumqttc`.
//!
//! It knows readings and the log, not sensors.

mod access;
mod backoff;
mod bucket;
pub(crate) mod connection;
mod deaths;
pub(crate) mod failure;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod lanes;
mod message;
mod outbox;
pub(crate) mod probe;
mod publisher;
mod publishing;
mod report;
mod saver;
mod session;
pub mod subscriber;
mod talk;
#[cfg(test)]
mod testing;
mod tls;
mod token;
pub(crate) mod v4;
pub(crate) mod v5;
mod window;

pub use publisher::{Beside, Publisher, StartError};
pub use report::Report;
pub use talk::Conversation;
