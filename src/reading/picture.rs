//! A picture as a value: its bytes, what is known of them, and how far two pictures differ. Decodes nothing.

use std::fmt;
use std::sync::Arc;

/// Side of a [`Thumbnail`], pixels.
pub const THUMBNAIL_SIDE: u32 = 32;

/// A picture shrunk to 32 × 32 grey pixels, row by row, 0 black … 255 white: enough to tell whether
/// something has moved, and small enough to be remembered.
pub type Thumbnail = [u8; (THUMBNAIL_SIDE * THUMBNAIL_SIDE) as usize];

/// A whole picture as it is stored and sent.
#[derive(Clone, PartialEq, Eq)]
pub struct Image {
    /// What the bytes are.
    pub content_type: ContentType,
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
    /// Of `bytes`.
    pub sha256: Sha256,
    /// The file.
    pub bytes: Vec<u8>,
    /// What it looks like; `None` for one that comes out of the log.
    pub thumbnail: Option<Box<Thumbnail>>,
}

/// What a picture's bytes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ContentType {
    /// JPEG (ITU-T T.81).
    Jpeg,
    /// PNG (ISO/IEC 15948).
    Png,
}

impl ContentType {
    /// The media type: `image/jpeg`, `image/png`.
    pub fn as_str(self) -> &'static str {
        match self {
            ContentType::Jpeg => "image/jpeg",
            ContentType::Png => "image/png",
        }
    }

    /// How a file of this type ends, without the dot.
    pub fn extension(self) -> &'static str {
        match self {
            ContentType::Jpeg => "jpg",
            ContentType::Png => "png",
        }
    }

    /// From the media type.
    pub fn of(media_type: &str) -> Option<Self> {
        [ContentType::Jpeg, ContentType::Png].into_iter().find(|one| one.as_str() == media_type)
    }
}

/// A SHA-256 digest (FIPS 180-4).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Sha256(pub [u8; 32]);

impl Sha256 {
    /// From 64 hexadecimal digits.
    pub fn parse(digits: &str) -> Option<Self> {
        let mut digest = [0; 32];
        if digits.len() != 64 {
            return None;
        }
        for (place, byte) in digest.iter_mut().enumerate() {
            *byte = u8::from_str_radix(digits.get(2 * place..2 * place + 2)?, 16).ok()?;
        }
        Some(Self(digest))
    }
}

impl fmt::Display for Sha256 {
    /// 64 hexadecimal digits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Image {
    /// How different two pictures look: 0 alike, 1 black against white. The mean difference of their
    /// thumbnails' pixels; where one has none, all or nothing by their digests.
    pub fn difference(&self, other: &Image) -> f64 {
        match (&self.thumbnail, &other.thumbnail) {
            (Some(ours), Some(theirs)) => {
                let sum: u32 = ours.iter().zip(theirs.iter()).map(|(a, b)| u32::from(a.abs_diff(*b))).sum();
                f64::from(sum) / (255.0 * ours.len() as f64)
            }
            _ => f64::from(u8::from(self.sha256 != other.sha256)),
        }
    }

    /// The picture without its bytes: all that comparing needs, in a kilobyte.
    pub fn remembered(&self) -> Arc<Image> {
        Arc::new(Image { bytes: Vec::new(), thumbnail: self.thumbnail.clone(), ..*self })
    }
}

impl fmt::Display for Image {
    /// For people: `image/jpeg, 1280×720, 48211 bytes`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Image { content_type, width, height, bytes, .. } = self;
        f.pad(&format!("{}, {width}×{height}, {} bytes", content_type.as_str(), bytes.len()))
    }
}

impl fmt::Debug for Image {
    /// Without the bytes: this ends up in logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Image({self}, sha256 {})", self.sha256)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Not a real picture: `fill` stands for what it looks like, `bytes` is as long as asked.
    pub(crate) fn image(fill: u8, length: usize) -> Image {
        let mut sha256 = [0; 32];
        sha256[0] = fill;
        sha256[1..9].copy_from_slice(&(length as u64).to_be_bytes());
        Image {
            content_type: ContentType::Jpeg,
            width: 1280,
            height: 720,
            sha256: Sha256(sha256),
            bytes: vec![fill; length],
            thumbnail: Some(Box::new([fill; 1024])),
        }
    }

    #[test]
    fn difference_is_a_part_of_full_contrast() {
        let (black, grey, white) = (image(0, 9), image(51, 9), image(255, 9));
        assert_eq!(black.difference(&black), 0.0);
        assert_eq!(black.difference(&white), 1.0);
        assert_eq!((black.difference(&grey), grey.difference(&black)), (0.2, 0.2));
        let unseen = Image { thumbnail: None, ..grey.clone() };
        assert_eq!((unseen.difference(&grey), unseen.difference(&white)), (0.0, 1.0));
    }

    #[test]
    fn what_is_remembered_is_small_and_compares_the_same() {
        let big = image(51, 1_000_000);
        let remembered = big.remembered();
        assert!(remembered.bytes.is_empty());
        assert_eq!((remembered.sha256, remembered.difference(&image(0, 1))), (big.sha256, 0.2));
    }

    #[test]
    fn digests_read_back() {
        let digest = image(0xab, 77).sha256;
        assert_eq!(Sha256::parse(&digest.to_string()), Some(digest));
        for wrong in ["", "ab", &"x".repeat(64), &"é".repeat(32)] {
            assert_eq!(Sha256::parse(wrong), None, "{wrong}");
        }
        assert_eq!(image(1, 48_211).to_string(), "image/jpeg, 1280×720, 48211 bytes");
        assert!(format!("{:?}", image(1, 48_211)).len() < 200);
    }
}
