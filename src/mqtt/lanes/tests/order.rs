//! Nothing is skipped, nothing is passed before it is done: both lanes, over restarts and splits.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::super::ready::HOLD_CHECK;
use super::super::{LaneId, Lanes, Ticket};
use super::{lanes, rows, take};
use crate::config::{Backlog, ClockPolicy};
use crate::log::{DeliveryState, InFlight, RowRange, Stage};
use crate::reading::Qos;

#[test]
fn the_cursor_follows_the_contiguous_prefix() {
    let mut rows = rows(1..=3);
    let mut lanes = lanes(DeliveryState::default(), Backlog::InOrder);
    let tickets: Vec<_> = (0..3).map(|_| take(&mut lanes, &mut rows, 3).unwrap()).collect();
    assert_eq!(take(&mut lanes, &mut rows, 3), None);
    lanes.done(tickets[1]);
    assert_eq!(lanes.advance(), None);
    lanes.done(tickets[0]);
    assert_eq!(lanes.advance().unwrap().cursor, Some(2));
    assert!(!lanes.is_drained(3));
    lanes.done(tickets[2]);
    assert_eq!(lanes.advance().unwrap().cursor, Some(3));
    assert!(lanes.is_drained(3));
}

#[test]
fn rows_that_are_not_published_let_the_cursor_pass() {
    let mut rows = rows([2]);
    let mut lanes = lanes(DeliveryState::default(), Backlog::InOrder);
    assert_eq!(take(&mut lanes, &mut rows, 1), None);
    assert_eq!(lanes.advance().unwrap().cursor, Some(1));
    let ticket = take(&mut lanes, &mut rows, 9).unwrap();
    assert_eq!(take(&mut lanes, &mut rows, 12), None);
    assert_eq!(lanes.cursor(), 1);
    lanes.done(ticket);
    assert_eq!(lanes.advance().unwrap().cursor, Some(12));
}

#[test]
fn after_a_restart_only_what_is_not_done_comes_again() {
    let mut rows = rows(1..=5);
    let state = DeliveryState {
        cursor: 1,
        late: vec![],
        in_flight: vec![InFlight { row: 3, packet_id: 0, stage: Stage::Done }],
    };
    let mut lanes = lanes(state, Backlog::InOrder);
    let second = take(&mut lanes, &mut rows, 5).unwrap();
    let fourth = take(&mut lanes, &mut rows, 5).unwrap();
    assert_eq!((second.row, fourth.row), (2, 4));
    lanes.done(fourth);
    lanes.restart();
    assert_eq!(lanes.done_handshakes().collect::<Vec<_>>(), [3]);
    let again = take(&mut lanes, &mut rows, 5).unwrap();
    assert_eq!(again.row, 2);
    let fifth = take(&mut lanes, &mut rows, 5).unwrap();
    assert_eq!(fifth.row, 5);
    lanes.done(second);
    assert_eq!(lanes.advance(), None, "a ticket of an earlier connection says nothing");
    lanes.done(again);
    let progress = lanes.advance().unwrap();
    assert_eq!((progress.cursor, progress.forget), (Some(4), vec![3]));
}

#[test]
fn live_first_puts_the_backlog_beside() {
    let mut rows = rows(1..=6);
    let mut lanes = lanes(DeliveryState::default(), Backlog::LiveFirst { rate: 1 });
    assert!(lanes.split(4));
    assert!(!lanes.split(4));
    assert_eq!((lanes.cursor(), lanes.ranges()), (4, &[RowRange { next: 1, end: 4 }][..]));
    let order: Vec<_> = std::iter::from_fn(|| take(&mut lanes, &mut rows, 6))
        .map(|ticket| (ticket.lane, ticket.row))
        .collect();
    assert_eq!(order, [(LaneId::Live, 5), (LaneId::Live, 6), (LaneId::Late, 1)], "then no token");
    assert!(lanes.wake(Instant::now()).unwrap() > Instant::now());
    lanes.restart();
    assert!(lanes.split(6), "what was not acknowledged becomes late too, in one range");
    assert_eq!(lanes.ranges(), [RowRange { next: 1, end: 6 }]);
}

#[test]
fn the_late_lane_keeps_its_rate() {
    let mut rows = rows(1..=1000);
    let mut lanes = lanes(DeliveryState::default(), Backlog::LiveFirst { rate: 100 });
    lanes.split(1000);
    let start = Instant::now();
    let mut sent = 0;
    for millisecond in 0..2000 {
        let now = start + Duration::from_millis(millisecond);
        while let Some(lane) = lanes.ready(&mut rows, 1000, now, 0).unwrap() {
            lanes.take(lane, false).unwrap();
            sent += 1;
        }
    }
    assert!((198..=206).contains(&sent), "{sent} in two seconds");
}

#[test]
fn nobody_wakes_for_what_is_on_its_way_already() {
    let mut rows = rows(1..=4);
    let mut lanes = lanes(DeliveryState::default(), Backlog::LiveFirst { rate: 1_000_000 });
    lanes.split(4);
    let now = Instant::now() + Duration::from_secs(1);
    for _ in 0..4 {
        assert_eq!(lanes.ready(&mut rows, 4, now, 0).unwrap(), Some(LaneId::Late));
        lanes.take(LaneId::Late, false).unwrap();
    }
    assert_eq!(lanes.ready(&mut rows, 4, now, 0).unwrap(), None);
    assert_eq!(lanes.wake(now), None);
}

