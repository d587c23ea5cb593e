//! The one place that reads the wall clock, and asks the kernel whether it is right.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use crate::reading::{Clock, Moment, Timestamp};

/// Now, by both clocks, with the kernel's word on synchronisation.
pub fn now() -> Moment {
    // The quality is asked first: should the clock be set in between, a right time is marked
    // unsynchronised (which a correction leaves as it is), where the other order would vouch for a wrong one.
    let clock = quality();
    Moment { wall: Timestamp(micros(ClockId::Realtime)), since_boot: since_boot(), clock }
}

/// Microseconds since boot, sleep included (`CLOCK_BOOTTIME`).
pub fn since_boot() -> i64 {
    micros(ClockId::Boottime)
}

/// The kernel's monotonic clock (`CLOCK_MONOTONIC`), with which it stamps the edges of pins.
pub fn monotonic() -> Duration {
    let time = clock_gettime(ClockId::Monotonic);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or_default())
}

/// All clocks at one time, so that a stamp of the kernel's monotonic clock becomes a moment.
#[derive(Debug, Clone, Copy)]
pub struct Anchor {
    monotonic: Duration,
    moment: Moment,
}

/// Clocks read within this time of each other are read at one time.
const AT_ONCE: Duration = Duration::from_micros(20);

impl Anchor {
    /// These two are one time.
    pub fn new(monotonic: Duration, moment: Moment) -> Self {
        Self { monotonic, moment }
    }

    /// Reads the clocks, `clock` for the moment. Several times if something comes in between: a stamp would
    /// be off by as much. The closest pair counts.
    pub fn read(clock: fn() -> Moment) -> Self {
        let pair = || {
            let before = monotonic();
            let moment = clock();
            let after = monotonic();
            (after.saturating_sub(before), Self::new(before + after.saturating_sub(before) / 2, moment))
        };
        let mut best = pair();
        for _ in 0..3 {
            if best.0 <= AT_ONCE {
                break;
            }
            let next = pair();
            if next.0 < best.0 {
                best = next;
            }
        }
        best.1
    }

    /// The time of the anchor itself, by the monotonic clock.
    pub fn monotonic(&self) -> Duration {
        self.monotonic
    }

    /// How long before the anchor a stamp was made; nothing for one made since.
    pub fn age(&self, stamp: Duration) -> Duration {
        self.monotonic.saturating_sub(stamp)
    }

    /// The moment of a stamp: as long before the anchor's as the monotonic clock says. So it is by the wall
    /// clock as it goes now, and as good as that is now, even if the clock was set in between.
    ///
    /// `CLOCK_MONOTONIC` stands still while the machine sleeps, `CLOCK_BOOTTIME` does not: of a stamp made
    /// before a sleep the moment is late by it. A Raspberry Pi does not sleep.
    pub fn moment_of(&self, stamp: Duration) -> Moment {
        let age = i64::try_from(self.age(stamp).as_micros()).unwrap_or(i64::MAX);
        Moment {
            wall: Timestamp(self.moment.wall.0.saturating_sub(age)),
            since_boot: self.moment.since_boot.saturating_sub(age),
            clock: self.moment.clock,
        }
    }
}

/// Random id of this boot.
pub fn boot_id() -> std::io::Result<String> {
    Ok(std::fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_owned())
}

fn micros(clock: ClockId) -> i64 {
    let time = clock_gettime(clock);
    time.tv_sec * 1_000_000 + time.tv_nsec / 1_000
}

/// Whether the kernel's clock is disciplined: timesyncd, chrony, ntpd and gpsd all clear `STA_UNSYNC`
/// (adjtimex(2): the call answers `TIME_ERROR` while it is set).
#[allow(unsafe_code, reason = "no safe crate wraps adjtimex without more of the system")]
fn quality() -> Clock {
    // SAFETY: `timex` is plain data for which all zeros is valid; `modes: 0` makes the call read-only;
    // the pointer is to a local that outlives it.
    let answer = unsafe {
        let mut timex: libc::timex = std::mem::zeroed();
        libc::adjtimex(&mut timex)
    };
    if answer == -1 || answer == libc::TIME_ERROR { Clock::Unsynced } else { Clock::Synced }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_becomes_a_moment() {
        let at = |wall, since_boot, clock| Moment { wall: Timestamp(wall), since_boot, clock };
        // The machine slept for 500 s, so the time since boot is ahead of the monotonic clock.
        let anchor = |clock| Anchor::new(Duration::from_secs(100), at(1_000_000_000, 600_000_000, clock));
        // (stamp in ns, clock) → moment
        let table = [
            (100_000_000_000, Clock::Synced, at(1_000_000_000, 600_000_000, Clock::Synced)),
            (99_999_999_000, Clock::Synced, at(999_999_999, 599_999_999, Clock::Synced)),
            (40_000_000_000, Clock::Unsynced, at(940_000_000, 540_000_000, Clock::Unsynced)),
            (100_000_000_999, Clock::Synced, at(1_000_000_000, 600_000_000, Clock::Synced)),
            (0, Clock::Synced, at(900_000_000, 500_000_000, Clock::Synced)),
        ];
        for (stamp, clock, expected) in table {
            assert_eq!(anchor(clock).moment_of(Duration::from_nanos(stamp)), expected, "{stamp}");
        }
    }

    #[test]
    fn moments_keep_the_order_and_the_distance_of_their_stamps() {
        let anchor = Anchor::read(now);
        let stamps = [7, 5, 3, 0].map(|ms| anchor.monotonic() - Duration::from_millis(ms));
        let moments = stamps.map(|stamp| anchor.moment_of(stamp));
        let walls: Vec<i64> = moments.iter().map(|moment| moment.wall.0 - moments[0].wall.0).collect();
        assert_eq!(walls, [0, 2_000, 4_000, 7_000]);
        assert!(
            moments
                .iter()
                .all(|moment| moment.since_boot - moments[0].since_boot == moment.wall.0 - moments[0].wall.0)
        );
    }

    #[test]
    fn an_anchor_is_the_present() {
        let before = now();
        let anchor = Anchor::read(now);
        let after = now();
        let moment = anchor.moment_of(anchor.monotonic());
        assert!((before.since_boot..=after.since_boot).contains(&moment.since_boot));
        assert_eq!(anchor.age(anchor.monotonic() + Duration::from_secs(1)), Duration::ZERO);
    }
}
