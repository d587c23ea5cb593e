//! Chance that can be repeated: a seed that is printed, and a small generator.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::Duration;

/// A pseudo-random generator (SplitMix64, Steele et al. 2014). Good enough to pick events, not for secrets.
pub struct Seed(u64);

impl Seed {
    /// From `SENSOR_BRIDGE_TEST_SEED`, else from the operating system; printed, so that a failure can be
    /// played again.
    pub fn from_environment() -> Self {
        let seed = match std::env::var("SENSOR_BRIDGE_TEST_SEED") {
            Ok(text) => text.parse().expect("SENSOR_BRIDGE_TEST_SEED is a number"),
            Err(_) => RandomState::new().build_hasher().finish(),
        };
        println!("seed: SENSOR_BRIDGE_TEST_SEED={seed}");
        Self(seed)
    }

    /// A fixed seed.
    pub fn fixed(seed: u64) -> Self {
        Self(seed)
    }

    /// 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`.
    pub fn below(&mut self, end: usize) -> usize {
        (self.bits() % end as u64) as usize
    }

    /// Yes, `percent` times out of a hundred.
    pub fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    /// A time between the two, in milliseconds.
    pub fn millis(&mut self, from: u64, to: u64) -> Duration {
        Duration::from_millis(from + self.bits() % (to - from + 1))
    }

    /// Puts a list into random order.
    pub fn shuffle<T>(&mut self, list: &mut [T]) {
        for last in (1..list.len()).rev() {
            list.swap(last, self.below(last + 1));
        }
    }
}
