//! A request, before it is known which protocol carries it.

use http::{HeaderName, HeaderValue, Method, Request, Version};

use crate::wire::{Fields, chunk, field};

/// A request to send: method, authority, target, fields and body.
#[derive(Clone, Debug)]
pub struct Ask {
    /// Method.
    pub method: String,
    /// Host, or `:authority`.
    pub host: String,
    /// Path and query.
    pub target: String,
    /// Further fields, in order.
    pub fields: Fields,
    /// The body; `None` is no body and no Content-Length.
    pub body: Option<Vec<u8>>,
}

impl Ask {
    /// Any method.
    pub fn new(method: &str, host: &str, target: &str) -> Self {
        Self { method: method.into(), host: host.into(), target: target.into(), fields: Fields::new(), body: None }
    }

    /// A GET.
    pub fn get(host: &str, target: &str) -> Self {
        Self::new("GET", host, target)
    }

    /// A POST with a body.
    pub fn post(host: &str, target: &str, body: impl Into<Vec<u8>>) -> Self {
        Self { body: Some(body.into()), ..Self::new("POST", host, target) }
    }

    /// One more field.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.fields.push((name.into(), value.into()));
        self
    }

    /// As an HTTP/1.1 message. A body goes with Content-Length, or in one chunk where the fields say so.
    pub fn to_http1(&self) -> Vec<u8> {
        let mut message = self.http1_head().into_bytes();
        match &self.body {
            Some(body) if self.is_chunked() && !body.is_empty() => {
                message.extend(chunk(body));
                message.extend_from_slice(b"0\r\n\r\n");
            }
            Some(_) if self.is_chunked() => message.extend_from_slice(b"0\r\n\r\n"),
            Some(body) => message.extend_from_slice(body),
            None => {}
        }
        message
    }

    fn http1_head(&self) -> String {
        let mut head = format!("{} {} HTTP/1.1\r\nHost: {}\r\n", self.method, self.target, self.host);
        for (name, value) in &self.fields {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if let (Some(body), false) = (&self.body, self.is_chunked()) {
            head.push_str(&format!("Content-Length: {}\r\n", body.len()));
        }
        head + "\r\n"
    }

    fn is_chunked(&self) -> bool {
        field(&self.fields, "transfer-encoding").is_some()
    }

    /// As an HTTP/2 head.
    pub fn to_http2(&self, scheme: &str) -> Request<()> {
        let mut request = Request::new(());
        *request.version_mut() = Version::HTTP_2;
        *request.method_mut() = Method::from_bytes(self.method.as_bytes()).expect("a method");
        *request.uri_mut() =
            format!("{scheme}://{}{}", self.host, self.target).parse().expect("an authority and a path");
        for (name, value) in &self.fields {
            let name = HeaderName::from_bytes(name.as_bytes()).expect("a field name");
            request.headers_mut().append(name, HeaderValue::from_str(value).expect("a field value"));
        }
        request
    }
}
