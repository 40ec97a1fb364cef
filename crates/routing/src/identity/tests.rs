use super::*;

fn path(text: &str) -> Path {
    text.parse().unwrap()
}

fn rule(prefix: &str, name: &str) -> NameRule {
    let pattern = Pattern::parse(prefix).unwrap();
    let name = Template::parse(name, &pattern).unwrap();
    NameRule { prefix: pattern, common_name: name, from: Place::Default }
}

fn settings() -> Arc<TlsSettings> {
    Arc::new(TlsSettings {
        trust: vec!["ca.pem".into()],
        crls: Vec::new(),
        client_auth: None,
        protocols: vec![TlsVersion::V1_2, TlsVersion::V1_3],
        alpn: None,
        allow_common_name: false,
        digest: [7; 32],
    })
}

#[test]
fn names_are_of_the_type_they_look_like() {
    let dns = |name: &str| Ok(PeerName::Dns(name.to_owned()));
    let ip = |ip: &str| Ok(PeerName::Ip(ip.parse().unwrap()));
    let uri = |uri: &str| Ok(PeerName::Uri(uri.to_owned()));
    for (text, name) in [
        ("users.example.com", dns("users.example.com")),
        ("Users.Example.COM.", dns("users.example.com")),
        ("linkerd", dns("linkerd")),
        ("my_service.local", dns("my_service.local")),
        ("xn--bcher-kva.example", dns("xn--bcher-kva.example")),
        ("127.0.0.1", ip("127.0.0.1")),
        ("::1", ip("::1")),
        ("[::1]", ip("::1")),
        ("spiffe://example.org/ns/prod/sa/users", uri("spiffe://example.org/ns/prod/sa/users")),
        ("SPIFFE://example.org", uri("spiffe://example.org")),
        ("", Err(BadPeerName::Empty)),
        ("*.example.com", Err(BadPeerName::Wildcard)),
        ("a..b", Err(BadPeerName::EmptyLabel)),
        (".a", Err(BadPeerName::EmptyLabel)),
        ("-a.b", Err(BadPeerName::Label)),
        ("users:443", Err(BadPeerName::Character)),
        ("users/x", Err(BadPeerName::Character)),
        (r"\x61\x20", Err(BadPeerName::Character)),
        ("{service}.example.com", Err(BadPeerName::Character)),
        ("[users]", Err(BadPeerName::Character)),
        ("1.2.3", Err(BadPeerName::Number)),
        ("443", Err(BadPeerName::Number)),
        ("https://example.org", Err(BadPeerName::Scheme)),
        ("spiffe:///users", Err(BadPeerName::TrustDomain)),
        ("spiffe://Example.org/users", Err(BadPeerName::TrustDomain)),
        ("spiffe://example.org:1/users", Err(BadPeerName::TrustDomain)),
        ("spiffe://user@example.org/users", Err(BadPeerName::TrustDomain)),
        ("spiffe://example.org/", Err(BadPeerName::SpiffePath)),
        ("spiffe://example.org/a//b", Err(BadPeerName::SpiffePath)),
        ("spiffe://example.org/a/../b", Err(BadPeerName::SpiffePath)),
        ("spiffe://example.org/a?b", Err(BadPeerName::SpiffePath)),
    ] {
        assert_eq!(PeerName::parse(text).map_err(|error| error.kind), name, "{text}");
    }
    assert_eq!(PeerName::parse(&"a".repeat(64)).unwrap_err().kind, BadPeerName::Label);
    assert_eq!(PeerName::parse(&"a.".repeat(128)).unwrap_err().kind, BadPeerName::TooLong);
}

#[test]
fn static_fills_in_the_captures_of_the_policy() {
    let NameRule { prefix: pattern, common_name, .. } = rule("/#/fs/{service}", "{service}.example.com");
    let rule = TlsRule::Static { common_name, settings: settings() };
    for (bound, name) in [("/#/fs/users", Ok("users.example.com")), (r"/#/fs/a\x20b", Err(()))] {
        let bound = path(bound);
        let tls = rule.client_tls(&bound, &pattern.matches(&bound).unwrap());
        let expected = name.map(|name| ClientTls::Verify {
            kind: "static",
            name: PeerName::Dns(name.to_owned()),
            settings: settings(),
        });
        assert_eq!(tls.map_err(|_| ()), expected, "{bound}");
    }
}

