//! Sizes for those who only want the value: drivers' options.

use super::amount::{format_size, parse_size};

/// Reads a size such as `500kB`, `2MB` or `64KiB`, in bytes.
///
/// # Errors
/// What is wrong and what to write instead, in one sentence.
pub fn parse(text: &str) -> Result<u64, String> {
    parse_size(text).map_err(|error| error.to_string())
}

/// A size as it is written in the configuration.
pub fn show(bytes: u64) -> String {
    format_size(bytes)
}
