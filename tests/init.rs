//! `init` as a person runs it: without a terminal, at one (a pty), with a real broker.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a helper that fails is a test that fails")]

mod support;

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use support::{Mosquitto, holds_within, wait_for_exit};
use tempfile::TempDir;

fn command(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sensor-bridge"));
    for (name, _) in
        std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("SENSOR_BRIDGE"))
    {
        command.env_remove(name);
    }
    command.args(arguments).arg("--config").arg(folder.join("config.yaml")).stdin(Stdio::null());
    command
}

fn run(folder: &Path, arguments: &[&str]) -> Output {
    command(folder, arguments).output().unwrap()
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn config(folder: &Path) -> String {
    fs::read_to_string(folder.join("config.yaml")).unwrap()
}

#[test]
fn without_a_terminal_it_asks_nothing_and_overwrites_nothing() {
    let folder = TempDir::new().unwrap();
    let folder = folder.path();
    let first = run(folder, &["init"]);
    assert!(first.status.success() && said(&first).contains("Next:"), "{}", said(&first));
    let check = run(folder, &["check"]);
    assert!(check.status.success(), "{}", said(&check));
    assert!(
        config(folder).contains(&format!("path: {}", folder.join("bridge.db").display())),
        "{}",
        config(folder)
    );

    // A log beside it, wherever the daemon is started from, also if no folder was named.
    let printed = Command::new(env!("CARGO_BIN_EXE_sensor-bridge"))
        .args(["init", "--yes", "--no-scan", "--print", "--config", "x.yaml"])
        .current_dir(folder)
        .output()
        .unwrap();
    assert!(
        said(&printed).contains(&format!("path: {}", folder.join("bridge.db").display())),
        "{}",
        said(&printed)
    );

    fs::write(folder.join("config.yaml"), "mine").unwrap();
    let again = run(folder, &["init", "--yes"]);
    assert_eq!(again.status.code(), Some(1));
    assert!(said(&again).contains("--force") && config(folder) == "mine");
    let forced = run(folder, &["init", "--yes", "--force", "--device", "shed"]);
    assert!(forced.status.success(), "{}", said(&forced));
    assert!(config(folder).contains("id: shed"));
    assert_eq!(fs::read_to_string(folder.join("config.yaml.old")).unwrap(), "mine");
    let once_more = run(folder, &["init", "--yes", "--force", "--device", "shed"]);
    assert!(once_more.status.success(), "{}", said(&once_more));
    assert_eq!(fs::read_to_string(folder.join("config.yaml.old")).unwrap(), "mine", "kept");
    assert!(fs::read_to_string(folder.join("config.yaml.old.2")).unwrap().contains("id: shed"));
    let printed = run(folder, &["init", "--yes", "--print", "--device", "other"]);
    assert!(
        String::from_utf8_lossy(&printed.stdout).contains("id: other") && config(folder).contains("id: shed")
    );
}

#[test]
fn a_broker_is_tried_and_a_bad_one_is_told_of() {
    let broker = Mosquitto::start();
    let folder = TempDir::new().unwrap();
    let url = broker.url();
    let good = run(folder.path(), &["init", "--yes", "--broker", &url, "--topic", "x/{sensor}/{quantity}"]);
    assert!(good.status.success() && said(&good).contains("lets us in as"), "{}", said(&good));
    let text = config(folder.path());
    assert!(text.contains(&url) && text.contains("x/{sensor}/{quantity}"), "{text}");
    assert!(run(folder.path(), &["check"]).status.success());
    drop(broker);
    let gone = run(folder.path(), &["init", "--yes", "--force", "--broker", &url]);
    assert!(
        gone.status.success() && said(&gone).contains("The configuration has it all the same"),
        "{}",
        said(&gone)
    );
    let wrong = run(folder.path(), &["init", "--yes", "--force", "--broker", "http://x"]);
    assert_eq!(wrong.status.code(), Some(78), "{}", said(&wrong));
    let said = said(&wrong);
    assert!(said.contains("config.yaml") && said.contains("mqtt.url") && !said.contains(".init-"), "{said}");
    let left: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left.len(), 2, "{left:?}");
}

/// The program at a terminal of its own.
struct Terminal {
    child: Child,
    keys: File,
    shown: Arc<Mutex<String>>,
}

