//! `log` and `clock`.

use std::path::PathBuf;
use std::time::Duration;

use super::super::model::{ClockPolicy, ImageRetention, Log, Retention, Sync};
use super::super::problem::{KeyPath, Report};
use super::super::raw;
use super::{DAY, MINUTE, SECOND, duration, size};

const DEFAULT_PATH: &str = "/var/lib/sensor-bridge/bridge.db";

/// Smaller, and the log would be deleting all the time.
const SMALLEST_LOG: u64 = 1_000_000;

pub(super) fn check(raw: raw::Log, path: &KeyPath, report: &mut Report) -> Log {
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
    Log {
        path: PathBuf::from(file),
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
