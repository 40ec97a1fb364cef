//! `forwarded` and `proxy_protocol` of a server: who a request is from, told to endpoints and told by balancers.

use super::caller::Caller;
use super::kinds::{Kind, Kinds};
use super::raw::{Item, Reader, Section};

/// What becomes of `Forwarded`, `X-Forwarded-*` and `X-Real-IP`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Forwarding {
    /// They go on as they came.
    Pass,
    /// They go no further.
    Drop,
    /// What came goes on, and this hop is added.
    Append(Fields),
    /// What came goes no further; this hop is told.
    Set(Fields),
}

/// In which fields a hop is told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Fields {
    /// `X-Forwarded-For`, `X-Forwarded-Proto`, `X-Forwarded-Host`.
    pub x_forwarded: bool,
    /// `Forwarded` (RFC 7239).
    pub forwarded: bool,
}

impl Forwarding {
    /// `forwarded`: a word, or a table with `kind` and `fields`.
    pub(super) fn read(section: &mut Section<'_>, reader: &mut Reader<'_>) -> Self {
        let Some(mut chosen) = section.take("forwarded").and_then(|item| MODES.choose(&item, reader)) else {
            return Self::Pass;
        };
        let fields = chosen.section.take("fields");
        chosen.section.finish(reader);
        let read = fields.map_or(Some(X_FORWARDED), |item| self::fields(&item, reader)).unwrap_or(X_FORWARDED);
        match chosen.is {
            Mode::Pass => Self::Pass,
            Mode::Drop => Self::Drop,
            Mode::Append => Self::Append(read),
            Mode::Set => Self::Set(read),
        }
    }

    /// As `/config.json` shows it.
    pub(super) fn words(self) -> (&'static str, Vec<&'static str>) {
        let fields = |fields: Fields| {
            let named = [(fields.x_forwarded, "x-forwarded"), (fields.forwarded, "forwarded")];
            named.into_iter().filter_map(|(told, name)| told.then_some(name)).collect()
        };
        match self {
            Self::Pass => ("pass", Vec::new()),
            Self::Drop => ("drop", Vec::new()),
            Self::Append(told) => ("append", fields(told)),
            Self::Set(told) => ("set", fields(told)),
        }
    }
}

fn fields(item: &Item<'_>, reader: &mut Reader<'_>) -> Option<Fields> {
    let mut fields = Fields { x_forwarded: false, forwarded: false };
    for item in item.list(reader)? {
        match item.text(reader)? {
            "x-forwarded" => fields.x_forwarded = true,
            "forwarded" => fields.forwarded = true,
            other => {
                let hint = "there are \"x-forwarded\" and \"forwarded\"";
                reader.error_hint("bad-value", item.value, format!("`{other}` is none of the fields"), hint);
            }
        }
    }
    Some(fields)
}

/// `proxy_protocol`: the peers that tell whom they speak for; `false` for nobody.
pub(super) fn proxy_protocol(section: &mut Section<'_>, reader: &mut Reader<'_>) -> Vec<Caller> {
    let Some(item) = section.take("proxy_protocol") else { return Vec::new() };
    let hint = "name the balancers that stand in front: proxy_protocol = [\"10.0.0.0/8\", \"192.0.2.7\"]";
    if !item.is_list() {
        if item.boolean(reader) == Some(true) {
            reader.error_hint("bad-value", item.value, "anybody could say that he is anybody else", hint);
        }
        return Vec::new();
    }
    let items = item.list(reader).unwrap_or_default();
    if items.is_empty() {
        reader.error_hint("bad-value", item.value, "an empty list of balancers", hint);
    }
    items.iter().filter_map(|item| Caller::network(item, hint, reader)).collect()
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Mode {
    Pass,
    Drop,
    Append,
    Set,
}

const MODES: Kinds<Mode> = Kinds {
    of: "way with forwarded fields",
    known: &[
        Kind::new("pass", &[], Mode::Pass),
        Kind::new("drop", &[], Mode::Drop),
        Kind::new("append", &[], Mode::Append),
        Kind::new("set", &[], Mode::Set),
    ],
    not_yet: &[],
};
const X_FORWARDED: Fields = Fields { x_forwarded: true, forwarded: false };
