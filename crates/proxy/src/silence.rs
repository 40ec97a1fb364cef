//! Peers that take nothing, or are gone without a word: the system ends their connections.

use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;

/// Lets the system end a connection whose peer takes nothing for `write_timeout`, or answers no probe: it alone sees
/// what the peer has taken, under TLS too. It fails on closed sockets only.
pub fn bound_silence(stream: &TcpStream, write_timeout: Option<Duration>) {
    let socket = SockRef::from(stream);
    drop(socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEPALIVE).with_interval(KEEPALIVE_INTERVAL)));
    drop(socket.set_tcp_user_timeout(write_timeout));
}

/// A silent peer is asked after so long whether it is still there, and again after so long.
const KEEPALIVE: Duration = Duration::from_secs(30);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
