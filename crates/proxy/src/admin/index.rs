//! `/`: what there is, for somebody who has only the address.

use std::fmt::Write as _;

use axum::extract::State;
use axum::http::header::CONTENT_SECURITY_POLICY;
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use rand::RngExt;

use super::{Admin, ENDPOINTS, answer};

/// One page without scripts; nothing is fetched from elsewhere, and the policy says so.
pub(super) async fn page(State(admin): State<Admin>) -> Response {
    let nonce = format!("{:032x}", rand::rng().random::<u128>());
    let mut response = answer::with_type(StatusCode::OK, "text/html; charset=utf-8", html(&admin, &nonce));
    let policy = format!(
        "default-src 'none'; style-src 'nonce-{nonce}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    if let Ok(policy) = HeaderValue::from_str(&policy) {
        response.headers_mut().insert(CONTENT_SECURITY_POLICY, policy);
    }
    response
}

fn html(admin: &Admin, nonce: &str) -> String {
    let state = admin
        .control
        .readiness()
        .map_or_else(|reasons| format!("not ready: {}", reasons.join("; ")), |()| "ready".to_owned());
    let uptime = admin.control.started().elapsed().unwrap_or_default().as_secs();
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<title>waypost</title>\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <style nonce=\"{nonce}\">{STYLE}</style>\n</head>\n<body>\n<main>\n\
         <h1>waypost {}</h1>\n<p>{}; up for {uptime} s; generation {}</p>\n<h2>Listeners</h2>\n<ul>\n",
        env!("CARGO_PKG_VERSION"),
        escaped(&state),
        admin.control.snapshot().generation,
    );
    for listener in admin.control.listeners() {
        let _infallible = writeln!(page, "<li><code>{}</code> {}</li>", listener.addr, escaped(&listener.router));
    }
    page.push_str("</ul>\n<h2>Endpoints</h2>\n<dl>\n");
    for (method, path, purpose) in ENDPOINTS {
        let name = match method {
            "GET" => format!("<a href=\"{path}\">{path}</a>"),
            _ => format!("{method} {path}"),
        };
        let _infallible = writeln!(page, "<dt><code>{name}</code></dt>\n<dd>{}</dd>", escaped(purpose));
    }
    page.push_str("</dl>\n</main>\n</body>\n</html>\n");
    page
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

const STYLE: &str = ":root{color-scheme:light dark}body{font:1rem/1.5 system-ui,sans-serif;margin:0;padding:1rem}\
main{max-width:48rem;margin:auto}dd{margin:0 0 .5rem 1rem}code{font-family:ui-monospace,monospace;\
overflow-wrap:anywhere}";
