//! Identifiers: a request's head to its logical path.
//!
//! They write into a [`PathBuffer`], so that a request whose route is known costs no allocation here.

use std::fmt;

use http::header::{HOST, HeaderName, HeaderValue};
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{Uri, Version};

use crate::path::{EmptySegment, Path, PathBuffer};

/// One way of naming a request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Identifier {
    /// A header's text as one segment; for `host`, the authority in lower case.
    HeaderToken {
        /// Which header; `host` is `:authority` on HTTP/2.
        header: HeaderName,
    },
    /// `/1.1/<METHOD>/<host>`.
    MethodAndHost {
        /// Do the segments of the URI's path follow?
        uri_in_dst: bool,
    },
    /// The first segments of the URI's path.
    Path {
        /// How many; a request with fewer is not named.
        segments: usize,
        /// Are they taken out of the URI?
        consume: bool,
    },
    /// A header's text, read as a path.
    Header {
        /// Which header.
        header: HeaderName,
    },
    /// The URI's path, read as a path.
    HeaderPath {
        /// How many segments; all where it is not told.
        segments: Option<usize>,
    },
    /// The same path for each request.
    Static {
        /// That path.
        path: Path,
    },
}

/// A router's identifiers, tried in order, and what they put first.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Identifiers {
    /// The first segments of each logical path: `/svc`.
    pub dst_prefix: Path,
    /// The first that names a request wins.
    pub list: Vec<Identifier>,
}

/// A request has a name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Identified {
    /// The [kind](Identifier::kind) of the identifier that named it.
    pub by: &'static str,
    /// The URI to go on with, where it changed.
    pub uri: Option<Uri>,
}

/// A request has no name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Unidentified {
    /// No identifier is for it.
    NoneApplies {
        /// Each identifier's kind, and what it missed.
        reasons: Vec<(&'static str, Missing)>,
    },
    /// An identifier is for it, but what it found is no path. Later ones are not tried.
    BadPath {
        /// The kind of that identifier.
        by: &'static str,
        /// What is wrong.
        message: String,
    },
}

/// What an identifier looked for in vain.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Missing {
    /// `:authority` or `Host`, with something in it.
    Host,
    /// That header, with something in it.
    Header(HeaderName),
    /// As many segments in the URI's path.
    Segments(usize),
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host => f.write_str("no host"),
            Self::Header(header) => write!(f, "no `{header}` header"),
            Self::Segments(1) => f.write_str("no segment in the path"),
            Self::Segments(count) => write!(f, "less than {count} segments in the path"),
        }
    }
}

impl fmt::Display for Unidentified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoneApplies { reasons } => {
                f.write_str("no identifier names this request")?;
                reasons.iter().enumerate().try_for_each(|(index, (kind, missing))| {
                    write!(f, "{}{kind}: {missing}", if index == 0 { ": " } else { "; " })
                })
            }
            Self::BadPath { by, message } => write!(f, "{by}: {message}"),
        }
    }
}

impl std::error::Error for Unidentified {}

impl Identifiers {
    /// Writes the logical path of `request` into `into`, whatever that held before.
    ///
    /// Allocates nothing for `header.token`, `method_and_host`, `static` and `path` without `consume`, once `into` has
    /// grown.
    ///
    /// # Errors
    /// When no identifier names the request, or the first that is for it finds no path; `into` is of no use then.
    pub fn identify(&self, request: &Parts, into: &mut PathBuffer) -> Result<Identified, Unidentified> {
        into.clear();
        into.extend(&self.dst_prefix);
        let mark = into.mark();
        for identifier in &self.list {
            let by = identifier.kind();
            match identifier.name(request, into) {
                Ok(uri) => return Ok(Identified { by, uri }),
                Err(Miss::BadPath(message)) => return Err(Unidentified::BadPath { by, message }),
                Err(Miss::Missing(_)) => into.truncate(mark),
            }
        }
        Err(Unidentified::NoneApplies { reasons: self.reasons(request) })
    }

