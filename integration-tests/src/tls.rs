//! Both sides of TLS for the tests' own clients and origins.

use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::server::{ClientHello, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, TlsConnector, client, server};

use crate::certs::{Ca, Identity};

/// How an origin serves TLS.
#[derive(Clone, Debug)]
pub struct ServerSide {
    identities: Vec<(Option<String>, Identity)>,
    client_ca: Option<String>,
    alpn: Vec<String>,
}

impl ServerSide {
    /// With one certificate for everybody; HTTP/1.1 by ALPN, or without.
    pub fn new(identity: &Identity) -> Self {
        Self { identities: vec![(None, identity.clone())], client_ca: None, alpn: vec!["http/1.1".to_owned()] }
    }

    /// With another certificate for those who ask for `name` by SNI.
    #[must_use]
    pub fn also(mut self, name: &str, identity: &Identity) -> Self {
        self.identities.insert(0, (Some(name.to_owned()), identity.clone()));
        self
    }

    /// Demands a client certificate from `ca`.
    #[must_use]
    pub fn demands(mut self, ca: &Ca) -> Self {
        self.client_ca = Some(ca.pem().to_owned());
        self
    }

    /// Offers these protocols instead.
    #[must_use]
    pub fn alpn(mut self, protocols: &[&str]) -> Self {
        self.alpn = protocols.iter().map(|&name| name.to_owned()).collect();
        self
    }

    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        let builder = ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions();
        let builder = builder.expect("the provider has both versions");
        let builder = match &self.client_ca {
            None => builder.with_no_client_auth(),
            Some(pem) => {
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots(pem)), provider()).build();
                builder.with_client_cert_verifier(verifier.expect("a CA"))
            }
        };
        let certified = self.identities.iter().map(|(name, identity)| (name.clone(), certified(identity))).collect();
        let mut config = builder.with_cert_resolver(Arc::new(BySni(certified)));
        config.alpn_protocols = self.alpn.iter().map(|name| name.clone().into_bytes()).collect();
        TlsAcceptor::from(Arc::new(config))
    }
}

#[derive(Debug)]
struct BySni(Vec<(Option<String>, Arc<CertifiedKey>)>);

impl ResolvesServerCert for BySni {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let asked = hello.server_name();
        let fits = |name: &Option<String>| name.is_none() || name.as_deref() == asked;
        self.0.iter().find(|(name, _)| fits(name)).map(|(_, key)| Arc::clone(key))
    }
}

fn certified(identity: &Identity) -> Arc<CertifiedKey> {
    let key = provider().key_provider.load_private_key(identity.key()).expect("a key");
    Arc::new(CertifiedKey::new(identity.chain(), key))
}

/// How a client of the tests speaks TLS to waypost.
#[derive(Clone, Debug)]
pub struct ClientSide {
    trust: String,
    name: String,
    identity: Option<Identity>,
    alpn: Vec<String>,
}

impl ClientSide {
    /// Trusts `ca`, and asks for `name`.
    pub fn new(ca: &Ca, name: &str) -> Self {
        Self { trust: ca.pem().to_owned(), name: name.to_owned(), identity: None, alpn: Vec::new() }
    }

    /// Shows this client certificate.
    #[must_use]
    pub fn shows(mut self, identity: &Identity) -> Self {
        self.identity = Some(identity.clone());
        self
    }

    /// Offers these protocols.
    #[must_use]
    pub fn alpn(mut self, protocols: &[&str]) -> Self {
        self.alpn = protocols.iter().map(|&name| name.to_owned()).collect();
        self
    }

    pub(crate) async fn connect(&self, stream: TcpStream) -> std::io::Result<client::TlsStream<TcpStream>> {
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots(&self.trust)), provider()).build();
        let builder = ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions();
        let builder = builder.expect("the provider has both versions").with_webpki_verifier(verifier.expect("a CA"));
        let mut config = match &self.identity {
            None => builder.with_no_client_auth(),
            Some(identity) => builder.with_client_auth_cert(identity.chain(), identity.key()).expect("a key that fits"),
        };
        config.alpn_protocols = self.alpn.iter().map(|name| name.clone().into_bytes()).collect();
        let name = ServerName::try_from(self.name.clone()).expect("a DNS name or an IP address");
        TlsConnector::from(Arc::new(config)).connect(name, stream).await
    }
}

/// What a finished handshake told an origin.
#[derive(Clone, Debug, Default)]
pub struct Greeting {
    /// The server name that was asked for.
    pub sni: Option<String>,
    /// The protocol that was agreed on.
    pub alpn: Option<String>,
    /// The client's certificate.
    pub client: Option<Vec<u8>>,
}

pub(crate) fn greeting(stream: &server::TlsStream<TcpStream>) -> Greeting {
    let (_, session) = stream.get_ref();
    Greeting {
        sni: session.server_name().map(str::to_owned),
        alpn: session.alpn_protocol().map(|name| String::from_utf8_lossy(name).into_owned()),
        client: session.peer_certificates().and_then(|chain| chain.first()).map(|der| der.to_vec()),
    }
}

fn roots(pem: &str) -> RootCertStore {
    let mut store = RootCertStore::empty();
    for der in CertificateDer::pem_slice_iter(pem.as_bytes()) {
        store.add(der.expect("PEM")).expect("a CA certificate");
    }
    store
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}
