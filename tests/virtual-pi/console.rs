//! The Pi's serial console, and the shell that listens there.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Condvar, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// What has come and nobody has asked for: more than this is forgotten from the front.
const MOST: usize = 1 << 20;

#[derive(Default)]
struct Received {
    bytes: Mutex<Vec<u8>>,
    news: Condvar,
}

/// A console that is always read: QEMU stops altogether, network and monitor too, after some 270 characters that
/// nobody takes.
pub struct Console {
    line: UnixStream,
    received: Arc<Received>,
    reader: Option<JoinHandle<()>>,
    commands: u32,
}

/// What a command has said, and how it ended.
pub struct Answer {
    /// Exit status.
    pub status: i32,
    /// Output and errors, with plain line ends.
    pub text: String,
}

impl Console {
    /// Begins to read.
    pub fn new(line: UnixStream) -> Self {
        let received = Arc::new(Received::default());
        let reader = thread::spawn({
            let (mut line, received) = (line.try_clone().unwrap(), Arc::clone(&received));
            move || {
                let mut some = [0; 4096];
                while let Ok(count @ 1..) = line.read(&mut some) {
                    let mut bytes = received.bytes.lock().unwrap();
                    bytes.extend_from_slice(&some[..count]);
                    let surplus = bytes.len().saturating_sub(MOST);
                    bytes.drain(..surplus);
                    received.news.notify_all();
                }
            }
        });
        Self { line, received, reader: Some(reader), commands: 0 }
    }

    /// Waits for a line with this mark in it and answers everything up to its end; panics when `limit` has
    /// passed.
    #[track_caller]
    pub fn wait_for(&self, mark: &str, limit: Duration) -> String {
        let end = Instant::now() + limit;
        let mut bytes = self.received.bytes.lock().unwrap();
        loop {
            if let Some(length) = line_with(&bytes, mark.as_bytes()) {
                let text: Vec<u8> = bytes.drain(..length).filter(|byte| *byte != b'\r').collect();
                return String::from_utf8_lossy(&text).into_owned();
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                let all = String::from_utf8_lossy(&bytes);
                panic!("the Pi did not say {mark:?} within {limit:?}; its last words:\n{all}");
            }
            bytes = self.received.news.wait_timeout(bytes, left).unwrap().0;
        }
    }

    /// Types a command (one line) whose end is not waited for.
    pub fn say(&mut self, command: &str) {
        self.line.write_all(format!("{command}\n").as_bytes()).unwrap();
    }

    /// Types a command (one line) and waits for its end.
    #[track_caller]
    pub fn run(&mut self, command: &str, limit: Duration) -> Answer {
        self.commands += 1;
        let number = self.commands;
        // The shell's own input is what comes next: a program that reads must not have it.
        self.line.write_all(format!("( {command} ) </dev/null; echo @@{number}@@ $?\n").as_bytes()).unwrap();
        let mark = format!("@@{number}@@ ");
        let mut text = self.wait_for(&mark, limit);
        let status = text.rfind(&mark).map(|start| text.split_off(start)).unwrap_or_default();
        Answer { status: status[mark.len()..].trim().parse().unwrap_or(-1), text }
    }
}

impl Drop for Console {
    fn drop(&mut self) {
        // Ends the reader; an error means that QEMU has closed it already.
        drop(self.line.shutdown(std::net::Shutdown::Both));
        if let Some(reader) = self.reader.take() {
            drop(reader.join());
        }
    }
}

/// How far the line with this mark reaches, its end included.
fn line_with(bytes: &[u8], mark: &[u8]) -> Option<usize> {
    let start = bytes.windows(mark.len()).position(|window| window == mark)?;
    let rest = bytes[start..].iter().position(|byte| *byte == b'\n')?;
    Some(start + rest + 1)
}

#[test]
fn a_line_is_found_when_it_is_whole() {
    for (text, expected) in
        [("", None), ("a @@1@@ 0", None), ("a\n@@1@@ 0\r\nb", Some(11)), ("@@2@@ 0\n", None)]
    {
        assert_eq!(line_with(text.as_bytes(), b"@@1@@ "), expected, "{text:?}");
    }
}
