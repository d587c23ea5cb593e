//! The SQLite sink: the log's `messages`, and a table of typed columns of the user's naming.
//!
//! Messages, the packet ids to remember and the typed row go into one transaction of the log's writer, so
//! there is nothing to put right after a crash.

use rusqlite::types::Value as Sql;

use super::{Batch, Incoming, Ledger, Session, Sink, SinkError, Stored, csv, field, held, identity};
use crate::config;
use crate::log::{MirrorBatch, NewMessage};

/// See the module.
pub(super) struct Sqlite {
    mirror: String,
    table: Option<config::Table>,
    ledger: Box<dyn Ledger>,
}

impl Sqlite {
    pub(super) fn new(mirror: &str, table: Option<config::Table>, ledger: Box<dyn Ledger>) -> Self {
        Self { mirror: mirror.to_owned(), table, ledger }
    }

    /// The typed values of a message, in the order of the table's columns; `None` for no typed row.
    fn fields(&self, message: &Incoming, tally: &mut field::Tally) -> Option<Vec<Sql>> {
        let table = self.table.as_ref()?;
        let document = tally.parse(&message.topic, &message.payload)?;
        let columns = table.columns.values();
        Some(
            columns.map(|column| tally.typed(&message.topic, &document, &column.path, column.kind)).collect(),
        )
    }
}

impl Sink for Sqlite {
    fn open(&mut self) -> Result<Session, SinkError> {
        // A mirror of this id may have written CSV before the configuration was changed.
        csv::recover(&self.mirror, &*self.ledger)
    }

    fn store(&mut self, batch: &Batch) -> Result<Stored, SinkError> {
        let mut fields = field::Tally::default();
        // Copied, because the log consumes what it is given, and a batch that failed must be given again.
        let messages = batch
            .messages
            .iter()
            .map(|message| NewMessage {
                topic: message.topic.clone(),
                received: message.received,
                qos: message.qos,
                retained: message.retained,
                payload: message.payload.clone(),
                id: identity(&message.payload).map(|(epoch, row)| (epoch.to_owned(), row)),
                fields: self.fields(message, &mut fields),
            })
            .collect();
        let stored = self.ledger.store(MirrorBatch {
            messages,
            table: self.table.clone(),
            held: held(&batch.messages),
            ..batch.notes(&self.mirror)
        })?;
        Ok(Stored { repeats: stored.repeats, fields })
    }
}
