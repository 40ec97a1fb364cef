//! What loading says about every kind of file.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use rcgen::{CertificateParams, KeyPair, SanType};
use tempfile::TempDir;
use time::OffsetDateTime;
use waypost_naming::Severity;

use super::*;

/// A directory with `web.pem` and `web.key`, self-signed.
struct Dir(TempDir);

impl Dir {
    fn new() -> Self {
        let dir = Self(TempDir::new().unwrap());
        dir.pair("web", |_| {});
        dir
    }

    fn pair(&self, name: &str, shape: impl FnOnce(&mut CertificateParams)) -> KeyPair {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![format!("{name}.example.com")]).unwrap();
        params.not_after = OffsetDateTime::now_utc() + time::Duration::days(30);
        shape(&mut params);
        self.write(&format!("{name}.pem"), params.self_signed(&key).unwrap().pem());
        self.write(&format!("{name}.key"), key.serialize_pem());
        key
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        path
    }

    fn text(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// The problems of a server with these files; checks that there is material exactly if none is an error.
    fn server(&self, cert: &str, key: &str) -> Vec<FileProblem> {
        let (material, problems) = load_server(&ServerFiles::new(&self.path(cert), &self.path(key)));
        let usable = problems.iter().all(|problem| problem.severity == Severity::Warning);
        assert_eq!(material.is_some(), usable, "{problems:?}");
        problems
    }
}

fn codes(problems: &[FileProblem]) -> Vec<(TlsKey, &'static str)> {
    problems.iter().map(|problem| (problem.key, problem.code)).collect()
}

fn pem(label: &str, der: &[u8]) -> String {
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", base64_of(der))
}

fn base64_of(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let bits = chunk.iter().enumerate().fold(0u32, |bits, (n, byte)| bits | u32::from(*byte) << (16 - 8 * n));
        for n in 0..4 {
            let letter = ALPHABET[usize::try_from(bits >> (18 - 6 * n) & 63).unwrap()];
            text.push(if n <= chunk.len() { char::from(letter) } else { '=' });
        }
    }
    text
}

#[test]
fn a_fitting_pair_loads_without_a_word() {
    let dir = Dir::new();
    assert_eq!(codes(&dir.server("web.pem", "web.key")), []);
    let (material, _) = load_server(&ServerFiles::new(&dir.path("web.pem"), &dir.path("web.key")));
    assert_eq!(material.unwrap().names(), ["web.example.com"]);
}

#[test]
fn all_three_forms_of_keys_load() {
    let dir = Dir::new();
    let ec = KeyPair::generate().unwrap();
    let rsa = KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).unwrap();
    // PKCS#8 wraps the older forms: the last octet string of each is SEC1's and PKCS#1's own.
    let sec1 = inner_of_pkcs8(ec.serialized_der());
    let pkcs1 = inner_of_pkcs8(rsa.serialized_der());
    for (key, forms) in [
        (&ec, [pem("PRIVATE KEY", ec.serialized_der()), pem("EC PRIVATE KEY", &sec1)]),
        (&rsa, [pem("PRIVATE KEY", rsa.serialized_der()), pem("RSA PRIVATE KEY", &pkcs1)]),
    ] {
        let cert = CertificateParams::new(vec!["a.example.com".to_owned()]).unwrap().self_signed(key).unwrap();
        dir.write("a.pem", cert.pem());
        for form in forms {
            dir.write("a.key", &form);
            assert_eq!(codes(&dir.server("a.pem", "a.key")), [], "{form}");
        }
    }
}

fn inner_of_pkcs8(der: &[u8]) -> Vec<u8> {
    use x509_parser::der_parser::asn1_rs::{Any, OctetString, Sequence};
    let (_, outer) = Sequence::from_der(der).unwrap();
    let (rest, _version) = Any::from_der(&outer.content).unwrap();
    let (rest, _algorithm) = Any::from_der(rest).unwrap();
    let (_, key) = OctetString::from_der(rest).unwrap();
    key.as_ref().to_vec()
}

#[test]
fn files_that_are_no_files_are_errors_at_their_key() {
    let dir = Dir::new();
    dir.write("empty.pem", "");
    dir.write("text.pem", "hello\n");
    dir.write("big.pem", vec![b'\n'; 1024 * 1024 + 1]);
    fs::create_dir(dir.path("dir.pem")).unwrap();
    for (file, code) in [
        ("missing.pem", "missing-file"),
        ("empty.pem", "empty-pem"),
        ("text.pem", "empty-pem"),
        ("big.pem", "file-too-large"),
        ("dir.pem", "unreadable-file"),
    ] {
        assert_eq!(codes(&dir.server(file, "web.key")), [(TlsKey::Cert(0), code)], "cert = {file}");
        assert_eq!(codes(&dir.server("web.pem", file)), [(TlsKey::Key(0), code)], "key = {file}");
    }
}

#[test]
fn a_file_of_just_the_size_that_is_allowed_is_read() {
    let dir = Dir::new();
    let mut content = dir.text("web.pem").into_bytes();
    content.resize(1024 * 1024, b'\n');
    dir.write("web.pem", content);
    assert_eq!(codes(&dir.server("web.pem", "web.key")), []);
}

