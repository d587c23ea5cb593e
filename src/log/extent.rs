//! How much is in the log, told without counting it: a look at both ends and at two small tables.

use super::error::{LogError, at};
use super::{Reader, gap};
use crate::reading::Timestamp;

/// What is in the log.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Extent {
    /// From the oldest row to the newest; holes that retention has left count.
    pub rows: u64,
    /// The newest row.
    pub last_row: i64,
    /// When the oldest row was taken.
    pub oldest: Option<Timestamp>,
    /// Readings that the broker has refused for good.
    pub refused: i64,
    /// Readings lost, per reason (`retention`, `busy`): how many, and when last.
    pub gaps: Vec<(String, i64, Timestamp)>,
}

impl Reader {
    /// What is in the log. A few rows are read, however many there are.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn extent(&self) -> Result<Extent, LogError> {
        self.read_extent().map_err(at(&self.path))
    }

    fn read_extent(&self) -> rusqlite::Result<Extent> {
        let end = |order| {
            let sql = format!("SELECT id, time FROM reading ORDER BY id {order} LIMIT 1");
            let mut statement = self.connection.prepare(&sql)?;
            let mut rows = statement.query_map([], |row| Ok((row.get::<_, i64>(0)?, row.get(1)?)))?;
            rows.next().transpose()
        };
        let (first, last) = (end("ASC")?, end("DESC")?);
        Ok(Extent {
            rows: match (first, last) {
                (Some((first, _)), Some((last, _))) => last.abs_diff(first) + 1,
                _ => 0,
            },
            last_row: last.map_or(0, |(id, _)| id),
            oldest: first.map(|(_, time)| Timestamp(time)),
            refused: self.connection.query_row("SELECT count(*) FROM refusal", [], |row| row.get(0))?,
            gaps: gap::summary(&self.connection)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;

    #[test]
    fn both_ends() {
        let folder = Folder::new();
        let log = folder.open();
        assert_eq!(log.reader().unwrap().extent().unwrap(), Extent::default());
        let id = log.register(&[channel("temperature")]).unwrap()[0];
        for second in 0..3 {
            log.append(vec![reading(id, NOON + second, 1.0)]).unwrap();
        }
        until_committed(&log, 3);
        let extent = log.reader().unwrap().extent().unwrap();
        assert_eq!((extent.rows, extent.last_row, extent.oldest), (3, 3, Some(Timestamp(NOON))));
        assert_eq!((extent.refused, extent.gaps), (0, vec![]));
    }
}
