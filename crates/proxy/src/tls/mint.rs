//! Development certificates: a CA of one's own and leaves under it, for `waypost certs`, `waypost demo` and tests.
//!
//! Not a PKI: no revocation, nothing renews by itself, and the CA's key lies beside its certificate.

use std::fmt;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use aws_lc_rs::digest;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PublicKeyData, SanType,
};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use time::OffsetDateTime;
use waypost_routing::PeerName;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::file::{ReadError, read_bounded};
use super::peer::{Certificate, time as time_of};
use crate::date::date;

/// How long a leaf is valid unless it is said otherwise, in days.
pub const DEFAULT_DAYS: u32 = 90;

/// The two files of a key pair that was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issued {
    /// The certificate, PEM.
    pub cert: PathBuf,
    /// Its private key, PKCS#8 in PEM, mode 0600.
    pub key: PathBuf,
}

/// How a leaf is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeafOptions {
    /// Days from now that the leaf is valid; at least 1. It never outlives its CA.
    pub days: u32,
    /// Where the names go.
    pub shape: LeafShape,
}

/// Where a leaf's names go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeafShape {
    /// Into subjectAltName, as RFC 9525 wants it.
    AlternativeNames,
    /// Into the subject's common name and nowhere else: what `allow_common_name` is for. One name only.
    CommonNameOnly,
}

impl Default for LeafOptions {
    fn default() -> Self {
        Self { days: DEFAULT_DAYS, shape: LeafShape::AlternativeNames }
    }
}

