//! What the page shows, as pieces with a version each, and the streams that bring visitors what is new.
//!
//! A stream sends what has changed since its last frame, made when the client has taken that frame: whoever
//! is slow gets fewer frames and misses nothing, and nothing is queued for anybody.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hyper::body::Bytes;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::time::timeout;

use super::body::Body;
use crate::status::Figure;

/// Pages that are kept up to date at once.
pub(super) const MOST: usize = 16;

/// What was seen so long ago is shown to who comes now, rather than nothing, until the next look: it is no older than
/// what everybody else sees.
const FRESH: Duration = Duration::from_secs(2);

/// A page that opens is not kept waiting for longer.
const BEFORE_LONG: Duration = Duration::from_secs(1);

/// A piece that is gone is told of for so many versions. Visitors that old have long been let go of.
const TOLD: u64 = 300;

/// Pieces by name, each a JSON text.
pub(super) type Pieces = BTreeMap<String, String>;

/// What there is to see.
#[derive(Debug)]
pub(super) struct Live {
    table: Mutex<Table>,
    news: watch::Sender<u64>,
    room: Arc<Semaphore>,
    arrival: Notify,
    visitors: Figure,
}

#[derive(Debug, Default)]
struct Table {
    version: u64,
    pieces: BTreeMap<String, Piece>,
    shown: Option<Instant>,
}

#[derive(Debug)]
struct Piece {
    version: u64,
    /// `None` for one that is gone.
    json: Option<String>,
}

impl Live {
    /// Nothing to see yet, nobody there.
    pub fn new(visitors: Figure) -> Self {
        visitors.set(0);
        Self {
            table: Mutex::default(),
            news: watch::channel(0).0,
            room: Arc::new(Semaphore::new(MOST)),
            arrival: Notify::new(),
            visitors,
        }
    }

    /// Whether somebody is looking.
    pub fn is_watched(&self) -> bool {
        self.room.available_permits() < MOST
    }

    /// Returns when somebody has come since the last time.
    pub async fn arrival(&self) {
        self.arrival.notified().await;
    }

    /// Replaces what there is to see, as it is `now`.
    pub fn show(&self, pieces: Pieces, now: Instant) {
        let version = {
            let mut table = self.table();
            table.shown = Some(now);
            table.replace(pieces)
        };
        self.news.send_replace(version);
    }

    /// A stream of what there is and what changes; `None` when too many are there already.
    pub fn stream(self: &Arc<Self>, now: Instant) -> Option<Body> {
        let place = self.room.clone().try_acquire_owned().ok()?;
        self.count();
        let (sender, frames) = mpsc::channel(1);
        let mut news = self.news.subscribe();
        match self.is_fresh(now) {
            true => news.mark_changed(),
            // The first frame comes with the next look.
            false => news.mark_unchanged(),
        }
        self.arrival.notify_one();
        tokio::spawn(self.clone().feed(news, sender, place));
        Some(Body::Frames(frames))
    }

    /// What there is to see, as one JSON object; `None` if nobody can tell before long.
    pub async fn glance(&self, now: Instant) -> Option<String> {
        let mut news = self.news.subscribe();
        if !self.is_fresh(now) {
            self.arrival.notify_one();
            timeout(BEFORE_LONG, news.changed()).await.ok()?.ok()?;
        }
        Some(self.table().json(0))
    }

    fn is_fresh(&self, now: Instant) -> bool {
        self.table().shown.is_some_and(|shown| now.saturating_duration_since(shown) < FRESH)
    }

    async fn feed(
        self: Arc<Self>,
        mut news: watch::Receiver<u64>,
        frames: mpsc::Sender<Bytes>,
        place: OwnedSemaphorePermit,
    ) {
        let mut seen = 0;
        loop {
            tokio::select! {
                changed = news.changed() => if changed.is_err() { break },
                () = frames.closed() => break,
            }
            // Room first, then the frame: made of what is the newest when the client can take it.
            let Ok(room) = frames.reserve().await else { break };
            news.mark_unchanged();
            let (frame, version) = self.table().frame(seen);
            seen = version;
            room.send(frame.into());
        }
        drop(place);
        self.count();
    }

    fn count(&self) {
        self.visitors.set((MOST - self.room.available_permits()) as i64);
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        // Nothing that is done under it panics halfway.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn replace(&mut self, mut fresh: Pieces) -> u64 {
        self.version += 1;
        let version = self.version;
        for (name, piece) in &mut self.pieces {
            let json = fresh.remove(name);
            if piece.json != json {
                *piece = Piece { version, json };
            }
        }
        self.pieces.retain(|_, piece| piece.json.is_some() || piece.version + TOLD > version);
        let new = fresh.into_iter().map(|(name, json)| (name, Piece { version, json: Some(json) }));
        self.pieces.extend(new);
        version
    }

    /// A server-sent event with everything newer than `seen`.
    fn frame(&self, seen: u64) -> (String, u64) {
        (format!("id: {}\ndata: {}\n\n", self.version, self.json(seen)), self.version)
    }

