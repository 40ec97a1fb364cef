//! What a bound path implies for TLS: whether to encrypt, whom to expect, whom to trust.
//!
//! A [`ClientTls`] is the whole identity of a connection. Two connections may stand in for each other, and a TLS
//! session may be resumed, only where all of it is equal. How a certificate is checked is not known here.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::path::PathBuf;
use std::sync::Arc;

use waypost_naming::{Captures, Path, Pattern, Place, Template};

/// A name that a certificate can prove, of the type in which it must stand there (RFC 9525).
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum PeerName {
    /// A host name: lower case, no wildcard, no final dot.
    Dns(String),
    /// An address.
    Ip(IpAddr),
    /// A SPIFFE ID, `spiffe://trust-domain/path`.
    Uri(String),
}

/// Why a text is no [`PeerName`].
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("`{text}` is no name that a certificate can prove: {kind}")]
pub struct PeerNameError {
    /// What was given.
    pub text: String,
    /// What is wrong with it.
    pub kind: BadPeerName,
}

/// What is wrong with a text that should name a peer.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum BadPeerName {
    /// There is nothing.
    #[error("it is empty")]
    Empty,
    /// More bytes than the kind of name allows.
    #[error("it is too long")]
    TooLong,
    /// A `*`: one connection is to one peer.
    #[error("a wildcard names no one peer")]
    Wildcard,
    /// Two dots in a row, or one in front.
    #[error("a label is empty")]
    EmptyLabel,
    /// A label that begins or ends with a hyphen, or is longer than 63 bytes.
    #[error("labels have 1 to 63 characters and neither begin nor end with a hyphen")]
    Label,
    /// Something else than letters, digits, hyphens and underscores between the dots.
    #[error("a host name has letters, digits, hyphens and dots only")]
    Character,
    /// The last label is a number, so it would be an IPv4 address, and is none.
    #[error("a host name can't end in a number, and this is no IP address")]
    Number,
    /// A URI of another scheme.
    #[error("of URIs only spiffe:// is supported")]
    Scheme,
    /// A trust domain with other characters than `a-z 0-9 . - _`, for example a port.
    #[error("a SPIFFE trust domain has lower-case letters, digits, dots, hyphens and underscores only")]
    TrustDomain,
    /// A path that is not made of plain segments.
    #[error(
        "a SPIFFE path has no empty, `.` or `..` segments, and letters, digits, dots, hyphens and underscores only"
    )]
    SpiffePath,
}

impl PeerName {
    /// Reads a `common_name`: an IP address, a `spiffe://` URI, or else a host name, which is lower-cased.
    ///
    /// # Errors
    /// [`PeerNameError`] for all that could never be in a certificate, or is no name of one peer.
    pub fn parse(text: &str) -> Result<Self, PeerNameError> {
        Self::read(text).map_err(|kind| PeerNameError { text: text.to_owned(), kind })
    }

    fn read(text: &str) -> Result<Self, BadPeerName> {
        if text.is_empty() {
            return Err(BadPeerName::Empty);
        }
        if let Some((scheme, rest)) = text.split_once("://") {
            return spiffe(scheme, rest);
        }
        let unbracketed = text.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
        if let Some(ip) = unbracketed {
            return ip.parse::<Ipv6Addr>().map(|ip| Self::Ip(ip.into())).map_err(|_| BadPeerName::Character);
        }
        if let Ok(ip) = text.parse::<IpAddr>() {
            return Ok(Self::Ip(ip));
        }
        host(text)
    }
}

impl fmt::Display for PeerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dns(name) | Self::Uri(name) => f.write_str(name),
            Self::Ip(ip) => ip.fmt(f),
        }
    }
}

fn host(text: &str) -> Result<PeerName, BadPeerName> {
    let name = text.strip_suffix('.').unwrap_or(text);
    if name.len() > 253 {
        return Err(BadPeerName::TooLong);
    }
    if name.contains('*') {
        return Err(BadPeerName::Wildcard);
    }
    for label in name.split('.') {
        if label.is_empty() {
            return Err(BadPeerName::EmptyLabel);
        }
        // Underscores are no host names by the book, but names of services in certificates have them.
        if !label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')) {
            return Err(BadPeerName::Character);
        }
        if label.len() > 63 || label.starts_with('-') || label.ends_with('-') {
            return Err(BadPeerName::Label);
        }
    }
    let last = name.rsplit('.').next().unwrap_or_default();
    if last.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(BadPeerName::Number);
    }
    Ok(PeerName::Dns(name.to_ascii_lowercase()))
}

