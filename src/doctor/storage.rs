//! The log: room on its disk, rights to its files, and whether it is whole.

use std::fs;
use std::path::{Path, PathBuf};

use rustix::fs::{StatVfs, StatVfsMountFlags};

use super::Verdict;
use super::user::User;
use crate::log::LogError;
use crate::log::look::Look;

/// Less than this is nearly full: a day of logs of the system alone can be more.
const LEAST: u64 = 200_000_000;

/// The folder that holds the log, or will.
pub(super) fn folder(database: &Path) -> PathBuf {
    match database.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
        _ => PathBuf::from("."),
    }
}

/// Room on the disk of the log.
pub(super) fn space(database: &Path, stat: rustix::io::Result<StatVfs>) -> Verdict {
    let (about, folder) = ("disk", folder(database));
    let folder = folder.display();
    let stat = match stat {
        Ok(stat) => stat,
        Err(rustix::io::Errno::NOENT) => {
            let remedy = format!("sudo install -d -o sensor-bridge -m 750 {folder}, or another log.path");
            return Verdict::trouble(about, format!("the folder {folder} does not exist"), remedy);
        }
        Err(error) => return Verdict::unknown(about, format!("{folder}: {error}")),
    };
    if stat.f_flag.contains(StatVfsMountFlags::RDONLY) {
        let remedy = "mount it writable; a card that fails turns read-only by itself: see dmesg";
        return Verdict::trouble(about, format!("{folder} is on a read-only file system"), remedy);
    }
    let bytes = |blocks: u64| blocks.saturating_mul(stat.f_frsize);
    let (free, total) = (bytes(stat.f_bavail), bytes(stat.f_blocks));
    let percent = (free as f64 / (total.max(1)) as f64 * 100.0).round();
    let what = format!("{:.1} GB ({percent}%) free for {folder}", free as f64 / 1e9);
    // Both: 5 % of a large disk is plenty, and a small partition of one's own may be meant to be full.
    if free < LEAST || (percent < 5.0 && free < 10 * LEAST) {
        let remedy =
            "make room, or set log.retention.max_size; the bridge stops logging when the disk is full";
        return Verdict::trouble(about, what, remedy);
    }
    if stat.f_files > 0 && stat.f_favail == 0 {
        return Verdict::trouble(
            about,
            format!("no more files can be made in {folder}"),
            "remove small files",
        );
    }
    Verdict::well(about, what)
}

/// Files of the log that belong to somebody else: what is left when the bridge was once run by root.
pub(super) fn rights(database: &Path, user: &User) -> Vec<Verdict> {
    let name = database.to_string_lossy();
    let files = ["", "-wal", "-shm", ".lock"].map(|suffix| PathBuf::from(format!("{name}{suffix}")));
    let closed: Vec<String> = files
        .iter()
        .filter(|file| fs::metadata(file).is_ok_and(|file| user.may_use(&file).is_err()))
        .map(|file| file.display().to_string())
        .collect();
    if closed.is_empty() {
        return Vec::new();
    }
    let files = closed.join(" ");
    let what = format!("{} may not write {files}", user.name);
    vec![Verdict::trouble("rights", what, format!("sudo chown {0}: {files}", user.name))]
}

