//! What somebody presents, a file or whoever answers at an address, whether or not it would be accepted: for people who
//! want to see, and for the question who would accept it.

use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::SystemTime;

use aws_lc_rs::digest;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ClientConfig, ResolvesClientCert};
use rustls::sign::CertifiedKey;
use rustls::{DigitallySignedStruct, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use serde::Serialize;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use waypost_routing::{ClientTls, TlsVersion};
use x509_parser::prelude::{FromDer, X509Certificate, X509Name};
use x509_parser::public_key::PublicKey;

use super::client::verifying;
use super::failure::{Asked, TlsFailure};
use super::file::{Files, TlsKey};
use super::peer::{Certificate, distinguished_name, hex_of};
use super::store::ClientMaterial;
use super::verify::{Encrypting, dns_name, is_host};
use super::{provider, spoken, versions};
use crate::date::date;

/// A certificate chain, leaf first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chain(Vec<CertificateDer<'static>>);

/// One certificate of a chain, for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Details {
    /// Its names; `CN=...` where there is no subjectAltName.
    pub names: Vec<String>,
    /// The subject.
    pub subject: String,
    /// The issuer.
    pub issuer: String,
    /// The beginning of its time.
    pub not_before: String,
    /// The end of it.
    pub not_after: String,
    /// Whole days until then; negative where it has ended.
    pub days_left: i64,
    /// Hexadecimal.
    pub serial: String,
    /// `ECDSA P-256`.
    pub key: String,
    /// Whether it may sign others.
    pub ca: bool,
    /// What its extended key usage allows: `servers`, `clients`; empty: it has none, and so all.
    pub usage: Vec<&'static str>,
    /// SHA-256 of it, hexadecimal.
    pub sha256: String,
}

/// How a handshake went.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Handshake {
    /// The name in the ClientHello.
    pub sni: Option<String>,
    /// `1.3`.
    pub version: Option<&'static str>,
    /// The cipher suite.
    pub cipher: Option<String>,
    /// The group of the key exchange.
    pub key_exchange: Option<String>,
    /// What was chosen of `h2` and `http/1.1`.
    pub alpn: Option<String>,
    /// Whether a client certificate was asked for.
    pub asks_for_client_certificate: bool,
    /// Those whose client certificates it says to accept; it may keep that to itself.
    pub client_certificates_of: Vec<String>,
    /// Why it was not finished.
    pub failure: Option<String>,
}

impl Chain {
    /// Reads the certificates of a PEM file. Blocks on the disk.
    ///
    /// # Errors
    /// When there is none in it; the text begins with the file.
    pub fn of_file(path: &Path) -> Result<Self, String> {
        let mut files = Files::new(SystemTime::now());
        let certificates = files.certificates(TlsKey::Cert(0), path);
        certificates.map(Self).ok_or_else(|| {
            let problem = files.problems.into_iter().next();
            let words = |hint: Option<String>| hint.map(|hint| format!(" ({hint})")).unwrap_or_default();
            problem.map(|problem| problem.message + &words(problem.hint)).unwrap_or_default()
        })
    }

    /// What its certificates say, in their order; one that can't be read says only its hash.
    pub fn details(&self) -> Vec<Details> {
        self.0.iter().map(|der| Details::of(der, SystemTime::now())).collect()
    }

    /// The names of the first certificate that a peer could be asked for: DNS, IP, URI and, without any of them, the
    /// common name.
    pub fn claims(&self) -> Vec<String> {
        let Some(leaf) = self.0.first().and_then(|leaf| Certificate::read(leaf).ok()) else { return Vec::new() };
        leaf.names().iter().map(|name| name.strip_prefix("CN=").unwrap_or(name).to_owned()).collect()
    }

    /// Whether the first certificate has this name, in whatever case or by a wildcard.
    pub fn claims_to_be(&self, name: &str) -> bool {
        self.claims().iter().any(|claim| is_host(claim, name))
    }

