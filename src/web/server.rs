//! Listening, connections, and their bounds. What is asked and answered is not known here.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, Sleep, sleep};
use tracing::{debug, info, warn};

use super::collect::Collector;
use super::route::{self, Site};
use crate::status::{Part, State};

/// Most connections at once. Those beyond wait in the kernel.
const CONNECTIONS: usize = 64;

/// How long a connection may be silent between requests, and a request's head may take.
const SILENCE: Duration = Duration::from_secs(30);

/// A client that takes nothing for this long is let go of.
const STALLED: Duration = Duration::from_secs(30);

/// A request's head is no longer than this, bytes.
const HEAD: usize = 16 * 1024;

/// Between two attempts to listen.
const RETRY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// Serves until `stop` is dropped.
pub(super) async fn run(
    site: Arc<Site>,
    collector: Collector,
    listen: SocketAddr,
    part: Part,
    mut stop: watch::Receiver<()>,
) {
    let serve = async {
        let listener = bound(listen, &part, site.door.is_open()).await;
        tokio::join!(accept(&site, &listener), collector.run(&site));
    };
    tokio::select! {
        () = serve => {}
        _ = stop.changed() => {}
    }
    part.set(State::Stopped);
}

/// The listener, sooner or later: another program may have the port, or the address not be there yet.
async fn bound(listen: SocketAddr, part: &Part, is_open: bool) -> TcpListener {
    let mut wait = RETRY.0;
    loop {
        match TcpListener::bind(listen).await.and_then(|listener| Ok((listener.local_addr()?, listener))) {
            Ok((address, listener)) => {
                info!("web: http://{address}/");
                if !address.ip().to_canonical().is_loopback() {
                    warn!(
                        "web: without TLS: who listens on the network reads the password and the values; docs/web.md \
                         says how to add it"
                    );
                } else if is_open {
                    debug!("web: every user of this machine may look");
                }
                part.figure("port").set(i64::from(address.port()));
                part.set(State::Ok);
                return listener;
            }
            Err(error) => {
                part.set(State::Failed(unusable(listen, &error)));
                sleep(wait).await;
                wait = (wait * 2).min(RETRY.1);
            }
        }
    }
}

/// Why an address cannot be listened on, and what to do.
fn unusable(listen: SocketAddr, error: &io::Error) -> String {
    let why = match error.kind() {
        io::ErrorKind::AddrInUse => "another program has this port; choose another one",
        io::ErrorKind::AddrNotAvailable => "this machine does not have this address (yet)",
        io::ErrorKind::PermissionDenied => {
            "ports below 1024 are root's; choose another one, for example 8480"
        }
        _ => return format!("cannot listen on {listen}: {error}"),
    };
    format!("cannot listen on {listen}: {why}")
}

async fn accept(site: &Arc<Site>, listener: &TcpListener) {
    let room = Arc::new(Semaphore::new(CONNECTIONS));
    // Dropped with this future, and every connection with it.
    let mut connections = JoinSet::new();
    loop {
        let Ok(place) = room.clone().acquire_owned().await else { return };
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            // The connection is gone already, or there are no file descriptors: neither is helped by haste.
            Err(error) => {
                debug!("web: accepting: {error}");
                sleep(Duration::from_millis(200)).await;
                continue;
            }
        };
        while connections.try_join_next().is_some() {}
        let site = site.clone();
        connections.spawn(async move {
            if let Err(error) = serve(site, stream, peer).await {
                debug!("web: {peer}: {error}");
            }
            drop(place);
        });
    }
}

async fn serve(site: Arc<Site>, stream: TcpStream, peer: SocketAddr) -> hyper::Result<()> {
    // Events are small and should not wait for the next one.
    if let Err(error) = stream.set_nodelay(true) {
        debug!("web: {peer}: {error}");
    }
    let service = service_fn(move |request| {
        let site = site.clone();
        async move { Ok::<_, Infallible>(route::answer(&site, request, peer.ip()).await) }
    });
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(SILENCE)
        .max_buf_size(HEAD)
        .serve_connection(TokioIo::new(Patient { stream, stalled: None }), service)
        .await
}

/// A connection that ends when its client takes nothing for a while: what waits for it takes memory.
struct Patient {
    stream: TcpStream,
    stalled: Option<Pin<Box<Sleep>>>,
}

impl Patient {
    /// Passes on how a write went, or that it has not gone on for too long.
    fn judge<T>(&mut self, went: Poll<io::Result<T>>, context: &mut Context<'_>) -> Poll<io::Result<T>> {
        if went.is_ready() {
            self.stalled = None;
            return went;
        }
        let end = || Box::pin(tokio::time::sleep_until(Instant::now() + STALLED));
        match self.stalled.get_or_insert_with(end).as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl AsyncRead for Patient {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Patient {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let went = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.judge(went, context)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
