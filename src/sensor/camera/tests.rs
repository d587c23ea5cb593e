//! The driver with real programs and real little pictures, which are made here.

use std::io::Cursor;

use image::codecs::jpeg::JpegEncoder;
use image::{DynamicImage, ImageFormat, Rgb, RgbImage};
use serde_json::json;

use super::*;
use crate::reading::Image;
use crate::reading::picture::ContentType;

/// Light above, dark below, a red post in the middle.
fn scene(width: u32, height: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| match (x * 8 / width, y * 2 / height) {
        (3 | 4, _) => Rgb([200, 30, 30]),
        (_, 0) => Rgb([150, 190, 250]),
        _ => Rgb([40, 90, 30]),
    })
}

fn encoded(picture: RgbImage, quality: u8) -> Vec<u8> {
    let mut bytes = Vec::new();
    JpegEncoder::new_with_quality(&mut bytes, quality).encode_image(&picture).unwrap();
    bytes
}

pub(super) fn picture_jpeg(width: u32, height: u32) -> Vec<u8> {
    encoded(scene(width, height), 90)
}

pub(super) fn picture_png(width: u32, height: u32) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    DynamicImage::ImageRgb8(scene(width, height)).write_to(&mut bytes, ImageFormat::Png).unwrap();
    bytes.into_inner()
}

/// Of what does not compress.
pub(super) fn noise_jpeg(width: u32, height: u32, quality: u8) -> Vec<u8> {
    let mut state = 4711_u32;
    let noise = RgbImage::from_fn(width, height, |_, _| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        Rgb([(state >> 24) as u8, (state >> 16) as u8, (state >> 8) as u8])
    });
    encoded(noise, quality)
}

/// 40 × 20 pixels, with everything that a telephone writes into its pictures.
pub(super) fn jpeg_with_exif(orientation: u8) -> Vec<u8> {
    let segment = |marker: u8, content: &[u8]| {
        let mut segment = vec![0xff, marker];
        segment.extend_from_slice(&(content.len() as u16 + 2).to_be_bytes());
        segment.extend_from_slice(content);
        segment
    };
    let mut exif = b"Exif\0\0MM\0\x2a\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0".to_vec();
    exif.extend_from_slice(&[orientation, 0, 0, 0, 0, 0, 0]);
    exif.extend_from_slice(b"GPS 47.59 N 0.91 E SERIAL-4711");
    let plain = picture_jpeg(40, 20);
    // Behind JFIF's own segment.
    let (head, rest) = plain.split_at(4 + usize::from(plain[5]));
    assert_eq!(&head[2..4], [0xff, 0xe0]);
    let mut bytes = head.to_vec();
    bytes.extend(segment(0xe1, &exif));
    bytes.extend(segment(0xe1, b"http://ns.adobe.com/xap/1.0/\0<x/>"));
    bytes.extend(segment(0xe2, b"ICC_PROFILE\0\x01\x01not a real one"));
    bytes.extend(segment(0xe2, b"MPF\0preview"));
    bytes.extend(segment(0xfe, b"my garden"));
    bytes.extend_from_slice(rest);
    bytes
}

fn driver(options: Json) -> Arc<dyn Driver> {
    configure(options.as_object().unwrap()).unwrap()
}

fn shoot(options: Json) -> Result<Image, String> {
    let mut device = driver(options).open(&Buses::new()).unwrap();
    let measured = device.read().map_err(|error| error.to_string())?;
    match measured.as_slice() {
        [Measured { quantity: 0, value: Value::Image(image) }] => Ok(Image::clone(image)),
        other => panic!("{other:?}"),
    }
}

fn problems(options: Json) -> Vec<(String, String)> {
    let problems = configure(options.as_object().unwrap()).unwrap_err();
    problems.into_iter().map(|problem| (problem.key, problem.message)).collect()
}

#[test]
fn any_program_that_prints_a_picture_is_a_camera() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a picture.jpg");
    std::fs::write(&path, picture_jpeg(64, 48)).unwrap();
    let image = shoot(json!({"command": ["cat", path.to_str().unwrap()]})).unwrap();
    assert_eq!((image.content_type, image.width, image.height), (ContentType::Jpeg, 64, 48));
    assert_eq!(image.bytes, picture_jpeg(64, 48));
    std::fs::write(&path, picture_png(64, 48)).unwrap();
    let image = shoot(json!({"command": format!("cat '{}'", path.display())})).unwrap();
    assert_eq!(image.content_type, ContentType::Png);
    let small = json!({"folder": folder.path().to_str().unwrap(), "max_width": 16});
    assert_eq!(shoot(small).unwrap().width, 16);
}

