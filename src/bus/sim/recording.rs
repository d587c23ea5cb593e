//! A recorded course of one quantity, from a CSV file: what a simulated part, or the driver `sim`, replays over and over.

use std::fmt;
use std::fs::File;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// A recording larger than this is refused: it is held in memory.
const LARGEST: u64 = 16 << 20;

/// A recording; never empty. Cheap to clone.
#[derive(Clone, PartialEq)]
pub struct Recording {
    rows: Rows,
    /// Tells recordings apart where they are described.
    digest: u64,
}

#[derive(Clone, PartialEq)]
enum Rows {
    /// One value after another.
    Values(Arc<[f64]>),
    /// Values with the seconds since the beginning at which they begin to hold, rising; and the seconds of one round.
    Timed(Arc<[(f64, f64)]>, f64),
}

impl fmt::Debug for Recording {
    /// Short, and another one for other contents: a simulated part is made anew when its description has changed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rows = match &self.rows {
            Rows::Values(values) => values.len(),
            Rows::Timed(rows, _) => rows.len(),
        };
        write!(f, "Recording({rows} rows, {:016x})", self.digest)
    }
}

impl Recording {
    /// Reads a file: a value a line; or a time and a value, a time being seconds or as in RFC 3339; or more columns, of
    /// which the first is the time, the first line their names, and `column` the one to read (`value`, unless it is
    /// given). A heading, empty lines and lines with `#` are passed over.
    ///
    /// # Errors
    /// Words for a person, with the file and where possible the line.
    pub fn load(path: &Path, column: Option<&str>) -> Result<Self, String> {
        let failed =
            |error: std::io::Error| format!("the recording {} cannot be read: {error}", path.display());
        // Looked at before it is opened: a pipe would be waited for.
        let about = std::fs::metadata(path).map_err(failed)?;
        if !about.is_file() {
            return Err(format!("{} is no file", path.display()));
        }
        if about.len() > LARGEST {
            return Err(format!("the recording {} is larger than {} MiB", path.display(), LARGEST >> 20));
        }
        let text = BufReader::new(File::open(path).map_err(failed)?.take(LARGEST));
        Self::of(text, column).map_err(|wrong| match wrong {
            Wrong::Unreadable(error) => failed(error),
            Wrong::Line(line, what) => format!("the recording {}, line {line}: {what}", path.display()),
        })
    }

    fn of(text: impl BufRead, column: Option<&str>) -> Result<Self, Wrong> {
        let (mut columns, mut last) = (None, 0);
        let mut rows: Vec<Row> = Vec::new();
        for (index, line) in text.lines().enumerate() {
            last = index + 1;
            let wrong = |what| Wrong::Line(last, what);
            let line = line.map_err(Wrong::Unreadable)?;
            // Spreadsheets begin a file with a byte order mark.
            let line = line.trim_start_matches('\u{feff}').trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let cells: Vec<&str> = line.split(',').map(|cell| cell.trim().trim_matches('"')).collect();
            let (columns, is_heading) = match &columns {
                Some(columns) => (columns, false),
                None => {
                    let (found, is_heading) = Columns::of(&cells, column).map_err(wrong)?;
                    (&*columns.insert(found), is_heading)
                }
            };
            if is_heading {
                continue;
            }
            let row = columns.row(last, &cells).map_err(wrong)?;
            if let (Some(before), Some(time)) = (rows.last().and_then(|row| row.time), row.time)
                && before >= time
            {
                return Err(wrong(format!(
                    "its time is not after that of line {}",
                    rows[rows.len() - 1].line
                )));
            }
            rows.push(row);
        }
        let Some(first) = rows.first() else {
            return Err(Wrong::Line(last.max(1), "the file ends, and there was no value in it".to_owned()));
        };
        Ok(match first.time {
            None => Self::one_by_one(rows.iter().map(|row| row.value).collect()),
            Some(begin) => {
                Self::timed(rows.iter().map(|row| (row.time.unwrap_or(begin) - begin, row.value)).collect())
            }
        })
    }

    fn one_by_one(values: Vec<f64>) -> Self {
        let digest = digest(values.iter().copied());
        Self { rows: Rows::Values(values.into()), digest }
    }

    /// The last value holds for as long as the one before it did, and a single one for ever.
    fn timed(rows: Vec<(f64, f64)>) -> Self {
        let last = rows.last().map_or(0.0, |row| row.0);
        let before = rows.iter().rev().nth(1).map_or(last - 1.0, |row| row.0);
        let digest = digest(rows.iter().flat_map(|(time, value)| [*time, *value]));
        Self { rows: Rows::Timed(rows.into(), last + (last - before)), digest }
    }

