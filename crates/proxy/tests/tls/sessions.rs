//! Sessions: whom a resumed one stands for.

use rcgen::SerialNumber;
use rustls::HandshakeKind;
use time::Duration;
use waypost::tls::{Offer, acceptor};
use waypost_routing::TlsVersion;

use crate::lab::{ALL, Lab, alternative, encrypt, session, verify};

#[tokio::test]
async fn a_connector_resumes_its_own_sessions() {
    let lab = Lab::new();
    let server = lab.server(&lab.ca.leaf(|params| params.subject_alt_names = alternative(&ALL)));
    for identity in ALL.map(verify).into_iter().chain([encrypt(None)]) {
        for protocols in [vec![TlsVersion::V1_2], vec![TlsVersion::V1_3]] {
            let client = lab.connector(|settings| settings.protocols = protocols, &identity, Offer::Both);
            assert_eq!(session(&client, &server).await, Ok(HandshakeKind::Full));
            assert_eq!(session(&client, &server).await, Ok(HandshakeKind::Resumed));
        }
    }
}

#[tokio::test]
async fn two_connectors_to_one_address_never_resume_each_others_sessions() {
    let lab = Lab::new();
    let server = lab.server(&lab.ca.leaf(|params| params.subject_alt_names = alternative(&ALL)));
    for protocols in [vec![TlsVersion::V1_2], vec![TlsVersion::V1_3]] {
        let client = |name| lab.verify_with(name, |settings| settings.protocols.clone_from(&protocols));
        for name in ALL {
            let first = client(name);
            assert_eq!(session(&first, &server).await, Ok(HandshakeKind::Full));
            assert_eq!(session(&first, &server).await, Ok(HandshakeKind::Resumed));
            assert_eq!(session(&client(name), &server).await, Ok(HandshakeKind::Full), "{name}");
        }
        // These have no SNI, so only the address could have been the key of a session.
        for stranger in ["127.0.0.2", "spiffe://td/billing"] {
            assert_eq!(session(&client(stranger), &server).await, Err("tls_name"), "{stranger}");
        }
    }
}

#[tokio::test]
async fn what_one_accepted_unseen_another_still_checks() {
    let lab = Lab::new();
    let impostor = lab.server(&lab.other.leaf(|params| params.subject_alt_names = alternative(&ALL)));
    for (sni, wanted) in
        [(Some("users.example.com"), "users.example.com"), (None, "127.0.0.1"), (None, "spiffe://td/users")]
    {
        let careless = lab.encrypt(sni);
        assert_eq!(session(&careless, &impostor).await, Ok(HandshakeKind::Full));
        let careful = lab.verify(wanted);
        assert_eq!(session(&careful, &impostor).await, Err("tls_untrusted"), "{wanted}");
        assert_eq!(session(&careless, &impostor).await, Ok(HandshakeKind::Resumed), "there was a session to resume");
        assert_eq!(session(&careful, &impostor).await, Err("tls_untrusted"), "{wanted}");
    }
}

#[tokio::test]
async fn withdrawn_trust_is_noticed_in_spite_of_a_session() {
    let lab = Lab::new();
    let server = lab.server(&lab.ca.leaf(|params| params.serial_number = Some(SerialNumber::from(77))));
    let before = lab.verify("users.example.com");
    assert_eq!(session(&before, &server).await, Ok(HandshakeKind::Full));
    let crl = lab.ca.crl(&lab, "ca.crl", &[77], Duration::days(30));
    let after = lab.verify_with("users.example.com", |settings| settings.crls = vec![crl.clone()]);
    assert_eq!(session(&after, &server).await, Err("tls_revoked"));
}

#[tokio::test]
async fn a_renewed_certificate_keeps_the_sessions_of_callers() {
    let lab = Lab::new();
    let client = lab.verify("users.example.com");
    let old = lab.material(&lab.ca.leaf(|_| {}), Some((&lab.ca, true)));
    let new = lab.material(&lab.ca.leaf(|_| {}), Some((&lab.ca, true)));
    let own = lab.with_certificate(&lab.ca.leaf(|_| {}));
    assert_eq!(session(&client, &acceptor(&old)).await, Err("client_cert_refused"));
    assert_eq!(session(&own, &acceptor(&old)).await, Ok(HandshakeKind::Full));
    assert_eq!(session(&own, &acceptor(&new.keep_tickets_of(&old))).await, Ok(HandshakeKind::Resumed));
}

#[tokio::test]
async fn a_withdrawn_client_ca_ends_the_sessions_of_callers() {
    let lab = Lab::new();
    let old = lab.material(&lab.ca.leaf(|_| {}), Some((&lab.ca, true)));
    let new = lab.material(&lab.ca.leaf(|_| {}), Some((&lab.other, true)));
    let own = lab.with_certificate(&lab.ca.leaf(|_| {}));
    assert_eq!(session(&own, &acceptor(&old)).await, Ok(HandshakeKind::Full));
    assert_eq!(session(&own, &acceptor(&new.keep_tickets_of(&old))).await, Err("client_cert_refused"));
}
