//! Which rows are too old, when clocks cannot be trusted blindly. Pure: rows and time are arguments.
//!
//! A Pi wakes up in 1970 or at its last shutdown, and now and then a clock jumps. Deleting by age must
//! survive both: a row is judged by its own time only when that time is believable, else by the rows that
//! were taken after it, and nothing at all is judged until the clock of now has earned trust.

use std::time::Duration;

use crate::reading::{Clock, Moment};

/// 2020-01-01T00:00:00Z, µs: before this program was written no clock that says so is right.
const BEFORE_US: i64 = 1_577_836_800_000_000;

/// A clock that jumps by more than this is not believed for a while, even when it says it is right.
const JUMP: i64 = 3_600_000_000;

/// How long, unless `max_age` is shorter.
const PROBATION: Duration = Duration::from_secs(24 * 3600);

const DAY: i64 = 24 * 3_600_000_000;

/// What judging needs to know of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Row {
    pub id: i64,
    /// µs since the Unix epoch.
    pub time: i64,
    /// The clock was right when it was taken, or has been put right since.
    pub synced: bool,
}

/// Whether the clock may be used to delete by.
#[derive(Debug, Default)]
pub(super) struct Trust {
    /// Wall time and time since boot at the last look, µs.
    last: Option<(i64, i64)>,
    /// Not before this time since boot, µs.
    not_before: i64,
}

impl Trust {
    /// Whether `now` may be believed. `newest` is the time of the newest row there is: when even that would
    /// be too old, everything would go at once, and the clock had better be right about it.
    pub fn believes(&mut self, now: Moment, newest: Option<i64>, max_age: Duration) -> bool {
        if now.clock != Clock::Synced {
            return false;
        }
        let (wall, since_boot) = (now.wall.0, now.since_boot);
        let strange = match self.last {
            Some((last_wall, last_boot)) => {
                (wall.saturating_sub(last_wall)).saturating_sub(since_boot - last_boot).abs() > JUMP
            }
            None => newest.is_some_and(|newest| newest < cut(now, max_age)),
        };
        self.last = Some((wall, since_boot));
        if strange {
            self.not_before = since_boot + micros(PROBATION.min(max_age));
        }
        since_boot >= self.not_before
    }
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

/// From when on a time can be believed to when rows are too old, µs.
pub(super) fn believably_old(now: Moment, max_age: Duration) -> std::ops::Range<i64> {
    BEFORE_US..cut(now, max_age)
}

/// Rows before this time are too old, µs.
pub(super) fn cut(now: Moment, max_age: Duration) -> i64 {
    now.wall.0.saturating_sub(micros(max_age))
}

/// A walk over the rows by id, a chunk at a time. Begins before the first row: what was imported has rows below 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Walk {
    /// The last row looked at.
    pub position: i64,
    /// First row of a run whose times cannot be believed and of which nothing is known yet.
    run: Option<i64>,
    /// Rows up to here that cannot be judged by themselves are too old: a later row is.
    old_until: i64,
}

impl Default for Walk {
    fn default() -> Self {
        Self { position: i64::MIN, run: None, old_until: i64::MIN }
    }
}

impl Walk {
    /// Goes on after this row, whatever lies between.
    pub fn leap(&mut self, position: i64) {
        self.position = position;
        self.run = None;
    }

