//! Simulated buses: devices that answer register by register, so that the real drivers read them
//! unchanged. For demos, tests and trying a configuration without a Pi; no timing, no electricity.

pub mod ads1x15;
pub mod aht20;
pub mod bh1750;
pub mod bme280;
pub mod bmp390;
pub mod commands;
pub mod dht;
pub mod expander;
pub mod fault;
pub mod ina219;
pub mod lm75;
pub mod mcp3008;
pub mod mcp9808;
pub mod pca9685;
pub mod pointed;
pub mod recording;
pub mod scd4x;
pub mod scenario;
pub mod sht;
pub mod si7021;
pub mod veml7700;
pub mod vl53l0x;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use embedded_hal::i2c::{Error as _, ErrorKind};

use super::i2c::{I2cError, Line};
use super::spi::{Exchange, SpiError};

/// How a device answers a transfer.
pub type Answer = Result<(), Refusal>;

/// Why a device does not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// Its address, or a byte, is not acknowledged.
    Nack,
    /// It holds the clock low: the controller gives up after this long.
    Hang(Duration),
}

/// A device on a simulated bus. `now` is the bus's monotonic time; it never goes back.
pub trait Simulated: Send {
    /// Takes the bytes of one write.
    fn write(&mut self, bytes: &[u8], now: Duration) -> Answer;

    /// Fills the buffer of one read.
    fn read(&mut self, buffer: &mut [u8], now: Duration) -> Answer;

    /// Whether it acknowledges its address.
    fn acknowledge(&mut self, _now: Duration) -> Answer {
        Ok(())
    }
}

/// Monotonic time since some moment.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> Duration + Send + Sync>);

impl Clock {
    /// A clock that says what the function says.
    pub fn new(now: impl Fn() -> Duration + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }

    /// Its time.
    pub fn now(&self) -> Duration {
        (self.0)()
    }
}

impl Default for Clock {
    /// The machine's monotonic clock, from now on.
    fn default() -> Self {
        let start = Instant::now();
        Self::new(move || start.elapsed())
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Clock({:?})", self.now())
    }
}

/// One simulated bus.
#[derive(Debug)]
pub(super) struct SimulatedBus {
    clock: Clock,
    places: BTreeMap<u8, Place>,
}

struct Place {
    /// Which configuration the device stands for; `None` when it was attached by hand, which nothing displaces.
    description: Option<String>,
    device: Option<Box<dyn Simulated>>,
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.description.as_deref().unwrap_or("attached"))
    }
}

impl SimulatedBus {
    pub(super) fn new(clock: Clock) -> Self {
        Self { clock, places: BTreeMap::new() }
    }

    pub(super) fn attach(&mut self, address: u8, device: Option<Box<dyn Simulated>>) {
        self.places.insert(address, Place { description: None, device });
    }

    pub(super) fn simulate(
        &mut self,
        address: u8,
        description: &str,
        make: impl FnOnce(Duration) -> Box<dyn Simulated>,
    ) {
        let stays = |place: &Place| place.description.as_deref().is_none_or(|known| known == description);
        if self.places.get(&address).is_some_and(stays) {
            return;
        }
        let device = Some(make(self.clock.now()));
        self.places.insert(address, Place { description: Some(description.to_owned()), device });
    }

    fn with(
        &mut self,
        address: u8,
        transfer: impl FnOnce(&mut dyn Simulated, Duration) -> Answer,
    ) -> Result<(), I2cError> {
        let now = self.clock.now();
        let device = self.places.get_mut(&address).and_then(|place| place.device.as_deref_mut());
        match device.map_or(Err(Refusal::Nack), |device| transfer(device, now)) {
            Ok(()) => Ok(()),
            Err(Refusal::Nack) => Err(I2cError::no_acknowledge(address)),
            Err(Refusal::Hang(time)) => {
                // As on the wire: who waits for a hung part keeps everybody else off the bus.
                std::thread::sleep(time);
                Err(I2cError::other(format!("the simulated bus timed out at address {address:#04x}")))
            }
        }
    }
}

/// A chip select has one device, at this address.
pub(super) const SELECTED: u8 = 0;

impl Exchange for SimulatedBus {
    /// A missing part leaves the line floating, which a pull-up takes to ones; SPI has no acknowledgement.
    fn exchange(&mut self, sent: &[u8], received: &mut [u8]) -> Result<(), SpiError> {
        let done = self.with(SELECTED, |device, now| {
            match device.write(sent, now).and_then(|()| device.read(received, now)) {
                Err(Refusal::Nack) => {
                    received.fill(0xFF);
                    Ok(())
                }
                answer => answer,
            }
        });
        match done {
            Err(error) if matches!(error.kind(), ErrorKind::NoAcknowledge(_)) => received.fill(0xFF),
            Err(_) => return Err(SpiError("the simulated bus timed out".to_owned())),
            Ok(()) => {}
        }
        Ok(())
    }
}

impl Line for SimulatedBus {
    fn probe(&mut self, address: u8) -> Result<(), I2cError> {
        self.with(address, |device, now| device.acknowledge(now))
    }

    fn write(&mut self, address: u8, bytes: &[u8]) -> Result<(), I2cError> {
        self.with(address, |device, now| device.write(bytes, now))
    }

    fn read(&mut self, address: u8, buffer: &mut [u8]) -> Result<(), I2cError> {
        self.with(address, |device, now| device.read(buffer, now))
    }

    fn write_read(&mut self, address: u8, bytes: &[u8], buffer: &mut [u8]) -> Result<(), I2cError> {
        self.with(address, |device, now| {
            device.write(bytes, now)?;
            device.read(buffer, now)
        })
    }
}
