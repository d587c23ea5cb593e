//! The status socket: answers `status`, `why SENSOR[.QUANTITY]` and `metrics` on a unix socket, one line in, one
//! JSON document out. Whoever may open the socket may read; nothing can be changed through it.
//!
//! One thread serves a few clients at a time and waits for nobody: requests are short, answers are written as the
//! client takes them, and after two seconds it is shown the door. While nobody asks, it sleeps.

use std::ffi::OsStr;
use std::fs::Permissions;
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde::{Deserialize, Serialize};
use tracing::{debug, error};

use super::why::Why;
use super::{Facts, Snapshot};
use crate::config::{Config, Socket};
use crate::status::{Board, State};

/// Where systemd's `RuntimeDirectory=sensor-bridge` puts it.
pub const UNDER_SYSTEMD: &str = "/run/sensor-bridge/status.sock";

/// Its part of the board.
const PART: &str = "status socket";

/// Clients served at a time; the others wait in the kernel's queue.
const CLIENTS: usize = 8;

/// Longest request, bytes: a sensor's and a quantity's name are well below.
const LONGEST: usize = 1024;

/// From the first to the last byte a client may take this long.
const PATIENCE: Duration = Duration::from_secs(2);

/// After the system has refused a connection (no descriptors left), it is left alone this long.
const PAUSE: Duration = Duration::from_millis(200);

/// What comes back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reply {
    /// Path of the answering daemon's log.
    pub database: String,
    /// The answer.
    #[serde(flatten)]
    pub answer: Answer,
}

/// The answer to one request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Answer {
    /// To `status`.
    Status(Box<Snapshot>),
    /// To `why`.
    Why(Why),
    /// To `metrics`: Prometheus text.
    Metrics(String),
    /// What is wrong with the request.
    Error(String),
}

/// Where the daemon makes its socket. `runtime` is systemd's `RUNTIME_DIRECTORY`, the first if there are several.
pub fn place(socket: &Socket, database: &Path, runtime: Option<&OsStr>) -> Option<PathBuf> {
    let first = runtime.and_then(OsStr::to_str).and_then(|folders| folders.split(':').next());
    let folder = first.map(Path::new).filter(|folder| folder.is_absolute());
    match (socket, folder) {
        (Socket::Off, _) => None,
        (Socket::At(path), _) => Some(path.clone()),
        (Socket::Usual, Some(folder)) => Some(folder.join("status.sock")),
        (Socket::Usual, None) => Some(beside(database)),
    }
}

/// `bridge.db` → `bridge.db.sock`.
pub(super) fn beside(database: &Path) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push(".sock");
    PathBuf::from(name)
}

/// The running socket. Dropped, it ends and its file is removed.
#[derive(Debug)]
pub struct Server {
    path: PathBuf,
    /// Closed to end the thread.
    stop: Option<UnixStream>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Makes the socket where the configuration wants it. A socket that cannot be made is shown on the board and is
    /// no reason not to read sensors.
    pub fn start(config: &Config, runtime: Option<&OsStr>, facts: &Facts, board: &Board) -> Option<Self> {
        let path = place(&config.status.socket, &config.log.path, runtime)?;
        match Self::at(&path, facts.clone()) {
            Ok(server) => {
                // Only if there was trouble before a reload: that it is as it should be is no news.
                if let Some(part) = board.parts().into_iter().find(|part| part.name() == PART) {
                    part.set(State::Ok);
                }
                Some(server)
            }
            Err(why) => {
                let hint = "choose another place under status.socket, or off";
                board.part(PART).set(State::Degraded(format!("{}: {why}; {hint}", path.display())));
                None
            }
        }
    }

