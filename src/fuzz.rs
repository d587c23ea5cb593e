//! What is fed with bytes of others by `make fuzz`, one function each, and the test that feeds it the corpora in
//! `fuzz/corpus`. Part of no program that is handed out: it exists under `cfg(fuzzing)` and in tests.
//!
//! A target takes any bytes and panics only when something is wrong that should not be: a crash, or a promise of the
//! room that does not hold. What a target found is kept in its corpus, so that it stays found. How they are run:
//! `fuzz/run`, `docs/security.md`.

use std::path::Path;

/// Something that takes bytes.
pub struct Target {
    /// Its name, and that of its corpus.
    pub name: &'static str,
    /// Takes the bytes; may write into the folder, which is its own.
    pub run: fn(&[u8], &Path),
}

/// Every target.
pub const TARGETS: &[Target] = &[
    Target { name: "config", run: |bytes, _| crate::config::fuzz::config(bytes) },
    Target { name: "topics", run: |bytes, _| crate::config::fuzz::topics(bytes) },
    Target { name: "message", run: |bytes, _| crate::mirror::fuzz::message(bytes) },
    Target { name: "command", run: |bytes, _| crate::command::fuzz::command(bytes) },
    Target { name: "transcript", run: |bytes, _| crate::bus::fuzz::transcript(bytes) },
    Target { name: "database", run: crate::log::fuzz::database },
    Target { name: "import", run: crate::exchange::fuzz::import },
    Target { name: "packets", run: |bytes, _| crate::mqtt::fuzz::packets(bytes) },
    Target { name: "picture", run: |bytes, _| crate::sensor::fuzz::picture(bytes) },
    Target { name: "platform", run: |bytes, _| crate::platform::fuzz::platform(bytes) },
];

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::PathBuf;

    use super::*;

    fn corpus(name: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(name)
    }

    /// Whatever was once found to lead somewhere, or to crash.
    fn replay(name: &str) {
        let target = TARGETS.iter().find(|target| target.name == name).unwrap();
        let scratch = tempfile::tempdir().unwrap();
        let mut names: Vec<PathBuf> =
            fs::read_dir(corpus(name)).unwrap().map(|entry| entry.unwrap().path()).collect();
        names.sort();
        assert!(names.len() >= 3, "{name} has no corpus");
        for file in names {
            println!("{}", file.display());
            (target.run)(&fs::read(&file).unwrap(), scratch.path());
        }
        (target.run)(b"", scratch.path());
    }

    #[test]
    fn every_corpus_has_a_target_and_the_other_way_round() {
        let mut corpora: Vec<String> = fs::read_dir(corpus(""))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        corpora.sort();
        let mut targets: Vec<&str> = TARGETS.iter().map(|target| target.name).collect();
        targets.sort_unstable();
        assert_eq!(corpora, targets);
    }

    /// One test a target, so that they run beside each other and say which it is.
    macro_rules! replays {
        ($($name:ident)*) => {
            $(#[test] fn $name() { replay(stringify!($name)); })*

            #[test]
            fn all_are_replayed() {
                let named = [$(stringify!($name)),*];
                assert!(TARGETS.iter().all(|target| named.contains(&target.name)));
            }
        };
    }

    replays!(config topics message command transcript database import packets picture platform);
}
