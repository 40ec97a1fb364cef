//! A wrong configuration is shown: which file, which line, what is wrong there, and what may have been meant.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use integration_tests::certs::Leaf;
use integration_tests::command::waypost_in;
use integration_tests::*;
use tempfile::TempDir;

const GOOD: &str = r#"
[[namers]]
kind = "fs"
root_dir = "disco"

[[routers]]
label = "out"
dtab = """
/svc       => /#/fs ;
/svc/users => /#/fs/beta ;
"""

[[routers.servers]]
port = 4140

[routers.client]
connect_timeout = "1s"
[[routers.client.configs]]
prefix = "/#/fs/{service}"
protocol = "auto"
"#;

/// A directory with `toml` as its `waypost.toml`.
fn directory(toml: &str) -> TempDir {
    let dir = tempfile::tempdir().expect("a temporary directory can be made");
    std::fs::create_dir(dir.path().join("disco")).expect("the test's directory can be written");
    std::fs::write(dir.path().join("waypost.toml"), toml).expect("the test's directory can be written");
    dir
}

async fn check(dir: &TempDir) -> Ran {
    waypost_in(dir.path(), &["check", "waypost.toml"]).await
}

/// `waypost.toml:line:col` of the first place of `needle`.
fn place(toml: &str, needle: &str) -> String {
    let at = toml.find(needle).unwrap_or_else(|| panic!("{needle} in {toml}"));
    let before = &toml[..at];
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    format!("waypost.toml:{line}:{column}")
}

#[track_caller]
fn shows(ran: &Ran, words: &[&str]) {
    for word in words {
        assert!(ran.stderr.contains(word), "{word:?} in\n{}", ran.stderr);
    }
}

#[tokio::test]
async fn good_configuration_is_fine() {
    let ran = check(&directory(GOOD)).await.exits(0);
    assert!(!ran.stderr.contains("waypost.toml:"), "no findings: {}", ran.stderr);
}

#[tokio::test]
async fn every_error_has_its_place_its_line_a_caret_and_a_hint() {
    for (from, to, needle, words) in [
        ("port = 4140", "prot = 4140", "prot", &["prot", "port"][..]),
        ("connect_timeout", "conect_timeout", "conect_timeout", &["connect_timeout"]),
        ("[[routers.servers]]", "[[routers.server]]", "server]]", &["servers"]),
        ("kind = \"fs\"", "kind = \"fz\"", "\"fz\"", &["fs"]),
        ("\"1s\"", "\"1 parsec\"", "\"1 parsec\"", &["1 parsec"]),
        ("\"1s\"", "5", "5", &["connect_timeout"]),
        ("port = 4140", "port = 70000", "70000", &["70000"]),
        ("protocol = \"auto\"", "protocol = \"spdy\"", "\"spdy\"", &["http2"]),
        ("protocol = \"auto\"", "tls = { kind = \"static\" }", "{ kind = \"static\" }", &["common_name"]),
    ] {
        let toml = GOOD.replace(from, to);
        let dir = directory(&toml);
        let ran = check(&dir).await.exits(2);
        shows(&ran, &[&place(&toml, needle), "^"]);
        shows(&ran, words);
        assert!(!ran.stderr.contains('\u{1b}'), "no colour outside of a terminal: {}", ran.stderr);

        let run = waypost_in(dir.path(), &["run", "waypost.toml"]).await.exits(2);
        shows(&run, &[&place(&toml, needle)]);
    }
}

#[tokio::test]
async fn error_in_a_dtab_has_its_place_in_the_file() {
    for (from, to, needle) in [
        ("/svc/users => /#/fs/beta", "/svc/users = /#/fs/beta", " /#/fs/beta"),
        ("/svc/users => /#/fs/beta", "/svc/users => /#/fs//beta", "/beta"),
        ("/svc/users => /#/fs/beta", "/svc/users => 0.5 * /a & x * /b", "x * /b"),
        ("/svc       => /#/fs ;", "/svc       => /#/fs", "/svc/users"),
    ] {
        let toml = GOOD.replace(from, to);
        let ran = check(&directory(&toml)).await.exits(2);
        shows(&ran, &[&place(&toml, needle), "^"]);
    }
}