#[test]
fn a_named_pipe_is_refused_rather_than_waited_for() {
    let dir = Dir::new();
    let made = std::process::Command::new("mkfifo").arg(dir.path("pipe.pem")).status();
    assert!(made.unwrap().success());
    assert_eq!(codes(&dir.server("pipe.pem", "web.key")), [(TlsKey::Cert(0), "unreadable-file")]);
}

#[test]
fn swapped_files_get_a_hint() {
    let dir = Dir::new();
    let problems = dir.server("web.key", "web.pem");
    assert_eq!(codes(&problems), [(TlsKey::Cert(0), "empty-pem"), (TlsKey::Key(0), "empty-pem")]);
    assert!(problems[0].hint.as_ref().unwrap().contains("it holds a private key"), "{problems:?}");
    assert!(problems[1].hint.as_ref().unwrap().contains("it holds a certificate"), "{problems:?}");
}

#[test]
fn der_gets_a_hint() {
    let dir = Dir::new();
    dir.write("der.pem", [0x30, 0x82, 1, 2, 3]);
    assert!(dir.server("der.pem", "web.key")[0].hint.as_ref().unwrap().contains("DER"));
}

#[test]
fn a_byte_order_mark_gets_a_hint() {
    let dir = Dir::new();
    let content = format!("\u{feff}{}", dir.text("web.pem"));
    dir.write("bom.pem", content);
    assert!(dir.server("bom.pem", "web.key")[0].hint.as_ref().unwrap().contains("byte order mark"));
}

#[test]
fn an_encrypted_key_is_said_to_be_one() {
    let dir = Dir::new();
    for content in [
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n",
        "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\nAAAA\n-----END RSA PRIVATE KEY-----\n",
    ] {
        dir.write("locked.key", content);
        let problems = dir.server("web.pem", "locked.key");
        assert_eq!(codes(&problems), [(TlsKey::Key(0), "encrypted-key")]);
        assert!(problems[0].message.contains("encrypted"));
    }
}

#[test]
fn a_key_of_another_certificate_is_refused() {
    let dir = Dir::new();
    dir.pair("other", |_| {});
    let problems = dir.server("web.pem", "other.key");
    assert_eq!(codes(&problems), [(TlsKey::Key(0), "key-mismatch")]);
    assert!(problems[0].message.contains("other.key") && problems[0].message.contains("web.pem"), "{problems:?}");
    assert_eq!(problems[0].hint, None);
}

#[test]
fn a_chain_upside_down_gets_a_hint() {
    let dir = Dir::new();
    dir.pair("ca", |_| {});
    dir.write("chain.pem", dir.text("ca.pem") + &dir.text("web.pem"));
    let problems = dir.server("chain.pem", "web.key");
    assert_eq!(codes(&problems), [(TlsKey::Key(0), "key-mismatch")]);
    assert!(problems[0].hint.as_ref().unwrap().contains("certificate 2"), "{problems:?}");
}

#[test]
fn broken_content_is_an_error() {
    let dir = Dir::new();
    dir.write("cert.pem", pem("CERTIFICATE", b"nonsense"));
    dir.write("base64.pem", "-----BEGIN CERTIFICATE-----\n!!!!\n-----END CERTIFICATE-----\n");
    dir.write("nonsense.key", pem("PRIVATE KEY", b"nonsense"));
    assert_eq!(codes(&dir.server("cert.pem", "web.key")), [(TlsKey::Cert(0), "bad-certificate")]);
    assert_eq!(codes(&dir.server("base64.pem", "web.key")), [(TlsKey::Cert(0), "bad-pem")]);
    assert_eq!(codes(&dir.server("web.pem", "nonsense.key")), [(TlsKey::Key(0), "bad-key")]);
}

#[test]
fn a_key_that_others_can_read_is_warned_of() {
    let dir = Dir::new();
    for (mode, expected) in [(0o600, false), (0o400, false), (0o640, true), (0o604, true)] {
        fs::set_permissions(dir.path("web.key"), fs::Permissions::from_mode(mode)).unwrap();
        let problems = dir.server("web.pem", "web.key");
        assert_eq!(codes(&problems) == [(TlsKey::Key(0), "key-readable-by-others")], expected, "{mode:o}");
    }
}

#[test]
fn dates_are_warned_of_and_the_certificate_is_used() {
    let dir = Dir::new();
    let now = OffsetDateTime::now_utc();
    for (from, to, expected) in [
        (-10, 30, None),
        (-10, 8, None),
        (-10, 6, Some("certificate-ends-soon")),
        (-10, -1, Some("certificate-ended")),
        (1, 30, Some("certificate-not-yet-valid")),
    ] {
        dir.pair("web", |params| {
            params.not_before = now + time::Duration::days(from);
            params.not_after = now + time::Duration::days(to);
        });
        let problems = dir.server("web.pem", "web.key");
        assert_eq!(problems.iter().map(|problem| problem.code).next(), expected, "from day {from} to day {to}");
    }
}

