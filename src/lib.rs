//! sensor-bridge: sensors → changed values → a committed SQLite log → acknowledged MQTT, and back.
//!
//! The rooms of the house and who may use whom are described in `docs/architecture.md`; the test
//! `tests/architecture.rs` holds the code to it. Data flows one way:
//!
//! ```text
//! bus ─ sensor ─▶ sampling ─▶ filter ─▶ enrich ─▶ log ─▶ mqtt::publisher ─▶ broker
//!                                                  ▲                          │
//!                                                mirror ◀── mqtt::subscriber ◀┘
//! ```

pub mod bus;
pub mod cli;
pub mod command;
pub mod config;
pub mod daemon;
pub mod demo;
pub mod doctor;
pub mod enrich;
pub mod exchange;
pub mod facts;
pub mod filter;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzz;
pub mod integrity;
pub mod log;
pub mod mirror;
pub mod mqtt;
pub mod output;
pub mod payload;
pub mod platform;
pub mod plot;
pub mod reading;
pub mod sampling;
pub mod sensor;
pub mod setup;
pub mod status;
pub mod thrift;
pub mod web;
