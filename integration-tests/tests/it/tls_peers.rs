//! TLS with programs that nobody here wrote: openssl, nginx, HAProxy and curl, on both sides.

use std::net::SocketAddr;

use integration_tests::config::static_tls;
use integration_tests::*;

/// A caller-side waypost that knows one endpoint, trusts `ca` and shows `caller`.
async fn calling(ca: &Ca, endpoint: SocketAddr, keys: &str, policy: &str) -> TestProxy {
    let more = format!(", client_auth = {{ cert = \"caller.pem\", key = \"caller.key\" }}{keys} }}");
    let tls = static_tls("users.example.com").replace(" }", &more);
    Spec::router("out")
        .trust("ca", ca)
        .identity("caller", &ca.issue(&["spiffe://test/caller"]))
        .client(&format!("accrual = {{ kind = \"none\" }}\n{policy}"))
        .client_at("/#/fs/{service}", &tls)
        .endpoint("users", endpoint)
        .start()
        .await
}

#[tokio::test]
async fn openssl_as_endpoint_speaks_the_versions_that_both_allow() {
    let ca = Ca::new();
    let own = ca.issue(&["users.example.com"]);
    let files = [("own.pem", own.cert_pem.as_str()), ("own.key", &own.key_pem), ("ca.pem", ca.pem())];
    let serve = ["s_server", "-accept", "{addr}", "-cert", "own.pem", "-key", "own.key", "-www", "-quiet"];
    for (version, allowed, works) in [
        ("-tls1_2", "[\"1.2\"]", true),
        ("-tls1_3", "[\"1.3\"]", true),
        ("-tls1_2", "[\"1.3\", \"1.2\"]", true),
        ("-tls1_2", "[\"1.3\"]", false),
        ("-tls1_3", "[\"1.2\"]", false),
    ] {
        let args: Vec<&str> = serve.into_iter().chain([version, "-Verify", "1", "-CAfile", "ca.pem"]).collect();
        let peer = Peer::start("openssl", &files, &args).await;
        let proxy = calling(&ca, peer.addr(), &format!(", protocols = {allowed}"), "").await;
        let answer = proxy.get("users", "/").await;
        if works {
            let text = answer.is(200).text();
            let spoken = version.replace("-tls1_", "TLSv1.");
            assert!(text.contains(&spoken) && text.contains("spiffe://test/caller"), "{version}: {text}");
        } else {
            answer.is_error(502, "tls_other");
        }
    }
}

#[tokio::test]
async fn nginx_as_endpoint_verifies_our_certificate() {
    let ca = Ca::new();
    let own = ca.issue(&["users.example.com"]);
    let directives = "ssl_certificate own.pem; ssl_certificate_key own.key; ssl_client_certificate ca.pem;\n\
                      ssl_verify_client on;\n\
                      location / { return 200 \"$ssl_client_verify $server_protocol $ssl_server_name\"; }";
    let files = [("own.pem", own.cert_pem.as_str()), ("own.key", &own.key_pem), ("ca.pem", ca.pem())];
    for (listen, protocol) in [("ssl", "HTTP/1.1"), ("ssl http2", "HTTP/2.0")] {
        let nginx = Nginx::start(listen, directives, &files).await;
        let proxy = calling(&ca, nginx.addr(), "", "").await;
        let text = proxy.get("users", "/").await.is(200).text();
        assert_eq!(text, format!("SUCCESS {protocol} users.example.com"));

        // nginx says with an answer of its own that a certificate is missing.
        let without = Spec::router("out")
            .trust("ca", &ca)
            .client_at("/#/fs/{service}", &static_tls("users.example.com"))
            .endpoint("users", nginx.addr())
            .start()
            .await;
        let text = without.get("users", "/").await.is(400).text();
        assert!(text.contains("No required SSL certificate was sent"), "{text}");
    }
}

