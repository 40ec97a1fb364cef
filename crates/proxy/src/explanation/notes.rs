//! What people overlook, said in sentences.

use waypost_naming::{Dtab, Path};
use waypost_routing::NoIdentity;

use super::cycle::cycle;
use super::unknown::Configured;
use crate::config::{ClientPolicy, ContextFrom, Overrides, RouterConfig, ServerConfig, show_duration};
use crate::plan::Router;
use crate::request::headers::Context;

/// Servers that would not follow the dtab headers of this request: what is explained is not what happens there.
pub(super) fn about_servers(router: &RouterConfig, context: &Context) -> Vec<String> {
    router.servers.iter().flat_map(|server| about_server(server, context)).collect()
}

fn about_server(server: &ServerConfig, context: &Context) -> Vec<String> {
    let name = server.address();
    let (user, carried) = (context.user_dtab.is_some(), context.context_dtab.is_some());
    if server.clear_context && (user || carried) {
        return vec![format!("the server on {name} removes dtab headers of its callers (clear_context)")];
    }
    let user = match server.overrides {
        Overrides::Any => None,
        Overrides::None => Some(format!("the server on {name} follows nobody's l5d-dtab (overrides)")),
        Overrides::List(_) => Some(format!("the server on {name} follows l5d-dtab of some callers only (overrides)")),
    }
    .filter(|_| user);
    let carried = match server.context {
        ContextFrom::Any => None,
        ContextFrom::Trusted if server.ip.is_loopback() => None,
        ContextFrom::Trusted => {
            Some(format!("the server on {name} takes l5d-ctx-dtab only from peers that it can trust (context)"))
        }
    }
    .filter(|_| carried);
    user.into_iter().chain(carried).collect()
}

/// What to write where a policy has no name for a bound path.
pub(super) fn about_tls(client: &ClientPolicy) -> Option<String> {
    match &client.tls.value {
        Err(NoIdentity::Unmatched { bound, .. }) => Some(format!(
            "the `names` at {} need an entry for {bound}; without one nothing is sent, least of all in clear text",
            client.tls.from
        )),
        Err(NoIdentity::BadName { .. }) => {
            Some(format!("the `common_name` at {} makes no name for it that a certificate can have", client.tls.from))
        }
        Ok(_) => None,
    }
}

/// The way round of rules that lead back to themselves.
pub(super) fn about_cycle(router: &Router, dtab: &Dtab, logical: &Path) -> Option<String> {
    let cycle = cycle(dtab, &Configured::of(router), logical)?;
    Some(format!("{cycle}; one of these rules has to lead to another name"))
}

/// What requests do while discovery has not answered.
pub(super) fn about_waiting(router: &RouterConfig) -> String {
    format!("a request waits for discovery, {} at most (binding_timeout)", show_duration(router.binding_timeout))
}