    /// The same, every value times this.
    pub fn scaled(self, factor: f64) -> Self {
        match self.rows {
            Rows::Values(values) => Self::one_by_one(values.iter().map(|value| value * factor).collect()),
            Rows::Timed(rows, _) => {
                Self::timed(rows.iter().map(|(time, value)| (*time, value * factor)).collect())
            }
        }
    }

    /// The value so long after the beginning; values without times hold for a second each.
    pub fn at(&self, elapsed: Duration) -> f64 {
        match &self.rows {
            Rows::Values(values) => values[(elapsed.as_secs() % values.len() as u64) as usize],
            Rows::Timed(rows, length) => {
                let time = elapsed.as_secs_f64() % length;
                rows[rows.partition_point(|(start, _)| *start <= time).saturating_sub(1)].1
            }
        }
    }

    /// The value of the sample of this number, counted from 0; of a recording with times, that of its time.
    pub fn sample(&self, number: u64, elapsed: Duration) -> f64 {
        match &self.rows {
            Rows::Values(values) => values[(number % values.len() as u64) as usize],
            Rows::Timed(..) => self.at(elapsed),
        }
    }
}

fn digest(numbers: impl Iterator<Item = f64>) -> u64 {
    let mut hasher = DefaultHasher::new();
    numbers.for_each(|number| number.to_bits().hash(&mut hasher));
    hasher.finish()
}

enum Wrong {
    Unreadable(std::io::Error),
    /// Number of the line, from 1.
    Line(usize, String),
}

struct Row {
    line: usize,
    /// s
    time: Option<f64>,
    value: f64,
}

/// Where in a line things stand.
struct Columns {
    time: Option<usize>,
    value: usize,
    /// In a line.
    count: usize,
}

impl Columns {
    /// By the first line, and whether that is a heading.
    fn of(cells: &[&str], wanted: Option<&str>) -> Result<(Self, bool), String> {
        let count = cells.len();
        let is_heading = cells.iter().all(|cell| number(cell).is_err() && time(cell).is_err());
        let called = |name: &str| cells.iter().position(|cell| cell.eq_ignore_ascii_case(name));
        let value = match wanted {
            Some(_) if !is_heading => {
                return Err("`column` is given, so this line must hold the names of the columns".to_owned());
            }
            Some(name) => called(name)
                .ok_or_else(|| format!("there is no column \"{name}\"; there are: {}", cells.join(", ")))?,
            None if count <= 2 => count - 1,
            // As in `sensor-bridge export`.
            None if is_heading => called("value").ok_or_else(|| {
                format!("which column? say it with `column`; there are: {}", cells.join(", "))
            })?,
            None => {
                return Err(format!(
                    "it has {count} columns: put a line with their names first, and say which with `column`"
                ));
            }
        };
        Ok((Self { time: (value > 0).then_some(0), value, count }, is_heading))
    }

    fn row(&self, line: usize, cells: &[&str]) -> Result<Row, String> {
        if cells.len() != self.count {
            let s = if self.count == 1 { "" } else { "s" };
            return Err(format!("it has {} where {} value{s} should be", cells.len(), self.count));
        }
        let time = self.time.map(|at| time(cells[at])).transpose()?;
        Ok(Row { line, time, value: number(cells[self.value])? })
    }
}

fn number(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(number) if number.is_finite() => Ok(number),
        _ => Err(format!("\"{text}\" is not a number")),
    }
}

