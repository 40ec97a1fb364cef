//! Two CAs, the certificates that they sign, and both ends of a connection in memory.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, SanType, SerialNumber,
};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{HandshakeKind, ServerConfig};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tempfile::TempDir;
use time::{Duration, OffsetDateTime};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use waypost::tls::{
    Acceptor, ClientStream, Connector, Established, Negotiated, Offer, ServerFiles, ServerMaterial, ServerStream,
    ServerTlsFailure, TlsFailure, acceptor, connector, load_client, load_server,
};
use waypost_routing::{ClientTls, PeerName, TlsSettings, TlsVersion};

pub(crate) const ENDPOINT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 4140);

/// One name of each type.
pub(crate) const ALL: [&str; 3] = ["users.example.com", "127.0.0.1", "spiffe://td/users"];

pub(crate) type ClientOutcome = Result<(ClientStream<DuplexStream>, Established), TlsFailure>;
pub(crate) type ServerOutcome = Result<(ServerStream<DuplexStream>, Negotiated), ServerTlsFailure>;

/// Two CAs, and clients that trust the first one.
pub(crate) struct Lab {
    pub(crate) dir: TempDir,
    pub(crate) ca: Ca,
    pub(crate) other: Ca,
}

pub(crate) struct Ca {
    issuer: Issuer<'static, KeyPair>,
    pub(crate) file: PathBuf,
    dir: PathBuf,
}

pub(crate) struct Pair {
    pub(crate) cert: PathBuf,
    pub(crate) key: PathBuf,
}

impl Lab {
    pub(crate) fn new() -> Self {
        let dir = TempDir::new().unwrap();
        let ca = Ca::new(dir.path(), "ca", |_| {});
        let other = Ca::new(dir.path(), "other", |_| {});
        Self { dir, ca, other }
    }

    pub(crate) fn write(&self, name: &str, content: &str) -> PathBuf {
        let path = self.dir.path().join(name);
        fs::write(&path, content).unwrap();
        path
    }

    pub(crate) fn settings(&self) -> TlsSettings {
        TlsSettings {
            trust: vec![self.ca.file.clone()],
            crls: Vec::new(),
            client_auth: None,
            protocols: vec![TlsVersion::V1_3, TlsVersion::V1_2],
            alpn: None,
            allow_common_name: false,
            digest: [0; 32],
        }
    }

    pub(crate) fn connector(
        &self,
        change: impl FnOnce(&mut TlsSettings),
        identity: &Identity,
        offer: Offer,
    ) -> Connector {
        let mut settings = self.settings();
        change(&mut settings);
        let client_auth = settings.client_auth.as_ref().map(|(cert, key)| (cert.as_path(), key.as_path()));
        let (material, problems) = load_client(&settings.trust, &settings.crls, client_auth);
        let material = material.unwrap_or_else(|| panic!("{problems:?}"));
        settings.digest = material.digest();
        connector(&identity(Arc::new(settings)), &material, offer).unwrap()
    }

    pub(crate) fn verify(&self, name: &'static str) -> Connector {
        self.connector(|_| {}, &verify(name), Offer::Both)
    }

    pub(crate) fn verify_with(&self, name: &'static str, change: impl FnOnce(&mut TlsSettings)) -> Connector {
        self.connector(change, &verify(name), Offer::Both)
    }

    pub(crate) fn encrypt(&self, sni: Option<&'static str>) -> Connector {
        self.connector(|_| {}, &encrypt(sni), Offer::Both)
    }

    pub(crate) fn with_certificate(&self, own: &Pair) -> Connector {
        self.verify_with("users.example.com", |settings| {
            settings.client_auth = Some((own.cert.clone(), own.key.clone()));
        })
    }

    pub(crate) fn material(&self, pair: &Pair, clients: Option<(&Ca, bool)>) -> ServerMaterial {
        let require = clients.is_some_and(|(_, require)| require);
        let mut files = ServerFiles::new(&pair.cert, &pair.key);
        files.client_ca = clients.map(|(ca, _)| ca.file.clone());
        files.require_client_cert = require;
        let (material, problems) = load_server(&files);
        material.unwrap_or_else(|| panic!("{problems:?}"))
    }

