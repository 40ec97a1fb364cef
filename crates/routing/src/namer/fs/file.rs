//! The text of a name's file: one endpoint a line, `host port` or `host port * weight`; `#` starts a comment.

use std::net::{IpAddr, SocketAddr};

use waypost_naming::Span;

use super::super::host::{BadHost, Host};
use crate::address::Endpoint;

/// One endpoint as it is written.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Line {
    pub(super) host: Host,
    port: u16,
    weight: f64,
}

impl Line {
    pub(super) const fn at(&self, ip: IpAddr) -> Endpoint {
        Endpoint { addr: SocketAddr::new(ip, self.port), weight: self.weight }
    }
}

/// Why a line is no endpoint, and where.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct BadLine {
    pub(super) kind: BadLineKind,
    pub(super) span: Span,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub(super) enum BadLineKind {
    #[error("{0}")]
    Host(#[from] BadHost),
    #[error("there is no port")]
    NoPort,
    #[error("a port is a number from 1 to 65535")]
    Port,
    #[error("after the port only `* weight` may follow")]
    Rest,
    #[error("a weight is a number that is not negative")]
    Weight,
}

/// Reads a whole file: one malformed line fails it, so that a half-written file takes no endpoint out.
pub(super) fn parse(text: &str) -> Result<Vec<Line>, BadLine> {
    let mut lines = Vec::new();
    let mut start = 0;
    for line in text.split('\n') {
        let content = line.split('#').next().unwrap_or_default();
        if !content.trim().is_empty() {
            lines.push(endpoint(content, start)?);
        }
        start += line.len() + 1;
    }
    Ok(lines)
}

/// Reads one line, which begins at byte `start` of the text.
fn endpoint(content: &str, start: usize) -> Result<Line, BadLine> {
    let bad = |kind: BadLineKind, part: &str, from: usize| {
        let span = Span { start: start + from, end: start + from + part.len() };
        BadLine { kind, span }
    };
    let (host_text, from, rest, rest_from) = word(content, 0);
    let host = Host::parse(host_text).map_err(|error| bad(error.into(), host_text, from))?;
    let (port_text, from, rest, rest_from) = word(rest, rest_from);
    if port_text.is_empty() {
        return Err(bad(BadLineKind::NoPort, "", content.trim_end().len()));
    }
    let port = port_text.parse().ok().filter(|port| *port > 0 && port_text.bytes().all(|byte| byte.is_ascii_digit()));
    let port = port.ok_or_else(|| bad(BadLineKind::Port, port_text, from))?;
    let rest_from = rest_from + (rest.len() - rest.trim_start().len());
    let rest = rest.trim();
    let Some(weight_text) = rest.strip_prefix('*') else {
        return if rest.is_empty() {
            Ok(Line { host, port, weight: 1.0 })
        } else {
            Err(bad(BadLineKind::Rest, rest, rest_from))
        };
    };
    let weight = weight_text.trim().parse().ok().filter(|weight: &f64| weight.is_finite() && *weight >= 0.0);
    let weight = weight.ok_or_else(|| bad(BadLineKind::Weight, rest, rest_from))?;
    Ok(Line { host, port, weight })
}

/// The first word of `text`, which begins at `start`: the word, where it begins, the rest, where that begins.
fn word(text: &str, start: usize) -> (&str, usize, &str, usize) {
    let trimmed = text.trim_start();
    let from = start + (text.len() - trimmed.len());
    let (word, rest) = trimmed.split_at(trimmed.find(char::is_whitespace).unwrap_or(trimmed.len()));
    (word, from, rest, from + word.len())
}

#[cfg(test)]
mod tests {
    use waypost_naming::line_col;

    use super::*;

    fn shown(text: &str) -> Vec<(String, u16, f64)> {
        let lines = parse(text).unwrap_or_else(|error| panic!("{text:?}: {error:?}"));
        let host = |host: &Host| match host {
            Host::Ip(ip) => ip.to_string(),
            Host::Name(name) => name.to_string(),
        };
        lines.iter().map(|line| (host(&line.host), line.port, line.weight)).collect()
    }

    #[test]
    fn lines_are_endpoints() {
        let text = "127.0.0.1 8080\r\n\n  # nothing\n ::1\t8081 * 2.5 # heavy\nusers.local 80 *0\n";
        let expected = [("127.0.0.1", 8080, 1.0), ("::1", 8081, 2.5), ("users.local", 80, 0.0)];
        assert_eq!(shown(text), expected.map(|(host, port, weight)| (host.to_owned(), port, weight)));
        assert_eq!(shown("# only this"), []);
        assert_eq!(shown(""), []);
    }

    #[test]
    fn a_malformed_line_fails_the_file_at_its_place() {
        for (text, kind, place) in [
            ("127.0.0.1 80\n127.0.0.1\n", BadLineKind::NoPort, (2, 10)),
            ("127.0.0.1 80\n\n  127.0.0.1 x\n", BadLineKind::Port, (3, 13)),
            ("127.0.0.1 0", BadLineKind::Port, (1, 11)),
            ("127.0.0.1 +80", BadLineKind::Port, (1, 11)),
            ("127.0.0.1 65536", BadLineKind::Port, (1, 11)),
            ("127.0.0.1 80 81", BadLineKind::Rest, (1, 14)),
            ("127.0.0.1 80 * x", BadLineKind::Weight, (1, 14)),
            ("127.0.0.1 80 * -1", BadLineKind::Weight, (1, 14)),
            ("127.0.0.1 80 * inf", BadLineKind::Weight, (1, 14)),
            ("127.0.0.1:80", BadLineKind::Host(BadHost::Character), (1, 1)),
            ("  8080 127.0.0.1", BadLineKind::Host(BadHost::Number), (1, 3)),
        ] {
            let error = parse(text).unwrap_err();
            assert_eq!(error.kind, kind, "{text:?}");
            assert_eq!(line_col(text, error.span.start), place, "{text:?}");
        }
    }
}
