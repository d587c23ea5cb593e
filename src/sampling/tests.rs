//! The room as a whole, with real threads and fake drivers. Waits for conditions, never for time alone.

use std::sync::atomic::{AtomicBool, Ordering};

use super::fake::*;
use super::*;
use crate::config::{Change, Filter};
use crate::reading::{Measured, Value};
use crate::sensor::SensorError;

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn no_answer() -> SensorError {
    SensorError::NoAnswer { bus: "i2c-1".into(), address: 0x76 }
}

/// With a time-out short enough to wait for.
fn impatient(mut plan: SensorPlan) -> SensorPlan {
    plan.sensor.timeout = ms(100);
    plan
}

#[test]
fn a_good_sensor_says_ok_once_and_passes_what_changed() {
    let bench = Bench::default();
    let good = driver("a", |read| sample((read / 3) as f64 % 80.0));
    let sampling = bench.start(vec![plan(1, &good, ms(5), Filter::default())]);
    let values = bench.memory.wait(10, 4);
    assert_eq!(&values[..4], ["0", "1", "2", "3"], "each third value only");
    assert_eq!(sampling.stop(), []);
    assert_eq!(bench.memory.values(11), ["ok"]);
    assert_eq!(bench.state("s1"), "stopped");
    let figure = |name| bench.figure("s1", name);
    assert_eq!(figure("samples"), figure("passed") + figure("suppressed"));
    assert_eq!(figure("passed"), bench.memory.values(10).len() as i64);
    assert_eq!((good.opens.load(Ordering::SeqCst), good.closes.load(Ordering::SeqCst)), (1, 1));
}

#[test]
fn readings_carry_one_moment_between_those_around_them() {
    let bench = Bench::default();
    let before = crate::enrich::clock::now();
    let sampling = bench.start(vec![plan(1, &driver("a", counting), ms(5), Filter::default())]);
    bench.memory.wait(10, 3);
    sampling.stop();
    let after = crate::enrich::clock::now();
    let times: Vec<i64> = bench.memory.readings(10).iter().map(|reading| reading.at.since_boot).collect();
    assert!(times.is_sorted());
    assert!(before.since_boot <= times[0] && times[times.len() - 1] <= after.since_boot);
}

#[test]
fn a_failure_and_a_recovery_are_one_state_reading_each_and_the_first_value_passes() {
    let bench = Bench::default();
    // Always the same value: after the failure only the reset lets it pass.
    let flaky = driver("a", |read| if (2..4).contains(&read) { Err(no_answer()) } else { sample(20.0) });
    let sampling = bench.start(vec![plan(1, &flaky, ms(5), Filter::default())]);
    assert_eq!(bench.memory.wait(10, 2), ["20", "20"]);
    let samples = bench.figure("s1", "samples");
    until("it is read on after recovery", || bench.figure("s1", "samples") > samples + 3);
    assert_eq!(bench.state("s1"), "ok");
    sampling.stop();
    let failed = "failed: no answer from address 0x76 on i2c-1: check wiring, power and address";
    assert_eq!(bench.memory.values(11), ["ok", failed, "ok"]);
    assert_eq!(bench.memory.values(10), ["20", "20"]);
    assert_eq!(bench.figure("s1", "errors"), 2);
    assert_eq!(flaky.opens.load(Ordering::SeqCst), 3, "reopened after each failure");
    assert_eq!(flaky.closes.load(Ordering::SeqCst), 3, "and never left open");
}

#[test]
fn a_sensor_that_has_nothing_yet_is_asked_again_soon_and_is_neither_well_nor_failed() {
    let bench = Bench::default();
    let slow = driver("a", |read| if read == 0 { Ok(vec![]) } else { sample(20.0) });
    let sampling = bench.start(vec![plan(1, &slow, Duration::from_secs(3600), Filter::default())]);
    assert_eq!(bench.memory.wait(10, 1), ["20"]);
    sampling.stop();
    assert_eq!(bench.memory.values(11), ["ok"]);
    assert_eq!((bench.figure("s1", "samples"), bench.figure("s1", "errors")), (1, 0));
    assert_eq!(slow.opens.load(Ordering::SeqCst), 1);
}

