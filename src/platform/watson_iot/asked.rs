//! What the device has asked of the platform, until it is answered: said again when no answer comes, or when the answer is
//! that there is a conflict or trouble. Pure; times are microseconds since boot.

use std::collections::VecDeque;

use serde_json::{Value, json};

use super::talk::say;
use crate::platform::Act;
use crate::reading::Moment;

const SECOND: i64 = 1_000_000;

/// An answer that has not come after this long does not come.
const PATIENCE: i64 = 30 * SECOND;

/// Longest pause before something is said again.
const LONGEST: i64 = 600 * SECOND;

/// How often something other than `manage` is said.
const TRIES: u32 = 5;

/// A conflict is nothing to speak of before it has lasted for so many tries.
const LASTING: u32 = 3;

/// Requests without an answer, at most.
const MOST: usize = 64;

/// What was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    Manage,
    Location,
    AddErrorCode,
    ClearErrorCodes,
    AddLog,
    ClearLog,
    Notify,
}

impl What {
    /// Where it is said ("Device Management Protocol": topics).
    pub(super) fn topic(self) -> &'static str {
        match self {
            What::Manage => "iotdevice-1/mgmt/manage",
            What::Location => "iotdevice-1/device/update/location",
            What::AddErrorCode => "iotdevice-1/add/diag/errorCodes",
            What::ClearErrorCodes => "iotdevice-1/clear/diag/errorCodes",
            What::AddLog => "iotdevice-1/add/diag/log",
            What::ClearLog => "iotdevice-1/clear/diag/log",
            What::Notify => "iotdevice-1/notify",
        }
    }
}

#[derive(Debug)]
struct Request {
    id: String,
    what: What,
    payload: Value,
    tries: u32,
    /// When it is said again.
    again: i64,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Requests {
    open: VecDeque<Request>,
    /// Makes ids of this start different from those of others.
    start: Option<i64>,
    count: u64,
}

/// What came of a request.
#[derive(Debug, PartialEq)]
pub(super) enum Answered {
    /// It was done.
    Done(What),
    /// It was refused, or will be said again, and somebody should know: for the log.
    Refused(String),
    /// Nothing to be done: a conflict that may be over soon, or nobody asked.
    Nothing,
}

impl Requests {
    /// An id that no other request has.
    pub(super) fn id(&mut self, now: Moment) -> String {
        let start = *self.start.get_or_insert(now.wall.0);
        self.count += 1;
        format!("{start:x}-{}", self.count)
    }

    /// For a new connection: answers to what was asked on an earlier one do not matter any more.
    pub(super) fn restart(&mut self) {
        self.open.clear();
    }

    /// How many more may be open.
    pub(super) fn room(&self) -> usize {
        MOST.saturating_sub(self.open.len())
    }

    /// Asks for something; `d` is the content, if there is any.
    pub(super) fn ask(&mut self, what: What, d: Option<Value>, now: Moment) -> Vec<Act> {
        if self.room() == 0 {
            return vec![Act::Note("the platform leaves too many requests unanswered".to_owned())];
        }
        let id = self.id(now);
        let mut payload = json!({"reqId": id});
        if let Some(d) = d {
            payload["d"] = d;
        }
        let act = Act::Say(say(what.topic(), &payload));
        self.open.push_back(Request { id, what, payload, tries: 1, again: now.since_boot + PATIENCE });
        vec![act]
    }

    /// The platform's answer to a request.
    pub(super) fn answered(&mut self, id: &str, rc: u64, message: &str, now: Moment) -> Answered {
        let Some(index) = self.open.iter().position(|request| request.id == id) else {
            return Answered::Nothing;
        };
        let request = &mut self.open[index];
        let what = request.what;
        // 200 is the answer of the document, 202 and 204 those of some successors.
        if (200..300).contains(&rc) {
            self.open.remove(index);
            return Answered::Done(what);
        }
        // Everything else about a device rests on its being managed, so that is never given up.
        let passing = matches!(rc, 409 | 500) && request.tries < TRIES;
        let lasting = request.tries >= LASTING;
        if passing || what == What::Manage {
            request.again = now.since_boot + pause(request.tries, matches!(rc, 409 | 500));
        } else {
            self.open.remove(index);
        }
        if passing && !lasting {
            return Answered::Nothing;
        }
        let mut note = format!("the platform answered {rc} to {}", what.topic());
        if !message.is_empty() {
            note += ": ";
            note.extend(message.chars().filter(|c| !c.is_control()).take(200));
        }
        Answered::Refused(note)
    }

    pub(super) fn due(&self) -> Option<i64> {
        self.open.iter().map(|request| request.again).min()
    }

    /// Says again what is due, or gives it up.
    pub(super) fn tick(&mut self, now: Moment) -> Vec<Act> {
        let mut acts = Vec::new();
        self.open.retain_mut(|request| {
            if request.again > now.since_boot {
                return true;
            }
            if request.tries >= TRIES && request.what != What::Manage {
                acts.push(Act::Note(format!("the platform does not answer {}", request.what.topic())));
                return false;
            }
            acts.push(Act::Say(say(request.what.topic(), &request.payload)));
            request.tries = request.tries.saturating_add(1);
            request.again = now.since_boot + PATIENCE.max(pause(request.tries, true));
            true
        });
        acts
    }
}

/// How long to wait before saying something for the next time: from 2 s doubled to ten minutes, at once ten minutes where
/// only a person can help.
fn pause(tries: u32, passing: bool) -> i64 {
    if passing { ((2 * SECOND) << tries.saturating_sub(1).min(10)).min(LONGEST) } else { LONGEST }
}
