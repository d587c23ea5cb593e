//! A line on the terminal that says how far something is; silent when nobody watches.

use std::io::{IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

/// What takes less is not worth a line.
const FIRST: Duration = Duration::from_millis(500);
const BETWEEN: Duration = Duration::from_millis(100);
const WIDTH: usize = 30;

/// A progress bar on standard error.
#[derive(Debug)]
pub struct Progress {
    what: &'static str,
    next: Instant,
    shown: bool,
    terminal: bool,
}

impl Progress {
    /// A bar for `what` is being done: "exporting".
    pub fn new(what: &'static str) -> Self {
        let terminal = std::io::stderr().is_terminal();
        Self { what, next: Instant::now() + FIRST, shown: false, terminal }
    }

    /// So much of so much is done.
    pub fn update(&mut self, done: u64, total: u64) {
        if !self.terminal || Instant::now() < self.next {
            return;
        }
        self.next = Instant::now() + BETWEEN;
        self.shown = true;
        eprint!("\r{}", bar(self.what, done, total));
        // A terminal that is gone gets no bar.
        std::io::stderr().flush().ok();
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.shown {
            eprint!("\r{:1$}\r", "", self.what.len() + WIDTH + 9);
        }
    }
}

fn bar(what: &str, done: u64, total: u64) -> String {
    let part = if total == 0 { 0.0 } else { (done as f64 / total as f64).min(1.0) };
    let full = (part * WIDTH as f64) as usize;
    format!("{what} [{}{}] {:3.0} %", "=".repeat(full), " ".repeat(WIDTH - full), part * 100.0)
}

#[cfg(test)]
mod tests {
    #[test]
    fn bars() {
        assert_eq!(super::bar("x", 0, 0), format!("x [{}]   0 %", " ".repeat(30)));
        assert_eq!(super::bar("x", 1, 2), format!("x [{}{}]  50 %", "=".repeat(15), " ".repeat(15)));
        assert_eq!(super::bar("x", 9, 2), format!("x [{}] 100 %", "=".repeat(30)));
    }
}
