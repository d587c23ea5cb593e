//! `sensor-bridge init`: a first configuration, with what is connected. Asks where somebody is there to answer.

use std::fs::{self, File};
use std::io::{self, IsTerminal as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail};

use super::ask::Asker;
use super::{Global, terminal};
use crate::config::{self, Problems};
use crate::doctor::{self, State, Verdict};
use crate::setup::{self, Broker, Choices, Found};

/// Write a first configuration: what is connected, and your broker
///
/// Looks for sensors on the I2C buses, on 1-Wire and in the kernel, asks for the broker and tries it, and writes
/// the configuration. What it cannot tell apart stands in it as a comment.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sudo sensor-bridge init                    asks, and writes /etc/sensor-bridge
  sensor-bridge init --config my.yaml --yes  asks nothing
  sensor-bridge init --yes --broker mqtt://192.168.1.10 --device shed
  sensor-bridge init --print --yes           shows what it would write

An I2C address is asked by reading a byte. Where several parts are possible,
drivers that look at the part's id first are tried.")]
pub struct Args {
    /// Ask nothing: what is not given stays as it usually is
    #[arg(long, short)]
    yes: bool,
    /// Replace the file if it exists; the old one is kept beside it
    #[arg(long)]
    force: bool,
    /// Show the configuration instead of writing it
    #[arg(long)]
    print: bool,
    /// Do not look for sensors
    #[arg(long)]
    no_scan: bool,
    /// Name of this device; the host's unless given
    #[arg(long, value_name = "ID")]
    device: Option<String>,
    /// The broker: mqtt://192.168.1.10, mqtts://broker.example
    #[arg(long, value_name = "URL")]
    broker: Option<String>,
    /// User name at the broker
    #[arg(long, value_name = "NAME", requires = "broker")]
    username: Option<String>,
    /// File with the password
    #[arg(long, value_name = "FILE", requires = "username")]
    password_file: Option<String>,
    /// Topics, with {device}, {sensor} and {quantity} filled in
    #[arg(long, value_name = "TEMPLATE")]
    topic: Option<String>,
    /// Do not try to reach the broker
    #[arg(long)]
    no_test: bool,
}

/// Where the service keeps its configuration and its log.
const OF_SERVICE: (&str, &str) = ("/etc/sensor-bridge", "/var/lib/sensor-bridge/bridge.db");

/// A password that was typed goes into this file, beside the configuration.
const PASSWORD: &str = "mqtt.password";

/// Looks, asks, writes.
///
/// # Errors
/// The file exists or cannot be written; an answer that the configuration refuses.
pub fn run(args: &Args, global: &Global) -> anyhow::Result<ExitCode> {
    let path = global.path();
    if path.exists() && !args.force && !args.print {
        bail!("{}: exists already; --force replaces it and keeps the old one beside it", path.display());
    }
    let mut asker = Asker::new(!args.yes && io::stdin().is_terminal() && io::stderr().is_terminal());
    let mut found = match args.no_scan {
        true => Found::default(),
        false => setup::look(Path::new("/"), std::env::var_os("PATH").as_deref()),
    };
    tell(&found, args.no_scan);
    choose_drivers(&mut found, &mut asker)?;
    let mut choices = named(args, path, &found, &mut asker)?;
    let mut typed = None;
    loop {
        (choices.broker, typed) = broker(args, &mut asker, typed)?;
        let text = setup::propose(&choices, &found);
        let password = choices.broker.as_ref().and(typed.as_deref());
        match examine(&text, path, password, args) {
            Ok(()) => break,
            Err(why) if asker.asks() && args.broker.is_none() => {
                terminal::say(format_args!("{why:#}"));
                if choices.broker.is_some()
                    && asker.yes("Take this broker all the same?", false)?
                    && is_config(&text, path, password)
                {
                    break;
                }
            }
            Err(why) => return Err(why),
        }
    }
    if args.topic.is_some() && choices.broker.is_none() {
        bail!("--topic: without a broker nothing is published; name it with --broker");
    }
    let text = setup::propose(&choices, &found);
    if args.print {
        // A file in the making: UTF-8 in any locale.
        io::stdout().write_all(text.as_bytes())?;
        return Ok(ExitCode::SUCCESS);
    }
    if !asker.yes(&format!("Write {}?", path.display()), true)? {
        bail!("nothing was written");
    }
    write(path, &text, typed.as_deref())?;
    next(path, choices.broker.is_some());
    Ok(ExitCode::SUCCESS)
}

