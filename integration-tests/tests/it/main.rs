//! waypost's promises, each kept by the real binary between real peers. One module per promise.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "helpers of tests are test code too, which the lints' own exception for tests does not see"
)]

mod admin;
mod balancers;
mod balancing;
mod certs_cli;
mod config_errors;
mod delegate_cli;
mod demo;
mod differential;
mod drain;
mod errors;
mod examples;
mod explain;
mod fallback;
mod files;
mod floods;
mod grpc;
mod harness;
mod headers;
mod hostile;
mod http1_interim;
mod http1_origins;
mod http1_rules;
mod http2;
mod http2_origins;
mod http2_rules;
mod limits;
mod linker_to_linker;
mod listeners;
mod reload;
mod retries;
mod routes_property;
mod routing;
mod slow;
mod streaming;
mod tls_identity;
mod tls_matrix;
mod tls_peers;
mod tls_rotation;
mod tls_server;
mod two_machines;
mod upgrades;
mod windows;
