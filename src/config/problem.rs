//! What is wrong in a configuration, and where: key path, line or environment variable, message, suggestion.
//!
//! Nothing is judged here. The other files of this room put their findings into a [`Report`], which at
//! the end knows the line of each.

use std::fmt;
use std::path::{Path, PathBuf};

use super::lines::Lines;
use super::options::OptionProblem;

/// One thing that is wrong (or, as a warning, doubtful).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Key path such as `sensors[2].driver`; empty when it concerns the whole file.
    pub path: String,
    /// Line in the file, counted from 1; of the enclosing key when the key itself is missing.
    pub line: Option<usize>,
    /// Environment variable that set the value, when it was one.
    pub variable: Option<String>,
    /// What is wrong.
    pub message: String,
    /// What to write instead, for example `did you mean "bme280"?`
    pub suggestion: Option<String>,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(variable) = &self.variable {
            write!(f, "{}: ", InOneLine(variable))?;
        }
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        write!(f, "{}", InOneLine(&self.message))?;
        match &self.suggestion {
            Some(suggestion) => write!(f, "; {}", InOneLine(suggestion)),
            None => Ok(()),
        }
    }
}

/// A text without what would move the cursor of a terminal or look like another line of the journal: names of
/// variables and values are repeated in messages, whatever stands in them.
struct InOneLine<'a>(&'a str);

impl fmt::Display for InOneLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use fmt::Write as _;
        self.0.chars().try_for_each(|letter| match letter.is_control() {
            true => write!(f, "{}", letter.escape_default()),
            false => f.write_char(letter),
        })
    }
}

/// Everything that is wrong in one configuration, in the order of the file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Problems {
    /// The file, when there is one.
    pub file: Option<PathBuf>,
    /// Never empty.
    pub list: Vec<Problem>,
}

impl Problems {
    /// A single problem that concerns the whole file.
    pub(super) fn of_file(file: &Path, message: String, suggestion: Option<String>) -> Self {
        let problem = Problem { path: String::new(), line: None, variable: None, message, suggestion };
        Self { file: Some(file.to_owned()), list: vec![problem] }
    }
}

impl fmt::Display for Problems {
    /// One line per problem: `/etc/sensor-bridge/config.yaml:14: sensors[2].driver: unknown driver …`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_located(f, self.file.as_deref(), &self.list)
    }
}

/// Writes problems (or warnings), one a line, each with its place.
pub(crate) fn write_located(f: &mut impl fmt::Write, file: Option<&Path>, list: &[Problem]) -> fmt::Result {
    for (position, problem) in list.iter().enumerate() {
        if position > 0 {
            f.write_char('\n')?;
        }
        match (file, problem.line) {
            // The variable names the place better than a file in which the value does not stand.
            _ if problem.variable.is_some() => {}
            (Some(file), Some(line)) => write!(f, "{}:{line}: ", file.display())?,
            (Some(file), None) => write!(f, "{}: ", file.display())?,
            (None, Some(line)) => write!(f, "line {line}: ")?,
            (None, None) => {}
        }
        write!(f, "{problem}")?;
    }
    Ok(())
}

/// One step of a [`KeyPath`].
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Step {
    Key(String),
    Index(usize),
}

/// Where a value stands: `sensors[2].quantities.temperature`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub(super) struct KeyPath(Vec<Step>);

impl KeyPath {
    pub(super) fn key(&self, key: &str) -> Self {
        self.with(Step::Key(key.to_owned()))
    }

    pub(super) fn index(&self, index: usize) -> Self {
        self.with(Step::Index(index))
    }

    fn with(&self, step: Step) -> Self {
        let mut steps = self.0.clone();
        steps.push(step);
        Self(steps)
    }

    pub(super) fn parent(&self) -> Option<Self> {
        let (_, init) = self.0.split_last()?;
        Some(Self(init.to_vec()))
    }

    /// The last key's name; empty for the root and for list items.
    pub(super) fn last_key(&self) -> &str {
        match self.0.last() {
            Some(Step::Key(key)) => key,
            _ => "",
        }
    }

