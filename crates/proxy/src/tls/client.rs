//! Connecting: one [`Connector`] per TLS identity, with its own verifier and its own sessions.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use rustls::client::danger::ServerCertVerifier;
use rustls::client::{ClientConfig, ResolvesClientCert, Resumption};
use rustls::{ClientConnection, HandshakeKind};
use rustls_pki_types::{DnsName, ServerName};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use waypost_routing::{ClientTls, PeerName, TlsSettings};

use super::failure::{Asked, TlsFailure};
use super::peer::{Certificate, CertificateSummary};
use super::store::{ClientMaterial, Trust, system_roots};
use super::stream::{ClientStream, Refusal};
use super::verify::{CommonName, Encrypting, Verifying, Wanted, dns_name};
use super::{provider, spoken, versions};
use crate::date::date;

/// The protocols that we are ready to speak, in words of ALPN.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Offer {
    /// `http/1.1`.
    Http1,
    /// `h2`.
    Http2,
    /// `h2`, else `http/1.1`: the endpoint chooses.
    Both,
}

impl Offer {
    fn protocols(self) -> Vec<Vec<u8>> {
        let (h2, http1) = (b"h2".to_vec(), b"http/1.1".to_vec());
        match self {
            Self::Http1 => vec![http1],
            Self::Http2 => vec![h2],
            Self::Both => vec![h2, http1],
        }
    }
}

/// What a finished handshake settled.
#[derive(Clone, Debug)]
pub struct Established {
    /// HTTP/2 is spoken; else HTTP/1.1. An endpoint that chose nothing gets HTTP/2 only if that was all we offered.
    pub h2: bool,
    /// The version of TLS.
    pub version: Option<&'static str>,
    /// The certificate that the endpoint presented, now or when the session began.
    pub certificate: CertificateSummary,
    /// Has the reason if TLS ends the connection later, as an endpoint does that refuses our certificate.
    pub refusal: Refusal,
}

/// Makes connections of one TLS identity. Sessions are resumed within it and nowhere else.
#[derive(Clone)]
pub struct Connector {
    tls: TlsConnector,
    sent: SentName,
    /// The name that the certificate must have; `None`: nothing is verified.
    wanted: Option<Arc<str>>,
    offer: Offer,
}

/// The name in the ClientHello, and the key of the session cache.
#[derive(Clone, Debug)]
enum SentName {
    /// Sent as SNI.
    Sni(DnsName<'static>),
    /// Nothing is sent: SNI can't carry addresses and URIs. The endpoint's address is the session cache's key.
    Nothing,
}

/// Makes the connector for one identity, with a configuration and a verifier of its own.
///
/// # Errors
/// When the identity can't be checked at all: clear text, a name that no certificate has, no protocol version, no
/// system roots. The text says which.
pub fn connector(tls: &ClientTls, material: &ClientMaterial, offer: Offer) -> Result<Connector, String> {
    match tls {
        ClientTls::Clear => Err("clear text needs no TLS connector".to_owned()),
        ClientTls::Encrypt { sni, settings } => {
            let config = config(settings, material, offer, Arc::new(Encrypting { provider: provider() }))?;
            Ok(Connector { tls: TlsConnector::from(config), sent: sent(sni.as_deref()), wanted: None, offer })
        }
        ClientTls::Verify { name, settings, .. } => {
            let verifier = verifying(name, settings, material)?;
            let wanted = Some(Arc::from(verifier.wanted.to_string()));
            let config = config(settings, material, offer, Arc::new(verifier))?;
            Ok(Connector { tls: TlsConnector::from(config), sent: sent(tls.sni()), wanted, offer })
        }
    }
}

impl Connector {
    /// Does the handshake on `stream`. Has no deadline of its own: the caller's connect time out covers it.
    /// When the future is dropped, so is the stream.
    ///
    /// # Errors
    /// When the endpoint is not who it should be, or TLS with it does not work.
    pub async fn connect<S>(
        &self,
        stream: S,
        endpoint: SocketAddr,
    ) -> Result<(ClientStream<S>, Established), TlsFailure>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let name = match &self.sent {
            SentName::Sni(name) => ServerName::DnsName(name.clone()),
            SentName::Nothing => ServerName::IpAddress(endpoint.ip().into()),
        };
        let stream = match self.tls.connect(name, stream).await {
            Ok(stream) => stream,
            Err(error) => {
                let protocols = &self.tls.config().alpn_protocols;
                return Err(TlsFailure::from_handshake(&error, &Asked { name: self.wanted.as_deref(), protocols }));
            }
        };
        let established = self.established(stream.get_ref().1)?;
        Ok((ClientStream::new(stream, established.refusal.clone()), established))
    }

