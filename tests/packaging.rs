//! What the package says of the program, and what it relies on: the first configuration, the schema that a
//! downgrade is judged by, manual pages and completions. `make deb-test` tries the package itself.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a helper that fails is a test that fails")]

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use support::{Bridge, wait_until};

fn packaging(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging").join(name)
}

fn read(name: &str) -> String {
    fs::read_to_string(packaging(name)).unwrap()
}

const SIMULATED: &str = "sensors: [{ id: wave, driver: sim, scenario: sine, interval: 100ms }]\n";

fn start() -> Bridge {
    Bridge::start(|folder| format!("log: {{ path: {}/bridge.db }}\n{SIMULATED}", folder.display()))
}

/// A number of SQLite's header, big-endian.
fn header(database: &Path, at: usize) -> u32 {
    let bytes = fs::read(database).unwrap();
    u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap())
}

fn stop(bridge: &mut Bridge) {
    wait_until(Duration::from_secs(20), "the log is open", || bridge.stderr().contains("log: ok"));
    bridge.terminate();
}

#[test]
fn the_first_configuration_is_good_on_any_machine_and_without_a_broker() {
    let checked = sensor_bridge::config::examine(&packaging("config.yaml"), std::iter::empty());
    let checked = checked.unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!(checked.warnings, []);
    assert!(checked.config.mqtt.is_none() && checked.config.mirrors.is_empty());
    let drivers: Vec<&str> = checked.config.sensors.iter().map(|sensor| sensor.driver.name()).collect();
    assert_eq!(drivers, ["host"]);
    assert!(checked.config.log.retention.max_size.is_some(), "an unattended log must be bounded");
}

#[test]
fn what_the_first_configuration_has_in_comments_is_good_as_well() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config.yaml");
    fs::write(folder.path().join("mqtt.password"), "geheim\n").unwrap();
    let keys = ["device:", "location:", "id:", "mqtt:", "url:", "username:", "password_file:", "topic:"];
    let sensor =
        ["- id:", "driver:", "bus:", "address:", "interval:", "quantities:", "temperature:", "humidity:"];
    let uncommented = |line: &str| -> Option<String> {
        let (indent, rest) = line.split_once("# ")?;
        let known = keys.iter().chain(&sensor).any(|key| rest.trim_start().starts_with(key));
        (known && indent.trim().is_empty()).then(|| format!("{indent}{rest}"))
    };
    let text: Vec<String> = read("config.yaml")
        .lines()
        .map(|line| uncommented(line).unwrap_or_else(|| line.to_owned()))
        .collect();
    fs::write(&file, text.join("\n")).unwrap();
    let checked = sensor_bridge::config::examine(&file, std::iter::empty());
    let config = checked.unwrap_or_else(|problems| panic!("{problems}")).config;
    assert!(config.mqtt.is_some() && config.sensors.len() == 2 && config.device.place.is_some());
}

/// The package refuses to be put over a database of a higher version than this.
#[test]
fn the_package_knows_the_version_of_the_database() {
    let mut bridge = start();
    stop(&mut bridge);
    let database = bridge.database_path();
    assert_eq!(read("schema-version").trim(), header(&database, 60).to_string());
    // And by what it knows a database of ours.
    assert!(read("preinst").contains(&format!("{:08x}", header(&database, 68))));
}

#[test]
fn a_database_of_a_newer_version_is_refused_for_good_and_left_as_it_is() {
    let mut bridge = start();
    stop(&mut bridge);
    let mut bytes = fs::read(bridge.database_path()).unwrap();
    bytes[60..64].copy_from_slice(&99u32.to_be_bytes());
    fs::write(bridge.database_path(), &bytes).unwrap();
    let output = bridge.run(&["run"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    // 78: systemd does not try again.
    assert_eq!(output.status.code(), Some(78), "{said}");
    assert!(said.contains("written by a newer sensor-bridge (schema 99"), "{said}");
    assert!(fs::read(bridge.database_path()).unwrap() == bytes, "the database was changed");
}

/// What the package is built with.
fn program(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_sensor-bridge")).args(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn commands() -> Vec<String> {
    let help = program(&["--help"]);
    let commands = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let commands: Vec<String> = commands
        .take_while(|line| !line.is_empty())
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| *name != "help")
        .map(str::to_owned)
        .collect();
    assert!(commands.len() > 8, "{help}");
    commands
}

#[test]
fn every_command_has_a_manual_page_that_man_can_read() {
    let folder = tempfile::tempdir().unwrap();
    program(&["man", folder.path().to_str().unwrap()]);
    let page = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
    let whole = page("sensor-bridge.1");
    for name in commands() {
        assert!(
            whole.contains(&format!("sensor\\-bridge\\-{name}(1)")),
            "sensor-bridge.1 does not tell of {name}"
        );
        assert!(page(&format!("sensor-bridge-{name}.1")).contains(".SH EXAMPLES"), "{name}");
    }
    // The warnings that Debian's lintian asks man for.
    for entry in fs::read_dir(folder.path()).unwrap() {
        let path = entry.unwrap().path();
        let Ok(output) = Command::new("groff").args(["-man", "-Tascii", "-ww", "-z"]).arg(&path).output()
        else {
            eprintln!("no groff here: the pages are not tried");
            return;
        };
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && said.is_empty(), "{}: {said}", path.display());
    }
}

#[test]
fn shells_complete_every_command() {
    for shell in ["bash", "zsh", "fish"] {
        let text = program(&["completions", shell]);
        for name in commands() {
            assert!(text.contains(&name), "{shell}: {name}");
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("completions");
    fs::write(&file, program(&["completions", "bash"])).unwrap();
    let ask = "source \"$1\"; COMP_WORDS=(sensor-bridge sca); COMP_CWORD=1
        $(complete -p sensor-bridge | grep -o '_sensor[^ ]*') sensor-bridge sca sensor-bridge; echo \"${COMPREPLY[@]}\"";
    let output = Command::new("bash").args(["-c", ask, "bash"]).arg(&file).output().unwrap();
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "scan\n",
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn the_scripts_are_shell() {
    for name in ["build", "changelog", "licences", "test", "preinst", "postinst", "prerm", "postrm"] {
        let output = Command::new("sh").arg("-n").arg(packaging(name)).output().unwrap();
        assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    }
}
