//! A Raspberry Pi 3 under QEMU: power, shell, the daemon on it, and what can be done to it from outside.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rusqlite::Connection;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::card::{Card, built};
use crate::console::{Answer, Console};
use crate::pins::Pins;
use crate::qmp::Qmp;
use crate::support::{find, holds_within, wait_for_exit};
use crate::system::System;
use crate::{SOON, now};

/// A boot takes 5 to 10 s where nothing else runs, with systemd 35 s; some megabytes over the network take less.
const BOOT: Duration = Duration::from_secs(600);

/// A Pi that is up. Dropped, its power is cut.
pub struct Pi {
    qemu: Qemu,
    console: Console,
    qmp: Qmp,
    pins: Pins,
    system: System,
    folder: TempDir,
}

/// Ends with its owner, whatever happens.
struct Qemu(Child);

impl Drop for Qemu {
    fn drop(&mut self) {
        // Both fail only when it has ended already.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

impl Pi {
    /// Switches it on with this card and waits for its shell. Its clock says 1970, its sensor is plugged in
    /// and has 20 °C.
    pub fn boot(card: &Card) -> Self {
        let folder = TempDir::new().unwrap();
        let socket = |name: &str| folder.path().join(name);
        let qemu = Qemu(command(card, folder.path()).spawn().unwrap());
        let console = Console::new(connect(&socket("serial")));
        let qmp = Qmp::new(connect(&socket("qmp")));
        let pins = Pins::new(connect(&socket("qtest")));
        let mut pi = Self { qemu, console, qmp, pins, system: card.system(), folder };
        pi.set_temperature(20.0);
        // Held back until somebody listens: what it says before that is gone.
        pi.qmp.run("cont", &json!({}));
        pi.console.wait_for("THE PI IS UP", BOOT);
        pi
    }

    /// Cuts its power. What it has not written to its card is gone.
    pub fn cut_power(self) {
        drop(self.qemu);
    }

    /// Shuts down in order, and waits until it has switched itself off.
    pub fn shut_down(mut self) {
        // Its answer may come or not: the console goes with the rest.
        self.console.say("systemctl poweroff");
        let off = wait_for_exit(&mut self.qemu.0, BOOT);
        assert!(off.is_some(), "it does not switch itself off");
    }

    /// Runs a command as root; panics when it fails.
    #[track_caller]
    pub fn shell(&mut self, command: &str) -> String {
        self.long(command, SOON)
    }

    /// Runs a command as root that may take this long; panics when it fails.
    #[track_caller]
    pub fn long(&mut self, command: &str, limit: Duration) -> String {
        let Answer { status, text } = self.console.run(command, limit);
        assert_eq!(status, 0, "{command}: {text}");
        text
    }

    /// Runs a command as root and answers what it says, however it ends.
    #[track_caller]
    pub fn ask(&mut self, command: &str) -> String {
        self.console.run(command, SOON).text.trim().to_owned()
    }

    /// Whether a command succeeds.
    #[track_caller]
    pub fn holds(&mut self, command: &str) -> bool {
        self.console.run(command, SOON).status == 0
    }

    /// Runs the bridge with these arguments, as an ordinary user; panics when it fails.
    #[track_caller]
    pub fn bridge(&mut self, arguments: &str) -> String {
        self.shell(&self.system.bridge(arguments))
    }

    /// The rows of a SELECT, as `query` answers them.
    #[track_caller]
    pub fn query(&mut self, sql: &str) -> Vec<Value> {
        let text = self.bridge(&self.select(sql));
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }

    /// The column `one` of a SELECT with one row; nothing while there is no log yet.
    pub fn one(&mut self, sql: &str) -> Option<Value> {
        let command = self.system.bridge(&self.select(sql));
        let Answer { status, text } = self.console.run(&command, SOON);
        let mut rows: Vec<Value> = if status == 0 { serde_json::from_str(&text).ok()? } else { return None };
        Some(rows.first_mut()?["one"].take())
    }

    fn select(&self, sql: &str) -> String {
        format!("query {} --format json --sql {}", self.system.config(), quoted(sql))
    }

    /// Starts the daemon with a configuration on the card.
    pub fn start(&mut self, config: &str) {
        let run = self.system.bridge(&format!("run --config {config}"));
        self.shell(&format!("{run} </dev/null >>/tmp/daemon 2>&1 &"));
    }

    /// Ends the daemon in order.
    #[track_caller]
    pub fn stop(&mut self) {
        self.shell("kill $(pidof sensor-bridge)");
        let gone = holds_within(SOON, || !self.holds("pidof sensor-bridge"));
        assert!(gone, "the daemon did not leave:\n{}", self.last_words());
    }

    /// What the daemon has said since the Pi was switched on, its last lines.
    pub fn last_words(&mut self) -> String {
        self.shell(self.system.last_words())
    }

    /// Panics with the daemon's last words when the condition does not come true soon.
    #[track_caller]
    pub fn wait_until(&mut self, what: &str, mut condition: impl FnMut(&mut Self) -> bool) {
        if !holds_within(SOON, || condition(self)) {
            panic!("waited {SOON:?} in vain: {what}; the daemon's last words:\n{}", self.last_words());
        }
    }

    /// A copy of the log, made by `backup` and sent over the network.
    #[track_caller]
    pub fn log(&mut self) -> Connection {
        self.bridge(&format!("backup --database {} --force /tmp/copy.db", self.system.database()));
        let size: usize = self.shell("stat -c %s /tmp/copy.db").trim().parse().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let receiver = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept()?;
            stream.set_read_timeout(Some(SOON))?;
            let mut bytes = vec![0; size];
            // Closing is what ends busybox's nc.
            stream.read_exact(&mut bytes).map(|()| bytes)
        });
        self.shell(&self.system.send("/tmp/copy.db", port));
        let file = self.folder.path().join("copy.db");
        fs::write(&file, receiver.join().unwrap().unwrap()).unwrap();
        Connection::open(file).unwrap()
    }

