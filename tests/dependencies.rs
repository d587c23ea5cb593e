//! What we build on: licences that fit ours, a minimum Rust version that is true, crates.io only, and no
//! crate that we have turned down. Asks `cargo metadata` offline; installs and downloads nothing.
//!
//! (cargo-deny does more and takes longer to build than this whole program. Advisories need the network and
//! a fresh database, so they are no part of a build that must give the same answer tomorrow.)

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a helper that fails is a test that fails")]

use std::process::Command;

use serde_json::Value;

/// Licences under which code may become part of a binary that we hand out under MIT OR Apache-2.0.
const LICENCES: &[&str] = &[
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    // Put into the public domain, or as near as the law lets one.
    "CC0-1.0",
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "MIT-0",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
    // Weak copyleft per file: fine unchanged, as we use them.
    "MPL-2.0",
];

/// Crates that must not come in, and why.
const BANNED: &[(&str, &str)] = &[
    ("openssl-sys", "TLS is rustls: no system library to match when cross-compiling"),
    ("native-tls", "TLS is rustls: no system library to match when cross-compiling"),
    ("aws-lc-sys", "needs cmake and a C toolchain per target; rustls uses ring"),
    ("aws-lc-rs", "needs cmake and a C toolchain per target; rustls uses ring"),
    ("reqwest", "a whole HTTP client for one request"),
    ("chrono", "time is jiff, in one place"),
    ("async-std", "one runtime is enough: tokio"),
];

struct Package {
    name: String,
    version: String,
    licence: String,
    rust_version: Option<(u64, u64, u64)>,
    source: String,
    /// Part of what we hand out (not for tests only).
    shipped: bool,
}

fn packages() -> (Vec<Package>, (u64, u64, u64)) {
    let mut command = Command::new(env!("CARGO"));
    command.args(["metadata", "--format-version", "1", "--locked", "--offline"]);
    // Crates of other platforms need not be on this machine.
    command.args(["--filter-platform", &host()]);
    if cfg!(feature = "embedded-broker") {
        command.args(["--features", "embedded-broker"]);
    }
    let output = command.current_dir(env!("CARGO_MANIFEST_DIR")).output().unwrap();
    assert!(output.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();

    let shipped = shipped(&metadata);
    let mut ours = (0, 0, 0);
    let mut found = Vec::new();
    for package in metadata["packages"].as_array().unwrap() {
        let text = |key: &str| package[key].as_str().unwrap_or("").to_owned();
        let rust_version = package["rust_version"].as_str().map(version);
        if package["source"].is_null() {
            ours = rust_version.expect("Cargo.toml states rust-version");
            continue;
        }
        found.push(Package {
            name: text("name"),
            version: text("version"),
            licence: text("license"),
            rust_version,
            source: text("source"),
            shipped: shipped.contains(&text("id")),
        });
    }
    assert!(found.len() > 50, "only {} dependencies found", found.len());
    (found, ours)
}

fn host() -> String {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc).arg("-vV").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().find_map(|line| line.strip_prefix("host: ")).unwrap().to_owned()
}

/// Ids of the packages reached without going through a dev-dependency.
fn shipped(metadata: &Value) -> Vec<String> {
    let nodes = metadata["resolve"]["nodes"].as_array().unwrap();
    let mut reached = vec![metadata["resolve"]["root"].as_str().unwrap().to_owned()];
    let mut next = 0;
    while next < reached.len() {
        let node = nodes.iter().find(|node| node["id"] == reached[next].as_str()).unwrap();
        for dependency in node["deps"].as_array().unwrap() {
            let kinds = dependency["dep_kinds"].as_array().unwrap();
            let id = dependency["pkg"].as_str().unwrap();
            if kinds.iter().any(|kind| kind["kind"] != "dev") && !reached.iter().any(|known| known == id) {
                reached.push(id.to_owned());
            }
        }
        next += 1;
    }
    reached
}

