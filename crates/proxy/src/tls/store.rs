//! Key material: files read, checked and made ready for use, so that nothing can be wrong with them at a handshake.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::SystemTime;

use rustls::RootCertStore;
use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::Ticketer;
use rustls::server::{ServerConfig, WebPkiClientVerifier};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer, UnixTime};
use waypost_routing::{TlsSettings, TlsVersion};
use webpki::{CertRevocationList, EndEntityCert, OwnedCertRevocationList};
use x509_parser::prelude::{CertificateRevocationList, FromDer};

use super::file::{FileProblem, Files, TlsKey};
use super::peer::Certificate;
use super::presented::kind_of_key;
use super::sni::BySni;
use super::{provider, versions};

/// What a server shows and whom it lets in: certificate chain, key and the CA of its clients.
///
/// Cheap to clone; all clones issue and accept the same session tickets.
#[derive(Clone)]
pub struct ServerMaterial {
    pub(super) config: Arc<ServerConfig>,
    /// Of each certificate, in their order.
    names: Vec<Vec<String>>,
    digest: [u8; 32],
    /// Over `client_ca` and whether a client certificate is required: what a session ticket stands for.
    clients_digest: [u8; 32],
    ends: Vec<(PathBuf, SystemTime)>,
}

impl ServerMaterial {
    /// SHA-256 over the contents of all files and whether a client certificate is required.
    pub fn digest(&self) -> [u8; 32] {
        self.digest
    }

    /// The names in the certificate of callers who ask for no name, as people write them.
    pub fn names(&self) -> &[String] {
        self.names.first().map(Vec::as_slice).unwrap_or_default()
    }

    /// The names in each of the server's certificates.
    pub fn all_names(&self) -> impl Iterator<Item = &[String]> {
        self.names.iter().map(Vec::as_slice)
    }

    /// The files that hold certificates, and when the first certificate in each ends.
    pub fn certificates(&self) -> &[(PathBuf, SystemTime)] {
        &self.ends
    }

    /// Goes on with the session tickets of `older`, so that a renewed certificate costs the callers no full handshakes.
    ///
    /// Not when the CA of the clients or the requirement changed: a resumed session does not show the client's
    /// certificate again, and what the old CA vouched for may be just what was withdrawn.
    #[must_use]
    pub fn keep_tickets_of(mut self, older: &Self) -> Self {
        if self.clients_digest == older.clients_digest {
            let mut config = ServerConfig::clone(&self.config);
            config.ticketer = Arc::clone(&older.config.ticketer);
            self.config = Arc::new(config);
        }
        self
    }
}

impl fmt::Debug for ServerMaterial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerMaterial").field("names", &self.names).field("ends", &self.ends).finish_non_exhaustive()
    }
}

/// What a client trusts and, if endpoints ask, shows.
pub struct ClientMaterial {
    pub(super) trust: Trust,
    pub(super) crls: Arc<[CertRevocationList<'static>]>,
    pub(super) client_auth: Option<Arc<SingleCertAndKey>>,
    digest: [u8; 32],
    ends: Vec<(PathBuf, SystemTime)>,
}

/// Where trust starts.
pub(super) enum Trust {
    /// What the operating system trusts; looked at only when something is to be verified.
    System,
    /// The certificates of the `trust` files.
    Files(Arc<RootCertStore>),
}

impl ClientMaterial {
    /// SHA-256 over the contents of all files: what `TlsSettings::digest` must be.
    pub fn digest(&self) -> [u8; 32] {
        self.digest
    }

    /// The files that hold certificates, and when the first certificate in each ends.
    pub fn certificates(&self) -> &[(PathBuf, SystemTime)] {
        &self.ends
    }
}

impl fmt::Debug for ClientMaterial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientMaterial")
            .field("crls", &self.crls.len())
            .field("client_auth", &self.client_auth.is_some())
            .field("ends", &self.ends)
            .finish_non_exhaustive()
    }
}

/// All material of one configuration, by content. Immutable once the configuration is loaded.
#[derive(Clone, Debug, Default)]
pub struct Materials {
    clients: HashMap<[u8; 32], Arc<ClientMaterial>>,
    ends: BTreeMap<PathBuf, SystemTime>,
}

impl Materials {
    /// The material that `settings` were made from.
    pub fn get(&self, settings: &TlsSettings) -> Option<Arc<ClientMaterial>> {
        self.clients.get(&settings.digest).map(Arc::clone)
    }

