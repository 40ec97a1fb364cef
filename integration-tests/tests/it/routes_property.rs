//! Whatever the rules are and however discovery moves: a request goes where the running proxy says it would, and where a
//! fresh look at the files says it would. A cached route that has gone stale shows here.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use integration_tests::random::Random;
use integration_tests::*;
use serde_json::Value;

const SERVICES: [&str; 4] = ["a", "b", "c", "d"];
const HOSTS: [&str; 5] = ["a", "b", "web", "users", "x"];

/// A name tree without unions: where it leads is no matter of chance.
fn tree(random: &mut Random, depth: usize) -> String {
    match random.below(if depth == 0 { 5 } else { 7 }) {
        0 | 1 => format!("/#/fs/{}", random.of(&SERVICES)),
        2 => format!("/#/lab/{}", random.of(&SERVICES)),
        3 => (*random.of(&["/#/fs", "/#/lab", "/host", "/svc"])).to_owned(),
        4 => (*random.of(&["~", "!", "$"])).to_owned(),
        5 => format!("{} | {}", tree(random, depth - 1), tree(random, depth - 1)),
        _ => format!("({})", tree(random, depth - 1)),
    }
}

fn dtab(random: &mut Random, rules: usize) -> String {
    let prefixes = ["/svc", "/svc/web", "/svc/users", "/host", "/host/a", "/svc/*", "/#/fs/d"];
    let rules: Vec<String> = (0..rules).map(|_| format!("{} => {}", random.of(&prefixes), tree(random, 2))).collect();
    rules.join(" ; ")
}

/// What a sequence of changes has made of the world.
struct World {
    proxy: TestProxy,
    origins: Vec<Origin>,
    files: BTreeMap<&'static str, Vec<SocketAddr>>,
}

impl World {
    async fn new(random: &mut Random) -> Self {
        let mut origins = Vec::new();
        for name in ["one", "two", "three"] {
            origins.push(Origin::http(name).await);
        }
        let services: Vec<String> = SERVICES[..3]
            .iter()
            .zip(&origins)
            .map(|(name, origin)| format!("{name} = [\"{}\"]", origin.addr()))
            .collect();
        let namer = format!("kind = \"static\"\nprefix = \"lab\"\n[namers.services]\n{}\n", services.join("\n"));
        let rules = format!("/svc => /#/fs ; {}", dtab(random, 4));
        let spec = Spec::router("out")
            .without_dtab()
            .namer(&namer)
            .keys("dtab_file = \"routes.dtab\"")
            .file("routes.dtab", &rules);
        let proxy = spec.endpoint("a", origins[0].addr()).start().await;
        let files = BTreeMap::from([("a", vec![origins[0].addr()])]);
        Self { proxy, origins, files }
    }

    /// Changes something outside, and waits until the proxy says what a fresh look at the files says.
    async fn change(&mut self, random: &mut Random) {
        let service = *random.of(&SERVICES);
        match random.below(4) {
            0 => {
                let rules = format!("/svc => /#/fs ; {}", dtab(random, 4));
                certs::replace(&self.proxy.spec().path("routes.dtab"), rules.as_bytes(), 0o644);
            }
            1 if self.files.contains_key(service) => {
                self.files.remove(service);
                self.proxy.disco().remove(service);
            }
            _ => {
                let addrs = if random.chance(20) { Vec::new() } else { vec![random.of(&self.origins).addr()] };
                self.proxy.disco().set(service, &addrs);
                self.files.insert(service, addrs);
            }
        }
        self.settles().await;
    }

    async fn settles(&self) {
        let hosts: Vec<String> = HOSTS.iter().map(|host| format!("http://{host}/")).collect();
        eventually("the running proxy has seen the change", async || {
            for host in &hosts {
                let running = self.proxy.explain(&[host]).await.json();
                let fresh = self.proxy.explain_offline(&[host]).await.json();
                if destination(&running) != destination(&fresh) {
                    return Err(format!("{host}: {running}\nfresh: {fresh}"));
                }
            }
            Ok(())
        })
        .await;
    }

    /// A request goes where both explanations say.
    async fn agrees(&self, host: &str, rule: Option<&str>) {
        let url = format!("http://{host}/");
        let header = rule.map(|rule| format!("l5d-dtab: {rule}"));
        let mut args = vec![url.as_str()];
        if let Some(header) = &header {
            args.extend(["-H", header]);
        }
        let running = self.proxy.explain(&args).await.json();
        let fresh = self.proxy.explain_offline(&args).await.json();
        let mut ask = Ask::get(host, "/");
        if let Some(rule) = rule {
            ask = ask.header("l5d-dtab", rule);
        }
        let before: Vec<usize> = self.origins.iter().map(Origin::requests).collect();
        let answer = self.proxy.ask(&ask).await;

        let what = format!("{host} {rule:?}\nrunning: {running}\nfresh: {fresh}\nanswer: {answer:?}");
        assert_eq!(destination(&running), destination(&fresh), "{what}");
        let reached: Vec<&Origin> = self
            .origins
            .iter()
            .zip(before)
            .filter(|(origin, before)| origin.requests() > *before)
            .map(|(origin, _)| origin)
            .collect();
        match reached[..] {
            [] => {
                assert_ne!(running["outcome"], "bound", "{what}");
                assert_eq!(running["error"]["status"], answer.status(), "{what}");
            }
            [origin] => {
                let seen = origin.last();
                assert_eq!(running["outcome"], "bound", "{what}");
                assert_eq!(seen.header("l5d-dst-client"), running["leaves"][0]["bound"].as_str(), "{what}");
                assert_eq!(running["leaves"][0]["endpoints"][0]["addr"], origin.addr().to_string(), "{what}");
            }
            _ => panic!("one request reached several origins: {what}"),
        }
    }
}

/// Outcome, bound paths and addresses.
fn destination(said: &Value) -> (Value, Vec<(Value, Vec<Value>)>) {
    let leaves = said["leaves"].as_array().cloned().unwrap_or_default();
    let leaf = |leaf: Value| {
        let endpoints = leaf["endpoints"].as_array().cloned().unwrap_or_default();
        (leaf["bound"].clone(), endpoints.into_iter().map(|endpoint| endpoint["addr"].clone()).collect())
    };
    (said["outcome"].clone(), leaves.into_iter().map(leaf).collect())
}

async fn holds_for(seed: u64) {
    let mut random = Random::new(seed);
    let mut world = World::new(&mut random).await;
    for _ in 0..6 {
        for host in HOSTS {
            let rule = random.chance(40).then(|| dtab(&mut random, 1));
            world.agrees(host, rule.as_deref()).await;
        }
        world.change(&mut random).await;
    }
}

#[tokio::test]
async fn traffic_and_explanations_agree_under_change() {
    for seed in [1, 2, 3] {
        holds_for(seed).await;
    }
}

#[tokio::test]
async fn traffic_and_explanations_agree_under_other_changes() {
    for seed in [11, 12, 13] {
        holds_for(seed).await;
    }
}
