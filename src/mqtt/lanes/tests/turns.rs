//! With a rate for all messages: what waits takes turns, and gives way to what says the same anew.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::super::ready::{OPEN, PREFETCH};
use super::super::{Lanes, Ticket};
use super::Rows;
use crate::config::{Backlog, ClockPolicy};
use crate::log::DeliveryState;
use crate::mqtt::message::tests::logged;
use crate::reading::{Logged, Shape};

/// A reading of this sensor's quantity, a message of its own or with others of the sensor.
fn told(row: i64, sensor: &str, quantity: &str, shape: Shape) -> Logged {
    let mut told = logged(row, sensor, row, shape, false);
    let channel = Arc::make_mut(&mut told.channel);
    channel.quantity = quantity.into();
    if let Some(publish) = channel.publish.as_mut().filter(|_| shape == Shape::Quantity) {
        publish.topic = format!("t/{sensor}/{quantity}");
    }
    told
}

fn rated(rate: f64, now: Instant) -> Lanes {
    Lanes::new(&DeliveryState::default(), &Backlog::InOrder, Some(rate), ClockPolicy::Mark, now)
}

/// What goes out now, as its rows.
fn turn(lanes: &mut Lanes, rows: &mut Rows, committed: i64, now: Instant) -> Option<(Ticket, Vec<i64>)> {
    let lane = lanes.ready(rows, committed, now, 0).unwrap()?;
    let head = lanes.head(lane).unwrap().row();
    let (message, ticket) = lanes.take(lane, false).unwrap();
    assert_eq!(head, message.row());
    Some((ticket, message.readings().iter().map(|reading| reading.row).collect()))
}

#[test]
fn of_what_is_too_much_the_newest_of_each_topic_goes_out_in_turn() {
    let of = |row: i64| ["a", "b", "c"][(row as usize - 1) % 3];
    let mut rows = Rows((1..=30).map(|row| told(row, of(row), "q", Shape::Quantity)).collect());
    let start = Instant::now();
    let mut lanes = rated(1.0, start);
    let mut sent = Vec::new();
    // Three topics with a message each second, of which one may go out.
    for tenth in 0..=100_u64 {
        let now = start + Duration::from_millis(100 * tenth);
        let committed = (3 * (1 + tenth as i64 / 10)).min(30);
        if let Some((ticket, _)) = turn(&mut lanes, &mut rows, committed, now) {
            sent.push((tenth, ticket.row));
            lanes.done(ticket);
            lanes.advance();
        }
        assert_eq!(turn(&mut lanes, &mut rows, committed, now), None);
        let next = lanes.wake(now).expect("it is looked again at the next turn");
        assert!(next > now && next <= now + Duration::from_secs(1));
    }
    let expected = [1, 5, 9, 10, 14, 18, 19, 23, 27, 28, 29];
    assert_eq!(sent, (0..).step_by(10).zip(expected).collect::<Vec<_>>());
    assert_eq!(lanes.cursor(), 29, "what gave way is passed");
    assert_eq!(lanes.take_thinned() + sent.len(), 29);
    let (last, _) = turn(&mut lanes, &mut rows, 30, start + Duration::from_secs(11)).unwrap();
    lanes.done(last);
    assert_eq!((last.row, lanes.advance().unwrap().cursor), (30, Some(30)));
    assert!(lanes.is_drained(30));
}

#[test]
fn a_large_backlog_shrinks_to_what_there_is_to_say() {
    // 20,000 messages of two topics, and one of a third before them.
    let of = |row: i64| if row == 1 { "rare" } else { ["a", "b"][row as usize % 2] };
    let mut rows = Rows((1..=20_001).map(|row| told(row, of(row), "q", Shape::Quantity)).collect());
    let start = Instant::now();
    let mut lanes = rated(1.0, start);
    let mut sent = Vec::new();
    for second in 0..10 {
        let now = start + Duration::from_secs(second);
        if let Some((ticket, _)) = turn(&mut lanes, &mut rows, 20_001, now) {
            sent.push(ticket.row);
            lanes.done(ticket);
        }
        lanes.advance();
        assert!(lanes.live.open.len() <= OPEN + PREFETCH && lanes.live.waiting.len() <= 3);
    }
    assert_eq!(sent, [1, 20_000, 20_001]);
    assert_eq!((lanes.cursor(), lanes.take_thinned()), (20_001, 19_998));
    assert!(lanes.is_drained(20_001));
}

