//! Asks a running daemon over its status socket. The other end is `socket`.

use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::socket::{self, Answer, Reply, UNDER_SYSTEMD};
use crate::config::{Config, Socket};

/// A daemon answers within milliseconds; on a machine that is swapping, perhaps within this.
const PATIENCE: Duration = Duration::from_secs(5);

/// Longest answer, bytes: thousands of sensors fit in.
const LONGEST: u64 = 64 << 20;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// Nobody listens.
    #[error("no sensor-bridge is running: nothing answers at {}{other}", list(places))]
    NoDaemon {
        /// Where it was looked for.
        places: Vec<PathBuf>,
        /// What was found instead, with a separator before it.
        other: String,
    },
    /// The configuration says `status.socket: off`.
    #[error("the configuration has no status socket (status.socket: off)")]
    Off,
    /// The socket is there and closed to us.
    #[error("{}: permission denied; ask as root (sudo) or as a member of the group that owns it", .0.display())]
    Denied(PathBuf),
    /// It listens, and then?
    #[error("{}: no answer: {why}", path.display())]
    Broken {
        /// The socket.
        path: PathBuf,
        /// What went wrong.
        why: std::io::Error,
    },
    /// The daemon does not know what is asked for.
    #[error("{0}")]
    Refused(String),
}

fn list(places: &[PathBuf]) -> String {
    places.iter().map(|place| place.display().to_string()).collect::<Vec<_>>().join(" or ")
}

/// Where a socket may be, and whose it must be: on one machine there may be a daemon of systemd's and another
/// started by hand, each with its own configuration.
#[derive(Debug, Clone)]
pub struct Door {
    places: Vec<PathBuf>,
    database: Option<String>,
}

impl Door {
    /// The door of the daemon that runs this configuration.
    ///
    /// # Errors
    /// It has none.
    pub fn of(config: &Config) -> Result<Self, AskError> {
        let database = config.log.path.display().to_string();
        match &config.status.socket {
            Socket::Off => Err(AskError::Off),
            Socket::At(path) => Ok(Self::at(path.clone())),
            Socket::Usual => Ok(Self {
                places: vec![PathBuf::from(UNDER_SYSTEMD), socket::beside(&config.log.path)],
                database: Some(database),
            }),
        }
    }

    /// This very door, whoever answers.
    pub fn at(path: PathBuf) -> Self {
        Self { places: vec![path], database: None }
    }

    /// Asks `status`, `why air.temperature` or `metrics`.
    ///
    /// # Errors
    /// Nobody answers, or not to this question.
    pub fn ask(&self, request: &str) -> Result<Answer, AskError> {
        let mut other = String::new();
        let (mut denied, mut broken) = (None, None);
        for place in &self.places {
            match ask(place, request) {
                Ok(reply) if self.database.as_ref().is_some_and(|wanted| *wanted != reply.database) => {
                    other = format!(" (the one at {} logs to {})", place.display(), reply.database);
                }
                Ok(Reply { answer: Answer::Error(why), .. }) => return Err(AskError::Refused(why)),
                Ok(Reply { answer, .. }) => return Ok(answer),
                Err(why) if matches!(why.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused) => {}
                Err(why) if why.kind() == ErrorKind::PermissionDenied => denied = Some(place.clone()),
                // It may be another daemon that hangs there.
                Err(why) => broken = Some(AskError::Broken { path: place.clone(), why }),
            }
        }
        Err(match (broken, denied) {
            (Some(broken), _) => broken,
            (None, Some(place)) => AskError::Denied(place),
            (None, None) => AskError::NoDaemon { places: self.places.clone(), other },
        })
    }
}

fn ask(path: &Path, request: &str) -> std::io::Result<Reply> {
    let mut stream = UnixStream::connect(path)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.write_all(format!("{request}\n").as_bytes())?;
    let mut answer = Vec::new();
    stream.take(LONGEST).read_to_end(&mut answer)?;
    serde_json::from_slice(&answer).map_err(std::io::Error::from)
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    /// Answers one question with this.
    fn answering(path: &Path, answer: &'static str) {
        let listener = UnixListener::bind(path).unwrap();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            stream.read_exact(&mut [0; 7]).unwrap();
            stream.write_all(answer.as_bytes()).unwrap();
        });
    }

    #[test]
    fn a_daemon_that_cannot_answer_does_not_hide_the_one_that_is_meant() {
        let folder = tempfile::tempdir().unwrap();
        let places: Vec<PathBuf> = ["one", "two"].map(|name| folder.path().join(name)).to_vec();
        answering(&places[0], "rubbish");
        answering(&places[1], "{\"database\":\"x.db\",\"metrics\":\"m\"}");
        let door = Door { places, database: Some("x.db".to_owned()) };
        assert_eq!(door.ask("status").unwrap(), Answer::Metrics("m".to_owned()));
        let broken = door.ask("status").unwrap_err().to_string();
        assert!(broken.starts_with("no sensor-bridge is running"), "{broken}");
    }
}
