//! Pictures out of any bytes, for `crate::fuzz`.

use super::picture::{Limits, make, preview};

/// A file that claims to be a picture, small enough for the patience of whoever tries millions.
pub(crate) fn made(bytes: &[u8]) {
    let limits = Limits {
        pixels: 10_000,
        width: Some(64),
        height: None,
        size: Some(4_000),
        quality: 80,
        keep_exif: false,
    };
    if let Ok(image) = make(bytes, &limits) {
        assert!(image.bytes.len() <= 4_000, "{} bytes", image.bytes.len());
        let again = make(&image.bytes, &limits);
        assert!(again.is_ok(), "what was made cannot be read: {again:?}");
    }
    drop(preview(bytes, 16));
}
