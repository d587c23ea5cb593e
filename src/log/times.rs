//! Times in words people use: `2h`, `yesterday`, `monday 08:00`, `2026-11-20 07:00`. Pure: now is an argument.

use std::fmt;

use jiff::civil::{Date, DateTime, Time, Weekday};
use jiff::{Span, Timestamp, ToSpan, Zoned};

/// A text that is no time, with what to write instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "\"{0}\" is not a time; write for example 2h, \"3 days ago\", today, yesterday, \"monday 08:00\", 07:30, 2026-11-20, \"2026-11-20 07:00\" or 2026-11-20T07:00:00Z"
)]
pub struct NotATime(String);

/// A text that is no interval.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is not an interval; write for example 30s, 5m, 1h or 1d")]
pub struct NotAnInterval(String);

/// Reads a point in time. A length of time is that long ago; a day is its beginning; a time of day is that
/// of today; what names no time zone is meant in that of `now`.
///
/// # Errors
/// [`NotATime`]
pub fn parse(text: &str, now: &Zoned) -> Result<Timestamp, NotATime> {
    let trimmed = text.trim();
    let lower = trimmed.to_lowercase();
    [relative, named_day, absolute]
        .into_iter()
        .find_map(|read| read(&lower, now))
        .or_else(|| trimmed.parse().ok())
        .ok_or_else(|| NotATime(text.to_owned()))
}

/// `now`, `2h`, `90 min`, `3 days ago`.
fn relative(text: &str, now: &Zoned) -> Option<Timestamp> {
    if text == "now" {
        return Some(now.timestamp());
    }
    // "2026" is a year and "7" an hour to some: a bare number is neither here.
    if !text.ends_with(|last: char| last.is_ascii_alphabetic()) {
        return None;
    }
    let length = text.strip_suffix("ago").unwrap_or(text).trim();
    let span: Span = length.parse().ok()?;
    if span.is_negative() {
        return None;
    }
    Some(now.checked_sub(span).ok()?.timestamp())
}

/// `today`, `yesterday 18:00`, `monday`, `last friday 7:30`.
fn named_day(text: &str, now: &Zoned) -> Option<Timestamp> {
    let (last, rest) = match text.strip_prefix("last ") {
        Some(rest) => (true, rest.trim_start()),
        None => (false, text),
    };
    let (word, time) = rest.split_once(' ').unwrap_or((rest, ""));
    let today = now.date();
    let date = match word {
        "today" if !last => today,
        "yesterday" if !last => today.yesterday().ok()?,
        "tomorrow" if !last => today.tomorrow().ok()?,
        word => {
            let back = i32::from(weekday(word)?.until(today.weekday()));
            let back = if back == 0 && last { 7 } else { back };
            today.checked_sub(back.days()).ok()?
        }
    };
    let time = if time.trim().is_empty() { Time::midnight() } else { time_of_day(time)? };
    in_zone(date.to_datetime(time), now)
}

fn weekday(word: &str) -> Option<Weekday> {
    const NAMES: [(&str, Weekday); 7] = [
        ("monday", Weekday::Monday),
        ("tuesday", Weekday::Tuesday),
        ("wednesday", Weekday::Wednesday),
        ("thursday", Weekday::Thursday),
        ("friday", Weekday::Friday),
        ("saturday", Weekday::Saturday),
        ("sunday", Weekday::Sunday),
    ];
    let found = NAMES.iter().find(|(name, _)| word.len() >= 3 && name.starts_with(word));
    found.map(|(_, day)| *day)
}

/// `2026-11-20`, `2026-11-20 07:00`, `07:00`, `2026-11-20T07:00:00.5+01:00`, `@1795158000`.
fn absolute(text: &str, now: &Zoned) -> Option<Timestamp> {
    if let Some(seconds) = text.strip_prefix('@') {
        return Timestamp::from_second(seconds.parse().ok()?).ok();
    }
    if let Ok(timestamp) = text.parse::<Timestamp>() {
        return Some(timestamp);
    }
    if let Some(time) = time_of_day(text) {
        return in_zone(now.date().to_datetime(time), now);
    }
    let (date, time) = text.split_once([' ', 't']).unwrap_or((text, ""));
    let date: Date = date.parse().ok()?;
    let time = if time.trim().is_empty() { Time::midnight() } else { time_of_day(time)? };
    in_zone(date.to_datetime(time), now)
}

/// `7:30`, `07:30`, `07:30:15.25`.
fn time_of_day(text: &str) -> Option<Time> {
    let text = text.trim();
    let (hour, _) = text.split_once(':')?;
    // jiff would find the time in a whole date and time, and forget the date.
    if !(1..=2).contains(&hour.len()) {
        return None;
    }
    // And a zone behind it.
    if text.contains(['+', '-', '[']) {
        return None;
    }
    let text = if hour.len() == 1 { format!("0{text}") } else { text.to_owned() };
    text.parse().ok()
}