    /// Whether a client would accept it under `tls`, now. Clear text and `no_validation` accept anything.
    ///
    /// # Errors
    /// As at a handshake.
    pub fn satisfies(&self, tls: &ClientTls, material: &ClientMaterial) -> Result<(), TlsFailure> {
        let ClientTls::Verify { name, settings, .. } = tls else { return Ok(()) };
        let (leaf, intermediates) =
            self.0.split_first().ok_or_else(|| TlsFailure::Other("presented no certificate".to_owned()))?;
        verifying(name, settings, material).map_err(TlsFailure::Other)?.check(leaf, intermediates, UnixTime::now())
    }
}

impl Details {
    fn of(der: &CertificateDer<'_>, now: SystemTime) -> Self {
        let sha256 = hex_of(digest::digest(&digest::SHA256, der).as_ref());
        let (Ok(read), Ok((_, parsed))) = (Certificate::read(der), X509Certificate::from_der(der)) else {
            return Self::unreadable(sha256);
        };
        let days =
            |duration: std::time::Duration| i64::try_from(duration.as_secs() / (24 * 60 * 60)).unwrap_or(i64::MAX);
        Self {
            names: read.names(),
            days_left: match read.not_after.duration_since(now) {
                Ok(left) => days(left),
                Err(past) => -days(past.duration()) - 1,
            },
            not_before: date(read.not_before),
            not_after: date(read.not_after),
            key: key(&parsed),
            ca: parsed.is_ca(),
            usage: usage(&parsed),
            subject: read.subject,
            issuer: read.issuer,
            serial: read.serial,
            sha256,
        }
    }

    fn unreadable(sha256: String) -> Self {
        let unknown = "(not readable)".to_owned();
        Self {
            names: Vec::new(),
            subject: unknown.clone(),
            issuer: unknown.clone(),
            not_before: unknown.clone(),
            not_after: unknown.clone(),
            days_left: 0,
            serial: unknown.clone(),
            key: unknown,
            ca: false,
            usage: Vec::new(),
            sha256,
        }
    }
}

/// What a caller must be able to check to use a certificate: `RSA`, `ECDSA P-256`.
pub(super) fn kind_of_key(der: &CertificateDer<'_>) -> String {
    let read = X509Certificate::from_der(der).map(|(_, certificate)| key(&certificate)).unwrap_or_default();
    if read.starts_with("RSA ") { "RSA".to_owned() } else { read }
}

fn key(certificate: &X509Certificate<'_>) -> String {
    let subject = certificate.public_key();
    let algorithm = subject.algorithm.algorithm.to_id_string();
    let curve = subject.algorithm.parameters.as_ref().and_then(|any| any.as_oid().ok()).map(|oid| oid.to_id_string());
    if let Some((_, curve)) = CURVES.iter().find(|(id, _)| curve.as_deref() == Some(*id)) {
        return format!("ECDSA {curve}");
    }
    match (algorithm.as_str(), subject.parsed()) {
        ("1.3.101.112", _) => "Ed25519".to_owned(),
        ("1.3.101.113", _) => "Ed448".to_owned(),
        (_, Ok(PublicKey::RSA(rsa))) => format!("RSA {}", rsa.key_size()),
        (other, _) => format!("algorithm {other}"),
    }
}

