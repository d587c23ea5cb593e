//! The one place that reads the wall clock, and asks the kernel whether it is right.

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
