//! Bookkeeping: what was promised against what arrived. Pure, so that it can be shown to notice.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;

use rusqlite::types::Value as Stored;
use serde_json::Value as Json;

/// One row of the log that is to be published.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Row id; rises in the order taken.
    pub row: i64,
    /// `<epoch>-<row>`.
    pub id: String,
    /// Topic.
    pub topic: String,
    /// Quality of service.
    pub qos: u8,
    /// Value as it stands in the database.
    pub value: Stored,
}

/// One message as a subscriber saw it.
#[derive(Debug, Clone, PartialEq)]
pub struct Seen {
    /// Topic.
    pub topic: String,
    /// Payload.
    pub payload: String,
}

/// Everything that differs. Empty lists are what one wants.
#[derive(Debug, Default, PartialEq)]
pub struct Verdict {
    /// Rows that never arrived, by QoS.
    pub lost: BTreeMap<u8, Vec<String>>,
    /// Messages that are not in the log: published before they were committed, or made up.
    pub unknown: Vec<String>,
    /// Messages whose topic or value is not that of the row whose id they carry.
    pub wrong: Vec<String>,
    /// Repeats with another payload than the first one.
    pub changed: Vec<String>,
    /// First arrivals out of order within their topic: topic, earlier arrival, later one.
    pub disorder: Vec<(String, String, String)>,
    /// Messages that arrived again, by QoS.
    pub repeats: BTreeMap<u8, usize>,
}

impl Verdict {
    /// Whether nothing is wrong that no event could excuse.
    pub fn is_clean(&self) -> bool {
        self.lost.is_empty()
            && self.unknown.is_empty()
            && self.wrong.is_empty()
            && self.changed.is_empty()
            && self.disorder.is_empty()
    }

    /// Repeats at this QoS.
    pub fn repeats(&self, qos: u8) -> usize {
        self.repeats.get(&qos).copied().unwrap_or(0)
    }
}

/// How many, and a few of them: a failure that fills the screen tells nothing.
fn list<T: fmt::Debug>(f: &mut fmt::Formatter<'_>, what: &str, items: &[T]) -> fmt::Result {
    if items.is_empty() {
        return Ok(());
    }
    writeln!(f, "{} {what}, for example {:?}", items.len(), &items[..items.len().min(5)])
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (qos, ids) in &self.lost {
            list(f, &format!("lost at QoS {qos}"), ids)?;
        }
        list(f, "not in the log", &self.unknown)?;
        list(f, "of another topic or value than their row", &self.wrong)?;
        list(f, "repeats that differ from the first", &self.changed)?;
        list(f, "out of order", &self.disorder)?;
        writeln!(f, "repeats by QoS: {:?}", self.repeats)
    }
}

/// Compares what a subscriber saw, in the order of arrival, with the log.
pub fn audit(log: &[Row], seen: &[Seen]) -> Verdict {
    let by_id: HashMap<&str, &Row> = log.iter().map(|row| (row.id.as_str(), row)).collect();
    let mut verdict = Verdict::default();
    let mut first: HashMap<&str, &Seen> = HashMap::new();
    let mut newest: HashMap<&str, &Row> = HashMap::new();
    for message in seen {
        let json: Json = serde_json::from_str(&message.payload).unwrap_or(Json::Null);
        let Some(row) = json["id"].as_str().and_then(|id| by_id.get(id)) else {
            verdict.unknown.push(format!("{} {}", message.topic, message.payload));
            continue;
        };
        if row.topic != message.topic || !same(&row.value, &json["value"]) {
            verdict.wrong.push(format!("{} {} for {row:?}", message.topic, message.payload));
        }
        if let Some(earlier) = first.get(row.id.as_str()) {
            *verdict.repeats.entry(row.qos).or_default() += 1;
            if *earlier != message {
                verdict.changed.push(format!("{} then {}", earlier.payload, message.payload));
            }
            continue;
        }
        first.insert(&row.id, message);
        if let Some(before) = newest.insert(&row.topic, row)
            && before.row > row.row
        {
            verdict.disorder.push((row.topic.clone(), before.id.clone(), row.id.clone()));
        }
    }
    for row in log.iter().filter(|row| row.qos > 0 && !first.contains_key(row.id.as_str())) {
        verdict.lost.entry(row.qos).or_default().push(row.id.clone());
    }
    verdict
}

