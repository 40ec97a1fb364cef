//! Host names as they are resolved while requests go there, by a name server that the test plays.

#![expect(clippy::unwrap_used, reason = "clippy allows it in tests, but not in what tests share")]

#[path = "../src/eventually.rs"]
mod eventually;

use std::collections::HashMap;
use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};

use hickory_resolver::proto::op::{Message, OpCode, Query, ResponseCode};
use hickory_resolver::proto::rr::rdata::{CNAME, SOA};
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};
use tempfile::TempDir;
use tokio::net::UdpSocket;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use waypost_naming::{Dtab, Path};
use waypost_routing::{Addresses, Binding, DnsConfig, DtabCell, Generation, NamerConfig, NamerKind, NamerSet, bind};

use eventually::eventually;

/// What the server says of one name.
#[derive(Clone, Debug)]
enum Entry {
    /// Of each kind that is asked for those that there are; none: it has no address of that kind.
    Addresses {
        ips: Vec<IpAddr>,
        ttl: u32,
    },
    /// It is another name of this one, which is not told.
    Alias {
        of: &'static str,
        ttl: u32,
    },
    /// There is no such name; the seconds are in the SOA record, if there is one.
    NoSuchName {
        soa: Option<u32>,
    },
    Code(ResponseCode),
    Silence,
    /// Nothing is said of this kind, and the addresses of the other.
    Half {
        silent: RecordType,
        ips: Vec<IpAddr>,
        ttl: u32,
    },
}

fn ips(texts: &[&str]) -> Vec<IpAddr> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

fn at(texts: &[&str], ttl: u32) -> Entry {
    Entry::Addresses { ips: ips(texts), ttl }
}

/// A name server over UDP; names that it was not told of don't exist.
struct NameServer {
    addr: SocketAddr,
    entries: Arc<Mutex<HashMap<String, Entry>>>,
    asked: Arc<Mutex<Vec<(String, RecordType)>>>,
    task: JoinSet<()>,
}

impl NameServer {
    async fn start() -> Self {
        let mut server = Self {
            addr: ([127, 0, 0, 1], 0).into(),
            entries: Arc::default(),
            asked: Arc::default(),
            task: JoinSet::new(),
        };
        server.resume().await;
        server
    }

    /// Goes on at the address that it had.
    async fn resume(&mut self) {
        let socket = UdpSocket::bind(self.addr).await.unwrap();
        self.addr = socket.local_addr().unwrap();
        let (entries, asked) = (Arc::clone(&self.entries), Arc::clone(&self.asked));
        self.task.spawn(async move {
            let mut buffer = [0; 1500];
            loop {
                let (length, peer) = socket.recv_from(&mut buffer).await.unwrap();
                let Ok(question) = Message::from_vec(buffer.get(..length).unwrap_or_default()) else { continue };
                let Some(query) = question.queries.first() else { continue };
                let name = query.name().to_string();
                asked.lock().unwrap().push((name.clone(), query.query_type()));
                let entry = entries.lock().unwrap().get(&name).cloned();
                let entry = entry.unwrap_or(Entry::NoSuchName { soa: Some(1) });
                if let Some(answer) = answer(&entry, question.metadata.id, query) {
                    socket.send_to(&answer.to_vec().unwrap(), peer).await.unwrap();
                }
            }
        });
    }

    async fn go_away(&mut self) {
        self.task.shutdown().await;
    }

    fn say(&self, name: &str, entry: Entry) {
        self.entries.lock().unwrap().insert(name.to_owned(), entry);
    }

    /// The names that it was asked for the IPv4 addresses of.
    fn asked(&self) -> Vec<String> {
        let asked = self.asked.lock().unwrap();
        asked.iter().filter(|(_, kind)| *kind == RecordType::A).map(|(name, _)| name.clone()).collect()
    }

    fn times_asked(&self, name: &str) -> usize {
        self.asked().iter().filter(|asked| *asked == name).count()
    }
}

fn answer(entry: &Entry, id: u16, query: &Query) -> Option<Message> {
    let mut message = Message::response(id, OpCode::Query);
    message.metadata.recursion_desired = true;
    message.metadata.recursion_available = true;
    message.add_query(query.clone());
    let mut list = |ips: &[IpAddr], ttl| {
        for rdata in ips.iter().map(|ip| RData::from(*ip)).filter(|rdata| rdata.record_type() == query.query_type()) {
            message.add_answer(Record::from_rdata(query.name().clone(), ttl, rdata));
        }
    };
    match entry {
        Entry::Addresses { ips, ttl } => list(ips, *ttl),
        Entry::Half { silent, ips, ttl } if *silent != query.query_type() => list(ips, *ttl),
        Entry::Silence | Entry::Half { .. } => return None,
        Entry::Alias { of, ttl } => {
            let target = RData::CNAME(CNAME(Name::from_ascii(of).unwrap()));
            message.add_answer(Record::from_rdata(query.name().clone(), *ttl, target));
        }
        Entry::Code(code) => message.metadata.response_code = *code,
        Entry::NoSuchName { soa } => {
            message.metadata.response_code = ResponseCode::NXDomain;
            if let Some(seconds) = soa {
                let soa = SOA::new(Name::root(), Name::root(), 1, 1, 1, 1, *seconds);
                message.add_authority(Record::from_rdata(Name::root(), 3600, RData::SOA(soa)));
            }
        }
    }
    Some(message)
}

