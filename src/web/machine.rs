//! Room on the disk and in memory, as the page shows it.

use std::path::{Path, PathBuf};

use serde_json::{Value as Json, json};

/// Sizes in bytes; null for what cannot be known.
pub(super) fn look(database: &Path) -> Json {
    let size = |suffix: &str| {
        let mut path = database.as_os_str().to_owned();
        path.push(suffix);
        // Looked up, not opened: closing a database file would give up SQLite's locks on it.
        std::fs::metadata(PathBuf::from(path)).map_or(0, |file| file.len())
    };
    let folder = database.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let disk = rustix::fs::statvfs(folder).ok();
    // To the megabyte: the last digits change all the time and tell nobody anything.
    let rough = |bytes: u64| bytes / 1_000_000 * 1_000_000;
    json!({
        "database": size("") + size("-wal"),
        "disk_free": disk.as_ref().map(|disk| rough(disk.f_bavail * disk.f_frsize)),
        "disk_size": disk.as_ref().map(|disk| disk.f_blocks * disk.f_frsize),
        "memory": kilobytes("/proc/self/status", "VmRSS:").map(|bytes| bytes / 100_000 * 100_000),
        "memory_available": kilobytes("/proc/meminfo", "MemAvailable:").map(rough),
        "memory_size": kilobytes("/proc/meminfo", "MemTotal:"),
    })
}

/// The bytes on the line of this name, where they are given in kB (proc_pid_status(5), proc_meminfo(5)).
fn kilobytes(file: &str, name: &str) -> Option<u64> {
    let text = std::fs::read_to_string(file).ok()?;
    let rest = text.lines().find_map(|line| line.strip_prefix(name))?;
    rest.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|number| number * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_has_a_disk_and_memory() {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("x.db");
        std::fs::write(&database, [0; 1000]).unwrap();
        std::fs::write(folder.path().join("x.db-wal"), [0; 500]).unwrap();
        let found = look(&database);
        assert_eq!(found["database"], 1500);
        for name in ["disk_size", "memory", "memory_size", "memory_available"] {
            assert!(found[name].as_u64().unwrap() > 0, "{name}");
        }
        assert!(found["memory"].as_u64() < found["memory_size"].as_u64());
    }
}
