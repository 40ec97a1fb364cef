//! The answers that waypost gives itself: one word, one status, one text, for people and for machines.
//!
//! A [`Failure`] is built from what was decided and tried, never by looking anything up again. The table of words is
//! the `match` in `Word::row`.

use std::borrow::Cow;

use http::header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, Version};

use waypost_naming::{DelegateError, Path};
use waypost_routing::{Addresses, Outcome};

use crate::body::{BodyError, ResponseBody};

/// What went wrong, in the word that `waypost-error` carries.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Word {
    /// No identifier names the request.
    Unidentified,
    /// A dtab header that does not parse, or is too long.
    BadDtab,
    /// The request is ambiguous or malformed.
    BadRequest,
    /// CONNECT, which a gateway does not offer.
    MethodNotAllowed,
    /// The request went through too many proxies.
    CallDepth,
    /// No name for the logical path.
    Negative,
    /// Delegation came to a `!`.
    Failed,
    /// Delegation came to a `$`.
    Empty,
    /// Rules that go round in circles, or grow without end.
    DelegationDepth,
    /// Bound, but there is nobody.
    NoEndpoints,
    /// A namer could not answer.
    NamerError,
    /// No connection to an endpoint.
    Connect,
    /// No connection in time.
    ConnectTimeout,
    /// The peer's certificate has another name.
    TlsName,
    /// The peer's certificate is not from a trusted authority.
    TlsUntrusted,
    /// The peer's certificate is out of its time.
    TlsExpired,
    /// The peer's certificate was revoked.
    TlsRevoked,
    /// Any other failure of the handshake.
    TlsOther,
    /// The policy has no name for this bound path, and may not go without.
    TlsStrict,
    /// The endpoint closed, or spoke nonsense, before a response.
    BadResponse,
    /// The server is at `max_concurrent_requests`.
    Overloaded,
    /// Too many requests wait for a connection.
    QueueFull,
    /// Discovery gave no first answer in time.
    BindingTimeout,
    /// An attempt, total or deadline time out.
    Timeout,
    /// The head did not arrive in time.
    RequestTimeout,
    /// The body is longer than allowed.
    BodyTooLong,
    /// The target is longer than allowed.
    TargetTooLong,
    /// The head is longer than allowed.
    HeadTooLong,
    /// The caller is known, and not one of those in `authorize`.
    Unauthorized,
    /// A protocol that is not offered in place of HTTP.
    NotImplemented,
    /// An Expect that nobody here can meet.
    ExpectationFailed,
    /// A version of HTTP that nobody here speaks.
    Version,
    /// A broken promise of our own.
    Internal,
}

impl Word {
    /// The table: the word itself, the status that goes with it, and what a gRPC caller is told (the mapping of HTTP
    /// statuses in the gRPC specification, with time outs kept apart).
    const fn row(self) -> (&'static str, StatusCode, &'static str) {
        match self {
            Self::Unidentified => ("unidentified", StatusCode::BAD_REQUEST, "13"),
            Self::BadDtab => ("bad_dtab", StatusCode::BAD_REQUEST, "13"),
            Self::BadRequest => ("bad_request", StatusCode::BAD_REQUEST, "13"),
            Self::MethodNotAllowed => ("method_not_allowed", StatusCode::METHOD_NOT_ALLOWED, "12"),
            Self::CallDepth => ("call_depth", StatusCode::BAD_REQUEST, "13"),
            Self::Negative => ("negative", StatusCode::BAD_GATEWAY, "14"),
            Self::Failed => ("failed", StatusCode::BAD_GATEWAY, "14"),
            Self::Empty => ("empty", StatusCode::BAD_GATEWAY, "14"),
            Self::DelegationDepth => ("delegation_depth", StatusCode::BAD_GATEWAY, "14"),
            Self::NoEndpoints => ("no_endpoints", StatusCode::BAD_GATEWAY, "14"),
            Self::NamerError => ("namer_error", StatusCode::BAD_GATEWAY, "14"),
            Self::Connect => ("connect", StatusCode::BAD_GATEWAY, "14"),
            Self::ConnectTimeout => ("connect_timeout", StatusCode::BAD_GATEWAY, "14"),
            Self::TlsName => ("tls_name", StatusCode::BAD_GATEWAY, "14"),
            Self::TlsUntrusted => ("tls_untrusted", StatusCode::BAD_GATEWAY, "14"),
            Self::TlsExpired => ("tls_expired", StatusCode::BAD_GATEWAY, "14"),
            Self::TlsRevoked => ("tls_revoked", StatusCode::BAD_GATEWAY, "14"),
            Self::TlsOther => ("tls_other", StatusCode::BAD_GATEWAY, "14"),
            Self::TlsStrict => ("tls_strict", StatusCode::BAD_GATEWAY, "14"),
            Self::BadResponse => ("bad_response", StatusCode::BAD_GATEWAY, "14"),
            Self::Overloaded => ("overloaded", StatusCode::SERVICE_UNAVAILABLE, "14"),
            Self::QueueFull => ("queue_full", StatusCode::SERVICE_UNAVAILABLE, "14"),
            Self::BindingTimeout => ("binding_timeout", StatusCode::SERVICE_UNAVAILABLE, "14"),
            Self::Timeout => ("timeout", StatusCode::GATEWAY_TIMEOUT, "4"),
            Self::RequestTimeout => ("request_timeout", StatusCode::REQUEST_TIMEOUT, "4"),
            Self::BodyTooLong => ("body_too_long", StatusCode::PAYLOAD_TOO_LARGE, "8"),
            Self::TargetTooLong => ("target_too_long", StatusCode::URI_TOO_LONG, "8"),
            Self::HeadTooLong => ("head_too_long", StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "8"),
            Self::Unauthorized => ("unauthorized", StatusCode::FORBIDDEN, "7"),
            Self::NotImplemented => ("not_implemented", StatusCode::NOT_IMPLEMENTED, "12"),
            Self::ExpectationFailed => ("expectation_failed", StatusCode::EXPECTATION_FAILED, "13"),
            Self::Version => ("version", StatusCode::HTTP_VERSION_NOT_SUPPORTED, "12"),
            Self::Internal => ("internal", StatusCode::INTERNAL_SERVER_ERROR, "13"),
        }
    }