#[tokio::test]
async fn error_in_a_dtab_file_has_its_place_there() {
    let toml = GOOD.replace(
        "dtab = \"\"\"\n/svc       => /#/fs ;\n/svc/users => /#/fs/beta ;\n\"\"\"",
        "dtab_file = \"routes.dtab\"",
    );
    let dir = directory(&toml);
    std::fs::write(dir.path().join("routes.dtab"), "# rules\n/svc => /#/fs ;\n/a = /b ;\n").expect("a file");
    shows(&check(&dir).await.exits(2), &["routes.dtab:3:5", "^"]);

    std::fs::remove_file(dir.path().join("routes.dtab")).expect("the file was there");
    shows(&check(&dir).await.exits(2), &[&place(&toml, "\"routes.dtab\""), "routes.dtab"]);
}

#[tokio::test]
async fn all_errors_are_shown_at_once() {
    let toml = GOOD.replace("\"1s\"", "\"never\"").replace("\"auto\"", "\"spdy\"").replace("=> /#/fs/beta", "=> ~~");
    let ran = check(&directory(&toml)).await.exits(2);
    shows(
        &ran,
        &[
            &place(&toml, "\"never\""),
            &place(&toml, "\"spdy\""),
            &format!("{}:", place(&toml, "/svc/users").rsplit_once(':').expect("a column").0),
        ],
    );
}

#[tokio::test]
async fn toml_that_is_none_has_its_place() {
    let toml = GOOD.replace("label = \"out\"", "label = out");
    let ran = check(&directory(&toml)).await.exits(2);
    let line = place(&toml, "label = out");
    shows(&ran, &[line.rsplit_once(':').expect("a column").0]);
}

#[tokio::test]
async fn capture_that_the_prefix_does_not_make_is_an_error() {
    let tls = "tls = { kind = \"static\", common_name = \"{svc}.example.com\" }";
    let toml = GOOD.replace("protocol = \"auto\"", tls);
    let ran = check(&directory(&toml)).await.exits(2);
    let line = place(&toml, "{svc}");
    shows(&ran, &[line.rsplit_once(':').expect("a column").0, "svc", "service"]);
}

#[tokio::test]
async fn certificates_that_cannot_be_used_are_errors_at_their_key() {
    let ca = Ca::new();
    let web = ca.issue(&["web.example.com"]);
    let server = "port = 4140\ntls = { cert = \"web.pem\", key = \"web.key\", client_ca = \"ca.pem\" }";
    let toml = GOOD.replace("port = 4140", server);
    let encrypted = web.key_pem.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY");
    let other = ca.issue(&["web.example.com"]);
    for (broken, content, needle) in [
        ("web.pem", None, "\"web.pem\""),
        ("web.key", None, "\"web.key\""),
        ("ca.pem", None, "\"ca.pem\""),
        ("web.pem", Some(""), "\"web.pem\""),
        ("web.key", Some("nothing of the kind"), "\"web.key\""),
        ("web.key", Some(encrypted.as_str()), "\"web.key\""),
        ("web.key", Some(other.key_pem.as_str()), "\"web.key\""),
        ("ca.pem", Some("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"), "\"ca.pem\""),
    ] {
        let dir = directory(&toml);
        web.write(dir.path(), "web");
        std::fs::write(dir.path().join("ca.pem"), ca.pem()).expect("a file");
        check(&dir).await.exits(0);
        let path = dir.path().join(broken);
        match content {
            None => std::fs::remove_file(&path).expect("the file was there"),
            Some(content) => certs::replace(&path, content.as_bytes(), 0o600),
        }
        let ran = check(&dir).await.exits(2);
        shows(&ran, &[&place(&toml, needle), broken, "^"]);
    }
}

#[tokio::test]
async fn address_that_is_listened_on_twice_is_an_error() {
    for again in [
        "port = 4140\n[[routers.servers]]\nport = 4140",
        "port = 4140\n[[routers.servers]]\nip = \"0.0.0.0\"\nport = 4140",
        "port = 9990",
    ] {
        let toml = GOOD.replace("port = 4140", again);
        let ran = check(&directory(&toml)).await.exits(2);
        shows(&ran, &["waypost.toml:"]);
        assert!(ran.stderr.contains("4140") || ran.stderr.contains("9990"), "{}", ran.stderr);
    }
    // Port 0 is another one each time.
    check(&directory(&GOOD.replace("port = 4140", "port = 0\n[[routers.servers]]\nport = 0"))).await.exits(0);
}

