//! Every scenario, read as the bridge reads it.

use std::io::Write;

use serde_json::json;
use tempfile::NamedTempFile;

use super::*;

fn driver(options: Json) -> Result<Arc<dyn Driver>, Vec<OptionProblem>> {
    configure(options.as_object().unwrap())
}

fn samples(options: Json, count: usize) -> Vec<Value> {
    let mut device = driver(options).unwrap().open(&Buses::new()).unwrap();
    (0..count).map(|_| device.read().unwrap().remove(0).value).collect()
}

fn numbers(options: Json, count: usize) -> Vec<f64> {
    samples(options, count).iter().map(|value| value.as_f64().unwrap()).collect()
}

#[test]
fn a_new_value_comes_every_so_many_samples() {
    let values = numbers(json!({"scenario": "random-walk", "every": 3, "seed": 9}), 9);
    for same in values.chunks(3) {
        assert!(same.iter().all(|value| value == &same[0]), "{values:?}");
    }
    assert!(values[0] != values[3] && values[3] != values[6], "{values:?}");
}

#[test]
fn a_walk_starts_where_it_is_told_and_keeps_its_range() {
    let options = json!({"scenario": "random-walk", "start": 7, "min": 5, "max": 9, "step": 0.5});
    let values = numbers(options, 200);
    assert!((values[0] - 7.0).abs() <= 0.5);
    assert!(values.iter().all(|value| (5.0..=9.0).contains(value)));
}

#[test]
fn a_sine_keeps_its_range_and_reads_like_an_instrument() {
    for value in numbers(json!({"min": 18, "max": 26, "period": "1s"}), 50) {
        assert!((18.0..=26.0).contains(&value));
        assert!(value.to_string().len() <= "18.0000".len(), "{value}");
    }
}

#[test]
fn the_clock_counts_microseconds_since_2026() {
    let before = clock::now().wall.0;
    let values = samples(json!({"scenario": "clock"}), 2);
    let after = clock::now().wall.0;
    for value in values {
        let Value::Integer(micros) = value else { panic!("{value:?} is no integer") };
        assert!((before..=after).contains(&(micros + CLOCK_EPOCH)));
    }
    assert_eq!(crate::reading::Timestamp(CLOCK_EPOCH).to_string(), "2026-01-01T00:00:00.000000Z");
    let driver = driver(json!({"scenario": "clock"})).unwrap();
    assert_eq!((driver.quantities()[0].kind, driver.quantities()[0].unit), (ValueKind::Integer, "µs"));
}

fn recording(text: &str) -> NamedTempFile {
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file
}

#[test]
fn a_recording_of_values_is_replayed_over_and_over() {
    let file = recording("value\n# a comment\n1.5\n\n-2\n3e2\n");
    let options = json!({"scenario": "replay", "file": file.path(), "quantity": "level", "unit": "mm"});
    assert_eq!(numbers(options.clone(), 4), [1.5, -2.0, 300.0, 1.5]);
    let driver = driver(options).unwrap();
    assert_eq!((driver.quantities()[0].name.as_str(), driver.quantities()[0].unit), ("level", "mm"));
}

#[test]
fn a_recording_that_is_wrong_is_refused_before_anything_runs() {
    let file = recording("time,low,high\n0,1,2\n1,x,3\n");
    let message = |options: Json| {
        let problems = driver(options).expect_err("should be refused");
        assert_eq!((problems.len(), problems[0].key.as_str()), (1, "file"));
        problems[0].message.clone()
    };
    let with = |column| json!({"scenario": "replay", "file": file.path(), "column": column});
    assert!(message(with("low")).contains("line 3: \"x\" is not a number"));
    assert!(message(json!({"scenario": "replay", "file": "/no/such/file"})).contains("cannot be read"));
    assert_eq!(numbers(with("high"), 2), [2.0, 2.0]);
}

#[test]
fn bad_options_are_all_named() {
    let keys = |options| -> Vec<String> {
        driver(options).expect_err("should be refused").into_iter().map(|problem| problem.key).collect()
    };
    assert_eq!(keys(json!({"scenario": "constant", "period": "1s", "every": 0})), ["period", "every"]);
    assert_eq!(keys(json!({"scenario": "sine", "column": "a"})), ["column"]);
    assert_eq!(keys(json!({"min": 5, "max": 1})), ["scenario"]);
    assert_eq!(keys(json!({"scenario": "replay"})), ["file"]);
    assert_eq!(keys(json!({"scenario": "replay", "file": 5})), ["file"]);
    assert_eq!(keys(json!({"scenario": "square", "value": 1, "every": "x"})), ["every", "scenario"]);
    assert_eq!(keys(json!({"quantity": "a/b"})), ["quantity"]);
    assert_eq!(keys(json!({"scenarios": "sine"})), ["scenarios"]);
}
