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
fn what_cannot_be_shown_says_what_to_do() {
    let bridge = rested();
    for (arguments, expected) in [
        (&["plot", "air.temprature"][..], "did you mean \"air.temperature\"?"),
        (&["plot", "air"], "two units, and these are 3: "),
        (&["plot", "air.state"], "sensor-bridge query air state"),
        (&["plot", "wave", "--since", "3d", "--until", "2d"], "the newest is of 2"),
        (&["plot", "wave", "--since", "1h", "--until", "2h"], "--since is not before --until"),
        (&["query", "wave", "--since", "1h", "--until", "2h"], "--since is not before --until"),
        (&["export", "wave", "--since", "1h", "--until", "2h"], "--since is not before --until"),
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

/// Every subcommand with arguments that do something, and whether it is for people: what programs read is UTF-8 in
/// any locale. `every_command_is_tried` knows those that are not here.
const EVERY: &[(&[&str], bool)] = &[
    (&["init", "--print", "--yes", "--no-scan"], false),
    (&["status"], true),
    (&["why", "air.temperature"], true),
    (&["check"], true),
    (&["doctor"], true),
    (&["read", "air"], true),
    (&["scan"], true),
    (&["query", "air.temperature", "-n", "3"], true),
    (&["query", "air", "--every", "1h"], true),
    (&["query", "--sql", "SELECT unit, count(*) FROM readings GROUP BY 1"], true),
    (&["query", "air", "-n", "3", "--json"], false),
    (&["tail", "-n", "3"], true),
    (&["plot", "air.temperature"], true),
    (&["export", "air.temperature", "--until", "1970-01-02"], false),
    (&["export", "air.temperature", "--output", "air.csv", "--force"], true),
    (&["import", "--dry-run", "history.csv"], true),
    (&["import", "history.csv"], true),
    (&["import", "wrong.csv"], true),
    (&["verify", "--until", "1970-01-02", "history.csv"], true),
    (&["verify", "history.csv"], true),
    (&["backup", "copy.db", "--force"], true),
    (&["buffer", "status"], true),
    (&["schema"], false),
    (&["completions", "bash"], false),
    (&["man"], false),
    (&["nonsense"], true),
    (&["query", "nonsense"], true),
    (&["plot", "nonsense.°C"], true),
];

/// A bridge that runs, with an output, something published to nobody, and files to import.
fn at_work() -> Bridge {
    let bridge = Bridge::start(|folder| {
        fs::write(
            folder.join("history.csv"),
            "time,device,sensor,quantity,value,unit\r\n2026-01-01T00:00:00Z,pi,öfen,temperature,20.5,°C\r\n",
        )
        .unwrap();
        fs::write(
            folder.join("wrong.csv"),
            "time,device,sensor,quantity,value,unit\r\nvorgestern früh,pi,öfen,temperature,20.5,°C\r\n",
        )
        .unwrap();
        format!(
            "device: {{ id: pi, location: {{ name: Höfen }} }}\nlog: {{ path: {folder}/bridge.db }}\n\
             mqtt: {{ url: \"mqtt://127.0.0.1:9\" }}\noutputs:\n  - {{ id: fan, driver: digital-output, bus: gpio-sim, pin: 22 }}\n\
             mirror:\n  - {{ id: back, topics: [\"castel/#\"], to: sqlite }}\nsensors:\n  \
             - {{ id: air, driver: bme280, bus: sim-1, address: 0x76, interval: 100ms }}\n",
            folder = folder.display()
        )
    });
    wait_until(Duration::from_secs(30), "it answers and has readings", || {
        let output = bridge.run(&["status", "--json"]);
        String::from_utf8_lossy(&output.stdout).contains("\"verdict\": \"")
    });
    bridge
}

#[test]
fn every_command_in_a_pipe_in_any_locale() {
    let bridge = at_work();
    let mut faults = Vec::new();
    for (name, value) in [("LC_ALL", "C"), ("LANG", "de_DE.ISO-8859-1"), ("LC_ALL", "C.UTF-8")] {
        for (arguments, for_people) in EVERY {
            let mut command = bridge.command(arguments);
            command.env_remove("LC_ALL").env_remove("LC_CTYPE").env_remove("LANG").env(name, value);
            let output = command.output().unwrap();
            let mut fault = |what: &str| {
                let (out, error) =
                    (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
                faults.push(format!("{value}, {arguments:?}: {what}\n{out}{error}"));
            };
            if output.status.code().is_none_or(|code| code > 2) {
                fault("how it ended");
            }
            if output.stdout.contains(&b'\x1b') || output.stderr.contains(&b'\x1b') {
                fault("colours in a pipe");
            }
            if std::str::from_utf8(&output.stdout).is_err() || std::str::from_utf8(&output.stderr).is_err() {
                fault("not UTF-8");
            }
            let ascii = output.stderr.is_ascii() && (output.stdout.is_ascii() || !for_people);
            if value != "C.UTF-8" && !ascii {
                fault("letters that this locale does not have");
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn every_command_on_a_terminal_of_80_columns() {
    if Command::new("script").arg("--version").output().is_err() {
        eprintln!("no program `script`: terminals not tried");
        return;
    }
    let bridge = at_work();
    let mut faults = Vec::new();
    for (arguments, _) in EVERY.iter().filter(|(_, for_people)| *for_people) {
        let program = bridge.command(&[]);
        let words: Vec<String> = arguments.iter().map(|word| format!("'{word}'")).collect();
        let line = format!(
            "stty cols 80 rows 24; {} {} --config {}",
            program.get_program().to_string_lossy(),
            words.join(" "),
            bridge.folder().join("config.yaml").display()
        );
        for no_color in [false, true] {
            let mut command = Command::new("script");
            command.args(["-qc", &line, "/dev/null"]).env("LC_ALL", "C.UTF-8").env("TERM", "xterm");
            command.current_dir(bridge.folder()).env_remove("NO_COLOR").stdin(std::process::Stdio::null());
            if no_color {
                command.env("NO_COLOR", "1");
            }
            let output = command.output().unwrap();
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            if no_color && text.contains('\x1b') {
                faults.push(format!("{arguments:?}: colours in spite of NO_COLOR\n{text}"));
            }
            // What is said of a long path is as long as that.
            let path = bridge.folder().display().to_string();
            let wide = |line: &&str| plain(line).chars().count() > 80 && !line.contains(&path);
            if let Some(line) = text.lines().filter(|_| is_table(arguments)).find(wide) {
                faults.push(format!("{arguments:?}: wider than the terminal:\n{line}"));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// Whether lines are to fit; messages are sentences, which the terminal breaks.
fn is_table(arguments: &[&str]) -> bool {
    !["import", "nonsense"].contains(&arguments[0])
        && !arguments[1..].iter().any(|word| word.contains("nonsense"))
}

/// Without what colours a line.
fn plain(line: &str) -> String {
    let mut plain = String::new();
    let mut letters = line.trim_end_matches('\r').chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\x1b' => while letters.next().is_some_and(|letter| !letter.is_ascii_alphabetic()) {},
            letter => plain.push(letter),
        }
    }
    plain
}

#[test]
fn every_command_is_tried() {
    let bridge = Bridge::prepare(|_| String::new());
    let help = text(&bridge.run(&["-h"]));
    let named =
        help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    let untried: Vec<&str> = named
        .filter_map(|line| line.split_whitespace().next())
        // Those two go on until they are ended: what they say is in other tests.
        .filter(|name| !["run", "demo", "help"].contains(name))
        .filter(|name| !EVERY.iter().any(|(arguments, _)| arguments[0] == *name))
        .collect();
    assert_eq!(untried, [""; 0]);
}

#[test]
fn flags_that_would_be_left_aside_are_refused() {
    let bridge = Bridge::prepare(|_| String::new());
    for arguments in [
        &["plot", "air.temperature", "--png", "a.png", "--json"][..],
        &["plot", "air.temperature", "--svg", "a.svg", "--json"],
        &["query", "--sql", "SELECT 1", "--sensor", "air"],
        &["query", "--sql", "SELECT 1", "--quantity", "temperature"],
    ] {
        let output = bridge.run(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
    }
}

#[test]
fn it_ends_as_documented_though_nobody_hears_what_it_says() {
    let bridge = Bridge::prepare(|_| "sensors: what".to_owned());
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let status = bridge.command(&["check"]).stderr(writer).status().unwrap();
    assert_eq!(status.code(), Some(78));
}

#[test]
fn an_export_goes_into_a_pipe_and_leaves_it_there() {
    use std::os::unix::fs::FileTypeExt as _;
    let bridge = rested();
    let pipe = bridge.folder().join("pipe.csv");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let reader = {
        let pipe = pipe.clone();
        std::thread::spawn(move || fs::read_to_string(pipe).unwrap())
    };
    assert!(bridge.run(&["export", "wave", "--output", "pipe.csv", "--force"]).status.success());
    assert!(reader.join().unwrap().starts_with("time,device,sensor"));
    let output = bridge.run(&["backup", "pipe.csv", "--force"]);
    assert!(String::from_utf8_lossy(&output.stderr).contains("is no file"), "{output:?}");
    assert!(fs::symlink_metadata(&pipe).unwrap().file_type().is_fifo());
}

#[test]
fn a_variable_that_is_empty_counts_as_not_set() {
    let bridge = Bridge::prepare(|_| "sensors: [{ id: a, driver: sim }]".to_owned());
    for name in ["SENSOR_BRIDGE_LOG", "SENSOR_BRIDGE_CONFIG", "SENSOR_BRIDGE__LOG__PATH"] {
        let output = bridge.command(&["check"]).env(name, "").output().unwrap();
        assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    }
    let loud = bridge.command(&["check"]).env("SENSOR_BRIDGE_LOG", "loud").output().unwrap();
    assert_eq!(loud.status.code(), Some(2), "one that says something is heeded");
}
