//! Servers of the file whose callers stand in it too: do both agree on TLS, and on the name in the certificate?
//!
//! Only what the file settles is compared: addresses that `static` namers and `/$/inet` lead to, and routers whose own
//! rules lead there.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use waypost_naming::{Builtin, Path, Segment, Span, builtin};
use waypost_routing::{ClientTls, NamerConfig, NamerKind, PeerName};

use super::Lint;
use super::rules::Known;
use super::served::path;
use crate::config::RouterConfig;
use crate::config::caller::dns_matches;
use crate::config::raw::Reader;
use crate::tls::ServerMaterial;

/// A server of the file.
#[derive(Debug)]
pub(in crate::config) struct Listener {
    pub(in crate::config) address: SocketAddr,
    /// Its section.
    pub(in crate::config) span: Span,
    pub(in crate::config) certificate: Option<Certificate>,
}

/// What a server shows.
#[derive(Debug)]
pub(in crate::config) struct Certificate {
    /// Of the key that names the file.
    pub(in crate::config) span: Span,
    pub(in crate::config) file: PathBuf,
    pub(in crate::config) material: Arc<ServerMaterial>,
}

/// A bound path and an address of it.
struct Target {
    bound: Path,
    address: SocketAddr,
}

/// Warns of callers and servers that can't come together.
pub(in crate::config) fn wrong_certificates(
    routers: &[(RouterConfig, Known)],
    namers: &[NamerConfig],
    listeners: &[Listener],
    reader: &mut Reader<'_>,
) {
    let listening = |address: SocketAddr| listeners.iter().find(|listener| listener.takes(address));
    let fixed: Vec<Target> = fixed(namers).into_iter().filter(|target| listening(target.address).is_some()).collect();
    let mut told = BTreeSet::new();
    // What a transformer makes of addresses is not followed.
    for (router, known) in routers.iter().filter(|(router, _)| router.transformers.is_empty()) {
        let asked = |bound: &Path| known.asked_by_rules().any(|shape| shape.may_begin_with(bound));
        let inet = known.asked_by_rules().filter_map(|shape| inet(&shape.known()));
        let named = fixed.iter().filter(|target| asked(&target.bound));
        let targets =
            named.map(|target| (&target.bound, target.address)).map(|(bound, address)| (bound.clone(), address));
        for (bound, address) in targets.chain(inet.map(|target| (target.bound, target.address))) {
            let Some(listener) = listening(address) else { continue };
            let caller = Caller { router, bound, address };
            if let Some((lint, span, message, hint)) = caller.mismatch(listener)
                && told.insert((lint.name(), span.start, message.clone()))
            {
                reader.warning(lint, span, message, hint);
            }
        }
    }
}

/// The addresses of `static` namers, with their bound paths; not where another namer might know the name better.
fn fixed(namers: &[NamerConfig]) -> Vec<Target> {
    let mut targets = Vec::new();
    for (index, namer) in namers.iter().enumerate() {
        let NamerKind::Static { services } = &namer.kind else { continue };
        if !namer.transformers.is_empty() {
            continue;
        }
        let apart = namers.iter().enumerate().all(|(other, another)| {
            other == index || !(namer.prefix.starts_with(&another.prefix) || another.prefix.starts_with(&namer.prefix))
        });
        if !apart {
            continue;
        }
        for (name, endpoints) in services {
            let bound = path(&["#"]).concat(&namer.prefix).concat(&Path::from_segments([Segment::clone(name)]));
            let addresses = endpoints.iter().map(|endpoint| endpoint.addr);
            targets.extend(addresses.map(|address| Target { bound: bound.clone(), address }));
        }
    }
    targets
}

/// The address that `/$/inet` and its like name in digits.
fn inet(path: &Path) -> Option<Target> {
    let Builtin::Inet { id, host, port: Ok(port), .. } = builtin(path) else { return None };
    let ip: IpAddr = host.map_or(Some(crate::config::defaults::LOOPBACK), |host| host.parse().ok())?;
    Some(Target { bound: id, address: SocketAddr::new(ip, port) })
}

impl Listener {
    /// Whether connections to `address` come here.
    fn takes(&self, address: SocketAddr) -> bool {
        let (own, ip) = (self.address.ip(), address.ip());
        let here = own == ip || (own.is_unspecified() && ip.is_loopback() && (own.is_ipv6() || ip.is_ipv4()));
        self.address.port() == address.port() && address.port() != 0 && here
    }
}