#[test]
fn every_misbehaviour_is_a_state_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let half = folder.path().join("half.jpg");
    let whole = picture_jpeg(64, 48);
    std::fs::write(&half, &whole[..whole.len() / 2]).unwrap();
    let table = [
        ("exit 0".to_owned(), "\"exit\" printed nothing"),
        ("echo hello".to_owned(), "what \"echo\" printed is neither JPEG nor PNG"),
        (format!("cat {}", half.display()), "what \"cat\" printed is cut off before its end"),
        ("yes | head -c 100000000".to_owned(), "\"yes\" printed more than 20MB"),
        ("echo busy >&2; exit 1".to_owned(), "\"echo\" failed (exit status 1): busy"),
        ("sleep 1000".to_owned(), "\"sleep\" took longer than 0.2 s and was killed"),
    ];
    for (command, expected) in table {
        let deadline = if command.starts_with("sleep") { "200ms" } else { "1m" };
        let error = shoot(json!({"command": command, "deadline": deadline})).unwrap_err();
        assert!(error.starts_with(expected), "{command}: {error}");
    }
    let error = shoot(json!({"folder": folder.path().to_str().unwrap()})).unwrap_err();
    assert!(
        error.starts_with("the newest picture of ") && error.ends_with("is cut off before its end"),
        "{error}"
    );
}

#[test]
fn secrets_of_the_bridge_stay_with_it() {
    for key in ["SENSOR_BRIDGE__MQTT__PASSWORD", "SENSOR_BRIDGE_CONFIG", "NOTIFY_SOCKET"] {
        assert!(process::is_ours(key.as_ref()), "{key}");
    }
    assert!(!process::is_ours("PATH".as_ref()) && !process::is_ours("LIBCAMERA_LOG_LEVELS".as_ref()));
}

#[test]
fn presets_run_what_the_makers_document() {
    let line = |options: Json| {
        let (options, problems) = options::parse::<Options>("", options.as_object().unwrap());
        assert_eq!(problems, []);
        let taken = Taken { width: 1280, height: 720, quality: 80, deadline: Duration::ZERO };
        match source(&options, &taken, &mut Vec::new()) {
            (Source::Program(program), worker) => (program.argv.join(" "), worker),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(
        line(json!({})).0,
        "rpicam-still --camera 0 --immediate -n -o - --width 1280 --height 720 -q 80"
    );
    let (ffmpeg, worker) = line(json!({"usb": "/dev/video2"}));
    assert!(
        ffmpeg.starts_with("ffmpeg ") && ffmpeg.contains(" -video_size 1280x720 -i /dev/video2 "),
        "{ffmpeg}"
    );
    assert_eq!(worker, "camera /dev/video2");
    assert_eq!(line(json!({"camera": 1})).1, "camera 1");
}

#[test]
fn each_camera_has_a_worker_of_its_own_and_time_for_its_program() {
    let camera = driver(json!({"camera": 1, "deadline": "30s"}));
    assert_eq!(camera.attachment().worker(), "camera 1");
    assert_eq!(camera.longest_read(), Duration::from_secs(35));
    assert_eq!(driver(json!({"folder": "/srv/a"})).attachment().worker(), "folder /srv/a");
}

#[test]
fn options_that_make_no_sense_say_why() {
    let table = [
        (json!({"usb": "/dev/video0", "folder": "/srv"}), "folder", "stands beside `usb`"),
        (json!({"command": ""}), "command", "is empty"),
        (json!({"command": []}), "command", "is empty"),
        (json!({"command": "cat x", "width": 640}), "width", "write `max_width`"),
        (json!({"width": 8}), "width", "must be between 16 and 16384, not 8"),
        (json!({"quality": 101}), "quality", "must be between 1 and 100, not 101"),
        (json!({"max_megapixels": 0}), "max_megapixels", "must be between 1 and 200"),
        (json!({"max_size": "30MB"}), "max_size", "must be between 1kB and 20MB"),
        (json!({"max_size": "30"}), "max_size", "has no unit of size"),
        (json!({"deadline": "0s"}), "deadline", "must be between 100ms and 10m"),
        (json!({"exif": "some"}), "exif", "unknown variant `some`"),
        (json!({"folder": "pictures"}), "folder", "does not begin with /"),
        (json!({"usb": "video0"}), "usb", "does not begin with /dev/"),
        (json!({"colour": true}), "colour", "unknown option"),
    ];
    for (options, key, words) in table {
        let found = problems(options.clone());
        assert_eq!(found.len(), 1, "{options}: {found:?}");
        assert!(found[0].0 == key && found[0].1.contains(words), "{options}: {found:?}");
    }
}
