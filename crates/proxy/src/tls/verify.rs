//! Is the endpoint the one that was asked for? Chain, dates, purpose and revocation are webpki's work; names are ours.
//!
//! A verifier belongs to one identity and never changes: a resumed session skips it, so what it once accepted must stay
//! acceptable for as long as it exists. New roots or CRLs mean a new verifier (and with it a new session cache).

use std::fmt;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{
    CryptoProvider, verify_tls12_signature, verify_tls13_signature, verify_tls13_signature_with_raw_key,
};
use rustls::{CertificateError, DigitallySignedStruct, OtherError, RootCertStore, SignatureScheme};
use rustls_pki_types::{CertificateDer, DnsName, ServerName, SubjectPublicKeyInfoDer, UnixTime};
use waypost_routing::PeerName;
use webpki::{
    CertRevocationList, EndEntityCert, KeyUsage, RawPublicKeyEntity, RevocationOptions, RevocationOptionsBuilder,
    VerifiedPath,
};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::failure::{TlsFailure, list};
use super::peer::{Certificate, from_unix};
use crate::date::date;

/// Accepts only the peer that is named.
pub(super) struct Verifying {
    pub(super) provider: Arc<CryptoProvider>,
    pub(super) wanted: Wanted,
    pub(super) roots: Arc<RootCertStore>,
    /// What `roots` are, in words: "certs/ca.pem" or "the system".
    pub(super) trust: String,
    pub(super) crls: Arc<[CertRevocationList<'static>]>,
    pub(super) common_name: CommonName,
}

/// The peer's name, in the form that certificates are compared in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// A DNS name or an IP address.
    Server(ServerName<'static>),
    /// A URI, compared byte by byte.
    Uri(String),
}

/// What the subject's common name is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CommonName {
    /// Nothing (RFC 9525).
    Ignored,
    /// It names a DNS host where there is no subjectAltName at all.
    AsLastResort,
}

/// Accepts whoever is there; only that the peer holds its certificate's key is still checked.
pub(super) struct Encrypting {
    pub(super) provider: Arc<CryptoProvider>,
}

impl Wanted {
    /// # Errors
    /// When the name is none that a certificate could have; the text says so.
    pub(super) fn new(name: &PeerName) -> Result<Self, String> {
        match name {
            PeerName::Ip(ip) => Ok(Self::Server(ServerName::IpAddress((*ip).into()))),
            PeerName::Uri(uri) => Ok(Self::Uri(uri.clone())),
            PeerName::Dns(dns) => match dns_name(dns) {
                Some(name) => Ok(Self::Server(ServerName::DnsName(name))),
                None => Err(format!("`{dns}` is not a DNS name that a certificate can be checked for")),
            },
        }
    }
}

/// Without the root's full stop, which names in certificates never have.
pub(super) fn dns_name(text: &str) -> Option<DnsName<'static>> {
    DnsName::try_from(text.strip_suffix('.').unwrap_or(text).to_owned()).ok()
}

impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Server(name) => f.write_str(&name.to_str()),
            Self::Uri(uri) => f.write_str(uri),
        }
    }
}

impl Verifying {
    pub(super) fn check(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), TlsFailure> {
        let certificate = Certificate::read(leaf)
            .map_err(|error| TlsFailure::Other(format!("must be {}; it presented what is {error}", self.wanted)))?;
        let parsed = EndEntityCert::try_from(leaf).map_err(|error| self.chain_failure(&error, &certificate))?;
        let path = self.verify_chain(&parsed, intermediates, now).map_err(|error| {
            if matches!(error, webpki::Error::UnknownRevocationStatus) {
                let why = self.without_list(&parsed, intermediates);
                return TlsFailure::Untrusted(self.phrase(&certificate, &why));
            }
            self.chain_failure(&error, &certificate)
        })?;
        if self.is_named(&parsed, &certificate, &path) {
            Ok(())
        } else {
            let (wanted, found) = (self.wanted.to_string(), certificate.names());
            Err(TlsFailure::Name { wanted, found, provenance: certificate.provenance() })
        }
    }

