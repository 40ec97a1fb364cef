//! What a certificate says about its owner: names, dates, serial number. Reading only; nothing here decides about trust.

use std::net::IpAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::digest;
use rustls_pki_types::UnixTime;
use x509_parser::objects::{oid_registry, oid2abbrev};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate, X509Name};

use crate::date::date;

/// Who stands at the other end of a server's connection, from a client certificate that was verified.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PeerIdentity {
    /// URI names, such as `spiffe://cluster.local/ns/prod/sa/web`.
    pub uris: Vec<String>,
    /// DNS names.
    pub dns: Vec<String>,
    /// The subject's common name.
    pub common_name: Option<String>,
    /// What `x-forwarded-client-cert` says of the certificate, in linkerd's form.
    pub forwarded: String,
}

impl PeerIdentity {
    /// All names that a certificate proves, for the log; without any, the common name.
    pub fn names(&self) -> String {
        let proven = self.uris.iter().chain(&self.dns).map(String::as_str).collect::<Vec<_>>().join(", ");
        match &self.common_name {
            Some(name) if proven.is_empty() => format!("CN={name}"),
            Some(_) | None => proven,
        }
    }

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
    /// The subject as RFC 2253 writes it.
    pub(super) subject_2253: String,
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
            subject_2253: rfc_2253(parsed.subject()),
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

    /// "issued by CN=A, valid from 2026-11-24T12:00:00Z to 2026-12-24T12:00:00Z": what tells two certificates of one name
    /// apart.
    pub(super) fn provenance(&self) -> String {
        format!("issued by {}, valid from {} to {}", self.issuer, date(self.not_before), date(self.not_after))
    }

    pub(super) fn summary(&self) -> CertificateSummary {
        CertificateSummary { names: self.names(), not_after: self.not_after, serial: self.serial.clone() }
    }

    pub(super) fn into_identity(self, der: &[u8]) -> PeerIdentity {
        let forwarded = self.forwarded(der);
        PeerIdentity { uris: self.uris, dns: self.dns, common_name: self.common_name, forwarded }
    }