/// Why no certificate was made.
#[derive(Debug, thiserror::Error)]
pub enum MintError {
    /// A CA is never replaced: every leaf that hangs on it would break.
    #[error("{} is there already; a CA is not replaced", .0.display())]
    CaExists(PathBuf),
    /// Leaves need a CA first.
    #[error("no CA in {}: {} is missing; make one with `waypost certs init {}`", .dir.display(), .missing.display(), .dir.display())]
    NoCa {
        /// Where it was looked for.
        dir: PathBuf,
        /// The file that is not there.
        missing: PathBuf,
    },
    /// The CA's files are there, but are none.
    #[error("{}: {why}", .file.display())]
    BadCa {
        /// `ca.pem` or `ca.key`.
        file: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// Not one name was given.
    #[error("a certificate needs at least one name")]
    NoNames,
    /// The name is none that a certificate can carry.
    #[error("`{name}` is no name for a certificate: {why}")]
    BadName {
        /// As it was given.
        name: String,
        /// What is wrong with it.
        why: String,
    },
    /// A leaf's files would lie over the CA's.
    #[error("a leaf whose first name is `{0}` would lie where the CA lies; give another name first")]
    NameOfCa(String),
    /// Another leaf lies there: its name comes to the same file.
    #[error("{}: is there for {names}, and {name} would lie there too; give another name first, or take it away", .file.display())]
    OtherLeaf {
        /// The certificate that is there.
        file: PathBuf,
        /// Its names.
        names: String,
        /// As it was given.
        name: String,
    },
    /// A common name is one.
    #[error("a certificate without alternative names has one name, not {0}")]
    OneNameOnly(usize),
    /// Valid for no time at all.
    #[error("a certificate is valid for at least one day")]
    NoDays,
    /// There is no such leaf to be renewed.
    #[error("no leaf {name} in {}: it would be {} with its key beside it", .dir.display(), .cert.display())]
    NoLeaf {
        /// As it was given.
        name: String,
        /// Where it was looked for.
        dir: PathBuf,
        /// The file that is not there.
        cert: PathBuf,
    },
    /// The disk did not want it.
    #[error("{}: {error}", .file.display())]
    Io {
        /// The file or directory.
        file: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// The library did not want it.
    #[error("the certificate can't be made: {0}")]
    Library(#[from] rcgen::Error),
}

impl MintError {
    /// Whether the words given were wrong, rather than the state of the directory.
    pub fn is_usage(&self) -> bool {
        match self {
            Self::NoNames | Self::BadName { .. } | Self::NameOfCa(_) | Self::OneNameOnly(_) | Self::NoDays => true,
            Self::CaExists(_)
            | Self::NoCa { .. }
            | Self::BadCa { .. }
            | Self::NoLeaf { .. }
            | Self::OtherLeaf { .. }
            | Self::Io { .. }
            | Self::Library(_) => false,
        }
    }
}

/// Makes a CA in `dir`, which is made too if it is not there: `ca.pem` and `ca.key`.
///
/// # Errors
/// When one of the two files is there, or can't be written.
pub fn init(dir: &Path) -> Result<Issued, MintError> {
    let files = ca_files(dir);
    if let Some(file) = [&files.cert, &files.key].into_iter().find(|file| file.symlink_metadata().is_ok()) {
        return Err(MintError::CaExists(file.clone()));
    }
    DirBuilder::new().recursive(true).create(dir).map_err(|error| MintError::Io { file: dir.to_owned(), error })?;
    let authority = Authority::create()?;
    write_new(&files.key, 0o600, authority.issuer.key().serialize_pem().as_bytes())?;
    write_new(&files.cert, 0o644, authority.pem.as_bytes())?;
    Ok(files)
}

/// Makes one leaf under the CA in `dir` that carries all `names`: DNS names, IP addresses or `spiffe://` URIs.
///
/// The files have the first name, with `_` for what is no letter, digit, `.` or `-`; a leaf that is there is replaced.
///
/// # Errors
/// When there is no usable CA, a name is none, or the files can't be written.
pub fn issue(dir: &Path, names: &[String], options: LeafOptions) -> Result<Issued, MintError> {
    let first = names.first().ok_or(MintError::NoNames)?;
    let stem = file_stem(first);
    if stem.eq_ignore_ascii_case(CA_STEM) {
        return Err(MintError::NameOfCa(first.clone()));
    }
    let leaf = Authority::load(dir)?.issue(names, options)?;
    let files = Issued { cert: dir.join(format!("{stem}.pem")), key: dir.join(format!("{stem}.key")) };
    if let Some(names) = names_of_another(&files.cert, first) {
        return Err(MintError::OtherLeaf { file: files.cert, names, name: first.clone() });
    }
    replace(&files.key, 0o600, leaf.key.as_bytes())?;
    replace(&files.cert, 0o644, leaf.cert.as_bytes())?;
    Ok(files)
}

/// The names of the certificate in `file`, if there is one and `name` is none of them: `spiffe://a/b` and `spiffe://a_b`
/// come to one file.
fn names_of_another(file: &Path, name: &str) -> Option<String> {
    let pem = read_bounded(file).ok()?;
    let there = Certificate::read(&CertificateDer::from_pem_slice(&pem).ok()?).ok()?;
    let mut names = there.names();
    names.extend(there.common_name.filter(|common| !names.contains(common)));
    (!names.iter().any(|there| there.eq_ignore_ascii_case(name))).then(|| names.join(", "))
}

/// Which leaves are renewed, and for how long.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Renewal {
    /// Days from now; `None`: as many as each leaf was valid for.
    pub days: Option<u32>,
    /// Only those that end within so many days.
    pub within: Option<u32>,
}

/// What a renewal came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Renewed {
    /// Written anew.
    pub issued: Vec<Issued>,
    /// Left as they were, and why.
    pub left: Vec<(PathBuf, String)>,
}

/// Issues leaves in `dir` again under its CA, with new keys and the same names: those of `names`, or all.
///
/// The CA's own files are never touched. Each key is replaced before its certificate: whoever watches the two sees a pair
/// that does not fit for a moment, and goes on with the old one.
///
/// # Errors
/// When there is no usable CA, one of `names` is no leaf, or the files can't be written.
pub fn renew(dir: &Path, names: &[String], renewal: Renewal) -> Result<Renewed, MintError> {
    let authority = Authority::load(dir)?;
    let mut renewed = Renewed::default();
    for files in leaves(dir, names)? {
        match authority.again(&files.cert, renewal) {
            Ok(leaf) => {
                let leaf = leaf?;
                replace(&files.key, 0o600, leaf.key.as_bytes())?;
                replace(&files.cert, 0o644, leaf.cert.as_bytes())?;
                renewed.issued.push(files);
            }
            Err(why) => renewed.left.push((files.cert, why)),
        }
    }
    Ok(renewed)
}

/// Certificates with a key of the same name beside them, but the CA's; sorted.
fn leaves(dir: &Path, names: &[String]) -> Result<Vec<Issued>, MintError> {
    let files = |stem: &str| Issued { cert: dir.join(format!("{stem}.pem")), key: dir.join(format!("{stem}.key")) };
    let is_leaf = |files: &Issued| files.cert.is_file() && files.key.is_file();
    if !names.is_empty() {
        let named = |name: &String| {
            let stem = file_stem(name);
            let found = files(&stem);
            if stem.eq_ignore_ascii_case(CA_STEM) {
                Err(MintError::NameOfCa(name.clone()))
            } else if is_leaf(&found) {
                Ok(found)
            } else {
                Err(MintError::NoLeaf { name: name.clone(), dir: dir.to_owned(), cert: found.cert })
            }
        };
        return names.iter().map(named).collect();
    }
    let listed = fs::read_dir(dir).map_err(|error| MintError::Io { file: dir.to_owned(), error })?;
    let stems = listed.filter_map(|entry| {
        let name = entry.ok()?.file_name().into_string().ok()?;
        name.strip_suffix(".pem").filter(|stem| !stem.eq_ignore_ascii_case(CA_STEM)).map(str::to_owned)
    });
    let mut found: Vec<Issued> = stems.map(|stem| files(&stem)).filter(is_leaf).collect();
    found.sort_by(|a, b| a.cert.cmp(&b.cert));
    Ok(found)
}

/// A CA that can sign.
#[derive(Debug)]
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
    not_after: SystemTime,
}

