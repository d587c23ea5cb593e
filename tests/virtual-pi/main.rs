//! The product on a Raspberry Pi 3, emulated: the aarch64 release binary on an SD card, a TMP105 on i2c-1, pins,
//! and a network to a mosquitto on this machine. `make virtual-pi`; docs/virtual-pi.md says what this proves
//! and what it cannot.
//!
//! Ignored by `cargo test`: it needs an emulator, a kernel and a cross-built binary, and takes minutes.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a helper that fails is a test that fails")]

mod card;
mod clock;
mod console;
mod debian;
#[path = "../chaos/ledger.rs"]
mod ledger;
mod pi;
mod pins;
mod power;
mod qmp;
mod sensor;
#[path = "../support/mod.rs"]
mod support;
mod system;

use std::time::Duration;

use sensor_bridge::enrich::clock as host;
use serde_json::Value;
use support::Message;

/// Long enough for anything that an emulated Pi does within a second, on a machine with better things to do.
const SOON: Duration = Duration::from_secs(180);

/// Seconds since 1970, by the clock of this machine.
fn now() -> f64 {
    host::now().wall.0 as f64 / 1e6
}

/// The payload of a message, parsed.
fn json(message: &Message) -> Value {
    serde_json::from_str(&message.payload).unwrap_or(Value::Null)
}
