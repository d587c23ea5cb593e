//! From bytes that claim to be a picture to one that may be sent: whole, decodable, small enough, and without
//! what would tell on its owner. Does no I/O.

use std::io::Cursor;

use image::codecs::jpeg::JpegEncoder;
use image::metadata::Orientation;
use image::{DynamicImage, ImageFormat, ImageReader};
use sha2::Digest;

use super::file::{self, Broken, Layout};
use crate::config::size;
use crate::reading::Image;
use crate::reading::picture::{ContentType, Sha256, THUMBNAIL_SIDE, Thumbnail};

/// Smaller than this nothing is worth sending, pixels.
const SMALLEST: u32 = 32;

/// Attempts to make a picture fit; each is a good deal smaller than the one before.
const ATTEMPTS: usize = 12;

/// Quality below which pixels are given up instead.
const LOWEST_QUALITY: u8 = 50;

/// What a picture must fit.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Limits {
    /// Most pixels that are decoded: each takes three to eight bytes of memory meanwhile.
    pub pixels: u64,
    /// Larger pictures are made smaller, pixels.
    pub width: Option<u32>,
    /// Larger pictures are made smaller, pixels.
    pub height: Option<u32>,
    /// Larger files are made smaller, bytes.
    pub size: Option<u64>,
    /// JPEG quality of what is made smaller, 1 … 100.
    pub quality: u8,
    /// Whether EXIF data may leave the device.
    pub keep_exif: bool,
}

/// Why there is no picture. Worded so that the same trouble gives the same words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unfit {
    #[error("{0}")]
    Broken(#[from] Broken),
    #[error("damaged: it cannot be decoded")]
    Undecodable,
    #[error("of more pixels than `max_megapixels` allows ({} MP)", .0 / 1_000_000)]
    TooManyPixels(u64),
    #[error("larger than `max_size` ({}) however small it is made", size::show(*.0))]
    TooLarge(u64),
}

/// Makes a picture of a file.
pub(super) fn make(bytes: &[u8], limits: &Limits) -> Result<Image, Unfit> {
    let mut layout = file::layout(bytes)?;
    let completed = file::completed(bytes, &layout, &usual_tables());
    let bytes = completed.as_deref().unwrap_or(bytes);
    if completed.is_some() {
        layout = file::layout(bytes)?;
    }
    if u64::from(layout.width) * u64::from(layout.height) > limits.pixels {
        return Err(Unfit::TooManyPixels(limits.pixels));
    }
    let bytes = layout.whole(bytes);
    let orientation = layout.exif.clone().and_then(|exif| Orientation::from_exif_chunk(&bytes[exif]));
    let orientation = orientation.unwrap_or(Orientation::NoTransforms);
    let decoded = decode(bytes, &layout, limits)?;
    let thumbnail = thumbnail(&decoded);

    let untouched = match limits.keep_exif {
        true => bytes.to_vec(),
        false => layout.public(bytes, orientation.to_exif()),
    };
    let upright = orientation == Orientation::NoTransforms || layout.content_type == ContentType::Jpeg;
    let (shown_width, shown_height) = match swaps(orientation) {
        true => (layout.height, layout.width),
        false => (layout.width, layout.height),
    };
    let wide = limits.width.is_some_and(|most| shown_width > most);
    let high = limits.height.is_some_and(|most| shown_height > most);
    let heavy = limits.size.is_some_and(|most| untouched.len() as u64 > most);
    let (bytes, content_type, width, height) = if wide || high || heavy || !(upright || limits.keep_exif) {
        let (bytes, width, height) = smaller(decoded, orientation, limits)?;
        (bytes, ContentType::Jpeg, width, height)
    } else {
        (untouched, layout.content_type, layout.width, layout.height)
    };
    let sha256 = Sha256(sha2::Sha256::digest(&bytes).into());
    Ok(Image { content_type, width, height, sha256, bytes, thumbnail: Some(thumbnail) })
}

