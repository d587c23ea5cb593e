//! Tables and properties of the filter as a whole, and the quantities that other tests build on.

use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::config::{Calibration, Change, Filter};
use crate::reading::{Channel, Clock, Publish, Qos, Timestamp, ValueKind};
use crate::sensor::QuantityInfo;

/// A float quantity of this name, at this index of its driver's list, only logged.
pub(crate) fn quantity(index: usize, name: &str, filter: Filter) -> config::Quantity {
    let info =
        QuantityInfo { name: name.into(), unit: "°C", kind: ValueKind::Float, range: Some((-40.0, 85.0)) };
    config::Quantity { index, info, calibration: Calibration::default(), filter, channel: channel(name) }
}

/// A channel of this quantity that is only logged.
pub(crate) fn channel(name: &str) -> Channel {
    Channel {
        device: "test".into(),
        sensor: "s".into(),
        quantity: name.into(),
        unit: "°C".into(),
        kind: ValueKind::Float,
        publish: None,
        place: None,
    }
}

/// Publishes a quantity in one message with all others of this topic.
pub(crate) fn by_sample(mut quantity: config::Quantity, topic: &str) -> config::Quantity {
    quantity.channel.publish = Some(Publish {
        topic: topic.into(),
        late_topic: None,
        qos: Qos::AtLeastOnce,
        retain: false,
        shape: Shape::Sample,
        format: None,
        buffer: true,
    });
    quantity
}

