//! `tls` of servers and of client policies: which files, which names. The files are read by [`crate::tls`]; what is
//! wrong with one is shown at the key that names it.

use std::path::PathBuf;
use std::sync::Arc;

use waypost_naming::{Finding, Pattern, Severity, Span};
use waypost_routing::{NameRule, TlsRule, TlsSettings, TlsVersion, Unmatched};

use super::kinds::{Chosen, Kind, Kinds};
use super::lint::{self, Bounds, Lint};
use super::raw::{Item, Reader, Section};
use super::server::ServerTls;
use crate::tls::{self, FileProblem, Materials, ServerFiles, TlsKey};

/// A server's `tls` table, and where its certificate is named.
pub(super) fn server(item: &Item<'_>, materials: &mut Materials, reader: &mut Reader<'_>) -> Option<(ServerTls, Span)> {
    let mut section = item.section(reader)?;
    let own = Pair::read(&mut section, reader);
    let certificates = section.take("certificates");
    let further = certificates.map(|item| item.sections(reader)).unwrap_or_default();
    let further: Vec<_> = further.into_iter().map(|section| Pair::whole(section, reader)).collect();
    let client_ca = section.take("client_ca").and_then(|item| item.path(reader).map(|path| (item, path)));
    let require_client_cert = require_client_cert(&mut section, client_ca.is_some(), reader);
    let crls = section.take("crls");
    if let (Some(item), None) = (&crls, &client_ca) {
        let hint = "name the CA of the clients: client_ca = \"ca.pem\"";
        reader.error_hint("missing-key", item.key, "`crls` without `client_ca`: no certificate is verified", hint);
    }
    let crls = crls.map(|item| item.paths(reader)).unwrap_or_default();
    let protocols = section.take("protocols").map_or_else(both_versions, |item| protocols(&item, reader));
    section.finish(reader);
    let own = own?;
    let further: Vec<Pair> = further.into_iter().collect::<Option<_>>()?;
    let files = ServerFiles {
        own: std::iter::once(&own).chain(&further).map(Pair::paths).collect(),
        client_ca: client_ca.as_ref().map(|(_, path)| path.clone()),
        require_client_cert,
        crls: crls.iter().map(|(_, path)| path.clone()).collect(),
        protocols: protocols.clone(),
    };
    files.all().for_each(|path| reader.read(path));
    let (material, problems) = tls::load_server(&files);
    let nth = |n: usize| std::iter::once(&own).chain(&further).nth(n).unwrap_or(&own);
    report(problems, reader, |problem| match problem {
        TlsKey::Cert(n) => nth(n).cert.0,
        TlsKey::Key(n) => nth(n).key.0,
        TlsKey::ClientCa => client_ca.as_ref().map_or(item.key, |(item, _)| item.value),
        TlsKey::Crl(n) => crls.get(n).map_or(item.key, |(item, _)| item.value),
        TlsKey::Trust(_) | TlsKey::ClientAuthCert | TlsKey::ClientAuthKey => item.key,
    });
    let material = Arc::new(material?);
    materials.insert_server(&material);
    let (cert, key) = own.paths();
    let certificates = further.iter().map(Pair::paths).collect();
    let ServerFiles { client_ca, crls, .. } = files;
    let tls = ServerTls { cert, key, certificates, client_ca, crls, protocols, require_client_cert, material };
    Some((tls, own.cert.0))
}

fn require_client_cert(section: &mut Section<'_>, verified: bool, reader: &mut Reader<'_>) -> bool {
    let required = section.take("require_client_cert");
    let require = required.as_ref().and_then(|item| item.boolean(reader)).unwrap_or(verified);
    if let (Some(item), false, true) = (&required, verified, require) {
        let hint = "name the CA of the clients: client_ca = \"ca.pem\"";
        reader.error_hint("missing-key", item.key, "no `client_ca` to verify client certificates with", hint);
    }
    require
}

/// `cert` and `key`, and where they stand.
struct Pair {
    cert: (Span, PathBuf),
    key: (Span, PathBuf),
}

impl Pair {
    fn read(section: &mut Section<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        let cert = section.require("cert", reader).and_then(|item| Some((item.value, item.path(reader)?)));
        let key = section.require("key", reader).and_then(|item| Some((item.value, item.path(reader)?)));
        Some(Self { cert: cert?, key: key? })
    }

    /// From a table that has nothing else.
    fn whole(mut section: Section<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        let pair = Self::read(&mut section, reader);
        section.finish(reader);
        pair
    }

    fn paths(&self) -> (PathBuf, PathBuf) {
        (self.cert.1.clone(), self.key.1.clone())
    }
}

/// What a client policy's `tls` needs beside its own table.
pub(super) struct Around<'a> {
    /// The prefix of the policy's entry, for captures.
    pub(super) prefix: &'a Pattern,
    pub(super) bounds: &'a Bounds<'a>,
    pub(super) materials: &'a mut Materials,
}

