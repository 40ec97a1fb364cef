//! `waypost demo --check`: asks what a person would ask, and tells what came.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::{DOMAIN, FAILED, OK, Ports, print};

/// A response, read to its end.
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    text: String,
}

impl Answer {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    fn has(&self, line: &str) -> bool {
        self.text.lines().any(|found| found == line)
    }
}

/// Goes through the steps; gives the exit code.
pub(super) async fn check(ports: Ports) -> u8 {
    let results = [
        (
            "HTTP/1.1 to users, through both routers; the service is told who asked",
            reaches(http1(ports.caller(), "users", "/hello").await, "users"),
        ),
        (
            "HTTP/2 to billing, through both routers",
            reaches(http2(ports.caller(), "billing", "/invoices").await, "billing"),
        ),
        (
            "the connection to users was made for its own certificate only",
            certificate(http1(ports.admin(), &format!("127.0.0.1:{}", ports.admin()), "/clients.json").await),
        ),
        (
            "payments leads to billing's router, whose certificate is not the one of payments: refused",
            refused(
                http1(ports.caller(), "payments", "/").await,
                "tls_name",
                &["/#/routers/payments", "payments.", "billing."],
            ),
        ),
        (
            "nobody leads nowhere: refused",
            refused(http1(ports.caller(), "nobody", "/").await, "negative", &["/svc/nobody"]),
        ),
        (
            "a caller without a certificate is not let in",
            refused(http1(ports.stranger(), "users", "/").await, "tls_other", &["/#/routers/users", "certificate"]),
        ),
        (
            "explain says beforehand whose certificate will be demanded",
            explained(
                http1(
                    ports.admin(),
                    &format!("127.0.0.1:{}", ports.admin()),
                    "/explain.json?router=caller&url=http://users/",
                )
                .await,
            ),
        ),
    ];
    let mut code = OK;
    for (number, (step, result)) in results.into_iter().enumerate() {
        let (word, detail) = match result {
            Ok(detail) => ("ok", detail),
            Err(why) => {
                code = FAILED;
                ("FAILED", why)
            }
        };
        print::out(&format!("{} {word}: {step}\n    {detail}\n", number + 1));
    }
    print::out(if code == OK { "demo check passed\n" } else { "demo check FAILED\n" });
    code
}

fn reaches(answer: Result<Answer, String>, service: &str) -> Result<String, String> {
    let answer = answer?;
    let caller = format!("l5d-client-id: caller.{DOMAIN}");
    if answer.status != StatusCode::OK || !answer.has(&format!("service: {service}")) {
        return Err(format!("{} {}", answer.status, answer.header("l5d-err")));
    }
    if !answer.has(&caller) {
        return Err(format!("{service} was not told `{caller}`"));
    }
    Ok(format!("200 from {service}, which was told `{caller}`"))
}

fn refused(answer: Result<Answer, String>, word: &str, named: &[&str]) -> Result<String, String> {
    let answer = answer?;
    let reason = answer.header("l5d-err");
    let names_all = named.iter().all(|name| reason.contains(name));
    if answer.status != StatusCode::BAD_GATEWAY || answer.header("waypost-error") != word || !names_all {
        return Err(format!("{} {} {reason}", answer.status, answer.header("waypost-error")));
    }
    Ok(format!("502 {word}: {reason}"))
}

fn certificate(answer: Result<Answer, String>) -> Result<String, String> {
    let wanted = format!("users.{DOMAIN}");
    let json: serde_json::Value = serde_json::from_str(&answer?.text).map_err(|error| error.to_string())?;
    let clients = json.get("clients").and_then(|clients| clients.as_array()).ok_or("no clients")?;
    let users = clients.iter().find(|client| client.get("bound").is_some_and(|bound| bound == "/#/routers/users"));
    let names =
        users.and_then(|users| users.pointer("/endpoints/0/certificate/names")).ok_or("no certificate was seen")?;
    if *names != serde_json::json!([wanted]) {
        return Err(format!("it names {names}"));
    }
    Ok(format!("it names {wanted}"))
}

fn explained(answer: Result<Answer, String>) -> Result<String, String> {
    let wanted = format!("users.{DOMAIN}");
    let json: serde_json::Value = serde_json::from_str(&answer?.text).map_err(|error| error.to_string())?;
    let name = json.pointer("/leaves/0/tls/name").and_then(|name| name.as_str()).ok_or("no name")?;
    if name != wanted {
        return Err(format!("it says {name}"));
    }
    Ok(format!("/svc/users is bound to /#/routers/users, whose certificate must name {name}"))
}

async fn http1(port: u16, host: &str, path: &str) -> Result<Answer, String> {
    let asked = async {
        let stream = TcpStream::connect(("127.0.0.1", port)).await.map_err(|error| error.to_string())?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
        let request =
            Request::get(path).header("host", host).body(Empty::<Bytes>::new()).map_err(|error| error.to_string())?;
        let exchange = async {
            let response = sender.send_request(request).await.map_err(|error| error.to_string())?;
            let (parts, body) = response.into_parts();
            let body = body.collect().await.map_err(|error| error.to_string())?.to_bytes();
            drop(sender);
            Ok(Answer {
                status: parts.status,
                headers: parts.headers,
                text: String::from_utf8_lossy(&body).into_owned(),
            })
        };
        let (answer, _ended) = tokio::join!(exchange, connection);
        answer
    };
    tokio::time::timeout(PATIENCE, asked).await.unwrap_or_else(|_| Err("no answer in time".to_owned()))
}

async fn http2(port: u16, host: &str, path: &str) -> Result<Answer, String> {
    let asked = async {
        let stream = TcpStream::connect(("127.0.0.1", port)).await.map_err(|error| error.to_string())?;
        let (sender, connection) = h2::client::handshake(stream).await.map_err(|error| error.to_string())?;
        let request = Request::get(format!("http://{host}{path}")).body(()).map_err(|error| error.to_string())?;
        let exchange = async {
            let mut sender = sender.ready().await.map_err(|error| error.to_string())?;
            let (response, _) = sender.send_request(request, true).map_err(|error| error.to_string())?;
            let (parts, mut body) = response.await.map_err(|error| error.to_string())?.into_parts();
            let mut text = Vec::new();
            while let Some(data) = body.data().await {
                let data = data.map_err(|error| error.to_string())?;
                drop(body.flow_control().release_capacity(data.len()));
                text.extend_from_slice(&data);
            }
            Ok(Answer {
                status: parts.status,
                headers: parts.headers,
                text: String::from_utf8_lossy(&text).into_owned(),
            })
        };
        // The connection ends when the exchange has dropped its sender.
        let (answer, _ended) = tokio::join!(exchange, connection);
        answer
    };
    tokio::time::timeout(PATIENCE, asked).await.unwrap_or_else(|_| Err("no answer in time".to_owned()))
}

const PATIENCE: Duration = Duration::from_secs(10);