    /// `Hash=<SHA-256>;SAN=<URI>;DNS=<name>;Subject="<RFC 2253>"`, as linkerd 1.x writes `x-forwarded-client-cert`. A
    /// certificate may have more names than a header should carry: then only its hash and its subject are told.
    fn forwarded(&self, der: &[u8]) -> String {
        const LONGEST: usize = 4096;
        let hash = format!("Hash={}", hex_of(digest::digest(&digest::SHA256, der).as_ref()).to_ascii_uppercase());
        let uris = self.uris.iter().map(|uri| format!(";SAN={}", quoted_if_needed(uri)));
        let names: String =
            uris.chain(self.dns.iter().map(|name| format!(";DNS={}", quoted_if_needed(name)))).collect();
        let subject = format!(";Subject={}", quoted(&self.subject_2253));
        let whole = format!("{hash}{names}{subject}");
        let shorter = [whole, format!("{hash}{subject}")].into_iter().find(|text| text.len() <= LONGEST);
        shorter.unwrap_or(hash)
    }
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

pub(super) fn distinguished_name(name: &X509Name<'_>) -> String {
    let text = printable(&name.to_string());
    if text.is_empty() { "(no name)".to_owned() } else { text }
}

/// RFC 2253: the most specific part first, special characters escaped.
fn rfc_2253(name: &X509Name<'_>) -> String {
    let parts: Vec<String> = name
        .iter()
        .map(|part| {
            let pairs = part.iter().map(|pair| {
                let kind = oid2abbrev(pair.attr_type(), oid_registry())
                    .map_or_else(|_| pair.attr_type().to_id_string(), str::to_owned);
                format!("{kind}={}", pair.as_str().map_or_else(|_| format!("#{}", hex_of(pair.as_slice())), escaped))
            });
            pairs.collect::<Vec<_>>().join("+")
        })
        .collect();
    parts.into_iter().rev().collect::<Vec<_>>().join(",")
}

fn escaped(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    for (index, letter) in value.char_indices() {
        let at_an_end = index == 0 || index + letter.len_utf8() == value.len();
        let special = matches!(letter, ',' | '+' | '"' | '\\' | '<' | '>' | ';') || (letter == '#' && index == 0);
        if special || (letter == ' ' && at_an_end) {
            out.push('\\');
        }
        out.push(letter);
    }
    printable(&out)
}

/// Between quotation marks, where nothing ends the value early.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// A name with a character that separates fields would otherwise be taken for further fields.
fn quoted_if_needed(name: &str) -> String {
    if name.contains(['"', ';', ',', '=', ' ']) { quoted(name) } else { name.to_owned() }
}

fn ip_address(octets: &[u8]) -> Option<IpAddr> {
    <[u8; 4]>::try_from(octets).map(IpAddr::from).or_else(|_| <[u8; 16]>::try_from(octets).map(IpAddr::from)).ok()
}

/// Names go into logs, headers and pages: what would break a line there is shown escaped.
fn printable(text: &str) -> String {
    if text.chars().any(char::is_control) { text.escape_debug().to_string() } else { text.to_owned() }
}

pub(super) fn hex_of(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn hex(bytes: &[u8]) -> String {
    let sign = bytes.iter().take_while(|byte| **byte == 0).count(); // the sign's zero is not part of the number
    let mut text = hex_of(bytes.get(sign..).unwrap_or_default());
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
        assert_eq!(read.into_identity(&[]).name(), Some("spiffe://td/a"));
    }

    #[test]
    fn a_common_name_counts_as_a_name_only_without_alternatives() {
        let legacy = certificate(|params| params.distinguished_name.push(DnType::CommonName, "legacy.example.com"));

        assert!(!legacy.has_alternative_names);
        assert_eq!(legacy.names(), ["CN=legacy.example.com"]);
        assert_eq!(legacy.into_identity(&[]).name(), Some("legacy.example.com"));
    }

    #[test]
    fn a_line_break_in_a_name_is_escaped() {
        let odd = certificate(|params| params.distinguished_name.push(DnType::CommonName, "a\r\nb"));
        assert_eq!(odd.names(), ["CN=a\\r\\nb"]);
    }

    #[test]
    fn a_certificate_is_forwarded_in_linkerds_form() {
        let read = certificate(|params| {
            params.distinguished_name = rcgen::DistinguishedName::new();
            params.distinguished_name.push(DnType::CountryName, "CH");
            params.distinguished_name.push(DnType::OrganizationName, "Post, \"Bahn\"");
            params.distinguished_name.push(DnType::CommonName, "web");
            params.subject_alt_names = vec![
                SanType::DnsName("a.example.com".try_into().unwrap()),
                SanType::URI("spiffe://td/a".try_into().unwrap()),
                SanType::URI("x:b;DNS=root".try_into().unwrap()),
            ];
        });
        let hash = "E3B0C44298FC1C149AFBF4C8996FB92427AE41E4649B934CA495991B7852B855";
        let names = "SAN=spiffe://td/a;SAN=\"x:b;DNS=root\";DNS=a.example.com";
        let subject = r#"Subject="CN=web,O=Post\\, \\\"Bahn\\\",C=CH""#;
        assert_eq!(read.into_identity(&[]).forwarded, format!("Hash={hash};{names};{subject}"));
    }

    #[test]
    fn a_certificate_of_very_many_names_is_forwarded_by_its_hash_and_subject() {
        let read = certificate(|params| {
            let name = |n: u32| SanType::DnsName(format!("n{n}.example.com").try_into().unwrap());
            params.subject_alt_names = (0..500).map(name).collect();
        });
        let forwarded = read.into_identity(&[]).forwarded;
        assert!(forwarded.starts_with("Hash=") && forwarded.contains(";Subject=\"") && !forwarded.contains("DNS="));
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
