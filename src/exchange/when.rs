//! Times as files have them: RFC 3339, local dates and times, numbers since 1970. Pure.

use jiff::Zoned;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use super::shown;
use crate::reading::Timestamp;

/// What a number counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// s
    Seconds,
    /// ms
    Milliseconds,
    /// µs
    Microseconds,
    /// ns
    Nanoseconds,
}

/// How times are read.
#[derive(Debug, Clone)]
pub struct Times {
    /// What numbers count since 1970; by their size unless given.
    pub unit: Option<Unit>,
    /// Zone of times that name none.
    pub zone: TimeZone,
}

impl Unit {
    /// A number of today is of one unit only: those of the others are decades or millennia away.
    fn by_size(number: f64) -> Self {
        match number.abs() {
            size if size < 1e11 => Unit::Seconds,
            size if size < 1e14 => Unit::Milliseconds,
            size if size < 1e17 => Unit::Microseconds,
            _ => Unit::Nanoseconds,
        }
    }

    /// Whole number of them as µs; what is finer is cut off.
    pub(super) fn micros(self, number: i64) -> Option<i64> {
        match self {
            Unit::Seconds => number.checked_mul(1_000_000),
            Unit::Milliseconds => number.checked_mul(1_000),
            Unit::Microseconds => Some(number),
            Unit::Nanoseconds => Some(number.div_euclid(1_000)),
        }
    }

    fn in_micros(self) -> f64 {
        match self {
            Unit::Seconds => 1e6,
            Unit::Milliseconds => 1e3,
            Unit::Microseconds => 1.0,
            Unit::Nanoseconds => 1e-3,
        }
    }
}

impl Times {
    /// Reads a time.
    ///
    /// # Errors
    /// What is wrong, with what to write instead.
    pub fn parse(&self, text: &str) -> Result<Timestamp, String> {
        let text = text.trim();
        if text.is_empty() {
            return Err("there is no time".to_owned());
        }
        self.number(text)
            .or_else(|| text.parse::<jiff::Timestamp>().ok().map(|time| Timestamp(time.as_microsecond())))
            // A zone without a distance from UTC: 2026-11-20T07:00[Europe/Paris].
            .or_else(|| text.parse::<Zoned>().ok().map(|time| Timestamp(time.timestamp().as_microsecond())))
            .or_else(|| self.local(text))
            .ok_or_else(|| {
                format!(
                    "\"{}\" is not a time; write it as 2026-11-20T07:00:00Z, 2026-11-20 07:00:00 or as seconds since 1970",
                    shown(text)
                )
            })
    }

    /// Reads a number since 1970.
    pub(super) fn number(&self, text: &str) -> Option<Timestamp> {
        // As we write a time that no calendar has.
        if let Some(micros) = text.strip_suffix("µs") {
            return micros.parse().ok().map(Timestamp);
        }
        if let Ok(whole) = text.parse::<i64>() {
            // 20261120: as seconds it would be a day of August 1970, which nobody means who says no unit.
            if self.unit.is_none() && text.len() == 8 && text.parse::<DateTime>().is_ok() {
                return None;
            }
            let unit = self.unit.unwrap_or_else(|| Unit::by_size(whole as f64));
            return unit.micros(whole).map(Timestamp);
        }
        if !text.starts_with(|first: char| first.is_ascii_digit() || first == '-' || first == '.') {
            return None;
        }
        let number: f64 = text.parse().ok().filter(|number: &f64| number.is_finite())?;
        let unit = self.unit.unwrap_or_else(|| Unit::by_size(number));
        let micros = (number * unit.in_micros()).round();
        // Beyond it a float no longer tells one µs from the next.
        (micros.abs() < 9.007e15).then_some(Timestamp(micros as i64))
    }

    fn local(&self, text: &str) -> Option<Timestamp> {
        let time: DateTime = text.parse().ok()?;
        let zoned = time.to_zoned(self.zone.clone()).ok()?;
        Some(Timestamp(zoned.timestamp().as_microsecond()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Option<i64> {
        let zone = TimeZone::fixed(jiff::tz::offset(1));
        Times { unit: None, zone }.parse(text).ok().map(|time| time.0)
    }

    #[test]
    fn times_in_every_form() {
        const SEVEN: i64 = 1_795_158_000_000_000;
        for (text, expected) in [
            ("2026-11-20T07:00:00Z", Some(SEVEN)),
            ("2026-11-20T07:00:00.123456Z", Some(SEVEN + 123_456)),
            (" 2026-11-20 08:00:00+01:00 ", Some(SEVEN)),
            ("2026-11-20 08:00:00", Some(SEVEN)),
            ("2026-11-20T08:00", Some(SEVEN)),
            ("2026-11-20", Some(SEVEN - 8 * 3_600_000_000)),
            ("2026-11-20T09:00[+02:00]", Some(SEVEN)),
            ("2026-11-20T02:00[America/New_York]", Some(SEVEN)),
            ("20261120", Some(SEVEN - 8 * 3_600_000_000)),
            ("20261320", Some(20_261_320_000_000)),
            ("1795158000", Some(SEVEN)),
            ("1795158000.25", Some(SEVEN + 250_000)),
            ("1795158000123", Some(SEVEN + 123_000)),
            ("1795158000123456", Some(SEVEN + 123_456)),
            ("1795158000123456789", Some(SEVEN + 123_456)),
            ("-1.5", Some(-1_500_000)),
            ("-9223372036854775808µs", Some(i64::MIN)),
            ("", None),
            ("yesterday", None),
            ("20.11.2026 07:00", None),
            ("nan", None),
            ("inf", None),
            ("9223372036854775808", None),
        ] {
            assert_eq!(parse(text), expected, "{text}");
        }
    }

    #[test]
    fn a_unit_that_is_given_holds() {
        let times = Times { unit: Some(Unit::Milliseconds), zone: TimeZone::UTC };
        assert_eq!(times.parse("1000").unwrap().0, 1_000_000);
        assert_eq!(times.parse("0.5").unwrap().0, 500);
        assert_eq!(Times { unit: Some(Unit::Nanoseconds), ..times }.parse("-1").unwrap().0, -1);
    }

    #[test]
    fn whatever_time_we_write_is_read_back() {
        use proptest::prelude::*;
        proptest!(|(time in prop_oneof![any::<i64>(), -4_000_000_000_000_000i64..8_000_000_000_000_000])| {
            prop_assert_eq!(parse(&Timestamp(time).to_string()), Some(time));
        });
    }
}
