//! `status`: where the daemon says how it is.

use std::path::PathBuf;
use std::time::Duration;

use super::super::model::{Socket, Status};
use super::super::problem::{KeyPath, Report};
use super::super::raw;
use super::{DAY, SECOND, duration};

/// Longest path of a unix socket, bytes: `sun_path` has 108 with the NUL at its end (unix(7)).
const LONGEST_PATH: usize = 107;

/// Facts are some kilobytes: once a minute would be a hundred megabytes a month on a link that is paid for.
const DEFAULT_INTERVAL: Duration = Duration::from_secs(300);

pub(super) fn check(raw: raw::Status, has_broker: bool, path: &KeyPath, report: &mut Report) -> Status {
    let at = path.key("interval");
    if raw.interval.is_some() && !has_broker {
        report.suggest(&at, "means nothing here", Some("it goes with `mqtt:`, the broker".into()));
    }
    let interval = match raw.interval.as_ref() {
        Some(raw::DurationText(text)) if text.trim() == "off" => None,
        other => Some(duration(other, SECOND, DAY, &at, report).unwrap_or(DEFAULT_INTERVAL)),
    };
    Status { socket: socket(raw.socket.as_deref(), &path.key("socket"), report), interval }
}

fn socket(text: Option<&str>, path: &KeyPath, report: &mut Report) -> Socket {
    match text {
        None => Socket::Usual,
        Some("off") => Socket::Off,
        Some(text) => {
            if !text.starts_with('/') {
                let hint = "write for example /run/sensor-bridge/status.sock, or off".to_owned();
                report.suggest(path, "must be an absolute path, or off", Some(hint));
            } else if text.ends_with('/') {
                let hint = format!("write \"{text}status.sock\"");
                report.suggest(path, "names a folder, not a socket", Some(hint));
            } else if text.len() > LONGEST_PATH {
                report.problem(
                    path,
                    format!("is longer than the {LONGEST_PATH} bytes that a socket's path may have"),
                );
            } else if text.contains('\0') {
                report.problem(path, "contains the character NUL");
            }
            Socket::At(PathBuf::from(text))
        }
    }
}
