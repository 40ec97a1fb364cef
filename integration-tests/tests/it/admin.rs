//! The admin tells what is going on, to those who may ask.

use integration_tests::*;
use serde_json::{Value, json};

/// A proxy with one service that was asked twice, once in vain.
async fn busy() -> (Origin, TestProxy) {
    let users = Origin::http("users").await;
    let proxy = Spec::router("out").endpoint("users", users.addr()).endpoint("web", users.addr()).start().await;
    proxy.get("users", "/path?secret=1").await.is(200);
    users.now(Behaviour::status(500));
    proxy.ask(&Ask::post("users", "/fails", "x")).await.is(500);
    users.now(Behaviour::Echo);
    (users, proxy)
}

#[tokio::test]
async fn ping_and_ready_are_answered() {
    let proxy = Spec::router("out").start().await;
    assert_eq!(proxy.admin("/admin/ping").await.is(200).text().trim(), "pong");
    proxy.admin("/admin/ready").await.is(200);
    proxy.admin("/no/such/page").await.is(404);
}

#[tokio::test]
async fn dashboard_is_one_page_that_fetches_nothing_from_elsewhere() {
    let proxy = Spec::router("out").start().await;
    let page = proxy.admin("/").await.is(200);
    assert!(page.header("content-type").is_some_and(|kind| kind.starts_with("text/html")), "{page:?}");
    let policy = page.header("content-security-policy").unwrap_or_default();
    assert!(policy.contains("default-src"), "{policy:?}");
    let text = page.text();
    for elsewhere in ["src=\"http", "href=\"http", "src=\"//", "@import", "url(http"] {
        assert!(!text.contains(elsewhere), "{elsewhere}");
    }
}

#[tokio::test]
async fn config_is_shown_as_json() {
    let proxy = Spec::router("out").service("total_timeout = \"3s\"").start().await;
    let config = proxy.admin("/config.json").await.is(200).json();
    assert!(config.to_string().contains("\"out\""), "{config}");
    assert!(config.to_string().contains("/svc"), "{config}");
}

#[tokio::test]
async fn delegator_shows_every_branch_in_linkerds_shape() {
    let (users, proxy) = busy().await;
    let tree = proxy.admin("/delegator.json?router=out&path=/svc/users/x").await.is(200).json();

    assert_eq!((&tree["type"], &tree["path"]), (&json!("delegate"), &json!("/svc/users/x")), "{tree}");
    let leaf = &tree["delegate"];
    assert_eq!((&leaf["type"], &leaf["path"]), (&json!("leaf"), &json!("/#/fs/users/x")), "{tree}");
    assert_eq!(leaf["dentry"], json!({ "prefix": "/svc", "dst": "/#/fs" }));
    assert_eq!((&leaf["bound"]["id"], &leaf["bound"]["path"]), (&json!("/#/fs/users"), &json!("/x")));
    let address = &leaf["bound"]["addr"];
    assert_eq!(address["type"], "bound");
    assert_eq!((&address["addrs"][0]["ip"], &address["addrs"][0]["port"]), (&json!("127.0.0.1"), &json!(users.port())));
}

#[tokio::test]
async fn delegator_takes_another_dtab_by_get_and_post() {
    let (_users, proxy) = busy().await;
    let dtab = "/svc%3D%3E/%23/fs/nothing%20%7C%20/%23/fs/web";
    let by_get =
        proxy.admin(&format!("/delegator.json?namespace=out&path=/svc/users&dtab={dtab}")).await.is(200).json();
    let body =
        json!({ "namespace": "out", "path": "/svc/users", "dtab": "/svc=>/#/fs/nothing | /#/fs/web" }).to_string();
    let by_post = proxy.admin_post("/delegator.json", "application/json", &body).await.is(200).json();

    assert_eq!(by_get, by_post);
    assert_eq!((&by_get["type"], &by_get["path"]), (&json!("alt"), &json!("/svc/users")), "{by_get}");
    let branches = by_get["alt"].as_array().expect("branches");
    let kinds: Vec<_> = branches.iter().map(|branch| branch["type"].as_str().unwrap_or_default()).collect();
    assert_eq!(kinds, ["neg", "leaf"], "{by_get}");
}

