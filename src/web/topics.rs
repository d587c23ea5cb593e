//! How often mirrored topics are heard, from looks at what is new. Pure: the time is an argument.

use std::collections::HashMap;
use std::time::Instant;

use crate::log::glance::Heard;

/// Topics that are shown: those heard most recently.
pub(super) const MOST: usize = 300;

/// A rate is that of about so many seconds.
const MEMORY: f64 = 10.0;

/// Mirrored topics, each with its last message and its rate.
#[derive(Debug, Default)]
pub(super) struct Topics {
    topics: HashMap<String, Topic>,
    last_look: Option<Instant>,
}

/// One topic.
#[derive(Debug)]
pub(super) struct Topic {
    /// The last message.
    pub heard: Heard,
    /// Messages per second.
    pub rate: f64,
}

impl Topics {
    /// Takes what was heard since the last look.
    pub fn hear(&mut self, heard: Vec<Heard>, now: Instant) {
        // What was heard before the first look says nothing of how often.
        let seconds = self.last_look.map(|last| now.duration_since(last).as_secs_f64().max(0.001));
        self.last_look = Some(now);
        let share = seconds.map_or(0.0, |seconds| 1.0 - (-seconds / MEMORY).exp());
        for topic in self.topics.values_mut() {
            topic.rate *= 1.0 - share;
        }
        for heard in heard {
            let rate = seconds.map_or(0.0, |seconds| heard.count as f64 / seconds * share);
            let before = self.topics.get(&heard.topic).map_or(0.0, |topic| topic.rate);
            self.topics.insert(heard.topic.clone(), Topic { heard, rate: before + rate });
        }
        if self.topics.len() > MOST {
            let mut ids: Vec<i64> = self.topics.values().map(|topic| topic.heard.last).collect();
            ids.sort_unstable();
            let oldest = ids[ids.len() - MOST];
            self.topics.retain(|_, topic| topic.heard.last >= oldest);
        }
    }

    /// All of them, in no order.
    pub fn all(&self) -> impl Iterator<Item = &Topic> {
        self.topics.values()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::reading::Timestamp;

    fn heard(topic: &str, count: u64, last: i64) -> Heard {
        Heard {
            topic: topic.to_owned(),
            count,
            last,
            received: Timestamp(0),
            retained: false,
            size: 1,
            beginning: "1".to_owned(),
        }
    }

    #[test]
    fn rates_settle_and_fade() {
        let (mut topics, start) = (Topics::default(), Instant::now());
        topics.hear(vec![heard("a", 5_000, 1)], start);
        assert_eq!(topics.topics["a"].rate, 0.0, "not known yet");
        for second in 1..=60 {
            topics.hear(vec![heard("a", 20, second)], start + Duration::from_secs(second as u64));
        }
        let rate = topics.topics["a"].rate;
        assert!((rate - 20.0).abs() < 0.1, "{rate}");
        topics.hear(Vec::new(), start + Duration::from_secs(120));
        assert!(topics.topics["a"].rate < 0.1);
    }

    #[test]
    fn the_number_of_topics_is_bounded() {
        let mut topics = Topics::default();
        for number in 0..2 * MOST as i64 {
            topics.hear(vec![heard(&number.to_string(), 1, number)], Instant::now());
        }
        assert_eq!(topics.topics.len(), MOST);
        assert!(topics.topics.contains_key("599") && !topics.topics.contains_key("0"));
    }
}
