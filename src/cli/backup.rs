//! `sensor-bridge backup`: a copy of the log while the daemon writes it.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use serde_json::json;

use super::progress::Progress;
use super::source::Source;
use super::{Global, terminal};
use crate::config::{self, Secret};
use crate::log::{ENCRYPTS, LogFile, backup};

/// Bytes of a page, in which the copy counts.
const PAGE: u64 = 4096;

/// Copy the log to a file, while the daemon runs
///
/// The copy is one file, checked, and is read with --database or put back in the log's place. That of an encrypted
/// log has the same key, unless said otherwise.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sensor-bridge backup /media/usb/bridge-2026-11-20.db
  sensor-bridge query --database /media/usb/bridge-2026-11-20.db --limit 5
  sensor-bridge backup --encrypt /etc/sensor-bridge/log.key encrypted.db

To restore: stop the daemon, remove bridge.db-wal and bridge.db-shm, copy the
file to log.path, give it to the user of the daemon, start it.")]
pub struct Args {
    /// Where to
    file: PathBuf,
    /// Replace the file if it exists
    #[arg(long)]
    force: bool,
    /// Encrypt the copy with the key in this file (needs SQLCipher)
    #[arg(long, value_name = "KEY_FILE", conflicts_with = "decrypt")]
    encrypt: Option<PathBuf>,
    /// Do not encrypt the copy of an encrypted log
    #[arg(long)]
    decrypt: bool,
    #[command(flatten)]
    source: Source,
}

/// Copies.
///
/// # Errors
/// A bad configuration, no log, a file that exists or cannot be written.
pub fn run(args: &Args, global: &Global) -> anyhow::Result<ExitCode> {
    let from = args.source.log(global)?;
    let to = LogFile { path: args.file.clone(), key: key(args, &from)? };
    let folder = args.file.parent().filter(|folder| !folder.as_os_str().is_empty());
    if let Some(folder) = folder.filter(|folder| !folder.exists()) {
        let file = args.file.display();
        bail!("{file}: the folder {} does not exist; make it, or give another name", folder.display());
    }
    let mut progress = Progress::bytes("copying");
    let copied =
        backup::to(&from, &to, args.force, |done, total| progress.update(done * PAGE, total * PAGE))?;
    drop(progress);
    match global.json {
        true => {
            // A name that is no UTF-8 is no JSON either.
            let file = args.file.display().to_string();
            writeln!(terminal::out(global.json), "{}", json!({ "file": file, "bytes": copied.bytes }))?
        }
        false => {
            let megabytes = copied.bytes as f64 / 1e6;
            writeln!(terminal::out(global.json), "{}: {megabytes:.1} MB, checked", args.file.display())?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The key of the copy.
fn key(args: &Args, from: &LogFile) -> anyhow::Result<Option<Secret>> {
    let Some(file) = &args.encrypt else {
        return Ok(from.key.clone().filter(|_| !args.decrypt));
    };
    if !ENCRYPTS {
        bail!(
            "--encrypt: this program was built without SQLCipher; docs/privacy.md says how to build it with"
        );
    }
    let text = std::fs::read_to_string(file).with_context(|| file.display().to_string())?;
    match config::log_key(&text) {
        Some(key) => Ok(Some(key)),
        None => bail!(
            "{}: does not hold a key of 64 hexadecimal digits; make one with `openssl rand -hex 32`",
            file.display()
        ),
    }
}
