//! What the two sides tell each other: names, protocols, versions.

use rcgen::SerialNumber;
use rustls::{NamedGroup, ProtocolVersion};
use time::{Duration, OffsetDateTime};
use waypost::tls::Offer;
use waypost_routing::{TlsSettings, TlsVersion};

use crate::lab::{Lab, alternative, handshake, verify};

#[tokio::test]
async fn only_host_names_are_sent() {
    let lab = Lab::new();
    let names = ["users.example.com", "127.0.0.1", "spiffe://td/users"];
    let server = lab.server(&lab.ca.leaf(|params| params.subject_alt_names = alternative(&names)));
    for (client, expected) in [
        (lab.verify("users.example.com"), Some("users.example.com")),
        (lab.verify("127.0.0.1"), None),
        (lab.verify("spiffe://td/users"), None),
        (lab.encrypt(Some("anything.example.com")), Some("anything.example.com")),
        (lab.encrypt(Some("127.0.0.1")), None),
        (lab.encrypt(Some("spiffe://td/users")), None),
        (lab.encrypt(None), None),
    ] {
        let (stream, _) = handshake(&client, &server).await.1.unwrap();
        assert_eq!(stream.get_ref().1.server_name(), expected, "{client:?}");
    }
}

#[tokio::test]
async fn the_protocol_is_the_one_both_sides_speak() {
    let lab = Lab::new();
    let server = lab.server(&lab.ca.leaf(|_| {}));
    let only = |name: &'static str| move |settings: &mut TlsSettings| settings.alpn = Some(vec![name.to_owned()]);
    let users = || verify("users.example.com");
    for (client, h2) in [
        (lab.connector(|_| {}, &users(), Offer::Both), true),
        (lab.connector(|_| {}, &users(), Offer::Http2), true),
        (lab.connector(|_| {}, &users(), Offer::Http1), false),
        (lab.connector(only("http/1.1"), &users(), Offer::Both), false),
        (lab.connector(|settings| settings.alpn = Some(Vec::new()), &users(), Offer::Both), false),
        (lab.connector(|settings| settings.alpn = Some(Vec::new()), &users(), Offer::Http2), true),
    ] {
        let (client, server) = handshake(&client, &server).await;
        assert_eq!(client.unwrap().1.h2, h2);
        // An empty offer is HTTP/2 only by the client's own policy, of which a server can't know.
        let (stream, negotiated) = server.unwrap();
        assert_eq!(negotiated.alpn_h2, stream.get_ref().1.alpn_protocol() == Some(b"h2"));
    }

    let (client, server) = handshake(&lab.connector(only("smtp"), &users(), Offer::Both), &server).await;
    let failure = client.unwrap_err();
    assert!(failure.to_string().contains("none of the protocols offered by ALPN: smtp"), "{failure}");
    assert!(server.unwrap_err().message.contains("ALPN"));
}

#[tokio::test]
async fn versions_are_those_of_the_settings() {
    let lab = Lab::new();
    let server = lab.server(&lab.ca.leaf(|_| {}));
    for (protocols, expected) in [
        (vec![TlsVersion::V1_3, TlsVersion::V1_2], ProtocolVersion::TLSv1_3),
        (vec![TlsVersion::V1_3], ProtocolVersion::TLSv1_3),
        (vec![TlsVersion::V1_2], ProtocolVersion::TLSv1_2),
    ] {
        let client = lab.verify_with("users.example.com", |settings| settings.protocols = protocols);
        let (stream, _) = handshake(&client, &server).await.0.unwrap();
        assert_eq!(stream.get_ref().1.protocol_version(), Some(expected));
    }
}

#[tokio::test]
async fn the_key_exchange_withstands_quantum_computers() {
    let lab = Lab::new();
    let (stream, _) = handshake(&lab.verify("users.example.com"), &lab.server(&lab.ca.leaf(|_| {}))).await.0.unwrap();
    let group = stream.get_ref().1.negotiated_key_exchange_group().map(|group| group.name());
    assert_eq!(group, Some(NamedGroup::X25519MLKEM768));
}

#[tokio::test]
async fn what_the_admin_shows_is_read_from_the_endpoints_certificate() {
    let lab = Lab::new();
    let end = OffsetDateTime::now_utc().replace_nanosecond(0).unwrap() + Duration::days(3);
    let server = lab.server(&lab.ca.leaf(|params| {
        params.serial_number = Some(SerialNumber::from(0x00ab_cdef));
        params.not_after = end;
    }));

    let certificate = handshake(&lab.verify("users.example.com"), &server).await.0.unwrap().1.certificate;

    assert_eq!(certificate.names, ["users.example.com"]);
    assert_eq!(certificate.serial, "abcdef");
    assert_eq!(OffsetDateTime::from(certificate.not_after), end);
}