#[tokio::test]
async fn address_of_somebody_else_ends_run_with_1() {
    let running = Spec::router("out").start().await;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let other = listener.local_addr().expect("a bound socket");
    for addr in [other, running.addr(), running.admin_addr()] {
        let spec = Spec::router("out").server_port(addr.port());
        let ran = waypost_in(spec.write().dir(), &["run", "waypost.toml"]).await.exits(1);
        shows(&ran, &[&addr.port().to_string()]);
    }
    // The admin's own address, too.
    let spec = Spec::router("out");
    let toml =
        spec.to_toml().replace(&format!("port = {}", spec.admin_addr().port()), &format!("port = {}", other.port()));
    std::fs::write(spec.config(), toml).expect("the test's directory can be written");
    waypost_in(spec.dir(), &["run", "waypost.toml"]).await.exits(1);
}

#[tokio::test]
async fn what_can_be_loaded_but_is_hardly_meant_is_a_warning() {
    for (from, to) in [
        ("/svc/users => /#/fs/beta ;", "/svc/users => /#/nope/beta ;"),
        ("/svc/users => /#/fs/beta ;", "/svc/users => /svc/users ;"),
        ("/svc/users => /#/fs/beta ;", "/svc/users => /$/no.such.thing ;"),
        ("protocol = \"auto\"", "tls = { kind = \"no_validation\" }"),
        (
            "protocol = \"auto\"",
            "tls = { kind = \"bound_path\", strict = false, names = [{ prefix = \"/#/fs/a\", common_name = \"a.example.com\" }] }",
        ),
    ] {
        let dir = directory(&GOOD.replace(from, to));
        let ran = check(&dir).await.exits(0);
        shows(&ran, &["warning", "waypost.toml:"]);
        waypost_in(dir.path(), &["check", "--deny-warnings", "waypost.toml"]).await.exits(1);
    }
    waypost_in(directory(GOOD).path(), &["check", "--deny-warnings", "waypost.toml"]).await.exits(0);
}

#[tokio::test]
async fn careless_certificates_are_warned_about() {
    use std::os::unix::fs::PermissionsExt;
    let ca = Ca::new();
    let toml = GOOD.replace("port = 4140", "port = 4140\ntls = { cert = \"web.pem\", key = \"web.key\" }");
    let dir = directory(&toml);
    let files = ca.sign(Leaf::new(&["web.example.com"]).ends_in_days(3)).write(dir.path(), "web");
    shows(&check(&dir).await.exits(0), &["warning", &place(&toml, "\"web.pem\"")]);

    let files = {
        let _soon_ended = files;
        ca.issue(&["web.example.com"]).write(dir.path(), "web")
    };
    std::fs::set_permissions(&files.key, std::fs::Permissions::from_mode(0o644)).expect("our file");
    shows(&check(&dir).await.exits(0), &["warning", &place(&toml, "\"web.key\"")]);
}

#[tokio::test]
async fn file_that_is_not_there_is_named() {
    let dir = directory(GOOD);
    for command in ["check", "run", "explain"] {
        let mut args = vec![command, "missing.toml"];
        if command == "explain" {
            args.push("http://users/");
        }
        shows(&waypost_in(dir.path(), &args).await.exits(2), &["missing.toml"]);
    }
}

#[tokio::test]
async fn wrong_usage_exits_2() {
    for args in [&["no-such-command"][..], &["run"], &["check", "--no-such-flag", "x"], &[]] {
        let ran = waypost(args).await;
        assert_eq!(ran.code, 2, "{args:?}: {ran:?}");
    }
    waypost(&["--version"]).await.exits(0);
    waypost(&["--help"]).await.exits(0);
}

#[tokio::test]
async fn port_0_is_some_port_that_is_told() {
    let users = Origin::http("users").await;
    let proxy = Spec::router("out").server_port(0).endpoint("users", users.addr()).start().await;
    let config = proxy.admin("/config.json").await.is(200).text();
    let told: Vec<u16> = config
        .split(|c: char| !c.is_ascii_digit())
        .filter_map(|number| number.parse().ok())
        .filter(|&port: &u16| port > 1024 && port != proxy.admin_addr().port())
        .collect();
    let mut served = false;
    for port in told {
        let addr = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        if let Ok(mut client) = Http1::try_connect(addr).await {
            served |= client.try_ask(&Ask::get("users", "/")).await.is_ok_and(|answer| answer.status() == 200);
            assert!(proxy.log().contains(&port.to_string()), "the log tells it, too");
        }
    }
    assert!(served, "{config}");
}
