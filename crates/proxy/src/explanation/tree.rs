//! Delegation trees as JSON, in the shape of linkerd 1.x's delegator: `type`, `path` and `dentry` on each node.
//!
//! Scripts and dashboards of linkerd's users read this shape. waypost adds `tls` to leaves, and where a rule was written
//! (`from`) to the dentries of an explanation.

use std::sync::Arc;

use serde_json::{Map, Value, json};
use waypost_naming::delegate::Winners;
use waypost_naming::{Bound, DelegateNode, DelegateTree, Dentry, Dtab, Path};
use waypost_routing::{AddressSet, Addresses, delegate};

use super::policy::tls_json;
use crate::plan::Router;

type Tree = DelegateTree<Arc<AddressSet>>;

/// What a tree shows beside linkerd's keys.
#[derive(Clone, Copy, Default)]
struct Extras<'a> {
    /// The value of a leaf's `tls`, by bound path.
    tls: Option<&'a dyn Fn(&Path) -> Value>,
    /// The leaves that decide get their `share`, and rules the place where they were written.
    winners: Option<&'a Winners<'a, Arc<AddressSet>>>,
}

/// For an explanation: with the place of each rule, and the share of each leaf that decides.
pub(super) fn explained(router: &Router, dtab: &Dtab, path: &Path) -> Value {
    let tls = |bound: &Path| tls_json(&router.config.client.for_bound(bound));
    let tree = delegate(dtab, path, &router.namers);
    node(&tree, Extras { tls: Some(&tls), winners: Some(&tree.winner()) })
}

/// For `/delegator.json`.
pub(super) fn delegator(router: &Router, dtab: &Dtab, path: &Path) -> Value {
    let tls = |bound: &Path| tls_json(&router.config.client.for_bound(bound));
    node(&delegate(dtab, path, &router.namers), Extras { tls: Some(&tls), winners: None })
}

/// A tree for which there are no policies: linkerd's keys and nothing else.
#[must_use]
pub fn plain(tree: &Tree) -> Value {
    node(tree, Extras::default())
}

/// The same with what text shows: the places of rules, the leaves that decide.
#[must_use]
pub fn shown(tree: &Tree) -> Value {
    node(tree, Extras { tls: None, winners: Some(&tree.winner()) })
}

/// Whether a node is on the way that requests take; for trees with shares.
pub(super) fn decides(tree: &Value) -> bool {
    tree.get("share").is_some() || children(tree).any(|(_, child)| decides(child))
}

/// Whether discovery has yet to say something about a tree that is shown.
#[must_use]
pub fn is_pending(tree: &Value) -> bool {
    let kind = |value: &Value| value.get("type").and_then(Value::as_str) == Some("pending");
    kind(tree) || tree.pointer("/bound/addr").is_some_and(kind) || children(tree).any(|(_, child)| is_pending(child))
}

/// The nodes below a node, with their weights where it is a union.
pub(super) fn children(tree: &Value) -> impl Iterator<Item = (Option<f64>, &Value)> {
    let below = |key: &str| tree.get(key).and_then(Value::as_array).into_iter().flatten();
    let single = ["delegate", "tree"].into_iter().filter_map(|key| tree.get(key)).map(|child| (None, child));
    let alternatives = below("alt").map(|child| (None, child));
    let members = below("union").filter_map(|member| Some((member.get("weight")?.as_f64(), member.get("tree")?)));
    single.chain(alternatives).chain(members)
}

fn node(tree: &Tree, extras: Extras<'_>) -> Value {
    let mut keys = Map::new();
    keys.insert("type".to_owned(), kind(&tree.node).into());
    keys.insert("path".to_owned(), tree.path.to_string().into());
    if let Some(rule) = &tree.dentry {
        keys.insert("dentry".to_owned(), dentry(rule, extras.winners.is_some()));
    }
    let mut put = |key: &str, value: Value| {
        keys.insert(key.to_owned(), value);
    };
    match &tree.node {
        DelegateNode::Neg | DelegateNode::Fail | DelegateNode::Empty | DelegateNode::Pending => {}
        DelegateNode::Exception(message) => put("message", message.as_str().into()),
        DelegateNode::Leaf(leaf) => {
            put("bound", bound(leaf));
            if let Some(tls) = extras.tls {
                put("tls", tls(&leaf.id));
            }
        }
        DelegateNode::Delegate(child) => put("delegate", node(child, extras)),
        DelegateNode::Alt(children) => put("alt", children.iter().map(|child| node(child, extras)).collect()),
        DelegateNode::Union(members) => {
            let member = |(weight, tree): &(f64, Tree)| json!({ "weight": weight, "tree": node(tree, extras) });
            put("union", members.iter().map(member).collect());
        }
        DelegateNode::Transformation { name, bound: before, tree } => {
            put("name", name.as_str().into());
            put("bound", bound(before));
            put("tree", node(tree, extras));
        }
    }
    if let Some(share) = extras.winners.and_then(|winners| winners.share(tree)) {
        keys.insert("share".to_owned(), share.into());
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
        DelegateNode::Leaf(_) => "leaf",
        DelegateNode::Delegate(_) => "delegate",
        DelegateNode::Alt(_) => "alt",
        DelegateNode::Union(_) => "union",
        DelegateNode::Transformation { .. } => "transformation",
    }
}

fn dentry(dentry: &Dentry, with_place: bool) -> Value {
    let mut shown = json!({ "prefix": dentry.prefix.to_string(), "dst": dentry.tree.to_string() });
    if with_place && let Some(keys) = shown.as_object_mut() {
        keys.insert("from".to_owned(), dentry.place.to_string().into());
    }
    shown
}

fn bound(bound: &Bound<Arc<AddressSet>>) -> Value {
    json!({ "addr": addr(&bound.addr.snapshot()), "id": bound.id.to_string(), "path": bound.residual.to_string() })
}

fn addr(addresses: &Addresses) -> Value {
    match addresses {
        Addresses::Bound(endpoints) => {
            let one = |endpoint: &waypost_routing::Endpoint| {
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
        Addresses::Failed(cause) => json!({ "type": "failed", "cause": &**cause }),
        Addresses::Pending => json!({ "type": "pending" }),
    }
}
