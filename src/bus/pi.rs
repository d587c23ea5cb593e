//! `/dev/i2c-N` through `rppal`.
//!
//! It uses rppal's own calls and not its embedded-hal implementation, whose `write_read` puts a stop
//! between write and read where several parts (VEML7700, SHT2x …) want a repeated start.

pub(super) mod spi;

use std::io;
use std::time::Duration;

use embedded_hal::i2c::{Error as _, ErrorKind};
use rppal::i2c::{Error, I2c};
use rustix::io::Errno;

use super::i2c::{I2cError, Line};
use super::{BusError, node};

/// A part that stretches the clock for longer than this is reported as hung. The longest legitimate
/// stretch among the parts of `docs/sensors.md` is below 100 ms; the kernel's own limit is a second.
const TIMEOUT: Duration = Duration::from_millis(250);

/// One bus of this machine.
#[derive(Debug)]
pub(super) struct PiBus {
    number: u8,
    /// `None` after the adapter went away (a USB adapter unplugged, a module unloaded): opened anew
    /// by the next transfer.
    device: Option<I2c>,
}

impl PiBus {
    pub(super) fn open(number: u8) -> Result<Self, BusError> {
        Ok(Self { number, device: Some(open(number)?) })
    }

    fn with<T>(
        &mut self,
        address: u8,
        transfer: impl FnOnce(&mut I2c) -> rppal::i2c::Result<T>,
    ) -> Result<T, I2cError> {
        let device = match &mut self.device {
            Some(device) => device,
            empty => empty.insert(open(self.number).map_err(|BusError(message)| I2cError::other(message))?),
        };
        let result = device.set_slave_address(u16::from(address)).and_then(|()| transfer(device));
        result.map_err(|error| {
            if let Error::Io(error) = &error
                && matches!(Errno::from_io_error(error), Some(Errno::NODEV | Errno::BADF))
            {
                self.device = None;
            }
            transfer_error(self.number, address, &error)
        })
    }
}

impl Line for PiBus {
    fn write(&mut self, address: u8, bytes: &[u8]) -> Result<(), I2cError> {
        let written = self.with(address, |device| device.write(bytes))?;
        whole(self.number, address, bytes.len(), written)
    }

    fn read(&mut self, address: u8, buffer: &mut [u8]) -> Result<(), I2cError> {
        let expected = buffer.len();
        let read = self.with(address, |device| device.read(buffer))?;
        whole(self.number, address, expected, read)
    }

    fn write_read(&mut self, address: u8, bytes: &[u8], buffer: &mut [u8]) -> Result<(), I2cError> {
        self.with(address, |device| device.write_read(bytes, buffer))
    }

    fn probe(&mut self, address: u8) -> Result<(), I2cError> {
        let read = self.read(address, &mut [0]);
        let silent = read.as_ref().is_err_and(|error| matches!(error.kind(), ErrorKind::NoAcknowledge(_)));
        if !silent || MEMORIES.iter().any(|memories| memories.contains(&address)) {
            return read;
        }
        self.with(address, |device| device.smbus_quick_command(false))
    }
}

/// Where memories sit: a write of no byte has been known to corrupt some (i2cdetect(8) spares the same).
const MEMORIES: [std::ops::RangeInclusive<u8>; 2] = [0x30..=0x37, 0x50..=0x5F];

fn whole(number: u8, address: u8, expected: usize, done: usize) -> Result<(), I2cError> {
    if done == expected {
        return Ok(());
    }
    Err(I2cError::other(format!(
        "i2c-{number}: only {done} of {expected} bytes went between us and address {address:#04x}"
    )))
}

fn open(number: u8) -> Result<I2c, BusError> {
    let device = I2c::with_bus(number).map_err(|error| open_error(number, &error))?;
    // rppal takes milliseconds and passes on tens of them.
    let milliseconds = u32::try_from(TIMEOUT.as_millis()).unwrap_or(u32::MAX);
    device.set_timeout(milliseconds).map_err(|error| open_error(number, &error))?;
    Ok(device)
}

fn open_error(number: u8, error: &Error) -> BusError {
    let Error::Io(error) = error else {
        return BusError(format!("/dev/i2c-{number} cannot be used: {error}"));
    };
    BusError(match error.kind() {
        io::ErrorKind::NotFound => node::absent(&format!("/dev/i2c-{number}"), || {
            format!(
                "no /dev/i2c-{number}: is I2C enabled? On a Raspberry Pi: sudo raspi-config nonint do_i2c 0. \
                 Without a Pi, try bus: sim-1"
            )
        }),
        io::ErrorKind::PermissionDenied => format!(
            "/dev/i2c-{number} may not be opened by this user: sudo usermod -aG i2c \"$USER\", then log in again"
        ),
        _ => format!("/dev/i2c-{number} cannot be opened: {error}"),
    })
}

fn transfer_error(number: u8, address: u8, error: &Error) -> I2cError {
    let Error::Io(error) = error else {
        return I2cError::other(format!("i2c-{number}, address {address:#04x}: {error}"));
    };
    match Errno::from_io_error(error) {
        Some(Errno::REMOTEIO | Errno::NXIO) => I2cError::no_acknowledge(address),
        Some(Errno::BUSY) => I2cError::kernels(format!(
            "address {address:#04x} on i2c-{number} is taken by a kernel driver: remove its dtoverlay or unload its module"
        )),
        Some(Errno::TIMEDOUT) => I2cError::other(format!(
            "i2c-{number} timed out at address {address:#04x}: a part holds SDA or SCL low; check pull-ups and power, \
             switch the part off and on"
        )),
        _ => I2cError::other(format!("i2c-{number}, address {address:#04x}: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use embedded_hal::i2c::NoAcknowledgeSource;

    use super::*;

    fn os(code: Errno) -> Error {
        Error::Io(code.into())
    }

    #[test]
    fn a_missing_acknowledge_is_told_from_other_errors() {
        let nack = ErrorKind::NoAcknowledge(NoAcknowledgeSource::Unknown);
        for (code, kind, words) in [
            (Errno::REMOTEIO, nack, "0x76 does not acknowledge"),
            (Errno::NXIO, nack, "0x76 does not acknowledge"),
            (Errno::BUSY, ErrorKind::Other, "taken by a kernel driver"),
            (Errno::TIMEDOUT, ErrorKind::Other, "i2c-1 timed out"),
            (Errno::IO, ErrorKind::Other, "i2c-1, address 0x76"),
        ] {
            let error = transfer_error(1, 0x76, &os(code));
            assert_eq!(error.kind(), kind, "{code}");
            assert!(error.to_string().contains(words), "{error}");
        }
    }

    #[test]
    fn a_bus_that_does_not_open_says_why() {
        for (code, words) in [
            (Errno::NOENT, "no /dev/i2c-1: is I2C enabled?"),
            (Errno::ACCESS, "usermod -aG i2c"),
            (Errno::IO, "cannot be opened"),
        ] {
            let error = open_error(1, &os(code)).to_string();
            assert!(error.contains(words), "{error}");
        }
    }
}