#[test]
fn a_sensor_that_is_away_does_not_disturb_its_neighbours() {
    let bench = Bench::default();
    let away = driver("a", |_| Err(no_answer()));
    let sampling = bench.start(vec![
        plan(1, &away, ms(5), Filter::default()),
        plan(2, &driver("a", counting), ms(5), Filter::default()),
    ]);
    bench.memory.wait(20, 20);
    assert!(bench.state("s1").starts_with("failed: no answer"), "{}", bench.state("s1"));
    assert_eq!(bench.state("s2"), "ok");
    sampling.stop();
    assert_eq!(bench.memory.values(11).len(), 1, "said once, however often it was tried");
}

#[test]
fn a_panic_is_contained_and_the_device_reopened() {
    let bench = Bench::default();
    let broken = driver("a", |read| if read == 1 { panic!("register {read}") } else { counting(read) });
    let sampling = bench.start(vec![plan(1, &broken, ms(5), Filter::default())]);
    assert_eq!(bench.memory.wait(10, 2)[..2], ["0", "2"]);
    sampling.stop();
    let states = bench.memory.values(11);
    assert_eq!(states.len(), 3, "{states:?}");
    assert!(states[1].starts_with("failed: the driver failed: register 1 (at "), "{states:?}");
    assert_eq!(broken.opens.load(Ordering::SeqCst), 2);
}

#[test]
fn a_hanging_sensor_holds_up_its_bus_only_and_recovers() {
    let bench = Bench::default();
    let door = Arc::new(Door::default());
    let at_door = Arc::clone(&door);
    let hanging = driver("a", move |read| {
        if read == 1 {
            at_door.pass();
        }
        counting(read)
    });
    let sampling = bench.start(vec![
        impatient(plan(1, &hanging, ms(5), Filter::default())),
        plan(2, &driver("a", counting), ms(5), Filter::default()),
        plan(3, &driver("b", counting), ms(5), Filter::default()),
    ]);
    assert_eq!(bench.memory.wait(11, 2), ["ok", "failed: hung: no answer for 0.1 s"]);
    until("the neighbour says why", || {
        bench.state("s2") == "degraded: waits for sensor s1, which hangs on a"
    });
    assert_eq!(bench.state("s3"), "ok");
    let seen = bench.memory.values(30).len();
    bench.memory.wait(30, seen + 10);
    let alive = sampling.last_sign_of_life();
    until("the hang counts as alive", || sampling.last_sign_of_life() > alive);

    door.open();
    assert_eq!(bench.memory.wait(11, 3)[2], "ok");
    until("the neighbour is well again", || bench.state("s2") == "ok");
    assert_eq!(bench.state("s1"), "ok");
    until("what was missed is counted", || bench.figure("s2", "skipped") > 0);
    assert_eq!(sampling.stop(), []);
    assert_eq!(bench.memory.values(21), ["ok"], "the neighbour itself was never at fault");
}