    fn verify_chain<'a>(
        &'a self,
        leaf: &'a EndEntityCert<'a>,
        intermediates: &'a [CertificateDer<'a>],
        now: UnixTime,
    ) -> Result<VerifiedPath<'a>, webpki::Error> {
        let algorithms = self.provider.signature_verification_algorithms.all;
        let crls: Vec<&CertRevocationList<'_>> = self.crls.iter().collect();
        let usage = KeyUsage::server_auth();
        leaf.verify_for_usage(algorithms, &self.roots.roots, intermediates, now, usage, revocation(&crls), None)
    }

    fn is_named(&self, parsed: &EndEntityCert<'_>, certificate: &Certificate, path: &VerifiedPath<'_>) -> bool {
        match &self.wanted {
            // An SVID has exactly one URI name: with two, one could be borrowed from somebody else.
            Wanted::Uri(uri) => certificate.uri_count == 1 && certificate.uris.iter().all(|found| found == uri),
            Wanted::Server(name) => {
                parsed.verify_is_valid_for_subject_name(name).is_ok()
                    || self.is_named_by_common_name(name, certificate, path)
            }
        }
    }

    /// An IP address or a URI is never taken from the common name, as the JVM under linkerd never did. Nor is anything
    /// under a CA with name constraints: they bind alternative names only, and this would be the way around them.
    fn is_named_by_common_name(
        &self,
        wanted: &ServerName<'_>,
        certificate: &Certificate,
        path: &VerifiedPath<'_>,
    ) -> bool {
        let (CommonName::AsLastResort, ServerName::DnsName(wanted)) = (self.common_name, wanted) else {
            return false;
        };
        let Some(common_name) = certificate.common_name.as_deref().filter(|_| !certificate.has_alternative_names)
        else {
            return false;
        };
        is_host(common_name, wanted.as_ref()) && !is_constrained(path)
    }

    /// What webpki found, in the operator's words, with the names that explain it.
    fn chain_failure(&self, error: &webpki::Error, certificate: &Certificate) -> TlsFailure {
        use webpki::Error as E;
        if let E::CertExpired { not_after, .. } = error {
            let end = from_unix(*not_after);
            return TlsFailure::Expired(
                self.phrase(certificate, &dated(end == certificate.not_after, "ended at", &date(end))),
            );
        }
        if let E::CertNotValidYet { not_before, .. } = error {
            let start = from_unix(*not_before);
            let why = dated(start == certificate.not_before, "is not valid before", &date(start));
            return TlsFailure::NotYetValid(self.phrase(certificate, &why));
        }
        if matches!(error, E::CertRevoked) {
            let why = format!("(serial {}) or one above it is revoked", certificate.serial);
            return TlsFailure::Revoked(self.phrase(certificate, &why));
        }
        match self.distrust(error, certificate) {
            Some(why) => TlsFailure::Untrusted(self.phrase(certificate, &why)),
            None => TlsFailure::Other(self.phrase(certificate, &unusable(error))),
        }
    }

    /// Why the chain does not lead to somebody trusted; `None` when the error is about something else.
    fn distrust(&self, error: &webpki::Error, certificate: &Certificate) -> Option<String> {
        use webpki::Error as E;
        let Certificate { issuer, subject, .. } = certificate;
        let trust = &self.trust;
        if matches!(error, E::UnknownIssuer) {
            return Some(if issuer == subject {
                format!("is self-signed and not among those that {trust} trusts")
            } else {
                format!("was issued by {issuer}, to whom no chain leads from what {trust} trusts")
            });
        }
        if matches!(error, E::InvalidSignatureForPublicKey) {
            return Some(format!(
                "says that {issuer} issued it, but the key of that name that {trust} trusts did not sign it"
            ));
        }
        if matches!(error, E::CaUsedAsEndEntity) {
            return Some(
                "is a CA's own (basicConstraints CA:TRUE) and can't stand for a server; issue a leaf with it"
                    .to_owned(),
            );
        }
        if matches!(error, E::EndEntityUsedAsCa) {
            return Some("was issued by a certificate that is not a CA's".to_owned());
        }
        if matches!(error, E::NameConstraintViolation) {
            return Some(
                "has names that the name constraints of its CA forbid (constraints on URIs are not supported)"
                    .to_owned(),
            );
        }
        matches!(error, E::PathLenConstraintViolated).then(|| "has more CAs above it than its chain allows".to_owned())
    }

    /// Which CAs of the chain have no list, from the leaf on; none is named where there is a list that is not for it.
    fn without_list(&self, leaf: &EndEntityCert<'_>, intermediates: &[CertificateDer<'_>]) -> String {
        let sent: Vec<_> = intermediates.iter().filter_map(|der| EndEntityCert::try_from(der).ok()).collect();
        let mut missing = Vec::new();
        let mut issued = leaf;
        // The chain can't be longer than what was sent, but may go round.
        for _ in 0..=sent.len() {
            if !self.crls.iter().any(|list| list.issuer() == issued.issuer())
                && let Ok(certificate) = Certificate::read(&issued.der())
            {
                missing.push(certificate.issuer);
            }
            let above =
                sent.iter().find(|above| above.subject() == issued.issuer() && above.subject() != issued.subject());
            let Some(above) = above else { break };
            issued = above;
        }
        missing.dedup();
        match missing.as_slice() {
            [] => "or one above it may be revoked: none of the `crls` covers every CA of its chain".to_owned(),
            missing => format!("or one above it may be revoked: none of the `crls` is of {}", list(missing)),
        }
    }

    fn phrase(&self, certificate: &Certificate, why: &str) -> String {
        let names = certificate.names();
        let names = if names.is_empty() { "without names".to_owned() } else { format!("of {}", list(&names)) };
        format!("must be {}; its certificate {names} {why} ({})", self.wanted, certificate.provenance())
    }
}

