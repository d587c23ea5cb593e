//! Frames of a particle sensor out of any bytes, for `crate::fuzz`.

use super::frame::Scanner;

/// What comes over the wire.
pub(crate) fn frames(bytes: &[u8]) {
    let mut scanner = Scanner::default();
    for byte in bytes {
        scanner.push(*byte);
    }
    assert!(scanner.garbage <= bytes.len());
}
