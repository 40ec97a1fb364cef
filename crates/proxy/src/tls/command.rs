//! The `openssl` command with which a person sees for himself what a handshake came to.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use waypost_routing::{ClientTls, PeerName, TlsSettings, TlsVersion};

/// A command for a shell that makes the handshake that waypost makes with `addr` under `tls`, and shows the
/// certificates that come; nothing for clear text.
pub fn openssl(tls: &ClientTls, addr: SocketAddr) -> Option<String> {
    let settings = match tls {
        ClientTls::Clear => return None,
        ClientTls::Encrypt { settings, .. } | ClientTls::Verify { settings, .. } => settings,
    };
    let mut command = format!("openssl s_client -connect {addr}");
    match tls.sni() {
        Some(sni) => command += &format!(" -servername {}", quoted(sni)),
        None => command += " -noservername",
    }
    if let ClientTls::Verify { name, .. } = tls {
        command += &expected(name);
        command += &trusted(settings);
    }
    if let Some((cert, key)) = &settings.client_auth {
        command += &format!(" -cert {} -key {}", file(cert), file(key));
    }
    if let [only] = settings.protocols.as_slice() {
        command += match only {
            TlsVersion::V1_2 => " -tls1_2",
            TlsVersion::V1_3 => " -tls1_3",
        };
    }
    command += " -showcerts </dev/null";
    if matches!(tls, ClientTls::Verify { name: PeerName::Uri(_), .. }) {
        // openssl compares no URIs: the names are there to be read.
        command += " | openssl x509 -noout -issuer -dates -ext subjectAltName";
    }
    Some(command)
}

fn expected(name: &PeerName) -> String {
    match name {
        PeerName::Dns(name) => format!(" -verify_hostname {}", quoted(name)),
        PeerName::Ip(ip) => format!(" -verify_ip {ip}"),
        PeerName::Uri(_) => String::new(),
    }
}

/// openssl takes one file of roots: several are joined by the shell.
fn trusted(settings: &TlsSettings) -> String {
    let mut options = String::new();
    match settings.trust.as_slice() {
        [] => {}
        [one] => options += &format!(" -CAfile {}", file(one)),
        several => options += &format!(" -CAfile <(cat{})", list(several)),
    }
    match settings.crls.as_slice() {
        [] => {}
        [one] => options += &format!(" -crl_check_all -CRL {}", file(one)),
        several => options += &format!(" -crl_check_all -CRL <(cat{})", list(several)),
    }
    options
}

fn list(files: &[PathBuf]) -> String {
    files.iter().fold(String::new(), |mut text, path| {
        // Writing to a string does not fail.
        let _ = write!(text, " {}", file(path));
        text
    })
}

fn file(path: &Path) -> String {
    quoted(&path.display().to_string())
}

/// As one word for a shell.
fn quoted(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-+:@%".contains(&byte);
    if !text.is_empty() && text.bytes().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn settings(trust: &[&str], versions: &[TlsVersion]) -> Arc<TlsSettings> {
        Arc::new(TlsSettings {
            trust: trust.iter().map(PathBuf::from).collect(),
            crls: Vec::new(),
            client_auth: None,
            protocols: versions.to_vec(),
            alpn: None,
            allow_common_name: false,
            digest: [0; 32],
        })
    }

    fn verify(name: &str, trust: &[&str]) -> ClientTls {
        let settings = settings(trust, &[TlsVersion::V1_3, TlsVersion::V1_2]);
        ClientTls::Verify { kind: "static", name: PeerName::parse(name).unwrap(), settings }
    }

    #[test]
    fn the_command_asks_for_what_was_asked_for() {
        let addr = "127.0.0.1:4141".parse().unwrap();
        let begin = "openssl s_client -connect 127.0.0.1:4141";
        for (tls, rest) in [
            (
                verify("users.example.com", &["certs/ca.pem"]),
                "-servername users.example.com -verify_hostname users.example.com -CAfile certs/ca.pem -showcerts </dev/null",
            ),
            (
                verify("127.0.0.1", &["a b.pem", "it's.pem"]),
                "-noservername -verify_ip 127.0.0.1 -CAfile <(cat 'a b.pem' 'it'\\''s.pem') -showcerts </dev/null",
            ),
            (
                verify("spiffe://td/a", &[]),
                "-noservername -showcerts </dev/null | openssl x509 -noout -issuer -dates -ext subjectAltName",
            ),
            (
                ClientTls::Encrypt { sni: None, settings: settings(&["unused.pem"], &[TlsVersion::V1_2]) },
                "-noservername -tls1_2 -showcerts </dev/null",
            ),
        ] {
            assert_eq!(openssl(&tls, addr).unwrap(), format!("{begin} {rest}"));
        }
        assert_eq!(openssl(&ClientTls::Clear, addr), None);
    }
}
