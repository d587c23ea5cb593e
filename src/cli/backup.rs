//! `sensor-bridge backup`: a copy of the log while the daemon writes it.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::bail;
use serde_json::json;

use super::progress::Progress;
use super::source::Source;
use super::{Global, terminal};
use crate::log::backup;

/// Copy the log to a file, while the daemon runs
///
/// The copy is one file, checked, and is read with --database or put back in the log's place.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sensor-bridge backup /media/usb/bridge-2026-11-20.db
  sensor-bridge query --database /media/usb/bridge-2026-11-20.db --limit 5

To restore: stop the daemon, remove bridge.db-wal and bridge.db-shm, copy the
file to log.path, start it.")]
pub struct Args {
    /// Where to
    file: PathBuf,
    /// Replace the file if it exists
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    source: Source,
}

/// Copies.
///
/// # Errors
/// A bad configuration, no log, a file that exists or cannot be written.
pub fn run(args: &Args, global: &Global) -> anyhow::Result<ExitCode> {
    let from = args.source.path(global)?;
    let folder = args.file.parent().filter(|folder| !folder.as_os_str().is_empty());
    if let Some(folder) = folder.filter(|folder| !folder.exists()) {
        let file = args.file.display();
        bail!("{file}: the folder {} does not exist; make it, or give another name", folder.display());
    }
    let mut progress = Progress::new("copying");
    let copied = backup::to(&from, &args.file, args.force, |done, total| progress.update(done, total))?;
    drop(progress);
    match global.json {
        true => {
            writeln!(terminal::out(global.json), "{}", json!({ "file": args.file, "bytes": copied.bytes }))?
        }
        false => {
            let megabytes = copied.bytes as f64 / 1e6;
            writeln!(terminal::out(global.json), "{}: {megabytes:.1} MB, checked", args.file.display())?;
        }
    }
    Ok(ExitCode::SUCCESS)
}