/// A time that a change of the clocks skips or repeats is the later or the first of the two.
fn in_zone(local: DateTime, now: &Zoned) -> Option<Timestamp> {
    Some(local.to_zoned(now.time_zone().clone()).ok()?.timestamp())
}

/// Length of the intervals that rows are gathered in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Every {
    /// So many µs, counted from local midnight.
    Micros(i64),
    /// So many calendar days, which have 23 to 25 hours.
    Days(i64),
}

impl Every {
    /// Reads `30s`, `5m`, `1h`, `1d`, `2 weeks`.
    ///
    /// # Errors
    /// [`NotAnInterval`]
    pub fn parse(text: &str) -> Result<Every, NotAnInterval> {
        let wrong = || NotAnInterval(text.to_owned());
        let span: Span = text.trim().to_lowercase().parse().map_err(|_| wrong())?;
        if span.is_negative() || span.is_zero() || span.get_years() != 0 || span.get_months() != 0 {
            return Err(wrong());
        }
        let days = i64::from(span.get_weeks()) * 7 + i64::from(span.get_days());
        let rest = span.weeks(0).days(0);
        if days > 0 && rest.is_zero() {
            return Ok(Every::Days(days));
        }
        let rest = i64::try_from(
            rest.to_duration(jiff::SpanRelativeTo::days_are_24_hours()).map_err(|_| wrong())?.as_micros(),
        );
        let micros = rest.map_err(|_| wrong())? + days * 86_400_000_000;
        if micros > 0 { Ok(Every::Micros(micros)) } else { Err(wrong()) }
    }

    /// Begin and end of the interval that `time` (µs) falls in, aligned to midnight in the zone of `origin`.
    pub fn interval(self, time: i64, origin: &Zoned) -> (i64, i64) {
        match self {
            Every::Micros(length) => {
                // The offset of one moment for all: with that of each row an autumn hour would count twice.
                let shift = i64::from(origin.offset().seconds()) * 1_000_000;
                // Times at the ends of time are no times of ours, but an edited row may have one.
                let begin = time.saturating_add(shift).div_euclid(length).saturating_mul(length);
                let begin = begin.saturating_sub(shift);
                (begin, begin.saturating_add(length))
            }
            Every::Days(days) => calendar_days(time, days, origin).unwrap_or((time, time.saturating_add(1))),
        }
    }
}

fn calendar_days(time: i64, days: i64, origin: &Zoned) -> Option<(i64, i64)> {
    let zone = origin.time_zone();
    let date = Timestamp::from_microsecond(time).ok()?.to_zoned(zone.clone()).date();
    // Counted from a Monday, so that weeks begin on one.
    let monday = jiff::civil::date(1970, 1, 5);
    let since = i64::from(date.since(monday).ok()?.get_days()).rem_euclid(days);
    // More than the calendar has is no span either.
    let span = |days: i64| Span::new().try_days(days).ok();
    let first = date.checked_sub(span(since)?).ok()?;
    let next = first.checked_add(span(days)?).ok()?;
    let micros = |date: Date| Some(date.to_zoned(zone.clone()).ok()?.timestamp().as_microsecond());
    Some((micros(first)?, micros(next)?))
}

impl fmt::Display for Every {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Every::Micros(micros) => write!(f, "{} s", *micros as f64 / 1e6),
            Every::Days(days) => write!(f, "{days} d"),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn now() -> Zoned {
        // A Friday.
        "2026-11-20T14:30:15.5+01:00[Europe/Paris]".parse().unwrap()
    }

    #[test]
    fn times_in_words() {
        let table = [
            ("now", "2026-11-20T13:30:15.5Z"),
            ("2h", "2026-11-20T11:30:15.5Z"),
            ("10m", "2026-11-20T13:20:15.5Z"),
            ("10m ago", "2026-11-20T13:20:15.5Z"),
            ("90 min", "2026-11-20T12:00:15.5Z"),
            ("1h30m", "2026-11-20T12:00:15.5Z"),
            ("3 days ago", "2026-11-17T13:30:15.5Z"),
            ("1 week", "2026-11-13T13:30:15.5Z"),
            ("2 months ago", "2026-09-20T12:30:15.5Z"),
            ("today", "2026-11-19T23:00:00Z"),
            ("Today 07:00", "2026-11-20T06:00:00Z"),
            ("yesterday", "2026-11-18T23:00:00Z"),
            ("yesterday 18:00", "2026-11-19T17:00:00Z"),
            ("tomorrow", "2026-11-20T23:00:00Z"),
            ("friday", "2026-11-19T23:00:00Z"),
            ("last friday", "2026-11-12T23:00:00Z"),
            ("thu", "2026-11-18T23:00:00Z"),
            ("Monday 8:30", "2026-11-16T07:30:00Z"),
            ("saturday", "2026-11-13T23:00:00Z"),
            ("7:30", "2026-11-20T06:30:00Z"),
            ("07:30:15.25", "2026-11-20T06:30:15.25Z"),
            ("2026-11-20", "2026-11-19T23:00:00Z"),
            ("2026-07-01", "2026-06-30T22:00:00Z"),
            ("2026-11-20 07:00", "2026-11-20T06:00:00Z"),
            ("2026-11-20T07:00", "2026-11-20T06:00:00Z"),
            ("2026-11-20T07:00:00Z", "2026-11-20T07:00:00Z"),
            ("2026-11-20T07:00:00.123456+01:00", "2026-11-20T06:00:00.123456Z"),
            ("2026-11-20 07:00:00+00:00", "2026-11-20T07:00:00Z"),
            ("@1795158000", "2026-11-20T07:00:00Z"),
            // Skipped and repeated by summer time.
            ("2026-03-29 02:30", "2026-03-29T01:30:00Z"),
            ("2026-10-25 02:30", "2026-10-25T00:30:00Z"),
        ];
        for (text, expected) in table {
            let parsed = parse(text, &now()).unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(parsed, expected.parse().unwrap(), "{text}");
        }
    }

