//! What `no_validation` accepts, and what not even it does.

use time::{Duration, OffsetDateTime};
use waypost::tls::Offer;
use waypost_routing::TlsVersion;

use crate::lab::{Lab, Pair, encrypt, handshake, raw_handshake, raw_server, self_signed, verify, version_1};

#[tokio::test]
async fn without_validation_whoever_is_there_is_accepted() {
    let lab = Lab::new();
    let ended = OffsetDateTime::now_utc() - Duration::days(1);
    for pair in [
        lab.ca.leaf(|_| {}),
        lab.other.leaf(|params| params.subject_alt_names = Vec::new()),
        self_signed(lab.dir.path(), |_| {}),
        lab.ca.leaf(|params| params.not_after = ended),
    ] {
        assert!(handshake(&lab.encrypt(None), &lab.server(&pair)).await.0.is_ok());
    }
}

/// rustls' own signature check wants version 3, which what `openssl x509 -req` made for many years is not.
#[tokio::test]
async fn without_validation_a_version_1_certificate_is_accepted() {
    let lab = Lab::new();
    for protocols in [vec![TlsVersion::V1_2], vec![TlsVersion::V1_3]] {
        let server = raw_server(&lab.ca.leaf(|_| {}), version_1);
        let client = lab.connector(|settings| settings.protocols.clone_from(&protocols), &encrypt(None), Offer::Both);
        assert!(raw_handshake(&client, &server).await.is_ok(), "{protocols:?}");
        let client = lab.verify_with("users.example.com", |settings| settings.protocols.clone_from(&protocols));
        let failure = raw_handshake(&client, &server).await.unwrap_err();
        assert!(failure.to_string().contains("is not X.509 version 3"), "{failure}");
    }
}

#[tokio::test]
async fn without_validation_the_peer_must_still_hold_its_certificates_key() {
    let lab = Lab::new();
    let (shown, held) = (lab.ca.leaf(|_| {}), lab.ca.leaf(|_| {}));
    let server = raw_server(&Pair { cert: shown.cert, key: held.key }, <[u8]>::to_vec);
    for protocols in [vec![TlsVersion::V1_2], vec![TlsVersion::V1_3]] {
        for identity in [encrypt(None), verify("users.example.com")] {
            let client = lab.connector(|settings| settings.protocols.clone_from(&protocols), &identity, Offer::Both);
            let failure = raw_handshake(&client, &server).await.unwrap_err();
            assert_eq!(failure.word(), "tls_other");
            assert!(failure.to_string().contains("another key"), "{failure}");
        }
    }
}
