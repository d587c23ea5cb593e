//! The real daemon in bad weather: brokers that stop and die, a network that is cut, stalls and swallows,
//! and a daemon that is killed, at random moments; independent witnesses count what arrives.
//!
//! Short by default; `CHAOS_EVENTS=300` (that is `make chaos`) for long. The seed is printed;
//! `SENSOR_BRIDGE_TEST_SEED` plays the same events again (their timing is the machine's).

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a helper that fails is a test that fails")]

mod handshakes;
mod ledger;
mod mirrored;
mod outgoing;
#[path = "../support/mod.rs"]
mod support;
mod weather;
