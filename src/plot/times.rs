//! The axis of time: full minutes, hours, days or months of the local calendar, and what is written there.

use jiff::civil::{DateTime, date};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Span, Zoned};

use crate::reading::Timestamp;

/// From mark to mark.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Step {
    /// Divides a day.
    Seconds(i64),
    Days(i64),
    Months(i64),
}

const DAY: i64 = 86_400;

/// From fine to coarse; years go on from here by themselves.
const STEPS: &[Step] = &[
    Step::Seconds(1),
    Step::Seconds(2),
    Step::Seconds(5),
    Step::Seconds(10),
    Step::Seconds(15),
    Step::Seconds(30),
    Step::Seconds(60),
    Step::Seconds(120),
    Step::Seconds(300),
    Step::Seconds(600),
    Step::Seconds(900),
    Step::Seconds(1_800),
    Step::Seconds(3_600),
    Step::Seconds(7_200),
    Step::Seconds(10_800),
    Step::Seconds(14_400),
    Step::Seconds(21_600),
    Step::Seconds(43_200),
    Step::Days(1),
    Step::Days(2),
    Step::Days(7),
    Step::Days(14),
    Step::Months(1),
    Step::Months(2),
    Step::Months(3),
    Step::Months(6),
    Step::Months(12),
    Step::Months(24),
    Step::Months(60),
    Step::Months(120),
    Step::Months(240),
    Step::Months(600),
    Step::Months(1_200),
];

impl Step {
    fn seconds(self) -> i64 {
        match self {
            Step::Seconds(seconds) => seconds,
            Step::Days(days) => days * DAY,
            Step::Months(months) => months * 30 * DAY,
        }
    }

    /// The mark at or before this local time.
    fn before(self, time: DateTime) -> DateTime {
        let midnight = time.date().to_datetime(jiff::civil::Time::midnight());
        match self {
            Step::Seconds(seconds) => {
                let since_midnight = time.duration_since(midnight).as_secs();
                midnight.saturating_add(SignedDuration::from_secs(since_midnight / seconds * seconds))
            }
            Step::Days(days) => {
                // 1970-01-05 was a Monday.
                let number = time.date().duration_since(date(1970, 1, 5)).as_hours() / 24;
                midnight.saturating_sub(Span::new().days(number.rem_euclid(days)))
            }
            Step::Months(months) => {
                let number = i64::from(time.year()) * 12 + i64::from(time.month()) - 1;
                midnight.first_of_month().saturating_sub(Span::new().months(number.rem_euclid(months)))
            }
        }
    }

    fn after(self, time: DateTime) -> DateTime {
        match self {
            Step::Seconds(seconds) => time.saturating_add(SignedDuration::from_secs(seconds)),
            Step::Days(days) => time.saturating_add(Span::new().days(days)),
            Step::Months(months) => time.saturating_add(Span::new().months(months)),
        }
    }

    fn label(self, time: &Zoned) -> String {
        let midnight = time.time() == jiff::civil::Time::midnight();
        let format = match self {
            Step::Seconds(_) if midnight => "%-d %b",
            Step::Seconds(..60) => "%H:%M:%S",
            Step::Seconds(_) => "%H:%M",
            Step::Days(_) => "%-d %b",
            Step::Months(..12) => "%b %Y",
            Step::Months(_) => "%Y",
        };
        time.strftime(format).to_string()
    }
}

/// Marks within the period, about `most` at most: (µs since the Unix epoch, what is written).
pub fn ticks(since: Timestamp, until: Timestamp, zone: &TimeZone, most: usize) -> Vec<(i64, String)> {
    let seconds = until.0.saturating_sub(since.0) / 1_000_000;
    let fits = |step: &&Step| seconds / step.seconds() <= most as i64;
    let step = *STEPS.iter().find(fits).unwrap_or(&Step::Months(1_200));
    let Ok(first) = jiff::Timestamp::from_microsecond(since.0) else { return Vec::new() };
    let mut local = step.before(first.to_zoned(zone.clone()).datetime());
    let mut ticks: Vec<(i64, String)> = Vec::new();
    // One more at either end, and some that summer time makes fall together.
    for _ in 0..most + 10 {
        let Ok(zoned) = local.to_zoned(zone.clone()) else { break };
        let at = zoned.timestamp().as_microsecond();
        if at > until.0 {
            break;
        }
        if at >= since.0 && ticks.last().is_none_or(|(last, _)| at > *last) {
            ticks.push((at, step.label(&zoned)));
        }
        local = step.after(local);
    }
    ticks
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(since: &str, until: &str, zone: &str, most: usize) -> Vec<String> {
        let at = |text: &str| Timestamp(text.parse::<jiff::Timestamp>().unwrap().as_microsecond());
        let zone = TimeZone::posix(zone).unwrap();
        ticks(at(since), at(until), &zone, most).into_iter().map(|(_, label)| label).collect()
    }

    const BERLIN: &str = "CET-1CEST,M3.5.0,M10.5.0/3";

    #[test]
    fn full_hours_days_and_months_of_the_local_calendar() {
        let table: [(&str, &str, usize, &[&str]); 6] = [
            ("2026-11-19T12:07:00Z", "2026-11-20T12:07:00Z", 5, &["18:00", "20 Nov", "06:00", "12:00"]),
            ("2026-11-20T12:00:03Z", "2026-11-20T12:00:17Z", 4, &["13:00:05", "13:00:10", "13:00:15"]),
            ("2026-11-13T12:00:00Z", "2026-11-20T12:00:00Z", 4, &["15 Nov", "17 Nov", "19 Nov"]),
            ("2026-10-20T12:00:00Z", "2026-11-20T12:00:00Z", 5, &["26 Oct", "2 Nov", "9 Nov", "16 Nov"]),
            ("2026-01-20T12:00:00Z", "2026-11-20T12:00:00Z", 4, &["Apr 2026", "Jul 2026", "Oct 2026"]),
            ("2011-01-20T12:00:00Z", "2026-11-20T12:00:00Z", 4, &["2015", "2020", "2025"]),
        ];
        for (since, until, most, expected) in table {
            assert_eq!(labels(since, until, BERLIN, most), expected);
        }
    }

    #[test]
    fn summer_time_begins_and_ends_without_a_mark_twice() {
        let spring = labels("2026-03-28T23:30:00Z", "2026-03-29T04:30:00Z", BERLIN, 6);
        assert_eq!(spring, ["01:00", "03:00", "04:00", "05:00", "06:00"]);
        let autumn = labels("2026-10-24T22:30:00Z", "2026-10-25T04:30:00Z", BERLIN, 8);
        assert_eq!(autumn, ["01:00", "02:00", "03:00", "04:00", "05:00"]);
    }

    #[test]
    fn the_ends_of_the_calendar() {
        for (since, until) in [(i64::MIN, i64::MAX), (0, 0), (jiff::Timestamp::MIN.as_microsecond(), 0)] {
            assert!(ticks(Timestamp(since), Timestamp(until), &TimeZone::UTC, 6).len() < 20);
        }
    }
}
