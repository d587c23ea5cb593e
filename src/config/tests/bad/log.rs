//! Sections `log` and `clock`.

use super::*;

#[test]
fn log_and_clock() {
    expect_in(
        "log",
        &[
            (
                "path: \":memory:\"",
                "path: must be a plain path: what is in memory does not survive; write for example \"/var/lib/sensor-bridge/bridge.db\"",
            ),
            ("path: /data/", "path: names a folder, not a file; write \"/data/bridge.db\""),
            ("sync: off", "sync: unknown value \"off\"; possible: full, normal"),
            ("commit_interval: 1h", "commit_interval: must be between 0s and 10m, not 1h"),
            ("retention: {max_age: 1s}", "retention.max_age: must be between 1m and 36500d, not 1s"),
            ("retention: {max_size: 1kB}", "retention.max_size: must be at least 1MB, not 1kB"),
            (
                "retention: {max_size: 2G}",
                "retention.max_size: \"2G\": unknown unit of size \"G\"; write \"2GB\"",
            ),
            ("retention: 90d", "retention: expected a map, found the text \"90d\""),
        ],
    );
    expect_in(
        "clock",
        &[
            ("max_hold: 1m", "max_hold: means nothing here; it goes with `unsynced: hold`"),
            ("unsynced: hold, max_hold: 2w", "max_hold: \"2w\": unknown unit of time \"w\"; write \"14d\""),
            ("unsynced: wait", "unsynced: unknown value \"wait\"; possible: mark, hold"),
        ],
    );
}

#[cfg(not(feature = "sqlcipher"))]
#[test]
fn a_log_that_this_program_cannot_encrypt() {
    let yaml = format!("log: {{key_file: log.key}}\n{SENSOR}");
    let line = "line 1: log.key_file: this program cannot encrypt its log: it was built without SQLCipher; build it with `--features sqlcipher` (docs/privacy.md), put the log on an encrypted disk, or leave this out";
    expect(&[(yaml.as_str(), line)]);
}

#[cfg(feature = "sqlcipher")]
#[test]
fn a_key_that_is_none() {
    let yaml = format!("log: {{key_file: /nowhere}}\n{SENSOR}");
    let line = "line 1: log.key_file: \"/nowhere\" cannot be read: No such file or directory (os error 2)";
    expect(&[(yaml.as_str(), line)]);
}
