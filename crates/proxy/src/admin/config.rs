//! `/config.json`: what runs, every default filled in.

use axum::extract::State;
use axum::response::Response;
use serde_json::{Value, json};

use super::{Admin, answer};

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
    }
    answer::json(&shown)
}
