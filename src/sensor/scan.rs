//! What could be configured here: drivers by address, and the sensors that the kernel drives.

use std::path::Path;

use super::{ds18b20, hwmon, iio, registry};

/// A sensor that the kernel shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KernelSensor {
    /// Driver that reads it: `ds18b20`, `iio`, `hwmon`.
    pub driver: &'static str,
    /// What its `device` or `chip` option is.
    pub name: String,
    /// Where it is plugged in, which tells two of a name apart.
    pub place: Option<String>,
    /// What its `channels` or `inputs` option can name; empty for a part with one value.
    pub channels: Vec<String>,
}

/// Drivers for a part at this I2C address.
pub fn drivers_at(address: u8) -> Vec<&'static str> {
    let kinds = registry().iter().filter(|kind| kind.addresses.contains(&address));
    kinds.map(|kind| kind.name).collect()
}

/// Sensors that the kernel drives, under this root (`/`).
pub fn kernel_sensors(root: &Path) -> Vec<KernelSensor> {
    let wire = ds18b20::on_the_wire(root).into_iter().map(|name| KernelSensor {
        driver: ds18b20::KIND.name,
        name,
        place: None,
        channels: Vec::new(),
    });
    // A converter from numbers to voltages is a device there, too.
    let iio =
        iio::find(root).into_iter().filter(|found| !found.channels.is_empty()).map(|found| KernelSensor {
            driver: iio::KIND.name,
            name: found.name,
            place: Some(found.entry),
            channels: found.channels,
        });
    let hwmon =
        hwmon::find(root).into_iter().filter(|found| !found.inputs.is_empty()).map(|found| KernelSensor {
            driver: hwmon::KIND.name,
            name: found.name,
            place: found.place,
            channels: found.inputs,
        });
    wire.chain(iio).chain(hwmon).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sensor::sysfs::testing::tree;

    #[test]
    fn drivers_are_found_by_address() {
        assert!(drivers_at(0x76).contains(&"bme280"));
        assert!(drivers_at(0x48).contains(&"ads1115") && drivers_at(0x48).contains(&"ina219"));
        assert_eq!(drivers_at(0x03), [""; 0]);
    }

    #[test]
    fn the_kernels_sensors_are_named_as_the_drivers_want_them() {
        let root = tree(&[
            ("sys/bus/w1/devices/w1_bus_master1/w1_master_name", ""),
            ("sys/bus/w1/devices/28-0316a2795bff/w1_slave", ""),
            ("sys/bus/iio/devices/iio:device0/name", "bmp280\n"),
            ("sys/bus/iio/devices/iio:device0/in_temp_input", "21300\n"),
            // A converter the other way round: it has nothing that could be read.
            ("sys/bus/iio/devices/iio:device1/name", "mcp4725\n"),
            ("sys/bus/iio/devices/iio:device1/out_voltage0_raw", "0\n"),
            ("sys/class/hwmon/hwmon0/name", "cpu_thermal\n"),
            ("sys/class/hwmon/hwmon0/temp1_input", "48000\n"),
            ("sys/class/hwmon/hwmon1/name", "empty\n"),
        ]);
        let sensor = |driver, name: &str, place: Option<&str>, channels: &[&str]| KernelSensor {
            driver,
            name: name.to_owned(),
            place: place.map(str::to_owned),
            channels: channels.iter().map(|&channel| channel.to_owned()).collect(),
        };
        let expected = [
            sensor("ds18b20", "28-0316a2795bff", None, &[]),
            sensor("iio", "bmp280", Some("iio:device0"), &["temp"]),
            sensor("hwmon", "cpu_thermal", None, &["temp1"]),
        ];
        assert_eq!(kernel_sensors(root.path()), expected);
    }
}
