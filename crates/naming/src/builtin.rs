//! Names that need no configuration: `/$/...`.

use crate::delegate::NamerError;
use crate::name_tree::NameTree;
use crate::path::{EmptySegment, Path, Segment};

/// What `/$/...` says of a path.
#[derive(Clone, PartialEq, Debug)]
pub enum Builtin {
    /// A tree whose leaves go back through the dtab.
    Tree(NameTree<Path>),
    /// An address by host and port.
    Inet {
        /// What it is bound to: `/$/inet/10.0.0.1/80`.
        id: Path,
        /// What of the path is left.
        residual: Path,
        /// A name or an IP address; none is the loopback.
        host: Option<String>,
        /// The port; `inet` takes any whole number for one and `rinet` any text, so that it may be none.
        port: Result<u16, BadPort>,
    },
    /// The path is not below `/$`.
    NotBuiltin,
    /// There is no such built-in namer, or it cannot tell. No fallback is tried.
    Unknown(NamerError),
}

/// A port that no address can have.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("`{0}` is no port")]
pub struct BadPort(pub String);

/// What the built-in namers say of `path`.
///
/// `/$/nil` is `$`, `/$/fail` is `!`, `inet` and `rinet` are addresses, the utility namers of linkerd (`io.buoyant.*`)
/// rewrite; `/$` alone is `~`, and any other kind is unknown.
#[must_use]
pub fn builtin(path: &Path) -> Builtin {
    match path.segments() {
        [dollar, kind, rest @ ..] if dollar.as_bytes() == b"$" => below(path, kind.as_bytes(), rest),
        [dollar] if dollar.as_bytes() == b"$" => Builtin::Tree(NameTree::Neg),
        _ => Builtin::NotBuiltin,
    }
}

fn below(path: &Path, kind: &[u8], rest: &[Segment]) -> Builtin {
    let rewritten = match kind {
        b"nil" => return Builtin::Tree(NameTree::Empty),
        b"fail" => return Builtin::Tree(NameTree::Fail),
        b"inet" | b"fixedinet" => return inet(path, rest).unwrap_or_else(|| unknown(path)),
        b"io.buoyant.rinet" => return rinet(path, rest),
        b"io.buoyant.http.anyMethod" => plain(rest, |method| is_method(method).then(Vec::new)),
        b"io.buoyant.http.anyMethodPfx" => prefixed(rest, |method| is_method(method).then(Vec::new)),
        b"io.buoyant.http.anyHost" => plain(rest, |host| is_host(host).then(Vec::new)),
        b"io.buoyant.http.anyHostPfx" => prefixed(rest, |host| is_host(host).then(Vec::new)),
        b"io.buoyant.http.subdomainOf" => of_domain(rest, |domain, rest| plain(rest, |host| subdomain(domain, host))),
        b"io.buoyant.http.subdomainOfPfx" => {
            of_domain(rest, |domain, rest| prefixed(rest, |host| subdomain(domain, host)))
        }
        b"io.buoyant.http.domainToPath" => plain(rest, labels_reversed),
        b"io.buoyant.http.domainToPathPfx" => prefixed(rest, labels_reversed),
        b"io.buoyant.hostportPfx" => prefixed(rest, |text| host_and_port(text).map(|(host, port)| vec![host, port])),
        b"io.buoyant.porthostPfx" => prefixed(rest, |text| host_and_port(text).map(|(host, port)| vec![port, host])),
        _ => return unknown(path),
    };
    match rewritten {
        None => Builtin::Tree(NameTree::Neg),
        Some(Ok(path)) => Builtin::Tree(NameTree::Leaf(path)),
        Some(Err(error)) => Builtin::Unknown(NamerError(error.to_string())),
    }
}

fn unknown(path: &Path) -> Builtin {
    Builtin::Unknown(NamerError(format!("unknown namer {}", path.take(2))))
}

/// `host/port` or `port` alone: `8080/9090` is the host `8080`, as in linkerd.
fn inet(path: &Path, rest: &[Segment]) -> Option<Builtin> {
    let whole_number = |segment: &Segment| text(segment).parse::<i32>().is_ok().then(|| port(segment));
    if let [host, second, ..] = rest
        && let Some(port) = whole_number(second)
    {
        return Some(Builtin::Inet { id: path.take(4), residual: path.drop(4), host: Some(text(host)), port });
    }
    let port = whole_number(rest.first()?)?;
    Some(Builtin::Inet { id: path.take(3), residual: path.drop(3), host: None, port })
}

