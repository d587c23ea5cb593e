//! Log lines on standard error: for people at a terminal, for the journal under systemd, or as JSON.

use std::fmt;
use std::io::IsTerminal;

use clap::ValueEnum;
use tracing::{Event, Subscriber};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;

use super::terminal::{self, Letters, Out};

/// How much is said.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum Level {
    /// What failed
    Error,
    /// And what should be looked at
    Warn,
    /// And each change of state
    Info,
    /// And each step
    Debug,
    /// And each packet
    Trace,
}

/// How it is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// As for the journal when standard error goes there, else text
    Auto,
    /// Time, level, message
    Text,
    /// A priority prefix (sd-daemon(3)) and the message; the journal adds the time
    Journal,
    /// One JSON object a line
    Json,
}

/// Starts logging for the whole process.
pub fn init(level: Level, format: Format) {
    let level = match level {
        Level::Error => LevelFilter::ERROR,
        Level::Warn => LevelFilter::WARN,
        Level::Info => LevelFilter::INFO,
        Level::Debug => LevelFilter::DEBUG,
        Level::Trace => LevelFilter::TRACE,
    };
    // The libraries' own lines repeat what the board says, and rumqttc's may carry packet contents.
    let filter = Targets::new()
        .with_default(LevelFilter::ERROR)
        .with_target("rumqttd", LevelFilter::OFF)
        .with_target("sensor_bridge", level);
    // systemd sets JOURNAL_STREAM for services whose standard error is the journal.
    let journal = std::env::var_os("JOURNAL_STREAM").is_some() && !std::io::stderr().is_terminal();
    let for_people = format == Format::Text || (format == Format::Auto && !journal);
    let letters = if for_people { terminal::letters() } else { Letters::Unicode };
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(move || Out::new(std::io::stderr(), letters))
        .with_ansi(terminal::colours(&std::io::stderr()))
        .with_target(false);
    let lines = match format {
        Format::Json => lines.json().flatten_event(true).boxed(),
        Format::Journal => lines.event_format(JournalLine).boxed(),
        Format::Auto if journal => lines.event_format(JournalLine).boxed(),
        Format::Auto | Format::Text => lines.compact().boxed(),
    };
    tracing_subscriber::registry().with(filter).with(lines).init();
}

/// `<6>message`: the prefix becomes the journal's priority.
struct JournalLine;

impl<S, N> FormatEvent<S, N> for JournalLine
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        ctx: &FmtContext<'_, S, N>,
        mut line: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let priority = match *event.metadata().level() {
            tracing::Level::ERROR => 3,
            tracing::Level::WARN => 4,
            tracing::Level::INFO => 6,
            _ => 7,
        };
        write!(line, "<{priority}>")?;
        ctx.format_fields(line.by_ref(), event)?;
        writeln!(line)
    }
}