    pub(crate) fn server(&self, pair: &Pair) -> Acceptor {
        acceptor(&self.material(pair, None))
    }

    pub(crate) fn server_for(&self, pair: &Pair, required: bool) -> Acceptor {
        acceptor(&self.material(pair, Some((&self.ca, required))))
    }
}

impl Ca {
    pub(crate) fn new(dir: &Path, name: &str, shape: impl FnOnce(&mut CertificateParams)) -> Self {
        let (mut params, key) = (ca_params(name), KeyPair::generate().unwrap());
        shape(&mut params);
        let pem = params.self_signed(&key).unwrap().pem();
        Self::written(dir, name, &pem, Issuer::new(params, key))
    }

    pub(crate) fn intermediate(&self, dir: &Path, name: &str, shape: impl FnOnce(&mut CertificateParams)) -> Self {
        let (mut params, key) = (ca_params(name), KeyPair::generate().unwrap());
        shape(&mut params);
        let pem = params.signed_by(&key, &self.issuer).unwrap().pem();
        Self::written(dir, name, &pem, Issuer::new(params, key))
    }

    pub(crate) fn written(dir: &Path, name: &str, pem: &str, issuer: Issuer<'static, KeyPair>) -> Self {
        let file = dir.join(format!("{name}.pem"));
        fs::write(&file, pem).unwrap();
        Self { issuer, file, dir: dir.to_owned() }
    }

    /// A leaf for users.example.com unless `shape` says otherwise.
    pub(crate) fn leaf(&self, shape: impl FnOnce(&mut CertificateParams)) -> Pair {
        let (mut params, key) = (leaf_params(), KeyPair::generate().unwrap());
        shape(&mut params);
        pair(&self.dir, &params.signed_by(&key, &self.issuer).unwrap().pem(), &key)
    }

    pub(crate) fn crl(&self, lab: &Lab, name: &str, serials: &[u64], valid_for: Duration) -> PathBuf {
        let now = OffsetDateTime::now_utc();
        let revoked = serials.iter().map(|serial| RevokedCertParams {
            serial_number: SerialNumber::from(*serial),
            revocation_time: now - Duration::days(3),
            reason_code: None,
            invalidity_date: None,
        });
        let params = CertificateRevocationListParams {
            this_update: now - Duration::days(2),
            next_update: now + valid_for,
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: revoked.collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        lab.write(name, &params.signed_by(&self.issuer).unwrap().pem().unwrap())
    }
}

pub(crate) fn ca_params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

pub(crate) fn leaf_params() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.subject_alt_names = alternative(&["users.example.com"]);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    params
}

pub(crate) fn self_signed(dir: &Path, shape: impl FnOnce(&mut CertificateParams)) -> Pair {
    let (mut params, key) = (leaf_params(), KeyPair::generate().unwrap());
    shape(&mut params);
    pair(dir, &params.self_signed(&key).unwrap().pem(), &key)
}

pub(crate) fn pair(dir: &Path, cert: &str, key: &KeyPair) -> Pair {
    let n = fs::read_dir(dir).unwrap().count();
    let files = Pair { cert: dir.join(format!("leaf{n}.pem")), key: dir.join(format!("leaf{n}.key")) };
    fs::write(&files.cert, cert).unwrap();
    fs::write(&files.key, key.serialize_pem()).unwrap();
    files
}

/// `dns:` in front makes a DNS name of what looks like something else.
pub(crate) fn alternative(names: &[&str]) -> Vec<SanType> {
    let kind = |name: &&str| match name.strip_prefix("dns:") {
        Some(name) => SanType::DnsName(name.try_into().unwrap()),
        None if name.starts_with("spiffe://") => SanType::URI((*name).try_into().unwrap()),
        None => match name.parse() {
            Ok(ip) => SanType::IpAddress(ip),
            Err(_) => SanType::DnsName((*name).try_into().unwrap()),
        },
    };
    names.iter().map(kind).collect()
}

