//! The door of a hub: takes TLS, reads what a device says, lets in whom it knows, and hands on what is allowed to a broker
//! behind it. For rules that no access list can express.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::certificates::Certificates;

/// How long the rest of a TLS record is waited for before the other side is listened to.
const TURN: Duration = Duration::from_millis(5);

/// What a CONNECT says (MQTT 3.1.1, 3.1).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Connect {
    pub client_id: String,
    pub username: String,
    pub password: String,
    pub will: bool,
}

/// Judges who comes; an error is refused as not authorised.
pub type Judge = Box<dyn Fn(&Connect) -> Result<(), String> + Send + Sync>;

/// See the module.
pub struct Front {
    port: u16,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    /// What was refused, and what was said against the rules.
    complaints: Mutex<Vec<String>>,
    /// Those who are in; nobody is let in any more once it is gone.
    guests: Mutex<Option<Vec<TcpStream>>>,
}

impl Front {
    /// In front of the broker at this port, with the broker's certificate.
    pub fn start(broker: u16, certificates: &Certificates, judge: Judge) -> Self {
        let chain = CertificateDer::pem_file_iter(certificates.file("broker.pem")).unwrap();
        let key = PrivateKeyDer::from_pem_file(certificates.file("broker.key")).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain.map(Result::unwrap).collect(), key)
            .unwrap();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared { guests: Mutex::new(Some(Vec::new())), ..Shared::default() });
        let thread = thread::spawn({
            let shared = Arc::clone(&shared);
            let (config, judge) = (Arc::new(config), Arc::new(judge));
            move || {
                let mut threads = Vec::new();
                for stream in listener.incoming().flatten() {
                    match &mut *shared.guests.lock().unwrap() {
                        Some(guests) => guests.push(stream.try_clone().unwrap()),
                        None => break,
                    }
                    let (config, judge, shared) = (config.clone(), judge.clone(), shared.clone());
                    threads.push(thread::spawn(move || {
                        let connection = ServerConnection::new(config).unwrap();
                        let mut guest =
                            Guest { stream: StreamOwned::new(connection, stream), input: Vec::new() };
                        if let Err(why) = guest.serve(broker, &judge, &shared.complaints) {
                            shared.complaints.lock().unwrap().push(why);
                        }
                        // The clone above would keep it open.
                        drop(guest.stream.sock.shutdown(Shutdown::Both));
                    }));
                }
                threads.into_iter().for_each(|thread| thread.join().unwrap_or(()));
            }
        });
        Self { port, shared, thread: Some(thread) }
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// What was refused so far, and what was said against the rules.
    pub fn complaints(&self) -> Vec<String> {
        self.shared.complaints.lock().unwrap().clone()
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        for guest in self.shared.guests.lock().unwrap().take().unwrap_or_default() {
            // It may have gone already.
            drop(guest.shutdown(Shutdown::Both));
        }
        drop(TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)));
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap_or(());
        }
    }
}

struct Guest {
    stream: StreamOwned<ServerConnection, TcpStream>,
    input: Vec<u8>,
}

impl Guest {
    /// Until one side ends; an error is what the guest did wrong.
    fn serve(&mut self, broker: u16, judge: &Judge, complaints: &Mutex<Vec<String>>) -> Result<(), String> {
        let mut broker = TcpStream::connect(SocketAddr::from((Ipv4Addr::LOCALHOST, broker))).unwrap();
        self.stream.sock.set_read_timeout(Some(TURN)).unwrap();
        let mut buffer = vec![0; 1 << 16];
        loop {
            let answered = self.wait(&broker);
            match self.stream.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(count) => self.input.extend(&buffer[..count]),
                Err(error) if is_timeout(&error) => {}
                Err(_) => return Ok(()),
            }
            while let Some((head, body, end)) = frame(&self.input) {
                let packet: Vec<u8> = self.input.drain(..end).collect();
                if let Err(why) = allowed(head, &packet[body..], judge, complaints) {
                    // CONNACK: not authorised. Whoever is connected takes it for the nonsense that it is, and goes.
                    self.stream.write_all(&[0x20, 2, 0, 5]).unwrap_or(());
                    self.stream.conn.send_close_notify();
                    self.stream.flush().unwrap_or(());
                    return Err(why);
                }
                if broker.write_all(&packet).is_err() {
                    return Ok(());
                }
            }
            if answered {
                match broker.read(&mut buffer) {
                    Ok(count) if count > 0 && self.stream.write_all(&buffer[..count]).is_ok() => {}
                    _ => return Ok(()),
                }
            }
        }
    }

    /// Until one of them has something to say; answers whether the broker has.
    fn wait(&self, broker: &TcpStream) -> bool {
        let mut fds = [PollFd::new(&self.stream.sock, PollFlags::IN), PollFd::new(broker, PollFlags::IN)];
        // What is decrypted already is not seen from outside.
        let most = (!self.stream.conn.wants_read()).then(Timespec::default);
        while poll(&mut fds, most.as_ref()) == Err(Errno::INTR) {}
        !fds[1].revents().is_empty()
    }
}

fn is_timeout(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted)
}

/// First byte, where the body begins and where it ends, once the packet is complete (2.2.3).
fn frame(input: &[u8]) -> Option<(u8, usize, usize)> {
    let (mut length, mut at) = (0, 1);
    loop {
        let byte = *input.get(at)?;
        length |= usize::from(byte & 127) << (7 * (at - 1));
        at += 1;
        if byte & 128 == 0 {
            break;
        }
    }
    (input.len() >= at + length).then_some((input[0], at, at + length))
}

fn allowed(head: u8, body: &[u8], judge: &Judge, complaints: &Mutex<Vec<String>>) -> Result<(), String> {
    match head >> 4 {
        1 => judge(&connect(body)),
        // "If a device app publishes a message with QoS 2, IoT Hub closes the network connection."
        3 if head >> 1 & 3 == 2 => Err("a message of QoS 2".to_owned()),
        3 if head & 1 == 1 => {
            complaints.lock().unwrap().push("a retained message".to_owned());
            Ok(())
        }
        _ => Ok(()),
    }
}

fn connect(body: &[u8]) -> Connect {
    let flags = body[7];
    let mut rest = &body[10..];
    let mut text = || {
        let length = usize::from(u16::from_be_bytes([rest[0], rest[1]]));
        let text = String::from_utf8_lossy(&rest[2..2 + length]).into_owned();
        rest = &rest[2 + length..];
        text
    };
    let client_id = text();
    let will = flags & 4 != 0;
    if will {
        // Topic and message.
        text();
        text();
    }
    let username = if flags & 128 != 0 { text() } else { String::new() };
    let password = if flags & 64 != 0 { text() } else { String::new() };
    Connect { client_id, username, password, will }
}
