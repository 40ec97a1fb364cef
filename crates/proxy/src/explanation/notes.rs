//! What people overlook, said in sentences.

use serde_json::Value;
use waypost_naming::Dtab;

use super::tree::{children, decides};
use crate::config::{Overrides, RouterConfig, ServerConfig};

/// Servers that would not follow these overrides: what is explained is not what happens there.
pub(super) fn about_servers(router: &RouterConfig, overrides: &Dtab) -> Vec<String> {
    if overrides.is_empty() {
        return Vec::new();
    }
    router.servers.iter().filter_map(about_server).collect()
}

fn about_server(server: &ServerConfig) -> Option<String> {
    let server_name = server.address();
    if server.clear_context {
        return Some(format!("the server on {server_name} removes dtab headers of its callers (clear_context)"));
    }
    match server.overrides {
        Overrides::Any => None,
        Overrides::None => Some(format!("the server on {server_name} follows nobody's l5d-dtab (overrides)")),
        Overrides::List(_) => {
            Some(format!("the server on {server_name} follows l5d-dtab of some callers only (overrides)"))
        }
    }
}

/// Members of unions that get no requests although they have a weight.
pub(super) fn about_unions(tree: &Value) -> Vec<String> {
    let mut notes = Vec::new();
    collect(tree, &mut notes);
    notes
}

fn collect(tree: &Value, notes: &mut Vec<String>) {
    let taken: Vec<bool> = children(tree).map(|(_, child)| decides(child)).collect();
    let any = taken.contains(&true);
    for ((weight, child), taken) in children(tree).zip(taken) {
        if taken {
            collect(child, notes);
        } else if any && weight.is_some_and(|weight| weight > 0.0) {
            notes.push(format!("{} of the union leads nowhere: its weight goes to the other members", path_of(child)));
        }
    }
}

/// Fallbacks that an empty set of endpoints does not lead to.
pub(super) fn about_fallback(tree: &Value) -> Option<String> {
    let mut rest = children(tree).map(|(_, child)| child).skip_while(|child| !decides(child));
    let taken = rest.next()?;
    match rest.next() {
        Some(untried) if tree.get("alt").is_some() => Some(format!(
            "a fallback is for names that do not exist, not for names without endpoints: {} is not tried",
            path_of(untried)
        )),
        _ => about_fallback(taken),
    }
}

fn path_of(tree: &Value) -> &str {
    tree.get("path").and_then(Value::as_str).unwrap_or("a member")
}
