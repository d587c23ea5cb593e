//! A serial port: raw bytes, 8 data bits, no parity, one stop bit, no flow control, and no wait without an end.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::termios::{ControlModes, OptionalActions, QueueSelector, tcflush, tcgetattr, tcsetattr};

use super::{BusError, node};

/// An opened port. Closed when dropped.
#[derive(Debug)]
pub struct SerialPort {
    path: String,
    file: File,
}

/// A transfer that failed, worded for a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SerialError(String);

impl fmt::Display for SerialError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for SerialError {}

impl SerialPort {
    /// Opens a port (`/dev/serial0`, `/dev/ttyUSB0`) at this many baud; what had arrived before is dropped.
    pub fn open(path: &str, baud: u32) -> Result<Self, BusError> {
        // Not our controlling terminal, and no waiting for a carrier.
        let flags = (OFlags::NOCTTY | OFlags::NONBLOCK).bits();
        let flags = i32::try_from(flags).map_err(|error| BusError(format!("{path}: {error}")))?;
        let opened = OpenOptions::new().read(true).write(true).custom_flags(flags).open(path);
        let file = opened.map_err(|error| BusError(open_error(path, &error)))?;
        set_up(&file, baud).map_err(|error| BusError(set_up_error(path, baud, error)))?;
        Ok(Self { path: path.to_owned(), file })
    }

    /// Its path.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Drops what has arrived and was not read.
    pub fn discard(&mut self) -> Result<(), SerialError> {
        tcflush(&self.file, QueueSelector::IFlush).map_err(|error| self.gone(&error.into()))
    }

    /// Reads what there is, waiting at most until `deadline` for the first byte; 0 when nothing came.
    pub fn read(&mut self, buffer: &mut [u8], deadline: Instant) -> Result<usize, SerialError> {
        loop {
            if !self.wait(PollFlags::IN, deadline)? {
                return Ok(0);
            }
            match self.file.read(buffer) {
                // The other end was unplugged (USB) or closed (a pseudo-terminal).
                Ok(0) => return Err(self.gone(&Errno::NODEV.into())),
                Ok(count) => return Ok(count),
                Err(error) if is_temporary(&error) => {}
                Err(error) => return Err(self.gone(&error)),
            }
        }
    }

    /// Writes all of it, until `deadline` at most.
    pub fn write(&mut self, mut bytes: &[u8], deadline: Instant) -> Result<(), SerialError> {
        while !bytes.is_empty() {
            if !self.wait(PollFlags::OUT, deadline)? {
                return Err(SerialError(format!("{} does not take what is sent", self.path)));
            }
            match self.file.write(bytes) {
                Ok(count) => bytes = &bytes[count..],
                Err(error) if is_temporary(&error) => {}
                Err(error) => return Err(self.gone(&error)),
            }
        }
        Ok(())
    }

    /// Whether it became ready by then.
    fn wait(&self, wanted: PollFlags, deadline: Instant) -> Result<bool, SerialError> {
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let left = Timespec::try_from(left.min(Duration::from_secs(60))).ok();
            let mut descriptors = [PollFd::new(&self.file, wanted)];
            match poll(&mut descriptors, left.as_ref()) {
                Ok(0) if Instant::now() >= deadline => return Ok(false),
                Ok(0) | Err(Errno::INTR) => {}
                // An error or a hang-up shows at the read or write that follows.
                Ok(_) => return Ok(true),
                Err(error) => return Err(self.gone(&error.into())),
            }
        }
    }

    fn gone(&self, error: &io::Error) -> SerialError {
        SerialError(format!("{}: {error}; is it still plugged in?", self.path))
    }
}

fn is_temporary(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

fn set_up(file: &File, baud: u32) -> Result<(), Errno> {
    let mut settings = tcgetattr(file)?;
    settings.make_raw();
    settings.control_modes -= ControlModes::PARENB | ControlModes::CSTOPB | ControlModes::CRTSCTS;
    settings.control_modes |= ControlModes::CREAD | ControlModes::CLOCAL;
    settings.set_speed(baud)?;
    tcsetattr(file, OptionalActions::Now, &settings)?;
    tcflush(file, QueueSelector::IOFlush)
}

fn open_error(path: &str, error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => node::absent(path, || {
            format!(
                "no {path}: is the serial port enabled? On a Raspberry Pi: sudo raspi-config nonint do_serial_hw 0 and \
                 do_serial_cons 1, then restart"
            )
        }),
        io::ErrorKind::PermissionDenied => format!(
            "{path} may not be opened by this user: sudo usermod -aG dialout \"$USER\", then log in again"
        ),
        _ => format!("{path} cannot be opened: {error}"),
    }
}

fn set_up_error(path: &str, baud: u32, error: Errno) -> String {
    match error {
        Errno::NOTTY => format!("{path} is no serial port"),
        _ => format!("{path} cannot be set to {baud} baud: {error}"),
    }
}

#[cfg(test)]
pub(crate) mod testing {
    //! The far end of a port: what a test lets the device say.

    use std::fs::File;

    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

    /// A pseudo-terminal: the device's end, and the path of ours.
    pub(crate) fn pair() -> (File, String) {
        let device = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&device).unwrap();
        unlockpt(&device).unwrap();
        let path = ptsname(&device, Vec::new()).unwrap().into_string().unwrap();
        (File::from(device), path)
    }
}

#[cfg(test)]
mod tests {
    use super::testing::pair;
    use super::*;

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(10)
    }

    #[test]
    fn bytes_pass_unchanged_both_ways_and_silence_ends() {
        let (mut device, path) = pair();
        let mut port = SerialPort::open(&path, 9600).unwrap();
        // What a terminal would change: line ends, an interrupt, the eighth bit.
        let bytes = [0x0D, 0x0A, 0x03, 0x11, 0x7F, 0xFF, 0x00];
        port.write(&bytes, soon()).unwrap();
        let mut seen = [0; 7];
        device.read_exact(&mut seen).unwrap();
        assert_eq!(seen, bytes);

        device.write_all(&bytes).unwrap();
        let mut received = Vec::new();
        while received.len() < bytes.len() {
            let mut buffer = [0; 16];
            let count = port.read(&mut buffer, soon()).unwrap();
            assert!(count > 0, "{received:?}");
            received.extend_from_slice(&buffer[..count]);
        }
        assert_eq!(received, bytes);

        let begin = Instant::now();
        let patience = Duration::from_millis(30);
        assert_eq!(port.read(&mut [0], begin + patience), Ok(0));
        assert!(begin.elapsed() >= patience && begin.elapsed() < Duration::from_secs(5));
    }

    #[test]
    fn a_port_that_goes_away_is_an_error() {
        let (device, path) = pair();
        let mut port = SerialPort::open(&path, 9600).unwrap();
        drop(device);
        let error = port.read(&mut [0], soon()).unwrap_err().to_string();
        assert!(error.contains("is it still plugged in?"), "{error}");
    }

    #[test]
    fn what_is_no_port_says_so() {
        let error = |path| SerialPort::open(path, 9600).unwrap_err().to_string();
        assert!(error("/dev/none").contains("no /dev/none: is the serial port enabled?"));
        assert!(error("/dev/null").contains("is no serial port"));
    }
}