#[derive(Clone, Copy, Debug)]
enum Is {
    None,
    Static,
    BoundPath,
    NoValidation,
}

/// The `tls` of a client policy.
pub(super) fn client(item: &Item<'_>, around: &mut Around<'_>, reader: &mut Reader<'_>) -> Option<TlsRule> {
    let Chosen { is, kind, mut section } = KINDS.choose(item, reader)?;
    let rule = match is {
        Is::None => Some(TlsRule::None),
        Is::Static => {
            let name = section.require("common_name", reader);
            let common_name = name.and_then(|item| item.peer_name(around.prefix, reader));
            let settings = settings(&mut section, around.materials, reader);
            common_name.zip(settings).map(|(common_name, settings)| TlsRule::Static { common_name, settings })
        }
        Is::BoundPath => bound_path(&mut section, around, reader),
        Is::NoValidation => no_validation(&kind, &mut section, around, reader),
    };
    section.finish(reader);
    rule
}

fn bound_path(section: &mut Section<'_>, around: &mut Around<'_>, reader: &mut Reader<'_>) -> Option<TlsRule> {
    let names = section.require("names", reader).and_then(|item| names(&item, around.bounds, reader));
    let strict = section.take("strict");
    let unmatched = match strict.as_ref().and_then(|item| item.boolean(reader)) {
        None | Some(true) => Unmatched::Refuse,
        Some(false) => Unmatched::ClearText,
    };
    if let (Some(item), Unmatched::ClearText) = (&strict, &unmatched) {
        let message = "bound paths that match none of the names go in clear text";
        reader.warning(Lint::NotStrict, item.key, message, "leave out `strict`: such a bound path is then refused");
    }
    let settings = settings(section, around.materials, reader);
    names.zip(settings).map(|(names, settings)| TlsRule::BoundPath { names, unmatched, settings })
}

fn names(item: &Item<'_>, bounds: &Bounds<'_>, reader: &mut Reader<'_>) -> Option<Vec<NameRule>> {
    let entries = item.list(reader)?;
    if entries.is_empty() {
        let hint = "write { prefix = \"/#/fs/{service}\", common_name = \"{service}.example.com\" }";
        reader.error_hint("bad-value", item.value, "without names every bound path is refused", hint);
        return None;
    }
    let names = entries.iter().map(|entry| name(entry, bounds, reader)).collect::<Vec<_>>();
    let names: Vec<NameRule> = names.into_iter().collect::<Option<_>>()?;
    let prefixes: Vec<_> = names.iter().zip(&entries).map(|(name, entry)| (name.prefix.clone(), entry.value)).collect();
    lint::covered_names(&prefixes, reader);
    Some(names)
}

fn name(entry: &Item<'_>, bounds: &Bounds<'_>, reader: &mut Reader<'_>) -> Option<NameRule> {
    let mut section = entry.section(reader)?;
    let prefix = section.require("prefix", reader);
    let prefix = prefix.and_then(|item| bounds.pattern_of(&item, ": its name is never asked for", reader));
    let common_name = section.require("common_name", reader);
    section.finish(reader);
    let prefix = prefix?;
    let common_name = common_name?.peer_name(&prefix, reader)?;
    Some(NameRule { prefix, common_name, from: reader.place(entry.value.start) })
}

fn no_validation(
    kind: &Item<'_>,
    section: &mut Section<'_>,
    around: &mut Around<'_>,
    reader: &mut Reader<'_>,
) -> Option<TlsRule> {
    let message = "`no_validation` verifies nothing: whoever answers is taken for the right service";
    reader.warning(
        Lint::NoValidation,
        kind.value,
        message,
        "use `static` or `bound_path`, with a development CA if need be",
    );
    let common_name = section.take("common_name").map(|item| item.peer_name(around.prefix, reader));
    for key in ["trust", "crls", "client_auth", "allow_common_name"] {
        if let Some(item) = section.take(key) {
            let message = format!("`{key}` means nothing with `no_validation`");
            reader.error_hint("useless-key", item.key, message, "leave it out, or use `static` or `bound_path`");
        }
    }
    let settings = settings(section, around.materials, reader)?;
    match common_name {
        Some(None) => None,
        Some(Some(common_name)) => Some(TlsRule::NoValidation { common_name: Some(common_name), settings }),
        None => Some(TlsRule::NoValidation { common_name: None, settings }),
    }
}

