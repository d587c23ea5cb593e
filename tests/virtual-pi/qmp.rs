//! QEMU's monitor (QMP): what reaches the Pi's hardware from outside.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use serde_json::{Value, json};

/// A monitor that takes commands.
pub struct Qmp {
    line: BufReader<UnixStream>,
}

impl Qmp {
    /// Greets.
    pub fn new(line: UnixStream) -> Self {
        line.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let mut qmp = Self { line: BufReader::new(line) };
        qmp.read();
        qmp.run("qmp_capabilities", &json!({}));
        qmp
    }

    /// Runs a command; panics when QEMU refuses it.
    #[track_caller]
    pub fn run(&mut self, command: &str, arguments: &Value) -> Value {
        let text = json!({ "execute": command, "arguments": arguments });
        self.line.get_mut().write_all(format!("{text}\n").as_bytes()).unwrap();
        loop {
            // Events come in between.
            let mut answer = self.read();
            assert!(answer["error"].is_null(), "{text}: {}", answer["error"]);
            if let Some(result) = answer.get_mut("return") {
                return result.take();
            }
        }
    }

    fn read(&mut self) -> Value {
        let mut text = String::new();
        self.line.read_line(&mut text).expect("QEMU's monitor answers");
        serde_json::from_str(&text).expect("QEMU's monitor speaks JSON")
    }
}
