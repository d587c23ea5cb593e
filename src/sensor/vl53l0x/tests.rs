//! The driver and the real `vl53l0x` crate over the simulated bus.

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

fn with_device(device: Option<Box<dyn Simulated>>) -> Buses {
    let buses = Buses::new();
    buses.attach("sim-1", 0x29, device).unwrap();
    buses
}

fn before(millimetres: f64) -> SimulatedVl53l0x {
    SimulatedVl53l0x::new(Scenario::Constant(millimetres))
}

fn found(distance: Option<i64>) -> Vec<Measured> {
    let distance = distance.map(|distance| Measured { quantity: 0, value: Value::Integer(distance) });
    let seen = Measured { quantity: 1, value: Value::Bool(distance.is_some()) };
    distance.into_iter().chain([seen]).collect()
}

#[test]
fn a_distance_is_read_and_nothing_there_is_no_distance() {
    for (millimetres, expected) in [(20, Some(20)), (1234, Some(1234)), (2000, Some(2000)), (3000, None)] {
        let options = json!({"bus": "sim-1", "simulate": {"distance": {"constant": millimetres}}});
        let mut device = driver(options).unwrap().open(&Buses::new()).unwrap();
        for _ in 0..2 {
            assert_eq!(device.read(), Ok(found(expected)));
        }
    }
}

#[test]
fn a_bus_name_alone_is_enough() {
    assert_eq!(on_sim().open(&Buses::new()).unwrap().read().unwrap().len(), 2);
}

#[test]
fn nobody_and_somebody_else_are_told_apart() {
    let error = on_sim().open(&with_device(None)).err();
    assert_eq!(error, Some(SensorError::NoAnswer { bus: "sim-1".into(), address: 0x29 }));
    let error = on_sim().open(&with_device(Some(Box::new(Stuck { id: 0x12, status: 0 })))).err().unwrap();
    assert!(error.to_string().contains("answers as chip 0x12"), "{error}");
}

/// Has an id, and the same in every other register.
struct Stuck {
    id: u8,
    status: u8,
}

impl Simulated for Stuck {
    fn write(&mut self, _: &[u8], _: Duration) -> Answer {
        Ok(())
    }

    fn read(&mut self, buffer: &mut [u8], _: Duration) -> Answer {
        buffer.fill(self.id);
        self.id = if self.status == 0 { self.id } else { 0 };
        Ok(())
    }
}

#[test]
fn a_chip_that_is_never_ready_is_given_up() {
    let device = Stuck { id: 0xEE, status: 1 };
    let error = on_sim().open(&with_device(Some(Box::new(device)))).err().unwrap().to_string();
    assert!(error.contains("does not finish its measurement"), "{error}");

    // And once it is open.
    let buses = with_device(Some(Box::new(before(500.0))));
    let mut device = on_sim().open(&buses).unwrap();
    buses.attach("sim-1", 0x29, Some(Box::new(Stuck { id: 0, status: 1 }))).unwrap();
    let error = device.read().unwrap_err().to_string();
    assert!(error.contains("does not finish its measurement"), "{error}");
}

/// Says yes to being asked, and never that it is ready; counts the questions.
struct Silent(Arc<AtomicU32>);

impl Simulated for Silent {
    fn write(&mut self, _: &[u8], _: Duration) -> Answer {
        Ok(())
    }

    fn read(&mut self, buffer: &mut [u8], _: Duration) -> Answer {
        self.0.fetch_add(1, Ordering::Relaxed);
        buffer.fill(0);
        Ok(())
    }
}

/// Or the bus is called hung, and nobody says which part of it does not finish.
#[test]
fn it_is_given_up_before_the_timeout_on_a_bus_of_100_khz() {
    let buses = with_device(Some(Box::new(before(500.0))));
    let mut device = driver(json!({"bus": "sim-1", "budget": 1000})).unwrap().open(&buses).unwrap();
    let asked = Arc::new(AtomicU32::new(0));
    buses.attach("sim-1", 0x29, Some(Box::new(Silent(Arc::clone(&asked))))).unwrap();
    device.read().unwrap_err();
    // A question is 39 bits, and a thread that sleeps is called 50 µs late.
    let on_the_bus = PAUSE + Duration::from_micros(390 + 50);
    let asked = asked.load(Ordering::Relaxed);
    assert!(asked * on_the_bus < Duration::from_secs(4), "{asked} questions");
}

#[test]
fn faults_are_errors_and_pass() {
    let fault = Arc::new(Mutex::new(None));
    let when = Arc::clone(&fault);
    let buses =
        with_device(Some(Box::new(Faulty::new(Box::new(before(500.0)), move |_| *when.lock().unwrap()))));
    let mut device = on_sim().open(&buses).unwrap();
    *fault.lock().unwrap() = Some(Failure::Nack);
    assert_eq!(device.read(), Err(SensorError::NoAnswer { bus: "sim-1".into(), address: 0x29 }));
    *fault.lock().unwrap() = Some(Failure::Hang(Duration::from_millis(1)));
    assert!(matches!(device.read(), Err(SensorError::Bus(_))));
    *fault.lock().unwrap() = None;
    assert_eq!(device.read(), Ok(found(Some(500))));
}

#[test]
fn bad_options_are_all_named() {
    let keys = |options: Json| -> Vec<String> {
        driver(options).expect_err("should be refused").into_iter().map(|problem| problem.key).collect()
    };
    let bad = json!({"bus": "i2c-1", "address": 0x30, "budget": 10, "simulate": {}});
    assert_eq!(keys(bad), ["address", "budget", "simulate"]);
    assert_eq!(keys(json!({})), ["bus"]);
}
