//! Runs one target of `sensor_bridge::fuzz` under libFuzzer: `FUZZ_TARGET=config fuzz CORPUS…`. Knows no target by name.

#![no_main]

use std::path::PathBuf;
use std::process::exit;
use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use sensor_bridge::fuzz::{TARGETS, Target};

/// The target, and a folder of its own for what it writes.
static CHOSEN: OnceLock<(&'static Target, PathBuf)> = OnceLock::new();

fn choose() -> (&'static Target, PathBuf) {
    let name = std::env::var("FUZZ_TARGET").unwrap_or_default();
    let Some(target) = TARGETS.iter().find(|target| target.name == name) else {
        let names: Vec<&str> = TARGETS.iter().map(|target| target.name).collect();
        eprintln!("FUZZ_TARGET={name:?} is none of: {}", names.join(" "));
        exit(2);
    };
    let scratch = std::env::temp_dir().join(format!("sensor-bridge-fuzz-{name}-{}", std::process::id()));
    if let Err(error) = std::fs::create_dir_all(&scratch) {
        eprintln!("{}: {error}", scratch.display());
        exit(2);
    }
    (target, scratch)
}

fuzz_target!(|data: &[u8]| {
    let (target, scratch) = CHOSEN.get_or_init(choose);
    (target.run)(data, scratch);
});
