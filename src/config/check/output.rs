//! `outputs`: what they are made of, where they sit, and what they may be set to.

use std::time::Duration;

use super::super::amount::format_duration;
use super::super::model::{Limits, Output, OutputDriver, Sensor};
use super::super::problem::{KeyPath, Report, quoted};
use super::super::raw::{self, LevelGiven, NumberOrText, OutputKind};
use super::super::topic::check_level;
use super::sensor::{House, Subject};
use super::{DAY, duration};
use crate::bus::BusName;
use crate::bus::gpio::Pins;
use crate::reading::{BRIDGE, STATE, SensorId, ValueKind};

/// Shorter limits would be over before a command is answered.
const SHORTEST: Duration = Duration::from_millis(100);

/// The pins of the header that can have pulses by hardware.
const PULSE_PINS: [u8; 4] = [12, 13, 18, 19];

/// What the PCA9685's own clock makes possible (data sheet section 7.3.5), Hz.
const PCA9685_FREQUENCIES: (f64, f64) = (24.0, 1526.0);

impl House<'_> {
    /// Checks all outputs; to be called after the sensors, whose ids and places are taken.
    pub(super) fn outputs(
        &mut self,
        raw: Vec<raw::Output>,
        sensors: &[Sensor],
        path: &KeyPath,
        report: &mut Report,
    ) -> Vec<Output> {
        let mut outputs: Vec<Output> = Vec::new();
        for (index, raw) in raw.into_iter().enumerate() {
            let path = path.index(index);
            let id = id(raw.id.as_deref(), index, sensors, &outputs, &path, report);
            let limits = limits(&raw, &path, report);
            let Some(driver) = driver(&raw, &path, report) else { continue };
            self.seat(
                driver.attachment(),
                format!("output {}", quoted(id.as_str())),
                &place(&raw, &path),
                report,
            );
            same_frequency(&driver, &outputs, &path, report);
            let own = raw::Sensor {
                topic: raw.topic,
                qos: raw.qos,
                retain: raw.retain,
                buffer: raw.buffer,
                ..raw::Sensor::default()
            };
            let delivery = self.delivery(Some(&own), &path, report);
            let (quantity, unit, kind) = match driver.is_digital() {
                true => ("on", "", ValueKind::Bool),
                false => ("level", "%", ValueKind::Float),
            };
            let level = Subject { sensor: &id, quantity: quantity.into(), unit: unit.to_owned(), kind };
            let level = self.channel(level, delivery.as_ref(), &path, report);
            let state =
                Subject { sensor: &id, quantity: STATE.into(), unit: String::new(), kind: ValueKind::Text };
            let state = self.channel(state, delivery.as_ref(), &path, report);
            outputs.push(Output { id, driver, limits, level, state });
        }
        outputs
    }
}

/// The output's id, or a stand-in when it is missing or wrong (which is reported).
fn id(
    given: Option<&str>,
    index: usize,
    sensors: &[Sensor],
    outputs: &[Output],
    path: &KeyPath,
    report: &mut Report,
) -> SensorId {
    let path = path.key("id");
    if let Some(id) = given {
        let taken = |other: &SensorId| other.as_str() == id;
        let wrong = match check_level(id) {
            Err(why) => why,
            Ok(()) if id == BRIDGE => {
                format!("\"{BRIDGE}\" is the name under which the bridge speaks of itself")
            }
            Ok(()) if id.contains(':') || super::super::model::Action::named(id).is_some() => {
                "would be taken for an action in `commands.allow`: choose another name".to_owned()
            }
            Ok(()) if sensors.iter().any(|sensor| taken(&sensor.id)) => {
                format!("{} is the id of a sensor already", quoted(id))
            }
            Ok(()) if outputs.iter().any(|output| taken(&output.id)) => {
                format!("{} is the id of another output already", quoted(id))
            }
            Ok(()) => return SensorId::from(id),
        };
        report.problem(&path, wrong);
    }
    SensorId::from(format!("output-{index}"))
}

/// The key that says where it sits.
fn place(raw: &raw::Output, path: &KeyPath) -> KeyPath {
    path.key(if raw.pin.is_some() { "pin" } else { "channel" })
}

fn driver(raw: &raw::Output, path: &KeyPath, report: &mut Report) -> Option<OutputDriver> {
    // Missing or unknown, and reported.
    let kind = raw.driver?;
    let is_pca = kind == OutputKind::Pca9685;
    let foreign = [
        ("pin", raw.pin.is_some() && is_pca, "`pca9685` has `channel`"),
        ("address", raw.address.is_some() && !is_pca, "it goes with `pca9685`"),
        ("channel", raw.channel.is_some() && !is_pca, "it goes with `pca9685`"),
        ("frequency", raw.frequency.is_some() && kind == OutputKind::DigitalOutput, "it goes with `pwm`"),
    ];
    for (key, _, why) in foreign.into_iter().filter(|(_, is_foreign, _)| *is_foreign) {
        report.suggest(&path.key(key), "means nothing to this driver", Some(why.to_owned()));
    }
    let active_low = raw.active_low.unwrap_or(false);
    match kind {
        OutputKind::DigitalOutput => {
            let (pins, pin) = pin(raw, path, report)?;
            Some(OutputDriver::Digital { pins, pin, active_low })
        }
        OutputKind::Pwm => {
            let (pins, pin) = pin(raw, path, report)?;
            if pins == Pins::Header && !PULSE_PINS.contains(&pin) {
                let hint = "hardware PWM is on pins 12, 13, 18 and 19".to_owned();
                report.suggest(&path.key("pin"), format!("pin {pin} has no hardware PWM"), Some(hint));
            }
            Some(OutputDriver::Pwm { pins, pin, frequency: raw.frequency.unwrap_or(1000.0), active_low })
        }
        OutputKind::Pca9685 => pca9685(raw, active_low, path, report),
    }
}

