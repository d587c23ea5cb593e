//! The driver over the simulated chip, register by register.

use std::sync::Mutex;

use serde_json::json;

use super::*;
use crate::bus::sim::fault::{Fault as Failure, Faulty};
use crate::bus::sim::{Answer, Simulated};

fn driver(options: Json) -> Result<Arc<dyn Driver>, Vec<OptionProblem>> {
    configure(options.as_object().unwrap())
}

fn on_sim() -> Arc<dyn Driver> {
    driver(json!({"bus": "sim-1"})).unwrap()
}

fn values(measured: &[Measured]) -> Vec<f64> {
    measured.iter().map(|one| one.value.as_f64().unwrap()).collect()
}

fn with_device(device: Option<Box<dyn Simulated>>) -> Buses {
    let buses = Buses::new();
    buses.attach("sim-1", 0x40, device).unwrap();
    buses
}

fn supply(voltage: f64, current: f64, shunt: f64) -> SimulatedIna219 {
    SimulatedIna219::new(Scenario::Constant(voltage), Scenario::Constant(current), shunt)
}

#[test]
fn the_data_sheets_example_reads_as_in_the_data_sheet() {
    // Section 8.5.2: 10 A through 2 mΩ at 11.98 V is 119.8 W.
    let driver = driver(json!({"bus": "sim-1", "shunt": 0.002})).unwrap();
    let buses = with_device(Some(Box::new(supply(11.98, 10.0, 0.002))));
    let mut device = driver.open(&buses).unwrap();
    for _ in 0..2 {
        assert_eq!(values(&device.read().unwrap()), [11.98, 10.0, 119.8]);
    }
}

#[test]
fn the_configured_supply_is_what_is_read() {
    for (volts, amperes, samples) in [(5.0, -0.5, 1), (12.0, 3.1999, 2), (0.0, 0.0, 16), (26.0, 0.0001, 1)] {
        let options = json!({"bus": "sim-1", "address": "0x4f", "samples": samples,
            "simulate": {"voltage": {"constant": volts}, "current": {"constant": amperes}}});
        let read = driver(options).unwrap().open(&Buses::new()).unwrap().read().unwrap();
        let read = values(&read);
        let power = volts * amperes;
        assert_eq!(read[0], volts);
        assert!((read[1] - amperes).abs() < 1e-9 && (read[2] - power).abs() < 1e-6, "{read:?}");
    }
}

#[test]
fn a_bus_name_alone_is_enough() {
    let values = values(&on_sim().open(&Buses::new()).unwrap().read().unwrap());
    for (value, info) in values.iter().zip(on_sim().quantities()) {
        let (low, high) = info.range.unwrap();
        assert!((low..=high).contains(value), "{} {value}", info.name);
    }
}

#[test]
fn nobody_at_the_address_is_no_answer() {
    let error = on_sim().open(&with_device(None)).err();
    assert_eq!(error, Some(SensorError::NoAnswer { bus: "sim-1".into(), address: 0x40 }));
}

#[test]
fn a_current_beyond_the_shunt_is_an_error() {
    for amperes in [4.0, -4.0] {
        let buses = with_device(Some(Box::new(supply(5.0, amperes, 0.1))));
        let error = on_sim().open(&buses).unwrap().read().unwrap_err().to_string();
        assert!(error.contains("beyond ±320 mV: more than 3.200 A"), "{error}");
    }
}

#[test]
fn faults_are_errors_and_pass() {
    let fault = Arc::new(Mutex::new(None));
    let when = Arc::clone(&fault);
    let device = Faulty::new(Box::new(supply(5.0, 1.0, 0.1)), move |_| *when.lock().unwrap());
    let buses = with_device(Some(Box::new(device)));
    let mut device = on_sim().open(&buses).unwrap();

    *fault.lock().unwrap() = Some(Failure::Nack);
    assert_eq!(device.read(), Err(SensorError::NoAnswer { bus: "sim-1".into(), address: 0x40 }));
    *fault.lock().unwrap() = Some(Failure::Hang(Duration::from_millis(1)));
    assert!(matches!(device.read(), Err(SensorError::Bus(_))));
    *fault.lock().unwrap() = Some(Failure::Garbage);
    for _ in 0..10 {
        assert!(matches!(device.read(), Err(SensorError::WrongAnswer(_))));
        assert!(matches!(on_sim().open(&buses).err(), Some(SensorError::WrongAnswer(_))));
    }
    *fault.lock().unwrap() = None;
    assert_eq!(values(&device.read().unwrap()), [5.0, 1.0, 5.0]);
}

/// Keeps its configuration, and is never ready.
struct Busy([u8; 2]);

impl Simulated for Busy {
    fn write(&mut self, bytes: &[u8], _: Duration) -> Answer {
        if let [CONFIG, high, low] = *bytes {
            self.0 = [high, low];
        }
        Ok(())
    }

    fn read(&mut self, buffer: &mut [u8], _: Duration) -> Answer {
        buffer.copy_from_slice(&[self.0[0], self.0[1] & !0b10]);
        Ok(())
    }
}

#[test]
fn a_chip_that_stays_busy_is_given_up() {
    let settings = u16::from_be_bytes([0x3C, 0x41]);
    let mut chip = Opened {
        bus: with_device(Some(Box::new(Busy([0; 2])))).i2c("sim-1").unwrap(),
        address: 0x40,
        shunt: 0.1,
        settings,
        conversion_time: Duration::from_millis(1),
    };
    let error = chip.read().unwrap_err().to_string();
    assert!(error.contains("does not finish its conversion"), "{error}");
}

#[test]
fn a_chip_that_was_reset_is_not_believed() {
    let buses = with_device(Some(Box::new(supply(5.0, 1.0, 0.1))));
    let mut device = Opened {
        bus: buses.i2c("sim-1").unwrap(),
        address: 0x40,
        shunt: 0.1,
        settings: 0x399F,
        conversion_time: Duration::from_millis(1),
    };
    device.check_settings().unwrap();
    device.settings = 0x3C43;
    let error = device.check_settings().unwrap_err().to_string();
    assert!(error.contains("configuration reads 0x399f") && error.contains("its supply dropped"), "{error}");
}

#[test]
fn bad_options_are_all_named() {
    let keys = |options: Json| -> Vec<String> {
        driver(options).expect_err("should be refused").into_iter().map(|problem| problem.key).collect()
    };
    let bad = json!({"bus": "i2c-1", "address": 0x76, "shunt": 0, "samples": 3, "simulate": {}});
    assert_eq!(keys(bad), ["address", "shunt", "samples", "simulate"]);
    assert_eq!(
        keys(json!({"shunt": -1, "bus": "sim-1", "simulate": {"voltage": 1}})),
        ["shunt", "simulate.voltage"]
    );
    assert_eq!(keys(json!({})), ["bus"]);
}