#[test]
fn a_hung_worker_is_left_behind_and_named() {
    let bench = Bench::default();
    let door = Arc::new(Door::default());
    let at_door = Arc::clone(&door);
    let hanging = driver("a", move |read| {
        if read == 1 {
            at_door.pass();
        }
        counting(read)
    });
    // A value is held by the neighbour when the bus hangs.
    let rare = Filter { min_interval: Some(ms(3_600_000)), ..Filter::default() };
    let sampling = bench.start(vec![
        impatient(plan(1, &hanging, ms(300), Filter::default())),
        plan(2, &driver("a", counting), ms(5), rare),
        plan(3, &driver("b", counting), ms(5), Filter::default()),
    ]);
    bench.memory.wait(11, 2);
    assert_eq!(bench.figure("s2", "held"), 1);
    let asked = Instant::now();
    let abandoned = sampling.stop();
    assert!(asked.elapsed() < STOP_WAIT + ms(2_000));
    assert_eq!(abandoned, [Abandoned { worker: "a".into(), sensor: Some("s1".into()) }]);
    assert_eq!(abandoned[0].to_string(), "a: sensor s1 does not come back from a read");
    assert_eq!(bench.state("s3"), "stopped");
    assert_eq!((bench.figure("s2", "held"), bench.figure("s2", "dropped")), (0, 1));

    // Back from the dead, it must not write into what may be the log of a new run.
    let (logged, closed) = (bench.memory.values(10), hanging.closes.load(Ordering::SeqCst));
    door.open();
    until("the worker has ended", || hanging.closes.load(Ordering::SeqCst) > closed);
    assert_eq!(bench.memory.values(10), logged);
    assert_eq!(bench.memory.values(20).len(), 1);
    assert_eq!(bench.figure("s1", "dropped"), 0, "its account was closed");
    assert!(bench.state("s1").starts_with("failed: hung"));
}

#[test]
fn a_value_the_part_cannot_measure_is_rejected_and_shown() {
    let bench = Bench::default();
    let both = driver("a", |read| {
        let hot = if read == 0 { 20.0 } else { 180.0 };
        let value = |quantity, value| Measured { quantity, value: Value::Float(value) };
        Ok(vec![value(0, hot), value(1, (read % 80) as f64)])
    });
    let mut two = plan(1, &both, ms(5), Filter::default());
    two.sensor.quantities.push(crate::filter::tests::quantity(1, "u", Filter::default()));
    two.channels.push(ChannelId(12));
    let sampling = bench.start(vec![two]);
    let others = bench.memory.wait(12, 4);
    assert_eq!(&others[..4], ["0", "1", "2", "3"], "the other quantity goes on");
    until("it is shown", || {
        bench.state("s1") == "degraded: t 180 is outside what the part can measure (-40 to 85)"
    });
    sampling.stop();
    assert_eq!(bench.memory.values(10), ["20"]);
    assert_eq!(bench.figure("s1", "rejected"), bench.figure("s1", "samples") - 1);
    assert_eq!(bench.memory.values(11), ["ok"]);
}

#[test]
fn a_busy_log_costs_counted_samples_and_then_all_goes_on() {
    let bench = Bench::default();
    bench.memory.busy.store(true, Ordering::SeqCst);
    // Always the same value: it passes in the end only if the filter did not move on without the log.
    let same = driver("a", |_| sample(20.0));
    let sampling = bench.start(vec![plan(1, &same, ms(20), Filter::default())]);
    until("samples are dropped", || bench.figure("s1", "dropped") >= 3);
    assert!(bench.state("s1").starts_with("degraded: the log does not keep up"), "{}", bench.state("s1"));
    assert_eq!(bench.memory.values(10), [""; 0]);
    bench.memory.busy.store(false, Ordering::SeqCst);
    assert_eq!(bench.memory.wait(10, 1), ["20"]);
    assert_eq!(bench.memory.wait(11, 1), ["ok"], "the state was owed, not lost");
    sampling.stop();
    let figure = |name| bench.figure("s1", name);
    assert_eq!(figure("samples"), figure("passed") + figure("suppressed") + figure("dropped"));
    let lost = bench.memory.lost.load(Ordering::SeqCst);
    assert_eq!(figure("dropped"), i64::try_from(lost).unwrap(), "each becomes part of a gap record");
}

#[test]
fn a_log_that_stays_busy_does_not_keep_us_from_ending() {
    let bench = Bench::default();
    let sampling = bench.start(vec![plan(1, &driver("a", counting), ms(5), Filter::default())]);
    bench.memory.wait(10, 1);
    bench.memory.busy.store(true, Ordering::SeqCst);
    let asked = Instant::now();
    assert_eq!(sampling.stop(), []);
    assert!(asked.elapsed() < STOP_WAIT);
}

