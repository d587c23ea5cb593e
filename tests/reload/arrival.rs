//! What arrives of what was logged: everything, once, and per topic in order. No test of its own.

use std::collections::{BTreeMap, HashSet};

use serde_json::Value;

use crate::SOON;
use crate::support::{Bridge, Message, Subscriber, wait_until};

fn id(message: &Message) -> Option<String> {
    let payload: Value = serde_json::from_str(&message.payload).ok()?;
    Some(payload["id"].as_str()?.to_owned())
}

/// Every reading that is to be published, by its identity.
pub(super) fn logged(bridge: &Bridge) -> HashSet<String> {
    let database = bridge.database();
    let sql = "SELECT (SELECT epoch FROM epoch WHERE first_row <= reading.id ORDER BY first_row DESC LIMIT 1), reading.id
               FROM reading JOIN channel ON channel.id = channel WHERE topic IS NOT NULL";
    let mut rows = database.prepare(sql).unwrap();
    let row = |row: &rusqlite::Row<'_>| Ok(format!("{}-{}", row.get::<_, String>(0)?, row.get::<_, i64>(1)?));
    rows.query_map([], row).unwrap().map(Result::unwrap).collect()
}

/// Waits until all that the log has, and is to be published, has arrived; however slow the machine is, as long as more
/// and more does. To be called when nothing is read any more.
#[track_caller]
pub(super) fn wait_for_all(bridge: &Bridge, witness: &Subscriber) {
    let total = logged(bridge);
    loop {
        let before = witness.count();
        if before >= total.len() {
            let seen: HashSet<String> = witness.messages().iter().filter_map(id).collect();
            if total.is_subset(&seen) {
                return;
            }
        }
        wait_until(SOON * 2, "more arrives", || witness.count() > before);
    }
}

/// Each reading of the log arrived once, and per topic in order.
#[track_caller]
pub(super) fn assert_once_and_in_order(bridge: &Bridge, messages: &[Message]) {
    let mut seen = HashSet::new();
    let mut last: BTreeMap<&str, i64> = BTreeMap::new();
    for message in messages {
        let Some(id) = id(message) else { continue };
        let row: i64 = id.rsplit_once('-').unwrap().1.parse().unwrap();
        let before = last.insert(&message.topic, row).unwrap_or(0);
        assert!(before < row, "{}: row {row} came after row {before}", message.topic);
        assert!(seen.insert(id), "row {row} came twice");
    }
    let logged = logged(bridge);
    let (lost, unknown) = (logged.difference(&seen).count(), seen.difference(&logged).count());
    assert_eq!((lost, unknown), (0, 0), "lost, and never logged; of {}", logged.len());
}
