//! The command line as its users meet it: in a terminal, in a pipe, without colours, in a locale without UTF-8.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a helper that fails is a test that fails")]

mod support;

use std::fs;
use std::process::{Command, Output};
use std::time::Duration;

use support::{Bridge, wait_until};

/// A bridge that has logged some readings and is at rest.
fn rested() -> Bridge {
    let mut bridge = Bridge::start(|folder| {
        format!(
            "log: {{ path: {}/bridge.db }}\nsensors:\n  - {{ id: air, driver: bme280, bus: sim-1, address: 0x76, interval: 100ms }}\n  \
             - {{ id: wave, driver: sim, scenario: sine, interval: 100ms }}\n",
            folder.display()
        )
    });
    let rows = |bridge: &Bridge, which: &str| {
        let output = bridge.run(&["query", which, "--json"]);
        String::from_utf8_lossy(&output.stdout).matches("\"value\"").count()
    };
    wait_until(Duration::from_secs(30), "readings of both sensors", || {
        rows(&bridge, "air.temperature") > 2 && rows(&bridge, "wave.value") > 2
    });
    bridge.terminate();
    bridge
}

fn text(output: &Output) -> String {
    let (out, error) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{out}{error}");
    out.into_owned()
}

fn refused(bridge: &Bridge, arguments: &[&str]) -> String {
    let output = bridge.run(arguments);
    assert_eq!(output.status.code(), Some(1), "{arguments:?}");
    String::from_utf8(output.stderr).unwrap()
}

/// Runs it on a terminal of its own.
fn on_a_terminal(bridge: &Bridge, arguments: &str, variables: &[(&str, &str)]) -> String {
    let program = bridge.command(&[]);
    let config = bridge.folder().join("config.yaml");
    let line =
        format!("{} {arguments} --config {}", program.get_program().to_string_lossy(), config.display());
    let mut command = Command::new("script");
    command.args(["-qec", &line, "/dev/null"]).env("LC_ALL", "C.UTF-8").env("TERM", "xterm");
    command.env_remove("NO_COLOR").envs(variables.iter().copied()).stdin(std::process::Stdio::null());
    text(&command.output().unwrap())
}

#[test]
fn without_utf_8_nothing_comes_out_as_something_else() {
    let bridge = rested();
    for arguments in [
        &["query", "air"][..],
        &["tail"],
        &["check"],
        &["plot", "air.temperature"],
        &["read", "air"],
        &["query", "--aggregate", "mean"],
    ] {
        let output = bridge.command(arguments).env("LC_ALL", "C").output().unwrap();
        let text = text(&output);
        assert!(text.is_ascii() && output.stderr.is_ascii(), "{arguments:?}: {text}");
        assert!(text.contains("degC"), "{arguments:?}: {text}");
    }
    // What programs read does not change with the locale.
    for arguments in
        [&["query", "air", "--json"][..], &["query", "air", "--format", "csv"], &["tail", "--json"]]
    {
        let text = text(&bridge.command(arguments).env("LC_ALL", "C").output().unwrap());
        assert!(text.contains("°C"), "{arguments:?}: {text}");
    }
    assert!(text(&bridge.run(&["query", "air"])).contains("°C"));
}

#[test]
fn colours_are_for_terminals_that_want_them() {
    let bridge = rested();
    for arguments in [&["tail"][..], &["query"], &["plot", "air.temperature", "wave.value"], &["check"]] {
        assert!(!text(&bridge.run(arguments)).contains('\x1b'), "{arguments:?}");
    }
    if Command::new("script").arg("--version").output().is_err() {
        eprintln!("no program `script`: terminals not tried");
        return;
    }
    for arguments in ["tail", "plot air.temperature wave.value"] {
        let coloured = on_a_terminal(&bridge, arguments, &[]);
        assert!(coloured.contains("\x1b[36m") && coloured.contains("\x1b[33m"), "{coloured}");
        for (name, value) in [("NO_COLOR", "1"), ("TERM", "dumb")] {
            let plain = on_a_terminal(&bridge, arguments, &[(name, value)]);
            assert!(!plain.contains('\x1b'), "{name}: {plain}");
        }
    }
}

