//! Looks names up as the machine's files say: hosts(5), then the servers of resolv.conf(5).
//!
//! Both are looked at before each look-up, so that a change of them counts at once. Where resolv.conf is of no use,
//! getaddrinfo(3) is asked instead, which may know another way.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;
use std::{fs, io};

use super::super::stamp::Stamp;
use super::hosts::Hosts;
use super::servers::Servers;
use super::{DnsConfig, Reply, Resolution};

#[derive(Debug)]
pub(super) struct Stub {
    config: DnsConfig,
    files: Mutex<Files>,
}

#[derive(Debug)]
struct Files {
    hosts: Kept<Hosts>,
    /// `None`: the system's resolver is asked.
    servers: Kept<Option<Servers>>,
}

impl Stub {
    pub(super) fn new(config: DnsConfig) -> Self {
        let files = Files {
            hosts: Kept::new(config.hosts.clone(), Hosts::default()),
            servers: Kept::new(config.resolv_conf.clone(), None),
        };
        Self { config, files: Mutex::new(files) }
    }

    pub(super) async fn look_up(self: Arc<Self>, name: Arc<str>) -> Reply {
        let read = tokio::task::spawn_blocking(move || self.read());
        let (hosts, servers) = match read.await {
            Ok(files) => files,
            Err(error) => return Resolution::Temporary(format!("the resolver ended badly: {error}")).into(),
        };
        if let Some(ips) = hosts.find(&name) {
            return Resolution::known(ips.to_vec()).into();
        }
        match &*servers {
            Some(servers) => Box::pin(servers.look_up(&name)).await,
            None => {
                let answer = tokio::net::lookup_host((&*name, 0)).await;
                Resolution::of(answer.map(|addresses| addresses.map(|address| address.ip()))).into()
            }
        }
    }

    /// What the files say now. Blocks.
    fn read(&self) -> (Arc<Hosts>, Arc<Option<Servers>>) {
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        let hosts = files.hosts.now(|bytes| bytes.map(Hosts::parse).unwrap_or_default());
        let servers = files.servers.now(|bytes| self.servers(bytes));
        (hosts, servers)
    }

    fn servers(&self, resolv_conf: Result<&[u8], &io::Error>) -> Option<Servers> {
        let given = &self.config.servers;
        let servers = match resolv_conf {
            Ok(bytes) => Servers::new(bytes, given),
            // What else the file could say has its defaults.
            Err(_) if !given.is_empty() => Servers::new(b"", given),
            Err(error) => Err(error.to_string()),
        };
        let file = self.config.resolv_conf.display();
        match servers {
            Ok(servers) => {
                tracing::debug!(%file, "name servers read");
                Some(servers)
            }
            Err(reason) => {
                tracing::warn!(%file, reason, "no name servers; the system's resolver is asked");
                None
            }
        }
    }
}

/// What a file says, for as long as it stays the same.
#[derive(Debug)]
struct Kept<T> {
    path: PathBuf,
    seen: Option<Seen>,
    value: Arc<T>,
}

#[derive(Debug)]
struct Seen {
    /// `None`: there was no such file.
    stamp: Option<Stamp>,
    at: SystemTime,
    /// `None`: it could not be read.
    bytes: Option<Vec<u8>>,
}

impl<T> Kept<T> {
    fn new(path: PathBuf, value: T) -> Self {
        Self { path, seen: None, value: Arc::new(value) }
    }

    /// What the file says, made of its bytes if these are not those of the last time.
    fn now(&mut self, make: impl FnOnce(Result<&[u8], &io::Error>) -> T) -> Arc<T> {
        let (stamp, at) = (fs::metadata(&self.path).ok().map(|metadata| Stamp::of(&metadata)), SystemTime::now());
        if let Some(seen) = &self.seen
            && seen.stamp == stamp
            && stamp.is_none_or(|stamp| stamp.vouches_at(seen.at))
        {
            return Arc::clone(&self.value);
        }
        let read = fs::read(&self.path);
        let is_same = self.seen.as_ref().is_some_and(|seen| seen.bytes.as_ref() == read.as_ref().ok());
        if !is_same {
            self.value = Arc::new(make(read.as_deref()));
        }
        self.seen = Some(Seen { stamp, at, bytes: read.ok() });
        Arc::clone(&self.value)
    }
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    fn stub(dir: &TempDir) -> Arc<Stub> {
        let (resolv_conf, hosts) = (dir.path().join("resolv.conf"), dir.path().join("hosts"));
        Arc::new(Stub::new(DnsConfig { resolv_conf, hosts, servers: Vec::new() }))
    }

    #[tokio::test]
    async fn the_hosts_file_is_asked_first_and_each_change_of_it_counts() {
        let dir = TempDir::new().unwrap();
        let stub = stub(&dir);
        for ip in ["10.0.0.1", "10.0.0.2", "10.0.0.3"] {
            fs::write(dir.path().join("hosts"), format!("{ip} users\n")).unwrap();
            let reply = Arc::clone(&stub).look_up("users".into()).await;
            assert_eq!(reply, Resolution::known(vec![ip.parse().unwrap()]).into());
        }
    }

    #[tokio::test]
    async fn without_a_resolv_conf_the_system_is_asked() {
        let stub = stub(&TempDir::new().unwrap());
        let reply = Arc::clone(&stub).look_up("localhost".into()).await;
        let Resolution::Known(ips) = &reply.resolution else { panic!("{reply:?}") };
        assert!(ips.iter().all(std::net::IpAddr::is_loopback), "{ips:?}");
        assert_eq!(reply.ttl, None);
    }

    #[test]
    fn servers_are_kept_as_long_as_their_file_says_the_same() {
        let dir = TempDir::new().unwrap();
        let stub = stub(&dir);
        let file = dir.path().join("resolv.conf");
        assert!(stub.read().1.is_none());
        fs::write(&file, "nameserver 127.0.0.1\n").unwrap();
        let first = stub.read().1;
        assert!(first.is_some());
        fs::write(&file, "nameserver 127.0.0.1\n").unwrap();
        assert!(Arc::ptr_eq(&first, &stub.read().1), "with all answers that they gave");
        fs::write(&file, "nameserver 127.0.0.2\n").unwrap();
        assert!(!Arc::ptr_eq(&first, &stub.read().1));
        fs::remove_file(&file).unwrap();
        assert!(stub.read().1.is_none());
    }
}
