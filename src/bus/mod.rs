//! The buses that sensors sit on, behind embedded-hal 1.0 traits: real ones on a Pi, register-level
//! simulated ones anywhere. The files called `pi.rs` in this room, and those below them, name `rppal`, and
//! nothing else does.
//! It knows no sensors and decides nothing: an error goes up to whoever asked.

pub mod crc;
pub mod gpio;
mod i2c;
mod name;
mod node;
mod pi;
mod scan;
pub(crate) mod serial;
pub mod sim;
mod spi;
mod transcript;

#[cfg(any(test, fuzzing))]
pub(crate) use transcript::fuzz;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

pub use i2c::{I2cBus, I2cError};
pub use name::BusName;
pub use scan::{Found, Presence, i2c_buses, serial_ports, spi_selects};
pub use serial::{SerialError, SerialPort};
pub use spi::{SpiBus, SpiError, SpiName, SpiSettings};

use i2c::Line;
use sim::{Clock, Simulated, SimulatedBus};
use transcript::{Recorder, Recording, Replay, Stamp};

/// A bus that cannot be had, worded for the person who configured it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BusError(pub String);

/// Every bus of this machine, opened on first use and shared by the sensors on it.
#[derive(Debug, Default)]
pub struct Buses {
    opened: Mutex<BTreeMap<BusName, (I2cBus, Option<Stamp>)>>,
    simulated: Mutex<BTreeMap<BusName, Arc<Mutex<SimulatedBus>>>>,
    selected: Mutex<BTreeMap<SpiName, (SpiSettings, SpiBus)>>,
    simulated_spi: Mutex<BTreeMap<SpiName, Arc<Mutex<SimulatedBus>>>>,
    clock: Clock,
    recording: Option<Arc<Recording>>,
    pins: gpio::SimulatedPins,
}

impl Buses {
    /// Buses of which none is open yet; simulated ones live by the machine's monotonic clock.
    pub fn new() -> Self {
        Self::default()
    }

    /// As [`Buses::new`], with another clock for the simulated buses.
    pub fn with_clock(clock: Clock) -> Self {
        Self { clock, ..Self::default() }
    }

    /// As [`Buses::new`], with all I2C traffic written to a file (created anew), to be played back by
    /// `bus: replay:FILE`.
    pub fn recorded_to(file: &Path) -> Result<Self, BusError> {
        Ok(Self { recording: Some(Arc::new(Recording::create(file)?)), ..Self::default() })
    }

    /// To be called before each reading of a driver, so that a recording knows where its readings begin.
    pub fn mark_reading(&self) {
        if let Some(recording) = &self.recording {
            recording.mark_reading();
        }
    }

    /// Why the recording is not complete, if there is one and it is not.
    pub fn recording_failure(&self) -> Option<String> {
        self.recording.as_ref()?.failure()
    }

    /// The I2C bus `i2c-N`, `sim-N` or `replay:FILE`; all handles of one name are the same bus.
    ///
    /// A bus that could not be opened is tried again at the next call: a service may start before udev
    /// has given it the right to open `/dev/i2c-1`. A recording that is another one since is read anew.
    pub fn i2c(&self, name: &str) -> Result<I2cBus, BusError> {
        let name: BusName = name.parse().map_err(BusError)?;
        let stamp = match name {
            BusName::Replay(recording) => transcript::stamp(recording.path()),
            BusName::I2c(_) | BusName::Sim(_) => None,
        };
        let mut opened = lock(&self.opened);
        if let Some((bus, read)) = opened.get(&name)
            && *read == stamp
        {
            return Ok(bus.clone());
        }
        let line: Arc<Mutex<dyn Line>> = match name {
            BusName::I2c(number) => Arc::new(Mutex::new(pi::PiBus::open(number)?)),
            BusName::Sim(_) => self.simulated(name),
            BusName::Replay(recording) => Arc::new(Mutex::new(Replay::open(recording.path())?)),
        };
        let bus = match &self.recording {
            None => I2cBus::new(name, line),
            Some(recording) => {
                let recording = Arc::clone(recording);
                I2cBus::new(name, Arc::new(Mutex::new(Recorder { line, recording })))
            }
        };
        opened.insert(name, (bus.clone(), stamp));
        Ok(bus)
    }

    /// Puts a device on a simulated bus, in the place of whatever was there; `None` leaves the address
    /// empty for good. What [`Buses::simulate`] would put there afterwards does not displace it.
    pub fn attach(&self, bus: &str, address: u8, device: Option<Box<dyn Simulated>>) -> Result<(), BusError> {
        let bus = self.simulated_by_name(bus)?;
        lock(&bus).attach(address, device);
        Ok(())
    }

    /// Makes sure that a simulated bus has the device that a sensor's configuration describes.
    ///
    /// `make` gets the bus's time and is called only if no device of the same `description` is there yet:
    /// like a real part, a simulated one survives that its driver is opened again.
    pub fn simulate(
        &self,
        bus: &str,
        address: u8,
        description: &str,
        make: impl FnOnce(Duration) -> Box<dyn Simulated>,
    ) -> Result<(), BusError> {
        let bus = self.simulated_by_name(bus)?;
        lock(&bus).simulate(address, description, make);
        Ok(())
    }

