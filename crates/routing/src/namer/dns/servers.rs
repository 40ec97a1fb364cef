//! The name servers of a resolv.conf(5): whom to ask, which names, what the answers mean.
//!
//! Hickory speaks DNS and keeps answers for as long as they hold; its types stay in here. The search list and the order
//! of servers are ours, since a name must not come to mean something else while one server or half an answer is
//! missing.

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts};
use hickory_resolver::lookup::Lookup;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError, NoRecords};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::{Name, RecordType};
use hickory_resolver::system_conf::parse_resolv_conf;

use super::{Family, LONGEST, Reply, Resolution, SHORTEST};

/// Whom to ask, and what for.
#[derive(Debug)]
pub(super) struct Servers {
    /// In the order of the file.
    list: Vec<Server>,
    search: Vec<Name>,
    /// A name with so many dots is tried as it is before it is tried in the domains of the search list.
    ndots: usize,
    /// How often all servers are asked before a look-up fails.
    rounds: usize,
    /// Times are kept as milliseconds since then.
    epoch: Instant,
}

#[derive(Debug)]
struct Server {
    resolver: TokioResolver,
    /// It did not answer: others are asked first until then.
    passed_over_until: AtomicU64,
}

/// What the servers say of one name and one kind of address.
#[derive(Debug)]
enum Said {
    Addresses {
        ips: Vec<IpAddr>,
        ttl: Duration,
    },
    Nothing {
        no_such_name: bool,
        ttl: Option<Duration>,
    },
    /// A server said that it can't tell.
    Refused(String),
    /// No server said anything.
    Silent(String),
}

impl Servers {
    /// Reads a resolv.conf(5). Servers given as `instead` replace those that it names.
    ///
    /// # Errors
    /// Why nobody can be asked; the reason is for people.
    pub(super) fn new(resolv_conf: &[u8], instead: &[SocketAddr]) -> Result<Self, String> {
        let mut text = resolv_conf.to_vec();
        if !instead.is_empty() {
            // It is refused without any; this one is not asked.
            text.extend_from_slice(b"\nnameserver 127.0.0.1\n");
        }
        let (config, options) = parse_resolv_conf(text).map_err(|error| error.to_string())?;
        let name_servers: Vec<_> = if instead.is_empty() {
            config.name_servers().iter().filter(|server| is_reachable(server.ip)).cloned().collect()
        } else {
            instead.iter().map(at).collect()
        };
        if name_servers.is_empty() {
            return Err("its name servers have link-local addresses only".to_owned());
        }
        let options_of_each = of_each(options.clone());
        let server = |config| Server::new(config, options_of_each.clone()).map_err(|error| error.to_string());
        Ok(Self {
            list: name_servers.into_iter().map(server).collect::<Result<_, _>>()?,
            // Where the file says nothing, the domain of the machine's own name, as in every resolver.
            search: match config.search() {
                [] => config.domain().into_iter().cloned().collect(),
                search => search.to_vec(),
            },
            ndots: options.ndots,
            rounds: options.attempts.clamp(1, MOST_ROUNDS),
            epoch: Instant::now(),
        })
    }

    /// The addresses of `name`: those of the first name of the search list that has any.
    pub(super) async fn look_up(&self, name: &str) -> Reply {
        let mut ttl = None;
        let mut refused = None;
        for candidate in self.candidates(name) {
            let asked = (self.ask(&candidate, RecordType::A), self.ask(&candidate, RecordType::AAAA));
            let (v4, v6) = tokio::join!(Box::pin(asked.0), Box::pin(asked.1));
            let all = Both::of(v4, v6, &mut ttl);
            if !all.ips.is_empty() {
                // What stands in for a name that is perhaps only not told now has to be looked at soon.
                let ttl = if refused.is_some() { ttl.map(|ttl| ttl.min(NOTHING_HOLDS)) } else { ttl };
                return Reply { resolution: Resolution::known(all.ips), ttl, missing: all.missing };
            }
            if all.no_such_name {
                continue;
            }
            // The next name may be somebody else's. Who does not answer may know this one.
            if let Some(why) = all.silence {
                return Resolution::Temporary(format!("{candidate} {why}")).into();
            }
            // Who answers like that may do so for all of a domain that it knows nothing of.
            refused = refused.or_else(|| all.refusal.map(|why| format!("{candidate} {why}")));
        }
        match refused {
            Some(why) => Resolution::Temporary(why).into(),
            None => Reply { resolution: Resolution::Unknown, ttl, missing: None },
        }
    }

    /// The names that `name` may stand for, in the order in which they are tried.
    fn candidates(&self, name: &str) -> Vec<Name> {
        // What is no name has no address; hosts are checked before.
        let Ok(written) = Name::from_ascii(name) else { return Vec::new() };
        if written.is_fqdn() {
            return vec![written];
        }
        let absolute = |mut name: Name| {
            name.set_fqdn(true);
            name
        };
        let searched = self.search.iter().filter_map(|domain| written.clone().append_domain(domain).ok());
        let mut names: Vec<_> = searched.map(absolute).collect();
        let dots = name.bytes().filter(|byte| *byte == b'.').count();
        let place = if dots >= self.ndots { 0 } else { names.len() };
        names.insert(place, absolute(written.clone()));
        names
    }

