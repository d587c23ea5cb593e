//! An input on a port expander: MCP23017 (data sheet DS20001952C) or PCF8574 (SCPS068J), over I2C. Polled:
//! their interrupt lines are not used. Several sensors may share one chip, each with pins of its own.

use embedded_hal::i2c::I2c;
use schemars::JsonSchema;
use serde::Deserialize;

use super::super::i2c::failure;
use super::super::options::{Address, OnBus, note};
use super::super::pins::PullOption;
use super::super::{Attachment, Device, OptionProblem, SensorError};
use super::sample;
use crate::bus::sim::expander::{Mcp23017 as SimulatedMcp23017, Pcf8574 as SimulatedPcf8574};
use crate::bus::{BusName, Buses, I2cBus, I2cError};
use crate::reading::Measured;

/// Registers of port A with IOCON.BANK = 0, as after power-on (table 3-5); those of port B follow each.
const IODIR: u8 = 0x00;
const GPPU: u8 = 0x0C;
const GPIO: u8 = 0x12;

const MCP23017_ADDRESSES: std::ops::RangeInclusive<u8> = 0x20..=0x27;

/// A pin of a port expander.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ExpanderOptions {
    /// mcp23017 (16 pins) or pcf8574 (8 pins; the A variant too).
    #[schemars(required)]
    chip: Option<Chip>,
    /// The I2C bus it is wired to: i2c-1, or sim-1 for a simulated one.
    #[schemars(required)]
    bus: Option<OnBus>,
    /// I2C address: 0x20 to 0x27, of a PCF8574A 0x38 to 0x3f.
    #[schemars(extend("default" = "0x20"))]
    address: Option<Address>,
    /// Number of the pin: 0 to 7 (P0 … P7, GPA0 … GPA7), of an MCP23017 also 8 to 15 (GPB0 … GPB7).
    #[schemars(required, range(min = 0, max = 15))]
    pin: Option<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum Chip {
    Mcp23017,
    Pcf8574,
}

impl Chip {
    fn name(self) -> &'static str {
        match self {
            Chip::Mcp23017 => "mcp23017",
            Chip::Pcf8574 => "pcf8574",
        }
    }

    fn pins(self) -> u8 {
        match self {
            Chip::Mcp23017 => 16,
            Chip::Pcf8574 => 8,
        }
    }

    fn has_address(self, address: u8) -> bool {
        let of_variant_a = 0x38..=0x3F;
        MCP23017_ADDRESSES.contains(&address) || self == Chip::Pcf8574 && of_variant_a.contains(&address)
    }
}

/// A checked pin of an expander.
#[derive(Debug, Clone, Copy)]
pub(super) struct Expander {
    chip: Chip,
    bus: BusName,
    address: u8,
    pin: u8,
    pull_up: bool,
}

impl Expander {
    /// What the options say, with what is wrong added to the problems.
    pub(super) fn check(
        options: &ExpanderOptions,
        pull: Option<PullOption>,
        problems: &mut Vec<OptionProblem>,
    ) -> Option<Self> {
        let chip = options.chip?;
        let address = options.address.map_or(0x20, |address| address.0);
        if !chip.has_address(address) {
            let message = format!("{address:#04x} is no address of a {}", chip.name());
            note::<()>(problems, "expander.address", Err(message));
        }
        let pin = options.pin?;
        if pin >= chip.pins() {
            let message = format!("a {} has pins 0 to {}", chip.name(), chip.pins() - 1);
            note::<()>(problems, "expander.pin", Err(message));
        }
        let possible = match (chip, pull) {
            (_, None | Some(PullOption::Up)) => Ok(()),
            (Chip::Mcp23017, Some(PullOption::None)) => Ok(()),
            (Chip::Mcp23017, _) => Err("an mcp23017 can pull up or not at all"),
            (Chip::Pcf8574, _) => Err("a pcf8574 always pulls up, weakly"),
        };
        note(problems, "pull", possible.map_err(str::to_owned));
        Some(Self {
            chip,
            bus: options.bus?.0,
            address,
            pin,
            pull_up: pull.unwrap_or(PullOption::Up) == PullOption::Up,
        })
    }

