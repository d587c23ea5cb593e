//! Edges on their way from the thread that hears them to the worker that takes them: a bounded queue that
//! knows from the kernel's numbers how many are missing. Interprets no edge.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::super::lock;

/// Most edges that wait. At a thousand a second that is four seconds in which nobody looks.
pub(super) const CAPACITY: usize = 4096;

/// One change of a pin's level.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Edge {
    /// The level after it: high or low.
    pub high: bool,
    /// When, by the kernel's monotonic clock (`CLOCK_MONOTONIC`), taken in the interrupt.
    pub at: Duration,
    /// The kernel's number of it, counted from 1 since the pin is watched; wraps around.
    pub sequence: u32,
}

/// Edges in the order they happened.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Edges {
    /// Those that were kept.
    pub edges: Vec<Edge>,
    /// Those that were not, here or in the kernel, before the last one kept.
    pub lost: u64,
}

/// Called, from any thread, when there is something to take. Must not wait.
pub type Waker = Arc<dyn Fn() + Send + Sync>;

/// Between a pin and whoever watches it.
#[derive(Default)]
pub(super) struct EdgeQueue {
    /// So many edges are worth waking somebody.
    wake_at: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    edges: VecDeque<Edge>,
    /// Number of the last edge taken; the first one is 1.
    taken: u32,
    waker: Option<Waker>,
    ended: bool,
}

impl fmt::Debug for EdgeQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EdgeQueue({} waiting)", lock(&self.state).edges.len())
    }
}

impl EdgeQueue {
    /// An empty queue whose waker is called when `wake_at` edges wait.
    pub(super) fn new(wake_at: usize) -> Self {
        Self { wake_at: wake_at.clamp(1, CAPACITY), state: Mutex::default() }
    }

    /// Adds an edge. When the queue is full the oldest one goes: what a pin is now counts for more than what
    /// it was, and the gap in the numbers tells of it.
    pub(super) fn push(&self, edge: Edge) {
        let mut state = lock(&self.state);
        if state.edges.len() >= CAPACITY {
            state.edges.pop_front();
        }
        state.edges.push_back(edge);
        let waker = (state.edges.len() >= self.wake_at).then(|| state.waker.clone()).flatten();
        drop(state);
        if let Some(wake) = waker {
            wake();
        }
    }

    /// Takes out all that wait.
    pub(super) fn take(&self) -> Edges {
        let mut state = lock(&self.state);
        let edges: Vec<Edge> = state.edges.drain(..).collect();
        let mut lost = 0;
        for edge in &edges {
            let missing = edge.sequence.wrapping_sub(state.taken).wrapping_sub(1);
            // A number that went back is no gap of billions.
            if missing < u32::MAX / 2 {
                lost += u64::from(missing);
            }
            state.taken = edge.sequence;
        }
        Edges { edges, lost }
    }

    /// Whether any wait.
    pub(super) fn waits(&self) -> bool {
        !lock(&self.state).edges.is_empty()
    }

    /// Names whom to call; calls at once if something waits already.
    pub(super) fn wake_by(&self, waker: Waker) {
        let mut state = lock(&self.state);
        state.waker = Some(Arc::clone(&waker));
        let waiting = state.ended || state.edges.len() >= self.wake_at;
        drop(state);
        if waiting {
            waker();
        }
    }

    /// No edge will come any more.
    pub(super) fn end(&self) {
        let mut state = lock(&self.state);
        state.ended = true;
        let waker = state.waker.clone();
        drop(state);
        if let Some(wake) = waker {
            wake();
        }
    }

    /// Whether [`EdgeQueue::end`] was called.
    pub(super) fn ended(&self) -> bool {
        lock(&self.state).ended
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    fn edge(sequence: u32) -> Edge {
        Edge { high: sequence % 2 == 1, at: Duration::from_millis(sequence.into()), sequence }
    }

    #[test]
    fn gaps_in_the_numbers_are_losses() {
        // numbers taken in turn → losses
        let table: [(&[u32], u64); 6] =
            [(&[], 0), (&[1, 2], 0), (&[5], 2), (&[6, 9], 2), (&[10], 0), (&[3], 0)];
        let queue = EdgeQueue::new(1);
        for (numbers, lost) in table {
            numbers.iter().for_each(|number| queue.push(edge(*number)));
            let edges = queue.take();
            assert_eq!(edges.lost, lost, "{numbers:?}");
            assert_eq!(edges.edges.len(), numbers.len());
        }
        let first_missing = EdgeQueue::new(1);
        first_missing.push(edge(3));
        assert_eq!(first_missing.take().lost, 2, "the first number is 1");
    }

    #[test]
    fn numbers_wrap_around() {
        let queue = EdgeQueue::new(1);
        lock(&queue.state).taken = u32::MAX - 1;
        for sequence in [u32::MAX, 0, 1] {
            queue.push(edge(sequence));
        }
        assert_eq!(queue.take().lost, 0);
    }

    #[test]
    fn a_full_queue_keeps_the_newest_and_counts_the_rest() {
        let queue = EdgeQueue::new(1);
        let all = u32::try_from(CAPACITY).unwrap() + 10;
        (1..=all).for_each(|sequence| queue.push(edge(sequence)));
        let Edges { edges, lost } = queue.take();
        assert_eq!((edges.len(), lost), (CAPACITY, 10));
        assert_eq!(edges.last().map(|edge| edge.sequence), Some(all));
    }

    #[test]
    fn the_waker_is_called_from_so_many_edges_on_and_at_the_end() {
        let calls = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&calls);
        let queue = EdgeQueue::new(3);
        queue.wake_by(Arc::new(move || {
            counted.fetch_add(1, Ordering::SeqCst);
        }));
        let mut seen = Vec::new();
        for sequence in 1..=4 {
            queue.push(edge(sequence));
            seen.push(calls.load(Ordering::SeqCst));
        }
        assert_eq!(seen, [0, 0, 1, 2]);
        queue.end();
        assert_eq!((calls.load(Ordering::SeqCst), queue.ended()), (3, true));
        let late = Arc::clone(&calls);
        queue.wake_by(Arc::new(move || {
            late.fetch_add(10, Ordering::SeqCst);
        }));
        assert_eq!(calls.load(Ordering::SeqCst), 13, "nobody waits for what is there already");
    }
}
