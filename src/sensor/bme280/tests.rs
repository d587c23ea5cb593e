//! The driver and the real `bme280` crate over the simulated bus.

use std::sync::Mutex;

use serde_json::json;

use super::*;
use crate::bus::sim::Simulated;
use crate::bus::sim::bme280::Counts;
use crate::bus::sim::fault::{Fault as Failure, Faulty};

/// 25.08 °C and 100,653 Pa by the data sheet's example (BST-BMP280-DS001 section 3.12).
const EXAMPLE: Counts = Counts { temperature: 519_888, pressure: 415_148, humidity: 30_000 };

fn driver(options: Json) -> Result<Arc<dyn Driver>, Vec<OptionProblem>> {
    configure(Model::Bme280, options.as_object().unwrap())
}

fn bmp280(options: Json) -> Result<Arc<dyn Driver>, Vec<OptionProblem>> {
    configure(Model::Bmp280, options.as_object().unwrap())
}

fn on_sim() -> Arc<dyn Driver> {
    driver(json!({"bus": "sim-1"})).unwrap()
}

fn with_device(device: Option<Box<dyn Simulated>>) -> Buses {
    let buses = Buses::new();
    buses.attach("sim-1", 0x76, device).unwrap();
    buses
}

fn values(measured: &[Measured]) -> Vec<f64> {
    measured.iter().map(|one| one.value.as_f64().unwrap()).collect()
}

#[test]
fn the_data_sheets_example_reads_as_in_the_data_sheet() {
    for oversampling in [1, 16] {
        let driver = driver(json!({"bus": "sim-1", "oversampling": oversampling})).unwrap();
        let buses = with_device(Some(Box::new(SimulatedBme280::with_counts(EXAMPLE))));
        let measured = driver.open(&buses).unwrap().read().unwrap();
        let values = values(&measured);
        assert_eq!(values[0], 25.08);
        // Single precision in the crate; the data sheet's double says 1006.5327.
        assert!((values[2] - 1006.53).abs() <= 0.015, "{values:?}");
        assert!((0.0..=100.0).contains(&values[1]));
    }
}

#[test]
fn a_bmp280_reads_the_same_without_humidity() {
    let chip = SimulatedBme280::with_counts(EXAMPLE).with_id(0x58);
    let driver = bmp280(json!({"bus": "sim-1"})).unwrap();
    let values = values(&driver.open(&with_device(Some(Box::new(chip)))).unwrap().read().unwrap());
    assert_eq!(values[0], 25.08);
    assert!(values.len() == 2 && (values[1] - 1006.53).abs() <= 0.015, "{values:?}");

    let simulate = json!({"temperature": {"constant": -12.34}, "pressure": {"constant": 95_000}});
    let driver = bmp280(json!({"bus": "sim-1", "simulate": simulate})).unwrap();
    let measured = driver.open(&Buses::new()).unwrap().read().unwrap();
    for (one, wanted) in measured.iter().zip([-12.34, 950.0]) {
        assert!((one.value.as_f64().unwrap() - wanted).abs() <= 0.021, "{measured:?}");
    }

    let chip = SimulatedBme280::with_counts(EXAMPLE);
    let bme280_there = with_device(Some(Box::new(chip)));
    let error = bmp280(json!({"bus": "sim-1"})).unwrap().open(&bme280_there).err().unwrap().to_string();
    assert!(error.contains("answers as chip 0x60 (a BME280: write driver: bme280)"), "{error}");

    let problems = bmp280(json!({"bus": "sim-1", "simulate": {"humidity": {"constant": 50}}})).unwrap_err();
    assert_eq!(problems[0].key, "simulate.humidity");
}

#[test]
fn configured_air_is_what_is_read() {
    let driver = driver(json!({"bus": "sim-1", "address": "0x77", "simulate": {
        "temperature": {"constant": -12.34}, "humidity": {"constant": 56.7}, "pressure": {"constant": 95_000}
    }}))
    .unwrap();
    let mut device = driver.open(&Buses::new()).unwrap();
    for _ in 0..2 {
        let values = values(&device.read().unwrap());
        for (value, wanted) in values.iter().zip([-12.34, 56.7, 950.0]) {
            assert!((value - wanted).abs() <= 0.021, "{values:?}");
        }
    }
    assert_eq!(driver.attachment(), Attachment::I2c { bus: "sim-1".into(), address: 0x77 });
}

#[test]
fn a_bus_name_alone_is_enough() {
    let values = values(&on_sim().open(&Buses::new()).unwrap().read().unwrap());
    for (value, info) in values.iter().zip(on_sim().quantities()) {
        let (low, high) = info.range.unwrap();
        assert!((low..=high).contains(value), "{} {value}", info.name);
    }
}

fn open_error(buses: &Buses) -> SensorError {
    on_sim().open(buses).err().expect("opening should fail")
}

#[test]
fn nobody_at_the_address_is_no_answer() {
    let error = open_error(&with_device(None));
    assert_eq!(error, SensorError::NoAnswer { bus: "sim-1".into(), address: 0x76 });
}

#[test]
fn another_chip_is_called_by_its_name() {
    let chip = SimulatedBme280::with_counts(EXAMPLE).with_id(0x58);
    let error = open_error(&with_device(Some(Box::new(chip)))).to_string();
    assert!(error.contains("0x76 on sim-1 answers as chip 0x58 (a BMP280"), "{error}");
}

/// A chip whose fault can be switched while it runs.
fn switchable() -> (Buses, Arc<Mutex<Option<Failure>>>) {
    let fault = Arc::new(Mutex::new(None));
    let chip = Box::new(SimulatedBme280::with_counts(EXAMPLE));
    let switch = Arc::clone(&fault);
    (with_device(Some(Box::new(Faulty::new(chip, move |_| *switch.lock().unwrap())))), fault)
}

