//! The way from a command to whoever can read the configuration again. Knows neither file nor configuration.

use std::fmt;
use std::sync::Arc;

/// Longest report of what is wrong with a configuration that goes into an answer, characters.
const LONGEST: usize = 1_000;

/// Why a configuration was not taken over.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReloadError {
    /// The file is wrong, in these words.
    #[error("the configuration is wrong and nothing was changed: {}", cut(.0))]
    Bad(String),
    /// It is right, and cannot be gone over to.
    #[error("the new configuration could not be started: {0}")]
    Failed(String),
    /// Too much is asked at once.
    #[error("another reload is under way; try again")]
    Busy,
    /// Nobody here has a file to read.
    #[error("nothing can be reloaded here")]
    Nobody,
}

/// What came of it: what changed, in a line.
pub type Reloaded = Result<String, ReloadError>;

/// Whom to ask. Cheap to clone.
#[derive(Clone, Default)]
pub struct Reload(Option<Arc<dyn Fn() -> Reloaded + Send + Sync>>);

impl Reload {
    /// Asks this; it may block until it is done, within a bound.
    pub fn by(ask: impl Fn() -> Reloaded + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(ask)))
    }

    /// Reloads; blocks until that is done.
    ///
    /// # Errors
    /// Nothing was changed, and why.
    pub(super) fn ask(&self) -> Reloaded {
        self.0.as_ref().map_or(Err(ReloadError::Nobody), |ask| ask())
    }
}

impl fmt::Debug for Reload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Reload").field(&self.0.is_some()).finish()
    }
}

/// In one line, and not all of it if it is long.
fn cut(text: &str) -> String {
    let line = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join("; ");
    match line.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}
