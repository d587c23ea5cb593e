//! Numbers as people read them. Pure.

/// `340 ms`, `2.5 s`, `42 s`, `4 m 12 s`, `2 h 5 m`, `3 d 4 h`. Of whole minutes and more, rounded down.
pub fn duration(seconds: f64) -> String {
    let whole = seconds.max(0.0) as u64;
    let two = |size: u64, big: &str, part: u64, small: &str| {
        format!("{} {big} {} {small}", whole / size, whole % size / part)
    };
    match seconds {
        ..0.0005 => "0 s".to_owned(),
        ..1.0 => format!("{:.0} ms", seconds * 1e3),
        ..9.95 => format!("{seconds:.1} s"),
        ..60.0 => format!("{} s", (seconds.round() as u64).min(59)),
        _ if whole < 3_600 => two(60, "m", 1, "s"),
        _ if whole < 86_400 => two(3_600, "h", 60, "m"),
        _ => two(86_400, "d", 3_600, "h"),
    }
}

/// `512 B`, `11.8 MB`, `2.0 GB`: thousands, as the configuration writes them.
pub fn bytes(bytes: u64) -> String {
    let mut size = bytes as f64;
    let mut units = ["B", "kB", "MB", "GB", "TB"].into_iter().peekable();
    while size >= 999.5 && units.len() > 1 {
        size /= 1000.0;
        units.next();
    }
    let unit = units.next().unwrap_or_default();
    if unit == "B" || size >= 99.95 { format!("{size:.0} {unit}") } else { format!("{size:.1} {unit}") }
}

/// Of an output: `on`, `off`, `40 %`.
pub fn level(percent: f64, digital: bool) -> String {
    match (digital, percent) {
        (_, 0.0) => "off".to_owned(),
        (true, _) => "on".to_owned(),
        (false, percent) => format!("{percent} %"),
    }
}

/// `1,234,567`
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        let table = [
            (-1.0, "0 s"),
            (0.0004, "0 s"),
            (0.34, "340 ms"),
            (2.5, "2.5 s"),
            (9.96, "10 s"),
            (42.4, "42 s"),
            (59.6, "59 s"),
            (252.0, "4 m 12 s"),
            (7_500.0, "2 h 5 m"),
            (273_600.0, "3 d 4 h"),
        ];
        for (seconds, text) in table {
            assert_eq!(duration(seconds), text, "{seconds}");
        }
    }

    #[test]
    fn sizes_and_counts() {
        let table = [
            (0, "0 B"),
            (999, "999 B"),
            (1_000, "1.0 kB"),
            (11_800_000, "11.8 MB"),
            (999_999, "1.0 MB"),
            (123_456_789, "123 MB"),
            (u64::MAX, "18446744 TB"),
        ];
        for (size, text) in table {
            assert_eq!(bytes(size), text, "{size}");
        }
        for (number, text) in [(0, "0"), (999, "999"), (1_000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(count(number), text);
        }
    }
}
