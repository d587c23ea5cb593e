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
//! | `judge` | whether it is carried out |
//! | `act` | carrying it out |
//! | `reload` | whom to ask for another configuration |
//! | `sink` | commands that come over MQTT, in and out of the log |
//! | `desk` | commands that an IoT platform brings its own way |

mod act;
pub mod desk;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod judge;
mod reload;
mod request;
mod sink;
#[cfg(test)]
mod tests;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use serde_json::{Value, json};
use tracing::{info, warn};

use crate::config::{CommandSource, Config};
use crate::log::{CommandAnswer, CommandLogged, CommandStep, Interrupted, Log, LogError, NewCommand};
use crate::mirror::Sink;
use crate::output::{OutputState, Outputs};
use crate::reading::{Moment, Timestamp};
use crate::sampling::{Control, Ordered};
use crate::status::{Board, State};

pub use reload::{Reload, ReloadError, Reloaded};
pub use request::Request;

/// How long a command of somebody on this machine is good. It is carried out at once, so this only has to be a bound.
const LOCAL_LIFE: Duration = Duration::from_secs(60);

/// Most characters of a command that are kept in the log.
const KEPT: usize = 500;

/// What commands are carried out with.
#[derive(Debug, Clone)]
pub struct Means {
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
    /// Who reads the configuration again.
    pub reload: Reload,
}

/// What the configuration says of commands. Unlike the means it can change while commands come in.
#[derive(Debug)]
pub struct Terms {
    /// Device id, said in every answer.
    device: String,
    /// Where commands come from, and what each source may do.
    sources: Vec<Arc<CommandSource>>,
}

impl Terms {
    /// Those of this configuration.
    pub fn of(config: &Config) -> Self {
        let sources = config.commands.iter().cloned().map(Arc::new).collect();
        Self { device: config.device.id.clone(), sources }
    }
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
    terms: Arc<RwLock<Arc<Terms>>>,
    /// Commands of somebody on this machine so far.
    local: Arc<AtomicU64>,
    /// What an earlier run left under way has been finished as such.
    begun: Arc<Mutex<bool>>,
}

impl Commander {
    /// Does nothing until it is asked to. With the first command the part `commands` on the board gets the figures
    /// done, failed, refused and repeated.
    pub fn new(means: Means, terms: Terms) -> Self {
        let terms = Arc::new(RwLock::new(Arc::new(terms)));
        Self { means: Arc::new(means), terms, local: Arc::default(), begun: Arc::default() }
    }

    /// From now on these are the terms, also for commands that are on their way and not judged yet.
    pub fn change(&self, terms: Terms) {
        *self.terms.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(terms);
    }

