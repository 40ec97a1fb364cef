//! TLS, both sides. rustls types live only below this module; the rest of waypost sees streams, names and failures.
//!
//! * `store` reads PEM files into [`ServerMaterial`] and [`ClientMaterial`] and says what is wrong with them.
//! * `server` accepts: [`Acceptor`]. `client` connects: [`Connector`], one per TLS identity; `stream` is what comes of it.
//! * `sni` chooses among a server's certificates; `verify` decides whether an endpoint's is the one that was asked for.
//! * `peer` reads names and dates out of a certificate; `failure` is what can go wrong, in words;
//!   `command` is how a person sees the same, and `presented` what a file or an address presents, accepted or not.
//! * [`mint`] makes the development certificates of `waypost certs` and `waypost demo`.
//!
//! It must not know of routes, pools or configuration keys: which identity a connection needs is decided in
//! `waypost_routing`, and a [`FileProblem`] names only which of the files it is about.

mod client;
mod command;
mod expiry;
mod failure;
mod file;
pub mod mint;
mod peer;
mod presented;
mod server;
mod sni;
mod store;
mod stream;
mod verify;

use std::sync::Arc;

use rustls::version::{TLS12, TLS13};
use rustls::{ClientConnection, ProtocolVersion, SupportedProtocolVersion};
use waypost_routing::TlsVersion;

pub use self::client::{Connector, Established, Offer, connector};
pub use self::command::openssl;
pub use self::expiry::{Expiry, Nearness};
pub use self::failure::TlsFailure;
pub use self::file::{FileProblem, TlsKey};
pub use self::peer::{CertificateSummary, PeerIdentity};
pub use self::presented::{Chain, Details, Handshake, presented};
pub use self::server::{Acceptor, Negotiated, ServerStream, ServerTlsFailure, acceptor};
pub use self::store::{ClientMaterial, Materials, ServerFiles, ServerMaterial, load_client, load_server};
pub use self::stream::{ClientStream, Refusal};

/// The only cryptography in use. Always handed over by name: a process-wide default could be another crate's choice.
fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

fn versions(protocols: &[TlsVersion]) -> Vec<&'static SupportedProtocolVersion> {
    let version = |protocol: &TlsVersion| match protocol {
        TlsVersion::V1_2 => &TLS12,
        TlsVersion::V1_3 => &TLS13,
    };
    protocols.iter().map(version).collect()
}

/// The version that both sides agreed on.
fn spoken(connection: &ClientConnection) -> Option<&'static str> {
    match connection.protocol_version() {
        Some(ProtocolVersion::TLSv1_3) => Some("1.3"),
        Some(ProtocolVersion::TLSv1_2) => Some("1.2"),
        Some(_) | None => None,
    }
}
