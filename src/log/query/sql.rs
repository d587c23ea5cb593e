//! Any statement that only reads.

use std::ops::ControlFlow;

/// A value of an SQL result: null, integer, real, text or blob.
pub use rusqlite::types::Value as Sql;

use rusqlite::Connection;

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
        if !is_utf8(&self.connection).map_err(wrong)? {
            let detail = "names in its schema are no UTF-8".to_owned();
            return Err(LogError::Corrupt { path: self.path.clone(), detail });
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

/// Whether the texts that names of columns come from are UTF-8: the library takes that for granted, and panics.
fn is_utf8(connection: &Connection) -> rusqlite::Result<bool> {
    let mut statement = connection.prepare_cached("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        if row.get_ref(0)?.as_bytes().is_ok_and(|text| std::str::from_utf8(text).is_err()) {
            return Ok(false);
        }
    }
    Ok(true)
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
    fn a_schema_that_is_no_utf_8_is_damage() {
        let (folder, reader) = filled();
        let path = reader.path.clone();
        drop(reader);
        let edited = Connection::open(&path).unwrap();
        edited
            .execute_batch(
                "CREATE TABLE mine (name); PRAGMA writable_schema = ON;
                 UPDATE sqlite_schema SET sql = CAST(x'435245415445205441424c45206d696e6520286eff6d6529' AS TEXT)
                 WHERE name = 'mine'",
            )
            .unwrap();
        drop(edited);
        let mut reader = Reader::open(&path).unwrap();
        let error = reader.sql("SELECT * FROM mine", drop, |_| ControlFlow::Continue(())).unwrap_err();
        assert!(matches!(&error, LogError::Corrupt { detail, .. } if detail.contains("UTF-8")), "{error}");
        drop(folder);
    }

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
