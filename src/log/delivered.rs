//! What has left: readings that the log says were delivered, and single ones found again by row or by time.

use std::collections::HashSet;
use std::sync::Arc;

use super::error::{LogError, at};
use super::intake::Series;
use super::query::Line;
use super::reader::{Reader, clock_of, value_of};
use super::{DeliveryState, Stage, channel, delivery};
use crate::reading::{Channel, Logged, Timestamp};

/// Rows looked at to find the end of a sample.
const SAMPLE: i64 = 1_000;

impl Reader {
    /// Delivery as it is stored at this moment.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn delivery(&self) -> Result<DeliveryState, LogError> {
        delivery::load(&self.connection).map_err(at(&self.path))
    }

    /// Every channel there is.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn known(&self) -> Result<Vec<Arc<Channel>>, LogError> {
        let channels = channel::load(&self.connection).map_err(at(&self.path))?;
        let mut channels: Vec<_> = channels.into_iter().collect();
        channels.sort_by_key(|(id, _)| *id);
        Ok(channels.into_iter().map(|(_, channel)| channel).collect())
    }

    /// The lowest row that the daemon wrote and that is still there; `None` when there is none.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn first_row(&self) -> Result<Option<i64>, LogError> {
        self.connection
            .query_row("SELECT min(id) FROM reading WHERE id > 0", [], |row| row.get(0))
            .map_err(at(&self.path))
    }

    /// Readings with `after < row` that were delivered by `state`, oldest first, roughly `limit` rows at a time;
    /// and the last row looked at, `None` at the end.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn delivered(
        &mut self,
        state: &DeliveryState,
        after: i64,
        limit: usize,
    ) -> Result<(Vec<Logged>, Option<i64>), LogError> {
        let mut rows = self.outgoing(after, state.cursor, limit)?;
        let Some(last) = rows.last().map(|logged| logged.row) else { return Ok((rows, None)) };
        let refused = self.refused(after, last)?;
        rows.retain(|logged| {
            let row = logged.row;
            !refused.contains(&row)
                && !state.late.iter().any(|range| (range.next..=range.end).contains(&row))
                && !state.in_flight.iter().any(|entry| entry.row == row && entry.stage != Stage::Done)
        });
        Ok((rows, Some(last)))
    }

    fn refused(&self, after: i64, until: i64) -> Result<HashSet<i64>, LogError> {
        let read = || {
            self.connection
                .prepare_cached("SELECT row FROM refusal WHERE row > ?1 AND row <= ?2")?
                .query_map([after, until], |row| row.get(0))?
                .collect::<rusqlite::Result<_>>()
        };
        read().map_err(at(&self.path))
    }

    /// The published reading of a row and, after it, the others of its sample; empty when it is gone.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn sample_at(&mut self, row: i64) -> Result<Vec<Logged>, LogError> {
        let mut sample = self.outgoing(row.saturating_sub(1), row.saturating_add(SAMPLE), 1)?;
        if sample.first().is_none_or(|logged| logged.row != row) {
            sample.clear();
        }
        Ok(sample)
    }

    /// The readings of a series with exactly this time, those imported left out.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn readings_at(&mut self, series: &Series, time: Timestamp) -> Result<Vec<Line>, LogError> {
        let path = self.path.clone();
        self.read_at(series, time).map_err(at(&path))
    }

    fn read_at(&mut self, series: &Series, time: Timestamp) -> rusqlite::Result<Vec<Line>> {
        if self.channels.is_empty() {
            self.channels = channel::load(&self.connection)?;
        }
        let mut statement = self.connection.prepare_cached(
            "SELECT reading.id, time, flags, value, channel FROM reading WHERE time = ?1 AND reading.id > 0
               AND channel IN (SELECT id FROM channel WHERE sensor = ?2 AND quantity = ?3 AND device = ?4 AND unit = ?5)
             ORDER BY reading.id",
        )?;
        let Series { device, sensor, quantity, unit } = series;
        let mut rows = statement.query(rusqlite::params![time.0, sensor, quantity, device, unit])?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            let id: i64 = row.get(4)?;
            let Some(channel) = self.channels.get(&id) else { continue };
            found.push(Line {
                row: row.get(0)?,
                at: Timestamp(row.get(1)?),
                clock: clock_of(row.get(2)?),
                value: value_of(row.get_ref(3)?, channel.kind)?,
                channel: channel.clone(),
            });
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::testing::*;
    use crate::log::{DeliveryUpdate, InFlight, RowRange, Urgency};

    #[test]
    fn delivered_is_what_nobody_waits_for_and_nobody_refused() {
        let folder = Folder::new();
        let log = folder.open();
        let ids = log.register(&[channel("a"), channel("b"), silent("c")]).unwrap();
        for row in 0..10 {
            let sample = ids.iter().map(|id| reading(*id, NOON + row, row as f64)).collect();
            log.append(sample).unwrap();
        }
        let update = DeliveryUpdate {
            cursor: Some(24),
            late: Some(vec![RowRange { next: 4, end: 6 }]),
            in_flight: vec![
                InFlight { row: 7, packet_id: 1, stage: Stage::Sent },
                InFlight { row: 8, packet_id: 2, stage: Stage::Done },
            ],
            refused: vec![(10, "quota".into())],
            ..DeliveryUpdate::default()
        };
        until_committed(&log, 30);
        log.save_delivery(update, Urgency::Now).unwrap().blocking_recv().unwrap();
        let mut reader = Reader::open(&folder.path()).unwrap();
        let state = reader.delivery().unwrap();
        let (mut rows, mut after) = (Vec::new(), 0);
        while let (some, Some(last)) = reader.delivered(&state, after, 4).unwrap() {
            rows.extend(some.iter().map(|logged| logged.row));
            after = last;
        }
        assert_eq!(rows, [1, 2, 8, 11, 13, 14, 16, 17, 19, 20, 22, 23]);
        assert_eq!(reader.first_row().unwrap(), Some(1));
        let at = |reader: &mut Reader, row| {
            reader.sample_at(row).unwrap().iter().map(|l| l.row).collect::<Vec<_>>()
        };
        assert_eq!(at(&mut reader, 1), [1, 2]);
        assert_eq!(at(&mut reader, 2), [2]);
        assert_eq!(at(&mut reader, 3), [0; 0]);
        assert_eq!(at(&mut reader, 99), [0; 0]);
        let found = reader.readings_at(&Series::of(&channel("b")), Timestamp(NOON + 3)).unwrap();
        assert_eq!(found.iter().map(|line| line.row).collect::<Vec<_>>(), [11]);
    }
}
