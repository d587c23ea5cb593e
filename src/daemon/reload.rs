//! A reload, from the wish to the answer: the file is read, what is different is applied, and whoever asked is told.
//! How it is applied is in `apply`.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

use anyhow::Result;
use tracing::{error, info, warn};

use super::apply::NotApplied;
use super::{Bridge, Wish};
use crate::command::{Reload, ReloadError, Reloaded};
use crate::config::changes::{Changes, Step};
use crate::config::{Config, Problems};
use crate::status::{Board, State};

/// Its part of the board, there from the first reload on.
const PART: &str = "reload";

/// Longest problem that is shown in a state, characters.
const LONGEST: usize = 300;

/// How long a command waits for what it asked for. Every step of it has a bound of its own, well below.
const PATIENCE: Duration = Duration::from_secs(60);

/// The wishes of the outside, and those that were looked at and had to wait.
pub(super) struct Wishes {
    coming: Receiver<Wish>,
    aside: VecDeque<Wish>,
    /// Who brings commands is ending, and a command that waits for us would keep it up.
    deaf: Arc<AtomicBool>,
}

impl Wishes {
    pub(super) fn new(coming: Receiver<Wish>) -> Self {
        Self { coming, aside: VecDeque::new(), deaf: Arc::default() }
    }

    /// The way from a command to here; `wishes` is where they come from.
    pub(super) fn hook(&self, wishes: SyncSender<Wish>) -> Reload {
        let deaf = Arc::clone(&self.deaf);
        Reload::by(move || {
            let (reply, answer) = sync_channel(1);
            wishes.try_send(Wish::Reload(Some(reply))).map_err(|_| ReloadError::Busy)?;
            // Asked after it was sent: whoever is deaf from now on finds it and answers.
            if deaf.load(Ordering::SeqCst) {
                return Err(ReloadError::Busy);
            }
            match answer.recv_timeout(PATIENCE) {
                Ok(reloaded) => reloaded,
                Err(RecvTimeoutError::Timeout) => Err(ReloadError::Failed(format!(
                    "it takes longer than {} s; the journal will say",
                    PATIENCE.as_secs()
                ))),
                Err(RecvTimeoutError::Disconnected) => {
                    Err(ReloadError::Failed("sensor-bridge is leaving".to_owned()))
                }
            }
        })
    }

    /// The next one.
    pub(super) fn next(&mut self, patience: Duration) -> Result<Wish, RecvTimeoutError> {
        self.aside.pop_front().map_or_else(|| self.coming.recv_timeout(patience), Ok)
    }

    /// Takes all reloads that are asked for out of what waits; answers who wants to know how it went.
    fn reloads(&mut self) -> Vec<SyncSender<Reloaded>> {
        let mut asking = Vec::new();
        self.aside.extend(self.coming.try_iter());
        self.aside.retain_mut(|wish| match wish {
            Wish::Reload(who) => {
                asking.extend(who.take());
                false
            }
            _ => true,
        });
        asking
    }

    /// Who waits for a reload, or asks for one until [`Wishes::listen`], is told to come again. A wish without anybody
    /// waiting stays.
    pub(super) fn turn_away(&mut self) {
        self.deaf.store(true, Ordering::SeqCst);
        self.aside.extend(self.coming.try_iter());
        for wish in &mut self.aside {
            if let Wish::Reload(who) = wish {
                answer(who.take().into_iter().collect(), &Err(ReloadError::Busy));
            }
        }
    }

    fn listen(&self) {
        self.deaf.store(false, Ordering::SeqCst);
    }
}

/// Reads the configuration again and goes over to it. A file that is wrong changes nothing. Any number of wishes that
/// came together are one reload.
///
/// # Errors
/// The bridge had to start afresh, and could not with the old configuration either.
pub(super) fn reload(
    bridge: Bridge,
    load: impl Fn() -> Result<Config, Problems>,
    first: Option<SyncSender<Reloaded>>,
    wishes: &mut Wishes,
    board: &Board,
) -> Result<Bridge> {
    let mut asking = wishes.reloads();
    asking.extend(first);
    let bridge = go_over(bridge, load, asking, wishes, board);
    wishes.listen();
    bridge
}