impl ServerCertVerifier for Verifying {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>, // only the SNI and the session cache's key: our identity is `wanted`
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        match self.check(end_entity, intermediates, now) {
            Ok(()) => Ok(ServerCertVerified::assertion()),
            Err(failure) => Err(CertificateError::Other(OtherError(Arc::new(failure))).into()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

impl ServerCertVerifier for Encrypting {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion()) // this is what `no_validation` asks for, and all that it does
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let key = public_key(cert)?;
        let entity = RawPublicKeyEntity::try_from(&key).map_err(|_| CertificateError::BadEncoding)?;
        let candidates = self.provider.signature_verification_algorithms.mapping.iter();
        let candidates = candidates.filter(|(scheme, _)| *scheme == dss.scheme).flat_map(|(_, algorithms)| *algorithms);
        // TLS 1.2 does not say which curve: each algorithm of the scheme is tried, as rustls does.
        let signed = candidates
            .into_iter()
            .any(|algorithm| entity.verify_signature(*algorithm, message, dss.signature()).is_ok());
        if signed { Ok(HandshakeSignatureValid::assertion()) } else { Err(CertificateError::BadSignature.into()) }
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let key = public_key(cert)?;
        verify_tls13_signature_with_raw_key(message, &key, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// The key alone, whatever else is in the certificate: webpki refuses the version 1 that old endpoints still show.
fn public_key(cert: &CertificateDer<'_>) -> Result<SubjectPublicKeyInfoDer<'static>, rustls::Error> {
    let (_, parsed) = X509Certificate::from_der(cert).map_err(|_| CertificateError::BadEncoding)?;
    Ok(SubjectPublicKeyInfoDer::from(parsed.public_key().raw.to_vec()))
}

impl fmt::Debug for Verifying {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifying").field("wanted", &self.wanted).field("trust", &self.trust).finish_non_exhaustive()
    }
}

impl fmt::Debug for Encrypting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Encrypting")
    }
}

/// The whole chain must be covered by the lists, once there are any; a list that is out of date still counts.
fn revocation<'a>(crls: &'a [&'a CertRevocationList<'a>]) -> Option<RevocationOptions<'a>> {
    RevocationOptionsBuilder::new(crls).ok().map(RevocationOptionsBuilder::build)
}

/// RFC 9525 for a common name: equal without regard to case, or `*` for the whole leftmost label.
pub(super) fn is_host(presented: &str, wanted: &str) -> bool {
    let presented = presented.strip_suffix('.').unwrap_or(presented);
    if presented.eq_ignore_ascii_case(wanted) {
        return true;
    }
    let (Some(parent), Some((first, wanted_parent))) = (presented.strip_prefix("*."), wanted.split_once('.')) else {
        return false;
    };
    !first.is_empty() && parent.contains('.') && parent.eq_ignore_ascii_case(wanted_parent)
}

fn is_constrained(path: &VerifiedPath<'_>) -> bool {
    let by_a_ca = |der: &CertificateDer<'_>| Certificate::read(der).map_or(true, |ca| ca.has_name_constraints);
    path.anchor().name_constraints.is_some() || path.intermediate_certificates().any(|ca| by_a_ca(&ca.der()))
}

/// "ended at ..", or which other certificate did.
fn dated(is_the_leafs: bool, what: &str, when: &str) -> String {
    if is_the_leafs { format!("{what} {when}") } else { format!("hangs on a CA certificate that {what} {when}") }
}

fn unusable(error: &webpki::Error) -> String {
    if let webpki::Error::RequiredEkuNotFoundContext(_) = error {
        return "is not for servers: its extended key usage lacks serverAuth".to_owned();
    }
    if let webpki::Error::UnsupportedCertVersion = error {
        return "is not X.509 version 3".to_owned();
    }
    if let webpki::Error::InvalidCertValidity = error {
        return "ends before it begins".to_owned();
    }
    format!("can't be used: {error}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_common_names_wildcard_is_the_whole_leftmost_label() {
        for (presented, wanted, expected) in [
            ("users.example.com", "users.example.com", true),
            ("Users.Example.COM", "users.example.com", true),
            ("users.example.com.", "users.example.com", true),
            ("*.example.com", "users.example.com", true),
            ("*.example.com", "a.users.example.com", false),
            ("*.example.com", "example.com", false),
            ("u*.example.com", "users.example.com", false),
            ("*.com", "example.com", false),
            ("*", "users", false),
            ("", "users", false),
            ("users", "users.example.com", false),
        ] {
            assert_eq!(is_host(presented, wanted), expected, "{presented} for {wanted}");
        }
    }

    #[test]
    fn names_that_no_certificate_can_have_are_refused() {
        for name in ["*.example.com", "a b", "", "a..b", "-"] {
            assert!(Wanted::new(&PeerName::Dns(name.to_owned())).is_err(), "{name:?}");
        }
        assert_eq!(Wanted::new(&PeerName::Dns("a.example.com.".to_owned())).unwrap().to_string(), "a.example.com");
    }
}
