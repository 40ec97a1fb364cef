//! Which of a server's certificates a caller is shown: by the name that it asks for (SNI, RFC 6066 section 3).

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::presented::kind_of_key;

/// All certificates of a server. The first is for callers who ask for no name, or for one that no certificate has.
pub(super) struct BySni {
    first: Arc<CertifiedKey>,
    /// By DNS name, lower case, in the order of the file; `*.example.com` under `.example.com`.
    named: HashMap<String, Vec<Arc<CertifiedKey>>>,
}

impl BySni {
    pub(super) fn new(first: CertifiedKey) -> Self {
        Self { first: Arc::new(first), named: HashMap::new() }
    }

    /// The first certificate, as one of several: it has these names.
    pub(super) fn name_first(&mut self, names: &[String]) {
        self.name(&Arc::clone(&self.first), names);
    }

    pub(super) fn add(&mut self, certificate: CertifiedKey, names: &[String]) {
        self.name(&Arc::new(certificate), names);
    }

    fn name(&mut self, certificate: &Arc<CertifiedKey>, names: &[String]) {
        for name in names {
            let name = name.strip_prefix('*').unwrap_or(name).to_ascii_lowercase();
            self.named.entry(name).or_default().push(Arc::clone(certificate));
        }
    }

    /// Whether callers who ask for `name` are shown another one with a key of the same kind, which was added before.
    pub(super) fn has(&self, name: &str, kind: &str) -> bool {
        let name = name.strip_prefix('*').unwrap_or(name).to_ascii_lowercase();
        let known = self.named.get(&name).map(Vec::as_slice).unwrap_or_default();
        known.iter().filter_map(|own| own.cert.first()).any(|leaf| kind_of_key(leaf) == kind)
    }

    /// Those with exactly this name, else those with a wildcard for it.
    fn candidates(&self, name: &str) -> Option<&[Arc<CertifiedKey>]> {
        let wildcard = || self.named.get(name.get(name.find('.')?..)?);
        self.named.get(name).or_else(wildcard).map(Vec::as_slice)
    }
}

impl ResolvesServerCert for BySni {
    /// Of several with the name, the first whose key the caller can use: so RSA can stand beside ECDSA.
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let asked = hello.server_name().map(str::to_ascii_lowercase);
        let candidates = asked.and_then(|name| self.candidates(&name)).unwrap_or_default();
        let usable = |own: &&Arc<CertifiedKey>| own.key.choose_scheme(hello.signature_schemes()).is_some();
        let chosen = candidates.iter().find(usable).or_else(|| candidates.first()).unwrap_or(&self.first);
        Some(Arc::clone(chosen))
    }
}

impl fmt::Debug for BySni {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BySni").field("names", &self.named.keys()).finish_non_exhaustive()
    }
}
