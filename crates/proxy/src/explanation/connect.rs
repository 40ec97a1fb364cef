//! `explain --connect`: what connections to the endpoints come to, made as requests would make them, with nothing sent.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use waypost_naming::Path;
use waypost_routing::ClientTls;

use super::{ExplainedLeaf, Explanation};
use crate::client::connect::{no_connection, tls_failed, too_slow};
use crate::config::{ClientPolicy, Config, Protocol, RouterConfig};
use crate::date::date;
use crate::request::answer::Failure;
use crate::tls::{Connector, Established, Offer, connector};

/// What one connection came to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Met {
    /// `success`, or the `outcome` of `waypost_client_tls_handshakes_total`; `connect` where TCP did not come about.
    pub outcome: String,
    /// What `waypost-error` would be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub word: Option<String>,
    /// What `l5d-err` would be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// A command that shows the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub see: Option<String>,
    /// The TLS version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// What is spoken: `h2` or `http/1.1`; absent in clear text, where nothing is said of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol: Option<String>,
    /// The endpoint's certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<MetCertificate>,
}

/// A certificate that was shown.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MetCertificate {
    /// Its names, as people write them.
    pub names: Vec<String>,
    /// When it ends.
    pub not_after: String,
    /// Its serial number, hexadecimal.
    pub serial: String,
}

impl Met {
    /// Whether a request could have been sent.
    #[must_use]
    pub fn is_success(&self) -> bool {
        self.outcome == "success"
    }

    fn failed(outcome: &str, failure: &Failure) -> Self {
        Self {
            outcome: outcome.to_owned(),
            word: Some(failure.word.as_str().to_owned()),
            message: Some(failure.message.to_string()),
            see: failure.hint.as_deref().map(str::to_owned),
            version: None,
            protocol: None,
            certificate: None,
        }
    }

    fn made(established: Option<Established>) -> Self {
        let (version, protocol, certificate) = established.map_or((None, None, None), |made| {
            let protocol = if made.h2 { "h2" } else { "http/1.1" };
            (made.version.map(str::to_owned), Some(protocol.to_owned()), Some(made.certificate))
        });
        let certificate = certificate.map(|certificate| MetCertificate {
            names: certificate.names,
            not_after: date(certificate.not_after),
            serial: certificate.serial,
        });
        let outcome = "success".to_owned();
        Self { outcome, word: None, message: None, see: None, version, protocol, certificate }
    }
}

/// One leaf's way to its endpoints.
struct Way {
    bound: Path,
    policy: ClientPolicy,
    tls: ClientTls,
    connector: Option<Connector>,
}

impl Explanation {
    /// Connects to the endpoints of all leaves, at most `MOST` of each, all at once, each within `connect_timeout`.
    pub async fn connect(&mut self, config: &Config, router: &RouterConfig) {
        let mut meetings = JoinSet::new();
        for (index, leaf) in self.leaves.iter_mut().enumerate() {
            let Some(way) = Way::of(leaf, config, router).map(Arc::new) else { continue };
            let addresses = leaf.endpoints.iter().take(MOST).filter_map(|endpoint| endpoint.addr.parse().ok());
            for addr in addresses {
                let way = Arc::clone(&way);
                meetings.spawn(async move { (index, addr, way.meet(addr).await) });
            }
        }
        while let Some(met) = meetings.join_next().await {
            let Ok((index, addr, met)) = met else { continue }; // it has nothing to panic with
            let endpoints = self.leaves.get_mut(index).map(|leaf| leaf.endpoints.iter_mut());
            let mut same = endpoints.into_iter().flatten().filter(|endpoint| endpoint.addr == addr.to_string());
            if let Some(endpoint) = same.next() {
                endpoint.connect = Some(met);
            }
        }
    }

    /// Whether every connection that was tried came about.
    #[must_use]
    pub fn all_connected(&self) -> bool {
        let tried =
            self.leaves.iter().flat_map(|leaf| &leaf.endpoints).filter_map(|endpoint| endpoint.connect.as_ref());
        tried.into_iter().all(Met::is_success)
    }
}

impl Way {
    /// `None` where requests are refused before they connect: the explanation says why.
    fn of(leaf: &ExplainedLeaf, config: &Config, router: &RouterConfig) -> Option<Self> {
        let bound = Path::parse(&leaf.bound).ok()?;
        let policy = router.client.for_bound(&bound);
        let tls = policy.tls.value.clone().ok()?;
        let offer = match policy.protocol.value {
            Protocol::Auto => Offer::Both,
            Protocol::Http2 => Offer::Http2,
            // As the request came: the one explained is of HTTP/1.1.
            Protocol::Http1 | Protocol::Match => Offer::Http1,
        };
        let material = tls.settings().and_then(|settings| config.materials.get(settings));
        let connector = material.and_then(|material| connector(&tls, &material, offer).ok());
        if connector.is_none() && tls != ClientTls::Clear {
            return None;
        }
        Some(Self { bound, policy, tls, connector })
    }

    async fn meet(&self, addr: SocketAddr) -> Met {
        let Some(limit) = self.policy.connect_timeout.value else { return self.attempt(addr).await };
        tokio::time::timeout(limit, self.attempt(addr)).await.unwrap_or_else(|_| {
            let failure = too_slow(&self.bound, addr, limit);
            Met::failed("timeout", &failure)
        })
    }

    async fn attempt(&self, addr: SocketAddr) -> Met {
        let tcp = match TcpStream::connect(addr).await {
            Ok(tcp) => tcp,
            Err(error) => return Met::failed("connect", &no_connection(&self.bound, addr, &error)),
        };
        let Some(connector) = &self.connector else { return Met::made(None) };
        let refused = |failure| {
            let words = tls_failed(&self.bound, &self.tls, self.policy.tls_from(), addr, failure);
            Met::failed(failure.outcome(), &words)
        };
        let (mut stream, established) = match connector.connect(tcp, addr).await {
            Ok(made) => made,
            Err(failure) => return refused(&failure),
        };
        // With TLS 1.3 an endpoint looks at our certificate when our side of the handshake is over: wait for its word.
        // HTTP/2 begins with its settings; HTTP/1.1 says nothing unasked.
        let heard = tokio::time::timeout(LAST_WORD, stream.read(&mut [0; 1])).await;
        match (heard, established.refusal.get()) {
            (Ok(_), Some(failure)) => refused(failure),
            (Ok(_) | Err(_), _) => Met::made(Some(established)),
        }
    }
}

/// Connections to the endpoints of one leaf.
const MOST: usize = 16;
/// How long an endpoint may take to say that it does not like our certificate.
const LAST_WORD: Duration = Duration::from_millis(200);
