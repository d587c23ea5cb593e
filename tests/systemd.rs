//! The unit as systemd reads it: accepted without a warning, shut as tightly as it says, and not so tightly
//! that the bridge cannot do its work. Skips, and says so, where systemd is not installed.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a helper that fails is a test that fails")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn source(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("systemd").join(name)
}

fn unit() -> String {
    fs::read_to_string(source("sensor-bridge.service")).unwrap()
}

/// Values of a setting, in order.
fn settings(unit: &str, name: &str) -> Vec<String> {
    let value = |line: &str| line.strip_prefix(name)?.strip_prefix('=').map(str::to_owned);
    unit.lines().filter_map(value).collect()
}

/// Runs one of systemd's tools, or answers `None` where there is none.
fn tool(name: &str, arguments: &[&str], file: &Path) -> Option<Output> {
    match Command::new(name).args(arguments).arg(file).env("SYSTEMD_PAGER", "").output() {
        Ok(output) => Some(output),
        Err(error) => {
            println!("skipped: {name} cannot be run ({error}); it comes with systemd");
            None
        }
    }
}

/// The unit with the binary of this build in place of the installed one, which systemd looks for.
fn unit_of_this_build() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("sensor-bridge.service");
    fs::write(&file, unit().replace("/usr/bin/sensor-bridge", env!("CARGO_BIN_EXE_sensor-bridge"))).unwrap();
    (folder, file)
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[test]
fn systemd_accepts_the_unit_without_a_word() {
    let (_folder, file) = unit_of_this_build();
    let Some(output) = tool("systemd-analyze", &["verify", "--man=no"], &file) else { return };
    let said = said(&output);
    // It looks at every unit of the machine that ours pulls in; only what it says of ours counts.
    let ours: Vec<&str> = said.lines().filter(|line| line.contains("sensor-bridge")).collect();
    assert!(output.status.success() && ours.is_empty(), "{said}");
}

/// The score is systemd's own: 0 is a service that may do nothing, 10 one that may do everything. What is
/// left of it: a network with any address, most of it; the question to the kernel whether the clock is
/// right, which systemd counts as setting it; the devices.
#[test]
fn systemd_finds_little_exposed() {
    let (_folder, file) = unit_of_this_build();
    exposed_at_most("15", &file);
}

/// With the example for those who know their broker and their wiring.
#[test]
fn systemd_finds_less_exposed_with_the_tighter_example() {
    with_the_example("tighter.conf", "14");
}

/// With the examples for cameras, which opens their devices, and for devices that come and go.
#[test]
fn systemd_finds_little_more_exposed_with_the_machines_own_devices() {
    for example in ["camera.conf", "hotplug.conf"] {
        with_the_example(example, "17");
    }
}

fn with_the_example(name: &str, tenths: &str) {
    let (_folder, file) = unit_of_this_build();
    let example = fs::read_to_string(source(name)).unwrap();
    let settings: String =
        example.lines().filter(|line| *line != "[Service]").map(|l| format!("{l}\n")).collect();
    let both = fs::read_to_string(&file).unwrap().replace("[Install]", &format!("{settings}[Install]"));
    fs::write(&file, both).unwrap();
    exposed_at_most(tenths, &file);
    let Some(output) = tool("systemd-analyze", &["verify", "--man=no"], &file) else { return };
    let said = said(&output);
    assert!(!said.lines().any(|line| line.contains("sensor-bridge")), "{said}");
}

/// Tenths of systemd's points.
fn exposed_at_most(tenths: &str, file: &Path) {
    let threshold = format!("--threshold={tenths}");
    let arguments = ["security", "--offline=true", &threshold, "--no-pager"];
    let Some(output) = tool("systemd-analyze", &arguments, file) else { return };
    let said = said(&output);
    if said.contains("unrecognized option") || said.contains("Unknown operation") {
        println!("skipped: this systemd-analyze is too old to look at a file");
        return;
    }
    assert!(output.status.success(), "{said}");
}

#[test]
fn the_user_and_its_groups_are_accepted() {
    let Some(output) = tool("systemd-sysusers", &["--dry-run"], &source("sensor-bridge.sysusers")) else {
        return;
    };
    assert!(output.status.success(), "{}", said(&output));
}

#[test]
fn the_unit_and_its_user_agree() {
    let unit = unit();
    let users = fs::read_to_string(source("sensor-bridge.sysusers")).unwrap();
    let lines: Vec<Vec<&str>> = users
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| line.split_whitespace().collect())
        .collect();
    let user = &settings(&unit, "User")[0];
    assert!(lines.iter().any(|line| line[0] == "u" && line[1] == user));
    for member in lines.iter().filter(|line| line[0] == "m") {
        let group = member[2];
        assert!(
            lines.iter().any(|line| line[0] == "g" && line[1] == group),
            "group {group} is not made sure of"
        );
    }
    // A group that does not exist would keep the unit from starting.
    assert!(settings(&unit, "SupplementaryGroups").is_empty());
}

/// Each of these would look like good hardening and break something that nobody sees at once.
#[test]
fn the_unit_leaves_room_to_work() {
    let unit = unit();
    let yes = |name| settings(&unit, name).iter().any(|value| value == "yes" || value == "true");
    assert!(!yes("ProtectClock"), "adjtimex would fail, and every reading would be marked unsynced");
    assert!(settings(&unit, "SystemCallFilter").iter().any(|value| value.contains("adjtimex")), "likewise");
    // The service's own /dev has the sensors' devices in it, of which none need be there.
    let bound = settings(&unit, "BindPaths").join(" ");
    for device in
        ["/dev/i2c-1", "/dev/spidev0.0", "/dev/gpiochip0", "/dev/gpiochip4", "/dev/gpiomem", "/dev/serial0"]
    {
        assert!(bound.split(' ').any(|path| path == format!("-{device}")), "{device}");
    }
    assert!(bound.split(' ').all(|path| path.starts_with("-/dev/")), "{bound}");
    assert_eq!(settings(&unit, "Environment"), ["MALLOC_ARENA_MAX=2"]);
    assert!(!settings(&unit, "ProcSubset").iter().any(|value| value == "pid"), "/proc/loadavg and meminfo");
    let waits: Vec<String> =
        [settings(&unit, "After"), settings(&unit, "Requires"), settings(&unit, "Wants")].concat();
    assert!(
        !waits.iter().any(|value| value.contains("network") || value.contains("time-sync")),
        "it waits for nobody"
    );
    assert_eq!(settings(&unit, "RestartPreventExitStatus"), ["78"], "a wrong configuration is not retried");
    // Heeded for the main process only: a check before it must not be what fails.
    let before = settings(&unit, "ExecStartPre");
    assert!(before.iter().all(|command| command.starts_with('-')), "{before:?}");
    assert!(before.iter().any(|command| command.starts_with("-/usr/bin/sensor-bridge check")), "{before:?}");
    // A credential whose file is not there keeps a unit from starting, unless there is something in its place.
    for credential in settings(&unit, "LoadCredential") {
        let name = credential.split(':').next().unwrap().to_owned();
        let instead = settings(&unit, "SetCredential");
        assert!(instead.iter().any(|value| value.starts_with(&format!("{name}:"))), "{name}");
    }
    assert_eq!(settings(&unit, "Type"), ["notify"]);
    assert!(settings(&unit, "WatchdogSec").len() == 1);
    let stop: u64 = settings(&unit, "TimeoutStopSec")[0].parse().unwrap();
    assert!(stop > 10, "leaving takes up to 10 s");
}