    /// Keeps `material`; the same content is kept once.
    pub fn insert(&mut self, material: ClientMaterial) -> Arc<ClientMaterial> {
        self.ends.extend(material.ends.iter().cloned());
        Arc::clone(self.clients.entry(material.digest).or_insert_with(|| Arc::new(material)))
    }

    /// Notes the certificates of a server, for [`Self::certificates`].
    pub fn insert_server(&mut self, material: &ServerMaterial) {
        self.ends.extend(material.ends.iter().cloned());
    }

    /// Every file that holds certificates, and when the first certificate in it ends.
    pub fn certificates(&self) -> Vec<(PathBuf, SystemTime)> {
        self.ends.iter().map(|(path, end)| (path.clone(), *end)).collect()
    }
}

/// What a server is to be made of.
#[derive(Clone, Debug)]
pub struct ServerFiles {
    /// Certificate chains and their keys; the first is for callers who ask for none of the names. Never empty.
    pub own: Vec<(PathBuf, PathBuf)>,
    /// Who issues client certificates.
    pub client_ca: Option<PathBuf>,
    /// Only matters with `client_ca`: without it a client may come with no certificate, but not with a bad one.
    pub require_client_cert: bool,
    /// Which client certificates are revoked.
    pub crls: Vec<PathBuf>,
    /// The allowed versions, never empty.
    pub protocols: Vec<TlsVersion>,
}

impl ServerFiles {
    /// One certificate, for callers who show none.
    pub fn new(cert: &Path, key: &Path) -> Self {
        Self {
            own: vec![(cert.to_owned(), key.to_owned())],
            client_ca: None,
            require_client_cert: false,
            crls: Vec::new(),
            protocols: vec![TlsVersion::V1_3, TlsVersion::V1_2],
        }
    }

    /// Every file.
    pub fn all(&self) -> impl Iterator<Item = &Path> {
        let own = self.own.iter().flat_map(|(cert, key)| [cert, key]);
        own.chain(&self.client_ca).chain(&self.crls).map(PathBuf::as_path)
    }
}

/// Reads what a server needs. Material comes back unless one of the problems is an error. Blocks on the disk.
pub fn load_server(server: &ServerFiles) -> (Option<ServerMaterial>, Vec<FileProblem>) {
    let mut files = Files::new(SystemTime::now());
    let clients = server.client_ca.as_deref().and_then(|path| roots(&mut files, [(TlsKey::ClientCa, path)]));
    files.mark(&[u8::from(server.client_ca.is_some()), u8::from(server.require_client_cert)]);
    let crls = revocation_lists(&mut files, &server.crls);
    let clients_digest = files.digest();
    files.mark(format!("{:?}", server.protocols).as_bytes());
    let own: Vec<_> = server
        .own
        .iter()
        .enumerate()
        .map(|(n, (cert, key))| certified_key(&mut files, (TlsKey::Cert(n), cert), (TlsKey::Key(n), key)))
        .collect();
    let own = own.into_iter().collect::<Option<Vec<_>>>().filter(|_| files.usable());
    let Some((shown, names)) = own.and_then(|own| shown(own, server, &mut files)) else {
        return (None, files.problems);
    };
    match server_config(shown, clients, crls, server) {
        Ok(config) => {
            let digest = files.digest();
            let material = ServerMaterial { config: Arc::new(config), names, digest, clients_digest, ends: files.ends };
            (Some(material), files.problems)
        }
        Err(error) => {
            let cert = server.own.first().map(|(cert, _)| cert.display().to_string()).unwrap_or_default();
            files.error(TlsKey::Cert(0), "bad-certificate", format!("{cert}: can't serve with it: {error}"), None);
            (None, files.problems)
        }
    }
}

