//! Any statement that only reads.

use std::ops::ControlFlow;

/// A value of an SQL result: null, integer, real, text or blob.
pub use rusqlite::types::Value as Sql;

use crate::log::error::LogError;
use crate::log::reader::Reader;

impl Reader {
    /// Runs one statement that only reads, and hands over its column names and then each row.
    ///
    /// # Errors
    /// [`LogError::Query`] for what SQLite does not understand, and for anything that would write.
    pub fn sql(
        &mut self,
        sql: &str,
        names: impl FnOnce(Vec<String>),
        mut each: impl FnMut(Vec<Sql>) -> ControlFlow<()>,
    ) -> Result<(), LogError> {
        let wrong = |error: rusqlite::Error| LogError::Query(plain(&error));
        let mut statement = self.connection.prepare(sql).map_err(wrong)?;
        if !statement.readonly() {
            return Err(LogError::Query(
                "only statements that read are run here, such as SELECT; the log was not changed".to_owned(),
            ));
        }
        let columns = statement.column_count();
        names(statement.column_names().map(str::to_owned).collect());
        let mut rows = statement.query([]).map_err(wrong)?;
        while let Some(row) = rows.next().map_err(wrong)? {
            let values: rusqlite::Result<Vec<Sql>> = (0..columns).map(|column| row.get(column)).collect();
            // Text that is not UTF-8 cannot come from us, but from a cast in the statement.
            if each(values.map_err(wrong)?).is_break() {
                break;
            }
        }
        Ok(())
    }
}

/// SQLite's own words, without those of the library around it.
fn plain(error: &rusqlite::Error) -> String {
    match error {
        rusqlite::Error::SqliteFailure(_, Some(message)) => message.clone(),
        rusqlite::Error::SqlInputError { msg, .. } => msg.clone(),
        rusqlite::Error::MultipleStatement => "one statement at a time, please".to_owned(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::query::tests::filled;

    #[test]
    fn sql_reads_and_never_writes() {
        let (_folder, mut reader) = filled();
        let mut names = Vec::new();
        let mut rows = Vec::new();
        reader
            .sql(
                "SELECT quantity, count(*) AS n, max(value) FROM readings GROUP BY 1",
                |columns| names = columns,
                |row| {
                    rows.push(row);
                    ControlFlow::Continue(())
                },
            )
            .unwrap();
        assert_eq!(names, ["quantity", "n", "max(value)"]);
        assert_eq!(rows[0], [Sql::Text("a".into()), Sql::Integer(4), Sql::Real(9.0)]);
        for (sql, complaint) in [
            ("DELETE FROM reading", "only statements that read"),
            ("SELEC 1", "syntax error"),
            ("SELECT 1; SELECT 2", "one statement"),
            ("SELECT nonsense FROM readings", "no such column"),
            ("PRAGMA user_version = 7", ""),
            ("ATTACH '/nowhere/x.db' AS x", ""),
        ] {
            let error = reader.sql(sql, |_| {}, |_| ControlFlow::Continue(())).unwrap_err().to_string();
            assert!(error.contains(complaint), "{sql}: {error}");
        }
        assert_eq!(reader.last_row().unwrap(), 6);
    }
}
