//! What both listeners share: where they bind, how many connections they take, and how they end.
//!
//! HTTP/1.1 only: it bounds what is in flight by the number of connections. Behind a proxy that ends TLS
//! and speaks HTTP/2, nothing is lost.

pub(crate) mod auth;
pub(crate) mod body;
pub(crate) mod problem;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::task::{JoinHandle, JoinSet};

/// Enough for any honest client's headers; more is answered with 431.
const HEADER_BYTES: usize = 64 << 10;
const HEADERS: usize = 128;
/// After a failed accept (no file descriptors left, say) the listener takes a breath.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What a listener allows its clients.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct ServerLimits {
    /// Connections at once; more wait to be accepted.
    pub connections: usize,
    /// How long a request's head may take to arrive, and how long a connection may be idle.
    pub head_timeout: Duration,
}

impl Default for ServerLimits {
    fn default() -> Self {
        ServerLimits { connections: 512, head_timeout: Duration::from_secs(30) }
    }
}

/// Why a listener can't start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ListenError {
    /// Not an address, or one whose name can't be resolved.
    #[error("`{setting}` is `{address}`, which is no address: give an IP address or a host name, and a port")]
    Address {
        /// The setting.
        setting: &'static str,
        /// Its value.
        address: String,
        /// Why.
        source: std::io::Error,
    },
    /// Other machines could reach it, and anybody could use it.
    #[error(
        "`{setting}` is `{address}`, which other machines can reach, and no token is set: \
         set `{token}_file` (or `{token}`), or bind to 127.0.0.1"
    )]
    Unprotected {
        /// The setting.
        setting: &'static str,
        /// Its value.
        address: String,
        /// The setting that would protect it.
        token: &'static str,
    },
    /// The operating system refused.
    #[error("cannot listen on {address} (`{setting}`)")]
    Bind {
        /// The setting.
        setting: &'static str,
        /// The address.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
}

/// A listener that serves.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    stop: oneshot::Sender<Duration>,
    task: JoinHandle<bool>,
}

impl Server {
    /// Where it listens, with the port that the system chose if it was to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Accepts no more, lets the requests under way finish, and cuts off what is left after `within`.
    /// `true`: all of them finished.
    pub async fn stop(self, within: Duration) -> bool {
        // An error means that the task has ended already.
        let _ = self.stop.send(within);
        self.task.await.unwrap_or(false)
    }
}

/// Binds to `address`, an IP address or a host name, and a port (0: the system chooses one). Unless a
/// token protects it, only loopback addresses are allowed.
pub(crate) async fn bind(
    setting: &'static str,
    address: &str,
    token: &'static str,
    protected: bool,
) -> Result<Bound, ListenError> {
    let unresolved = |source| ListenError::Address { setting, address: address.to_owned(), source };
    let found = tokio::net::lookup_host(address).await.map_err(unresolved)?.next();
    let resolved = found.ok_or_else(|| unresolved(std::io::ErrorKind::NotFound.into()))?;
    if !protected && !resolved.ip().to_canonical().is_loopback() {
        return Err(ListenError::Unprotected { setting, address: address.to_owned(), token });
    }
    let failed = |source| ListenError::Bind { setting, address: resolved, source };
    let listener = TcpListener::bind(resolved).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    Ok(Bound { listener, address })
}

/// A socket that listens; nobody serves it yet.
pub(crate) struct Bound {
    listener: TcpListener,
    address: SocketAddr,
}

impl Bound {
    /// Serves `router` until [`Server::stop`].
    pub(crate) fn serve(self, router: Router, limits: ServerLimits) -> Server {
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(accept(self.listener, router, limits, stopped));
        Server { address: self.address, stop, task }
    }
}

async fn accept(
    listener: TcpListener,
    router: Router,
    limits: ServerLimits,
    mut stopped: oneshot::Receiver<Duration>,
) -> bool {
    let slots = Arc::new(Semaphore::new(limits.connections.max(1)));
    let graceful = GracefulShutdown::new();
    let mut connections = JoinSet::new();
    let within = loop {
        let next = async {
            let slot = slots.clone().acquire_owned().await.ok()?;
            Some((listener.accept().await, slot))
        };
        tokio::select! {
            within = &mut stopped => break within.unwrap_or_default(),
            next = next => match next {
                Some((Ok((stream, _)), slot)) => {
                    connections.spawn(connection(stream, router.clone(), limits, graceful.watcher(), slot));
                }
                Some((Err(error), _)) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
                None => break Duration::ZERO,
            },
        }
        while connections.try_join_next().is_some() {}
    };
    drop(listener);
    // What is left when the time is up ends with the set.
    tokio::time::timeout(within, graceful.shutdown()).await.is_ok()
}

async fn connection(
    stream: TcpStream,
    router: Router,
    limits: ServerLimits,
    graceful: Watcher,
    slot: OwnedSemaphorePermit,
) {
    // Answers are small and awaited: nothing is gained by holding them back.
    let _ = stream.set_nodelay(true);
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head_timeout)
        .max_headers(HEADERS)
        .max_header_size(HEADER_BYTES)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    if let Err(error) = graceful.watch(connection).await {
        tracing::debug!(%error, "a connection ended early");
    }
    drop(slot);
}
