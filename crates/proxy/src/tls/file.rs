//! PEM files from disk, and what is wrong with them. Knows nothing of servers or clients.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use aws_lc_rs::digest;
use rustls_pki_types::pem::{self, PemObject};
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use waypost_naming::Severity;

use super::peer::Certificate;
use crate::date::date;

/// The largest file that is read: the Mozilla bundle has about 220 KiB.
const MAX_FILE_BYTES: u64 = 1024 * 1024;

/// A certificate that ends within this time is warned of.
const ENDS_SOON: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// Which of the files of a `tls` table a problem is about, so that the key's place in the configuration can be found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsKey {
    /// A server's `cert`, or that of the n-th of its further certificates, counted from 1.
    Cert(usize),
    /// The `key` beside it.
    Key(usize),
    /// A server's `client_ca`.
    ClientCa,
    /// The n-th file of a client's `trust`.
    Trust(usize),
    /// The n-th file of `crls`, a client's or a server's.
    Crl(usize),
    /// `client_auth.cert`.
    ClientAuthCert,
    /// `client_auth.key`.
    ClientAuthKey,
}

/// Something wrong, or about to go wrong, with one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileProblem {
    /// The key that names the file.
    pub key: TlsKey,
    /// An error makes the material unusable; with a warning it is used.
    pub severity: Severity,
    /// The finding's name, such as `encrypted-key`.
    pub code: &'static str,
    /// What is wrong, beginning with the file.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

/// Files read one after the other: their problems, their digest and the ends of their certificates.
pub(super) struct Files {
    pub(super) problems: Vec<FileProblem>,
    pub(super) ends: Vec<(PathBuf, SystemTime)>,
    digest: digest::Context,
    now: SystemTime,
}

impl Files {
    pub(super) fn new(now: SystemTime) -> Self {
        Self { problems: Vec::new(), ends: Vec::new(), digest: digest::Context::new(&digest::SHA256), now }
    }

    /// One or more certificates, in the file's order. `None` after a problem was noted.
    pub(super) fn certificates(&mut self, key: TlsKey, path: &Path) -> Option<Vec<CertificateDer<'static>>> {
        let content = self.read(key, path)?;
        let certificates: Vec<CertificateDer<'static>> = self.sections(key, path, &content, "certificate")?;
        let mut read = Vec::with_capacity(certificates.len());
        for (position, der) in certificates.iter().enumerate() {
            match Certificate::read(der) {
                Ok(certificate) => read.push(certificate),
                Err(error) => {
                    let message = format!("{}: certificate {} is {error}", path.display(), position + 1);
                    self.error(key, "bad-certificate", message, None);
                    return None;
                }
            }
        }
        self.ends.extend(read.iter().map(|certificate| certificate.not_after).min().map(|end| (path.to_owned(), end)));
        self.warn_of_dates(key, path, &read);
        Some(certificates)
    }

    /// The one private key in a file: PKCS#8, PKCS#1 or SEC1, not encrypted.
    pub(super) fn private_key(&mut self, key: TlsKey, path: &Path) -> Option<PrivateKeyDer<'static>> {
        let content = self.read(key, path)?;
        if is_encrypted(&content) {
            let message = format!(
                "{}: the private key is encrypted, and there is nobody to ask for its passphrase",
                path.display()
            );
            let hint = format!("decrypt it: openssl pkey -in {} -out plain.key", path.display());
            self.error(key, "encrypted-key", message, Some(hint));
            return None;
        }
        let keys: Vec<PrivateKeyDer<'static>> = self.sections(key, path, &content, "private key")?;
        self.warn_of_readers(key, path);
        keys.into_iter().next()
    }

    /// One or more certificate revocation lists.
    pub(super) fn revocation_lists(
        &mut self,
        key: TlsKey,
        path: &Path,
    ) -> Option<Vec<CertificateRevocationListDer<'static>>> {
        let content = self.read(key, path)?;
        self.sections(key, path, &content, "certificate revocation list (X509 CRL)")
    }

    pub(super) fn error(&mut self, key: TlsKey, code: &'static str, message: String, hint: Option<String>) {
        self.problems.push(FileProblem { key, severity: Severity::Error, code, message, hint });
    }

    pub(super) fn warning(&mut self, key: TlsKey, code: &'static str, message: String, hint: Option<String>) {
        self.problems.push(FileProblem { key, severity: Severity::Warning, code, message, hint });
    }

    /// Adds something to the digest that tells apart what the files' contents alone do not.
    pub(super) fn mark(&mut self, mark: &[u8]) {
        self.digest.update(&u64::try_from(mark.len()).unwrap_or(u64::MAX).to_le_bytes());
        self.digest.update(mark);
    }

    /// Whether all files that were asked for could be used.
    pub(super) fn usable(&self) -> bool {
        self.problems.iter().all(|problem| problem.severity != Severity::Error)
    }

    /// SHA-256 over all contents read and marks set so far, in order.
    pub(super) fn digest(&self) -> [u8; 32] {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(self.digest.clone().finish().as_ref());
        bytes
    }

    fn read(&mut self, key: TlsKey, path: &Path) -> Option<Vec<u8>> {
        match read_bounded(path) {
            Ok(content) => {
                self.mark(&content);
                Some(content)
            }
            Err(error) => {
                self.error(key, error.code(), format!("{}: {error}", path.display()), None);
                None
            }
        }
    }

    fn sections<T: PemObject>(&mut self, key: TlsKey, path: &Path, content: &[u8], wanted: &str) -> Option<Vec<T>> {
        match T::pem_slice_iter(content).collect::<Result<Vec<T>, pem::Error>>() {
            Ok(found) if !found.is_empty() => Some(found),
            Ok(_) => {
                self.error(
                    key,
                    "empty-pem",
                    format!("{}: no {wanted} in it", path.display()),
                    hint_at_content(content),
                );
                None
            }
            Err(error) => {
                self.error(key, "bad-pem", format!("{}: not PEM: {error}", path.display()), hint_at_content(content));
                None
            }
        }
    }

    /// One warning per file, about the certificate that is worst off.
    fn warn_of_dates(&mut self, key: TlsKey, path: &Path, certificates: &[Certificate]) {
        let path = path.display();
        if let Some(first) = certificates.iter().min_by_key(|certificate| certificate.not_after) {
            let (subject, end) = (&first.subject, date(first.not_after));
            if first.not_after < self.now {
                self.warning(
                    key,
                    "certificate-ended",
                    format!("{path}: the certificate of {subject} ended at {end}"),
                    None,
                );
            } else if first.not_after < self.now + ENDS_SOON {
                let message = format!("{path}: the certificate of {subject} ends within 7 days, at {end}");
                self.warning(key, "certificate-ends-soon", message, None);
            }
        }
        if let Some(last) = certificates.iter().max_by_key(|certificate| certificate.not_before)
            && last.not_before > self.now
        {
            let message =
                format!("{path}: the certificate of {} is not valid before {}", last.subject, date(last.not_before));
            self.warning(key, "certificate-not-yet-valid", message, None);
        }
    }

    fn warn_of_readers(&mut self, key: TlsKey, path: &Path) {
        const GROUP_AND_OTHERS: u32 = 0o077;
        let Ok(metadata) = fs::metadata(path) else { return }; // it was read a moment ago; then this is no news
        let mode = metadata.permissions().mode() & 0o777;
        if mode & GROUP_AND_OTHERS != 0 {
            let message = format!("{}: the private key can be read by others (mode {mode:04o})", path.display());
            self.warning(key, "key-readable-by-others", message, Some(format!("chmod 600 {}", path.display())));
        }
    }
}

