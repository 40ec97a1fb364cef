//! waypost: a routing proxy for HTTP/1.1 and HTTP/2.
//!
//! This crate is the only one with sockets. `request.rs` is the way of a request and the place to start reading;
//! `docs/ARCHITECTURE.md` has the map.

pub mod admin;
pub mod app;
pub mod body;
pub mod bulk;
pub mod cause;
pub mod cli;
pub mod client;
pub mod config;
pub mod date;
pub mod explanation;
pub mod gather;
pub mod plan;
pub mod policy;
pub mod process_wide;
pub mod request;
pub mod server;
pub mod silence;
pub mod telemetry;
pub mod tls;
pub mod tunnel;
pub mod window;
pub mod worker;