#[tokio::test]
async fn haproxy_as_endpoint_verifies_our_certificate() {
    let ca = Ca::new();
    let both = ca.issue(&["users.example.com"]);
    let both = format!("{}{}", both.cert_pem, both.key_pem);
    let config = "defaults\n  mode http\n  timeout connect 1s\n  timeout client 9s\n  timeout server 9s\n\
                  frontend in\n  bind {addr} ssl crt both.pem ca-file ca.pem verify required alpn h2,http/1.1\n\
                  \x20 http-request return status 200 content-type text/plain lf-string \"%HV %[ssl_c_verify] %[ssl_fc_sni]\"\n";
    let files = [("haproxy.cfg", config), ("both.pem", &both), ("ca.pem", ca.pem())];
    let peer = Peer::start("haproxy", &files, &["-db", "-q", "-f", "haproxy.cfg"]).await;
    for (policy, version) in [("protocol = \"http1\"", "HTTP/1.1"), ("protocol = \"http2\"", "HTTP/2.0")] {
        let proxy = calling(&ca, peer.addr(), "", policy).await;
        assert_eq!(proxy.get("users", "/").await.is(200).text(), format!("{version} 0 users.example.com"));
    }
    let stranger = Spec::router("out")
        .trust("ca", &ca)
        .identity("caller", &Ca::new().issue(&["spiffe://test/caller"]))
        .client_at(
            "/#/fs/{service}",
            &static_tls("users.example.com")
                .replace(" }", ", client_auth = { cert = \"caller.pem\", key = \"caller.key\" } }"),
        )
        .endpoint("users", peer.addr())
        .start()
        .await;
    let answer = stranger.get("users", "/").await.is_error(502, "tls_other");
    assert!(answer.l5d_err().contains("refused our client certificate"), "{answer:?}");
}

/// A callee-side waypost that demands client certificates of `ca`.
async fn serving(ca: &Ca, users: &Origin) -> TestProxy {
    Spec::router("in")
        .trust("ca", ca)
        .identity("web", &ca.issue(&["web.example.com"]))
        .identity("caller", &ca.issue(&["spiffe://test/caller"]))
        .server("tls = { cert = \"web.pem\", key = \"web.key\", client_ca = \"ca.pem\" }")
        .endpoint("users", users.addr())
        .start()
        .await
}

#[tokio::test]
async fn curl_as_caller_is_known_by_its_certificate() {
    let ca = Ca::new();
    let users = Origin::http("users").await;
    let proxy = serving(&ca, &users).await;
    let port = proxy.addr().port();
    let (url, resolve) = (format!("https://web.example.com:{port}/"), format!("web.example.com:{port}:127.0.0.1"));
    let file = |name: &str| proxy.spec().path(name).display().to_string();
    let (trust, cert, key) = (file("ca.pem"), file("caller.pem"), file("caller.key"));
    let base = [url.as_str(), "--resolve", &resolve, "--cacert", &trust, "-H", "Host: users"];
    for (args, version) in [
        (&["--http1.1", "--tlsv1.3"][..], "HTTP/1.1"),
        (&["--http1.1", "--tlsv1.2", "--tls-max", "1.2"], "HTTP/1.1"),
        (&["--http2"], "HTTP/2"),
    ] {
        let known: Vec<&str> =
            base.into_iter().chain(["--cert", &cert, "--key", &key]).chain(args.iter().copied()).collect();
        let answer = curl(&known).await.ok().is(200);
        assert_eq!(answer.version, version);
        assert_eq!(users.last().headers("l5d-client-id"), ["spiffe://test/caller"]);

        let unknown: Vec<&str> = base.into_iter().chain(args.iter().copied()).collect();
        assert_ne!(curl(&unknown).await.code, 0, "{args:?} without a certificate");
    }
}

/// Another proxy in front of waypost, with a certificate of its own or none, that expects `name` of waypost.
async fn nginx_in_front(to: SocketAddr, ca: &Ca, own: Option<&Identity>, name: &str) -> Nginx {
    let own_files = own.map_or("", |_| "proxy_ssl_certificate own.pem; proxy_ssl_certificate_key own.key;");
    let directives = format!(
        "location / {{ proxy_pass https://{to}; proxy_http_version 1.1; proxy_set_header Host users;\n\
         proxy_ssl_server_name on; proxy_ssl_name {name}; proxy_ssl_verify on;\n\
         proxy_ssl_trusted_certificate ca.pem; {own_files} }}"
    );
    let files = own.map(|own| [("own.pem", own.cert_pem.as_str()), ("own.key", &own.key_pem)]);
    let files: Vec<_> = files.into_iter().flatten().chain([("ca.pem", ca.pem())]).collect();
    Nginx::start("", &directives, &files).await
}