/// All certificates for one resolver, and their names.
fn shown(
    own: Vec<(CertifiedKey, Certificate)>,
    server: &ServerFiles,
    files: &mut Files,
) -> Option<(BySni, Vec<Vec<String>>)> {
    let names = own.iter().map(|(_, leaf)| leaf.names()).collect();
    let mut own = own.into_iter();
    let (first, first_leaf) = own.next()?;
    let mut by_sni = BySni::new(first);
    if own.len() > 0 {
        by_sni.name_first(&first_leaf.dns);
    }
    for (n, ((certificate, leaf), (cert, _))) in own.zip(server.own.iter().skip(1)).enumerate() {
        if leaf.dns.is_empty() {
            let message = format!("{}: is never shown: it has no DNS name that a caller could ask for", cert.display());
            files.warning(TlsKey::Cert(n + 1), "certificate-never-shown", message, None);
        } else if let Some(der) = certificate.cert.first() {
            let kind = kind_of_key(der);
            if leaf.dns.iter().all(|name| by_sni.has(name, &kind)) {
                let names = leaf.dns.join(", ");
                let message = format!(
                    "{}: is never shown: callers who ask for {names} are shown one before it, whose key is {kind} too",
                    cert.display()
                );
                files.warning(TlsKey::Cert(n + 1), "certificate-never-shown", message, None);
            }
        }
        by_sni.add(certificate, &leaf.dns);
    }
    Some((by_sni, names))
}

/// Reads what a client needs. Material comes back unless one of the problems is an error. Blocks on the disk.
///
/// With no `trust` the system's roots are meant; they are read once per process, when something is first verified.
pub fn load_client(
    trust: &[PathBuf],
    crls: &[PathBuf],
    client_auth: Option<(&Path, &Path)>,
) -> (Option<ClientMaterial>, Vec<FileProblem>) {
    let mut files = Files::new(SystemTime::now());
    files.mark(b"trust");
    let keyed = trust.iter().enumerate().map(|(n, path)| (TlsKey::Trust(n), path.as_path()));
    let roots = roots(&mut files, keyed);
    files.mark(b"crls");
    let crls = revocation_lists(&mut files, crls);
    let crls = crls.iter().filter_map(|der| OwnedCertRevocationList::from_der(der).ok().map(CertRevocationList::from));
    let crls: Arc<[_]> = crls.collect();
    files.mark(b"client_auth");
    let own = client_auth.and_then(|(cert, key)| {
        certified_key(&mut files, (TlsKey::ClientAuthCert, cert), (TlsKey::ClientAuthKey, key))
    });
    let Some(roots) = roots.filter(|_| files.usable()) else {
        return (None, files.problems);
    };
    let material = ClientMaterial {
        trust: if trust.is_empty() { Trust::System } else { Trust::Files(roots) },
        crls,
        client_auth: own.map(|(own, _)| Arc::new(SingleCertAndKey::from(own))),
        digest: files.digest(),
        ends: files.ends,
    };
    (Some(material), files.problems)
}

/// The roots of the operating system (`SSL_CERT_FILE` and `SSL_CERT_DIR` are honoured), read once per process.
///
/// # Errors
/// When it has none that can be read; says why.
pub(super) fn system_roots() -> Result<Arc<RootCertStore>, String> {
    static ROOTS: OnceLock<Result<Arc<RootCertStore>, String>> = OnceLock::new();
    ROOTS
        .get_or_init(|| {
            let found = rustls_native_certs::load_native_certs();
            let mut roots = RootCertStore::empty();
            roots.add_parsable_certificates(found.certs);
            for error in &found.errors {
                tracing::warn!(%error, "system roots: a part could not be read");
            }
            match found.errors.first() {
                _ if !roots.is_empty() => Ok(Arc::new(roots)),
                Some(error) => Err(format!("the system's root certificates can't be read: {error}")),
                None => Err("`trust` is not set, and the system has no root certificates".to_owned()),
            }
        })
        .clone()
}

fn roots<'a>(files: &mut Files, sources: impl IntoIterator<Item = (TlsKey, &'a Path)>) -> Option<Arc<RootCertStore>> {
    let mut roots = RootCertStore::empty();
    let mut complete = true;
    for (key, path) in sources {
        let Some(certificates) = files.certificates(key, path) else {
            complete = false;
            continue;
        };
        for certificate in certificates {
            if let Err(error) = roots.add(certificate) {
                files.error(key, "bad-certificate", format!("{}: can't be trusted: {error}", path.display()), None);
            }
        }
    }
    complete.then(|| Arc::new(roots))
}

/// All lists that can be used; problems with the others are noted.
fn revocation_lists(files: &mut Files, paths: &[PathBuf]) -> Vec<CertificateRevocationListDer<'static>> {
    let mut lists = Vec::new();
    for (n, path) in paths.iter().enumerate() {
        for der in files.revocation_lists(TlsKey::Crl(n), path).unwrap_or_default() {
            match OwnedCertRevocationList::from_der(&der) {
                Ok(_) => {
                    warn_if_out_of_date(files, TlsKey::Crl(n), path, &der);
                    lists.push(der);
                }
                Err(error) => files.error(TlsKey::Crl(n), "bad-crl", format!("{}: {error}", path.display()), None),
            }
        }
    }
    lists
}

