//! The name in the certificate.

use rcgen::{DnType, GeneralSubtree, NameConstraints};
use waypost::tls::TlsFailure;
use waypost_routing::TlsSettings;

use crate::lab::{Ca, Lab, alternative, handshake};

#[tokio::test]
async fn a_certificate_counts_for_the_names_of_its_own_type() {
    let lab = Lab::new();
    for (names, wanted, expected) in [
        (&["users.example.com"][..], "users.example.com", true),
        (&["Users.Example.Com"], "users.example.com", true),
        (&["a.example.com", "users.example.com"], "users.example.com", true),
        (&["*.example.com"], "users.example.com", true),
        (&["*.example.com"], "a.users.example.com", false),
        (&["*.example.com"], "example.com", false),
        (&["u*.example.com"], "users.example.com", false),
        (&["billing.example.com"], "users.example.com", false),
        (&["users.example.com.evil.org"], "users.example.com", false),
        (&["127.0.0.1"], "127.0.0.1", true),
        (&["127.0.0.2"], "127.0.0.1", false),
        (&["::1"], "::1", true),
        (&["::1"], "127.0.0.1", false),
        (&["dns:127.0.0.1"], "127.0.0.1", false),
        (&["127.0.0.1"], "users.example.com", false),
        (&["spiffe://td/users"], "spiffe://td/users", true),
        (&["spiffe://td/users", "users.example.com"], "spiffe://td/users", true),
        (&["spiffe://td/users", "users.example.com"], "users.example.com", true),
        (&["spiffe://td/billing"], "spiffe://td/users", false),
        (&["spiffe://td/users/"], "spiffe://td/users", false),
        (&["spiffe://td/Users"], "spiffe://td/users", false),
        (&["spiffe://td/users/a"], "spiffe://td/users", false),
        (&["spiffe://td/users", "spiffe://td/billing"], "spiffe://td/users", false),
        (&["spiffe://td/users", "spiffe://td/users"], "spiffe://td/users", false),
        (&["dns:spiffe"], "spiffe://td/users", false),
        (&[], "users.example.com", false),
    ] {
        let server = lab.server(&lab.ca.leaf(|params| params.subject_alt_names = alternative(names)));
        let outcome = handshake(&lab.verify(wanted), &server).await.0;
        match outcome {
            Ok(_) => assert!(expected, "{names:?} passed for {wanted}"),
            Err(TlsFailure::Name { .. }) => assert!(!expected, "{names:?} did not pass for {wanted}"),
            Err(other) => panic!("{names:?} for {wanted}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn a_refusal_names_who_was_wanted_and_who_was_found() {
    let lab = Lab::new();
    let names = ["billing.example.com", "127.0.0.1", "spiffe://td/billing"];
    let server = lab.server(&lab.ca.leaf(|params| params.subject_alt_names = alternative(&names)));

    let failure = handshake(&lab.verify("users.example.com"), &server).await.0.unwrap_err();

    let message = failure.to_string();
    let (names, provenance) = message.split_once(" (").unwrap();
    let expected =
        "must be users.example.com; its certificate names billing.example.com, 127.0.0.1, spiffe://td/billing";
    assert_eq!(names, expected);
    assert!(provenance.starts_with("issued by CN=") && provenance.contains(", valid from "), "{message}");
    assert_eq!((failure.word(), failure.outcome()), ("tls_name", "bad_name"));
}

#[tokio::test]
async fn a_common_name_counts_only_if_allowed_and_only_without_alternatives() {
    let lab = Lab::new();
    let allowed = |settings: &mut TlsSettings| settings.allow_common_name = true;
    let ignored = |_: &mut TlsSettings| {};
    for (common_name, alternatives, wanted, passes_if_allowed) in [
        ("users.example.com", &[][..], "users.example.com", true),
        ("*.example.com", &[], "users.example.com", true),
        ("billing.example.com", &[], "users.example.com", false),
        ("users.example.com", &["billing.example.com"], "users.example.com", false),
        ("users.example.com", &["spiffe://td/x"], "users.example.com", false),
        ("127.0.0.1", &[], "127.0.0.1", false),
        ("spiffe://td/users", &[], "spiffe://td/users", false),
    ] {
        let server = lab.server(&lab.ca.leaf(|params| {
            params.distinguished_name.push(DnType::CommonName, common_name);
            params.subject_alt_names = alternative(alternatives);
        }));
        let with = handshake(&lab.verify_with(wanted, allowed), &server).await.0;
        assert_eq!(with.is_ok(), passes_if_allowed, "CN={common_name} {alternatives:?} for {wanted}: {with:?}");
        let without = handshake(&lab.verify_with(wanted, ignored), &server).await.0;
        assert!(matches!(without, Err(TlsFailure::Name { .. })), "CN={common_name} for {wanted}: {without:?}");
    }
}

#[tokio::test]
async fn a_common_name_under_a_constrained_ca_counts_for_nothing() {
    let lab = Lab::new();
    let constrained = Ca::new(lab.dir.path(), "constrained", |params| {
        let permitted_subtrees = vec![GeneralSubtree::DnsName("billing.example.com".to_owned())];
        params.name_constraints = Some(NameConstraints { permitted_subtrees, excluded_subtrees: Vec::new() });
    });
    let server = lab.server(&constrained.leaf(|params| {
        params.subject_alt_names = Vec::new();
        params.distinguished_name.push(DnType::CommonName, "users.example.com");
    }));
    let client = lab.verify_with("users.example.com", |settings| {
        settings.allow_common_name = true;
        settings.trust = vec![constrained.file.clone()];
    });

    assert!(matches!(handshake(&client, &server).await.0, Err(TlsFailure::Name { .. })));
}
