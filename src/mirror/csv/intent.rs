//! Settles, after a crash, whether what was about to be appended to a CSV file was.

use std::fs::File;
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};
use std::path::Path;

use sha2::{Digest, Sha256};
use tracing::{info, warn};

use super::super::{Ledger, Session, SinkError};
use super::file::{cut, lock, repair};
use crate::log::{Intent, MirrorBatch};

/// SHA-256 in hexadecimal.
pub(super) fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// An intent to append nothing: it takes the place of one that is settled, and says that a record ends at
/// this length.
pub(super) fn mark(mirror: &str, path: &Path, len: u64) -> MirrorBatch {
    let file = path.display().to_string();
    let intent = Intent { file, from: len, to: len, sha256: sha256(b""), packet_ids: Vec::new() };
    MirrorBatch { mirror: mirror.to_owned(), intent: Some(intent), ..MirrorBatch::default() }
}

/// Settles the last intent of a mirror, and answers what is remembered of its session after that.
///
/// Either the file has exactly the bytes that were announced, then the packet ids that came with them stay
/// held; or it is cut back to where they began and the ids are forgotten: nothing of it was acknowledged,
/// so the broker sends it again.
pub(in super::super) fn recover(mirror: &str, ledger: &dyn Ledger) -> Result<Session, SinkError> {
    let state = ledger.state(mirror)?;
    let mut session = Session { held: state.held, subscribed: state.subscribed, replies: Vec::new() };
    let Some(intent) = state.intent.filter(|intent| !intent.file.is_empty()) else { return Ok(session) };
    let path = Path::new(&intent.file);
    let fail = |why| SinkError::File { path: path.to_owned(), what: "cannot be put right", why };
    let mut file = match lock(path, false) {
        Ok(file) => Some(file),
        Err(SinkError::File { why, .. }) if why.kind() == ErrorKind::NotFound => None,
        Err(error) => return Err(error),
    };
    let complete = match &mut file {
        Some(file) => is_complete(file, &intent).map_err(fail)?,
        None => intent.from == intent.to,
    };
    if complete {
        if let Some(file) = &mut file {
            repair(file, path, intent.to).map_err(fail)?;
            // They may have been written and not yet been durable.
            file.sync_all().map_err(fail)?;
        }
        return Ok(session);
    }
    info!("{}: an append that was not finished is taken back; it comes again", path.display());
    if let Some(file) = &mut file {
        cut(file, path, intent.from).map_err(fail)?;
    }
    session.held.retain(|(id, _)| !intent.packet_ids.contains(id));
    // The intent is replaced in the same commit: later appends would make its bytes look torn again.
    ledger.store(MirrorBatch { released: intent.packet_ids, ..mark(mirror, path, intent.from) })?;
    Ok(session)
}

/// Whether the announced bytes are in the file.
fn is_complete(file: &mut File, intent: &Intent) -> io::Result<bool> {
    let len = file.metadata()?.len();
    if len < intent.to {
        // A mark says nothing about what follows; the file was shortened by somebody.
        return Ok(intent.from == intent.to);
    }
    file.seek(SeekFrom::Start(intent.from))?;
    let mut hasher = Sha256::new();
    io::copy(&mut file.take(intent.to - intent.from), &mut hasher)?;
    if hex(&hasher.finalize()) == intent.sha256 {
        return Ok(true);
    }
    if len > intent.to {
        // We append more only after these bytes were durable, so somebody has edited the file since.
        warn!("{}: was changed by somebody else; left as it is", intent.file);
        return Ok(true);
    }
    Ok(false)
}
