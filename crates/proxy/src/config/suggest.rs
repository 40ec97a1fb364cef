//! What a name that is not known was probably meant to be.

/// The nearest of `known`, if it is near enough: a third of the letters may be wrong.
pub(super) fn nearest<'k>(name: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    let bounded: String = name.chars().take(LONGEST).collect();
    let allowed = bounded.chars().count().div_ceil(3).max(1);
    known
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(&bounded, candidate), candidate))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Message and hint for a key that its table does not have; `known` are the keys that it has.
pub(super) fn unknown_key(full_name: &str, key: &str, known: &[&'static str]) -> (String, Option<String>) {
    if let Some((_, ours)) = RENAMED.iter().find(|(theirs, ours)| *theirs == key && known.contains(ours)) {
        return (format!("unknown key `{full_name}`"), Some(format!("linkerd's `{key}` is `{ours}` here")));
    }
    let ours = snake_case(key);
    if ours != key && known.contains(&ours.as_str()) {
        return (format!("unknown key `{full_name}`"), Some(format!("keys are snake_case: `{ours}`")));
    }
    if NOT_YET.contains(&key) {
        let hint = format!("`{key}` is not supported by this version: remove it");
        return (format!("unknown key `{full_name}`"), Some(hint));
    }
    let hint = match nearest(key, known.iter().copied()) {
        Some(near) => Some(format!("did you mean `{near}`?")),
        None if known.is_empty() => None,
        None => Some(format!("known here: {}", list(known))),
    };
    (format!("unknown key `{full_name}`"), hint)
}

/// `a`, `b`, `c`, each in backticks.
pub(super) fn list(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

fn snake_case(key: &str) -> String {
    let mut snake = String::with_capacity(key.len() + 4);
    for character in key.chars() {
        if character.is_ascii_uppercase() {
            snake.push('_');
        }
        snake.push(character.to_ascii_lowercase());
    }
    snake
}

/// Longer names are compared by their beginning: the comparison's cost grows with the square.
const LONGEST: usize = 64;

/// linkerd 1.x keys whose name here is not just their snake_case.
const RENAMED: &[(&str, &str)] = &[
    ("httpUriInDst", "uri_in_dst"),
    ("http_uri_in_dst", "uri_in_dst"),
    ("totalTimeoutMs", "total_timeout"),
    ("requestAttemptTimeoutMs", "attempt_timeout"),
    ("connectTimeoutMs", "connect_timeout"),
    ("bindingTimeoutMs", "binding_timeout"),
    ("responseClassifier", "classifier"),
    ("loadBalancer", "balancer"),
    ("failureAccrual", "accrual"),
    ("certPath", "cert"),
    ("keyPath", "key"),
    ("caCertPath", "client_ca"),
    ("requireClientAuth", "require_client_cert"),
    ("trustCerts", "trust"),
    ("trustCertsBundle", "trust"),
    ("forwardClientCert", "forward_client_cert"),
    ("maxRetries", "max_attempts"),
    ("percentCanRetry", "ratio"),
    ("minRetriesPerSec", "min_per_second"),
    ("ttlSecs", "ttl"),
    ("minMs", "min"),
    ("maxMs", "max"),
];

/// Keys that are to come, so that nobody looks for the typing mistake.
const NOT_YET: &[&str] = &["buffer", "dtab_store", "interpreter", "telemetry", "tracers", "transformers", "upgrades"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_known_name_is_suggested_if_it_is_near() {
        for (name, expected) in [("prot", Some("port")), ("poort", Some("port")), ("certificate", None), ("x", None)] {
            assert_eq!(nearest(name, ["port", "ip", "tls"]), expected, "{name}");
        }
    }

    #[test]
    fn linkerds_names_are_translated() {
        let known = ["total_timeout", "dst_prefix", "balancer"];
        for (key, expected) in
            [("totalTimeoutMs", "`total_timeout`"), ("dstPrefix", "`dst_prefix`"), ("loadBalancer", "`balancer`")]
        {
            let (_, hint) = unknown_key(key, key, &known);
            assert!(hint.as_deref().is_some_and(|hint| hint.contains(expected)), "{key}: {hint:?}");
        }
    }

    #[test]
    fn keys_that_are_to_come_are_not_called_mistyped() {
        let (_, hint) = unknown_key("routers.transformers", "transformers", &["label"]);
        assert_eq!(hint.as_deref(), Some("`transformers` is not supported by this version: remove it"));
    }
}
