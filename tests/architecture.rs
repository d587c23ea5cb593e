//! Holds the code to `docs/architecture.md`: who may use whom, what stands in one place only, and that the
//! documents name nothing that does not exist.
//!
//! It reads the source as text. That is crude and sees through no macro, but it needs no compiler, and the
//! habits of the house (`crate::room::…`, tests at the end of a file) are what makes it work.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a helper that fails is a test that fails")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Every room and the rooms that it may use. Not in the list, not allowed; `cli` and `daemon` wire the rest.
const MAY_USE: &[(&str, &[&str])] = &[
    ("bus", &[]),
    ("command", &["config", "log", "mirror", "output", "platform", "reading", "sampling", "status"]),
    ("config", &["bus", "platform", "reading", "sensor"]),
    ("enrich", &["reading"]),
    ("exchange", &["config", "log", "reading"]),
    ("facts", &["config", "enrich", "filter", "log", "reading", "sampling", "status"]),
    ("filter", &["config", "reading"]),
    ("log", &["config", "reading", "status"]),
    ("mirror", &["config", "enrich", "log", "reading", "status"]),
    ("mqtt", &["config", "enrich", "log", "mirror", "payload", "platform", "reading", "status"]),
    ("output", &["bus", "config", "log", "reading", "status"]),
    ("payload", &["reading"]),
    ("platform", &["config", "payload", "reading"]),
    ("plot", &["log", "reading"]),
    ("reading", &[]),
    ("sampling", &["bus", "config", "enrich", "filter", "log", "reading", "sensor", "status"]),
    ("sensor", &["bus", "config", "enrich", "reading"]),
    ("setup", &["bus", "reading", "sensor"]),
    ("status", &[]),
    ("thrift", &[]),
    ("web", &["command", "config", "enrich", "facts", "log", "output", "reading", "sensor", "status"]),
    (
        "daemon",
        &[
            "bus", "command", "config", "enrich", "facts", "filter", "log", "mirror", "mqtt", "output",
            "payload", "platform", "reading", "sampling", "sensor", "status", "thrift", "web",
        ],
    ),
    ("demo", &["config", "daemon", "log", "reading", "status"]),
    ("doctor", &["bus", "config", "enrich", "log", "mqtt", "reading", "sensor"]),
    (
        "cli",
        &[
            "bus", "command", "config", "daemon", "demo", "doctor", "enrich", "exchange", "facts", "filter",
            "log", "mirror", "mqtt", "output", "payload", "plot", "reading", "sampling", "sensor", "setup",
            "status",
        ],
    ),
];

/// Where an allowed edge is meant for one thing only: room, used room, what may be named of it.
const ONLY_THIS: &[(&str, &str, &[&str])] = &[
    // What an output is made of and where it sits, in the words of those who open it.
    ("config", "bus", &["BusName", "gpio"]),
    // A driver that takes a duration or a size as an option parses it as the rest of the configuration does.
    ("sensor", "config", &["duration", "options", "size"]),
    // So does a platform.
    ("platform", "config", &["amount", "duration", "options", "size"]),
    // Pictures are made small where they are decoded.
    ("web", "sensor", &["camera"]),
    // What is drawn, and by which names it is asked for; nothing is asked.
    ("plot", "log", &["latest", "query", "series"]),
    // The simulated sensor whose value is the time.
    ("sensor", "enrich", &["clock"]),
];