#[test]
fn only_what_is_said_anew_gives_way() {
    let mut rows = Rows(vec![
        told(1, "a", "temperature", Shape::Sample),
        told(2, "b", "temperature", Shape::Sample),
        told(3, "a", "humidity", Shape::Sample),
        told(4, "a", "temperature", Shape::Sample),
    ]);
    // Rows 5 and 6 are one sample of both.
    let start = Instant::now();
    let mut lanes = rated(1000.0, start);
    let mut later = start;
    let mut next = |lanes: &mut Lanes, rows: &mut Rows, committed| {
        later += Duration::from_millis(2);
        turn(lanes, rows, committed, later).map(|(_, rows)| rows)
    };
    assert_eq!(
        next(&mut lanes, &mut rows, 4),
        Some(vec![3]),
        "in the first place, and in order in its topic"
    );
    rows.0.push(told(5, "a", "humidity", Shape::Sample));
    rows.0.push(told(6, "a", "temperature", Shape::Sample));
    (rows.0[5].continues, rows.0[5].at) = (true, rows.0[4].at);
    assert_eq!(next(&mut lanes, &mut rows, 6), Some(vec![2]));
    assert_eq!(next(&mut lanes, &mut rows, 6), Some(vec![5, 6]));
    assert_eq!(next(&mut lanes, &mut rows, 6), None);
    assert_eq!(lanes.take_thinned(), 2);
}

#[test]
fn leaving_does_not_wait_for_turns() {
    let mut rows = Rows((1..=3).map(|row| told(row, &format!("s{row}"), "q", Shape::Quantity)).collect());
    let start = Instant::now();
    let mut lanes = rated(0.001, start);
    let (first, _) = turn(&mut lanes, &mut rows, 3, start).unwrap();
    assert_eq!(turn(&mut lanes, &mut rows, 3, start), None);
    assert!(!lanes.is_drained(3), "one is under way");
    lanes.done(first);
    lanes.advance();
    assert!(lanes.is_drained(3));
    assert_eq!(lanes.cursor(), 1, "the others go out after the next start");
    lanes.restart();
    let later = start + Duration::from_secs(2000);
    assert_eq!(turn(&mut lanes, &mut rows, 3, later).unwrap().1, [2]);
}

proptest! {
    /// With a rate: in order in each topic, never more than it allows, nothing passed that neither went out nor gave way
    /// to something newer, and in the end the newest of everything has gone out.
    #[test]
    fn thinned_and_nothing_else(
        sensors in proptest::collection::vec((0..4usize, 0..3usize), 1..80),
        sample: bool,
        steps in proptest::collection::vec((0..30u64, 0..6i64, 0..4usize, 0..40u8), 1..100),
    ) {
        let shape = if sample { Shape::Sample } else { Shape::Quantity };
        let key = |row: i64| sensors[row as usize - 1];
        let end = sensors.len() as i64;
        let mut rows = Rows((1..=end).map(|row| {
            let (sensor, quantity) = key(row);
            told(row, &format!("s{sensor}"), &format!("q{quantity}"), shape)
        }).collect());
        let start = Instant::now();
        let (mut now, mut committed) = (start, 0);
        let mut lanes = rated(100.0, start);
        let (mut flying, mut done, mut count) = (Vec::<Ticket>::new(), BTreeMap::new(), 0);
        let mut last: BTreeMap<String, i64> = BTreeMap::new();
        let finish = std::iter::repeat_n((30, 6, 0, 1), 200);
        for (wait, more, which, cut) in steps.into_iter().chain(finish) {
            now += Duration::from_millis(wait);
            committed = (committed + more).min(end);
            if cut == 0 {
                lanes.restart();
                flying.clear();
                // What was not acknowledged may come again.
                last.clear();
            }
            if let Some(lane) = lanes.ready(&mut rows, committed, now, 0).unwrap() {
                let (message, ticket) = lanes.take(lane, false).unwrap();
                prop_assert!(!done.contains_key(&ticket.row), "row {} again", ticket.row);
                let before = last.insert(message.publish().unwrap().topic.clone(), ticket.row);
                prop_assert!(before < Some(ticket.row), "{before:?} before {}", ticket.row);
                flying.push(ticket);
                count += 1;
            }
            if !flying.is_empty() {
                let ticket = flying.remove(which % flying.len());
                lanes.done(ticket);
                done.insert(ticket.row, ());
            }
            lanes.advance();
            let most = 1.0 + 5.0 + 100.0 * (now - start).as_secs_f64();
            prop_assert!(f64::from(count) <= most, "{count} in {:?}", now - start);
            for row in (1..=lanes.cursor()).filter(|row| !done.contains_key(row)) {
                prop_assert!((row + 1..=committed).any(|newer| key(newer) == key(row)), "row {row} is lost");
            }
        }
        prop_assert_eq!(lanes.cursor(), end);
        for row in (1..=end).filter(|row| !(row + 1..=end).any(|newer| key(newer) == key(*row))) {
            prop_assert!(done.contains_key(&row), "row {row} is the newest");
        }
    }
}
