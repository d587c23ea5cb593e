//! A network that can be cut: a TCP proxy on the loopback in front of a broker.

use std::net::{Ipv4Addr, SocketAddr};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;

use super::port::Port;

/// What the network does now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// Carries bytes.
    Open,
    /// Carries nothing for now; what was sent arrives later.
    Stalled,
    /// Swallows what is sent; connections of this time never recover, nobody is told.
    BlackHole,
    /// Nobody listens.
    Refusing,
}

#[derive(Debug, Clone, Copy)]
struct Weather {
    mode: Mode,
    /// Connections of an earlier generation are reset.
    generation: u64,
    over: bool,
}

/// A proxy between clients and one port of the loopback.
pub struct Proxy {
    port: Port,
    weather: watch::Sender<Weather>,
    thread: Option<JoinHandle<()>>,
}

impl Proxy {
    /// Carries connections to `target` (a port of 127.0.0.1; nobody need listen there yet).
    pub fn start(target: u16) -> Self {
        let port = Port::reserve();
        let (weather, outlook) = watch::channel(Weather { mode: Mode::Open, generation: 0, over: false });
        let (address, target) = (loopback(port.number()), loopback(target));
        let (listening, ready) = std::sync::mpsc::sync_channel(1);
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(serve(address, target, outlook, listening));
        });
        ready.recv_timeout(Duration::from_secs(10)).expect("the proxy listens");
        Self { port, weather, thread: Some(thread) }
    }

    /// Its port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port.number()
    }

    /// Its address as the configuration of the bridge wants it.
    pub fn url(&self) -> String {
        format!("mqtt://127.0.0.1:{}", self.port())
    }

    /// Resets every connection on both sides; new ones are carried.
    pub fn cut(&self) {
        self.weather.send_modify(|weather| weather.generation += 1);
    }

    /// Carries nothing, loses nothing: everything sent arrives after `resume`.
    pub fn stall(&self) {
        self.set(Mode::Stalled);
    }

    /// Swallows every byte both ways and keeps the sockets open, as a vanished router does. After
    /// `resume` new connections work; those of this time stay dead until somebody closes them.
    pub fn half_open(&self) {
        self.set(Mode::BlackHole);
    }

    /// Resets every connection and refuses new ones.
    pub fn refuse(&self) {
        self.weather.send_modify(|weather| {
            weather.generation += 1;
            weather.mode = Mode::Refusing;
        });
    }

    /// Carries connections again.
    pub fn resume(&self) {
        self.set(Mode::Open);
    }

    fn set(&self, mode: Mode) {
        self.weather.send_modify(|weather| weather.mode = mode);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.weather.send_modify(|weather| weather.over = true);
        if let Some(thread) = self.thread.take() {
            // A panic in there has been printed already; a second one in a drop would hide it.
            drop(thread.join());
        }
    }
}

fn loopback(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

fn listen(address: SocketAddr) -> TcpListener {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_reuseaddr(true).unwrap();
    socket.bind(address).unwrap();
    socket.listen(128).unwrap()
}

async fn serve(
    address: SocketAddr,
    target: SocketAddr,
    mut outlook: watch::Receiver<Weather>,
    listening: std::sync::mpsc::SyncSender<()>,
) {
    let mut listener = Some(listen(address));
    listening.send(()).unwrap();
    loop {
        let weather = *outlook.borrow_and_update();
        if weather.over {
            return;
        }
        match (weather.mode, &listener) {
            (Mode::Refusing, Some(_)) => listener = None,
            (Mode::Refusing, None) => {}
            (_, None) => listener = Some(listen(address)),
            _ => {}
        }
        let Some(open) = &listener else {
            if outlook.changed().await.is_err() {
                return;
            }
            continue;
        };
        tokio::select! {
            // The weather first: who connects after a cut belongs to the time after it.
            biased;
            changed = outlook.changed() => if changed.is_err() { return },
            accepted = open.accept() => if let Ok((client, _)) = accepted {
                tokio::spawn(carry(client, target, outlook.clone(), weather.generation));
            },
        }
    }
}

/// One connection, until an end closes it or the weather does.
async fn carry(client: TcpStream, target: SocketAddr, mut outlook: watch::Receiver<Weather>, born: u64) {
    client.set_nodelay(true).unwrap();
    // A broker that is down: the client sees its connection closed, as behind a load balancer.
    let Ok(server) = TcpStream::connect(target).await else { return };
    server.set_nodelay(true).unwrap();
    let (mut up, mut down) = (Half::new(), Half::new());
    let mut lost = false;
    loop {
        let weather = *outlook.borrow_and_update();
        if weather.over || weather.generation != born {
            // Zero linger: the peers get a reset, not an orderly end.
            drop(client.set_zero_linger());
            drop(server.set_zero_linger());
            return;
        }
        lost |= weather.mode == Mode::BlackHole;
        let stalled = weather.mode == Mode::Stalled;
        tokio::select! {
            biased;
            changed = outlook.changed() => if changed.is_err() { return },
            () = up.pump(&client, &server, lost), if !stalled => return,
            () = down.pump(&server, &client, lost), if !stalled => return,
        }
    }
}

/// One direction of a connection. It outlives a `pump` that is dropped halfway: what was read and not
/// yet written goes out with the next one, so that a stall loses nothing.
struct Half {
    buffer: Vec<u8>,
    written: usize,
    filled: usize,
}

impl Half {
    fn new() -> Self {
        Self { buffer: vec![0; 1 << 16], written: 0, filled: 0 }
    }

    /// Copies until one end is closed.
    async fn pump(&mut self, from: &TcpStream, to: &TcpStream, swallow: bool) {
        loop {
            if swallow {
                self.written = self.filled;
            }
            while self.written < self.filled {
                if to.writable().await.is_err() {
                    return;
                }
                match to.try_write(&self.buffer[self.written..self.filled]) {
                    Ok(count) => self.written += count,
                    Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                    Err(_) => return,
                }
            }
            if from.readable().await.is_err() {
                return;
            }
            match from.try_read(&mut self.buffer) {
                Ok(0) => return,
                Ok(count) => (self.written, self.filled) = (0, count),
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(_) => return,
            }
        }
    }
}