    /// The path as the `config` crate's path language, or `None` when a key cannot be written in it.
    pub(super) fn expression(&self) -> Option<String> {
        let plain = |key: &str| {
            !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-')
        };
        let writable = self.0.iter().all(|step| match step {
            Step::Key(key) => plain(key),
            Step::Index(_) => true,
        });
        writable.then(|| self.to_string())
    }
}

impl fmt::Display for KeyPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, step) in self.0.iter().enumerate() {
            match step {
                Step::Index(index) => write!(f, "[{index}]")?,
                Step::Key(key) => {
                    if position > 0 {
                        f.write_str(".")?;
                    }
                    let quote = key.is_empty()
                        || key.chars().any(|c| c.is_whitespace() || c.is_control() || ".[]\":".contains(c));
                    if quote { write!(f, "{key:?}")? } else { f.write_str(key)? }
                }
            }
        }
        Ok(())
    }
}

/// A file that the configuration names and that has to be read for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedFile {
    /// Key path: `mqtt.password_file`.
    pub key: String,
    /// As it is written there.
    pub named: String,
    /// Where it was found.
    pub path: PathBuf,
}

/// Collects what the steps of reading a configuration find.
#[derive(Debug, Default)]
pub(super) struct Report {
    problems: Vec<Finding>,
    warnings: Vec<Finding>,
    files: Vec<NamedFile>,
}

#[derive(Debug)]
struct Finding {
    path: KeyPath,
    line: Option<usize>,
    variable: Option<String>,
    message: String,
    suggestion: Option<String>,
}

impl Finding {
    fn new(path: &KeyPath, message: String, suggestion: Option<String>) -> Self {
        Self { path: path.clone(), line: None, variable: None, message, suggestion }
    }
}

impl Report {
    /// Problems with the options of the section at `path`. The shape check may have said the same in other words, and
    /// taken the value out.
    pub(super) fn options(&mut self, path: &KeyPath, problems: Vec<OptionProblem>) {
        for problem in problems {
            let steps = problem.key.split('.').filter(|step| !step.is_empty());
            let at = steps.fold(path.clone(), |path, step| path.key(step));
            if !self.has_problem_at(&at) {
                self.problem(&at, problem.message);
            }
        }
    }

    /// Something is wrong at `path`.
    pub(super) fn problem(&mut self, path: &KeyPath, message: impl Into<String>) {
        self.problems.push(Finding::new(path, message.into(), None));
    }

    /// Something is wrong at `path`, and we know what would be right.
    pub(super) fn suggest(
        &mut self,
        path: &KeyPath,
        message: impl Into<String>,
        suggestion: impl Into<Option<String>>,
    ) {
        self.problems.push(Finding::new(path, message.into(), suggestion.into()));
    }

    /// Something is wrong at a line that no key path leads to (a syntax error, a repeated key).
    pub(super) fn at_line(&mut self, path: &KeyPath, line: usize, message: String, hint: Option<String>) {
        self.problems.push(Finding { line: Some(line), ..Finding::new(path, message, hint) });
    }

    /// An environment variable that cannot be used at all.
    pub(super) fn at_variable(&mut self, variable: &str, message: String, hint: Option<String>) {
        let finding = Finding::new(&KeyPath::default(), message, hint);
        self.problems.push(Finding { variable: Some(variable.to_owned()), ..finding });
    }

    /// Allowed, but the person should know.
    pub(super) fn warn(&mut self, path: &KeyPath, message: impl Into<String>) {
        self.warnings.push(Finding::new(path, message.into(), None));
    }

    /// A file that is read.
    pub(super) fn reads(&mut self, path: &KeyPath, named: &str, file: &Path) {
        self.files.push(NamedFile { key: path.to_string(), named: named.to_owned(), path: file.to_owned() });
    }

    /// A file that cannot be read.
    pub(super) fn unreadable(&mut self, path: &KeyPath, file: &Path, error: &std::io::Error) {
        let hint = "use sudo; if the service says this, give it the right (chgrp sensor-bridge, chmod 640), or restart it \
                    where systemd hands the file over";
        let denied = error.kind() == std::io::ErrorKind::PermissionDenied;
        let message = format!("{} cannot be read: {error}", quoted(&file.to_string_lossy()));
        self.suggest(path, message, denied.then(|| hint.to_owned()));
    }

    /// The files that were read, so far.
    pub(super) fn files(&self) -> &[NamedFile] {
        &self.files
    }

