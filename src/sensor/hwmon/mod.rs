//! Whatever the kernel's hardware monitoring drives, by name: temperatures, fans, voltages, currents of chips
//! with a kernel driver (Documentation/hwmon/sysfs-interface.rst). The `host` driver reads all that this
//! machine has; this one reads what is named, and says so when it is gone.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value as Json};

use super::options::{self, note};
use super::sysfs::{Each, ask, entries, identifier, plugged_at, text};
use super::{Attachment, Device, Driver, DriverKind, OptionProblem, QuantityInfo, SensorError};
use crate::bus::Buses;
use crate::reading::{Measured, ValueKind};

/// The registry's entry.
pub(super) const KIND: DriverKind = DriverKind {
    name: "hwmon",
    summary: "a chip that the kernel monitors (hwmon), by name: temperatures, fans, voltages, currents, power",
    addresses: &[],
    options: options::schema::<Options>,
    configure,
};

/// Where the kernel shows the chips.
const CHIPS: &str = "sys/class/hwmon";

/// Inputs of a chip: how the file begins, the unit, and how many of the kernel's are in one (1 for a count).
pub(super) const INPUTS: [(&str, &str, f64); 7] = [
    ("temp", "°C", 1000.0),
    ("fan", "rpm", 1.0),
    ("in", "V", 1000.0),
    ("curr", "A", 1000.0),
    ("power", "W", 1_000_000.0),
    ("humidity", "%", 1000.0),
    ("energy", "J", 1_000_000.0),
];

#[derive(Debug, Default, Deserialize, JsonSchema)]
struct Options {
    /// The chip's name, as in /sys/class/hwmon/*/name.
    #[schemars(required, extend("examples" = ["nvme"]))]
    chip: Option<String>,
    /// Where it is plugged in, if several chips have that name: for example 1-0048, nvme0.
    #[schemars(extend("examples" = ["1-0048"]))]
    at: Option<String>,
    /// Inputs to read, by file (temp1, fan1, in0) or by label (temp:Composite).
    #[schemars(required, extend("minItems" = 1, "uniqueItems" = true, "examples" = [["temp1", "fan1"]]))]
    inputs: Option<Vec<String>>,
}

/// One input, as it is written in the configuration.
#[derive(Debug, Clone, PartialEq)]
struct Input {
    /// Position in [`INPUTS`].
    kind: usize,
    which: Which,
}

#[derive(Debug, Clone, PartialEq)]
enum Which {
    Numbered(u32),
    Labelled(String),
}

impl Input {
    fn parse(written: &str) -> Result<Self, String> {
        let kind = |prefix: &str| INPUTS.iter().position(|(name, ..)| *name == prefix);
        let parsed = match written.split_once(':') {
            Some((prefix, label)) if !identifier(label).is_empty() => {
                kind(prefix).map(|kind| Self { kind, which: Which::Labelled(label.trim().to_owned()) })
            }
            Some(_) => None,
            None => numbered(written).map(|(kind, number)| Self { kind, which: Which::Numbered(number) }),
        };
        parsed.ok_or_else(|| {
            format!(
                "\"{written}\" is no input: write for example temp1, fan1, in0, or by label temp:Composite"
            )
        })
    }

    fn quantity(&self) -> QuantityInfo {
        let (prefix, unit, _) = INPUTS[self.kind];
        let name = match &self.which {
            Which::Numbered(number) => format!("{prefix}{number}"),
            Which::Labelled(label) => identifier(label),
        };
        QuantityInfo { name: name.into(), unit, kind: ValueKind::Float, range: None }
    }

    fn written(&self) -> String {
        let prefix = INPUTS[self.kind].0;
        match &self.which {
            Which::Numbered(number) => format!("{prefix}{number}"),
            Which::Labelled(label) => format!("{prefix}:{label}"),
        }
    }
}

/// `temp1` → which of [`INPUTS`], and its number.
pub(super) fn numbered(name: &str) -> Option<(usize, u32)> {
    let digits = name.find(|c: char| c.is_ascii_digit())?;
    let kind = INPUTS.iter().position(|(prefix, ..)| *prefix == &name[..digits])?;
    let number =
        name[digits..].bytes().all(|b| b.is_ascii_digit()).then(|| name[digits..].parse().ok())??;
    Some((kind, number))
}

#[derive(Debug)]
struct Hwmon {
    /// `/`; a made-up tree in tests.
    root: PathBuf,
    chip: String,
    at: Option<String>,
    inputs: Vec<Input>,
    quantities: Vec<QuantityInfo>,
}

fn configure(given: &Map<String, Json>) -> Result<Arc<dyn Driver>, Vec<OptionProblem>> {
    configure_at(Path::new("/"), given)
}

fn configure_at(root: &Path, given: &Map<String, Json>) -> Result<Arc<dyn Driver>, Vec<OptionProblem>> {
    let (options, mut problems) = options::parse::<Options>("", given);
    let inputs = options.inputs.and_then(|written| note(&mut problems, "inputs", chosen(&written)));
    match (options.chip, inputs) {
        (Some(chip), Some(inputs)) if problems.is_empty() => {
            let quantities = inputs.iter().map(Input::quantity).collect();
            Ok(Arc::new(Hwmon { root: root.to_owned(), chip, at: options.at, inputs, quantities }))
        }
        _ => Err(problems),
    }
}