async fn haproxy_in_front(to: SocketAddr, ca: &Ca, own: Option<&Identity>, name: &str, protocol: &str) -> Peer {
    let crt = own.map_or("", |_| "crt both.pem");
    let config = format!(
        "defaults\n  mode http\n  timeout connect 5s\n  timeout client 9s\n  timeout server 9s\n  retries 0\n\
         frontend in\n  bind {{addr}}\n  default_backend waypost\n\
         backend waypost\n  http-request set-header Host users\n\
         \x20 server one {to} ssl ca-file ca.pem verify required verifyhost {name} sni str({name}) {crt} {protocol}\n"
    );
    let both = own.map(|own| format!("{}{}", own.cert_pem, own.key_pem)).unwrap_or_default();
    let files = [("haproxy.cfg", config.as_str()), ("both.pem", &both), ("ca.pem", ca.pem())];
    Peer::start("haproxy", &files, &["-db", "-q", "-f", "haproxy.cfg"]).await
}

/// How often handshakes with callers ended otherwise than well.
async fn refused(proxy: &TestProxy) -> f64 {
    let metrics = proxy.metrics().await;
    let all = |labels: &[(&str, &str)]| metrics.sum("waypost_server_tls_handshakes_total", labels);
    all(&[]) - all(&[("outcome", "success")])
}

#[tokio::test]
async fn nginx_and_haproxy_as_callers_are_known_by_their_certificates() {
    let ca = Ca::new();
    let users = Origin::http("users").await;
    let proxy = serving(&ca, &users).await;
    let known = ca.issue(&["spiffe://test/front"]);
    let (right, to) = ("web.example.com", proxy.addr());
    let nginx = nginx_in_front(to, &ca, Some(&known), right).await;
    let http1 = haproxy_in_front(to, &ca, Some(&known), right, "alpn http/1.1").await;
    let http2 = haproxy_in_front(to, &ca, Some(&known), right, "alpn h2 proto h2").await;
    for (front, via) in [(nginx.addr(), "1.1 waypost"), (http1.addr(), "1.1 waypost"), (http2.addr(), "2 waypost")] {
        Http1::connect(front).await.ask(&Ask::get("front", "/")).await.is(200);
        let request = users.last();
        assert_eq!(
            (request.headers("l5d-client-id"), request.headers("via")),
            (vec!["spiffe://test/front"], vec![via])
        );
    }
    assert!(refused(&proxy).await.abs() < 0.5);

    let stranger = Ca::new().issue(&["spiffe://test/front"]);
    let reached = users.requests();
    // nginx looks at the name when the handshake is over: that one waypost takes for a good one.
    for (own, name, counted) in
        [(None, right, 2.0), (Some(&stranger), right, 2.0), (Some(&known), "billing.example.com", 1.0)]
    {
        let before = refused(&proxy).await;
        let nginx = nginx_in_front(to, &ca, own, name).await;
        let haproxy = haproxy_in_front(to, &ca, own, name, "alpn h2 proto h2").await;
        for (front, status) in [(nginx.addr(), 502), (haproxy.addr(), 503)] {
            let answer = Http1::connect(front).await.ask(&Ask::get("front", "/")).await;
            // With TLS 1.3 HAProxy learns only from the answer that it was refused.
            assert!(answer.status() == status || answer.status() == 502, "{own:?} {name}: {answer:?}");
        }
        eventually("refused handshakes are counted", async || {
            let now = refused(&proxy).await;
            if now >= before + counted { Ok(()) } else { Err(format!("{before} before, {now} now")) }
        })
        .await;
    }
    assert_eq!(users.requests(), reached);
}