    fn terms(&self) -> Arc<Terms> {
        Arc::clone(&self.terms.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// All outputs as they are now.
    pub fn outputs(&self) -> Vec<OutputState> {
        self.means.outputs.list()
    }

    /// What lasts of the orders to a sensor, whoever gave them.
    pub fn ordered(&self, sensor: &str) -> Ordered {
        self.means.control.ordered(sensor)
    }

    /// Carries out a command of somebody on this machine, who may do everything; whoever calls this has made sure
    /// of that. `user` is for the log. Blocks until it is done: do not call it on an async thread.
    ///
    /// # Errors
    /// The log could not take it; then nothing was done.
    pub fn submit(&self, user: &str, request: Request) -> Result<Answer, LogError> {
        self.close_interrupted()?;
        self.take(&format!("local:{user}"), None, &request.to_string(), Ok(request))
    }

    /// Carries out a command at once, or refuses it as was decided; either way it is in the log. One whose `id` was taken
    /// before is not carried out again. `text` is for the log.
    fn take(
        &self,
        source: &str,
        id: Option<String>,
        text: &str,
        judged: Result<Request, Answer>,
    ) -> Result<Answer, LogError> {
        let received = (self.means.clock)();
        // Tells it from those of earlier runs as well; who is at it twice in a microsecond is told apart by the count.
        let own = || format!("{}-{}", received.wall.0, self.local.fetch_add(1, Ordering::Relaxed));
        let id = id.unwrap_or_else(own);
        let life = i64::try_from(LOCAL_LIFE.as_micros()).unwrap_or(i64::MAX);
        let begin = CommandStep::Begin(NewCommand {
            received,
            source: source.to_owned(),
            command: Some(id.clone()),
            expires: Some(Timestamp(received.wall.0.saturating_add(life))),
            payload: kept(text),
            reply: None,
            refused: judged.as_ref().err().map(|answer| self.worded(Some(&id), answer, false)),
        });
        let logged = self.means.log.note_commands(vec![begin])?.into_iter().next();
        let request = match judged {
            Ok(request) => request,
            Err(answer) => {
                warn!("command from {source} refused: {} {}", answer.rc, answer.message);
                self.count(figure(answer.rc));
                return Ok(answer);
            }
        };
        let (row, answer, repeated) = match logged {
            Some(CommandLogged::New(row)) => (row, self.act(source, &request), false),
            Some(CommandLogged::Repeat { row, answer, .. }) => {
                self.count("repeated");
                let earlier = answer.map(|(rc, message)| Answer::new(rc, message));
                (row, earlier.unwrap_or_else(|| Answer::new(503, "the command is under way")), true)
            }
            Some(CommandLogged::Noted) | None => {
                return Ok(Answer::new(500, "the log did not take the command"));
            }
        };
        let at = (self.means.clock)().wall;
        let finish = CommandStep::Finish { row, at, answer: self.worded(Some(&id), &answer, repeated) };
        if let Err(error) = self.means.log.note_commands(vec![finish]) {
            // What was done is done, and whoever asked for it is told so. The log finishes it at the next start, as one
            // of which nobody knows.
            warn!("command from {source}: what came of it is not in the log: {error}");
        }
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
        self.count(figure(answer.rc));
        answer
    }

    fn count(&self, figure: &'static str) {
        let part = self.means.board.part(sink::NAME);
        // Without commands over MQTT nobody else says how it is.
        if self.terms().sources.is_empty() {
            part.set(State::Ok);
        }
        part.figure(figure).add(1);
    }

    /// What an earlier run left under way is finished as such, before anything of this one is.
    fn close_interrupted(&self) -> Result<(), LogError> {
        // A flag that is set last is whole whoever panicked.
        let mut begun = self.begun.lock().unwrap_or_else(PoisonError::into_inner);
        if *begun {
            return Ok(());
        }
        self.finish_interrupted("sensor-bridge ended while the command was under way", |_| true)?;
        *begun = true;
        Ok(())
    }

    /// Finishes the commands of these sources that are under way, of which nobody knows how far they came.
    fn finish_interrupted(&self, why: &str, of: impl Fn(&str) -> bool) -> Result<(), LogError> {
        let now = (self.means.clock)().wall;
        let answer = Answer::new(500, format!("{why}; whether it was carried out is not known"));
        let finish = |one: &Interrupted| CommandStep::Finish {
            row: one.row,
            at: now,
            answer: self.worded(Some(one.command.as_str()), &answer, false),
        };
        let left = self.means.log.commands_left(now)?;
        let steps: Vec<CommandStep> =
            left.interrupted.iter().filter(|one| of(&one.source)).map(finish).collect();
        if !steps.is_empty() {
            self.means.log.note_commands(steps)?;
        }
        Ok(())
    }

    /// An answer as it is sent and logged.
    fn worded(&self, id: Option<&str>, answer: &Answer, repeated: bool) -> CommandAnswer {
        let mut body = json!({
            "id": id,
            "rc": answer.rc,
            "message": answer.message,
            "device": self.terms().device,
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

/// The figure that a return code counts under.
fn figure(rc: u16) -> &'static str {
    match rc {
        ..300 => "done",
        300..500 => "refused",
        500.. => "failed",
    }
}

/// The beginning of a text, for the log.
fn kept(text: &str) -> String {
    match text.char_indices().nth(KEPT) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
