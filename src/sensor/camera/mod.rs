//! Pictures: of a camera on a Raspberry Pi's own connector, of a USB camera, of any program that prints one,
//! or the newest file of a folder.
//!
//! A camera is a program of its own (`rpicam-still`, `ffmpeg`), since that is what each maker supports; it is
//! given a deadline and never trusted to end ([`process`]). What it prints is checked and trimmed in
//! [`picture`]. This file is the driver and its options.

mod file;
mod folder;
#[cfg(any(test, fuzzing))]
pub(super) mod fuzz;
mod picture;
mod process;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value as Json};

use super::options::{self, Size, Span, note};
use super::{Attachment, Device, Driver, DriverKind, OptionProblem, QuantityInfo, SensorError};
use crate::bus::Buses;
use crate::reading::{Measured, Value, ValueKind};
use picture::Limits;
pub(crate) use picture::preview;
use process::{Program, Stuck};

/// The registry's entry.
pub(super) const KIND: DriverKind = DriverKind {
    name: "camera",
    summary: "pictures of a CSI or USB camera, of any program that prints one, or out of a folder",
    addresses: &[],
    options: options::schema::<Options>,
    configure,
};

/// Most bytes that a program or file may have. As JSON that is 27 MB, which fits into the 32 MB that a
/// message may have unless configured otherwise.
const MOST: usize = 20_000_000;

/// Beside the program itself: to see it gone, and to decode.
const MARGIN: Duration = Duration::from_secs(5);

#[derive(Debug, Default, Deserialize, JsonSchema)]
struct Options {
    /// Number of the camera on the Pi's own connector, as `rpicam-still --list-cameras` counts; what is used
    /// unless `usb`, `command` or `folder` is given.
    #[schemars(extend("default" = 0, "minimum" = 0, "maximum" = 9))]
    camera: Option<u8>,
    /// Device of a USB camera, read through `ffmpeg`.
    #[schemars(extend("examples" = ["/dev/video0"]))]
    usb: Option<PathBuf>,
    /// Any program that prints one JPEG or PNG: a list of the program and its arguments, or a line for the
    /// shell.
    command: Option<Line>,
    /// A folder whose newest JPEG or PNG file is taken.
    #[schemars(extend("examples" = ["/srv/ftp/camera"]))]
    folder: Option<PathBuf>,
    /// Width to take the picture in, pixels. Only with `camera` and `usb`.
    #[schemars(extend("default" = 1280, "minimum" = 16, "maximum" = 16384))]
    width: Option<u32>,
    /// Height to take the picture in, pixels. Only with `camera` and `usb`.
    #[schemars(extend("default" = 720, "minimum" = 16, "maximum" = 16384))]
    height: Option<u32>,
    /// JPEG quality of `rpicam-still`, and of whatever has to be made smaller.
    #[schemars(extend("default" = 80, "minimum" = 1, "maximum" = 100))]
    quality: Option<u8>,
    /// Wider pictures are made smaller, pixels.
    #[schemars(extend("minimum" = 16, "maximum" = 16384))]
    max_width: Option<u32>,
    /// Higher pictures are made smaller, pixels.
    #[schemars(extend("minimum" = 16, "maximum" = 16384))]
    max_height: Option<u32>,
    /// Larger pictures are encoded again until they fit: with less quality, then with fewer pixels. In JSON
    /// and base64 a picture takes a third more.
    max_size: Option<Size>,
    /// Pictures of more millions of pixels are refused; each pixel takes 3 to 8 bytes of memory while it is
    /// looked at.
    #[schemars(extend("default" = 16, "minimum" = 1, "maximum" = 200))]
    max_megapixels: Option<u32>,
    /// Whether EXIF data (place, serial number, owner) may leave the device. Orientation always does.
    #[schemars(extend("default" = "strip"))]
    exif: Option<Exif>,
    /// The program is killed when it takes longer.
    #[schemars(extend("default" = "20s"))]
    deadline: Option<Span>,
}