/// Two policies for one nginx: what is resumed under one of them never is under the other.
#[tokio::test]
async fn sessions_and_tickets_of_nginx_are_kept_apart_by_identity() {
    let ca = Ca::new();
    let own = ca.issue(&["users.example.com", "search.example.com"]);
    let files = [("own.pem", own.cert_pem.as_str()), ("own.key", &own.key_pem)];
    for (version, tickets) in [("TLSv1.2", "off"), ("TLSv1.2", "on"), ("TLSv1.3", "on")] {
        let directives = format!(
            "ssl_certificate own.pem; ssl_certificate_key own.key; ssl_protocols {version}; keepalive_timeout 0;\n\
             ssl_session_cache shared:tls:1m; ssl_session_tickets {tickets};\n\
             location / {{ return 200 \"$ssl_session_reused $ssl_server_name\"; }}"
        );
        let nginx = Nginx::start("ssl", &directives, &files).await;
        let verified = |name: &str| static_tls(name);
        let proxy = Spec::router("out")
            .trust("ca", &ca)
            // One worker, so that it is known who has the session; the fifth asks for a name that nobody has.
            .workers(1)
            .client_at("/#/fs/users", &verified("users.example.com"))
            .client_at("/#/fs/search", &verified("search.example.com"))
            .client_at(
                "/#/fs/again",
                &verified("users.example.com").replace(" }", ", protocols = [\"1.2\", \"1.3\"] }"),
            )
            .client_at("/#/fs/anybody", "tls = { kind = \"no_validation\", common_name = \"billing.example.com\" }")
            .client_at("/#/fs/billing", &verified("billing.example.com"));
        let services = ["users", "search", "again", "anybody", "billing"];
        let proxy = services.iter().fold(proxy, |spec, service| spec.endpoint(service, nginx.addr())).start().await;
        for (service, name) in [
            ("users", "users.example.com"),
            ("search", "search.example.com"),
            ("again", "users.example.com"),
            ("anybody", "billing.example.com"),
        ] {
            let what = format!("{version}, tickets {tickets}, {service}");
            assert_eq!(proxy.get(service, "/").await.is(200).text(), format!(". {name}"), "the first of {what}");
            // In TLS 1.3 a ticket comes after the handshake: soon there is one.
            eventually("the session is resumed", async || match proxy.get(service, "/").await.is(200).text() {
                text if text == format!("r {name}") => Ok(()),
                text => Err(format!("{what}: {text}")),
            })
            .await;
        }
        proxy.get("billing", "/").await.is_error(502, "tls_name");
    }
}

#[tokio::test]
async fn openssl_as_caller_sees_chain_protocol_and_resumption() {
    let ca = Ca::new();
    let users = Origin::http("users").await;
    let proxy = serving(&ca, &users).await;
    let addr = proxy.addr().to_string();
    let file = |name: &str| proxy.spec().path(name).display().to_string();
    let (trust, cert, key, session) = (file("ca.pem"), file("caller.pem"), file("caller.key"), file("session.pem"));
    let base = ["s_client", "-connect", &addr, "-servername", "web.example.com", "-CAfile", &trust];
    let checks = ["-verify_return_error", "-verify_hostname", "web.example.com", "-cert", &cert, "-key", &key];
    for (version, protocol) in [("-tls1_2", "TLSv1.2"), ("-tls1_3", "TLSv1.3")] {
        let args: Vec<&str> = base.into_iter().chain(checks).chain([version, "-alpn", "h2,http/1.1"]).collect();
        let first: Vec<&str> = args.iter().copied().chain(["-sess_out", &session, "-ign_eof"]).collect();
        // A request whose answer ends the connection: by then TLS 1.3 has sent its tickets.
        let ask = "printf 'GET / HTTP/1.1\\r\\nHost: users\\r\\nConnection: close\\r\\n\\r\\n'";
        let quoted = |args: &[&str]| args.iter().map(|arg| format!("'{arg}'")).collect::<Vec<_>>().join(" ");
        let http1 = quoted(&first).replace("h2,http/1.1", "http/1.1");
        let said = command::program("bash", &["-c", &format!("{ask} | openssl {http1}")]).await.stdout;
        for part in ["Verify return code: 0 (ok)", protocol, "ALPN protocol: http/1.1", "HTTP/1.1 200 OK"] {
            assert!(said.contains(part), "{version}: {part} in {said}");
        }
        let again: Vec<&str> = args.iter().copied().chain(["-sess_in", &session]).collect();
        let said = command::program("openssl", &again).await.stdout;
        assert!(said.contains("Reused, "), "{version}: {said}");
        assert!(said.contains("ALPN protocol: h2"), "{version}: {said}");
    }
}

/// A self-signed RSA certificate for `web.example.com`, which the harness's own authority can't make.
async fn rsa(dir: &std::path::Path) {
    let file = |name: &str| dir.join(name).display().to_string();
    let (key, cert) = (file("rsa.key"), file("rsa.pem"));
    let names = ["-subj", "/CN=web", "-addext", "subjectAltName=DNS:web.example.com"];
    let leaf = ["-addext", "basicConstraints=critical,CA:FALSE"];
    let base = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", &key, "-out", &cert];
    command::program("openssl", &[&base[..], &names, &leaf].concat()).await.exits(0);
}

