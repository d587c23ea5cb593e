//! `sensor-bridge scan`: what is connected to this machine, and which drivers fit.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use serde_json::{Value as Json, json};

use super::{Global, terminal};
use crate::bus::{BusName, Buses, Found, Presence, i2c_buses, serial_ports, spi_selects};
use crate::config::Sensor;
use crate::sensor::{Attachment, KernelSensor, drivers_at, kernel_sensors};

/// Look for sensors, and which drivers fit
///
/// On the I2C buses, on 1-Wire, and among those that the kernel knows.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sensor-bridge scan                  everything on this machine
  sensor-bridge scan --bus i2c-1      one I2C bus
  sensor-bridge scan --bus sim-1      the simulated parts of the configuration
  sensor-bridge scan --json

Every address is asked by reading a byte, which changes nothing in a sensor.
An address says which drivers are possible, not which part it is. A bridge
that runs meanwhile is not disturbed.

Exit code: 0 every bus could be asked, 1 one could not, 78 the configuration
is wrong and needed.")]
pub struct Args {
    /// Only this I2C bus; may be given several times. A simulated or recorded one is that of the configuration
    #[arg(long, value_name = "BUS", value_parser = str::parse::<BusName>)]
    pub bus: Vec<BusName>,
}

/// Runs it.
pub fn run(args: &Args, global: &Global) -> anyhow::Result<ExitCode> {
    // Real buses can be looked at before there is a configuration.
    let sensors = match global.load() {
        Ok(config) => config.sensors,
        Err(problems) if args.bus.iter().any(|bus| !matches!(bus, BusName::I2c(_))) => {
            return Err(problems.into());
        }
        Err(_) => Vec::new(),
    };
    let found = scan(args, &sensors, Path::new("/"));
    let mut out = terminal::out(global.json);
    match global.json {
        true => writeln!(out, "{}", as_json(&found))?,
        false => write!(out, "{}", as_text(&found))?,
    }
    let troubled = found.i2c.iter().any(|bus| bus.found.trouble.is_some());
    Ok(if troubled { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Everything that was found.
struct Everything {
    i2c: Vec<Bus>,
    kernel: Vec<KernelSensor>,
    spi: Vec<String>,
    serial: Vec<String>,
    /// Only buses were asked for.
    only_buses: bool,
}

struct Bus {
    name: BusName,
    found: Found,
    /// Sensors of the configuration by address.
    configured: Vec<(u8, String)>,
}

fn scan(args: &Args, sensors: &[Sensor], root: &Path) -> Everything {
    let buses = Buses::new();
    let only_buses = !args.bus.is_empty();
    let names = if only_buses { args.bus.clone() } else { i2c_buses(root) };
    let i2c = names.into_iter().map(|name| scan_bus(name, sensors, &buses)).collect();
    if only_buses {
        return Everything { i2c, kernel: Vec::new(), spi: Vec::new(), serial: Vec::new(), only_buses };
    }
    let spi = spi_selects(root).iter().map(ToString::to_string).collect();
    Everything { i2c, kernel: kernel_sensors(root), spi, serial: serial_ports(root), only_buses }
}

fn scan_bus(name: BusName, sensors: &[Sensor], buses: &Buses) -> Bus {
    let on_it = |sensor: &&Sensor| matches!(sensor.driver.attachment(), Attachment::I2c { bus, .. } if bus == name.to_string());
    let mut configured = Vec::new();
    for sensor in sensors.iter().filter(on_it) {
        if let Attachment::I2c { address, .. } = sensor.driver.attachment() {
            configured.push((address, sensor.id.as_str().to_owned()));
        }
        // Opening puts the simulated part in place. Whether it works beyond that is what `read` is for.
        if name.is_simulated()
            && let Err(error) = sensor.driver.open(buses)
        {
            tracing::debug!("sensor {}: {error}", sensor.id);
        }
    }
    let found = match buses.i2c(&name.to_string()) {
        Ok(bus) => bus.scan(),
        Err(error) => Found { devices: Vec::new(), trouble: Some(error.to_string()) },
    };
    Bus { name, found, configured }
}

impl Bus {
    fn sensors_at(&self, address: u8) -> Vec<&str> {
        self.configured.iter().filter(|(at, _)| *at == address).map(|(_, id)| id.as_str()).collect()
    }

    /// Configured, and not there.
    fn missing(&self) -> impl Iterator<Item = &(u8, String)> {
        let there = |address: u8| self.found.devices.iter().any(|(at, _)| *at == address);
        self.configured.iter().filter(move |(address, _)| !there(*address))
    }
}

fn as_text(everything: &Everything) -> String {
    let mut text = String::new();
    let mut line = |line: String| {
        text.push_str(line.trim_end());
        text.push('\n');
    };
    for bus in &everything.i2c {
        line(bus.name.to_string());
        for (address, presence) in &bus.found.devices {
            let what = match presence {
                Presence::Kernel => "a driver of the kernel has it".to_owned(),
                Presence::Answers => match drivers_at(*address).as_slice() {
                    [] => "no driver of ours".to_owned(),
                    drivers => drivers.join(", "),
                },
            };
            let sensors = bus.sensors_at(*address);
            let configured =
                if sensors.is_empty() { String::new() } else { format!("  (sensor {})", sensors.join(", ")) };
            line(format!("  {address:#04x}  {what}{configured}"));
        }
        for (address, sensor) in bus.missing() {
            line(format!("  {address:#04x}  does not answer  (sensor {sensor})"));
        }
        match &bus.found.trouble {
            Some(trouble) => line(format!("  not complete: {trouble}")),
            None if bus.found.devices.is_empty() && bus.configured.is_empty() => {
                line("  nothing answers".to_owned())
            }
            None => {}
        }
    }
    if everything.only_buses {
        return text;
    }
    if everything.i2c.is_empty() {
        line("no I2C bus: on a Raspberry Pi, sudo raspi-config nonint do_i2c 0".to_owned());
    }
    for (driver, title) in [
        ("ds18b20", "1-Wire"),
        ("iio", "driven by the kernel: iio"),
        ("hwmon", "driven by the kernel: hwmon"),
    ] {
        let sensors = everything.kernel.iter().filter(|sensor| sensor.driver == driver);
        for (index, sensor) in sensors.enumerate() {
            if index == 0 {
                line(title.to_owned());
            }
            let place = sensor.place.as_ref().map(|place| format!(" ({place})")).unwrap_or_default();
            let channels =
                if sensor.channels.is_empty() { driver.to_owned() } else { sensor.channels.join(", ") };
            line(format!("  {}{place}  {channels}", sensor.name));
        }
    }
    for (title, all) in [("SPI chip selects", &everything.spi), ("serial ports", &everything.serial)] {
        if !all.is_empty() {
            line(title.to_owned());
            line(format!("  {}", all.join(", ")));
        }
    }
    text
}

fn as_json(everything: &Everything) -> Json {
    let bus = |bus: &Bus| {
        let device = |(address, presence): &(u8, Presence)| {
            json!({
                "address": address,
                "state": match presence {
                    Presence::Answers => "answers",
                    Presence::Kernel => "kernel",
                },
                "drivers": drivers_at(*address),
                "sensors": bus.sensors_at(*address),
            })
        };
        let missing = |(address, sensor): &(u8, String)| json!({"address": address, "sensor": sensor});
        json!({
            "bus": bus.name.to_string(),
            "devices": bus.found.devices.iter().map(device).collect::<Vec<_>>(),
            "missing": bus.missing().map(missing).collect::<Vec<_>>(),
            "error": bus.found.trouble,
        })
    };
    let sensor = |sensor: &KernelSensor| {
        json!({
            "driver": sensor.driver, "name": sensor.name, "place": sensor.place, "channels": sensor.channels,
        })
    };
    json!({
        "i2c": everything.i2c.iter().map(bus).collect::<Vec<_>>(),
        "kernel": everything.kernel.iter().map(sensor).collect::<Vec<_>>(),
        "spi": everything.spi,
        "serial": everything.serial,
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::config;

    fn sensors(yaml: &str) -> Vec<Sensor> {
        let file = tempfile::NamedTempFile::with_suffix(".yaml").unwrap();
        fs::write(file.path(), yaml).unwrap();
        config::load(file.path(), std::iter::empty()).unwrap().sensors
    }

    const CONFIG: &str = "
sensors:
  - { id: air, driver: bme280, bus: sim-1 }
  - { id: gone, driver: ads1115, bus: sim-1, simulate: { fault: { kind: nack } } }
  - { id: other, driver: ina219, bus: sim-2 }
";

    fn on(bus: &str) -> Args {
        Args { bus: vec![bus.parse().unwrap()] }
    }

    #[test]
    fn simulated_parts_of_the_configuration_are_found() {
        let everything = scan(&on("sim-1"), &sensors(CONFIG), Path::new("/nowhere"));
        let text = as_text(&everything);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 3, "{text}");
        assert_eq!(lines[0], "sim-1");
        assert!(lines[1].starts_with("  0x76  ") && lines[1].contains("bme280"), "{text}");
        assert!(lines[1].ends_with("(sensor air)"), "{text}");
        assert_eq!(lines[2], "  0x48  does not answer  (sensor gone)");

        let json = as_json(&everything);
        let device = &json["i2c"][0]["devices"][0];
        assert_eq!((&device["address"], &device["state"]), (&json!(0x76), &json!("answers")));
        assert_eq!(device["sensors"], json!(["air"]));
        assert_eq!(json["i2c"][0]["missing"], json!([{"address": 0x48, "sensor": "gone"}]));
    }

    #[test]
    fn a_bus_that_is_not_there_says_what_to_do() {
        let everything = scan(&on("i2c-251"), &[], Path::new("/nowhere"));
        assert!(as_text(&everything).contains("not complete: no /dev/i2c-251: is I2C enabled?"));
        assert!(as_json(&everything)["i2c"][0]["error"].is_string());
    }

    #[test]
    fn a_machine_with_nothing_says_how_to_begin() {
        let root = tempfile::tempdir().unwrap();
        let everything = scan(&Args { bus: vec![] }, &[], root.path());
        assert_eq!(
            as_text(&everything),
            "no I2C bus: on a Raspberry Pi, sudo raspi-config nonint do_i2c 0\n"
        );
        fs::create_dir_all(root.path().join("sys/bus/w1/devices/28-0316a2795bff")).unwrap();
        fs::create_dir_all(root.path().join("dev")).unwrap();
        fs::write(root.path().join("dev/spidev0.0"), "").unwrap();
        let text = as_text(&scan(&Args { bus: vec![] }, &[], root.path()));
        assert!(text.contains("1-Wire\n  28-0316a2795bff  ds18b20\nSPI chip selects\n  spi-0.0\n"), "{text}");
    }
}
