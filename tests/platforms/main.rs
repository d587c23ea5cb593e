//! Platforms through the real binary and a real mosquitto with the platform's own access rules, each beside a small
//! simulated platform that behaves as its documentation says.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a helper that fails is a test that fails")]

#[path = "../support/mod.rs"]
mod support;

mod watson_iot;