#[tokio::test]
async fn openssl_is_shown_the_certificate_whose_key_it_can_use() {
    let ca = Ca::new();
    let tls = "[routers.servers.tls]\ncert = \"web.pem\"\nkey = \"web.key\"\n\
               [[routers.servers.tls.certificates]]\ncert = \"rsa.pem\"\nkey = \"rsa.key\"\n\
               [[routers.servers.tls.certificates]]\ncert = \"again.pem\"\nkey = \"again.key\"\n";
    let spec = Spec::router("in")
        .identity("web", &ca.issue(&["web.example.com"]))
        .identity("again", &ca.issue(&["web.example.com"]))
        .server(tls);
    rsa(spec.dir()).await;
    let proxy = spec.start().await;
    let addr = proxy.addr().to_string();
    let (ec, rsa) = ("PKEY: id-ecPublicKey", "PKEY: rsaEncryption");
    for (args, key) in [
        (&["-tls1_3"][..], ec),
        (&["-tls1_2"], ec),
        (&["-tls1_3", "-sigalgs", "rsa_pss_rsae_sha256"], rsa),
        (&["-tls1_2", "-sigalgs", "RSA+SHA256"], rsa),
        (&["-tls1_3", "-sigalgs", "rsa_pss_rsae_sha256:ecdsa_secp256r1_sha256"], ec),
    ] {
        let base = ["s_client", "-connect", &addr, "-servername", "web.example.com"];
        let said = command::program("openssl", &[&base[..], args].concat()).await.stdout;
        assert!(said.contains(key), "{args:?}: {said}");
    }
    // The third is like the first, and nobody is ever shown it.
    let checked = waypost(&["check", &proxy.spec().config_arg()]).await;
    let said = format!("{}{}", checked.stdout, checked.stderr);
    assert_eq!(said.matches("certificate-never-shown").count(), 1, "{said}");
    assert!(said.contains("again.pem: is never shown: callers who ask for web.example.com"), "{said}");
}

#[tokio::test]
async fn openssl_as_caller_speaks_only_the_versions_of_the_server() {
    let ca = Ca::new();
    for (allowed, version, works) in
        [("1.3", "-tls1_3", true), ("1.3", "-tls1_2", false), ("1.2", "-tls1_2", true), ("1.2", "-tls1_3", false)]
    {
        let proxy = Spec::router("in")
            .identity("web", &ca.issue(&["web.example.com"]))
            .server(&format!("tls = {{ cert = \"web.pem\", key = \"web.key\", protocols = [\"{allowed}\"] }}"))
            .start()
            .await;
        let addr = proxy.addr().to_string();
        let args = ["s_client", "-connect", &addr, "-servername", "web.example.com", version];
        let ran = command::program("openssl", &args).await;
        assert_eq!(ran.code == 0, works, "{version} where {allowed} is allowed: {ran:?}");
        assert_eq!(ran.stdout.contains("BEGIN CERTIFICATE"), works, "{version}: {ran:?}");
        let labels = [("outcome", if works { "success" } else { "other" })];
        proxy.metric_is("waypost_server_tls_handshakes_total", &labels, 1.0).await;
    }
}

#[tokio::test]
async fn openssl_is_given_tickets_that_allow_no_early_data() {
    let ca = Ca::new();
    let users = Origin::http("users").await;
    let proxy = serving(&ca, &users).await;
    let addr = proxy.addr();
    let file = |name: &str| proxy.spec().path(name).display().to_string();
    let session = file("session.pem");
    let client = format!(
        "openssl s_client -connect {addr} -servername web.example.com -cert '{}' -key '{}' -tls1_3",
        file("caller.pem"),
        file("caller.key")
    );
    let ask = "GET / HTTP/1.1\\r\\nHost: users\\r\\nConnection: close\\r\\n\\r\\n";
    let first = format!("printf '{ask}' | {client} -sess_out '{session}' -ign_eof");
    let said = command::program("bash", &["-c", &first]).await.stdout;
    assert!(said.contains("HTTP/1.1 200 OK") && said.contains("Max Early Data: 0"), "{said}");
    let early = file("early");
    std::fs::write(&early, "GET / HTTP/1.1\r\nHost: users\r\n\r\n").expect("the test's directory can be written");
    let said = command::program("bash", &["-c", &format!("{client} -sess_in '{session}' -early_data '{early}'")]).await;
    assert!(said.stdout.contains("Early data was not sent"), "{said:?}");
    assert_eq!(users.requests(), 1);
}

