//! What is read from a request's headers, what is taken off, and what is written for the next hop.
//!
//! Context (`l5d-ctx-*`, `l5d-sample`, tracing) is what one waypost tells the next; an override (`l5d-dtab`) is what a
//! person asks for. Both are taken off here, whoever sent them, and written anew. Hop-by-hop fields go (RFC 9110
//! section 7.6.1), `Via` is appended (section 7.6.3).

use std::time::SystemTime;

use bytes::Bytes;
use http::header::{
    CONNECTION, Entry, HOST, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE, TRANSFER_ENCODING, UPGRADE, VIA,
};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Version};
use rand::Rng;

use super::answer::{Failure, Word};
use super::deadline::Deadline;
use super::trace::TraceId;

/// What may be believed of a connection's headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trust {
    /// Context is taken; otherwise removed.
    pub context: bool,
    /// `l5d-dtab` is followed; otherwise removed.
    pub overrides: bool,
    /// Everything that starts with `l5d-` is removed, and so it is on responses.
    pub clear: bool,
}

/// What a request said about itself, taken off its headers.
#[derive(Debug, Default)]
pub struct Context {
    /// `l5d-ctx-dtab`, the values joined in order.
    pub context_dtab: Option<HeaderValue>,
    /// `l5d-dtab`, the values joined in order.
    pub user_dtab: Option<HeaderValue>,
    /// The strictest `l5d-ctx-deadline`.
    pub deadline: Option<Deadline>,
    /// `l5d-ctx-trace`.
    pub trace: Option<TraceId>,
    /// `l5d-sample`, between 0 and 1.
    pub sample: Option<f32>,
    /// An `l5d-dtab` was there and was removed, since its sender may not override.
    pub override_refused: bool,
    /// `Upgrade`, where `Connection` names it: what the client would rather speak.
    pub upgrade: Option<HeaderValue>,
}

/// Takes off `headers` all that is for this hop only, and gives back what of it was to be believed.
///
/// # Errors
/// [`Word::BadDtab`] when dtab headers are longer than [`MAX_DTAB_BYTES`], [`Word::CallDepth`] when `Via` names more
/// than `max_call_depth` proxies.
pub fn take(headers: &mut HeaderMap, trust: Trust, max_call_depth: u32) -> Result<Context, Failure> {
    let found = Found::scan(headers);
    if found.via && call_depth(headers) > max_call_depth {
        return Err(Failure::new(
            Word::CallDepth,
            format!("the request went through more than {max_call_depth} proxies: it goes round in circles"),
        )
        .retryable());
    }
    let mut context = Context::default();
    if trust.clear {
        if found.l5d {
            remove_all_l5d(headers);
        }
    } else {
        found.told.take(headers, trust, &mut context)?;
    }
    if found.tracing && (trust.clear || !trust.context) {
        for name in TRACING {
            headers.remove(name);
        }
    }
    if found.forwarded_cert {
        // A certificate that somebody says he has seen is worth nothing: anyone can write that.
        headers.remove(&X_FORWARDED_CLIENT_CERT);
    }
    match found.hop_by_hop {
        HopByHop::Nothing => {}
        HopByHop::Persistence => drop(headers.remove(CONNECTION)),
        HopByHop::More => {
            context.upgrade = wanted_upgrade(headers);
            remove_hop_by_hop(headers, Keep::TrailersInTe);
        }
    }
    Ok(context)
}

/// Those of [`TOLD`] that a request has, as bits.
#[derive(Clone, Copy, Default)]
struct Told(u8);

impl Told {
    fn add(&mut self, name: &str) {
        if let Some(index) = TOLD.iter().position(|told| told.as_str() == name) {
            self.0 |= 1 << index;
        }
    }

    /// Reads what is to be believed, and removes all of it.
    fn take(self, headers: &mut HeaderMap, trust: Trust, context: &mut Context) -> Result<(), Failure> {
        let present = TOLD.iter().enumerate().filter(|(index, _)| self.0 >> index & 1 == 1).map(|(_, name)| *name);
        for name in present {
            let mut values = headers.get_all(name).iter();
            match name.as_str() {
                "l5d-dtab" if trust.overrides => context.user_dtab = joined(headers, name)?,
                "l5d-dtab" => context.override_refused = true,
                _ if !trust.context => {}
                "l5d-ctx-dtab" => context.context_dtab = joined(headers, name)?,
                "l5d-ctx-deadline" => {
                    context.deadline = values.filter_map(Deadline::parse).reduce(Deadline::strictest);
                }
                "l5d-ctx-trace" => context.trace = values.next().and_then(TraceId::parse),
                "l5d-sample" => context.sample = values.next().and_then(sample),
                _ => {}
            }
            headers.remove(name);
        }
        Ok(())
    }
}

