//! Why a TLS connection to an endpoint was not made: one value for the answer, the log and the metric.

use std::io;

use rustls::{AlertDescription, CertificateError, InvalidMessage};

/// Why an endpoint was refused, or refused us.
///
/// The text is a phrase whose subject is the endpoint, to be read after "127.0.0.1:8080 for /#/fs/users".
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TlsFailure {
    /// The certificate is trusted, but names somebody else.
    #[error("must be {wanted}; its certificate {} ({provenance})", names(.found))]
    Name {
        /// The name that was asked for.
        wanted: String,
        /// The names that the certificate has, as people write them.
        found: Vec<String>,
        /// Who issued the certificate, and for which time.
        provenance: String,
    },
    /// No trusted CA stands behind the certificate.
    #[error("{0}")]
    Untrusted(String),
    /// The certificate, or one above it, has ended.
    #[error("{0}")]
    Expired(String),
    /// The certificate, or one above it, is not valid yet.
    #[error("{0}")]
    NotYetValid(String),
    /// A certificate revocation list names the certificate.
    #[error("{0}")]
    Revoked(String),
    /// The endpoint did not like our certificate, or that there was none.
    #[error("{0}")]
    ClientCertRefused(String),
    /// Everything else: no common version or protocol, not TLS at all, the connection broke.
    #[error("{0}")]
    Other(String),
}

impl TlsFailure {
    /// The machine's word in `waypost-error`.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Name { .. } => "tls_name",
            Self::Untrusted(_) => "tls_untrusted",
            Self::Expired(_) | Self::NotYetValid(_) => "tls_expired",
            Self::Revoked(_) => "tls_revoked",
            Self::ClientCertRefused(_) | Self::Other(_) => "tls_other",
        }
    }

    /// The `outcome` label of `waypost_client_tls_handshakes_total`.
    pub fn outcome(&self) -> &'static str {
        match self {
            Self::Name { .. } => "bad_name",
            Self::Untrusted(_) => "unknown_issuer",
            Self::Expired(_) | Self::NotYetValid(_) => "expired",
            Self::Revoked(_) => "revoked",
            Self::ClientCertRefused(_) => "client_cert_refused",
            Self::Other(_) => "other",
        }
    }

    /// What a read or write error on an *established* connection says about TLS; `None` when it is not about TLS.
    ///
    /// Where the error has lost its inside on the way (h2 keeps only the text), [`super::Refusal`] still knows.
    pub fn from_io(error: &io::Error) -> Option<Self> {
        Self::after_handshake(error, None)
    }

    /// The same, with the name that the endpoint must have.
    pub(super) fn after_handshake(error: &io::Error, wanted: Option<&str>) -> Option<Self> {
        tls_error(error).map(|error| classify(error, &Asked { name: wanted, protocols: &[] }))
    }

    /// What an error of the handshake itself says.
    pub(super) fn from_handshake(error: &io::Error, asked: &Asked<'_>) -> Self {
        match tls_error(error) {
            Some(error) => classify(error, asked),
            None if error.kind() == io::ErrorKind::UnexpectedEof => {
                Self::Other(asked.but("closed the connection during the TLS handshake"))
            }
            None => Self::Other(asked.but(&format!("broke the connection during the TLS handshake: {error}"))),
        }
    }
}

/// What we said in the handshake, for errors that have no certificate to speak of.
pub(super) struct Asked<'a> {
    /// The name that the endpoint must have.
    pub(super) name: Option<&'a str>,
    /// Our ALPN offer.
    pub(super) protocols: &'a [Vec<u8>],
}

impl Asked<'_> {
    fn but(&self, what: &str) -> String {
        match self.name {
            Some(name) => format!("must be {name}, but {what}"),
            None => what.to_owned(),
        }
    }
}

fn tls_error(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>())
}

fn classify(error: &rustls::Error, asked: &Asked<'_>) -> TlsFailure {
    if let rustls::Error::InvalidCertificate(CertificateError::Other(inner)) = error
        && let Some(failure) = inner.0.downcast_ref::<TlsFailure>()
    {
        return failure.clone(); // the verifier's own words
    }
    if let rustls::Error::AlertReceived(alert) = error {
        return refused(*alert, asked);
    }
    let what = if let rustls::Error::InvalidCertificate(CertificateError::BadSignature) = error {
        "signed the TLS handshake with another key than its certificate's".to_owned()
    } else if let rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType) = error {
        "did not answer in TLS; perhaps it speaks clear text".to_owned()
    } else if let rustls::Error::PeerIncompatible(reason) = error {
        format!("has no TLS version or cipher in common with us ({reason:?})")
    } else {
        format!("failed in TLS: {error}")
    };
    TlsFailure::Other(asked.but(&what))
}

