//! Durations as people write them: `10ms`, `10s`, `5m`, `12h`, `90d`.

use std::time::Duration;

/// Reads a duration: a number, whole or with decimals, and one of `ms`, `s`, `m`, `h`, `d`.
pub fn parse(text: &str) -> Result<Duration, String> {
    let complaint = || format!("\"{text}\" is not a duration: write for example 500ms, 10s, 5m, 12h or 90d");
    let unit_at = text.find(|c: char| c.is_ascii_alphabetic()).ok_or_else(complaint)?;
    let (number, unit) = text.split_at(unit_at);
    let seconds = match unit {
        "ms" => 0.001,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        "d" => 86_400.0,
        _ => return Err(complaint()),
    };
    let number = number.trim_end();
    if !number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
        return Err(complaint());
    }
    let number: f64 = number.parse().map_err(|_| complaint())?;
    Duration::try_from_secs_f64(number * seconds).map_err(|_| complaint())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_as_written() {
        for (text, milliseconds) in [
            ("10ms", 10),
            ("1.5s", 1500),
            ("10 s", 10_000),
            ("5m", 300_000),
            ("12h", 43_200_000),
            ("90d", 7_776_000_000),
        ] {
            assert_eq!(parse(text), Ok(Duration::from_millis(milliseconds)), "{text}");
        }
        for text in ["", "10", "s", "-1s", "1e3s", "inf s", "1 week", "10S", "99999999999999999999999d"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
