//! A mosquitto of one's own.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use super::port::Port;
use super::process::{end, find, signal, wait_for_exit};
use super::wait_until;

/// A line for `Mosquitto::with`: more may be under way to one subscriber than ever is.
///
/// mosquitto 2.0.11 breaks QoS 2 hand-shakes of a subscriber when it is stopped or killed with more than
/// `max_inflight_messages` (20) of them under way: reading its file it takes all beyond that number for
/// messages never sent, and sends a PUBLISH again after its own PUBREL (`persist__client_msg_restore`,
/// `db__message_reconnect_reset_outgoing`). More than 20 are under way whenever a queue drains, because each
/// acknowledgement lets up to 20 more go (`db__message_delete_outgoing`; mended by 2.0.18). Not 65535 and
/// not 0: both mean "no limit", and with that all are taken for never sent.
pub const WIDE_WINDOW: &str = "max_inflight_messages 60000";

/// A mosquitto on a port and in a folder of its own, both kept over stops and restarts.
///
/// Unless told otherwise it keeps what it acknowledged: without `autosave_on_changes` and a short
/// `autosave_interval` a killed mosquitto forgets acknowledged messages, and without
/// `max_queued_messages 0` it drops what is queued beyond 1,000. Tests that count need both.
pub struct Mosquitto {
    child: Option<Child>,
    port: Port,
    folder: TempDir,
}

const KEEPS_EVERYTHING: &str = "\
persistence true
autosave_on_changes true
autosave_interval 1
max_queued_messages 0
";

impl Mosquitto {
    /// Starts one that keeps everything it acknowledged.
    pub fn start() -> Self {
        Self::with("")
    }

    /// Starts one with further lines of mosquitto.conf; a line here wins over the same one of ours.
    pub fn with(options: &str) -> Self {
        let mut broker = Self { child: None, port: Port::reserve(), folder: TempDir::new().unwrap() };
        broker.configure(options);
        broker.resume();
        broker
    }

    fn configure(&self, options: &str) {
        let mut lines: Vec<&str> = KEEPS_EVERYTHING.lines().collect();
        // Given twice, some options are errors to mosquitto: leave out what the caller sets.
        let named = |line: &str| line.split_whitespace().next().unwrap_or("").to_owned();
        lines.retain(|line| !options.lines().any(|other| named(other) == named(line)));
        let text = format!(
            "listener {} 127.0.0.1\nallow_anonymous true\nset_tcp_nodelay true\nuser root\n\
             persistence_location {}/\nlog_dest file {}\nlog_type error\nlog_type warning\nlog_type notice\nlog_type information\n{}\n{options}\n",
            self.port(),
            self.folder.path().display(),
            self.log_file().display(),
            lines.join("\n"),
        );
        fs::write(self.folder.path().join("mosquitto.conf"), text).unwrap();
    }

    /// Its port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port.number()
    }

    /// Its address as the configuration of the bridge wants it.
    pub fn url(&self) -> String {
        format!("mqtt://127.0.0.1:{}", self.port())
    }

    /// What it has logged so far.
    pub fn log(&self) -> String {
        fs::read_to_string(self.log_file()).unwrap_or_default()
    }

    /// Its process id while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// Its folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    fn log_file(&self) -> PathBuf {
        self.folder.path().join("mosquitto.log")
    }

    /// Starts it again where it was; returns when it takes connections.
    pub fn resume(&mut self) {
        assert!(self.child.is_none(), "the broker runs already");
        let said = fs::metadata(self.log_file()).map_or(0, |file| file.len());
        let output =
            File::options().create(true).append(true).open(self.folder.path().join("output")).unwrap();
        let mut child = Command::new(find("mosquitto"))
            .arg("-c")
            .arg(self.folder.path().join("mosquitto.conf"))
            .stdin(Stdio::null())
            .stdout(output.try_clone().unwrap())
            .stderr(output)
            .spawn()
            .unwrap();
        // Its own word, not a connection that succeeds: that could be somebody else's broker.
        wait_until(Duration::from_secs(20), "mosquitto says that it runs", || {
            if let Some(status) = child.try_wait().unwrap() {
                let said = fs::read_to_string(self.folder.path().join("output")).unwrap_or_default();
                panic!("mosquitto ended at once with {status}\n{said}\n{}", self.log());
            }
            self.runs_since(said)
        });
        self.child = Some(child);
    }

    /// Whether it has said since `offset` of its log that it runs.
    fn runs_since(&self, offset: u64) -> bool {
        let mut text = Vec::new();
        let Ok(mut file) = File::open(self.log_file()) else { return false };
        file.seek(SeekFrom::Start(offset)).unwrap();
        file.read_to_end(&mut text).unwrap();
        let text = String::from_utf8_lossy(&text);
        text.lines().any(|line| line.contains("mosquitto version") && line.ends_with("running"))
    }

    /// Ends it in order: it saves what it has.
    pub fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            signal(&child, "TERM");
            if wait_for_exit(&mut child, Duration::from_secs(20)).is_none() {
                end(&mut child);
                panic!("mosquitto did not end within 20 s of SIGTERM");
            }
        }
    }

    /// Waits until it has nothing more to read, and makes it write everything to its disk; returns when it is
    /// there. For clients that are at rest: what they send meanwhile may or may not be in it.
    ///
    /// It saves by itself after changes, but mosquitto 2.0.11 does not count everything as one. A message that
    /// goes straight out to a connected subscriber is none, nor is a subscriber's PUBREC: both are saved only
    /// together with something else (`persistence_changes` in database.c), and a kill before that loses them,
    /// acknowledged or not.
    #[track_caller]
    pub fn save(&self) {
        // It writes beside and renames, so that the file becomes another one.
        let saved = || {
            let file = fs::metadata(self.folder.path().join("mosquitto.db")).ok()?;
            Some((file.ino(), file.mtime(), file.mtime_nsec()))
        };
        // One packet of each client, then a save with fsync: hundreds of acknowledgements take seconds.
        wait_until(Duration::from_secs(60), "mosquitto has read everything", || {
            let before = saved();
            std::thread::sleep(Duration::from_millis(100));
            saved() == before && self.unread() == 0
        });
        let before = saved();
        signal(self.child.as_ref().expect("the broker runs"), "USR1");
        wait_until(Duration::from_secs(20), "mosquitto saves when told to", || saved() != before);
    }

    /// Bytes that have reached its sockets and that it has not read, connections not accepted included.
    fn unread(&self) -> u64 {
        let local = format!("0100007F:{:04X}", self.port());
        // proc(5): number, local address, remote address, state, tx_queue:rx_queue, all hexadecimal.
        let waiting = |line: &str| {
            let mut words = line.split_whitespace().skip(1);
            let queues = (words.next()? == local).then(|| words.nth(2))??;
            u64::from_str_radix(queues.split_once(':')?.1, 16).ok()
        };
        fs::read_to_string("/proc/net/tcp").unwrap().lines().filter_map(waiting).sum()
    }

    /// Ends it as a power cut would.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            end(&mut child);
        }
    }

    /// Stops it in order and starts it again.
    pub fn restart(&mut self) {
        self.stop();
        self.resume();
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        self.kill();
    }
}