/// An alert from the endpoint. Those about certificates can only mean ours: it has no other.
fn refused(alert: AlertDescription, asked: &Asked<'_>) -> TlsFailure {
    let about_our_certificate = [
        AlertDescription::BadCertificate,
        AlertDescription::UnsupportedCertificate,
        AlertDescription::CertificateRevoked,
        AlertDescription::CertificateExpired,
        AlertDescription::CertificateUnknown,
        AlertDescription::UnknownCA,
        AlertDescription::AccessDenied,
        AlertDescription::NoCertificate,
        // OpenSSL's word for a certificate whose issuer it knows by name, and by another key.
        AlertDescription::DecryptError,
    ];
    if alert == AlertDescription::CertificateRequired {
        let what = "asks for a client certificate and got none (certificate_required)";
        return TlsFailure::ClientCertRefused(asked.but(what));
    }
    if about_our_certificate.contains(&alert) {
        let what = format!("refused our client certificate ({})", alert_name(alert));
        return TlsFailure::ClientCertRefused(asked.but(&what));
    }
    if alert == AlertDescription::NoApplicationProtocol {
        let offered: Vec<_> = asked.protocols.iter().map(|protocol| String::from_utf8_lossy(protocol)).collect();
        return TlsFailure::Other(
            asked.but(&format!("speaks none of the protocols offered by ALPN: {}", offered.join(", "))),
        );
    }
    TlsFailure::Other(asked.but(&format!("ended the TLS handshake with alert {}", alert_name(alert))))
}

/// `CertificateExpired` -> `certificate_expired`, as the RFCs spell alerts.
pub(super) fn alert_name(alert: AlertDescription) -> String {
    let debug = format!("{alert:?}");
    let mut name = String::with_capacity(debug.len() + 4);
    let mut after_lower = false;
    for letter in debug.chars() {
        if letter.is_ascii_uppercase() && after_lower {
            name.push('_');
        }
        after_lower = letter.is_ascii_lowercase();
        name.push(letter.to_ascii_lowercase());
    }
    name
}

/// "names a, b and 3 more" / "has no names".
pub(super) fn names(found: &[String]) -> String {
    if found.is_empty() { "has no names".to_owned() } else { format!("names {}", list(found)) }
}

/// The first few of what may be a very long list: a certificate's length is the endpoint's choice.
pub(super) fn list(items: &[String]) -> String {
    const SHOWN: usize = 8;
    let shown: Vec<&str> = items.iter().take(SHOWN).map(String::as_str).collect();
    match items.len().checked_sub(SHOWN) {
        None | Some(0) => shown.join(", "),
        Some(more) => format!("{} and {more} more", shown.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alerts_are_spelt_as_in_the_rfc() {
        assert_eq!(alert_name(AlertDescription::CertificateExpired), "certificate_expired");
        assert_eq!(alert_name(AlertDescription::UnknownCA), "unknown_ca");
    }

    #[test]
    fn a_long_list_of_names_is_cut() {
        let found: Vec<String> = (0..11).map(|n| format!("n{n}")).collect();
        let failure = TlsFailure::Name { wanted: "a".to_owned(), found, provenance: "issued by CN=b".to_owned() };
        assert_eq!(
            failure.to_string(),
            "must be a; its certificate names n0, n1, n2, n3, n4, n5, n6, n7 and 3 more (issued by CN=b)"
        );
    }

    #[test]
    fn a_certificate_without_names_says_so() {
        let failure =
            TlsFailure::Name { wanted: "a".to_owned(), found: Vec::new(), provenance: "issued by CN=b".to_owned() };
        assert_eq!(failure.to_string(), "must be a; its certificate has no names (issued by CN=b)");
    }

    #[test]
    fn an_error_that_is_not_about_tls_is_not_made_one() {
        assert_eq!(TlsFailure::from_io(&io::Error::from(io::ErrorKind::ConnectionReset)), None);
    }

    #[test]
    fn an_alert_after_the_handshake_is_about_our_certificate() {
        let error = io::Error::other(rustls::Error::AlertReceived(AlertDescription::CertificateRequired));
        assert_eq!(TlsFailure::from_io(&error).unwrap().outcome(), "client_cert_refused");
    }
}
