//! What a hostile broker can do, one entry each. None of them is the protocol; all of them are what a client meets
//! whose network, broker or neighbour is not what it should be.

use std::io;
use std::time::Duration;

use crate::visit::{Visit, packet, packet_id};

/// One way to misbehave.
pub struct Misdeed {
    /// Name.
    pub name: &'static str,
    /// Protocol versions it can be done in.
    pub versions: &'static [u8],
    /// Done before the CONNECT is read.
    pub before_connect: bool,
    /// It acknowledges, or refuses, what it does not keep. A broker that lies about that cannot be found out.
    pub acknowledges: bool,
    /// Does it to one connection.
    pub act: fn(&mut Visit) -> io::Result<()>,
}

const BOTH: &[u8] = &[4, 5];

const fn misdeed(name: &'static str, act: fn(&mut Visit) -> io::Result<()>) -> Misdeed {
    Misdeed { name, versions: BOTH, before_connect: false, acknowledges: false, act }
}

const fn of_5(name: &'static str, act: fn(&mut Visit) -> io::Result<()>) -> Misdeed {
    Misdeed { versions: &[5], ..misdeed(name, act) }
}

/// Packet ids that mean nothing, or what they should not.
const STRANGE_IDS: [u16; 6] = [0, 2, 1023, 1024, 1025, 65_535];

/// Topics that no broker would hand on.
const STRANGE_TOPICS: [&[u8]; 8] = [
    b"in/\xff\xfe",
    b"in/a\0b",
    b"in/+/#",
    b"",
    b"$SYS/x",
    b"in/\x1b[2J\r\n",
    b"../../../../etc/passwd",
    b"in//..//x",
];