    pub(super) fn attachment(&self) -> Attachment {
        Attachment::Expander {
            bus: self.bus.to_string(),
            address: self.address,
            chip: self.chip.name(),
            pin: self.pin,
        }
    }

    pub(super) fn open(&self, buses: &Buses, active_low: bool) -> Result<Box<dyn Device>, SensorError> {
        let name = self.bus.to_string();
        if self.bus.is_simulated() {
            buses.simulate(&name, self.address, self.chip.name(), |_| match self.chip {
                Chip::Mcp23017 => Box::new(SimulatedMcp23017::new()),
                Chip::Pcf8574 => Box::new(SimulatedPcf8574::new()),
            })?;
        }
        let mut opened = Opened { expander: *self, bus: buses.i2c(&name)?, active_low };
        opened.set_up()?;
        Ok(Box::new(opened))
    }
}

struct Opened {
    expander: Expander,
    bus: I2cBus,
    active_low: bool,
}

impl Opened {
    fn failure(&self, error: &I2cError) -> SensorError {
        failure(self.expander.bus, self.expander.address, error)
    }

    /// The register of this pin's port, and the bit of the pin.
    fn port(&self) -> (u8, u8) {
        (self.expander.pin / 8, 1 << (self.expander.pin % 8))
    }

    fn register(&mut self, register: u8) -> Result<u8, SensorError> {
        let mut value = [0];
        self.bus
            .write_read(self.expander.address, &[register], &mut value)
            .map_err(|error| self.failure(&error))?;
        Ok(value[0])
    }

    /// Sets or clears this pin's bit and leaves the others as they are: they may be other sensors' pins.
    fn set_bit(&mut self, register: u8, bit: u8, on: bool) -> Result<(), SensorError> {
        let before = self.register(register)?;
        let after = if on { before | bit } else { before & !bit };
        if after != before {
            let address = self.expander.address;
            self.bus.write(address, &[register, after]).map_err(|error| self.failure(&error))?;
        }
        Ok(())
    }

    fn set_up(&mut self) -> Result<(), SensorError> {
        match self.expander.chip {
            Chip::Mcp23017 => {
                let (port, bit) = self.port();
                self.set_bit(GPPU + port, bit, self.expander.pull_up)?;
                self.set_bit(IODIR + port, bit, true)
            }
            // A pin that is written high can be pulled low from outside, which is its way of being an input
            // (section 8.1). All of them: what nobody reads may float.
            Chip::Pcf8574 => {
                self.bus.write(self.expander.address, &[0xFF]).map_err(|error| self.failure(&error))
            }
        }
    }

    fn is_high(&mut self) -> Result<bool, SensorError> {
        let (port, bit) = self.port();
        match self.expander.chip {
            Chip::Mcp23017 => {
                // After a reset its pulls are off, and the pin would read whatever floats by.
                let is_input = self.register(IODIR + port)? & bit != 0;
                let is_pulled = self.register(GPPU + port)? & bit != 0;
                if !is_input || is_pulled != self.expander.pull_up {
                    return Err(SensorError::WrongAnswer(format!(
                        "what answers at {:#04x} on {} does not keep its settings: it was reset, or is no mcp23017",
                        self.expander.address, self.expander.bus
                    )));
                }
                Ok(self.register(GPIO + port)? & bit != 0)
            }
            Chip::Pcf8574 => {
                let mut pins = [0];
                self.bus.read(self.expander.address, &mut pins).map_err(|error| self.failure(&error))?;
                Ok(pins[0] & bit != 0)
            }
        }
    }
}

impl Device for Opened {
    fn read(&mut self) -> Result<Vec<Measured>, SensorError> {
        Ok(sample(self.is_high()?, self.active_low))
    }
}