#[test]
fn identity_is_by_content() {
    let dir = Dir::new();
    dir.pair("other", |_| {});
    let digest = |trust: &[&str], auth: bool| {
        let trust: Vec<PathBuf> = trust.iter().map(|name| dir.path(name)).collect();
        let (cert, key) = (dir.path("web.pem"), dir.path("web.key"));
        load_client(&trust, &[], auth.then_some((&*cert, &*key))).0.unwrap().digest()
    };
    dir.write("same.pem", dir.text("web.pem"));

    assert_eq!(digest(&["web.pem"], false), digest(&["same.pem"], false));
    assert_ne!(digest(&["web.pem"], false), digest(&["other.pem"], false));
    assert_ne!(digest(&["web.pem"], false), digest(&["web.pem"], true));
    assert_ne!(digest(&["web.pem"], false), digest(&["web.pem", "other.pem"], false));
    assert_ne!(digest(&[], true), digest(&["web.pem"], true));
}

#[test]
fn every_file_of_a_client_is_reported_at_its_key() {
    let dir = Dir::new();
    let (missing, web) = (dir.path("missing"), dir.path("web.pem"));
    let (material, problems) =
        load_client(&[web.clone(), missing.clone()], std::slice::from_ref(&missing), Some((&missing, &missing)));

    assert!(material.is_none());
    let keys: Vec<TlsKey> = problems.iter().map(|problem| problem.key).collect();
    assert_eq!(keys, [TlsKey::Trust(1), TlsKey::Crl(0), TlsKey::ClientAuthCert, TlsKey::ClientAuthKey]);
    assert_eq!(codes(&load_client(&[], &[web], None).1), [(TlsKey::Crl(0), "empty-pem")]);
}

#[test]
fn the_ends_of_certificates_are_known_by_file() {
    let dir = Dir::new();
    dir.pair("sooner", |params| params.not_after = OffsetDateTime::now_utc() + time::Duration::days(20));
    dir.write("bundle.pem", dir.text("web.pem") + &dir.text("sooner.pem"));
    let mut materials = Materials::default();
    let (server, _) = load_server(&ServerFiles::new(&dir.path("web.pem"), &dir.path("web.key")));
    materials.insert_server(&server.unwrap());
    materials.insert(load_client(&[dir.path("bundle.pem")], &[], None).0.unwrap());

    let ends = materials.certificates();

    let [(bundle, first), (web, second)] = &ends[..] else { panic!("{ends:?}") };
    assert!(bundle.ends_with("bundle.pem") && web.ends_with("web.pem"), "{ends:?}");
    assert!(first < second, "the first end in a bundle counts: {ends:?}");
}

#[test]
fn a_certificate_behind_another_of_its_names_and_kind_is_never_shown() {
    let lab = Dir::new();
    let names = |names: &[&str]| {
        let names: Vec<_> = names.iter().map(|name| SanType::DnsName((*name).try_into().unwrap())).collect();
        move |params: &mut CertificateParams| params.subject_alt_names = names
    };
    for (name, of) in
        [("a", &["a.example.com"][..]), ("b", &["b.example.com"]), ("both", &["A.example.com", "b.example.com"])]
    {
        lab.pair(name, names(of));
    }
    let never = |order: &[&str]| {
        let own =
            order.iter().map(|name| (lab.path(&format!("{name}.pem")), lab.path(&format!("{name}.key")))).collect();
        let (_, problems) = load_server(&ServerFiles { own, ..ServerFiles::new(Path::new(""), Path::new("")) });
        codes(&problems)
    };
    assert_eq!(never(&["a", "b"]), []);
    assert_eq!(never(&["a", "both"]), []);
    assert_eq!(never(&["a", "a"]), [(TlsKey::Cert(1), "certificate-never-shown")]);
    assert_eq!(never(&["a", "b", "both"]), [(TlsKey::Cert(2), "certificate-never-shown")]);
    assert_eq!(never(&["both", "b"]), [(TlsKey::Cert(1), "certificate-never-shown")]);
}

#[test]
fn material_is_found_by_its_content() {
    let dir = Dir::new();
    let mut materials = Materials::default();
    let material = materials.insert(load_client(&[dir.path("web.pem")], &[], None).0.unwrap());
    let mut settings = TlsSettings {
        trust: Vec::new(),
        crls: Vec::new(),
        client_auth: None,
        protocols: Vec::new(),
        alpn: None,
        allow_common_name: false,
        digest: material.digest(),
    };
    assert!(Arc::ptr_eq(&materials.get(&settings).unwrap(), &material));
    settings.digest = [0; 32];
    assert!(materials.get(&settings).is_none());
}

#[test]
fn debug_output_has_no_keys() {
    let dir = Dir::new();
    let (cert, key) = (dir.path("web.pem"), dir.path("web.key"));
    let server = format!("{:?}", load_server(&ServerFiles::new(&cert, &key)).0);
    let client = format!("{:?}", load_client(&[], &[], Some((&cert, &key))).0);
    assert!(!server.to_lowercase().contains("key:") && !client.to_lowercase().contains("key:"), "{server} {client}");
}
