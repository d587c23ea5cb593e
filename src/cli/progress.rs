//! A line on the terminal that says how far something is, how fast, and how long it will take; silent when nobody
//! watches.

use std::cell::RefCell;
use std::io::{IsTerminal as _, Write};
use std::rc::Rc;
use std::time::{Duration, Instant};

/// What takes less is not worth a line.
const FIRST: Duration = Duration::from_millis(500);
const BETWEEN: Duration = Duration::from_millis(100);
const WIDTH: usize = 20;

/// Before this much is done nobody can tell how long the rest will take.
const KNOWN: f64 = 0.01;

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Counted {
    /// Things of this name.
    Things(&'static str),
    Bytes,
}

/// A progress bar on standard error.
#[derive(Debug)]
pub struct Progress {
    what: &'static str,
    counted: Counted,
    begun: Instant,
    next: Instant,
    /// Columns of the longest line shown.
    shown: usize,
    terminal: bool,
}

impl Progress {
    /// A bar for `what` is being done to `things`: "exporting", "readings".
    pub fn new(what: &'static str, things: &'static str) -> Self {
        Self::of(what, Counted::Things(things))
    }

    /// A bar for `what` is being done to bytes.
    pub fn bytes(what: &'static str) -> Self {
        Self::of(what, Counted::Bytes)
    }

    fn of(what: &'static str, counted: Counted) -> Self {
        let (begun, terminal) = (Instant::now(), std::io::stderr().is_terminal());
        Self { what, counted, begun, next: begun + FIRST, shown: 0, terminal }
    }

    /// Takes the line away for good.
    pub fn end(&mut self) {
        self.clear();
        self.terminal = false;
    }

    /// So much of so much is done.
    pub fn update(&mut self, done: u64, total: u64) {
        let part = if total == 0 { 0.0 } else { done as f64 / total as f64 };
        self.update_part(part, done);
    }

    /// This part is done, which were so many.
    pub fn update_part(&mut self, part: f64, done: u64) {
        let now = Instant::now();
        if !self.terminal || now < self.next {
            return;
        }
        self.next = now + BETWEEN;
        let line = line(self.what, part.clamp(0.0, 1.0), done, self.counted, now - self.begun);
        // What is left of a longer line before is blanked.
        self.shown = self.shown.max(line.len());
        // A terminal that is gone gets no bar.
        write!(std::io::stderr(), "\r{line:width$}", width = self.shown).ok();
    }

    /// Takes the line away, for something else to be said.
    pub fn clear(&mut self) {
        if self.shown > 0 {
            write!(std::io::stderr(), "\r{:1$}\r", "", self.shown).ok();
            self.shown = 0;
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.clear();
    }
}

/// A bar beside standard output: where both are the same terminal, the bar goes when the first line comes.
#[derive(Debug)]
pub struct Beside<W> {
    out: W,
    bar: Rc<RefCell<Progress>>,
    is_same: bool,
}

impl<W: Write> Beside<W> {
    /// The writer, and the bar for whoever does the work. `is_output`: what is written goes to standard output.
    pub fn new(out: W, bar: Progress, is_output: bool) -> (Self, Rc<RefCell<Progress>>) {
        let bar = Rc::new(RefCell::new(bar));
        (Self { out, bar: bar.clone(), is_same: is_output && std::io::stdout().is_terminal() }, bar)
    }

    /// What it wrote to; the bar is gone.
    pub fn into_inner(self) -> W {
        self.bar.borrow_mut().end();
        self.out
    }
}

impl<W: Write> Write for Beside<W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if self.is_same && !bytes.is_empty() {
            self.bar.borrow_mut().end();
        }
        self.out.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.out.flush()
    }
}

/// At most 79 columns, and plain ASCII.
fn line(what: &str, part: f64, done: u64, counted: Counted, took: Duration) -> String {
    let full = (part * WIDTH as f64) as usize;
    let mut line =
        format!("{what} [{}{}] {:3.0} %", "=".repeat(full), " ".repeat(WIDTH - full), part * 100.0);
    let seconds = took.as_secs_f64().max(0.001);
    let rate = done as f64 / seconds;
    match counted {
        Counted::Things(things) => line.push_str(&format!("  {rate:.0} {things}/s")),
        Counted::Bytes => line.push_str(&format!("  {:.1} MB/s", rate / 1e6)),
    }
    if (KNOWN..1.0).contains(&part) {
        line.push_str(&format!("  {} left", length(seconds * (1.0 - part) / part)));
    }
    line
}

fn length(seconds: f64) -> String {
    let seconds = seconds.ceil() as u64;
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, seconds) => format!("{seconds} s"),
        (0, minutes, seconds) => format!("{minutes} m {seconds} s"),
        (hours, minutes, _) => format!("{hours} h {minutes} m"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines() {
        let second = Duration::from_secs(1);
        let things = Counted::Things("readings");
        assert_eq!(line("x", 0.0, 0, things, second), format!("x [{}]   0 %  0 readings/s", " ".repeat(20)));
        assert_eq!(
            line("x", 0.5, 5_000_000, Counted::Bytes, second * 90),
            format!("x [{}{}]  50 %  0.1 MB/s  1 m 30 s left", "=".repeat(10), " ".repeat(10))
        );
        assert_eq!(line("x", 1.0, 7, things, second), format!("x [{}] 100 %  7 readings/s", "=".repeat(20)));
        let longest = line("exporting", 0.011, 999_999 * 5_000, things, second * 5_000);
        assert!(longest.len() < 80 && longest.ends_with("  124 h 52 m left"), "{longest}");
    }
}
