//! Files change in many ways, by editors, by renames and by swapped symbolic links, and each of them acts.

use std::fs::{create_dir, remove_file, rename};
use std::os::unix::fs::symlink;
use std::path::Path;

use integration_tests::*;

fn write(path: &Path, content: impl AsRef<[u8]>) {
    std::fs::write(path, content).expect("the test's directory can be written");
}

/// Points `link` at `target` in one step, as Kubernetes does with its volumes.
fn point(link: &Path, target: &str) {
    let fresh = link.with_file_name("..fresh");
    symlink(target, &fresh).expect("a link can be made");
    rename(&fresh, link).expect("a link can be renamed");
}

#[tokio::test]
async fn discovery_directory_behind_a_link_is_swapped() {
    let (one, two) = (Origin::http("one").await, Origin::http("two").await);
    let spec = Spec::router("out").without_namers().namer("kind = \"fs\"\nroot_dir = \"live\"");
    for (dir, origin) in [("v1", &one), ("v2", &two)] {
        create_dir(spec.path(dir)).expect("the test's directory can be written");
        write(&spec.path(dir).join("users"), format!("127.0.0.1 {}\n", origin.port()));
    }
    point(&spec.path("live"), "v1");
    let proxy = spec.start().await;
    assert_eq!(proxy.reaches("users").await, "one");

    point(&proxy.spec().path("live"), "v2");
    proxy.soon_reaches("users", "two").await;
}

#[tokio::test]
async fn discovery_files_behind_a_data_link_are_swapped() {
    let (one, two) = (Origin::http("one").await, Origin::http("two").await);
    let spec = Spec::router("out");
    let disco = spec.path("disco");
    for (dir, origin) in [("..v1", &one), ("..v2", &two)] {
        create_dir(disco.join(dir)).expect("the test's directory can be written");
        write(&disco.join(dir).join("users"), format!("127.0.0.1 {}\n", origin.port()));
    }
    point(&disco.join("..data"), "..v1");
    symlink("..data/users", disco.join("users")).expect("a link can be made");
    let proxy = spec.start().await;
    assert_eq!(proxy.reaches("users").await, "one");

    point(&disco.join("..data"), "..v2");
    proxy.soon_reaches("users", "two").await;
}

#[tokio::test]
async fn file_written_in_place_acts() {
    let (one, two) = (Origin::http("one").await, Origin::http("two").await);
    let proxy = Spec::router("out").endpoint("users", one.addr()).start().await;
    assert_eq!(proxy.reaches("users").await, "one");
    write(&proxy.spec().path("disco/users"), format!("127.0.0.1 {}\n", two.port()));
    proxy.soon_reaches("users", "two").await;
}

#[tokio::test]
async fn directory_that_goes_away_and_comes_back_is_followed() {
    let (one, two) = (Origin::http("one").await, Origin::http("two").await);
    let proxy = Spec::router("out").endpoint("users", one.addr()).start().await;
    assert_eq!(proxy.reaches("users").await, "one");
    let (disco, away) = (proxy.spec().path("disco"), proxy.spec().path("away"));
    rename(&disco, &away).expect("a directory can be renamed");
    write(&away.join("users"), format!("127.0.0.1 {}\n", two.port()));
    rename(&away, &disco).expect("a directory can be renamed");
    eventually("the new content acts", async || match proxy.get("users", "/").await {
        answer if answer.status() == 200 && answer.json()["origin"] == "two" => Ok(()),
        answer => Err(format!("{answer:?}")),
    })
    .await;
}

#[tokio::test]
async fn directories_in_discovery_are_walked() {
    let users = Origin::http("users").await;
    let spec = Spec::router("out").keys("identifier = { kind = \"path\", segments = 3 }").dtab("/svc => /#/fs");
    create_dir(spec.path("disco/prod")).expect("the test's directory can be written");
    write(&spec.path("disco/prod/users"), format!("127.0.0.1 {}\n", users.port()));
    let proxy = spec.start().await;

    proxy.get("x", "/prod/users/rest").await.is(200);
    assert_eq!(users.last().headers("l5d-dst-client"), ["/#/fs/prod/users"]);
    assert_eq!(users.last().headers("l5d-dst-residual"), ["/rest"]);
    proxy.get("x", "/prod/nobody/rest").await.is_error(502, "negative");
}

#[tokio::test]
async fn name_cannot_leave_the_directory() {
    let users = Origin::http("users").await;
    let spec = Spec::router("out").keys("identifier = { kind = \"path\", segments = 2 }");
    write(&spec.path("secret"), format!("127.0.0.1 {}\n", users.port()));
    let proxy = spec.start().await;
    for target in ["/../secret", "/./../secret", "/..%2fsecret/x", "/../x"] {
        let answer = proxy.get("x", target).await;
        assert!((400..=502).contains(&answer.status()), "{target}: {answer:?}");
    }
    let header = Ask::get("x", "/a/b").header("l5d-dtab", "/svc => /#/fs/\\x2e\\x2e/secret");
    proxy.ask(&header).await.is(502);
    assert_eq!(users.requests(), 0);
}

