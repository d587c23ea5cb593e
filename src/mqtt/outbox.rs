//! What the publisher needs of the log: committed readings out, progress back. Narrow, so that a test can
//! stand in for the disk.

use tokio::sync::{oneshot, watch};

use crate::log::{DeliveryState, DeliveryUpdate, Log, LogError, Reader, Urgency};
use crate::reading::{Image, Logged};

/// The log as its outbox.
pub(super) trait Outbox {
    /// Progress as it was last saved.
    fn state(&mut self) -> Result<DeliveryState, LogError>;

    /// The highest committed row.
    fn committed(&self) -> watch::Receiver<i64>;

    /// See [`Reader::outgoing`].
    fn outgoing(&mut self, after: i64, until: i64, limit: usize) -> Result<Vec<Logged>, LogError>;

    /// See [`Reader::image`].
    fn image(&mut self, row: i64) -> Result<Option<Image>, LogError>;

    /// See [`Log::save_delivery`].
    fn save(&mut self, update: DeliveryUpdate, urgency: Urgency) -> Result<oneshot::Receiver<()>, LogError>;
}

/// The real one, with a read connection of its own.
#[derive(Debug)]
pub(super) struct LogOutbox {
    log: Log,
    reader: Reader,
}

impl LogOutbox {
    pub(super) fn open(log: Log) -> Result<Self, LogError> {
        let reader = log.reader()?;
        Ok(Self { log, reader })
    }
}

impl Outbox for LogOutbox {
    fn state(&mut self) -> Result<DeliveryState, LogError> {
        self.log.delivery()
    }

    fn committed(&self) -> watch::Receiver<i64> {
        self.log.committed()
    }

    fn outgoing(&mut self, after: i64, until: i64, limit: usize) -> Result<Vec<Logged>, LogError> {
        self.reader.outgoing(after, until, limit)
    }

    fn image(&mut self, row: i64) -> Result<Option<Image>, LogError> {
        self.reader.image(row)
    }

    fn save(&mut self, update: DeliveryUpdate, urgency: Urgency) -> Result<oneshot::Receiver<()>, LogError> {
        self.log.save_delivery(update, urgency)
    }
}