    /// The ids among `rows`, the next chunk, that are too old; moves on. `None` when no row of it is, and
    /// none can become so by what follows: the walk is at its end.
    pub fn judge(&mut self, rows: &[Row], now: Moment, max_age: Duration) -> Option<Vec<i64>> {
        let cut = cut(now, max_age);
        let first = rows.first()?.id;
        let mut old = Vec::new();
        let mut fresh = false;
        for row in rows {
            self.position = row.id;
            let believable = row.synced && (BEFORE_US..=now.wall.0.saturating_add(DAY)).contains(&row.time);
            if !believable {
                if row.id <= self.old_until {
                    old.push(row.id);
                } else {
                    self.run.get_or_insert(row.id);
                }
                continue;
            }
            let run = self.run.take();
            if row.time >= cut {
                fresh = true;
                continue;
            }
            self.old_until = self.old_until.max(row.id);
            match run {
                // The run began in an earlier chunk: go back for it, now that it is known to be old.
                Some(start) if start < first => {
                    self.position = start - 1;
                    return Some(old);
                }
                Some(start) => {
                    old.extend(rows.iter().map(|row| row.id).filter(|id| (start..row.id).contains(id)))
                }
                None => {}
            }
            old.push(row.id);
        }
        (!old.is_empty() || !fresh).then_some(old)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reading::Timestamp;

    const NOW: i64 = 1_795_158_000_000_000;
    const HOUR: Duration = Duration::from_secs(3600);

    fn now() -> Moment {
        Moment { wall: Timestamp(NOW), since_boot: 0, clock: Clock::Synced }
    }

    /// Rows from hours before now; `?` is not synced, `0` in 1970, `f` in the far future.
    fn rows(first: i64, marks: &str) -> Vec<Row> {
        (first..)
            .zip(marks.split(' '))
            .map(|(id, mark)| match mark {
                "?" => Row { id, time: NOW - 9 * 3_600_000_000, synced: false },
                "0" => Row { id, time: 77, synced: true },
                "f" => Row { id, time: NOW * 2, synced: true },
                hours => {
                    let hours: i64 = hours.parse().unwrap();
                    Row { id, time: NOW - hours * 3_600_000_000, synced: true }
                }
            })
            .collect()
    }

    #[test]
    fn rows_without_a_believable_time_share_the_fate_of_the_next_that_has_one() {
        let table: &[(&str, &[i64])] = &[
            ("5 4 3 0 0", &[1, 2, 3]),
            ("5 ? ? 4 0", &[1, 2, 3, 4]),
            ("? ? ? ? ?", &[]),
            ("? f 3 ? 0", &[1, 2, 3]),
            ("f 3 f f 2", &[1, 2, 3, 4, 5]),
            ("1 1 1 5 1", &[4]),
            ("? 1 ? 5 ?", &[3, 4]),
        ];
        for (marks, old) in table {
            let mut walk = Walk::default();
            let found = walk.judge(&rows(1, marks), now(), HOUR).unwrap_or_default();
            let mut found = found;
            found.sort_unstable();
            assert_eq!(found, *old, "{marks}");
        }
    }

    #[test]
    fn rows_below_1_are_judged_as_any_other() {
        for (marks, old) in [("5 ? 0 1", &[-9][..]), ("? 5 1 1", &[-9, -8]), ("1 1 1 1", &[])] {
            let found = Walk::default().judge(&rows(-9, marks), now(), HOUR).unwrap_or_default();
            assert_eq!(found.len(), old.len(), "{marks}: {found:?}");
            assert!(old.iter().all(|id| found.contains(id)), "{marks}: {found:?}");
        }
    }

    #[test]
    fn a_long_run_is_gone_back_for() {
        let mut walk = Walk::default();
        assert_eq!(walk.judge(&rows(1, "? ? ?"), now(), HOUR), Some(vec![]));
        assert_eq!(walk.judge(&rows(4, "? ? ?"), now(), HOUR), Some(vec![]));
        assert_eq!(walk.judge(&rows(7, "? 5 1"), now(), HOUR), Some(vec![]));
        assert_eq!(walk.position, 0);
        assert_eq!(walk.judge(&rows(1, "? ? ?"), now(), HOUR), Some(vec![1, 2, 3]));
        assert_eq!(walk.judge(&rows(4, "? ? ?"), now(), HOUR), Some(vec![4, 5, 6]));
        assert_eq!(walk.judge(&rows(7, "? 5 1"), now(), HOUR), Some(vec![7, 8]));
        assert_eq!(walk.judge(&rows(10, "1 1 1"), now(), HOUR), None);
        assert_eq!(walk.judge(&[], now(), HOUR), None);
    }

    #[test]
    fn a_clock_is_believed_when_it_says_so_and_does_not_jump() {
        let at = |hours: i64, boot_hours: i64, clock| Moment {
            wall: Timestamp(NOW + hours * 3_600_000_000),
            since_boot: boot_hours * 3_600_000_000,
            clock,
        };
        let mut trust = Trust::default();
        let newest = Some(NOW - 1);
        assert!(!trust.believes(at(0, 0, Clock::Unsynced), newest, HOUR * 48));
        assert!(trust.believes(at(0, 0, Clock::Synced), newest, HOUR * 48));
        assert!(trust.believes(at(5, 5, Clock::Synced), newest, HOUR * 48));
        // Ten years on, in a second.
        assert!(!trust.believes(at(87_600, 5, Clock::Synced), newest, HOUR * 48));
        assert!(!trust.believes(at(87_601, 6, Clock::Synced), newest, HOUR * 48));
        // And back.
        assert!(!trust.believes(at(6, 6, Clock::Synced), newest, HOUR * 48));
        assert!(!trust.believes(at(29, 29, Clock::Synced), newest, HOUR * 48));
        assert!(trust.believes(at(30, 30, Clock::Synced), newest, HOUR * 48));
        // At the start, when everything would go: only after a day, or `max_age`.
        let mut trust = Trust::default();
        let old = Some(NOW - 100 * 3_600_000_000);
        assert!(!trust.believes(at(0, 0, Clock::Synced), old, HOUR));
        assert!(trust.believes(at(1, 1, Clock::Synced), old, HOUR));
    }
}
