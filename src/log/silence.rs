//! Where nothing is known of a quantity: the bridge did not run, the sensor did not answer, or readings that
//! come regularly did not come. Silence by itself is none: most quantities are only logged when they change.
//!
//! What is known: every start begins an epoch, and the first value of each quantity after it is logged whatever it
//! is; a sensor that stops answering logs `failed: …` as its `state`, and `ok` with the first values afterwards.

use rusqlite::{Connection, params};

use super::series::{Bucket, Gap, Rhythm, Why};
use crate::reading::STATE;

/// Newest starts of the bridge that are looked at.
const STARTS: i64 = 2_000;

/// Rows that are looked at to find what is usual, in so many places of the range.
const PLACES: i64 = 8;
const ROWS: i64 = 33;

/// Fewer spacings than this tell nothing.
const FEWEST: usize = 8;

/// A restart shorter than this is none to speak of for a quantity of which nothing else is known, µs.
const RESTART: i64 = 60_000_000;

/// Whose silence.
pub(super) struct Subject<'a> {
    pub sensor: &'a str,
    /// Row ids of the channels that are the series.
    pub channels: &'a [i64],
    pub rhythm: Rhythm,
    /// The bridge runs now.
    pub running: bool,
}

/// The gaps of at least `width` µs between `buckets`, in the order of time.
pub(super) fn gaps(
    connection: &Connection,
    subject: &Subject<'_>,
    range: (i64, i64),
    width: i64,
    buckets: &[Bucket],
) -> rusqlite::Result<Vec<Gap>> {
    let usual = match subject.rhythm {
        Rhythm::OnChange => None,
        // Half as long again: a sample may be late, or one of them lost.
        Rhythm::AtLeastEvery(every) => {
            Some(i64::try_from(every.as_micros()).unwrap_or(i64::MAX / 4).saturating_mul(5) / 2)
        }
        Rhythm::Unknown => usual(connection, subject.channels, range)?.map(|usual| usual.saturating_mul(3)),
    };
    let mut found = stops(connection, subject, range)?;
    found.retain(|gap| gap.end - gap.begin > usual.unwrap_or(RESTART));
    let mut failures = failures(connection, subject.sensor, range)?;
    failures.retain(|gap| gap.end - gap.begin > usual.unwrap_or(0));
    found.append(&mut failures);
    if let Some(usual) = usual {
        found.append(&mut silences(connection, subject, range, usual, buckets)?);
    }
    let mut gaps = merged(found, range);
    gaps.retain(|gap| gap.end - gap.begin >= width.max(1));
    Ok(gaps)
}

/// From the last row before a start to the quantity's first reading after it.
fn stops(
    connection: &Connection,
    subject: &Subject<'_>,
    (from, to): (i64, i64),
) -> rusqlite::Result<Vec<Gap>> {
    let mut statement = connection.prepare_cached(
        "SELECT (SELECT time FROM reading WHERE id < first_row ORDER BY id DESC LIMIT 1),
                (SELECT time FROM reading WHERE id >= first_row ORDER BY id LIMIT 1)
         FROM epoch ORDER BY id DESC LIMIT ?1",
    )?;
    let mut rows = statement.query([STARTS])?;
    let mut gaps = Vec::new();
    while let Some(row) = rows.next()? {
        let (stopped, started): (Option<i64>, Option<i64>) = (row.get(0)?, row.get(1)?);
        let (Some(stopped), Some(started)) = (stopped, started) else { continue };
        if stopped < to && started >= stopped {
            let heard = next_reading(connection, subject.channels, started)?;
            gaps.push(Gap { begin: stopped, end: heard.unwrap_or(to), why: Why::Stopped });
        }
    }
    gaps.retain(|gap| gap.end > from);
    if !subject.running {
        let last: Option<i64> = connection
            .prepare_cached("SELECT time FROM reading ORDER BY id DESC LIMIT 1")?
            .query_map([], |row| row.get(0))?
            .next()
            .transpose()?;
        gaps.extend(last.filter(|last| *last < to).map(|last| Gap {
            begin: last,
            end: to,
            why: Why::Stopped,
        }));
    }
    Ok(gaps)
}

