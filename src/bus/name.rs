//! How a bus is called in a configuration.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;
use std::sync::{Mutex, PoisonError};

/// Name of an I2C bus.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum BusName {
    /// `i2c-N`: `/dev/i2c-N` of this machine.
    I2c(u8),
    /// `sim-N`: simulated in this process.
    Sim(u8),
    /// `replay:FILE`: answers as it was recorded.
    Replay(Recording),
}

/// Path of a recording.
///
/// Drivers copy names of buses about, so the text is kept for good, once for each path that a configuration
/// names: a handful in the life of a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Recording(&'static str);

impl Recording {
    /// The path as it was written.
    pub fn path(self) -> &'static str {
        self.0
    }

    fn of(path: &str) -> Self {
        static KNOWN: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());
        let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(path) = known.get(path) {
            return Self(path);
        }
        let path: &'static str = Box::leak(path.to_owned().into_boxed_str());
        known.insert(path);
        Self(path)
    }
}

impl BusName {
    /// Whether devices on it are simulated.
    pub fn is_simulated(self) -> bool {
        matches!(self, BusName::Sim(_))
    }
}

impl fmt::Display for BusName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BusName::I2c(number) => write!(f, "i2c-{number}"),
            BusName::Sim(number) => write!(f, "sim-{number}"),
            BusName::Replay(recording) => write!(f, "replay:{}", recording.0),
        }
    }
}

impl FromStr for BusName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let numbered = |prefix| {
            let digits: &str = text.strip_prefix(prefix)?;
            // "+1" would parse as a number, "01" would be a second name for the same bus.
            let number: u8 = digits.parse().ok()?;
            (number.to_string() == digits).then_some(number)
        };
        if let Some(number) = numbered("i2c-") {
            return Ok(BusName::I2c(number));
        }
        if let Some(number) = numbered("sim-") {
            return Ok(BusName::Sim(number));
        }
        // A path with a zero byte cannot be opened, and would cut the name of the thread that reads it.
        if let Some(path) =
            text.strip_prefix("replay:").filter(|path| !path.is_empty() && !path.contains('\0'))
        {
            return Ok(BusName::Replay(Recording::of(path)));
        }
        Err(format!(
            "unknown bus \"{text}\": write i2c-1 for /dev/i2c-1 of this machine, sim-1 for a simulated bus, or \
             replay:/path/to/file for a recorded one"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back_as_they_are_written() {
        for (text, name) in
            [("i2c-1", BusName::I2c(1)), ("sim-0", BusName::Sim(0)), ("i2c-255", BusName::I2c(255))]
        {
            assert_eq!(text.parse(), Ok(name));
            assert_eq!(name.to_string(), text);
        }
        let replay: BusName = "replay:/tmp/air.jsonl".parse().unwrap();
        assert_eq!(replay.to_string(), "replay:/tmp/air.jsonl");
        assert_eq!("replay:/tmp/air.jsonl".parse(), Ok(replay));
        assert!(!replay.is_simulated());
        for text in [
            "replay:",
            "replay",
            "",
            "i2c",
            "i2c1",
            "i2c-",
            "i2c-256",
            "i2c-01",
            "i2c-+1",
            "I2C-1",
            "/dev/i2c-1",
            "spi-0",
        ] {
            assert!(text.parse::<BusName>().is_err(), "{text}");
        }
    }
}
