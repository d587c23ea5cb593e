//! Everything that speaks MQTT: connections, the publisher, the subscriber. The only room that names `rumqttc`.
//!
//! It knows readings and the log, not sensors.

mod backoff;
pub(crate) mod connection;
mod deaths;
pub(crate) mod failure;
mod lanes;
mod message;
mod outbox;
mod saver;
mod tls;
pub(crate) mod v4;
pub(crate) mod v5;
mod window;
