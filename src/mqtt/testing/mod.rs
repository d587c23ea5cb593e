//! What the tests of this room share: a mosquitto of a test's own, a subscriber that shares no code with us, and a log
//! with a publisher over it.

mod bench;
mod broker;
mod token;
mod watcher;

use std::time::{Duration, Instant};

pub use self::bench::{Bench, moment, publish, soon};
pub use self::broker::TestBroker;
pub use self::token::fleeting;
pub use self::watcher::{Received, Watcher, assert_counts, firsts, has_all, numbers};
use crate::config::MqttVersion;

/// Longest wait for anything in these tests, even on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Both versions of the protocol.
pub const BOTH: [MqttVersion; 2] = [MqttVersion::V311, MqttVersion::V5];

/// Polls until a condition holds.
pub fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(begun.elapsed() < PATIENCE, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
