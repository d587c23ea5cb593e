//! What an ADS1x15 can be set to (SBAS444D, SBAS473E, "Config Register"): inputs, gain, rate. Each table stands
//! in the order of the chip's bits, so that a position in it is what the configuration register holds.

use ::ads1x1x::{DataRate12Bit, DataRate16Bit, FullScaleRange};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::bus::sim::ads1x15::Model;

/// PGA bits 0 to 5.
const GAINS: [(f64, FullScaleRange); 6] = [
    (6.144, FullScaleRange::Within6_144V),
    (4.096, FullScaleRange::Within4_096V),
    (2.048, FullScaleRange::Within2_048V),
    (1.024, FullScaleRange::Within1_024V),
    (0.512, FullScaleRange::Within0_512V),
    (0.256, FullScaleRange::Within0_256V),
];

/// DR bits 0 to 6 of an ADS1015.
const RATES_12_BIT: [(u16, Rate); 7] = [
    (128, Rate::Twelve(DataRate12Bit::Sps128)),
    (250, Rate::Twelve(DataRate12Bit::Sps250)),
    (490, Rate::Twelve(DataRate12Bit::Sps490)),
    (920, Rate::Twelve(DataRate12Bit::Sps920)),
    (1600, Rate::Twelve(DataRate12Bit::Sps1600)),
    (2400, Rate::Twelve(DataRate12Bit::Sps2400)),
    (3300, Rate::Twelve(DataRate12Bit::Sps3300)),
];

/// DR bits 0 to 7 of an ADS1115.
const RATES_16_BIT: [(u16, Rate); 8] = [
    (8, Rate::Sixteen(DataRate16Bit::Sps8)),
    (16, Rate::Sixteen(DataRate16Bit::Sps16)),
    (32, Rate::Sixteen(DataRate16Bit::Sps32)),
    (64, Rate::Sixteen(DataRate16Bit::Sps64)),
    (128, Rate::Sixteen(DataRate16Bit::Sps128)),
    (250, Rate::Sixteen(DataRate16Bit::Sps250)),
    (475, Rate::Sixteen(DataRate16Bit::Sps475)),
    (860, Rate::Sixteen(DataRate16Bit::Sps860)),
];

/// A data rate of either chip.
#[derive(Debug, Clone, Copy)]
pub(super) enum Rate {
    Twelve(DataRate12Bit),
    Sixteen(DataRate16Bit),
}

/// A full-scale range.
#[derive(Debug, Clone, Copy)]
pub(super) struct Gain {
    bits: u16,
    /// V.
    pub(super) volts: f64,
    pub(super) range: FullScaleRange,
}

impl Gain {
    /// The gain of this many volts.
    pub(super) fn of(volts: f64) -> Result<Self, String> {
        let found = (0..).zip(GAINS).find(|(_, (possible, _))| (possible - volts).abs() < 1e-6);
        found.map(|(bits, (volts, range))| Gain { bits, volts, range }).ok_or_else(|| {
            let possible = list(GAINS.iter().map(|(volts, _)| volts));
            format!("{volts} is no gain: it is one of {possible} (± V)")
        })
    }
}

/// How fast the chip converts.
#[derive(Debug, Clone, Copy)]
pub(super) struct Speed {
    bits: u16,
    /// Conversions a second.
    pub(super) per_second: u16,
    pub(super) rate: Rate,
}

impl Speed {
    /// This many conversions a second; what the chip does after power-up unless wanted otherwise.
    pub(super) fn of(model: Model, wanted: Option<u16>) -> Result<Self, String> {
        let (rates, power_up): (&[(u16, Rate)], u16) = match model {
            Model::Ads1015 => (&RATES_12_BIT, 1600),
            Model::Ads1115 => (&RATES_16_BIT, 128),
        };
        let wanted = wanted.unwrap_or(power_up);
        let found = (0..).zip(rates).find(|(_, (possible, _))| *possible == wanted);
        found.map(|(bits, &(per_second, rate))| Speed { bits, per_second, rate }).ok_or_else(|| {
            format!(
                "{wanted} is no rate of this chip: it is one of {}",
                list(rates.iter().map(|(rate, _)| rate))
            )
        })
    }
}

/// Bits of the configuration register that [`register`] says nothing of: OS reads as "idle" and writes as
/// "start", the multiplexer is each conversion's own.
pub(super) const CHANGING: u16 = 0xF000;

/// The configuration register as the crate writes it, but for [`CHANGING`] bits.
pub(super) fn register(gain: Gain, speed: Speed) -> u16 {
    const SINGLE_SHOT: u16 = 1 << 8;
    const COMPARATOR_OFF: u16 = 0b11;
    gain.bits << 9 | SINGLE_SHOT | speed.bits << 5 | COMPARATOR_OFF
}

/// Steps from zero to full scale.
pub(super) fn steps(model: Model) -> i32 {
    match model {
        Model::Ads1115 => 32768,
        Model::Ads1015 => 2048,
    }
}

fn list<T: ToString>(possible: impl Iterator<Item = T>) -> String {
    possible.map(|one| one.to_string()).collect::<Vec<_>>().join(", ")
}

/// What the multiplexer can put before the converter (Config Register, MUX).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Input {
    A0,
    A1,
    A2,
    A3,
    #[serde(rename = "a0-a1")]
    A0A1,
    #[serde(rename = "a0-a3")]
    A0A3,
    #[serde(rename = "a1-a3")]
    A1A3,
    #[serde(rename = "a2-a3")]
    A2A3,
}

impl Input {
    pub(super) fn quantity(self) -> &'static str {
        match self {
            Input::A0 => "a0",
            Input::A1 => "a1",
            Input::A2 => "a2",
            Input::A3 => "a3",
            Input::A0A1 => "a0_a1",
            Input::A0A3 => "a0_a3",
            Input::A1A3 => "a1_a3",
            Input::A2A3 => "a2_a3",
        }
    }
}

/// At least one input, and none twice.
pub(super) fn distinct(inputs: Vec<Input>) -> Result<Vec<Input>, String> {
    if inputs.is_empty() {
        return Err("names no input: write for example [a0, a1]".to_owned());
    }
    match inputs.iter().enumerate().find(|(index, input)| inputs[..*index].contains(input)) {
        Some((_, twice)) => Err(format!("names {} twice", twice.quantity().replace('_', "-"))),
        None => Ok(inputs),
    }
}