#[test]
fn left_over_late_ranges_go_first_when_in_order() {
    let mut rows = rows(1..=6);
    let state = DeliveryState {
        cursor: 5,
        late: vec![RowRange { next: 1, end: 2 }, RowRange { next: 4, end: 4 }],
        in_flight: vec![],
    };
    let mut lanes = lanes(state, Backlog::InOrder);
    let mut order = Vec::new();
    for _ in 0..4 {
        let ticket = take(&mut lanes, &mut rows, 6).unwrap();
        order.push((ticket.lane, ticket.row));
        lanes.done(ticket);
        lanes.advance();
    }
    let late = [1, 2, 4].map(|row| (LaneId::Late, row));
    assert_eq!(order[..3], late);
    assert_eq!(order[3], (LaneId::Live, 6));
    assert!(lanes.ranges().is_empty());
}

#[test]
fn unbuffered_readings_of_an_outage_are_given_up() {
    let mut rows = rows(1..=4);
    for row in &mut rows.0 {
        let publish = Arc::make_mut(&mut row.channel).publish.as_mut().unwrap();
        publish.qos = Qos::AtMostOnce;
        publish.buffer = row.row == 2;
    }
    let mut lanes = lanes(DeliveryState::default(), Backlog::InOrder);
    lanes.set_boundary(3);
    let sent: Vec<_> = std::iter::from_fn(|| take(&mut lanes, &mut rows, 4)).map(|one| one.row).collect();
    assert_eq!(sent, [2, 4]);
    assert_eq!(lanes.take_discarded(), 2);
}

#[test]
fn a_reading_waits_for_the_clock_but_not_for_ever() {
    let mut rows = rows(1..=2);
    rows.0[0].since_boot = Some(10_000_000);
    let policy = ClockPolicy::Hold(Duration::from_secs(60));
    let start = Instant::now();
    let fresh = || Lanes::new(&DeliveryState::default(), &Backlog::InOrder, None, policy, start);
    let mut lanes = fresh();
    assert_eq!(lanes.ready(&mut rows, 2, start, 11_000_000).unwrap(), None);
    assert_eq!(lanes.wake(start), Some(start + HOLD_CHECK));
    assert!(lanes.is_drained(2), "nothing that may go out");
    let later = start + HOLD_CHECK;
    assert_eq!(lanes.ready(&mut rows, 2, later, 69_999_999).unwrap(), None);
    rows.0[0].since_boot = None;
    let later = later + HOLD_CHECK;
    assert_eq!(lanes.ready(&mut rows, 2, later, 69_999_999).unwrap(), Some(LaneId::Live), "corrected");
    rows.0[0].since_boot = Some(10_000_000);
    assert_eq!(fresh().ready(&mut rows, 2, start, 70_000_000).unwrap(), Some(LaneId::Live), "too old");
}

#[derive(Debug, Clone, Copy)]
enum Step {
    Take,
    Done(usize),
    Commit(i64),
    Restart,
    Split,
}

proptest! {
    /// Whatever happens in whatever order: nothing is skipped, nothing is passed before it is done, and
    /// in the end everything has been.
    #[test]
    fn nothing_is_lost(
        published in proptest::collection::vec(any::<bool>(), 1..60),
        live_first: bool,
        steps in proptest::collection::vec(prop_oneof![
            3 => Just(Step::Take),
            3 => (0..8usize).prop_map(Step::Done),
            2 => (1..6i64).prop_map(Step::Commit),
            1 => Just(Step::Restart),
            1 => Just(Step::Split),
        ], 0..300),
    ) {
        let all: Vec<i64> = (1..).zip(&published).filter(|(_, yes)| **yes).map(|(row, _)| row).collect();
        let end = published.len() as i64;
        let mut rows = rows(all.iter().copied());
        let backlog = if live_first { Backlog::LiveFirst { rate: 1_000_000 } } else { Backlog::InOrder };
        let mut lanes = lanes(DeliveryState::default(), backlog);
        let (mut committed, mut flying, mut done) = (0, Vec::<Ticket>::new(), BTreeMap::new());
        let mut now = Instant::now();
        let finish = std::iter::repeat_n([Step::Commit(60), Step::Take, Step::Done(0)], 200).flatten();
        for step in steps.into_iter().chain(finish) {
            now += Duration::from_millis(1);
            match step {
                Step::Take => if let Some(lane) = lanes.ready(&mut rows, committed, now, 0).unwrap() {
                    let ticket = lanes.take(lane, false).unwrap().1;
                    prop_assert!(!done.contains_key(&ticket.row), "row {} again", ticket.row);
                    flying.push(ticket);
                },
                Step::Done(which) if !flying.is_empty() => {
                    let ticket = flying.remove(which % flying.len());
                    lanes.done(ticket);
                    done.insert(ticket.row, ());
                }
                Step::Done(_) => {}
                Step::Commit(more) => committed = (committed + more).min(end),
                Step::Restart => {
                    lanes.restart();
                    flying.clear();
                }
                Step::Split => {
                    lanes.restart();
                    flying.clear();
                    lanes.split(committed);
                }
            }
            lanes.advance();
            let late = |row: i64| lanes.ranges().iter().any(|range| (range.next..=range.end).contains(&row));
            for row in all.iter().filter(|row| **row <= lanes.cursor() && !late(**row)) {
                prop_assert!(done.contains_key(row), "row {row} was passed and not done");
            }
        }
        prop_assert_eq!(done.len(), all.len());
        prop_assert_eq!((lanes.cursor(), lanes.ranges().len()), (end, 0));
    }
}