/// Crates that only some rooms name.
const CRATES: &[(&str, &[&str])] = &[
    ("ads1x1x", &["sensor"]),
    ("bme280", &["sensor"]),
    ("clap", &["cli"]),
    ("clap_complete", &["cli"]),
    ("clap_mangen", &["cli"]),
    ("csv", &["mirror", "cli"]),
    ("hyper", &["web"]),
    ("hyper_util", &["web"]),
    ("image", &["sensor"]),
    ("libc", &["enrich", "thrift"]),
    ("ring", &["command", "mqtt"]),
    ("rppal", &["bus"]),
    ("rumqttc", &["mqtt"]),
    ("rumqttd", &["demo"]),
    ("rusqlite", &["log", "mirror"]),
    ("rustls", &["mqtt"]),
    ("schemars", &["config", "platform", "sensor"]),
    ("sd_notify", &["daemon"]),
    ("signal_hook", &["daemon", "cli"]),
    ("tiny_skia", &["plot"]),
    ("ttf_parser", &["plot"]),
    ("vl53l0x", &["sensor"]),
    ("yaml_rust2", &["config"]),
];

/// Texts that stand in the code of some files only, and why.
const ONLY_IN: &[(&[&str], &[&str], &str)] = &[
    (
        &[
            "SystemTime::now",
            "Timestamp::now",
            "Zoned::now",
            "ClockId::Realtime",
            "CLOCK_REALTIME",
            "adjtimex",
        ],
        &["src/enrich/clock.rs"],
        "one place reads the wall clock, because it also asks whether the clock is right",
    ),
    (
        &["std::process::exit", "process::exit("],
        &["src/daemon.rs"],
        "a daemon leaves through main, after its data is safe; only what hangs is cut off",
    ),
    (
        &["unsafe {", "unsafe fn", "unsafe impl"],
        &["src/enrich/clock.rs", "src/thrift.rs"],
        "unsafe code needs a place of its own",
    ),
    (&["dbg!(", "todo!(", "unimplemented!("], &[], "not finished"),
];

/// What the rooms of pure logic do not contain.
const PURE: &[&str] = &["filter", "payload", "plot", "reading"];
const IMPURE: &[&str] = &[
    "std::fs",
    "std::net",
    "std::thread",
    "std::process",
    "std::env",
    "std::io::Read",
    "std::io::Write",
    "Instant::now",
    "clock::now",
    "tokio::",
    "rustix::",
];

struct Source {
    /// From the root of the repository.
    path: String,
    room: String,
    /// Without comments and tests.
    code: String,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn files_below(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let Ok(entries) = fs::read_dir(folder) else { return found };
    for entry in entries {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files_below(&path, extension));
        } else if path.extension().is_some_and(|ending| ending == extension) {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn relative(path: &Path) -> String {
    path.strip_prefix(root()).unwrap().to_string_lossy().into_owned()
}

/// Every file of `src/` that belongs to a room and is not itself a test.
fn sources() -> Vec<Source> {
    let src = root().join("src");
    let mut sources = Vec::new();
    let mut tests = BTreeSet::new();
    for file in files_below(&src, "rs") {
        let text = fs::read_to_string(&file).unwrap();
        let (code, test_modules) = without_comments_and_tests(&text);
        // `#[cfg(test)] mod name;`: that file is a test as well.
        let folder = match file.file_name().unwrap().to_str().unwrap() {
            "mod.rs" | "lib.rs" | "main.rs" => file.parent().unwrap().to_owned(),
            _ => file.with_extension(""),
        };
        for module in test_modules {
            tests.insert(folder.join(format!("{module}.rs")));
            tests.insert(folder.join(module).join("mod.rs"));
        }
        let inside = file.strip_prefix(&src).unwrap();
        let first = inside.iter().next().unwrap().to_string_lossy();
        let room = first.trim_end_matches(".rs").to_owned();
        sources.push((file.clone(), Source { path: relative(&file), room, code }));
    }
    sources.retain(|(file, _)| {
        !tests.iter().any(|test| file == test || file.starts_with(test.with_extension("")))
    });
    sources.into_iter().map(|(_, source)| source).collect()
}

/// The code that ships, and the names of modules that are tests in files of their own.
fn without_comments_and_tests(text: &str) -> (String, Vec<String>) {
    let (mut code, mut modules) = (String::new(), Vec::new());
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if line.trim() == "#[cfg(test)]" {
            let indent = line.len() - line.trim_start().len();
            let item = lines.by_ref().find(|line| !line.trim_start().starts_with("#[")).unwrap_or("");
            let module = item.trim_start().trim_start_matches("pub(crate) ").strip_prefix("mod ");
            if let Some(name) = module.and_then(|rest| rest.strip_suffix(';')) {
                modules.push(name.to_owned());
            } else if !item.trim_end().ends_with([';', '}']) {
                // To the bracket that closes it: rustfmt puts it below the attribute.
                lines.by_ref().find(|line| {
                    line.len() - line.trim_start().len() == indent && line.trim_start().starts_with('}')
                });
            }
            continue;
        }
        let bare = match line.find("//") {
            // Not the two slashes of `https://`.
            Some(at) if at == 0 || !line[..at].ends_with(':') => &line[..at],
            _ => line,
        };
        code.push_str(bare);
        code.push('\n');
    }
    (code, modules)
}

/// `(room, what)` of every `crate::room::what`, groups in braces taken apart.
fn uses(code: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        if code[..at].chars().next_back().is_some_and(|before| is_name(before) || before == '$') {
            continue;
        }
        for path in expand(&code[at + "crate::".len()..]) {
            let mut parts = path.split("::");
            let room = parts.next().unwrap_or("").to_owned();
            found.push((room, parts.next().unwrap_or("").to_owned()));
        }
    }
    found
}

