//! The effective configuration as JSON, for `/config.json`: every default filled in, no key material.

use std::iter;
use std::num::NonZeroU32;
use std::path::Path;
use std::time::Duration;

use serde_json::{Map, Value, json};
use waypost_naming::{Identifier, Pattern};
use waypost_routing::{
    AccrualPolicy, BalancerKind, Endpoint, NamerConfig, NamerKind, TlsRule, TlsSettings, TlsVersion, Transformer,
    TransformerKind, Unmatched,
};

use super::client::Pool;
use super::service::Retries;
use super::units::{show_duration, show_size};
use super::values::OFF;
use super::{AdminConfig, Caller, Config, ContextFrom, Forwarding, Overrides, RouterConfig, ServerConfig, ServerTls};

impl Config {
    /// All of it, in the words of the file. Ports are the configured ones: who listens knows those that were given for 0.
    pub fn to_json(&self) -> Value {
        json!({
            "file": self.source.name,
            "admin": admin(&self.admin),
            "workers": self.workers,
            "watch": self.watch,
            "shutdown": { "grace": show_duration(self.shutdown_grace) },
            "namers": self.namers.iter().map(namer).collect::<Vec<_>>(),
            "routers": self.routers.iter().map(router).collect::<Vec<_>>(),
        })
    }
}

fn admin(admin: &AdminConfig) -> Value {
    json!({ "ip": admin.ip, "port": admin.port, "hosts": admin.hosts })
}

fn namer(namer: &NamerConfig) -> Value {
    let prefix = namer.prefix.to_string();
    let mut shown = match &namer.kind {
        NamerKind::Fs { root_dir } => json!({ "kind": "fs", "prefix": prefix, "root_dir": shown(root_dir) }),
        NamerKind::Static { services } => {
            let services: Map<String, Value> = services
                .iter()
                .map(|(name, endpoints)| {
                    let endpoint = |endpoint: &Endpoint| json!({ "addr": endpoint.addr, "weight": endpoint.weight });
                    (name.to_string(), endpoints.iter().map(endpoint).collect())
                })
                .collect();
            json!({ "kind": "static", "prefix": prefix, "services": services })
        }
        NamerKind::Rewrite(rewrite) => json!({
            "kind": "rewrite",
            "prefix": prefix,
            "pattern": rewrite.pattern.to_string(),
            "name": rewrite.name.to_string(),
        }),
    };
    if let Some(keys) = shown.as_object_mut() {
        keys.insert("transformers".to_owned(), transformers(&namer.transformers));
    }
    shown
}

fn transformers(transformers: &[Transformer]) -> Value {
    let one = |transformer: &Transformer| {
        let prefix = transformer.prefix.to_string();
        match &transformer.kind {
            TransformerKind::Const { path } => json!({ "kind": "const", "prefix": prefix, "path": path.to_string() }),
            TransformerKind::Replace { path } => {
                json!({ "kind": "replace", "prefix": prefix, "path": path.to_string() })
            }
            TransformerKind::Port { port } => json!({ "kind": "port", "prefix": prefix, "port": port }),
            TransformerKind::Localhost { .. } => json!({ "kind": "localhost", "prefix": prefix }),
            TransformerKind::SpecificHost { host } => {
                json!({ "kind": "specific_host", "prefix": prefix, "host": host })
            }
            TransformerKind::Subnet { network } => {
                json!({ "kind": "subnet", "prefix": prefix, "network": network.to_string() })
            }
        }
    };
    transformers.iter().map(one).collect()
}

fn router(router: &RouterConfig) -> Value {
    json!({
        "label": &*router.label,
        "dst_prefix": router.identifiers.dst_prefix.to_string(),
        "identifier": router.identifiers.list.iter().map(identifier).collect::<Vec<_>>(),
        "dtab": router.dtab.dentries().iter().map(|dentry| json!({
            "prefix": dentry.prefix.to_string(),
            "tree": dentry.tree.to_string(),
            "from": dentry.place.to_string(),
        })).collect::<Vec<_>>(),
        "dtab_file": router.dtab_file.as_deref().map(shown),
        "transformers": transformers(&router.transformers),
        "fallback": router.fallback.value.kind(),
        "binding_timeout": show_duration(router.binding_timeout),
        "servers": router.servers.iter().map(server).collect::<Vec<_>>(),
        "service": router.service.to_json(),
        "client": router.client.to_json(),
    })
}

