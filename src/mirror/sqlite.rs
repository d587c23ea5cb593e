//! The SQLite sink: the log's `messages`, and a table of the user's naming: of typed columns, or of the readings that
//! messages of other programs tell of.
//!
//! Messages, the packet ids to remember and the typed row go into one transaction of the log's writer, so
//! there is nothing to put right after a crash.

use rusqlite::types::Value as Sql;

use super::{Batch, Incoming, Ledger, Session, Sink, SinkError, Stored, csv, field, held, shape};
use crate::config;
use crate::log::{LogError, MirrorBatch, NewMessage};

/// See the module.
pub(super) struct Sqlite {
    mirror: String,
    table: Option<config::Table>,
    shape: Option<shape::Shape>,
    ledger: Box<dyn Ledger>,
}

impl Sqlite {
    pub(super) fn new(mirror: &str, table: Option<config::Table>, ledger: Box<dyn Ledger>) -> Self {
        Self { mirror: mirror.to_owned(), table, shape: None, ledger }
    }

    /// Takes messages for those of another program; the table then has a row for each of their readings.
    pub(super) fn shaped(self, shape: Option<shape::Shape>) -> Self {
        Self { shape, ..self }
    }
}

impl Sink for Sqlite {
    fn open(&mut self) -> Result<Session, SinkError> {
        // A mirror of this id may have written CSV before the configuration was changed.
        csv::recover(&self.mirror, &*self.ledger)
    }

    fn store(&mut self, batch: &Batch) -> Result<Stored, SinkError> {
        match self.store_with(self.table.as_ref(), batch) {
            // The table is not as configured, or a row does not fit its constraints: the messages themselves
            // are kept all the same.
            Err(LogError::Refused(why)) if self.table.is_some() => {
                let mut stored = self.store_with(None, batch)?;
                stored.fields.refused += batch.messages.len();
                stored.fields.last = Some(why);
                Ok(stored)
            }
            stored => Ok(stored?),
        }
    }
}

impl Sqlite {
    fn store_with(&self, table: Option<&config::Table>, batch: &Batch) -> Result<Stored, LogError> {
        let mut fields = field::Tally::default();
        // Copied, because the log consumes what it is given, and a batch that failed must be given again.
        let messages = batch
            .messages
            .iter()
            .map(|message| {
                let seen = match &self.shape {
                    Some(shape) => shape.read(message, &mut fields),
                    None => shape::Seen::of_ours(message),
                };
                let plain = table.filter(|_| self.shape.is_none());
                NewMessage {
                    topic: message.topic.clone(),
                    received: message.received,
                    qos: message.qos,
                    retained: message.retained,
                    payload: message.payload.clone(),
                    id: seen.id,
                    fields: fields_of(plain, message, &mut fields),
                    told: seen.rows,
                }
            })
            .collect();
        let (readings, table) = if self.shape.is_some() { (table, None) } else { (None, table) };
        let stored = self.ledger.store(MirrorBatch {
            messages,
            table: table.cloned(),
            readings: readings.map(|table| table.name.clone()),
            held: held(&batch.messages),
            ..batch.notes(&self.mirror)
        })?;
        Ok(Stored { repeats: stored.repeats, fields, ..Stored::default() })
    }
}

/// The typed values of a message, in the order of the table's columns; `None` for no typed row.
fn fields_of(
    table: Option<&config::Table>,
    message: &Incoming,
    tally: &mut field::Tally,
) -> Option<Vec<Sql>> {
    let columns = table?.columns.values();
    let document = tally.parse(&message.topic, &message.payload)?;
    let typed =
        |column: &config::TableColumn| tally.typed(&message.topic, &document, &column.path, column.kind);
    Some(columns.map(typed).collect())
}
