//! Microchip MCP3008: eight voltages, 10 bits, over SPI (data sheet DS21295D).
//!
//! The chip has neither id nor acknowledgement. It sends every result twice, though, first with the most
//! significant bit first and then the other way round (figure 5-2), so that noise and other parts show.

use std::sync::Arc;
use std::time::Duration;

use embedded_hal::spi::SpiDevice;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value as Json};

use super::options::{self, OnSpi, note};
use super::simulate::{self, Course, Fault};
use super::{Attachment, Device, Driver, DriverKind, OptionProblem, QuantityInfo, SensorError};
use crate::bus::sim::mcp3008::Mcp3008 as SimulatedMcp3008;
use crate::bus::sim::scenario::Scenario;
use crate::bus::{Buses, SpiBus, SpiName, SpiSettings};
use crate::reading::{Measured, Value, ValueKind};

/// The registry's entry.
pub(super) const KIND: DriverKind = DriverKind {
    name: "mcp3008",
    summary: "Microchip MCP3008 on SPI: eight voltages, 10 bits",
    addresses: &[],
    options: options::schema::<Options>,
    configure,
};

/// Hz: what the chip stands at 2.7 V ("Electrical Characteristics", clock frequency). Slower than 10 kHz, the
/// sample leaks away (section 6.2).
const CLOCK: u32 = 1_350_000;
const SLOWEST: u32 = 10_000;
const FASTEST: u32 = 3_600_000;

#[derive(Debug, Default, Deserialize, JsonSchema)]
struct Options {
    /// The bus and chip select it is wired to: spi-0.0 (CE0), spi-0.1 (CE1), or sim-0.0 for a simulated one.
    #[schemars(required)]
    bus: Option<OnSpi>,
    /// Inputs to read: ch0 to ch7 against ground, or differences of neighbours: ch0-ch1, ch1-ch0, ch2-ch3 …
    #[schemars(extend(
        "default" = ["ch0", "ch1", "ch2", "ch3", "ch4", "ch5", "ch6", "ch7"], "minItems" = 1, "uniqueItems" = true
    ))]
    channels: Option<Vec<String>>,
    /// Voltage at VREF, in V.
    #[schemars(extend("default" = 3.3, "minimum" = 0.25, "maximum" = 5.5))]
    reference: Option<f64>,
    /// Clock in Hz; more than 1350000 needs a supply of 5 V.
    #[schemars(extend("default" = 1_350_000, "minimum" = 10_000, "maximum" = 3_600_000))]
    clock: Option<u32>,
    /// On a simulated bus: the voltages at the inputs.
    #[schemars(with = "Option<Simulate>")]
    simulate: Option<Map<String, Json>>,
}

#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Simulate {
    /// V at input 0.
    ch0: Option<Course>,
    /// V at input 1.
    ch1: Option<Course>,
    /// V at input 2.
    ch2: Option<Course>,
    /// V at input 3.
    ch3: Option<Course>,
    /// V at input 4.
    ch4: Option<Course>,
    /// V at input 5.
    ch5: Option<Course>,
    /// V at input 6.
    ch6: Option<Course>,
    /// V at input 7.
    ch7: Option<Course>,
    /// What goes wrong, and when (nack: nothing at the chip select).
    fault: Option<Fault>,
}

/// What the multiplexer puts before the converter (table 5-2).
#[derive(Debug, Clone, Copy, PartialEq)]
struct Input {
    /// The positive one.
    channel: u8,
    /// Against its neighbour and not against ground.
    differential: bool,
}

impl Input {
    fn parse(text: &str) -> Result<Self, String> {
        let number = |text: &str| match text.strip_prefix("ch")?.as_bytes() {
            [digit @ b'0'..=b'7'] => Some(digit - b'0'),
            _ => None,
        };
        let parsed = match text.split_once('-') {
            None => number(text).map(|channel| Self { channel, differential: false }),
            Some((plus, minus)) => match (number(plus), number(minus)) {
                (Some(channel), Some(other)) if other == channel ^ 1 => {
                    Some(Self { channel, differential: true })
                }
                _ => None,
            },
        };
        parsed.ok_or_else(|| {
            format!("\"{text}\" is no input: there are ch0 to ch7, and ch0-ch1, ch1-ch0, ch2-ch3 … ch7-ch6")
        })
    }

    fn name(self) -> String {
        match self.differential {
            true => format!("ch{}_ch{}", self.channel, self.channel ^ 1),
            false => format!("ch{}", self.channel),
        }
    }

    /// Start bit, mode, channel (figure 6-1), and clocks for the answer.
    fn request(self) -> [u8; 5] {
        let single = if self.differential { 0 } else { 0x80 };
        [0x01, single | self.channel << 4, 0, 0, 0]
    }
}

#[derive(Debug)]
struct Mcp3008 {
    bus: SpiName,
    inputs: Vec<Input>,
    /// V
    reference: f64,
    clock: u32,
    simulate: Simulate,
    quantities: Vec<QuantityInfo>,
}