#[tokio::test]
async fn bad_input_is_told_apart_and_never_a_server_error() {
    let (_users, proxy) = busy().await;
    for (target, status) in [
        ("/delegator.json?router=nope&path=/svc/users", 404),
        ("/delegator.json?router=out&path=svc", 400),
        ("/delegator.json?router=out&path=/svc//x", 400),
        ("/delegator.json?router=out", 400),
        ("/delegator.json?router=out&path=/svc/users&dtab=/svc", 400),
        ("/delegator.json?router=out&path=/svc/users&dtab=%3D%3E", 400),
        ("/explain.json?router=nope&url=http://users/", 404),
        ("/explain.json?router=out", 400),
        ("/explain.json?router=out&url=not%20a%20url", 400),
        ("/explain.json?router=out&url=http://users/&method=GE%20T", 400),
        ("/explain.json?router=out&url=http://users/&header=nonsense", 400),
    ] {
        let answer = proxy.admin(target).await.is(status);
        assert!(!answer.text().is_empty(), "{target}: what is wrong is said");
    }
    for body in ["", "{", "[]", "{\"path\": 1}", "{\"router\":\"out\",\"path\":\"/a\",\"dtab\":\"=\"}"] {
        let answer = proxy.admin_post("/delegator.json", "application/json", body).await;
        assert!((400..500).contains(&answer.status()), "{body}: {answer:?}");
    }
    for limit in ["0", "-1", "x", "99999999999999999999"] {
        let answer = proxy.admin(&format!("/requests.json?limit={limit}")).await;
        assert!(answer.status() < 500, "{limit}: {answer:?}");
    }
}

#[tokio::test]
async fn get_never_changes_anything() {
    let (_users, mut proxy) = busy().await;
    proxy.rewrite(|spec| spec.dtab("/svc => !"));
    for target in ["/admin/reload", "/admin/shutdown"] {
        proxy.admin(target).await.is(405);
    }
    proxy.get("users", "/").await.is(200);
    for target in ["/admin/ping", "/clients.json", "/requests.json", "/explain.json?router=out&url=http://users/"] {
        proxy.admin_post(target, "text/plain", "").await.is(405);
    }
}

#[tokio::test]
async fn foreign_hosts_and_cross_site_posts_are_refused() {
    let proxy = Spec::router("out").admin("hosts = [\"admin.example.com\"]").start().await;
    let own = proxy.admin_addr().to_string();
    let port = proxy.admin_addr().port();
    for (host, status) in [
        (own.clone(), 200),
        (format!("localhost:{port}"), 200),
        ("localhost".to_owned(), 200),
        ("127.0.0.1".to_owned(), 200),
        ("admin.example.com".to_owned(), 200),
        (format!("admin.example.com:{port}"), 200),
        ("evil.example.com".to_owned(), 403),
        (format!("evil.example.com:{port}"), 403),
        ("192.0.2.1".to_owned(), 403),
    ] {
        let answer = proxy.admin_ask(&Ask::get(&host, "/config.json")).await;
        assert_eq!(answer.status(), status, "{host}: {answer:?}");
    }

    let post = |name: &str, value: &str| Ask::post(&own, "/admin/reload", "").header(name, value);
    for (name, value, status) in [
        ("Origin", "http://evil.example.com", 403),
        ("Origin", "null", 403),
        ("Sec-Fetch-Site", "cross-site", 403),
        ("Sec-Fetch-Site", "same-site", 403),
        ("Sec-Fetch-Site", "same-origin", 200),
        ("Origin", &format!("http://{own}"), 200),
        ("X-Nothing", "1", 200),
    ] {
        let answer = proxy.admin_ask(&post(name, value)).await;
        assert_eq!(answer.status(), status, "{name}: {value}: {answer:?}");
    }
}

#[tokio::test]
async fn bound_names_lists_what_can_be_named() {
    let (_users, proxy) = busy().await;
    let names = proxy.admin("/bound-names.json").await.is(200).json();
    assert_eq!(names, json!(["/#/fs/users", "/#/fs/web"]));
}

