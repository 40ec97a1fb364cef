//! The side towards callers: listening, accepting, TLS, and the two protocols.

pub mod accept;
pub mod connection;
pub mod detect;
pub mod handshakes;
pub mod heads;
pub mod http1;
pub mod http2;
pub mod listener;
pub mod port;
pub mod proxy_protocol;
pub mod transport;
