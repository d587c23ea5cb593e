//! A shared I2C bus as drivers see it: an owned handle that implements embedded-hal's `I2c`.
//!
//! The lock is taken per transaction and never held across a driver's sleep, so that a sensor that
//! converts for 100 ms does not keep its neighbours waiting.

use std::fmt;
use std::sync::{Arc, Mutex};

use embedded_hal::i2c::{ErrorKind, ErrorType, I2c, NoAcknowledgeSource, Operation};

use super::{BusName, lock};

/// The three transfers that every controller of a Pi can do. Buffers are never empty.
pub(super) trait Line: Send {
    fn write(&mut self, address: u8, bytes: &[u8]) -> Result<(), I2cError>;
    fn read(&mut self, address: u8, buffer: &mut [u8]) -> Result<(), I2cError>;
    /// Write, repeated start, read: no stop in between.
    fn write_read(&mut self, address: u8, bytes: &[u8], buffer: &mut [u8]) -> Result<(), I2cError>;
    /// Whether somebody acknowledges the address.
    fn probe(&mut self, address: u8) -> Result<(), I2cError> {
        self.read(address, &mut [0])
    }
}

/// A transfer that failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct I2cError {
    kind: ErrorKind,
    kernels: bool,
    message: String,
}

impl I2cError {
    pub(super) fn no_acknowledge(address: u8) -> Self {
        // Linux does not say whether the address or a data byte went unanswered.
        let kind = ErrorKind::NoAcknowledge(NoAcknowledgeSource::Unknown);
        Self { kind, kernels: false, message: format!("address {address:#04x} does not acknowledge") }
    }

    /// A driver of the kernel has the address.
    pub(super) fn kernels(message: String) -> Self {
        Self { kind: ErrorKind::Other, kernels: true, message }
    }

    /// Whether a driver of the kernel has the address.
    pub fn is_kernels(&self) -> bool {
        self.kernels
    }

    /// A transfer that failed for this reason, in words.
    pub fn other(message: impl Into<String>) -> Self {
        Self { kind: ErrorKind::Other, kernels: false, message: message.into() }
    }
}

impl embedded_hal::i2c::Error for I2cError {
    fn kind(&self) -> ErrorKind {
        self.kind
    }
}

/// One I2C bus. Cheap to clone; every clone is the same bus.
#[derive(Clone)]
pub struct I2cBus {
    name: BusName,
    line: Arc<Mutex<dyn Line>>,
}

impl fmt::Debug for I2cBus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "I2cBus({})", self.name)
    }
}

impl I2cBus {
    pub(super) fn new(name: BusName, line: Arc<Mutex<dyn Line>>) -> Self {
        Self { name, line }
    }

    /// What the bus is called.
    pub fn name(&self) -> BusName {
        self.name
    }

    /// Whether somebody acknowledges the address.
    pub(super) fn probe(&self, address: u8) -> Result<(), I2cError> {
        lock(&self.line).probe(address)
    }
}

impl ErrorType for I2cBus {
    type Error = I2cError;
}

