//! Commands: parse, authorise, expire, carry out, answer. They come over MQTT, or from somebody on this machine whom
//! another room vouches for ([`Commander::submit`]).
//!
//! A command is in the log before it is carried out, and its answer is in the log before it is sent. So one that
//! comes again is answered and not done again, whatever happened in between; and one that was under way when the
//! power failed is answered as such afterwards. Nothing is published from here: answers go out through whoever
//! brought the command.
//!
//! | file | its job |
//! |---|---|
//! | `request` | what a command says |
//! | `sign` | whether somebody with the key says it |
//! | `judge` | whether it is carried out |
//! | `act` | carrying it out |
//! | `sink` | commands that come over MQTT, in and out of the log |

mod act;
mod judge;
mod request;
mod sign;
mod sink;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use tracing::info;

use crate::config::CommandSource;
use crate::log::{CommandAnswer, CommandLogged, CommandStep, Log, LogError, NewCommand};
use crate::mirror::Sink;
use crate::output::{OutputState, Outputs};
use crate::reading::{Moment, Timestamp};
use crate::sampling::Control;
use crate::status::{Board, Figure};

pub use request::Request;

/// How long a command of somebody on this machine is good. It is carried out at once, so this only has to be a bound.
const LOCAL_LIFE: Duration = Duration::from_secs(60);

/// Most characters of a command that are kept in the log.
const KEPT: usize = 500;

/// What commands are carried out with.
#[derive(Debug, Clone)]
pub struct Means {
    /// Device id, said in every answer.
    pub device: String,
    /// Where commands come from, and what each source may do.
    pub sources: Vec<CommandSource>,
    /// The log.
    pub log: Log,
    /// The outputs.
    pub outputs: Outputs,
    /// The sensors.
    pub control: Control,
    /// The board.
    pub board: Board,
    /// The clock.
    pub clock: fn() -> Moment,
}

/// What came of a command.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// Return code, after HTTP: 200 done, 4xx refused, 5xx not possible. See docs/commands.md.
    pub rc: u16,
    /// In words.
    pub message: String,
    /// What was asked for, if anything was.
    pub data: Option<Value>,
}

impl Answer {
    fn new(rc: u16, message: impl Into<String>) -> Self {
        Self { rc, message: message.into(), data: None }
    }

    /// Whether it was done.
    pub fn is_done(&self) -> bool {
        self.rc < 300
    }
}

/// Carries out commands. Cheap to clone; every clone is the same.
#[derive(Debug, Clone)]
pub struct Commander {
    means: Arc<Means>,
    /// Commands of somebody on this machine so far.
    local: Arc<AtomicU64>,
    figures: Figures,
}

#[derive(Debug, Clone)]
struct Figures {
    done: Figure,
    failed: Figure,
    refused: Figure,
    repeated: Figure,
}

impl Figures {
    fn count(&self, rc: u16) {
        let figure = match rc {
            ..300 => &self.done,
            300..500 => &self.refused,
            500.. => &self.failed,
        };
        figure.add(1);
    }
}

impl Commander {
    /// Begins with the part `commands` on the board: the figures done, failed, refused and repeated.
    pub fn new(means: Means) -> Self {
        let part = means.board.part(sink::NAME);
        let figures = Figures {
            done: part.figure("done"),
            failed: part.figure("failed"),
            refused: part.figure("refused"),
            repeated: part.figure("repeated"),
        };
        Self { means: Arc::new(means), local: Arc::default(), figures }
    }

    /// All outputs as they are now.
    pub fn outputs(&self) -> Vec<OutputState> {
        self.means.outputs.list()
    }

    /// Carries out a command of somebody on this machine, who may do everything; whoever calls this has made sure
    /// of that. `user` is for the log. Blocks until it is done: do not call it on an async thread.
    ///
    /// # Errors
    /// The log could not take it; then nothing was done.
    pub fn submit(&self, user: &str, request: Request) -> Result<Answer, LogError> {
        let received = (self.means.clock)();
        // Tells it from those of earlier runs as well; who is at it twice in a microsecond is told apart by the count.
        let id = format!("{}-{}", received.wall.0, self.local.fetch_add(1, Ordering::Relaxed));
        let life = i64::try_from(LOCAL_LIFE.as_micros()).unwrap_or(i64::MAX);
        let step = CommandStep::Begin(NewCommand {
            received,
            source: format!("local:{user}"),
            command: Some(id.clone()),
            expires: Some(Timestamp(received.wall.0.saturating_add(life))),
            payload: kept(&request.to_string()),
            reply: None,
            refused: None,
        });
        let logged = self.means.log.note_commands(vec![step])?;
        let Some(CommandLogged::New(row)) = logged.first() else {
            return Ok(Answer::new(500, "the log did not take the command as a new one"));
        };
        let answer = self.act(&format!("local:{user}"), &request);
        let at = (self.means.clock)().wall;
        let finish = CommandStep::Finish { row: *row, at, answer: self.worded(Some(&id), &answer, false) };
        self.means.log.note_commands(vec![finish])?;
        Ok(answer)
    }

    /// Where commands that come over MQTT go.
    pub fn sink(&self) -> Box<dyn Sink> {
        Box::new(sink::Commands::new(self.clone()))
    }

    /// Says whether commands can come in over MQTT.
    pub fn link(&self, up: bool) {
        self.means.outputs.link(up);
    }

    fn act(&self, source: &str, request: &Request) -> Answer {
        let answer = act::carry_out(&self.means, request);
        info!("command from {source}: {request}: {} {}", answer.rc, answer.message);
        self.figures.count(answer.rc);
        answer
    }

    /// An answer as it is sent and logged.
    fn worded(&self, id: Option<&str>, answer: &Answer, repeated: bool) -> CommandAnswer {
        let mut body = json!({
            "id": id,
            "rc": answer.rc,
            "message": answer.message,
            "device": self.means.device,
            "time": (self.means.clock)().wall.to_string(),
        });
        if let Some(data) = &answer.data {
            body["data"] = data.clone();
        }
        if repeated {
            body["repeated"] = Value::Bool(true);
        }
        CommandAnswer { rc: answer.rc, message: answer.message.clone(), payload: body.to_string() }
    }
}

/// The beginning of a text, for the log.
fn kept(text: &str) -> String {
    match text.char_indices().nth(KEPT) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