#[tokio::test]
async fn curl_may_come_without_a_certificate_but_not_with_a_bad_one() {
    let ca = Ca::new();
    let users = Origin::http("users").await;
    let proxy = Spec::router("in")
        .trust("ca", &ca)
        .identity("web", &ca.issue(&["web.example.com"]))
        .identity("caller", &ca.issue(&["spiffe://test/caller"]))
        .identity("stranger", &Ca::new().issue(&["spiffe://test/caller"]))
        .identity("ended", &ca.sign(Leaf::new(&["spiffe://test/caller"]).expired()))
        .server("tls = { cert = \"web.pem\", key = \"web.key\", client_ca = \"ca.pem\", require_client_cert = false }")
        .endpoint("users", users.addr())
        .start()
        .await;
    let port = proxy.addr().port();
    let (url, resolve) = (format!("https://web.example.com:{port}/"), format!("web.example.com:{port}:127.0.0.1"));
    let file = |name: &str| proxy.spec().path(name).display().to_string();
    let trust = file("ca.pem");
    let base = [url.as_str(), "--resolve", &resolve, "--cacert", &trust, "-H", "Host: users"];
    curl(&base).await.ok().is(200);
    assert_eq!(users.last().header("l5d-client-id"), None);
    for (stem, outcome) in [("caller", "success"), ("stranger", "unknown_issuer"), ("ended", "expired")] {
        let (cert, key) = (file(&format!("{stem}.pem")), file(&format!("{stem}.key")));
        let reached = users.requests();
        let ran = curl(&[&base[..], &["--cert", &cert, "--key", &key]].concat()).await;
        assert_eq!(
            (ran.code == 0, users.requests() - reached),
            (stem == "caller", usize::from(stem == "caller")),
            "{stem}"
        );
        let expected = if stem == "caller" { 2.0 } else { 1.0 };
        proxy.metric_is("waypost_server_tls_handshakes_total", &[("outcome", outcome)], expected).await;
    }
    let known: Vec<_> =
        users.seen().iter().filter_map(|seen| seen.header("l5d-client-id").map(str::to_owned)).collect();
    assert_eq!(known, ["spiffe://test/caller"]);
}

#[tokio::test]
async fn nginx_is_verified_by_the_roots_of_the_system_where_there_is_no_trust() {
    let ca = Ca::new();
    let own = ca.issue(&["users.example.com"]);
    let directives = "ssl_certificate own.pem; ssl_certificate_key own.key; location / { return 200 ok; }";
    let files = [("own.pem", own.cert_pem.as_str()), ("own.key", &own.key_pem)];
    let nginx = Nginx::start("ssl", directives, &files).await;
    let tls = "tls = { kind = \"static\", common_name = \"users.example.com\" }";
    for (roots, known) in [(&ca, true), (&Ca::new(), false)] {
        let spec = Spec::router("out").trust("roots", roots).client_at("/#/fs/users", tls);
        let file = spec.path("roots.pem").display().to_string();
        let proxy = spec.endpoint("users", nginx.addr()).start_with(&[("SSL_CERT_FILE", &file)]).await;
        let answer = proxy.get("users", "/").await;
        if known {
            answer.is(200);
        } else {
            answer.is_error(502, "tls_untrusted");
        }
    }
}

#[tokio::test]
async fn nginx_speaks_what_alpn_offers() {
    let ca = Ca::new();
    let own = ca.issue(&["users.example.com"]);
    let directives = "ssl_certificate own.pem; ssl_certificate_key own.key;\n\
                      location / { return 200 \"$server_protocol $ssl_alpn_protocol\"; }";
    let files = [("own.pem", own.cert_pem.as_str()), ("own.key", &own.key_pem)];
    let nginx = Nginx::start("ssl http2", directives, &files).await;
    for (keys, expected) in [
        ("", "HTTP/2.0 h2"),
        (", alpn = [\"http/1.1\"]", "HTTP/1.1 http/1.1"),
        (", alpn = [\"h2\"]", "HTTP/2.0 h2"),
        (", alpn = []", "HTTP/1.1 "),
    ] {
        let tls = static_tls("users.example.com").replace(" }", &format!("{keys} }}"));
        let spec = Spec::router("out").trust("ca", &ca).client_at("/#/fs/users", &tls);
        let proxy = spec.endpoint("users", nginx.addr()).start().await;
        assert_eq!(proxy.get("users", "/").await.is(200).text(), expected, "{keys}");
    }
}
