//! Certificates for every case that a test needs, made on the spot.

use std::io::Write;
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose, RevocationReason, RevokedCertParams, SanType, SerialNumber,
};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use time::{Duration, OffsetDateTime};

/// What a certificate is to say.
#[derive(Clone, Debug)]
pub struct Leaf {
    names: Vec<String>,
    common_name: Option<String>,
    not_before: OffsetDateTime,
    not_after: OffsetDateTime,
}

impl Leaf {
    /// Valid now and for a month, with these names: DNS, IP or `spiffe://`.
    pub fn new(names: &[&str]) -> Self {
        let now = OffsetDateTime::now_utc();
        Self {
            names: names.iter().map(|&name| name.to_owned()).collect(),
            common_name: None,
            not_before: now - Duration::DAY,
            not_after: now + Duration::DAY * 30,
        }
    }

    /// Without any subjectAltName: the name stands in the subject's CN only.
    pub fn cn_only(name: &str) -> Self {
        Self::new(&[]).common_name(name)
    }

    /// With this CN, beside the names.
    #[must_use]
    pub fn common_name(mut self, name: &str) -> Self {
        self.common_name = Some(name.to_owned());
        self
    }

    /// Ended an hour ago.
    #[must_use]
    pub fn expired(mut self) -> Self {
        self.not_after = OffsetDateTime::now_utc() - Duration::HOUR;
        self
    }

    /// Begins in an hour.
    #[must_use]
    pub fn not_yet(mut self) -> Self {
        self.not_before = OffsetDateTime::now_utc() + Duration::HOUR;
        self
    }

    /// Ends so many days from now.
    #[must_use]
    pub fn ends_in_days(mut self, days: i32) -> Self {
        self.not_after = OffsetDateTime::now_utc() + Duration::DAY * days;
        self
    }

    /// Signed by its own key, hence trusted by nobody.
    pub fn self_signed(self) -> Identity {
        let key = KeyPair::generate().expect("a key");
        let params = self.params();
        let certificate = params.self_signed(&key).expect("a certificate");
        Identity { cert_pem: certificate.pem(), key_pem: key.serialize_pem(), serial: Vec::new() }
    }

    fn params(self) -> CertificateParams {
        let mut params = CertificateParams::default();
        params.subject_alt_names = self.names.iter().map(|name| alt_name(name)).collect();
        params.distinguished_name = rcgen::DistinguishedName::new();
        if let Some(name) = self.common_name {
            params.distinguished_name.push(DnType::CommonName, name);
        }
        params.not_before = self.not_before;
        params.not_after = self.not_after;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        params
    }
}

fn alt_name(name: &str) -> SanType {
    if let Ok(ip) = name.parse::<IpAddr>() {
        return SanType::IpAddress(ip);
    }
    let text = name.try_into().expect("names are ASCII");
    if name.contains("://") { SanType::URI(text) } else { SanType::DnsName(text) }
}

/// A certificate authority.
#[derive(Debug)]
pub struct Ca {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
    serial: Vec<u8>,
    serials: AtomicU64,
}

impl Default for Ca {
    fn default() -> Self {
        Self::new()
    }
}

impl Ca {
    /// One with its own fresh key.
    pub fn new() -> Self {
        Self::named("waypost test CA")
    }

    /// One with a subject of its own; two of one name are still two authorities.
    pub fn named(subject: &str) -> Self {
        let (params, key) = ca_params(subject);
        let pem = params.self_signed(&key).expect("a certificate").pem();
        Self { issuer: Issuer::new(params, key), pem, serial: Vec::new(), serials: AtomicU64::new(1000) }
    }

    /// One that this one vouches for.
    pub fn intermediate(&self, subject: &str) -> Self {
        let (mut params, key) = ca_params(subject);
        let serial = self.next_serial();
        params.serial_number = Some(SerialNumber::from_slice(&serial));
        let pem = params.signed_by(&key, &self.issuer).expect("a certificate").pem();
        Self { issuer: Issuer::new(params, key), pem, serial, serials: AtomicU64::new(1000) }
    }