#[tokio::test]
async fn clients_show_endpoints_and_what_they_did() {
    let (users, proxy) = busy().await;
    let endpoint = eventually("both requests are counted", async || {
        let client = proxy.client("/#/fs/users").await.ok_or("no such client")?;
        assert_eq!((&client["router"], &client["tls"]), (&json!("out"), &Value::Null), "{client}");
        let endpoint = client["endpoints"][0].clone();
        if endpoint["requests"] == 2 { Ok(endpoint) } else { Err(endpoint.to_string()) }
    })
    .await;
    assert_eq!(endpoint["addr"], users.addr().to_string());
    assert_eq!((&endpoint["state"], &endpoint["failures"]), (&json!("alive"), &json!(1)), "{endpoint}");
    assert_eq!((&endpoint["in_flight"], &endpoint["weight"]), (&json!(0), &json!(1.0)), "{endpoint}");
    assert!(endpoint["connections"].as_u64().is_some_and(|count| count >= 1), "{endpoint}");
    assert!(endpoint["latency_ms"].is_number(), "{endpoint}");
    assert_eq!(endpoint["certificate"], Value::Null, "{endpoint}");
}

#[tokio::test]
async fn clients_show_the_certificate_that_was_seen() {
    let ca = Ca::new();
    let users = Origin::https("users", &ca.issue(&["users.example.com", "alias.example.com"])).await;
    let proxy = Spec::router("out")
        .trust("ca", &ca)
        .client_at("/#/fs/{service}", &config::static_tls("{service}.example.com"))
        .endpoint("users", users.addr())
        .start()
        .await;
    proxy.get("users", "/").await.is(200);
    let client = eventually("the certificate is shown", async || {
        let client = proxy.client("/#/fs/users").await.ok_or("no such client")?;
        if client["endpoints"][0]["certificate"].is_object() { Ok(client) } else { Err(client.to_string()) }
    })
    .await;
    let certificate = &client["endpoints"][0]["certificate"];
    assert_eq!(certificate["names"], json!(["users.example.com", "alias.example.com"]));
    assert!(certificate["not_after"].is_string() && certificate["serial"].is_string(), "{certificate}");
    assert_eq!((&client["tls"]["kind"], &client["tls"]["name"]), (&json!("static"), &json!("users.example.com")));
}

#[tokio::test]
async fn recent_requests_are_listed_newest_first_without_their_query() {
    let (users, proxy) = busy().await;
    proxy.get("nobody", "/").await.is(502);
    let requests = eventually("all three are listed", async || {
        let listed = proxy.admin("/requests.json").await.is(200).json();
        match listed["requests"].as_array() {
            Some(requests) if requests.len() >= 3 => Ok(requests.clone()),
            _ => Err(listed.to_string()),
        }
    })
    .await;
    let (newest, oldest) = (&requests[0], &requests[2]);
    assert_eq!((&newest["status"], &newest["error"].is_string()), (&json!(502), &true), "{newest}");
    assert_eq!((&newest["logical"], &newest["bound"]), (&json!("/svc/nobody"), &Value::Null), "{newest}");
    assert_eq!((&oldest["method"], &oldest["target"]), (&json!("GET"), &json!("/path")), "{oldest}");
    assert_eq!((&oldest["bound"], &oldest["endpoint"]), (&json!("/#/fs/users"), &json!(users.addr().to_string())));
    assert_eq!((&oldest["router"], &oldest["attempts"], &oldest["status"]), (&json!("out"), &json!(1), &json!(200)));
    assert!(oldest["duration_ms"].is_number() && oldest["time"].is_string(), "{oldest}");

    let limited = proxy.admin("/requests.json?limit=1").await.is(200).json();
    assert_eq!(limited["requests"].as_array().map(Vec::len), Some(1));
    assert!(!limited.to_string().contains("secret"));
}

