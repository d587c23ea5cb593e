//! Commands: `iot-2/cmd/<command>/fmt/json` with `{"d":{…}}` becomes a command as on our own topics. The protocol has no
//! answers to commands; ours is the event `answer`.

use serde_json::{Map, Value, json};

use super::talk::say;
use crate::platform::{Act, Heard, Outcome};
use crate::reading::{Clock, Moment};

/// All commands for this device ("Subscribing to commands").
pub(super) const FILTER: &str = "iot-2/cmd/+/fmt/+";

const ANSWER: &str = "iot-2/evt/answer/fmt/json";

/// Largest command, bytes, as on our own topics.
const MOST: usize = 8192;

/// Longest id and longest name of a command, bytes.
const LONGEST: usize = 64;

/// A command that is answered.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Asked {
    command: String,
    id: Option<String>,
}

impl Asked {
    /// Under which it is done once.
    pub(super) fn id(&self) -> Option<String> {
        self.id.clone()
    }

    pub(super) fn answer(&self, outcome: &Outcome, now: Moment) -> Act {
        let mut d = Map::new();
        d.insert("command".to_owned(), self.command.as_str().into());
        if let Some(id) = &self.id {
            d.insert("id".to_owned(), id.as_str().into());
        }
        d.insert("rc".to_owned(), outcome.rc.into());
        d.insert("message".to_owned(), outcome.message.as_str().into());
        if let Some(data) = &outcome.data {
            d.insert("data".to_owned(), data.clone());
        }
        d.insert("time".to_owned(), now.wall.to_string().into());
        Act::Say(say(ANSWER, &json!({"d": d})))
    }
}

/// A command that is not carried out.
#[derive(Debug, PartialEq)]
pub(super) struct Refused {
    asked: Asked,
    rc: u16,
    message: String,
    /// For the log. Nothing of the message is in it: whoever sends different ones could fill the log.
    note: &'static str,
}

impl Refused {
    pub(super) fn acts(self, now: Moment) -> Vec<Act> {
        let outcome = Outcome { rc: self.rc, message: self.message, data: None };
        vec![Act::Note(format!("a command was refused: {}", self.note)), self.asked.answer(&outcome, now)]
    }
}

/// What a message on a topic of commands asks for, and the command as ours.
pub(super) fn read(message: Heard<'_>, now: Moment) -> Result<(Asked, Map<String, Value>), Refused> {
    let named = message.topic.strip_prefix("iot-2/cmd/").and_then(|rest| rest.split_once("/fmt/"));
    let (command, format) = named.unwrap_or_default();
    let known = if command.len() <= LONGEST { command } else { "" };
    let mut asked = Asked { command: known.to_owned(), id: None };
    let refuse =
        |asked: &Asked, rc, message: String, note| Err(Refused { asked: asked.clone(), rc, message, note });
    if message.retained {
        let why = "a retained command would be given again at every connection".to_owned();
        return refuse(&asked, 410, why, "it was retained");
    }
    if known.is_empty() || format != "json" {
        let why = "the topic of a command is iot-2/cmd/<command>/fmt/json".to_owned();
        return refuse(&asked, 400, why, "its topic is not iot-2/cmd/<command>/fmt/json");
    }
    if message.payload.len() > MOST {
        let why = format!("a command has {MOST} bytes at most");
        return refuse(&asked, 413, why, "it was too large");
    }
    let mut d = match content(message.payload) {
        Ok(d) => d,
        Err(why) => return refuse(&asked, 400, why, "it was not {\"d\":{…}}"),
    };
    let id = match d.remove("id") {
        None => Ok(None),
        Some(Value::String(id)) if (1..=LONGEST).contains(&id.len()) && !id.chars().any(char::is_control) => {
            Ok(Some(id))
        }
        Some(Value::Number(id)) => Ok(Some(id.to_string())),
        Some(_) => Err(format!("\"id\" is a number, or a text of 1 to {LONGEST} bytes")),
    };
    match id {
        Ok(id) => asked.id = id,
        Err(why) => return refuse(&asked, 400, why, "its \"id\" was none"),
    }
    if let Some(until) = d.remove("expires")
        && let Err((rc, why)) = in_time(&until, now)
    {
        return refuse(&asked, rc, why.to_owned(), "it had expired, or nobody knows whether it has");
    }
    if d.get("action").is_some_and(|action| action != command) {
        let why = "the command is named by the topic: leave \"action\" out".to_owned();
        return refuse(&asked, 400, why, "its \"action\" was not that of its topic");
    }
    d.insert("action".to_owned(), command.into());
    Ok((asked, d))
}

/// What stands in `d`, or in the message where there is no `d`.
fn content(payload: &[u8]) -> Result<Map<String, Value>, String> {
    match serde_json::from_slice(payload) {
        Ok(Value::Object(mut map)) => match map.remove("d") {
            None => Ok(map),
            Some(Value::Object(d)) => Ok(d),
            Some(_) => Err("\"d\" is an object".to_owned()),
        },
        Ok(_) => Err("a command is a JSON object: {\"d\": {…}}".to_owned()),
        // `set` and `status` need keys or none at all.
        Err(_) if payload.is_empty() => Ok(Map::new()),
        Err(error) => Err(format!("not JSON: {error}")),
    }
}

/// Commands wait in the session while the device is away; `expires` says how long they are worth it.
fn in_time(until: &Value, now: Moment) -> Result<(), (u16, &'static str)> {
    let until = match until {
        Value::String(text) => text.parse::<jiff::Timestamp>().ok().map(jiff::Timestamp::as_microsecond),
        Value::Number(number) => {
            number.as_f64().map(|seconds| seconds * 1e6).filter(|us| us.abs() < 1e18).map(|us| us as i64)
        }
        _ => None,
    };
    match until {
        None => Err((400, "\"expires\" is a time such as \"2026-11-20T07:00:00Z\", or seconds since 1970")),
        Some(_) if now.clock == Clock::Unsynced => {
            Err((503, "the clock is not synchronised: nobody knows whether the command has expired"))
        }
        Some(until) if until < now.wall.0 => Err((408, "it has expired")),
        Some(_) => Ok(()),
    }
}