#[test]
fn what_min_interval_holds_comes_in_time_and_before_the_end() {
    let bench = Bench::default();
    let soon = Filter { change: Change::Always, min_interval: Some(ms(40)), ..Filter::default() };
    let never = Filter { min_interval: Some(ms(3_600_000)), ..Filter::default() };
    let steps = driver("a", |read| if read < 5 { counting(read) } else { Err(no_answer()) });
    let four = driver("a", |read| if read < 5 { counting(read) } else { Err(no_answer()) });
    let sampling = bench.start(vec![
        plan(1, &driver("a", counting), ms(10), soon),
        plan(3, &steps, ms(5), never),
        plan(4, &four, ms(5), Filter { min_interval: Some(ms(300)), ..Filter::default() }),
    ]);
    // It fails from the fifth read on, so no later sample can have brought the value out.
    until("the held value has come", || bench.memory.values(40).last().is_some_and(|last| last == "4"));
    bench.memory.wait(10, 4);
    bench.memory.wait(31, 2);
    assert_eq!(bench.memory.values(30), ["0"]);
    sampling.stop();
    assert_eq!(bench.memory.values(30), ["0", "4"], "the newest of what was held, though it failed since");
    assert!(bench.figure("s1", "suppressed") > 0);
    assert_eq!(bench.figure("s3", "held"), 0);
}

#[test]
fn ending_is_prompt_while_everything_sleeps() {
    let bench = Bench::default();
    let sampling = bench.start(vec![plan(1, &driver("a", counting), ms(3_600_000), Filter::default())]);
    bench.memory.wait(10, 1);
    let asked = Instant::now();
    assert_eq!(sampling.stop(), []);
    assert!(asked.elapsed() < ms(1_500), "{:?}", asked.elapsed());
}

#[test]
fn a_worker_that_dies_by_our_fault_stops_the_sign_of_life() {
    /// Panics outside any driver.
    struct Broken(AtomicBool);
    impl Output for Broken {
        fn append(&self, _: Vec<Reading>) -> Result<(), Busy> {
            assert!(!self.0.swap(false, Ordering::SeqCst), "on purpose");
            Ok(())
        }

        fn record_loss(&self, _: u64) {}
    }
    let bench = Bench::default();
    let plans = vec![plan(1, &driver("a", counting), ms(5), Filter::default())];
    let output = Arc::new(Broken(AtomicBool::new(true)));
    let sampling = start(plans, Arc::default(), output, &bench.board, crate::enrich::clock::now).unwrap();
    until("the board says so", || bench.state("s1").contains("ended by a fault of this program"));
    let last = sampling.last_sign_of_life();
    thread::sleep(ms(600)); // longer than the supervisor's longest pause
    assert_eq!(sampling.last_sign_of_life(), last);
    assert_eq!(sampling.stop(), []);
}

#[test]
fn plans_without_channels_are_refused() {
    let bench = Bench::default();
    let mut lacking = plan(1, &driver("a", counting), ms(5), Filter::default());
    lacking.channels.clear();
    let started =
        start(vec![lacking], Arc::default(), bench.memory.clone(), &bench.board, crate::enrich::clock::now);
    assert_eq!(
        started.err().map(|e| e.to_string()).as_deref(),
        Some("sensor s1: 0 channels for 1 quantities")
    );
}

#[test]
fn no_sensors_are_no_trouble() {
    let sampling = Bench::default().start(Vec::new());
    assert!(sampling.last_sign_of_life().elapsed() < ms(1_000));
    assert_eq!(sampling.stop(), []);
}

