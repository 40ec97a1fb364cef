//! What a certificate says about its owner: names, dates, serial number. Reading only; nothing here decides about trust.

use std::net::IpAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustls_pki_types::UnixTime;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate, X509Name};

/// Who stands at the other end of a server's connection, from a client certificate that was verified.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PeerIdentity {
    /// URI names, such as `spiffe://cluster.local/ns/prod/sa/web`.
    pub uris: Vec<String>,
    /// DNS names.
    pub dns: Vec<String>,
    /// The subject's common name.
    pub common_name: Option<String>,
}

impl PeerIdentity {
    /// What `l5d-client-id` carries: the first URI name, else the first DNS name, else the common name.
    pub fn name(&self) -> Option<&str> {
        self.uris.first().or_else(|| self.dns.first()).or(self.common_name.as_ref()).map(String::as_str)
    }
}

/// What the admin shows of a certificate that an endpoint presented.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateSummary {
    /// All names, as people write them; `CN=...` where there is no subjectAltName.
    pub names: Vec<String>,
    /// When it ends.
    pub not_after: SystemTime,
    /// The serial number, hexadecimal.
    pub serial: String,
}

impl CertificateSummary {
    /// For an endpoint whose certificate nobody checks and nobody can read.
    pub(super) fn unreadable() -> Self {
        Self { names: Vec::new(), not_after: UNIX_EPOCH, serial: String::new() }
    }
}

/// One certificate, read once for all that is asked of it.
#[derive(Clone, Debug)]
pub(super) struct Certificate {
    pub(super) uris: Vec<String>,
    pub(super) dns: Vec<String>,
    pub(super) ips: Vec<IpAddr>,
    pub(super) common_name: Option<String>,
    /// URI names of any form, those that are not text too: a SPIFFE certificate has exactly one.
    pub(super) uri_count: usize,
    /// There is a subjectAltName extension, whatever is in it.
    pub(super) has_alternative_names: bool,
    pub(super) has_name_constraints: bool,
    pub(super) subject: String,
    pub(super) issuer: String,
    pub(super) not_before: SystemTime,
    pub(super) not_after: SystemTime,
    pub(super) serial: String,
}

/// The bytes are not a certificate that can be read.
#[derive(Clone, Debug, thiserror::Error)]
#[error("not a readable X.509 certificate: {0}")]
pub(super) struct Unreadable(String);

impl Certificate {
    /// # Errors
    /// When the DER or the subjectAltName in it does not parse, or an extension is there twice.
    pub(super) fn read(der: &[u8]) -> Result<Self, Unreadable> {
        let (_, parsed) = X509Certificate::from_der(der).map_err(|error| Unreadable(error.to_string()))?;
        let mut certificate = Self {
            uris: Vec::new(),
            dns: Vec::new(),
            ips: Vec::new(),
            // The most specific one, as the JVM under linkerd took it.
            common_name: parsed.subject().iter_common_name().last().and_then(|name| name.as_str().ok()).map(printable),
            uri_count: 0,
            has_alternative_names: false,
            has_name_constraints: parsed.name_constraints().map_err(|error| Unreadable(error.to_string()))?.is_some(),
            subject: distinguished_name(parsed.subject()),
            issuer: distinguished_name(parsed.issuer()),
            not_before: time(parsed.validity().not_before.timestamp()),
            not_after: time(parsed.validity().not_after.timestamp()),
            serial: hex(parsed.raw_serial()),
        };
        let alternative = parsed.subject_alternative_name().map_err(|error| Unreadable(error.to_string()))?;
        if let Some(alternative) = alternative {
            certificate.has_alternative_names = true;
            for name in &alternative.value.general_names {
                certificate.add(name);
            }
        }
        Ok(certificate)
    }

    fn add(&mut self, name: &GeneralName<'_>) {
        const URI_TAG: u32 = 6;
        if let GeneralName::DNSName(name) = name {
            self.dns.push(printable(name));
        } else if let GeneralName::URI(name) = name {
            self.uri_count += 1;
            self.uris.push(printable(name));
        } else if let GeneralName::IPAddress(octets) = name {
            self.ips.extend(ip_address(octets));
        } else if let GeneralName::Invalid(tag, _) = name
            && tag.0 == URI_TAG
        {
            self.uri_count += 1;
        }
    }