fn identifier(identifier: &Identifier) -> Value {
    let kind = identifier.kind();
    match identifier {
        Identifier::HeaderToken { header } | Identifier::Header { header } => {
            json!({ "kind": kind, "header": header.as_str() })
        }
        Identifier::MethodAndHost { uri_in_dst } => json!({ "kind": kind, "uri_in_dst": uri_in_dst }),
        Identifier::Path { segments, consume } => json!({ "kind": kind, "segments": segments, "consume": consume }),
        Identifier::HeaderPath { segments } => json!({ "kind": kind, "segments": segments }),
        Identifier::Static { path } => json!({ "kind": kind, "path": path.to_string() }),
    }
}

fn server(server: &ServerConfig) -> Value {
    json!({
        "ip": server.ip,
        "port": server.port,
        "tls": server.tls.as_ref().map(server_tls),
        "max_concurrent_requests": limit(server.max_concurrent_requests),
        "max_connections": limit(server.max_connections),
        "max_pending_handshakes": server.max_pending_handshakes,
        "head_timeout": show_duration(server.head_timeout),
        "idle_timeout": show_duration(server.idle_timeout),
        "body_timeout": time_out(server.body_timeout),
        "write_timeout": time_out(server.write_timeout),
        "max_head_bytes": show_size(server.max_head_bytes.into()),
        "max_headers": server.max_headers,
        "clear_context": server.clear_context,
        "authorize": server.authorize.as_deref().map(callers),
        "overrides": { "allow": overrides(&server.overrides) },
        "context": match server.context {
            ContextFrom::Trusted => "trusted",
            ContextFrom::Any => "any",
        },
        "http2": { "max_concurrent_streams": server.max_concurrent_streams },
        "max_call_depth": server.max_call_depth,
        "proxy_protocol": if server.proxy_protocol.is_empty() { false.into() } else { callers(&server.proxy_protocol) },
        "forwarded": forwarded(server.forwarded),
        "upgrades": server.upgrades,
        "max_tunnels": limit(server.max_tunnels),
        "tunnel_idle_timeout": time_out(server.tunnel_idle_timeout),
        "max_body_bytes": server.max_body_bytes.map_or_else(|| OFF.to_owned(), show_size),
    })
}

fn server_tls(tls: &ServerTls) -> Value {
    json!({
        "cert": shown(&tls.cert),
        "key": shown(&tls.key),
        "certificates": tls.certificates.iter().map(|(cert, key)| json!({ "cert": shown(cert), "key": shown(key) })).collect::<Vec<_>>(),
        "crls": tls.crls.iter().map(|path| shown(path)).collect::<Vec<_>>(),
        "protocols": versions(&tls.protocols),
        "client_ca": tls.client_ca.as_deref().map(shown),
        "require_client_cert": tls.require_client_cert,
    })
}

fn limit(limit: Option<NonZeroU32>) -> Value {
    limit.map_or_else(|| OFF.into(), |limit| limit.get().into())
}

fn forwarded(forwarding: Forwarding) -> Value {
    let (kind, fields) = forwarding.words();
    if fields.is_empty() { kind.into() } else { json!({ "kind": kind, "fields": fields }) }
}

fn overrides(overrides: &Overrides) -> Value {
    match overrides {
        Overrides::Any => "any".into(),
        Overrides::None => OFF.into(),
        Overrides::List(list) => callers(list),
    }
}

fn callers(callers: &[Caller]) -> Value {
    callers.iter().map(|caller| Value::from(caller.to_string())).collect()
}

