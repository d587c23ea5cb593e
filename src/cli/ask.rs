//! Questions to somebody at a terminal. Where nobody is there, nobody is asked.

use std::io::{self, BufRead as _, Read as _, Write as _};

use anyhow::bail;
use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, tcgetattr, tcsetattr};

use super::terminal::{self, letters, spelled};

/// Longest answer, bytes.
const LONGEST: u64 = 4096;

/// Asks on standard error, reads standard input.
#[derive(Debug)]
pub struct Asker {
    asks: bool,
}

impl Asker {
    /// Asks only if `asks`; else every answer is the usual one.
    pub fn new(asks: bool) -> Self {
        Self { asks }
    }

    /// Whether anybody is asked.
    pub fn asks(&self) -> bool {
        self.asks
    }

    /// Asks for a line; `None` when it is empty, which stands for `usual`.
    ///
    /// # Errors
    /// The input has ended.
    pub fn line(&mut self, question: &str, usual: &str) -> anyhow::Result<Option<String>> {
        if !self.asks {
            return Ok(None);
        }
        let question = format!("{question} [{usual}]: ");
        write!(io::stderr(), "{}", spelled(&question, letters()))?;
        let mut answer = String::new();
        if io::stdin().lock().take(LONGEST).read_line(&mut answer)? == 0 {
            bail!("stopped; nothing was written");
        }
        Ok(Some(answer.trim().to_owned()).filter(|answer| !answer.is_empty()))
    }

    /// Asks for a yes; an empty answer is `usual`, and so is that of nobody, which is taken for a yes to what is safe.
    ///
    /// # Errors
    /// As [`Asker::line`].
    pub fn yes(&mut self, question: &str, usual: bool) -> anyhow::Result<bool> {
        let shown = if usual { "Y/n" } else { "y/N" };
        loop {
            match self.line(question, shown)?.map(|answer| answer.to_lowercase()).as_deref() {
                None => return Ok(usual),
                Some("y" | "yes") => return Ok(true),
                Some("n" | "no") => return Ok(false),
                Some(_) => terminal::say("y or n, please"),
            }
        }
    }

    /// Asks for a secret, which is not shown.
    ///
    /// # Errors
    /// As [`Asker::line`]; also Ctrl-C, so that the terminal is left as it was.
    pub fn password(&mut self, question: &str) -> anyhow::Result<Option<String>> {
        if !self.asks {
            return Ok(None);
        }
        // Before the question: whoever is quick must not see the first letters, nor lose them.
        let silent = Silent::begin()?;
        write!(io::stderr(), "{question} [none]: ")?;
        let answer = typed();
        drop(silent);
        writeln!(io::stderr())?;
        Ok(Some(answer?).filter(|answer| !answer.is_empty()))
    }
}

/// Letter by letter, for the terminal does not know the line any more.
fn typed() -> anyhow::Result<String> {
    const INTERRUPT: u8 = 3;
    const END: u8 = 4;
    let mut answer = Vec::new();
    for byte in io::stdin().lock().take(LONGEST).bytes() {
        match byte? {
            b'\r' | b'\n' => return Ok(String::from_utf8(answer)?),
            INTERRUPT | END => bail!("stopped; nothing was written"),
            8 | 127 => {
                // A whole letter, of however many bytes.
                while answer.pop().is_some_and(|last| last & 0xC0 == 0x80) {}
            }
            other => answer.push(other),
        }
    }
    bail!("stopped; nothing was written")
}

/// A terminal that shows nothing, and becomes as it was in the end.
struct Silent(rustix::termios::Termios);

impl Silent {
    fn begin() -> io::Result<Self> {
        let before = tcgetattr(io::stdin())?;
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG);
        silent.special_codes[SpecialCodeIndex::VMIN] = 1;
        silent.special_codes[SpecialCodeIndex::VTIME] = 0;
        tcsetattr(io::stdin(), OptionalActions::Flush, &silent)?;
        Ok(Self(before))
    }
}

impl Drop for Silent {
    fn drop(&mut self) {
        // A terminal that is gone needs no putting right.
        tcsetattr(io::stdin(), OptionalActions::Flush, &self.0).ok();
    }
}
