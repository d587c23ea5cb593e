//! Over simulated pins, whose edges the test places in time, and simulated expanders.

use serde_json::json;

use super::*;
use crate::bus::gpio::Pins;
use crate::bus::sim::Simulated;
use crate::bus::sim::expander::{Mcp23017, Pcf8574};

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn configured(options: &Json) -> Result<Arc<dyn Driver>, Vec<OptionProblem>> {
    configure(options.as_object().unwrap())
}

fn opened(options: Json, buses: &Buses) -> Box<dyn Device> {
    configured(&options).unwrap().open(buses).unwrap()
}

fn door() -> Json {
    json!({"pin": 17, "bus": "gpio-sim", "debounce": "50ms"})
}

fn take(device: &mut dyn Device, now: Duration) -> (Vec<(bool, Duration)>, u64) {
    let taken = device.events().unwrap().take(now).unwrap();
    let samples = taken.samples.iter().map(|sample| match sample.measured.as_slice() {
        [Measured { quantity: 0, value: Value::Bool(active) }] => (*active, sample.at),
        other => panic!("{other:?}"),
    });
    (samples.collect(), taken.lost)
}

fn is_active(sample: &[Measured]) -> bool {
    match sample {
        [Measured { quantity: 0, value: Value::Bool(active) }] => *active,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_bouncing_contact_is_one_change_at_the_time_from_which_it_stays() {
    let buses = Buses::new();
    let pins = buses.simulated_pins();
    let mut door = opened(door(), &buses);
    assert!(is_active(&door.read().unwrap()), "open: the pull-up holds it high");
    let start = monotonic();
    for (at, high) in [(0, false), (2, true), (3, false), (500, true), (510, false), (511, true)] {
        pins.set(17, high, start + ms(at));
    }
    let (changes, lost) = take(&mut *door, start + ms(540));
    assert_eq!((changes, lost), (vec![(false, start + ms(3))], 0));
    assert_eq!(door.events().unwrap().due(), Some(start + ms(561)));
    assert_eq!(door.read().unwrap(), [], "undecided: the change would have begun before this reading");
    assert_eq!(take(&mut *door, start + ms(561)).0, [(true, start + ms(511))]);
    assert!(is_active(&door.read().unwrap()));
}

#[test]
fn active_low_turns_it_around() {
    let buses = Buses::new();
    let options = json!({"pin": 4, "bus": "gpio-sim", "active_low": true, "debounce": "0s"});
    let mut button = opened(options, &buses);
    assert!(!is_active(&button.read().unwrap()));
    let at = monotonic();
    buses.simulated_pins().set(4, false, at);
    assert_eq!(take(&mut *button, at).0, [(true, at)]);
}

#[test]
fn lost_edges_are_counted_and_the_level_puts_the_state_right() {
    let buses = Buses::new();
    let pins = buses.simulated_pins();
    let mut door = opened(door(), &buses);
    let start = monotonic();
    pins.set(17, false, start);
    pins.lose(17, 2);
    pins.set(17, true, start + ms(100));
    assert_eq!(take(&mut *door, start + ms(200)), (vec![(false, start), (true, start + ms(100))], 2));
    // The last edge of all is lost: no number tells of it, but the level does.
    pins.lose(17, 1);
    assert_eq!(take(&mut *door, start + ms(300)).0, []);
    assert_eq!(door.read().unwrap(), []);
    let due = door.events().unwrap().due().expect("it is looked at again");
    let (changes, lost) = take(&mut *door, due);
    assert_eq!((changes.iter().map(|change| change.0).collect::<Vec<_>>(), lost), (vec![false], 1));
    assert!(!is_active(&door.read().unwrap()));
}

#[test]
fn a_pin_that_never_rests_is_an_error_with_a_remedy() {
    let buses = Buses::new();
    let mut door = opened(door(), &buses);
    let now = monotonic();
    let mut high = true;
    for edge in 0..=1_100 {
        high = !high;
        let at = now.saturating_sub(ms(11_000 - 10 * edge));
        buses.simulated_pins().set(17, high, at);
        take(&mut *door, at);
    }
    let error = door.read().unwrap_err().to_string();
    assert!(error.contains("pin 17 has not come to rest for 10 s"), "{error}");
}

#[test]
fn a_pin_that_is_watched_no_more_is_opened_again() {
    let buses = Buses::new();
    let driver = configured(&door()).unwrap();
    let mut device = driver.open(&buses).unwrap();
    assert!(driver.open(&buses).is_err(), "one watches");
    buses.simulated_pins().deafen(17);
    let error = device.events().unwrap().take(monotonic()).unwrap_err();
    assert!(error.to_string().contains("watched no more"), "{error}");
    drop(device);
    assert!(driver.open(&buses).is_ok());
}

#[test]
fn a_simulated_contact_toggles_and_its_bounces_are_taken_out() {
    let buses = Buses::new();
    let simulate = json!({"toggle": "100ms", "bounces": 3});
    let mut door =
        opened(json!({"pin": 5, "bus": "gpio-sim", "debounce": "20ms", "simulate": simulate}), &buses);
    let start = monotonic() + ms(50);
    take(&mut *door, start);
    let changes = take(&mut *door, start + ms(1_000)).0;
    assert!((9..=10).contains(&changes.len()), "{changes:?}");
    for pair in changes.windows(2) {
        assert_eq!((pair[0].0, pair[1].1 - pair[0].1), (!pair[1].0, ms(100)));
    }
    assert!(door.events().unwrap().due().is_some(), "nobody else would say when to look again");
}

#[test]
fn a_contact_that_toggles_no_more_rests() {
    let buses = Buses::new();
    let toggling = json!({"pin": 5, "bus": "gpio-sim", "simulate": {"toggle": "100ms"}});
    drop(opened(toggling, &buses));
    // As after a reload: the buses stay, the configuration is another.
    let mut door = opened(json!({"pin": 5, "bus": "gpio-sim"}), &buses);
    assert_eq!(take(&mut *door, monotonic() + ms(1_000)), (vec![], 0));
    assert!(is_active(&door.read().unwrap()), "the pull-up holds it high");
}

fn on_expander(chip: &str, pin: u8) -> Json {
    json!({"expander": {"chip": chip, "bus": "sim-1", "address": "0x21", "pin": pin}})
}

fn with_part(part: impl Simulated + 'static) -> Buses {
    let buses = Buses::new();
    buses.attach("sim-1", 0x21, Some(Box::new(part))).unwrap();
    buses
}

#[test]
fn every_pin_of_an_expander_reads_its_own_level() {
    for pin in 0..16 {
        let levels = 0b1010_0110_0101_1001;
        let expected = levels >> pin & 1 == 1;
        let buses = with_part(Mcp23017::driven(levels));
        assert_eq!(is_active(&opened(on_expander("mcp23017", pin), &buses).read().unwrap()), expected);
    }
    for pin in 0..8 {
        // Somebody left pins low: they must be let go first.
        let buses = with_part(Pcf8574::driven(0b0101_1001, 0x00));
        let expected = 0b0101_1001 >> pin & 1 == 1;
        assert_eq!(is_active(&opened(on_expander("pcf8574", pin), &buses).read().unwrap()), expected);
    }
}

#[test]
fn sensors_share_an_expander_without_undoing_each_other() {
    let buses = Buses::new();
    let mut first = opened(on_expander("mcp23017", 3), &buses);
    let mut options = on_expander("mcp23017", 4);
    options["pull"] = json!("none");
    let mut second = opened(options, &buses);
    first.read().unwrap();
    second.read().unwrap();
    first.read().unwrap();
}

#[test]
fn an_expander_that_is_away_or_was_reset_says_so() {
    let buses = with_part(Mcp23017::new());
    let driver = configured(&on_expander("mcp23017", 9)).unwrap();
    let mut device = driver.open(&buses).unwrap();
    device.read().unwrap();
    buses.attach("sim-1", 0x21, Some(Box::new(Mcp23017::new()))).unwrap();
    let error = device.read().unwrap_err().to_string();
    assert!(error.contains("0x21 on sim-1 does not keep its settings"), "{error}");
    buses.attach("sim-1", 0x21, None).unwrap();
    let nobody = SensorError::NoAnswer { bus: "sim-1".into(), address: 0x21 };
    assert_eq!(device.read(), Err(nobody.clone()));
    assert_eq!(driver.open(&buses).err(), Some(nobody));
}

#[test]
fn bad_options_are_all_named() {
    let keys = |options: Json| -> Vec<String> {
        configured(&options).expect_err("should be refused").into_iter().map(|problem| problem.key).collect()
    };
    assert_eq!(keys(json!({})), ["pin"]);
    assert_eq!(keys(json!({"pin": 99, "pull": "sideways"})), ["pin", "pull"]);
    assert_eq!(keys(json!({"pin": 17, "bus": "i2c-1"})), ["bus"]);
    assert_eq!(keys(json!({"pin": 17, "debounce": "5m"})), ["debounce"]);
    assert_eq!(keys(json!({"pin": 17, "simulate": {"toggle": "1s"}})), ["simulate"]);
    let simulate = json!({"toggle": "10ms", "bounces": 5});
    assert_eq!(keys(json!({"pin": 17, "bus": "gpio-sim", "simulate": simulate})), ["simulate"]);
    assert_eq!(keys(json!({"expander": {}})), ["expander.chip", "expander.bus", "expander.pin"]);
    let mut pcf = on_expander("pcf8574", 9);
    pcf["pull"] = json!("none");
    pcf["debounce"] = json!("5ms");
    assert_eq!(keys(pcf), ["debounce", "expander.pin", "pull"]);
    let mut wrong = on_expander("mcp23017", 3);
    wrong["expander"]["address"] = json!("0x38");
    assert_eq!(keys(wrong), ["expander.address"]);
}

#[test]
fn it_says_where_it_sits() {
    let place = |options| configured(&options).unwrap().attachment();
    assert_eq!(place(json!({"pin": 17})), Attachment::Gpio { pins: Pins::Header, pin: 17 });
    assert_eq!(place(json!({"pin": 17})).to_string(), "pin 17");
    assert_eq!(place(on_expander("pcf8574", 7)).to_string(), "pin 7 of the pcf8574 at address 0x21 on sim-1");
    let clash = |a: Json, b: Json| place(a).clash(&place(b));
    assert_eq!(clash(json!({"pin": 17}), json!({"pin": 17})).as_deref(), Some("pin 17"));
    assert_eq!(clash(json!({"pin": 17}), json!({"pin": 18})), None);
    assert_eq!(clash(json!({"pin": 17}), json!({"pin": 17, "bus": "gpio-sim"})), None);
    assert_eq!(clash(on_expander("mcp23017", 1), on_expander("mcp23017", 2)), None);
    assert!(clash(on_expander("mcp23017", 1), on_expander("mcp23017", 1)).is_some());
    let two_chips = clash(on_expander("mcp23017", 1), on_expander("pcf8574", 2));
    assert_eq!(two_chips.as_deref(), Some("address 0x21 on sim-1"));
}