    fn established(&self, connection: &ClientConnection) -> Result<Established, TlsFailure> {
        let leaf = connection.peer_certificates().and_then(<[_]>::first);
        let leaf = leaf.ok_or_else(|| TlsFailure::Other("presented no certificate".to_owned()))?;
        let certificate = match (Certificate::read(leaf), &self.wanted) {
            (Ok(certificate), None) => certificate.summary(),
            (Ok(certificate), Some(wanted)) => still_valid(connection, &certificate, wanted)?.summary(),
            (Err(_), None) => CertificateSummary::unreadable(),
            (Err(error), Some(wanted)) => {
                return Err(TlsFailure::Other(format!("must be {wanted}; it presented what is {error}")));
            }
        };
        let h2 = match connection.alpn_protocol() {
            Some(chosen) => chosen == b"h2",
            None => self.offer == Offer::Http2,
        };
        Ok(Established { h2, version: spoken(connection), certificate, refusal: Refusal::new(self.wanted.clone()) })
    }
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connector")
            .field("wanted", &self.wanted)
            .field("sent", &self.sent)
            .field("offer", &self.offer)
            .finish_non_exhaustive()
    }
}

fn config(
    settings: &TlsSettings,
    material: &ClientMaterial,
    offer: Offer,
    verifier: Arc<dyn ServerCertVerifier>,
) -> Result<Arc<ClientConfig>, String> {
    let builder = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&versions(&settings.protocols))
        .map_err(|error| format!("`protocols` can't be used: {error}"))?
        .dangerous() // rustls' word for any verifier but its own
        .with_custom_certificate_verifier(verifier);
    let mut config = match &material.client_auth {
        Some(own) => builder.with_client_cert_resolver(Arc::clone(own) as Arc<dyn ResolvesClientCert>),
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = match &settings.alpn {
        Some(protocols) => protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect(),
        None => offer.protocols(),
    };
    config.resumption = Resumption::in_memory_sessions(SESSIONS);
    config.enable_early_data = false; // 0-RTT can be replayed
    Ok(Arc::new(config))
}

pub(super) fn verifying(
    name: &PeerName,
    settings: &TlsSettings,
    material: &ClientMaterial,
) -> Result<Verifying, String> {
    let roots = match &material.trust {
        Trust::System => system_roots()?,
        Trust::Files(roots) => Arc::clone(roots),
    };
    Ok(Verifying {
        provider: provider(),
        wanted: Wanted::new(name)?,
        roots,
        trust: trust_in_words(&settings.trust),
        crls: Arc::clone(&material.crls),
        common_name: if settings.allow_common_name { CommonName::AsLastResort } else { CommonName::Ignored },
    })
}

fn trust_in_words(files: &[PathBuf]) -> String {
    if files.is_empty() {
        return "the system".to_owned();
    }
    files.iter().map(|file| file.display().to_string()).collect::<Vec<_>>().join(", ")
}

/// A name that is an address or a URI is not sent: RFC 6066 has SNI for DNS names only.
fn sent(name: Option<&str>) -> SentName {
    let dns = name.filter(|name| name.parse::<IpAddr>().is_err()).and_then(dns_name);
    dns.map_or(SentName::Nothing, SentName::Sni)
}

/// A resumed session was verified when it began; its certificate may have ended since.
fn still_valid<'a>(
    connection: &ClientConnection,
    certificate: &'a Certificate,
    wanted: &str,
) -> Result<&'a Certificate, TlsFailure> {
    if connection.handshake_kind() == Some(HandshakeKind::Resumed) && certificate.not_after < SystemTime::now() {
        let end = date(certificate.not_after);
        return Err(TlsFailure::Expired(format!("must be {wanted}; the certificate of its session ended at {end}")));
    }
    Ok(certificate)
}

/// Sessions kept per connector. Identities with a DNS name need one, others one per endpoint.
const SESSIONS: usize = 64;