/// `port/host`.
fn rinet(path: &Path, rest: &[Segment]) -> Builtin {
    let [first, host, ..] = rest else { return Builtin::Tree(NameTree::Neg) };
    Builtin::Inet { id: path.take(4), residual: path.drop(4), host: Some(text(host)), port: port(first) }
}

fn port(segment: &Segment) -> Result<u16, BadPort> {
    let text = text(segment);
    text.parse().map_err(|_| BadPort(text))
}

/// A rewritten path; none where the namer does not know the name, an error where it would hold an empty segment.
type Rewritten = Option<Result<Path, EmptySegment>>;

/// `/X/rest` to what `rewrite` makes of `X`, then `rest`.
fn plain(path: &[Segment], rewrite: impl FnOnce(&str) -> Option<Vec<String>>) -> Rewritten {
    let (name, rest) = path.split_first()?;
    Some(joined(&[], rewrite(&text(name))?, rest))
}

/// `/pfx/X/rest` to `pfx`, what `rewrite` makes of `X`, then `rest`.
fn prefixed(path: &[Segment], rewrite: impl FnOnce(&str) -> Option<Vec<String>>) -> Rewritten {
    let ([prefix, name], rest) = path.split_first_chunk()?;
    Some(joined(std::slice::from_ref(prefix), rewrite(&text(name))?, rest))
}

fn joined(prefix: &[Segment], names: Vec<String>, rest: &[Segment]) -> Result<Path, EmptySegment> {
    let names: Vec<_> = names.into_iter().map(Segment::new).collect::<Result<_, _>>()?;
    Ok(prefix.iter().cloned().chain(names).chain(rest.iter().cloned()).collect())
}

/// `/DOMAIN/..`: what `rewrite` makes of the rest.
fn of_domain(path: &[Segment], rewrite: impl FnOnce(&str, &[Segment]) -> Rewritten) -> Rewritten {
    let (domain, rest) = path.split_first()?;
    let domain = text(domain);
    if is_host(&domain) { rewrite(&domain, rest) } else { None }
}

/// `a.b` of `a.b.example.com:80` below `example.com`; case-sensitive, as in linkerd.
fn subdomain(domain: &str, host: &str) -> Option<Vec<String>> {
    if !is_host(host) {
        return None;
    }
    let without_port = match host.split_once(':') {
        Some((name, _)) if !name.is_empty() => name,
        Some(_) | None => host,
    };
    let name = without_port.strip_suffix(domain)?.strip_suffix('.')?;
    (!name.is_empty()).then(|| vec![name.to_owned()])
}

/// `com`, `example`, `a` of `a.example.com`. Trailing dots vanish, as by Java's `split`.
fn labels_reversed(host: &str) -> Option<Vec<String>> {
    if !is_host(host) {
        return None;
    }
    let labels = host.trim_end_matches('.');
    if labels.is_empty() {
        return Some(Vec::new());
    }
    Some(labels.rsplit('.').map(str::to_owned).collect())
}

/// Both halves of `host:port`, where the port may be a name: `web:http`. Not for IPv6 addresses.
fn host_and_port(text: &str) -> Option<(String, String)> {
    // Trailing colons vanish, as by Java's `split`.
    let (host, port) = text.trim_end_matches(':').split_once(':')?;
    let first = port.bytes().next()?;
    let is_label =
        port.len() <= 63 && port.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-')) && first != b'-';
    is_label.then(|| (host.to_owned(), port.to_owned()))
}

fn is_host(text: &str) -> bool {
    !text.is_empty()
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b':' | b'_' | b'-'))
}

fn is_method(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_uppercase())
}

