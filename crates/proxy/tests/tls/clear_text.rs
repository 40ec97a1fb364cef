//! Peers that speak no TLS, and identities that make none.

use std::sync::Arc;

use tokio::io::{AsyncWriteExt, duplex};
use waypost::tls::{Offer, connector, load_client};
use waypost_routing::{ClientTls, PeerName, TlsSettings, TlsVersion};

use crate::lab::{ENDPOINT, Lab};

#[tokio::test]
async fn clear_text_on_either_side_is_recognised() {
    let lab = Lab::new();
    let (near, mut far) = duplex(64 * 1024);
    far.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
    let failure = lab.verify("users.example.com").connect(near, ENDPOINT).await.unwrap_err();
    assert_eq!(
        failure.to_string(),
        "must be users.example.com, but did not answer in TLS; perhaps it speaks clear text"
    );

    let (near, mut far) = duplex(64 * 1024);
    far.write_all(b"GET / HTTP/1.1\r\nhost: users\r\n\r\n").await.unwrap();
    let failure = lab.server(&lab.ca.leaf(|_| {})).accept(near).await.unwrap_err();
    assert_eq!(
        (failure.outcome, failure.message.as_str()),
        ("other", "does not speak TLS; perhaps it speaks clear text")
    );
}

#[tokio::test]
async fn a_closed_connection_is_said_to_be_closed() {
    let lab = Lab::new();
    let (near, far) = duplex(64 * 1024);
    drop(far);
    let failure = lab.verify("users.example.com").connect(near, ENDPOINT).await.unwrap_err();
    assert_eq!(failure.word(), "tls_other");
    assert!(failure.to_string().contains("during the TLS handshake"), "{failure}");
}

#[test]
fn identities_that_can_not_be_checked_make_no_connector() {
    let lab = Lab::new();
    let material = load_client(std::slice::from_ref(&lab.ca.file), &[], None).0.unwrap();
    let settings = |protocols| Arc::new(TlsSettings { protocols, ..lab.settings() });
    let odd = PeerName::Dns("a b".to_owned());
    let no_name = ClientTls::Verify { kind: "static", name: odd, settings: settings(vec![TlsVersion::V1_3]) };
    let no_version = ClientTls::Encrypt { sni: None, settings: settings(Vec::new()) };
    for (identity, text) in [(ClientTls::Clear, "clear text"), (no_name, "`a b`"), (no_version, "protocols")] {
        let error = connector(&identity, &material, Offer::Both).unwrap_err();
        assert!(error.contains(text), "{error}");
    }
}
