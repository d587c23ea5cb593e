//! What waits for delivery, and what went wrong with it.

use rusqlite::Connection;

use crate::log::error::{LogError, at};
use crate::log::reader::Reader;
use crate::log::{InFlight, RowRange, delivery, gap};
use crate::reading::Timestamp;

/// State of the outbox.
#[derive(Debug, Clone, PartialEq)]
pub struct Buffer {
    /// Readings in the log.
    pub rows: i64,
    /// The newest row.
    pub last_row: i64,
    /// Everything up to here is delivered, or stands in `late`.
    pub cursor: i64,
    /// Readings that wait for delivery.
    pub waiting: u64,
    /// When the oldest of them was taken.
    pub oldest: Option<Timestamp>,
    /// Ranges that follow late, each with its number of readings.
    pub late: Vec<(RowRange, u64)>,
    /// QoS 2 hand-shakes remembered.
    pub in_flight: Vec<InFlight>,
    /// Readings that the broker refused for good.
    pub refused: i64,
    /// Why, with how often, most frequent first; at most five.
    pub refusals: Vec<(String, i64)>,
    /// Readings lost, per reason (`retention`, `busy`): how many, and when last.
    pub gaps: Vec<(String, i64, Timestamp)>,
}

impl Reader {
    /// What waits for delivery, and what went wrong with it.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn buffer(&mut self) -> Result<Buffer, LogError> {
        let path = self.path.clone();
        let state = delivery::load(&self.connection).map_err(at(&path))?;
        let last = self.last_row()?;
        let (mut waiting, mut oldest) = self.waiting(state.cursor, last)?;
        let mut late = Vec::new();
        for range in &state.late {
            let (count, since) = self.waiting(range.next - 1, range.end)?;
            waiting += count;
            oldest = [since, oldest].into_iter().flatten().min();
            late.push((*range, count));
        }
        let number =
            |sql: &str| self.connection.query_row(sql, [], |row| row.get::<_, i64>(0)).map_err(at(&path));
        Ok(Buffer {
            rows: number("SELECT count(*) FROM reading")?,
            last_row: last,
            cursor: state.cursor,
            waiting,
            oldest,
            late,
            in_flight: state.in_flight,
            refused: number("SELECT count(*) FROM refusal")?,
            refusals: reasons(&self.connection).map_err(at(&path))?,
            gaps: gap::summary(&self.connection).map_err(at(&path))?,
        })
    }
}

fn reasons(connection: &Connection) -> rusqlite::Result<Vec<(String, i64)>> {
    connection
        .prepare("SELECT reason, count(*) FROM refusal GROUP BY 1 ORDER BY 2 DESC LIMIT 5")?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::testing::*;
    use crate::log::{DeliveryUpdate, Urgency};

    #[test]
    fn the_buffer_is_told_as_it_is() {
        let folder = Folder::new();
        let log = folder.open();
        let ids = log.register(&[channel("a")]).unwrap();
        for time in 1..=10 {
            log.append(vec![reading(ids[0], NOON + time, 0.0)]).unwrap();
        }
        log.record_loss(3);
        let update = DeliveryUpdate {
            cursor: Some(7),
            late: Some(vec![RowRange { next: 3, end: 4 }]),
            refused: vec![(2, "quota".into())],
            ..Default::default()
        };
        log.save_delivery(update, Urgency::Now).unwrap();
        log.close().unwrap();
        let buffer = Reader::open(&folder.path()).unwrap().buffer().unwrap();
        assert_eq!((buffer.rows, buffer.last_row, buffer.cursor), (10, 10, 7));
        assert_eq!((buffer.waiting, buffer.oldest), (5, Some(Timestamp(NOON + 3))));
        assert_eq!(buffer.late[0].1, 2);
        assert_eq!((buffer.refused, buffer.refusals), (1, vec![("quota".to_owned(), 1)]));
        assert_eq!(buffer.gaps, [("busy".to_owned(), 3, Timestamp(NOON))]);
    }
}