/// All of them.
pub const MISDEEDS: &[Misdeed] = &[
    Misdeed {
        before_connect: true,
        ..misdeed("garbage before CONNACK", |visit| visit.raw(&noise(64 << 10)))
    },
    Misdeed {
        before_connect: true,
        ..misdeed("no MQTT at all", |visit| {
            visit.raw(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
        })
    },
    Misdeed { before_connect: true, ..misdeed("closes at once", |_| Ok(())) },
    misdeed("closes after CONNECT", |_| Ok(())),
    misdeed("closes after CONNACK", |visit| visit.connack(&[])),
    misdeed("closes after SUBACK or PUBLISH", |visit| visit.begin().map(drop)),
    misdeed("closes within a packet", |visit| {
        visit.begin()?;
        visit.raw(&packet(0x30, &[0; 5000])[..100])
    }),
    misdeed("closes after PUBREC", |visit| {
        let first = visit.begin()?;
        visit.ack(if first.0 & 6 == 4 { 0x50 } else { 0x40 }, packet_id(&first))?;
        let second = visit.first()?;
        visit.ack(if second.0 & 6 == 4 { 0x50 } else { 0x40 }, packet_id(&second))
    })
    .that_acknowledges(),
    misdeed("never answers", Visit::listen),
    misdeed("says nothing after CONNACK", |visit| {
        visit.connack(&[])?;
        visit.listen()
    }),
    misdeed("endless CONNACKs", |visit| {
        visit.connack(&[])?;
        let connack: &[u8] = if visit.version == 5 { &[0, 0, 0] } else { &[0, 0] };
        visit.raw(&packet(0x20, connack).repeat(20_000))
    }),
    misdeed("refuses with every code", |visit| {
        let codes: Vec<u8> = if visit.version == 5 { (0x80..=0xa2).collect() } else { (1..=6).collect() };
        let code = codes[visit.number % codes.len()];
        let body: &[u8] = if visit.version == 5 { &[0, code, 0] } else { &[0, code] };
        visit.send(0x20, body)
    }),
    misdeed("a length without end", |visit| {
        visit.begin()?;
        visit.raw(&[0x30, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff])
    }),
    misdeed("announces 256 MB", |visit| {
        visit.begin()?;
        visit.raw(&[0x30, 0xff, 0xff, 0xff, 0x7f, 0, 4])?;
        visit.raw(&vec![b'x'; 4 << 20])
    }),
    misdeed("announces 256 MB instead of a CONNACK", |visit| {
        visit.raw(&[0x20, 0xff, 0xff, 0xff, 0x7f, 0, 4])?;
        visit.raw(&vec![b'x'; 4 << 20])
    }),
    misdeed("wrong packet ids", |visit| {
        visit.begin()?;
        let head = [0x40, 0x50, 0x62, 0x70, 0x90, 0xb0][visit.number / 2 % 6];
        let id = STRANGE_IDS[visit.number % STRANGE_IDS.len()];
        let more: &[u8] = if head >= 0x90 { &[0, 0] } else { &[] };
        visit.send(head, &[&id.to_be_bytes(), more].concat())
    })
    .that_acknowledges(),
    misdeed("PUBREL of unknown ids", |visit| {
        visit.begin()?;
        for id in (0..2_000).chain([65_535]) {
            visit.ack(0x62, id)?;
        }
        visit.drain();
        Ok(())
    }),
    misdeed("PUBCOMP without PUBREC", |visit| {
        let first = visit.begin()?;
        visit.ack(0x70, packet_id(&first))
    })
    .that_acknowledges(),
    misdeed("PUBACK for QoS 2 and PUBREC for QoS 1", |visit| {
        let mut next = visit.begin()?;
        for _ in 0..50 {
            if next.0 >> 4 == 3 {
                visit.ack(if next.0 & 6 == 4 { 0x40 } else { 0x50 }, packet_id(&next))?;
            }
            next = visit.first()?;
        }
        Ok(())
    })
    .that_acknowledges(),
    misdeed("flood of QoS 0", |visit| flood(visit, 0)),
    misdeed("flood of QoS 1", |visit| flood(visit, 1)),
    misdeed("flood of QoS 2", |visit| flood(visit, 2)),
    misdeed("flood of large packets", |visit| {
        visit.begin()?;
        let payload = vec![b'x'; 900_000];
        for _ in 0..64 {
            visit.publish(b"in/large", 0, 0, &payload)?;
        }
        visit.drain();
        Ok(())
    }),
    misdeed("flood of PINGRESP", |visit| {
        visit.begin()?;
        visit.raw(&packet(0xd0, &[]).repeat(500_000))
    }),
    misdeed("strange topics", |visit| {
        visit.begin()?;
        let topic = STRANGE_TOPICS[visit.number / 2 % STRANGE_TOPICS.len()];
        visit.publish(topic, 1, 7, b"{}")?;
        visit.drain();
        Ok(())
    }),
    misdeed("a topic of 64 kB", |visit| {
        visit.begin()?;
        visit.publish(&[b'/'; 65_535], 1, 7, b"{}")?;
        visit.drain();
        Ok(())
    }),
    misdeed("QoS 3", |visit| {
        visit.begin()?;
        let body = visit.publish_body(b"in/x", 1, 7, b"x");
        visit.send(0x36, &body)
    }),
    misdeed("packets of a client", |visit| {
        visit.begin()?;
        let head = [0x00, 0x10, 0x82, 0xa2, 0xc0, 0xf0, 0xff, 0x3f][visit.number / 2 % 8];
        visit.send(head, &[0, 4, b'M', b'Q', b'T', b'T', visit.version, 0, 0, 0, 0, 0])
    }),
    misdeed("packets without a body", |visit| {
        visit.begin()?;
        let head = [0x20, 0x30, 0x32, 0x40, 0x50, 0x62, 0x70, 0x90, 0xb0, 0xe0][visit.number / 2 % 10];
        visit.send(head, &[0; 1][..visit.number % 2])
    }),
    misdeed("SUBACK with nonsense", |visit| {
        visit.connack(&[])?;
        let (head, body) = visit.packet()?;
        if head >> 4 == 8 {
            let codes: &[u8] = [&[][..], &[0x80], &[0x77], &[0; 100], &[2, 0x80]][visit.number / 2 % 5];
            let properties: &[u8] = if visit.version == 5 { &[0] } else { &[] };
            visit.send(0x90, &[&body[..2], properties, codes].concat())?;
        }
        visit.listen()
    }),
    misdeed("a session that is none", |visit| {
        let body: &[u8] = if visit.version == 5 { &[1, 0, 0] } else { &[1, 0] };
        visit.send(0x20, body)?;
        visit.first().map(drop)
    }),
    misdeed("drop by drop", |visit| {
        let connack = packet(0x20, if visit.version == 5 { &[0, 0, 0] } else { &[0, 0] });
        for byte in connack.iter().chain(&packet(0x30, &[0; 1000])) {
            visit.raw(&[*byte])?;
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }),
    of_5("receive maximum 0", |visit| with(visit, &[0x21, 0, 0])),
    of_5("receive maximum 1", |visit| with(visit, &[0x21, 0, 1])),
    of_5("maximum packet size 1", |visit| with(visit, &[0x27, 0, 0, 0, 1])).that_acknowledges(),
    of_5("maximum packet size 0", |visit| with(visit, &[0x27, 0, 0, 0, 0])).that_acknowledges(),
    of_5("keep alive 0", |visit| with(visit, &[0x13, 0, 0])),
    of_5("keep alive 1", |visit| with(visit, &[0x13, 0, 1])),
    of_5("session expiry 0", |visit| with(visit, &[0x11, 0, 0, 0, 0])),
    of_5("maximum QoS 0", |visit| with(visit, &[0x24, 0])).that_acknowledges(),
    of_5("maximum QoS 3", |visit| with(visit, &[0x24, 3])),
    of_5("a property twice", |visit| with(visit, &[0x21, 0, 9, 0x21, 0, 0])),
    of_5("a property that is none", |visit| with(visit, &[0x7f, 1, 2, 3])),
    of_5("properties that end early", |visit| visit.send(0x20, &[0, 0, 100, 0x21, 0])),
    of_5("a client id of 64 kB", |visit| with(visit, &text(0x12, 65_535))),
    of_5("a reason of 64 kB", |visit| with(visit, &text(0x1f, 65_535))),
    of_5("flood of user properties", |visit| with(visit, &[0x26, 0, 1, b'a', 0, 1, b'b'].repeat(100_000))),
    of_5("changes its mind in a second CONNACK", |visit| {
        visit.begin()?;
        for most in [1_u16, 0, 65_535] {
            visit.connack(&[&[0x21][..], &most.to_be_bytes()].concat())?;
        }
        visit.listen()
    }),
    of_5("an alias that nobody gave", |visit| {
        visit.begin()?;
        let alias = (visit.number % 3) as u16;
        let head = [0, 0, 0, 7, 3, 0x23];
        visit.send(0x32, &[&head[..], &alias.to_be_bytes(), b"x"].concat())?;
        visit.drain();
        Ok(())
    }),
    of_5("refuses every message", |visit| {
        let mut next = visit.begin()?;
        loop {
            if next.0 >> 4 == 3 {
                let head = if next.0 & 6 == 4 { 0x50 } else { 0x40 };
                visit.send(head, &[&packet_id(&next).to_be_bytes()[..], &[0x97]].concat())?;
            }
            next = visit.first()?;
        }
    })
    .that_acknowledges(),
    of_5("refuses one message at a time", |visit| {
        visit.connack(&[0x21, 0, 1])?;
        loop {
            let next = visit.first()?;
            if next.0 >> 4 == 3 {
                let head = if next.0 & 6 == 4 { 0x50 } else { 0x40 };
                visit.send(head, &[&packet_id(&next).to_be_bytes()[..], &[0x97]].concat())?;
            }
        }
    })
    .that_acknowledges(),
    of_5("DISCONNECT with every reason", |visit| {
        visit.begin()?;
        let reason = (visit.number % 256) as u8 | if visit.number % 2 == 0 { 0x80 } else { 0 };
        let text = text(0x1f, 2_000);
        visit.send(0xe0, &[&[reason][..], &crate::visit::length(text.len()), &text].concat())
    }),
];

impl Misdeed {
    const fn that_acknowledges(mut self) -> Self {
        self.acknowledges = true;
        self
    }
}

/// Connects with these properties, and listens.
fn with(visit: &mut Visit, properties: &[u8]) -> io::Result<()> {
    visit.connack(properties)?;
    if visit.first().is_ok() {
        std::thread::sleep(Duration::from_millis(500));
    }
    Ok(())
}

/// A text of this many bytes as a property.
fn text(property: u8, bytes: u16) -> Vec<u8> {
    [&[property][..], &bytes.to_be_bytes(), &vec![b'x'; usize::from(bytes)]].concat()
}

/// Messages that nobody asked for, to the publisher as well, as fast as they are taken.
fn flood(visit: &mut Visit, qos: u8) -> io::Result<()> {
    visit.begin()?;
    let mut many = Vec::new();
    for number in 0..30_000_u32 {
        // Within the 65,535 ids, and never the same twice as long as nothing is acknowledged.
        let id = 1 + (number % 60_000) as u16;
        let topic = format!("in/flood/{}", number % 1_000);
        let body = visit.publish_body(topic.as_bytes(), qos, id, &[b'x'; 100]);
        many.extend(packet(0x30 | qos << 1, &body));
        if many.len() > 1 << 16 {
            visit.raw(&many)?;
            many.clear();
        }
    }
    visit.raw(&many)?;
    visit.drain();
    Ok(())
}

/// Bytes that mean nothing, the same ones each time.
fn noise(bytes: usize) -> Vec<u8> {
    let mut state = 4711_u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    (0..bytes).map(|_| next()).collect()
}