    /// Everything newer than `seen`, as one object; who has seen nothing is spared what is gone.
    fn json(&self, seen: u64) -> String {
        let mut text = String::from("{");
        let news = self.pieces.iter().filter(|(_, piece)| piece.version > seen);
        let news = news.filter(|(_, piece)| seen > 0 || piece.json.is_some());
        for (place, (name, piece)) in news.enumerate() {
            let comma = if place > 0 { "," } else { "" };
            let json = piece.json.as_deref().unwrap_or("null");
            let name = serde_json::Value::from(name.as_str());
            // Writing into a text cannot fail.
            write!(text, "{comma}{name}:{json}").unwrap_or_default();
        }
        text.push('}');
        text
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::pin::Pin;

    use hyper::body::Body as _;

    use super::*;
    use crate::status::Board;

    fn pieces(pairs: &[(&str, &str)]) -> Pieces {
        pairs.iter().map(|(name, json)| ((*name).to_owned(), (*json).to_owned())).collect()
    }

    async fn next(body: &mut Body) -> String {
        let frame = poll_fn(|cx| Pin::new(&mut *body).poll_frame(cx)).await.unwrap().unwrap();
        String::from_utf8(frame.into_data().unwrap().to_vec()).unwrap()
    }

    fn test(test: impl Future<Output = ()>) {
        tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(test);
    }

    #[test]
    fn a_visitor_gets_all_and_then_what_changes() {
        test(async {
            let live = Arc::new(Live::new(Board::new().part("web").figure("visitors")));
            let start = Instant::now();
            live.show(pieces(&[("old", "0")]), start);
            let mut body = live.stream(start + FRESH).unwrap();
            live.arrival().await;
            let start = start + FRESH;
            live.show(pieces(&[("a", "1"), ("b", "{}")]), start);
            assert_eq!(next(&mut body).await, "id: 2\ndata: {\"a\":1,\"b\":{}}\n\n");
            live.show(pieces(&[("a", "2"), ("c\"", "[]")]), start);
            assert_eq!(next(&mut body).await, "id: 3\ndata: {\"a\":2,\"b\":null,\"c\\\"\":[]}\n\n");
            live.show(pieces(&[("a", "2"), ("c\"", "[]")]), start);
            assert_eq!(next(&mut body).await, "id: 4\ndata: {}\n\n");
            // Who comes while others look need not wait for the next look.
            let mut second = live.stream(start + Duration::from_secs(1)).unwrap();
            assert_eq!(next(&mut second).await, "id: 4\ndata: {\"a\":2,\"c\\\"\":[]}\n\n");
        });
    }

    #[test]
    fn a_glance_shows_what_is_fresh_and_else_asks_for_a_look() {
        test(async {
            let live = Arc::new(Live::new(Board::new().part("web").figure("visitors")));
            let start = Instant::now();
            live.show(pieces(&[("a", "1")]), start);
            assert_eq!(live.glance(start).await.unwrap(), "{\"a\":1}");
            let looks = async {
                live.arrival().await;
                live.show(pieces(&[("a", "2")]), start + FRESH);
            };
            let (seen, ()) = tokio::join!(live.glance(start + FRESH), looks);
            assert_eq!(seen.unwrap(), "{\"a\":2}");
            assert!(!live.is_watched(), "a glance takes nobody's place");
        });
    }

    #[test]
    fn who_is_slow_gets_fewer_frames_and_misses_nothing() {
        test(async {
            let live = Arc::new(Live::new(Board::new().part("web").figure("visitors")));
            let start = Instant::now();
            let mut body = live.stream(start).unwrap();
            for number in 0..100 {
                let (a, b) = (number.to_string(), (number / 50).to_string());
                live.show(pieces(&[("a", &a), ("b", &b)]), start);
                tokio::task::yield_now().await;
            }
            let mut frames = vec![next(&mut body).await];
            while !frames.last().unwrap().contains("\"a\":99") {
                frames.push(next(&mut body).await);
            }
            assert!(frames.len() <= 3, "{frames:?}");
            assert!(frames.concat().contains("\"b\":1"), "{frames:?}");
        });
    }

    #[test]
    fn there_is_room_for_so_many_and_it_is_given_back() {
        test(async {
            let board = Board::new();
            let live = Arc::new(Live::new(board.part("web").figure("visitors")));
            let mut bodies: Vec<Body> = (0..MOST).map(|_| live.stream(Instant::now()).unwrap()).collect();
            assert!(live.stream(Instant::now()).is_none() && live.is_watched());
            bodies.clear();
            while live.is_watched() {
                tokio::task::yield_now().await;
            }
            assert!(live.stream(Instant::now()).is_some());
        });
    }

    #[test]
    fn what_is_gone_is_forgotten_in_the_end() {
        let mut table = Table::default();
        table.replace(pieces(&[("a", "1")]));
        table.replace(Pieces::new());
        assert_eq!(table.frame(0).0, "id: 2\ndata: {}\n\n");
        for _ in 0..=TOLD {
            table.replace(Pieces::new());
        }
        assert!(table.pieces.is_empty());
    }
}