fn sample(value: &HeaderValue) -> Option<f32> {
    let rate = value.to_str().ok()?.trim().parse::<f32>().ok()?;
    (!rate.is_nan()).then(|| rate.clamp(0.0, 1.0))
}

/// Several headers of one name concatenate in order, as linkerd has it.
fn joined(headers: &HeaderMap, name: &HeaderName) -> Result<Option<HeaderValue>, Failure> {
    let mut values = headers.get_all(name).iter();
    let Some(first) = values.next() else { return Ok(None) };
    let mut value = first.clone();
    for next in values {
        // linkerd parses each and appends; one text with a `;` between says the same.
        let text = [without_semicolon(value.as_bytes()), b";", next.as_bytes()].concat();
        value = HeaderValue::from_bytes(&text).map_err(|_| Failure::new(Word::BadDtab, "a dtab header is no text"))?;
    }
    if value.len() > MAX_DTAB_BYTES {
        return Err(Failure::new(Word::BadDtab, format!("{name} is longer than {MAX_DTAB_BYTES} bytes")));
    }
    Ok(Some(value))
}

fn without_semicolon(text: &[u8]) -> &[u8] {
    let text = text.trim_ascii();
    text.strip_suffix(b";").unwrap_or(text)
}

/// Removes every header whose name starts with `l5d-`; tells whether `l5d-err` was one of them.
fn remove_all_l5d(headers: &mut HeaderMap) -> bool {
    let names: Vec<HeaderName> = headers.keys().filter(|name| name.as_str().starts_with("l5d-")).cloned().collect();
    let had_error = names.contains(&super::answer::L5D_ERR);
    for name in names {
        headers.remove(name);
    }
    had_error
}

/// Which kinds of field there are: one pass, so that a request without them costs no look-ups.
#[derive(Default)]
#[expect(clippy::struct_excessive_bools, reason = "a set of flags, each read once right after the scan")]
struct Found {
    l5d: bool,
    told: Told,
    tracing: bool,
    forwarded_cert: bool,
    hop_by_hop: HopByHop,
    via: bool,
}

/// What there is of fields for this hop alone. Most messages have nothing of it, or say only whether the connection is
/// kept; then one look-up does.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
enum HopByHop {
    #[default]
    Nothing,
    /// `Connection: close` or `keep-alive`, and only that.
    Persistence,
    More,
}

impl HopByHop {
    /// What is known after one more field.
    fn and(self, name: &str, value: &HeaderValue) -> Self {
        match name {
            "connection" if self == Self::Nothing && is_persistence(value.as_bytes()) => Self::Persistence,
            "connection"
            | "keep-alive"
            | "proxy-connection"
            | "te"
            | "transfer-encoding"
            | "upgrade"
            | "http2-settings"
            | "proxy-authorization"
            | "proxy-authenticate" => Self::More,
            _ => self,
        }
    }
}

fn is_persistence(connection: &[u8]) -> bool {
    connection.eq_ignore_ascii_case(b"keep-alive") || connection.eq_ignore_ascii_case(b"close")
}

impl Found {
    fn scan(headers: &HeaderMap) -> Self {
        let mut found = Self::default();
        for (name, value) in headers {
            match name.as_str() {
                "via" => found.via = true,
                "traceparent" | "tracestate" | "b3" => found.tracing = true,
                "x-forwarded-client-cert" => found.forwarded_cert = true,
                other if other.starts_with("l5d-") => {
                    found.l5d = true;
                    found.told.add(other);
                }
                other if other.starts_with("x-b3-") => found.tracing = true,
                other => found.hop_by_hop = found.hop_by_hop.and(other, value),
            }
        }
        found
    }
}

/// Whether a `TE: trailers` may go on.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Keep {
    TrailersInTe,
    Nothing,
}

