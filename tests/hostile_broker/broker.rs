//! The port on which the hostile broker sits, until it only hands on to a real one. What it does is in `misdeeds`.

use std::io;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use crate::misdeeds::Misdeed;
use crate::visit::Visit;

/// A broker on a free port of the loopback.
pub struct HostileBroker {
    port: u16,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    connections: AtomicUsize,
    met: AtomicUsize,
    /// Where a real broker is, once this one is harmless.
    real: AtomicU16,
    over: AtomicBool,
    open: Mutex<Vec<TcpStream>>,
}

impl HostileBroker {
    /// Starts one that does this to everybody.
    pub fn start(misdeed: &'static Misdeed, version: u8) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared::default());
        thread::spawn({
            let shared = shared.clone();
            move || {
                for stream in listener.incoming().flatten() {
                    if shared.over.load(Ordering::SeqCst) {
                        return;
                    }
                    let shared = shared.clone();
                    thread::spawn(move || serve(stream, &shared, misdeed, version));
                }
            }
        });
        Self { port, shared }
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Connections so far, those to the real broker included.
    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// How often it has begun.
    pub fn met(&self) -> usize {
        self.shared.met.load(Ordering::SeqCst)
    }

    /// From now on connections go to the real broker on this port; the others are cut.
    pub fn become_harmless(&self, port: u16) {
        self.shared.real.store(port, Ordering::SeqCst);
        for stream in self.shared.open.lock().unwrap().drain(..) {
            // It may be closed already.
            drop(stream.shutdown(Shutdown::Both));
        }
    }
}

impl Drop for HostileBroker {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::SeqCst);
        self.become_harmless(0);
        drop(TcpStream::connect(("127.0.0.1", self.port)));
    }
}

/// One connection to its end; that it ends is no fault.
fn serve(stream: TcpStream, shared: &Shared, misdeed: &Misdeed, version: u8) {
    let number = shared.connections.fetch_add(1, Ordering::SeqCst);
    stream.set_nodelay(true).unwrap();
    let real = shared.real.load(Ordering::SeqCst);
    if real != 0 {
        drop(hand_on(stream, real));
        return;
    }
    shared.open.lock().unwrap().push(stream.try_clone().unwrap());
    let mut visit = Visit::new(stream, version, number);
    if !misdeed.before_connect && visit.take_connect().is_err() {
        return;
    }
    shared.met.fetch_add(1, Ordering::SeqCst);
    let done = (misdeed.act)(&mut visit);
    if done.is_ok() {
        visit.hang_up();
    }
}

fn hand_on(client: TcpStream, port: u16) -> io::Result<()> {
    let server = TcpStream::connect(("127.0.0.1", port))?;
    server.set_nodelay(true)?;
    let (mut from, mut to) = (client.try_clone()?, server.try_clone()?);
    let up = thread::spawn(move || {
        drop(io::copy(&mut from, &mut to));
        drop(to.shutdown(Shutdown::Both));
    });
    let (mut from, mut to) = (server, client);
    drop(io::copy(&mut from, &mut to));
    drop(to.shutdown(Shutdown::Both));
    up.join().unwrap();
    Ok(())
}
