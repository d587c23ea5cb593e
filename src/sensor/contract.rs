//! What every driver of a part on I2C keeps to, whatever the part: one suite over all of them that know a
//! simulated bus.

use std::time::Duration;

use serde_json::json;

use super::registry::{DriverKind, registry};
use super::testing::{Switch, driver, switchable};
use super::{Attachment, Driver, SensorError};
use crate::bus::Buses;
use crate::bus::sim::fault::Fault;
use crate::bus::sim::{Answer, Simulated};
use crate::reading::Measured;

/// Every driver that is content with a simulated bus.
fn on_simulated_bus() -> Vec<&'static DriverKind> {
    let options = json!({"bus": "sim-1"});
    let known = |kind: &&DriverKind| (kind.configure)(options.as_object().unwrap()).is_ok();
    let kinds: Vec<_> = registry().iter().filter(known).collect();
    assert!(kinds.len() >= 16, "{kinds:?}");
    kinds
}

/// Runs the test for all of them at once: most of their time is waiting for conversions.
fn each(test: impl Fn(&'static DriverKind) + Sync) {
    std::thread::scope(|scope| {
        for kind in on_simulated_bus() {
            let test = &test;
            scope.spawn(move || test(kind));
        }
    });
}

fn on_sim(kind: &DriverKind) -> (std::sync::Arc<dyn Driver>, u8) {
    let driver = driver(kind, json!({"bus": "sim-1"}));
    let Attachment::I2c { address, .. } = driver.attachment() else { panic!("{} is not on I2C", kind.name) };
    (driver, address)
}

/// The part that the driver itself would simulate, on another bus, reached through a fault to switch.
fn with_switch(driver: &dyn Driver, address: u8) -> (Buses, Switch) {
    struct Relay(crate::bus::I2cBus, u8);
    impl Simulated for Relay {
        fn write(&mut self, bytes: &[u8], _: Duration) -> Answer {
            use embedded_hal::i2c::I2c;
            self.0.write(self.1, bytes).map_err(|_| crate::bus::sim::Refusal::Nack)
        }
        fn read(&mut self, buffer: &mut [u8], _: Duration) -> Answer {
            use embedded_hal::i2c::I2c;
            self.0.read(self.1, buffer).map_err(|_| crate::bus::sim::Refusal::Nack)
        }
    }
    let there = Buses::new();
    drop(driver.open(&there).unwrap());
    let (part, switch) = switchable(Box::new(Relay(there.i2c("sim-1").unwrap(), address)));
    let here = Buses::new();
    here.attach("sim-1", address, Some(part)).unwrap();
    (here, switch)
}

fn in_range(driver: &dyn Driver, measured: &[Measured]) -> Result<(), String> {
    for one in measured {
        let info = &driver.quantities()[one.quantity];
        let value = one.value.as_f64().unwrap();
        let (low, high) = info.range.ok_or_else(|| format!("{} has no range", info.name))?;
        if !(low..=high).contains(&value) {
            return Err(format!("{} {value}", info.name));
        }
    }
    Ok(())
}

#[test]
fn a_bus_name_alone_is_enough_and_readings_are_possible_ones() {
    each(|kind| {
        let (driver, _) = on_sim(kind);
        let mut device = driver.open(&Buses::new()).unwrap_or_else(|error| panic!("{}: {error}", kind.name));
        for _ in 0..2 {
            let measured = device.read().unwrap_or_else(|error| panic!("{}: {error}", kind.name));
            // A part whose first value takes seconds may have none yet.
            let whole = measured.is_empty() || measured.len() == driver.quantities().len();
            assert!(whole, "{}: {measured:?}", kind.name);
            in_range(&*driver, &measured).unwrap_or_else(|why| panic!("{}: {why}", kind.name));
        }
    });
}

#[test]
fn an_empty_address_is_no_answer() {
    each(|kind| {
        let (driver, address) = on_sim(kind);
        let buses = Buses::new();
        buses.attach("sim-1", address, None).unwrap();
        let error = driver.open(&buses).and_then(|mut device| device.read()).unwrap_err();
        assert_eq!(error, SensorError::NoAnswer { bus: "sim-1".into(), address }, "{}", kind.name);
    });
}

#[test]
fn a_part_that_goes_away_hangs_and_comes_back_is_read_again() {
    each(|kind| {
        let (driver, address) = on_sim(kind);
        let (buses, fault) = with_switch(&*driver, address);
        let mut device = driver.open(&buses).unwrap_or_else(|error| panic!("{}: {error}", kind.name));
        device.read().unwrap_or_else(|error| panic!("{}: {error}", kind.name));
        *fault.lock().unwrap() = Some(Fault::Nack);
        let error = device.read().unwrap_err();
        assert_eq!(error, SensorError::NoAnswer { bus: "sim-1".into(), address }, "{}", kind.name);
        *fault.lock().unwrap() = Some(Fault::Hang(Duration::from_millis(1)));
        assert!(matches!(device.read(), Err(SensorError::Bus(_))), "{}", kind.name);
        assert!(matches!(driver.open(&buses).and_then(|mut device| device.read()), Err(SensorError::Bus(_))));
        *fault.lock().unwrap() = None;
        let again = driver.open(&buses).and_then(|mut device| device.read());
        again.unwrap_or_else(|error| panic!("{}: {error}", kind.name));
    });
}

#[test]
fn garbage_is_an_error_or_a_possible_value_and_never_a_panic() {
    each(|kind| {
        let (driver, address) = on_sim(kind);
        let (buses, fault) = with_switch(&*driver, address);
        let mut device = driver.open(&buses).unwrap_or_else(|error| panic!("{}: {error}", kind.name));
        *fault.lock().unwrap() = Some(Fault::Garbage);
        for _ in 0..5 {
            if let Ok(measured) = device.read() {
                in_range(&*driver, &measured).unwrap_or_else(|why| panic!("{}: {why}", kind.name));
            }
            // Opening may succeed with a chip that says nothing of itself; reading must keep to the range.
            if let Ok(measured) = driver.open(&buses).and_then(|mut device| device.read()) {
                in_range(&*driver, &measured).unwrap_or_else(|why| panic!("{}: {why}", kind.name));
            }
        }
    });
}

#[test]
fn simulation_is_refused_on_a_real_bus_and_its_keys_are_checked() {
    for kind in on_simulated_bus() {
        let refused = |options: serde_json::Value| -> Vec<String> {
            let problems = (kind.configure)(options.as_object().unwrap()).expect_err(kind.name);
            problems.into_iter().map(|problem| problem.key).collect()
        };
        assert_eq!(refused(json!({"bus": "i2c-1", "simulate": {}})), ["simulate"], "{}", kind.name);
        assert_eq!(refused(json!({"bus": "sim-1", "simulate": {"x": 1}})), ["simulate.x"], "{}", kind.name);
    }
}

#[test]
fn configured_faults_are_simulated() {
    each(|kind| {
        let failure = |fault: serde_json::Value| {
            let driver = driver(kind, json!({"bus": "sim-1", "simulate": {"fault": fault}}));
            driver.open(&Buses::new()).and_then(|mut device| device.read())
        };
        let nack = failure(json!({"kind": "nack", "rate": 1})).unwrap_err();
        assert!(matches!(nack, SensorError::NoAnswer { .. }), "{}: {nack}", kind.name);
        let hang = failure(json!({"kind": "hang"})).unwrap_err();
        assert!(matches!(hang, SensorError::Bus(_)), "{}: {hang}", kind.name);
        if WITH_CHECKSUM.contains(&kind.name) {
            let noise = failure(json!({"kind": "bit-error"})).unwrap_err().to_string();
            assert!(noise.contains("checksum") || noise.contains("CRC"), "{}: {noise}", kind.name);
        }
    });
}

/// Parts that send one with their values.
const WITH_CHECKSUM: [&str; 3] = ["sht3x", "sht4x", "scd4x"];

#[test]
fn what_was_recorded_plays_back_through_the_driver() {
    each(|kind| {
        let file = tempfile::NamedTempFile::new().unwrap();
        let readings = |bus: &str, buses: &Buses| -> Vec<Vec<Measured>> {
            let mut device = driver(kind, json!({"bus": bus})).open(buses).unwrap();
            let mut read = || {
                buses.mark_reading();
                device.read().unwrap_or_else(|error| panic!("{} on {bus}: {error}", kind.name))
            };
            (0..3).map(|_| read()).collect()
        };
        let recorded = readings("sim-1", &Buses::recorded_to(file.path()).unwrap());
        let replayed = readings(&format!("replay:{}", file.path().display()), &Buses::new());
        assert_eq!(recorded, replayed, "{}", kind.name);
    });
}
