//! Pictures from a program that prints them to the log and to a real mosquitto, by the real binary.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a helper that fails is a test that fails")]

mod support;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use sha2::{Digest, Sha256};
use support::{Bridge, Mosquitto, Subscriber, find, wait_until};

const SOON: Duration = Duration::from_secs(30);

/// A JPEG that does not compress: about 1.5 bytes a pixel at quality 95.
fn jpeg(width: u32, height: u32, quality: u8, seed: u32) -> Vec<u8> {
    let mut state = seed;
    let noise = image::RgbImage::from_fn(width, height, |_, _| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        image::Rgb([(state >> 24) as u8, (state >> 16) as u8, (state >> 8) as u8])
    });
    let mut bytes = Vec::new();
    image::codecs::jpeg::JpegEncoder::new_with_quality(&mut bytes, quality).encode_image(&noise).unwrap();
    bytes
}

fn put(folder: &Path, name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder.join(name);
    // As a program should that fills a folder: whole at once.
    let part = folder.join("part");
    std::fs::write(&part, bytes).unwrap();
    std::fs::rename(part, &path).unwrap();
    path
}

fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// `sensors` with the folder of the test for `FOLDER`.
fn config(folder: &Path, url: &str, mqtt: &str, sensors: &str) -> String {
    format!(
        "device: {{ id: bench }}
log: {{ path: {folder}/bridge.db }}
mqtt: {{ url: {url}, topic: \"t/{{device}}/{{sensor}}/{{quantity}}\", {mqtt} }}
sensors:
{sensors}",
        folder = folder.display()
    )
    .replace("FOLDER", &folder.display().to_string())
}

/// What the broker keeps of a topic, byte for byte.
fn retained(broker: &Mosquitto, topic: &str) -> Vec<u8> {
    let port = broker.port().to_string();
    let arguments = ["-h", "127.0.0.1", "-p", &port, "-t", topic, "-C", "1", "-N", "-W", "30"];
    let output = Command::new(find("mosquitto_sub")).args(arguments).output().unwrap();
    assert!(output.status.success(), "nothing on {topic}");
    output.stdout
}

#[test]
fn a_picture_arrives_in_every_format_and_is_in_the_log() {
    let broker = Mosquitto::start();
    let picture = jpeg(320, 240, 80, 7);
    let mut bridge = Bridge::prepare(|folder| {
        put(folder, "picture.jpg", &picture);
        config(
            folder,
            &broker.url(),
            "qos: 2, retain: true",
            "  - { id: json, driver: camera, command: [cat, FOLDER/picture.jpg], interval: 200ms }
  - { id: text, driver: camera, command: \"cat 'FOLDER/picture.jpg'\", interval: 200ms, format: base64 }
  - id: bare
    driver: camera
    folder: FOLDER
    interval: 200ms
    topic: \"t/{device}/{sensor}\"
    quantities: { image: { format: binary } }
",
        )
    });
    bridge.resume();
    let message: Value = serde_json::from_slice(&retained(&broker, "t/bench/json/image")).unwrap();
    assert_eq!(STANDARD.decode(message["data"].as_str().unwrap()).unwrap(), picture);
    assert_eq!(message["sha256"], hex(&picture));
    assert_eq!((&message["width"], &message["height"]), (&320.into(), &240.into()));
    assert_eq!((&message["content_type"], &message["encoding"]), (&"image/jpeg".into(), &"base64".into()));
    assert_eq!(message["size"], picture.len());
    assert_eq!(STANDARD.decode(retained(&broker, "t/bench/text/image")).unwrap(), picture);
    // Without {quantity} the topic is the picture's alone; the state is below it.
    assert!(retained(&broker, "t/bench/bare") == picture, "the bytes differ");
    let state: Value = serde_json::from_slice(&retained(&broker, "t/bench/bare/state")).unwrap();
    assert_eq!(state["value"], "ok");

    // Several intervals later nothing has changed, so nothing more was taken in.
    let samples = Duration::from_millis(800);
    std::thread::sleep(samples);
    assert!(bridge.terminate().success());
    let database = bridge.database();
    let rows: i64 = database.query_row("SELECT count(*) FROM images", [], |row| row.get(0)).unwrap();
    assert_eq!(rows, 3);
    let (digest, data): (String, Vec<u8>) = database
        .query_row("SELECT sha256, data FROM images WHERE sensor = 'bare'", [], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .unwrap();
    assert_eq!((digest, hex(&data)), (hex(&picture), hex(&picture)));

    // People see what a picture is, not its bytes.
    let text = |arguments: &[&str]| String::from_utf8(bridge.run(arguments).stdout).unwrap();
    let size = picture.len().to_string();
    let table = text(&["query", "json", "image"]);
    assert!(table.contains(&format!("{size}  B")), "{table}");
    assert!(table.len() < 1000);
    assert!(text(&["tail", "--sensor", "text"]).contains(&size));
    let found: Value = serde_json::from_str(&text(&["query", "bare", "image", "--json"])).unwrap();
    assert_eq!((&found[0]["value"], &found[0]["unit"]), (&picture.len().into(), &"B".into()));
    let album = bridge.folder().join("album");
    let csv = text(&["export", "--quantity", "image", "--images", album.to_str().unwrap()]);
    assert!(csv.lines().count() == 4 && csv.len() < 1000, "{csv}");
    let files: Vec<PathBuf> = std::fs::read_dir(&album).unwrap().map(|file| file.unwrap().path()).collect();
    assert_eq!(files.len(), 3);
    for file in files {
        assert_eq!(file.extension().unwrap(), "jpg");
        assert!(std::fs::read(file).unwrap() == picture, "the file differs");
    }
    // And read shows it without the daemon.
    let read = text(&["read", "json"]);
    assert!(read.contains(&format!("image/jpeg, 320×240, {size} bytes")), "{read}");
}

#[test]
fn a_camera_that_misbehaves_is_a_state_holds_nobody_up_and_comes_back() {
    let broker = Mosquitto::start();
    let subscriber = Subscriber::start(broker.port(), &["t/#"], 1);
    let picture = jpeg(64, 48, 80, 7);
    let mut bridge = Bridge::prepare(|folder| {
        put(folder, "picture.jpg", &picture);
        put(folder, "half.jpg", &picture[..picture.len() / 2]);
        put(folder, "do", b"sleep 1000");
        config(
            folder,
            &broker.url(),
            "qos: 1",
            "  - { id: sky, driver: camera, command: \". FOLDER/do\", interval: 100ms, deadline: 500ms }
  - { id: wave, driver: sim, scenario: sine, interval: 50ms }
",
        )
    });
    let folder = bridge.folder().to_owned();
    bridge.resume();
    let good = format!("cat {}/picture.jpg; sleep 1000 &", folder.display());
    let table = [
        ("sleep 1000".to_owned(), "failed: \".\" took longer than 0.5 s and was killed"),
        ("exit 0".to_owned(), "failed: \".\" printed nothing"),
        ("echo garbage".to_owned(), "failed: what \".\" printed is neither JPEG nor PNG"),
        ("yes | head -c 100000000".to_owned(), "failed: \".\" printed more than 20MB"),
        (
            format!("cat {}/half.jpg", folder.display()),
            "failed: what \".\" printed is cut off before its end",
        ),
        ("echo no camera >&2; exit 1".to_owned(), "failed: \".\" failed (exit status 1): no camera"),
    ];
    let of = |topic: &str| -> Vec<Value> {
        let topic = format!("t/bench/{topic}");
        let messages = subscriber.messages();
        let messages = messages.iter().filter(|message| message.topic == topic);
        messages.map(|message| serde_json::from_str(&message.payload).unwrap()).collect()
    };
    let mut expected = Vec::new();
    let states = || -> Vec<String> {
        of("sky/state").iter().map(|message| message["value"].as_str().unwrap().to_owned()).collect()
    };
    for (script, state) in &table {
        put(&folder, "do", script.as_bytes());
        let waves = of("wave/value").len();
        expected.push(*state);
        wait_until(SOON, state, || states().len() == expected.len());
        wait_until(SOON, "the other sensor goes on", || of("wave/value").len() > waves + 2);
        put(&folder, "do", good.as_bytes());
        expected.push("ok");
        wait_until(SOON, "it comes back", || states().len() == expected.len());
    }
    // One for each change, however often it was tried.
    for (state, expected) in states().iter().zip(&expected) {
        assert!(state.starts_with(expected), "{state} instead of {expected}");
    }
    // The state may be heard of before the picture.
    wait_until(SOON, "the last picture", || of("sky/image").len() >= table.len());
    let pictures = of("sky/image");
    assert_eq!(pictures.len(), table.len(), "the first after each failure");
    assert_eq!(pictures[0]["sha256"], hex(&picture));
    assert!(bridge.terminate().success());
}

#[test]
fn pictures_are_made_to_fit_and_what_the_broker_cannot_take_is_refused_aloud() {
    let broker = Mosquitto::start();
    let subscriber = Subscriber::start(broker.port(), &["t/#"], 1);
    let large = jpeg(640, 480, 95, 7);
    assert!(large.len() > 300_000);
    let mut bridge = Bridge::prepare(|folder| {
        put(folder, "picture.jpg", &large);
        config(
            folder,
            &broker.url(),
            "qos: 1, max_packet_size: 200kB",
            "  - { id: fits, driver: camera, command: [cat, FOLDER/picture.jpg], interval: 200ms, max_size: 40kB }
  - { id: small, driver: camera, command: [cat, FOLDER/picture.jpg], interval: 200ms, max_width: 160 }
  - { id: whole, driver: camera, command: [cat, FOLDER/picture.jpg], interval: 200ms }
",
        )
    });
    let folder = bridge.folder().to_owned();
    bridge.resume();
    let image = |sensor: &str| -> Value {
        let topic = format!("t/bench/{sensor}/image");
        let message = subscriber.wait_for_one(SOON, |message| message.topic == topic);
        serde_json::from_str(&message.payload).unwrap()
    };
    assert!(image("fits")["size"].as_u64().unwrap() <= 40_000);
    assert_eq!((&image("small")["width"], &image("small")["height"]), (&160.into(), &120.into()));
    // The whole one cannot go out: it is kept, told of, and what follows goes out.
    wait_until(SOON, "it is refused", || bridge.stderr().contains("is larger than the 200000 allowed"));
    put(&folder, "picture.jpg", &jpeg(64, 48, 80, 8));
    assert_eq!(image("whole")["width"], 64);
    assert!(bridge.terminate().success());
    let (sensor, size): (String, i64) = bridge
        .database()
        .query_row("SELECT sensor, value FROM refused", [], |row| Ok((row.get(0)?, row.get(1)?)))
        .unwrap();
    assert_eq!((sensor.as_str(), size), ("whole", large.len() as i64));
}

#[test]
fn only_pictures_that_look_different_are_sent() {
    let broker = Mosquitto::start();
    let subscriber = Subscriber::start(broker.port(), &["t/#"], 1);
    let scene = |light: u8, spot: u8| {
        let mut picture = image::RgbImage::from_pixel(64, 64, image::Rgb([light, light, light]));
        picture.put_pixel(5, 5, image::Rgb([spot, 0, 0]));
        let mut bytes = std::io::Cursor::new(Vec::new());
        picture.write_to(&mut bytes, image::ImageFormat::Png).unwrap();
        bytes.into_inner()
    };
    let mut bridge = Bridge::prepare(|folder| {
        std::fs::create_dir(folder.join("new")).unwrap();
        put(folder, "0.png", &scene(100, 0));
        std::fs::rename(folder.join("0.png"), folder.join("new/0.png")).unwrap();
        config(
            folder,
            &broker.url(),
            "qos: 1",
            "  - id: sky
    driver: camera
    folder: FOLDER/new
    interval: 50ms
    quantities: { image: { change: 2% } }
",
        )
    });
    let folder = bridge.folder().join("new");
    bridge.resume();
    let digests = || -> Vec<Value> {
        let messages = subscriber.messages();
        let pictures = messages.iter().filter(|message| message.topic == "t/bench/sky/image");
        pictures
            .map(|message| serde_json::from_str::<Value>(&message.payload).unwrap()["sha256"].clone())
            .collect()
    };
    wait_until(SOON, "the first", || digests().len() == 1);
    // Other bytes, but a person would hardly tell; then the light goes on.
    for (name, light, spot) in [("1", 100, 200), ("2", 101, 9), ("3", 120, 0)] {
        let from = put(bridge.folder(), &format!("{name}.png"), &scene(light, spot));
        std::fs::rename(from, folder.join(format!("{name}.png"))).unwrap();
        std::thread::sleep(Duration::from_millis(300));
    }
    wait_until(SOON, "the light", || digests().len() == 2);
    assert_eq!(digests(), [hex(&scene(100, 0)), hex(&scene(120, 0))]);
    assert!(bridge.terminate().success());
}