    pub(super) fn has_problems(&self) -> bool {
        !self.problems.is_empty()
    }

    /// Whether something at or below `path` is known to be wrong.
    pub(super) fn has_problem_at(&self, path: &KeyPath) -> bool {
        self.problems.iter().any(|finding| finding.path.0.starts_with(&path.0))
    }

    /// Problems and warnings with their places, each in the order of the file.
    pub(super) fn finish(self, lines: &Lines) -> (Vec<Problem>, Vec<Problem>) {
        (locate(self.problems, lines), locate(self.warnings, lines))
    }
}

fn locate(findings: Vec<Finding>, lines: &Lines) -> Vec<Problem> {
    let mut list: Vec<Problem> = findings
        .into_iter()
        .map(|finding| {
            let place = lines.place(&finding.path);
            let variable = finding.variable.or(place.variable);
            // A value from the environment has no line, whatever stands in the file beside it.
            let line = if variable.is_some() { None } else { finding.line.or(place.line) };
            Problem {
                path: finding.path.to_string(),
                line,
                variable,
                message: finding.message,
                suggestion: finding.suggestion,
            }
        })
        .collect();
    // Stable: findings on one line stay in the order found. What has no line comes first.
    list.sort_by_key(|problem| problem.line);
    list
}

/// `did you mean "…"?` for the candidate nearest to `wrong`, if one is near.
pub(super) fn did_you_mean<'a>(wrong: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    nearest(wrong, known).map(|name| format!("did you mean \"{name}\"?"))
}

fn nearest<'a>(wrong: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let wrong = wrong.to_lowercase();
    known
        .into_iter()
        .map(|name| (strsim::damerau_levenshtein(&wrong, &name.to_lowercase()), name))
        // A third of the letters may be wrong; beyond that a suggestion misleads.
        .filter(|(distance, name)| *distance <= name.chars().count().max(wrong.chars().count()) / 3)
        .min()
        .map(|(_, name)| name)
}

/// `did you mean …?` or else the whole choice.
pub(super) fn did_you_mean_or_list(wrong: &str, known: &[&str]) -> Option<String> {
    did_you_mean(wrong, known.iter().copied())
        .or_else(|| (!known.is_empty()).then(|| format!("possible: {}", known.join(", "))))
}

/// `text` in quotes, with control characters made visible, cut to what fits a line.
pub(super) fn quoted(text: &str) -> String {
    const LONGEST: usize = 80;
    if text.chars().count() <= LONGEST {
        return format!("\"{}\"", escape(text));
    }
    let cut: String = text.chars().take(LONGEST).collect();
    format!("\"{}…\"", escape(&cut))
}

fn escape(text: &str) -> String {
    text.chars()
        .flat_map(|c| if c.is_control() { c.escape_default().collect::<Vec<_>>() } else { vec![c] })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_read_like_the_file() {
        let path = KeyPath::default().key("sensors").index(2).key("quantities").key("pm2.5");
        assert_eq!(path.to_string(), "sensors[2].quantities.\"pm2.5\"");
        assert_eq!(path.expression(), None);
        assert_eq!(path.parent().and_then(|p| p.expression()).as_deref(), Some("sensors[2].quantities"));
    }

    #[test]
    fn only_near_names_are_suggested() {
        let known = ["bme280", "ads1115", "host"];
        assert_eq!(did_you_mean("bme208", known).as_deref(), Some("did you mean \"bme280\"?"));
        assert_eq!(did_you_mean("Host", known).as_deref(), Some("did you mean \"host\"?"));
        assert_eq!(did_you_mean("camera", known), None);
    }

    #[test]
    fn a_problem_names_its_place() {
        let problem = Problem {
            path: "sensors[2].driver".into(),
            line: Some(14),
            variable: None,
            message: "unknown driver \"bme208\"".into(),
            suggestion: Some("did you mean \"bme280\"?".into()),
        };
        let problems = Problems { file: Some("/etc/c.yaml".into()), list: vec![problem] };
        assert_eq!(
            problems.to_string(),
            "/etc/c.yaml:14: sensors[2].driver: unknown driver \"bme208\"; did you mean \"bme280\"?"
        );
    }
}
