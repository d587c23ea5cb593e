//! The Pi's SD card: a file with an ext4 file system, which survives that the power is cut.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::support::find;
use crate::system::System;

/// A card must have a power of two as its size, says QEMU. Sparse.
const BYTES: u64 = 128 << 20;

/// An SD card and what is on it.
pub struct Card {
    folder: TempDir,
    system: System,
}

impl Card {
    /// Formats one, with the binary and these files (name and text).
    pub fn new(files: &[(&str, &str)]) -> Self {
        let card = Self::empty(System::Busybox);
        let folder = &card.folder;
        let content = folder.path().join("content");
        fs::create_dir(&content).unwrap();
        let binary = binary();
        fs::copy(&binary, content.join("sensor-bridge"))
            .unwrap_or_else(|error| panic!("{}: {error}; `make virtual-pi` builds it", binary.display()));
        for (name, text) in files {
            fs::write(content.join(name), text).unwrap();
        }
        File::create(card.image()).unwrap().set_len(BYTES).unwrap();
        let made = Command::new(find("mkfs.ext4"))
            .args(["-q", "-F", "-E", "root_owner=0:0", "-d"])
            .args([&content, &card.image()])
            .status()
            .unwrap();
        assert!(made.success(), "mkfs.ext4: {made}");
        card
    }

    /// A copy of one with Debian on it.
    pub fn copy_of(image: &Path) -> Self {
        let card = Self::empty(System::Debian);
        // Most of it are holes.
        let mut copy = Command::new("cp");
        let copied = copy.args(["--sparse=always", "--reflink=auto"]).args([image, &card.image()]).status();
        assert!(copied.unwrap().success(), "no {}: `make virtual-pi-systemd` makes it", image.display());
        card
    }

    fn empty(system: System) -> Self {
        // Beside the build, not in /tmp, which may be memory.
        Self { folder: TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap(), system }
    }

    /// What is on it.
    pub fn system(&self) -> System {
        self.system
    }

    /// The file that QEMU takes for the card.
    pub fn image(&self) -> PathBuf {
        self.folder.path().join("card.img")
    }
}

/// The folder of what was built: the target folder of cargo, wherever that is.
pub fn built() -> &'static Path {
    Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap()
}

/// The release binary for the Pi: `VIRTUAL_PI_BINARY`, else what `make cross` leaves.
fn binary() -> PathBuf {
    std::env::var_os("VIRTUAL_PI_BINARY")
        .map_or_else(|| built().join("aarch64-unknown-linux-gnu/release/sensor-bridge"), PathBuf::from)
}