    /// Makes the socket here.
    pub(super) fn at(path: &Path, facts: Facts) -> io::Result<Self> {
        let listener = bind(path)?;
        listener.set_nonblocking(true)?;
        std::fs::set_permissions(path, Permissions::from_mode(0o660))?;
        let (stop, stopped) = UnixStream::pair()?;
        let thread = std::thread::Builder::new().name("status".to_owned()).spawn(move || {
            if let Err(why) = serve(&listener, &stopped, &facts) {
                error!("the status socket is closed: {why}");
            }
        })?;
        Ok(Self { path: path.to_owned(), stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // First, so that nobody connects to a socket that will not answer.
        if let Err(why) = std::fs::remove_file(&self.path) {
            debug!("{}: {why}", self.path.display());
        }
        drop(self.stop.take());
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            error!("the status socket had ended by a fault of the program; please report this");
        }
    }
}

/// A socket that a killed daemon has left behind is replaced; one that answers, or any other file, is not.
fn bind(path: &Path) -> io::Result<UnixListener> {
    match UnixListener::bind(path) {
        Err(why) if why.kind() == ErrorKind::AddrInUse => {
            if !std::fs::symlink_metadata(path)?.file_type().is_socket() {
                return Err(io::Error::new(ErrorKind::AlreadyExists, "there is a file which is no socket"));
            }
            if UnixStream::connect(path).is_ok() {
                return Err(io::Error::new(ErrorKind::AddrInUse, "another sensor-bridge answers here"));
            }
            std::fs::remove_file(path)?;
            UnixListener::bind(path)
        }
        other => other,
    }
}

/// Somebody who asks.
struct Client {
    stream: UnixStream,
    request: Vec<u8>,
    /// What is still to be written, once the request is complete.
    answer: Option<Vec<u8>>,
    written: usize,
    until: Instant,
}

fn serve(listener: &UnixListener, stopped: &UnixStream, facts: &Facts) -> io::Result<()> {
    let mut clients: Vec<Client> = Vec::new();
    let mut closed_until: Option<Instant> = None;
    loop {
        let now = Instant::now();
        closed_until = closed_until.filter(|until| *until > now);
        let open = clients.len() < CLIENTS && closed_until.is_none();
        let until = clients.iter().map(|client| client.until).chain(closed_until).min();
        let ready =
            wait(listener, open, stopped, &clients, until.map(|until| until.saturating_duration_since(now)))?;
        if ready[0] {
            return Ok(());
        }
        let mut ready_clients = ready[2..].iter();
        clients.retain_mut(|client| {
            let ready = ready_clients.next().is_some_and(|ready| *ready);
            client.until > Instant::now() && (!ready || client.go_on(facts).is_ok_and(|more| more))
        });
        if ready[1] && open {
            match listener.accept().and_then(|(stream, _)| Client::new(stream)) {
                Ok(client) => clients.push(client),
                Err(why) if why.kind() == ErrorKind::WouldBlock => {}
                Err(why) => {
                    debug!("status socket: {why}");
                    closed_until = Some(Instant::now() + PAUSE);
                }
            }
        }
    }
}

/// Waits until something can go on: answers who, in the order stop signal, listener, clients.
fn wait(
    listener: &UnixListener,
    open: bool,
    stopped: &UnixStream,
    clients: &[Client],
    most: Option<Duration>,
) -> io::Result<Vec<bool>> {
    let mut fds = vec![PollFd::new(stopped, PollFlags::IN)];
    fds.push(PollFd::new(listener, if open { PollFlags::IN } else { PollFlags::empty() }));
    fds.extend(clients.iter().map(|client| PollFd::new(&client.stream, client.waits_for())));
    let most = most.map(|most| Timespec {
        tv_sec: i64::try_from(most.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: i64::from(most.subsec_nanos()),
    });
    match poll(&mut fds, most.as_ref()) {
        Ok(_) | Err(rustix::io::Errno::INTR) => {}
        Err(why) => return Err(why.into()),
    }
    Ok(fds.iter().map(|fd| !fd.revents().is_empty()).collect())
}

impl Client {
    fn new(stream: UnixStream) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        let until = Instant::now() + PATIENCE;
        Ok(Self { stream, request: Vec::new(), answer: None, written: 0, until })
    }

    fn waits_for(&self) -> PollFlags {
        if self.answer.is_none() { PollFlags::IN } else { PollFlags::OUT }
    }

    /// Reads or writes what can be read or written. Answers whether there is more to do.
    fn go_on(&mut self, facts: &Facts) -> io::Result<bool> {
        if self.answer.is_none() {
            match self.read()? {
                Some(request) => self.answer = Some(facts.answer(&request)),
                None => return Ok(true),
            }
        }
        let answer = self.answer.as_deref().unwrap_or_default();
        while self.written < answer.len() {
            match self.stream.write(&answer[self.written..]) {
                Ok(0) => return Ok(false),
                Ok(count) => self.written += count,
                Err(why) if why.kind() == ErrorKind::WouldBlock => return Ok(true),
                Err(why) if why.kind() == ErrorKind::Interrupted => {}
                Err(why) => return Err(why),
            }
        }
        Ok(false)
    }

    /// The request, once its line is complete; what is too long is cut off, and so is no request.
    fn read(&mut self) -> io::Result<Option<String>> {
        let mut chunk = [0; LONGEST];
        loop {
            let count = match self.stream.read(&mut chunk) {
                Ok(count) => count,
                Err(why) if why.kind() == ErrorKind::WouldBlock => return Ok(None),
                Err(why) if why.kind() == ErrorKind::Interrupted => continue,
                Err(why) => return Err(why),
            };
            self.request.extend_from_slice(&chunk[..count]);
            let end = self.request.iter().position(|byte| *byte == b'\n');
            if count == 0 || end.is_some() || self.request.len() >= LONGEST {
                let line = &self.request[..end.unwrap_or(self.request.len()).min(LONGEST)];
                return Ok(Some(String::from_utf8_lossy(line).trim().to_owned()));
            }
        }
    }
}