    fn reasons(&self, request: &Parts) -> Vec<(&'static str, Missing)> {
        let missing = |identifier: &Identifier| match identifier.name(request, &mut PathBuffer::new()) {
            Err(Miss::Missing(missing)) => Some((identifier.kind(), missing)),
            Ok(_) | Err(Miss::BadPath(_)) => None,
        };
        self.list.iter().filter_map(missing).collect()
    }
}

/// Why an identifier does not name a request.
enum Miss {
    /// It is not for it.
    Missing(Missing),
    BadPath(String),
}

impl From<Missing> for Miss {
    fn from(missing: Missing) -> Self {
        Self::Missing(missing)
    }
}

impl From<EmptySegment> for Miss {
    fn from(error: EmptySegment) -> Self {
        Self::BadPath(error.to_string())
    }
}

impl Identifier {
    /// How configurations and explanations call it.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::HeaderToken { .. } => "header.token",
            Self::MethodAndHost { .. } => "method_and_host",
            Self::Path { .. } => "path",
            Self::Header { .. } => "header",
            Self::HeaderPath { .. } => "header.path",
            Self::Static { .. } => "static",
        }
    }

    /// Appends what follows the prefix; gives the URI to go on with, where it changes.
    fn name(&self, request: &Parts, into: &mut PathBuffer) -> Result<Option<Uri>, Miss> {
        match self {
            Self::HeaderToken { header } if *header == HOST => into.push_lower_case(authority(request)?)?,
            Self::HeaderToken { header } => into.push(present(request, header)?)?,
            Self::MethodAndHost { uri_in_dst } => method_and_host(request, *uri_in_dst, into)?,
            Self::Path { segments, consume } => {
                let left = first_segments(request.uri.path(), *segments, into)?;
                return if *consume { with_path(&request.uri, left).map(Some) } else { Ok(None) };
            }
            Self::Header { header } => into.extend(&path_in(present(request, header)?)?),
            Self::HeaderPath { segments } => uri_path(request.uri.path(), *segments, into)?,
            Self::Static { path } => into.extend(path),
        }
        Ok(None)
    }
}

/// The host that a request is for, port included: of the URI (`:authority` on HTTP/2), else of the first `Host`.
fn authority(request: &Parts) -> Result<&[u8], Missing> {
    let host = match request.uri.authority() {
        Some(authority) => authority.as_str().rsplit('@').next().map(str::as_bytes),
        None => request.headers.get(HOST).map(HeaderValue::as_bytes),
    };
    host.filter(|host| !host.is_empty()).ok_or(Missing::Host)
}

fn present<'r>(request: &'r Parts, header: &HeaderName) -> Result<&'r [u8], Missing> {
    let value = request.headers.get(header).map(HeaderValue::as_bytes);
    value.filter(|value| !value.is_empty()).ok_or_else(|| Missing::Header(header.clone()))
}

fn path_in(value: &[u8]) -> Result<Path, Miss> {
    let text = std::str::from_utf8(value).map_err(|error| Miss::BadPath(error.to_string()))?;
    Path::parse(text).map_err(|error| Miss::BadPath(format!("`{}` is no path: {error}", text.escape_debug())))
}

/// `/1.0/<METHOD>`, or `/1.1/<METHOD>/<host>` for all that is newer: which version two proxies agreed on is not a
/// matter for rules, and linkerd's say `1.1`.
fn method_and_host(request: &Parts, uri_in_dst: bool, into: &mut PathBuffer) -> Result<(), Miss> {
    let method = request.method.as_str().as_bytes();
    if request.version <= Version::HTTP_10 {
        into.push(b"1.0")?;
        into.push(method)?;
    } else {
        let host = authority(request)?;
        into.push(b"1.1")?;
        into.push(method)?;
        into.push_lower_case(host)?;
    }
    if uri_in_dst {
        // linkerd reads the URI's path as one of ours and so fails at a trailing slash; here its segments are taken.
        for segment in request.uri.path().split('/').filter(|segment| !segment.is_empty()) {
            into.push(segment.as_bytes())?;
        }
    }
    Ok(())
}

