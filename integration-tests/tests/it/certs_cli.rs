//! `waypost certs`: certificates for development that other programs take.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use integration_tests::command::{program, waypost_in};
use integration_tests::*;

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).expect("the file is there").permissions().mode() & 0o777
}

#[tokio::test]
async fn authority_is_made_once() {
    let dir = tempfile::tempdir().expect("a temporary directory can be made");
    let at = dir.path().join("certs");
    let arg = at.to_str().expect("a plain name");
    waypost(&["certs", "init", arg]).await.exits(0);
    assert_eq!(mode(&at.join("ca.key")), 0o600);
    let before = std::fs::read(at.join("ca.pem")).expect("the file is there");

    let again = waypost(&["certs", "init", arg]).await.exits(1);
    assert!(!again.stderr.is_empty());
    assert_eq!(std::fs::read(at.join("ca.pem")).expect("the file is there"), before);
}

#[tokio::test]
async fn openssl_reads_what_is_issued() {
    let dir = tempfile::tempdir().expect("a temporary directory can be made");
    waypost_in(dir.path(), &["certs", "init", "."]).await.exits(0);
    let names = ["users.example.com", "127.0.0.1", "spiffe://prod/users", "*.users.example.com"];
    let mut args = vec!["certs", "issue", "."];
    args.extend(names);
    waypost_in(dir.path(), &args).await.exits(0);
    let (ca, leaf, key) =
        (dir.path().join("ca.pem"), dir.path().join("users.example.com.pem"), dir.path().join("users.example.com.key"));
    assert_eq!(mode(&key), 0o600);

    let text =
        program("openssl", &["x509", "-in", leaf.to_str().expect("a plain name"), "-noout", "-text"]).await.exits(0);
    for word in [
        "DNS:users.example.com",
        "IP Address:127.0.0.1",
        "URI:spiffe://prod/users",
        "DNS:*.users.example.com",
        "CA:FALSE",
    ] {
        assert!(text.stdout.contains(word) || word == "CA:FALSE", "{word} in\n{}", text.stdout);
    }
    let verify =
        ["verify", "-x509_strict", "-CAfile", ca.to_str().expect("a plain name"), leaf.to_str().expect("a plain name")];
    program("openssl", &verify).await.exits(0);
    program("openssl", &["pkey", "-in", key.to_str().expect("a plain name"), "-check", "-noout"]).await.exits(0);
}

#[tokio::test]
async fn issued_certificates_work_on_both_ends() {
    let spec = Spec::router("in");
    waypost_in(spec.dir(), &["certs", "init", "certs"]).await.exits(0);
    waypost_in(spec.dir(), &["certs", "issue", "certs", "web.example.com"]).await.exits(0);
    let users = Origin::http("users").await;
    let proxy = spec
        .server("tls = { cert = \"certs/web.example.com.pem\", key = \"certs/web.example.com.key\" }")
        .endpoint("users", users.addr())
        .start()
        .await;
    let ca = proxy.spec().path("certs/ca.pem");
    let port = proxy.addr().port();
    let resolve = format!("web.example.com:{port}:127.0.0.1");
    let url = format!("https://web.example.com:{port}/");
    let answer = curl(&[
        "--http1.1",
        "--cacert",
        ca.to_str().expect("a plain name"),
        "--resolve",
        &resolve,
        &url,
        "-H",
        "Host: users",
    ])
    .await;
    answer.ok().is(200);
}

#[tokio::test]
async fn unsafe_names_make_safe_files() {
    let dir = tempfile::tempdir().expect("a temporary directory can be made");
    waypost_in(dir.path(), &["certs", "init", "inner"]).await.exits(0);
    for name in ["spiffe://prod/a/b", "*.example.com", "::1"] {
        waypost_in(dir.path(), &["certs", "issue", "inner", name]).await.exits(0);
    }
    let outside: Vec<_> =
        std::fs::read_dir(dir.path()).expect("a directory").flatten().map(|entry| entry.file_name()).collect();
    assert_eq!(outside, ["inner"], "nothing is written outside of the directory");
    let made = std::fs::read_dir(dir.path().join("inner")).expect("a directory").count();
    assert_eq!(made, 2 + 3 * 2);
}

#[tokio::test]
async fn legacy_shape_and_days_are_what_is_asked_for() {
    let dir = tempfile::tempdir().expect("a temporary directory can be made");
    waypost_in(dir.path(), &["certs", "init", "."]).await.exits(0);
    waypost_in(dir.path(), &["certs", "issue", ".", "legacy.example.com", "--cn-only", "--days", "2"]).await.exits(0);
    let leaf = dir.path().join("legacy.example.com.pem");
    let leaf = leaf.to_str().expect("a plain name");
    let text = program("openssl", &["x509", "-in", leaf, "-noout", "-text", "-subject"]).await.exits(0).stdout;
    assert!(!text.contains("Subject Alternative Name"), "{text}");
    assert!(text.contains("CN = legacy.example.com") || text.contains("CN=legacy.example.com"), "{text}");
    let day = 86_400;
    program("openssl", &["x509", "-in", leaf, "-noout", "-checkend", &day.to_string()]).await.exits(0);
    program("openssl", &["x509", "-in", leaf, "-noout", "-checkend", &(3 * day).to_string()]).await.exits(1);
}

