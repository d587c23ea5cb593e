//! The web page: what the bridge knows, for a person with a browser. Off unless it is configured.
//!
//! It has a thread of its own, so that whoever looks never delays what is measured or published, and reads
//! the log through connections of its own. It changes nothing; how facts come to be is not known here.

mod answer;
mod body;
mod collect;
mod door;
mod live;
mod outputs;
mod page;
mod pictures;
mod plots;
mod pool;
mod question;
mod route;
mod server;
#[cfg(test)]
mod tests;
mod topics;

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::watch;
use tracing::{error, warn};

use crate::command::Commander;
use crate::config;
use crate::facts::Facts;
use crate::log::Log;
use crate::status::Board;

/// How long what is being sent may take when the page goes.
const STOP: Duration = Duration::from_secs(1);

/// How much less the page's threads get of a busy processor than those that measure and publish.
const NICE: i32 = 5;

/// The running page.
#[derive(Debug)]
pub struct Web {
    stop: watch::Sender<()>,
    ended: Receiver<()>,
    thread: JoinHandle<()>,
}

impl Web {
    /// Starts the page of a running bridge; it follows the facts to another configuration. An address that cannot be listened on is shown on the board as
    /// `web` and tried again: it may come with the network.
    ///
    /// # Errors
    /// No thread can be made.
    pub fn start(
        settings: &config::Web,
        log: &Log,
        facts: &Facts,
        commander: Option<&Commander>,
        board: &Board,
    ) -> io::Result<Self> {
        let part = board.part("web");
        let outputs = commander.map(|commander| Arc::new(outputs::Outputs::new(commander, &settings.allow)));
        let collector = collect::Collector::new(facts, outputs.clone());
        let site = Arc::new(route::Site {
            door: door::Door::new(settings, part.figure("refused")),
            live: Arc::new(live::Live::new(part.figure("visitors"))),
            pool: Arc::new(pool::Pool::new(log)),
            facts: facts.clone(),
            outputs,
        });
        let listen = settings.listen;
        let (stop, stopped) = watch::channel(());
        let (end, ended) = sync_channel(1);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .max_blocking_threads(pool::THREADS)
            .thread_keep_alive(Duration::from_secs(10))
            .build()?;
        let thread = std::thread::Builder::new().name("web".into()).spawn(move || {
            // Of the calling thread, and those it makes: setpriority(2), "C library/kernel differences".
            if let Err(error) = rustix::process::setpriority_process(None, NICE) {
                warn!("web: runs at full priority: {error}");
            }
            runtime.block_on(server::run(site, collector, listen, part, stopped));
            runtime.shutdown_timeout(STOP);
            // Nobody listens when the page was dropped instead of stopped.
            end.try_send(()).unwrap_or_default();
        })?;
        Ok(Self { stop, ended, thread })
    }

    /// Ends all connections and waits for the thread, but not for a disk that does not answer.
    pub fn stop(self) {
        let Self { stop, ended, thread } = self;
        drop(stop);
        if ended.recv_timeout(STOP * 3) == Err(RecvTimeoutError::Timeout) {
            warn!("web: does not end in time; left behind");
        } else if thread.join().is_err() {
            error!("web: its thread had panicked; please report this");
        }
    }
}
