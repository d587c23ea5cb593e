//! What drivers that read the kernel's files share: a directory's entries, a file's text, and the words for a
//! file that cannot be read.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use tracing::warn;

use super::SensorError;
use crate::reading::{Measured, Value};

/// A directory's entries by name; none if it is not there.
pub(super) fn entries(directory: &Path) -> Vec<(String, PathBuf)> {
    let Ok(directory) = fs::read_dir(directory) else { return Vec::new() };
    let mut entries: Vec<_> = directory
        .flatten()
        .filter_map(|entry| Some((entry.file_name().into_string().ok()?, entry.path())))
        .collect();
    entries.sort();
    entries
}

/// A file's text without the line's end.
pub(super) fn text(path: &Path) -> Option<String> {
    fs::read_to_string(path).ok().map(|text| text.trim().to_owned())
}

/// A label as part of a quantity's name: lower case letters, digits and single `_`.
pub(super) fn identifier(label: &str) -> String {
    let mut name = String::with_capacity(label.len());
    for c in label.chars() {
        if c.is_ascii_alphanumeric() {
            name.push(c.to_ascii_lowercase());
        } else if !name.ends_with('_') && !name.is_empty() {
            name.push('_');
        }
    }
    name.trim_end_matches('_').to_owned()
}

/// A file that the kernel fills by asking the part: what it says, or why it does not.
pub(super) fn ask(path: &Path, part: &str) -> Result<String, SensorError> {
    fs::read_to_string(path).map(|text| text.trim().to_owned()).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => {
            SensorError::WrongAnswer(format!("{part} is not there any more: check wiring and power"))
        }
        io::ErrorKind::PermissionDenied => {
            SensorError::Bus(format!("{} may not be read by this user", path.display()))
        }
        // EIO, ETIMEDOUT and the like are what the part's own driver in the kernel made of its answer.
        _ => SensorError::WrongAnswer(format!(
            "{part} does not answer the kernel ({error}): check wiring and power"
        )),
    })
}

/// Parts of one sensor that fail one by one: the position is that of the quantity.
pub(super) struct Each<T>(Vec<Part<T>>);

struct Part<T> {
    part: T,
    /// The last read failed; said once per change.
    failing: bool,
}

impl<T> Each<T> {
    pub(super) fn new(parts: impl IntoIterator<Item = T>) -> Self {
        Self(parts.into_iter().map(|part| Part { part, failing: false }).collect())
    }

    /// Reads one after another. What fails is left out as long as another one answers.
    pub(super) fn read(
        &mut self,
        read: impl Fn(&T) -> Result<f64, SensorError>,
    ) -> Result<Vec<Measured>, SensorError> {
        let mut measured = Vec::with_capacity(self.0.len());
        let mut errors = Vec::new();
        for (quantity, Part { part, failing }) in self.0.iter_mut().enumerate() {
            match read(part) {
                Ok(value) => {
                    *failing = false;
                    measured.push(Measured { quantity, value: Value::Float(value) });
                }
                Err(error) => errors.push((error, failing)),
            }
        }
        if measured.is_empty() && !errors.is_empty() {
            return Err(errors.swap_remove(0).0);
        }
        for (error, failing) in errors {
            if !std::mem::replace(failing, true) {
                warn!("{error}");
            }
        }
        Ok(measured)
    }
}

/// One of several of a name, by where it is plugged in: `1-0048` of `…/i2c-1/1-0048`.
pub(super) fn plugged_at(directory: &Path) -> Option<String> {
    let place = fs::canonicalize(directory).ok()?;
    place.file_name().and_then(|name| name.to_str()).map(str::to_owned)
}

/// A name in lower case letters, digits and `_`, as quantities have.
pub(super) fn check_name(name: &str) -> Result<(), String> {
    let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    if !name.is_empty() && name.chars().all(good) {
        return Ok(());
    }
    Err(format!("\"{name}\" is no name of a quantity: use lower case letters, digits and _"))
}

#[cfg(test)]
pub(super) mod testing {
    use std::fs;

    use tempfile::TempDir;

    /// A made-up /sys (or any tree): paths from its root and what the files hold.
    pub(in crate::sensor) fn tree(files: &[(&str, &str)]) -> TempDir {
        let root = TempDir::new().unwrap();
        for (path, text) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        root
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_become_topic_levels() {
        for (label, name) in [
            ("Core 0", "core_0"),
            ("cpu-thermal", "cpu_thermal"),
            ("  VDD (3.3 V) ", "vdd_3_3_v"),
            ("Tctl", "tctl"),
            ("温度", ""),
        ] {
            assert_eq!(identifier(label), name);
        }
    }
}
