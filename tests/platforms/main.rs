//! Platforms through the real binary and a real mosquitto with the platform's own access rules; what the platform does is
//! simulated from its documentation, one file each.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a helper that fails is a test that fails")]

#[path = "../support/mod.rs"]
mod support;

mod foreign;
mod home_assistant;
