//! Commands that a platform brings its own way: carried out one after another on a thread of their own, so that the
//! connection they came by never waits for a bus or the disk. Each is in the log first, like every other.

use std::io;
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::sync::mpsc;
use tracing::{info, warn};

use super::{Answer, Commander, judge, request};
use crate::config::CommandSource;
use crate::log::LogError;
use crate::platform::{Order, Outcome, Wish};

/// Orders that wait. More at once is nobody's wish.
const WAITING: usize = 32;

/// A program of the configuration that runs longer is ended.
const PATIENCE: Duration = Duration::from_secs(30);

/// How often it is looked whether a program has ended.
const LOOK: Duration = Duration::from_millis(50);

/// Takes an order without waiting, or gives it back when too many are under way.
pub type Take = Box<dyn Fn(Order) -> Result<(), Order> + Send>;

/// Opens a desk for `source`; without one nothing is allowed. It closes when what it answers here is dropped.
///
/// # Errors
/// No thread could be made.
pub fn open(
    commander: Commander,
    source: Option<CommandSource>,
) -> io::Result<(Take, mpsc::Receiver<(u64, Outcome)>)> {
    let (orders, ordered) = sync_channel(WAITING);
    // An outcome for each order that waits, the one under way, and the one that waits for room here.
    let (done, outcomes) = mpsc::channel(WAITING + 2);
    let thread = std::thread::Builder::new().name("platform".to_owned());
    thread.spawn(move || serve(&commander, source.as_ref(), &ordered, &done))?;
    let take = move |order| {
        orders.try_send(order).map_err(|error| match error {
            std::sync::mpsc::TrySendError::Full(order)
            | std::sync::mpsc::TrySendError::Disconnected(order) => order,
        })
    };
    Ok((Box::new(take), outcomes))
}

fn serve(
    commander: &Commander,
    source: Option<&CommandSource>,
    orders: &Receiver<Order>,
    done: &mpsc::Sender<(u64, Outcome)>,
) {
    for Order { tag, id, wish } in orders {
        let answer = match wish {
            Wish::Run(words) => run(&words, PATIENCE),
            Wish::Command(body) => {
                let text = Value::Object(body.clone()).to_string();
                let answer = commander.order(source, id, text, request::request(body));
                answer.unwrap_or_else(|error| {
                    Answer::new(503, format!("the command is not in the log: {error}"))
                })
            }
        };
        let outcome = Outcome { rc: answer.rc, message: answer.message, data: answer.data };
        if done.blocking_send((tag, outcome)).is_err() {
            return;
        }
    }
}

impl Commander {
    /// Carries out a command of the platform, if `source` allows it. `text` is for the log.
    fn order(
        &self,
        source: Option<&CommandSource>,
        id: Option<String>,
        text: String,
        wanted: Result<super::Request, String>,
    ) -> Result<Answer, LogError> {
        self.close_interrupted()?;
        let name = source.map_or("platform", |source| &source.topic);
        let judged = match wanted {
            Err(why) => Err(Answer::new(400, why)),
            Ok(wanted) if source.is_some_and(|source| judge::may(source, &wanted)) => Ok(wanted),
            Ok(wanted) => Err(Answer::new(403, format!("not allowed to {name}: {wanted}"))),
        };
        self.take(name, id, &text, judged)
    }
}

/// Runs a program; its output goes to the journal.
fn run(words: &[String], patience: Duration) -> Answer {
    let Some((program, arguments)) = words.split_first() else {
        return Answer::new(501, "no program is named");
    };
    info!("the platform wants {program} to be run");
    let mut command = Command::new(program);
    // Secrets may stand in the bridge's own variables.
    for (name, _) in std::env::vars_os().filter(|(name, _)| is_ours(&name.to_string_lossy())) {
        command.env_remove(name);
    }
    let child = command.args(arguments).stdin(Stdio::null()).spawn();
    let ended = child.and_then(|mut child| {
        let begun = Instant::now();
        loop {
            match child.try_wait()? {
                Some(status) => return Ok(Some(status)),
                None if begun.elapsed() < patience => std::thread::sleep(LOOK),
                None => {
                    child.kill()?;
                    child.wait()?;
                    return Ok(None);
                }
            }
        }
    });
    let failed = match ended {
        Ok(Some(status)) if status.success() => return Answer::new(200, format!("{program} has run")),
        Ok(Some(status)) => format!("{program}: {status}"),
        Ok(None) => format!("{program} was ended: it ran for {} s", patience.as_secs_f64()),
        Err(error) => format!("{program}: {error}"),
    };
    warn!("{failed}");
    Answer::new(500, failed)
}

/// Variables that tell of us: overrides of the configuration, and what systemd hands over.
fn is_ours(name: &str) -> bool {
    const SYSTEMD: [&str; 4] = ["NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC", "CREDENTIALS_DIRECTORY"];
    name.starts_with("SENSOR_BRIDGE") || SYSTEMD.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_not_told_secrets() {
        for (name, ours) in [
            ("SENSOR_BRIDGE__MQTT__PASSWORD", true),
            ("CREDENTIALS_DIRECTORY", true),
            ("NOTIFY_SOCKET", true),
            ("PATH", false),
        ] {
            assert_eq!(is_ours(name), ours, "{name}");
        }
    }

    #[test]
    fn programs_are_run_and_told_apart() {
        let sh = |script: &str| ["sh", "-c", script].map(str::to_owned);
        for (script, rc, words) in
            [("exit 0", 200, "has run"), ("exit 3", 500, "exit status: 3"), ("sleep 60", 500, "was ended")]
        {
            let answer = run(&sh(script), Duration::from_millis(300));
            assert!(answer.rc == rc && answer.message.contains(words), "{script}: {answer:?}");
        }
        assert_eq!(run(&["/no/such/program".to_owned()], PATIENCE).rc, 500);
        assert_eq!(run(&[], PATIENCE).rc, 501);
    }
}
