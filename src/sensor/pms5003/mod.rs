//! Plantower PMS5003 (and PMS7003, PMSA003, which speak the same): fine dust, over a serial port (PMS5003 manual
//! V2.3). [`frame`] finds frames in what arrives; this file is the driver.

mod frame;
#[cfg(any(test, fuzzing))]
pub(super) mod fuzz;

use std::sync::Arc;
use std::time::{Duration, Instant};

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value as Json};

use frame::{Air, Scanner, command};

use super::options;
use super::{Attachment, Device, Driver, DriverKind, OptionProblem, QuantityInfo, SensorError};
use crate::bus::{Buses, SerialError, SerialPort};
use crate::reading::{Measured, Value, ValueKind};

/// The registry's entry.
pub(super) const KIND: DriverKind = DriverKind {
    name: "pms5003",
    summary: "Plantower PMS5003, PMS7003, PMSA003 on a serial port: fine dust",
    addresses: &[],
    options: options::schema::<Options>,
    configure,
};

/// Appendix I.
const BAUD: u32 = 9600;

/// Frames come at most 2.3 s apart ("stable mode", appendix I), and take 33 ms.
const PATIENCE: Duration = Duration::from_millis(3500);

/// Appendix II.
const CHANGE_MODE: u8 = 0xE1;
const READ: u8 = 0xE2;

#[derive(Debug, Default, Deserialize, JsonSchema)]
struct Options {
    /// The serial port: /dev/serial0 for the Pi's own pins, /dev/ttyUSB0 for an adapter.
    #[schemars(extend("default" = "/dev/serial0", "pattern" = "^/"))]
    port: Option<String>,
    /// active: the sensor sends by itself, and only its TX need be wired; passive: it is asked for every reading.
    #[schemars(extend("default" = "active"))]
    mode: Option<Mode>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum Mode {
    Active,
    Passive,
}

#[derive(Debug)]
struct Pms5003 {
    port: String,
    mode: Mode,
    quantities: Vec<QuantityInfo>,
    patience: Duration,
}

fn configure(given: &Map<String, Json>) -> Result<Arc<dyn Driver>, Vec<OptionProblem>> {
    checked(given, PATIENCE).map(|driver| Arc::new(driver) as Arc<dyn Driver>)
}

fn checked(given: &Map<String, Json>, patience: Duration) -> Result<Pms5003, Vec<OptionProblem>> {
    let (options, mut problems) = options::parse::<Options>("", given);
    let port = options.port.unwrap_or_else(|| "/dev/serial0".to_owned());
    if !port.starts_with('/') {
        problems.push(OptionProblem::new(
            "port",
            format!("\"{port}\" is no port: write for example /dev/serial0"),
        ));
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    Ok(Pms5003 { port, mode: options.mode.unwrap_or(Mode::Active), quantities: quantities(), patience })
}

/// None has a range but that of the frame: "maximum range ≥ 1000 µg/m³" (table 1) says what is reached at least, and in
/// the smoke of a fire it is more.
fn quantities() -> Vec<QuantityInfo> {
    let quantity = |name: &'static str, unit| QuantityInfo {
        name: name.into(),
        unit,
        kind: ValueKind::Integer,
        range: None,
    };
    let mass = ["pm1", "pm2_5", "pm10"].map(|name| quantity(name, "µg/m³"));
    let counts = [
        "particles_0_3um",
        "particles_0_5um",
        "particles_1um",
        "particles_2_5um",
        "particles_5um",
        "particles_10um",
    ];
    mass.into_iter().chain(counts.map(|name| quantity(name, "1/l"))).collect()
}

impl Driver for Pms5003 {
    fn name(&self) -> &'static str {
        KIND.name
    }

    fn quantities(&self) -> &[QuantityInfo] {
        &self.quantities
    }

    fn attachment(&self) -> Attachment {
        Attachment::Serial { port: self.port.clone() }
    }

    fn longest_read(&self) -> Duration {
        self.patience
    }

    fn open(&self, _: &Buses) -> Result<Box<dyn Device>, SensorError> {
        let mut port = SerialPort::open(&self.port, BAUD)?;
        // The mode outlives the program, but not a drop of the supply: it is set again at every opening. A sensor
        // whose RX is not wired stays as it is, which after power-up is active.
        let mode = if self.mode == Mode::Active { 1 } else { 0 };
        port.write(&command(CHANGE_MODE, mode), Instant::now() + self.patience).map_err(failed)?;
        Ok(Box::new(Opened { port, mode: self.mode, patience: self.patience }))
    }
}

struct Opened {
    port: SerialPort,
    mode: Mode,
    patience: Duration,
}

fn failed(error: SerialError) -> SensorError {
    SensorError::Bus(error.to_string())
}

impl Opened {
    /// The first good frame from now on.
    fn frame(&mut self) -> Result<Air, SensorError> {
        let deadline = Instant::now() + self.patience;
        // What came since the last reading is old.
        self.port.discard().map_err(failed)?;
        if self.mode == Mode::Passive {
            self.port.write(&command(READ, 0), deadline).map_err(failed)?;
        }
        let mut scanner = Scanner::default();
        let mut buffer = [0; 64];
        let mut total = 0usize;
        loop {
            // A stream that never pauses must not keep us either.
            let count = match Instant::now() < deadline {
                true => self.port.read(&mut buffer, deadline).map_err(failed)?,
                false => 0,
            };
            if count == 0 {
                return Err(SensorError::WrongAnswer(self.why_none(total, &scanner)));
            }
            total += count;
            if let Some(air) = buffer[..count].iter().find_map(|byte| scanner.push(*byte)) {
                return Ok(air);
            }
        }
    }

    fn why_none(&self, total: usize, scanner: &Scanner) -> String {
        let seconds = self.patience.as_secs_f64();
        let path = self.port.path();
        let what = match (total, scanner.wrong_sums) {
            (0, _) => format!(
                "nothing came in {seconds:.1} s: check that its TX is at our RX, its 5 V, and that no login console uses \
                 the port"
            ),
            (_, 0) => format!(
                "{total} bytes came in {seconds:.1} s, and no frame among them: is it another device?"
            ),
            (_, wrong) => format!("{wrong} frames came with a wrong sum: check wiring and ground"),
        };
        format!("PMS5003 at {path}: {what}")
    }
}

impl Device for Opened {
    fn read(&mut self) -> Result<Vec<Measured>, SensorError> {
        let air = self.frame()?;
        // Counts are of 0.1 l.
        let counts = air.counts.map(|count| i64::from(count) * 10);
        let values = air.mass.map(i64::from).into_iter().chain(counts);
        let measured = |(quantity, value)| Measured { quantity, value: Value::Integer(value) };
        Ok(values.enumerate().map(measured).collect())
    }
}

#[cfg(test)]
mod tests;