fn version(text: &str) -> (u64, u64, u64) {
    let mut parts = text.split('.').map(|part| part.parse().unwrap());
    (parts.next().unwrap(), parts.next().unwrap_or(0), parts.next().unwrap_or(0))
}

/// Whether an SPDX expression can be satisfied from the list. `/` is the old way to write OR.
fn allowed(expression: &str) -> bool {
    let spaced = expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut at = 0;
    let answer = any_of(&words, &mut at);
    answer && at == words.len()
}

fn any_of(words: &[&str], at: &mut usize) -> bool {
    let mut answer = all_of(words, at);
    while words.get(*at) == Some(&"OR") {
        *at += 1;
        answer |= all_of(words, at);
    }
    answer
}

fn all_of(words: &[&str], at: &mut usize) -> bool {
    let mut answer = one(words, at);
    while words.get(*at) == Some(&"AND") {
        *at += 1;
        answer &= one(words, at);
    }
    answer
}

fn one(words: &[&str], at: &mut usize) -> bool {
    let Some(word) = words.get(*at) else { return false };
    *at += 1;
    if *word == "(" {
        let answer = any_of(words, at);
        *at += 1;
        return answer;
    }
    let mut licence = (*word).to_owned();
    if words.get(*at) == Some(&"WITH") {
        licence.push_str(" WITH ");
        licence.push_str(words.get(*at + 1).unwrap_or(&""));
        *at += 2;
    }
    LICENCES.contains(&licence.as_str())
}

#[test]
fn licences_fit_ours() {
    let (packages, _) = packages();
    let bad: Vec<String> = packages
        .iter()
        .filter(|package| !allowed(&package.licence))
        .map(|package| format!("{} {}: {:?}", package.name, package.version, package.licence))
        .collect();
    assert!(
        bad.is_empty(),
        "licences to look at (add to LICENCES only after reading them):\n{}",
        bad.join("\n")
    );
}

#[test]
fn the_stated_rust_version_is_enough() {
    let (packages, ours) = packages();
    let newer: Vec<String> = packages
        .iter()
        .filter(|package| package.shipped && package.rust_version.is_some_and(|needed| needed > ours))
        .map(|package| {
            format!("{} {} needs {:?}", package.name, package.version, package.rust_version.unwrap())
        })
        .collect();
    assert!(newer.is_empty(), "rust-version says {ours:?}, but\n{}", newer.join("\n"));
}

#[test]
fn everything_comes_from_crates_io() {
    let (packages, _) = packages();
    for package in packages {
        assert!(
            package.source == "registry+https://github.com/rust-lang/crates.io-index",
            "{} comes from {}",
            package.name,
            package.source
        );
    }
}

#[test]
fn nothing_that_was_turned_down_comes_in() {
    let (packages, _) = packages();
    let bad: Vec<String> = packages
        .iter()
        .filter_map(|package| {
            let (_, why) = BANNED.iter().find(|(name, _)| *name == package.name && package.shipped)?;
            Some(format!("{} {}: {why}", package.name, package.version))
        })
        .collect();
    assert!(bad.is_empty(), "\n{}\n(`cargo tree -i NAME` tells who brings it)", bad.join("\n"));
}

#[test]
fn expressions_are_understood() {
    for (expression, expected) in [
        ("MIT", true),
        ("GPL-3.0", false),
        ("", false),
        ("MIT OR GPL-3.0", true),
        ("MIT AND GPL-3.0", false),
        ("(MIT OR Apache-2.0) AND Unicode-3.0", true),
        ("(MIT OR Apache-2.0) AND OpenSSL", false),
        ("Apache-2.0 WITH LLVM-exception OR GPL-2.0", true),
        ("Apache-2.0 WITH Other-exception", false),
        ("MIT/Apache-2.0", true),
        ("GPL-2.0 OR GPL-3.0", false),
    ] {
        assert_eq!(allowed(expression), expected, "{expression:?}");
    }
}
