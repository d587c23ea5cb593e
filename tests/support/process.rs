//! Child processes: finding programs, signals by process id, waits with an end.

use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

/// Where a program is; Debian puts mosquitto into /usr/sbin, which is not on everybody's PATH.
pub fn find(program: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let places = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/usr/local/sbin".into()]);
    for place in places {
        let candidate = place.join(program);
        if candidate.is_file() {
            return candidate;
        }
    }
    panic!(
        "{program} is not installed: `make test` installs what the tests need (apt install mosquitto mosquitto-clients sqlite3)"
    )
}

/// Sends a signal (`TERM`, `HUP`, `USR1`, `KILL`). The child has not been waited for, so its process id
/// is still its own.
pub fn signal(child: &Child, name: &str) {
    // The shell's own `kill`: a bare Debian has no /bin/kill, and std knows SIGKILL only.
    let status = Command::new("sh").args(["-c", &format!("kill -s {name} {}", child.id())]).status().unwrap();
    assert!(status.success(), "could not send SIG{name} to process {}", child.id());
}

/// How the child ended, or `None` when it still runs after `limit`.
pub fn wait_for_exit(child: &mut Child, limit: Duration) -> Option<ExitStatus> {
    let end = Instant::now() + limit;
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return Some(status);
        }
        if Instant::now() >= end {
            return None;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Ends a child for good, whatever state it is in.
pub fn end(child: &mut Child) {
    // Both fail only when it has ended already, which is what is wanted.
    drop(child.kill());
    drop(child.wait());
}
