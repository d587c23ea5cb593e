//! How a bus is called in a configuration.

use std::fmt;
use std::str::FromStr;

/// Name of an I2C bus.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum BusName {
    /// `i2c-N`: `/dev/i2c-N` of this machine.
    I2c(u8),
    /// `sim-N`: simulated in this process.
    Sim(u8),
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
        Err(format!(
            "unknown bus \"{text}\": write i2c-1 for /dev/i2c-1 of this machine, or sim-1 for a simulated bus"
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
        for text in ["", "i2c", "i2c1", "i2c-", "i2c-256", "i2c-01", "i2c-+1", "I2C-1", "/dev/i2c-1", "spi-0"]
        {
            assert!(text.parse::<BusName>().is_err(), "{text}");
        }
    }
}
