//! The newest reading of one quantity and how far it has come on its way to the broker.

use rusqlite::params;

use super::Reader;
use super::delivery::Waiting;
use super::error::{LogError, at};
use crate::reading::Timestamp;

/// Refusals are looked through backwards, so many at most.
const REFUSALS: i64 = 10_000;

/// The newest reading of a quantity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Newest {
    /// Its row.
    pub row: i64,
    /// Whether it still waits for delivery.
    pub waiting: bool,
    /// Whether it stands among those that follow late.
    pub late: bool,
    /// Rows before it that wait as well, at most.
    pub ahead: u64,
}

/// A reading that the broker refused for good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// When it was refused.
    pub time: Timestamp,
    /// Why.
    pub reason: String,
}

impl Reader {
    /// The newest reading of this quantity, however it was published. Reads one row per way of publishing it.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn how_far(&self, device: &str, sensor: &str, quantity: &str) -> Result<Option<Newest>, LogError> {
        self.read_how_far(device, sensor, quantity).map_err(at(&self.path))
    }

    fn read_how_far(&self, device: &str, sensor: &str, quantity: &str) -> rusqlite::Result<Option<Newest>> {
        let row: Option<i64> = self.connection.query_row(
            "SELECT max((SELECT id FROM reading WHERE channel = channel.id ORDER BY time DESC LIMIT 1))
             FROM channel WHERE device = ?1 AND sensor = ?2 AND quantity = ?3",
            params![device, sensor, quantity],
            |row| row.get(0),
        )?;
        let Some(row) = row else { return Ok(None) };
        let waiting = Waiting::load(&self.connection)?;
        let late = waiting.late.iter().find(|range| (range.next..=range.end).contains(&row));
        Ok(Some(Newest {
            row,
            waiting: waiting.contains(row),
            late: late.is_some(),
            ahead: late.map_or(row - waiting.cursor - 1, |range| row - range.next).max(0).unsigned_abs(),
        }))
    }

    /// The last reading of this quantity that the broker has refused, among the newest refusals.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn last_refusal(
        &self,
        device: &str,
        sensor: &str,
        quantity: &str,
    ) -> Result<Option<Refusal>, LogError> {
        let read = || {
            let mut statement = self.connection.prepare(
                "SELECT refused.time, refused.reason
                 FROM (SELECT * FROM refusal ORDER BY row DESC LIMIT ?4) AS refused
                 JOIN reading ON reading.id = refused.row JOIN channel ON channel.id = reading.channel
                 WHERE device = ?1 AND sensor = ?2 AND quantity = ?3 ORDER BY refused.row DESC LIMIT 1",
            )?;
            let mut rows = statement.query_map(params![device, sensor, quantity, REFUSALS], |row| {
                Ok(Refusal { time: Timestamp(row.get(0)?), reason: row.get(1)? })
            })?;
            rows.next().transpose()
        };
        read().map_err(at(&self.path))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::super::{DeliveryUpdate, RowRange, Urgency};
    use super::*;

    #[test]
    fn how_far_the_newest_has_come() {
        let folder = Folder::new();
        let log = folder.open();
        let ids = log.register(&[channel("temperature"), channel("humidity")]).unwrap();
        for (row, id) in [0, 1, 0, 1].into_iter().enumerate() {
            log.append(vec![reading(ids[id], NOON + row as i64, 1.0)]).unwrap();
        }
        until_committed(&log, 4);
        let newest = |quantity| log.reader().unwrap().how_far("greenhouse-pi", "air", quantity).unwrap();
        let save = |update| {
            log.save_delivery(update, Urgency::Now).unwrap().blocking_recv().unwrap();
        };
        assert_eq!(newest("pressure"), None);
        assert_eq!(newest("temperature"), Some(Newest { row: 3, waiting: true, late: false, ahead: 2 }));
        save(DeliveryUpdate { cursor: Some(3), refused: vec![(1, "quota".into())], ..Default::default() });
        assert_eq!(newest("temperature").map(|newest| newest.waiting), Some(false));
        assert_eq!(newest("humidity"), Some(Newest { row: 4, waiting: true, late: false, ahead: 0 }));
        save(DeliveryUpdate {
            cursor: Some(4),
            late: Some(vec![RowRange { next: 2, end: 4 }]),
            ..Default::default()
        });
        assert_eq!(newest("humidity"), Some(Newest { row: 4, waiting: true, late: true, ahead: 2 }));
        let refusal =
            |quantity| log.reader().unwrap().last_refusal("greenhouse-pi", "air", quantity).unwrap();
        assert_eq!(refusal("temperature").unwrap().reason, "quota");
        assert_eq!(refusal("humidity"), None);
    }
}