fn next_reading(connection: &Connection, channels: &[i64], time: i64) -> rusqlite::Result<Option<i64>> {
    let mut statement = connection
        .prepare_cached("SELECT time FROM reading WHERE channel = ?1 AND time >= ?2 ORDER BY time LIMIT 1")?;
    let mut next: Option<i64> = None;
    for channel in channels {
        let found = statement.query_map([*channel, time], |row| row.get(0))?.next().transpose()?;
        next = [next, found].into_iter().flatten().min();
    }
    Ok(next)
}

/// From each `failed` to the next `ok`.
fn failures(connection: &Connection, sensor: &str, (from, to): (i64, i64)) -> rusqlite::Result<Vec<Gap>> {
    const CHANNELS: &str = "SELECT id FROM channel WHERE sensor = ?1 AND quantity = ?2";
    let before = format!(
        "SELECT time, value FROM reading WHERE channel IN ({CHANNELS}) AND time < ?3
         ORDER BY time DESC LIMIT 1"
    );
    let within = format!(
        "SELECT time, value FROM reading WHERE channel IN ({CHANNELS}) AND time >= ?3 AND time < ?4 ORDER BY time"
    );
    let mut since: Option<i64> = None;
    let mut gaps = Vec::new();
    let mut take = |row: &rusqlite::Row<'_>| -> rusqlite::Result<()> {
        let time: i64 = row.get(0)?;
        if row.get_ref(1)?.as_str().is_ok_and(|state| state.starts_with("failed")) {
            since.get_or_insert(time);
        } else if let Some(begin) = since.take() {
            gaps.push(Gap { begin, end: time, why: Why::Failed });
        }
        Ok(())
    };
    let mut statement = connection.prepare_cached(&before)?;
    if let Some(row) = statement.query(params![sensor, STATE, from])?.next()? {
        take(row)?;
    }
    let mut statement = connection.prepare_cached(&within)?;
    let mut rows = statement.query(params![sensor, STATE, from, to])?;
    while let Some(row) = rows.next()? {
        take(row)?;
    }
    gaps.extend(since.map(|begin| Gap { begin, end: to, why: Why::Failed }));
    Ok(gaps)
}

/// Longer than `usual` without a reading, the end of the range included. Not before the first reading: of the time
/// before that nobody knows whether there was a sensor.
fn silences(
    connection: &Connection,
    subject: &Subject<'_>,
    (_, to): (i64, i64),
    usual: i64,
    buckets: &[Bucket],
) -> rusqlite::Result<Vec<Gap>> {
    let begins = buckets.iter().map(|bucket| bucket.last_at);
    let ends = buckets.iter().skip(1).map(|bucket| bucket.first_at).chain([to]);
    let mut gaps = Vec::new();
    for (begin, end) in begins.zip(ends) {
        if end - begin <= usual
            || (subject.rhythm == Rhythm::Unknown && others_heard(connection, subject, (begin, end))?)
        {
            continue;
        }
        gaps.push(Gap { begin, end, why: Why::Silent });
    }
    Ok(gaps)
}

