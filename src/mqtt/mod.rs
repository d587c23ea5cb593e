//! Everything that speaks MQTT: connections, the publisher, the subscriber. The only room that names `rumqttc`.
//!
//! It knows readings and the log, not sensors.

mod backoff;
pub(crate) mod connection;
pub(crate) mod failure;
pub mod subscriber;
mod tls;
pub(crate) mod v4;
pub(crate) mod v5;
