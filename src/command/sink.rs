//! Commands that come over MQTT: into the log, carried out, the answers into the log, then out. Acknowledged to the
//! broker after that, as everything that goes into a sink.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tracing::warn;

use super::judge::{Judged, in_time, judge};
use super::{Answer, Commander, Request, figure, kept};
use crate::config::{CommandSource, topic};
use crate::log::{
    CommandAnswer, CommandLogged, CommandStep, LogError, MirrorBatch, NewCommand, PendingReply, ReplyTo,
};
use crate::mirror::{Batch, Incoming, Ledger, Reply, Session, Sink, SinkError, Stored, held};
use crate::reading::{Moment, Timestamp};

/// Name on the board.
pub(super) const NAME: &str = "commands";

/// Under which the log keeps the broker's session; no mirror can be called so.
const SESSION: &str = "(commands)";

/// Longest answer topic and correlation data that are taken from a sender, bytes.
const LONGEST_TOPIC: usize = 512;
const LONGEST_CORRELATION: usize = 1024;

/// Refusals in the journal: no more often than this, so that nobody can flood it.
const BETWEEN_WARNINGS: Duration = Duration::from_secs(10);

/// See the module.
pub(super) struct Commands {
    commander: Commander,
    /// The batch being stored, once its commands are in the log: given again after a failure, it goes on from here.
    under_way: Option<Vec<(i64, Command)>>,
    warned: Option<Instant>,
    unsaid: usize,
}

/// One command of a batch.
#[derive(Debug, Clone)]
struct Command {
    /// As it was when the command came.
    source: Arc<CommandSource>,
    id: Option<String>,
    expires: Option<Timestamp>,
    reply: Option<ReplyTo>,
    stage: Stage,
}

#[derive(Debug, Clone)]
enum Stage {
    /// Refused, and answered in the log already.
    Refused(CommandAnswer),
    /// To be carried out.
    Taken(Request),
    /// Taken before, with the row of that, and what was answered if it was finished.
    Repeat(i64, Option<(u16, String)>),
    /// Carried out or found to be a repeat; not in the log yet.
    Finished(CommandAnswer),
}

impl Commands {
    pub(super) fn new(commander: Commander) -> Self {
        Self { commander, under_way: None, warned: None, unsaid: 0 }
    }

    fn now(&self) -> Moment {
        (self.commander.means.clock)()
    }

    /// Judges a message and says how it goes into the log.
    fn begin(&self, message: &Incoming) -> Option<(Command, NewCommand)> {
        let terms = self.commander.terms();
        let source = terms.sources.iter().find(|source| source.topic == message.topic)?;
        let Judged { id, expires, request } = judge(source, message, self.now());
        let reply = reply_to(source, &terms.sources, message);
        let stage = match request {
            Ok(request) => Stage::Taken(request),
            Err(answer) => Stage::Refused(self.commander.worded(id.as_deref(), &answer, false)),
        };
        let new = NewCommand {
            received: message.received,
            source: message.topic.clone(),
            command: id.clone(),
            expires,
            payload: kept(&String::from_utf8_lossy(&message.payload)),
            reply: reply.clone(),
            refused: match &stage {
                Stage::Refused(answer) => Some(answer.clone()),
                _ => None,
            },
        };
        Some((Command { source: Arc::clone(source), id, expires, reply, stage }, new))
    }

    fn refused(&mut self, topic: &str, answer: &CommandAnswer) {
        self.commander.count(figure(answer.rc));
        if self.warned.is_some_and(|at| at.elapsed() < BETWEEN_WARNINGS) {
            self.unsaid += 1;
            return;
        }
        self.warned = Some(Instant::now());
        let more = match std::mem::take(&mut self.unsaid) {
            0 => String::new(),
            more => format!(" ({more} more were refused since the last such line; see the view commands)"),
        };
        warn!("command on {topic} refused: {} {}{more}", answer.rc, answer.message);
    }

    /// The first half: everything is in the log, and it is known what is new.
    fn log(&mut self, batch: &Batch) -> Result<Vec<(i64, Command)>, LogError> {
        let begun: Vec<(Command, NewCommand)> =
            batch.messages.iter().filter_map(|message| self.begin(message)).collect();
        let (commands, new): (Vec<Command>, Vec<NewCommand>) = begun.into_iter().unzip();
        let mut steps: Vec<CommandStep> = new.into_iter().map(CommandStep::Begin).collect();
        steps.extend(batch.answered.iter().copied().map(CommandStep::Answered));
        if steps.is_empty() {
            return Ok(Vec::new());
        }
        let logged = self.commander.means.log.note_commands(steps)?;
        for command in &commands {
            if let Stage::Refused(answer) = &command.stage {
                self.refused(&command.source.topic, answer);
            }
        }
        let rows = commands.into_iter().zip(logged).filter_map(|(mut command, logged)| match logged {
            CommandLogged::New(row) => Some((row, command)),
            CommandLogged::Repeat { row, first, answer } => {
                command.stage = Stage::Repeat(first, answer);
                Some((row, command))
            }
            CommandLogged::Noted => None,
        });
        Ok(rows.collect())
    }