/// What all kinds but `none` have in common.
fn settings(section: &mut Section<'_>, materials: &mut Materials, reader: &mut Reader<'_>) -> Option<Arc<TlsSettings>> {
    let trust = trust(section, reader);
    let crls = section.take("crls").map(|item| item.paths(reader)).unwrap_or_default();
    let own = section.take("client_auth");
    let client_auth = own.as_ref().map(|item| item.section(reader).and_then(|section| Pair::whole(section, reader)));
    let protocols = section.take("protocols").map_or_else(both_versions, |item| protocols(&item, reader));
    let alpn = section.take("alpn").and_then(|item| alpn(&item, reader));
    let allow_common_name = section.flag("allow_common_name", false, reader);
    if matches!(client_auth, Some(None)) {
        return None;
    }
    let client_auth = client_auth.flatten();
    let trust_paths: Vec<PathBuf> = trust.iter().map(|(_, path)| path.clone()).collect();
    let crl_paths: Vec<PathBuf> = crls.iter().map(|(_, path)| path.clone()).collect();
    let own_paths = client_auth.as_ref().map(|own| (own.cert.1.as_path(), own.key.1.as_path()));
    let own_list = own_paths.iter().flat_map(|(cert, key)| [*cert, *key]);
    for path in trust_paths.iter().chain(&crl_paths).map(PathBuf::as_path).chain(own_list) {
        reader.read(path);
    }
    let (material, problems) = tls::load_client(&trust_paths, &crl_paths, own_paths);
    let nth =
        |list: &[(Item<'_>, PathBuf)], n: usize| list.get(n).map_or_else(|| section.span(), |(item, _)| item.value);
    report(problems, reader, |key| match key {
        TlsKey::Trust(n) => nth(&trust, n),
        TlsKey::Crl(n) => nth(&crls, n),
        TlsKey::ClientAuthCert => client_auth.as_ref().map_or_else(|| section.span(), |own| own.cert.0),
        TlsKey::ClientAuthKey => client_auth.as_ref().map_or_else(|| section.span(), |own| own.key.0),
        TlsKey::Cert(_) | TlsKey::Key(_) | TlsKey::ClientCa => section.span(),
    });
    let material = materials.insert(material?);
    Some(Arc::new(TlsSettings {
        trust: trust_paths,
        crls: crl_paths,
        client_auth: client_auth.map(|own| (own.cert.1, own.key.1)),
        protocols,
        alpn,
        allow_common_name,
        digest: material.digest(),
    }))
}

/// The files of `trust`: one, or a list that is not empty, since that could as well mean "nobody".
fn trust<'d>(section: &mut Section<'d>, reader: &mut Reader<'_>) -> Vec<(Item<'d>, PathBuf)> {
    let Some(item) = section.take("trust") else { return Vec::new() };
    let files = item.paths(reader);
    if files.is_empty() && item.is_list() {
        let hint = "leave it out for the roots of the system";
        reader.error_hint("bad-value", item.value, format!("`{}` names no file", item.name), hint);
    }
    files
}

fn protocols(item: &Item<'_>, reader: &mut Reader<'_>) -> Vec<TlsVersion> {
    let items = item.list(reader).unwrap_or_default();
    let versions: Vec<TlsVersion> = items.iter().filter_map(|item| VERSIONS.named_by(item, reader)).collect();
    if items.is_empty() && item.is_list() {
        reader.error("bad-value", item.value, format!("`{}` allows no version", item.name));
    }
    versions
}

fn both_versions() -> Vec<TlsVersion> {
    vec![TlsVersion::V1_3, TlsVersion::V1_2]
}

fn alpn(item: &Item<'_>, reader: &mut Reader<'_>) -> Option<Vec<String>> {
    let items = item.list(reader)?;
    let mut names = Vec::with_capacity(items.len());
    for item in &items {
        let text = item.text(reader)?;
        if text.is_empty() || text.len() > 255 {
            reader.error("bad-value", item.value, "an ALPN name has 1 to 255 bytes");
            return None;
        }
        names.push(text.to_owned());
    }
    Some(names)
}

/// Shows each problem at the value that names its file.
fn report(problems: Vec<FileProblem>, reader: &mut Reader<'_>, place: impl Fn(TlsKey) -> Span) {
    for problem in problems {
        let finding = match problem.severity {
            Severity::Error => Finding::error(problem.code, problem.message),
            Severity::Warning => Finding::warning(problem.code, problem.message),
        };
        let finding = finding.at(Arc::clone(reader.source()), place(problem.key));
        reader.report(match problem.hint {
            Some(hint) => finding.hint(hint),
            None => finding,
        });
    }
}

const KINDS: Kinds<Is> = Kinds {
    of: "tls",
    known: &[
        Kind::new("none", &[], Is::None),
        Kind::new("static", &["io.l5d.static", "io.l5d.clientTls.static"], Is::Static),
        Kind::new("bound_path", &["io.l5d.boundPath", "io.l5d.clientTls.boundPath"], Is::BoundPath),
        Kind::new("no_validation", &["io.l5d.noValidation", "io.l5d.clientTls.noValidation"], Is::NoValidation),
    ],
    not_yet: &[],
};

const VERSIONS: Kinds<TlsVersion> = Kinds {
    of: "TLS version",
    known: &[Kind::new("1.3", &["TLSv1.3"], TlsVersion::V1_3), Kind::new("1.2", &["TLSv1.2"], TlsVersion::V1_2)],
    not_yet: &[],
};