/// A leaf and its key, in PEM.
#[derive(Clone)]
pub struct Leaf {
    /// The certificate.
    pub cert: String,
    /// The private key, PKCS#8.
    pub key: String,
}

impl fmt::Debug for Leaf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Leaf").field("cert", &self.cert).finish_non_exhaustive()
    }
}

impl Authority {
    /// A new CA, in memory; valid for ten years.
    ///
    /// # Errors
    /// When the library can't make a key.
    pub fn create() -> Result<Self, MintError> {
        let key = KeyPair::generate()?;
        let now = SystemTime::now();
        let not_after = now + CA_LIFETIME;
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, format!("waypost development CA {}", fingerprint(&key)));
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0)); // leaves only
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.not_before = OffsetDateTime::from(now - CLOCK_SKEW);
        params.not_after = OffsetDateTime::from(not_after);
        let pem = params.self_signed(&key)?.pem();
        Ok(Self { issuer: Issuer::new(params, key), pem, not_after })
    }

    /// The CA that [`init`] made in `dir`, or any other whose files have these names.
    ///
    /// # Errors
    /// When the files are not there, can't be read, don't belong together, or are not a CA's.
    pub fn load(dir: &Path) -> Result<Self, MintError> {
        let files = ca_files(dir);
        let pem = read_text(dir, &files.cert)?;
        let key = read_text(dir, &files.key)?;
        let bad = |file: &PathBuf, why: &str| MintError::BadCa { file: file.clone(), why: why.to_owned() };
        let key =
            KeyPair::from_pem(&key).map_err(|_| bad(&files.key, "not an unencrypted PKCS#8 private key in PEM"))?;
        let der = CertificateDer::from_pem_slice(pem.as_bytes())
            .map_err(|_| bad(&files.cert, "no certificate in PEM in it"))?;
        let (_, parsed) =
            X509Certificate::from_der(&der).map_err(|_| bad(&files.cert, "not a readable certificate"))?;
        if parsed.public_key().raw != key.subject_public_key_info() {
            return Err(bad(&files.key, "does not fit ca.pem"));
        }
        if !parsed.is_ca() {
            return Err(bad(&files.cert, "not a CA's certificate"));
        }
        let not_after = time_of(parsed.validity().not_after.timestamp());
        if not_after <= SystemTime::now() {
            return Err(bad(&files.cert, &format!("ended at {}", date(not_after))));
        }
        let issuer = Issuer::from_ca_cert_der(&der, key)?;
        Ok(Self { issuer, pem, not_after })
    }

    /// A leaf with the names and the shape of the one in `cert`; an error says why it is left as it is.
    fn again(&self, cert: &Path, renewal: Renewal) -> Result<Result<Leaf, MintError>, String> {
        let pem = read_bounded(cert).map_err(|error| error.to_string())?;
        let der = CertificateDer::from_pem_slice(&pem).map_err(|_| "no certificate in PEM in it".to_owned())?;
        let old = Certificate::read(&der).map_err(|error| error.to_string())?;
        let own = CertificateDer::from_pem_slice(self.pem.as_bytes()).map_err(|error| error.to_string())?;
        let own = Certificate::read(&own).map_err(|error| error.to_string())?;
        if old.issuer != own.subject {
            return Err(format!("issued by {}, and this is {}", old.issuer, own.subject));
        }
        let left = old.not_after.duration_since(SystemTime::now()).unwrap_or_default();
        if renewal.within.is_some_and(|days| left > DAY * days) {
            return Err(format!("valid until {}", date(old.not_after)));
        }
        let valid = old.not_after.duration_since(old.not_before).unwrap_or_default().saturating_sub(CLOCK_SKEW);
        // Up to the next whole day: a leaf is cut where its CA ends.
        let whole = u32::try_from(valid.as_secs().div_ceil(DAY.as_secs())).unwrap_or(u32::MAX);
        let days = renewal.days.unwrap_or_else(|| whole.max(1));
        let (shape, mut names) = if old.has_alternative_names {
            (LeafShape::AlternativeNames, old.names())
        } else {
            (LeafShape::CommonNameOnly, old.common_name.iter().cloned().collect())
        };
        // The first name is the common name too.
        names.sort_by_key(|name| Some(name) != old.common_name.as_ref());
        Ok(self.issue(&names, LeafOptions { days, shape }))
    }

    /// The CA's certificate in PEM: what goes into `trust` and `client_ca`.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// One leaf that carries all `names`, for servers and clients alike.
    ///
    /// # Errors
    /// When a name is none, or there are none or too many.
    pub fn issue(&self, names: &[String], options: LeafOptions) -> Result<Leaf, MintError> {
        if options.days == 0 {
            return Err(MintError::NoDays);
        }
        let first = names.first().ok_or(MintError::NoNames)?;
        let now = SystemTime::now();
        let days = DAY * options.days;
        let mut params = CertificateParams::default();
        params.not_before = OffsetDateTime::from(now - CLOCK_SKEW);
        params.not_after = OffsetDateTime::from((now + days).min(self.not_after));
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, common_name(first, options.shape)?);
        params.subject_alt_names = match options.shape {
            LeafShape::AlternativeNames => names.iter().map(|name| alternative_name(name)).collect::<Result<_, _>>()?,
            LeafShape::CommonNameOnly if names.len() > 1 => return Err(MintError::OneNameOnly(names.len())),
            LeafShape::CommonNameOnly => Vec::new(),
        };
        params.is_ca = IsCa::ExplicitNoCa;
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let key = KeyPair::generate()?;
        let cert = params.signed_by(&key, &self.issuer)?.pem();
        Ok(Leaf { cert, key: key.serialize_pem() })
    }
}

