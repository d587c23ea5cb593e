//! The message of a picture: JSON with what is known of it, or nothing but the picture.

use base64::display::Base64Display;
use base64::engine::general_purpose::STANDARD;
use serde::ser::{Serialize, Serializer};

use super::{Id, Location, Time};
use crate::reading::{Image, Logged, Shape};

/// What the fields of the JSON beside `data` may take, bytes; names longer than usual take more.
const FRAME: usize = 1024;

/// The payload of a picture, in the shape that its channel says. `late` marks what follows an outage in the
/// late lane, which only JSON can say.
pub fn picture(reading: &Logged, image: &Image, late: bool) -> Vec<u8> {
    match shape(reading) {
        Shape::Binary => image.bytes.clone(),
        Shape::Base64 => base64::Engine::encode(&STANDARD, &image.bytes).into_bytes(),
        Shape::Quantity | Shape::Sample => json(reading, image, late),
    }
}

/// About how many bytes the payload of a picture of so many bytes has: for whoever has to find room before
/// the picture is read.
pub fn picture_size(reading: &Logged, bytes: usize) -> usize {
    let base64 = bytes.div_ceil(3) * 4;
    match shape(reading) {
        Shape::Binary => bytes,
        Shape::Base64 => base64,
        Shape::Quantity | Shape::Sample => base64 + FRAME,
    }
}

fn shape(reading: &Logged) -> Shape {
    reading.channel.publish.as_ref().map_or(Shape::Quantity, |publish| publish.shape)
}

fn json(reading: &Logged, image: &Image, late: bool) -> Vec<u8> {
    let channel = &*reading.channel;
    let message = Message {
        id: Id(reading),
        device: &channel.device,
        sensor: channel.sensor.as_str(),
        quantity: channel.quantity.as_str(),
        time: Time(reading),
        clock: reading.clock.as_str(),
        location: channel.place.as_ref().and_then(Location::of),
        late,
        content_type: image.content_type.as_str(),
        encoding: "base64",
        size: image.bytes.len(),
        sha256: image.sha256.to_string(),
        width: image.width,
        height: image.height,
        data: Base64(&image.bytes),
    };
    let mut buffer = Vec::with_capacity(picture_size(reading, image.bytes.len()));
    #[expect(clippy::expect_used, reason = "cannot fail: see write_json")]
    serde_json::to_writer(&mut buffer, &message).expect("JSON into memory");
    buffer
}

/// Fields in the order in which they are written: what is short first, so that a person sees it.
#[derive(serde::Serialize)]
struct Message<'a> {
    id: Id<'a>,
    device: &'a str,
    sensor: &'a str,
    quantity: &'a str,
    time: Time<'a>,
    clock: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    location: Option<Location<'a>>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    late: bool,
    content_type: &'a str,
    encoding: &'a str,
    size: usize,
    sha256: String,
    width: u32,
    height: u32,
    data: Base64<'a>,
}

/// Written piece by piece: the text never stands in memory beside the message.
struct Base64<'a>(&'a [u8]);

impl Serialize for Base64<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&Base64Display::new(self.0, &STANDARD))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::reading::picture::tests::image;
    use crate::reading::{Channel, Clock, Publish, Qos, Timestamp, Value, ValueKind};

    fn reading(shape: Shape) -> Logged {
        let publish = Publish {
            topic: "castel/greenhouse-pi/sky/image".to_owned(),
            late_topic: None,
            qos: Qos::AtLeastOnce,
            retain: false,
            shape,
            format: None,
            buffer: true,
        };
        let channel = Channel {
            device: "greenhouse-pi".to_owned(),
            sensor: "sky".into(),
            quantity: "image".into(),
            unit: "B".to_owned(),
            kind: ValueKind::Image,
            publish: Some(publish),
            place: None,
        };
        Logged {
            row: 1042,
            epoch: "3f9c2a1b".into(),
            channel: Arc::new(channel),
            at: Timestamp(1_795_158_000_123_456),
            clock: Clock::Synced,
            value: Value::Integer(5),
            continues: false,
            since_boot: None,
        }
    }

    #[test]
    fn the_message_of_the_design() {
        let mut one = image(0, 5);
        one.bytes = b"\xff\xd8abc".to_vec();
        let digest = one.sha256.to_string();
        let text = |late| String::from_utf8(picture(&reading(Shape::Quantity), &one, late)).unwrap();
        let expected = r#"{"id":"3f9c2a1b-1042","device":"greenhouse-pi","sensor":"sky","quantity":"image","time":"2026-11-20T07:00:00.123456Z","clock":"synced","content_type":"image/jpeg","encoding":"base64","size":5,"sha256":"DIGEST","width":1280,"height":720,"data":"/9hhYmM="}"#;
        assert_eq!(text(false), expected.replace("DIGEST", &digest));
        assert!(text(true).contains(r#""clock":"synced","late":true,"content_type""#));
    }

    #[test]
    fn bare_pictures_are_nothing_but_the_picture() {
        let mut one = image(0, 5);
        one.bytes = b"\xff\xd8abc".to_vec();
        assert_eq!(picture(&reading(Shape::Base64), &one, true), b"/9hhYmM=");
        assert_eq!(picture(&reading(Shape::Binary), &one, true), b"\xff\xd8abc");
    }

    #[test]
    fn the_size_is_known_before() {
        for bytes in [0, 1, 2, 3, 100_000] {
            let one = image(7, bytes);
            for shape in [Shape::Binary, Shape::Base64] {
                assert_eq!(picture(&reading(shape), &one, false).len(), picture_size(&reading(shape), bytes));
            }
            let json = picture(&reading(Shape::Quantity), &one, true);
            assert!(json.len() <= picture_size(&reading(Shape::Quantity), bytes));
            let parsed: serde_json::Value = serde_json::from_slice(&json).unwrap();
            let data = base64::Engine::decode(&STANDARD, parsed["data"].as_str().unwrap()).unwrap();
            assert_eq!(data, one.bytes);
        }
    }
}