/// As text; bytes that are no UTF-8 are replaced, here as in linkerd.
fn text(segment: &Segment) -> String {
    String::from_utf8_lossy(segment.as_bytes()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// In one line: the tree, `id+residual host:port`, or the error.
    fn show(path: &str) -> String {
        match builtin(&Path::parse(path).unwrap()) {
            Builtin::Tree(tree) => tree.to_string(),
            Builtin::Inet { id, residual, host, port } => {
                let port = port.map_or_else(|error| error.to_string(), |port| port.to_string());
                format!("{id}+{residual} {}:{port}", host.unwrap_or_default())
            }
            Builtin::NotBuiltin => "-".to_owned(),
            Builtin::Unknown(error) => error.to_string(),
        }
    }

    #[test]
    fn inet_and_rinet_are_addresses() {
        for (path, shown) in [
            ("/$/inet/10.0.0.1/80/a/b", "/$/inet/10.0.0.1/80+/a/b 10.0.0.1:80"),
            ("/$/inet/8080", "/$/inet/8080+/ :8080"),
            ("/$/inet/8080/a", "/$/inet/8080+/a :8080"),
            ("/$/inet/8080/9090", "/$/inet/8080/9090+/ 8080:9090"),
            ("/$/inet/h/99999", "/$/inet/h/99999+/ h:`99999` is no port"),
            ("/$/inet/h/-1", "/$/inet/h/-1+/ h:`-1` is no port"),
            ("/$/inet/web", "unknown namer /$/inet"),
            ("/$/inet", "unknown namer /$/inet"),
            ("/$/inet/web/http", "unknown namer /$/inet"),
            ("/$/fixedinet/h/80/x", "/$/fixedinet/h/80+/x h:80"),
            ("/$/io.buoyant.rinet/80/web/x", "/$/io.buoyant.rinet/80/web+/x web:80"),
            ("/$/io.buoyant.rinet/http/web", "/$/io.buoyant.rinet/http/web+/ web:`http` is no port"),
            ("/$/io.buoyant.rinet/80", "~"),
        ] {
            assert_eq!(show(path), shown, "{path}");
        }
    }

    #[test]
    fn constants_and_strangers() {
        for (path, shown) in [
            ("/$/nil/x", "$"),
            ("/$/fail", "!"),
            ("/$", "~"),
            ("/#/nil", "-"),
            ("/", "-"),
            ("/$/neg", "unknown namer /$/neg"),
            ("/$/empty/x", "unknown namer /$/empty"),
        ] {
            assert_eq!(show(path), shown, "{path}");
        }
    }

    #[test]
    fn utility_namers_rewrite_what_they_know() {
        for (path, shown) in [
            ("http.anyMethod/GET/r", "/r"),
            ("http.anyMethod/get/r", "~"),
            ("http.anyMethod", "~"),
            ("http.anyMethodPfx/p/POST/r", "/p/r"),
            ("http.anyMethodPfx/p", "~"),
            ("http.anyHost/a.b:80/r/s", "/r/s"),
            (r"http.anyHost/a\x2fb/r", "~"),
            ("http.anyHostPfx/p/h/r", "/p/r"),
            ("http.subdomainOf/foo.com/a.b.foo.com:80/r", "/a.b/r"),
            ("http.subdomainOf/foo.com/foo.com", "~"),
            ("http.subdomainOf/foo.com/.foo.com", "~"),
            ("http.subdomainOf/foo.com/a.FOO.com", "~"),
            ("http.subdomainOf/foo.com/xfoo.com", "~"),
            ("http.subdomainOfPfx/foo.com/p/a.foo.com/r", "/p/a/r"),
            ("http.subdomainOfPfx/foo.com/p", "~"),
            ("http.domainToPath/foo.buoyant.io/r", "/io/buoyant/foo/r"),
            ("http.domainToPath/foo.com:80", "/com:80/foo"),
            ("http.domainToPath/foo.com./r", "/com/foo/r"),
            ("http.domainToPath/.../r", "/r"),
            ("http.domainToPath/.foo.com", "a path has no empty segment"),
            ("http.domainToPathPfx/p/a..b", "a path has no empty segment"),
            ("http.domainToPathPfx/p/Foo.com/r", "/p/com/Foo/r"),
            ("hostportPfx/p/web:80/r", "/p/web/80/r"),
            ("hostportPfx/p/web:http/r", "/p/web/http/r"),
            ("hostportPfx/p/web:HTTP", "~"),
            ("hostportPfx/p/web:", "~"),
            ("hostportPfx/p/web", "~"),
            ("hostportPfx/p/a:b:80", "~"),
            ("hostportPfx/p/::1", "~"),
            ("hostportPfx/p/web:-80", "~"),
            ("hostportPfx/p/:80", "a path has no empty segment"),
            ("hostportPfx/p", "~"),
            ("porthostPfx/p/web:80/r", "/p/80/web/r"),
        ] {
            assert_eq!(show(&format!("/$/io.buoyant.{path}")), shown, "{path}");
        }
    }

    #[test]
    fn a_port_name_is_at_most_63_long() {
        let path = |length| format!("/$/io.buoyant.hostportPfx/p/h:{}", "a".repeat(length));

        assert!(show(&path(63)).starts_with("/p/h/"));
        assert_eq!(show(&path(64)), "~");
    }
}