/// Removes what Connection names, then what is hop-by-hop by itself (RFC 9110 section 7.6.1).
fn remove_hop_by_hop(headers: &mut HeaderMap, keep: Keep) {
    let trailers = keep == Keep::TrailersInTe
        && headers.get_all(TE).iter().any(|value| tokens(value).any(|token| token.eq_ignore_ascii_case("trailers")));
    let nominated: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .flat_map(tokens)
        .filter_map(|token| HeaderName::try_from(token).ok())
        // A nomination never takes away what routing and framing depend on.
        .filter(|name| *name != HOST && *name != http::header::CONTENT_LENGTH)
        .collect();
    for name in nominated {
        headers.remove(name);
    }
    for name in [CONNECTION, TE, TRANSFER_ENCODING, UPGRADE, PROXY_AUTHORIZATION, PROXY_AUTHENTICATE] {
        headers.remove(name);
    }
    for name in [&KEEP_ALIVE, &PROXY_CONNECTION, &HTTP2_SETTINGS] {
        headers.remove(name);
    }
    if trailers {
        headers.insert(TE, HeaderValue::from_static("trailers"));
    }
}

/// An `Upgrade` counts only where `Connection` names it (RFC 9110 section 7.8).
fn wanted_upgrade(headers: &HeaderMap) -> Option<HeaderValue> {
    let wanted = headers.get(UPGRADE)?;
    let mut named = headers.get_all(CONNECTION).iter().flat_map(tokens);
    named.any(|token| token.eq_ignore_ascii_case("upgrade")).then(|| wanted.clone())
}

/// The members of a list (RFC 9110 section 5.6.1).
pub fn tokens(value: &HeaderValue) -> impl Iterator<Item = &str> {
    value.to_str().unwrap_or_default().split(',').map(str::trim).filter(|token| !token.is_empty())
}

fn call_depth(headers: &HeaderMap) -> u32 {
    let entries =
        headers.get_all(VIA).iter().map(|value| value.as_bytes().split(|byte| *byte == b',').count()).sum::<usize>();
    u32::try_from(entries).unwrap_or(u32::MAX)
}

/// Appends this proxy to `Via`: with the version that the message was *received* in, existing entries in order.
pub fn append_via(headers: &mut HeaderMap, received: Version) {
    let own = match received {
        Version::HTTP_2 => "2 waypost",
        Version::HTTP_10 => "1.0 waypost",
        _ => "1.1 waypost",
    };
    match headers.entry(VIA) {
        Entry::Vacant(none) => drop(none.insert(HeaderValue::from_static(own))),
        Entry::Occupied(mut before) => {
            // One field line however long the way: lines are counted, and limited, by everybody who reads them.
            let mut list = Vec::with_capacity(before.iter().map(|line| line.len() + 2).sum::<usize>() + own.len());
            for line in before.iter() {
                list.extend_from_slice(line.as_bytes());
                list.extend_from_slice(b", ");
            }
            list.extend_from_slice(own.as_bytes());
            let value = HeaderValue::from_maybe_shared(Bytes::from(list));
            let value = value.unwrap_or_else(|_| HeaderValue::from_static(own));
            drop(before.insert_mult(value));
        }
    }
}

/// Headers that a route writes on every request that takes it; made once, with the route.
#[derive(Debug)]
pub struct RouteHeaders {
    /// `l5d-dst-service`: the logical path.
    pub service: HeaderValue,
    /// `l5d-ctx-dtab`: context and user dtab together, where there is one.
    pub dtab: Option<HeaderValue>,
}

/// Headers of one leaf of a route.
#[derive(Debug)]
pub struct LeafHeaders {
    /// `l5d-dst-client`: the bound path.
    pub client: HeaderValue,
    /// `l5d-dst-residual`, where there is one.
    pub residual: Option<HeaderValue>,
    /// Replaces `Host`, where the policy says so.
    pub host: Option<HeaderValue>,
    /// Endpoints outside the mesh get none of these.
    pub strip_context: bool,
    /// Endpoints are told of the caller's verified certificate.
    pub forward_client_cert: bool,
}

/// Context that an endpoint outside the mesh was not to see. It stays with the request, which may come back unsent.
#[derive(Clone, Debug)]
struct SetAside(HeaderMap);

/// Writes where the request goes.
pub fn write_destination(parts: &mut Parts, route: &RouteHeaders, leaf: &LeafHeaders) {
    let headers = &mut parts.headers;
    if let Some(host) = &leaf.host {
        headers.insert(HOST, host.clone());
    }
    if leaf.strip_context {
        parts.extensions.insert(SetAside(take_context(headers)));
        return;
    }
    headers.insert(L5D_DST_SERVICE.clone(), route.service.clone());
    headers.insert(L5D_DST_CLIENT.clone(), leaf.client.clone());
    if let Some(residual) = &leaf.residual {
        headers.insert(L5D_DST_RESIDUAL.clone(), residual.clone());
    }
    if let Some(dtab) = &route.dtab {
        headers.insert(L5D_CTX_DTAB.clone(), dtab.clone());
    }
}