#[test]
fn a_part_that_goes_away_and_comes_back_is_read_again() {
    let (buses, fault) = switchable();
    let mut device = on_sim().open(&buses).unwrap();
    device.read().unwrap();
    *fault.lock().unwrap() = Some(Failure::Nack);
    assert_eq!(device.read(), Err(SensorError::NoAnswer { bus: "sim-1".into(), address: 0x76 }));
    *fault.lock().unwrap() = Some(Failure::Hang(Duration::from_millis(1)));
    assert!(matches!(device.read(), Err(SensorError::Bus(_))));
    *fault.lock().unwrap() = None;
    let mut device = on_sim().open(&buses).unwrap();
    assert_eq!(values(&device.read().unwrap())[0], 25.08);
}

#[test]
fn garbage_is_an_error_or_a_possible_value_and_never_a_panic() {
    let (buses, fault) = switchable();
    *fault.lock().unwrap() = Some(Failure::Garbage);
    for _ in 0..20 {
        assert!(matches!(open_error(&buses), SensorError::WrongAnswer(_)));
    }
    *fault.lock().unwrap() = None;
    let mut device = on_sim().open(&buses).unwrap();
    *fault.lock().unwrap() = Some(Failure::Garbage);
    for _ in 0..10 {
        let Ok(measured) = device.read() else { continue };
        for (value, info) in values(&measured).iter().zip(on_sim().quantities()) {
            let (low, high) = info.range.unwrap();
            assert!((low..=high).contains(value), "{} {value}", info.name);
        }
    }
}

#[test]
fn a_chip_that_lost_its_settings_is_not_believed() {
    let (buses, _) = switchable();
    let mut device = on_sim().open(&buses).unwrap();
    device.read().unwrap();
    let mut bus = buses.i2c("sim-1").unwrap();
    bus.write(0x76, &[0xE0, 0xB6]).unwrap();
    let error = device.read().unwrap_err().to_string();
    assert!(error.contains("lost its settings"), "{error}");
}

/// Measures for ever: what its data registers hold is of some time ago.
struct Stuck(SimulatedBme280, u8);

impl Simulated for Stuck {
    fn write(&mut self, bytes: &[u8], now: Duration) -> crate::bus::sim::Answer {
        self.1 = bytes[0];
        self.0.write(bytes, now)
    }

    fn read(&mut self, buffer: &mut [u8], now: Duration) -> crate::bus::sim::Answer {
        self.0.read(buffer, now)?;
        if self.1 == STATUS_REGISTER {
            buffer[0] |= 0b1000;
        }
        Ok(())
    }
}

#[test]
fn a_chip_that_stays_busy_is_not_believed() {
    let chip = Stuck(SimulatedBme280::with_counts(EXAMPLE), 0);
    let buses = with_device(Some(Box::new(chip)));
    let error = on_sim().open(&buses).and_then(|mut device| device.read()).unwrap_err().to_string();
    assert!(error.contains("does not finish its measurement"), "{error}");
}

#[test]
fn values_at_the_end_of_the_range_are_beyond_it() {
    for counts in [
        Counts { temperature: 0xF_FFFF, ..EXAMPLE },
        Counts { temperature: 0, ..EXAMPLE },
        Counts { pressure: 0, ..EXAMPLE },
        Counts { pressure: 0xF_FFFF, ..EXAMPLE },
    ] {
        let buses = with_device(Some(Box::new(SimulatedBme280::with_counts(counts))));
        let error = on_sim().open(&buses).unwrap().read().unwrap_err();
        assert!(error.to_string().contains("is outside"), "{error}");
    }
}

#[test]
fn bad_options_are_all_named() {
    let keys = |options| -> Vec<String> {
        driver(options).expect_err("should be refused").into_iter().map(|problem| problem.key).collect()
    };
    assert_eq!(keys(json!({})), ["bus"]);
    assert_eq!(keys(json!({"bus": "i2c1", "adress": 1})), ["adress", "bus"]);
    assert_eq!(
        keys(json!({"bus": "i2c-1", "address": 0x40, "oversampling": 3, "filter": 5, "simulate": {}})),
        ["address", "oversampling", "filter", "simulate"]
    );
    assert_eq!(
        keys(json!({"bus": "sim-1", "simulate": {"temprature": {}, "humidity": {"constant": "x"}}})),
        ["simulate.humidity", "simulate.temprature"]
    );
    assert_eq!(
        keys(
            json!({"bus": "i2c1", "address": 0x40, "simulate": {"pressure": {"sine": {"min": 3, "max": 2, "period": "1s"}}}})
        ),
        ["bus", "address", "simulate.pressure"]
    );
}

#[test]
fn a_configured_fault_comes_and_goes() {
    let time = Arc::new(Mutex::new(Duration::ZERO));
    let clock = Arc::clone(&time);
    // Every look at the clock takes 10 ms, so that conversions end without waiting for them.
    let buses = Buses::with_clock(crate::bus::sim::Clock::new(move || {
        let mut now = clock.lock().unwrap();
        *now += Duration::from_millis(10);
        *now
    }));
    let fault = json!({"kind": "nack", "after": "1h", "for": "1h"});
    let driver = driver(json!({"bus": "sim-1", "simulate": {"fault": fault}})).unwrap();
    for (hours, works) in [(0, true), (1, false), (2, true)] {
        *time.lock().unwrap() = Duration::from_secs(3600 * hours + 60);
        let result = driver.open(&buses).and_then(|mut device| device.read());
        assert_eq!(result.is_ok(), works, "{hours} h");
    }
}
