//! `waypost explain`: why a request goes where it goes, from a configuration file or from a running waypost.

use std::io::Write;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http::header::HOST;
use http::request::Parts;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;
use waypost_naming::Finding;

use super::{FAILED, USAGE, print};
use crate::config::Config;
use crate::explanation::{Asked, Color, Explanation, Outcome, explain, offline};

/// Why a request goes where it goes: each step of the decision, and the line of the configuration behind it.
///
/// No request is sent. The request counts as one whose overrides (l5d-dtab) are followed.
#[derive(Clone, Debug, clap::Args)]
#[command(
    override_usage = "waypost explain CONFIG [METHOD] URL [-H 'Name: value']... [--router LABEL] [--connect] [--json]\n       \
                            waypost explain --admin ADDR [METHOD] URL [-H 'Name: value']... [--router LABEL] [--json]"
)]
pub struct ExplainArgs {
    /// The configuration (not with --admin), the method (default GET) and the URL: absolute, or a path with a Host header
    #[arg(value_name = "CONFIG [METHOD] URL", required = true, num_args = 1..=3)]
    pub request: Vec<String>,
    /// A header of the request; may be given several times
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE")]
    pub headers: Vec<String>,
    /// The router that gets the request; default: the first one
    #[arg(long, value_name = "LABEL")]
    pub router: Option<String>,
    /// Ask the running waypost whose admin listens there, instead of reading a configuration
    #[arg(long, value_name = "ADDR")]
    pub admin: Option<String>,
    /// Connect to each endpoint as a request would, TLS and all, and say what comes of it; sends no request
    #[arg(long, conflicts_with = "admin")]
    pub connect: bool,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Runs the command. 0: the request would be sent to an endpoint, 1: it would not, or a connection failed, 2: usage or configuration.
pub fn run(args: &ExplainArgs) -> u8 {
    match answer(args) {
        Ok((explanation, json)) => {
            let printed = print::out(&if args.json { json + "\n" } else { explanation.to_text(Color::On) });
            let fine = explanation.outcome == Outcome::Bound && explanation.all_connected();
            if fine { printed } else { FAILED }
        }
        Err(Failure::Unreadable(findings)) => {
            print::findings(&findings);
            USAGE
        }
        Err(Failure::Usage(text)) => {
            warn(&text);
            USAGE
        }
        Err(Failure::Asking(text)) => {
            warn(&text);
            FAILED
        }
    }
}

fn warn(text: &str) {
    // Nobody is left to be told.
    let _closed = writeln!(anstream::stderr(), "{}", text.trim_end());
}

/// Why there is no explanation.
enum Failure {
    /// A configuration or an argument.
    Unreadable(Vec<Finding>),
    /// What does not fit together.
    Usage(String),
    /// The running waypost did not answer.
    Asking(String),
}

fn answer(args: &ExplainArgs) -> Result<(Explanation, String), Failure> {
    let positional: Vec<&str> = args.request.iter().map(String::as_str).collect();
    let (config, method, url) = match (&args.admin, positional.as_slice()) {
        (Some(_), [url]) => (None, None, *url),
        (Some(_), [method, url]) => (None, Some(*method), *url),
        (None, [config, url]) => (Some(*config), None, *url),
        (None, [config, method, url]) => (Some(*config), Some(*method), *url),
        (Some(_), _) => return Err(Failure::Usage("error: with --admin there is no CONFIG: [METHOD] URL".to_owned())),
        (None, _) => return Err(Failure::Usage("error: a URL is missing: CONFIG [METHOD] URL".to_owned())),
    };
    let asked = Asked { method, url, headers: &args.headers };
    let request = asked.request().map_err(|finding| Failure::Unreadable(vec![*finding]))?;
    match (&args.admin, config) {
        (Some(admin), _) => from_admin(admin, args.router.as_deref(), &asked),
        (None, config) => from_file(Path::new(config.unwrap_or_default()), args, &request),
    }
}

fn from_file(config: &Path, args: &ExplainArgs, request: &Parts) -> Result<(Explanation, String), Failure> {
    let loaded = Config::load(config).map_err(Failure::Unreadable)?;
    let config = loaded.config;
    let label = args.router.as_deref();
    let found = match label {
        None => config.routers.first(),
        Some(label) => config.routers.iter().find(|router| &*router.label == label),
    };
    let router = found.ok_or_else(|| {
        let labels: Vec<&str> = config.routers.iter().map(|router| &*router.label).collect();
        Failure::Usage(format!(
            "error: there is no router {:?}; there is: {}",
            label.unwrap_or_default(),
            labels.join(", ")
        ))
    })?;
    let mut explanation = explain(&offline(&config, router), request);
    if args.connect {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| Failure::Asking(format!("error: {error}")))?;
        runtime.block_on(explanation.connect(&config, router));
    }
    let json = serde_json::to_string_pretty(&explanation).map_err(|error| Failure::Asking(error.to_string()))?;
    Ok((explanation, json))
}

