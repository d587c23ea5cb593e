//! Runs a program for its standard output, within a time and a size, and leaves nothing of it running.
//! Knows nothing of pictures.

use std::ffi::OsStr;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, ChildStderr, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};

/// Between two looks whether the program has ended: it may leave a child behind that keeps its output open.
const LOOK: Duration = Duration::from_millis(20);

/// How long the output of a program that has ended may stay open.
const GRACE: Duration = Duration::from_millis(250);

/// How long a killed program may take to be gone. One that waits inside a kernel driver takes for ever.
const REAP: Duration = Duration::from_secs(2);

/// What is kept of what it says on standard error, bytes.
const SAID: usize = 8 * 1024;

/// A program that was killed and is not gone: as long as it is there, no other one is started.
pub(super) type Stuck = Mutex<Option<Child>>;

/// Why there is no output. Worded so that the same trouble gives the same words: each change is a reading.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Failure {
    #[error(
        "the program \"{0}\" is not installed or not in PATH: install it, or name another one in `command`"
    )]
    NotFound(String),
    #[error("the program \"{0}\" cannot be started: {1}")]
    NotStarted(String, String),
    #[error("\"{0}\" took longer than {1} and was killed: is the camera connected, and used by nobody else?")]
    TooSlow(String, String),
    #[error("\"{0}\" printed more than {1}: that is no picture, or one that should be taken smaller")]
    TooLarge(String, String),
    #[error("\"{0}\" printed nothing{1}")]
    Nothing(String, Said),
    #[error("\"{0}\" failed ({1}){2}")]
    Exit(String, String, Said),
    #[error("\"{0}\" does not end even when killed: the camera's kernel driver hangs; restart the machine")]
    Stuck(String),
}

/// The last thing that it said on standard error.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Said(String);

impl std::fmt::Display for Said {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.0.is_empty() { Ok(()) } else { write!(f, ": {}", self.0) }
    }
}

/// What is run, and how far it may go.
#[derive(Debug, Clone)]
pub(super) struct Program {
    /// What messages call it.
    pub name: String,
    /// Program and arguments.
    pub argv: Vec<String>,
    /// After this it is killed.
    pub deadline: Duration,
    /// Most bytes that it may print.
    pub most: usize,
}

impl Program {
    /// Runs it; answers what it printed. Whatever happens, its process group is killed before this returns.
    pub fn output(&self, stuck: &Stuck) -> Result<Vec<u8>, Failure> {
        let mut left = stuck.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(child) = left.as_mut() {
            match child.try_wait() {
                Ok(None) => return Err(Failure::Stuck(self.name.clone())),
                _ => *left = None,
            }
        }
        let mut child = self.start()?;
        let heard = self.hear(&mut child);
        // Before the program is reaped, so that its group cannot be somebody else's meanwhile.
        if let Err(error) = kill_process_group(Pid::from_child(&child), Signal::KILL) {
            tracing::debug!("{}: {error}", self.name);
        }
        let Some(status) = reap(&mut child) else {
            *left = Some(child);
            return Err(Failure::Stuck(self.name.clone()));
        };
        let (output, said) = heard?;
        match (status.success(), output.is_empty()) {
            (false, _) => Err(Failure::Exit(self.name.clone(), in_words(status), said)),
            (true, true) => Err(Failure::Nothing(self.name.clone(), said)),
            (true, false) => Ok(output),
        }
    }

