//! Durations for those who only want the value: drivers' options, command-line arguments.

use std::time::Duration;

use super::amount::parse_duration;

/// Reads a duration such as `10ms`, `1.5s`, `5m`, `1h30m` or `90d`.
///
/// # Errors
/// What is wrong and what to write instead, in one sentence.
pub fn parse(text: &str) -> Result<Duration, String> {
    parse_duration(text).map_err(|error| error.to_string())
}
