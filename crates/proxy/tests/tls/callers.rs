//! Client certificates: who calls.

use time::{Duration, OffsetDateTime};
use tokio::io::AsyncReadExt;
use waypost::tls::TlsFailure;
use waypost_routing::TlsVersion;

use crate::lab::{ClientOutcome, Lab, alternative, handshake};

#[tokio::test]
async fn a_verified_caller_is_known_by_name() {
    let lab = Lab::new();
    let server = lab.server_for(&lab.ca.leaf(|_| {}), true);
    let names = ["web.example.com", "spiffe://td/web"];
    let own = lab.ca.leaf(|params| params.subject_alt_names = alternative(&names));

    let peer = handshake(&lab.with_certificate(&own), &server).await.1.unwrap().1.peer.unwrap();

    assert_eq!(peer.name(), Some("spiffe://td/web"));
    assert_eq!(peer.dns, ["web.example.com"]);
}

#[tokio::test]
async fn callers_are_refused_when_they_should_be_and_told_so() {
    let lab = Lab::new();
    let now = OffsetDateTime::now_utc();
    let own = lab.ca.leaf(|_| {});
    let wrong = lab.other.leaf(|_| {});
    let ended = lab.ca.leaf(|params| params.not_after = now - Duration::hours(1));
    for (required, own, expected) in [
        (true, Some(&own), None),
        (true, None, Some("client_cert_refused")),
        (true, Some(&wrong), Some("unknown_issuer")),
        (true, Some(&ended), Some("expired")),
        (false, Some(&own), None),
        (false, None, None),
        (false, Some(&wrong), Some("unknown_issuer")),
    ] {
        let server = lab.server_for(&lab.ca.leaf(|_| {}), required);
        for protocols in [vec![TlsVersion::V1_2], vec![TlsVersion::V1_3]] {
            let client = lab.verify_with("users.example.com", |settings| {
                settings.client_auth = own.map(|own| (own.cert.clone(), own.key.clone()));
                settings.protocols = protocols;
            });
            let (client, server) = handshake(&client, &server).await;
            let Some(outcome) = expected else {
                assert_eq!(server.unwrap().1.peer.is_some(), own.is_some());
                continue;
            };
            assert_eq!(server.unwrap_err().outcome, outcome);
            let failure = refusal(client).await;
            assert!(matches!(failure, TlsFailure::ClientCertRefused(_)) || own.is_none(), "{failure:?}");
        }
    }
}

/// With TLS 1.2 the refusal ends the handshake; with TLS 1.3 ours is over by then, and the first read has it.
async fn refusal(outcome: ClientOutcome) -> TlsFailure {
    match outcome {
        Err(failure) => failure,
        Ok((mut stream, established)) => {
            assert!(established.refusal.get().is_none());
            stream.read_u8().await.unwrap_err();
            drop(stream);
            established.refusal.get().unwrap().clone()
        }
    }
}

#[tokio::test]
async fn a_connection_that_just_ends_was_not_refused() {
    let lab = Lab::new();
    let (client, server) = handshake(&lab.verify("users.example.com"), &lab.server(&lab.ca.leaf(|_| {}))).await;
    let (mut stream, established) = client.unwrap();
    drop(server);
    stream.read_u8().await.unwrap_err();
    assert!(established.refusal.get().is_none());
}

#[tokio::test]
async fn a_missing_client_certificate_is_said_to_be_missing() {
    let lab = Lab::new();
    let server = lab.server_for(&lab.ca.leaf(|_| {}), true);
    let failure = refusal(handshake(&lab.verify("users.example.com"), &server).await.0).await;
    assert_eq!(
        failure.to_string(),
        "must be users.example.com, but asks for a client certificate and got none (certificate_required)"
    );
    assert_eq!((failure.word(), failure.outcome()), ("tls_other", "client_cert_refused"));
}