pub(crate) type Identity = Arc<dyn Fn(Arc<TlsSettings>) -> ClientTls>;

pub(crate) fn verify(name: &'static str) -> Identity {
    Arc::new(move |settings| ClientTls::Verify { kind: "static", name: PeerName::parse(name).unwrap(), settings })
}

pub(crate) fn encrypt(sni: Option<&'static str>) -> Identity {
    Arc::new(move |settings| ClientTls::Encrypt { sni: sni.map(str::to_owned), settings })
}

pub(crate) async fn handshake(client: &Connector, server: &Acceptor) -> (ClientOutcome, ServerOutcome) {
    let (near, far) = duplex(64 * 1024);
    tokio::join!(client.connect(near, ENDPOINT), server.accept(far))
}

pub(crate) async fn raw_handshake(client: &Connector, server: &tokio_rustls::TlsAcceptor) -> ClientOutcome {
    let (near, far) = duplex(64 * 1024);
    tokio::join!(client.connect(near, ENDPOINT), server.accept(far)).0
}

/// A handshake and enough of an exchange that the client has the session's ticket, or the server's refusal.
pub(crate) async fn session(client: &Connector, server: &Acceptor) -> Result<HandshakeKind, &'static str> {
    let (client, server) = handshake(client, server).await;
    let (mut client, _) = client.map_err(|failure| failure.word())?;
    let (mut server, _) = server.map_err(|failure| {
        assert_ne!(failure.outcome, "other", "{failure}");
        "client_cert_refused"
    })?;
    server.write_all(b"x").await.unwrap();
    server.flush().await.unwrap();
    assert_eq!(client.read_u8().await.unwrap(), b'x');
    Ok(client.get_ref().1.handshake_kind().unwrap())
}

/// A server that waypost would refuse to start: its certificate is changed, or its key is another one's.
pub(crate) fn raw_server(pair: &Pair, change: impl Fn(&[u8]) -> Vec<u8>) -> tokio_rustls::TlsAcceptor {
    let provider = Arc::new(default_provider());
    let key = PrivateKeyDer::from_pem_file(&pair.key).unwrap();
    let key = provider.key_provider.load_private_key(key).unwrap();
    let cert = CertificateDer::from_pem_file(&pair.cert).unwrap();
    let own = CertifiedKey::new(vec![CertificateDer::from(change(&cert))], key);
    let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = builder.with_no_client_auth().with_cert_resolver(Arc::new(SingleCertAndKey::from(own)));
    tokio_rustls::TlsAcceptor::from(Arc::new(config))
}

/// The same certificate as version 1 had it: neither version nor extensions. Its CA's signature no longer fits.
pub(crate) fn version_1(der: &[u8]) -> Vec<u8> {
    use x509_parser::der_parser::asn1_rs::{Any, Class, FromDer, Sequence, ToDer};
    let elements = |mut rest: &[u8]| {
        let mut found = Vec::new();
        while !rest.is_empty() {
            let (after, element) = Any::from_der(rest).unwrap();
            found.push((element.class(), rest.strip_suffix(after).unwrap().to_vec()));
            rest = after;
        }
        found
    };
    let sequence = |content: Vec<u8>| Sequence::new(content.into()).to_der_vec().unwrap();
    let (_, certificate) = Sequence::from_der(der).unwrap();
    let parts = elements(&certificate.content);
    let ((_, to_be_signed), signature) = parts.split_first().unwrap();
    let (_, to_be_signed) = Sequence::from_der(to_be_signed).unwrap();
    let kept = elements(&to_be_signed.content).into_iter().filter(|(class, _)| *class == Class::Universal);
    let mut content = sequence(kept.flat_map(|(_, element)| element).collect());
    content.extend(signature.iter().flat_map(|(_, element)| element));
    sequence(content)
}

pub(crate) fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap()
}
