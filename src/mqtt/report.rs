//! What the bridge says of itself beside `online` and `offline`: when, and who writes it. What is in it is not
//! known here.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// A payload that is made anew every so often, and published retained.
#[derive(Clone)]
pub struct Report {
    /// How often.
    pub every: Duration,
    /// Makes it; called on the publisher's thread, so it must not wait.
    pub make: Arc<dyn Fn() -> Vec<u8> + Send + Sync>,
}

impl fmt::Debug for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Report").field("every", &self.every).finish_non_exhaustive()
    }
}