/// Whether a value of the database and one of a payload are the same. SQLite keeps booleans as numbers.
fn same(stored: &Stored, json: &Json) -> bool {
    match (stored, json) {
        (Stored::Integer(number), Json::Bool(state)) => *number == i64::from(*state),
        (Stored::Integer(number), json) => json.as_i64() == Some(*number),
        (Stored::Real(number), json) => json.as_f64() == Some(*number),
        (Stored::Text(text), Json::String(said)) => text == said,
        _ => false,
    }
}

/// What a mirror's table lacks, and what stands there more than once or without having been sent.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Missing {
    /// Acknowledged to the publisher, not in the table.
    pub lost: Vec<Seen>,
    /// More than once in the table.
    pub doubled: Vec<Seen>,
    /// Never sent.
    pub unknown: Vec<Seen>,
}

impl Eq for Seen {}

impl Missing {
    /// Whether every message is there once, and nothing else.
    pub fn is_clean(&self) -> bool {
        *self == Self::default()
    }
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        list(f, "lost", &self.lost)?;
        list(f, "more than once", &self.doubled)?;
        list(f, "never sent", &self.unknown)
    }
}

/// Compares what was acknowledged to publishers (each message different) with a mirror's table.
pub fn exactly_once(acknowledged: &[Seen], table: &[Seen]) -> Missing {
    let key = |message: &Seen| (message.topic.clone(), message.payload.clone());
    let mut stored: HashMap<_, usize> = HashMap::new();
    for message in table {
        *stored.entry(key(message)).or_default() += 1;
    }
    let sent: BTreeSet<_> = acknowledged.iter().map(key).collect();
    assert_eq!(sent.len(), acknowledged.len(), "the messages of the test must differ");
    let count = |message: &Seen| stored.get(&key(message)).copied().unwrap_or(0);
    let mut unknown: Vec<Seen> =
        table.iter().filter(|message| !sent.contains(&key(message))).cloned().collect();
    unknown.dedup();
    Missing {
        lost: acknowledged.iter().filter(|message| count(message) == 0).cloned().collect(),
        doubled: acknowledged.iter().filter(|message| count(message) > 1).cloned().collect(),
        unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(row: i64, topic: &str, qos: u8) -> Row {
        Row { row, id: format!("aa-{row}"), topic: topic.into(), qos, value: Stored::Integer(row * 10) }
    }

    fn seen(topic: &str, row: i64) -> Seen {
        let payload = format!(r#"{{"id":"aa-{row}","value":{}}}"#, row * 10);
        Seen { topic: topic.into(), payload }
    }

    #[test]
    fn all_in_order_is_clean() {
        let log = [row(1, "a", 1), row(2, "b", 2), row(3, "a", 1)];
        // Topics are ordered each for itself.
        let verdict = audit(&log, &[seen("a", 1), seen("a", 3), seen("b", 2)]);
        assert!(verdict.is_clean(), "{verdict}");
        assert_eq!(verdict, Verdict::default());
    }

    #[test]
    fn a_loss_is_noticed_by_qos() {
        let log = [row(1, "a", 1), row(2, "b", 2), row(3, "a", 1), row(4, "c", 0)];
        let verdict = audit(&log, &[seen("a", 1)]);
        assert!(!verdict.is_clean());
        assert_eq!(verdict.lost[&1], ["aa-3"]);
        assert_eq!(verdict.lost[&2], ["aa-2"]);
        assert!(!verdict.lost.contains_key(&0), "QoS 0 promises nothing");
    }

    #[test]
    fn wrong_order_is_noticed_and_a_repeat_is_none() {
        let log = [row(1, "a", 1), row(2, "a", 1), row(3, "a", 1)];
        let in_order = [seen("a", 1), seen("a", 2), seen("a", 1), seen("a", 2), seen("a", 3)];
        let verdict = audit(&log, &in_order);
        assert!(verdict.is_clean(), "{verdict}");
        assert_eq!(verdict.repeats(1), 2);

        let verdict = audit(&log, &[seen("a", 2), seen("a", 1), seen("a", 3)]);
        assert_eq!(verdict.disorder, [("a".into(), "aa-2".into(), "aa-1".into())]);
        assert!(!verdict.is_clean());
    }

    #[test]
    fn a_changed_repeat_is_noticed() {
        let log = [row(1, "a", 1)];
        let other = Seen { topic: "a".into(), payload: r#"{"id":"aa-1","value":10,"late":true}"#.into() };
        let verdict = audit(&log, &[seen("a", 1), other]);
        assert_eq!(verdict.changed.len(), 1);
        assert!(!verdict.is_clean());
    }

    #[test]
    fn another_value_topic_or_id_is_noticed() {
        let log = [row(1, "a", 1), row(2, "a", 1)];
        let lie = Seen { topic: "a".into(), payload: r#"{"id":"aa-2","value":21}"#.into() };
        let verdict = audit(&log, &[seen("b", 1), lie]);
        assert_eq!(verdict.wrong.len(), 2, "{verdict}");
        let stranger = Seen { topic: "a".into(), payload: r#"{"id":"bb-1","value":10}"#.into() };
        let garbage = Seen { topic: "a".into(), payload: "\u{0}".into() };
        let verdict = audit(&log, &[seen("a", 1), seen("a", 2), stranger, garbage]);
        assert_eq!(verdict.unknown.len(), 2, "{verdict}");
        assert!(!verdict.is_clean());
    }

    #[test]
    fn qos_2_repeats_are_counted_apart() {
        let log = [row(1, "a", 1), row(2, "b", 2)];
        let verdict = audit(&log, &[seen("a", 1), seen("b", 2), seen("b", 2), seen("b", 2)]);
        assert_eq!((verdict.repeats(1), verdict.repeats(2)), (0, 2));
    }

    #[test]
    fn values_are_compared_across_the_two_notations() {
        for (stored, json, expected) in [
            (Stored::Integer(1), "true", true),
            (Stored::Integer(0), "true", false),
            (Stored::Integer(7), "7", true),
            (Stored::Real(21.5), "21.5", true),
            (Stored::Real(21.0), "21", true),
            (Stored::Real(21.5), "21.50001", false),
            (Stored::Text("ok".into()), "\"ok\"", true),
            (Stored::Text("1".into()), "1", false),
            (Stored::Integer(1), "null", false),
        ] {
            let json = serde_json::from_str(json).unwrap();
            assert_eq!(same(&stored, &json), expected, "{stored:?} and {json}");
        }
    }

    #[test]
    fn a_mirror_is_held_to_exactly_once() {
        let sent = [seen("a", 1), seen("a", 2), seen("a", 3)];
        assert_eq!(exactly_once(&sent, &sent), Missing::default());
        let table = [seen("a", 1), seen("a", 3), seen("a", 3), seen("b", 1)];
        let missing = exactly_once(&sent, &table);
        assert_eq!(missing.lost, [seen("a", 2)]);
        assert_eq!(missing.doubled, [seen("a", 3)]);
        assert_eq!(missing.unknown, [seen("b", 1)]);
        assert!(!missing.is_clean());
    }

    #[test]
    fn what_is_said_of_many_is_short() {
        let log: Vec<Row> = (0..1000).map(|number| row(number, "a", 1)).collect();
        let said = audit(&log, &[]).to_string();
        assert!(said.contains("1000 lost at QoS 1") && said.len() < 300, "{said}");
        let sent: Vec<Seen> = (0..1000).map(|number| seen("a", number)).collect();
        let said = exactly_once(&sent, &[]).to_string();
        assert!(said.contains("1000 lost") && said.len() < 1000, "{said}");
    }
}
