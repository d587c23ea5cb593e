//! What a camera and a serial port answer, out of any bytes, for `crate::fuzz`.

use super::camera::fuzz::made;
use super::pms5003::fuzz::frames;

/// A file that claims to be a picture; the same bytes as those of a particle sensor.
pub(crate) fn picture(bytes: &[u8]) {
    made(bytes);
    frames(bytes);
}