/// s, since some moment.
fn time(text: &str) -> Result<f64, String> {
    if let Ok(seconds) = number(text) {
        return Ok(seconds);
    }
    match text.parse::<jiff::Timestamp>() {
        Ok(time) => Ok(time.as_duration().as_secs_f64()),
        Err(_) => Err(format!("\"{text}\" is no time: write seconds, or as in 2026-11-20T07:00:00Z")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recording(text: &str, column: Option<&str>) -> Result<Recording, String> {
        Recording::of(text.as_bytes(), column).map_err(|wrong| match wrong {
            Wrong::Unreadable(error) => error.to_string(),
            Wrong::Line(line, what) => format!("line {line}: {what}"),
        })
    }

    fn at(recording: &Recording, seconds: f64) -> f64 {
        recording.at(Duration::from_secs_f64(seconds))
    }

    #[test]
    fn values_alone_hold_for_a_second_each_or_for_a_sample() {
        let recording = recording("value\r\n# a comment\r\n1.5\r\n\r\n-2\r\n3e2\r\n", None).unwrap();
        for (seconds, value) in [(0.0, 1.5), (0.9, 1.5), (1.0, -2.0), (2.5, 300.0), (3.0, 1.5), (301.0, -2.0)]
        {
            assert_eq!(at(&recording, seconds), value, "{seconds}");
        }
        let samples: Vec<f64> = (0..4).map(|number| recording.sample(number, Duration::ZERO)).collect();
        assert_eq!(samples, [1.5, -2.0, 300.0, 1.5]);
    }

    #[test]
    fn values_with_times_hold_until_the_next_and_begin_again() {
        let recording = recording("10,1\n12,2\n13,3\n", None).unwrap();
        for (seconds, value) in [(0.0, 1.0), (1.9, 1.0), (2.0, 2.0), (3.5, 3.0), (4.0, 1.0), (6.5, 2.0)] {
            assert_eq!(at(&recording, seconds), value, "{seconds}");
            assert_eq!(recording.sample(77, Duration::from_secs_f64(seconds)), value);
        }
        let single = self::recording("5,7", None).unwrap();
        assert_eq!(at(&single, 1000.0), 7.0);
        assert_eq!(at(&single.scaled(100.0), 1.0), 700.0);
    }

    #[test]
    fn columns_are_found_by_name() {
        let wide = "\u{feff}\"time\",\"temperature\",\"humidity\"\n0, 20, 50\n60, 21, 49\n";
        assert_eq!(at(&recording(wide, Some("humidity")).unwrap(), 60.0), 49.0);
        assert_eq!(at(&recording(wide, Some("Temperature")).unwrap(), 0.0), 20.0);
        // What `sensor-bridge export` writes.
        let export = "time,device,sensor,quantity,value,unit,clock\n\
                      2026-11-20T07:00:00.123456Z,pi,air,temperature,21.4,°C,synced\n\
                      2026-11-20T08:00:10.123456+01:00,pi,air,temperature,21.6,°C,synced\n";
        let recording = recording(export, None).unwrap();
        assert_eq!((at(&recording, 9.0), at(&recording, 10.5)), (21.4, 21.6));
    }

    #[test]
    fn a_file_that_is_wrong_names_the_line() {
        for (text, column, words) in [
            ("", None, "line 1: the file ends, and there was no value"),
            ("value\n", None, "line 1: the file ends, and there was no value"),
            ("1\nx\n", None, "line 2: \"x\" is not a number"),
            ("1\nNaN\n", None, "line 2"),
            ("0,1\n# so\n0,2\n", None, "line 3: its time is not after that of line 1"),
            ("time,value\n0,1\n\n2\n", None, "line 4: it has 1 where 2 values should be"),
            ("1\n2,2\n", None, "line 2: it has 2 where 1 value should be"),
            ("yesterday,5\n1,2\n", None, "line 1: \"yesterday\" is no time"),
            ("t,a,b\n0,1,2\n", None, "line 1: which column? say it with `column`; there are: t, a, b"),
            ("t,a,b\n0,1,2\n", Some("c"), "line 1: there is no column \"c\"; there are: t, a, b"),
            ("0,1,2\n", None, "line 1: it has 3 columns"),
            ("0,1\n", Some("a"), "line 1: `column` is given"),
            ("t,a\n0,\n", Some("a"), "line 2: \"\" is not a number"),
        ] {
            let error = recording(text, column).unwrap_err();
            assert!(error.contains(words), "{text:?}: {error}");
        }
    }

    #[test]
    fn a_file_that_is_none_says_so() {
        let load = |path: &Path| Recording::load(path, None).unwrap_err();
        assert!(load(Path::new("/no/such/file")).contains("/no/such/file cannot be read: No such file"));
        let folder = tempfile::tempdir().unwrap();
        assert!(load(folder.path()).contains("is no file"));
        let file = folder.path().join("large.csv");
        File::create(&file).unwrap().set_len(LARGEST + 1).unwrap();
        assert!(load(&file).contains("larger than 16 MiB"));
    }

    #[test]
    fn descriptions_differ_where_contents_do() {
        let [one, other] = ["1\n2\n", "1\n3\n"].map(|text| format!("{:?}", recording(text, None).unwrap()));
        assert_ne!(one, other);
        assert!(one.len() < 60, "{one}");
    }
}