/// How deep a file's module lies below the crate: `src/log/mod.rs` 1, `src/log/schema.rs` 2.
fn depth(path: &str) -> usize {
    let inside = path.strip_prefix("src/").unwrap_or(path).trim_end_matches("/mod.rs");
    inside.split('/').count()
}

fn is_name(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_'
}

/// Takes `a::{b, c::d}` apart into `a::b` and `a::c::d`.
fn expand(text: &str) -> Vec<String> {
    let end = text.find(|letter: char| !is_name(letter) && letter != ':').unwrap_or(text.len());
    let head = text[..end].trim_end_matches("::");
    let Some(group) = text[end..].strip_prefix('{').filter(|_| end == 0 || text[..end].ends_with("::"))
    else {
        return vec![head.to_owned()];
    };
    let mut depth = 0;
    let mut items = vec![String::new()];
    for letter in group.chars() {
        match letter {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                items.push(String::new());
                continue;
            }
            _ => {}
        }
        items.last_mut().unwrap().push(letter);
    }
    let items = items.iter().map(|item| item.trim()).filter(|item| !item.is_empty() && *item != "self");
    let mut paths: Vec<String> = items
        .flat_map(expand)
        .map(|item| if head.is_empty() { item } else { format!("{head}::{item}") })
        .collect();
    if paths.is_empty() {
        paths.push(head.to_owned());
    }
    paths
}

/// Whether the code names this crate: `name::…` or `use name;`, not part of a longer name or path.
fn names_crate(code: &str, name: &str) -> bool {
    code.match_indices(name).any(|(at, _)| {
        let before = code[..at].chars().next_back();
        let after = &code[at + name.len()..];
        let apart = !before.is_some_and(|letter| is_name(letter) || letter == ':' || letter == '.');
        let absolute = code[..at].ends_with("::") && !code[..at].trim_end_matches("::").ends_with(is_name);
        (apart || absolute)
            && (after.starts_with("::") || (after.starts_with(';') && code[..at].ends_with("use ")))
    })
}

fn report(faults: Vec<String>) {
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}

