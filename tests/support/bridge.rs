//! The real binary as a child process.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use super::holds_within;
use super::process::{end, signal, wait_for_exit};

/// `sensor-bridge run` in a folder of its own: `config.yaml`, `bridge.db`, `stderr`.
pub struct Bridge {
    folder: TempDir,
    child: Option<Child>,
    /// How much it had said before this start.
    said: usize,
}

impl Bridge {
    /// Prepares a folder; `config` gets its path. Does not start anything.
    pub fn prepare(config: impl FnOnce(&Path) -> String) -> Self {
        // Beside the build, not in /tmp: that may be memory, where fsync costs and proves nothing.
        let folder = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let bridge = Self { folder, child: None, said: 0 };
        bridge.configure(&config(bridge.folder.path()));
        bridge
    }

    /// Prepares a folder and starts.
    pub fn start(config: impl FnOnce(&Path) -> String) -> Self {
        let mut bridge = Self::prepare(config);
        bridge.resume();
        bridge
    }

    /// Replaces the configuration file, as editors do: there is never half of it.
    pub fn configure(&self, config: &str) {
        let fresh = self.folder.path().join("config.yaml.new");
        fs::write(&fresh, config).unwrap();
        fs::rename(fresh, self.folder.path().join("config.yaml")).unwrap();
    }

    /// Its folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Where the configuration of a test puts the database.
    pub fn database_path(&self) -> PathBuf {
        self.folder.path().join("bridge.db")
    }

    /// The binary with `--config`, free of what the environment of the tests might set.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sensor-bridge"));
        for (name, _) in std::env::vars_os() {
            let name = name.to_string_lossy();
            let of_systemd = name == "NOTIFY_SOCKET" || name == "RUNTIME_DIRECTORY";
            if name.starts_with("SENSOR_BRIDGE") || of_systemd || name == "RUST_LOG" {
                command.env_remove(&*name);
            }
        }
        // What is written for people depends on the locale.
        command.env("LC_ALL", "C.UTF-8");
        command.args(arguments).arg("--config").arg(self.folder.path().join("config.yaml"));
        command.current_dir(self.folder.path()).stdin(Stdio::null());
        command
    }

    /// Runs a subcommand to its end.
    pub fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Starts the daemon (again) in the same folder.
    pub fn resume(&mut self) {
        assert!(self.child.is_none(), "the bridge runs already");
        self.said = self.stderr().len();
        let log = File::options().create(true).append(true).open(self.folder.path().join("stderr")).unwrap();
        let child = self.command(&["run"]).stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap();
        self.child = Some(child);
    }

    /// Its process id while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// Everything it has said so far, over all its starts.
    pub fn stderr(&self) -> String {
        fs::read_to_string(self.folder.path().join("stderr")).unwrap_or_default()
    }

    /// The last lines of that, for the message of a test that failed.
    pub fn last_words(&self) -> String {
        let all = self.stderr();
        let lines: Vec<&str> = all.lines().collect();
        lines[lines.len().saturating_sub(40)..].join("\n")
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.as_mut()?.try_wait().unwrap()
    }

    /// Sends it a signal (`HUP`, `USR1`).
    pub fn signal(&self, name: &str) {
        signal(self.child.as_ref().expect("the bridge runs"), name);
    }

    /// SIGTERM; panics when it has not left after the 10 s that it promises.
    #[track_caller]
    pub fn terminate(&mut self) -> ExitStatus {
        // In its first milliseconds it is a process like any other: SIGTERM ends it without a word.
        holds_within(Duration::from_secs(5), || {
            self.stderr()[self.said..].contains(" starts as ") || self.ended().is_some()
        });
        let mut child = self.child.take().expect("the bridge runs");
        signal(&child, "TERM");
        let Some(status) = wait_for_exit(&mut child, Duration::from_secs(10)) else {
            end(&mut child);
            panic!("did not leave within 10 s of SIGTERM; its last words:\n{}", self.last_words());
        };
        status
    }

    /// SIGKILL: no farewell.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            end(&mut child);
        }
    }

    /// SIGTERM, then a new start.
    #[track_caller]
    pub fn restart(&mut self) {
        let status = self.terminate();
        assert!(status.success(), "ended with {status}; its last words:\n{}", self.last_words());
        self.resume();
    }

    /// Its database, for reading only; the daemon may be writing.
    pub fn database(&self) -> rusqlite::Connection {
        let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY | rusqlite::OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = rusqlite::Connection::open_with_flags(self.database_path(), flags).unwrap();
        connection.busy_timeout(Duration::from_secs(10)).unwrap();
        connection
    }
}

impl Drop for Bridge {
    fn drop(&mut self) {
        let ran = self.child.is_some();
        self.kill();
        if ran && std::thread::panicking() {
            eprintln!("the bridge's last words:\n{}", self.last_words());
        }
    }
}
