//! The page over a real socket, with a real log behind it; what a browser makes of it is tried in tests/web.

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value as Json;
use sha2::Digest as _;
use tempfile::TempDir;

use super::{Web, live};
use crate::config::{self, Config};
use crate::enrich::clock;
use crate::facts::Facts;
use crate::log::{Log, Machine};
use crate::reading::picture::{ContentType, Sha256};
use crate::reading::{ChannelId, Image, Reading, Value};
use crate::status::{Board, State};

const LONG: Duration = Duration::from_secs(30);

/// A log, a board and the page of them; no sensor is read.
struct House {
    _folder: TempDir,
    log: Log,
    channels: Vec<ChannelId>,
    board: Board,
    web: Option<Web>,
    port: u16,
}

struct Answer {
    status: u16,
    head: String,
    body: Vec<u8>,
}

impl Answer {
    fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    fn json(&self) -> Json {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| line.strip_prefix(&format!("{name}: ")))
    }
}

/// The bytes of a body that was sent in chunks.
fn unchunked(mut body: &[u8]) -> Vec<u8> {
    let mut whole = Vec::new();
    loop {
        let end = body.windows(2).position(|window| window == b"\r\n").expect("a length");
        let length = usize::from_str_radix(std::str::from_utf8(&body[..end]).unwrap(), 16).unwrap();
        if length == 0 {
            return whole;
        }
        body = &body[end + 2..];
        whole.extend_from_slice(&body[..length]);
        body = &body[length + 2..];
    }
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + LONG;
    while !holds() {
        assert!(Instant::now() < end, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn configuration(folder: &TempDir, web: &str) -> Config {
    let yaml = format!(
        "device: {{id: bench}}
log: {{path: {}/bridge.db}}
web: {{{web}}}
sensors:
  - {{id: air, driver: sim, quantities: {{value: {{heartbeat: 1m}}}}}}
  - {{id: sky, driver: camera, folder: /nowhere}}",
        folder.path().display()
    );
    config::parse(&yaml, std::iter::empty()).unwrap_or_else(|problems| panic!("{problems}"))
}

impl House {
    fn new(web: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = configuration(&folder, web);
        let board = Board::new();
        let machine = Machine { boot_id: "boot".into(), now: clock::now };
        let log = Log::open(&config.log, &machine, &board).unwrap();
        let channels: Vec<_> =
            config.sensors.iter().map(|sensor| sensor.quantities[0].channel.clone()).collect();
        let channels = log.register(&channels).unwrap();
        let facts = Facts::new(&config, &board, &log, clock::now);
        let web = Web::start(config.web.as_ref().unwrap(), &log, &facts, None, &board).unwrap();
        let part = board.part("web");
        until("it listens", || part.state().0 == State::Ok);
        let port = u16::try_from(part.figure("port").get()).unwrap();
        Self { _folder: folder, log, channels, board, web: Some(web), port }
    }

    fn open() -> Self {
        Self::new("listen: \"127.0.0.1:0\"")
    }

    fn secret() -> Self {
        Self::new("listen: \"127.0.0.1:0\", password: correct horse")
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(LONG)).unwrap();
        stream
    }

    /// A request of these lines with `Host` and `Connection: close`.
    fn ask(&self, request: &str, headers: &[&str], body: &str) -> Answer {
        let mut stream = self.connect();
        let mut text =
            format!("{request} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nConnection: close\r\n", self.port);
        headers.iter().for_each(|line| text += &format!("{line}\r\n"));
        text += &format!("Content-Length: {}\r\n\r\n{body}", body.len());
        stream.write_all(text.as_bytes()).unwrap();
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).unwrap();
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n").expect("a head");
        let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Answer { status, head, body: bytes[end + 4..].to_vec() }
    }

    fn get(&self, path: &str) -> Answer {
        self.ask(&format!("GET {path}"), &[], "")
    }

    fn append(&self, channel: usize, seconds_ago: i64, value: Value) {
        let mut at = clock::now();
        at.wall.0 -= seconds_ago * 1_000_000;
        self.log.append(vec![Reading { channel: self.channels[channel], at, value }]).unwrap();
        self.log.flush().unwrap();
    }
}

impl Drop for House {
    fn drop(&mut self) {
        if let Some(web) = self.web.take() {
            web.stop();
        }
    }
}

#[test]
fn every_answer_keeps_other_sites_out_and_scripts_in_their_files() {
    let house = House::open();
    for (request, status) in [
        ("GET /", 200),
        ("HEAD /", 200),
        ("GET /login.js", 200),
        ("GET /style.css", 200),
        ("GET /api/session", 200),
        ("GET /metrics", 200),
        ("GET /nowhere", 404),
        ("GET /picture/1", 404),
        ("GET /picture/x", 404),
        ("GET /api/series?sensor=air&quantity=nothing", 404),
        ("GET /api/series?sensor=air&quantity=value&range=2y", 400),
        ("POST /", 405),
        ("DELETE /api/series", 405),
        ("GET /login/../api/live/x", 404),
    ] {
        let answer = house.ask(request, &[], "");
        assert_eq!(answer.status, status, "{request}");
        let policy = answer.header("content-security-policy").unwrap();
        assert!(policy.starts_with("default-src 'none';") && policy.contains("frame-ancestors 'none'"));
        assert!(!policy.contains("unsafe"), "{policy}");
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(request.starts_with("HEAD"), answer.body.is_empty(), "{request}");
    }
    assert!(house.get("/").text().contains("<title>"));
    assert!(house.get("/metrics").text().contains("sensor_bridge_build_info{"));
}

#[test]
fn the_page_brings_its_script_and_what_there_is_to_see() {
    let house = House::open();
    let answer = house.get("/");
    let page = String::from_utf8(unchunked(&answer.body)).unwrap();
    let between = |begin: &str, end: &str| page.split_once(begin).unwrap().1.split_once(end).unwrap().0;
    let policy = answer.header("content-security-policy").unwrap();
    for (kind, text) in [
        ("script-src", between("<script type=\"module\">", "</script>")),
        ("style-src", between("<style>", "</style>")),
    ] {
        let hash = STANDARD.encode(sha2::Sha256::digest(text));
        assert!(policy.contains(&format!("{kind} 'sha256-{hash}';")), "{kind}: {policy}");
    }
    let first: Json = serde_json::from_str(between("id=\"first\">", "</script>")).unwrap();
    assert_eq!(first["session"]["token"], Json::Null);
    assert_eq!(first["pieces"]["sensor/air"]["driver"], "sim");
    assert_eq!(first["pieces"]["device"]["id"], "bench");
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert!(page.trim_end().ends_with("</html>"));
}

#[test]
fn foreign_names_and_foreign_sites_are_turned_away() {
    let house = House::open();
    let mut stream = house.connect();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    assert!(text.starts_with("HTTP/1.1 421 ") && text.contains("web.hosts"), "{text}");
    let answer = house.ask("GET /api/session", &["Sec-Fetch-Site: cross-site"], "");
    assert_eq!(answer.status, 403);
    // Without a password there is nobody who may.
    assert_eq!(house.ask("POST /logout", &["Sec-Fetch-Site: same-origin"], "").status, 403);
}

#[test]
fn what_happens_is_streamed() {
    let house = House::open();
    let mut stream = house.connect();
    let head = format!("GET /api/live HTTP/1.1\r\nHost: 127.0.0.1:{}\r\n\r\n", house.port);
    stream.write_all(head.as_bytes()).unwrap();
    let mut seen = String::new();
    let mut read_until = |text: &str| {
        until(text, || {
            let mut bytes = [0; 65_536];
            let count = stream.read(&mut bytes).unwrap();
            seen += &String::from_utf8_lossy(&bytes[..count]);
            seen.contains(text)
        });
        seen.clone()
    };
    let first = read_until("value/sky/image");
    assert!(first.contains("content-type: text/event-stream"), "{first}");
    assert!(first.contains("\"sensor/air\":{\"driver\":\"sim\""), "{first}");
    house.board.part("sensor air").set(State::Failed("no answer".into()));
    let later = read_until("no answer");
    assert!(!later.rsplit("data: ").next().unwrap().contains("\"device\""), "only what changed: {later}");
}

#[test]
fn pages_are_bounded_and_their_places_are_given_back() {
    let house = House::open();
    let request = format!("GET /api/live HTTP/1.1\r\nHost: 127.0.0.1:{}\r\n\r\n", house.port);
    let open = || {
        let mut stream = house.connect();
        stream.write_all(request.as_bytes()).unwrap();
        let mut start = [0; 12];
        stream.read_exact(&mut start).unwrap();
        (stream, String::from_utf8_lossy(&start[9..]).into_owned())
    };
    let mut pages: Vec<_> = (0..live::MOST).map(|_| open()).collect();
    assert!(pages.iter().all(|(_, status)| status == "200"));
    assert_eq!(open().1, "503");
    assert_eq!(house.get("/api/session").status, 200, "the rest is answered");
    pages.pop();
    until("there is room again", || open().1 == "200");
}

#[test]
fn a_plot_keeps_the_spike_and_tells_of_nothing_twice() {
    let house = House::open();
    for second in (1..2_000).rev() {
        let value = if second == 700 { 99.0 } else { (second % 10) as f64 };
        house
            .log
            .append(vec![Reading {
                channel: house.channels[0],
                at: {
                    let mut at = clock::now();
                    at.wall.0 -= second * 1_000_000;
                    at
                },
                value: Value::Float(value),
            }])
            .unwrap();
    }
    house.log.flush().unwrap();
    let series = house.get("/api/series?sensor=air&quantity=value&range=1h&buckets=50").json();
    let column =
        |name: &str| series[name].as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect::<Vec<_>>();
    assert!(column("max").contains(&99.0), "{series}");
    assert!(column("max").len() <= 50 && column("min").len() == column("first").len());
    assert_eq!(series["count"], 1_999);
    assert!(column("first").windows(2).all(|pair| pair[0] < pair[1]));
    let sparks = house.get("/api/sparks?of=air%2Fvalue%0Anobody%2Fx").json();
    assert!(sparks["air/value"]["points"].as_array().unwrap().iter().any(|point| point[2] == 99));
    assert_eq!(sparks.as_object().unwrap().len(), 1);
}

#[test]
fn pictures_are_listed_shown_and_made_small() {
    let house = House::open();
    let mut jpeg = Vec::new();
    let picture = image::DynamicImage::new_rgb8(800, 600);
    picture.write_to(&mut std::io::Cursor::new(&mut jpeg), image::ImageFormat::Jpeg).unwrap();
    for ago in [20, 10] {
        let image = Image {
            content_type: ContentType::Jpeg,
            width: 800,
            height: 600,
            sha256: Sha256([0; 32]),
            bytes: jpeg.clone(),
            thumbnail: None,
        };
        house.append(1, ago, Value::Image(Arc::new(image)));
    }
    let list = house.get("/api/pictures?sensor=sky&quantity=image").json();
    let rows: Vec<i64> =
        list["pictures"].as_array().unwrap().iter().map(|p| p["row"].as_i64().unwrap()).collect();
    assert_eq!(rows.len(), 2);
    assert!(rows[0] > rows[1], "newest first");
    let older = house.get(&format!("/api/pictures?sensor=sky&quantity=image&before={}", rows[0])).json();
    assert_eq!(older["pictures"][0]["row"], rows[1]);
    let then = list["pictures"][1]["t"].as_i64().unwrap();
    assert_eq!(list["oldest"], then);
    let past = house.get(&format!("/api/pictures?sensor=sky&quantity=image&until={then}")).json();
    assert_eq!(past["pictures"].as_array().unwrap().len(), 1);
    assert_eq!(past["pictures"][0]["row"], rows[1]);
    let bad = house.get("/api/pictures?sensor=sky&quantity=image&until=noon");
    assert_eq!(bad.status, 400);
    let whole = house.get(&format!("/picture/{}", rows[0]));
    assert_eq!((whole.header("content-type"), &whole.body), (Some("image/jpeg"), &jpeg));
    let small = house.get(&format!("/picture/{}?small", rows[0]));
    let small = image::load_from_memory(&small.body).unwrap();
    assert_eq!((small.width(), small.height()), (288, 216));
}

#[test]
fn the_password_is_asked_for_and_opens() {
    let house = House::secret();
    let front = house.get("/");
    assert_eq!((front.status, front.header("location")), (303, Some("/login")));
    assert_eq!(house.get("/login").status, 200);
    for path in ["/api/live", "/api/session", "/metrics", "/api/series", "/picture/1"] {
        assert_eq!(house.get(path).status, 401, "{path}");
    }
    // Whoever restarts or balances needs no password, and learns nothing.
    assert_eq!(house.get("/healthz").text().lines().count(), 1);

    let origin = format!("Origin: http://127.0.0.1:{}", house.port);
    let form = "Content-Type: application/x-www-form-urlencoded";
    let login = |origin: &str, body: &str| house.ask("POST /login", &[origin, form], body);
    assert_eq!(login("Origin: http://evil.example", "password=correct+horse").status, 403);
    assert_eq!(login("X-Nothing: 1", "password=correct+horse").status, 403);
    assert_eq!(login(&origin, "word=x").status, 400);
    assert_eq!(login(&origin, "password=wrong").header("location"), Some("/login?wrong"));
    let entered = login(&origin, "password=correct%20horse");
    assert_eq!((entered.status, entered.header("location")), (303, Some("/")));
    let cookie = entered.header("set-cookie").unwrap();
    assert!(cookie.contains("; HttpOnly; SameSite=Strict"), "{cookie}");
    let cookie = format!("Cookie: {}", cookie.split(';').next().unwrap());

    let session = house.ask("GET /api/session", &[&cookie], "").json();
    let token = format!("X-Sensor-Bridge-Token: {}", session["token"].as_str().unwrap());
    assert_eq!(house.ask("POST /logout", &[&cookie, &origin], "").status, 403, "no token");
    assert_eq!(house.ask("POST /logout", &[&cookie, &token], "").status, 403, "no origin");
    assert_eq!(house.ask("POST /logout", &[&cookie, &token, &origin], "").status, 303);
    assert_eq!(house.ask("GET /api/session", &[&cookie], "").status, 401, "it is over");
    assert_eq!(house.ask("GET /metrics", &["Authorization: Bearer correct horse"], "").status, 200);
}

#[test]
fn guessing_is_slowed_down() {
    let house = House::secret();
    let guess =
        |password: &str| house.ask("GET /metrics", &[&format!("Authorization: Bearer {password}")], "");
    let mut last = guess("a");
    for _ in 0..9 {
        last = guess("a");
    }
    assert_eq!(last.status, 429);
    assert!(last.header("retry-after").unwrap().parse::<u64>().unwrap() > 0);
    assert_eq!(guess("correct horse").status, 429);
}

#[test]
fn rubbish_harms_nobody() {
    let house = House::open();
    for rubbish in [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(),
        b"GET\r\n\r\n".to_vec(),
        b"GET / HTTP/1.1\r\n\r\n".to_vec(),
        format!("GET /{} HTTP/1.1\r\nHost: localhost\r\n\r\n", "x".repeat(100_000)).into_bytes(),
        format!("GET / HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(5_000)).into_bytes(),
    ] {
        let mut stream = house.connect();
        // It may hang up in the middle: that is an answer as well.
        stream.write_all(&rubbish).unwrap_or_default();
        stream.shutdown(std::net::Shutdown::Write).unwrap_or_default();
        let mut answer = Vec::new();
        if let Err(error) = stream.read_to_end(&mut answer) {
            assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        }
        let first = String::from_utf8_lossy(&answer).lines().next().unwrap_or_default().to_owned();
        assert!(first.is_empty() || first.starts_with("HTTP/1.1 4"), "{first}");
    }
    assert_eq!(house.get("/").status, 200);
}

#[test]
fn a_port_that_is_taken_is_told_of_and_tried_again() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let folder = tempfile::tempdir().unwrap();
    let config = configuration(&folder, &format!("listen: \"127.0.0.1:{port}\""));
    let board = Board::new();
    let machine = Machine { boot_id: "boot".into(), now: clock::now };
    let log = Log::open(&config.log, &machine, &board).unwrap();
    let facts = Facts::new(&config, &board, &log, clock::now);
    let web = Web::start(config.web.as_ref().unwrap(), &log, &facts, None, &board).unwrap();
    let part = board.part("web");
    until("it says so", || matches!(part.state().0, State::Failed(why) if why.contains("another program")));
    drop(taken);
    until("it listens", || part.state().0 == State::Ok);
    web.stop();
    assert_eq!(part.state().0, State::Stopped);
    TcpListener::bind(("127.0.0.1", port)).unwrap();
}