    /// All names for people: DNS, IP, URI; the common name only where there is no subjectAltName, since it counts for
    /// nothing elsewhere.
    pub(super) fn names(&self) -> Vec<String> {
        let mut names = self.dns.clone();
        names.extend(self.ips.iter().map(ToString::to_string));
        names.extend(self.uris.iter().cloned());
        if !self.has_alternative_names {
            names.extend(self.common_name.iter().map(|name| format!("CN={name}")));
        }
        names
    }

    pub(super) fn summary(&self) -> CertificateSummary {
        CertificateSummary { names: self.names(), not_after: self.not_after, serial: self.serial.clone() }
    }

    pub(super) fn into_identity(self) -> PeerIdentity {
        PeerIdentity { uris: self.uris, dns: self.dns, common_name: self.common_name }
    }
}

/// `2026-11-24T12:00:00Z`.
pub(super) fn date(time: SystemTime) -> String {
    jiff::Timestamp::try_from(time).map_or_else(|_| "a time out of range".to_owned(), |time| time.to_string())
}

/// webpki's time as the standard library's.
pub(super) fn from_unix(time: UnixTime) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(time.as_secs())
}

pub(super) fn time(seconds: i64) -> SystemTime {
    let distance = Duration::from_secs(seconds.unsigned_abs());
    let time = if seconds < 0 { UNIX_EPOCH.checked_sub(distance) } else { UNIX_EPOCH.checked_add(distance) };
    time.unwrap_or(UNIX_EPOCH)
}

fn distinguished_name(name: &X509Name<'_>) -> String {
    let text = printable(&name.to_string());
    if text.is_empty() { "(no name)".to_owned() } else { text }
}

fn ip_address(octets: &[u8]) -> Option<IpAddr> {
    <[u8; 4]>::try_from(octets).map(IpAddr::from).or_else(|_| <[u8; 16]>::try_from(octets).map(IpAddr::from)).ok()
}

/// Names go into logs, headers and pages: what would break a line there is shown escaped.
fn printable(text: &str) -> String {
    if text.chars().any(char::is_control) { text.escape_debug().to_string() } else { text.to_owned() }
}

fn hex(bytes: &[u8]) -> String {
    let significant = bytes.iter().skip_while(|byte| **byte == 0); // the sign's zero is not part of the number
    let mut text: String = significant.map(|byte| format!("{byte:02x}")).collect();
    if text.is_empty() {
        text.push_str("00");
    }
    text
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DnType, KeyPair, SanType};

    use super::*;

    fn certificate(shape: impl FnOnce(&mut CertificateParams)) -> Certificate {
        let mut params = CertificateParams::default();
        shape(&mut params);
        let der = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        Certificate::read(der.der()).unwrap()
    }

    #[test]
    fn every_kind_of_name_is_read() {
        let read = certificate(|params| {
            params.distinguished_name.push(DnType::CommonName, "cn");
            params.subject_alt_names = vec![
                SanType::DnsName("a.example.com".try_into().unwrap()),
                SanType::IpAddress("127.0.0.1".parse().unwrap()),
                SanType::IpAddress("::1".parse().unwrap()),
                SanType::URI("spiffe://td/a".try_into().unwrap()),
            ];
        });

        assert_eq!(read.names(), ["a.example.com", "127.0.0.1", "::1", "spiffe://td/a"]);
        assert_eq!(read.uri_count, 1);
        assert_eq!(read.into_identity().name(), Some("spiffe://td/a"));
    }

    #[test]
    fn a_common_name_counts_as_a_name_only_without_alternatives() {
        let legacy = certificate(|params| params.distinguished_name.push(DnType::CommonName, "legacy.example.com"));

        assert!(!legacy.has_alternative_names);
        assert_eq!(legacy.names(), ["CN=legacy.example.com"]);
        assert_eq!(legacy.into_identity().name(), Some("legacy.example.com"));
    }

    #[test]
    fn a_line_break_in_a_name_is_escaped() {
        let odd = certificate(|params| params.distinguished_name.push(DnType::CommonName, "a\r\nb"));
        assert_eq!(odd.names(), ["CN=a\\r\\nb"]);
    }

    #[test]
    fn serial_numbers_have_no_sign_byte() {
        assert_eq!(hex(&[0, 0x9f, 0x01]), "9f01");
        assert_eq!(hex(&[0]), "00");
    }

    #[test]
    fn nonsense_is_an_error() {
        assert!(Certificate::read(b"nonsense").is_err());
    }
}
