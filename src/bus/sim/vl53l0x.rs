//! A VL53L0X register by register, as far as ST's programming interface (UM2039; its registers are documented
//! by its source only) and the drivers made after it ask: identification, pages, start, interrupt and result.

use std::collections::BTreeMap;
use std::time::Duration;

use super::scenario::Scenario;
use super::{Answer, Refusal, Simulated};

const START: u8 = 0x00;
const INTERRUPT_CLEAR: u8 = 0x0B;
const INTERRUPT_STATUS: u8 = 0x13;
const RANGE_STATUS: u8 = 0x14;
const RANGE: u8 = 0x1E;
const PAGE: u8 = 0xFF;

/// Range status "measurement complete", and "no target" (VL53L0X_ERROR_CODES: 11 and 4).
const COMPLETE: u8 = 11;
const NO_TARGET: u8 = 4;

/// Time of a measurement with the timing budget after power-up.
const BUDGET: Duration = Duration::from_millis(33);

/// What a chip has in its registers after power-up and is asked for: page, register, value.
const POWER_UP: [(u8, u8, u8); 13] = [
    (0, 0xC0, 0xEE),
    (0, 0xC1, 0xAA),
    (0, 0xC2, 0x10),
    // Sequence, pulse periods and time-outs: decoded to 39, 151 and 509 macro periods.
    (0, 0x01, 0xFF),
    (0, 0x46, 0x26),
    (0, 0x50, 0x06),
    (0, 0x52, 0x96),
    (0, 0x70, 0x04),
    (0, 0x71, 0x01),
    (0, 0x72, 0xFE),
    (1, 0x91, 0x3C),
    // Reference SPADs: five, with aperture, and that they have been looked up.
    (7, 0x83, 0x10),
    (7, 0x92, 0x85),
];

/// A VL53L0X before something.
#[derive(Debug, Clone)]
pub struct Vl53l0x {
    /// mm; beyond 2 m there is no target.
    distance: Scenario,
    registers: BTreeMap<(u8, u8), u8>,
    page: u8,
    pointer: u8,
    /// When the running measurement ends, and the distance it will have found.
    running: Option<(Duration, f64)>,
}

impl Vl53l0x {
    /// A chip just powered up, before something at this distance (mm).
    pub fn new(distance: Scenario) -> Self {
        let registers = POWER_UP.iter().map(|(page, register, value)| ((*page, *register), *value)).collect();
        Self { distance, registers, page: 0, pointer: 0, running: None }
    }

    fn set(&mut self, register: u8, value: u8, now: Duration) {
        match (self.page, register) {
            (_, PAGE) => self.page = value,
            (0, START) => {
                if value & 1 != 0 {
                    self.running = Some((now + BUDGET, self.distance.at(now)));
                }
            }
            (0, INTERRUPT_CLEAR) => {
                self.registers.insert((0, INTERRUPT_STATUS), 0);
            }
            // The hardware looks the SPADs up faster than anybody can ask.
            (7, 0x83) => {}
            (page, _) => {
                self.registers.insert((page, register), value);
            }
        }
    }

    fn finish(&mut self, now: Duration) {
        let Some((end, distance)) = self.running else { return };
        if now < end {
            return;
        }
        self.running = None;
        let seen = (0.0..=2000.0).contains(&distance);
        let [high, low] = if seen { distance.round() as u16 } else { 8190 }.to_be_bytes();
        let status = if seen { COMPLETE } else { NO_TARGET };
        for (register, value) in
            [(INTERRUPT_STATUS, 0x04), (RANGE_STATUS, status << 3 | 1), (RANGE, high), (RANGE + 1, low)]
        {
            self.registers.insert((0, register), value);
        }
    }
}

impl Simulated for Vl53l0x {
    fn write(&mut self, bytes: &[u8], now: Duration) -> Answer {
        self.finish(now);
        let (register, values) = bytes.split_first().ok_or(Refusal::Nack)?;
        self.pointer = *register;
        for value in values {
            self.set(self.pointer, *value, now);
            self.pointer = self.pointer.wrapping_add(1);
        }
        Ok(())
    }

    fn read(&mut self, buffer: &mut [u8], now: Duration) -> Answer {
        self.finish(now);
        for byte in buffer {
            *byte = self.registers.get(&(self.page, self.pointer)).copied().unwrap_or(0);
            self.pointer = self.pointer.wrapping_add(1);
        }
        Ok(())
    }
}