#[test]
fn rooms_use_only_whom_they_may() {
    let rooms: BTreeSet<&str> = MAY_USE.iter().map(|(room, _)| *room).collect();
    let mut faults = Vec::new();
    for source in sources() {
        if ["lib", "main"].contains(&source.room.as_str()) {
            continue;
        }
        let Some((_, allowed)) = MAY_USE.iter().find(|(room, _)| *room == source.room) else {
            faults.push(format!(
                "{}: {} is a room that tests/architecture.rs does not know",
                source.path, source.room
            ));
            continue;
        };
        for (used, what) in uses(&source.code) {
            if used == source.room || !rooms.contains(used.as_str()) {
                continue;
            }
            if !allowed.contains(&used.as_str()) {
                faults.push(format!("{}: {} must not use {used}", source.path, source.room));
            }
            let only = ONLY_THIS.iter().find(|(room, other, _)| *room == source.room && *other == used);
            if let Some((_, _, names)) = only
                && !names.contains(&what.as_str())
            {
                faults.push(format!(
                    "{}: {} may use {names:?} of {used}, not {what}",
                    source.path, source.room
                ));
            }
        }
        // As many `super` as the module is deep lead out of the room without naming where to.
        if source.code.contains(&"super::".repeat(depth(&source.path))) {
            faults.push(format!("{}: say crate::room::…, so that it can be seen who uses whom", source.path));
        }
    }
    report(faults);
}

#[test]
fn every_room_is_in_the_table_and_the_library() {
    let library = fs::read_to_string(root().join("src/lib.rs")).unwrap();
    let declared: BTreeSet<&str> = library
        .lines()
        .filter_map(|line| line.trim_start_matches("pub ").strip_prefix("mod ")?.strip_suffix(';'))
        .collect();
    let known: BTreeSet<&str> = MAY_USE.iter().map(|(room, _)| *room).collect();
    assert_eq!(declared, known);
    let text = fs::read_to_string(root().join("docs/architecture.md")).unwrap();
    for room in known {
        assert!(text.contains(&format!("`{room}`")), "docs/architecture.md does not tell of {room}");
    }
}

#[test]
fn crates_are_named_in_their_room_only() {
    let mut faults = Vec::new();
    for source in sources() {
        for (name, rooms) in CRATES {
            if names_crate(&source.code, name) && !rooms.contains(&source.room.as_str()) {
                faults.push(format!("{}: only {rooms:?} may name {name}", source.path));
            }
        }
    }
    report(faults);
}

#[test]
fn what_belongs_in_one_place_stands_there_only() {
    let mut faults = Vec::new();
    for source in sources() {
        for (texts, files, why) in ONLY_IN {
            for text in texts.iter().filter(|text| source.code.contains(**text)) {
                if !files.contains(&source.path.as_str()) {
                    faults.push(format!("{}: `{text}` belongs into {files:?}: {why}", source.path));
                }
            }
        }
    }
    report(faults);
}

#[test]
fn pure_rooms_do_no_io_and_ask_no_clock() {
    let mut faults = Vec::new();
    for source in sources().iter().filter(|source| PURE.contains(&source.room.as_str())) {
        for text in IMPURE.iter().filter(|text| source.code.contains(**text)) {
            faults.push(format!("{}: {} is pure, it must not name {text}", source.path, source.room));
        }
    }
    report(faults);
}

#[test]
fn every_file_says_what_it_is_for() {
    let folders = ["src", "tests", "benches"];
    let files = folders.iter().flat_map(|folder| files_below(&root().join(folder), "rs"));
    let silent = files.filter(|file| !fs::read_to_string(file).unwrap().starts_with("//! "));
    report(silent.map(|file| format!("{}: opens without `//!`", relative(&file))).collect());
}

/// Paths that a document names: links, and words in backticks that begin like a path of this repository.
fn paths_named(document: &str) -> Vec<String> {
    let mut paths = Vec::new();
    let top: Vec<String> = fs::read_dir(root())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    let mut in_block = false;
    for line in document.lines() {
        if line.trim_start().starts_with("```") {
            in_block = !in_block;
            continue;
        }
        if in_block {
            continue;
        }
        for (number, word) in line.split('`').enumerate() {
            let first = word.split('/').next().unwrap_or("");
            let like_ours =
                word.contains('/') && (top.iter().any(|name| name == first) || OURS.contains(&first));
            if number % 2 == 1 && like_ours && !word.contains([' ', '*', '{', '<', '…', '$']) {
                paths.push(word.to_owned());
            }
        }
        for target in line.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let target = target.split('#').next().unwrap_or("");
            if !target.is_empty() && !target.contains("://") && !target.starts_with("mailto:") {
                paths.push(target.to_owned());
            }
        }
    }
    paths
}

