//! `/dev/spidevB.S` through `rppal`.
//!
//! It uses rppal's own `transfer`: the `transfer_in_place` of its embedded-hal implementation sends zeros.

use std::io;

use rppal::spi::{Bus, Error, Mode, SlaveSelect, Spi};

use crate::bus::spi::{Exchange, SpiError, SpiSettings};
use crate::bus::{BusError, node};

const BUSES: [Bus; 7] = [Bus::Spi0, Bus::Spi1, Bus::Spi2, Bus::Spi3, Bus::Spi4, Bus::Spi5, Bus::Spi6];

const SELECTS: [SlaveSelect; 10] = [
    SlaveSelect::Ss0,
    SlaveSelect::Ss1,
    SlaveSelect::Ss2,
    SlaveSelect::Ss3,
    SlaveSelect::Ss4,
    SlaveSelect::Ss5,
    SlaveSelect::Ss6,
    SlaveSelect::Ss7,
    SlaveSelect::Ss8,
    SlaveSelect::Ss9,
];

const MODES: [Mode; 4] = [Mode::Mode0, Mode::Mode1, Mode::Mode2, Mode::Mode3];

/// One chip select of this machine.
#[derive(Debug)]
pub(in crate::bus) struct PiSpi {
    name: (u8, u8),
    device: Spi,
}

impl PiSpi {
    pub(in crate::bus) fn open(bus: u8, select: u8, settings: SpiSettings) -> Result<Self, BusError> {
        let (controller, chip) = (BUSES.get(usize::from(bus)), SELECTS.get(usize::from(select)));
        let (Some(controller), Some(chip)) = (controller, chip) else {
            return Err(BusError(format!("no Raspberry Pi has an SPI bus {bus}.{select}")));
        };
        let mode = MODES[usize::from(settings.mode & 0b11)];
        match Spi::new(*controller, *chip, settings.clock, mode) {
            Ok(device) => Ok(Self { name: (bus, select), device }),
            Err(error) => Err(open_error(bus, select, &error)),
        }
    }
}

impl Exchange for PiSpi {
    fn exchange(&mut self, sent: &[u8], received: &mut [u8]) -> Result<(), SpiError> {
        let (bus, select) = self.name;
        match self.device.transfer(received, sent) {
            Ok(done) if done == sent.len() => Ok(()),
            Ok(done) => Err(SpiError(format!(
                "spi-{bus}.{select}: only {done} of {} bytes were exchanged",
                sent.len()
            ))),
            Err(error) => Err(SpiError(format!("spi-{bus}.{select}: {error}"))),
        }
    }
}

fn open_error(bus: u8, select: u8, error: &Error) -> BusError {
    let Error::Io(error) = error else {
        return BusError(format!("/dev/spidev{bus}.{select} cannot be used: {error}"));
    };
    BusError(match error.kind() {
        io::ErrorKind::NotFound => node::absent(&format!("/dev/spidev{bus}.{select}"), || {
            format!(
                "no /dev/spidev{bus}.{select}: is SPI enabled? On a Raspberry Pi: sudo raspi-config nonint do_spi 0. \
                 Without a Pi, try bus: sim-0.0"
            )
        }),
        io::ErrorKind::PermissionDenied => format!(
            "/dev/spidev{bus}.{select} may not be opened by this user: sudo usermod -aG spi \"$USER\", then log in again"
        ),
        _ => format!("/dev/spidev{bus}.{select} cannot be opened: {error}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bus_that_does_not_open_says_why() {
        for (kind, words) in [
            (io::ErrorKind::NotFound, "no /dev/spidev0.1: is SPI enabled?"),
            (io::ErrorKind::PermissionDenied, "usermod -aG spi"),
            (io::ErrorKind::Other, "cannot be opened"),
        ] {
            let error = open_error(0, 1, &Error::Io(kind.into())).to_string();
            assert!(error.contains(words), "{error}");
        }
        let error = PiSpi::open(6, 9, SpiSettings { clock: 1_000_000, mode: 0 }).unwrap_err().to_string();
        assert!(error.contains("no /dev/spidev6.9"), "{error}");
    }
}