#[tokio::test]
async fn rules_behind_a_link_are_swapped() {
    let (one, two) = (Origin::http("one").await, Origin::http("two").await);
    let spec = Spec::router("out")
        .without_dtab()
        .keys("dtab_file = \"routes.dtab\"")
        .file("v1.dtab", "/svc => /#/fs/one")
        .file("v2.dtab", "/svc => /#/fs/two")
        .endpoint("one", one.addr())
        .endpoint("two", two.addr());
    point(&spec.path("routes.dtab"), "v1.dtab");
    let proxy = spec.start().await;
    assert_eq!(proxy.reaches("users").await, "one");
    point(&proxy.spec().path("routes.dtab"), "v2.dtab");
    proxy.soon_reaches("users", "two").await;
}

#[tokio::test]
async fn certificate_behind_a_link_is_swapped() {
    let (old, new) = (Ca::new(), Ca::new());
    let spec = Spec::router("in").server("tls = { cert = \"live/web.pem\", key = \"live/web.key\" }");
    for (dir, ca) in [("v1", &old), ("v2", &new)] {
        create_dir(spec.path(dir)).expect("the test's directory can be written");
        ca.issue(&["web.example.com"]).write(&spec.path(dir), "web");
    }
    point(&spec.path("live"), "v1");
    let proxy = spec.start().await;
    Http1::tls(proxy.addr(), &ClientSide::new(&old, "web.example.com")).await.expect("TLS");

    point(&proxy.spec().path("live"), "v2");
    eventually("the new certificate is shown", async || {
        let side = ClientSide::new(&new, "web.example.com");
        Http1::tls(proxy.addr(), &side).await.map(drop).map_err(|error| error.to_string())
    })
    .await;
}

#[tokio::test]
async fn certificate_that_is_bad_for_a_moment_is_passed_over() {
    let (old, new) = (Ca::new(), Ca::new());
    let proxy = Spec::router("in")
        .identity("web", &old.issue(&["web.example.com"]))
        .server("tls = { cert = \"web.pem\", key = \"web.key\" }")
        .start()
        .await;
    // First the certificate, then the key: in between they do not fit.
    let identity = new.issue(&["web.example.com"]);
    certs::replace(&proxy.spec().path("web.pem"), identity.cert_pem.as_bytes(), 0o644);
    Http1::tls(proxy.addr(), &ClientSide::new(&old, "web.example.com"))
        .await
        .expect("the old one, while they do not fit");
    certs::replace(&proxy.spec().path("web.key"), identity.key_pem.as_bytes(), 0o600);
    eventually("the new certificate is shown", async || {
        let side = ClientSide::new(&new, "web.example.com");
        Http1::tls(proxy.addr(), &side).await.map(drop).map_err(|error| error.to_string())
    })
    .await;
}

#[tokio::test]
async fn new_client_certificate_is_shown_without_a_reload() {
    let ca = Ca::new();
    let side = ServerSide::new(&ca.issue(&["users.example.com"])).demands(&ca);
    let users = Origin::named("users").tls(side).start().await;
    let tls = config::static_tls("users.example.com")
        .replace(" }", ", client_auth = { cert = \"me.pem\", key = \"me.key\" } }");
    let proxy = Spec::router("out")
        .trust("ca", &ca)
        .identity("me", &ca.issue(&["spiffe://test/old"]))
        .client_at("/#/fs/users", &tls)
        .endpoint("users", users.addr())
        .start()
        .await;
    proxy.get("users", "/").await.is(200);

    let new = ca.issue(&["spiffe://test/new"]);
    new.write(proxy.spec().dir(), "me");
    eventually("the new certificate is shown", async || {
        proxy.get("users", "/").await.is(200);
        match users.last().greeting.and_then(|tls| tls.client) {
            Some(shown) if shown == new.chain()[0].as_ref() => Ok(()),
            _ => Err("the old one is".to_owned()),
        }
    })
    .await;
}

#[tokio::test]
async fn file_that_goes_away_and_comes_back_is_followed() {
    let (one, two) = (Origin::http("one").await, Origin::http("two").await);
    let proxy = Spec::router("out").endpoint("users", one.addr()).start().await;
    assert_eq!(proxy.reaches("users").await, "one");
    remove_file(proxy.spec().path("disco/users")).expect("the file was there");
    eventually("the name is gone", async || match proxy.get("users", "/").await {
        gone if gone.word() == "negative" => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
    proxy.disco().set("users", &[two.addr()]);
    eventually("the name is back", async || match proxy.get("users", "/").await {
        back if back.status() == 200 => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
    assert_eq!(proxy.reaches("users").await, "two");
}
