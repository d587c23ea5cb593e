//! `log` and `clock`.

use std::path::PathBuf;
use std::time::Duration;

use super::super::SecretPlaces;
use super::super::model::{ClockPolicy, ImageRetention, Log, Mirror, Retention, Secret, Sink, Sync};
use super::super::problem::{KeyPath, Report};
use super::super::raw;
use super::credentials::secret_file;
use super::{DAY, MINUTE, SECOND, duration, size};

const DEFAULT_PATH: &str = "/var/lib/sensor-bridge/bridge.db";

/// Smaller, and the log would be deleting all the time.
const SMALLEST_LOG: u64 = 1_000_000;

pub(super) fn check(raw: raw::Log, places: &SecretPlaces, path: &KeyPath, report: &mut Report) -> Log {
    let file = raw.path.unwrap_or_else(|| DEFAULT_PATH.to_owned());
    check_path(&file, &path.key("path"), report);
    let commit_interval = duration(
        raw.commit_interval.as_ref(),
        Duration::ZERO,
        10 * MINUTE,
        &path.key("commit_interval"),
        report,
    );
    let retention = raw.retention.map(|raw| {
        let path = path.key("retention");
        Retention {
            max_age: duration(raw.max_age.as_ref(), MINUTE, 36_500 * DAY, &path.key("max_age"), report),
            max_size: size(raw.max_size.as_ref(), SMALLEST_LOG, u64::MAX, &path.key("max_size"), report),
            images: raw.images.map(|raw| images(&raw, &path.key("images"), report)).unwrap_or_default(),
        }
    });
    let sync = match raw.sync {
        None | Some(raw::Sync::Full) => Sync::Full,
        Some(raw::Sync::Normal) => Sync::Normal,
    };
    let key = raw.key_file.as_deref().and_then(|file| key(file, places, &path.key("key_file"), report));
    Log {
        path: PathBuf::from(file),
        key,
        sync,
        commit_interval: commit_interval.unwrap_or_default(),
        retention: retention.unwrap_or_default(),
    }
}

fn images(raw: &raw::ImageRetention, path: &KeyPath, report: &mut Report) -> ImageRetention {
    ImageRetention {
        max_age: duration(raw.max_age.as_ref(), MINUTE, 36_500 * DAY, &path.key("max_age"), report),
        max_size: size(raw.max_size.as_ref(), SMALLEST_LOG, u64::MAX, &path.key("max_size"), report),
    }
}

/// 256 random bits, used as they are.
fn key(file: &str, places: &SecretPlaces, path: &KeyPath, report: &mut Report) -> Option<Secret> {
    if !cfg!(feature = "sqlcipher") {
        let message = "this program cannot encrypt its log: it was built without SQLCipher";
        let hint = "build it with `--features sqlcipher` (docs/privacy.md), put the log on an encrypted disk, or \
                    leave this out";
        report.suggest(path, message, Some(hint.to_owned()));
        return None;
    }
    let key = secret_file(file, places, path, report)?;
    let found = log_key(&key);
    if found.is_none() {
        let hint = "make one with `openssl rand -hex 32`".to_owned();
        report.suggest(path, "does not hold a key of 64 hexadecimal digits", Some(hint));
    }
    found
}

/// The key of an encrypted log as its file has it; `None` when it is none.
pub fn log_key(text: &str) -> Option<Secret> {
    let key = text.trim_end_matches(['\r', '\n']);
    let good = key.len() == 64 && key.bytes().all(|letter| letter.is_ascii_hexdigit());
    good.then(|| Secret(key.to_owned()))
}

/// What is written in the clear though the log is not.
pub(super) fn in_the_clear(log: &Log, mirrors: &[Mirror], path: &KeyPath, report: &mut Report) {
    let files = mirrors.iter().enumerate().filter(|(_, mirror)| matches!(mirror.sink, Sink::Csv { .. }));
    for (index, _) in files.filter(|_| log.key.is_some()) {
        report.warn(&path.index(index).key("to"), "CSV files are not encrypted, only the log is");
    }
}

fn check_path(file: &str, path: &KeyPath, report: &mut Report) {
    if file.trim().is_empty() {
        report.problem(path, "is empty");
    } else if file.starts_with(":memory:") || file.starts_with("file:") {
        let message = "must be a plain path: what is in memory does not survive";
        report.suggest(path, message, Some(format!("write for example \"{DEFAULT_PATH}\"")));
    } else if file.ends_with('/') {
        report.suggest(path, "names a folder, not a file", Some(format!("write \"{file}bridge.db\"")));
    } else if file.contains('\0') {
        report.problem(path, "contains the character NUL");
    }
}

pub(super) fn clock(raw: raw::Clock, path: &KeyPath, report: &mut Report) -> ClockPolicy {
    let at = path.key("max_hold");
    let max_hold = duration(raw.max_hold.as_ref(), SECOND, DAY, &at, report);
    match raw.unsynced {
        Some(raw::Unsynced::Hold) => ClockPolicy::Hold(max_hold.unwrap_or(5 * MINUTE)),
        other => {
            if raw.max_hold.is_some() && (other.is_some() || !report.has_problem_at(&path.key("unsynced"))) {
                report.suggest(&at, "means nothing here", Some("it goes with `unsynced: hold`".into()));
            }
            ClockPolicy::Mark
        }
    }
}
