//! `[[namers]]`: where names are resolved, and what their bound paths look like.

use std::net::SocketAddr;
use std::path::PathBuf;

use waypost_naming::{Path, Place, Rewrite, Segment, Span};
use waypost_routing::{Endpoint, NamerConfig, NamerKind, Transformer};

use super::defaults;
use super::kinds::{Chosen, Kind, Kinds};
use super::lint::{self, Lint, Served};
use super::raw::{Item, Reader, Section};
use super::transformer;

#[derive(Clone, Copy, Debug)]
enum Is {
    Fs,
    Static,
    Rewrite,
}

/// A namer as people find it: what explanations call it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NamerOrigin {
    /// `fs`, `static` or `rewrite`.
    pub kind: &'static str,
    /// Where its files are.
    pub root_dir: Option<PathBuf>,
    /// The section's place.
    pub from: Place,
}

impl NamerOrigin {
    fn of(kind: &NamerKind, from: Place) -> Self {
        let (kind, root_dir) = match kind {
            NamerKind::Fs { root_dir } => ("fs", Some(root_dir.clone())),
            NamerKind::Static { .. } => ("static", None),
            NamerKind::Rewrite(_) => ("rewrite", None),
        };
        Self { kind, root_dir, from }
    }
}

/// The namers at `item`, each with its origin, and what they and the built-in ones answer for.
pub(super) fn read(item: Option<&Item<'_>>, reader: &mut Reader<'_>) -> (Vec<(NamerConfig, NamerOrigin)>, Served) {
    let mut served = Served::builtin();
    let mut namers = Vec::new();
    for section in item.map(|item| item.sections(reader)).unwrap_or_default() {
        let from = reader.place(section.span().start);
        match one(section, reader) {
            Some((prefix, kind, transformers)) => {
                served.add(&prefix, kind.as_ref(), &transformers);
                namers.extend(kind.map(|kind| {
                    let origin = NamerOrigin::of(&kind, from);
                    (NamerConfig { prefix, kind, transformers }, origin)
                }));
            }
            None => served.incomplete(),
        }
    }
    (namers, served)
}

/// The prefix, the kind unless something is wrong with it, and the transformers.
fn one(section: Section<'_>, reader: &mut Reader<'_>) -> Option<(Path, Option<NamerKind>, Vec<Transformer>)> {
    let Chosen { is, kind, mut section } = KINDS.choose_in(section, reader)?;
    let prefix = match section.take("prefix") {
        Some(item) => item.prefix_behind("#", ("namer", "lab"), reader),
        None => kind.as_text().and_then(|kind| Path::parse(&format!("/{kind}")).ok()),
    };
    let kind = match is {
        Is::Fs => fs(&mut section, reader),
        Is::Static => fixed(&mut section, reader),
        Is::Rewrite => rewrite(&mut section, reader),
    };
    let item = section.take("transformers");
    let transformers = transformer::read(item.as_ref(), reader);
    section.finish(reader);
    if let (Is::Rewrite, Some(item)) = (is, &item) {
        let hint = "let them stand on the namer that `name` leads to, or on the router";
        let message = "a `rewrite` namer binds nothing, so that nothing is transformed";
        reader.warning(Lint::UselessTransformer, item.key, message, hint);
    }
    Some((prefix?, kind, transformers?))
}

fn fs(section: &mut Section<'_>, reader: &mut Reader<'_>) -> Option<NamerKind> {
    let item = section.require("root_dir", reader)?;
    let root_dir = item.path(reader)?;
    match std::fs::metadata(&root_dir) {
        Ok(metadata) if metadata.is_dir() => Some(NamerKind::Fs { root_dir }),
        Ok(_) => {
            reader.error("bad-path", item.value, format!("{}: not a directory", root_dir.display()));
            None
        }
        Err(error) => {
            let message = format!("{}: {}", root_dir.display(), super::describe(&error));
            reader.error("missing-file", item.value, message);
            None
        }
    }
}

