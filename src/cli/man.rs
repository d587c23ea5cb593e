//! `sensor-bridge man`: the manual pages, made of what the command line says of itself. What is true of the
//! program as a whole (signals, files, exit codes) stands here.

use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Command;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, roman};

use super::{Global, terminal, whole};

/// Write the manual pages, one for each command
///
/// The Debian package brings them along. A page carries the date of SOURCE_DATE_EPOCH, if that is set.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sensor-bridge man /usr/local/share/man/man1
  sensor-bridge man . && man ./sensor-bridge-query.1")]
pub struct Args {
    /// Folder, which is made
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

/// Sections of the page of the whole program, in man(7)'s language.
const OF_THE_PROGRAM: &str = r#".SH ENVIRONMENT
.TP
.B SENSOR_BRIDGE_CONFIG
The configuration file, as
.BR \-\-config .
.TP
.B SENSOR_BRIDGE_LOG
How much is said, as
.BR \-\-log\-level .
.TP
.BI SENSOR_BRIDGE__ KEY
Any key of the configuration:
.B SENSOR_BRIDGE__MQTT__URL=mqtt://other
.TP
.B NO_COLOR
If set, nothing is coloured.
.TP
.BR LC_ALL ", " LC_CTYPE ", " LANG
Unless they name UTF\-8, what is written for people is spelled in ASCII (degC); JSON and CSV are always UTF\-8.
.SH SIGNALS
TERM and INT store and publish what is there and leave within 10 s. HUP takes over what changed in the
configuration and touches nothing else. USR1 writes the state of every part to the journal.
.SH EXIT STATUS
0 done, 1 failed (of
.BR status :
something does not work, or no daemon runs), 2 wrong usage, 78 wrong configuration.
.SH FILES
.TP
.I /etc/sensor\-bridge/config.yaml
The configuration.
.TP
.I /etc/sensor\-bridge/mqtt.password
The password at the broker, if the configuration says
.BR "password_file: mqtt.password" .
.TP
.I /var/lib/sensor\-bridge/bridge.db
The log: an SQLite file with the views
.B readings
and
.BR messages .
.TP
.I /run/sensor\-bridge/status.sock
Where the daemon answers
.B status
and
.BR why .
"#;

/// Writes.
///
/// # Errors
/// A file cannot be written.
pub fn run(args: &Args, _global: &Global) -> anyhow::Result<ExitCode> {
    let folder = &args.folder;
    fs::create_dir_all(folder).with_context(|| format!("{}: cannot be made", folder.display()))?;
    let date = date(std::env::var("SOURCE_DATE_EPOCH").ok().as_deref());
    let pages = pages(&date)?;
    for (name, page) in &pages {
        let path = folder.join(name);
        fs::write(&path, page).with_context(|| format!("{}: cannot be written", path.display()))?;
    }
    terminal::say(format_args!("{} pages written to {}", pages.len(), folder.display()));
    Ok(ExitCode::SUCCESS)
}

/// `2026-11-20` of seconds since the Unix epoch; empty without.
fn date(seconds: Option<&str>) -> String {
    let time = seconds.and_then(|text| jiff::Timestamp::from_second(text.parse().ok()?).ok());
    time.map(|time| time.strftime("%Y-%m-%d").to_string()).unwrap_or_default()
}

/// File names and texts of all pages.
fn pages(date: &str) -> io::Result<Vec<(String, Vec<u8>)>> {
    // A page is the long help.
    let mut whole = whole().disable_help_subcommand(true).mut_args(|one| one.hide_short_help(false));
    whole.build();
    let mut found = Vec::new();
    gather(&whole, &mut Vec::new(), date, &mut found)?;
    Ok(found)
}

fn gather(
    command: &Command,
    above: &mut Vec<String>,
    date: &str,
    found: &mut Vec<(String, Vec<u8>)>,
) -> io::Result<()> {
    above.push(command.get_name().to_owned());
    let name = above.join("-");
    let text = page(command, &name, above.len() == 1, date)?;
    found.push((format!("{name}.1"), text));
    for inner in command.get_subcommands().filter(|inner| !inner.is_hide_set()) {
        gather(inner, above, date, found)?;
    }
    above.pop();
    Ok(())
}

fn page(command: &Command, name: &str, whole: bool, date: &str) -> io::Result<Vec<u8>> {
    let source = format!("sensor-bridge {}", env!("CARGO_PKG_VERSION"));
    let man = Man::new(command.clone()).title(name).date(date).source(source).manual("User Commands");
    let mut out = Vec::new();
    man.render_title(&mut out)?;
    man.render_name_section(&mut out)?;
    man.render_synopsis_section(&mut out)?;
    man.render_description_section(&mut out)?;
    if whole {
        out.extend(b"The Debian package runs it as the service\n.BR sensor\\-bridge.service .\n");
    }
    if command.has_subcommands() {
        man.render_subcommands_section(&mut out)?;
    }
    man.render_options_section(&mut out)?;
    let after = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    after_help(&after, &mut out)?;
    match whole {
        true => {
            out.extend(OF_THE_PROGRAM.as_bytes());
            see_also(&["/usr/share/doc/sensor-bridge/README.md and the pages beside it"], &mut out)?;
        }
        false => see_also(&["sensor-bridge(1)"], &mut out)?,
    }
    Ok(out)
}

/// The text below the options: examples line by line, the rest as running text.
fn after_help(text: &str, out: &mut dyn Write) -> io::Result<()> {
    let mut roff = Roff::new();
    for paragraph in text.split("\n\n").filter(|paragraph| !paragraph.trim().is_empty()) {
        let (first, rest) = paragraph.split_once('\n').unwrap_or((paragraph, ""));
        if let Some(status) = paragraph.strip_prefix("Exit code: ") {
            roff.control("SH", ["EXIT STATUS"]).text([roman(status.replace('\n', " "))]);
        } else if first == "Examples:" {
            roff.control("SH", ["EXAMPLES"]).control("nf", []);
            for line in rest.lines() {
                roff.text([roman(line.strip_prefix("  ").unwrap_or(line))]);
            }
            roff.control("fi", []);
        } else {
            roff.control("SH", ["NOTES"]).text([roman(paragraph.replace('\n', " "))]);
        }
    }
    roff.to_writer(out)
}

fn see_also(what: &[&str], out: &mut dyn Write) -> io::Result<()> {
    let mut roff = Roff::new();
    roff.control("SH", ["SEE ALSO"]);
    for one in what {
        roff.text([roman(*one)]);
    }
    roff.to_writer(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_has_a_page_with_its_examples() {
        let pages = pages("2026-11-20").unwrap();
        let text = |name: &str| {
            let page = pages.iter().find(|(file, _)| file == name).unwrap_or_else(|| panic!("no {name}"));
            String::from_utf8(page.1.clone()).unwrap()
        };
        assert!(!pages.iter().any(|(name, _)| name.contains("help")));
        for (name, page) in &pages {
            let page = String::from_utf8(page.clone()).unwrap();
            assert!(page.contains("2026-11-20"), "{name}: {page}");
            for section in ["NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "EXAMPLES"] {
                assert!(page.contains(&format!(".SH {section}\n")), "{name} has no {section}: {page}");
            }
        }
        assert!(text("sensor-bridge.1").contains("USR1"));
        assert!(text("sensor-bridge-buffer-status.1").contains("jq .waiting"));
        assert!(text("sensor-bridge-check.1").contains(".SH \"EXIT STATUS\""));
    }

    #[test]
    fn dates() {
        assert_eq!(date(Some("1795132800")), "2026-11-20");
        assert_eq!(date(Some("x")), "");
        assert_eq!(date(None), "");
    }
}
