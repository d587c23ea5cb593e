//! The pins of the header through `rppal`.
//!
//! rppal's own debounce is not used: on a Pi the kernel does it in software and stamps the time of its
//! report, not that of the edge (`debounce_work_func`), and without a Pi nobody could test it.

pub(super) mod pwm;

use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use rppal::gpio::{Bias, Error, Event, Gpio, InputPin, Level, Mode, OutputPin, Trigger};
use rustix::io::Errno;

use super::super::BusError;
use super::drive::Drive;
use super::queue::{Edge, EdgeQueue};
use super::{Line, Pull};

/// What a pull resistor needs to move a pin with a long cable on it (50 kΩ, some nF), and some.
const SETTLING: Duration = Duration::from_millis(1);

/// A part that answers in edges has no more than these: 2 to begin, 2 for each of 40 bits, 2 to end.
const MOST_EDGES: usize = 100;

/// A watched pin.
pub(super) struct PiPin(InputPin);

/// Tells the queue when rppal's thread has ended. It ends by an error only, of which nobody is told
/// before the pin is let go; but its callback is dropped with it, and this with the callback.
struct Ending(Arc<EdgeQueue>);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.end();
    }
}

impl Line for PiPin {
    fn is_high(&self) -> bool {
        self.0.is_high()
    }
}

pub(super) fn watch(pin: u8, pull: Pull, queue: &Arc<EdgeQueue>) -> Result<PiPin, BusError> {
    let failed = |error| gpio_error(pin, &error);
    let free = Gpio::new().and_then(|gpio| gpio.get(pin)).map_err(failed)?;
    let mut input = match pull {
        Pull::Up => free.into_input_pullup(),
        Pull::Down => free.into_input_pulldown(),
        Pull::None => free.into_input(),
    };
    sleep(SETTLING);
    // An asynchronous interrupt asks the kernel for the pin on its own thread and answers Ok whatever comes of
    // it. A synchronous one makes the same request and says so when it is refused; the next call lets go of it.
    input.set_interrupt(Trigger::Both, None).map_err(failed)?;
    let ending = Ending(Arc::clone(queue));
    input
        .set_async_interrupt(Trigger::Both, None, move |event| ending.0.push(edge(event)))
        .map_err(failed)?;
    Ok(PiPin(input))
}

/// A driven pin.
pub(super) struct PiOutput(OutputPin);

impl Drive for PiOutput {
    fn set(&mut self, high: f64) -> Result<(), BusError> {
        self.0.write(if high >= 0.5 { Level::High } else { Level::Low });
        Ok(())
    }
}

pub(super) fn drive(pin: u8, high: bool) -> Result<PiOutput, BusError> {
    let free = Gpio::new().and_then(|gpio| gpio.get(pin)).map_err(|error| gpio_error(pin, &error))?;
    // The level before the direction, so that it does not flicker.
    let mut output = if high { free.into_output_high() } else { free.into_output_low() };
    // rppal would make it an input again, and what hangs on it would be nobody's.
    output.set_reset_on_drop(false);
    Ok(PiOutput(output))
}

fn edge(event: Event) -> Edge {
    Edge { high: event.trigger == Trigger::RisingEdge, at: event.timestamp, sequence: event.seqno }
}

pub(super) fn exchange(pin: u8, low: Duration, listen: Duration) -> Result<Vec<Edge>, BusError> {
    let free = Gpio::new().and_then(|gpio| gpio.get(pin)).map_err(|error| gpio_error(pin, &error))?;
    let mut line = free.into_io(Mode::Input);
    line.set_bias(Bias::PullUp);
    // Before it becomes an output, so that it is never driven high against the part.
    line.set_low();
    line.set_mode(Mode::Output);
    sleep(low);
    let mut edges = Vec::with_capacity(MOST_EDGES);
    let mut level = Level::Low;
    let start = Instant::now();
    line.set_mode(Mode::Input);
    // A part that pulls a wire up and down for ever must not keep us: both ends are bounded.
    while start.elapsed() < listen && edges.len() < MOST_EDGES {
        let now = line.read();
        if now != level {
            level = now;
            let sequence = u32::try_from(edges.len() + 1).unwrap_or(u32::MAX);
            edges.push(Edge { high: now == Level::High, at: start.elapsed(), sequence });
        }
    }
    Ok(edges)
}

fn gpio_error(pin: u8, error: &Error) -> BusError {
    BusError(match error {
        Error::UnknownModel => {
            "there are no pins here: this is no Raspberry Pi. To try without one, write bus: gpio-sim"
                .to_owned()
        }
        Error::PinUsed(_) => format!("pin {pin} is in use already by this program"),
        Error::PinNotAvailable(_) => format!("there is no pin {pin}: pins are BCM numbers, as in GPIO{pin}"),
        Error::PermissionDenied(path) => {
            format!(
                "{path} may not be opened by this user: sudo usermod -aG gpio \"$USER\", then log in again"
            )
        }
        Error::Io(error) if Errno::from_io_error(error) == Some(Errno::BUSY) => format!(
            "pin {pin} is taken by another program or a kernel driver: `gpioinfo` names it; look for a dtoverlay"
        ),
        Error::Io(error) if error.kind() == std::io::ErrorKind::NotFound => {
            crate::bus::node::absent("/dev/gpiochip0", || format!("pin {pin} cannot be used: {error}"))
        }
        Error::Io(error) => format!("pin {pin} cannot be used: {error}"),
        Error::ThreadPanic => format!("pin {pin} is watched no more: its thread failed"),
    })
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn a_pin_that_is_not_to_be_had_says_why() {
        let os = |code: Errno| Error::Io(io::Error::from(code));
        for (error, words) in [
            (Error::UnknownModel, "bus: gpio-sim"),
            (Error::PinUsed(17), "pin 17 is in use already"),
            (Error::PinNotAvailable(99), "BCM numbers"),
            (Error::PermissionDenied("/dev/gpiomem".into()), "usermod -aG gpio"),
            (os(Errno::BUSY), "taken by another program"),
            (os(Errno::NODEV), "cannot be used"),
        ] {
            let BusError(message) = gpio_error(17, &error);
            assert!(message.contains(words), "{message}");
        }
    }

    #[test]
    fn the_end_of_the_callback_is_told() {
        let queue = Arc::new(EdgeQueue::new(1));
        let ending = Ending(Arc::clone(&queue));
        let callback = move |edge| ending.0.push(edge);
        callback(Edge { high: true, at: Duration::ZERO, sequence: 1 });
        assert!(!queue.ended());
        drop(callback);
        assert!(queue.ended());
    }
}