/// Why a file's content is not there.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReadError {
    #[error("no such file")]
    Missing,
    #[error("can't be read: {0}")]
    Unreadable(io::Error),
    #[error("not a regular file")]
    NotAFile,
    #[error("larger than {} KiB, which no certificate or key is", MAX_FILE_BYTES / 1024)]
    TooLarge,
}

impl ReadError {
    fn code(&self) -> &'static str {
        match self {
            Self::Missing => "missing-file",
            Self::Unreadable(_) | Self::NotAFile => "unreadable-file",
            Self::TooLarge => "file-too-large",
        }
    }
}

impl From<io::Error> for ReadError {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::NotFound { Self::Missing } else { Self::Unreadable(error) }
    }
}

/// Reads a file that may turn out to be anything: a pipe would block for ever, `/dev/zero` would never end.
pub(super) fn read_bounded(path: &Path) -> Result<Vec<u8>, ReadError> {
    if !fs::metadata(path)?.is_file() {
        return Err(ReadError::NotAFile);
    }
    let mut content = Vec::new();
    File::open(path)?.take(MAX_FILE_BYTES + 1).read_to_end(&mut content)?;
    let length = u64::try_from(content.len()).unwrap_or(u64::MAX);
    if length > MAX_FILE_BYTES { Err(ReadError::TooLarge) } else { Ok(content) }
}

/// PKCS#8 says it in the label, the traditional form of OpenSSL in a header line.
fn is_encrypted(content: &[u8]) -> bool {
    contains(content, b"-----BEGIN ENCRYPTED PRIVATE KEY-----") || contains(content, b"Proc-Type: 4,ENCRYPTED")
}

/// What the file seems to hold instead of what was looked for.
fn hint_at_content(content: &[u8]) -> Option<String> {
    const DER_SEQUENCE: &[u8] = &[0x30, 0x82];
    const BYTE_ORDER_MARK: &[u8] = &[0xef, 0xbb, 0xbf];
    let hint = if content.iter().all(u8::is_ascii_whitespace) {
        "the file is empty"
    } else if content.starts_with(BYTE_ORDER_MARK) {
        "it begins with a byte order mark, which hides the first line: save it without one"
    } else if content.starts_with(DER_SEQUENCE) {
        "it looks like DER: convert it to PEM, e.g. with openssl x509 -inform der"
    } else if contains(content, b"-----BEGIN CERTIFICATE REQUEST-----") {
        "it holds a certificate request, which a CA has yet to sign"
    } else if contains(content, b"PRIVATE KEY-----") {
        "it holds a private key; are the files of two keys swapped?"
    } else if contains(content, b"-----BEGIN CERTIFICATE-----") {
        "it holds a certificate; are the files of two keys swapped?"
    } else {
        return None;
    };
    Some(hint.to_owned())
}

fn contains(content: &[u8], text: &[u8]) -> bool {
    content.windows(text.len()).any(|window| window == text)
}
