//! How a request gets its logical path, and which identifiers were not for it.

use http::request::Parts;
use serde::{Deserialize, Serialize};
use waypost_naming::{Identified, Identifiers, Path, PathBuffer, Unidentified};

use crate::config::RouterConfig;

/// How a request got its logical path.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct IdentifiedAs {
    /// The identifier's kind.
    pub by: String,
    /// The logical path.
    pub path: String,
    /// The target that is sent on, where the identifier took a part of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
}

/// An identifier that did not name the request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Passed {
    /// Its kind.
    pub by: String,
    /// Its place.
    #[serde(default)]
    pub from: String,
    /// What it looked for in vain.
    pub why: String,
}

/// The logical path of a request, by the identifiers of `router`.
pub(super) fn identify(router: &RouterConfig, parts: &Parts) -> Result<(Path, IdentifiedAs), Unidentified> {
    let mut buffer = PathBuffer::new();
    let Identified { by, uri } = router.identifiers.identify(parts, &mut buffer)?;
    let path = buffer.to_path();
    let shown = IdentifiedAs { by: by.to_owned(), path: path.to_string(), target: uri.map(|uri| uri.to_string()) };
    Ok((path, shown))
}

/// The identifiers in front of the one that names the request or ends the search; all of them if none does.
pub(super) fn passed(router: &RouterConfig, parts: &Parts) -> Vec<Passed> {
    let Identifiers { dst_prefix, list } = &router.identifiers;
    let mut buffer = PathBuffer::new();
    let alone = list.iter().zip(&router.identifiers_from).map_while(|(identifier, from)| {
        let only = Identifiers { dst_prefix: dst_prefix.clone(), list: vec![identifier.clone()] };
        match only.identify(parts, &mut buffer) {
            Err(Unidentified::NoneApplies { reasons }) => Some((from, reasons)),
            Ok(_) | Err(Unidentified::BadPath { .. }) => None,
        }
    });
    let shown = alone.flat_map(|(from, reasons)| {
        let reason = move |(by, missing): (&'static str, waypost_naming::Missing)| Passed {
            by: by.to_owned(),
            from: from.to_string(),
            why: missing.to_string(),
        };
        reasons.into_iter().map(reason)
    });
    shown.collect()
}
