//! A running `waypost`, configured for one test.

use std::net::SocketAddr;
use std::process::Command;

use serde_json::Value;

use crate::answer::Answer;
use crate::ask::Ask;
use crate::binary::waypost_binary;
use crate::client::{Http1, Http2};
use crate::command::{Ran, waypost_in};
use crate::config::{Disco, Spec};
use crate::eventually::eventually;
use crate::metrics::Metrics;
use crate::process::{Process, Signal};

impl Spec {
    /// Starts `waypost run` and waits until it is ready.
    pub async fn start(self) -> TestProxy {
        self.start_with(&[]).await
    }

    /// The same with variables in its environment.
    pub async fn start_with(self, environment: &[(&str, &str)]) -> TestProxy {
        self.write();
        let mut command = Command::new(waypost_binary());
        command.arg("run").arg(self.config()).env_remove("RUST_LOG").env("NO_COLOR", "1").env("RUST_BACKTRACE", "1");
        command.envs(environment.iter().copied());
        let mut proxy = TestProxy { process: Process::spawn("waypost", command, self.dir()), spec: self };
        proxy.is_ready().await;
        proxy
    }
}

/// A `waypost run` of its own; it ends with the test, and shows its log when the test fails.
#[derive(Debug)]
pub struct TestProxy {
    process: Process,
    spec: Spec,
}

impl TestProxy {
    /// A configuration to start from: see [`Spec::router`].
    pub fn router(label: &str) -> Spec {
        Spec::router(label)
    }

    /// Waits for `/admin/ready`.
    async fn is_ready(&mut self) {
        let admin = self.spec.admin_addr();
        eventually("waypost is ready", async || {
            if let Some(code) = self.process.ended() {
                panic!("waypost run has ended with {code}:\n{}\n{}", self.log(), self.spec.to_toml());
            }
            let mut client = Http1::try_connect(admin).await.map_err(|error| error.to_string())?;
            let ask = Ask::get(&admin.to_string(), "/admin/ready");
            let answer = client.try_ask(&ask).await.map_err(|error| error.to_string())?;
            if answer.status() == 200 { Ok(()) } else { Err(answer.text()) }
        })
        .await;
    }

