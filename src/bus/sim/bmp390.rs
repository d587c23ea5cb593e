//! A Bosch BMP390 register by register (data sheet BST-BMP390-DS002, section 4): calibration block, status,
//! data, control. Its counts are those for which the compensation of section 8 gives the wanted air.

use std::time::Duration;

use super::scenario::Scenario;
use super::{Answer, Simulated};

const STATUS: u8 = 0x03;
const DATA: u8 = 0x04;
const PWR_CTRL: u8 = 0x1B;
const OSR: u8 = 0x1C;
const CONFIG: u8 = 0x1F;
const CALIBRATION_BLOCK: u8 = 0x31;
const CMD: u8 = 0x7E;

/// Command ready, and both data ready.
const READY: u8 = 0x10;
const DATA_READY: u8 = 0x60;

/// What the data registers hold when nothing was measured.
const NOTHING: u32 = 0x80_0000;

/// Registers 0x31…0x45 of a typical chip: T1, T2, T3, P1 … P11 (section on the calibration coefficients), little-endian.
pub const CALIBRATION: [u8; 21] = {
    let ([t1, t1_high], [t2, t2_high]) = (27_769u16.to_le_bytes(), 18_978u16.to_le_bytes());
    let ([p1, p1_high], [p2, p2_high]) = ((-126i16).to_le_bytes(), (-2_117i16).to_le_bytes());
    let ([p5, p5_high], [p6, p6_high]) = (25_225u16.to_le_bytes(), 30_319u16.to_le_bytes());
    let [p9, p9_high] = 17_049i16.to_le_bytes();
    let (t3, p3, p4, p7, p8, p10, p11) = (-7i8, 35i8, 0i8, -13i8, -10i8, 25i8, -60i8);
    [
        t1, t1_high, t2, t2_high, t3 as u8, p1, p1_high, p2, p2_high, p3 as u8, p4 as u8, p5, p5_high, p6,
        p6_high, p7 as u8, p8 as u8, p9, p9_high, p10 as u8, p11 as u8,
    ]
};

/// Where a chip's counts (24 bits) come from.
#[derive(Debug, Clone)]
enum Air {
    Counts { temperature: u32, pressure: u32 },
    Scenarios { temperature: Scenario, pressure: Scenario },
}

/// A BMP390.
#[derive(Debug, Clone)]
pub struct Bmp390 {
    id: u8,
    air: Air,
    pointer: u8,
    pwr_ctrl: u8,
    osr: u8,
    config: u8,
    status: u8,
    /// Temperature and pressure.
    data: (u32, u32),
    /// When the running measurement ends.
    running: Option<Duration>,
    stuck: bool,
}

impl Bmp390 {
    /// A chip in air of this temperature (°C) and pressure (Pa).
    pub fn new(temperature: Scenario, pressure: Scenario) -> Self {
        Self::with(Air::Scenarios { temperature, pressure })
    }

    /// A chip that always counts this.
    pub fn with_counts(temperature: u32, pressure: u32) -> Self {
        Self::with(Air::Counts { temperature, pressure })
    }

    /// The same chip with another id.
    pub fn with_id(self, id: u8) -> Self {
        Self { id, ..self }
    }

    /// The same chip, whose measurements never end.
    pub fn stuck(self) -> Self {
        Self { stuck: true, ..self }
    }

    fn with(air: Air) -> Self {
        Self {
            id: 0x60,
            air,
            pointer: 0,
            pwr_ctrl: 0,
            osr: 0x02,
            config: 0,
            status: READY,
            data: (NOTHING, NOTHING),
            running: None,
            stuck: false,
        }
    }

    fn set(&mut self, register: u8, value: u8, now: Duration) {
        match register {
            PWR_CTRL => {
                self.pwr_ctrl = value;
                // Forced mode; normal mode is as good as one measurement after another.
                if value & 0x30 != 0 {
                    self.status &= !DATA_READY;
                    self.running = Some(now + self.measuring_time());
                }
            }
            OSR => self.osr = value & 0x3F,
            CONFIG => self.config = value & 0x0E,
            CMD if value == 0xB6 => {
                let (id, stuck) = (self.id, self.stuck);
                *self = Self { id, stuck, ..Self::with(self.air.clone()) };
            }
            _ => {}
        }
    }

    /// Section 3.9.2.
    fn measuring_time(&self) -> Duration {
        let samples = |bits: u8| 1u64 << (bits & 0b111).min(5);
        let pressure = 392 + samples(self.osr) * 2020;
        let temperature = 163 + samples(self.osr >> 3) * 2020;
        Duration::from_micros(234 + pressure + temperature)
    }

