//! The harness of the integration tests: the real binary between real peers on loopback sockets.
//!
//! A test reads as a sentence: [`TestProxy`] is a `waypost run` with a configuration of its own, [`Origin`] an endpoint that
//! behaves or misbehaves as it is told, [`Ask`] a request and [`Answer`] what came of it, [`Ca`] makes certificates. Nothing
//! here uses waypost's own code, so an error cannot hide on both sides. Each operation has a deadline ([`eventually()`]
//! and [`soon`]), hence so has each test; nothing sleeps anywhere else.
#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "test support: a broken assumption ends the test, with its place and reason"
)]

pub mod answer;
pub mod ask;
pub mod binary;
pub mod certs;
pub mod client;
pub mod command;
pub mod config;
pub mod curl;
pub mod eventually;
pub mod frames;
pub mod metrics;
pub mod nginx;
pub mod origin;
pub mod peer;
pub mod ports;
pub mod process;
pub mod proxy;
pub mod python;
pub mod random;
pub mod tls;
pub mod wire;

pub use answer::Answer;
pub use ask::Ask;
pub use certs::{Ca, Identity, Leaf};
pub use client::{Http1, Http2};
pub use command::{Ran, waypost};
pub use config::Spec;
pub use curl::curl;
pub use eventually::{eventually, soon};
pub use nginx::Nginx;
pub use origin::{Behaviour, Origin, Step};
pub use peer::Peer;
pub use ports::{free_port, free_ports, nobody};
pub use proxy::TestProxy;
pub use python::{PythonServer, python_client};
pub use tls::{ClientSide, ServerSide};
