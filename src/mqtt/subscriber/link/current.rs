//! What belongs to one connection, and is gone with it.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::mqtt::connection::Connected;
use crate::reading::Qos;

/// The way to the end in order.
///
/// A connection that is closed while messages wait in our socket is reset, and the broker may not have read
/// our last acknowledgements then: it would send those messages again. So we ask it something and wait for the
/// answer, which comes after them; only then is it told that we leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Leaving {
    NotYet,
    Asked,
    Answered,
    Told,
}

/// What belongs to one connection.
pub(super) struct Current<R> {
    pub(super) requests: R,
    /// Acknowledgements that found rumqttc's queue full.
    pub(super) owed: VecDeque<(u16, Qos)>,
    pub(super) keep_alive: Duration,
    pub(super) heard: Instant,
    /// Packet id of the SUBSCRIBE or UNSUBSCRIBE under way, and since when.
    pub(super) asked: Option<(Option<u16>, Instant)>,
    /// Largest packet that the broker takes, bytes.
    pub(super) max_packet_size: Option<u32>,
    /// Since when an answer of ours waits for its acknowledgement.
    pub(super) answering: Option<Instant>,
    /// Since when nothing is read.
    pub(super) paused: Option<Instant>,
    /// When a batch that could wait was first seen.
    pub(super) waiting: Option<Instant>,
    /// Nothing new is taken: only what was taken is stored and acknowledged.
    pub(super) ending: bool,
    /// How far the end in order has come.
    pub(super) leaving: Leaving,
    /// When the token that let us in is no good any more.
    pub(super) expires: Option<Instant>,
}

impl<R> Current<R> {
    pub(super) fn new(connected: &Connected, requests: R) -> Self {
        Self {
            requests,
            owed: VecDeque::new(),
            keep_alive: connected.keep_alive,
            heard: Instant::now(),
            max_packet_size: connected.max_packet_size,
            asked: None,
            answering: None,
            paused: None,
            waiting: None,
            ending: false,
            leaving: Leaving::NotYet,
            expires: None,
        }
    }

    /// Whether an answer is to the request under way.
    pub(super) fn awaits(&self, pkid: u16) -> bool {
        self.asked.is_some_and(|(id, _)| id == Some(pkid))
    }
}

/// Nothing heard for this long means that nobody is there: two pings went unanswered.
pub(super) fn silence(keep_alive: Duration) -> Duration {
    keep_alive * 2 + Duration::from_secs(5)
}
