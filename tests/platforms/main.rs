//! The real binary beside small simulated IoT platforms, over a real mosquitto with the access rules of each: what goes to a
//! wrong topic is refused there.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a helper that fails is a test that fails")]

mod actor;
mod aws_iot;
mod azure_iot_hub;
mod certificates;
mod front;
#[path = "../support/mod.rs"]
mod support;
mod thingsboard;