fn from_admin(admin: &str, label: Option<&str>, asked: &Asked<'_>) -> Result<(Explanation, String), Failure> {
    let admin = admin.strip_prefix("http://").unwrap_or(admin).trim_end_matches('/');
    if !admin.rsplit_once(':').is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok()) {
        return Err(Failure::Usage(format!("error: --admin {admin:?} is no HOST:PORT, such as 127.0.0.1:9990")));
    }
    let failed = |why: String| Failure::Asking(format!("error: the admin on {admin} gave no explanation: {why}"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| failed(error.to_string()))?;
    let answer = runtime.block_on(async { timeout(PATIENCE, fetch(admin, &target(label, asked))).await });
    let (status, body) = answer.unwrap_or_else(|_| Err("no answer in time".to_owned())).map_err(failed)?;
    match status {
        200 => {}
        400 | 404 => return Err(Failure::Usage(body)),
        _ => return Err(failed(format!("{status}: {}", body.trim_end()))),
    }
    let explanation = serde_json::from_str(&shallow(&body)).map_err(|error| failed(error.to_string()))?;
    Ok((explanation, body.trim_end().to_owned()))
}

fn target(label: Option<&str>, asked: &Asked<'_>) -> String {
    let fields = [("router", label), ("method", asked.method), ("url", Some(asked.url))].into_iter();
    let fields = fields.filter_map(|(key, value)| Some((key, value?)));
    let headers = asked.headers.iter().map(|header| ("header", header.as_str()));
    let fields: Vec<String> =
        fields.chain(headers).map(|(key, value)| format!("{key}={}", percent_encoded(value))).collect();
    format!("/explain.json?{}", fields.join("&"))
}

fn percent_encoded(text: &str) -> String {
    let encode = |byte: u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(encode).collect()
}

async fn fetch(admin: &str, target: &str) -> Result<(u16, String), String> {
    let stream = TcpStream::connect(admin).await.map_err(|error| error.to_string())?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
    let mut tasks = JoinSet::new();
    tasks.spawn(connection);
    let request = Request::get(target).header(HOST, admin).body(Empty::<Bytes>::new());
    let request = request.map_err(|error| error.to_string())?;
    let response = sender.send_request(request).await.map_err(|error| error.to_string())?;
    let status = response.status().as_u16();
    let body = Limited::new(response.into_body(), MAX_ANSWER).collect().await.map_err(|error| error.to_string())?;
    let body = String::from_utf8(body.to_bytes().into()).map_err(|error| error.to_string())?;
    Ok((status, body))
}

/// The same JSON with `null` for what is nested deeper than a parser takes: the innermost nodes of a tree of rules that
/// lead back to themselves.
fn shallow(json: &str) -> String {
    let (mut out, mut depth, mut in_text, mut escaped) = (String::with_capacity(json.len()), 0_usize, false, false);
    for char in json.chars() {
        let opens = !in_text && matches!(char, '{' | '[');
        let closes = !in_text && matches!(char, '}' | ']');
        if opens {
            depth += 1;
            if depth == DEEPEST + 1 {
                out.push_str("null");
            }
        }
        if depth <= DEEPEST {
            out.push(char);
        }
        if closes {
            depth = depth.saturating_sub(1);
        }
        if in_text {
            in_text = escaped || char != '"';
            escaped = !escaped && char == '\\';
        } else {
            in_text = char == '"';
        }
    }
    out
}

/// Below what `serde_json` takes, 128.
const DEEPEST: usize = 100;
const MAX_ANSWER: usize = 64 << 20;
const PATIENCE: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_nested_too_deep_is_left_out_and_the_rest_stays() {
        let nested = format!("{}1{}", "[".repeat(500), "]".repeat(500));
        let json = format!(r#"{{"a": "[{{\"", "deep": {nested}, "b": [2]}}"#);

        let value: serde_json::Value = serde_json::from_str(&shallow(&json)).unwrap();

        assert_eq!(value["a"], "[{\"");
        assert_eq!(value["b"], serde_json::json!([2]));
        assert!(serde_json::from_str::<serde_json::Value>(&json).is_err(), "else there is nothing to leave out");
    }

    #[test]
    fn a_query_carries_any_text() {
        let headers = ["l5d-dtab: /svc => /#/fs & x".to_owned()];
        let asked = Asked { method: Some("GET"), url: "http://users/x?y=1", headers: &headers };

        let target = target(Some("out going"), &asked);

        assert_eq!(
            target,
            "/explain.json?router=out%20going&method=GET&url=http%3A%2F%2Fusers%2Fx%3Fy%3D1&\
             header=l5d-dtab%3A%20%2Fsvc%20%3D%3E%20%2F%23%2Ffs%20%26%20x"
        );
    }
}
