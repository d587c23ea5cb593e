//! A chip select of an SPI controller as drivers see it: an owned handle that implements embedded-hal's
//! `SpiDevice`. Every transaction is one exchange in both directions with the chip selected throughout.

use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, Mutex};

use embedded_hal::spi::{ErrorKind, ErrorType, Operation, SpiDevice};

use super::lock;

/// Name of a chip select.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum SpiName {
    /// `spi-B.S`: `/dev/spidevB.S` of this machine.
    Spi(u8, u8),
    /// `sim-B.S`: simulated in this process.
    Sim(u8, u8),
}

impl SpiName {
    /// Whether what is selected is simulated.
    pub fn is_simulated(self) -> bool {
        matches!(self, SpiName::Sim(..))
    }
}

impl fmt::Display for SpiName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SpiName::Spi(bus, select) => write!(f, "spi-{bus}.{select}"),
            SpiName::Sim(bus, select) => write!(f, "sim-{bus}.{select}"),
        }
    }
}

impl FromStr for SpiName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // A Pi has controllers 0 to 6, and up to three chip selects at each.
        let digit = |text: &str| text.parse::<u8>().ok().filter(|number| *number <= 9 && text.len() == 1);
        let numbered = |prefix| {
            let (bus, select) = text.strip_prefix(prefix)?.split_once('.')?;
            Some((digit(bus)?, digit(select)?))
        };
        if let Some((bus, select)) = numbered("spi-") {
            return Ok(SpiName::Spi(bus, select));
        }
        if let Some((bus, select)) = numbered("sim-") {
            return Ok(SpiName::Sim(bus, select));
        }
        Err(format!(
            "unknown SPI bus \"{text}\": write spi-0.0 for /dev/spidev0.0 of this machine (bus 0, chip select CE0), or \
             sim-0.0 for a simulated one"
        ))
    }
}

/// Clock and mode of a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpiSettings {
    /// Hz, at most.
    pub clock: u32,
    /// Polarity and phase: 0 to 3.
    pub mode: u8,
}

/// An exchange that failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SpiError(pub(super) String);

impl embedded_hal::spi::Error for SpiError {
    fn kind(&self) -> ErrorKind {
        ErrorKind::Other
    }
}

/// What every controller can do. Both buffers are of one length, and not empty.
pub(super) trait Exchange: Send {
    fn exchange(&mut self, sent: &[u8], received: &mut [u8]) -> Result<(), SpiError>;
}

/// One chip select. Cheap to clone; every clone is the same.
#[derive(Clone)]
pub struct SpiBus {
    name: SpiName,
    line: Arc<Mutex<dyn Exchange>>,
}

impl fmt::Debug for SpiBus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SpiBus({})", self.name)
    }
}

impl SpiBus {
    pub(super) fn new(name: SpiName, line: Arc<Mutex<dyn Exchange>>) -> Self {
        Self { name, line }
    }

    /// What it is called.
    pub fn name(&self) -> SpiName {
        self.name
    }
}

impl ErrorType for SpiBus {
    type Error = SpiError;
}

impl SpiDevice for SpiBus {
    /// All operations as one exchange: zeros are sent where only reading is asked for, and what comes while only
    /// writing is asked for is dropped. Delays within a transaction are not possible this way, and refused.
    fn transaction(&mut self, operations: &mut [Operation<'_, u8>]) -> Result<(), SpiError> {
        let mut sent = Vec::new();
        for operation in operations.iter() {
            match operation {
                Operation::Read(buffer) => sent.resize(sent.len() + buffer.len(), 0),
                Operation::Write(bytes) => sent.extend_from_slice(bytes),
                Operation::Transfer(buffer, bytes) => {
                    let end = sent.len() + buffer.len().max(bytes.len());
                    sent.extend_from_slice(bytes);
                    sent.resize(end, 0);
                }
                Operation::TransferInPlace(buffer) => sent.extend_from_slice(buffer),
                Operation::DelayNs(_) => {
                    return Err(SpiError(
                        "a delay within an SPI transaction is not possible here".to_owned(),
                    ));
                }
            }
        }
        let mut received = vec![0; sent.len()];
        if !sent.is_empty() {
            lock(&self.line).exchange(&sent, &mut received)?;
        }
        let mut rest = received.as_slice();
        for operation in operations {
            let (buffer, length): (&mut [u8], usize) = match operation {
                Operation::Read(buffer) | Operation::TransferInPlace(buffer) => {
                    let length = buffer.len();
                    (buffer, length)
                }
                Operation::Transfer(buffer, bytes) => {
                    let length = buffer.len().max(bytes.len());
                    (buffer, length)
                }
                Operation::Write(bytes) => (&mut [], bytes.len()),
                Operation::DelayNs(_) => (&mut [], 0),
            };
            let (own, after) = rest.split_at(length);
            let wanted = buffer.len();
            buffer.copy_from_slice(&own[..wanted]);
            rest = after;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Answers each byte with itself plus one.
    struct Next;

    impl Exchange for Next {
        fn exchange(&mut self, sent: &[u8], received: &mut [u8]) -> Result<(), SpiError> {
            for (sent, received) in sent.iter().zip(received) {
                *received = sent + 1;
            }
            Ok(())
        }
    }

    #[test]
    fn names_read_back_as_they_are_written() {
        for (text, name) in [
            ("spi-0.0", SpiName::Spi(0, 0)),
            ("spi-1.2", SpiName::Spi(1, 2)),
            ("sim-0.1", SpiName::Sim(0, 1)),
        ] {
            assert_eq!(text.parse(), Ok(name));
            assert_eq!(name.to_string(), text);
        }
        for text in ["", "spi-0", "spi0.0", "spi-0.", "spi-00.0", "spi-10.0", "spi-0.+1", "i2c-1", "sim-1"] {
            assert!(text.parse::<SpiName>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_transaction_is_one_exchange_and_its_bytes_land_in_the_right_buffers() {
        let mut bus = SpiBus::new(SpiName::Sim(0, 0), Arc::new(Mutex::new(Next)));
        let (mut read, mut longer, mut shorter, mut place) = ([9; 2], [9; 2], [9; 1], [7; 2]);
        bus.transaction(&mut [
            Operation::Write(&[1, 2, 3]),
            Operation::Read(&mut read),
            Operation::Transfer(&mut longer, &[5]),
            Operation::Transfer(&mut shorter, &[5, 6]),
            Operation::TransferInPlace(&mut place),
        ])
        .unwrap();
        assert_eq!((read, longer, shorter, place), ([1, 1], [6, 1], [6], [8, 8]));
        assert!(bus.transaction(&mut []).is_ok());
        assert!(bus.transaction(&mut [Operation::DelayNs(1)]).is_err());
    }
}
