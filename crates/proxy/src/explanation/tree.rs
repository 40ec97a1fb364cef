//! Delegation trees as JSON, in the shape of linkerd 1.x's delegator: `type`, `path` and `dentry` on each node.
//!
//! Scripts and dashboards of linkerd's users read this shape. waypost adds `tls` to leaves; what an explanation adds is
//! in `annotate.rs`.

use std::sync::Arc;
use std::time::Instant;

use serde_json::{Map, Value, json};
use waypost_naming::{Bound, DelegateNode, Dentry, Dtab, Path};
use waypost_routing::{AddressSet, Addresses, Endpoint};

use super::annotate::{Annotated, There, Tree, annotated};
use super::policy::tls_json;
use super::unknown::Configured;
use crate::plan::Router;

/// For an explanation: with what decides, and why all else does not.
pub(super) fn explained(router: &Router, dtab: &Dtab, path: &Path) -> Annotated {
    let tree = router.delegate(dtab, path);
    let mut shown = plain(&tree);
    put_tls(&mut shown, router);
    let now = Instant::now();
    let is_out = |bound: &Bound<Arc<AddressSet>>, endpoint: &Endpoint| {
        let health = router.health.known(&router.config.label, &bound.id, endpoint.addr);
        health.is_some_and(|health| !health.available(now))
    };
    let ejected = |bound: &Bound<Arc<AddressSet>>| {
        bound.addr.snapshot().endpoints().iter().all(|endpoint| is_out(bound, endpoint))
    };
    let there = There { fallback: router.config.fallback.value, ejected: &ejected };
    annotated(&tree, shown, dtab, &Configured::of(router), there)
}

/// For `/delegator.json`.
pub(super) fn delegator(router: &Router, dtab: &Dtab, path: &Path) -> Value {
    let mut tree = plain(&router.delegate(dtab, path));
    put_tls(&mut tree, router);
    tree
}

/// The TLS identity of each leaf.
fn put_tls(tree: &mut Value, router: &Router) {
    if let Some(id) = tree.pointer("/bound/id").and_then(Value::as_str) {
        let tls = Path::parse(id).map(|bound| tls_json(&router.config.client.for_bound(&bound)));
        if let (Ok(tls), Some(keys)) = (tls, tree.as_object_mut()) {
            keys.insert("tls".to_owned(), tls);
        }
    }
    for child in children_mut(tree) {
        put_tls(child, router);
    }
}

/// Whether a node is on the way that requests take; for trees with shares.
pub(super) fn decides(tree: &Value) -> bool {
    tree.get("share").and_then(Value::as_f64).is_some_and(|share| share > 0.0)
        || children(tree).any(|(_, child)| decides(child))
}

/// Whether discovery has yet to say something about a tree that is shown.
#[must_use]
pub fn is_pending(tree: &Value) -> bool {
    let kind = |value: &Value| value.get("type").and_then(Value::as_str) == Some("pending");
    kind(tree) || tree.pointer("/bound/addr").is_some_and(kind) || children(tree).any(|(_, child)| is_pending(child))
}

/// Whether anything in a tree is one of several that are tried.
pub(super) fn has_alternatives(tree: &Value) -> bool {
    tree.get("alt").is_some() || children(tree).any(|(_, child)| has_alternatives(child))
}

/// The nodes below a node, with their weights where it is a union.
pub(super) fn children(tree: &Value) -> impl Iterator<Item = (Option<f64>, &Value)> {
    let below = |key: &str| tree.get(key).and_then(Value::as_array).into_iter().flatten();
    let single = ["delegate", "tree"].into_iter().filter_map(|key| tree.get(key)).map(|child| (None, child));
    let alternatives = below("alt").map(|child| (None, child));
    let members = below("union").filter_map(|member| Some((member.get("weight")?.as_f64(), member.get("tree")?)));
    single.chain(alternatives).chain(members)
}