#[test]
fn a_plot_in_every_form() {
    let bridge = rested();
    let plot = text(&bridge.run(&["plot", "wave", "--since", "1h", "--width", "60", "--height", "12"]));
    assert!(plot.starts_with("wave.value   min "), "{plot}");
    assert!(plot.contains(|letter| ('\u{2801}'..='\u{28ff}').contains(&letter)), "{plot}");
    assert!(plot.lines().count() <= 12 && plot.lines().all(|line| line.chars().count() <= 60), "{plot}");
    let blocks = text(&bridge.command(&["plot", "wave"]).env("TERM", "linux").output().unwrap());
    assert!(blocks.contains(['▀', '▄', '█']) && !blocks.contains('\u{2840}'), "{blocks}");
    let json: serde_json::Value =
        serde_json::from_str(&text(&bridge.run(&["plot", "air.temperature", "--json"]))).unwrap();
    assert_eq!(json[0]["unit"], "°C");
    assert!(json[0]["buckets"][0]["min"].is_f64(), "{json}");

    let both =
        ["plot", "air.temperature", "air.humidity", "--svg", "a.svg", "--png", "a.png", "--size", "500x300"];
    assert_eq!(text(&bridge.run(&both)), "");
    let png = fs::read(bridge.folder().join("a.png")).unwrap();
    assert_eq!((&png[1..4], &png[16..24]), (&b"PNG"[..], &[0, 0, 1, 244, 0, 0, 1, 44][..]));
    let svg = fs::read_to_string(bridge.folder().join("a.svg")).unwrap();
    assert!(svg.contains(">air.humidity<") && svg.contains(">°C<"), "{svg}");
    assert!(refused(&bridge, &both).contains("a.svg: exists already; give another name, or --force"));
    assert!(bridge.run(&[&both[..], &["--force"]].concat()).status.success());
}

#[test]
fn what_cannot_be_plotted_says_what_to_do() {
    let bridge = rested();
    for (arguments, expected) in [
        (&["plot", "air.temprature"][..], "did you mean \"air.temperature\"?"),
        (&["plot", "air"], "two units, and these are 3: "),
        (&["plot", "air.state"], "sensor-bridge query air state"),
        (&["plot", "wave", "--since", "3d", "--until", "2d"], "the newest is of 2"),
        (&["plot", "wave", "--since", "1h", "--until", "2h"], "--since is not before --until"),
        (&["plot", "wave", "--png", "no/such/folder.png"], "folder.png: cannot be written"),
    ] {
        let said = refused(&bridge, arguments);
        assert!(said.contains(expected), "{arguments:?}: {said}");
    }
    for wrong in ["10x10", "960", "ax480", "9000x480"] {
        let output = bridge.run(&["plot", "wave", "--size", wrong]);
        assert_eq!(output.status.code(), Some(2), "{wrong}");
        assert!(String::from_utf8_lossy(&output.stderr).contains("such as 960x480"));
    }
}

#[test]
fn readings_are_named_in_the_same_way_everywhere() {
    let bridge = rested();
    let apart = text(&bridge.run(&["query", "air", "temperature", "-n", "2"]));
    assert_eq!(text(&bridge.run(&["query", "air.temperature", "-n", "2"])), apart);
    assert_eq!(text(&bridge.run(&["tail", "air.temperature", "-n", "2"])), apart);
    assert_eq!(text(&bridge.run(&["tail", "*.temperature", "-n", "2"])), apart);
    assert_eq!(
        text(&bridge.run(&["tail", "--sensor", "air", "--quantity", "temperature", "-n", "2"])),
        apart
    );
    assert_eq!(apart.lines().count(), 3, "{apart}");
    let said = refused(&bridge, &["query", "air.nonsense"]);
    assert!(said.contains("no such sensor and quantity; the log has: air humidity"), "{said}");
}