/// Whether the sensor's other quantities were logged meanwhile: then it answered, and this one did not change.
fn others_heard(
    connection: &Connection,
    subject: &Subject<'_>,
    (begin, end): (i64, i64),
) -> rusqlite::Result<bool> {
    let mut statement =
        connection.prepare_cached("SELECT id FROM channel WHERE sensor = ?1 AND quantity <> ?2")?;
    let mut heard = connection
        .prepare_cached("SELECT 1 FROM reading WHERE channel = ?1 AND time > ?2 AND time < ?3 LIMIT 1")?;
    let mut others = statement.query([subject.sensor, STATE])?;
    while let Some(row) = others.next()? {
        let id: i64 = row.get(0)?;
        if !subject.channels.contains(&id) && heard.exists([id, begin, end])? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// What usually lies between two readings (µs), if they come regularly: looked at in some places, for the interval
/// may have been another one a month ago. The longest of what was found, so that nothing usual is called a gap.
fn usual(connection: &Connection, channels: &[i64], (from, to): (i64, i64)) -> rusqlite::Result<Option<i64>> {
    let mut statement = connection.prepare_cached(
        "SELECT time FROM reading WHERE channel = ?1 AND time >= ?2 AND time < ?3 ORDER BY time LIMIT ?4",
    )?;
    let step = ((to - from) / PLACES).max(1);
    let mut longest = None;
    for channel in channels {
        for place in 0..PLACES {
            let (begin, end) = (from + step * place, (from + step * (place + 1)).min(to));
            let times: Vec<i64> = statement
                .query_map(params![channel, begin, end, ROWS], |row| row.get(0))?
                .collect::<rusqlite::Result<_>>()?;
            let mut spacings: Vec<i64> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
            if spacings.len() < FEWEST {
                continue;
            }
            spacings.sort_unstable();
            let middle = spacings[spacings.len() / 2];
            let most = spacings[spacings.len() * 9 / 10];
            if most > middle.saturating_mul(3) / 2 {
                return Ok(None);
            }
            longest = longest.max(Some(most));
        }
    }
    Ok(longest)
}

/// In the order of time, cut at the range; what overlaps is one, for the reason that is surer.
fn merged(mut gaps: Vec<Gap>, (from, to): (i64, i64)) -> Vec<Gap> {
    gaps.retain(|gap| gap.end > from && gap.begin < to && gap.end > gap.begin);
    gaps.sort_by_key(|gap| gap.begin);
    let mut done: Vec<Gap> = Vec::new();
    for gap in gaps {
        let (begin, end) = (gap.begin.max(from), gap.end.min(to));
        match done.last_mut() {
            Some(last) if begin <= last.end => {
                last.end = last.end.max(end);
                last.why = surer(last.why, gap.why);
            }
            _ => done.push(Gap { begin, end, why: gap.why }),
        }
    }
    done
}

fn surer(one: Why, other: Why) -> Why {
    match (one, other) {
        (Why::Stopped, _) | (_, Why::Stopped) => Why::Stopped,
        (Why::Failed, _) | (_, Why::Failed) => Why::Failed,
        _ => Why::Silent,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::series::Ask;
    use super::super::testing::*;
    use super::super::{Log, Reader};
    use super::*;
    use crate::reading::{Channel, ChannelId, Reading, Value, ValueKind};

    const SECOND: i64 = 1_000_000;

    /// Channels of the sensor: the quantity asked for, another, its state; and one of another sensor.
    fn register(log: &Log) -> Vec<ChannelId> {
        let state = Channel { kind: ValueKind::Text, ..channel(STATE) };
        let clock = Channel { sensor: "host".to_owned().into(), ..channel("clock") };
        log.register(&[channel("a"), channel("b"), state, clock]).unwrap()
    }

    fn take(log: &Log, id: ChannelId, seconds: impl IntoIterator<Item = i64>) {
        for second in seconds {
            log.append(vec![reading(id, NOON + second * SECOND, second as f64)]).unwrap();
        }
    }

    fn state(log: &Log, id: ChannelId, second: i64, text: &str) {
        let value = Value::Text(text.into());
        log.append(vec![Reading { channel: id, at: moment(NOON + second * SECOND), value }]).unwrap();
    }

    /// Begin, end (seconds) and reason of what is found by day in so many buckets.
    fn found(
        folder: &Folder,
        (from, to): (i64, i64),
        buckets: usize,
        rhythm: Rhythm,
    ) -> Vec<(i64, i64, &'static str)> {
        let reader = Reader::open(&folder.path()).unwrap();
        let mut ask = Ask::new("air", "a", (NOON + from * SECOND, NOON + to * SECOND), buckets);
        ask.rhythm = rhythm;
        let series = reader.series(&ask).unwrap();
        let seconds = |time: i64| (time - NOON) / SECOND;
        series.gaps.iter().map(|gap| (seconds(gap.begin), seconds(gap.end), gap.why.word())).collect()
    }

    #[test]
    fn what_comes_regularly_and_does_not_come_is_a_gap() {
        let folder = Folder::new();
        let log = folder.open();
        let ids = register(&log);
        take(&log, ids[0], (0..600).chain(900..1200).step_by(10));
        log.flush().unwrap();
        assert_eq!(found(&folder, (0, 1200), 200, Rhythm::Unknown), [(590, 900, "silent")]);
        assert_eq!(
            found(&folder, (0, 1300), 40, Rhythm::Unknown),
            [(590, 900, "silent"), (1190, 1300, "silent")]
        );
        assert_eq!(found(&folder, (0, 1300), 4, Rhythm::Unknown), [], "shorter than a bucket");
        assert_eq!(found(&folder, (0, 1200), 200, Rhythm::OnChange), []);
        let every = |seconds| Rhythm::AtLeastEvery(Duration::from_secs(seconds));
        assert_eq!(found(&folder, (0, 1200), 200, every(30)), [(590, 900, "silent")]);
        assert_eq!(found(&folder, (0, 1200), 200, every(600)), []);
        // Another quantity of the sensor was heard: this one did not change.
        take(&log, ids[1], [700]);
        log.flush().unwrap();
        assert_eq!(found(&folder, (0, 1200), 200, Rhythm::Unknown), []);
        assert_eq!(found(&folder, (0, 1200), 200, every(30)), [(590, 900, "silent")]);
    }

    #[test]
    fn what_comes_when_it_changes_may_be_silent() {
        let folder = Folder::new();
        let log = folder.open();
        let ids = register(&log);
        take(&log, ids[0], [0, 1, 5, 6, 30, 31, 90, 91, 95, 600, 601, 605, 5000]);
        log.flush().unwrap();
        assert_eq!(found(&folder, (0, 9000), 200, Rhythm::Unknown), []);
    }

    #[test]
    fn a_sensor_that_failed_is_a_gap() {
        let folder = Folder::new();
        let log = folder.open();
        let ids = register(&log);
        state(&log, ids[2], 0, "ok");
        take(&log, ids[0], [0, 7, 100]);
        state(&log, ids[2], 150, "failed: no answer");
        state(&log, ids[2], 250, "ok");
        take(&log, ids[0], [250, 260, 500]);
        state(&log, ids[2], 700, "failed: no answer");
        log.flush().unwrap();
        let expected = [(150, 250, "failed"), (700, 1000, "failed")];
        assert_eq!(found(&folder, (0, 1000), 100, Rhythm::OnChange), expected);
        assert_eq!(found(&folder, (0, 1000), 100, Rhythm::Unknown), expected);
        assert_eq!(
            found(&folder, (200, 800), 100, Rhythm::OnChange),
            [(200, 250, "failed"), (700, 800, "failed")]
        );
    }

    #[test]
    fn a_bridge_that_did_not_run_is_a_gap() {
        let folder = Folder::new();
        let log = folder.open();
        let ids = register(&log);
        take(&log, ids[0], [0, 7, 100]);
        take(&log, ids[3], [200]);
        log.close().unwrap();
        let log = folder.open();
        take(&log, ids[3], [500]);
        take(&log, ids[0], [505, 511]);
        take(&log, ids[3], [600]);
        log.close().unwrap();
        // The last that is known of each run is any row; a short restart is none to speak of.
        let log = folder.open();
        take(&log, ids[0], [605, 700]);
        log.flush().unwrap();
        assert_eq!(found(&folder, (0, 900), 100, Rhythm::Unknown), [(200, 505, "stopped")]);
        assert_eq!(found(&folder, (300, 400), 100, Rhythm::Unknown), [(300, 400, "stopped")]);
        log.close().unwrap();
        let both = [(200, 505, "stopped"), (700, 900, "stopped")];
        assert_eq!(found(&folder, (0, 900), 100, Rhythm::OnChange), both);
    }
}
