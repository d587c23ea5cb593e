//! One client of the hostile broker: just enough MQTT 3.1.1 and 5 to come to where the misdeed begins.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

/// A packet of the client: its first byte and what follows the length.
pub type Packet = (u8, Vec<u8>);

/// See the module.
pub struct Visit {
    stream: TcpStream,
    /// 4 for MQTT 3.1.1, 5.
    pub version: u8,
    /// How many came before.
    pub number: usize,
    /// The mirror, not the publisher.
    pub mirror: bool,
}

impl Visit {
    /// Somebody who has not said a word yet.
    pub fn new(stream: TcpStream, version: u8, number: usize) -> Self {
        // A client that neither speaks nor hangs up is left to itself.
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream.set_write_timeout(Some(Duration::from_secs(20))).unwrap();
        Self { stream, version, number, mirror: false }
    }

    /// Reads the CONNECT.
    pub fn take_connect(&mut self) -> io::Result<()> {
        let (head, body) = self.packet()?;
        if head != 0x10 {
            return Err(ErrorKind::InvalidData.into());
        }
        self.mirror = body.windows(7).any(|window| window == b"-sqlite");
        Ok(())
    }

    /// The next packet of the client.
    pub fn packet(&mut self) -> io::Result<Packet> {
        let head = self.byte()?;
        let (mut length, mut shift) = (0, 0);
        loop {
            let byte = self.byte()?;
            length |= usize::from(byte & 127) << shift;
            shift += 7;
            if byte < 128 {
                break;
            }
        }
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body)?;
        Ok((head, body))
    }

    fn byte(&mut self) -> io::Result<u8> {
        let mut byte = [0];
        self.stream.read_exact(&mut byte)?;
        Ok(byte[0])
    }

    /// Bytes as they are.
    pub fn raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// A packet.
    pub fn send(&mut self, head: u8, body: &[u8]) -> io::Result<()> {
        self.raw(&packet(head, body))
    }

    /// A CONNACK with success and these properties, which 3.1.1 does not have.
    pub fn connack(&mut self, properties: &[u8]) -> io::Result<()> {
        let mut body = vec![0, 0];
        if self.version == 5 {
            body.extend(length(properties.len()));
            body.extend(properties);
        }
        self.send(0x20, &body)
    }

    /// A good beginning: CONNACK, and SUBACK for the mirror; the publisher has published something. Answers its packet.
    pub fn begin(&mut self) -> io::Result<Packet> {
        self.connack(&[])?;
        self.first()
    }

    /// What follows the CONNACK.
    pub fn first(&mut self) -> io::Result<Packet> {
        loop {
            let (head, body) = self.packet()?;
            match head >> 4 {
                // The retained status is QoS 1 and numbered as the others are.
                3 if head & 6 != 0 => return Ok((head, body)),
                8 => {
                    self.suback(&body, 2)?;
                    return Ok((head, body));
                }
                12 => self.send(0xd0, &[])?,
                _ => {}
            }
        }
    }

    /// A SUBACK of one filter.
    pub fn suback(&mut self, subscribe: &[u8], code: u8) -> io::Result<()> {
        let id = &subscribe[..2];
        match self.version {
            5 => self.send(0x90, &[id, &[0, code]].concat()),
            _ => self.send(0x90, &[id, &[code]].concat()),
        }
    }

    /// A PUBLISH; `id` from QoS 1 on.
    pub fn publish(&mut self, topic: &[u8], qos: u8, id: u16, payload: &[u8]) -> io::Result<()> {
        let body = self.publish_body(topic, qos, id, payload);
        self.send(0x30 | qos << 1, &body)
    }

    /// What stands in a PUBLISH.
    pub fn publish_body(&self, topic: &[u8], qos: u8, id: u16, payload: &[u8]) -> Vec<u8> {
        let mut body = (topic.len() as u16).to_be_bytes().to_vec();
        body.extend(topic);
        if qos > 0 {
            body.extend(id.to_be_bytes());
        }
        if self.version == 5 {
            body.push(0);
        }
        body.extend(payload);
        body
    }

    /// PUBACK (0x40), PUBREC (0x50), PUBREL (0x62) or PUBCOMP (0x70).
    pub fn ack(&mut self, head: u8, id: u16) -> io::Result<()> {
        self.send(head, &id.to_be_bytes())
    }

    /// Reads what comes, and answers nothing, until the client hangs up.
    pub fn listen(&mut self) -> io::Result<()> {
        loop {
            self.packet()?;
        }
    }

    /// Reads what comes for a while.
    pub fn drain(&mut self) {
        self.stream.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
        drop(io::copy(&mut self.stream, &mut io::sink()));
    }

    /// Closes in order: what was said is heard before the end is.
    pub fn hang_up(mut self) {
        drop(self.stream.shutdown(Shutdown::Write));
        self.drain();
    }
}

/// A packet id: of a PUBLISH, or of a SUBSCRIBE.
pub fn packet_id((head, body): &Packet) -> u16 {
    let at = match head >> 4 {
        3 => 2 + usize::from(u16::from_be_bytes([body[0], body[1]])),
        _ => 0,
    };
    u16::from_be_bytes([body[at], body[at + 1]])
}

/// A packet in full.
pub fn packet(head: u8, body: &[u8]) -> Vec<u8> {
    [&[head][..], &length(body.len()), body].concat()
}

/// 2.2.3: seven bits a byte, lowest first.
pub fn length(mut length: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let more = u8::from(length > 127) << 7;
        bytes.push((length & 127) as u8 | more);
        length >>= 7;
        if length == 0 {
            return bytes;
        }
    }
}
