//! Adds what a value does not know of itself: when it was taken, how far that time can be trusted, and
//! (through its channel) where. Never waits.

pub mod clock;
mod stamp;
mod sync;

pub use stamp::stamp;
pub use sync::SyncWatch;
