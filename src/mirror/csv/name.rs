//! What CSV files are called. A topic never becomes part of a path: only the date and the mirror's id do.
//!
//! `{date}` is the UTC day on which a message was received. When a file is full, or has other columns, the
//! next of the same day gets a number before the extension: `x.csv`, `x.1.csv`, `x.2.csv`. The highest number
//! is the newest; no file is ever renamed, so that whoever follows one never misses a line.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::super::{Incoming, SinkError};
use crate::reading::Timestamp;

const MICROS_PER_DAY: i64 = 86_400_000_000;

/// The UTC day of a moment, in days since the epoch.
pub(super) fn day(at: Timestamp) -> i64 {
    at.0.div_euclid(MICROS_PER_DAY)
}

/// The configured path.
#[derive(Debug)]
pub(super) struct Names {
    path: String,
    dated: bool,
}

impl Names {
    pub(super) fn new(path: &str, mirror: &str) -> Self {
        Self { path: path.replace("{mirror}", mirror), dated: path.contains("{date}") }
    }

    /// Whether each day has files of its own.
    pub(super) fn dated(&self) -> bool {
        self.dated
    }

    /// The day whose file a message goes to; always 0 when the path has no date.
    pub(super) fn day(&self, message: &Incoming) -> i64 {
        if self.dated { day(message.received.wall) } else { 0 }
    }

    /// The first file of a day.
    pub(super) fn base(&self, day: i64) -> PathBuf {
        if !self.dated {
            return PathBuf::from(&self.path);
        }
        // RFC 3339 begins with the date; beyond the calendar it is a number of microseconds.
        let time = Timestamp(day.saturating_mul(MICROS_PER_DAY)).to_string();
        let date = time.split('T').next().unwrap_or_default();
        PathBuf::from(self.path.replace("{date}", date))
    }
}

/// The `number`th file after the first.
pub(super) fn numbered(base: &Path, number: u32) -> PathBuf {
    if number == 0 {
        return base.to_owned();
    }
    let (stem, extension) = parts(base);
    base.with_file_name(format!("{stem}.{number}{extension}"))
}

/// The highest number among the files that are there; `None` when there is none.
pub(super) fn highest(base: &Path) -> Result<Option<u32>, SinkError> {
    let fail = |why| SinkError::File { path: base.to_owned(), what: "cannot look for its files", why };
    let folder = base.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(why) if why.kind() == ErrorKind::NotFound => return Ok(None),
        Err(why) => return Err(fail(why)),
    };
    let (stem, extension) = parts(base);
    let mut highest = None;
    for entry in entries {
        let name = entry.map_err(fail)?.file_name();
        let Some(name) = name.to_str() else { continue };
        let number = if base.file_name().is_some_and(|base| base == name) {
            Some(0)
        } else {
            let middle = name.strip_prefix(&stem).and_then(|name| name.strip_suffix(&extension));
            middle.and_then(|middle| middle.strip_prefix('.')).and_then(plain_number)
        };
        highest = highest.max(number);
    }
    Ok(highest)
}

/// A number as [`numbered`] writes it; `01` is somebody else's.
fn plain_number(text: &str) -> Option<u32> {
    text.parse().ok().filter(|number: &u32| *number > 0 && number.to_string() == text)
}

/// `x` and `.csv` of `folder/x.csv`.
fn parts(base: &Path) -> (String, String) {
    let stem = base.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let extension = base.extension().map_or_else(String::new, |text| format!(".{}", text.to_string_lossy()));
    (stem, extension)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn days_are_those_of_utc() {
        let names = Names::new("/data/{mirror}/{date}.csv", "air");
        for (micros, expected) in [
            (0, "/data/air/1970-01-01.csv"),
            (MICROS_PER_DAY - 1, "/data/air/1970-01-01.csv"),
            (-1, "/data/air/1969-12-31.csv"),
            (1_795_157_999_999_999, "/data/air/2026-11-20.csv"),
            (1_795_158_000_000_000, "/data/air/2026-11-20.csv"),
            (1_795_219_200_000_000, "/data/air/2026-11-21.csv"),
        ] {
            assert_eq!(names.base(day(Timestamp(micros))), PathBuf::from(expected), "{micros}");
        }
        assert_eq!(Names::new("/data/all.csv", "air").base(7), PathBuf::from("/data/all.csv"));
    }

    #[test]
    fn the_highest_number_is_the_newest() {
        let folder = tempfile::tempdir().unwrap();
        let base = folder.path().join("x.csv");
        assert_eq!(highest(&base).unwrap(), None);
        assert_eq!(highest(&folder.path().join("missing/x.csv")).unwrap(), None);
        for name in
            ["x.csv", "x.2.csv", "x.10.csv", "x.011.csv", "x.99.csv.bak", "x.a.csv", "y.50.csv", "x..csv"]
        {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        assert_eq!(highest(&base).unwrap(), Some(10));
        assert_eq!(numbered(&base, 11), folder.path().join("x.11.csv"));
        assert_eq!(numbered(&base, 0), base);
        assert_eq!(numbered(Path::new("/data/plain"), 3), PathBuf::from("/data/plain.3"));
    }

    proptest! {
        /// Whatever the clock says: one file of the day, in the folder that is configured.
        #[test]
        fn a_date_is_a_name_and_no_path(micros: i64) {
            let day = day(Timestamp(micros));
            let path = Names::new("/data/{mirror}/x-{date}.csv", "air").base(day);
            prop_assert_eq!(path.parent(), Some(Path::new("/data/air")));
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            prop_assert!(name.starts_with("x-") && name.ends_with(".csv") && name.len() < 40, "{name}");
            prop_assert_eq!(path.components().count(), 4);
        }
    }
}