    /// Puts a file there, over the network.
    #[track_caller]
    pub fn put(&mut self, path: &str, content: &[u8]) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let content = content.to_vec();
        // Closing is what ends the receiver's reading.
        let sender = std::thread::spawn(move || listener.accept()?.0.write_all(&content));
        self.long(&self.system.receive(path, port), BOOT);
        sender.join().unwrap().unwrap();
    }

    /// Gives the TMP105 a temperature, in °C.
    pub fn set_temperature(&mut self, celsius: f64) {
        let millidegrees = (celsius * 1000.0).round() as i64;
        let path = "/machine/peripheral/thermometer";
        self.qmp.run("qom-set", &json!({ "path": path, "property": "temperature", "value": millidegrees }));
    }

    /// Sets the level of a pin, from outside. No edge comes of it.
    #[track_caller]
    pub fn set_level(&mut self, pin: u8, high: bool) {
        self.pins.set_level(pin, high);
    }

    /// Pulls a pin up or down, from outside.
    #[track_caller]
    pub fn set_pin(&mut self, pin: u8, high: bool) {
        // The level stands in the chip's register, which QEMU has; the edge comes from gpio-sim.
        self.set_level(pin, high);
        let pull = if high { "pull-up" } else { "pull-down" };
        self.shell(&format!("echo {pull} >$SIM/sim_gpio{pin}/pull"));
    }

    /// Sets its clock by that of this machine and says that it is right.
    pub fn set_clock(&mut self) {
        self.shell(&format!("set-clock {:.6}", now()));
    }

    /// Pulls the sensor's plug: nobody acknowledges its address.
    pub fn unplug(&mut self) {
        self.shell("i2c-write /dev/i2c-1 0x70 0");
    }

    /// Plugs it in.
    pub fn plug_in(&mut self) {
        self.shell("i2c-write /dev/i2c-1 0x70 1");
    }
}

/// One word for a shell, whatever is in it.
pub fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

fn command(card: &Card, folder: &Path) -> Command {
    let file = |name: &str| -> PathBuf {
        let path = built().join("virtual-pi").join(name);
        assert!(path.exists(), "no {}: `make virtual-pi` makes it", path.display());
        path
    };
    let socket = |name: &str| format!("{},server=on,wait=off", folder.join(name).display());
    let mut command = Command::new(find("qemu-system-aarch64"));
    command.args(["-M", "raspi3b", "-display", "none", "-monitor", "none", "-no-reboot", "-S"]);
    command.arg("-kernel").arg(file("vmlinuz")).arg("-dtb").arg(file("pi3.dtb"));
    command.arg("-initrd").arg(file("initramfs.gz"));
    let options = card.system().boot_options();
    command.args(["-append", &format!("console=ttyAMA0,115200 quiet panic=1{options}")]);
    command.args([
        "-chardev",
        &format!("socket,id=serial,path={}", socket("serial")),
        "-serial",
        "chardev:serial",
    ]);
    command.args(["-qmp", &format!("unix:{}", socket("qmp"))]);
    command.args(["-qtest", &format!("unix:{}", socket("qtest")), "-qtest-log", "none"]);
    // QEMU cannot unplug an I2C device: the sensor sits behind a switch that can cut it off.
    command.args(["-device", "pca9546,bus=i2c-bus.1,address=0x70"]);
    command.args(["-device", "tmp105,bus=i2c.0,address=0x48,id=thermometer"]);
    command.args(["-drive", &format!("if=sd,format=raw,file={}", card.image().display())]);
    command.args(["-netdev", "user,id=net", "-device", "usb-net,netdev=net"]);
    // It grumbles about each USB network; what it says counts when it does not come up.
    command.stdin(Stdio::null()).stderr(File::create(folder.join("stderr")).unwrap());
    command
}

fn connect(socket: &Path) -> UnixStream {
    let mut stream = None;
    let listens = holds_within(SOON, || {
        stream = UnixStream::connect(socket).ok();
        stream.is_some()
    });
    let said = fs::read_to_string(socket.with_file_name("stderr")).unwrap_or_default();
    assert!(listens, "QEMU does not listen: {said}");
    stream.unwrap()
}
