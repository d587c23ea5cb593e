//! Durations (`10s`, `1m30s`) and sizes (`2GB`, `64KiB`): text to number and back.

use std::fmt::Write as _;
use std::time::Duration;

/// Why a text is no duration or size, and what to write instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AmountError {
    /// What is wrong.
    pub message: String,
    /// What to write instead.
    pub suggestion: Option<String>,
}

impl AmountError {
    fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), suggestion: None }
    }

    fn write(mut self, instead: impl std::fmt::Display) -> Self {
        self.suggestion = Some(format!("write \"{instead}\""));
        self
    }
}

impl std::fmt::Display for AmountError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.suggestion {
            Some(suggestion) => write!(f, "{}; {suggestion}", self.message),
            None => f.write_str(&self.message),
        }
    }
}

impl std::error::Error for AmountError {}

/// Units of time, the largest first, in nanoseconds.
const TIME: [(&str, u128); 5] = [
    ("d", 86_400_000_000_000),
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
];

/// What people write for a unit of time, and what we ask them to write.
const TIME_WORDS: [(&str, &[&str]); 5] = [
    ("ms", &["msec", "msecs", "millisecond", "milliseconds"]),
    ("s", &["sec", "secs", "second", "seconds"]),
    ("m", &["min", "mins", "minute", "minutes"]),
    ("h", &["hr", "hrs", "hour", "hours"]),
    ("d", &["day", "days"]),
];

/// Units of size in bytes: decimal prefixes count in thousands, binary ones in 1,024s.
const SIZE: [(&str, u64); 9] = [
    ("TiB", 1 << 40),
    ("TB", 1_000_000_000_000),
    ("GiB", 1 << 30),
    ("GB", 1_000_000_000),
    ("MiB", 1 << 20),
    ("MB", 1_000_000),
    ("KiB", 1 << 10),
    ("kB", 1_000),
    ("B", 1),
];

/// Reads a duration: one or more of number and unit (`ms`, `s`, `m`, `h`, `d`), the largest unit first.
///
/// # Errors
/// Says what is wrong, and for a missing or misspelt unit what to write.
pub fn parse_duration(text: &str) -> Result<Duration, AmountError> {
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err(AmountError::new("an empty duration").write("10s"));
    }
    let mut total: u128 = 0;
    let mut smallest = u128::MAX;
    while !rest.is_empty() {
        let part = Part::take(rest).ok_or_else(|| not_a("duration", text, "10s"))?;
        rest = part.rest;
        let size = time_unit(text, &part)?;
        if size >= smallest {
            return Err(AmountError::new(format!(
                "\"{text}\": units must go from large to small, each once"
            ))
            .write("1m30s"));
        }
        smallest = size;
        let amount = part.times(size).ok_or_else(|| AmountError::new(format!("\"{text}\" is too long")))?;
        total =
            total.checked_add(amount).ok_or_else(|| AmountError::new(format!("\"{text}\" is too long")))?;
    }
    let seconds = u64::try_from(total / 1_000_000_000)
        .ok()
        // Ten thousand years: keeps every later sum in microseconds inside an i64.
        .filter(|seconds| *seconds <= 315_360_000_000)
        .ok_or_else(|| AmountError::new(format!("\"{text}\" is too long")))?;
    // The remainder is below 10⁹ and fits.
    Ok(Duration::new(seconds, (total % 1_000_000_000) as u32))
}

fn time_unit(text: &str, part: &Part<'_>) -> Result<u128, AmountError> {
    if let Some((_, size)) = TIME.iter().find(|(name, _)| *name == part.unit) {
        return Ok(*size);
    }
    let number = part.number;
    if part.unit.is_empty() {
        return Err(AmountError::new(format!("\"{text}\" has no unit of time")).write(format!("{number}s")));
    }
    let unknown = AmountError::new(format!("\"{text}\": unknown unit of time \"{}\"", part.unit));
    let lower = part.unit.to_lowercase();
    let days =
        |each: u64| number.parse::<u64>().ok().and_then(|count| count.checked_mul(each)).unwrap_or(each);
    if part.unit == "M" {
        // Minutes, or months? A wrong guess for `max_age` deletes what somebody wanted to keep.
        let instead = format!("write \"{number}m\" for minutes, \"{}d\" for months", days(30));
        return Err(AmountError { suggestion: Some(instead), ..unknown });
    }
    let meant = TIME_WORDS.iter().find(|(name, words)| *name == lower || words.contains(&lower.as_str()));
    Err(match meant {
        Some((name, _)) => unknown.write(format!("{number}{name}")),
        None if lower.starts_with('w') => unknown.write(format!("{}d", days(7))),
        None if lower.starts_with('y') => unknown.write(format!("{}d", days(365))),
        None => AmountError { suggestion: Some("units are ms, s, m, h, d".into()), ..unknown },
    })
}