/// The SPIFFE ID standard, section 2: no user, port, query or fragment; the scheme in either case.
fn spiffe(scheme: &str, rest: &str) -> Result<PeerName, BadPeerName> {
    if !scheme.eq_ignore_ascii_case("spiffe") {
        return Err(BadPeerName::Scheme);
    }
    let (domain, path) = match rest.find('/') {
        Some(slash) => rest.split_at(slash),
        None => (rest, ""),
    };
    if domain.len() > 255 || rest.len() + "spiffe://".len() > 2048 {
        return Err(BadPeerName::TooLong);
    }
    let in_domain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'.' | b'-' | b'_');
    if domain.is_empty() || !domain.bytes().all(in_domain) {
        return Err(BadPeerName::TrustDomain);
    }
    let in_segment = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    for segment in path.split('/').skip(1) {
        if matches!(segment, "" | "." | "..") || !segment.bytes().all(in_segment) {
            return Err(BadPeerName::SpiffePath);
        }
    }
    Ok(PeerName::Uri(format!("spiffe://{domain}{path}")))
}

/// Versions of TLS that a client policy can allow.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum TlsVersion {
    /// TLS 1.2.
    V1_2,
    /// TLS 1.3.
    V1_3,
}

/// All of a TLS identity but the name.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct TlsSettings {
    /// PEM files with the roots; empty: the system's.
    pub trust: Vec<PathBuf>,
    /// PEM files with revocation lists.
    pub crls: Vec<PathBuf>,
    /// Our own certificate and key.
    pub client_auth: Option<(PathBuf, PathBuf)>,
    /// The allowed versions, never empty.
    pub protocols: Vec<TlsVersion>,
    /// What to offer; `None`: what the client policy's `protocol` says.
    pub alpn: Option<Vec<String>>,
    /// Whether the subject's CN counts in a certificate without any subjectAltName.
    pub allow_common_name: bool,
    /// SHA-256 over the content of all files above: new content makes a new identity.
    pub digest: [u8; 32],
}

/// The `tls` of a client policy.
#[derive(Clone, PartialEq, Debug)]
pub enum TlsRule {
    /// Clear text.
    None,
    /// One name for all connections under the policy.
    Static {
        /// May use the captures of the policy's prefix.
        common_name: Template,
        /// Trust and the rest.
        settings: Arc<TlsSettings>,
    },
    /// The name is the first one whose prefix matches the bound path.
    BoundPath {
        /// In the order of the file.
        names: Vec<NameRule>,
        /// What to do where none matches.
        unmatched: Unmatched,
        /// Trust and the rest.
        settings: Arc<TlsSettings>,
    },
    /// Encrypts and verifies nothing.
    NoValidation {
        /// Only sets SNI.
        common_name: Option<Template>,
        /// Protocols and the rest; its trust is not used.
        settings: Arc<TlsSettings>,
    },
}

/// One of the names of [`TlsRule::BoundPath`].
#[derive(Clone, PartialEq, Debug)]
pub struct NameRule {
    /// The bound paths that have this name.
    pub prefix: Pattern,
    /// May use the captures of the prefix.
    pub common_name: Template,
    /// Where it was written.
    pub from: Place,
}

/// What becomes of a bound path that no name is given for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unmatched {
    /// `strict = true`, the default: requests are refused.
    Refuse,
    /// `strict = false`.
    ClearText,
}

/// How connections to the endpoints of a bound path are protected: the whole identity.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum ClientTls {
    /// Not at all.
    Clear,
    /// Encrypted, whoever it is.
    Encrypt {
        /// The host name to send; none is sent without.
        sni: Option<String>,
        /// The rest of the identity.
        settings: Arc<TlsSettings>,
    },
    /// Encrypted, and the endpoint's certificate must have this name.
    Verify {
        /// `static` or `bound_path`.
        kind: &'static str,
        /// Whom to expect. A [`PeerName::Dns`] is also sent as SNI.
        name: PeerName,
        /// The rest of the identity.
        settings: Arc<TlsSettings>,
    },
}