/// Run by hand on a quiet machine: `cargo test --release … -- --ignored --nocapture hundred`.
#[test]
#[ignore = "measures time: needs a machine with nothing else to do"]
fn a_hundred_sensors_at_ten_hertz_are_on_time() {
    let bench = Bench::default();
    let plans =
        (1..=100).map(|number| plan(number, &driver("a", counting), ms(100), Filter::default())).collect();
    let cpu = || {
        let usage = std::fs::read_to_string("/proc/self/schedstat").unwrap();
        std::fs::read_dir("/proc/self/task")
            .unwrap()
            .filter_map(|task| std::fs::read_to_string(task.unwrap().path().join("schedstat")).ok())
            .filter_map(|text| text.split(' ').next()?.parse::<u64>().ok())
            .sum::<u64>()
            .max(usage.split(' ').next().unwrap().parse().unwrap())
    };
    let (start, before) = (Instant::now(), cpu());
    let sampling = bench.start(plans);
    thread::sleep(Duration::from_secs(10));
    let share = (cpu() - before) as f64 / start.elapsed().as_nanos() as f64;
    sampling.stop();
    let (mut worst, mut skipped) = (0, 0);
    for sensor in 1..=100 {
        let times: Vec<i64> = bench.memory.readings(sensor * 10).iter().map(|r| r.at.since_boot).collect();
        let late = |(k, t): (usize, &i64)| t - times[0] - 100_000 * k as i64;
        worst = worst.max(times.iter().enumerate().map(late).map(i64::abs).max().unwrap());
        skipped += bench.figure(&format!("s{sensor}"), "skipped");
        assert!(times.len() >= 99, "{}", times.len());
    }
    println!("worst {worst} µs off the grid, {skipped} skipped, {:.2} % of a core", share * 100.0);
    assert_eq!(skipped, 0);
    assert!(worst < 50_000);
}

#[test]
fn orders_are_carried_out_and_answered() {
    let bench = Bench::default();
    let hourly = driver("a", counting);
    let sampling = bench.start(vec![plan(1, &hourly, Duration::from_secs(3600), Filter::default())]);
    bench.memory.wait(10, 1);
    let control = sampling.control();
    let read = control.order("s1", Order::Read).unwrap();
    assert_eq!(read.len(), 1);
    assert_eq!((read[0].0.as_str(), &read[0].1), ("t", &Value::Float(1.0)));
    assert_eq!(bench.memory.wait(10, 2), ["0", "1"]);
    // A change of more than there is: nothing passes, unless it is to be published again.
    control.order("s1", Order::Change("t".into(), Change::Absolute(1000.0))).unwrap();
    control.order("s1", Order::Read).unwrap();
    control.order("s1", Order::Republish).unwrap();
    assert_eq!(bench.memory.values(10), ["0", "1", "3"]);
    control.order("s1", Order::Change("t".into(), Change::Always)).unwrap();
    control.order("s1", Order::Interval(ms(5))).unwrap();
    bench.memory.wait(10, 10);
    let unknown = control.order("s1", Order::Change("x".into(), Change::Any)).unwrap_err();
    assert_eq!(unknown.to_string(), "sensor s1 has no quantity \"x\"");
    assert!(matches!(control.order("s2", Order::Read), Err(OrderError::UnknownSensor(_))));
    sampling.stop();
    assert!(matches!(control.order("s1", Order::Read), Err(OrderError::Busy(_) | OrderError::Ended)));
}

#[test]
fn a_paused_sensor_is_closed_and_read_only_when_ordered_to() {
    let bench = Bench::default();
    let good = driver("a", counting);
    let sampling = bench.start(vec![plan(1, &good, ms(5), Filter::default())]);
    bench.memory.wait(10, 2);
    let control = sampling.control();
    control.order("s1", Order::Pause).unwrap();
    assert_eq!(bench.state("s1"), "degraded: paused by a command");
    assert_eq!(good.closes.load(Ordering::SeqCst), 1);
    let count = bench.memory.values(10).len();
    control.order("s1", Order::Interval(ms(1))).unwrap();
    assert_eq!(control.ordered("s1"), Ordered { interval: Some(ms(1)), paused: true });
    assert_eq!(control.ordered("s2"), Ordered::default());
    std::thread::sleep(ms(50));
    assert_eq!(bench.memory.values(10).len(), count);
    control.order("s1", Order::Read).unwrap();
    assert_eq!(bench.memory.values(10).len(), count + 1);
    assert_eq!(good.closes.load(Ordering::SeqCst), 2);
    std::thread::sleep(ms(20));
    assert_eq!(bench.memory.values(10).len(), count + 1);
    control.order("s1", Order::Resume).unwrap();
    bench.memory.wait(10, count + 5);
    until("it is well again", || bench.state("s1") == "ok");
    sampling.stop();
}