const CA_STEM: &str = "ca";

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Ten years: a development CA that ends is found out at the worst time.
const CA_LIFETIME: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);

/// Certificates begin a little in the past, since the other machine's clock may be behind.
const CLOCK_SKEW: Duration = Duration::from_secs(60 * 60);

/// X.520's upper bound for a common name.
const MAX_COMMON_NAME: usize = 64;

fn ca_files(dir: &Path) -> Issued {
    Issued { cert: dir.join(format!("{CA_STEM}.pem")), key: dir.join(format!("{CA_STEM}.key")) }
}

/// Part of the CA's name, so that two CAs are told apart in errors and are not tried for each other's leaves.
fn fingerprint(key: &KeyPair) -> String {
    let hash = digest::digest(&digest::SHA256, key.der_bytes());
    hash.as_ref().iter().take(4).map(|byte| format!("{byte:02x}")).collect()
}

fn read_text(dir: &Path, file: &Path) -> Result<String, MintError> {
    let bytes = read_bounded(file).map_err(|error| match error {
        ReadError::Missing => MintError::NoCa { dir: dir.to_owned(), missing: file.to_owned() },
        ReadError::Unreadable(_) | ReadError::NotAFile | ReadError::TooLarge => {
            MintError::BadCa { file: file.to_owned(), why: error.to_string() }
        }
    })?;
    String::from_utf8(bytes)
        .map_err(|_| MintError::BadCa { file: file.to_owned(), why: "not text, so not PEM".to_owned() })
}