/// Appends the first `count` segments of a URI's path; gives what is left of it, with its slash.
///
/// Empty segments at the end don't count, as by Java's `split`; one among the first is no path.
fn first_segments<'p>(uri_path: &'p str, count: usize, into: &mut PathBuffer) -> Result<&'p str, Miss> {
    let available = uri_path.trim_end_matches('/').split('/').skip(1).count();
    if available < count {
        return Err(Missing::Segments(count).into());
    }
    let mut left = uri_path;
    for _ in 0..count {
        let behind_slash = left.strip_prefix('/').unwrap_or(left);
        let segment = behind_slash.split('/').next().unwrap_or_default();
        into.push(segment.as_bytes())?;
        left = behind_slash.get(segment.len()..).unwrap_or_default();
    }
    Ok(left)
}

/// `uri` with another path, and the query that it had.
fn with_path(uri: &Uri, path: &str) -> Result<Uri, Miss> {
    let path = if path.bytes().all(|byte| byte == b'/') { "/" } else { path };
    let path_and_query = match uri.query() {
        Some(query) => PathAndQuery::try_from(format!("{path}?{query}")),
        None => PathAndQuery::try_from(path),
    };
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(path_and_query.map_err(|error| Miss::BadPath(error.to_string()))?);
    Uri::from_parts(parts).map_err(|error| Miss::BadPath(error.to_string()))
}

/// Appends a URI's path, less one trailing slash, read as one of ours: as many segments as wanted, or all.
fn uri_path(uri_path: &str, count: Option<usize>, into: &mut PathBuffer) -> Result<(), Miss> {
    let text = uri_path.strip_suffix('/').unwrap_or(uri_path);
    let path = if text.is_empty() { Path::empty() } else { path_in(text.as_bytes())? };
    let wanted = count.unwrap_or(1);
    if path.len() < wanted {
        return Err(Missing::Segments(wanted).into());
    }
    into.extend(&path.take(count.unwrap_or(path.len())));
    Ok(())
}

#[cfg(test)]
mod tests {
    use http::Request;
    use http::header::HeaderName;

    use super::*;

    fn request(uri: &str, headers: &[(&str, &str)]) -> Parts {
        let builder = headers.iter().fold(Request::get(uri), |builder, (name, value)| builder.header(*name, *value));
        builder.body(()).unwrap().into_parts().0
    }

    fn named_by(list: Vec<Identifier>, request: &Parts) -> Result<(String, Identified), String> {
        let identifiers = Identifiers { dst_prefix: Path::parse("/svc").unwrap(), list };
        let mut into = PathBuffer::new();
        let identified = identifiers.identify(request, &mut into).map_err(|error| error.to_string())?;
        Ok((into.to_path().to_string(), identified))
    }

    fn path_of(identifier: Identifier, request: &Parts) -> Result<String, String> {
        named_by(vec![identifier], request).map(|(path, _)| path)
    }

    const HOST_TOKEN: Identifier = Identifier::HeaderToken { header: HOST };

    #[test]
    fn the_uris_authority_comes_before_host() {
        for (uri, expected) in
            [("http://Users:80/x", "/svc/users:80"), ("http://me@Users/x", "/svc/users"), ("/x", "/svc/other")]
        {
            assert_eq!(path_of(HOST_TOKEN, &request(uri, &[("host", "Other")])), Ok(expected.to_owned()), "{uri}");
        }
    }

    #[test]
    fn only_hosts_are_lower_cased_and_the_first_header_counts() {
        let header = HeaderName::from_static("my-svc");
        let request = request("/", &[("my-svc", "Users"), ("my-svc", "other")]);

        assert_eq!(path_of(Identifier::HeaderToken { header }, &request), Ok("/svc/Users".to_owned()));
    }