    /// The chip select `spi-0.0` or `sim-0.0`; as with [`Buses::i2c`], one that could not be opened is tried again
    /// at the next call. Asked for with other settings it is opened anew.
    pub fn spi(&self, name: SpiName, settings: SpiSettings) -> Result<SpiBus, BusError> {
        let mut selected = lock(&self.selected);
        if let Some((_, bus)) = selected.get(&name).filter(|(opened, _)| *opened == settings) {
            return Ok(bus.clone());
        }
        let bus = match name {
            SpiName::Spi(bus, select) => {
                SpiBus::new(name, Arc::new(Mutex::new(pi::spi::PiSpi::open(bus, select, settings)?)))
            }
            SpiName::Sim(..) => SpiBus::new(name, self.selected_device(name)),
        };
        selected.insert(name, (settings, bus.clone()));
        Ok(bus)
    }

    /// As [`Buses::attach`], at a simulated chip select. What is sent in an exchange the device gets by `write`, and
    /// answers by `read`.
    pub fn attach_spi(&self, name: SpiName, device: Option<Box<dyn Simulated>>) {
        lock(&self.selected_device(name)).attach(sim::SELECTED, device);
    }

    /// As [`Buses::simulate`], at a simulated chip select.
    pub fn simulate_spi(
        &self,
        name: SpiName,
        description: &str,
        make: impl FnOnce(Duration) -> Box<dyn Simulated>,
    ) {
        lock(&self.selected_device(name)).simulate(sim::SELECTED, description, make);
    }

    fn selected_device(&self, name: SpiName) -> Arc<Mutex<SimulatedBus>> {
        let make = || Arc::new(Mutex::new(SimulatedBus::new(self.clock.clone())));
        Arc::clone(lock(&self.simulated_spi).entry(name).or_insert_with(make))
    }

    fn simulated_by_name(&self, name: &str) -> Result<Arc<Mutex<SimulatedBus>>, BusError> {
        match name.parse().map_err(BusError)? {
            name @ BusName::Sim(_) => Ok(self.simulated(name)),
            name => Err(BusError(format!("{name} is no simulated bus: nothing can be simulated on it"))),
        }
    }

    fn simulated(&self, name: BusName) -> Arc<Mutex<SimulatedBus>> {
        let make = || Arc::new(Mutex::new(SimulatedBus::new(self.clock.clone())));
        Arc::clone(lock(&self.simulated).entry(name).or_insert_with(make))
    }
}

/// What the locks of this room guard is whole between any two operations, so a panic elsewhere in a
/// holder's thread leaves nothing half done that the next one could trip over.
fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use embedded_hal::i2c::I2c;

    use super::sim::Answer;
    use super::*;

    /// Sixteen registers of which register `n` holds `n + base`; the pointer is set by a write.
    #[derive(Debug)]
    struct Pointed {
        pointer: u8,
        base: u8,
    }

    impl Simulated for Pointed {
        fn write(&mut self, bytes: &[u8], _now: Duration) -> Answer {
            self.pointer = bytes[0];
            // Gives another thread the chance to come between, if anything lets it.
            std::thread::yield_now();
            Ok(())
        }

        fn read(&mut self, buffer: &mut [u8], _now: Duration) -> Answer {
            buffer.fill(self.pointer + self.base);
            Ok(())
        }
    }

    #[test]
    fn nothing_comes_between_the_halves_of_a_transaction() {
        let buses = Buses::new();
        buses.attach("sim-1", 0x10, Some(Box::new(Pointed { pointer: 0, base: 100 }))).unwrap();
        std::thread::scope(|scope| {
            for thread in 0..4u8 {
                let mut bus = buses.i2c("sim-1").unwrap();
                scope.spawn(move || {
                    for round in 0..2000u32 {
                        let register = thread * 4 + (round % 4) as u8;
                        let mut answer = [0];
                        bus.write_read(0x10, &[register], &mut answer).unwrap();
                        assert_eq!(answer[0], register + 100);
                    }
                });
            }
        });
    }

    #[test]
    fn a_bus_that_is_not_there_says_what_to_do_and_is_tried_again() {
        let buses = Buses::new();
        for _ in 0..2 {
            let error = buses.i2c("i2c-251").unwrap_err().to_string();
            assert!(error.contains("no /dev/i2c-251: is I2C enabled?"), "{error}");
        }
        assert!(buses.i2c("i2c1").unwrap_err().to_string().contains("i2c-1"));
    }

    #[test]
    fn a_recording_is_read_anew_when_it_is_another() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let (buses, name) = (Buses::new(), format!("replay:{}", file.path().display()));
        let read = |recorded: &str| {
            std::fs::write(file.path(), recorded).unwrap();
            let mut answer = [0];
            buses.i2c(&name)?.read(0x40, &mut answer).unwrap();
            Ok::<_, BusError>(answer[0])
        };
        assert_eq!(read("{\"address\": 64, \"read\": \"01\"}"), Ok(1));
        assert_eq!(read("{\"address\": 64, \"read\": \"02\"}\n"), Ok(2));
        assert!(read("{").is_err());
    }

    #[test]
    fn a_configured_device_is_made_once_and_never_displaces_an_attached_one() {
        let buses = Buses::new();
        let mut made = 0;
        for description in ["a", "a", "b"] {
            buses
                .simulate("sim-1", 0x10, description, |_| {
                    made += 1;
                    Box::new(Pointed { pointer: 0, base: made })
                })
                .unwrap();
        }
        let mut answer = [0];
        let mut bus = buses.i2c("sim-1").unwrap();
        bus.read(0x10, &mut answer).unwrap();
        assert_eq!(answer[0], 2, "the second description replaces the first, the repeat does not");

        buses.attach("sim-1", 0x10, None).unwrap();
        buses.simulate("sim-1", 0x10, "c", |_| panic!("the address was emptied for good")).unwrap();
        assert!(bus.read(0x10, &mut answer).is_err());
        assert!(buses.attach("i2c-1", 0x10, None).is_err());
    }
}
