//! A router over names that are known beforehand, and what is said of requests to it.

use std::fs;
use std::path::Path as FilePath;

use serde_json::{Value, json};
use tempfile::TempDir;
use waypost::config::Config;
use waypost::explanation::{Asked, Color, Explanation, explain, offline};
use waypost::plan::Router;
use waypost::tls::mint::{self, LeafOptions};

pub(crate) const CONFIG: &str = r#"
[[namers]]
kind = "static"
prefix = "lab"
[namers.services]
users = ["127.0.0.1:8080", { addr = "127.0.0.1:8081", weight = 2.0 }]
beta = ["127.0.0.1:8082"]
stranger = ["127.0.0.1:8083"]
nobody = []

[[routers]]
label = "outgoing"
dtab = """
/svc => /#/lab ;
/svc/half => 1 * /#/lab/users & 3 * /#/lab/beta ;
/svc/thin => 1 * /#/lab/users & 1 * /#/lab/missing & 2 * $ ;
/svc/gone => ! ;
/svc/void => $ ;
/svc/round => /svc/round ;
/svc/spare => /#/lab/nobody | /#/lab/beta ;
"""

[[routers.servers]]
port = 4140

[[routers.servers]]
ip = "0.0.0.0"
port = 4141

[routers.service]
total_timeout = "10s"

[routers.client]
connect_timeout = "250ms"

[[routers.client.configs]]
prefix = "/#/lab/{service}"
[routers.client.configs.tls]
kind = "bound_path"
trust = ["ca.pem"]
names = [
  { prefix = "/#/lab/users", common_name = "users.example.com" },
  { prefix = "/#/lab/beta", common_name = "beta.example.com" },
  { prefix = "/#/lab/nobody", common_name = "nobody.example.com" },
]
"#;

/// A router that sees what is in `dir`.
pub(crate) fn router(text: &str, dir: &FilePath) -> Router {
    let config = Config::parse("waypost.toml", text, dir).unwrap().config;
    offline(&config, &config.routers[0])
}

pub(crate) struct Lab {
    pub(crate) router: Router,
    pub(crate) dir: TempDir,
}

impl Lab {
    pub(crate) fn new() -> Self {
        Self::of(CONFIG)
    }

    /// A router with these rules, a namer `lab` and a namer `fs`, and clear text to all that they know.
    pub(crate) fn of_rules(dtab: &str) -> Self {
        Self::of_client(dtab, "")
    }

    /// The same with a client policy.
    pub(crate) fn of_client(dtab: &str, client: &str) -> Self {
        Self::of(&format!(
            "{NAMERS}[[routers]]\ndtab = \"\"\"\n{dtab}\"\"\"\n[[routers.servers]]\nport = 4140\n{client}"
        ))
    }

    pub(crate) fn of(config: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        mint::init(dir.path()).unwrap();
        mint::issue(dir.path(), &["web.example.com".to_owned()], LeafOptions::default()).unwrap();
        fs::create_dir(dir.path().join("disco")).unwrap();
        for (name, lines) in [("web", "127.0.0.1 8091\n127.0.0.1 8092 * 3\n"), ("empty", ""), ("broken", "127.0.0.1\n")]
        {
            fs::write(dir.path().join("disco").join(name), lines).unwrap();
        }
        Self { router: router(config, dir.path()), dir }
    }

    pub(crate) fn explain(&self, url: &str, headers: &[&str]) -> Explanation {
        let headers: Vec<String> = headers.iter().map(|header| (*header).to_owned()).collect();
        let request = Asked { method: None, url, headers: &headers }.request().unwrap();
        explain(&self.router, &request)
    }

    /// As scripts see it, with the directory taken out.
    pub(crate) fn json(&self, url: &str, headers: &[&str]) -> Value {
        self.json_of(&self.explain(url, headers))
    }

    /// As people see it.
    pub(crate) fn full_text(&self, said: &Explanation) -> String {
        // Columns are as wide as what stands in them: the directory goes before they are drawn.
        let placeless: Explanation = serde_json::from_value(self.json_of(said)).unwrap();
        placeless.to_text(Color::Off)
    }

    /// The same without what no key of the configuration has set.
    pub(crate) fn text(&self, said: &Explanation) -> String {
        let text = self.full_text(said);
        text.lines().filter(|line| !line.ends_with(" default")).fold(String::new(), |text, line| text + line + "\n")
    }

    /// As scripts see it, without the policies.
    pub(crate) fn brief(&self, said: &Explanation) -> Value {
        let mut json = self.json_of(said);
        json["service"] = json!("...");
        for leaf in json["leaves"].as_array_mut().unwrap() {
            leaf["client"] = json!("...");
        }
        json
    }

    fn json_of(&self, said: &Explanation) -> Value {
        serde_json::from_str(&self.placeless(&serde_json::to_string(said).unwrap())).unwrap()
    }

    fn placeless(&self, text: &str) -> String {
        text.replace(&*self.dir.path().to_string_lossy(), "DIR")
    }
}

const NAMERS: &str = r#"
[[namers]]
kind = "fs"
root_dir = "disco"

[[namers]]
kind = "static"
prefix = "lab"
[namers.services]
users = ["127.0.0.1:8080", { addr = "127.0.0.1:8081", weight = 2.0 }]
beta = ["127.0.0.1:8082"]
nobody = []

"#;