/// The first name again where it fits; where there are alternative names it is only for people to read.
fn common_name(first: &str, shape: LeafShape) -> Result<String, MintError> {
    let fits = !first.is_empty() && first.len() <= MAX_COMMON_NAME && !first.chars().any(char::is_control);
    match shape {
        _ if fits => Ok(first.to_owned()),
        LeafShape::AlternativeNames => Ok("waypost development leaf".to_owned()),
        LeafShape::CommonNameOnly => Err(MintError::BadName {
            name: first.to_owned(),
            why: "a common name has 1 to 64 printable characters".to_owned(),
        }),
    }
}

fn alternative_name(name: &str) -> Result<SanType, MintError> {
    let bad = |why: String| MintError::BadName { name: name.to_owned(), why };
    let (wildcard, one_peer) = name.strip_prefix("*.").map_or(("", name), |rest| ("*.", rest));
    let peer = PeerName::parse(one_peer).map_err(|error| bad(error.kind.to_string()))?;
    let alternative = match peer {
        PeerName::Dns(host) => format!("{wildcard}{host}").try_into().map(SanType::DnsName),
        PeerName::Ip(_) | PeerName::Uri(_) if !wildcard.is_empty() => {
            return Err(bad("only host names have wildcards".to_owned()));
        }
        PeerName::Ip(ip) => return Ok(SanType::IpAddress(ip)),
        PeerName::Uri(uri) => uri.try_into().map(SanType::URI),
    };
    alternative.map_err(|error| bad(error.to_string()))
}

/// `spiffe://cluster.local/web` -> `spiffe_cluster.local_web`. Never empty, hidden, or with a path in it.
fn file_stem(name: &str) -> String {
    const MAX_STEM: usize = 128;
    let mut stem = String::new();
    for letter in name.chars().take(MAX_STEM) {
        let is_plain =
            letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_') || (letter == '.' && !stem.is_empty());
        if is_plain {
            stem.push(letter);
        } else if !stem.ends_with('_') {
            stem.push('_');
        }
    }
    if stem.is_empty() { "_".to_owned() } else { stem }
}

/// Writes a file that must not be there yet; never readable by others for even a moment if `mode` says so.
fn write_new(path: &Path, mode: u32, content: &[u8]) -> Result<(), MintError> {
    let written =
        OpenOptions::new().write(true).create_new(true).mode(mode).open(path).and_then(|file| fill(file, content));
    written.map_err(|error| {
        if error.kind() == io::ErrorKind::AlreadyExists {
            MintError::CaExists(path.to_owned())
        } else {
            MintError::Io { file: path.to_owned(), error }
        }
    })
}

/// Puts a new file in the place of an old one at once: whoever reads sees one or the other, and the old one's mode,
/// or a link that it was, does not matter.
fn replace(path: &Path, mode: u32, content: &[u8]) -> Result<(), MintError> {
    let io_error = |error| MintError::Io { file: path.to_owned(), error };
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.new", std::process::id()));
    let draft = path.with_file_name(name);
    match fs::remove_file(&draft) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(io_error(error)),
        Ok(()) | Err(_) => {} // left over from a process that was killed, or not there
    }
    let written =
        OpenOptions::new().write(true).create_new(true).mode(mode).open(&draft).and_then(|file| fill(file, content));
    written.and_then(|()| fs::rename(&draft, path)).map_err(|error| {
        drop(fs::remove_file(&draft)); // the first error is the one to tell
        io_error(error)
    })
}