    fn finish(&mut self, now: Duration) {
        if self.stuck || self.running.is_none_or(|end| now < end) {
            return;
        }
        self.running = None;
        self.pwr_ctrl &= !0x30;
        self.status |= DATA_READY;
        let counts = match &mut self.air {
            Air::Counts { temperature, pressure } => (*temperature, *pressure),
            Air::Scenarios { temperature, pressure } => counts_for(temperature.at(now), pressure.at(now)),
        };
        self.data = (
            if self.pwr_ctrl & 2 == 0 { NOTHING } else { counts.0 },
            if self.pwr_ctrl & 1 == 0 { NOTHING } else { counts.1 },
        );
    }

    fn register(&self, register: u8) -> u8 {
        let in_block = |start: u8, block: &[u8]| {
            register.checked_sub(start).and_then(|offset| block.get(usize::from(offset)).copied())
        };
        match register {
            0x00 => self.id,
            STATUS => self.status,
            PWR_CTRL => self.pwr_ctrl,
            OSR => self.osr,
            CONFIG => self.config,
            _ => {
                let ([p0, p1, p2, _], [t0, t1, t2, _]) =
                    (self.data.1.to_le_bytes(), self.data.0.to_le_bytes());
                in_block(DATA, &[p0, p1, p2, t0, t1, t2])
                    .or_else(|| in_block(CALIBRATION_BLOCK, &CALIBRATION))
                    .unwrap_or(0)
            }
        }
    }
}

impl Simulated for Bmp390 {
    /// Pairs of register and value; a single byte sets the register to read from (section 5.2).
    fn write(&mut self, bytes: &[u8], now: Duration) -> Answer {
        self.finish(now);
        for pair in bytes.chunks(2) {
            match *pair {
                [register, value] => self.set(register, value, now),
                [register] => self.pointer = register,
                _ => {}
            }
        }
        Ok(())
    }

    fn read(&mut self, buffer: &mut [u8], now: Duration) -> Answer {
        self.finish(now);
        for byte in buffer {
            *byte = self.register(self.pointer);
            self.pointer = self.pointer.wrapping_add(1);
        }
        Ok(())
    }
}

/// Counts for a temperature (°C) and a pressure (Pa), by halving: the compensation rises with the count of
/// the temperature and falls with that of the pressure.
fn counts_for(celsius: f64, pascal: f64) -> (u32, u32) {
    let temperature = least(|count| temperature(count) >= celsius);
    let pressure = least(|count| pressure(count, temperature) <= pascal);
    (temperature, pressure)
}

/// The least count of 24 bits for which this holds; from there on it must go on holding.
fn least(holds: impl Fn(u32) -> bool) -> u32 {
    let (mut low, mut high) = (0, 0xFF_FFFF);
    while low < high {
        let middle = (low + high) / 2;
        if holds(middle) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    low
}

fn signed(at: usize) -> f64 {
    f64::from(CALIBRATION[at] as i8)
}

fn word(at: usize) -> [u8; 2] {
    [CALIBRATION[at], CALIBRATION[at + 1]]
}

/// Section 8.5, written apart from the driver's.
fn temperature(count: u32) -> f64 {
    let offset = f64::from(count) - f64::from(u16::from_le_bytes(word(0))) * 256.0;
    let second = f64::from(u16::from_le_bytes(word(2))) / 2f64.powi(30);
    offset * second + offset * offset * signed(4) / 2f64.powi(48)
}

/// Section 8.6.
fn pressure(count: u32, temperature_count: u32) -> f64 {
    let (t, p) = (temperature(temperature_count), f64::from(count));
    let unsigned = |at| f64::from(u16::from_le_bytes(word(at)));
    let wide = |at| f64::from(i16::from_le_bytes(word(at)));
    let offset = unsigned(11) * 8.0
        + unsigned(13) / 64.0 * t
        + signed(15) / 256.0 * t.powi(2)
        + signed(16) / 32768.0 * t.powi(3);
    let slope = (wide(5) - 16384.0) / 2f64.powi(20)
        + (wide(7) - 16384.0) / 2f64.powi(29) * t
        + signed(9) / 2f64.powi(32) * t.powi(2)
        + signed(10) / 2f64.powi(37) * t.powi(3);
    let square = wide(17) / 2f64.powi(48) + signed(19) / 2f64.powi(48) * t;
    offset + slope * p + square * p.powi(2) + signed(20) / 2f64.powi(65) * p.powi(3)
}
