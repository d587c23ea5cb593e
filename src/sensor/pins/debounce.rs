//! From edges to changes that last. Pure: every time is an argument.
//!
//! A contact that closes does so many times within some milliseconds. A change counts once the level has
//! stayed for the time of debounce, and it counts from when it stayed: its time is that of the last edge.

use std::time::Duration;

/// A level that stayed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::sensor) struct Change {
    /// The level.
    pub(in crate::sensor) high: bool,
    /// Since when.
    pub(in crate::sensor) at: Duration,
}

/// One pin's memory.
#[derive(Debug, Clone)]
pub(in crate::sensor) struct Debounce {
    time: Duration,
    settled: bool,
    /// The level after the last edge, and when that was.
    level: bool,
    since: Duration,
    /// The first of the edges that have followed each other faster than the time of debounce.
    restless: Duration,
}

impl Debounce {
    /// A pin at this level, as long as anybody knows.
    pub(in crate::sensor) fn new(high: bool, time: Duration) -> Self {
        Self { time, settled: high, level: high, since: Duration::ZERO, restless: Duration::ZERO }
    }

    /// The level that stayed.
    pub(in crate::sensor) fn settled(&self) -> bool {
        self.settled
    }

    /// The level after the last edge.
    pub(in crate::sensor) fn level(&self) -> bool {
        self.level
    }

    /// Whether the level has left the settled one, and may stay or come back.
    pub(in crate::sensor) fn is_undecided(&self) -> bool {
        self.level != self.settled
    }

    /// Since when no level has stayed, if none has up to `now`.
    pub(in crate::sensor) fn restless_since(&self, now: Duration) -> Option<Duration> {
        let rests = now.saturating_sub(self.since) >= self.time || self.since.is_zero();
        (!rests).then_some(self.restless)
    }

    /// Takes an edge to this level. Answers the change that the time before it has settled, or that it is
    /// itself if there is nothing to wait for.
    ///
    /// Two edges to one level mean that the one in between was lost: the level did not stay.
    pub(in crate::sensor) fn feed(&mut self, high: bool, at: Duration) -> Option<Change> {
        let before = self.settle(at);
        if self.restless_since(at).is_none() {
            self.restless = at;
        }
        self.level = high;
        self.since = at;
        before.or_else(|| self.settle(at))
    }

    /// The change that has lasted long enough by `now`, if one has.
    pub(in crate::sensor) fn settle(&mut self, now: Duration) -> Option<Change> {
        if self.level == self.settled || now < self.due()? {
            return None;
        }
        self.settled = self.level;
        Some(Change { high: self.level, at: self.since })
    }