    /// Its own certificate, as one that its issuer can revoke.
    pub fn identity(&self) -> Identity {
        Identity { cert_pem: self.pem.clone(), key_pem: String::new(), serial: self.serial.clone() }
    }

    fn next_serial(&self) -> Vec<u8> {
        self.serials.fetch_add(1, Ordering::Relaxed).to_be_bytes().to_vec()
    }

    /// Its certificate.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// A certificate with these names, valid now.
    pub fn issue(&self, names: &[&str]) -> Identity {
        self.sign(Leaf::new(names))
    }

    /// A certificate of any kind.
    pub fn sign(&self, leaf: Leaf) -> Identity {
        let serial = self.next_serial();
        let mut params = leaf.params();
        params.serial_number = Some(SerialNumber::from_slice(&serial));
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        Identity { cert_pem: certificate.pem(), key_pem: key.serialize_pem(), serial }
    }

    /// A list that revokes `identities`, as PEM.
    pub fn revoke(&self, identities: &[&Identity]) -> String {
        let now = OffsetDateTime::now_utc();
        let revoked = |identity: &&Identity| RevokedCertParams {
            serial_number: SerialNumber::from_slice(&identity.serial),
            revocation_time: now - Duration::HOUR,
            reason_code: Some(RevocationReason::KeyCompromise),
            invalidity_date: None,
        };
        let list = CertificateRevocationListParams {
            this_update: now - Duration::HOUR,
            next_update: now + Duration::DAY,
            crl_number: SerialNumber::from(1_u64),
            issuing_distribution_point: None,
            revoked_certs: identities.iter().map(revoked).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        list.signed_by(&self.issuer).expect("a revocation list").pem().expect("a revocation list")
    }
}

fn ca_params(subject: &str) -> (CertificateParams, KeyPair) {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, subject);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    (params, KeyPair::generate().expect("a key"))
}

/// A certificate and its key.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The certificate as PEM.
    pub cert_pem: String,
    /// The key as PKCS#8 PEM.
    pub key_pem: String,
    serial: Vec<u8>,
}

impl Identity {
    /// With the certificate of its issuer behind its own, as a server with an intermediate CA sends it.
    #[must_use]
    pub fn with_issuer(mut self, issuer: &Ca) -> Self {
        self.cert_pem += issuer.pem();
        self
    }

    /// Writes `<stem>.pem` and `<stem>.key` (0600) into `dir`.
    pub fn write(&self, dir: &Path, stem: &str) -> CertFiles {
        let files = CertFiles { cert: dir.join(format!("{stem}.pem")), key: dir.join(format!("{stem}.key")) };
        replace(&files.cert, self.cert_pem.as_bytes(), 0o644);
        replace(&files.key, self.key_pem.as_bytes(), 0o600);
        files
    }

    /// The certificate for rustls.
    pub fn chain(&self) -> Vec<CertificateDer<'static>> {
        CertificateDer::pem_slice_iter(self.cert_pem.as_bytes()).map(|der| der.expect("PEM")).collect()
    }

    /// The key for rustls.
    pub fn key(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::from_pem_slice(self.key_pem.as_bytes()).expect("PEM")
    }
}

/// Where an [`Identity`] was written.
#[derive(Clone, Debug)]
pub struct CertFiles {
    /// The certificate's file.
    pub cert: PathBuf,
    /// The key's file.
    pub key: PathBuf,
}

/// Puts a whole file in place of what is there: a reader sees the old content or the new one.
pub fn replace(path: &Path, content: &[u8], mode: u32) {
    replace_by_way_of(path.parent().expect("a file in a directory"), path, content, mode);
}

/// The same where the new file is first written to `staging`, which nobody watches.
pub fn replace_by_way_of(staging: &Path, path: &Path, content: &[u8], mode: u32) {
    let temporary = staging.join(format!(".new-{}", COUNT.fetch_add(1, Ordering::Relaxed)));
    let file = std::fs::OpenOptions::new().create_new(true).write(true).mode(mode).open(&temporary);
    file.and_then(|mut file| file.write_all(content)).expect("the test's directory can be written");
    std::fs::rename(&temporary, path).expect("a file can be renamed in its own directory");
}

static COUNT: AtomicU64 = AtomicU64::new(0);