/// An entry of a policy: its prefix and what it sets.
pub(super) fn entry<const N: usize>(prefix: &Pattern, values: [(&str, Option<Value>); N]) -> Value {
    let set = values.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?)));
    iter::once(("prefix".to_owned(), prefix.to_string().into())).chain(set).collect::<Map<_, _>>().into()
}

/// A duration, or the word for none.
pub(super) fn time_out(time_out: Option<Duration>) -> Value {
    time_out.map_or_else(|| OFF.to_owned(), show_duration).into()
}

pub(super) fn retries(retries: &Retries) -> Value {
    json!({
        "budget": {
            "ratio": retries.budget.ratio,
            "min_per_second": retries.budget.min_per_second,
            "ttl": show_duration(retries.budget.ttl),
        },
        "max_attempts": retries.max_attempts,
        "backoff": { "min": show_duration(retries.backoff_min), "max": show_duration(retries.backoff_max) },
    })
}

pub(super) fn pool(pool: &Pool) -> Value {
    json!({
        "max_connections": pool.max_connections,
        "max_waiters": pool.max_waiters,
        "idle_timeout": show_duration(pool.idle_timeout),
    })
}

pub(super) fn accrual(policy: &AccrualPolicy) -> Value {
    match policy {
        AccrualPolicy::None => json!({ "kind": OFF }),
        AccrualPolicy::ConsecutiveFailures { failures, backoff_min, backoff_max } => json!({
            "kind": "consecutive_failures",
            "failures": failures,
            "backoff": { "min": show_duration(*backoff_min), "max": show_duration(*backoff_max) },
        }),
    }
}

/// As it is written in the file.
pub(super) const fn balancer(kind: BalancerKind) -> &'static str {
    match kind {
        BalancerKind::P2c => "p2c",
        BalancerKind::Ewma => "ewma",
        BalancerKind::RoundRobin => "round_robin",
    }
}

pub(super) fn tls(rule: &TlsRule) -> Value {
    match rule {
        TlsRule::None => json!({ "kind": OFF }),
        TlsRule::Static { common_name, settings } => {
            with_settings(json!({ "kind": "static", "common_name": common_name.to_string() }), settings)
        }
        TlsRule::BoundPath { names, unmatched, settings } => {
            let names: Vec<Value> = names
                .iter()
                .map(|name| json!({ "prefix": name.prefix.to_string(), "common_name": name.common_name.to_string() }))
                .collect();
            let strict = match unmatched {
                Unmatched::Refuse => true,
                Unmatched::ClearText => false,
            };
            with_settings(json!({ "kind": "bound_path", "names": names, "strict": strict }), settings)
        }
        TlsRule::NoValidation { common_name, settings } => {
            let name = common_name.as_ref().map(ToString::to_string);
            with_settings(json!({ "kind": "no_validation", "common_name": name }), settings)
        }
    }
}

fn with_settings(mut rule: Value, settings: &TlsSettings) -> Value {
    let client_auth = settings.client_auth.as_ref();
    let client_auth = client_auth.map(|(cert, key)| json!({ "cert": shown(cert), "key": shown(key) }));
    let more = [
        ("trust", settings.trust.iter().map(|path| shown(path)).collect::<Vec<_>>().into()),
        ("crls", settings.crls.iter().map(|path| shown(path)).collect::<Vec<_>>().into()),
        ("client_auth", client_auth.into()),
        ("protocols", versions(&settings.protocols)),
        ("alpn", settings.alpn.clone().into()),
        ("allow_common_name", settings.allow_common_name.into()),
    ];
    if let Some(rule) = rule.as_object_mut() {
        rule.extend(more.map(|(key, value): (_, Value)| (key.to_owned(), value)));
    }
    rule
}

fn versions(protocols: &[TlsVersion]) -> Value {
    let version = |version: &TlsVersion| match version {
        TlsVersion::V1_2 => "1.2",
        TlsVersion::V1_3 => "1.3",
    };
    protocols.iter().map(version).collect()
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}
