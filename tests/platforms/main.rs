//! Platforms through the real binary and a real mosquitto that lets nothing through but what the platform does; each
//! with a small program in the platform's place, made from its documentation.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a helper that fails is a test that fails")]

mod actor;
mod aws_iot;
mod azure_iot_hub;
mod certificates;
mod foreign;
mod formats;
mod front;
mod home_assistant;
mod sparkplug;
mod sparkplug_host;
#[path = "../support/mod.rs"]
mod support;
mod thingsboard;
mod watson_iot;

use std::time::Duration;

/// Far longer than anything takes on a machine that does nothing else.
const SOON: Duration = Duration::from_secs(60);