/// A picture of the log made as small as a preview, an upright JPEG. `None` when it is not worth decoding: it is too
/// large for the memory of a small machine, small already, or no picture.
pub(crate) fn preview(bytes: &[u8], height: u32) -> Option<Vec<u8>> {
    /// Decoded, this takes at most some 16 MB.
    const PIXELS: u64 = 4_000_000;
    let layout = file::layout(bytes).ok()?;
    if u64::from(layout.width) * u64::from(layout.height) > PIXELS || layout.height <= height {
        return None;
    }
    let orientation = layout.exif.clone().and_then(|exif| Orientation::from_exif_chunk(&bytes[exif]));
    let limits = Limits {
        pixels: PIXELS,
        width: None,
        height: Some(height),
        size: None,
        quality: 75,
        keep_exif: false,
    };
    let decoded = decode(layout.whole(bytes), &layout, &limits).ok()?;
    let made = smaller(decoded, orientation.unwrap_or(Orientation::NoTransforms), &limits).ok()?;
    Some(made.0)
}

fn decode(bytes: &[u8], layout: &Layout, limits: &Limits) -> Result<DynamicImage, Unfit> {
    let format = match layout.content_type {
        ContentType::Jpeg => ImageFormat::Jpeg,
        ContentType::Png => ImageFormat::Png,
    };
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    let mut bounds = image::Limits::default();
    // Four channels of 16 bits, and what the decoder needs beside them.
    bounds.max_alloc = Some(limits.pixels.saturating_mul(8).saturating_add(16 << 20));
    reader.limits(bounds);
    reader.decode().map_err(|error| {
        tracing::debug!("camera: {error}");
        Unfit::Undecodable
    })
}

/// The Huffman tables that everybody uses, the encoder among them.
fn usual_tables() -> Vec<u8> {
    let mut bytes = Vec::new();
    let pixel = DynamicImage::new_rgb8(1, 1);
    let encoded = pixel.write_with_encoder(JpegEncoder::new(&mut bytes));
    match (encoded, file::layout(&bytes)) {
        (Ok(()), Ok(layout)) => {
            layout.tables.iter().flat_map(|table| &bytes[table.clone()]).copied().collect()
        }
        // Then such a picture stays as it is.
        _ => Vec::new(),
    }
}

/// Whether width and height change places.
fn swaps(orientation: Orientation) -> bool {
    orientation.to_exif() >= 5
}

fn thumbnail(decoded: &DynamicImage) -> Box<Thumbnail> {
    let small = decoded.thumbnail_exact(THUMBNAIL_SIDE, THUMBNAIL_SIDE).to_luma8();
    let mut thumbnail: Box<Thumbnail> = Box::new([0; 1024]);
    thumbnail.iter_mut().zip(small.as_raw()).for_each(|(pixel, grey)| *pixel = *grey);
    thumbnail
}

