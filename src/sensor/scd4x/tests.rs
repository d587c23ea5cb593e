//! The driver over the simulated chip, with a clock that moves when somebody sleeps.

use std::cell::Cell;
use std::sync::Mutex;

use serde_json::json;

use super::*;
use crate::bus::sim::fault::{Fault as Failure, Faulty};
use crate::bus::sim::{Answer, Simulated};

thread_local! {
    /// ms; each test has a thread, and everything of a test runs in it.
    static NOW: Cell<u64> = const { Cell::new(0) };
}

fn sleep(time: Duration) {
    NOW.set(NOW.get() + u64::try_from(time.as_millis()).unwrap());
}

fn clock() -> Clock {
    Clock::new(|| Duration::from_millis(NOW.get()))
}

fn driver(options: Json) -> Result<Scd4x, Vec<OptionProblem>> {
    checked(options.as_object().unwrap(), Time { clock: clock(), sleep })
}

fn on_sim() -> Scd4x {
    driver(json!({"bus": "sim-1"})).unwrap()
}

fn buses(device: Option<Box<dyn Simulated>>) -> Buses {
    let buses = Buses::with_clock(clock());
    buses.attach("sim-1", 0x62, device).unwrap();
    buses
}

fn air(co2: f64) -> SimulatedScd4x {
    let [co2, temperature, humidity] = [co2, 25.0, 37.0].map(Scenario::Constant);
    SimulatedScd4x::new(co2, temperature, humidity)
}

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn the_first_value_comes_after_five_seconds_and_then_each_once() {
    for chip in [air(500.0), air(500.0).left_measuring()] {
        let buses = buses(Some(Box::new(chip)));
        let mut device = on_sim().open(&buses).unwrap();
        assert_eq!(device.read(), Ok(vec![]));
        sleep(4 * SECOND);
        assert_eq!(device.read(), Ok(vec![]));
        sleep(SECOND);
        // Section 3.5.2.
        let expected = [Value::Integer(500), Value::Float(25.0), Value::Float(37.0)];
        let measured = device.read().unwrap();
        assert_eq!(
            measured.iter().map(|one| &one.value).collect::<Vec<_>>(),
            expected.iter().collect::<Vec<_>>()
        );
        assert_eq!(device.read(), Ok(vec![]));
        sleep(5 * SECOND);
        assert_eq!(device.read().unwrap().len(), 3);
    }
}

#[test]
fn settings_reach_the_chip_and_low_power_is_slower() {
    let options = json!({"bus": "sim-1", "altitude": 1950, "temperature_offset": 5.4, "self_calibration": false,
        "low_power": true, "simulate": {"co2": {"constant": 700}}});
    let driver = driver(options).unwrap();
    // Sections 3.6.1 and 3.6.3 write 5.4 °C as 0x07E6 and 1950 m as 0x079E.
    let expected =
        Settings { altitude: 0x079E, temperature_offset: 0x07E6, self_calibration: 0, low_power: true };
    assert_eq!(driver.settings, expected);
    let buses = Buses::with_clock(clock());
    let mut device = driver.open(&buses).unwrap();
    sleep(29 * SECOND);
    assert_eq!(device.read(), Ok(vec![]));
    sleep(2 * SECOND);
    assert_eq!(device.read().unwrap()[0].value, Value::Integer(700));
}

#[test]
fn no_co2_is_no_measurement() {
    let buses = buses(Some(Box::new(air(0.0))));
    let mut device = on_sim().open(&buses).unwrap();
    sleep(6 * SECOND);
    let quantities: Vec<_> = device.read().unwrap().iter().map(|one| one.quantity).collect();
    assert_eq!(quantities, [1, 2]);
}

#[test]
fn nobody_at_the_address_is_no_answer() {
    let error = on_sim().open(&buses(None)).err();
    assert_eq!(error, Some(SensorError::NoAnswer { bus: "sim-1".into(), address: 0x62 }));
}

#[test]
fn a_chip_that_never_has_anything_is_given_up() {
    let mut device = on_sim().open(&buses(Some(Box::new(air(500.0))))).unwrap();
    // Its supply dropped: it rests, and answers.
    let idle = buses(Some(Box::new(air(500.0))));
    let mut chip = on_sim().opened(&idle).unwrap();
    idle.attach("sim-1", 0x62, Some(Box::new(air(500.0)))).unwrap();
    sleep(15 * SECOND);
    assert_eq!(chip.read(), Ok(vec![]));
    sleep(SECOND);
    let error = chip.read().unwrap_err().to_string();
    assert!(error.contains("measured nothing for three times 5 s"), "{error}");
    assert_eq!(device.read().unwrap().len(), 3, "the other one goes on");
}

#[test]
fn faults_are_errors_and_pass() {
    let fault = Arc::new(Mutex::new(None));
    let when = Arc::clone(&fault);
    let buses = buses(Some(Box::new(Faulty::new(Box::new(air(500.0)), move |_| *when.lock().unwrap()))));
    let mut device = on_sim().open(&buses).unwrap();
    *fault.lock().unwrap() = Some(Failure::Nack);
    assert_eq!(device.read(), Err(SensorError::NoAnswer { bus: "sim-1".into(), address: 0x62 }));
    *fault.lock().unwrap() = Some(Failure::Hang(Duration::from_millis(1)));
    assert!(matches!(device.read(), Err(SensorError::Bus(_))));
    assert!(matches!(on_sim().open(&buses).err(), Some(SensorError::Bus(_))));
    *fault.lock().unwrap() = Some(Failure::Garbage);
    let mut wrong = 0;
    for _ in 0..50 {
        wrong += usize::from(matches!(on_sim().open(&buses).err(), Some(SensorError::WrongAnswer(_))));
    }
    assert_eq!(wrong, 50, "three CRCs in a row");
    *fault.lock().unwrap() = None;
    let mut device = on_sim().open(&buses).unwrap();
    sleep(6 * SECOND);
    assert_eq!(device.read().unwrap().len(), 3);
}

/// One bit of every answer turned round.
struct Flipped(SimulatedScd4x);

impl Simulated for Flipped {
    fn write(&mut self, bytes: &[u8], now: Duration) -> Answer {
        self.0.write(bytes, now)
    }

    fn read(&mut self, buffer: &mut [u8], now: Duration) -> Answer {
        self.0.read(buffer, now)?;
        buffer[1] ^= 0x10;
        Ok(())
    }
}

#[test]
fn a_wrong_crc_is_an_error() {
    let error = on_sim().open(&buses(Some(Box::new(Flipped(air(500.0)))))).err().unwrap().to_string();
    assert!(error.contains("CRC of its answer is wrong"), "{error}");
    // Section 3.11.
    assert_eq!(crc([0xBE, 0xEF]), 0x92);
}

#[test]
fn bad_options_are_all_named() {
    let keys = |options: Json| -> Vec<String> {
        configure(options.as_object().unwrap())
            .expect_err("should be refused")
            .into_iter()
            .map(|problem| problem.key)
            .collect()
    };
    let bad =
        json!({"bus": "i2c-1", "address": 0x61, "altitude": 4000, "temperature_offset": -1, "simulate": {}});
    assert_eq!(keys(bad), ["address", "altitude", "temperature_offset", "simulate"]);
    assert_eq!(keys(json!({})), ["bus"]);
}