    fn start(&self) -> Result<Child, Failure> {
        let (program, arguments) = self.argv.split_first().map_or(("", &[][..]), |(p, a)| (p.as_str(), a));
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // A group of its own, so that what it starts can be killed with it.
        command.process_group(0);
        for (key, _) in std::env::vars_os().filter(|(key, _)| is_ours(key)) {
            command.env_remove(key);
        }
        command.spawn().map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => Failure::NotFound(program.to_owned()),
            _ => Failure::NotStarted(program.to_owned(), error.to_string()),
        })
    }

    /// Listens until it has ended and its output is closed, or for as long as it may take.
    fn hear(&self, child: &mut Child) -> Result<(Vec<u8>, Said), Failure> {
        let failed = |error: io::Error| Failure::NotStarted(self.name.clone(), error.to_string());
        let pid = Pid::from_child(child);
        let mut stdout: Option<ChildStdout> = child.stdout.take();
        let mut stderr: Option<ChildStderr> = child.stderr.take();
        for pipe in [stdout.as_ref().map(AsFd::as_fd), stderr.as_ref().map(AsFd::as_fd)].into_iter().flatten()
        {
            fcntl_getfl(pipe)
                .and_then(|flags| fcntl_setfl(pipe, flags | OFlags::NONBLOCK))
                .map_err(|errno| failed(errno.into()))?;
        }
        let (mut output, mut said) = (Vec::new(), Vec::new());
        let mut until = Instant::now() + self.deadline;
        let mut ended = false;
        loop {
            if !ended && has_ended(pid) {
                ended = true;
                until = until.min(Instant::now() + GRACE);
            }
            read_into(&mut stdout, &mut output, self.most.saturating_add(1)).map_err(failed)?;
            if output.len() > self.most {
                let most = crate::config::size::show(self.most as u64);
                return Err(Failure::TooLarge(self.name.clone(), most));
            }
            read_into(&mut stderr, &mut said, usize::MAX).map_err(failed)?;
            // Only the end is of interest.
            said.drain(..said.len().saturating_sub(SAID));
            let now = Instant::now();
            match (ended, stdout.is_none()) {
                (true, true) => break,
                (true, false) if now >= until => break,
                (false, _) if now >= until => {
                    let deadline = format!("{} s", self.deadline.as_secs_f64());
                    return Err(Failure::TooSlow(self.name.clone(), deadline));
                }
                _ => wait(stdout.as_ref(), stderr.as_ref(), LOOK.min(until - now)),
            }
        }
        Ok((output, Said(last_line(&said))))
    }
}

/// Secrets and what systemd said to the bridge are none of the program's business.
pub(super) fn is_ours(key: &OsStr) -> bool {
    let key = key.to_string_lossy();
    key.starts_with("SENSOR_BRIDGE")
        || ["NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC", "CREDENTIALS_DIRECTORY"].contains(&key.as_ref())
}

/// Whether it has ended; it stays unreaped.
fn has_ended(pid: Pid) -> bool {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    // An error says that there is no such child: then it is over, too.
    !matches!(waitid(WaitId::Pid(pid), options), Ok(None))
}

fn reap(child: &mut Child) -> Option<ExitStatus> {
    let until = Instant::now() + REAP;
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Some(status),
            Ok(None) if Instant::now() < until => std::thread::sleep(Duration::from_millis(2)),
            Ok(None) | Err(_) => return None,
        }
    }
}

