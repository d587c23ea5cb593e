//! Devices that notice by themselves, with real threads. Waits for conditions, never for time alone.

use std::sync::atomic::Ordering;

use super::fake::*;
use super::*;
use crate::config::{Change, Filter};
use crate::enrich::clock;

const HOUR: Duration = Duration::from_secs(3600);

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// A device that is read once and then only notices, and its first reading logged.
fn noticing(bench: &Bench, device: &Noticing, filter: Filter) -> Sampling {
    let sampling = bench.start(vec![plan(1, &Arc::new(device.clone()), HOUR, filter)]);
    assert_eq!(bench.memory.wait(10, 1), ["1"]);
    sampling
}

#[test]
fn events_come_between_readings_in_order_and_at_their_own_time() {
    let (bench, device) = (Bench::default(), Noticing::default());
    let sampling = noticing(&bench, &device, Filter::default());
    let before = clock::now();
    device.notice(&[(ms(0), 20.0)]);
    bench.memory.wait(10, 2);
    // Taken late, all at once: each keeps its time.
    let sleep = ms(60);
    thread::sleep(sleep);
    device.notice(&[(ms(40), 21.0), (ms(30), 22.0), (ms(5), 23.0)]);
    assert_eq!(bench.memory.wait(10, 5), ["1", "20", "21", "22", "23"]);
    let after = clock::now();
    let at: Vec<i64> = bench.memory.readings(10).iter().map(|reading| reading.at.since_boot).collect();
    let walls: Vec<i64> = bench.memory.readings(10).iter().map(|reading| reading.at.wall.0).collect();
    assert!(at.is_sorted() && walls.is_sorted(), "{at:?}");
    assert!(before.since_boot <= at[1] + 1_000 && at[4] <= after.since_boot - 5_000);
    assert_eq!([at[3] - at[2], at[4] - at[3]], [10_000, 25_000], "as far apart as they were");
    sampling.stop();
    assert_eq!(bench.figure("s1", "samples"), 5);
}

#[test]
fn what_is_decided_later_is_asked_for_then() {
    let (bench, device) = (Bench::default(), Noticing::default());
    let sampling = noticing(&bench, &device, Filter::default());
    device.notice_later(ms(30), 20.0);
    let asked = clock::now();
    assert_eq!(bench.memory.wait(10, 2), ["1", "20"]);
    let at = bench.memory.readings(10)[1].at.since_boot;
    assert!(at - asked.since_boot > 20_000, "its own time, not that of the call");
    sampling.stop();
}

#[test]
fn an_event_held_by_min_interval_comes_without_another_one() {
    let (bench, device) = (Bench::default(), Noticing::default());
    let filter = Filter { change: Change::Always, min_interval: Some(ms(1_500)), ..Filter::default() };
    let sampling = noticing(&bench, &device, filter);
    let first = clock::now().since_boot;
    device.notice(&[(ms(1), 20.0), (ms(0), 21.0)]);
    assert_eq!(bench.memory.wait(10, 2), ["1", "21"], "the newest of those that had to wait");
    assert!(clock::now().since_boot - first < 15_000_000, "by itself, long before the next reading");
    assert_eq!(bench.figure("s1", "suppressed"), 1);
    sampling.stop();
}

#[test]
fn events_heard_late_pass_as_they_would_have_in_time() {
    let (bench, device) = (Bench::default(), Noticing::default());
    let filter = Filter { change: Change::Always, min_interval: Some(ms(50)), ..Filter::default() };
    let sampling = noticing(&bench, &device, filter);
    thread::sleep(ms(400));
    // After the first, the second waits until 250 ms ago; the third comes 100 ms ago and must not overtake it.
    device.notice(&[(ms(300), 20.0), (ms(290), 21.0), (ms(100), 22.0)]);
    assert_eq!(bench.memory.wait(10, 4), ["1", "20", "21", "22"]);
    sampling.stop();
}

#[test]
fn lost_events_are_counted_and_shown() {
    let (bench, device) = (Bench::default(), Noticing::default());
    let sampling = noticing(&bench, &device, Filter::default());
    device.lose(7);
    until("they are counted", || bench.figure("s1", "lost") == 7);
    until("it is shown", || bench.state("s1").starts_with("degraded: 7 edges were lost"));
    sampling.stop();
}

#[test]
fn a_device_that_fails_while_it_listens_is_opened_again_long_before_its_next_reading() {
    let (bench, device) = (Bench::default(), Noticing::default());
    let sampling = noticing(&bench, &device, Filter::default());
    device.fail();
    assert_eq!(bench.memory.wait(11, 3), ["ok", "failed: deaf", "ok"]);
    assert_eq!(device.opens(), 2);
    assert_eq!(bench.memory.wait(10, 2), ["1", "2"]);
    device.notice(&[(ms(0), 20.0)]);
    assert_eq!(bench.memory.wait(10, 3)[2], "20", "and heard again");
    sampling.stop();
}

#[test]
fn many_events_and_a_busy_log_cost_counted_readings_but_not_the_worker() {
    let (bench, device) = (Bench::default(), Noticing::default());
    let filter = Filter { change: Change::Always, ..Filter::default() };
    let sampling = noticing(&bench, &device, filter);
    bench.memory.busy.store(true, Ordering::SeqCst);
    let began = Instant::now();
    let many: Vec<(Duration, f64)> = (0..500).map(|n| (ms(500 - n), (n % 80) as f64)).collect();
    device.notice(&many);
    until("all are given up", || bench.figure("s1", "dropped") == 500);
    assert!(began.elapsed() < ms(10_000), "one patience for all");
    assert_eq!(bench.memory.lost.load(Ordering::SeqCst), 500);
    bench.memory.busy.store(false, Ordering::SeqCst);
    device.notice(&[(ms(0), 20.0)]);
    assert_eq!(bench.memory.wait(10, 2), ["1", "20"]);
    sampling.stop();
}

#[test]
fn what_happened_just_before_the_end_is_not_lost() {
    let (bench, device) = (Bench::default(), Noticing::default());
    let sampling = noticing(&bench, &device, Filter::default());
    device.notice(&[(ms(0), 20.0)]);
    sampling.stop();
    assert_eq!(bench.memory.values(10), ["1", "20"]);
}

#[test]
fn a_meter_says_what_it_has_before_the_end_whatever_its_filter() {
    let (bench, device) = (Bench::default(), Noticing::resuming());
    let filter = Filter { change: Change::Absolute(50.0), ..Filter::default() };
    noticing(&bench, &device, filter.clone()).stop();
    assert_eq!(bench.memory.values(10), ["1", "2"]);

    // What it had counted when it was paused would be lost with the end.
    let (bench, device) = (Bench::default(), Noticing::resuming());
    let sampling = noticing(&bench, &device, filter.clone());
    sampling.control().order("s1", Order::Pause).unwrap();
    sampling.stop();
    assert_eq!(bench.memory.values(10), ["1", "2"]);

    let (bench, device) = (Bench::default(), Noticing::default());
    noticing(&bench, &device, filter).stop();
    assert_eq!(bench.memory.values(10), ["1"], "others are not read again");
}
