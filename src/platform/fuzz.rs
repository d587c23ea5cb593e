//! What platforms say out of any bytes, for `crate::fuzz`.

use super::testing::{about, configured, moment};
use super::{Act, Heard, Outcome};

/// Most that a dialogue has to say to one message.
const MOST: usize = 200;

/// A dialogue with one of the platforms: which one, and then messages, each with the filter that it fits, what stands in
/// place of the filter's wildcards, and a payload.
pub(crate) fn platform(bytes: &[u8]) {
    let mut bytes = Bytes(bytes);
    let all: Vec<_> = configured().collect();
    let (kind, platform) = &all[usize::from(bytes.one()) % all.len()];
    let Some(mut dialogue) = platform.dialogue(&about(&platform.rules())) else { return };
    let filters = dialogue.filters();
    dialogue.connected(moment(0));
    let mut second = 0;
    while !bytes.0.is_empty() {
        second += 1;
        let (which, length) = (bytes.one(), bytes.one());
        let text = String::from_utf8_lossy(bytes.some(usize::from(length))).into_owned();
        let topic = match filters.get(usize::from(which >> 1)) {
            Some(filter) => filter.replace(['+', '#'], &text),
            None => text,
        };
        let length = usize::from(bytes.one()) << 8 | usize::from(bytes.one());
        let now = moment(second * 1_000_000);
        let heard = Heard { topic: &topic, payload: bytes.some(length), retained: which & 1 == 1 };
        let mut acts = dialogue.heard(heard, now);
        if dialogue.due().is_some_and(|due| due <= now.since_boot) {
            acts.extend(dialogue.tick(now));
        }
        assert!(acts.len() <= MOST, "{}: {} acts", kind.name, acts.len());
        let outcome = Outcome { rc: 200, message: "done".to_owned(), data: None };
        while let Some(act) = acts.pop() {
            match act {
                Act::Do(order) => acts.extend(dialogue.done(order.tag, &outcome, now)),
                Act::Say(say) => assert!(
                    !say.topic.is_empty() && !say.topic.contains(['+', '#', '\0']),
                    "{}: {say:?}",
                    kind.name
                ),
                _ => {}
            }
        }
    }
}

/// Bytes to be taken one after the other; 0 where there are no more.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn one(&mut self) -> u8 {
        self.some(1).first().copied().unwrap_or(0)
    }

    fn some(&mut self, count: usize) -> &'a [u8] {
        let (some, rest) = self.0.split_at(count.min(self.0.len()));
        self.0 = rest;
        some
    }
}
