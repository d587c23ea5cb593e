//! How a simulated quantity moves. Pure: the time is an argument, chance is a seed, a recording was read before.

use std::f64::consts::TAU;
use std::time::Duration;

use super::recording::Recording;

/// The course of one quantity.
#[derive(Debug, Clone, PartialEq)]
pub enum Scenario {
    /// Always the same.
    Constant(f64),
    /// Between `min` and `max` once per `period`, beginning in the middle and rising; `phase` is the
    /// part of a period (0…1) by which it is ahead.
    Sine {
        /// Lowest value.
        min: f64,
        /// Highest value.
        max: f64,
        /// Time of one wave; not zero.
        period: Duration,
        /// Part of a period.
        phase: f64,
    },
    /// One step a second, up to `step` up or down, turned back at `min` and `max`.
    Walk(Walk),
    /// As it was once, over and over, from the first time that somebody asks.
    Replay(Replay),
}

impl Scenario {
    /// The value at a time that never goes back.
    pub fn at(&mut self, now: Duration) -> f64 {
        match self {
            Scenario::Constant(value) => *value,
            Scenario::Sine { min, max, period, phase } => {
                let turns = now.as_secs_f64() / period.as_secs_f64() + *phase;
                *min + (*max - *min) * (0.5 + 0.5 * (turns * TAU).sin())
            }
            Scenario::Walk(walk) => walk.at(now),
            Scenario::Replay(replay) => replay.at(now),
        }
    }
}

/// A recording under way.
#[derive(Debug, Clone, PartialEq)]
pub struct Replay {
    recording: Recording,
    begun: Option<Duration>,
}

impl Replay {
    /// Not begun yet.
    pub fn new(recording: Recording) -> Self {
        Self { recording, begun: None }
    }

    fn at(&mut self, now: Duration) -> f64 {
        let begun = *self.begun.get_or_insert(now);
        self.recording.at(now.saturating_sub(begun))
    }
}

/// A random walk; the same seed walks the same way.
#[derive(Debug, Clone, PartialEq)]
pub struct Walk {
    value: f64,
    step: f64,
    min: f64,
    max: f64,
    random: Random,
    second: u64,
}

/// A machine that slept for a month must not replay every second of it.
const MOST_STEPS_AT_ONCE: u64 = 3600;

impl Walk {
    /// A walk from `start` in steps of at most `step`, between `min` and `max`.
    pub fn new(start: f64, step: f64, min: f64, max: f64, seed: u64) -> Self {
        Self { value: start, step, min, max, random: Random::new(seed), second: 0 }
    }

    /// Takes one step and says where it led.
    pub fn step(&mut self) -> f64 {
        let next = self.value + self.step * (2.0 * self.random.unit() - 1.0);
        let reflected = if next > self.max {
            2.0 * self.max - next
        } else if next < self.min {
            2.0 * self.min - next
        } else {
            next
        };
        // A step wider than the whole range would be thrown out on the other side.
        self.value = reflected.max(self.min).min(self.max);
        self.value
    }

    fn at(&mut self, now: Duration) -> f64 {
        let steps = now.as_secs().saturating_sub(self.second).min(MOST_STEPS_AT_ONCE);
        self.second = now.as_secs();
        for _ in 0..steps {
            self.step();
        }
        self.value
    }
}

/// SplitMix64 (Steele, Lea, Flood 2014): small, fast and good enough to look like weather.
#[derive(Debug, Clone, PartialEq)]
pub struct Random(u64);

impl Random {
    /// The sequence of this seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// The next number between 0 (inclusive) and 1 (exclusive).
    pub fn unit(&mut self) -> f64 {
        // The upper 53 bits are what a double can hold.
        (self.number() >> 11) as f64 / (1u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_generator_is_splitmix64() {
        // First outputs for seed 1234567 of the reference implementation.
        let mut random = Random::new(1_234_567);
        assert_eq!(random.number(), 6_457_827_717_110_365_317);
        assert_eq!(random.number(), 3_203_168_211_198_807_973);
    }

    #[test]
    fn a_sine_runs_from_the_middle_to_both_ends() {
        let mut sine = Scenario::Sine { min: 18.0, max: 26.0, period: Duration::from_secs(600), phase: 0.0 };
        for (seconds, value) in [(0, 22.0), (150, 26.0), (300, 22.0), (450, 18.0), (600, 22.0)] {
            assert!((sine.at(Duration::from_secs(seconds)) - value).abs() < 1e-9, "{seconds}");
        }
        let mut ahead = Scenario::Sine { min: 0.0, max: 2.0, period: Duration::from_secs(4), phase: 0.25 };
        assert!((ahead.at(Duration::ZERO) - 2.0).abs() < 1e-9);
    }

    #[test]
    fn a_walk_keeps_to_its_range_and_repeats_with_its_seed() {
        let walk = |seed| {
            let mut walk = Walk::new(5.0, 3.0, 0.0, 10.0, seed);
            (0..1000).map(|_| walk.step()).collect::<Vec<_>>()
        };
        let values = walk(7);
        assert!(values.iter().all(|value| (0.0..=10.0).contains(value)));
        assert!(values.windows(2).all(|pair| (pair[0] - pair[1]).abs() <= 3.0));
        assert_eq!(values, walk(7));
        assert_ne!(values, walk(8));
    }

    #[test]
    fn a_walk_moves_once_a_second_however_often_it_is_asked() {
        let mut walk = Scenario::Walk(Walk::new(5.0, 1.0, 0.0, 10.0, 1));
        let first = walk.at(Duration::from_millis(1100));
        assert_eq!(walk.at(Duration::from_millis(1900)), first);
        assert_ne!(walk.at(Duration::from_millis(2100)), first);
        // A long pause ends, and at once.
        assert!((0.0..=10.0).contains(&walk.at(Duration::from_secs(u64::MAX / 2))));
    }
}
