//! A configuration in the making, in a directory of its own.

use std::fmt::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tempfile::TempDir;

use crate::certs::{Ca, Identity, replace, replace_by_way_of};
use crate::ports::free_port;

/// What `waypost.toml` is going to say. Snippets of TOML go where they belong; paths in them are relative to the directory.
#[derive(Clone, Debug)]
pub struct Spec {
    dir: Arc<TempDir>,
    admin_port: u16,
    admin_keys: String,
    top: String,
    namers: String,
    routers: Vec<RouterSpec>,
}

#[derive(Clone, Debug)]
struct RouterSpec {
    label: String,
    dtab: Option<String>,
    keys: String,
    servers: Vec<ServerSpec>,
    service: String,
    service_configs: Vec<(String, String)>,
    client: String,
    client_configs: Vec<(String, String)>,
}

#[derive(Clone, Debug)]
struct ServerSpec {
    ip: String,
    port: u16,
    keys: String,
}

impl ServerSpec {
    fn new() -> Self {
        Self { ip: "127.0.0.1".to_owned(), port: free_port(), keys: String::new() }
    }
}

impl Spec {
    /// One router with one loopback server, an fs namer over `disco/` and two workers. Its dtab is `/svc => /#/fs`
    /// until [`Spec::dtab`] says otherwise.
    pub fn router(label: &str) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory can be made");
        std::fs::create_dir(dir.path().join("disco")).expect("the test's directory can be written");
        let spec = Self {
            dir: Arc::new(dir),
            admin_port: free_port(),
            admin_keys: String::new(),
            top: "workers = 2\n".to_owned(),
            namers: "[[namers]]\nkind = \"fs\"\nroot_dir = \"disco\"\n".to_owned(),
            routers: Vec::new(),
        };
        spec.and_router(label).dtab("/svc => /#/fs")
    }

    /// A further router; what follows is said about it.
    #[must_use]
    pub fn and_router(mut self, label: &str) -> Self {
        self.routers.push(RouterSpec {
            label: label.to_owned(),
            dtab: None,
            keys: String::new(),
            servers: vec![ServerSpec::new()],
            service: String::new(),
            service_configs: Vec::new(),
            client: String::new(),
            client_configs: Vec::new(),
        });
        self
    }

    fn last(&mut self) -> &mut RouterSpec {
        self.routers.last_mut().expect("there is a router")
    }

    /// The router's dtab.
    #[must_use]
    pub fn dtab(mut self, dtab: &str) -> Self {
        self.last().dtab = Some(dtab.to_owned());
        self
    }

    /// No `dtab` key.
    #[must_use]
    pub fn without_dtab(mut self) -> Self {
        self.last().dtab = None;
        self
    }

    /// Keys of `[[routers]]`.
    #[must_use]
    pub fn keys(mut self, toml: &str) -> Self {
        add(&mut self.last().keys, toml);
        self
    }

    /// Keys of the router's last server.
    #[must_use]
    pub fn server(mut self, toml: &str) -> Self {
        add(&mut self.last().servers.last_mut().expect("there is a server").keys, toml);
        self
    }

    /// The last server's address.
    #[must_use]
    pub fn server_ip(mut self, ip: &str) -> Self {
        ip.clone_into(&mut self.last().servers.last_mut().expect("there is a server").ip);
        self
    }

    /// The last server's port.
    #[must_use]
    pub fn server_port(mut self, port: u16) -> Self {
        self.last().servers.last_mut().expect("there is a server").port = port;
        self
    }

    /// A further server of the router.
    #[must_use]
    pub fn and_server(mut self) -> Self {
        self.last().servers.push(ServerSpec::new());
        self
    }

    /// Takes the router's last server away.
    #[must_use]
    pub fn without_last_server(mut self) -> Self {
        self.last().servers.pop();
        self
    }

    /// Keys of `[routers.service]`.
    #[must_use]
    pub fn service(mut self, toml: &str) -> Self {
        add(&mut self.last().service, toml);
        self
    }

    /// An entry of `[[routers.service.configs]]`.
    #[must_use]
    pub fn service_at(mut self, prefix: &str, toml: &str) -> Self {
        self.last().service_configs.push((prefix.to_owned(), toml.to_owned()));
        self
    }

    /// Keys of `[routers.client]`.
    #[must_use]
    pub fn client(mut self, toml: &str) -> Self {
        add(&mut self.last().client, toml);
        self
    }

    /// An entry of `[[routers.client.configs]]`.
    #[must_use]
    pub fn client_at(mut self, prefix: &str, toml: &str) -> Self {
        self.last().client_configs.push((prefix.to_owned(), toml.to_owned()));
        self
    }

    /// Forgets the entries made by [`Spec::client_at`].
    #[must_use]
    pub fn without_clients(mut self) -> Self {
        self.last().client_configs.clear();
        self
    }

    /// A further `[[namers]]`, by its keys.
    #[must_use]
    pub fn namer(mut self, toml: &str) -> Self {
        add(&mut self.namers, &format!("[[namers]]\n{toml}"));
        self
    }

    /// No namer at all, until [`Spec::namer`].
    #[must_use]
    pub fn without_namers(mut self) -> Self {
        self.namers.clear();
        self
    }

    /// Keys and tables before everything else.
    #[must_use]
    pub fn top(mut self, toml: &str) -> Self {
        add(&mut self.top, toml);
        self
    }

    /// How many threads serve.
    #[must_use]
    pub fn workers(mut self, count: usize) -> Self {
        self.top = self.top.replace("workers = 2\n", &format!("workers = {count}\n"));
        self
    }

    /// Further keys of `[admin]`.
    #[must_use]
    pub fn admin(mut self, toml: &str) -> Self {
        add(&mut self.admin_keys, toml);
        self
    }

    /// One endpoint of the fs namer's `service`, in place of what was there.
    #[must_use]
    pub fn endpoint(self, service: &str, addr: SocketAddr) -> Self {
        self.endpoints(service, &[addr])
    }

    /// All endpoints of the fs namer's `service`.
    #[must_use]
    pub fn endpoints(self, service: &str, addrs: &[SocketAddr]) -> Self {
        self.disco().set(service, addrs);
        self
    }

    /// Where the fs namer looks.
    pub fn disco(&self) -> Disco {
        Disco { dir: self.path("disco"), staging: self.dir().to_owned() }
    }

    /// A file in the directory.
    #[must_use]
    pub fn file(self, name: &str, content: &str) -> Self {
        replace(&self.path(name), content.as_bytes(), 0o644);
        self
    }

    /// `<stem>.pem`: what to trust.
    #[must_use]
    pub fn trust(self, stem: &str, ca: &Ca) -> Self {
        self.file(&format!("{stem}.pem"), ca.pem())
    }

    /// `<stem>.pem` and `<stem>.key`.
    #[must_use]
    pub fn identity(self, stem: &str, identity: &Identity) -> Self {
        identity.write(self.dir(), stem);
        self
    }

    /// The directory.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// A path in the directory.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir().join(name)
    }

    /// The configuration's file.
    pub fn config(&self) -> PathBuf {
        self.path("waypost.toml")
    }

    /// The configuration's file, as an argument.
    pub fn config_arg(&self) -> String {
        self.config().to_str().expect("temporary directories have plain names").to_owned()
    }

    /// Writes the configuration in place of what is there.
    pub fn write(&self) -> &Self {
        replace(&self.config(), self.to_toml().as_bytes(), 0o644);
        self
    }

    /// Where the admin listens.
    pub fn admin_addr(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.admin_port))
    }

    /// Where the `index`th server of the router `label` is reached from this machine.
    pub fn server_addr(&self, label: &str, index: usize) -> SocketAddr {
        let router = self.routers.iter().find(|router| router.label == label).expect("a router of that label");
        SocketAddr::from(([127, 0, 0, 1], router.servers[index].port))
    }

    /// The label of the first router.
    pub fn first_label(&self) -> &str {
        &self.routers[0].label
    }

    /// The text.
    pub fn to_toml(&self) -> String {
        let mut text = self.top.clone();
        let _infallible = writeln!(text, "[admin]\nport = {}\n{}", self.admin_port, self.admin_keys);
        text.push_str(&self.namers);
        for router in &self.routers {
            router.write(&mut text);
        }
        text
    }
}

