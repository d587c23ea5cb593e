//! The driver over the simulated chip, bit by bit.

use std::sync::Mutex;

use serde_json::json;

use super::*;
use crate::bus::sim::fault::{Fault as Failure, Faulty};
use crate::bus::sim::{Answer, Simulated};

const SELECT: SpiName = SpiName::Sim(0, 0);

fn driver(options: Json) -> Result<Arc<dyn Driver>, Vec<OptionProblem>> {
    configure(options.as_object().unwrap())
}

fn on_sim() -> Arc<dyn Driver> {
    driver(json!({"bus": "sim-0.0"})).unwrap()
}

fn with_device(device: Option<Box<dyn Simulated>>) -> Buses {
    let buses = Buses::new();
    buses.attach_spi(SELECT, device);
    buses
}

fn values(measured: &[Measured]) -> Vec<f64> {
    measured.iter().map(|one| one.value.as_f64().unwrap()).collect()
}

fn chip(volts: [f64; 8]) -> SimulatedMcp3008 {
    SimulatedMcp3008::new(volts.map(Scenario::Constant), 3.3)
}

#[test]
fn every_code_is_its_voltage() {
    for code in 0..1024u32 {
        let volts = (f64::from(code) + 0.5) * 3.3 / 1024.0;
        let buses = with_device(Some(Box::new(chip([volts; 8]))));
        let driver = driver(json!({"bus": "sim-0.0", "channels": ["ch6"]})).unwrap();
        let read = values(&driver.open(&buses).unwrap().read().unwrap())[0];
        assert!((read - f64::from(code) * 3.3 / 1024.0).abs() < 6e-5, "{code}: {read}");
    }
}

#[test]
fn inputs_and_differences_are_the_named_ones() {
    let steps = [100.0, 300.2, 1000.2, 0.0, 1.0, 2.0, 512.0, 2000.0];
    let volts = steps.map(|step| (step + 0.5) * 3.3 / 1024.0);
    let read = |channels: Json| {
        let driver = driver(json!({"bus": "sim-0.0", "channels": channels})).unwrap();
        let read = driver.open(&with_device(Some(Box::new(chip(volts))))).unwrap().read().unwrap();
        values(&read).iter().map(|volts| (volts / 3.3 * 1024.0).round()).collect::<Vec<_>>()
    };
    let all = ["ch0", "ch1", "ch2", "ch3", "ch4", "ch5", "ch6", "ch7"];
    assert_eq!(read(json!(all)), [100.0, 300.0, 1000.0, 0.0, 1.0, 2.0, 512.0, 1023.0]);
    assert_eq!(read(json!(["ch1-ch0", "ch0-ch1", "ch2-ch3", "ch7-ch6"])), [200.0, 0.0, 1000.0, 1023.0]);
    let driver = driver(json!({"bus": "sim-0.0", "channels": ["ch3-ch2", "ch4"]})).unwrap();
    let names: Vec<_> = driver.quantities().iter().map(|info| info.name.as_str()).collect();
    assert_eq!(names, ["ch3_ch2", "ch4"]);
}

#[test]
fn a_bus_name_alone_is_enough_and_a_scenario_is_followed() {
    assert_eq!(on_sim().open(&Buses::new()).unwrap().read().unwrap().len(), 8);
    let options = json!({"bus": "sim-0.1", "reference": 5, "channels": ["ch2"],
        "simulate": {"ch2": {"constant": 2.5}}});
    assert_eq!(values(&driver(options).unwrap().open(&Buses::new()).unwrap().read().unwrap()), [2.5]);
}

/// The same byte for ever.
struct Stuck(u8);

impl Simulated for Stuck {
    fn write(&mut self, _: &[u8], _: Duration) -> Answer {
        Ok(())
    }

    fn read(&mut self, buffer: &mut [u8], _: Duration) -> Answer {
        buffer.fill(self.0);
        Ok(())
    }
}

#[test]
fn nothing_there_and_noise_are_errors() {
    let error = |buses: &Buses| on_sim().open(buses).unwrap().read().unwrap_err().to_string();
    assert!(error(&with_device(None)).contains("MCP3008 on sim-0.0: nothing answers"));
    assert!(error(&with_device(Some(Box::new(Stuck(0xAA))))).contains("two answers to one question differ"));
}

#[test]
fn faults_are_errors_and_pass() {
    let fault = Arc::new(Mutex::new(None));
    let when = Arc::clone(&fault);
    let buses =
        with_device(Some(Box::new(Faulty::new(Box::new(chip([1.65; 8])), move |_| *when.lock().unwrap()))));
    let mut device = on_sim().open(&buses).unwrap();
    *fault.lock().unwrap() = Some(Failure::Nack);
    assert!(matches!(device.read(), Err(SensorError::WrongAnswer(_))));
    *fault.lock().unwrap() = Some(Failure::Hang(Duration::from_millis(1)));
    assert!(matches!(device.read(), Err(SensorError::Bus(_))));
    *fault.lock().unwrap() = Some(Failure::Garbage);
    for _ in 0..100 {
        assert!(matches!(device.read(), Err(SensorError::WrongAnswer(_))));
    }
    *fault.lock().unwrap() = None;
    assert_eq!(values(&device.read().unwrap()), [1.65; 8]);
}

#[test]
fn bad_options_are_all_named() {
    let keys = |options: Json| -> Vec<String> {
        driver(options).expect_err("should be refused").into_iter().map(|problem| problem.key).collect()
    };
    let bad = json!({"bus": "spi-0.0", "channels": ["ch0-ch2"], "reference": 12, "clock": 1, "simulate": {}});
    assert_eq!(keys(bad), ["channels", "reference", "clock", "simulate"]);
    assert_eq!(keys(json!({"bus": "spi-0"})), ["bus"]);
    for channels in [json!([]), json!(["ch8"]), json!(["ch1", "ch1"]), json!(["a0"])] {
        assert_eq!(keys(json!({"bus": "spi-0.0", "channels": channels})), ["channels"]);
    }
}