    /// Where the first router listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr_of(self.spec.first_label())
    }

    /// Where the first server of a router listens.
    pub fn addr_of(&self, label: &str) -> SocketAddr {
        self.spec.server_addr(label, 0)
    }

    /// Where the admin listens.
    pub fn admin_addr(&self) -> SocketAddr {
        self.spec.admin_addr()
    }

    /// The configuration as it was last written.
    pub fn spec(&self) -> &Spec {
        &self.spec
    }

    /// The fs namer's directory.
    pub fn disco(&self) -> Disco {
        self.spec.disco()
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Its memory now, in KiB (RSS).
    pub fn resident_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id())).expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a size");
        line.trim().trim_end_matches(" kB").parse().expect("a number")
    }

    /// A GET over HTTP/1.1 on a connection of its own.
    pub async fn get(&self, host: &str, target: &str) -> Answer {
        self.ask(&Ask::get(host, target)).await
    }

    /// Which origin a GET for `host` reaches now; it must be an echoing one.
    pub async fn reaches(&self, host: &str) -> String {
        self.get(host, "/").await.is(200).json()["origin"].as_str().unwrap_or_default().to_owned()
    }

    /// Waits until a GET for `host` reaches the origin called `name`; every answer before must be a 200, too.
    pub async fn soon_reaches(&self, host: &str, name: &str) {
        eventually(&format!("{host} reaches {name}"), async || match self.reaches(host).await {
            origin if origin == name => Ok(()),
            origin => Err(format!("it reaches {origin}")),
        })
        .await;
    }

    /// Any request over HTTP/1.1 on a connection of its own.
    pub async fn ask(&self, ask: &Ask) -> Answer {
        self.http1().await.ask(ask).await
    }

    /// Any request over clear-text HTTP/2 on a connection of its own.
    pub async fn ask_http2(&self, ask: &Ask) -> Answer {
        self.http2().await.ask(ask).await
    }

    /// A connection to the first router.
    pub async fn http1(&self) -> Http1 {
        Http1::connect(self.addr()).await
    }

    /// An HTTP/2 connection to the first router.
    pub async fn http2(&self) -> Http2 {
        Http2::connect(self.addr()).await
    }

    /// A GET to the admin.
    pub async fn admin(&self, target: &str) -> Answer {
        self.admin_ask(&Ask::get(&self.admin_addr().to_string(), target)).await
    }

    /// A POST to the admin.
    pub async fn admin_post(&self, target: &str, content_type: &str, body: &str) -> Answer {
        let ask = Ask::post(&self.admin_addr().to_string(), target, body).header("Content-Type", content_type);
        self.admin_ask(&ask).await
    }

    /// Any request to the admin.
    pub async fn admin_ask(&self, ask: &Ask) -> Answer {
        Http1::connect(self.admin_addr()).await.ask(ask).await
    }

    /// A scrape.
    pub async fn metrics(&self) -> Metrics {
        Metrics::parse(&self.admin("/admin/metrics/prometheus").await.is(200).text())
    }

    /// Waits until the sum over a metric's matching samples is `value`.
    pub async fn metric_is(&self, name: &str, labels: &[(&str, &str)], value: f64) {
        eventually(name, async || match self.metrics().await.sum(name, labels) {
            sum if (sum - value).abs() < 1e-9 => Ok(()),
            sum => Err(format!("{name}{labels:?} is {sum}, not {value}")),
        })
        .await;
    }

    /// `/clients.json`'s entry of a bound path, when there is one.
    pub async fn client(&self, bound: &str) -> Option<Value> {
        let clients = self.admin("/clients.json").await.is(200).json();
        let entries = clients["clients"].as_array().expect("a list of clients").iter();
        entries.clone().find(|entry| entry["bound"] == bound).cloned()
    }

    /// `waypost explain --admin ADDR --json ARGS`.
    pub async fn explain(&self, args: &[&str]) -> Ran {
        let admin = self.admin_addr().to_string();
        let mut all = vec!["explain", "--admin", &admin, "--json"];
        all.extend(args);
        waypost_in(self.spec.dir(), &all).await
    }

    /// `waypost explain CONFIG --json ARGS`: a fresh look at the files.
    pub async fn explain_offline(&self, args: &[&str]) -> Ran {
        let config = self.spec.config_arg();
        let mut all = vec!["explain", &config, "--json"];
        all.extend(args);
        waypost_in(self.spec.dir(), &all).await
    }

    /// Writes a changed configuration; nothing tells the proxy.
    pub fn rewrite(&mut self, change: impl FnOnce(Spec) -> Spec) {
        self.spec = change(self.spec.clone());
        self.spec.write();
    }

    /// Writes a changed configuration, sends SIGHUP and waits until it was taken.
    pub async fn reload(&mut self, change: impl FnOnce(Spec) -> Spec) {
        let before = self.reloads("success").await;
        self.rewrite(change);
        self.signal(Signal::Hup);
        self.metric_is("waypost_config_reloads_total", &[("outcome", "success")], before + 1.0).await;
    }

    /// How many reloads have ended so.
    pub async fn reloads(&self, outcome: &str) -> f64 {
        self.metrics().await.sum("waypost_config_reloads_total", &[("outcome", outcome)])
    }

    /// Sends a signal.
    pub fn signal(&mut self, signal: Signal) {
        self.process.signal(signal);
    }

    /// Waits for the end; gives the exit code.
    pub async fn exit_code(&mut self) -> i32 {
        eventually("waypost ends", async || self.process.ended().ok_or_else(|| "it still runs".to_owned())).await
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        self.process.output()
    }
}

impl Drop for TestProxy {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}\n--- waypost.toml\n{}", self.log(), self.spec.to_toml());
        }
    }
}
