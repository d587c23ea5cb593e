//! How long to leave a failed sensor alone. Pure: the randomness is an argument.

use std::time::Duration;

/// Longest pause between two attempts.
pub(super) const LONGEST: Duration = Duration::from_secs(60);

/// Shortest and longest first pause; between them it is the sensor's interval.
const FIRST: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(1));

/// Pauses that double up to [`LONGEST`], each shortened by a random part of up to a half, so that
/// sensors that failed together (a bus lost its power) do not come back in step.
#[derive(Debug, Clone)]
pub(super) struct Backoff {
    first: Duration,
    failures: u32,
}

impl Backoff {
    /// For a sensor read at this interval.
    pub fn new(interval: Duration) -> Self {
        Self { first: interval.clamp(FIRST.0, FIRST.1), failures: 0 }
    }

    /// The pause after one more failure; `random` is from 0 to 1.
    pub fn next(&mut self, random: f64) -> Duration {
        let full = self.first.saturating_mul(2_u32.saturating_pow(self.failures)).min(LONGEST);
        self.failures = self.failures.saturating_add(1);
        full.mul_f64(1.0 - 0.5 * random.clamp(0.0, 1.0))
    }

    /// The sensor answered.
    pub fn reset(&mut self) {
        self.failures = 0;
    }
}

/// A source of numbers from 0 to 1 that needs no quality, only difference (SplitMix64, Steele et al. 2014).
#[derive(Debug, Clone)]
pub(super) struct Random(u64);

impl Random {
    /// Starts from a seed; equal seeds give equal numbers.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number, 0 ≤ x < 1.
    pub fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^= z >> 31;
        // 53 bits are what a float holds exactly.
        (z >> 11) as f64 / (1_u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest_and_start_over_after_success() {
        let mut backoff = Backoff::new(Duration::from_secs(10));
        let pauses: Vec<f64> = (0..9).map(|_| backoff.next(0.0).as_secs_f64()).collect();
        assert_eq!(pauses, [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0, 60.0]);
        for _ in 0..100 {
            assert!(backoff.next(0.3) <= LONGEST);
        }
        backoff.reset();
        assert_eq!(backoff.next(0.0), Duration::from_secs(1));
    }

    #[test]
    fn a_fast_sensor_is_tried_again_sooner() {
        let table = [(10, 100), (250, 250), (900_000, 1_000)];
        for (interval, first) in table {
            let first_pause = Backoff::new(Duration::from_millis(interval)).next(0.0);
            assert_eq!(first_pause, Duration::from_millis(first), "{interval} ms");
        }
    }

    #[test]
    fn jitter_takes_up_to_a_half() {
        let pause = |random| Backoff::new(Duration::from_secs(1)).next(random).as_secs_f64();
        assert_eq!((pause(0.0), pause(0.5), pause(1.0)), (1.0, 0.75, 0.5));
    }

    #[test]
    fn random_numbers_stay_in_range_and_differ() {
        let mut random = Random::new(7);
        let numbers: Vec<f64> = (0..1_000).map(|_| random.next()).collect();
        assert!(numbers.iter().all(|x| (0.0..1.0).contains(x)));
        let mean = numbers.iter().sum::<f64>() / 1_000.0;
        assert!((0.45..0.55).contains(&mean), "{mean}");
        assert_ne!(Random::new(8).next(), Random::new(7).next());
    }
}