#[tokio::test]
async fn metrics_that_are_relied_on_are_there() {
    let (_users, proxy) = busy().await;
    let service = [("router", "out"), ("service", "/svc/users")];
    proxy.metric_is("waypost_service_requests_total", &[service[0], service[1], ("class", "success")], 1.0).await;
    proxy.metric_is("waypost_service_requests_total", &[service[0], service[1], ("class", "failure")], 1.0).await;
    proxy.metric_is("waypost_client_requests_total", &[("router", "out"), ("client", "/#/fs/users")], 2.0).await;
    proxy.metric_is("waypost_service_latency_seconds_count", &service, 2.0).await;
    proxy.metric_is("waypost_client_latency_seconds_count", &[("client", "/#/fs/users")], 2.0).await;
    proxy.metric_is("waypost_client_endpoints", &[("client", "/#/fs/users"), ("state", "alive")], 1.0).await;
    let metrics = proxy.metrics().await;
    assert!(metrics.sum("waypost_client_connections", &[("client", "/#/fs/users"), ("protocol", "http1")]) >= 1.0);
    for name in [
        "waypost_service_retry_budget",
        "waypost_server_connections",
        "waypost_config_reloads_total",
        "waypost_cache_entries",
        "waypost_build_info",
        "process_resident_memory_bytes",
        "process_open_fds",
        "process_start_time_seconds",
        "process_cpu_seconds_total",
    ] {
        assert!(metrics.has(name), "{name}");
    }
}

#[tokio::test]
async fn histograms_are_whole() {
    let (_users, proxy) = busy().await;
    let labels = [("router", "out"), ("service", "/svc/users")];
    proxy.metric_is("waypost_service_latency_seconds_count", &labels, 2.0).await;
    let metrics = proxy.metrics().await;
    let buckets: Vec<f64> =
        metrics.matching("waypost_service_latency_seconds_bucket", &labels).map(|s| s.value).collect();
    assert!(buckets.len() >= 5 && buckets.is_sorted(), "{buckets:?}");
    assert!(
        (metrics.sum("waypost_service_latency_seconds_bucket", &[labels[0], labels[1], ("le", "+Inf")]) - 2.0).abs()
            < 1e-9
    );
}

#[tokio::test]
async fn openmetrics_is_given_when_it_is_asked_for() {
    let (_users, proxy) = busy().await;
    let own = proxy.admin_addr().to_string();
    let ask =
        Ask::get(&own, "/admin/metrics/prometheus").header("Accept", "application/openmetrics-text; version=1.0.0");
    let answer = proxy.admin_ask(&ask).await.is(200);
    assert!(
        answer.header("content-type").is_some_and(|kind| kind.starts_with("application/openmetrics-text")),
        "{answer:?}"
    );
    assert!(answer.text().trim_end().ends_with("# EOF"));
    let plain = proxy.admin("/admin/metrics/prometheus").await.is(200);
    assert!(plain.header("content-type").is_some_and(|kind| kind.starts_with("text/plain")), "{plain:?}");
}

#[tokio::test]
async fn certificates_tell_when_they_end() {
    let ca = Ca::new();
    let proxy = Spec::router("in")
        .identity("web", &ca.issue(&["web.example.com"]))
        .server("tls = { cert = \"web.pem\", key = \"web.key\" }")
        .start()
        .await;
    let metrics = proxy.metrics().await;
    let mut ends = metrics.matching("waypost_certificate_not_after_seconds", &[]);
    assert!(
        ends.any(|sample| sample.label("file").is_some_and(|file| file.ends_with("web.pem")) && sample.value > 1.7e9)
    );
}

#[tokio::test]
async fn log_level_is_changed_while_it_runs() {
    let (_users, proxy) = busy().await;
    let before = proxy.admin("/logging.json").await.is(200).json();
    assert!(!before.to_string().to_lowercase().contains("debug"), "{before}");
    proxy.admin_post("/logging.json", "application/json", "{\"level\": \"debug\"}").await.is(200);
    let after = proxy.admin("/logging.json").await.is(200).json();
    assert!(after.to_string().to_lowercase().contains("debug"), "{after}");
    let wrong = proxy.admin_post("/logging.json", "application/json", "{\"level\": \"shout\"}").await;
    assert!((400..500).contains(&wrong.status()), "{wrong:?}");
}

#[tokio::test]
async fn readiness_waits_for_the_first_answers_of_discovery() {
    let proxy = Spec::router("out").start().await;
    let ready = proxy.admin("/admin/ready").await.is(200);
    drop(ready);
    // What was not there at the start is found later.
    let users = Origin::http("users").await;
    proxy.get("users", "/").await.is_error(502, "negative");
    proxy.disco().set("users", &[users.addr()]);
    eventually("the new name is found", async || match proxy.get("users", "/").await.status() {
        200 => Ok(()),
        other => Err(other.to_string()),
    })
    .await;
}