fn fixed(section: &mut Section<'_>, reader: &mut Reader<'_>) -> Option<NamerKind> {
    let services = section.require("services", reader)?.named_items(reader);
    lint::services_that_differ_by_case(&services, reader);
    let services = services.iter().map(|(name, item)| service(name, item, reader)).collect::<Vec<_>>();
    services.into_iter().collect::<Option<_>>().map(|services| NamerKind::Static { services })
}

fn service(name: &str, item: &Item<'_>, reader: &mut Reader<'_>) -> Option<(Segment, Vec<Endpoint>)> {
    let segment = item.segment_of(name, reader);
    let endpoints = item.list(reader)?.iter().map(|item| endpoint(item, reader)).collect::<Vec<_>>();
    let endpoints: Vec<(Endpoint, Option<Span>)> = endpoints.into_iter().collect::<Option<_>>()?;
    let weights: Vec<_> = endpoints.iter().map(|(endpoint, span)| (endpoint.weight, *span)).collect();
    lint::endpoints_of_no_weight(&weights, reader);
    Some((segment?, endpoints.into_iter().map(|(endpoint, _)| endpoint).collect()))
}

/// `"127.0.0.1:8080"` or `{ addr = "127.0.0.1:8080", weight = 2.0 }`, and where the weight stands.
fn endpoint(item: &Item<'_>, reader: &mut Reader<'_>) -> Option<(Endpoint, Option<Span>)> {
    if item.as_text().is_some() {
        return address(item, reader).map(|addr| (Endpoint { addr, weight: defaults::WEIGHT.default }, None));
    }
    let mut section = item.section(reader)?;
    let addr = section.require("addr", reader).and_then(|item| address(&item, reader));
    let weight = section.take("weight");
    let place = weight.as_ref().map(|item| item.value);
    let weight = weight.and_then(|item| item.fraction(defaults::WEIGHT.bounds, reader));
    section.finish(reader);
    let weight = weight.unwrap_or(defaults::WEIGHT.default);
    addr.map(|addr| (Endpoint { addr, weight }, place))
}

fn address(item: &Item<'_>, reader: &mut Reader<'_>) -> Option<SocketAddr> {
    let text = item.text(reader)?;
    let parsed = text.parse();
    if parsed.is_err() {
        let hint = "an IP address and a port: \"127.0.0.1:8080\", \"[::1]:8080\"; names are looked up by the `fs` namer and by `/$/inet`";
        reader.error_hint("bad-address", item.value, format!("`{text}` is no address"), hint);
    }
    parsed.ok()
}

fn rewrite(section: &mut Section<'_>, reader: &mut Reader<'_>) -> Option<NamerKind> {
    let pattern = section.require("pattern", reader).and_then(|item| item.pattern(reader));
    let name = section.require("name", reader);
    let (pattern, _) = pattern?;
    let item = name?;
    let name = item.template(&pattern, reader)?;
    if !item.as_text().is_some_and(|text| text.starts_with('/')) {
        reader.error_hint("bad-value", item.value, "a name is a path", "write \"/svc/{x}\"");
        return None;
    }
    Some(NamerKind::Rewrite(Rewrite { pattern, name }))
}

const KINDS: Kinds<Is> = Kinds {
    of: "namer",
    known: &[
        Kind::new("fs", &["io.l5d.fs"], Is::Fs),
        Kind::new("static", &["io.l5d.static"], Is::Static),
        Kind::new("rewrite", &["io.l5d.rewrite"], Is::Rewrite),
    ],
    not_yet: &[
        "etcd",
        "dns",
        "io.l5d.consul",
        "io.l5d.curator",
        "io.l5d.dnssrv",
        "io.l5d.etcd",
        "io.l5d.k8s",
        "io.l5d.k8s.external",
        "io.l5d.k8s.ns",
        "io.l5d.marathon",
        "io.l5d.serversets",
        "io.l5d.zkLeader",
    ],
};