    /// Asks one server after the other, and all again.
    async fn ask(&self, name: &Name, kind: RecordType) -> Said {
        let mut failed = Said::Silent("was asked of nobody".to_owned());
        for _ in 0..self.rounds {
            for server in self.in_order() {
                let said = Said::of(server.resolver.lookup(name.clone(), kind).await);
                match said {
                    Said::Addresses { .. } | Said::Nothing { .. } => return said,
                    Said::Silent(_) => server.passed_over_until.store(self.millis() + PASSED_OVER, Ordering::Relaxed),
                    Said::Refused(_) => {}
                }
                failed = failed.or(said);
            }
        }
        failed
    }

    fn in_order(&self) -> Vec<&Server> {
        let now = self.millis();
        let mut servers: Vec<_> = self.list.iter().collect();
        servers.sort_by_key(|server| server.passed_over_until.load(Ordering::Relaxed) > now);
        servers
    }

    fn millis(&self) -> u64 {
        u64::try_from(self.epoch.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

impl Server {
    fn new(config: NameServerConfig, options: ResolverOpts) -> Result<Self, NetError> {
        let config = ResolverConfig::from_parts(None, Vec::new(), vec![config]);
        let builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
        Ok(Self { resolver: builder.with_options(options).build()?, passed_over_until: AtomicU64::new(0) })
    }
}

/// The options of the resolver that asks one server.
fn of_each(mut options: ResolverOpts) -> ResolverOpts {
    options.timeout = options.timeout.clamp(SHORTEST_TIMEOUT, LONGEST_TIMEOUT);
    // Rounds are counted here, over all servers.
    options.attempts = 0;
    // It is read here: where it has a name, DNS is not asked, not even for the other kind of address.
    options.use_hosts_file = ResolveHosts::Never;
    options.cache_size = MOST_ANSWERS;
    (options.positive_min_ttl, options.positive_max_ttl) = (Some(SHORTEST), Some(LONGEST));
    (options.negative_min_ttl, options.negative_max_ttl) = (Some(SHORTEST), Some(LONGEST));
    options
}

/// The parser loses the link (`%eth0`) that such an address is on.
fn is_reachable(ip: IpAddr) -> bool {
    !matches!(ip, IpAddr::V6(ip) if ip.is_unicast_link_local())
}

/// A server at a port of its own.
fn at(addr: &SocketAddr) -> NameServerConfig {
    let mut config = NameServerConfig::udp_and_tcp(addr.ip());
    config.connections.iter_mut().for_each(|connection| connection.port = addr.port());
    config
}

impl Said {
    fn of(answer: Result<Lookup, NetError>) -> Self {
        match answer {
            Ok(lookup) => {
                let ips: Vec<_> = lookup.answers().iter().filter_map(|record| record.data.ip_addr()).collect();
                let ttl = lookup.valid_until().saturating_duration_since(Instant::now());
                if ips.is_empty() {
                    return Self::Nothing { no_such_name: false, ttl: Some(ttl) };
                }
                Self::Addresses { ips, ttl }
            }
            Err(NetError::Dns(DnsError::NoRecordsFound(NoRecords { response_code, negative_ttl, .. }))) => {
                let ttl = negative_ttl.map(|seconds| Duration::from_secs(seconds.into()));
                Self::Nothing { no_such_name: response_code == ResponseCode::NXDomain, ttl }
            }
            Err(NetError::Dns(DnsError::ResponseCode(code))) => Self::Refused(format!("was answered with {code}")),
            Err(error) => Self::Silent(format!("was not answered: {error}")),
        }
    }

    /// Of two failures the one that somebody told.
    fn or(self, other: Self) -> Self {
        if matches!(self, Self::Refused(_)) { self } else { other }
    }
}

/// What was said of both kinds of addresses.
#[derive(Default, Debug)]
struct Both {
    ips: Vec<IpAddr>,
    /// Said of one kind, it holds for both.
    no_such_name: bool,
    missing: Option<Family>,
    refusal: Option<String>,
    silence: Option<String>,
}

impl Both {
    /// `ttl` becomes the shortest of all.
    fn of(v4: Said, v6: Said, ttl: &mut Option<Duration>) -> Self {
        let mut both = Self::default();
        let mut holds = |new: Duration| *ttl = Some(ttl.map_or(new, |known| known.min(new)));
        for (family, said) in [(Family::V4, v4), (Family::V6, v6)] {
            match said {
                Said::Addresses { ips, ttl } => {
                    both.ips.extend(ips);
                    holds(ttl);
                }
                Said::Nothing { no_such_name, ttl } => {
                    both.no_such_name |= no_such_name;
                    holds(ttl.unwrap_or(NOTHING_HOLDS));
                }
                Said::Refused(why) => {
                    both.missing = Some(family);
                    both.refusal = Some(why);
                }
                Said::Silent(why) => {
                    both.missing = Some(family);
                    both.silence = Some(why);
                }
            }
        }
        both
    }
}

/// How long "there is none" holds when no SOA record says so.
const NOTHING_HOLDS: Duration = Duration::from_secs(5);
/// For how many milliseconds others are asked before a server that did not answer.
const PASSED_OVER: u64 = 30_000;
/// A file may say 30 s; the next server would be asked after everybody has given up.
const LONGEST_TIMEOUT: Duration = Duration::from_secs(2);
const SHORTEST_TIMEOUT: Duration = Duration::from_secs(1);
const MOST_ROUNDS: usize = 5;
/// Answers kept for each server, also those that say that there is nothing: a name has one for each kind of address
/// and each domain of the search list.
const MOST_ANSWERS: u64 = 8_192;

#[cfg(test)]
mod tests {
    use super::*;

    fn candidates(resolv_conf: &str, name: &str) -> Vec<String> {
        let servers = Servers::new(format!("nameserver 127.0.0.1\n{resolv_conf}").as_bytes(), &[]).unwrap();
        servers.candidates(name).iter().map(Name::to_string).collect()
    }

    #[test]
    fn the_search_list_and_ndots_decide_which_names_are_tried() {
        let two = "search svc.example example";
        for (resolv_conf, name, expected) in [
            (two, "users", vec!["users.svc.example.", "users.example.", "users."]),
            (two, "users.eu", vec!["users.eu.", "users.eu.svc.example.", "users.eu.example."]),
            (two, "users.eu.", vec!["users.eu."]),
            (
                "search svc.example example\noptions ndots:2",
                "users.eu",
                vec!["users.eu.svc.example.", "users.eu.example.", "users.eu."],
            ),
            ("search svc.example\noptions ndots:0", "users", vec!["users.", "users.svc.example."]),
            ("search old.example\ndomain new.example", "users", vec!["users.new.example.", "users."]),
            (two, "_users_", vec!["_users_.svc.example.", "_users_.example.", "_users_."]),
        ] {
            assert_eq!(candidates(resolv_conf, name), expected, "{resolv_conf}");
        }
    }

    #[test]
    fn a_file_without_servers_asks_nobody_but_those_given() {
        for file in ["", "search example", "nameserver fe80::1%eth0"] {
            assert!(Servers::new(file.as_bytes(), &[]).is_err(), "{file}");
        }
        let servers = Servers::new(b"search example\noptions attempts:9", &[([127, 0, 0, 1], 5353).into()]).unwrap();
        assert_eq!((servers.list.len(), servers.rounds, servers.search.len()), (1, MOST_ROUNDS, 1));
    }

    #[test]
    fn who_does_not_answer_is_asked_last_for_a_while() {
        let servers = Servers::new(b"nameserver 127.0.0.1\nnameserver 127.0.0.2", &[]).unwrap();
        let first = || std::ptr::eq(servers.in_order()[0], &servers.list[0]);
        assert!(first());
        servers.list[0].passed_over_until.store(servers.millis() + PASSED_OVER, Ordering::Relaxed);
        assert!(!first());
        servers.list[0].passed_over_until.store(servers.millis(), Ordering::Relaxed);
        assert!(first());
    }

    fn addresses(ips: &[&str], seconds: u64) -> Said {
        Said::Addresses { ips: ips.iter().map(|ip| ip.parse().unwrap()).collect(), ttl: Duration::from_secs(seconds) }
    }

    #[test]
    fn what_is_said_of_either_kind_counts_and_the_shortest_ttl() {
        let nothing =
            |no_such_name, seconds: Option<u64>| Said::Nothing { no_such_name, ttl: seconds.map(Duration::from_secs) };
        let silent = || Said::Silent("was not answered".to_owned());
        let refused = || Said::Refused("was answered with SERVFAIL".to_owned());
        for (v4, v6, ips, missing, seconds) in [
            (addresses(&["10.0.0.1"], 30), addresses(&["::1"], 20), 2, None, Some(20)),
            (addresses(&["10.0.0.1"], 30), nothing(false, Some(10)), 1, None, Some(10)),
            (addresses(&["10.0.0.1"], 30), nothing(false, None), 1, None, Some(5)),
            (addresses(&["10.0.0.1"], 30), silent(), 1, Some(Family::V6), Some(30)),
            (refused(), addresses(&["::1"], 30), 1, Some(Family::V4), Some(30)),
            (silent(), refused(), 0, Some(Family::V6), None),
        ] {
            let mut ttl = None;
            let both = Both::of(v4, v6, &mut ttl);
            assert_eq!((both.ips.len(), both.missing, ttl.map(|ttl| ttl.as_secs())), (ips, missing, seconds));
        }
        assert!(Both::of(nothing(true, None), silent(), &mut None).no_such_name);
    }
}