fn seconds(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

fn moment(now: Duration) -> Moment {
    let micros = i64::try_from(now.as_micros()).unwrap();
    Moment { wall: Timestamp(micros), since_boot: micros, clock: Clock::Synced }
}

fn measured(values: &[f64]) -> Vec<Measured> {
    values
        .iter()
        .enumerate()
        .map(|(quantity, value)| Measured { quantity, value: Value::Float(*value) })
        .collect()
}

/// Judges and settles; answers what passed.
fn offer(filter: &mut SensorFilter, at: f64, sample: &[f64], delivered: bool) -> (Vec<(usize, f64)>, Counts) {
    let now = seconds(at);
    let verdict = filter.judge(now, &measured(sample));
    let passed = verdict.passed.iter().map(|(p, v)| (*p, v.as_f64().unwrap())).collect();
    (passed, filter.settle(now, moment(now), verdict, delivered))
}

fn passes(filter: &mut SensorFilter, at: f64, value: f64) -> bool {
    !offer(filter, at, &[value], true).0.is_empty()
}

#[test]
fn each_value_is_compared_with_the_last_that_passed() {
    let mut filter =
        SensorFilter::new(&[quantity(0, "t", Filter { change: Change::Absolute(0.5), ..Filter::default() })]);
    // A slow drift must not slip through under the deadband for ever.
    let table = [(20.0, true), (20.2, false), (20.4, false), (20.5, true), (20.9, false), (20.0, true)];
    for (step, (value, expected)) in table.into_iter().enumerate() {
        assert_eq!(passes(&mut filter, step as f64, value), expected, "step {step}");
    }
}

#[test]
fn heartbeat_passes_an_unchanged_value_once_per_period_even_after_a_stall() {
    let heartbeat = Some(seconds(10.0));
    let mut filter = SensorFilter::new(&[quantity(0, "t", Filter { heartbeat, ..Filter::default() })]);
    let table = [
        (0.0, true),
        (9.0, false),
        (10.0, true),
        (19.0, false),
        (100.0, true), // nine periods late: one message, not nine
        (101.0, false),
        (109.0, false),
        (110.0, true),
    ];
    for (at, expected) in table {
        assert_eq!(passes(&mut filter, at, 20.0), expected, "at {at} s");
    }
}

#[test]
fn min_interval_keeps_the_newest_with_its_own_moment() {
    let min_interval = Some(seconds(10.0));
    let mut filter = SensorFilter::new(&[quantity(0, "t", Filter { min_interval, ..Filter::default() })]);
    assert!(passes(&mut filter, 0.0, 20.0));
    assert_eq!(filter.due(), None);
    assert!(!passes(&mut filter, 1.0, 21.0));
    let (_, counts) = offer(&mut filter, 2.0, &[22.0], true);
    assert_eq!(counts, Counts { suppressed: 1, ..Counts::default() }, "21 was overtaken");
    assert_eq!((filter.due(), filter.held()), (Some(seconds(10.0)), 1));
    assert_eq!(filter.take_due(seconds(9.9)), None);
    let due = filter.take_due(seconds(10.0)).unwrap();
    assert_eq!((due.at, &due.values[..]), (moment(seconds(2.0)), &[(0, Value::Float(22.0))][..]));
    assert_eq!(filter.settle_due(seconds(10.0), due, true), Counts { passed: 1, ..Counts::default() });
    assert_eq!(filter.due(), None);
    assert!(!passes(&mut filter, 11.0, 22.0), "unchanged since the one that was held");
    assert!(!passes(&mut filter, 19.0, 23.0));
    assert!(passes(&mut filter, 20.0, 24.0), "a sample in time overtakes what is held");
    assert_eq!(filter.due(), None);
}

#[test]
fn a_value_that_went_back_is_no_longer_held() {
    let min_interval = Some(seconds(10.0));
    let mut filter = SensorFilter::new(&[quantity(0, "t", Filter { min_interval, ..Filter::default() })]);
    assert!(passes(&mut filter, 0.0, 20.0));
    assert!(!passes(&mut filter, 1.0, 25.0));
    let (_, counts) = offer(&mut filter, 2.0, &[20.0], true);
    assert_eq!(counts.suppressed, 2);
    assert_eq!(filter.due(), None, "20 is what everybody knows already");
}

#[test]
fn a_dropped_sample_leaves_the_filter_where_it_was() {
    let mut filter = SensorFilter::new(&[quantity(0, "t", Filter::default())]);
    for at in [0.0, 1.0] {
        let (passed, counts) = offer(&mut filter, at, &[20.0], false);
        assert_eq!(passed, [(0, 20.0)], "not in the log yet");
        assert_eq!(counts, Counts { dropped: 1, ..Counts::default() });
    }
    assert!(passes(&mut filter, 2.0, 20.0));
    assert!(!passes(&mut filter, 3.0, 20.0));
}

#[test]
fn a_held_value_that_could_not_be_delivered_leaves_the_next_one_to_pass() {
    let min_interval = Some(seconds(10.0));
    let mut filter = SensorFilter::new(&[quantity(0, "t", Filter { min_interval, ..Filter::default() })]);
    assert!(passes(&mut filter, 0.0, 20.0));
    assert!(!passes(&mut filter, 1.0, 21.0));
    let due = filter.take_due(seconds(10.0)).unwrap();
    assert_eq!(filter.settle_due(seconds(10.0), due, false).dropped, 1);
    assert!(passes(&mut filter, 11.0, 21.0));
}

#[test]
fn a_held_value_outlives_the_drop_of_the_sample_that_would_have_overtaken_it() {
    let min_interval = Some(seconds(10.0));
    let mut filter = SensorFilter::new(&[quantity(0, "t", Filter { min_interval, ..Filter::default() })]);
    assert!(passes(&mut filter, 0.0, 20.0));
    assert!(!passes(&mut filter, 9.0, 21.0));
    let (_, counts) = offer(&mut filter, 10.0, &[22.0], false);
    assert_eq!(counts, Counts { dropped: 1, ..Counts::default() });
    assert_eq!(filter.take_due(seconds(10.0)).unwrap().values, [(0, Value::Float(21.0))]);
}

#[test]
fn after_a_reset_the_first_value_passes_whatever_the_rules() {
    let rules =
        Filter { change: Change::Absolute(5.0), min_interval: Some(seconds(60.0)), ..Filter::default() };
    let mut filter = SensorFilter::new(&[quantity(0, "t", rules)]);
    assert!(passes(&mut filter, 0.0, 20.0));
    assert!(!passes(&mut filter, 1.0, 20.0));
    filter.reset();
    assert!(passes(&mut filter, 2.0, 20.0));
    assert!(!passes(&mut filter, 3.0, 20.0));
    // What is held from before the failure comes in time, and does not count as the first value.
    assert!(!passes(&mut filter, 4.0, 30.0));
    filter.reset();
    let due = filter.take_due(seconds(62.0)).unwrap();
    let _counts = filter.settle_due(seconds(62.0), due, true);
    assert!(passes(&mut filter, 63.0, 30.0));
}

#[test]
fn what_cannot_be_true_is_rejected_and_hides_nothing_else() {
    let rules = Filter { valid: Some((0.0, 30.0)), ..Filter::default() };
    let mut filter = SensorFilter::new(&[quantity(0, "t", rules), quantity(1, "u", Filter::default())]);
    let table = [
        (30.0, None),
        (30.1, Some("t 30.1 is outside its valid range (0 to 30)")),
        (85.1, Some("t 85.1 is outside what the part can measure (-40 to 85)")),
        (f64::NAN, Some("t came out as NaN, which is no measurement")),
        (f64::NEG_INFINITY, Some("t came out as -inf, which is no measurement")),
    ];
    for (step, (value, reason)) in table.into_iter().enumerate() {
        let verdict = filter.judge(seconds(step as f64), &measured(&[value, 5.0 + step as f64]));
        assert_eq!(verdict.rejected.first().map(|r| r.to_string()).as_deref(), reason, "{value}");
        assert_eq!(verdict.rejected.first().map(Rejection::is_fault), reason.map(|_| step > 1), "{value}");
        assert!(verdict.passed.iter().any(|(position, _)| *position == 1));
        let now = seconds(step as f64);
        let counts = filter.settle(now, moment(now), verdict, true);
        assert_eq!(counts.rejected, usize::from(reason.is_some()));
    }
}

#[test]
fn a_calibration_that_overflows_is_rejected() {
    let mut broken = quantity(0, "t", Filter::default());
    broken.calibration.polynomial = vec![0.0, f64::MAX];
    let verdict = SensorFilter::new(&[broken]).judge(Duration::ZERO, &measured(&[80.0]));
    assert_eq!(verdict.rejected[0].reason, Reason::NotFinite);
}

#[test]
fn quantities_not_wanted_are_passed_over_and_texts_have_no_range() {
    let mut filter = SensorFilter::new(&[quantity(2, "t", Filter::default())]);
    let sample = [
        Measured { quantity: 0, value: Value::Float(f64::NAN) },
        Measured { quantity: 2, value: Value::Text(Arc::from("open")) },
        Measured { quantity: 9, value: Value::Bool(true) },
    ];
    let verdict = filter.judge(Duration::ZERO, &sample);
    assert_eq!(verdict.passed, [(0, Value::Text("open".into()))]);
    let counts = filter.settle(Duration::ZERO, moment(Duration::ZERO), verdict, true);
    assert_eq!(counts, Counts { passed: 1, ..Counts::default() });
}

#[test]
fn a_sample_that_is_one_message_passes_whole() {
    let coarse = || Filter { change: Change::Absolute(10.0), ..Filter::default() };
    let mut filter = SensorFilter::new(&[
        by_sample(quantity(0, "a", coarse()), "x"),
        quantity(1, "b", coarse()),
        by_sample(quantity(2, "c", coarse()), "x"),
        by_sample(quantity(3, "d", coarse()), "y"),
    ]);
    let positions = |(passed, _): (Vec<(usize, f64)>, Counts)| -> Vec<usize> {
        passed.into_iter().map(|(position, _)| position).collect()
    };
    assert_eq!(positions(offer(&mut filter, 0.0, &[0.0, 0.0, 0.0, 0.0], true)), [0, 1, 2, 3]);
    assert_eq!(positions(offer(&mut filter, 1.0, &[1.0, 1.0, 1.0, 1.0], true)), [0; 0]);
    assert_eq!(positions(offer(&mut filter, 2.0, &[10.0, 1.0, 1.0, 1.0], true)), [0, 2]);
    assert_eq!(
        positions(offer(&mut filter, 3.0, &[10.0, 1.0, 10.0, 1.0], true)),
        [0; 0],
        "c is compared with the 1 that went along"
    );
    assert_eq!(positions(offer(&mut filter, 4.0, &[10.0, 10.0, 11.0, 1.0], true)), [0, 1, 2]);
    assert_eq!(positions(offer(&mut filter, 5.0, &[30.0, 10.0, f64::NAN, 1.0], true)), [0]);
}

#[test]
fn the_largest_min_interval_rules_a_message() {
    let every = |min: f64| Filter { min_interval: Some(seconds(min)), ..Filter::default() };
    let mut filter = SensorFilter::new(&[
        by_sample(quantity(0, "a", every(2.0)), "x"),
        by_sample(quantity(1, "b", every(5.0)), "x"),
    ]);
    assert_eq!(offer(&mut filter, 0.0, &[0.0, 0.0], true).0.len(), 2);
    assert_eq!(offer(&mut filter, 3.0, &[1.0, 0.0], true).0.len(), 0);
    let due = filter.take_due(seconds(5.0)).unwrap();
    assert_eq!(due.values, [(0, Value::Float(1.0)), (1, Value::Float(0.0))]);
}

/// What a run of the filter over samples one second apart lets through: (time s, moment s, value), and
/// the totals of the counters. Held values are flushed between samples as the sampler does.
fn run(filter: &mut SensorFilter, values: &[f64], delivered: &[bool]) -> (Vec<(f64, f64, f64)>, Counts) {
    let (mut passed, mut total) = (Vec::new(), Counts::default());
    let mut add = |counts: Counts| {
        total.passed += counts.passed;
        total.suppressed += counts.suppressed;
        total.rejected += counts.rejected;
        total.dropped += counts.dropped;
    };
    for (step, value) in values.iter().enumerate() {
        let delivered = delivered.get(step).copied().unwrap_or(true);
        let (out, counts) = offer(filter, step as f64, &[*value], delivered);
        add(counts);
        if delivered {
            passed.extend(out.into_iter().map(|(_, value)| (step as f64, step as f64, value)));
        }
        let next = seconds(step as f64 + 1.0);
        while let Some(at) = filter.due().filter(|due| *due < next) {
            let due = filter.take_due(at).unwrap();
            if delivered {
                let moment = due.at.since_boot as f64 / 1e6;
                passed.push((at.as_secs_f64(), moment, due.values[0].1.as_f64().unwrap()));
            }
            add(filter.settle_due(at, due, delivered));
        }
    }
    (passed, total)
}

proptest! {
    #[test]
    fn consecutive_passed_values_differ_by_the_deadband_or_are_heartbeats(
        tenths in prop::collection::vec(-50_i32..50, 1..200),
        deadband in 1_i32..20,
        heartbeat in prop::option::of(1_u32..30),
    ) {
        let values: Vec<f64> = tenths.iter().map(|t| f64::from(*t) * 0.1).collect();
        let rules = Filter {
            change: Change::Absolute(f64::from(deadband) * 0.1),
            heartbeat: heartbeat.map(|s| seconds(f64::from(s))),
            ..Filter::default()
        };
        let (passed, _) = run(&mut SensorFilter::new(&[quantity(0, "t", rules)]), &values, &[]);
        // In whole tenths, where there are no binary artefacts to argue about.
        let tenth = |value: f64| (value * 10.0).round() as i32;
        for pair in passed.windows(2) {
            let overdue = heartbeat.is_some_and(|s| pair[1].0 - pair[0].0 >= f64::from(s));
            prop_assert!((tenth(pair[1].2) - tenth(pair[0].2)).abs() >= deadband || overdue, "{:?}", pair);
        }
        // And nothing that should have passed was kept back.
        for (step, value) in values.iter().enumerate() {
            let (at, _, last) = passed.iter().rev().find(|(at, ..)| *at <= step as f64).unwrap();
            prop_assert!((tenth(*value) - tenth(*last)).abs() < deadband);
            prop_assert!(heartbeat.is_none_or(|s| step as f64 - at < f64::from(s)));
        }
    }

    #[test]
    fn min_interval_is_kept_and_the_newest_value_is_never_lost(
        values in prop::collection::vec(-3_i32..3, 1..200),
        min_tenths in 1_u32..80,
    ) {
        let values: Vec<f64> = values.into_iter().map(f64::from).collect();
        let min = f64::from(min_tenths) * 0.1;
        let rules = Filter { min_interval: Some(seconds(min)), ..Filter::default() };
        let mut filter = SensorFilter::new(&[quantity(0, "t", rules)]);
        let (mut passed, mut total) = run(&mut filter, &values, &[]);
        while let Some(due) = filter.take_due(Duration::MAX) {
            passed.push((f64::MAX, due.at.since_boot as f64 / 1e6, due.values[0].1.as_f64().unwrap()));
            total.passed += filter.settle_due(Duration::MAX, due, true).passed;
        }
        for pair in passed.windows(2) {
            prop_assert!(pair[1].0 - pair[0].0 >= min - 1e-9, "{:?}", pair);
            prop_assert!(pair[1].1 > pair[0].1, "in the order taken: {:?}", pair);
            prop_assert!(pair[1].2 != pair[0].2, "changed: {:?}", pair);
        }
        prop_assert_eq!(passed.last().unwrap().2, *values.last().unwrap(), "the end is known to all");
        prop_assert_eq!(total.passed + total.suppressed, values.len());
    }

    #[test]
    fn every_value_is_counted_once_whatever_is_dropped(
        values in prop::collection::vec((-60_i32..60, any::<bool>()), 1..200),
        min in 0_u32..6,
        relative in any::<bool>(),
    ) {
        let (values, delivered): (Vec<f64>, Vec<bool>) =
            values.into_iter().map(|(value, delivered)| (f64::from(value), delivered)).unzip();
        let rules = Filter {
            change: if relative { Change::Relative(0.5) } else { Change::Always },
            min_interval: (min > 0).then(|| seconds(f64::from(min))),
            valid: Some((-50.0, 50.0)),
            ..Filter::default()
        };
        let mut filter = SensorFilter::new(&[quantity(0, "t", rules)]);
        let (passed, total) = run(&mut filter, &values, &delivered);
        prop_assert_eq!(total.passed, passed.len());
        let counted = total.passed + total.suppressed + total.rejected + total.dropped + filter.held();
        prop_assert_eq!(counted, values.len());
    }
}
