//! `waypost certs show`: what a file holds or a peer presents, and where a configuration would accept it.

use std::fmt::Write as _;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;
use tokio::net::TcpStream;
use tokio::time::timeout;
use waypost_naming::{Path as Bound, Pattern, Template};
use waypost_routing::{ClientTls, PeerName, TlsRule};

use crate::cli::{FAILED, OK, USAGE, print};
use crate::config::{Config, RouterConfig};
use crate::tls::{Chain, Details, Handshake, TlsFailure, presented};

/// Show the certificates in a file, or those that a peer presents, accepted or not
///
/// With --config also which endpoints it would be taken for: exit code 1 where it is none.
#[derive(Clone, Debug, clap::Args)]
pub struct ShowArgs {
    /// A PEM file, or the address of a TLS server
    #[arg(value_name = "FILE|HOST:PORT")]
    pub what: String,
    /// The name to ask HOST:PORT for; default: HOST, if it is a name
    #[arg(long, value_name = "NAME")]
    pub sni: Option<String>,
    /// Tell which endpoints of this configuration it would be taken for
    #[arg(long, value_name = "CONFIG")]
    pub config: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// All that there is to show.
#[derive(Debug, Serialize)]
struct Shown {
    from: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    handshake: Option<Handshake>,
    certificates: Vec<Details>,
    /// Absent without a configuration.
    #[serde(skip_serializing_if = "Option::is_none")]
    identities: Option<Vec<Identity>>,
}

/// An identity of the configuration that the certificate claims.
#[derive(Debug, Serialize)]
struct Identity {
    router: String,
    /// The bound paths: what stands in braces, or is `*`, may be anything.
    bound: String,
    /// The name that their endpoints must have.
    name: String,
    accepted: bool,
    /// What `waypost-error` would be.
    #[serde(skip_serializing_if = "Option::is_none")]
    word: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
}

/// Runs the command. 0: shown, and with `--config` accepted somewhere; 1: no certificate came, or it is accepted nowhere;
/// 2: usage or configuration.
pub fn show(args: &ShowArgs) -> u8 {
    let config = match args.config.as_deref().map(Config::load) {
        None => None,
        Some(Ok(loaded)) => Some(loaded.config),
        Some(Err(findings)) => {
            print::findings(&findings);
            return USAGE;
        }
    };
    let (chain, handshake) = match look(args) {
        Ok(found) => found,
        Err((code, text)) => {
            anstream::eprintln!("error: {text}");
            return code;
        }
    };
    let identities = config.as_ref().map(|config| identities(config, &chain));
    let accepted = identities.as_ref().is_none_or(|all| all.iter().any(|identity| identity.accepted));
    let shown = Shown { from: args.what.clone(), handshake, certificates: chain.details(), identities };
    let text = if args.json {
        match serde_json::to_string_pretty(&shown) {
            Ok(json) => json + "\n",
            Err(error) => return print::error(&error),
        }
    } else {
        shown.to_text(args.config.as_deref())
    };
    match print::out(&text) {
        OK if !accepted => FAILED,
        code => code,
    }
}

/// A file, where there is one of that name; else an address.
fn look(args: &ShowArgs) -> Result<(Chain, Option<Handshake>), (u8, String)> {
    let what = &args.what;
    let address = what.rsplit_once(':').and_then(|(host, port)| Some((host, port.parse::<u16>().ok()?)));
    match address {
        Some((host, port)) if !host.is_empty() && !Path::new(what).exists() => {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let runtime = runtime.map_err(|error| (FAILED, error.to_string()))?;
            let met = runtime.block_on(meet(host, port, args.sni.as_deref()));
            met.map(|(chain, handshake)| (chain, Some(handshake))).map_err(|why| (FAILED, format!("{what}: {why}")))
        }
        _ if args.sni.is_some() => Err((USAGE, format!("--sni is for HOST:PORT, and {what} is none"))),
        _ if !Path::new(what).exists() => Err((USAGE, format!("{what}: no such file, and no HOST:PORT"))),
        _ => Chain::of_file(Path::new(what)).map(|chain| (chain, None)).map_err(|why| (FAILED, why)),
    }
}

async fn meet(host: &str, port: u16, sni: Option<&str>) -> Result<(Chain, Handshake), String> {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let sni = sni.or_else(|| Some(bare).filter(|host| host.parse::<IpAddr>().is_err()));
    let meeting = async {
        let tcp = TcpStream::connect((bare, port)).await.map_err(|error| format!("can't connect: {error}"))?;
        presented(tcp, sni).await.map_err(|failure| failure.to_string())
    };
    timeout(PATIENCE, meeting).await.unwrap_or_else(|_| Err(format!("no answer in {} s", PATIENCE.as_secs())))
}

/// The identities that the configuration asks for and the certificate claims to be.
///
/// The names of a rule are read backwards: `{service}.example.com` and a certificate of `users.example.com` make
/// `/#/fs/users`. That has the right answer also for services that no namer knows at the moment.
fn identities(config: &Config, chain: &Chain) -> Vec<Identity> {
    let mut found: Vec<Identity> = Vec::new();
    for router in &config.routers {
        for (prefix, name, rule) in router.client.tls_names() {
            for identity in
                claimed(prefix, name, chain).into_iter().filter_map(|claim| claim.judge(rule, router, config, chain))
            {
                let same = |other: &Identity| {
                    (&other.router, &other.bound, &other.name) == (&identity.router, &identity.bound, &identity.name)
                };
                if !found.iter().any(same) {
                    found.push(identity);
                }
            }
        }
    }
    found
}

/// A name that a rule may ask for, and the bound paths for which it would.
struct Claim {
    bound: String,
    name: String,
}

fn claimed(prefix: &Pattern, name: &Template, chain: &Chain) -> Vec<Claim> {
    if name.names().next().is_none() {
        let fixed = Claim { bound: prefix.to_string(), name: name.to_string() };
        return if chain.claims_to_be(&fixed.name) { vec![fixed] } else { Vec::new() };
    }
    let claims = chain.claims().into_iter();
    let made = claims.filter_map(|claim| Some((name.matches(&claim)?, claim)));
    made.map(|(captures, claim)| Claim { bound: prefix.fill(&captures), name: claim }).collect()
}

impl Claim {
    /// `None` where the configuration asks for another name after all, or the certificate does not have this one.
    fn judge(self, rule: &TlsRule, router: &RouterConfig, config: &Config, chain: &Chain) -> Option<Identity> {
        // A wildcard stands for any label: one is as good as another.
        let name = PeerName::parse(&self.name.replacen('*', "any", 1)).ok()?;
        let settings = rule.settings()?;
        let tls = ClientTls::Verify { kind: "static", name: name.clone(), settings: settings.clone() };
        if let Ok(bound) = Bound::parse(&self.bound) {
            let ClientTls::Verify { name: asked, .. } = router.client.for_bound(&bound).tls.value.ok()? else {
                return None; // another entry undoes it
            };
            if asked != name {
                return None;
            }
        }
        let outcome = chain.satisfies(&tls, &*config.materials.get(settings)?);
        let (word, message) = match outcome {
            Ok(()) => (None, None),
            Err(TlsFailure::Name { .. }) => return None,
            Err(failure) => (Some(failure.word()), Some(failure.to_string())),
        };
        let router = router.label.to_string();
        Some(Identity { router, bound: self.bound, name: self.name, accepted: word.is_none(), word, message })
    }
}

impl Shown {
    fn to_text(&self, config: Option<&Path>) -> String {
        let mut text = String::new();
        if let Some(handshake) = &self.handshake {
            text += &format!("{}\n{}\n", self.from, words(handshake));
        }
        for (position, certificate) in self.certificates.iter().enumerate() {
            text += &certificate_words(position, certificate);
        }
        if let (Some(config), Some(identities)) = (config, &self.identities) {
            text += &verdict(config, identities);
        }
        text
    }
}

fn words(handshake: &Handshake) -> String {
    let asked = handshake.sni.as_ref().map_or_else(|| "no name".to_owned(), |name| format!("{name} by SNI"));
    let mut text = format!("  asked for     {asked}\n");
    match (&handshake.version, &handshake.failure) {
        (Some(version), _) => {
            let more = [&handshake.cipher, &handshake.key_exchange].into_iter().flatten();
            let more: String = more.map(|word| format!(", {word}")).collect();
            let alpn = handshake.alpn.as_deref().unwrap_or("nothing of h2 and http/1.1");
            // Writing to a string does not fail.
            let _ = writeln!(text, "  handshake     TLS {version}{more}; chose {alpn}");
        }
        (None, failure) => {
            let _ = writeln!(text, "  handshake     not finished: it {}", failure.as_deref().unwrap_or("ended"));
        }
    }
    if handshake.asks_for_client_certificate {
        let issuers = &handshake.client_certificates_of;
        let of = if issuers.is_empty() { String::new() } else { format!(" issued by {}", issuers.join(" or ")) };
        let _ = writeln!(text, "  asks for      a client certificate{of}");
    }
    text
}

fn certificate_words(position: usize, certificate: &Details) -> String {
    let names = if certificate.names.is_empty() { "(no names)".to_owned() } else { certificate.names.join(", ") };
    let (what, days) = (if certificate.ca { "a CA's, " } else { "" }, certificate.days_left);
    let left = match days {
        ..0 => "it has ended".to_owned(),
        0 => "ends within a day".to_owned(),
        days => format!("{days} days left"),
    };
    let usage = match certificate.usage.as_slice() {
        [] => "any use".to_owned(),
        uses => format!("for {}", uses.join(" and ")),
    };
    let rows = [
        ("subject", certificate.subject.clone()),
        ("issuer", certificate.issuer.clone()),
        ("valid", format!("{} to {}, {left}", certificate.not_before, certificate.not_after)),
        ("serial", certificate.serial.clone()),
        ("key", format!("{}, {what}{usage}", certificate.key)),
        ("sha256", certificate.sha256.clone()),
    ];
    let rows: String = rows.iter().map(|(what, value)| format!("     {what:<11}{value}\n")).collect();
    format!("{}{}  {names}\n{rows}", if position == 0 { "" } else { "\n" }, position + 1)
}

fn verdict(config: &Path, identities: &[Identity]) -> String {
    if identities.is_empty() {
        return format!("\n{} asks no endpoint for any of these names\n", config.display());
    }
    let mut text = format!("\nin {}:\n", config.display());
    for Identity { router, bound, name, message, .. } in identities {
        let _ = match message {
            None => writeln!(text, "  accepted   for {bound} of router {router}, as {name}"),
            Some(message) => writeln!(text, "  refused    for {bound} of router {router}: {message}"),
        };
    }
    text
}

/// For connection and handshake together.
const PATIENCE: Duration = Duration::from_secs(5);