    /// When the change under way will have lasted long enough.
    pub(in crate::sensor) fn due(&self) -> Option<Duration> {
        (self.level != self.settled).then(|| self.since.saturating_add(self.time))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// Feeds edges that alternate, beginning with a rise, and settles all in the end.
    fn changes(time: u64, edges: &[u64]) -> Vec<(bool, u64)> {
        let mut debounce = Debounce::new(false, ms(time));
        let mut found: Vec<Change> = Vec::new();
        let mut high = false;
        for at in edges {
            high = !high;
            found.extend(debounce.feed(high, ms(*at)));
        }
        found.extend(debounce.settle(Duration::MAX));
        assert_eq!(debounce.due(), None);
        found.iter().map(|change| (change.high, change.at.as_millis() as u64)).collect()
    }

    #[test]
    fn what_stays_is_a_change_and_what_does_not_is_none() {
        // (debounce, edges at …) → (level, since)
        type Case = (u64, &'static [u64], &'static [(bool, u64)]);
        let table: [Case; 11] = [
            (10, &[], &[]),
            (10, &[5], &[(true, 5)]),
            (10, &[0], &[(true, 0)]),
            (10, &[5, 14], &[]),
            (10, &[5, 15], &[(true, 5), (false, 15)]),
            (10, &[5, 16], &[(true, 5), (false, 16)]),
            (10, &[5, 6, 7, 8, 9], &[(true, 9)]),
            (10, &[5, 6, 7, 8], &[]),
            (10, &[5, 6, 7, 100, 101, 102], &[(true, 7), (false, 102)]),
            (0, &[5, 6, 7], &[(true, 5), (false, 6), (true, 7)]),
            (0, &[5, 5, 5], &[(true, 5), (false, 5), (true, 5)]),
        ];
        for (time, edges, expected) in table {
            assert_eq!(changes(time, edges), expected, "{time} ms, {edges:?}");
        }
    }

    #[test]
    fn a_change_is_known_when_its_time_has_come_and_not_before() {
        let mut debounce = Debounce::new(true, ms(50));
        assert_eq!((debounce.due(), debounce.is_undecided()), (None, false));
        assert_eq!(debounce.feed(false, ms(100)), None);
        assert_eq!((debounce.due(), debounce.is_undecided()), (Some(ms(150)), true));
        assert_eq!(debounce.feed(true, ms(120)), None);
        assert_eq!(debounce.due(), None);
        debounce.feed(false, ms(125));
        assert_eq!(debounce.due(), Some(ms(175)));
        assert_eq!(debounce.settle(ms(174)), None);
        assert!(debounce.settled());
        assert_eq!(debounce.settle(ms(175)), Some(Change { high: false, at: ms(125) }));
        assert_eq!(debounce.settle(ms(1_000)), None);
        assert!(!debounce.settled());
    }

    #[test]
    fn a_pin_that_does_not_come_to_rest_is_known_by_it() {
        let mut debounce = Debounce::new(false, ms(50));
        assert_eq!(debounce.restless_since(ms(7)), None);
        for at in (100..10_000).step_by(20) {
            debounce.feed(at % 40 == 20, ms(at));
            assert_eq!(debounce.restless_since(ms(at + 5)), Some(ms(100)), "{at}");
        }
        assert_eq!(debounce.restless_since(ms(10_100)), None);
        debounce.feed(true, ms(20_000));
        assert_eq!(debounce.restless_since(ms(20_001)), Some(ms(20_000)));
    }

    #[test]
    fn an_edge_that_was_lost_does_not_make_its_neighbours_a_rest() {
        let mut debounce = Debounce::new(false, ms(10));
        debounce.feed(true, ms(0));
        // The fall in between was lost: since 8 ms the level holds, not since 0.
        assert_eq!(debounce.feed(true, ms(8)), None);
        assert_eq!(debounce.settle(ms(17)), None);
        assert_eq!(debounce.settle(ms(18)), Some(Change { high: true, at: ms(8) }));
        // And one that says what is known already changes nothing.
        assert_eq!(debounce.feed(true, ms(30)), None);
        assert_eq!(debounce.settle(Duration::MAX), None);
    }

    /// The same by its definition: of the stretches between edges, those long enough, without repeats.
    fn by_definition(time: u64, edges: &[u64]) -> Vec<(bool, u64)> {
        let mut settled = false;
        let mut found = Vec::new();
        for (index, at) in edges.iter().enumerate() {
            let high = index % 2 == 0;
            let stays = edges.get(index + 1).is_none_or(|next| next - at >= time);
            if stays && high != settled {
                settled = high;
                found.push((high, *at));
            }
        }
        found
    }

    proptest! {
        #[test]
        fn any_edges_give_what_the_definition_says(
            time in 0_u64..40,
            gaps in prop::collection::vec(0_u64..60, 0..60),
        ) {
            let edges: Vec<u64> =
                gaps.iter().scan(0, |at, gap| { *at += gap; Some(*at) }).collect();
            let found = changes(time, &edges);
            prop_assert_eq!(&found, &by_definition(time, &edges));
            // Nothing is lost at the end: it ends where the pin is.
            prop_assert_eq!(found.last().is_some_and(|last| last.0), edges.len() % 2 == 1);
            prop_assert!(found.windows(2).all(|pair| pair[0].0 != pair[1].0 && pair[0].1 <= pair[1].1));
        }

        #[test]
        fn how_often_it_is_looked_at_changes_nothing(
            time in 0_u64..40,
            gaps in prop::collection::vec(1_u64..60, 0..40),
            looks in prop::collection::vec(any::<bool>(), 40),
        ) {
            let edges: Vec<u64> =
                gaps.iter().scan(0, |at, gap| { *at += gap; Some(*at) }).collect();
            let mut debounce = Debounce::new(false, ms(time));
            let (mut found, mut high) = (Vec::new(), false);
            for (at, look) in edges.iter().zip(looks) {
                if look {
                    found.extend(debounce.settle(ms(*at - 1)));
                }
                high = !high;
                found.extend(debounce.feed(high, ms(*at)));
            }
            found.extend(debounce.settle(Duration::MAX));
            let found: Vec<(bool, u64)> =
                found.iter().map(|change| (change.high, change.at.as_millis() as u64)).collect();
            prop_assert_eq!(found, changes(time, &edges));
        }
    }
}
