//! `identifier`: how a request gets its logical path. One, or a list that is tried in order.

use http::HeaderName;
use http::header::HOST;
use waypost_naming::{Identifier, Path, Place};

use super::defaults;
use super::kinds::{Chosen, Kind, Kinds};
use super::raw::{Item, Reader};

#[derive(Clone, Copy, Debug)]
enum Is {
    HeaderToken,
    MethodAndHost,
    Path,
    Header,
    HeaderPath,
    Static,
}

/// The identifiers at `item`, each with its place; the default one if there is none.
pub(super) fn read(item: Option<&Item<'_>>, reader: &mut Reader<'_>) -> Vec<(Identifier, Place)> {
    let Some(item) = item else { return vec![(Identifier::HeaderToken { header: HOST }, Place::Default)] };
    let items = if item.is_list() { item.list(reader).unwrap_or_default() } else { vec![item.clone()] };
    if items.is_empty() {
        reader.error_hint(
            "bad-value",
            item.value,
            "an empty list identifies nothing",
            "leave the key out for the default",
        );
    }
    items.iter().filter_map(|item| Some((one(item, reader)?, reader.place(item.value.start)))).collect()
}

fn one(item: &Item<'_>, reader: &mut Reader<'_>) -> Option<Identifier> {
    let Chosen { is, mut section, .. } = KINDS.choose(item, reader)?;
    let identifier = match is {
        Is::HeaderToken => {
            let header = section.take("header").map_or(Some(HOST), |item| item.header(reader));
            header.map(|header| Identifier::HeaderToken { header })
        }
        Is::MethodAndHost => Some(Identifier::MethodAndHost { uri_in_dst: section.flag("uri_in_dst", false, reader) }),
        Is::Path => {
            let segments = section.integer("segments", defaults::PATH_SEGMENTS, reader);
            let consume = section.flag("consume", false, reader);
            usize::try_from(segments).ok().map(|segments| Identifier::Path { segments, consume })
        }
        Is::Header => {
            let default = HeaderName::from_static(defaults::NAME_HEADER);
            let header = section.take("header").map_or(Some(default), |item| item.header(reader));
            header.map(|header| Identifier::Header { header })
        }
        Is::HeaderPath => {
            let segments = section
                .take("segments")
                .and_then(|item| item.bounded_integer(defaults::PATH_SEGMENTS.bounds, reader))
                .and_then(|segments| usize::try_from(segments).ok());
            Some(Identifier::HeaderPath { segments })
        }
        Is::Static => {
            let path: Option<Path> = section.require("path", reader).and_then(|item| item.name_path(reader));
            path.map(|path| Identifier::Static { path })
        }
    };
    section.finish(reader);
    identifier
}

const KINDS: Kinds<Is> = Kinds {
    of: "identifier",
    known: &[
        Kind::new("header.token", &["io.l5d.header.token"], Is::HeaderToken),
        Kind::new("method_and_host", &["io.l5d.methodAndHost"], Is::MethodAndHost),
        Kind::new("path", &["io.l5d.path"], Is::Path),
        Kind::new("header", &["io.l5d.header"], Is::Header),
        Kind::new("header.path", &["io.l5d.header.path"], Is::HeaderPath),
        Kind::new("static", &["io.l5d.static"], Is::Static),
    ],
    not_yet: &["io.l5d.ingress", "io.l5d.k8s.istio"],
};