/// The name of the device, as given or asked for until it is one, and a folder that can be written. Asked for the
/// broker, nobody could put these right.
fn named(args: &Args, path: &Path, found: &Found, asker: &mut Asker) -> anyhow::Result<Choices> {
    loop {
        let device = match &args.device {
            Some(device) => Some(device.clone()),
            None => asker.line("Name of this device", "the host's name")?,
        };
        let choices = Choices { device, broker: None, log: log_beside(path) };
        match examine(&setup::propose(&choices, found), path, None, args) {
            Ok(()) => return Ok(choices),
            Err(why) if asker.asks() && args.device.is_none() && why.is::<Problems>() => {
                terminal::say(format_args!("{why:#}"));
            }
            Err(why) => return Err(why),
        }
    }
}

fn tell(found: &Found, silent: bool) {
    if silent {
        return;
    }
    for chip in &found.chips {
        let what = match chip.drivers.as_slice() {
            [] => "what it is cannot be told".to_owned(),
            drivers => drivers.join(" or "),
        };
        terminal::say(format_args!("found  {} {:#04x}  {what}", chip.bus, chip.address));
    }
    for sensor in found.kernel.iter().filter(|sensor| sensor.driver != "hwmon") {
        terminal::say(format_args!("found  {}  {}", sensor.driver, sensor.name));
    }
    if found.camera {
        terminal::say(format_args!("found  camera  rpicam-still"));
    }
    for trouble in &found.troubles {
        terminal::say(format_args!("not looked at: {trouble}"));
    }
    if found.buses.is_empty() && found.troubles.is_empty() {
        terminal::say(format_args!("no I2C bus; on a Raspberry Pi: sudo raspi-config nonint do_i2c 0"));
    } else if found.chips.is_empty() && found.troubles.is_empty() {
        terminal::say(format_args!("nothing answers on {}", found.buses.join(", ")));
    }
    terminal::say(format_args!("and this machine itself: load, memory, disk"));
}

/// Of parts that cannot be told apart, somebody may know which it is.
fn choose_drivers(found: &mut Found, asker: &mut Asker) -> anyhow::Result<()> {
    for chip in found.chips.iter_mut().filter(|chip| chip.drivers.len() > 1) {
        let question =
            format!("{} {:#04x}: which is it: {}?", chip.bus, chip.address, chip.drivers.join(", "));
        while let Some(answer) = asker.line(&question, "decide later")? {
            if let Some(driver) = chip.drivers.iter().find(|driver| **driver == answer) {
                chip.drivers = vec![driver];
                break;
            }
            terminal::say(format_args!("\"{answer}\" is none of them"));
        }
    }
    Ok(())
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn log_beside(path: &Path) -> PathBuf {
    let folder = folder_of(path);
    let (etc, log) = OF_SERVICE;
    match folder == Path::new(etc) {
        true => PathBuf::from(log),
        // Whoever tries it out has a log beside it, wherever the daemon is started from.
        false => std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned()).join("bridge.db"),
    }
}

/// The broker, as given or asked for, and a password that was typed.
fn broker(
    args: &Args,
    asker: &mut Asker,
    before: Option<String>,
) -> anyhow::Result<(Option<Broker>, Option<String>)> {
    let url = match &args.broker {
        Some(url) => Some(url.clone()),
        None => asker.line("MQTT broker: mqtt://192.168.1.10, mqtts://broker.example", "none")?,
    };
    let Some(url) = url else { return Ok((None, None)) };
    let url = if url.contains("://") { url } else { format!("mqtt://{url}") };
    let username = match &args.username {
        Some(name) => Some(name.clone()),
        None if args.broker.is_some() => None,
        None => asker.line("User name at the broker", "none")?,
    };
    let mut password_file = args.password_file.clone();
    let mut typed = before.filter(|_| args.broker.is_some());
    if username.is_some() && password_file.is_none() {
        if typed.is_none() {
            typed = asker.password("Password (not shown)")?;
        }
        password_file = typed.is_some().then(|| PASSWORD.to_owned());
    }
    Ok((Some(Broker { url, username, password_file, topic: args.topic.clone() }), typed))
}

/// The file under another name, checked as the daemon would; removed again.
fn trial<T>(
    text: &str,
    path: &Path,
    password: Option<&str>,
    look: impl FnOnce(&config::Config) -> T,
) -> anyhow::Result<T> {
    let folder = folder_of(path);
    let trial = Trial::make(folder, text, password)?;
    let config = config::load(&trial.config, std::iter::empty()).map_err(|mut problems| {
        // Nobody knows the other name.
        problems.file = Some(path.to_owned());
        problems
    })?;
    // Before anybody waits for a broker, and loses patience: nothing shall stay behind, least of all a password.
    drop(trial);
    Ok(look(&config))
}

/// Files that go away again.
struct Trial {
    config: PathBuf,
    password: Option<PathBuf>,
}

