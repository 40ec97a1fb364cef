//! Accepting: the server's side of a handshake, and who it found on the other one.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::SystemTime;

use rustls::{CertificateError, HandshakeKind, InvalidMessage, ServerConnection};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsAcceptor;

use super::failure::alert_name;
use super::peer::{Certificate, PeerIdentity};
use super::store::ServerMaterial;
use crate::date::date;

/// An encrypted stream to a caller.
pub type ServerStream<S> = tokio_rustls::server::TlsStream<S>;

/// Does handshakes for one server. Cheap to clone.
#[derive(Clone)]
pub struct Acceptor(TlsAcceptor);

/// What a finished handshake settled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Negotiated {
    /// The caller chose HTTP/2 by ALPN.
    pub alpn_h2: bool,
    /// Who the caller is, if it showed a client certificate and it was verified.
    pub peer: Option<PeerIdentity>,
}

/// Why a caller's handshake failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ServerTlsFailure {
    /// The `outcome` label of `waypost_server_tls_handshakes_total`.
    pub outcome: &'static str,
    /// For the log: a phrase whose subject is the caller.
    pub message: String,
}

/// The acceptor for a server's material; sessions live as long as the material's tickets, not the acceptor.
pub fn acceptor(material: &ServerMaterial) -> Acceptor {
    Acceptor(TlsAcceptor::from(Arc::clone(&material.config)))
}

impl Acceptor {
    /// Does the handshake on `stream`. Has no deadline of its own; when the future is dropped, so is the stream.
    ///
    /// # Errors
    /// When the caller does not speak TLS, shares no version or protocol with us, has no acceptable certificate, or
    /// does not accept ours.
    pub async fn accept<S>(&self, stream: S) -> Result<(ServerStream<S>, Negotiated), ServerTlsFailure>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let stream = self.0.accept(stream).await.map_err(|error| failure(&error))?;
        let connection = stream.get_ref().1;
        let negotiated = Negotiated { alpn_h2: connection.alpn_protocol() == Some(b"h2"), peer: peer(connection)? };
        Ok((stream, negotiated))
    }
}

impl fmt::Debug for Acceptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Acceptor")
    }
}

/// rustls keeps a client's certificate only after it was verified, in this handshake or in the one that began the
/// session. In the latter case its end may have come meanwhile.
fn peer(connection: &ServerConnection) -> Result<Option<PeerIdentity>, ServerTlsFailure> {
    let Some(leaf) = connection.peer_certificates().and_then(<[_]>::first) else { return Ok(None) };
    let certificate = Certificate::read(leaf).map_err(|error| ServerTlsFailure {
        outcome: "client_cert_refused",
        message: format!("showed what is {error}"),
    })?;
    if connection.handshake_kind() == Some(HandshakeKind::Resumed) && certificate.not_after < SystemTime::now() {
        let message = format!("resumed a session whose client certificate ended at {}", date(certificate.not_after));
        return Err(ServerTlsFailure { outcome: "expired", message });
    }
    Ok(Some(certificate.into_identity(leaf)))
}

fn failure(error: &io::Error) -> ServerTlsFailure {
    let other = |message| ServerTlsFailure { outcome: "other", message };
    let Some(tls) = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) else {
        return other(format!("broke the connection during the TLS handshake: {error}"));
    };
    if let rustls::Error::InvalidCertificate(reason) = tls {
        let message = format!("showed a client certificate that is refused: {reason}");
        return ServerTlsFailure { outcome: outcome(reason), message };
    }
    if let rustls::Error::NoCertificatesPresented = tls {
        return ServerTlsFailure { outcome: "client_cert_refused", message: "showed no client certificate".to_owned() };
    }
    if let rustls::Error::AlertReceived(alert) = tls {
        return other(format!("refused our certificate or handshake ({})", alert_name(*alert)));
    }
    if let rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType) = tls {
        return other("does not speak TLS; perhaps it speaks clear text".to_owned());
    }
    if let rustls::Error::NoApplicationProtocol = tls {
        return other("offers neither h2 nor http/1.1 by ALPN".to_owned());
    }
    other(format!("failed in TLS: {tls}"))
}

fn outcome(reason: &CertificateError) -> &'static str {
    use CertificateError as E;
    if matches!(reason, E::UnknownIssuer | E::BadSignature) {
        return "unknown_issuer";
    }
    if matches!(reason, E::Expired | E::ExpiredContext { .. } | E::NotValidYet | E::NotValidYetContext { .. }) {
        return "expired";
    }
    if matches!(reason, E::Revoked) {
        return "revoked";
    }
    "client_cert_refused"
}