/// The shortest text that [`parse_duration`] reads as the same duration.
pub fn format_duration(duration: Duration) -> String {
    let mut left = duration.as_nanos();
    if left == 0 {
        return "0s".to_owned();
    }
    let mut text = String::new();
    for (unit, size) in TIME {
        let (count, remainder) = (left / size, left % size);
        // What is below a millisecond is written as its decimals.
        if unit == "ms" && remainder > 0 {
            let decimals = format!("{remainder:06}");
            text.push_str(&format!("{count}.{}ms", decimals.trim_end_matches('0')));
            break;
        }
        if count > 0 {
            text.push_str(&format!("{count}{unit}"));
        }
        left = remainder;
    }
    text
}

/// Reads a size in bytes: a number and `B`, `kB`, `MB`, `GB`, `TB` (thousands) or `KiB`, `MiB`, `GiB`,
/// `TiB` (1,024s).
///
/// # Errors
/// Says what is wrong, and for a missing or misspelt unit what to write.
pub fn parse_size(text: &str) -> Result<u64, AmountError> {
    let part = Part::take(text.trim())
        .filter(|part| part.rest.is_empty())
        .ok_or_else(|| not_a("size", text, "2GB"))?;
    let number = part.number;
    let Some((_, size)) = SIZE.iter().find(|(name, _)| *name == part.unit) else {
        if part.unit.is_empty() {
            return Err(
                AmountError::new(format!("\"{text}\" has no unit of size")).write(format!("{number}MB"))
            );
        }
        let unknown = AmountError::new(format!("\"{text}\": unknown unit of size \"{}\"", part.unit));
        let lower = part.unit.to_lowercase();
        let meant = SIZE.iter().find(|(name, _)| {
            let name = name.to_lowercase();
            // `K`, `M`, `G` mean different things to different people; we propose thousands.
            name == lower || name == format!("{lower}b")
        });
        return Err(match meant {
            Some((name, _)) => unknown.write(format!("{number}{name}")),
            None => {
                let units = "units are B, kB, MB, GB, TB, KiB, MiB, GiB, TiB".to_owned();
                AmountError { suggestion: Some(units), ..unknown }
            }
        });
    };
    part.times(u128::from(*size))
        .and_then(|bytes| u64::try_from(bytes).ok())
        // SQLite and file offsets are signed.
        .filter(|bytes| *bytes <= i64::MAX as u64)
        .ok_or_else(|| AmountError::new(format!("\"{text}\" is too large")))
}

/// A size in the largest unit that divides it: `2GB`, `64KiB`; [`parse_size`] reads it back.
pub fn format_size(bytes: u64) -> String {
    SIZE.iter()
        .find(|(_, size)| bytes >= *size && bytes.is_multiple_of(*size))
        .map_or_else(|| format!("{bytes}B"), |(unit, size)| format!("{}{unit}", bytes / size))
}

fn not_a(what: &str, text: &str, example: &str) -> AmountError {
    let mut shown = String::new();
    // Writing into a String cannot fail; the text is cut because it may be anything.
    if write!(shown, "{}", text.chars().take(40).collect::<String>()).is_err() {
        shown.clear();
    }
    AmountError {
        message: format!("{shown:?} is not a {what}"),
        suggestion: Some(format!("write a number and its unit, for example \"{example}\"")),
    }
}

/// One `number unit` and what follows it.
struct Part<'a> {
    number: &'a str,
    unit: &'a str,
    rest: &'a str,
}

impl<'a> Part<'a> {
    fn take(text: &'a str) -> Option<Self> {
        let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let (number, tail) = text.split_at(end);
        let tail = tail.trim_start();
        let end = tail.find(|c: char| !c.is_alphabetic()).unwrap_or(tail.len());
        let (unit, rest) = tail.split_at(end);
        let (whole, decimals) = number.split_once('.').unwrap_or((number, "0"));
        let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        // Without a unit nothing may follow, or the loop over parts could stand still.
        let well_formed = digits(whole) && digits(decimals) && (rest.is_empty() || !unit.is_empty());
        well_formed.then(|| Part { number, unit, rest: rest.trim_start() })
    }

