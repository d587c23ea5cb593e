//! The machine: its clock, its supply, and the signs of a dying card that the kernel shows.

use std::fs;
use std::path::Path;

use super::{Verdict, below};
use crate::reading::Clock;

/// A clock that has not been set by now (µs since boot) will not be without help.
const SET_BY: i64 = 3 * 60 * 1_000_000;

/// The clock, as the kernel answers (adjtimex).
pub(super) fn clock(clock: Clock, since_boot: i64, root: &Path) -> Verdict {
    let what = match clock {
        Clock::Synced | Clock::Corrected => return Verdict::well("clock", "synchronised"),
        Clock::Unsynced if since_boot < SET_BY => "not synchronised yet; the machine has just started",
        Clock::Unsynced => "not synchronised: readings are marked \"unsynced\"",
    };
    // timesyncd leaves this file once it has set the clock for the first time.
    let once = below(root, "run/systemd/timesync/synchronized").exists();
    let services = ["lib/systemd/systemd-timesyncd", "usr/sbin/chronyd", "usr/sbin/ntpd", "usr/sbin/gpsd"];
    let remedy = match services.iter().any(|service| below(root, service).exists()) {
        _ if once => "it was once, since the start: is the network still there? timedatectl timesync-status",
        true => "sudo timedatectl set-ntp true; time servers must be reachable (UDP port 123)",
        false => "sudo apt install systemd-timesyncd; without a network, a clock module (RTC) or GPS",
    };
    Verdict::trouble("clock", what, remedy)
}

/// What the firmware of a Pi says: `flags` as `vcgencmd get_throttled` has them, or only whether the voltage
/// is low: the kernel's alarm is of the last two seconds (drivers/hwmon/raspberrypi-hwmon.c).
pub(super) fn supply(flags: Option<i64>, low: Option<bool>) -> Verdict {
    const POWER: &str =
        "a supply and a cable for this Pi (5.1 V; 3 A for a Pi 4, 5 A for a Pi 5), fewer USB devices";
    const COOLING: &str = "cooling: a heat sink or a fan";
    let about = "supply";
    let Some(flags) = flags else {
        return match low {
            Some(true) => Verdict::trouble(about, "under-voltage now", POWER),
            Some(false) => Verdict::well(about, "no under-voltage now; this kernel tells of nothing earlier"),
            None => Verdict::unknown(about, "this machine does not tell"),
        };
    };
    // Bits 0 to 3 now, 16 to 19 since the start (documentation of vcgencmd).
    let bit = |number: u32| flags >> number & 1 == 1;
    match () {
        () if bit(0) => Verdict::trouble(about, "under-voltage now", POWER),
        () if bit(16) => Verdict::trouble(about, "there was under-voltage since the start", POWER),
        () if bit(1) || bit(2) || bit(3) => Verdict::trouble(about, "throttled now: too hot", COOLING),
        () if bit(17) || bit(18) || bit(19) => {
            Verdict::trouble(about, "was throttled since the start: too hot", COOLING)
        }
        () => Verdict::well(about, "no under-voltage or throttling since the start"),
    }
}

/// Wear and faults of disks and cards, as far as the kernel shows them: an eMMC's own estimate
/// (JEDEC JESD84-B51, `DEVICE_LIFE_TIME_EST` and `PRE_EOL_INFO`) and errors that ext4 has met. SD cards
/// say nothing of their wear.
pub(super) fn wear(root: &Path) -> Vec<Verdict> {
    const REPLACE: &str = "copy the log (sensor-bridge backup) and replace the card or disk";
    let mut verdicts = Vec::new();
    for disk in names(&below(root, "sys/block")) {
        let device = below(root, "sys/block").join(&disk).join("device");
        // "0x03 0x01": two kinds of memory, each in steps of 10 %; 0x0b is beyond its life.
        let worn = hexadecimals(&device.join("life_time")).into_iter().max().unwrap_or(0);
        // 2: 80 % of the reserve used, 3: 90 %.
        let reserve = hexadecimals(&device.join("pre_eol_info")).into_iter().max().unwrap_or(0);
        if worn >= 9 || reserve >= 2 {
            let used = match reserve {
                2 => "80% of its spare blocks".to_owned(),
                3.. => "90% of its spare blocks".to_owned(),
                _ => format!("{}%", (worn * 10).min(100)),
            };
            let what = format!("{disk} is at the end of its life ({used} used by its own estimate)");
            verdicts.push(Verdict::trouble("wear", what, REPLACE));
        } else if worn > 0 {
            let what = format!("{disk}: at most {}% of its life used by its own estimate", worn * 10);
            verdicts.push(Verdict::well("wear", what));
        }
    }
    for disk in names(&below(root, "sys/fs/ext4")) {
        let count = below(root, "sys/fs/ext4").join(&disk).join("errors_count");
        let count = fs::read_to_string(count).ok().and_then(|text| text.trim().parse::<u64>().ok());
        if let Some(count @ 1..) = count {
            let what = format!("the file system on {disk} has met {count} errors");
            let remedy = format!(
                "dmesg shows them; {REPLACE}, or have it checked at the next start (fsck.mode=force)"
            );
            verdicts.push(Verdict::trouble("file system", what, remedy));
        }
    }
    verdicts
}