impl Trial {
    fn make(folder: &Path, text: &str, password: Option<&str>) -> anyhow::Result<Self> {
        let name = format!(".init-{}", std::process::id());
        let mut trial = Self { config: folder.join(format!("{name}.yaml")), password: None };
        let mut text = text.to_owned();
        if let Some(password) = password {
            let file = folder.join(format!("{name}.password"));
            let line = |file: &str| format!("password_file: {file}\n");
            text = text.replace(&line(PASSWORD), &line(&format!("{name}.password")));
            trial.password = Some(file.clone());
            secret(&file, password)?;
        }
        fs::write(&trial.config, text).with_context(|| unwritable(folder))?;
        Ok(trial)
    }
}

impl Drop for Trial {
    fn drop(&mut self) {
        for file in [Some(&self.config), self.password.as_ref()].into_iter().flatten() {
            // It is ours and small; that it could not be removed changes nothing.
            fs::remove_file(file).ok();
        }
    }
}

fn unwritable(folder: &Path) -> String {
    format!(
        "{}: cannot be written; make the folder, use sudo, or choose another place with --config",
        folder.display()
    )
}

fn is_config(text: &str, path: &Path, password: Option<&str>) -> bool {
    trial(text, path, password, |_| ()).is_ok()
}

/// Whether the daemon would take it, and the broker lets us in.
fn examine(text: &str, path: &Path, password: Option<&str>, args: &Args) -> anyhow::Result<()> {
    let try_broker =
        |config: &config::Config| (config.mqtt.is_some() && !args.no_test).then(|| doctor::broker(config));
    let verdict = match (args.print, password) {
        // Nothing is to be written, and perhaps nothing can.
        (true, None) => try_broker(&config::parse(text, std::iter::empty())?),
        _ => trial(text, path, password, try_broker)?,
    };
    match verdict {
        Some(Verdict { what, state: State::Trouble { remedy }, .. }) if args.broker.is_some() => {
            terminal::say(format_args!("broker: {what}: {remedy}"));
            terminal::say(format_args!("The configuration has it all the same."));
            Ok(())
        }
        Some(Verdict { what, state: State::Trouble { remedy }, .. }) => bail!("{what}: {remedy}"),
        Some(verdict) => {
            terminal::say(format_args!("{}", verdict.what));
            Ok(())
        }
        None => Ok(()),
    }
}

/// A file that only its owner can read.
fn secret(path: &Path, password: &str) -> anyhow::Result<()> {
    // Made anew: an old one keeps its rights.
    if let Err(error) = fs::remove_file(path)
        && error.kind() != io::ErrorKind::NotFound
    {
        return Err(error).with_context(|| format!("{}: cannot be replaced", path.display()));
    }
    let file = File::options().write(true).create_new(true).mode(0o600).open(path);
    let mut file = file.with_context(|| format!("{}: cannot be written", path.display()))?;
    file.write_all(password.as_bytes())?;
    file.sync_all()?;
    Ok(())
}

fn write(path: &Path, text: &str, password: Option<&str>) -> anyhow::Result<()> {
    let folder = folder_of(path);
    if let Some(password) = password {
        secret(&folder.join(PASSWORD), password)?;
    }
    let beside = |ending: &str| {
        let mut name = path.as_os_str().to_owned();
        name.push(ending);
        PathBuf::from(name)
    };
    let part = beside(".part");
    let mut file = File::create(&part).with_context(|| unwritable(folder))?;
    let mut put = || -> anyhow::Result<()> {
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        if path.exists() {
            // What was kept earlier stays.
            let old = std::iter::once(beside(".old"))
                .chain((2_u32..).map(|number| beside(&format!(".old.{number}"))))
                .find(|old| !old.exists())
                .context("no name is left for the old one")?;
            fs::copy(path, &old).with_context(|| old.display().to_string())?;
            terminal::say(format_args!("the old one is kept as {}", old.display()));
        }
        fs::rename(&part, path).with_context(|| path.display().to_string())?;
        File::open(folder)?.sync_all()?;
        Ok(())
    };
    let done = put();
    if done.is_err() {
        // What went wrong is told; that half a file could not be removed as well adds nothing.
        fs::remove_file(&part).ok();
    }
    done
}

fn next(path: &Path, broker: bool) {
    let of_service = path.starts_with(OF_SERVICE.0);
    let option = if of_service { String::new() } else { format!(" --config {}", path.display()) };
    terminal::say(format_args!("{} is written. Next:", path.display()));
    terminal::say(format_args!("  sensor-bridge check{option}     what would run"));
    match of_service {
        true => terminal::say(format_args!("  sudo systemctl restart sensor-bridge")),
        false => {
            terminal::say(format_args!("  sensor-bridge run{option}       in the foreground; Ctrl-C ends it"))
        }
    }
    terminal::say(format_args!("  sensor-bridge tail -f{option}   what is read"));
    if !broker {
        terminal::say(format_args!("To publish it, name your broker in the file, under mqtt."));
    }
}