fn usage(certificate: &X509Certificate<'_>) -> Vec<&'static str> {
    let Ok(Some(usage)) = certificate.extended_key_usage() else { return Vec::new() };
    let (any, usage) = (usage.value.any, usage.value);
    let uses = [(usage.server_auth || any, "servers"), (usage.client_auth || any, "clients")];
    let mut allowed: Vec<_> = uses.into_iter().filter_map(|(allowed, who)| allowed.then_some(who)).collect();
    if allowed.is_empty() {
        allowed.push("neither servers nor clients");
    }
    allowed
}

/// Makes a handshake that accepts whoever is there and shows no certificate, and gives what came; then hangs up.
///
/// Has no deadline of its own. The chain is there also where the peer refused us for want of a certificate.
///
/// # Errors
/// When no certificate came.
pub async fn presented(tcp: TcpStream, sni: Option<&str>) -> Result<(Chain, Handshake), TlsFailure> {
    let addr = tcp.peer_addr().map_err(|error| TlsFailure::from_handshake(&error, &NOTHING_ASKED))?;
    let seen = Arc::new(Seen::default());
    let config = accepting(&seen).map_err(TlsFailure::Other)?;
    let name = sni.and_then(dns_name).map_or_else(|| ServerName::IpAddress(addr.ip().into()), ServerName::DnsName);
    let sent = matches!(name, ServerName::DnsName(_));
    let mut handshake = Handshake { sni: sni.filter(|_| sent).map(str::to_owned), ..Handshake::default() };
    match TlsConnector::from(Arc::new(config)).connect(name, tcp).await {
        Ok(stream) => {
            let connection = stream.get_ref().1;
            handshake.version = spoken(connection);
            handshake.cipher = connection.negotiated_cipher_suite().map(|suite| format!("{:?}", suite.suite()));
            handshake.key_exchange =
                connection.negotiated_key_exchange_group().map(|group| format!("{:?}", group.name()));
            handshake.alpn = connection.alpn_protocol().map(|chosen| String::from_utf8_lossy(chosen).into_owned());
        }
        Err(error) => handshake.failure = Some(TlsFailure::from_handshake(&error, &NOTHING_ASKED).to_string()),
    }
    if let Some(issuers) = seen.asked_for.get() {
        handshake.asks_for_client_certificate = true;
        handshake.client_certificates_of.clone_from(issuers);
    }
    match (seen.chain.get(), &handshake.failure) {
        (Some(chain), _) => Ok((Chain(chain.clone()), handshake)),
        (None, failure) => {
            Err(TlsFailure::Other(failure.clone().unwrap_or_else(|| "presented no certificate".to_owned())))
        }
    }
}

/// Accepts whoever is there, and has no certificate to show; both are noted in `seen`.
fn accepting(seen: &Arc<Seen>) -> Result<ClientConfig, String> {
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&versions(&[TlsVersion::V1_3, TlsVersion::V1_2]))
        .map_err(|error| error.to_string())?
        .dangerous() // rustls' word for any verifier but its own
        .with_custom_certificate_verifier(Arc::clone(seen) as Arc<dyn ServerCertVerifier>)
        .with_client_cert_resolver(Arc::clone(seen) as Arc<dyn ResolvesClientCert>);
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

const NOTHING_ASKED: Asked<'static> = Asked { name: None, protocols: &[] };

/// What a peer sent, whatever becomes of the handshake.
#[derive(Debug, Default)]
struct Seen {
    chain: OnceLock<Vec<CertificateDer<'static>>>,
    /// The issuers named in its request for a client certificate.
    asked_for: OnceLock<Vec<String>>,
}

impl Seen {
    fn checks() -> Encrypting {
        Encrypting { provider: provider() }
    }
}

impl ServerCertVerifier for Seen {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let all = std::iter::once(end_entity).chain(intermediates);
        let _first_wins = self.chain.set(all.map(|der| der.clone().into_owned()).collect());
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Self::checks().verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Self::checks().verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        Self::checks().supported_verify_schemes()
    }
}

impl ResolvesClientCert for Seen {
    fn resolve(&self, issuers: &[&[u8]], _schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        let names = issuers.iter().take(MOST_ISSUERS).filter_map(|der| X509Name::from_der(der).ok());
        let _first_wins = self.asked_for.set(names.map(|(_, name)| distinguished_name(&name)).collect());
        None
    }

    fn has_certs(&self) -> bool {
        false
    }
}

/// Issuers that are shown.
const MOST_ISSUERS: usize = 16;

const CURVES: [(&str, &str); 3] =
    [("1.2.840.10045.3.1.7", "P-256"), ("1.3.132.0.34", "P-384"), ("1.3.132.0.35", "P-521")];
