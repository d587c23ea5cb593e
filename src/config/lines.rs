//! Which line of the file a key stands on; syntax errors and repeated keys with their place.
//!
//! The `config` crate keeps no positions, so the text is walked a second time, event by event. This also
//! bounds what the crate, which recurses and expands aliases, gets to see.

use std::collections::HashMap;

use yaml_rust2::parser::{Event, Parser, Tag};
use yaml_rust2::scanner::{Marker, ScanError, TScalarStyle};
use yaml_rust2::yaml::Yaml;

use super::problem::{KeyPath, Report, quoted};

/// Deeper than any sensible configuration, shallow enough for every recursion after it.
const DEEPEST: usize = 48;

/// Most values a file may hold with its aliases written out.
const MOST_VALUES: usize = 200_000;

/// Where each value of the merged configuration came from.
#[derive(Debug, Default)]
pub(super) struct Lines {
    lines: HashMap<KeyPath, usize>,
    variables: HashMap<KeyPath, String>,
}

/// Origin of a value.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Place {
    pub(super) line: Option<usize>,
    pub(super) variable: Option<String>,
}

impl Lines {
    /// Notes that `variable` set the value at `path`.
    pub(super) fn set_by(&mut self, path: &KeyPath, variable: &str) {
        self.variables.insert(path.clone(), variable.to_owned());
    }

    /// The place of `path`, or of the nearest thing around it that has one.
    pub(super) fn place(&self, path: &KeyPath) -> Place {
        let mut at = Some(path.clone());
        while let Some(path) = at {
            if let Some(variable) = self.variables.get(&path) {
                return Place { line: None, variable: Some(variable.clone()) };
            }
            if let Some(line) = self.lines.get(&path) {
                return Place { line: Some(*line), variable: None };
            }
            at = path.parent();
        }
        Place::default()
    }
}

/// Walks the text, notes the line of every key and reports what is no YAML for us.
///
/// When it reports a problem, the text must not be handed on to the `config` crate.
pub(super) fn scan(yaml: &str, report: &mut Report) -> Lines {
    let mut walk =
        Walk { report, out: Lines::default(), frames: Vec::new(), anchors: HashMap::new(), documents: 0 };
    let mut parser = Parser::new_from_str(yaml);
    loop {
        match parser.next_token() {
            Ok((Event::StreamEnd, _)) => break,
            Ok((event, mark)) => {
                if walk.event(event, mark).is_none() {
                    break;
                }
            }
            Err(error) => {
                walk.syntax_error(yaml, &error);
                break;
            }
        }
    }
    walk.out
}

/// A list or map that is open at the moment.
struct Frame {
    path: KeyPath,
    kind: Kind,
    anchor: usize,
    /// Values inside, aliases written out.
    values: usize,
}

enum Kind {
    List { next: usize },
    Map { seen: HashMap<String, usize>, key: Option<(String, usize)> },
}

struct Walk<'a> {
    report: &'a mut Report,
    out: Lines,
    frames: Vec<Frame>,
    /// Values behind each finished anchor.
    anchors: HashMap<usize, usize>,
    documents: usize,
}