    /// The number times `unit`, rounded down; `None` when it does not fit.
    fn times(&self, unit: u128) -> Option<u128> {
        let (whole, decimals) = self.number.split_once('.').unwrap_or((self.number, ""));
        let mut total = whole.parse::<u128>().ok()?.checked_mul(unit)?;
        let decimals = decimals.get(..decimals.len().min(18))?;
        if !decimals.is_empty() {
            let scale = 10u128.checked_pow(u32::try_from(decimals.len()).ok()?)?;
            total = total.checked_add(decimals.parse::<u128>().ok()?.checked_mul(unit)? / scale)?;
        }
        Some(total)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn durations_people_write() {
        for (text, millis) in [
            ("10ms", 10),
            ("10s", 10_000),
            ("5m", 300_000),
            ("2h", 7_200_000),
            ("90d", 7_776_000_000),
            ("1m30s", 90_000),
            ("1.5s", 1_500),
            ("0.25h", 900_000),
            (" 10 s ", 10_000),
            ("1d 2h", 93_600_000),
            ("0s", 0),
        ] {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
    }

    #[test]
    fn durations_that_are_none() {
        for (text, expected) in [
            ("10", "\"10\" has no unit of time; write \"10s\""),
            ("10sec", "\"10sec\": unknown unit of time \"sec\"; write \"10s\""),
            ("5 minutes", "\"5 minutes\": unknown unit of time \"minutes\"; write \"5m\""),
            ("2H", "\"2H\": unknown unit of time \"H\"; write \"2h\""),
            ("2w", "\"2w\": unknown unit of time \"w\"; write \"14d\""),
            ("1y", "\"1y\": unknown unit of time \"y\"; write \"365d\""),
            ("6M", "\"6M\": unknown unit of time \"M\"; write \"6m\" for minutes, \"180d\" for months"),
            ("3x", "\"3x\": unknown unit of time \"x\"; units are ms, s, m, h, d"),
            ("30s1m", "\"30s1m\": units must go from large to small, each once; write \"1m30s\""),
            ("1s1s", "\"1s1s\": units must go from large to small, each once; write \"1m30s\""),
            ("-5s", "\"-5s\" is not a duration; write a number and its unit, for example \"10s\""),
            ("1.s", "\"1.s\" is not a duration; write a number and its unit, for example \"10s\""),
            ("", "an empty duration; write \"10s\""),
            ("99999999999999999999d", "\"99999999999999999999d\" is too long"),
            (
                "340282366920938463463374607431768211455d",
                "\"340282366920938463463374607431768211455d\" is too long",
            ),
        ] {
            assert_eq!(parse_duration(text).unwrap_err().to_string(), expected, "{text}");
        }
    }

    #[test]
    fn sizes_people_write() {
        for (text, bytes) in [
            ("512B", 512),
            ("64kB", 64_000),
            ("2GB", 2_000_000_000),
            ("2GiB", 2_147_483_648),
            ("1.5 MB", 1_500_000),
        ] {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
        }
        for (text, expected) in [
            ("64", "\"64\" has no unit of size; write \"64MB\""),
            ("2G", "\"2G\": unknown unit of size \"G\"; write \"2GB\""),
            ("2gb", "\"2gb\": unknown unit of size \"gb\"; write \"2GB\""),
            ("64KB", "\"64KB\": unknown unit of size \"KB\"; write \"64kB\""),
            (
                "2 parsecs",
                "\"2 parsecs\": unknown unit of size \"parsecs\"; units are B, kB, MB, GB, TB, KiB, MiB, GiB, TiB",
            ),
            ("99999999TB", "\"99999999TB\" is too large"),
            ("big", "\"big\" is not a size; write a number and its unit, for example \"2GB\""),
        ] {
            assert_eq!(parse_size(text).unwrap_err().to_string(), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_duration_survives_the_round_trip(seconds in 0u64..315_360_000_000, nanos in 0u32..1_000_000_000) {
            let duration = Duration::new(seconds, nanos);
            prop_assert_eq!(parse_duration(&format_duration(duration)), Ok(duration));
        }

        #[test]
        fn a_size_survives_the_round_trip(bytes in 0u64..=i64::MAX as u64, shift in 0u32..40) {
            let bytes = bytes >> shift << shift;
            prop_assert_eq!(parse_size(&format_size(bytes)), Ok(bytes));
        }

        #[test]
        fn no_text_panics(text in "\\PC{0,40}", amount in "[0-9. ]{0,30}[a-zA-Zµ]{0,4}[0-9.smhd ]{0,10}") {
            for text in [text, amount] {
                if let Ok(duration) = parse_duration(&text) {
                    prop_assert_eq!(parse_duration(&format_duration(duration)), Ok(duration));
                }
                if let Ok(bytes) = parse_size(&text) {
                    prop_assert_eq!(parse_size(&format_size(bytes)), Ok(bytes));
                }
            }
        }
    }
}