impl I2c for I2cBus {
    /// Does what the operations say, with nobody else on the bus in between.
    ///
    /// Neighbouring operations of one direction are one transfer (embedded-hal's contract). A Pi's
    /// controller joins one write and one read by a repeated start and refuses anything longer
    /// (`bcm2835_i2c_xfer` in the kernel), so longer chains are cut, with a stop, after each read.
    fn transaction(&mut self, address: u8, operations: &mut [Operation<'_>]) -> Result<(), I2cError> {
        let mut line = lock(&self.line);
        let mut rest = operations;
        while !rest.is_empty() {
            let writes = rest.iter().take_while(|operation| matches!(operation, Operation::Write(_))).count();
            let reads =
                rest[writes..].iter().take_while(|operation| matches!(operation, Operation::Read(_))).count();
            let (step, after) = std::mem::take(&mut rest).split_at_mut(writes + reads);
            transfer(&mut *line, address, step)?;
            rest = after;
        }
        Ok(())
    }
}

/// One step: any number of writes, then any number of reads, of which either may be missing.
fn transfer(line: &mut dyn Line, address: u8, step: &mut [Operation<'_>]) -> Result<(), I2cError> {
    let mut bytes = Vec::new();
    let mut expected = 0;
    for operation in step.iter() {
        match operation {
            Operation::Write(part) => bytes.extend_from_slice(part),
            Operation::Read(part) => expected += part.len(),
        }
    }
    let mut buffer = vec![0; expected];
    match (bytes.is_empty(), buffer.is_empty()) {
        (false, true) => line.write(address, &bytes)?,
        (true, false) => line.read(address, &mut buffer)?,
        (false, false) => line.write_read(address, &bytes, &mut buffer)?,
        (true, true) => {
            return Err(I2cError::other(format!(
                "a transfer of no bytes to address {address:#04x} is not possible on this bus"
            )));
        }
    }
    let mut received = buffer.as_slice();
    for operation in step {
        if let Operation::Read(part) = operation {
            let (own, after) = received.split_at(part.len());
            part.copy_from_slice(own);
            received = after;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes down what reaches the wire; reads count up.
    #[derive(Default)]
    struct Wire {
        seen: Vec<String>,
        next: u8,
    }

    impl Wire {
        fn answer(&mut self, buffer: &mut [u8]) {
            for byte in buffer {
                self.next += 1;
                *byte = self.next;
            }
        }
    }

    impl Line for Wire {
        fn write(&mut self, _: u8, bytes: &[u8]) -> Result<(), I2cError> {
            self.seen.push(format!("W{bytes:?}"));
            Ok(())
        }

        fn read(&mut self, _: u8, buffer: &mut [u8]) -> Result<(), I2cError> {
            self.seen.push(format!("R{}", buffer.len()));
            self.answer(buffer);
            Ok(())
        }

        fn write_read(&mut self, _: u8, bytes: &[u8], buffer: &mut [u8]) -> Result<(), I2cError> {
            self.seen.push(format!("W{bytes:?}R{}", buffer.len()));
            self.answer(buffer);
            Ok(())
        }
    }

    fn run(operations: &mut [Operation<'_>]) -> (Result<(), I2cError>, Vec<String>) {
        let wire = Arc::new(Mutex::new(Wire::default()));
        let result = I2cBus::new(BusName::Sim(1), wire.clone()).transaction(0x40, operations);
        let seen = std::mem::take(&mut lock(&wire).seen);
        (result, seen)
    }

    #[test]
    fn transactions_reach_the_wire_in_steps_that_a_pi_can_do() {
        use Operation::{Read, Write};
        let (mut a, mut b) = ([0; 2], [0; 1]);
        let mut cases: Vec<(Vec<Operation<'_>>, &[&str])> = vec![
            (vec![], &[]),
            (vec![Write(&[1, 2])], &["W[1, 2]"]),
            (vec![Write(&[1]), Write(&[2])], &["W[1, 2]"]),
            (vec![Write(&[1]), Read(&mut a)], &["W[1]R2"]),
            (vec![Read(&mut b), Write(&[1])], &["R1", "W[1]"]),
        ];
        for (operations, expected) in &mut cases {
            let (result, seen) = run(operations);
            assert_eq!(result, Ok(()));
            assert_eq!(seen, *expected);
        }
    }

    #[test]
    fn a_long_chain_is_cut_and_its_bytes_land_in_the_right_buffers() {
        let (mut a, mut b, mut c) = ([0; 2], [0; 1], [0; 1]);
        let (result, seen) = run(&mut [
            Operation::Write(&[7]),
            Operation::Read(&mut a),
            Operation::Read(&mut b),
            Operation::Write(&[8]),
            Operation::Read(&mut c),
        ]);
        assert_eq!(result, Ok(()));
        assert_eq!(seen, ["W[7]R3", "W[8]R1"]);
        assert_eq!((a, b, c), ([1, 2], [3], [4]));
    }

    #[test]
    fn a_transfer_of_nothing_is_refused() {
        let (result, seen) = run(&mut [Operation::Write(&[])]);
        assert!(result.unwrap_err().to_string().contains("no bytes"));
        assert!(seen.is_empty());
    }
}
