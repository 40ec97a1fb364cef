//! The namers of a `delegate` vector: the names that it lists, and those built in.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use waypost_naming::{
    Answer, Bound, Builtin, DelegateError, Dtab, NameTree, Namer, Path, Resolved, Target, bind, builtin,
};

use crate::Outcome;

/// One configured namer that knows these names, longest first.
pub(crate) struct Names(Vec<Path>);

impl Names {
    pub(crate) fn read(names: &Map<String, Value>) -> Result<Self, String> {
        let mut names: Vec<Path> =
            names.keys().map(|name| Path::parse(name)).collect::<Result<_, _>>().map_err(|error| error.to_string())?;
        names.sort_by_key(|name| std::cmp::Reverse(name.len()));
        Ok(Self(names))
    }

    pub(crate) fn bind(&self, dtab: &Dtab, path: &Path) -> Outcome {
        match bind(dtab, path, self) {
            Ok(Resolved::Tree(tree)) => {
                let residuals: BTreeMap<_, _> = tree
                    .leaves()
                    .into_iter()
                    .filter(|bound| !bound.residual.is_empty())
                    .map(|bound| (bound.id.to_string(), bound.residual.to_string()))
                    .collect();
                Ok(json!({ "tree": tree.to_string(), "residuals": residuals }))
            }
            Ok(Resolved::Pending) => Err(json!({ "kind": "pending" })),
            Err(DelegateError::MaxDepth { .. } | DelegateError::MaxLookups { .. }) => {
                Err(json!({ "kind": "max_depth" }))
            }
            Err(DelegateError::Namer { message, .. }) => Err(json!({ "kind": "namer", "message": message })),
        }
    }
}

impl Namer for Names {
    type Addr = ();

    fn lookup(&self, path: &Path) -> Answer<()> {
        if let Some(name) = self.0.iter().find(|name| path.starts_with(name)) {
            return bound(name.clone(), path.drop(name.len()));
        }
        match builtin(path) {
            Builtin::Tree(tree) => Answer::Tree(tree.map(Target::Path)),
            Builtin::Inet { id, residual, .. } => bound(id, residual),
            Builtin::NotBuiltin => Answer::Tree(NameTree::Neg),
            Builtin::Unknown(error) => Answer::Error(error),
        }
    }
}

fn bound(id: Path, residual: Path) -> Answer<()> {
    Answer::Tree(NameTree::Leaf(Target::Bound(Bound { id, residual, addr: () })))
}
