//! What the publisher needs of the log: committed readings out, progress back. Narrow, so that a test can
//! stand in for the disk.

use std::sync::Arc;

use tokio::sync::{oneshot, watch};

use crate::config::Pseudonym;
use crate::log::{DeliveryState, DeliveryUpdate, Log, LogError, Reader, Urgency};
use crate::reading::{Channel, Image, Logged};

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
    pseudonym: Option<Pseudonym>,
}

impl LogOutbox {
    /// What was logged under the device id comes out under the pseudonym.
    pub(super) fn open(log: Log, pseudonym: Option<Pseudonym>) -> Result<Self, LogError> {
        let reader = log.reader()?;
        Ok(Self { log, reader, pseudonym })
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
        let mut rows = self.reader.outgoing(after, until, limit)?;
        if let Some(pseudonym) = &self.pseudonym {
            rename(&mut rows, pseudonym);
        }
        Ok(rows)
    }

    fn image(&mut self, row: i64) -> Result<Option<Image>, LogError> {
        self.reader.image(row)
    }

    fn save(&mut self, update: DeliveryUpdate, urgency: Urgency) -> Result<oneshot::Receiver<()>, LogError> {
        self.log.save_delivery(update, urgency)
    }
}

/// Puts the pseudonym where the device id stands: in rows that were taken before there was one.
fn rename(rows: &mut [Logged], pseudonym: &Pseudonym) {
    // Rows of one channel share it, before and after.
    let mut renamed: Vec<(Arc<Channel>, Arc<Channel>)> = Vec::new();
    for row in rows.iter_mut().filter(|row| row.channel.device == pseudonym.id) {
        let known = renamed.iter().find(|(before, _)| Arc::ptr_eq(before, &row.channel));
        let after = match known {
            Some((_, after)) => after.clone(),
            None => {
                let mut channel = Channel::clone(&row.channel);
                channel.device.clone_from(&pseudonym.name);
                if let Some(publish) = &mut channel.publish {
                    publish.topic = pseudonym.put_into(&publish.topic);
                    publish.late_topic = publish.late_topic.as_deref().map(|topic| pseudonym.put_into(topic));
                }
                let after = Arc::new(channel);
                renamed.push((row.channel.clone(), after.clone()));
                after
            }
        };
        row.channel = after;
    }
}