/// Takes what is there, up to so many bytes in all; a pipe at its end becomes `None`.
fn read_into(pipe: &mut Option<impl Read>, into: &mut Vec<u8>, most: usize) -> io::Result<()> {
    let mut chunk = [0; 64 * 1024];
    // A program that prints without a pause must not keep us from looking at the clock.
    for _ in 0..16 {
        let Some(open) = pipe.as_mut().filter(|_| into.len() < most) else { break };
        let room = chunk.len().min(most - into.len());
        match open.read(&mut chunk[..room]) {
            Ok(0) => *pipe = None,
            Ok(count) => into.extend_from_slice(&chunk[..count]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Until there is something to read, or for so long.
fn wait(stdout: Option<&ChildStdout>, stderr: Option<&ChildStderr>, most: Duration) {
    let fds = [stdout.map(AsFd::as_fd), stderr.map(AsFd::as_fd)];
    let mut fds: Vec<PollFd<'_>> =
        fds.iter().flatten().map(|fd| PollFd::from_borrowed_fd(*fd, PollFlags::IN)).collect();
    let timeout = Timespec { tv_sec: 0, tv_nsec: i64::from(most.subsec_nanos()) };
    // An interrupted wait is a short one.
    if poll(&mut fds, Some(&timeout)).is_err() {
        std::thread::yield_now();
    }
}

fn in_words(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit status {code}"),
        (None, Some(signal)) => format!("ended by signal {signal}"),
        (None, None) => status.to_string(),
    }
}

/// The last line that says something, without what programs put before it (`[0:12:34.567] [321] `,
/// `[video4linux2 @ 0x55d0]`) and which differs from time to time.
fn last_line(said: &[u8]) -> String {
    let text = String::from_utf8_lossy(said);
    let lines = text.lines().rev().map(|line| {
        let mut line = line.trim();
        while let Some((_, rest)) = line.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            line = rest.trim_start();
        }
        line
    });
    let line = lines.into_iter().find(|line| !line.is_empty()).unwrap_or_default();
    line.chars().filter(|letter| !letter.is_control()).take(200).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_secs(20);

    fn shell(script: &str, deadline: Duration, most: usize) -> Result<Vec<u8>, Failure> {
        let argv = ["/bin/sh", "-c", script].map(str::to_owned).to_vec();
        Program { name: "cam".to_owned(), argv, deadline, most }.output(&Stuck::default())
    }

    /// Whether a process with this id lives; a zombie does not.
    fn lives(pid: &str) -> bool {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
        !stat.is_empty() && !stat.contains(") Z ")
    }

    fn until_gone(pid: &str) {
        let begun = Instant::now();
        while lives(pid) {
            assert!(begun.elapsed() < SOON, "{pid} still runs");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    #[test]
    fn what_it_prints_is_heard() {
        assert_eq!(shell("printf hello; echo aside >&2", SOON, 5).unwrap(), b"hello");
        let large = shell("head -c 3000000 /dev/zero", SOON, 3_000_000).unwrap();
        assert_eq!(large.len(), 3_000_000);
    }

    #[test]
    fn every_misbehaviour_has_its_own_words() {
        let table = [
            ("exit 0", "\"cam\" printed nothing"),
            ("echo no camera >&2", "\"cam\" printed nothing: no camera"),
            (
                "printf half; echo '[0:01.5] [77] ERROR: *** busy ***' >&2; exit 1",
                "\"cam\" failed (exit status 1): ERROR: *** busy ***",
            ),
            ("kill -SEGV $$", "\"cam\" failed (ended by signal 11)"),
            (
                "head -c 100000000 /dev/zero",
                "\"cam\" printed more than 1MB: that is no picture, or one that should be taken smaller",
            ),
            (
                "while :; do echo x >&2; done",
                "\"cam\" took longer than 0.3 s and was killed: is the camera connected, and used by nobody else?",
            ),
        ];
        for (script, expected) in table {
            let deadline = if script.contains("while") { Duration::from_millis(300) } else { SOON };
            assert_eq!(shell(script, deadline, 1_000_000).unwrap_err().to_string(), expected, "{script}");
        }
        let none = Program { name: "x".into(), argv: vec!["/no/such".into()], deadline: SOON, most: 1 };
        let error = none.output(&Stuck::default()).unwrap_err().to_string();
        assert!(error.contains("\"/no/such\" is not installed"), "{error}");
    }

    #[test]
    fn a_program_that_hangs_is_killed_with_all_that_it_started() {
        let folder = tempfile::tempdir().unwrap();
        let pids = folder.path().join("pids");
        let script = format!(
            "trap '' TERM INT; sleep 1000 & echo $! > {0}; echo $$ >> {0}; wait; sleep 1000",
            pids.display()
        );
        let begun = Instant::now();
        let error = shell(&script, Duration::from_millis(400), 10).unwrap_err();
        assert!(matches!(error, Failure::TooSlow(..)), "{error}");
        assert!(begun.elapsed() < SOON);
        let pids = std::fs::read_to_string(pids).unwrap();
        assert_eq!(pids.lines().count(), 2);
        pids.lines().for_each(until_gone);
    }

    #[test]
    fn a_child_that_keeps_the_output_open_holds_nothing_up() {
        let folder = tempfile::tempdir().unwrap();
        let pids = folder.path().join("pids");
        let script = format!("printf picture; sleep 1000 & echo $! > {}", pids.display());
        let begun = Instant::now();
        assert_eq!(shell(&script, SOON, 100).unwrap(), b"picture");
        assert!(begun.elapsed() < SOON / 2);
        until_gone(&std::fs::read_to_string(pids).unwrap());
        // One that closes its output, and then hangs, is no better.
        let error = shell("printf picture; exec >&-; sleep 1000", Duration::from_millis(300), 100);
        assert!(matches!(error, Err(Failure::TooSlow(..))), "{error:?}");
    }

    #[test]
    fn while_one_is_stuck_no_other_is_started() {
        let stuck = Stuck::default();
        let child = Command::new("sleep").arg("1000").spawn().unwrap();
        *stuck.lock().unwrap() = Some(child);
        let argv = ["printf", "x"].map(str::to_owned).to_vec();
        let program = Program { name: "cam".into(), argv, deadline: SOON, most: 9 };
        assert_eq!(program.output(&stuck), Err(Failure::Stuck("cam".into())));
        stuck.lock().unwrap().as_mut().unwrap().kill().unwrap();
        let begun = Instant::now();
        while program.output(&stuck).is_err() {
            assert!(begun.elapsed() < SOON);
        }
        assert!(stuck.lock().unwrap().is_none());
    }

    #[test]
    fn the_last_word_is_what_matters() {
        for (said, expected) in [
            ("", ""),
            ("one\ntwo\n\n", "two"),
            ("[0:05:01.2] [9] INFO x\n[v4l2 @ 0x55aa] no such device\n", "no such device"),
            ("[lone\n", "[lone"),
            ("[a] [b]\n", ""),
        ] {
            assert_eq!(last_line(said.as_bytes()), expected, "{said:?}");
        }
    }
}
