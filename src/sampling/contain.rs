//! Keeps a driver's panic from being more than that sensor's error.

use std::any::Any;
use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;

use crate::sensor::SensorError;

thread_local! {
    /// This thread is inside [`contained`].
    static CONTAINED: Cell<bool> = const { Cell::new(false) };
    /// Where the last contained panic happened.
    static PLACE: Cell<Option<String>> = const { Cell::new(None) };
}

/// Makes contained panics silent; all others are reported as before.
///
/// The standard hook writes several lines for every panic: a driver that panics at each attempt would
/// fill the journal, while its state on the board says the same once. The hook is the process's; it
/// hands on whatever is not ours, so it gets along with one set before it.
pub(super) fn silence() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let others = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            if CONTAINED.try_with(Cell::get).unwrap_or(false) {
                PLACE.set(panic.location().map(|place| format!("{}:{}", place.file(), place.line())));
            } else {
                others(panic);
            }
        }));
    });
}

/// Calls into a driver; a panic becomes [`SensorError::Panicked`].
///
/// What the call was changing may be left half done: drop the device afterwards, whatever it answers.
pub(super) fn contained<T>(call: impl FnOnce() -> Result<T, SensorError>) -> Result<T, SensorError> {
    CONTAINED.set(true);
    let outcome = panic::catch_unwind(AssertUnwindSafe(call));
    CONTAINED.set(false);
    outcome.unwrap_or_else(|payload| {
        let place = PLACE.take().map(|place| format!(" (at {place})")).unwrap_or_default();
        Err(SensorError::Panicked(format!("{}{place}", message(payload.as_ref()))))
    })
}

fn message(payload: &(dyn Any + Send)) -> &str {
    payload
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("it panicked without a message")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_an_error_with_message_and_place() {
        silence();
        let text = |error: Result<(), SensorError>| error.unwrap_err().to_string();
        let formatted = text(contained(|| panic!("register {}", 7)));
        assert!(formatted.starts_with("the driver failed: register 7 (at "), "{formatted}");
        assert!(formatted.contains("contain.rs:"), "{formatted}");
        assert!(text(contained(|| panic!("plain"))).contains("plain"));
        assert!(text(contained(|| panic::panic_any(5))).contains("without a message"));
        let bus = SensorError::Bus("gone".into());
        assert_eq!(contained(|| Err::<(), _>(bus.clone())), Err(bus));
        assert_eq!(contained(|| Ok(5)), Ok(5));
    }
}