    /// What delegation came to, where that is nothing to send a request to.
    pub const fn undecided(outcome: &Outcome) -> Option<Self> {
        Some(match outcome {
            Outcome::Bound => return None,
            Outcome::Negative => Self::Negative,
            Outcome::Failed => Self::Failed,
            Outcome::Empty => Self::Empty,
            Outcome::Pending => Self::BindingTimeout,
            Outcome::Error(DelegateError::Namer { .. }) => Self::NamerError,
            Outcome::Error(DelegateError::MaxDepth { .. } | DelegateError::MaxLookups { .. }) => Self::DelegationDepth,
        })
    }

    /// The peer is not who it should be.
    pub const fn is_identity(self) -> bool {
        matches!(self, Self::TlsName | Self::TlsUntrusted | Self::TlsExpired | Self::TlsRevoked | Self::TlsStrict)
    }

    /// The request itself is at fault, whatever endpoint it was on its way to.
    pub const fn is_callers(self) -> bool {
        matches!(self, Self::BadRequest | Self::BodyTooLong | Self::RequestTimeout)
    }

    /// The word itself.
    pub const fn as_str(self) -> &'static str {
        self.row().0
    }

    /// The status that goes with it.
    pub const fn status(self) -> StatusCode {
        self.row().1
    }

    const fn grpc_status(self) -> &'static str {
        self.row().2
    }
}

/// A request that waypost has to answer itself.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// What went wrong.
    pub word: Word,
    /// At which step, for which path, and what was tried: one line.
    pub message: Cow<'static, str>,
    /// What a person can do to learn more: one line of the body.
    pub hint: Option<Box<str>>,
    /// Nothing reached an endpoint: whoever asked may ask again, whatever the method.
    pub retryable: bool,
    /// Nothing more is read from this connection (RFC 9112 section 6.3).
    pub close: bool,
}

impl Failure {
    /// A failure after which the connection goes on, and of which something may have reached an endpoint.
    pub fn new(word: Word, message: impl Into<Cow<'static, str>>) -> Self {
        Self { word, message: message.into(), hint: None, retryable: false, close: false }
    }

    /// Bound, but there is nobody: with what discovery says of that.
    pub fn no_endpoints(logical: &Path, bound: &Path, addresses: &Addresses) -> Self {
        let why = match addresses {
            Addresses::Bound(_) => String::new(),
            Addresses::Neg => ": discovery knows no such name".to_owned(),
            Addresses::Failed(cause) => format!(": {}", cause.reason),
            Addresses::Pending => ": discovery has not answered yet".to_owned(),
        };
        Self::new(Word::NoEndpoints, format!("{logical}: bound to {bound}, which has no endpoints{why}")).retryable()
    }

    /// Nothing reached an endpoint.
    #[must_use]
    pub fn retryable(mut self) -> Self {
        self.retryable = true;
        self
    }

    /// A line for people, below the message.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<Box<str>>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The request's end cannot be told: the connection ends with this answer.
    #[must_use]
    pub fn closing(mut self) -> Self {
        self.close = true;
        self
    }
}

impl From<&BodyError> for Failure {
    /// A request's own body broke off, or was too long: not the endpoint's doing.
    fn from(body: &BodyError) -> Self {
        let word = match body {
            BodyError::TooLong { .. } => Word::BodyTooLong,
            BodyError::Stalled { .. } => Word::RequestTimeout,
            BodyError::Http1(_) | BodyError::Http2(_) | BodyError::Unwanted => Word::BadRequest,
        };
        Self::new(word, body.to_string()).closing()
    }
}