/// Live namers, among them one over files.
struct Live {
    server: NameServer,
    dir: TempDir,
    namers: NamerSet,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Live {
    /// With these lines in resolv.conf and what `prepare` tells the server and writes to the directory.
    async fn start(resolv_conf: &str, prepare: impl FnOnce(&NameServer, &TempDir)) -> Self {
        let (server, dir) = (NameServer::start().await, TempDir::new().unwrap());
        fs::create_dir(dir.path().join("disco")).unwrap();
        fs::write(dir.path().join("resolv.conf"), format!("options timeout:1 attempts:1\n{resolv_conf}\n")).unwrap();
        prepare(&server, &dir);
        let config = NamerConfig {
            prefix: "/fs".parse().unwrap(),
            kind: NamerKind::Fs { root_dir: dir.path().join("disco") },
            transformers: Vec::new(),
        };
        let dns = DnsConfig {
            resolv_conf: dir.path().join("resolv.conf"),
            hosts: dir.path().join("hosts"),
            servers: vec![server.addr],
        };
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        let namers = NamerSet::live_with(&[config], &dns, Arc::new(Generation::new()), &tasks, stop.clone());
        Self { server, dir, namers, tasks, stop }
    }

    fn bind(&self, name: &str) -> Binding {
        let path: Path =
            if name.starts_with('/') { name.parse().unwrap() } else { format!("/$/inet/{name}/80").parse().unwrap() };
        bind(&DtabCell::default(), &Dtab::default(), &path, &self.namers)
    }

    fn addresses(&self, name: &str) -> Addresses {
        self.bind(name)
            .decision
            .leaves
            .first()
            .map_or(Addresses::Pending, |leaf| Addresses::clone(&leaf.addresses.snapshot()))
    }

    /// The IP addresses that a name leads to; none unless it is bound.
    fn ips(&self, name: &str) -> Option<Vec<IpAddr>> {
        match self.addresses(name) {
            Addresses::Bound(endpoints) => Some(endpoints.iter().map(|endpoint| endpoint.addr.ip()).collect()),
            Addresses::Neg | Addresses::Failed(_) | Addresses::Pending => None,
        }
    }

    async fn becomes(&self, name: &str, expected: &[&str]) {
        let expected = ips(expected);
        self.becomes_like(name, |addresses| {
            let now: Vec<_> = addresses.endpoints().iter().map(|endpoint| endpoint.addr.ip()).collect();
            matches!(addresses, Addresses::Bound(_)) && now == expected
        })
        .await;
    }

    async fn becomes_like(&self, name: &str, is_like: impl Fn(&Addresses) -> bool) {
        eventually(name, || {
            let now = self.addresses(name);
            if is_like(&now) { Ok(()) } else { Err(format!("{now:?}")) }
        })
        .await;
    }

    async fn end(self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

#[tokio::test]
async fn the_set_follows_what_the_server_says_when_the_ttl_is_over() {
    let live = Live::start("", |server, dir| {
        server.say("users.", at(&["10.0.0.1", "fd00::1"], 0));
        server.say("slow.", at(&["10.0.0.7"], 300));
        fs::write(dir.path().join("disco/web"), "users. 80\nslow. 81\n").unwrap();
    })
    .await;
    live.becomes("slow.", &["10.0.0.7"]).await;
    live.becomes("users.", &["10.0.0.1", "fd00::1"]).await;
    live.becomes("/#/fs/web", &["10.0.0.1", "fd00::1", "10.0.0.7"]).await;
    let held = live.bind("users.");

    live.server.say("users.", at(&["10.0.0.2"], 1));
    live.becomes("users.", &["10.0.0.2"]).await;
    live.becomes("/#/fs/web", &["10.0.0.2", "10.0.0.7"]).await;
    live.server.say("users.", at(&["fd00::3"], 300));
    live.becomes("users.", &["fd00::3"]).await;
    assert!(!held.dependencies.changed(), "other addresses are no reason to bind again");
    assert_eq!(live.ips("users."), Some(ips(&["fd00::3"])));
    assert_eq!(live.server.times_asked("slow."), 1, "whoever asks, once in 300 s: {:?}", live.server.asked());
    live.end().await;
}

#[tokio::test]
async fn while_the_server_is_away_the_last_good_answer_stays() {
    let mut live = Live::start("", |server, _| server.say("users.", at(&["10.0.0.1"], 1))).await;
    live.becomes("users.", &["10.0.0.1"]).await;
    live.server.go_away().await;
    live.becomes_like("late.", |addresses| matches!(addresses, Addresses::Failed(_))).await;
    assert_eq!(live.ips("users."), Some(ips(&["10.0.0.1"])));

    live.server.say("users.", at(&["10.0.0.2"], 1));
    live.server.resume().await;
    eventually("users", || match live.ips("users.") {
        Some(now) if now == ips(&["10.0.0.2"]) => Ok(()),
        Some(now) => Err(format!("{now:?}")),
        None => panic!("it was forgotten"),
    })
    .await;
    live.end().await;
}

#[tokio::test]
async fn a_name_that_is_none_leads_nowhere_until_it_is_one() {
    let live = Live::start("", |server, _| {
        server.say("users.", Entry::NoSuchName { soa: Some(1) });
        server.say("billing.", Entry::NoSuchName { soa: None });
        server.say("web.", at(&[], 1));
        server.say("gone.", at(&["10.0.0.4"], 1));
    })
    .await;
    live.becomes("gone.", &["10.0.0.4"]).await;
    for name in ["users.", "billing.", "web."] {
        live.becomes_like(name, |addresses| *addresses == Addresses::Neg).await;
    }
    live.server.say("gone.", Entry::NoSuchName { soa: Some(300) });
    live.becomes_like("gone.", |addresses| *addresses == Addresses::Neg).await;
    for (name, ip) in [("users.", "10.0.0.1"), ("billing.", "10.0.0.2"), ("web.", "10.0.0.3")] {
        live.server.say(name, at(&[ip], 1));
        live.becomes(name, &[ip]).await;
    }
    live.end().await;
}

#[tokio::test]
async fn a_server_that_cannot_tell_is_no_reason_to_forget() {
    let live = Live::start("", |server, _| {
        server.say("users.", at(&["10.0.0.1"], 1));
        server.say("new.", Entry::Code(ResponseCode::ServFail));
    })
    .await;
    live.becomes("users.", &["10.0.0.1"]).await;
    live.becomes_like("new.", |addresses| matches!(addresses, Addresses::Failed(_))).await;
    for entry in [Entry::Code(ResponseCode::ServFail), Entry::Silence] {
        live.server.say("users.", entry);
        let before = live.server.times_asked("users.");
        eventually("it is asked", || {
            assert_eq!(live.ips("users."), Some(ips(&["10.0.0.1"])));
            if live.server.times_asked("users.") > before { Ok(()) } else { Err("not yet".to_owned()) }
        })
        .await;
    }
    live.server.say("users.", at(&["10.0.0.2"], 1));
    live.server.say("new.", at(&["10.0.0.3"], 1));
    live.becomes("users.", &["10.0.0.2"]).await;
    live.becomes("new.", &["10.0.0.3"]).await;
    live.end().await;
}

#[tokio::test]
async fn half_an_answer_takes_nothing_from_the_other_half() {
    let live = Live::start("", |server, _| server.say("users.", at(&["10.0.0.1", "fd00::1"], 1))).await;
    live.becomes("users.", &["10.0.0.1", "fd00::1"]).await;
    live.server.say("users.", Entry::Half { silent: RecordType::AAAA, ips: ips(&["10.0.0.2"]), ttl: 1 });
    live.becomes("users.", &["10.0.0.2", "fd00::1"]).await;
    live.server.say("users.", at(&["10.0.0.2"], 1));
    live.becomes("users.", &["10.0.0.2"]).await;
    live.end().await;
}

#[tokio::test]
async fn an_alias_is_followed_and_its_ttl_counts() {
    let live = Live::start("", |server, _| {
        server.say("users.", Entry::Alias { of: "one.", ttl: 1 });
        server.say("one.", at(&["10.0.0.1"], 300));
        server.say("two.", at(&["10.0.0.2"], 300));
    })
    .await;
    live.becomes("users.", &["10.0.0.1"]).await;
    live.server.say("users.", Entry::Alias { of: "two.", ttl: 1 });
    live.becomes("users.", &["10.0.0.2"]).await;
    live.end().await;
}

#[tokio::test]
async fn the_search_list_is_tried_in_order_by_ndots() {
    let live = Live::start("search svc.example example\noptions ndots:2", |server, _| {
        server.say("users.svc.example.", at(&["10.0.0.1"], 300));
        server.say("users.", at(&["10.0.0.9"], 300));
        server.say("billing.example.", at(&["10.0.0.2"], 300));
        server.say("a.b.c.", at(&["10.0.0.3"], 300));
        server.say("a.b.c.svc.example.", at(&["10.0.0.9"], 300));
        server.say("www.other.", at(&["10.0.0.4"], 300));
    })
    .await;
    for (name, ip) in [
        ("users", "10.0.0.1"),
        ("USERS", "10.0.0.1"),
        ("billing", "10.0.0.2"),
        ("a.b.c", "10.0.0.3"),
        ("www.other", "10.0.0.4"),
        ("users.", "10.0.0.9"),
    ] {
        live.becomes(name, &[ip]).await;
    }
    let asked = live.server.asked();
    let about = |part: &str| asked.iter().filter(|name| name.contains(part)).map(String::as_str).collect::<Vec<_>>();
    assert_eq!(about("billing"), ["billing.svc.example.", "billing.example."]);
    assert_eq!(about("www"), ["www.other.svc.example.", "www.other.example.", "www.other."]);
    assert_eq!(about("a.b.c"), ["a.b.c."]);
    live.end().await;
}

#[tokio::test]
async fn a_silent_domain_of_the_search_list_lets_no_other_name_stand_in() {
    let live = Live::start("search svc.example", |server, _| {
        server.say("users.svc.example.", Entry::Silence);
        server.say("users.", at(&["10.0.0.9"], 1));
        server.say("billing.svc.example.", Entry::Code(ResponseCode::Refused));
        server.say("billing.", at(&["10.0.0.2"], 1));
    })
    .await;
    live.becomes("billing", &["10.0.0.2"]).await;
    live.becomes_like("users", |addresses| matches!(addresses, Addresses::Failed(_))).await;
    live.server.say("users.svc.example.", at(&["10.0.0.1"], 1));
    live.becomes("users", &["10.0.0.1"]).await;
    live.end().await;
}

#[tokio::test]
async fn the_hosts_file_comes_first_and_is_followed() {
    let live = Live::start("", |server, dir| {
        server.say("users.", at(&["10.0.0.9", "fd00::9"], 1));
        fs::write(dir.path().join("hosts"), "10.0.0.1 users\n").unwrap();
    })
    .await;
    live.becomes("users", &["10.0.0.1"]).await;
    assert_eq!(live.server.times_asked("users."), 0);
    fs::write(live.dir.path().join("hosts"), "10.0.0.2 users\n").unwrap();
    live.becomes("users", &["10.0.0.2"]).await;
    fs::remove_file(live.dir.path().join("hosts")).unwrap();
    live.becomes("users", &["10.0.0.9", "fd00::9"]).await;
    live.end().await;
}

#[tokio::test]
async fn another_server_is_asked_when_one_does_not_answer() {
    let mut away = NameServer::start().await;
    let server = NameServer::start().await;
    server.say("users.", at(&["10.0.0.1"], 1));
    away.go_away().await;
    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join("resolv.conf"), "options timeout:1 attempts:1\n").unwrap();
    let dns = DnsConfig {
        resolv_conf: dir.path().join("resolv.conf"),
        hosts: dir.path().join("hosts"),
        servers: vec![away.addr, server.addr],
    };
    let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
    let namers = NamerSet::live_with(&[], &dns, Arc::default(), &tasks, stop.clone());
    let live = Live { server, dir, namers, tasks, stop };
    live.becomes("users.", &["10.0.0.1"]).await;
    live.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn commands_that_look_and_end_ask_the_same() {
    let live = Live::start("search svc.example", |server, dir| {
        server.say("users.svc.example.", at(&["10.0.0.1"], 1));
        fs::write(dir.path().join("disco/web"), "users 80\ngone 80\n").unwrap();
    })
    .await;
    let config = NamerConfig {
        prefix: "/fs".parse().unwrap(),
        kind: NamerKind::Fs { root_dir: live.dir.path().join("disco") },
        transformers: Vec::new(),
    };
    let dns = DnsConfig {
        resolv_conf: live.dir.path().join("resolv.conf"),
        hosts: live.dir.path().join("hosts"),
        servers: vec![live.server.addr],
    };
    let (namers, problems) = NamerSet::read_with(&[config], &dns);
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(problems[0].finding.message.contains("`gone`"), "{problems:?}");
    let live = Live { namers, ..live };
    assert_eq!(live.ips("users"), Some(ips(&["10.0.0.1"])));
    assert_eq!(live.ips("/#/fs/web"), Some(ips(&["10.0.0.1"])));
    assert_eq!(live.addresses("gone"), Addresses::Neg);
    live.end().await;
}