impl Terminal {
    fn start(folder: &Path, arguments: &[&str]) -> Self {
        let device = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&device).unwrap();
        unlockpt(&device).unwrap();
        let path = PathBuf::from(ptsname(&device, Vec::new()).unwrap().to_str().unwrap());
        let end = || Stdio::from(OwnedFd::from(File::options().read(true).write(true).open(&path).unwrap()));
        let child = command(folder, arguments).stdin(end()).stdout(end()).stderr(end()).spawn().unwrap();
        let keys = File::from(device);
        let mut screen = keys.try_clone().unwrap();
        let shown = Arc::new(Mutex::new(String::new()));
        let writer = Arc::clone(&shown);
        std::thread::spawn(move || {
            let mut buffer = [0; 1024];
            // Ends with an error when the other side is closed.
            while let Ok(read @ 1..) = screen.read(&mut buffer) {
                writer.lock().unwrap().push_str(&String::from_utf8_lossy(&buffer[..read]));
            }
        });
        Self { child, keys, shown }
    }

    fn shown(&self) -> String {
        self.shown.lock().unwrap().clone()
    }

    /// Waits for a question that was not answered yet, and answers.
    #[track_caller]
    fn answer(&mut self, question: &str, answer: &str) {
        let asked = holds_within(Duration::from_secs(20), || {
            let shown = self.shown();
            shown
                .trim_end_matches(' ')
                .rsplit(['\n', '\r'])
                .next()
                .is_some_and(|last| last.contains(question))
        });
        assert!(asked, "no question {question:?} in:\n{}", self.shown());
        self.keys.write_all(answer.as_bytes()).unwrap();
    }

    #[track_caller]
    fn ends(&mut self) -> i32 {
        let status = wait_for_exit(&mut self.child, Duration::from_secs(20));
        status.unwrap_or_else(|| panic!("still there:\n{}", self.shown())).code().unwrap_or(-1)
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

#[test]
fn at_a_terminal_it_asks_and_tries_again() {
    let folder = TempDir::new().unwrap();
    let dead = {
        let broker = Mosquitto::start();
        broker.url()
    };
    let broker = Mosquitto::start();
    let mut terminal = Terminal::start(folder.path(), &["init", "--no-scan"]);
    terminal.answer("Name of this device", "shed\n");
    terminal.answer("MQTT broker", &format!("{dead}\n"));
    terminal.answer("User name", "\n");
    terminal.answer("Take this broker", "n\n");
    terminal.answer("MQTT broker", &format!("{}\n", broker.url()));
    terminal.answer("User name", "greenhouse\n");
    terminal.answer("Password", "sesame x\x7f\x7f\r");
    terminal.answer("Write ", "\n");
    assert_eq!(terminal.ends(), 0, "{}", terminal.shown());
    let shown = terminal.shown();
    assert!(!shown.contains("sesame"), "{shown}");
    let text = config(folder.path());
    assert!(text.contains("id: shed") && text.contains("username: greenhouse"), "{text}");
    let password = folder.path().join("mqtt.password");
    assert_eq!(fs::read_to_string(&password).unwrap(), "sesame");
    assert_eq!(fs::metadata(&password).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(run(folder.path(), &["check"]).status.success());
}

#[test]
fn at_a_terminal_a_no_and_ctrl_c_write_nothing() {
    let folder = TempDir::new().unwrap();
    let mut terminal = Terminal::start(folder.path(), &["init", "--no-scan", "--device", "shed"]);
    terminal.answer("MQTT broker", "\n");
    terminal.answer("Write ", "n\n");
    assert_eq!(terminal.ends(), 1, "{}", terminal.shown());
    let mut terminal =
        Terminal::start(folder.path(), &["init", "--no-scan", "--no-test", "--device", "shed"]);
    terminal.answer("MQTT broker", "localhost\n");
    terminal.answer("User name", "me\n");
    terminal.answer("Password", "abc\x03");
    assert_eq!(terminal.ends(), 1, "{}", terminal.shown());
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn a_name_that_is_none_is_asked_for_again_and_what_nobody_can_answer_is_not() {
    let folder = TempDir::new().unwrap();
    let mut terminal = Terminal::start(folder.path(), &["init", "--no-scan"]);
    terminal.answer("Name of this device", "no/name\n");
    // The faulty answer ends the line of the first question.
    assert!(holds_within(Duration::from_secs(20), || terminal.shown().contains("cannot contain '/'")));
    terminal.answer("Name of this device", "shed\n");
    terminal.answer("MQTT broker", "\n");
    terminal.answer("Write ", "\n");
    assert_eq!(terminal.ends(), 0, "{}", terminal.shown());
    assert!(config(folder.path()).contains("id: shed"));

    let mut terminal = Terminal::start(&folder.path().join("nowhere"), &["init", "--no-scan"]);
    terminal.answer("Name of this device", "shed\n");
    assert_eq!(terminal.ends(), 1, "{}", terminal.shown());
    assert!(terminal.shown().contains("cannot be written; make the folder"), "{}", terminal.shown());

    let nowhere = run(folder.path(), &["init", "--yes", "--force", "--topic", "x/{sensor}"]);
    assert!(nowhere.status.code() == Some(1) && said(&nowhere).contains("--topic"), "{}", said(&nowhere));
}

#[test]
fn nothing_is_left_behind_by_who_does_not_wait_or_cannot_finish() {
    let folder = TempDir::new().unwrap();
    // A broker that takes the connection and says nothing.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut terminal = Terminal::start(folder.path(), &["init", "--no-scan"]);
    terminal.answer("Name of this device", "\n");
    terminal.answer("MQTT broker", &format!("mqtt://{}\n", silent.local_addr().unwrap()));
    terminal.answer("User name", "greenhouse\n");
    terminal.answer("Password", "sesame\r");
    let (_connection, _) = silent.accept().unwrap();
    terminal.child.kill().unwrap();
    assert_eq!(terminal.ends(), -1, "{}", terminal.shown());
    let left = || fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name());
    assert_eq!(left().count(), 0, "{:?}", left().collect::<Vec<_>>());

    fs::create_dir(folder.path().join("config.yaml")).unwrap();
    let output = run(folder.path(), &["init", "--yes", "--no-scan", "--force"]);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert_eq!(left().count(), 1, "{:?}", left().collect::<Vec<_>>());
}