fn chosen(written: &[String]) -> Result<Vec<Input>, String> {
    let inputs = written.iter().map(|one| Input::parse(one)).collect::<Result<Vec<_>, _>>()?;
    if inputs.is_empty() {
        return Err("names no input: write for example [temp1, fan1]".to_owned());
    }
    let names: Vec<_> = inputs.iter().map(|input| input.quantity().name).collect();
    match names.iter().enumerate().find(|(index, name)| names[..*index].contains(name)) {
        Some((_, twice)) => Err(format!("has two inputs that would be called {twice}")),
        None => Ok(inputs),
    }
}

/// A chip that the kernel monitors.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Found {
    pub(super) name: String,
    /// `1-0048`, `nvme0`; chips of the processor have none.
    pub(super) place: Option<String>,
    directory: PathBuf,
    /// Each input by number, and by label where it has one.
    pub(super) inputs: Vec<String>,
}

/// Every chip under this root.
pub(super) fn find(root: &Path) -> Vec<Found> {
    let chip = |(_, directory): (String, PathBuf)| {
        let inputs = entries(&directory).into_iter().filter_map(|(file, _)| {
            let (kind, number) = numbered(file.strip_suffix("_input")?)?;
            let prefix = INPUTS[kind].0;
            Some(match text(&directory.join(format!("{prefix}{number}_label"))) {
                Some(label) => format!("{prefix}:{label}"),
                None => format!("{prefix}{number}"),
            })
        });
        Some(Found {
            name: text(&directory.join("name"))?,
            place: plugged_at(&directory.join("device")),
            inputs: inputs.collect(),
            directory,
        })
    };
    entries(&root.join(CHIPS)).into_iter().filter_map(chip).collect()
}

impl Found {
    /// The file of an input, if the chip has it.
    fn file(&self, input: &Input) -> Option<PathBuf> {
        let prefix = INPUTS[input.kind].0;
        let labelled = |label: &str| {
            entries(&self.directory).into_iter().find_map(|(file, path)| {
                let number = file.strip_prefix(prefix)?.strip_suffix("_label")?.to_owned();
                (text(&path)? == label).then_some(number)
            })
        };
        let number = match &input.which {
            Which::Numbered(number) => number.to_string(),
            Which::Labelled(label) => labelled(label)?,
        };
        let file = self.directory.join(format!("{prefix}{number}_input"));
        file.exists().then_some(file)
    }
}

impl Hwmon {
    fn chip(&self) -> Result<Found, SensorError> {
        let all = find(&self.root);
        let wanted = |found: &&Found| {
            found.name == self.chip && (self.at.is_none() || found.place.as_deref() == self.at.as_deref())
        };
        let found: Vec<&Found> = all.iter().filter(wanted).collect();
        let list = |found: &mut dyn Iterator<Item = &Found>| -> String {
            let name = |one: &Found| match &one.place {
                Some(place) => format!("{} (at {place})", one.name),
                None => one.name.clone(),
            };
            found.map(name).collect::<Vec<_>>().join(", ")
        };
        match found.as_slice() {
            [only] => Ok((*only).clone()),
            [] if all.is_empty() => Err(SensorError::Bus(format!(
                "the kernel monitors no chip {}, nor any other: is its driver loaded?",
                self.chip
            ))),
            [] => Err(SensorError::Bus(format!(
                "the kernel monitors no chip {}{}; there are {}",
                self.chip,
                self.at.as_ref().map(|at| format!(" at {at}")).unwrap_or_default(),
                list(&mut all.iter())
            ))),
            several => Err(SensorError::WrongAnswer(format!(
                "several chips are called {}: say which with `at`; there are {}",
                self.chip,
                list(&mut several.iter().copied())
            ))),
        }
    }
}

impl Driver for Hwmon {
    fn name(&self) -> &'static str {
        KIND.name
    }

    fn quantities(&self) -> &[QuantityInfo] {
        &self.quantities
    }

    fn attachment(&self) -> Attachment {
        Attachment::Worker("hwmon")
    }

    /// Looks the chip up by name: the kernel numbers them anew whenever a module is loaded.
    fn open(&self, _: &Buses) -> Result<Box<dyn Device>, SensorError> {
        let chip = self.chip()?;
        let file = |input: &Input| match chip.file(input) {
            Some(path) => Ok(File { input: input.clone(), path }),
            None => Err(SensorError::WrongAnswer(format!(
                "{} has no input {}: there are {}",
                self.chip,
                input.written(),
                chip.inputs.join(", ")
            ))),
        };
        let files = self.inputs.iter().map(file).collect::<Result<Vec<_>, _>>()?;
        Ok(Box::new(Opened { chip: self.chip.clone(), files: Each::new(files) }))
    }
}

struct Opened {
    chip: String,
    files: Each<File>,
}

struct File {
    input: Input,
    path: PathBuf,
}

impl File {
    fn read(&self, chip: &str) -> Result<f64, SensorError> {
        let part = format!("{chip}, input {}", self.input.written());
        let text = ask(&self.path, &part)?;
        let number: i64 = text.parse().map_err(|_| {
            SensorError::WrongAnswer(format!("{part} reads {text:?}, which is no whole number"))
        })?;
        Ok(number as f64 / INPUTS[self.input.kind].2)
    }
}

impl Device for Opened {
    fn read(&mut self) -> Result<Vec<Measured>, SensorError> {
        self.files.read(|file| file.read(&self.chip))
    }
}

#[cfg(test)]
mod tests;