impl ClientTls {
    /// The host name to send: the expected name, if it is one (RFC 6066 has no other).
    #[must_use]
    pub fn sni(&self) -> Option<&str> {
        match self {
            Self::Encrypt { sni, .. } => sni.as_deref(),
            Self::Verify { name: PeerName::Dns(name), .. } => Some(name),
            Self::Verify { name: PeerName::Ip(_) | PeerName::Uri(_), .. } | Self::Clear => None,
        }
    }

    /// All but the name; `None` for clear text.
    #[must_use]
    pub const fn settings(&self) -> Option<&Arc<TlsSettings>> {
        match self {
            Self::Clear => None,
            Self::Encrypt { settings, .. } | Self::Verify { settings, .. } => Some(settings),
        }
    }
}

/// Why no identity follows from a bound path: requests to it are refused.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NoIdentity {
    /// `bound_path` with `strict = true` and no matching prefix.
    #[error("no TLS name for {bound}: it matches none of {}", .tried.join(", "))]
    Unmatched {
        /// The bound path.
        bound: Path,
        /// The prefixes that were compared.
        tried: Vec<String>,
    },
    /// The name made for the bound path can't be in a certificate.
    #[error("no TLS name for {bound}: {error}")]
    BadName {
        /// The bound path.
        bound: Path,
        /// What is wrong with the name.
        error: PeerNameError,
    },
}

impl TlsRule {
    /// The identity for connections to the endpoints of `bound`; `captures` are those of the client policy's prefix.
    ///
    /// # Errors
    /// [`NoIdentity`] where a name is required and there is none: never to be taken for clear text.
    pub fn client_tls(&self, bound: &Path, captures: &Captures) -> Result<ClientTls, NoIdentity> {
        match self {
            Self::None => Ok(ClientTls::Clear),
            Self::Static { common_name, settings } => {
                let name = peer(bound, common_name, captures)?;
                Ok(ClientTls::Verify { kind: "static", name, settings: Arc::clone(settings) })
            }
            Self::BoundPath { names, unmatched, settings } => {
                let found = names.iter().find_map(|name| Some((name.prefix.matches(bound)?, &name.common_name)));
                match (found, unmatched) {
                    (Some((captures, name)), _) => {
                        let name = peer(bound, name, &captures)?;
                        Ok(ClientTls::Verify { kind: "bound_path", name, settings: Arc::clone(settings) })
                    }
                    (None, Unmatched::ClearText) => Ok(ClientTls::Clear),
                    (None, Unmatched::Refuse) => Err(NoIdentity::Unmatched {
                        bound: bound.clone(),
                        tried: names.iter().map(|name| name.prefix.to_string()).collect(),
                    }),
                }
            }
            Self::NoValidation { common_name, settings } => {
                let name = common_name.as_ref().map(|name| peer(bound, name, captures)).transpose()?;
                let sni = match name {
                    Some(PeerName::Dns(name)) => Some(name),
                    Some(PeerName::Ip(_) | PeerName::Uri(_)) | None => None,
                };
                Ok(ClientTls::Encrypt { sni, settings: Arc::clone(settings) })
            }
        }
    }

    /// All of the identity but the name; `None` for clear text.
    #[must_use]
    pub const fn settings(&self) -> Option<&Arc<TlsSettings>> {
        match self {
            Self::None => None,
            Self::Static { settings, .. } | Self::BoundPath { settings, .. } | Self::NoValidation { settings, .. } => {
                Some(settings)
            }
        }
    }

    /// The names that this rule asks for, each with the bound paths that it is for; `prefix` is that of the client policy.
    pub fn names<'r>(&'r self, prefix: &'r Pattern) -> Vec<(&'r Pattern, &'r Template)> {
        match self {
            Self::None | Self::NoValidation { .. } => Vec::new(),
            Self::Static { common_name, .. } => vec![(prefix, common_name)],
            Self::BoundPath { names, .. } => names.iter().map(|name| (&name.prefix, &name.common_name)).collect(),
        }
    }

    /// Where the name for `bound` was written; `None` where it has none of its own.
    #[must_use]
    pub fn name_from(&self, bound: &Path) -> Option<&Place> {
        let Self::BoundPath { names, .. } = self else { return None };
        names.iter().find(|name| name.prefix.matches(bound).is_some()).map(|name| &name.from)
    }
}

fn peer(bound: &Path, name: &Template, captures: &Captures) -> Result<PeerName, NoIdentity> {
    PeerName::parse(&name.fill(captures)).map_err(|error| NoIdentity::BadName { bound: bound.clone(), error })
}

#[cfg(test)]
mod tests;
