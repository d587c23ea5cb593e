//! The kernel's driver for both parts (`dtoverlay=dht11,gpiopin=4`), read through sysfs.

use std::fs;
use std::path::{Path, PathBuf};

use super::super::SensorError;
use super::decode::Air;

/// Where the kernel lists its industrial input and output devices.
pub(super) const DEVICES: &str = "/sys/bus/iio/devices";

/// The folder of the kernel's device on this pin, if it has one.
pub(super) fn find(devices: &Path, pin: u8) -> Option<PathBuf> {
    fs::read_dir(devices).ok()?.flatten().map(|entry| entry.path()).find(|folder| {
        // In the device tree a pin is the controller, the number and flags, each a big-endian u32.
        let of = fs::read(folder.join("of_node/gpios")).unwrap_or_default();
        let name = fs::read_to_string(folder.join("name")).unwrap_or_default();
        name.starts_with("dht11") && of.get(4..8) == Some(&u32::from(pin).to_be_bytes())
    })
}

/// What it measures; it answers in thousandths.
pub(super) fn read(folder: &Path) -> Result<Air, SensorError> {
    let number = |file: &str| -> Result<f64, SensorError> {
        let path = folder.join(file);
        let text = fs::read_to_string(&path).map_err(|error| {
            SensorError::WrongAnswer(format!(
                "the kernel's driver does not get an answer from its sensor ({}: {error}): check wiring and power",
                path.display()
            ))
        })?;
        text.trim().parse::<f64>().map(|thousandths| thousandths / 1000.0).map_err(|_| {
            SensorError::WrongAnswer(format!(
                "{} holds {:?}, which is no number",
                path.display(),
                text.trim()
            ))
        })
    };
    Ok(Air { temperature: number("in_temp_input")?, humidity: number("in_humidityrelative_input")? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_device_of_a_pin_is_found_and_read() {
        let folder = tempfile::tempdir().unwrap();
        for (device, name, pin) in [("a", "bme280", 17u8), ("b", "dht11@4", 4), ("c", "dht11@11", 17)] {
            let path = folder.path().join(device);
            fs::create_dir_all(path.join("of_node")).unwrap();
            fs::write(path.join("name"), format!("{name}\n")).unwrap();
            fs::write(path.join("of_node/gpios"), [0, 0, 0, 7, 0, 0, 0, pin, 0, 0, 0, 0]).unwrap();
        }
        let found = find(folder.path(), 17).unwrap();
        assert!(found.ends_with("c"), "{found:?}");
        assert_eq!(find(folder.path(), 5), None);
        assert_eq!(find(Path::new("/no/such/folder"), 17), None);

        let error = read(&found).unwrap_err().to_string();
        assert!(error.contains("check wiring and power"), "{error}");
        fs::write(found.join("in_temp_input"), "-1500\n").unwrap();
        fs::write(found.join("in_humidityrelative_input"), "45200\n").unwrap();
        assert_eq!(read(&found), Ok(Air { temperature: -1.5, humidity: 45.2 }));
        fs::write(found.join("in_temp_input"), "?").unwrap();
        assert!(read(&found).unwrap_err().to_string().contains("no number"));
    }
}