impl RouterSpec {
    fn write(&self, text: &mut String) {
        let mut line = |line: &str| {
            text.push_str(line);
            text.push('\n');
        };
        line(&format!("[[routers]]\nlabel = \"{}\"\n{}", self.label, self.keys));
        if let Some(dtab) = &self.dtab {
            line(&format!("dtab = \"\"\"\n{}\n\"\"\"", dtab.replace('\\', "\\\\")));
        }
        for server in &self.servers {
            line(&format!("[[routers.servers]]\nip = \"{}\"\nport = {}\n{}", server.ip, server.port, server.keys));
        }
        line(&format!("[routers.service]\n{}", self.service));
        for (prefix, keys) in &self.service_configs {
            line(&format!("[[routers.service.configs]]\nprefix = \"{prefix}\"\n{keys}"));
        }
        line(&format!("[routers.client]\n{}", self.client));
        for (prefix, keys) in &self.client_configs {
            line(&format!("[[routers.client.configs]]\nprefix = \"{prefix}\"\n{keys}"));
        }
    }
}

/// The directory of an fs namer.
#[derive(Clone, Debug)]
pub struct Disco {
    dir: PathBuf,
    staging: PathBuf,
}

impl Disco {
    /// Gives `service` these endpoints; none is a bound, empty service.
    pub fn set(&self, service: &str, addrs: &[SocketAddr]) {
        let lines: String = addrs.iter().map(|addr| format!("{} {}\n", addr.ip(), addr.port())).collect();
        self.write(service, &lines);
    }

    /// Writes the file of `service` as a whole.
    pub fn write(&self, service: &str, content: &str) {
        replace_by_way_of(&self.staging, &self.dir.join(service), content.as_bytes(), 0o644);
    }

    /// Takes `service` away.
    pub fn remove(&self, service: &str) {
        std::fs::remove_file(self.dir.join(service)).expect("the service was there");
    }
}

/// `tls = ...` of kind `static`, trusting `ca.pem`.
pub fn static_tls(common_name: &str) -> String {
    format!("tls = {{ kind = \"static\", common_name = \"{common_name}\", trust = [\"ca.pem\"] }}")
}

/// `tls = ...` of kind `bound_path`, trusting `ca.pem`; `more` are further keys.
pub fn bound_path_tls(names: &[(&str, &str)], more: &str) -> String {
    let entry = |(prefix, name): &(&str, &str)| format!("{{ prefix = \"{prefix}\", common_name = \"{name}\" }}");
    let names: Vec<String> = names.iter().map(entry).collect();
    let more = if more.is_empty() { String::new() } else { format!(", {more}") };
    format!("tls = {{ kind = \"bound_path\", names = [{}], trust = [\"ca.pem\"]{more} }}", names.join(", "))
}

fn add(text: &mut String, more: &str) {
    text.push_str(more);
    if !more.ends_with('\n') {
        text.push('\n');
    }
}
