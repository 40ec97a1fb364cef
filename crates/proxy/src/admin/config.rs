//! `/config.json`: what runs, every default filled in.

use std::time::SystemTime;

use axum::extract::State;
use axum::response::Response;
use serde_json::{Value, json};

use super::{Admin, answer};
use crate::date::date;
use crate::telemetry::{ControlMetrics, Refusal, Refused};

pub(super) async fn config(State(admin): State<Admin>) -> Response {
    let snapshot = admin.control.snapshot();
    let mut shown = snapshot.config.to_json();
    let listeners: Vec<Value> = admin
        .control
        .listeners()
        .into_iter()
        .map(|listener| json!({ "router": listener.router, "server": listener.server, "addr": listener.addr.to_string() }))
        .collect();
    if let Some(config) = shown.as_object_mut() {
        if let Some(section) = config.get_mut("admin").and_then(Value::as_object_mut) {
            section.insert("addr".to_owned(), Value::from(admin.addr.to_string()));
        }
        config.insert("listeners".to_owned(), Value::from(listeners));
        config.insert("generation".to_owned(), Value::from(snapshot.generation));
        let counted = admin.control.control_metrics();
        config.insert("certificates".to_owned(), certificates(&counted));
        config.insert("refused".to_owned(), refused(&counted.refused));
    }
    answer::json(&shown)
}

/// Each file that holds certificates in use, and when the first of them ends.
fn certificates(counted: &ControlMetrics) -> Value {
    let one = |(file, end): &(std::path::PathBuf, SystemTime)| json!({ "file": file.display().to_string(), "not_after": date(*end) });
    counted.certificates.iter().map(one).collect()
}

/// What is on disk and not in use.
fn refused(refused: &Refused) -> Value {
    let one = |refusal: &Option<Refusal>| {
        let refusal = refusal.as_ref();
        refusal.map(|refusal| json!({ "time": date(refusal.time), "findings": refusal.findings }))
    };
    json!({ "configuration": one(&refused.config), "certificates": one(&refused.tls) })
}