fn go_over(
    mut bridge: Bridge,
    load: impl Fn() -> Result<Config, Problems>,
    asking: Vec<SyncSender<Reloaded>>,
    wishes: &mut Wishes,
    board: &Board,
) -> Result<Bridge> {
    let part = board.part(PART);
    let new = match load() {
        Ok(new) => new,
        Err(problems) => {
            error!("configuration not changed:\n{problems}");
            part.set(State::Degraded(format!(
                "the configuration on disk was not taken over: {}",
                in_short(&problems)
            )));
            answer(asking, &Err(ReloadError::Bad(problems.to_string())));
            return Ok(bridge);
        }
    };
    let changes = Changes::between(&bridge.config, &new);
    let said = changes.to_string();
    if changes.is_empty() {
        part.done(said.clone());
        answer(asking, &Ok(said));
        return Ok(bridge);
    }
    if changes.whole.is_empty() {
        match bridge.apply(&changes, &new) {
            Ok(()) => {
                part.done(said.clone());
                answer(asking, &Ok(said.clone()));
                match after_the_answer(&mut bridge, &changes, wishes) {
                    Ok(()) => return Ok(bridge),
                    Err(error) => warn!("{error:#}; everything starts afresh"),
                }
            }
            Err(NotApplied::Nothing(error)) => {
                error!("configuration not changed: {error:#}");
                part.set(State::Degraded(format!("not taken over: {error:#}")));
                answer(asking, &Err(ReloadError::Failed(format!("{error:#}"))));
                return Ok(bridge);
            }
            Err(NotApplied::Halfway(error)) => {
                warn!("{error:#}; everything starts afresh");
                answer(asking, &Ok(format!("everything starts afresh, because: {error:#}")));
            }
        }
    } else {
        info!("{PART}: {said}");
        // Now: who asked will not be there afterwards.
        answer(asking, &Ok(said.clone()));
    }
    wishes.turn_away();
    afresh(bridge, &new, &said, board)
}

/// The first of the problems, and how many more there are.
fn in_short(problems: &Problems) -> String {
    let text = problems.list.first().map(ToString::to_string).unwrap_or_default();
    let more = match problems.list.len() {
        0 | 1 => String::new(),
        many => format!(" (and {} more)", many - 1),
    };
    format!("{}{more}", text.chars().take(LONGEST).collect::<String>())
}

/// What brings commands is changed when nobody who came through it waits any more.
fn after_the_answer(bridge: &mut Bridge, changes: &Changes, wishes: &mut Wishes) -> Result<()> {
    if [changes.commands, changes.publisher].into_iter().flatten().any(Step::ends) {
        wishes.turn_away();
    }
    super::still_alive();
    bridge.apply_to_links(changes)
}

/// Starts afresh with another configuration; with the old one if the new one cannot be started.
fn afresh(bridge: Bridge, new: &Config, said: &str, board: &Board) -> Result<Bridge> {
    let (old, reload) = (bridge.config.clone(), bridge.reload.clone());
    // A log that does not take everything, on a full disk say, may be why it is to be left.
    if let Err(error) = bridge.stop() {
        error!("leaving the old log: {error:#}");
    }
    match Bridge::start(new, board, reload.clone()) {
        Ok(bridge) => {
            board.part(PART).done(said.to_owned());
            Ok(bridge)
        }
        Err(error) => {
            error!("the new configuration cannot be started, going on with the old one: {error:#}");
            board
                .part(PART)
                .set(State::Degraded(format!("the new configuration cannot be started: {error:#}")));
            Bridge::start(&old, board, reload)
        }
    }
}

fn answer(asking: Vec<SyncSender<Reloaded>>, reloaded: &Reloaded) {
    for who in asking {
        // Nobody listens when it took too long.
        who.try_send(reloaded.clone()).unwrap_or_default();
    }
}