    #[test]
    fn a_newer_version_is_named_as_1_1_is() {
        let mut request = request("http://Users/a//b/?q", &[]);
        request.version = Version::HTTP_2;

        assert_eq!(
            path_of(Identifier::MethodAndHost { uri_in_dst: true }, &request),
            Ok("/svc/1.1/GET/users/a/b".to_owned())
        );
    }

    #[test]
    fn consume_takes_segments_out_of_the_uri() {
        for (uri, segments, path, left) in [
            ("/a/b/c?x=1", 2, "/svc/a/b", "/c?x=1"),
            ("/a?x=/y", 1, "/svc/a", "/?x=/y"),
            ("/a/b/", 1, "/svc/a", "/b/"),
            ("/a//", 1, "/svc/a", "/"),
            ("/a//b", 1, "/svc/a", "//b"),
            ("http://h/a/b", 1, "/svc/a", "http://h/b"),
        ] {
            let (named, identified) =
                named_by(vec![Identifier::Path { segments, consume: true }], &request(uri, &[])).unwrap();
            assert_eq!((named.as_str(), identified.uri.unwrap().to_string().as_str()), (path, left), "{uri}");
        }
    }

    #[test]
    fn an_empty_segment_among_the_first_is_no_path() {
        for (uri, expected) in
            [("//a", Err("path: a path has no empty segment")), ("/a//b", Ok("/svc/a")), ("//", Err("none"))]
        {
            let named = path_of(Identifier::Path { segments: 1, consume: false }, &request(uri, &[]));
            match (named, expected) {
                (Err(message), Err("none")) => assert!(message.starts_with("no identifier"), "{uri}: {message}"),
                (named, expected) => assert_eq!(named, expected.map(str::to_owned).map_err(str::to_owned), "{uri}"),
            }
        }
    }

    #[test]
    fn header_path_reads_the_uris_path_as_one_of_ours() {
        for (uri, segments, expected) in [
            ("/a/b/?q", None, Ok("/svc/a/b")),
            ("/a/b/c", Some(2), Ok("/svc/a/b")),
            ("/a", Some(2), Err("no identifier names this request: header.path: less than 2 segments in the path")),
            ("/", None, Err("no identifier names this request: header.path: no segment in the path")),
            ("/a//b", None, Err("header.path: `/a//b` is no path: a path has no empty segment")),
        ] {
            let named = path_of(Identifier::HeaderPath { segments }, &request(uri, &[]));
            assert_eq!(named, expected.map(str::to_owned).map_err(str::to_owned), "{uri}");
        }
    }

    #[test]
    fn the_first_that_applies_wins_and_leaves_no_trace_of_others() {
        let list = vec![
            Identifier::Path { segments: 2, consume: false },
            Identifier::MethodAndHost { uri_in_dst: false },
            Identifier::Static { path: Path::parse("/d").unwrap() },
        ];

        let (path, identified) = named_by(list, &request("/a", &[])).unwrap();

        assert_eq!((path.as_str(), identified.by), ("/svc/d", "static"));
    }

    #[test]
    fn each_identifier_says_what_it_missed() {
        let header = HeaderName::from_static("l5d-name");
        let list = vec![Identifier::Header { header }, HOST_TOKEN, Identifier::Path { segments: 1, consume: true }];

        assert_eq!(
            named_by(list, &request("/", &[])).map(|(path, _)| path),
            Err("no identifier names this request: header: no `l5d-name` header; header.token: no host; \
                 path: no segment in the path"
                .to_owned())
        );
    }

    #[test]
    fn a_bad_path_ends_the_list() {
        let header = HeaderName::from_static("l5d-name");
        let error = named_by(
            vec![Identifier::Header { header }, HOST_TOKEN],
            &request("/", &[("l5d-name", "x"), ("host", "w")]),
        );

        assert_eq!(error.map(|(path, _)| path), Err("header: `x` is no path: expected `/`, found `x`".to_owned()));
    }
}