#[test]
fn a_sensor_that_failed_is_tried_again_soon_whatever_its_new_interval() {
    let bench = Bench::default();
    let away = Arc::new(AtomicBool::new(true));
    let is_away = Arc::clone(&away);
    let flaky = driver(
        "a",
        move |read| {
            if is_away.load(Ordering::SeqCst) { Err(no_answer()) } else { counting(read) }
        },
    );
    let sampling = bench.start(vec![plan(1, &flaky, ms(10), Filter::default())]);
    bench.memory.wait(11, 1);
    sampling.control().order("s1", Order::Interval(ms(3_600_000))).unwrap();
    away.store(false, Ordering::SeqCst);
    bench.memory.wait(10, 1);
    assert_eq!(bench.memory.wait(11, 2)[1], "ok");
    sampling.stop();
}

#[test]
fn a_paused_sensor_is_expected_at_no_time() {
    let bench = Bench::default();
    let hour = Duration::from_secs(3600);
    let sampling = bench.start(vec![plan(1, &driver("a", counting), hour, Filter::default())]);
    bench.memory.wait(10, 1);
    let (control, view) = (sampling.control(), sampling.view());
    let expected = || view.seen(&"s1".into()).unwrap().next_read.is_some();
    until("it is read again", expected);
    control.order("s1", Order::Pause).unwrap();
    assert!(!expected());
    control.order("s1", Order::Read).unwrap();
    assert!(!expected(), "once, and then no more");
    control.order("s1", Order::Resume).unwrap();
    until("it is read again", expected);
    sampling.stop();
}

#[test]
fn an_order_to_a_sensor_that_fails_or_hangs_says_so() {
    let bench = Bench::default();
    let away = driver("a", |_| Err(no_answer()));
    let door = Arc::new(Door::default());
    let behind = Arc::clone(&door);
    let hung = driver("b", move |_| {
        behind.pass();
        sample(1.0)
    });
    let slow = impatient(plan(2, &hung, ms(5), Filter::default()));
    let sampling = bench.start(vec![plan(1, &away, ms(5), Filter::default()), slow]);
    let control = sampling.control();
    let why = control.order("s1", Order::Read).unwrap_err().to_string();
    assert!(why.starts_with("sensor s1: no answer from address 0x76"), "{why}");
    assert!(matches!(control.order("s2", Order::Read), Err(OrderError::Busy(_))));
    door.open();
    sampling.stop();
}

#[test]
fn sensors_come_and_go_and_the_others_never_notice() {
    let bench = Bench::default();
    let (stays, goes, comes) = (driver("a", counting), driver("a", counting), driver("a", counting));
    let (elsewhere, slow) = (driver("b", counting), Duration::from_secs(3600));
    let mut sampling = bench.start(vec![
        plan(1, &stays, ms(5), Filter::default()),
        plan(2, &goes, ms(5), Filter::default()),
        plan(3, &elsewhere, slow, Filter::default()),
    ]);
    bench.memory.wait(20, 3);
    let (control, view) = (sampling.control(), sampling.view());
    assert_eq!(sampling.remove(&["s2".into()]), []);
    let last = bench.memory.values(20).len();
    assert_eq!(goes.closes.load(Ordering::SeqCst), 1, "its device is free when this returns");
    assert_eq!(bench.state("s2"), "stopped");
    assert!(matches!(control.order("s2", Order::Read), Err(OrderError::UnknownSensor(_))));
    sampling.add(vec![plan(4, &comes, ms(5), Filter::default())]).unwrap();
    bench.memory.wait(40, 3);
    assert!(view.seen(&"s4".into()).is_some() && view.seen(&"s2".into()).is_none());
    control.order("s4", Order::Read).unwrap();
    // Its place is taken by another, and the one that was there does not come back.
    assert_eq!(bench.memory.values(20).len(), last);
    let values = bench.memory.values(10);
    let expected: Vec<String> = (0..values.len()).map(|read| (read % 80).to_string()).collect();
    assert_eq!((values, stays.opens.load(Ordering::SeqCst)), (expected, 1));
    // A worker with nothing left to read ends, and is made again.
    assert_eq!(sampling.remove(&["s3".into()]), []);
    sampling.add(Vec::new()).unwrap();
    assert_eq!(sampling.workers.len(), 1);
    sampling.add(vec![plan(3, &elsewhere, slow, Filter::default())]).unwrap();
    bench.memory.wait(30, 2);
    assert!(sampling.stop().is_empty());
}