/// What a look at the log has shown.
pub(super) fn log(look: Result<Look, LogError>) -> Verdict {
    let about = "log";
    match look {
        Ok(Look::Whole) => Verdict::well(about, "whole"),
        Ok(Look::Unfinished) => Verdict::well(about, "whole as far as was looked in 10 s"),
        Ok(Look::Damaged(fault)) => Verdict::trouble(
            about,
            format!("damaged: {fault}"),
            "restart the service, which sets it aside and begins a new one; `sqlite3 FILE .recover` may save rows",
        ),
        Err(error @ LogError::Missing { .. }) => {
            let text = error.to_string();
            let (what, remedy) = text.split_once("; ").unwrap_or((&text, "start `sensor-bridge run`"));
            Verdict::trouble(about, what, remedy)
        }
        Err(LogError::Unusable { path, reason }) if reason.contains("permission denied") => {
            Verdict::unknown(about, format!("{} may not be read: ask with sudo", path.display()))
        }
        Err(error) => {
            let text = error.to_string();
            match text.split_once("; ") {
                Some((what, remedy)) => Verdict::trouble(about, what, remedy),
                None => Verdict::trouble(about, &*text, "see docs/log.md"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::doctor::State;
    use crate::doctor::devices::tests::tree;

    fn stat(free: u64, total: u64) -> StatVfs {
        let mut stat = rustix::fs::statvfs("/").unwrap();
        stat.f_flag = StatVfsMountFlags::empty();
        (stat.f_frsize, stat.f_bavail, stat.f_blocks) = (4096, free / 4096, total / 4096);
        (stat.f_files, stat.f_favail) = (1000, 10);
        stat
    }

    fn shown(verdict: &Verdict) -> String {
        match &verdict.state {
            State::Trouble { remedy } => format!("{} → {remedy}", verdict.what),
            other => format!("{} {other:?}", verdict.what),
        }
    }

    #[test]
    fn room_on_the_disk() {
        let database = Path::new("/data/bridge.db");
        let gb = 1_000_000_000;
        let read_only = StatVfs { f_flag: StatVfsMountFlags::RDONLY, ..stat(gb, 32 * gb) };
        let no_files = StatVfs { f_favail: 0, ..stat(10 * gb, 32 * gb) };
        for (stat, expected) in [
            (Ok(stat(10 * gb, 32 * gb)), "10.0 GB (31%) free for /data Well"),
            (Ok(stat(gb / 10, 32 * gb)), "make room"),
            (Ok(stat(gb, 32 * gb)), "make room"),
            (Ok(stat(20 * gb, 2000 * gb)), "Well"),
            (Ok(read_only), "read-only file system"),
            (Ok(no_files), "no more files"),
            (Err(rustix::io::Errno::NOENT), "the folder /data does not exist → sudo install -d"),
            (Err(rustix::io::Errno::ACCESS), "Unknown"),
        ] {
            let text = shown(&space(database, stat));
            assert!(text.contains(expected), "{text}");
        }
    }

    #[test]
    fn files_of_root_among_ours() {
        let root = tree(&[
            ("etc/passwd", "sensor-bridge:x:4294000:4294000::/:/\n"),
            ("bridge.db", ""),
            ("bridge.db-wal", ""),
        ]);
        let database = root.path().join("bridge.db");
        let open = |name: &str, mode| {
            fs::set_permissions(root.path().join(name), fs::Permissions::from_mode(mode)).unwrap();
        };
        let user = User::of_service(root.path());
        open("bridge.db", 0o666);
        open("bridge.db-wal", 0o666);
        assert_eq!(rights(&database, &user), []);
        open("bridge.db-wal", 0o644);
        let text = shown(&rights(&database, &user)[0]);
        assert!(text.contains("sudo chown sensor-bridge: ") && text.ends_with("bridge.db-wal"), "{text}");
    }

    #[test]
    fn what_a_look_has_shown() {
        let path = PathBuf::from("/data/bridge.db");
        for (look, expected) in [
            (Ok(Look::Whole), "whole Well"),
            (Ok(Look::Unfinished), "Well"),
            (Ok(Look::Damaged("row 3 missing".into())), "damaged: row 3 missing → restart"),
            (Err(LogError::Missing { path: path.clone() }), "no such log → check log.path"),
            (Err(LogError::Newer { path: path.clone(), found: 9, known: 1 }), "→ install that version"),
            (
                Err(LogError::Unusable { path, reason: "permission denied; x".into() }),
                "ask with sudo Unknown",
            ),
        ] {
            let text = shown(&log(look));
            assert!(text.contains(expected), "{text}");
        }
    }
}
