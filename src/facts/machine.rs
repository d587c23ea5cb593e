//! Memory, processor time and disk, as the kernel tells. Knows nothing of the bridge.

use std::path::Path;

use rustix::time::{ClockId, clock_gettime};

use super::snapshot::Machine;

/// As it is now; the disk is that of `file`.
pub(super) fn read(file: &Path) -> Machine {
    let own = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let all = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let cpu = clock_gettime(ClockId::ProcessCPUTime);
    // The folder: the database may be about to be made, and asking a path opens nothing.
    let disk = file.parent().and_then(|folder| rustix::fs::statvfs(folder).ok());
    Machine {
        memory_resident_bytes: kilobytes(&own, "VmRSS:"),
        memory_available_bytes: kilobytes(&all, "MemAvailable:"),
        memory_total_bytes: kilobytes(&all, "MemTotal:"),
        cpu_seconds: cpu.tv_sec as f64 + cpu.tv_nsec as f64 / 1e9,
        disk_free_bytes: disk.as_ref().map(|disk| disk.f_bavail * disk.f_frsize),
        disk_total_bytes: disk.as_ref().map(|disk| disk.f_blocks * disk.f_frsize),
    }
}

/// `VmRSS:	   11840 kB` (proc(5): the unit is always kB, and means 1,024 bytes).
fn kilobytes(text: &str, key: &str) -> Option<u64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(key))?;
    rest.split_whitespace().next()?.parse::<u64>().ok().map(|number| number * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_this_very_process() {
        let machine = read(Path::new("/tmp/x.db"));
        assert!(machine.memory_resident_bytes > Some(1_000_000));
        assert!(machine.memory_total_bytes > machine.memory_resident_bytes);
        assert!(machine.disk_total_bytes >= machine.disk_free_bytes);
        assert!(machine.cpu_seconds > 0.0);
        assert_eq!(read(Path::new("/no/such/x.db")).disk_free_bytes, None);
    }

    #[test]
    fn lines_of_proc() {
        assert_eq!(kilobytes("Name:\tx\nVmRSS:\t   11840 kB\n", "VmRSS:"), Some(12_124_160));
        assert_eq!(kilobytes("VmRSS: many", "VmRSS:"), None);
        assert_eq!(kilobytes("", "VmRSS:"), None);
    }
}
