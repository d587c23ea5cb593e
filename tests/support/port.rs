//! A TCP port of the loopback for one test alone, also while nobody listens on it.

use std::net::{Ipv4Addr, SocketAddr};

use tokio::net::TcpSocket;

/// A port that the kernel gives to nobody else for as long as this lives.
///
/// It is held by a socket that is bound and does not listen: a broker may listen beside it (both set
/// `SO_REUSEADDR`), may go and come back, and meanwhile neither another test nor an outgoing connection
/// gets the number. Asking for port 0 and closing it again, the usual way, gives no such promise.
pub struct Port {
    _held: TcpSocket,
    number: u16,
}

impl Port {
    /// A port that nobody uses.
    pub fn reserve() -> Self {
        let held = TcpSocket::new_v4().unwrap();
        held.set_reuseaddr(true).unwrap();
        held.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).unwrap();
        let number = held.local_addr().unwrap().port();
        Self { _held: held, number }
    }

    /// Its number.
    pub fn number(&self) -> u16 {
        self.number
    }
}