/// Tells the endpoint of the caller's verified certificate; what a caller says of itself was removed before.
pub fn forward_certificate(headers: &mut HeaderMap, certificate: Option<&HeaderValue>) {
    if let Some(certificate) = certificate {
        headers.insert(X_FORWARDED_CLIENT_CERT.clone(), certificate.clone());
    }
}

/// Takes off what is for the mesh alone: `l5d-*`, and traces.
fn take_context(headers: &mut HeaderMap) -> HeaderMap {
    let is_context = |name: &&HeaderName| name.as_str().starts_with("l5d-") || TRACING.contains(&name.as_str());
    let names: Vec<HeaderName> = headers.keys().filter(is_context).cloned().collect();
    let mut taken = HeaderMap::new();
    for name in names {
        if let Entry::Occupied(entry) = headers.entry(&name) {
            let (name, values) = entry.remove_entry_mult();
            for value in values {
                taken.append(&name, value);
            }
        }
    }
    taken
}

/// Undoes [`write_destination`] and [`forward_certificate`], for another attempt that may go elsewhere.
pub fn forget_destination(parts: &mut Parts, host: Option<&HeaderValue>) {
    let headers = &mut parts.headers;
    if let Some(SetAside(context)) = parts.extensions.remove() {
        headers.extend(context);
    }
    headers.remove(&L5D_DST_RESIDUAL);
    headers.remove(&X_FORWARDED_CLIENT_CERT);
    if let Some(host) = host {
        headers.insert(HOST, host.clone());
    }
}

/// Writes what the next hop is told of this call: its trace and how long it may take.
pub fn write_context(headers: &mut HeaderMap, context: &Context, deadline: Option<Deadline>, rng: &mut impl Rng) {
    let trace = TraceId::next(context.trace, context.sample, rng);
    headers.insert(L5D_CTX_TRACE.clone(), once(trace.to_header()));
    headers.insert(L5D_REQID.clone(), once(trace.request_id()));
    if let Some(deadline) = deadline {
        headers.insert(L5D_CTX_DEADLINE.clone(), once(deadline.to_header(SystemTime::now())));
    }
}

/// No other request has this value: HTTP/2 is not to keep it in its table of fields, where it would displace what comes
/// with each request (a never-indexed literal, RFC 7541 section 6.2.3).
fn once(mut value: HeaderValue) -> HeaderValue {
    value.set_sensitive(true);
    value
}

/// For the first request on a connection of HTTP/2: what [`write_context`] wrote goes into the table this once, so that
/// the later ones find its names there.
pub fn teach_names(headers: &mut HeaderMap) {
    for name in [&L5D_CTX_TRACE, &L5D_REQID, &L5D_CTX_DEADLINE] {
        if let Some(value) = headers.get_mut(name) {
            value.set_sensitive(false);
        }
    }
}

/// Takes off a response what is for this hop only. With `clear`, tells whether its body must go too: it explains an
/// error of the inside to somebody outside.
pub fn clean_response(headers: &mut HeaderMap, clear: bool) -> bool {
    let found = headers.iter().fold(HopByHop::default(), |found, (name, value)| found.and(name.as_str(), value));
    match found {
        HopByHop::Nothing => {}
        HopByHop::Persistence => drop(headers.remove(CONNECTION)),
        HopByHop::More => {
            if headers.contains_key(TRANSFER_ENCODING) {
                // Two framings in one response: Transfer-Encoding is the one that was read (RFC 9112 section 6.3).
                headers.remove(http::header::CONTENT_LENGTH);
            }
            remove_hop_by_hop(headers, Keep::Nothing);
        }
    }
    clear && remove_all_l5d(headers)
}

/// Takes off trailers what would say something else than the header did, about framing, routing, who asks or how the
/// content is to be read (RFC 9110 section 6.5.1): some readers merge the two.
pub fn clean_trailers(trailers: &mut HeaderMap) {
    let misplaced: Vec<HeaderName> = trailers.keys().filter(|name| is_misplaced(name.as_str())).cloned().collect();
    for name in misplaced {
        trailers.remove(name);
    }
}

fn is_misplaced(name: &str) -> bool {
    matches!(
        name,
        "authorization"
            | "cache-control"
            | "connection"
            | "content-encoding"
            | "content-length"
            | "content-range"
            | "content-type"
            | "cookie"
            | "expect"
            | "host"
            | "http2-settings"
            | "keep-alive"
            | "max-forwards"
            | "proxy-authenticate"
            | "proxy-authorization"
            | "proxy-connection"
            | "set-cookie"
            | "te"
            | "trailer"
            | "transfer-encoding"
            | "upgrade"
            | "via"
            | "www-authenticate"
            | "x-forwarded-client-cert"
    ) || name.starts_with("l5d-")
}