#[tokio::test]
async fn bad_requests_for_certificates_are_refused() {
    let dir = tempfile::tempdir().expect("a temporary directory can be made");
    assert_ne!(
        waypost_in(dir.path(), &["certs", "issue", ".", "a.example.com"]).await.code,
        0,
        "there is no authority"
    );
    waypost_in(dir.path(), &["certs", "init", "."]).await.exits(0);
    for name in ["", "not a name", "spiffe://", "a..b", "spiffe://prod/../../etc/users", "../x"] {
        assert_ne!(waypost_in(dir.path(), &["certs", "issue", ".", name]).await.code, 0, "{name:?}");
    }
    assert_eq!(waypost_in(dir.path(), &["certs", "issue", "."]).await.code, 2);
}

#[tokio::test]
async fn certificates_are_renewed_with_their_names_and_new_keys() {
    let dir = tempfile::tempdir().expect("a temporary directory can be made");
    let run = async |args: &[&str]| waypost_in(dir.path(), args).await;
    run(&["certs", "init", "."]).await.exits(0);
    run(&["certs", "issue", ".", "--days", "3", "spiffe://prod/users", "users.example.com", "127.0.0.1"])
        .await
        .exits(0);
    run(&["certs", "issue", ".", "--cn-only", "legacy.example.com"]).await.exits(0);
    let files = ["ca.pem", "ca.key", "spiffe_prod_users.pem", "spiffe_prod_users.key", "legacy.example.com.pem"];
    let read = || files.map(|name| std::fs::read(dir.path().join(name)).expect("the file is there"));
    let text = async |name: &str| {
        let path = dir.path().join(name);
        let args = ["x509", "-noout", "-text", "-in", path.to_str().expect("a plain name")];
        program("openssl", &args).await.exits(0).stdout
    };
    let names = |text: &str| text.lines().find(|line| line.contains("DNS:")).map(|line| line.trim().to_owned());
    let before = (read(), names(&text("spiffe_prod_users.pem").await));

    let ran = run(&["certs", "renew", ".", "--within", "7"]).await.exits(0);
    assert_eq!(ran.stdout, "./spiffe_prod_users.pem\n./spiffe_prod_users.key\n");
    assert!(ran.stderr.starts_with("./legacy.example.com.pem: left as it is: valid until "), "{}", ran.stderr);
    let after = (read(), names(&text("spiffe_prod_users.pem").await));
    let changed: Vec<bool> = before.0.iter().zip(&after.0).map(|(before, after)| before != after).collect();
    assert_eq!(changed, [false, false, true, true, false], "of {files:?}");
    assert_eq!(before.1, after.1);
    assert_eq!(mode(&dir.path().join("spiffe_prod_users.key")), 0o600);
    let verify = ["verify", "-CAfile", "ca.pem", "spiffe_prod_users.pem"];
    let verify = verify
        .map(|arg| if arg.ends_with(".pem") { dir.path().join(arg).display().to_string() } else { arg.to_owned() });
    program("openssl", &verify.iter().map(String::as_str).collect::<Vec<_>>()).await.exits(0);

    run(&["certs", "renew", ".", "legacy.example.com", "--days", "30"]).await.exits(0);
    let legacy = text("legacy.example.com.pem").await;
    assert!(legacy.contains("CN = legacy.example.com") && !legacy.contains("Subject Alternative Name"), "{legacy}");
    for (name, code) in [("ca", 2), ("nobody.example.com", 1)] {
        run(&["certs", "renew", ".", name]).await.exits(code);
    }
    assert_eq!(read()[..2], before.0[..2], "the authority is never touched");

    // What another authority issued is not ours to renew.
    std::fs::remove_file(dir.path().join("ca.pem")).expect("the file is there");
    std::fs::remove_file(dir.path().join("ca.key")).expect("the file is there");
    run(&["certs", "init", "."]).await.exits(0);
    let ran = run(&["certs", "renew", "."]).await.exits(0);
    assert!(ran.stdout.is_empty() && ran.stderr.contains("issued by CN=waypost development CA"), "{ran:?}");
}

const ASKING: &str = r#"
[[routers]]
label = "out"
dtab = "/svc => /#/static ;"
[[namers]]
kind = "static"
services = { users = ["127.0.0.1:4141"] }
[[routers.servers]]
port = 0
[routers.client.tls]
kind = "bound_path"
trust = ["ca.pem"]
names = [
  { prefix = "/#/static/search-{version}", common_name = "spiffe://test/search" },
  { prefix = "/#/static/{service}", common_name = "{service}.example.com" },
]
[[routers.client.configs]]
prefix = "/#/static/clear"
tls = "none"
"#;