#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(untagged)]
enum Line {
    /// A line for `/bin/sh`.
    Shell(String),
    /// Program and arguments.
    Words(Vec<String>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum Exif {
    /// Nothing of it leaves.
    Strip,
    /// It stays.
    Keep,
}

#[derive(Debug, Clone)]
enum Source {
    Program(Program),
    Folder(PathBuf),
}

#[derive(Debug)]
struct Camera {
    source: Source,
    limits: Limits,
    worker: String,
    quantities: [QuantityInfo; 1],
    /// Outlives the device, which is dropped after each failure.
    stuck: Arc<Stuck>,
}

fn configure(given: &Map<String, Json>) -> Result<Arc<dyn Driver>, Vec<OptionProblem>> {
    let (options, mut problems) = options::parse::<Options>("", given);
    let within = |number: Option<u32>, least: u32, most: u32| match number {
        Some(number) if !(least..=most).contains(&number) => {
            Err(format!("must be between {least} and {most}, not {number}"))
        }
        number => Ok(number),
    };
    let problems_of = &mut problems;
    let mut pixels = |key, number| note(problems_of, key, within(number, 16, 16_384)).flatten();
    let (width, height) = (pixels("width", options.width), pixels("height", options.height));
    let (max_width, max_height) =
        (pixels("max_width", options.max_width), pixels("max_height", options.max_height));
    let quality = note(&mut problems, "quality", within(options.quality.map(u32::from), 1, 100)).flatten();
    let megapixels = note(&mut problems, "max_megapixels", within(options.max_megapixels, 1, 200)).flatten();
    note(&mut problems, "camera", within(options.camera.map(u32::from), 0, 9));
    let size = match options.max_size {
        Some(Size(bytes)) if !(1_000..=MOST as u64).contains(&bytes) => {
            note::<()>(&mut problems, "max_size", Err("must be between 1kB and 20MB".to_owned()));
            None
        }
        size => size.map(|size| size.0),
    };
    let deadline = options.deadline.map_or(Duration::from_secs(20), |span| span.0);
    if !(Duration::from_millis(100)..=Duration::from_secs(600)).contains(&deadline) {
        note::<()>(&mut problems, "deadline", Err("must be between 100ms and 10m".to_owned()));
    }
    let quality = u8::try_from(quality.unwrap_or(80)).unwrap_or(80);
    let taken = Taken { width: width.unwrap_or(1280), height: height.unwrap_or(720), quality, deadline };
    let source = source(&options, &taken, &mut problems);
    if !problems.is_empty() {
        return Err(problems);
    }
    let (source, worker) = source;
    Ok(Arc::new(Camera {
        source,
        limits: Limits {
            pixels: u64::from(megapixels.unwrap_or(16)) * 1_000_000,
            width: max_width,
            height: max_height,
            size,
            quality,
            keep_exif: options.exif == Some(Exif::Keep),
        },
        worker,
        quantities: [QuantityInfo { name: "image".into(), unit: "B", kind: ValueKind::Image, range: None }],
        stuck: Arc::default(),
    }))
}

/// How a picture is taken.
struct Taken {
    width: u32,
    height: u32,
    quality: u8,
    deadline: Duration,
}

/// Where pictures come from, and the name of the worker that reads them: one for each camera, so that nobody
/// waits for a picture but who uses the same camera.
fn source(options: &Options, taken: &Taken, problems: &mut Vec<OptionProblem>) -> (Source, String) {
    let given = [
        ("camera", options.camera.is_some()),
        ("usb", options.usb.is_some()),
        ("command", options.command.is_some()),
        ("folder", options.folder.is_some()),
    ];
    let mut given = given.iter().filter(|(_, is_given)| *is_given).map(|(key, _)| *key);
    if let (Some(first), Some(second)) = (given.next(), given.next()) {
        problems.push(OptionProblem::new(
            second,
            format!("stands beside `{first}`: a camera is one or the other"),
        ));
    }
    if options.command.is_some() || options.folder.is_some() {
        let sizes = [("width", options.width.is_some()), ("height", options.height.is_some())];
        for (key, _) in sizes.iter().filter(|(_, is_given)| *is_given) {
            let message = format!("means nothing here; to make pictures smaller, write `max_{key}`");
            problems.push(OptionProblem::new(*key, message));
        }
    }
    let program = |name: &str, argv: Vec<String>| {
        let deadline = taken.deadline;
        Source::Program(Program { name: name.to_owned(), argv, deadline, most: MOST })
    };
    if let Some(folder) = &options.folder {
        if !folder.is_absolute() {
            let message = format!("\"{}\" does not begin with /", folder.display());
            problems.push(OptionProblem::new("folder", message));
        }
        if options.deadline.is_some() {
            problems.push(OptionProblem::new("deadline", "means nothing for a folder"));
        }
        (Source::Folder(folder.clone()), format!("folder {}", folder.display()))
    } else if let Some(line) = &options.command {
        let (argv, shown) = match line {
            Line::Shell(line) => (["/bin/sh", "-c", line].map(str::to_owned).to_vec(), line.clone()),
            Line::Words(words) => (words.clone(), words.join(" ")),
        };
        if shown.trim().is_empty() || argv.first().is_some_and(String::is_empty) {
            problems.push(OptionProblem::new("command", "is empty: name a program that prints a picture"));
        }
        let name = match line {
            Line::Words(words) => words.first().map_or("", String::as_str),
            // The first word says enough; a line may hold a password.
            Line::Shell(line) => line.split_whitespace().next().unwrap_or_default(),
        };
        let worker = format!("camera {}", shown.chars().take(60).collect::<String>());
        (program(name, argv), worker)
    } else if let Some(device) = &options.usb {
        if !device.is_absolute() {
            let message = format!("\"{}\" does not begin with /dev/", device.display());
            problems.push(OptionProblem::new("usb", message));
        }
        let device = device.display().to_string();
        (program("ffmpeg", ffmpeg(&device, taken)), format!("camera {device}"))
    } else {
        let number = options.camera.unwrap_or(0);
        (program("rpicam-still", rpicam_still(number, taken)), format!("camera {number}"))
    }
}

/// At once and without a preview: by default it would show one for five seconds.
fn rpicam_still(number: u8, taken: &Taken) -> Vec<String> {
    let Taken { width, height, quality, .. } = taken;
    let line = format!(
        "rpicam-still --camera {number} --immediate -n -o - --width {width} --height {height} -q {quality}"
    );
    line.split(' ').map(str::to_owned).collect()
}

/// The first frames of many USB cameras are dark: the tenth is taken.
fn ffmpeg(device: &str, taken: &Taken) -> Vec<String> {
    let (before, after) = (
        "ffmpeg -hide_banner -nostdin -loglevel error -f v4l2 -video_size",
        "-vf select=gte(n\\,9) -frames:v 1 -c:v mjpeg -q:v 3 -f image2pipe pipe:1",
    );
    let size = format!("{}x{}", taken.width, taken.height);
    let mut argv: Vec<String> = before.split(' ').map(str::to_owned).collect();
    argv.extend([size, "-i".to_owned(), device.to_owned()]);
    argv.extend(after.split(' ').map(str::to_owned));
    argv
}

impl Driver for Camera {
    fn name(&self) -> &'static str {
        KIND.name
    }

    fn quantities(&self) -> &[QuantityInfo] {
        &self.quantities
    }

    fn attachment(&self) -> Attachment {
        Attachment::Alone(self.worker.clone())
    }

    fn longest_read(&self) -> Duration {
        match &self.source {
            Source::Program(program) => program.deadline + MARGIN,
            Source::Folder(_) => MARGIN,
        }
    }

    fn open(&self, _: &Buses) -> Result<Box<dyn Device>, SensorError> {
        Ok(Box::new(Shutter {
            source: self.source.clone(),
            limits: self.limits.clone(),
            stuck: Arc::clone(&self.stuck),
        }))
    }
}

struct Shutter {
    source: Source,
    limits: Limits,
    stuck: Arc<Stuck>,
}

impl Device for Shutter {
    fn read(&mut self) -> Result<Vec<Measured>, SensorError> {
        let failed = |text: String| SensorError::WrongAnswer(text);
        let (bytes, of) = match &self.source {
            Source::Program(program) => {
                let bytes = program.output(&self.stuck).map_err(|error| failed(error.to_string()))?;
                (bytes, format!("what \"{}\" printed", program.name))
            }
            Source::Folder(path) => {
                let bytes = folder::newest(path, MOST).map_err(|error| failed(error.to_string()))?;
                (bytes, format!("the newest picture of {}", path.display()))
            }
        };
        let image =
            picture::make(&bytes, &self.limits).map_err(|unfit| failed(format!("{of} is {unfit}")))?;
        Ok(vec![Measured { quantity: 0, value: Value::Image(Arc::new(image)) }])
    }
}
