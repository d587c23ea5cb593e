//! Real things made small, for the integration tests and the benchmark: a mosquitto of one's own, its
//! command line clients, a network that can be cut, the real binary as a child process.
//!
//! Everything lives in temporary folders and on ports of the loopback that nobody else uses, ends what it
//! started by process id, and bounds every wait. Nothing here knows what a test is about.

#![allow(dead_code, unused_imports, reason = "every test binary uses its own part of this")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a helper that fails is a test that fails")]

mod acked;
mod bridge;
mod broker;
mod clients;
pub mod fill;
mod port;
mod process;
mod proxy;
mod seed;
mod tunnel;
pub mod wire;

use std::time::{Duration, Instant};

pub use acked::{AckedPublisher, Sent};
pub use bridge::Bridge;
pub use broker::{Mosquitto, WIDE_WINDOW};
pub use clients::{Message, Publisher, Subscriber};
pub use port::Port;
pub use process::{find, signal, wait_for_exit};
pub use proxy::Proxy;
pub use seed::Seed;
pub use tunnel::{Tunnel, head};

/// Asks until the answer is yes; panics with `what` when `limit` has passed.
#[track_caller]
pub fn wait_until(limit: Duration, what: &str, mut condition: impl FnMut() -> bool) {
    if !holds_within(limit, &mut condition) {
        panic!("waited {limit:?} in vain: {what}");
    }
}

/// Asks until the answer is yes, or `limit` has passed. Answers whether it was.
pub fn holds_within(limit: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + limit;
    loop {
        if condition() {
            return true;
        }
        if Instant::now() >= end {
            return false;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}