/// Longest dtab that a request may bring.
pub const MAX_DTAB_BYTES: usize = 8 * 1024;

/// What one waypost tells the next, and what a person asks for: nothing of it goes on as it came.
static TOLD: [&HeaderName; 7] =
    [&L5D_CTX_DTAB, &L5D_DTAB, &L5D_CTX_DEADLINE, &L5D_CTX_TRACE, &L5D_SAMPLE, &L5D_CLIENT_ID, &L5D_DST_RESIDUAL];

/// What other tracing systems tell the next hop.
static TRACING: [&str; 8] = [
    "traceparent",
    "tracestate",
    "b3",
    "x-b3-traceid",
    "x-b3-spanid",
    "x-b3-parentspanid",
    "x-b3-sampled",
    "x-b3-flags",
];

/// A person's rules for one request.
pub static L5D_DTAB: HeaderName = HeaderName::from_static("l5d-dtab");
/// The rules that came with the call so far.
pub static L5D_CTX_DTAB: HeaderName = HeaderName::from_static("l5d-ctx-dtab");
/// Who the verified caller is.
pub static L5D_CLIENT_ID: HeaderName = HeaderName::from_static("l5d-client-id");
/// Whether the response was a success, as a weight.
pub static L5D_SUCCESS_CLASS: HeaderName = HeaderName::from_static("l5d-success-class");
static L5D_CTX_DEADLINE: HeaderName = HeaderName::from_static("l5d-ctx-deadline");
static L5D_CTX_TRACE: HeaderName = HeaderName::from_static("l5d-ctx-trace");
static L5D_SAMPLE: HeaderName = HeaderName::from_static("l5d-sample");
static L5D_REQID: HeaderName = HeaderName::from_static("l5d-reqid");
static L5D_DST_SERVICE: HeaderName = HeaderName::from_static("l5d-dst-service");
static L5D_DST_CLIENT: HeaderName = HeaderName::from_static("l5d-dst-client");
static L5D_DST_RESIDUAL: HeaderName = HeaderName::from_static("l5d-dst-residual");
static KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
static PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");
static HTTP2_SETTINGS: HeaderName = HeaderName::from_static("http2-settings");
static X_FORWARDED_CLIENT_CERT: HeaderName = HeaderName::from_static("x-forwarded-client-cert");

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::pin::Pin;
    use std::task::Poll;
    use std::time::Duration;

    use http::Request;
    use rand::SeedableRng;
    use rand::rngs::SmallRng;
    use tokio::io::AsyncReadExt;

    use super::*;

    #[tokio::test]
    async fn what_differs_in_each_request_displaces_nothing_in_the_table_of_http2() {
        let (near, mut far) = tokio::io::duplex(1 << 20);
        let (mut sender, mut connection) = h2::client::handshake(near).await.expect("a preface");
        let (mut rng, mut streams) = (SmallRng::seed_from_u64(1), Vec::new());
        for number in 0..50 {
            let request = Request::get("http://web/").header("user-agent", "x".repeat(60));
            let mut request = request.body(()).expect("a request");
            let deadline = Deadline::after(Duration::from_secs(1), SystemTime::now());
            write_context(request.headers_mut(), &Context::default(), Some(deadline), &mut rng);
            if number == 0 {
                teach_names(request.headers_mut());
            }
            streams.push(sender.send_request(request, true).expect("a stream"));
            let polled = poll_fn(|cx| Poll::Ready(Pin::new(&mut connection).poll(cx))).await;
            assert!(polled.is_pending(), "it is open");
        }
        drop((sender, streams, connection));
        let mut written = Vec::new();
        far.read_to_end(&mut written).await.expect("all that was written");

        let mut rest = written.strip_prefix(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").expect("the preface");
        let mut heads = Vec::new();
        // RFC 9113 section 4.1: three bytes of length, one of the kind (HEADERS is 1), and so on up to nine.
        while let [a, b, c, kind, _, _, _, _, _, more @ ..] = rest {
            let length = usize::try_from(u32::from_be_bytes([0, *a, *b, *c])).expect("a length");
            if *kind == 1 {
                heads.push(length);
            }
            rest = &more[length..];
        }
        let (first, later) = heads.split_first().expect("heads");
        assert_eq!(later.len(), 49);
        assert!(later.iter().all(|length| *length < first * 2 / 3), "{heads:?}");
    }
}