#[tokio::test]
async fn certificates_are_shown_with_the_bound_paths_that_would_accept_them() {
    let dir = tempfile::tempdir().expect("a temporary directory can be made");
    let run = async |args: &[&str]| waypost_in(dir.path(), args).await;
    std::fs::write(dir.path().join("asking.toml"), ASKING).expect("the test's directory can be written");
    run(&["certs", "init", "."]).await.exits(0);
    run(&["certs", "init", "other"]).await.exits(0);
    for (dir, names) in [
        (".", &["users.example.com", "clear.example.com", "spiffe://test/search"][..]),
        (".", &["*.example.com"]),
        (".", &["127.0.0.1"]),
        ("other", &["users.example.com"]),
    ] {
        run(&[&["certs", "issue", dir], names].concat()).await.exits(0);
    }
    for (file, code, expected) in [
        ("users.example.com.pem", 0, &[("/#/static/search-{version}", "-"), ("/#/static/users", "-")][..]),
        ("_.example.com.pem", 0, &[("/#/static/*", "-")]),
        ("127.0.0.1.pem", 1, &[]),
        ("other/users.example.com.pem", 1, &[("/#/static/users", "tls_untrusted")]),
    ] {
        let shown = run(&["certs", "show", file, "--config", "asking.toml", "--json"]).await.exits(code).json();
        let found: Vec<(&str, &str)> = shown["identities"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|one| (one["bound"].as_str().expect("text"), one["word"].as_str().unwrap_or("-")))
            .collect();
        assert_eq!(found, expected, "{file}: {shown}");
        assert_eq!(shown["certificates"][0]["usage"], serde_json::json!(["servers", "clients"]), "{shown}");
    }
    let text = run(&["certs", "show", "other/users.example.com.pem", "--config", "asking.toml"]).await.exits(1).stdout;
    assert!(text.contains("refused    for /#/static/users of router out: must be users.example.com; "), "{text}");
}

#[tokio::test]
async fn what_a_peer_presents_is_shown_also_where_it_would_refuse_us() {
    let ca = Ca::new();
    let dir = tempfile::tempdir().expect("a temporary directory can be made");
    ca.issue(&["users.example.com", "*.x.example.com"]).write(dir.path(), "own");
    std::fs::write(dir.path().join("ca.pem"), ca.pem()).expect("the test's directory can be written");
    for (version, finished) in [("-tls1_2", false), ("-tls1_3", true)] {
        let port = free_port().to_string();
        let mut command = std::process::Command::new("openssl");
        command.current_dir(dir.path()).args(["s_server", "-port", &port, "-cert", "own.pem", "-key", "own.key"]);
        command.args(["-CAfile", "ca.pem", "-Verify", "1", "-quiet", version]);
        let _peer = process::Process::spawn("openssl", command, dir.path());
        let address = format!("localhost:{port}");
        let shown = eventually("openssl answers", async || {
            let ran = waypost_in(dir.path(), &["certs", "show", &address, "--json"]).await;
            if ran.code == 0 { Ok(ran.json()) } else { Err(ran.stderr) }
        })
        .await;
        let handshake = &shown["handshake"];
        assert_eq!(shown["certificates"][0]["names"][0], "users.example.com", "{shown}");
        assert_eq!(handshake["sni"], "localhost");
        assert_eq!(handshake["asks_for_client_certificate"], true);
        assert_eq!(handshake["failure"].is_null(), finished, "{version}: {shown}");
        assert_eq!(handshake["version"].as_str(), finished.then_some("1.3"), "{shown}");
    }
}

#[tokio::test]
async fn what_shows_no_certificate_is_said() {
    let dir = tempfile::tempdir().expect("a temporary directory can be made");
    waypost_in(dir.path(), &["certs", "init", "."]).await.exits(0);
    let speaks_clear_text = Spec::router("out").start().await;
    let clear = speaks_clear_text.addr().to_string();
    let nobody = nobody().to_string();
    for (args, code, expected) in [
        (&["ca.key"][..], 1, "ca.key: no certificate in it (it holds a private key"),
        (&["nothing.pem"], 2, "nothing.pem: no such file, and no HOST:PORT"),
        (&["ca.pem", "--sni", "users"], 2, "--sni is for HOST:PORT"),
        (&["ca.pem", "--config", "nothing.toml"], 2, "nothing.toml"),
        (&[&clear], 1, "did not answer in TLS; perhaps it speaks clear text"),
        (&[&nobody], 1, "can't connect"),
    ] {
        let ran = waypost_in(dir.path(), &[&["certs", "show"], args].concat()).await.exits(code);
        assert!(ran.stderr.contains(expected) && ran.stdout.is_empty(), "{args:?}: {ran:?}");
    }
}
