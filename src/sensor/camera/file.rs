//! What stands in a JPEG or PNG file: its size in pixels, whether it is whole, and what may leave the house.
//! Reads the frame only; decodes no pixels.

use std::ops::Range;

use crate::reading::picture::ContentType;

/// A picture's file, taken apart.
#[derive(Debug, PartialEq)]
pub(super) struct Layout {
    pub content_type: ContentType,
    pub width: u32,
    pub height: u32,
    /// The file without what would tell on its owner: place, serial numbers, comments, previews.
    public: Vec<Range<usize>>,
    /// EXIF data as TIFF, where there is some.
    pub exif: Option<Range<usize>>,
    /// The segments of a JPEG that hold its Huffman tables.
    pub tables: Vec<Range<usize>>,
    /// Where the pixels of a JPEG begin.
    pub scan: Option<usize>,
    /// Where the picture ends; some cameras append more.
    end: usize,
}

/// Why it is no picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Broken {
    #[error("neither JPEG nor PNG")]
    NotAPicture,
    #[error("cut off before its end")]
    CutOff,
    #[error("damaged")]
    Damaged,
}

/// Takes a file apart.
pub(super) fn layout(bytes: &[u8]) -> Result<Layout, Broken> {
    const PNG: &[u8] = b"\x89PNG\r\n\x1a\n";
    match bytes {
        [0xff, 0xd8, 0xff, ..] => jpeg(bytes),
        [0xff, 0xd8] | [0xff, 0xd8, _] => Err(Broken::CutOff),
        _ if bytes.starts_with(PNG) => png(bytes),
        _ if !bytes.is_empty() && PNG.starts_with(bytes) => Err(Broken::CutOff),
        _ => Err(Broken::NotAPicture),
    }
}

impl Layout {
    /// The file as it came, less what follows its end.
    pub fn whole<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        &bytes[..self.end]
    }

    /// The file without what would tell on its owner. The orientation (1 … 8, EXIF tag 0x0112) stays, being
    /// needed to show the picture upright.
    pub fn public(&self, bytes: &[u8], orientation: u8) -> Vec<u8> {
        let mut public = Vec::with_capacity(self.end + 40);
        for (place, part) in self.public.iter().enumerate() {
            public.extend_from_slice(&bytes[part.clone()]);
            if place == 0 && orientation > 1 && self.content_type == ContentType::Jpeg {
                public.extend_from_slice(&turned(orientation));
            }
        }
        public
    }
}

/// A JPEG without Huffman tables, as USB cameras send them (MJPEG), with the usual ones put in (ITU-T T.81,
/// annex K.3): decoders can do without them, browsers cannot. `None` when it has some.
pub(super) fn completed(bytes: &[u8], layout: &Layout, usual: &[u8]) -> Option<Vec<u8>> {
    let at = layout.scan.filter(|_| layout.tables.is_empty())?;
    Some([&bytes[..at], usual, &bytes[at..]].concat())
}

/// An APP1 segment that says the orientation and nothing else (EXIF 2.3, 4.5.4 and 4.6.4).
fn turned(orientation: u8) -> [u8; 36] {
    let mut segment =
        *b"\xff\xe1\0\x22Exif\0\0MM\0\x2a\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\0\0\0\0\0\0\0";
    segment[29] = orientation;
    segment
}

fn two(bytes: &[u8], at: usize) -> Result<usize, Broken> {
    let two = bytes.get(at..at + 2).ok_or(Broken::CutOff)?;
    Ok(usize::from(two[0]) << 8 | usize::from(two[1]))
}