    #[test]
    fn what_is_no_time_is_said_so() {
        for text in [
            "",
            "soon",
            "2026",
            "7",
            "-2h",
            "25:00",
            "07:00+05:00",
            "7:30[Asia/Tokyo]",
            "2026-11-20 7:00-03:00",
            "2026-13-01",
            "last today",
            "m",
            "mo",
            "2026-11-20 x",
            "'",
        ] {
            assert!(parse(text, &now()).is_err(), "{text}");
        }
        assert!(parse("sonn", &now()).unwrap_err().to_string().contains("yesterday"));
    }

    #[test]
    fn intervals_begin_at_local_midnight_and_days_are_calendar_days() {
        assert_eq!(Every::parse("5m"), Ok(Every::Micros(300_000_000)));
        assert_eq!(Every::parse("500ms"), Ok(Every::Micros(500_000)));
        assert_eq!(Every::parse("1 day"), Ok(Every::Days(1)));
        assert_eq!(Every::parse("2w"), Ok(Every::Days(14)));
        assert_eq!(Every::parse("1d 12h"), Ok(Every::Micros(36 * 3_600_000_000)));
        for text in ["", "0s", "-5m", "1 month", "5", "x"] {
            assert!(Every::parse(text).is_err(), "{text}");
        }
        let micros = |text: &str| text.parse::<Timestamp>().unwrap().as_microsecond();
        let interval = |every: &str, time: &str| {
            let (begin, end) = Every::parse(every).unwrap().interval(micros(time), &now());
            let text = |micros| Timestamp::from_microsecond(micros).unwrap().to_string();
            (text(begin), text(end))
        };
        let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
        assert_eq!(
            interval("6h", "2026-11-20T07:00:00Z"),
            pair("2026-11-20T05:00:00Z", "2026-11-20T11:00:00Z")
        );
        assert_eq!(
            interval("5m", "1969-12-31T23:59:59Z"),
            pair("1969-12-31T23:55:00Z", "1970-01-01T00:00:00Z")
        );
        // The day on which summer time ends has 25 hours.
        assert_eq!(
            interval("1d", "2026-10-25T12:00:00Z"),
            pair("2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z")
        );
        // Weeks begin on Monday.
        assert_eq!(
            interval("1w", "2026-11-20T07:00:00Z"),
            pair("2026-11-15T23:00:00Z", "2026-11-22T23:00:00Z")
        );
    }

    proptest! {
        #[test]
        fn any_text_is_a_time_or_none(text in any::<String>(), near in "[0-9@:tTzZ+ a-z./-]{0,30}") {
            for text in [&text, &near] {
                drop((parse(text, &now()), Every::parse(text)));
            }
        }

        /// A time lies in its interval, what lies in that has the same, and the next begins where it ends.
        #[test]
        fn intervals_part_time(
            time in -60_000_000_000_000_000_i64..60_000_000_000_000_000,
            length in 1_i64..10_000_000_000_000,
            days in 1_i64..400,
            inside in 0.0_f64..1.0,
        ) {
            for every in [Every::Micros(length), Every::Days(days)] {
                let (begin, end) = every.interval(time, &now());
                prop_assert!(begin <= time && time < end, "{begin} {time} {end}");
                let other = begin + ((end - begin - 1) as f64 * inside) as i64;
                prop_assert_eq!(every.interval(other, &now()), (begin, end));
                prop_assert_eq!(every.interval(end, &now()).0, end);
            }
        }

        #[test]
        fn no_time_is_too_far(time: i64, length in 1_i64.., days in 1_i64..10_000_000) {
            for every in [Every::Micros(length), Every::Days(days)] {
                let (begin, end) = every.interval(time, &now());
                prop_assert!(begin <= end);
            }
        }

        #[test]
        fn what_is_written_reads_back(micros in -62_000_000_000_000_000_i64..253_000_000_000_000_000) {
            let written = crate::reading::Timestamp(micros).to_string();
            prop_assert_eq!(parse(&written, &now()).map(Timestamp::as_microsecond), Ok(micros));
        }
    }
}