#[test]
fn a_sensor_that_is_adjusted_stays_open_and_remembers() {
    let bench = Bench::default();
    let calm = driver("a", |_| sample(7.0));
    let mut sampling = bench.start(vec![plan(1, &calm, ms(5), Filter::default())]);
    bench.memory.wait(10, 1);
    // Another interval and another rule: nothing has changed enough to be said again.
    let rule = Filter { change: Change::Absolute(2.0), ..Filter::default() };
    assert_eq!(sampling.adjust(&[plan(1, &calm, ms(2), rule.clone())]), []);
    sampling.control().order("s1", Order::Read).unwrap();
    assert_eq!(bench.memory.values(10), ["7"]);
    // Elsewhere it is said again, and so is the sensor's state.
    let mut moved = plan(1, &calm, ms(2), rule);
    moved.sensor.quantities[0].channel.device = "elsewhere".into();
    (moved.channels, moved.state_channel) = (vec![ChannelId(50)], ChannelId(51));
    assert_eq!(sampling.adjust(&[moved]), []);
    assert_eq!(bench.memory.wait(50, 1), ["7"]);
    assert_eq!(bench.memory.wait(51, 1), ["ok"]);
    assert_eq!(
        (bench.memory.values(10), bench.memory.values(11)),
        (vec!["7".to_owned()], vec!["ok".to_owned()])
    );
    assert_eq!((calm.opens.load(Ordering::SeqCst), bench.state("s1")), (1, "ok".to_owned()));
    sampling.stop();
}

#[test]
fn a_bus_that_hangs_is_left_behind_and_its_sensors_begin_anew() {
    let bench = Bench::default();
    let door = Arc::new(Door::default());
    let behind = Arc::clone(&door);
    let hangs = driver("a", move |_| {
        behind.pass();
        sample(1.0)
    });
    let (waits, other) = (driver("a", counting), driver("b", counting));
    let mut sampling = bench.start(vec![
        impatient(plan(1, &hangs, ms(5), Filter::default())),
        plan(2, &waits, ms(5), Filter::default()),
        plan(3, &other, ms(5), Filter::default()),
    ]);
    until("it is known to hang", || bench.state("s1").starts_with("failed: hung"));
    let mut orphans = sampling.remove(&["s1".into()]);
    orphans.sort();
    assert_eq!(orphans, ["s2".into()]);
    let before = bench.memory.values(20).len();
    sampling.add(vec![plan(2, &waits, ms(5), Filter::default())]).unwrap();
    bench.memory.wait(20, before + 5);
    assert_eq!(bench.state("s2"), "ok");
    // What comes back from the dead says nothing any more.
    door.open();
    until("it has let go of its device", || hangs.closes.load(Ordering::SeqCst) == 1);
    assert!(bench.memory.values(10).is_empty());
    assert_eq!(other.opens.load(Ordering::SeqCst), 1);
    assert!(sampling.stop().is_empty());
}