/// What an answer depends on besides the failure: how it was asked.
#[derive(Clone, Copy, Debug)]
pub struct Asked {
    /// The version of the request.
    pub version: Version,
    /// Whether a response may have a body.
    pub head_only: bool,
    /// Whether the caller speaks gRPC.
    pub grpc: bool,
}

impl Asked {
    /// Reads it off a request's head.
    pub fn of(method: &Method, version: Version, headers: &HeaderMap) -> Self {
        let grpc = version == Version::HTTP_2
            && headers.get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"));
        Self { version, head_only: method == Method::HEAD, grpc }
    }
}

/// The response for `failure`.
pub fn answer(failure: &Failure, asked: Asked) -> Response<ResponseBody> {
    let line = header_line(&failure.message);
    let mut response = if asked.grpc { grpc(failure, &line) } else { plain(failure, asked) };
    let headers = response.headers_mut();
    headers.insert(WAYPOST_ERROR.clone(), HeaderValue::from_static(failure.word.as_str()));
    headers.insert(L5D_ERR.clone(), line);
    if failure.retryable {
        headers.insert(L5D_RETRYABLE.clone(), HeaderValue::from_static("true"));
    }
    if failure.close && asked.version != Version::HTTP_2 {
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// The body, for people.
fn text(failure: &Failure) -> String {
    let hint = failure.hint.as_deref().map(|hint| format!("{hint}\n")).unwrap_or_default();
    format!("waypost: {}\n{}\n{hint}", failure.word.as_str(), failure.message)
}

fn plain(failure: &Failure, asked: Asked) -> Response<ResponseBody> {
    let text = text(failure);
    let length = HeaderValue::from(text.len());
    let body = if asked.head_only { ResponseBody::own("") } else { ResponseBody::own(text) };
    let mut response = Response::new(body);
    *response.status_mut() = failure.word.status();
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response.headers_mut().insert(CONTENT_LENGTH, length);
    if failure.word == Word::MethodNotAllowed {
        response.headers_mut().insert(http::header::ALLOW, HeaderValue::from_static(ALLOWED));
    }
    response
}

/// A trailers-only response: the status is in the head, and there is no body.
fn grpc(failure: &Failure, line: &HeaderValue) -> Response<ResponseBody> {
    let mut response = Response::new(ResponseBody::own(""));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    headers.insert(HeaderName::from_static("grpc-status"), HeaderValue::from_static(failure.word.grpc_status()));
    headers.insert(HeaderName::from_static("grpc-message"), line.clone());
    response
}

/// The bytes of an answer on an HTTP/1.1 connection whose request never became one.
pub fn raw_answer(failure: &Failure) -> Vec<u8> {
    let status = failure.word.status();
    let text = text(failure);
    let line = header_line(&failure.message);
    let mut out = format!(
        "HTTP/1.1 {} {}\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: {}\r\nconnection: close\r\n\
         waypost-error: {}\r\nl5d-err: ",
        status.as_str(),
        status.canonical_reason().unwrap_or("Error"),
        text.len(),
        failure.word.as_str(),
    )
    .into_bytes();
    out.extend_from_slice(line.as_bytes());
    out.extend_from_slice(
        format!("\r\ndate: {}\r\n\r\n{text}", httpdate::fmt_http_date(std::time::SystemTime::now())).as_bytes(),
    );
    out
}

/// One line that any header may carry: what is not printable ASCII is percent-encoded, and it ends after
/// `MAX_ERROR_BYTES`.
pub fn header_line(message: &str) -> HeaderValue {
    let mut line = String::with_capacity(message.len().min(MAX_ERROR_BYTES));
    for byte in message.bytes() {
        if line.len() + 3 > MAX_ERROR_BYTES {
            break;
        }
        match byte {
            b' '..=b'~' if byte != b'%' => line.push(char::from(byte)),
            _ => line.push_str(&format!("%{byte:02X}")),
        }
    }
    HeaderValue::try_from(line).unwrap_or_else(|_| HeaderValue::from_static("error"))
}

/// What may be asked for; the endpoint has the last word.
pub const ALLOWED: &str = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS, TRACE";

/// Longest `l5d-err`.
const MAX_ERROR_BYTES: usize = 2048;

/// Machine's word for the failure.
pub static WAYPOST_ERROR: HeaderName = HeaderName::from_static("waypost-error");
/// People's line for the failure, as linkerd names it.
pub static L5D_ERR: HeaderName = HeaderName::from_static("l5d-err");
/// Present and `true` where nothing reached an endpoint.
pub static L5D_RETRYABLE: HeaderName = HeaderName::from_static("l5d-retryable");
