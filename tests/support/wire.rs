//! As much MQTT 3.1.1 as a witness needs, on a plain socket: it must not share code with what it watches.
//! Section numbers are those of the OASIS standard, version 3.1.1.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// A packet that arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Packet {
    /// 3.2; `code` 0 is yes.
    ConnAck { session_present: bool, code: u8 },
    /// 3.3
    Publish { topic: String, qos: u8, dup: bool, retain: bool, id: u16, payload: Vec<u8> },
    /// 3.4
    PubAck(u16),
    /// 3.5
    PubRec(u16),
    /// 3.6
    PubRel(u16),
    /// 3.7
    PubComp(u16),
    /// 3.9; 0x80 is no.
    SubAck { id: u16, codes: Vec<u8> },
    /// 3.13
    PingResp,
}

/// A connection to a broker.
pub struct Wire {
    stream: TcpStream,
    input: Vec<u8>,
    start: usize,
    output: Vec<u8>,
}

impl Wire {
    /// Connects and waits for the CONNACK; answers whether the broker had a session.
    pub fn connect(port: u16, client_id: &str, clean: bool) -> io::Result<(Self, bool)> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let stream = TcpStream::connect_timeout(&address, Duration::from_secs(5))?;
        stream.set_nodelay(true)?;
        stream.set_write_timeout(Some(Duration::from_secs(10)))?;
        let mut wire = Self { stream, input: Vec::new(), start: 0, output: Vec::new() };
        // 3.1: protocol name, level 4, flags (bit 1: clean session), keep-alive 0 (none).
        let mut body = vec![0, 4, b'M', b'Q', b'T', b'T', 4, u8::from(clean) << 1, 0, 0];
        push_text(&mut body, client_id);
        wire.queue(0x10, &body);
        wire.flush()?;
        match wire.receive(Duration::from_secs(10))? {
            Some(Packet::ConnAck { session_present, code: 0 }) => Ok((wire, session_present)),
            other => Err(io::Error::other(format!("instead of a CONNACK: {other:?}"))),
        }
    }

    /// Subscribes to one filter and waits for the broker's yes.
    pub fn subscribe(&mut self, filter: &str, qos: u8) -> io::Result<()> {
        let mut body = vec![0, 1];
        push_text(&mut body, filter);
        body.push(qos);
        self.queue(0x82, &body);
        self.flush()?;
        match self.receive(Duration::from_secs(10))? {
            Some(Packet::SubAck { codes, .. }) if codes.iter().all(|code| *code <= 2) => Ok(()),
            other => Err(io::Error::other(format!("instead of a SUBACK: {other:?}"))),
        }
    }

    /// Puts a PUBLISH into the output; `id` is ignored at QoS 0.
    pub fn publish(&mut self, topic: &str, payload: &[u8], qos: u8, id: u16, dup: bool) {
        let mut body = Vec::with_capacity(topic.len() + payload.len() + 4);
        push_text(&mut body, topic);
        if qos > 0 {
            body.extend(id.to_be_bytes());
        }
        body.extend(payload);
        self.queue(0x30 | (u8::from(dup) << 3) | (qos << 1), &body);
    }

    /// Puts a PUBACK into the output.
    pub fn puback(&mut self, id: u16) {
        self.queue(0x40, &id.to_be_bytes());
    }

    /// Puts a PUBREC into the output.
    pub fn pubrec(&mut self, id: u16) {
        self.queue(0x50, &id.to_be_bytes());
    }

    /// Puts a PUBREL into the output.
    pub fn pubrel(&mut self, id: u16) {
        self.queue(0x62, &id.to_be_bytes());
    }

    /// Puts a PUBCOMP into the output.
    pub fn pubcomp(&mut self, id: u16) {
        self.queue(0x70, &id.to_be_bytes());
    }

    /// Puts a DISCONNECT into the output.
    pub fn disconnect(&mut self) {
        self.queue(0xe0, &[]);
    }

    fn queue(&mut self, head: u8, body: &[u8]) {
        self.output.push(head);
        // 2.2.3: seven bits a byte, lowest first.
        let mut length = body.len();
        loop {
            let more = u8::from(length > 127) << 7;
            self.output.push((length & 127) as u8 | more);
            length >>= 7;
            if length == 0 {
                break;
            }
        }
        self.output.extend(body);
    }

    /// Writes what was put into the output.
    pub fn flush(&mut self) -> io::Result<()> {
        self.stream.write_all(&self.output)?;
        self.output.clear();
        Ok(())
    }

    /// The next packet that was read already, without asking the socket.
    pub fn buffered(&mut self) -> io::Result<Option<Packet>> {
        let Some((head, body_at, end)) = frame(&self.input[self.start..]) else { return Ok(None) };
        let (body_at, end) = (self.start + body_at, self.start + end);
        let packet = decode(head, &self.input[body_at..end]);
        self.start = end;
        packet
            .map(Some)
            .ok_or_else(|| io::Error::other(format!("a packet of type {head:#04x} makes no sense")))
    }

    /// The next packet, or `None` when `limit` has passed. An error ends the connection.
    pub fn receive(&mut self, limit: Duration) -> io::Result<Option<Packet>> {
        let end = Instant::now() + limit;
        loop {
            if let Some(packet) = self.buffered()? {
                return Ok(Some(packet));
            }
            self.input.drain(..self.start);
            self.start = 0;
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(None);
            }
            self.stream.set_read_timeout(Some(left))?;
            let filled = self.input.len();
            self.input.resize(filled + (1 << 16), 0);
            let count = self.stream.read(&mut self.input[filled..]);
            self.input.truncate(filled + *count.as_ref().unwrap_or(&0));
            match count {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(_) => {}
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

fn push_text(body: &mut Vec<u8>, text: &str) {
    body.extend(u16::try_from(text.len()).unwrap().to_be_bytes());
    body.extend(text.as_bytes());
}

/// First byte, where the body begins and where it ends, once the packet is complete.
fn frame(input: &[u8]) -> Option<(u8, usize, usize)> {
    let head = *input.first()?;
    let (mut length, mut at) = (0, 1);
    loop {
        let byte = *input.get(at)?;
        length |= usize::from(byte & 127) << (7 * (at - 1));
        at += 1;
        if byte & 128 == 0 {
            break;
        }
    }
    (input.len() >= at + length).then_some((head, at, at + length))
}

fn decode(head: u8, body: &[u8]) -> Option<Packet> {
    let id = |at: usize| Some(u16::from_be_bytes([*body.get(at)?, *body.get(at + 1)?]));
    Some(match head >> 4 {
        2 => Packet::ConnAck { session_present: body.first()? & 1 == 1, code: *body.get(1)? },
        3 => {
            let qos = head >> 1 & 3;
            let topic_end = 2 + usize::from(id(0)?);
            let payload_at = topic_end + if qos > 0 { 2 } else { 0 };
            Packet::Publish {
                topic: String::from_utf8(body.get(2..topic_end)?.to_vec()).ok()?,
                qos,
                dup: head & 8 != 0,
                retain: head & 1 != 0,
                id: if qos > 0 { id(topic_end)? } else { 0 },
                payload: body.get(payload_at..)?.to_vec(),
            }
        }
        4 => Packet::PubAck(id(0)?),
        5 => Packet::PubRec(id(0)?),
        6 => Packet::PubRel(id(0)?),
        7 => Packet::PubComp(id(0)?),
        9 => Packet::SubAck { id: id(0)?, codes: body.get(2..)?.to_vec() },
        13 => Packet::PingResp,
        _ => return None,
    })
}
