//! Notices when the clock has become right, so that readings taken before can be put right. Pure: is
//! shown moments, asks no clock, corrects nothing itself.

use crate::reading::{Clock, Moment};

/// Watches for the moment at which unsynchronised readings can be corrected.
///
/// Show it a moment about once a second. The first synchronised one counts too: a run of the program
/// earlier in this boot, or the second before the watch began, may have left readings to correct.
#[derive(Debug)]
pub struct SyncWatch {
    /// Readings may have been marked since the last correction.
    marked: bool,
}

impl Default for SyncWatch {
    fn default() -> Self {
        Self { marked: true }
    }
}

impl SyncWatch {
    /// A watch that has seen nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// What it answered was not done, or there is more to correct: it answers again at the next look.
    pub fn again(&mut self) {
        self.marked = true;
    }

    /// Answers, once per time that the clock becomes right, what added to the time since boot gives
    /// the true time, µs. It is what the log wants for its correction.
    pub fn observe(&mut self, now: Moment) -> Option<i64> {
        match now.clock {
            Clock::Synced => {
                std::mem::take(&mut self.marked).then(|| now.wall.0.saturating_sub(now.since_boot))
            }
            Clock::Unsynced | Clock::Corrected => {
                self.marked = true;
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reading::Timestamp;

    #[test]
    fn one_correction_each_time_the_clock_becomes_right() {
        use Clock::{Synced, Unsynced};
        // (quality, wall, since boot) → correction
        let table = [
            (Unsynced, 1_000, 10, None),
            (Unsynced, 2_000, 1_010, None),
            (Synced, 900_000, 2_000, Some(898_000)),
            (Synced, 901_000, 3_000, None),
            (Synced, 950_000, 4_000, None), // a step while synchronised corrects nothing
            (Unsynced, 951_000, 5_000, None),
            (Unsynced, 952_000, 6_000, None),
            (Synced, 953_500, 7_000, Some(946_500)),
            (Synced, 954_500, 8_000, None),
        ];
        let mut watch = SyncWatch::new();
        for (step, (clock, wall, since_boot, expected)) in table.into_iter().enumerate() {
            let now = Moment { wall: Timestamp(wall), since_boot, clock };
            assert_eq!(watch.observe(now), expected, "step {step}");
        }
    }

    #[test]
    fn readings_of_an_earlier_run_in_this_boot_are_corrected() {
        let now = Moment { wall: Timestamp(100), since_boot: 40, clock: Clock::Synced };
        let mut watch = SyncWatch::new();
        assert_eq!(watch.observe(now), Some(60));
        assert_eq!(watch.observe(now), None);
        watch.again();
        assert_eq!(watch.observe(now), Some(60));
    }
}