struct Caller<'a> {
    router: &'a RouterConfig,
    bound: Path,
    address: SocketAddr,
}

impl Caller<'_> {
    fn mismatch(&self, listener: &Listener) -> Option<(Lint, Span, String, String)> {
        let policy = self.router.client.for_bound(&self.bound);
        let from = &policy.tls.from;
        let who = format!("router `{}` calls `{}` at {}", self.router.label, self.bound, self.address);
        let tls = policy.tls.value.as_ref().ok()?;
        match (tls, &listener.certificate) {
            (ClientTls::Clear, None) | (ClientTls::Encrypt { .. }, Some(_)) => None,
            (ClientTls::Clear, Some(_)) => {
                let hint = "give the client policy for that bound path a `tls`".to_owned();
                Some((
                    Lint::TlsMismatch,
                    listener.span,
                    format!("{who} in clear text, and this server wants TLS"),
                    hint,
                ))
            }
            (ClientTls::Encrypt { .. } | ClientTls::Verify { .. }, None) => {
                let hint = format!("give this server a `tls`, or undo that of {from}");
                Some((Lint::TlsMismatch, listener.span, format!("{who} with TLS, and this server has none"), hint))
            }
            (ClientTls::Verify { name, settings, .. }, Some(certificate)) => {
                let material = &certificate.material;
                // A name that no certificate has is answered with the first, as every other but a DNS name is.
                let mut shown = match name {
                    PeerName::Dns(_) => material.all_names().collect::<Vec<_>>(),
                    PeerName::Ip(_) | PeerName::Uri(_) => vec![material.names()],
                }
                .into_iter();
                if shown.any(|names| proves(names, name, settings.allow_common_name)) {
                    return None;
                }
                let (file, names) = (certificate.file.display(), material.names().join(", "));
                let message = format!("{file} is for {names}, but {who} and asks for {name}");
                let hint = format!("issue a certificate for {name}, or mend the name at {from} or the address");
                Some((Lint::WrongCertificate, certificate.span, message, hint))
            }
        }
    }
}

/// Whether a certificate with `names`, as people write them, is one of `wanted`.
fn proves(names: &[String], wanted: &PeerName, allow_common_name: bool) -> bool {
    match wanted {
        PeerName::Dns(wanted) => names.iter().any(|name| match name.strip_prefix("CN=") {
            Some(common) => allow_common_name && dns_matches(common, wanted),
            None => dns_matches(name, wanted),
        }),
        PeerName::Ip(wanted) => names.iter().any(|name| name.parse() == Ok(*wanted)),
        PeerName::Uri(wanted) => {
            let mut uris = names.iter().filter(|name| name.contains(':') && name.parse::<IpAddr>().is_err());
            uris.next().is_some_and(|uri| uri == wanted) && uris.next().is_none()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_proves_its_own_names_only() {
        for (names, wanted, common_name, expected) in [
            (&["users.example.com"][..], "users.example.com", false, true),
            (&["users.example.com"], "billing.example.com", false, false),
            (&["*.example.com"], "users.example.com", false, true),
            (&["*.example.com"], "a.users.example.com", false, false),
            (&["CN=users.example.com"], "users.example.com", false, false),
            (&["CN=users.example.com"], "users.example.com", true, true),
            (&["127.0.0.1", "::1"], "::1", false, true),
            (&["a.example.com", "spiffe://example.com/a"], "spiffe://example.com/a", false, true),
            (&["spiffe://example.com/a", "spiffe://example.com/b"], "spiffe://example.com/a", false, false),
        ] {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            let wanted = PeerName::parse(wanted).unwrap();
            assert_eq!(proves(&names, &wanted, common_name), expected, "{names:?} {wanted}");
        }
    }

    #[test]
    fn a_listener_on_all_addresses_takes_those_of_this_machine() {
        for (own, address, expected) in [
            ("127.0.0.1:80", "127.0.0.1:80", true),
            ("127.0.0.1:80", "127.0.0.1:81", false),
            ("0.0.0.0:80", "127.0.0.1:80", true),
            ("0.0.0.0:80", "[::1]:80", false),
            ("[::]:80", "127.0.0.1:80", true),
            ("0.0.0.0:80", "192.0.2.1:80", false),
            ("127.0.0.1:0", "127.0.0.1:0", false),
        ] {
            let listener = Listener { address: own.parse().unwrap(), span: Span::default(), certificate: None };
            assert_eq!(listener.takes(address.parse().unwrap()), expected, "{own} {address}");
        }
    }
}
