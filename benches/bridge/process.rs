//! What the kernel says of a process: time on the processor and memory.

use std::fs;
use std::time::{Duration, Instant};

/// Measures the share of one core that a process uses.
pub struct Processor {
    pid: u32,
    begun: Instant,
    used: Duration,
}

impl Processor {
    /// From now on.
    pub fn watch(pid: u32) -> Self {
        Self { pid, begun: Instant::now(), used: used(pid) }
    }

    /// Percent of one core since then.
    pub fn percent(&self) -> f64 {
        (used(self.pid) - self.used).as_secs_f64() / self.begun.elapsed().as_secs_f64() * 100.0
    }
}

/// Time on the processor, all threads: the sum of what the scheduler counted, in nanoseconds. The ticks of
/// /proc/PID/stat (10 ms) would be too coarse for a daemon that sleeps.
fn used(pid: u32) -> Duration {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let nanoseconds = threads
        .filter_map(|thread| fs::read_to_string(thread.ok()?.path().join("schedstat")).ok())
        .filter_map(|text| text.split_whitespace().next()?.parse::<u64>().ok())
        .sum();
    if nanoseconds > 0 { Duration::from_nanos(nanoseconds) } else { ticks(pid) }
}

/// The coarse way, for a kernel without schedstat: fields 14 and 15 of proc(5)'s stat, 100 a second.
fn ticks(pid: u32) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    // The name (field 2) may hold spaces; what follows its bracket does not.
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    Duration::from_millis(ticks * 10)
}

/// Resident memory, MB (10⁶ bytes).
pub fn resident(pid: u32) -> f64 {
    field(&fs::read_to_string(format!("/proc/{pid}/status")).unwrap(), "VmRSS:")
}

/// Proportional memory (shared pages divided by their users), MB.
pub fn proportional(pid: u32) -> f64 {
    field(&fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap(), "Pss:")
}

fn field(text: &str, name: &str) -> f64 {
    let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    let kibibytes: f64 = line.trim().trim_end_matches(" kB").parse().unwrap();
    kibibytes * 1024.0 / 1e6
}
