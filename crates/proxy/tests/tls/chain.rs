//! The chain above the certificate: issuers, dates, revocation.

use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, SerialNumber};
use tempfile::TempDir;
use time::{Duration, OffsetDateTime};
use waypost::tls::load_client;
use waypost_naming::Severity;

use crate::lab::{Ca, Lab, alternative, handshake, read, self_signed};

#[tokio::test]
async fn who_stands_behind_a_certificate_and_when_decides_before_its_name() {
    let lab = Lab::new();
    let now = OffsetDateTime::now_utc();
    let day = Duration::days(1);
    let users = |params: &mut CertificateParams| params.subject_alt_names = alternative(&["users.example.com"]);
    for (what, pair, word, outcome, text) in [
        ("other CA", lab.other.leaf(users), "tls_untrusted", "unknown_issuer", "was issued by CN=other"),
        ("self-signed", self_signed(lab.dir.path(), users), "tls_untrusted", "unknown_issuer", "is self-signed"),
        (
            "expired",
            lab.ca.leaf(|params| (params.not_before, params.not_after) = (now - day * 2, now - day)),
            "tls_expired",
            "expired",
            "ended at",
        ),
        (
            "not yet valid",
            lab.ca.leaf(|params| (params.not_before, params.not_after) = (now + day, now + day * 2)),
            "tls_expired",
            "expired",
            "is not valid before",
        ),
        (
            "for clients only",
            lab.ca.leaf(|params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth]),
            "tls_other",
            "other",
            "serverAuth",
        ),
        (
            "a CA's own",
            lab.ca.leaf(|params| params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained)),
            "tls_untrusted",
            "unknown_issuer",
            "CA:TRUE",
        ),
    ] {
        let failure = handshake(&lab.verify("users.example.com"), &lab.server(&pair)).await.0.unwrap_err();
        assert_eq!((failure.word(), failure.outcome()), (word, outcome), "{what}: {failure}");
        let message = failure.to_string();
        assert!(message.starts_with("must be users.example.com; its certificate of users.example.com "), "{message}");
        assert!(message.contains(text), "{what}: {message}");
    }
}

#[tokio::test]
async fn a_ca_of_the_same_name_but_another_key_is_not_trusted() {
    let lab = Lab::new();
    let elsewhere = TempDir::new().unwrap();
    let impostor = Ca::new(elsewhere.path(), "ca", |_| {});
    let failure = handshake(&lab.verify("users.example.com"), &lab.server(&impostor.leaf(|_| {}))).await.0.unwrap_err();
    assert_eq!(failure.word(), "tls_untrusted", "{failure}");
}

#[tokio::test]
async fn a_self_signed_certificate_can_be_trusted_by_itself() {
    let lab = Lab::new();
    let pair = self_signed(lab.dir.path(), |_| {});
    let client = lab.verify_with("users.example.com", |settings| settings.trust = vec![pair.cert.clone()]);
    assert!(handshake(&client, &lab.server(&pair)).await.0.is_ok());
}

#[tokio::test]
async fn intermediates_are_taken_from_the_servers_chain() {
    let lab = Lab::new();
    let middle = lab.ca.intermediate(lab.dir.path(), "middle", |_| {});
    let mut pair = middle.leaf(|_| {});
    let client = lab.verify("users.example.com");
    assert_eq!(handshake(&client, &lab.server(&pair)).await.0.unwrap_err().word(), "tls_untrusted");

    pair.cert = lab.write("chain.pem", &(read(&pair.cert) + &read(&middle.file)));

    assert!(handshake(&client, &lab.server(&pair)).await.0.is_ok());
}

#[tokio::test]
async fn an_ended_intermediate_is_told_apart_from_an_ended_leaf() {
    let lab = Lab::new();
    let now = OffsetDateTime::now_utc();
    let middle = lab.ca.intermediate(lab.dir.path(), "middle", |params| {
        (params.not_before, params.not_after) = (now - Duration::days(2), now - Duration::days(1));
    });
    let mut pair = middle.leaf(|_| {});
    pair.cert = lab.write("chain.pem", &(read(&pair.cert) + &read(&middle.file)));

    let failure = handshake(&lab.verify("users.example.com"), &lab.server(&pair)).await.0.unwrap_err();

    assert_eq!(failure.word(), "tls_expired");
    assert!(failure.to_string().contains("hangs on a CA certificate that ended at"), "{failure}");
}

#[tokio::test]
async fn a_listed_certificate_is_revoked_and_an_unlisted_one_is_not() {
    let lab = Lab::new();
    let revoked = lab.server(&lab.ca.leaf(|params| params.serial_number = Some(SerialNumber::from(77))));
    let good = lab.server(&lab.ca.leaf(|params| params.serial_number = Some(SerialNumber::from(78))));
    let crl = lab.ca.crl(&lab, "ca.crl", &[77], Duration::days(30));
    let client = lab.verify_with("users.example.com", |settings| settings.crls = vec![crl.clone()]);

    let failure = handshake(&client, &revoked).await.0.unwrap_err();

    assert_eq!((failure.word(), failure.outcome()), ("tls_revoked", "revoked"));
    assert!(failure.to_string().contains("serial 4d"), "{failure}");
    assert!(handshake(&client, &good).await.0.is_ok());
}

#[tokio::test]
async fn a_ca_that_no_list_covers_is_not_trusted() {
    let lab = Lab::new();
    let crl = lab.other.crl(&lab, "other.crl", &[], Duration::days(30));
    let client = lab.verify_with("users.example.com", |settings| settings.crls = vec![crl.clone()]);
    let failure = handshake(&client, &lab.server(&lab.ca.leaf(|_| {}))).await.0.unwrap_err();
    assert_eq!(failure.word(), "tls_untrusted");
    assert!(failure.to_string().contains("none of the `crls` is of CN=ca"), "{failure}");
}

#[tokio::test]
async fn a_list_that_is_out_of_date_is_warned_of_and_still_used() {
    let lab = Lab::new();
    let revoked = lab.server(&lab.ca.leaf(|params| params.serial_number = Some(SerialNumber::from(77))));
    let crl = lab.ca.crl(&lab, "old.crl", &[77], Duration::days(-1));

    let problems = load_client(&[], std::slice::from_ref(&crl), None).1;

    let [problem] = &problems[..] else { panic!("{problems:?}") };
    assert_eq!((problem.severity, problem.code), (Severity::Warning, "crl-out-of-date"));
    let client = lab.verify_with("users.example.com", |settings| settings.crls = vec![crl.clone()]);
    assert_eq!(handshake(&client, &revoked).await.0.unwrap_err().word(), "tls_revoked");
}
