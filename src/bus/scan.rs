//! Who is there: addresses that acknowledge on an I2C bus, and the buses and ports that the kernel shows.

use std::fs;
use std::path::Path;

use embedded_hal::i2c::{Error as _, ErrorKind};

use super::{BusName, I2cBus, SpiName};

/// Addresses that a device can have; those below and above are reserved (UM10204 section 3.1.12).
const ADDRESSES: std::ops::RangeInclusive<u8> = 0x03..=0x77;

/// A bus that is stuck times out at every address; after this many it is not asked further.
const PATIENCE: u32 = 2;

/// How an address answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// Acknowledges.
    Answers,
    /// A driver of the kernel has it, and nobody else may ask.
    Kernel,
}

/// What was found on a bus.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// Addresses in order.
    pub devices: Vec<(u8, Presence)>,
    /// Why the scan is not complete.
    pub trouble: Option<String>,
}

impl I2cBus {
    /// Asks every address whether somebody is there: by reading one byte, as careful scanners do, and where that is
    /// not acknowledged (several sensors refuse to be read when they have nothing to say) by a write of no byte,
    /// except where memories may be. Changes nothing in a sensor.
    pub fn scan(&self) -> Found {
        let mut found = Found::default();
        let mut failures = 0;
        for address in ADDRESSES {
            match self.probe(address) {
                Ok(()) => found.devices.push((address, Presence::Answers)),
                Err(error) if error.is_kernels() => found.devices.push((address, Presence::Kernel)),
                Err(error) if matches!(error.kind(), ErrorKind::NoAcknowledge(_)) => {}
                Err(error) => {
                    failures += 1;
                    found.trouble = Some(error.to_string());
                    if failures == PATIENCE {
                        break;
                    }
                }
            }
        }
        found
    }
}

/// The I2C buses of the machine under this root (`/`), by number.
pub fn i2c_buses(root: &Path) -> Vec<BusName> {
    let mut buses: Vec<BusName> = devices(root)
        .iter()
        .filter(|name| name.starts_with("i2c-"))
        .filter_map(|name| name.parse().ok())
        .collect();
    buses.sort();
    buses
}

/// The chip selects of the machine's SPI controllers under this root.
pub fn spi_selects(root: &Path) -> Vec<SpiName> {
    let name = |device: &String| format!("spi-{}", device.strip_prefix("spidev")?).parse().ok();
    let mut selects: Vec<SpiName> = devices(root).iter().filter_map(name).collect();
    selects.sort();
    selects
}

/// Serial ports under this root that a sensor may be at: those of the board, by their fixed names, and adapters.
pub fn serial_ports(root: &Path) -> Vec<String> {
    let is_port = |name: &&String| {
        let numbered = |prefix| {
            name.strip_prefix(prefix)
                .is_some_and(|rest: &str| rest.bytes().all(|b| b.is_ascii_digit()) && !rest.is_empty())
        };
        numbered("serial") || numbered("ttyAMA") || numbered("ttyUSB") || numbered("ttyACM")
    };
    let mut ports: Vec<String> =
        devices(root).iter().filter(is_port).map(|name| format!("/dev/{name}")).collect();
    ports.sort();
    ports
}

/// Names under /dev.
fn devices(root: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(root.join("dev")) else { return Vec::new() };
    entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::Buses;
    use super::super::sim::fault::{Fault, Faulty};
    use super::super::sim::scd4x::Scd4x;
    use super::super::sim::scenario::Scenario;
    use super::*;

    fn chip() -> Box<Scd4x> {
        let [co2, temperature, humidity] = [500.0, 25.0, 37.0].map(Scenario::Constant);
        Box::new(Scd4x::new(co2, temperature, humidity))
    }

    #[test]
    fn whoever_acknowledges_is_found_and_a_stuck_bus_is_given_up() {
        let buses = Buses::new();
        buses.attach("sim-1", 0x62, Some(chip())).unwrap();
        buses.attach("sim-1", 0x03, Some(chip())).unwrap();
        buses.attach("sim-1", 0x20, Some(Box::new(Faulty::new(chip(), |_| Some(Fault::Nack))))).unwrap();
        let bus = buses.i2c("sim-1").unwrap();
        let answers = vec![(0x03, Presence::Answers), (0x62, Presence::Answers)];
        assert_eq!(bus.scan(), Found { devices: answers, trouble: None });
        for address in [0x30, 0x31, 0x32] {
            let hung = Faulty::new(chip(), |_| Some(Fault::Hang(Duration::from_millis(1))));
            buses.attach("sim-1", address, Some(Box::new(hung))).unwrap();
        }
        let found = bus.scan();
        assert_eq!(found.devices, [(0x03, Presence::Answers)]);
        assert!(found.trouble.unwrap().contains("0x31"));
    }

    #[test]
    fn buses_and_ports_are_those_under_dev() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("dev")).unwrap();
        for name in [
            "i2c-10",
            "i2c-1",
            "i2c-x",
            "spidev0.1",
            "spidev0.0",
            "serial0",
            "serial",
            "ttyUSB0",
            "ttyS1",
            "ttyAMA0",
            "null",
        ] {
            fs::write(root.path().join("dev").join(name), "").unwrap();
        }
        assert_eq!(i2c_buses(root.path()), [BusName::I2c(1), BusName::I2c(10)]);
        assert_eq!(spi_selects(root.path()), [SpiName::Spi(0, 0), SpiName::Spi(0, 1)]);
        assert_eq!(serial_ports(root.path()), ["/dev/serial0", "/dev/ttyAMA0", "/dev/ttyUSB0"]);
        assert!(i2c_buses(Path::new("/nowhere")).is_empty());
    }
}