    /// The second half: what is new is carried out, what is repeated is answered.
    fn carry_out(&self, commands: &mut [(i64, Command)]) {
        let mut done: Vec<(i64, Answer)> = Vec::new();
        for (row, command) in commands.iter_mut() {
            let source = &command.source;
            let (answer, repeated) = match &command.stage {
                Stage::Refused(_) | Stage::Finished(_) => continue,
                // The log may have taken its time.
                Stage::Taken(request) => match in_time(source, command.expires, self.now()) {
                    Ok(()) => (self.commander.act(&source.topic, request), false),
                    Err(answer) => {
                        self.commander.count(figure(answer.rc));
                        (answer, false)
                    }
                },
                Stage::Repeat(first, answer) => {
                    self.commander.count("repeated");
                    let here = done.iter().find(|(row, _)| row == first).map(|(_, answer)| answer.clone());
                    let earlier = answer.clone().map(|(rc, message)| Answer::new(rc, message));
                    let unknown = || Answer::new(503, "the command is under way");
                    (here.or(earlier).unwrap_or_else(unknown), true)
                }
            };
            done.push((*row, answer.clone()));
            let worded = self.commander.worded(command.id.as_deref(), &answer, repeated);
            command.stage = Stage::Finished(worded);
        }
    }
}

impl Sink for Commands {
    fn open(&mut self) -> Result<Session, SinkError> {
        self.commander.close_interrupted()?;
        // One sink at a time carries out what comes over MQTT. What is under way now, another that has panicked has left.
        let terms = self.commander.terms();
        let of_ours = |source: &str| terms.sources.iter().any(|known| known.topic == source);
        self.commander.finish_interrupted("an internal error broke the command off", of_ours)?;
        let log = &self.commander.means.log;
        let left = log.commands_left(self.now().wall)?;
        let state = Ledger::state(log, SESSION)?;
        let replies =
            left.replies.into_iter().map(|PendingReply { row, to, payload }| reply(row, to, payload));
        Ok(Session { held: state.held, subscribed: state.subscribed, replies: replies.collect() })
    }

    fn store(&mut self, batch: &Batch) -> Result<Stored, SinkError> {
        let mut commands = match self.under_way.take() {
            Some(commands) => commands,
            None => self.log(batch)?,
        };
        self.carry_out(&mut commands);
        let at = self.now().wall;
        let finish = commands.iter().filter_map(|(row, command)| match &command.stage {
            Stage::Finished(answer) => Some(CommandStep::Finish { row: *row, at, answer: answer.clone() }),
            _ => None,
        });
        let steps: Vec<CommandStep> = finish.collect();
        let mut noted = Ok(());
        if !steps.is_empty() {
            noted = self.commander.means.log.note_commands(steps).map(drop);
        }
        let held = held(&batch.messages);
        if noted.is_ok() && (batch.has_notes() || !held.is_empty()) {
            let notes = MirrorBatch { held, ..batch.notes(SESSION) };
            noted = Ledger::store(&self.commander.means.log, notes).map(drop);
        }
        if let Err(error) = noted {
            self.under_way = Some(commands);
            return Err(error.into());
        }
        let replies = commands.into_iter().filter_map(|(row, command)| match command.stage {
            Stage::Refused(answer) | Stage::Finished(answer) => {
                Some(reply(row, command.reply?, answer.payload))
            }
            _ => None,
        });
        Ok(Stored { replies: replies.collect(), ..Stored::default() })
    }
}

fn reply(row: i64, to: ReplyTo, payload: String) -> Reply {
    Reply { number: row, topic: to.topic, payload: payload.into_bytes(), correlation: to.correlation }
}

/// Where the answer goes: where the sender wants it (MQTT 5), if that is a topic that can be published to and none
/// on which commands come in; else where the configuration says.
fn reply_to(source: &CommandSource, sources: &[Arc<CommandSource>], message: &Incoming) -> Option<ReplyTo> {
    let correlation = message.response.as_ref().and_then(|response| response.correlation.clone());
    let correlation = correlation.filter(|data| data.len() <= LONGEST_CORRELATION);
    let wanted = message.response.as_ref().map(|response| response.topic.clone()).filter(|wanted| {
        wanted.len() <= LONGEST_TOPIC
            && topic::check_topic(wanted).is_ok()
            && sources.iter().all(|source| source.topic != *wanted)
    });
    let topic = wanted.or_else(|| source.reply.clone())?;
    Some(ReplyTo { topic, correlation })
}
