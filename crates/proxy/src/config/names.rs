//! From an [`Item`] to what `waypost_naming` reads: paths, patterns, templates. A mistake inside the text is shown at
//! its own character of the file.

use http::{HeaderName, HeaderValue};
use waypost_naming::{Finding, Path, Pattern, Segment, Span, Template, TemplateError};
use waypost_routing::PeerName;

use super::escapes::Origins;
use super::lint::{self, Lint, Suspect};
use super::raw::{Item, Reader};

impl Reader<'_> {
    /// Where the content of a string stands.
    pub(super) fn origins(&self, item: &Item<'_>) -> Origins {
        let written = self.source().text.get(item.value.start..item.value.end).unwrap_or("");
        Origins::of(written, item.value.start)
    }

    /// Reports what is suspicious about a part of the text of `item`.
    fn suspect_within(&mut self, item: &Item<'_>, lint: Lint, suspect: Suspect) {
        let span = Span::new(suspect.range.start, suspect.range.end);
        let span = self.origins(item).in_file(span);
        self.warning(lint, span, suspect.message, suspect.hint);
    }

    /// Reports a mistake at `span` of the text of `item`.
    fn error_within(&mut self, item: &Item<'_>, code: &'static str, span: Span, message: String, hint: Option<String>) {
        let finding = Finding::error(code, message).at(self.source().clone(), self.origins(item).in_file(span));
        self.report(match hint {
            Some(hint) => finding.hint(hint),
            None => finding,
        });
    }
}

impl<'d> Item<'d> {
    /// `/svc/users`.
    pub(super) fn name_path(&self, reader: &mut Reader<'_>) -> Option<Path> {
        let text = self.text(reader)?;
        match Path::parse(text) {
            Ok(path) => Some(path),
            Err(error) => {
                let hint = error.kind.hint().map(str::to_owned);
                reader.error_within(self, "bad-path", error.span, error.to_string(), hint);
                None
            }
        }
    }

    /// `lab`, or as linkerd writes it `/lab`: what stands behind `/#` in the names of a namer, behind `/%` in those of
    /// a transformer. `of`: whose prefix it is, and an example.
    pub(super) fn prefix_behind(&self, mark: &str, of: (&str, &str), reader: &mut Reader<'_>) -> Option<Path> {
        let text = self.text(reader)?;
        let slashed = if text.starts_with('/') { text.to_owned() } else { format!("/{text}") };
        let path = Path::parse(&slashed).ok().filter(|path| !path.is_empty());
        match path {
            Some(path) if path.segments().first().is_some_and(|first| first.as_bytes() == mark.as_bytes()) => {
                let without = path.drop(1).to_string();
                let hint = format!("write \"{}\"; names are then `{path}/...`", without.trim_start_matches('/'));
                reader.error_hint("bad-value", self.value, format!("a prefix is written without its `/{mark}`"), hint);
                None
            }
            Some(path) => Some(path),
            None => {
                let (who, example) = of;
                let hint = format!("such as \"{example}\"; names are then `/{mark}/{example}/...`");
                reader.error_hint("bad-value", self.value, format!("`{text}` is no prefix of a {who}"), hint);
                None
            }
        }
    }

    /// `/#/fs/{service}`, with its text.
    pub(super) fn pattern(&self, reader: &mut Reader<'_>) -> Option<(Pattern, &'d str)> {
        let text = self.text(reader)?;
        match Pattern::parse(text) {
            Ok(pattern) => {
                for suspect in lint::never_filled(text) {
                    reader.suspect_within(self, Lint::EmptyCapture, suspect);
                }
                Some((pattern, text))
            }
            Err(error) => {
                reader.error_within(self, "bad-pattern", error.span(), error.to_string(), None);
                None
            }
        }
    }

    /// A text with the captures of `pattern` in it.
    pub(super) fn template(&self, pattern: &Pattern, reader: &mut Reader<'_>) -> Option<Template> {
        let text = self.text(reader)?;
        if text.is_empty() {
            reader.error("bad-value", self.value, format!("`{}` must not be empty", self.name));
            return None;
        }
        match Template::parse(text, pattern) {
            Ok(template) => {
                if let Some(suspect) = lint::forgotten_braces(text, &template, pattern) {
                    reader.suspect_within(self, Lint::UnusedCapture, suspect);
                }
                Some(template)
            }
            Err(error @ TemplateError::Unclosed { .. }) => {
                reader.error_within(self, "bad-template", error.span(), error.to_string(), None);
                None
            }
            Err(error @ TemplateError::UnknownCapture { .. }) => {
                let captures: Vec<String> = pattern.names().map(|name| format!("`{{{name}}}`")).collect();
                let hint = if captures.is_empty() {
                    "the prefix that it belongs to captures nothing: write it with a `{name}`".to_owned()
                } else {
                    format!("the prefix makes {}", captures.join(", "))
                };
                reader.error_within(self, "unknown-capture", error.span(), error.to_string(), Some(hint));
                None
            }
        }
    }

    /// A template for the name of a TLS peer. Without captures it is checked whole; with them, when they are filled in.
    pub(super) fn peer_name(&self, pattern: &Pattern, reader: &mut Reader<'_>) -> Option<Template> {
        let template = self.template(pattern, reader)?;
        let text = self.as_text().unwrap_or_default();
        if !text.contains('{')
            && let Err(error) = PeerName::parse(text)
        {
            let hint = "a name is a DNS name, an IP address or a `spiffe://` URI";
            reader.error_hint("bad-peer-name", self.value, error.to_string(), hint);
            return None;
        }
        Some(template)
    }

    /// A template for a `Host` header.
    pub(super) fn host(&self, pattern: &Pattern, reader: &mut Reader<'_>) -> Option<Template> {
        let template = self.template(pattern, reader)?;
        let text = self.as_text().unwrap_or_default();
        let allowed = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'/' | b'?' | b'#' | b'@' | b'"');
        if !text.bytes().all(allowed) {
            let hint = "a host and maybe a port: \"users.example.com:8080\"";
            reader.error_hint("bad-value", self.value, format!("`{text}` is no value of a Host header"), hint);
            return None;
        }
        Some(template)
    }

    /// One segment: the name of a service.
    pub(super) fn segment_of(&self, name: &str, reader: &mut Reader<'_>) -> Option<Segment> {
        let segment = Segment::new(name.to_owned()).ok();
        if segment.is_none() {
            reader.error("bad-value", self.key, "a service's name must not be empty");
        }
        segment
    }

    /// The name of a header.
    pub(super) fn header(&self, reader: &mut Reader<'_>) -> Option<HeaderName> {
        let text = self.text(reader)?;
        let header = HeaderName::try_from(text).ok();
        if header.is_none() {
            let hint = if text == ":authority" { "write \"host\": it stands for both" } else { "such as \"host\"" };
            reader.error_hint("bad-value", self.value, format!("`{text}` is no name of a header"), hint);
        }
        header
    }

    /// Text that is shown to people and used as a metric's label.
    pub(super) fn label(&self, reader: &mut Reader<'_>) -> Option<&'d str> {
        let text = self.text(reader)?;
        let fine = !text.is_empty() && text.len() <= LONGEST_LABEL && !text.chars().any(char::is_control);
        if !fine || HeaderValue::try_from(text).is_err() {
            let message =
                format!("`{}` must have 1 to {LONGEST_LABEL} characters, none of them a control one", self.name);
            reader.error("bad-value", self.value, message);
            return None;
        }
        Some(text)
    }
}

const LONGEST_LABEL: usize = 100;
