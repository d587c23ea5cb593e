//! An HTTP proxy that opens tunnels (CONNECT, RFC 9110 section 9.3.6), with or without a password.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// A proxy on a free port of the loopback, for as long as the test's process lives.
pub struct Tunnel {
    port: u16,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Tunnel {
    /// Starts one; `authorization` is what it wants to read in `Proxy-Authorization`.
    pub fn start(authorization: Option<&str>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let (noted, wanted) = (asked.clone(), authorization.map(str::to_owned));
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (noted, wanted) = (noted.clone(), wanted.clone());
                thread::spawn(move || carry(client, wanted.as_deref(), &noted));
            }
        });
        Self { port, asked }
    }

    /// Its port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The first line of each request so far.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

/// The head of an HTTP request, byte by byte, so that nothing behind it is taken.
///
/// # Errors
/// Those of the stream.
pub fn head(stream: &mut TcpStream) -> io::Result<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    Ok(String::from_utf8_lossy(&head).into_owned())
}

/// One connection; whatever goes wrong with it is its end.
fn carry(mut client: TcpStream, wanted: Option<&str>, asked: &Mutex<Vec<String>>) -> Option<()> {
    let head = head(&mut client).ok()?;
    let line = head.lines().next()?;
    asked.lock().unwrap().push(line.to_owned());
    let given = head.lines().find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        name.eq_ignore_ascii_case("proxy-authorization").then_some(value)
    });
    if wanted.is_some() && given != wanted {
        return client
            .write_all(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
            .ok();
    }
    let target = line.split(' ').nth(1)?;
    let mut server = TcpStream::connect(target).ok()?;
    client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").ok()?;
    let (mut from_client, mut to_server) = (client.try_clone().ok()?, server.try_clone().ok()?);
    let up = thread::spawn(move || {
        drop(io::copy(&mut from_client, &mut to_server));
        drop(to_server.shutdown(Shutdown::Both));
    });
    drop(io::copy(&mut server, &mut client));
    drop(client.shutdown(Shutdown::Both));
    up.join().ok()
}
