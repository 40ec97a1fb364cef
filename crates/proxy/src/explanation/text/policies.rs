//! Policies: one line for each value, under the name that it has in the configuration.

use serde_json::{Map, Value};

use super::super::{ExplainedEndpoint, ExplainedLeaf, Met};
use super::page::{Ink, Row};

/// Key, value, place.
type Setting = Row<3>;

/// The values of a policy.
pub(super) fn policy_rows(keys: &Map<String, Value>) -> Vec<Setting> {
    keys.iter().flat_map(setting).collect()
}

/// Who is asked, and with what of the name.
pub(super) fn leaf_rows(leaf: &ExplainedLeaf) -> Vec<Setting> {
    let endpoint = |endpoint: &ExplainedEndpoint| {
        let shown = row("endpoint", format!("{}, weight {}, {}", endpoint.addr, endpoint.weight, endpoint.state), "");
        let met = endpoint.connect.as_ref().map(met_rows).unwrap_or_default();
        std::iter::once(shown).chain(met)
    };
    let mut rows: Vec<_> = leaf.endpoints.iter().take(MOST_ENDPOINTS).flat_map(endpoint).collect();
    match leaf.endpoints.len().checked_sub(MOST_ENDPOINTS) {
        Some(more @ 1..) => rows.push(row("", format!("and {more} more"), "")),
        Some(0) | None if rows.is_empty() => rows.push(row("endpoint", "none".to_owned(), "")),
        Some(0) | None => {}
    }
    if leaf.residual != "/" {
        rows.push(row("residual", leaf.residual.clone(), ""));
    }
    rows
}

/// What a connection to the endpoint above came to.
fn met_rows(met: &Met) -> Vec<Setting> {
    let line = |ink: Ink, text: String| [("connect".to_owned(), Ink::Plain), (text, ink), (String::new(), Ink::Dim)];
    if !met.is_success() {
        let said = [&met.message, &met.see].into_iter().flatten();
        return said.map(|text| line(Ink::Red, text.clone())).collect();
    }
    let Some(certificate) = &met.certificate else {
        return vec![line(Ink::Bold, "connected, in clear text".to_owned())];
    };
    let (version, protocol) = (met.version.as_deref().unwrap_or("?"), met.protocol.as_deref().unwrap_or("?"));
    let names = certificate.names.join(", ");
    vec![
        line(Ink::Bold, format!("TLS {version}, {protocol}; its certificate names {names}")),
        line(Ink::Plain, format!("serial {}, ends at {}", certificate.serial, certificate.not_after)),
    ]
}

/// How connections are protected.
pub(super) fn tls_rows(leaf: &ExplainedLeaf) -> Vec<Setting> {
    let tls = &leaf.tls;
    let from = string(tls, "from").unwrap_or(&leaf.tls_from);
    let kind = string(tls, "kind");
    let mut rows = vec![row("tls.kind", kind.unwrap_or("none").to_owned(), from)];
    if matches!(kind, None | Some("refused")) {
        return rows;
    }
    let list = |key: &str, nothing: &str| {
        let all = texts(tls, key);
        if all.is_empty() { nothing.to_owned() } else { all.join(", ") }
    };
    let text = |key: &str| string(tls, key).unwrap_or("none").to_owned();
    let flag = tls.get("allow_common_name").and_then(Value::as_bool).unwrap_or_default();
    if kind != Some("no_validation") {
        rows.push(row("tls.name", text("name"), string(tls, "name_from").unwrap_or(from)));
        rows.push(row("tls.trust", list("trust", "system"), from));
        rows.push(row("tls.crls", list("crls", "none"), from));
        rows.push(row("tls.client_auth", text("client_auth"), from));
        rows.push(row("tls.allow_common_name", flag.to_string(), from));
    }
    rows.push(row("tls.sni", text("sni"), from));
    rows.push(row("tls.protocols", list("protocols", "none"), from));
    rows.push(row("tls.alpn", list("alpn", "by protocol"), from));
    rows
}

/// Whose certificate will be demanded, in a sentence.
pub(super) fn tls_words(tls: &Value) -> (Ink, String) {
    let own = match string(tls, "client_auth") {
        Some(cert) => format!("; we show it {cert}"),
        None => "; we show it none (no client_auth)".to_owned(),
    };
    match string(tls, "kind").unwrap_or_default() {
        "" => (Ink::Yellow, "clear text: nobody is asked who he is".to_owned()),
        "refused" => (Ink::Red, "refused: there is no name to ask for".to_owned()),
        "no_validation" => (Ink::Yellow, "encrypted, whoever the endpoint is: nothing is verified".to_owned()),
        _ => {
            let trust = texts(tls, "trust");
            let trust = if trust.is_empty() { "the system's roots".to_owned() } else { trust.join(" or ") };
            let name = string(tls, "name").unwrap_or_default();
            (Ink::Bold, format!("the endpoint must show a certificate for {name}, from {trust}{own}"))
        }
    }
}

fn setting((key, setting): (&String, &Value)) -> Vec<Setting> {
    let from = string(setting, "from").unwrap_or_default();
    let mut rows = Vec::new();
    spread(key, setting.get("value").unwrap_or(&Value::Null), from, &mut rows);
    rows
}

/// A table's values on lines of their own.
fn spread(key: &str, value: &Value, from: &str, rows: &mut Vec<Setting>) {
    match value {
        Value::Object(keys) => {
            keys.iter().for_each(|(inner, value)| spread(&format!("{key}.{inner}"), value, from, rows));
        }
        Value::Null => rows.push(row(key, "none".to_owned(), from)),
        Value::String(text) => rows.push(row(key, text.clone(), from)),
        other @ (Value::Bool(_) | Value::Number(_) | Value::Array(_)) => rows.push(row(key, other.to_string(), from)),
    }
}

fn row(key: &str, value: String, from: &str) -> Setting {
    [(key.to_owned(), Ink::Plain), (value, Ink::Plain), (from.to_owned(), Ink::Dim)]
}

fn string<'a>(value: &'a Value, key: &str) -> Option<&'a str> {
    value.get(key).and_then(Value::as_str)
}

fn texts<'a>(value: &'a Value, key: &str) -> Vec<&'a str> {
    value.get(key).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect()
}

const MOST_ENDPOINTS: usize = 20;