fn names(folder: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut names: Vec<String> =
        entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort();
    names
}

fn hexadecimals(file: &Path) -> Vec<u32> {
    let text = fs::read_to_string(file).unwrap_or_default();
    text.split_whitespace()
        .filter_map(|word| u32::from_str_radix(word.trim_start_matches("0x"), 16).ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::State;
    use crate::doctor::devices::tests::tree;

    fn remedy(verdict: &Verdict) -> &str {
        match &verdict.state {
            State::Trouble { remedy } => remedy,
            State::Well => "well",
            State::Unknown => "unknown",
        }
    }

    #[test]
    fn a_clock_and_who_should_set_it() {
        let hour = 3_600_000_000;
        for (files, since_boot, expected) in [
            (vec![], hour, "apt install systemd-timesyncd"),
            (vec![("lib/systemd/systemd-timesyncd", "")], hour, "set-ntp true"),
            (vec![("usr/sbin/chronyd", "")], hour, "set-ntp true"),
            (vec![("run/systemd/timesync/synchronized", "")], hour, "it was once"),
        ] {
            let root = tree(&files);
            let verdict = clock(Clock::Unsynced, since_boot, root.path());
            assert!(remedy(&verdict).contains(expected), "{verdict:?}");
        }
        let root = tree(&[]);
        assert!(clock(Clock::Unsynced, 5_000_000, root.path()).what.contains("just started"));
        assert_eq!(remedy(&clock(Clock::Synced, hour, root.path())), "well");
    }

    #[test]
    fn what_the_firmware_says() {
        for (flags, low, what, expected) in [
            (Some(0), None, "no under-voltage", "well"),
            (Some(0x1), None, "under-voltage now", "5.1 V"),
            (Some(0x5_0005), None, "under-voltage now", "5.1 V"),
            (Some(0x1_0000), None, "there was under-voltage", "5.1 V"),
            (Some(0x8), None, "too hot", "cooling"),
            (Some(0x8_0000), None, "was throttled", "cooling"),
            (None, Some(true), "under-voltage now", "5.1 V"),
            (None, Some(false), "no under-voltage now", "well"),
            (None, None, "does not tell", "unknown"),
        ] {
            let verdict = supply(flags, low);
            assert!(verdict.what.contains(what) && remedy(&verdict).contains(expected), "{verdict:?}");
        }
    }

    #[test]
    fn signs_of_the_end() {
        let root = tree(&[
            ("sys/block/mmcblk0/device/life_time", "0x03 0x01\n"),
            ("sys/block/mmcblk1/device/life_time", "0x0a 0x01\n"),
            ("sys/block/mmcblk2/device/pre_eol_info", "0x02\n"),
            ("sys/block/sda/device/vendor", "ATA\n"),
            ("sys/fs/ext4/mmcblk0p2/errors_count", "0\n"),
            ("sys/fs/ext4/mmcblk1p2/errors_count", "3\n"),
            ("sys/fs/ext4/features/lazy_itable_init", "supported\n"),
        ]);
        let said: Vec<String> =
            wear(root.path()).iter().map(|v| format!("{} {}", v.what, v.is_trouble())).collect();
        assert_eq!(said.len(), 4, "{said:?}");
        assert!(said[0].contains("mmcblk0: at most 30%") && said[0].ends_with("false"), "{said:?}");
        assert!(said[1].contains("mmcblk1") && said[1].contains("100%"), "{said:?}");
        assert!(said[2].contains("mmcblk2 is at the end of its life (80% of its spare blocks"), "{said:?}");
        assert!(said[2].ends_with("true"), "{said:?}");
        assert!(said[3].contains("mmcblk1p2 has met 3 errors"), "{said:?}");
    }
}