/// Segment by segment (ITU-T T.81, annex B).
fn jpeg(bytes: &[u8]) -> Result<Layout, Broken> {
    // The first part is what orientation goes after: the start of the image, and JFIF's own segment.
    let mut public = vec![Range { start: 0, end: 2 }];
    let (mut exif, mut size) = (None, None);
    let (mut tables, mut scan) = (Vec::new(), None);
    let mut at = 2;
    let end = loop {
        if *bytes.get(at).ok_or(Broken::CutOff)? != 0xff {
            return Err(Broken::Damaged);
        }
        let marker = *bytes.get(at + 1).ok_or(Broken::CutOff)?;
        match marker {
            // Any number of these may stand before a marker.
            0xff => {
                at += 1;
                continue;
            }
            0xd9 => break at + 2,
            0x00 | 0xd8 => return Err(Broken::Damaged),
            0x01 | 0xd0..=0xd7 => {
                at += 2;
                continue;
            }
            _ => {}
        }
        let length = two(bytes, at + 2)?;
        let mut next = at + 2 + length;
        let content =
            bytes.get(at + 4..next).ok_or(if length < 2 { Broken::Damaged } else { Broken::CutOff })?;
        match marker {
            0xc0..=0xcf if ![0xc4, 0xc8, 0xcc].contains(&marker) => {
                let of = |at| two(content, at).map_err(|_| Broken::Damaged);
                size = Some((of(3)? as u32, of(1)? as u32));
            }
            0xe1 if content.starts_with(b"Exif\0\0") => exif = Some(at + 10..next),
            0xc4 => tables.push(at..next),
            0xda => {
                scan.get_or_insert(at);
                next = end_of_scan(bytes, next)?;
            }
            _ => {}
        }
        if is_public(marker, content) {
            match public.as_mut_slice() {
                [first] if marker == 0xe0 && first.end == at => first.end = next,
                [_, .., last] if last.end == at => last.end = next,
                _ => public.push(at..next),
            }
        }
        at = next;
    };
    public.push(at..end);
    let (width, height) = size.filter(|(width, height)| *width > 0 && *height > 0).ok_or(Broken::Damaged)?;
    Ok(Layout { content_type: ContentType::Jpeg, width, height, public, exif, tables, scan, end })
}

/// What is needed to show the picture. Left out are EXIF and XMP (APP1), previews (APP2 of another kind than
/// a colour profile), makers' own (APP3 … APP15) and comments.
fn is_public(marker: u8, content: &[u8]) -> bool {
    match marker {
        0xe0 => content.starts_with(b"JFIF\0"),
        0xe2 => content.starts_with(b"ICC_PROFILE\0"),
        0xee => content.starts_with(b"Adobe"),
        0xe1..=0xef | 0xfe => false,
        _ => true,
    }
}

/// Where coded data ends: at a marker that is neither a stuffed byte nor a restart.
fn end_of_scan(bytes: &[u8], mut at: usize) -> Result<usize, Broken> {
    loop {
        at += bytes
            .get(at..)
            .and_then(|rest| rest.iter().position(|byte| *byte == 0xff))
            .ok_or(Broken::CutOff)?;
        match bytes.get(at + 1).ok_or(Broken::CutOff)? {
            0x00 | 0xd0..=0xd7 => at += 2,
            0xff => at += 1,
            _ => return Ok(at),
        }
    }
}