fn configure(given: &Map<String, Json>) -> Result<Arc<dyn Driver>, Vec<OptionProblem>> {
    let (options, mut problems) = options::parse::<Options>("", given);
    let bus = options.bus.map(|bus| bus.0);
    let names = options.channels.unwrap_or_else(|| (0..8).map(|channel| format!("ch{channel}")).collect());
    let inputs = note(&mut problems, "channels", distinct(&names));
    let reference = options.reference.unwrap_or(3.3);
    if !(0.25..=5.5).contains(&reference) {
        problems.push(OptionProblem::new("reference", format!("{reference} V is not between 0.25 and 5.5")));
    }
    let clock = options.clock.unwrap_or(CLOCK);
    if !(SLOWEST..=FASTEST).contains(&clock) {
        problems
            .push(OptionProblem::new("clock", format!("{clock} Hz is not between {SLOWEST} and {FASTEST}")));
    }
    let simulate = simulate::option(bus, options.simulate.as_ref(), &mut problems);
    match (bus, inputs, simulate) {
        (Some(bus), Some(inputs), Some(simulate)) if problems.is_empty() => {
            let quantities = inputs.iter().map(|input| quantity(*input, reference)).collect();
            Ok(Arc::new(Mcp3008 { bus, inputs, reference, clock, simulate, quantities }))
        }
        _ => Err(problems),
    }
}

fn distinct(names: &[String]) -> Result<Vec<Input>, String> {
    if names.is_empty() {
        return Err("names no input: write for example [ch0, ch1]".to_owned());
    }
    match names.iter().enumerate().find(|(index, name)| names[..*index].contains(name)) {
        Some((_, twice)) => Err(format!("names {twice} twice")),
        None => names.iter().map(|name| Input::parse(name)).collect(),
    }
}

fn quantity(input: Input, reference: f64) -> QuantityInfo {
    QuantityInfo {
        name: input.name().into(),
        unit: "V",
        kind: ValueKind::Float,
        range: Some((0.0, reference)),
    }
}

impl Mcp3008 {
    fn attach_simulated(&self, buses: &Buses) {
        let Simulate { ch0, ch1, ch2, ch3, ch4, ch5, ch6, ch7, fault } = self.simulate.clone();
        let reference = self.reference;
        let make = |now| {
            let mut eighth = 0.0;
            let inputs = [ch0, ch1, ch2, ch3, ch4, ch5, ch6, ch7].map(|course| {
                eighth += 0.125;
                // Waves that follow each other, so that one can tell the inputs apart.
                let wave = Scenario::Sine {
                    min: 0.1 * reference,
                    max: 0.9 * reference,
                    period: Duration::from_secs(60),
                    phase: eighth,
                };
                course.map_or(wave, Course::scenario)
            });
            simulate::with_fault(Box::new(SimulatedMcp3008::new(inputs, reference)), fault, now)
        };
        buses.simulate_spi(self.bus, &format!("mcp3008 {reference} {:?}", self.simulate), make);
    }
}

impl Driver for Mcp3008 {
    fn name(&self) -> &'static str {
        KIND.name
    }

    fn quantities(&self) -> &[QuantityInfo] {
        &self.quantities
    }

    fn attachment(&self) -> Attachment {
        Attachment::Spi { bus: self.bus.to_string() }
    }

    fn open(&self, buses: &Buses) -> Result<Box<dyn Device>, SensorError> {
        if self.bus.is_simulated() {
            self.attach_simulated(buses);
        }
        let bus = buses.spi(self.bus, SpiSettings { clock: self.clock, mode: 0 })?;
        Ok(Box::new(Opened { bus, inputs: self.inputs.clone(), reference: self.reference }))
    }
}

struct Opened {
    bus: SpiBus,
    inputs: Vec<Input>,
    reference: f64,
}

impl Opened {
    fn convert(&mut self, input: Input) -> Result<u16, SensorError> {
        let mut answer = [0; 5];
        self.bus
            .transfer(&mut answer, &input.request())
            .map_err(|error| SensorError::Bus(error.to_string()))?;
        code(answer).map_err(|why| SensorError::WrongAnswer(format!("MCP3008 on {}: {why}", self.bus.name())))
    }
}

/// The result out of an answer: in the clocks of `request`, the null bit is the sixth of the second byte (figure
/// 6-1), ten bits follow it, and again nine from the second lowest upwards, and zeros (figure 5-2).
fn code(answer: [u8; 5]) -> Result<u16, &'static str> {
    let [_, high, low, back, last] = answer;
    if high & 0b100 != 0 {
        return Err("nothing answers; check wiring, power and chip select");
    }
    let code = u16::from(high & 0b11) << 8 | u16::from(low);
    let backwards = u16::from(back) << 1 | u16::from(last >> 7);
    let mirrored = (1..10).fold(0, |all, bit| all << 1 | code >> bit & 1);
    if mirrored != backwards || last & 0x7F != 0 {
        return Err("its two answers to one question differ; check wiring, or choose a slower clock");
    }
    Ok(code)
}

impl Device for Opened {
    fn read(&mut self) -> Result<Vec<Measured>, SensorError> {
        let mut measured = Vec::with_capacity(self.inputs.len());
        for quantity in 0..self.inputs.len() {
            let code = self.convert(self.inputs[quantity])?;
            // Equation 4-2. A tenth of a millivolt: a thirtieth of a step, and no binary noise beyond.
            let volts = (f64::from(code) * self.reference / 1024.0 * 1e4).round() / 1e4;
            measured.push(Measured { quantity, value: Value::Float(volts) });
        }
        Ok(measured)
    }
}

#[cfg(test)]
mod tests;
