//! Policies as JSON: each value as one would write it in the file, and where it was written. What is switched off, or
//! not there, is the text `none`.

use std::time::Duration;

use serde_json::{Map, Value, json};
use waypost_naming::Place;
use waypost_routing::{AccrualPolicy, BalancerKind, ClientTls, TlsSettings, TlsVersion};

use crate::config::{ClientPolicy, Fallback, Pool, Retries, ServicePolicy, Set, show_duration};

pub(super) fn service(policy: &ServicePolicy) -> Map<String, Value> {
    let mut keys = Map::new();
    put(&mut keys, "total_timeout", time_limit(policy.total_timeout.value), &policy.total_timeout.from);
    put(&mut keys, "classifier", policy.classifier.value.kind(), &policy.classifier.from);
    put(&mut keys, "retries", retries(&policy.retries.value), &policy.retries.from);
    keys
}

/// When an alternative is tried.
pub(super) fn fallback(fallback: &Set<Fallback>) -> Value {
    json!({ "value": fallback.value.kind(), "from": fallback.from.to_string() })
}

pub(super) fn client(policy: &ClientPolicy) -> Map<String, Value> {
    let mut keys = Map::new();
    put(&mut keys, "connect_timeout", time_limit(policy.connect_timeout.value), &policy.connect_timeout.from);
    put(&mut keys, "attempt_timeout", time_limit(policy.attempt_timeout.value), &policy.attempt_timeout.from);
    put(&mut keys, "write_timeout", time_limit(policy.write_timeout.value), &policy.write_timeout.from);
    put(&mut keys, "protocol", policy.protocol.value.kind(), &policy.protocol.from);
    put(&mut keys, "balancer", json!({ "kind": balancer(policy.balancer.value) }), &policy.balancer.from);
    put(&mut keys, "accrual", accrual(&policy.accrual.value), &policy.accrual.from);
    put(&mut keys, "pool", pool(&policy.pool.value), &policy.pool.from);
    let streams = &policy.max_concurrent_streams;
    put(&mut keys, "max_concurrent_streams", streams.value, &streams.from);
    put(&mut keys, "host", policy.host.value.as_deref().unwrap_or(NONE), &policy.host.from);
    put(&mut keys, "strip_context", policy.strip_context.value, &policy.strip_context.from);
    put(&mut keys, "forward_client_cert", policy.forward_client_cert.value, &policy.forward_client_cert.from);
    keys
}

/// The TLS identity that connections under `policy` must prove; null: clear text. Where the policy refuses the bound
/// path, `kind` is `refused` and `error` says why.
#[must_use]
pub fn tls_json(policy: &ClientPolicy) -> Value {
    let from = policy.tls.from.to_string();
    let mut shown = match &policy.tls.value {
        Ok(ClientTls::Clear) => return Value::Null,
        Ok(tls @ ClientTls::Encrypt { settings, .. }) => identity(("no_validation", None), tls.sni(), settings, &from),
        Ok(tls @ ClientTls::Verify { kind, name, settings }) => {
            identity((kind, Some(&name.to_string())), tls.sni(), settings, &from)
        }
        Err(why) => json!({
            "kind": "refused", "name": null, "sni": null, "trust": [], "from": from, "error": why.to_string()
        }),
    };
    if let (Some(keys), Some(from)) = (shown.as_object_mut(), &policy.name_from) {
        keys.insert("name_from".to_owned(), from.to_string().into());
    }
    shown
}

/// `who` is the kind of the policy and the name to verify.
fn identity(who: (&str, Option<&str>), sni: Option<&str>, settings: &TlsSettings, from: &str) -> Value {
    let files =
        |files: &[std::path::PathBuf]| files.iter().map(|file| file.to_string_lossy().into_owned()).collect::<Vec<_>>();
    let client_auth = settings.client_auth.as_ref().map(|(cert, _)| cert.to_string_lossy().into_owned());
    let protocols: Vec<&str> = settings.protocols.iter().map(|version| tls_version(*version)).collect();
    json!({
        "kind": who.0,
        "name": who.1,
        "sni": sni,
        "trust": files(&settings.trust),
        "from": from,
        "crls": files(&settings.crls),
        "client_auth": client_auth,
        "protocols": protocols,
        "alpn": settings.alpn,
        "allow_common_name": settings.allow_common_name,
    })
}

fn put(keys: &mut Map<String, Value>, key: &str, value: impl Into<Value>, from: &Place) {
    keys.insert(key.to_owned(), json!({ "value": value.into(), "from": from.to_string() }));
}

fn time_limit(limit: Option<Duration>) -> String {
    limit.map_or_else(|| NONE.to_owned(), show_duration)
}

fn retries(retries: &Retries) -> Value {
    let budget = &retries.budget;
    json!({
        "budget": {
            "ratio": budget.ratio, "min_per_second": budget.min_per_second, "ttl": show_duration(budget.ttl)
        },
        "max_attempts": retries.max_attempts,
        "backoff": { "min": show_duration(retries.backoff_min), "max": show_duration(retries.backoff_max) },
    })
}

const fn balancer(kind: BalancerKind) -> &'static str {
    match kind {
        BalancerKind::P2c => "p2c",
        BalancerKind::Ewma => "ewma",
        BalancerKind::RoundRobin => "round_robin",
    }
}

fn accrual(policy: &AccrualPolicy) -> Value {
    match policy {
        AccrualPolicy::None => json!({ "kind": NONE }),
        AccrualPolicy::ConsecutiveFailures { failures, backoff_min, backoff_max } => json!({
            "kind": "consecutive_failures",
            "failures": failures,
            "backoff": { "min": show_duration(*backoff_min), "max": show_duration(*backoff_max) },
        }),
    }
}

fn pool(pool: &Pool) -> Value {
    json!({
        "max_connections": pool.max_connections,
        "max_waiters": pool.max_waiters,
        "idle_timeout": show_duration(pool.idle_timeout),
    })
}

const fn tls_version(version: TlsVersion) -> &'static str {
    match version {
        TlsVersion::V1_2 => "1.2",
        TlsVersion::V1_3 => "1.3",
    }
}

/// What a value that is switched off is called, in the file as here.
const NONE: &str = "none";