/// Chunk by chunk (PNG, third edition, 5.2).
fn png(bytes: &[u8]) -> Result<Layout, Broken> {
    let mut public = vec![Range { start: 0, end: 8 }];
    let (mut exif, mut size) = (None, None);
    let mut at = 8;
    loop {
        let length = two(bytes, at)? << 16 | two(bytes, at + 2)?;
        let kind = bytes.get(at + 4..at + 8).ok_or(Broken::CutOff)?;
        let next = at.checked_add(length + 12).ok_or(Broken::Damaged)?;
        if !kind.iter().all(u8::is_ascii_alphabetic) {
            return Err(Broken::Damaged);
        }
        let content = bytes.get(at + 8..next.saturating_sub(4)).ok_or(Broken::CutOff)?;
        bytes.get(..next).ok_or(Broken::CutOff)?;
        match kind {
            b"IHDR" => {
                let of = |at| two(content, at).and_then(|high| Ok(high << 16 | two(content, at + 2)?));
                let of = |at| of(at).ok().and_then(|pixels| u32::try_from(pixels).ok());
                size = of(0).zip(of(4));
            }
            b"eXIf" => exif = Some(at + 8..next - 4),
            _ => {}
        }
        // Texts, the time of the last change, and what only its maker understands.
        let shows = [
            "IHDR", "PLTE", "IDAT", "IEND", "tRNS", "cHRM", "gAMA", "iCCP", "sBIT", "sRGB", "cICP", "bKGD",
            "pHYs",
        ];
        if shows.iter().any(|name| name.as_bytes() == kind) {
            match public.last_mut() {
                Some(last) if last.end == at => last.end = next,
                _ => public.push(at..next),
            }
        }
        if kind == b"IEND" {
            let size = size.filter(|(width, height)| *width > 0 && *height > 0);
            let (width, height) = size.ok_or(Broken::Damaged)?;
            let (content_type, tables, scan, end) = (ContentType::Png, Vec::new(), None, next);
            return Ok(Layout { content_type, width, height, public, exif, tables, scan, end });
        }
        at = next;
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{jpeg_with_exif, picture_jpeg, picture_png};
    use super::*;

    #[test]
    fn sizes_are_read_without_decoding() {
        let jpeg = layout(&picture_jpeg(40, 30)).unwrap();
        assert_eq!((jpeg.content_type, jpeg.width, jpeg.height), (ContentType::Jpeg, 40, 30));
        let png = layout(&picture_png(7, 300)).unwrap();
        assert_eq!((png.content_type, png.width, png.height), (ContentType::Png, 7, 300));
    }

    #[test]
    fn every_cut_is_noticed() {
        for whole in [picture_jpeg(40, 30), picture_png(40, 30), jpeg_with_exif(6)] {
            assert!(layout(&whole).is_ok());
            for length in 1..whole.len() {
                let broken = layout(&whole[..length]).unwrap_err();
                let expected =
                    if length == 1 && whole[0] == 0xff { Broken::NotAPicture } else { Broken::CutOff };
                assert_eq!(broken, expected, "{length} of {}", whole.len());
            }
        }
        assert_eq!(layout(b""), Err(Broken::NotAPicture));
        assert_eq!(layout(b"GIF89a"), Err(Broken::NotAPicture));
        assert_eq!(layout(b"\xff\xd8\xff\xe0\0\0"), Err(Broken::Damaged));
        assert_eq!(layout(b"\xff\xd8\xff\xd9"), Err(Broken::Damaged), "no size");
    }

    #[test]
    fn what_follows_the_end_is_left_behind() {
        for whole in [picture_jpeg(8, 8), picture_png(8, 8)] {
            let mut longer = whole.clone();
            longer.extend_from_slice(b"appended by the camera");
            let layout = layout(&longer).unwrap();
            assert_eq!(layout.whole(&longer), whole);
            assert!(!layout.public(&longer, 1).ends_with(b"camera"));
        }
    }

    #[test]
    fn nothing_that_tells_on_its_owner_is_public() {
        let with = jpeg_with_exif(6);
        let layout = layout(&with).unwrap();
        assert!(layout.exif.is_some());
        let public = layout.public(&with, 6);
        for secret in [&b"SERIAL-4711"[..], b"GPS", b"ns.adobe.com/xap", b"my garden", b"MPF"] {
            assert!(with.windows(secret.len()).any(|window| window == secret), "not in the example");
            assert!(!public.windows(secret.len()).any(|window| window == secret), "{secret:?}");
        }
        // JFIF and the colour profile stay, and it is still a picture.
        assert!(public.windows(5).any(|window| window == b"JFIF\0"));
        assert!(public.windows(11).any(|window| window == b"ICC_PROFILE"));
        let again = super::layout(&public).unwrap();
        assert_eq!((again.width, again.height), (layout.width, layout.height));
        let exif = &public[again.exif.clone().unwrap()];
        assert_eq!(image::metadata::Orientation::from_exif_chunk(exif).map(|o| o.to_exif()), Some(6));
        assert!(super::layout(&layout.public(&with, 1)).unwrap().exif.is_none());
        image::load_from_memory(&public).unwrap();
    }

    #[test]
    fn any_bytes_are_taken_apart_or_refused() {
        use proptest::prelude::*;
        proptest!(|(mut bytes in proptest::collection::vec(any::<u8>(), 0..400), kind in 0..3usize, flip in any::<(usize, u8)>())| {
            if kind > 0 {
                bytes = if kind == 1 { jpeg_with_exif(3) } else { picture_png(9, 9) };
                let at = flip.0 % bytes.len();
                bytes[at] = flip.1;
            }
            if let Ok(layout) = layout(&bytes) {
                prop_assert!(layout.whole(&bytes).len() <= bytes.len());
                prop_assert!(layout.public(&bytes, 2).len() <= bytes.len() + 36);
            }
        });
    }
}