/// An upright JPEG within the limits, and its size in pixels.
fn smaller(
    mut decoded: DynamicImage,
    orientation: Orientation,
    limits: &Limits,
) -> Result<(Vec<u8>, u32, u32), Unfit> {
    let (mut most_wide, mut most_high) =
        (limits.width.unwrap_or(u32::MAX), limits.height.unwrap_or(u32::MAX));
    if swaps(orientation) {
        std::mem::swap(&mut most_wide, &mut most_high);
    }
    if decoded.width() > most_wide || decoded.height() > most_high {
        decoded = decoded.thumbnail(most_wide.min(decoded.width()), most_high.min(decoded.height()));
    }
    // Turned only now: there is less to turn.
    decoded.apply_orientation(orientation);
    if decoded.color().has_alpha() || decoded.color().bytes_per_pixel() > 3 {
        decoded = DynamicImage::ImageRgb8(decoded.to_rgb8());
    }
    let mut quality = limits.quality;
    for _ in 0..ATTEMPTS {
        let mut bytes = Vec::new();
        let encoder = JpegEncoder::new_with_quality(&mut bytes, quality);
        decoded.write_with_encoder(encoder).map_err(|_| Unfit::Undecodable)?;
        let Some(most) = limits.size.filter(|most| bytes.len() as u64 > *most) else {
            return Ok((bytes, decoded.width(), decoded.height()));
        };
        if quality > LOWEST_QUALITY {
            quality = quality.saturating_sub(20).max(LOWEST_QUALITY);
            continue;
        }
        // Bytes go about with the number of pixels.
        let factor = ((most as f64 / bytes.len() as f64).sqrt() * 0.95).clamp(0.25, 0.9);
        let (width, height) = (f64::from(decoded.width()) * factor, f64::from(decoded.height()) * factor);
        if width.max(height) < f64::from(SMALLEST) {
            return Err(Unfit::TooLarge(most));
        }
        decoded = decoded.thumbnail(width.max(1.0) as u32, height.max(1.0) as u32);
    }
    Err(Unfit::TooLarge(limits.size.unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{jpeg_with_exif, noise_jpeg, picture_jpeg, picture_png};
    use super::*;

    fn limits() -> Limits {
        Limits { pixels: 1_000_000, width: None, height: None, size: None, quality: 80, keep_exif: false }
    }

    fn digest(bytes: &[u8]) -> Sha256 {
        Sha256(sha2::Sha256::digest(bytes).into())
    }

    #[test]
    fn a_picture_that_fits_is_not_encoded_again() {
        for (file, content_type) in
            [(picture_jpeg(64, 48), ContentType::Jpeg), (picture_png(64, 48), ContentType::Png)]
        {
            let limits =
                Limits { width: Some(64), height: Some(48), size: Some(file.len() as u64), ..limits() };
            let made = make(&file, &limits).unwrap();
            assert_eq!((made.content_type, made.width, made.height), (content_type, 64, 48));
            assert_eq!(made.bytes, file);
            assert_eq!(made.sha256, digest(&file));
        }
    }

    #[test]
    fn large_pictures_become_smaller_and_keep_their_shape() {
        for file in [picture_jpeg(640, 320), picture_png(640, 320)] {
            let made = make(&file, &Limits { width: Some(100), ..limits() }).unwrap();
            assert_eq!((made.content_type, made.width, made.height), (ContentType::Jpeg, 100, 50));
            let layout = file::layout(&made.bytes).unwrap();
            assert_eq!((layout.width, layout.height), (100, 50));
            let made = make(&file, &Limits { height: Some(32), ..limits() }).unwrap();
            assert_eq!((made.width, made.height), (64, 32));
        }
    }

    #[test]
    fn previews_are_small_upright_and_only_of_what_is_worth_it() {
        let small = preview(&picture_png(640, 320), 100).unwrap();
        let layout = file::layout(&small).unwrap();
        assert_eq!((layout.content_type, layout.width, layout.height), (ContentType::Jpeg, 200, 100));
        // 40 × 20, shown upright it is 20 × 40.
        let turned = file::layout(&preview(&jpeg_with_exif(6), 10).unwrap()).unwrap();
        assert_eq!((turned.width, turned.height), (5, 10));
        assert_eq!(preview(&picture_jpeg(64, 48), 48), None);
        assert_eq!(preview(&picture_png(2001, 2000), 100), None);
        assert_eq!(preview(b"no picture", 100), None);
    }

    #[test]
    fn files_are_made_to_fit_their_size_or_refused() {
        let file = noise_jpeg(640, 480, 95);
        for size in [100_000, 20_000, 3_000] {
            let made = make(&file, &Limits { size: Some(size), quality: 95, ..limits() }).unwrap();
            assert!(made.bytes.len() as u64 <= size, "{} of {size}", made.bytes.len());
            assert!(made.bytes.len() as u64 > size / 8, "{} of {size}: needlessly small", made.bytes.len());
            image::load_from_memory(&made.bytes).unwrap();
        }
        let error = make(&file, &Limits { size: Some(300), ..limits() }).unwrap_err();
        assert_eq!(error.to_string(), "larger than `max_size` (300B) however small it is made");
    }

    #[test]
    fn what_is_no_picture_says_why() {
        let file = picture_jpeg(64, 48);
        let mut spoiled = picture_png(64, 48);
        let middle = spoiled.len() / 2;
        spoiled[middle] ^= 0x55;
        for (bytes, expected) in [
            (&b""[..], "neither JPEG nor PNG"),
            (b"Traceback (most recent call last)", "neither JPEG nor PNG"),
            (&file[..file.len() / 2], "cut off before its end"),
            (&file[..file.len() - 1], "cut off before its end"),
            (&spoiled, "damaged: it cannot be decoded"),
        ] {
            assert_eq!(make(bytes, &limits()).unwrap_err().to_string(), expected);
        }
        let error = make(&picture_png(1001, 1000), &limits()).unwrap_err().to_string();
        assert_eq!(error, "of more pixels than `max_megapixels` allows (1 MP)");
        // The header alone is enough to say so: 60,000 × 60,000 pixels in a few bytes.
        let mut bomb = picture_jpeg(8, 8);
        let at = bomb.windows(2).position(|marker| marker == [0xff, 0xc0]).unwrap();
        bomb[at + 5..at + 9].copy_from_slice(&[0xea, 0x60, 0xea, 0x60]);
        assert_eq!(make(&bomb, &limits()), Err(Unfit::TooManyPixels(1_000_000)));
    }

    #[test]
    fn exif_goes_unless_it_is_wanted_and_the_picture_stays_upright() {
        // 6: the camera was held upright, turn by 90° to show it.
        let file = jpeg_with_exif(6);
        let made = make(&file, &limits()).unwrap();
        assert!(!made.bytes.windows(6).any(|window| window == b"SERIAL"));
        assert!(file::layout(&made.bytes).unwrap().exif.is_some(), "the orientation stays");
        assert_eq!((made.width, made.height), (40, 20));

        let kept = make(&file, &Limits { keep_exif: true, ..limits() }).unwrap();
        assert_eq!(kept.bytes, file);

        // Made smaller, it is turned for good.
        let small = make(&file, &Limits { width: Some(10), keep_exif: true, ..limits() }).unwrap();
        assert_eq!((small.width, small.height), (10, 20));
        assert!(file::layout(&small.bytes).unwrap().exif.is_none());
        // Upright it is 20 wide: nothing to do.
        assert_eq!(make(&file, &Limits { width: Some(20), ..limits() }).unwrap().bytes, made.bytes);
    }

    #[test]
    fn frames_of_usb_cameras_get_the_tables_that_they_leave_out() {
        let whole = picture_jpeg(64, 48);
        let tables = file::layout(&whole).unwrap().tables;
        assert!(!tables.is_empty());
        let mut bare = Vec::new();
        let mut from = 0;
        for table in &tables {
            bare.extend_from_slice(&whole[from..table.start]);
            from = table.end;
        }
        bare.extend_from_slice(&whole[from..]);
        let made = make(&bare, &limits()).unwrap();
        assert_eq!(file::layout(&made.bytes).unwrap().tables.len(), tables.len());
        assert_eq!(image::load_from_memory(&made.bytes).unwrap(), image::load_from_memory(&whole).unwrap());
    }

    #[test]
    fn likeness_survives_another_encoding() {
        let png = make(&picture_png(300, 200), &limits()).unwrap();
        let jpeg = make(&picture_jpeg(300, 200), &limits()).unwrap();
        let small = make(&picture_jpeg(300, 200), &Limits { width: Some(150), ..limits() }).unwrap();
        let other = make(&noise_jpeg(300, 200, 80), &limits()).unwrap();
        assert!(png.difference(&jpeg) < 0.01, "{}", png.difference(&jpeg));
        assert!(png.difference(&small) < 0.02, "{}", png.difference(&small));
        assert!(png.difference(&other) > 0.1, "{}", png.difference(&other));
    }
}
