//! Listening sockets: one per worker and address, all on the same port, opened by control before any worker sees them.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::AtomicU32;

use arc_swap::ArcSwapOption;
use socket2::{Domain, Protocol, Socket, Type};

/// An address that is listened on, and what is limited there for the whole process.
#[derive(Debug)]
pub struct Listener {
    /// As configured; the port may be 0.
    pub configured: SocketAddr,
    /// As the system has it.
    pub addr: SocketAddr,
    /// Connections open now, over all workers.
    pub connections: AtomicU32,
    /// Requests under way now, over all workers; only counted where they are limited.
    pub requests: AtomicU32,
    /// Tunnels that are open, or asked for, over all workers.
    pub tunnels: AtomicU32,
    /// One for each worker, who takes it and keeps it.
    sockets: Vec<ArcSwapOption<TcpListener>>,
}

impl Listener {
    /// Listens on `addr` with one socket for each worker.
    ///
    /// Every socket has an accept queue of its own (SO_REUSEPORT): no lock between workers. That option would also let
    /// another process, or another waypost, share the port unnoticed; so the first socket is bound without it, which
    /// fails where anybody else listens, and allows others of this process only after that.
    ///
    /// # Errors
    /// As the system says; the address in use is the usual one.
    pub fn bind(configured: SocketAddr, workers: usize) -> io::Result<Self> {
        let first = socket(configured)?;
        first.bind(&configured.into())?;
        first.set_reuse_port(true)?;
        first.listen(BACKLOG)?;
        let addr = first.local_addr()?.as_socket().ok_or_else(|| io::Error::other("a listener without an address"))?;
        let mut sockets = vec![ArcSwapOption::from_pointee(TcpListener::from(first))];
        for _ in 1..workers {
            let next = socket(configured)?;
            next.set_reuse_port(true)?;
            next.bind(&addr.into())?;
            next.listen(BACKLOG)?;
            sockets.push(ArcSwapOption::from_pointee(TcpListener::from(next)));
        }
        let (connections, requests, tunnels) = Default::default();
        Ok(Self { configured, addr, connections, requests, tunnels, sockets })
    }

    /// The worker's own socket; `None` when it was taken before.
    pub fn take(&self, worker: usize) -> Option<TcpListener> {
        std::sync::Arc::into_inner(self.sockets.get(worker)?.swap(None)?)
    }
}

fn socket(addr: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM.nonblocking(), Some(Protocol::TCP))?;
    // Connections of an earlier process that linger in TIME_WAIT do not keep the port.
    socket.set_reuse_address(true)?;
    if addr.is_ipv6() {
        socket.set_only_v6(!addr.ip().is_unspecified())?;
    }
    Ok(socket)
}

/// Connections that wait to be accepted, per worker; the system has its own bound (net.core.somaxconn).
const BACKLOG: i32 = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_somebody_listens_on_is_refused() {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let held = Listener::bind(any, 2).expect("a free port");
        let error = Listener::bind(held.addr, 2).expect_err("the port is taken");
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        let plain = TcpListener::bind(any).expect("a free port");
        let error = Listener::bind(plain.local_addr().expect("an address"), 1).expect_err("the port is taken");
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    }

    #[test]
    fn each_worker_takes_its_own_socket_once() {
        let listener = Listener::bind(SocketAddr::from(([127, 0, 0, 1], 0)), 2).expect("a free port");
        let (first, second) = (listener.take(0).expect("a socket"), listener.take(1).expect("a socket"));
        assert_eq!(first.local_addr().expect("an address"), second.local_addr().expect("an address"));
        assert!(listener.take(0).is_none());
        assert!(listener.take(2).is_none());
    }
}
