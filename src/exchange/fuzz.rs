//! Files to be imported out of any bytes, for `crate::fuzz`.

use std::ops::ControlFlow;
use std::path::Path;

use super::columns::Mapping;
use super::import::in_steps;
use super::source::Format;
use super::survey::{Manner, survey};

/// A letter that says what it is (`c` CSV, `i` Influx line protocol, else JSON lines), then the file.
pub(crate) fn import(bytes: &[u8], scratch: &Path) {
    let Some((letter, content)) = bytes.split_first() else { return };
    let format = match letter {
        b'c' => Format::Csv,
        b'i' => Format::Influx,
        _ => Format::Jsonl,
    };
    let file = scratch.join("file");
    assert!(std::fs::write(&file, content).is_ok(), "{} cannot be written", file.display());
    let mapping = Mapping { device: Some("pi".to_owned()), ..Mapping::default() };
    let manner = Manner { format, mapping, mixed: bytes.len().is_multiple_of(2) };
    let mut on = |_: u64, _: u64| ControlFlow::Continue(());
    let Ok(Some(found)) = survey(&file, &manner, &[], &mut on) else { return };
    for wrong in &found.examples {
        assert!(!wrong.what.contains(char::is_control) && wrong.what.len() < 2_000, "{wrong:?}");
    }
    if found.wrong > 0 {
        return;
    }
    let mut read = 0;
    let taken = in_steps(&file, &manner, &found, 100, &mut |readings, _, _| {
        read += readings.len() as u64;
        Ok(ControlFlow::Continue(()))
    });
    assert!(taken.is_ok(), "looked through and found right, then not: {taken:?}");
    assert_eq!(read, found.readings, "read twice, and not the same");
}
