//! `transformers`, of a namer or of a router: what is bound, bound otherwise.

use waypost_naming::{Path, Span};
use waypost_routing::{Network, NetworkError, Transformer, TransformerKind};

use super::kinds::{Chosen, Kind, Kinds};
use super::lint::Lint;
use super::raw::{Item, Reader, Section};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Is {
    Const,
    Replace,
    Port,
    Localhost,
    SpecificHost,
    Subnet,
}

/// The transformers at `item`, in their order; nothing where one of them is wrong.
pub(super) fn read(item: Option<&Item<'_>>, reader: &mut Reader<'_>) -> Option<Vec<Transformer>> {
    let items = item.map_or(Some(Vec::new()), |item| item.list(reader))?;
    let read: Vec<_> = items.iter().map(|item| Some((one(item, reader)?, item.value))).collect();
    let read: Vec<(Transformer, Span)> = read.into_iter().collect::<Option<_>>()?;
    supplanted(&read, reader);
    Some(read.into_iter().map(|(transformer, _)| transformer).collect())
}

/// Warns of those whose work a later one throws away.
fn supplanted(transformers: &[(Transformer, Span)], reader: &mut Reader<'_>) {
    let supplants = |kind: &TransformerKind| match kind {
        TransformerKind::Const { .. } => Some("const"),
        TransformerKind::Replace { .. } => Some("replace"),
        TransformerKind::Port { .. }
        | TransformerKind::Localhost { .. }
        | TransformerKind::SpecificHost { .. }
        | TransformerKind::Subnet { .. } => None,
    };
    let last = transformers.iter().rposition(|(transformer, _)| supplants(&transformer.kind).is_some());
    let Some((at, (last, place))) = last.and_then(|at| Some((at, transformers.get(at)?))) else { return };
    let (kind, place) = (supplants(&last.kind).unwrap_or_default(), reader.place(place.start));
    for (_, span) in transformers.iter().take(at) {
        let message = format!("nothing of what this transformer does is left: `{kind}` at {place} leads elsewhere");
        let hint = "leave it out, or let it stand behind: transformers act in the order of the list";
        reader.warning(Lint::UselessTransformer, *span, message, hint);
    }
}

fn one(item: &Item<'_>, reader: &mut Reader<'_>) -> Option<Transformer> {
    let Chosen { is, kind: spelled, mut section } = KINDS.choose(item, reader)?;
    let chosen = section.take("prefix").map(|item| item.prefix_behind("%", ("transformer", "near"), reader));
    let kind = kind(is, &mut section, reader);
    section.finish(reader);
    let kind = kind?;
    let prefix = match chosen {
        Some(chosen) => chosen?,
        None => kind.default_prefix(spelled.as_text().unwrap_or_default()),
    };
    Some(Transformer { prefix, kind })
}

fn kind(is: Is, section: &mut Section<'_>, reader: &mut Reader<'_>) -> Option<TransformerKind> {
    match is {
        Is::Const => path(section, reader).map(|path| TransformerKind::Const { path }),
        Is::Replace => path(section, reader).map(|path| TransformerKind::Replace { path }),
        Is::Port => {
            let item = section.require("port", reader)?;
            let port = item.port(reader)?;
            if port == 0 {
                reader.error("bad-port", item.value, "`port` must be from 1 to 65535, not 0");
            }
            (port != 0).then_some(TransformerKind::Port { port })
        }
        Is::Localhost => {
            let span = section.span();
            let localhost = TransformerKind::localhost();
            localhost
                .map_err(|error| {
                    reader.error("bad-value", span, format!("this machine does not tell its addresses: {error}"));
                })
                .ok()
        }
        Is::SpecificHost => {
            section.require("host", reader)?.ip(reader).map(|host| TransformerKind::SpecificHost { host })
        }
        Is::Subnet => {
            let item = section.require("network", reader)?;
            let parsed = item.text(reader)?.parse::<Network>();
            parsed
                .map_err(|error: NetworkError| {
                    reader.error_hint("bad-value", item.value, error.to_string(), "such as \"10.1.2.0/24\"");
                })
                .ok()
                .map(|network| TransformerKind::Subnet { network })
        }
    }
}

/// Where it leads instead; asked of the namers, so without rules.
fn path(section: &mut Section<'_>, reader: &mut Reader<'_>) -> Option<Path> {
    let item = section.require("path", reader)?;
    let path = item.name_path(reader)?;
    let system = path.segments().first().is_some_and(|first| matches!(first.as_bytes(), b"#" | b"$"));
    if !system {
        let hint = "it is asked of the namers alone: write \"/#/fs/users\" or \"/$/inet/127.0.0.1/80\"";
        reader.error_hint("bad-value", item.value, format!("no namer is asked for `{path}`"), hint);
    }
    system.then_some(path)
}

const KINDS: Kinds<Is> = Kinds {
    of: "transformer",
    known: &[
        Kind::new("const", &["io.l5d.const"], Is::Const),
        Kind::new("replace", &["io.l5d.replace"], Is::Replace),
        Kind::new("port", &["io.l5d.port"], Is::Port),
        Kind::new("localhost", &["io.l5d.localhost"], Is::Localhost),
        Kind::new("specific_host", &["io.l5d.specificHost"], Is::SpecificHost),
        Kind::new("subnet", &[], Is::Subnet),
    ],
    not_yet: &["io.l5d.k8s.daemonset", "io.l5d.k8s.localnode"],
};