fn pin(raw: &raw::Output, path: &KeyPath, report: &mut Report) -> Option<(Pins, u8)> {
    let pins = match raw.bus.as_deref().unwrap_or("gpio").parse() {
        Ok(pins) => Some(pins),
        Err(why) => {
            report.problem(&path.key("bus"), why);
            None
        }
    };
    if raw.pin.is_none() && !report.has_problem_at(&path.key("pin")) {
        report.problem(&path.key("pin"), "is missing: the BCM number, 22 for GPIO22");
    }
    Some((pins?, raw.pin?))
}

fn pca9685(raw: &raw::Output, active_low: bool, path: &KeyPath, report: &mut Report) -> Option<OutputDriver> {
    let bus = match raw.bus.as_deref().map(str::parse::<BusName>) {
        Some(Ok(bus @ (BusName::I2c(_) | BusName::Sim(_)))) => Some(bus),
        Some(Ok(_)) => {
            report.problem(&path.key("bus"), "an output cannot sit on a recording");
            None
        }
        Some(Err(why)) => {
            report.problem(&path.key("bus"), why);
            None
        }
        None => {
            report.problem(&path.key("bus"), "is missing: the I2C bus, i2c-1, or sim-1 for a simulated one");
            None
        }
    };
    let address = match &raw.address {
        None => Some(0x40),
        Some(given) => address(given).or_else(|| {
            let message =
                "is no address of a PCA9685: it can have 0x40 to 0x77 but for 0x70, which is everybody's";
            report.problem(&path.key("address"), message);
            None
        }),
    };
    if raw.channel.is_none() && !report.has_problem_at(&path.key("channel")) {
        report.problem(&path.key("channel"), "is missing: the channel of the chip, 0 to 15");
    }
    let frequency = raw.frequency.unwrap_or(200.0);
    let (least, most) = PCA9685_FREQUENCIES;
    if !(least..=most).contains(&frequency) && !report.has_problem_at(&path.key("frequency")) {
        report
            .problem(&path.key("frequency"), format!("must be between {least} and {most} Hz with `pca9685`"));
    }
    Some(OutputDriver::Pca9685 { bus: bus?, address: address?, channel: raw.channel?, frequency, active_low })
}

fn address(given: &NumberOrText) -> Option<u8> {
    let number = match given {
        NumberOrText::Number(number) => (number.fract() == 0.0).then_some(*number as i64),
        NumberOrText::Text(text) => match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
            Some(digits) => i64::from_str_radix(digits, 16).ok(),
            None => text.parse().ok(),
        },
    };
    number
        .and_then(|number| u8::try_from(number).ok())
        .filter(|address| matches!(address, 0x40..=0x77) && *address != 0x70)
}

/// All channels of a chip have one frequency.
fn same_frequency(driver: &OutputDriver, others: &[Output], path: &KeyPath, report: &mut Report) {
    let OutputDriver::Pca9685 { bus, address, frequency, .. } = driver else { return };
    for other in others {
        if let OutputDriver::Pca9685 { bus: bus2, address: address2, frequency: frequency2, .. } =
            &other.driver
            && (bus, address) == (bus2, address2)
            && frequency != frequency2
        {
            let message =
                format!("output {} has {frequency2} Hz on the same chip, which has one for all", other.id);
            report.problem(&path.key("frequency"), message);
            return;
        }
    }
}

fn limits(raw: &raw::Output, path: &KeyPath, report: &mut Report) -> Limits {
    let digital = raw.driver == Some(OutputKind::DigitalOutput);
    for (key, given) in [("min", raw.min.is_some()), ("max", raw.max.is_some()), ("slew", raw.slew.is_some())]
    {
        if given && digital {
            report.suggest(
                &path.key(key),
                "means nothing here",
                Some("`digital-output` is on or off".into()),
            );
        }
    }
    let (min, max) = (raw.min.unwrap_or(0.0), raw.max.unwrap_or(100.0));
    if min > max || max == 0.0 {
        report.problem(&path.key("max"), format!("leaves nothing to set: {min} to {max} %"));
    }
    let safe = match raw.safe {
        None | Some(LevelGiven::Switch(false)) => 0.0,
        Some(LevelGiven::Switch(true)) => max,
        Some(LevelGiven::Percent(percent)) => percent,
        Some(LevelGiven::Text(ref text)) => {
            if text == "on" {
                max
            } else {
                0.0
            }
        }
    };
    let safe_path = path.key("safe");
    if digital && safe != 0.0 && safe != 100.0 {
        report.suggest(&safe_path, "is neither on nor off", Some("write off or on".to_owned()));
    } else if safe != 0.0 && !(min..=max).contains(&safe) {
        report.problem(&safe_path, format!("lies outside `min` and `max` ({min} to {max} %)"));
    }
    let mut time = |text: &Option<raw::DurationText>, key: &str| {
        duration(text.as_ref(), SHORTEST, DAY * 365, &path.key(key), report)
    };
    let limits = Limits {
        safe,
        min,
        max,
        min_interval: time(&raw.min_interval, "min_interval"),
        slew: raw.slew,
        max_on: time(&raw.max_on, "max_on"),
        link_lost: time(&raw.link_lost, "link_lost"),
    };
    if let Some(max_on) = limits.max_on.filter(|_| safe > 0.0) {
        let message = format!("cannot be on for at most {}: its safe level is on", format_duration(max_on));
        report.problem(&path.key("max_on"), message);
    }
    limits
}