impl Walk<'_> {
    /// `None` stops the walk: what follows would make no sense.
    fn event(&mut self, event: Event, mark: Marker) -> Option<()> {
        let line = mark.line();
        match event {
            Event::DocumentStart => self.document(line),
            Event::Scalar(text, style, anchor, tag) => self.scalar(text, style, anchor, tag, line),
            Event::Alias(anchor) => self.alias(anchor, line),
            Event::SequenceStart(anchor, tag) => {
                self.refuse_tag(tag.as_ref(), line);
                self.open(Kind::List { next: 0 }, anchor, line)
            }
            Event::MappingStart(anchor, tag) => {
                self.refuse_tag(tag.as_ref(), line);
                self.open(Kind::Map { seen: HashMap::new(), key: None }, anchor, line)
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(line),
            _ => Some(()),
        }
    }

    fn document(&mut self, line: usize) -> Option<()> {
        self.documents += 1;
        if self.documents > 1 {
            let message = "a second YAML document begins here (`---`); the configuration is one document";
            self.report.at_line(&KeyPath::default(), line, message.into(), None);
            return None;
        }
        Some(())
    }

    fn scalar(
        &mut self,
        text: String,
        style: TScalarStyle,
        anchor: usize,
        tag: Option<Tag>,
        line: usize,
    ) -> Option<()> {
        let plain = style == TScalarStyle::Plain;
        if self.expects_key() {
            if plain && Yaml::from_str(&text) == Yaml::Null {
                self.report.at_line(&self.here(), line, "an empty key".into(), None);
                return None;
            }
            self.anchors.insert(anchor, 1);
            return self.key(text, line);
        }
        self.refuse_tag(tag.as_ref(), line);
        let path = self.value(line)?;
        if self.frames.is_empty() && !(plain && Yaml::from_str(&text) == Yaml::Null) {
            return self.root_is_no_map(line);
        }
        if plain {
            self.refuse_infinite(&path, &text, line);
        }
        self.anchors.insert(anchor, 1);
        self.count(1, line)
    }

    fn alias(&mut self, anchor: usize, line: usize) -> Option<()> {
        if self.expects_key() {
            self.report.at_line(&self.here(), line, "an alias cannot be a key".into(), None);
            return None;
        }
        let path = self.value(line)?;
        let Some(values) = self.anchors.get(&anchor).copied() else {
            self.report.at_line(&path, line, "the alias refers to something that contains it".into(), None);
            return None;
        };
        self.count(values, line)
    }

    fn open(&mut self, kind: Kind, anchor: usize, line: usize) -> Option<()> {
        if self.expects_key() {
            let hint = "quote a text that begins with a brace or bracket".to_owned();
            self.report.at_line(&self.here(), line, "a key must be plain text".into(), Some(hint));
            return None;
        }
        if self.frames.is_empty() && matches!(kind, Kind::List { .. }) {
            return self.root_is_no_map(line);
        }
        if self.frames.len() == DEEPEST {
            let message = format!("nested more than {DEEPEST} levels deep");
            self.report.at_line(&KeyPath::default(), line, message, None);
            return None;
        }
        let path = self.value(line)?;
        self.frames.push(Frame { path, kind, anchor, values: 1 });
        Some(())
    }

    fn close(&mut self, line: usize) -> Option<()> {
        let frame = self.frames.pop()?;
        self.anchors.insert(frame.anchor, frame.values);
        self.count(frame.values, line)
    }

    /// Notes a key; the value follows.
    fn key(&mut self, text: String, line: usize) -> Option<()> {
        let path = self.here().key(&text);
        // At the top the `config` crate would take this for a path and quietly nest it.
        if self.frames.len() == 1 && text.contains(['.', '[']) {
            let hint =
                text.split_once('.').map(|(first, rest)| format!("write `{first}:` and below it `{rest}:`"));
            self.report.at_line(&path, line, format!("unknown key {}", quoted(&text)), hint);
        }
        let Some(Frame { kind: Kind::Map { seen, key }, .. }) = self.frames.last_mut() else {
            return None;
        };
        if let Some(first) = seen.insert(text.clone(), line) {
            let message = format!("the key {} stands here twice (first on line {first})", quoted(&text));
            self.report.at_line(&path, line, message, Some("remove one of them".into()));
        }
        *key = Some((text, line));
        Some(())
    }

    /// The path of the value that begins here; its line is noted.
    fn value(&mut self, line: usize) -> Option<KeyPath> {
        let (path, line) = match self.frames.last_mut() {
            None => (KeyPath::default(), line),
            Some(Frame { path, kind: Kind::List { next }, .. }) => {
                *next += 1;
                (path.index(*next - 1), line)
            }
            Some(Frame { path, kind: Kind::Map { key, .. }, .. }) => {
                let (key, line) = key.take()?;
                (path.key(&key), line)
            }
        };
        self.out.lines.insert(path.clone(), line);
        Some(path)
    }

    fn expects_key(&self) -> bool {
        matches!(self.frames.last(), Some(Frame { kind: Kind::Map { key: None, .. }, .. }))
    }

    fn here(&self) -> KeyPath {
        self.frames.last().map(|frame| frame.path.clone()).unwrap_or_default()
    }

    fn count(&mut self, values: usize, line: usize) -> Option<()> {
        let Some(frame) = self.frames.last_mut() else { return Some(()) };
        frame.values += values;
        if frame.values > MOST_VALUES {
            let message = format!("more than {MOST_VALUES} values, aliases written out");
            self.report.at_line(&KeyPath::default(), line, message, None);
            return None;
        }
        Some(())
    }

    fn root_is_no_map(&mut self, line: usize) -> Option<()> {
        let message = "the configuration must be a map of sections such as `device:` and `sensors:`";
        self.report.at_line(&KeyPath::default(), line, message.into(), None);
        None
    }

    fn refuse_tag(&mut self, tag: Option<&Tag>, line: usize) {
        if let Some(tag) = tag.filter(|tag| tag.suffix != "str") {
            let message = format!("the YAML tag {} is not supported", quoted(&format!("!{}", tag.suffix)));
            self.report.at_line(&self.here(), line, message, Some("leave it out".into()));
        }
    }

    /// `.nan`, `.inf` and `1e999`: numbers to YAML, useless to us, and JSON has none of them.
    fn refuse_infinite(&mut self, path: &KeyPath, text: &str, line: usize) {
        if let Yaml::Real(number) = Yaml::from_str(text)
            && !number.parse::<f64>().is_ok_and(f64::is_finite)
        {
            self.report.at_line(path, line, format!("{} is not a finite number", quoted(text)), None);
        }
    }

    fn syntax_error(&mut self, yaml: &str, error: &ScanError) {
        let (line, column) = (error.marker().line(), error.marker().col() + 1);
        let message = format!("not valid YAML: {} (column {column})", error.info());
        let tab = yaml
            .lines()
            .nth(line.saturating_sub(1))
            .is_some_and(|text| text.trim_start_matches(' ').starts_with('\t'));
        let hint = tab.then(|| "indent with spaces: YAML allows no tabs".to_owned());
        self.report.at_line(&KeyPath::default(), line, message, hint);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scanned(yaml: &str) -> (Lines, Vec<String>) {
        let mut report = Report::default();
        let lines = scan(yaml, &mut report);
        let (problems, _) = report.finish(&lines);
        let text = problems.iter().map(|p| format!("{}: {p}", p.line.unwrap_or(0))).collect();
        (lines, text)
    }

    #[test]
    fn every_key_has_its_line() {
        let (lines, problems) =
            scanned("a: 1\n# x\nlist:\n  - {b: 2,\n     c: 3}\n  - d:\n      e: |\n        text\n");
        assert_eq!(problems, Vec::<String>::new());
        let root = KeyPath::default();
        let list = root.key("list");
        for (path, line) in [
            (root.key("a"), 1),
            (list.clone(), 3),
            (list.index(0), 4),
            (list.index(0).key("c"), 5),
            (list.index(1).key("d").key("e"), 7),
            // What is missing is reported where it should stand.
            (list.index(1).key("nothing"), 6),
        ] {
            assert_eq!(lines.place(&path).line, Some(line), "{path}");
        }
    }

    #[test]
    fn an_environment_variable_is_a_place_too() {
        let (mut lines, _) = scanned("mqtt: {qos: 1}\n");
        let path = KeyPath::default().key("mqtt").key("qos");
        lines.set_by(&path, "SENSOR_BRIDGE__MQTT__QOS");
        assert_eq!(lines.place(&path).variable.as_deref(), Some("SENSOR_BRIDGE__MQTT__QOS"));
        assert_eq!(lines.place(&path).line, None);
    }

    #[test]
    fn what_is_no_yaml_for_us() {
        let deep = format!("a: {}", "[".repeat(60));
        let bomb = "a: &a [x,x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c,*c]\ne: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d,*d]\nf: [*e,*e,*e,*e,*e,*e,*e,*e,*e,*e]\n";
        for (yaml, expected) in [
            (
                "a: 1\nb:\n  c: 1\n  c: 2\n",
                "4: b.c: the key \"c\" stands here twice (first on line 3); remove one of them",
            ),
            ("a: 1\n---\nb: 1\n", "2: a second YAML document begins here"),
            ("- a\n", "1: the configuration must be a map"),
            ("text", "1: the configuration must be a map"),
            ("a: .nan\n", "1: a: \".nan\" is not a finite number"),
            ("a: 1e999\n", "1: a: \"1e999\" is not a finite number"),
            ("a: !!int x\n", "1: the YAML tag \"!int\" is not supported"),
            ("a: &x [*x]\n", "1: a[0]: the alias refers to something that contains it"),
            ("a: *x\n", "1: not valid YAML: while parsing node, found unknown anchor"),
            ("a:\n\tb: 1\n", "indent with spaces"),
            ("a: [1,\nb: 2\n", "not valid YAML"),
            ("? [a]\n: b\n", "a key must be plain text"),
            ("~: b\n", "an empty key"),
            ("mqtt.url: b\n", "unknown key \"mqtt.url\"; write `mqtt:` and below it `url:`"),
            (deep.as_str(), "nested more than 48 levels deep"),
            (bomb, "more than 200000 values"),
        ] {
            let (_, problems) = scanned(yaml);
            assert_eq!(problems.len(), 1, "{yaml}: {problems:?}");
            assert!(problems[0].contains(expected), "{yaml}: {problems:?}");
        }
    }

    #[test]
    fn nothing_is_an_empty_configuration() {
        for yaml in ["", "# only a comment\n", "---\n", "~\n"] {
            assert_eq!(scanned(yaml).1, Vec::<String>::new(), "{yaml:?}");
        }
    }
}