#[test]
fn bound_path_takes_the_first_prefix_that_matches() {
    let names = vec![
        rule("/#/fs/{service}-{version}", "spiffe://example.org/{version}/{service}"),
        rule("/#/fs/{service}", "{service}.example.com"),
        rule("/$/inet/{host}", "{host}"),
    ];
    let rule = TlsRule::BoundPath { names, unmatched: Unmatched::Refuse, settings: settings() };
    for (bound, name, sni) in [
        ("/#/fs/users-v1", "spiffe://example.org/v1/users", None),
        ("/#/fs/users", "users.example.com", Some("users.example.com")),
        ("/$/inet/10.0.0.1/443", "10.0.0.1", None),
    ] {
        let tls = rule.client_tls(&path(bound), &Captures::default()).unwrap();
        assert_eq!(tls.sni(), sni, "{bound}");
        let ClientTls::Verify { kind: "bound_path", name: found, .. } = tls else { panic!("{tls:?}") };
        assert_eq!(found.to_string(), name, "{bound}");
    }
}

#[test]
fn unmatched_is_refused_unless_clear_text_is_asked_for() {
    let strict = |unmatched| TlsRule::BoundPath {
        names: vec![rule("/#/fs/{service}", "{service}.example.com"), rule("/#/lab/*", "lab.example.com")],
        unmatched,
        settings: settings(),
    };
    let bound = path("/#/dns/users");
    let refused = strict(Unmatched::Refuse).client_tls(&bound, &Captures::default()).unwrap_err();
    assert_eq!(refused.to_string(), "no TLS name for /#/dns/users: it matches none of /#/fs/{service}, /#/lab/*");
    let clear = strict(Unmatched::ClearText).client_tls(&bound, &Captures::default());
    assert_eq!(clear, Ok(ClientTls::Clear));
    let bad = strict(Unmatched::ClearText).client_tls(&path(r"/#/fs/a\x20b"), &Captures::default());
    assert!(matches!(bad, Err(NoIdentity::BadName { .. })), "a bad name is never clear text");
}

#[test]
fn no_validation_sends_a_host_name_only() {
    for (name, sni) in [
        (None, None),
        (Some("users.example.com"), Some("users.example.com")),
        (Some("10.0.0.1"), None),
        (Some("spiffe://example.org/users"), None),
    ] {
        let common_name = name.map(|name| rule("/", name).common_name);
        let rule = TlsRule::NoValidation { common_name, settings: settings() };
        let tls = rule.client_tls(&path("/#/fs/users"), &Captures::default()).unwrap();
        assert_eq!(tls, ClientTls::Encrypt { sni: sni.map(str::to_owned), settings: settings() });
    }
}

#[test]
fn any_difference_makes_another_identity() {
    let same = || ClientTls::Verify {
        kind: "static",
        name: PeerName::Dns("users.example.com".to_owned()),
        settings: settings(),
    };
    assert_eq!(same(), same());
    let with = |change: fn(&mut TlsSettings)| {
        let mut settings = TlsSettings::clone(&settings());
        change(&mut settings);
        ClientTls::Verify {
            kind: "static",
            name: PeerName::Dns("users.example.com".to_owned()),
            settings: Arc::new(settings),
        }
    };
    for other in [
        with(|settings| settings.digest = [8; 32]),
        with(|settings| settings.trust.clear()),
        with(|settings| settings.crls.push("crl.pem".into())),
        with(|settings| settings.client_auth = Some(("web.pem".into(), "web.key".into()))),
        with(|settings| settings.protocols = vec![TlsVersion::V1_3]),
        with(|settings| settings.alpn = Some(vec!["h2".to_owned()])),
        with(|settings| settings.allow_common_name = true),
        ClientTls::Encrypt { sni: Some("users.example.com".to_owned()), settings: settings() },
        ClientTls::Clear,
    ] {
        assert_ne!(same(), other);
    }
}
