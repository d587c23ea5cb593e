//! Over simulated pins, whose edges the test places in time.

use serde_json::json;

use super::*;

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn configured(options: &Json) -> Result<Arc<dyn Driver>, Vec<OptionProblem>> {
    configure(options.as_object().unwrap())
}

fn rain() -> Json {
    json!({"pin": 6, "bus": "gpio-sim", "per_pulse": 0.2794, "unit": "mm", "debounce": "10ms"})
}

fn total(device: &mut dyn Device) -> f64 {
    device.read().unwrap()[0].value.as_f64().unwrap()
}

/// So many pulses, each of 20 ms, 100 ms apart; answers when the last has settled.
fn pulses(buses: &Buses, count: u64) -> Duration {
    let start = monotonic();
    for pulse in 0..count {
        let at = start + ms(pulse * 100);
        buses.simulated_pins().set(6, false, at);
        buses.simulated_pins().set(6, true, at + ms(20));
    }
    start + ms(count * 100)
}

#[test]
fn every_pulse_counts_once_whatever_it_bounces() {
    let buses = Buses::new();
    let mut gauge = configured(&rain()).unwrap().open(&buses).unwrap();
    assert_eq!(total(&mut *gauge), 0.0);
    let start = monotonic();
    for (at, high) in
        [(0, false), (1, true), (2, false), (30, true), (31, false), (32, true), (80, false), (85, true)]
    {
        buses.simulated_pins().set(6, high, start + ms(at));
    }
    let taken = gauge.events().unwrap().take(start + ms(100)).unwrap();
    assert_eq!(taken, Taken::default(), "it says nothing between readings");
    assert_eq!(total(&mut *gauge), 0.2794, "the second was too short");
    let until = pulses(&buses, 2);
    gauge.events().unwrap().take(until).unwrap();
    assert_eq!(total(&mut *gauge), 0.8382);
}

#[test]
fn a_pulse_under_way_at_a_reading_is_not_counted_twice_or_never() {
    let buses = Buses::new();
    let mut gauge = configured(&rain()).unwrap().open(&buses).unwrap();
    let start = monotonic();
    buses.simulated_pins().set(6, false, start);
    gauge.events().unwrap().take(start + ms(9)).unwrap();
    assert_eq!(total(&mut *gauge), 0.0);
    gauge.events().unwrap().take(start + ms(11)).unwrap();
    gauge.events().unwrap().take(start + ms(12)).unwrap();
    assert_eq!(total(&mut *gauge), 0.2794);
}

#[test]
fn the_rate_is_that_of_the_time_between_two_readings() {
    let buses = Buses::new();
    let options = json!({"pin": 6, "bus": "gpio-sim", "unit": "Wh", "rate_unit": "W", "edge": "rising"});
    let driver = configured(&options).unwrap();
    let units: Vec<&str> = driver.quantities().iter().map(|info| info.unit).collect();
    assert_eq!(units, ["Wh", "W"]);
    let place = driver.attachment();
    assert_eq!(place.to_string(), "pin 6 of gpio-sim");

    let meter = Arc::new(Mutex::new(Meter { start: 0.0, pulses: 5 }));
    let input = Place::check(given(), &mut Vec::new()).unwrap().watch(&buses, 1).unwrap();
    let mut device =
        Opened { input, rising: true, per_pulse: 0.5, per: 3600.0, meter: Arc::clone(&meter), since: None };
    let rates = |sample: &[Measured]| sample.get(RATE).map(|rate| rate.value.as_f64().unwrap());
    assert_eq!(rates(&device.sample(ms(1_000))), None, "nothing to compare with");
    lock(&meter).pulses += 4;
    assert_eq!(rates(&device.sample(ms(11_000))), Some(720.0), "4 × 0.5 in 10 s, per hour");
    assert_eq!(rates(&device.sample(ms(21_000))), Some(0.0));
    assert_eq!(rates(&device.sample(ms(21_000))), None, "no time has passed");
}

fn given() -> Given {
    let (pin, pins) = (Some(PinNumber(6)), Some(OnPins(crate::bus::gpio::Pins::Simulated)));
    Given { pin, pins, pull: None, debounce: None, simulate: None, usual_debounce: USUAL_DEBOUNCE }
}

#[test]
fn the_total_goes_on_from_the_log_and_over_a_reopening() {
    let buses = Buses::new();
    let mut options = rain();
    options["start"] = json!(100);
    let driver = configured(&options).unwrap();
    assert_eq!(driver.resumes(), [TOTAL]);
    let mut gauge = driver.open(&buses).unwrap();
    assert_eq!(total(&mut *gauge), 100.0, "nothing was logged yet");
    drop(gauge);

    driver.resume(RATE, 7.0);
    driver.resume(TOTAL, 5.588);
    let mut gauge = driver.open(&buses).unwrap();
    let until = pulses(&buses, 3);
    gauge.events().unwrap().take(until).unwrap();
    assert_eq!(total(&mut *gauge), 6.4262);
    drop(gauge);
    let mut again = driver.open(&buses).unwrap();
    assert_eq!(total(&mut *again), 6.4262, "opened again after a failure, it has not forgotten");
}

/// Pulses wait for the next reading; when the kernel ends the watch before it, they have happened all the same.
#[test]
fn what_came_before_the_end_of_the_watch_counts() {
    let buses = Buses::new();
    let driver = configured(&rain()).unwrap();
    let mut gauge = driver.open(&buses).unwrap();
    let until = pulses(&buses, 3);
    buses.simulated_pins().deafen(6);
    let events = gauge.events().unwrap();
    events.take(until).unwrap();
    assert_eq!(events.due(), Some(Duration::ZERO), "there is more to say, at once");
    let error = events.take(until).unwrap_err().to_string();
    assert!(error.contains("watched no more"), "{error}");
    drop(gauge);
    assert_eq!(total(&mut *driver.open(&buses).unwrap()), 0.8382);
}

#[test]
fn lost_edges_are_told() {
    let buses = Buses::new();
    let mut gauge = configured(&rain()).unwrap().open(&buses).unwrap();
    pulses(&buses, 1);
    buses.simulated_pins().lose(6, 6);
    let until = pulses(&buses, 1);
    assert_eq!(gauge.events().unwrap().take(until).unwrap().lost, 6);
}

#[test]
fn bad_options_are_all_named() {
    let keys = |options: Json| -> Vec<String> {
        configured(&options).expect_err("should be refused").into_iter().map(|problem| problem.key).collect()
    };
    assert_eq!(keys(json!({})), ["pin"]);
    assert_eq!(keys(json!({"pin": 6, "per_pulse": 0, "per": "day"})), ["per", "per_pulse"]);
    assert_eq!(keys(json!({"pin": 6, "per_puls": 2})), ["per_puls"]);
}
