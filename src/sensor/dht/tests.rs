//! Over a simulated part on a simulated pin.

use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::json;

use super::*;
use crate::bus::sim::dht::edges;

fn driver(model: &'static Model, options: &Json) -> Result<Arc<dyn Driver>, Vec<OptionProblem>> {
    configure(options.as_object().unwrap(), model)
}

fn on_sim() -> Json {
    json!({"pin": 4, "bus": "gpio-sim"})
}

fn values(sample: &[Measured]) -> Vec<f64> {
    sample.iter().map(|measured| measured.value.as_f64().unwrap()).collect()
}

#[test]
fn both_parts_read_the_air_around_them() {
    for (model, temperature, humidity) in [
        (&MODEL_22, 35.1, 65.2),
        (&MODEL_22, -10.1, 0.0),
        (&MODEL_22, 0.0, 100.0),
        (&MODEL_11, 24.4, 53.0),
        (&MODEL_11, -5.2, 20.0),
    ] {
        let mut options = on_sim();
        options["simulate"] =
            json!({"temperature": {"constant": temperature}, "humidity": {"constant": humidity}});
        let mut device = driver(model, &options).unwrap().open(&Buses::new()).unwrap();
        assert_eq!(values(&device.read().unwrap()), [temperature, humidity], "{}", model.name);
        assert_eq!(device.read().unwrap(), [], "asked again too soon, it is left alone");
    }
}

#[test]
fn nobody_on_the_wire_is_an_error_at_once() {
    let buses = Buses::new();
    buses.simulated_pins().attach(4, Vec::new);
    let mut device = driver(&MODEL_22, &on_sim()).unwrap().open(&buses).unwrap();
    let error = device.read().unwrap_err().to_string();
    assert_eq!(error, "the dht22 on pin 4 of gpio-sim does not answer: check wiring, power and pin number");
}

/// The next attempt after a failure comes within a second: to a DHT22 that is too soon, and it fails again.
#[test]
fn after_a_failure_too_it_is_left_alone_for_its_time() {
    let buses = Buses::new();
    buses.simulated_pins().attach(4, Vec::new);
    let driver = driver(&MODEL_22, &on_sim()).unwrap();
    assert!(driver.open(&buses).unwrap().read().is_err());
    assert_eq!(driver.open(&buses).unwrap().read(), Ok(vec![]));
}

/// No waiting between two questions.
static HASTY: Model = Model {
    name: "hasty",
    decode: decode::dht22,
    simulated: Kind::Dht22,
    low: Duration::ZERO,
    gap: Duration::ZERO,
    temperature: (-40.0, 80.0),
};

#[test]
fn a_few_garbled_answers_are_passed_over_and_then_they_are_an_error() {
    let buses = Buses::new();
    let asked = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&asked);
    // Good, two bad ones, good, and bad from then on.
    buses.simulated_pins().attach(4, move || match count.fetch_add(1, Ordering::SeqCst) {
        0 | 3 => edges([0x02, 0x8C, 0x01, 0x5F, 0xEE]),
        1 => edges([0x02, 0x8C, 0x01, 0x5F, 0x00]),
        _ => edges([0x02, 0x8C, 0x01, 0x5F, 0xEE])[..50].to_vec(),
    });
    let mut device = driver(&HASTY, &on_sim()).unwrap().open(&buses).unwrap();
    let answers: Vec<usize> = (0..6).map(|_| device.read().unwrap().len()).collect();
    assert_eq!(answers, [2, 0, 0, 2, 0, 0]);
    let error = device.read().unwrap_err().to_string();
    assert!(error.contains("bits of 40") && error.contains("dtoverlay=dht11"), "{error}");
}

/// With an interval of the gap itself, every other reading came a little too soon and was passed over.
#[test]
fn a_reading_that_comes_some_milliseconds_early_is_taken() {
    let buses = Buses::new();
    let mut device = driver(&MODEL_11, &on_sim()).unwrap().open(&buses).unwrap();
    assert_eq!(device.read().unwrap().len(), 2);
    std::thread::sleep(MODEL_11.gap - Duration::from_millis(45));
    assert_eq!(device.read().unwrap().len(), 2);
}

#[test]
fn another_simulated_part_takes_the_place_of_the_one_before() {
    let buses = Buses::new();
    let read = |model: &'static Model, celsius: f64| {
        let mut options = on_sim();
        options["simulate"] = json!({"temperature": {"constant": celsius}});
        values(&driver(model, &options).unwrap().open(&buses).unwrap().read().unwrap())[0]
    };
    // As after a reload: the buses stay, the configuration is another.
    assert_eq!(read(&MODEL_22, 35.1), 35.1);
    assert_eq!(read(&MODEL_22, -10.1), -10.1);
    assert_eq!(read(&MODEL_11, 24.4), 24.4);
}

#[test]
fn bad_options_are_all_named() {
    let keys = |options: Json| -> Vec<String> {
        driver(&MODEL_11, &options).expect_err("should be refused").into_iter().map(|p| p.key).collect()
    };
    assert_eq!(keys(json!({})), ["pin"]);
    assert_eq!(keys(json!({"pin": 4, "simulate": {}})), ["simulate"]);
    assert_eq!(keys(json!({"pin": 4, "bus": "i2c-1"})), ["bus"]);
}