/// The same nodes, to be changed.
pub(super) fn children_mut(tree: &mut Value) -> Vec<&mut Value> {
    let Some(keys) = tree.as_object_mut() else { return Vec::new() };
    let mut below = Vec::new();
    for (key, value) in keys.iter_mut() {
        match (key.as_str(), value) {
            ("delegate" | "tree", child) => below.push(child),
            ("alt", Value::Array(children)) => below.extend(children),
            ("union", Value::Array(members)) => {
                below.extend(members.iter_mut().filter_map(|member| member.get_mut("tree")));
            }
            _ => {}
        }
    }
    below
}

/// A tree in linkerd's shape, and nothing else.
pub(crate) fn plain(tree: &Tree) -> Value {
    let mut keys = Map::new();
    keys.insert("type".to_owned(), kind(&tree.node).into());
    keys.insert("path".to_owned(), tree.path.to_string().into());
    if let Some(rule) = &tree.dentry {
        keys.insert("dentry".to_owned(), dentry(rule));
    }
    let mut put = |key: &str, value: Value| {
        keys.insert(key.to_owned(), value);
    };
    match &tree.node {
        DelegateNode::Neg | DelegateNode::Fail | DelegateNode::Empty | DelegateNode::Pending => {}
        DelegateNode::Exception(message) => put("message", message.as_str().into()),
        DelegateNode::Leaf(leaf) | DelegateNode::Vacant(leaf) => put("bound", bound(leaf)),
        DelegateNode::Delegate(child) => put("delegate", plain(child)),
        DelegateNode::Alt(children) => put("alt", children.iter().map(plain).collect()),
        DelegateNode::Union(members) => {
            let member = |(weight, tree): &(f64, Tree)| json!({ "weight": weight, "tree": plain(tree) });
            put("union", members.iter().map(member).collect());
        }
        DelegateNode::Transformation { name, bound: before, tree } => {
            put("name", name.as_str().into());
            put("bound", bound(before));
            put("tree", plain(tree));
        }
    }
    Value::Object(keys)
}

const fn kind(node: &DelegateNode<Arc<AddressSet>>) -> &'static str {
    match node {
        DelegateNode::Neg => "neg",
        DelegateNode::Fail => "fail",
        DelegateNode::Empty => "empty",
        DelegateNode::Pending => "pending",
        DelegateNode::Exception(_) => "exception",
        DelegateNode::Leaf(_) | DelegateNode::Vacant(_) => "leaf",
        DelegateNode::Delegate(_) => "delegate",
        DelegateNode::Alt(_) => "alt",
        DelegateNode::Union(_) => "union",
        DelegateNode::Transformation { .. } => "transformation",
    }
}

fn dentry(dentry: &Dentry) -> Value {
    json!({ "prefix": dentry.prefix.to_string(), "dst": dentry.tree.to_string() })
}

fn bound(bound: &Bound<Arc<AddressSet>>) -> Value {
    json!({ "addr": addr(&bound.addr.snapshot()), "id": bound.id.to_string(), "path": bound.residual.to_string() })
}

fn addr(addresses: &Addresses) -> Value {
    match addresses {
        Addresses::Bound(endpoints) => {
            let one = |endpoint: &Endpoint| {
                let mut meta = Map::new();
                // linkerd's name of it; left out where it says nothing.
                if endpoint.weight.to_bits() != 1.0_f64.to_bits() {
                    meta.insert("endpoint_addr_weight".to_owned(), endpoint.weight.into());
                }
                json!({ "ip": endpoint.addr.ip().to_string(), "port": endpoint.addr.port(), "meta": meta })
            };
            json!({ "type": "bound", "addrs": endpoints.iter().map(one).collect::<Vec<_>>(), "meta": {} })
        }
        Addresses::Neg => json!({ "type": "neg" }),
        Addresses::Failed(cause) => json!({ "type": "failed", "cause": cause.to_string() }),
        Addresses::Pending => json!({ "type": "pending" }),
    }
}
