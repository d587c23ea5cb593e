//! The log, what may be deleted from it, and what happens to readings taken before the clock is right.

use std::path::PathBuf;
use std::time::Duration;

use super::credentials::Secret;

/// The SQLite log.
#[derive(Debug, Clone, PartialEq)]
pub struct Log {
    /// Database file.
    pub path: PathBuf,
    /// Key with which it is encrypted, 64 hexadecimal digits.
    pub key: Option<Secret>,
    /// What a commit survives.
    pub sync: Sync,
    /// Least time between two commits; zero commits as soon as the writer is free.
    pub commit_interval: Duration,
    /// What may be deleted.
    pub retention: Retention,
}

/// How much a commit survives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sync {
    /// Survives power cuts: fsync per commit.
    Full,
    /// Survives `kill -9`; a power cut may cost the last seconds.
    Normal,
}

/// When old rows are deleted.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Retention {
    /// Older delivered rows go.
    pub max_age: Option<Duration>,
    /// Largest size of the database in bytes; the oldest rows go first, undelivered ones last and counted.
    pub max_size: Option<u64>,
    /// Limits of pictures alone, which go before their readings do.
    pub images: ImageRetention,
}

/// When old pictures are deleted; their readings (time and size) stay.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ImageRetention {
    /// Older delivered pictures go.
    pub max_age: Option<Duration>,
    /// Most bytes of all pictures; the oldest go first, undelivered ones last, with their readings, and
    /// counted. The newest stays.
    pub max_size: Option<u64>,
}

/// What happens to readings taken before the clock is synchronised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClockPolicy {
    /// Publish at once, marked `unsynced`.
    Mark,
    /// Hold until corrected, at most this long.
    Hold(Duration),
}