/// An old list is used all the same: whom it names stays revoked, and refusing everybody helps nobody.
fn warn_if_out_of_date(files: &mut Files, key: TlsKey, path: &Path, der: &[u8]) {
    let Ok((_, list)) = CertificateRevocationList::from_der(der) else { return }; // webpki read it: that is what counts
    let Some(next) = list.next_update() else { return };
    let now = i64::try_from(UnixTime::now().as_secs()).unwrap_or(i64::MAX);
    if next.timestamp() < now {
        let message = format!("{}: the revocation list was to be replaced by {next}; it is still used", path.display());
        files.warning(key, "crl-out-of-date", message, None);
    }
}

/// A chain and the key that fits its first certificate, and what that certificate says.
fn certified_key(
    files: &mut Files,
    cert: (TlsKey, &Path),
    key: (TlsKey, &Path),
) -> Option<(CertifiedKey, Certificate)> {
    let chain = files.certificates(cert.0, cert.1);
    let private = files.private_key(key.0, key.1);
    let (chain, private) = (chain?, private?);
    let leaf = chain.first().and_then(|leaf| Certificate::read(leaf).ok())?;
    let provider = provider();
    let signing = match provider.key_provider.load_private_key(private.clone_key()) {
        Ok(signing) => signing,
        Err(error) => {
            files.error(key.0, "bad-key", format!("{}: not a usable private key: {error}", key.1.display()), None);
            return None;
        }
    };
    let own = CertifiedKey::new(chain, signing);
    match own.keys_match() {
        Ok(()) => Some((own, leaf)),
        Err(rustls::Error::InconsistentKeys(_)) => {
            let message = format!("{}: does not fit the certificate in {}", key.1.display(), cert.1.display());
            files.error(key.0, "key-mismatch", message, hint_at_order(&provider, &own.cert, &private));
            None
        }
        Err(error) => {
            let why = refusal(&own.cert).unwrap_or_else(|| error.to_string());
            files.error(cert.0, "bad-certificate", format!("{}: {why}", cert.1.display()), None);
            None
        }
    }
}

/// A key that fits a later certificate of the chain means that the chain is upside down.
fn hint_at_order(
    provider: &CryptoProvider,
    chain: &[CertificateDer<'static>],
    key: &PrivateKeyDer<'static>,
) -> Option<String> {
    let fits = |certificate: &CertificateDer<'static>| {
        let signing = provider.key_provider.load_private_key(key.clone_key()).ok()?;
        CertifiedKey::new(vec![certificate.clone()], signing).keys_match().ok()
    };
    let place = chain.iter().position(|certificate| fits(certificate).is_some())?;
    Some(format!(
        "it fits certificate {} of the file: the server's own must come first, then those that signed it",
        place + 1
    ))
}

/// Why webpki wants nothing of the first certificate, which x509-parser could read.
fn refusal(chain: &[CertificateDer<'static>]) -> Option<String> {
    let error = EndEntityCert::try_from(chain.first()?).err()?;
    Some(if matches!(error, webpki::Error::UnsupportedCertVersion) {
        "not X.509 version 3, which clients refuse".to_owned()
    } else {
        format!("can't be used: {error}")
    })
}

fn server_config(
    shown: BySni,
    clients: Option<Arc<RootCertStore>>,
    crls: Vec<CertificateRevocationListDer<'static>>,
    server: &ServerFiles,
) -> Result<ServerConfig, String> {
    let provider = provider();
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&versions(&server.protocols))
        .map_err(|error| error.to_string())?;
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(roots) => {
            let clients = WebPkiClientVerifier::builder_with_provider(roots, provider).with_crls(crls);
            let clients = if server.require_client_cert { clients } else { clients.allow_unauthenticated() };
            builder.with_client_cert_verifier(clients.build().map_err(|error| error.to_string())?)
        }
    };
    let mut config = builder.with_cert_resolver(Arc::new(shown));
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    config.ticketer = Ticketer::new().map_err(|error| error.to_string())?;
    config.max_early_data_size = 0; // 0-RTT can be replayed, and a proxy can't tell which request minds
    Ok(config)
}

#[cfg(test)]
mod tests;