fn fill(mut file: File, content: &[u8]) -> io::Result<()> {
    file.write_all(content)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use tempfile::TempDir;

    use super::super::peer::Certificate;
    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    fn read(file: &Path) -> Certificate {
        Certificate::read(&CertificateDer::from_pem_file(file).unwrap()).unwrap()
    }

    fn mode(file: &Path) -> u32 {
        file.metadata().unwrap().permissions().mode() & 0o777
    }

    fn with_ca() -> TempDir {
        let dir = TempDir::new().unwrap();
        init(dir.path()).unwrap();
        dir
    }

    #[test]
    fn one_leaf_carries_all_names() {
        let dir = with_ca();
        let all = names(&["users.example.com", "*.users.example.com", "127.0.0.1", "::1", "spiffe://td/users"]);

        let issued = issue(dir.path(), &all, LeafOptions::default()).unwrap();

        assert_eq!(issued.cert, dir.path().join("users.example.com.pem"));
        assert_eq!(issued.key, dir.path().join("users.example.com.key"));
        let leaf = read(&issued.cert);
        assert_eq!(leaf.names(), ["users.example.com", "*.users.example.com", "127.0.0.1", "::1", "spiffe://td/users"]);
        assert_eq!(leaf.issuer, read(&dir.path().join("ca.pem")).subject);
    }

    #[test]
    fn keys_are_for_the_owner_alone() {
        let dir = with_ca();
        let issued = issue(dir.path(), &names(&["a.example.com"]), LeafOptions::default()).unwrap();
        assert_eq!(mode(&dir.path().join("ca.key")), 0o600);
        assert_eq!(mode(&issued.key), 0o600);

        fs::set_permissions(&issued.key, fs::Permissions::from_mode(0o644)).unwrap();
        issue(dir.path(), &names(&["a.example.com"]), LeafOptions::default()).unwrap();
        assert_eq!(mode(&issued.key), 0o600, "a replaced key does not keep the old one's mode");
    }

    #[test]
    fn a_ca_is_never_replaced() {
        let dir = with_ca();
        let before = fs::read(dir.path().join("ca.key")).unwrap();
        assert!(matches!(init(dir.path()), Err(MintError::CaExists(_))));
        fs::remove_file(dir.path().join("ca.pem")).unwrap();
        assert!(matches!(init(dir.path()), Err(MintError::CaExists(_))), "a key alone is still a CA's");
        for name in ["ca", "CA"] {
            let error = issue(dir.path(), &names(&[name]), LeafOptions::default()).unwrap_err();
            assert!(matches!(error, MintError::NameOfCa(_)), "{name}: {error}");
        }
        assert_eq!(fs::read(dir.path().join("ca.key")).unwrap(), before);
    }

    #[test]
    fn a_directory_that_is_not_there_is_made() {
        let dir = TempDir::new().unwrap();
        let inner = dir.path().join("a/b");
        assert_eq!(init(&inner).unwrap().cert, inner.join("ca.pem"));
    }

    #[test]
    fn without_a_ca_the_way_to_one_is_said() {
        let dir = TempDir::new().unwrap();
        let error = issue(dir.path(), &names(&["a"]), LeafOptions::default()).unwrap_err();
        assert!(error.to_string().contains("waypost certs init"), "{error}");
    }

    #[test]
    fn a_ca_that_is_none_is_refused() {
        let dir = with_ca();
        let leaf = issue(dir.path(), &names(&["a.example.com"]), LeafOptions::default()).unwrap();
        let other = with_ca();
        let (cert, key) = (dir.path().join("ca.pem"), dir.path().join("ca.key"));

        fs::copy(other.path().join("ca.key"), &key).unwrap();
        assert!(Authority::load(dir.path()).unwrap_err().to_string().contains("does not fit"));
        fs::copy(&leaf.cert, &cert).unwrap();
        fs::copy(&leaf.key, &key).unwrap();
        assert!(Authority::load(dir.path()).unwrap_err().to_string().contains("not a CA"));
        fs::write(&key, "nonsense").unwrap();
        assert!(Authority::load(dir.path()).unwrap_err().to_string().contains("ca.key"));
    }

    #[test]
    fn the_legacy_shape_has_a_common_name_and_nothing_else() {
        let dir = with_ca();
        let legacy = LeafOptions { shape: LeafShape::CommonNameOnly, ..LeafOptions::default() };

        let issued = issue(dir.path(), &names(&["old.example.com"]), legacy).unwrap();

        let leaf = read(&issued.cert);
        assert!(!leaf.has_alternative_names);
        assert_eq!(leaf.common_name.as_deref(), Some("old.example.com"));
        assert!(matches!(issue(dir.path(), &names(&["a", "b"]), legacy), Err(MintError::OneNameOnly(2))));
    }

    #[test]
    fn days_are_counted_from_now_and_end_with_the_ca() {
        let dir = with_ca();
        let issue = |days| {
            issue(dir.path(), &names(&["a"]), LeafOptions { days, ..LeafOptions::default() })
                .map(|files| read(&files.cert))
        };
        let day = Duration::from_secs(24 * 60 * 60);
        let two = issue(2).unwrap().not_after.duration_since(SystemTime::now()).unwrap();
        assert!(two > day && two <= 2 * day, "{two:?}");
        assert_eq!(issue(u32::MAX).unwrap().not_after, read(&dir.path().join("ca.pem")).not_after);
        assert!(matches!(issue(0), Err(MintError::NoDays)));
    }

    #[test]
    fn a_leaf_of_another_name_is_not_replaced() {
        let dir = tempfile::tempdir().unwrap();
        init(dir.path()).unwrap();
        let issue = |name: &str| issue(dir.path(), &names(&[name]), LeafOptions::default());
        let first = issue("spiffe://a/b").unwrap();
        let before = fs::read(&first.cert).unwrap();
        let refused = issue("spiffe://a_b").unwrap_err();
        assert!(refused.to_string().contains("is there for spiffe://a/b"), "{refused}");
        assert_eq!(fs::read(&first.cert).unwrap(), before);
        issue("spiffe://a/b").unwrap();
        assert_ne!(fs::read(&first.cert).unwrap(), before, "its own name's is");
    }

    #[test]
    fn names_that_are_none_are_usage_errors() {
        let dir = with_ca();
        for name in
            ["", "a b", "*", "*.127.0.0.1", "a.*.b", "https://example.com", "spiffe://TD/x", "../x", "a/b", "-a"]
        {
            let error = issue(dir.path(), &names(&[name]), LeafOptions::default()).unwrap_err();
            assert!(error.is_usage(), "{name:?}: {error}");
        }
        assert!(issue(dir.path(), &[], LeafOptions::default()).unwrap_err().is_usage());
        assert_eq!(dir.path().read_dir().unwrap().count(), 2, "nothing but the CA was written");
    }

    #[test]
    fn file_names_are_plain() {
        for (name, expected) in [
            ("users.example.com", "users.example.com"),
            ("*.example.com", "_.example.com"),
            ("spiffe://td/ns/web", "spiffe_td_ns_web"),
            ("::1", "_1"),
            ("../../etc/passwd", "_._.._etc_passwd"),
            (".hidden", "_hidden"),
            ("", "_"),
        ] {
            assert_eq!(file_stem(name), expected, "{name}");
        }
    }

    #[test]
    fn two_cas_have_two_names() {
        let subject = |ca: &Authority| {
            Certificate::read(&CertificateDer::from_pem_slice(ca.pem().as_bytes()).unwrap()).unwrap().subject
        };
        let (one, other) = (Authority::create().unwrap(), Authority::create().unwrap());
        assert_ne!(subject(&one), subject(&other));
        assert!(!format!("{one:?}").contains("PRIVATE"));
    }
}