/// Folders of ours, also where one is missing altogether.
const OURS: &[&str] = &["src", "tests", "docs", "config", "systemd", "packaging", "benches", ".ci"];

#[test]
fn the_documents_name_only_what_exists() {
    let mut faults = Vec::new();
    let mut documents = files_below(&root().join("docs"), "md");
    documents.extend([root().join("README.md"), root().join("CHANGELOG.md")]);
    for document in documents {
        let text = fs::read_to_string(&document).unwrap();
        for path in paths_named(&text) {
            let beside = document.parent().unwrap().join(&path);
            if !root().join(&path).exists() && !beside.exists() {
                faults.push(format!("{}: {path} does not exist", relative(&document)));
            }
        }
    }
    report(faults);
}

/// The test of the test: it must see what it is there to forbid.
mod sees {
    use super::*;

    #[test]
    fn uses_in_all_their_forms() {
        let code = "use crate::log::Log;\nuse crate::{config, reading::{Qos, Value}};\nlet x = crate::status::Board::new();\n\
                    pub(crate) fn f() {}\nuse crate::config::{self, Mqtt};\n$crate::log::x";
        let found: Vec<_> = uses(code).into_iter().map(|(room, what)| format!("{room}.{what}")).collect();
        let expected = ["log.Log", "config.", "reading.Qos", "reading.Value", "status.Board", "config.Mqtt"];
        assert_eq!(found, expected);
    }

    #[test]
    fn crates_in_all_their_forms() {
        assert!(names_crate("use rumqttc::Event;", "rumqttc"));
        assert!(names_crate("let x = ::rumqttc::v5::f();", "rumqttc"));
        assert!(names_crate("use rumqttc;", "rumqttc"));
        assert!(!names_crate("let s = \"from rumqttc\";", "rumqttc"));
        assert!(!names_crate("my_rumqttc::x()", "rumqttc"));
        assert!(!names_crate("crate::mirror::csv::Sink", "csv"));
        assert!(!names_crate("rumqttcx::f()", "rumqttc"));
    }

    #[test]
    fn how_deep_a_module_lies() {
        let files = ["src/filter.rs", "src/log/mod.rs", "src/log/schema.rs", "src/config/check/mqtt.rs"];
        assert_eq!(files.map(depth), [1, 1, 2, 3]);
    }

    #[test]
    fn comments_and_tests_are_left_out() {
        let text = "//! of rumqttc::\nuse a::b; // rumqttc::c\nlet u = \"mqtt://x\";\n#[cfg(test)]\nmod later;\n\
                    fn shipped() {}\n#[cfg(test)]\nmod tests {\n    use crate::log;\n}\nfn after() {}\n";
        let (code, modules) = without_comments_and_tests(text);
        assert!(!code.contains("rumqttc") && !code.contains("crate::log"), "{code}");
        assert!(code.contains("mqtt://x") && code.contains("shipped") && code.contains("after"), "{code}");
        assert_eq!(modules, ["later"]);
    }

    #[test]
    fn paths_in_documents() {
        let text = "See `src/log/mod.rs`, [how](docs/delivery.md#qos), `a/b`, `/etc/x`, <https://x.y>,\n\
                    [site](https://x.y/z), `src/<room>/x`\n```\n`src/nowhere.rs`\n```\n";
        assert_eq!(paths_named(text), ["src/log/mod.rs", "docs/delivery.md"]);
    }
}
