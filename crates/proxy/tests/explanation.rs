//! What `waypost explain` and the delegator say: the JSON that scripts rely on, and the text that people read.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a broken assumption ends the test")]

use std::path::Path as FilePath;
use std::process::Command;

use serde_json::{Value, json};
use tempfile::TempDir;
use waypost::config::Config;
use waypost::explanation::{Asked, Color, Explanation, Outcome, delegator_json, explain, offline};
use waypost::plan::Router;
use waypost::tls::mint;
use waypost_naming::Dtab;

const CONFIG: &str = r#"
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
fn router(text: &str, dir: &FilePath) -> Router {
    let config = Config::parse("waypost.toml", text, dir).unwrap().config;
    offline(&config, &config.routers[0])
}

struct Lab {
    router: Router,
    dir: TempDir,
}

impl Lab {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        mint::init(dir.path()).unwrap();
        Self { router: router(CONFIG, dir.path()), dir }
    }

    fn explain(&self, url: &str, headers: &[&str]) -> Explanation {
        let headers: Vec<String> = headers.iter().map(|header| (*header).to_owned()).collect();
        let request = Asked { method: None, url, headers: &headers }.request().unwrap();
        explain(&self.router, &request)
    }

    /// As scripts see it, with the directory taken out.
    fn json(&self, url: &str, headers: &[&str]) -> Value {
        let text = serde_json::to_string(&self.explain(url, headers)).unwrap();
        serde_json::from_str(&text.replace(&*self.dir.path().to_string_lossy(), "DIR")).unwrap()
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "one long snapshot")]
fn a_bound_request_shows_every_step() {
    let shown = Lab::new().json("http://users/x?y=1", &[]);
    insta::assert_json_snapshot!(shown, @r##"
    {
      "router": "outgoing",
      "request": {
        "method": "GET",
        "authority": "users",
        "target": "/x?y=1"
      },
      "identified": {
        "by": "header.token",
        "path": "/svc/users"
      },
      "dtab": [
        {
          "prefix": "/svc",
          "tree": "/#/lab",
          "from": "waypost.toml:14:1"
        },
        {
          "prefix": "/svc/half",
          "tree": "/#/lab/users & 3.00*/#/lab/beta",
          "from": "waypost.toml:15:1"
        },
        {
          "prefix": "/svc/thin",
          "tree": "/#/lab/users & /#/lab/missing & 2.00*$",
          "from": "waypost.toml:16:1"
        },
        {
          "prefix": "/svc/gone",
          "tree": "!",
          "from": "waypost.toml:17:1"
        },
        {
          "prefix": "/svc/void",
          "tree": "$",
          "from": "waypost.toml:18:1"
        },
        {
          "prefix": "/svc/round",
          "tree": "/svc/round",
          "from": "waypost.toml:19:1"
        },
        {
          "prefix": "/svc/spare",
          "tree": "/#/lab/nobody | /#/lab/beta",
          "from": "waypost.toml:20:1"
        }
      ],
      "tree": {
        "type": "delegate",
        "path": "/svc/users",
        "delegate": {
          "type": "leaf",
          "path": "/#/lab/users",
          "dentry": {
            "prefix": "/svc",
            "dst": "/#/lab",
            "from": "waypost.toml:14:1"
          },
          "bound": {
            "addr": {
              "type": "bound",
              "addrs": [
                {
                  "ip": "127.0.0.1",
                  "port": 8080,
                  "meta": {}
                },
                {
                  "ip": "127.0.0.1",
                  "port": 8081,
                  "meta": {
                    "endpoint_addr_weight": 2.0
                  }
                }
              ],
              "meta": {}
            },
            "id": "/#/lab/users",
            "path": "/"
          },
          "tls": {
            "kind": "bound_path",
            "name": "users.example.com",
            "sni": "users.example.com",
            "trust": [
              "DIR/ca.pem"
            ],
            "from": "waypost.toml:38:25",
            "crls": [],
            "client_auth": null,
            "protocols": [
              "1.3",
              "1.2"
            ],
            "alpn": null,
            "allow_common_name": false
          },
          "share": 1.0
        }
      },
      "outcome": "bound",
      "leaves": [
        {
          "bound": "/#/lab/users",
          "residual": "/",
          "share": 1.0,
          "endpoints": [
            {
              "addr": "127.0.0.1:8080",
              "weight": 1.0,
              "state": "alive"
            },
            {
              "addr": "127.0.0.1:8081",
              "weight": 2.0,
              "state": "alive"
            }
          ],
          "client": {
            "connect_timeout": {
              "value": "250ms",
              "from": "waypost.toml:34:1"
            },
            "attempt_timeout": {
              "value": "none",
              "from": "default"
            },
            "protocol": {
              "value": "auto",
              "from": "default"
            },
            "balancer": {
              "value": {
                "kind": "ewma"
              },
              "from": "default"
            },
            "accrual": {
              "value": {
                "kind": "consecutive_failures",
                "failures": 5,
                "backoff": {
                  "min": "1s",
                  "max": "30s"
                }
              },
              "from": "default"
            },
            "pool": {
              "value": {
                "max_connections": 1024,
                "max_waiters": 1024,
                "idle_timeout": "60s"
              },
              "from": "default"
            },
            "max_concurrent_streams": {
              "value": 100,
              "from": "default"
            },
            "host": {
              "value": null,
              "from": "default"
            },
            "strip_context": {
              "value": false,
              "from": "default"
            }
          },
          "tls": {
            "kind": "bound_path",
            "name": "users.example.com",
            "sni": "users.example.com",
            "trust": [
              "DIR/ca.pem"
            ],
            "from": "waypost.toml:38:25",
            "crls": [],
            "client_auth": null,
            "protocols": [
              "1.3",
              "1.2"
            ],
            "alpn": null,
            "allow_common_name": false
          }
        }
      ],
      "service": {
        "total_timeout": {
          "value": "10s",
          "from": "waypost.toml:31:1"
        },
        "classifier": {
          "value": "http.non_retryable_5xx",
          "from": "default"
        },
        "retries": {
          "value": {
            "budget": {
              "ratio": 0.2,
              "min_per_second": 10.0,
              "ttl": "10s"
            },
            "max_attempts": 3,
            "backoff": {
              "min": "10ms",
              "max": "1s"
            }
          },
          "from": "default"
        }
      },
      "error": null,
      "empty_share": 0.0,
      "notes": []
    }
    "##);
}

#[test]
fn text_is_drawn_step_by_step() {
    let lab = Lab::new();
    let text = lab.explain("http://half/x", &["l5d-dtab: /#/lab/beta => /#/lab/users"]).to_text(Color::Off);
    let text = text.replace(&*lab.dir.path().to_string_lossy(), "DIR");
    insta::assert_snapshot!(text, @r##"
    GET /x   Host half   router outgoing

    1. identify  header.token -> /svc/half
    2. dtab      of several rules that match, the last one is tried first
          /svc => /#/lab                                       waypost.toml:14:1
          /svc/half => /#/lab/users & 3.00*/#/lab/beta         waypost.toml:15:1
          /svc/thin => /#/lab/users & /#/lab/missing & 2.00*$  waypost.toml:16:1
          /svc/gone => !                                       waypost.toml:17:1
          /svc/void => $                                       waypost.toml:18:1
          /svc/round => /svc/round                             waypost.toml:19:1
          /svc/spare => /#/lab/nobody | /#/lab/beta            waypost.toml:20:1
          /#/lab/beta => /#/lab/users                          l5d-dtab
    3. delegate  the way that requests take is marked with *
        * /svc/half             the first of
        *   /svc/half           each of, by weight                                           by /svc/half => /#/lab/users & 3.00*/#/lab/beta  waypost.toml:15:1
        *     1 * /#/lab/users  bound: 127.0.0.1:8080, 127.0.0.1:8081, 25 % of the requests
        *     3 * /#/lab/beta
        *       /#/lab/users    bound: 127.0.0.1:8080, 127.0.0.1:8081, 75 % of the requests  by /#/lab/beta => /#/lab/users  l5d-dtab
            /#/lab/half         no such name                                                 by /svc => /#/lab  waypost.toml:14:1
    4. service   what holds for /svc/half
          total_timeout  10s                     waypost.toml:31:1
          classifier     http.non_retryable_5xx  default
          retries        { budget = { ratio = 0.2, min_per_second = 10.0, ttl = "10s" }, max_attempts = 3, backoff = { min = "10ms", max = "1s" } }  default
    5. client    /#/lab/users gets 100 % of the requests
          endpoint                127.0.0.1:8080, weight 1, alive
          endpoint                127.0.0.1:8081, weight 2, alive
          connect_timeout         250ms                            waypost.toml:34:1
          attempt_timeout         none                             default
          protocol                auto                             default
          balancer                { kind = "ewma" }                default
          accrual                 { kind = "consecutive_failures", failures = 5, backoff = { min = "1s", max = "30s" } }  default
          pool                    { max_connections = 1024, max_waiters = 1024, idle_timeout = "60s" }  default
          max_concurrent_streams  100                              default
          host                    none                             default
          strip_context           false                            default
          tls: bound_path: the endpoint must show a certificate for users.example.com, from DIR/ca.pem, SNI users.example.com  waypost.toml:38:25

    note: the server on 0.0.0.0:4141 follows nobody's l5d-dtab (overrides)
    bound: sent to /#/lab/users
    "##);
}

#[test]
fn text_of_json_is_the_same_text() {
    let explanation = Lab::new().explain("http://thin/x", &[]);
    let parsed: Explanation = serde_json::from_str(&serde_json::to_string(&explanation).unwrap()).unwrap();
    assert_eq!(parsed.to_text(Color::On), explanation.to_text(Color::On));
}

#[test]
fn colour_comes_only_when_asked_for() {
    let explanation = Lab::new().explain("http://half/x", &[]);
    assert!(!explanation.to_text(Color::Off).contains('\x1b'));
    assert!(explanation.to_text(Color::On).contains('\x1b'));
}

#[test]
fn each_outcome_has_its_word_and_its_error() {
    let lab = Lab::new();
    for (url, headers, outcome, status, word) in [
        ("http://missing/", vec![], "negative", 502, "negative"),
        ("http://gone/", vec![], "failed", 502, "failed"),
        ("http://void/", vec![], "empty", 502, "empty"),
        ("http://round/", vec![], "error", 502, "delegation_depth"),
        ("http://nobody/", vec![], "no_endpoints", 502, "no_endpoints"),
        ("http://stranger/", vec![], "tls_refused", 502, "tls_strict"),
        ("http://users/", vec!["l5d-dtab: /svc/users"], "error", 400, "bad_dtab"),
        ("http://users/", vec!["l5d-ctx-dtab: /svc=>/a;;/b=/c"], "error", 400, "bad_dtab"),
        ("/", vec!["Host:"], "unidentified", 400, "unidentified"),
        ("/", vec!["Host: a", "Host: b"], "error", 400, "bad_request"),
        ("http://users/", vec!["l5d-dtab: /svc => /$/inet/127.0.0.1/http"], "error", 502, "namer_error"),
    ] {
        let shown = lab.json(url, &headers);
        assert_eq!(shown["outcome"], outcome, "{url} {headers:?}: {shown:#}");
        assert_eq!(shown["error"]["status"], status, "{url} {headers:?}");
        assert_eq!(shown["error"]["word"], word, "{url} {headers:?}");
        assert!(!shown["error"]["message"].as_str().unwrap().is_empty(), "{url} {headers:?}");
    }
}

#[test]
fn an_override_is_followed_and_says_where_it_came_from() {
    let lab = Lab::new();
    let shown = lab.json("http://users/", &["l5d-dtab: /svc/users => /#/lab/beta", "l5d-ctx-dtab: /svc/x => /y"]);

    let rules = shown["dtab"].as_array().unwrap();
    let last_two = &rules[rules.len() - 2..];
    assert_eq!(
        last_two,
        [
            json!({ "prefix": "/svc/x", "tree": "/y", "from": "l5d-ctx-dtab" }),
            json!({ "prefix": "/svc/users", "tree": "/#/lab/beta", "from": "l5d-dtab" }),
        ]
    );
    assert_eq!(rules[0]["from"], "waypost.toml:14:1");
    assert_eq!(shown["leaves"][0]["bound"], "/#/lab/beta");
    assert_eq!(shown["leaves"][0]["tls"]["name"], "beta.example.com");
    let notes = shown["notes"].to_string();
    assert!(notes.contains("0.0.0.0:4141") && !notes.contains("4140"), "only the open server ignores it: {notes}");
}

#[test]
fn an_override_that_can_not_be_read_is_shown_with_its_place() {
    let shown = Lab::new().json("http://users/", &["l5d-dtab: /svc => /a | "]);
    let message = shown["error"]["message"].as_str().unwrap();
    assert!(message.starts_with("l5d-dtab: ") && message.contains("byte"), "{message}");
}

#[test]
fn a_union_shares_by_weight() {
    let shown = Lab::new().json("http://half/", &[]);
    let shares: Vec<_> =
        shown["leaves"].as_array().unwrap().iter().map(|leaf| (&leaf["bound"], &leaf["share"])).collect();
    assert_eq!(shares, [(&json!("/#/lab/users"), &json!(0.25)), (&json!("/#/lab/beta"), &json!(0.75))]);
    assert_eq!(shown["empty_share"], 0.0);
}

#[test]
fn a_union_says_what_it_loses() {
    let shown = Lab::new().json("http://thin/", &[]);
    assert_eq!(shown["outcome"], "bound");
    let close = |value: &Value, wanted: f64| (value.as_f64().unwrap() - wanted).abs() < 1e-9;
    assert!(close(&shown["leaves"][0]["share"], 1.0 / 3.0), "{shown:#}");
    assert!(close(&shown["empty_share"], 2.0 / 3.0), "{shown:#}");
    assert_eq!(
        shown["notes"],
        json!(["/#/lab/missing of the union leads nowhere: its weight goes to the other members"])
    );
}

#[test]
fn a_fallback_that_an_empty_set_does_not_reach_is_pointed_out() {
    let shown = Lab::new().json("http://spare/", &[]);
    assert_eq!(shown["outcome"], "no_endpoints");
    assert!(shown["notes"].to_string().contains("/#/lab/beta is not tried"), "{}", shown["notes"]);
}

#[test]
fn a_host_in_the_headers_names_the_service_and_the_url_only_the_way_there() {
    let shown = Lab::new().json("http://127.0.0.1:4140/x", &["Host: Users"]);
    assert_eq!(shown["request"], json!({ "method": "GET", "authority": "Users", "target": "/x" }));
    assert_eq!(shown["identified"], json!({ "by": "header.token", "path": "/svc/users" }));
}

#[test]
fn a_tree_as_deep_as_delegation_goes_is_shown() {
    let lab = Lab::new();
    let explanation = lab.explain("http://deep/", &["l5d-dtab: /svc/deep => /svc/deep/x"]);
    assert_eq!(explanation.outcome, Outcome::Error);
    let text = explanation.to_text(Color::Off);
    assert!(text.lines().count() < 150, "{} lines", text.lines().count());
    assert!(text.contains("more, deeper or further down"), "{text}");
}

#[test]
fn the_delegator_has_linkerds_shape() {
    let dir = tempfile::tempdir().unwrap();
    let router = router("[[routers]]\n[[routers.servers]]\nport = 0\n", dir.path());
    let dtab: Dtab = "/svc=>/$/inet/127.0.0.1".parse().unwrap();

    let tree = delegator_json(&router, &dtab, &"/svc/80".parse().unwrap());

    let linkerds = json!({
        "type": "delegate",
        "path": "/svc/80",
        "delegate": {
            "type": "leaf",
            "path": "/$/inet/127.0.0.1/80",
            "dentry": { "prefix": "/svc", "dst": "/$/inet/127.0.0.1" },
            "bound": {
                "addr": {
                    "type": "bound",
                    "addrs": [{ "ip": "127.0.0.1", "port": 80, "meta": {} }],
                    "meta": {}
                },
                "id": "/$/inet/127.0.0.1/80",
                "path": "/"
            },
            "tls": null
        }
    });
    assert_eq!(tree, linkerds);
    assert_eq!(tree.to_string(), linkerds.to_string(), "in this order");
}

#[test]
fn the_delegator_shows_every_branch_and_the_certificate_of_each_leaf() {
    let lab = Lab::new();
    let dtab: Dtab = "/svc => ~ | 0.5 * /#/lab/users & 0.5 * ! ; /svc/x => /#/lab".parse().unwrap();

    let tree = delegator_json(&lab.router, &dtab, &"/svc/x".parse().unwrap());

    assert_eq!(tree["type"], "alt", "{tree:#}");
    assert_eq!(tree["alt"][0]["type"], "neg");
    assert_eq!(tree["alt"][0]["dentry"], json!({ "prefix": "/svc/x", "dst": "/#/lab" }));
    let text = tree.to_string();
    assert!(text.contains(r#""path":"~""#) && text.contains(r#""path":"!""#), "{tree:#}");
    assert!(text.contains(r#""weight":0.5"#) && text.contains(r#""name":"users.example.com""#), "{tree:#}");
    assert!(!text.contains("from\":\"default"), "places of rules are no part of linkerd's shape: {tree:#}");
}

/// Runs the binary: exit code, stdout, stderr.
fn waypost(arguments: &[&str]) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_waypost")).args(arguments).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

#[test]
fn explain_exits_by_what_the_request_comes_to() {
    let lab = Lab::new();
    let file = lab.dir.path().join("waypost.toml");
    std::fs::write(&file, CONFIG).unwrap();
    let file = file.to_str().unwrap();
    for (arguments, wanted) in [
        (vec![file, "http://users/"], 0),
        (vec![file, "POST", "http://users/"], 0),
        (vec![file, "/x", "-H", "Host: users", "--router", "outgoing"], 0),
        (vec![file, "http://missing/"], 1),
        (vec![file, "http://users/", "-H", "l5d-dtab: nonsense"], 1),
        (vec![file, "http://users/", "--router", "other"], 2),
        (vec![file, "not a url"], 2),
        (vec![file, "http://users/", "-H", "no colon"], 2),
        (vec!["/nowhere/waypost.toml", "http://users/"], 2),
        (vec![file], 2),
        (vec![], 2),
    ] {
        let all: Vec<&str> = ["explain"].into_iter().chain(arguments.iter().copied()).collect();
        let (code, out, errors) = waypost(&all);
        assert_eq!(code, wanted, "{arguments:?}\n{out}\n{errors}");
        assert_eq!(out.is_empty(), wanted == 2, "results go to stdout: {arguments:?}\n{out}");
        assert_eq!(errors.is_empty(), wanted != 2, "errors go to stderr: {arguments:?}\n{errors}");
    }
    let (_, json, _) = waypost(&["explain", file, "http://users/x?y=1", "--json"]);
    let parsed: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(parsed["dtab"][0]["from"], format!("{file}:14:1"));
}

#[test]
fn delegate_exits_by_what_the_path_is_bound_to() {
    let names = ["--name", "/#/fs/users=127.0.0.1:1,[::1]:2", "--name", "/#/fs/empty="];
    for (dtab, path, wanted, shown) in [
        ("/svc => /#/fs", "/svc/users/x", 0, "bound: /#/fs/users"),
        ("/svc => /#/fs", "/svc/empty", 0, "bound: no endpoints"),
        ("/svc => /$/inet/127.0.0.1", "/svc/80", 0, "bound: 127.0.0.1:80"),
        ("/svc => /#/fs", "/svc/other", 1, "negative: /svc/other leads nowhere"),
        ("/svc => !", "/svc/users", 1, "failed: a rule says `!`"),
        ("/svc => $", "/svc/users", 1, "empty: a rule says `$`"),
        ("/svc => /svc", "/svc/users", 1, "error: /svc/users is more than 100 steps away"),
    ] {
        let all: Vec<&str> = ["delegate", "--dtab", dtab].into_iter().chain(names).chain([path]).collect();
        let (code, out, errors) = waypost(&all);
        assert_eq!(code, wanted, "{dtab} {path}\n{out}\n{errors}");
        assert!(out.contains(shown), "{dtab} {path}\n{out}");
    }
}

#[test]
fn delegate_shows_where_a_text_is_wrong() {
    for (arguments, place) in
        [(["--dtab", "/svc => /a ; /svc /b", "/svc"], "--dtab:1:19"), (["--dtab", "/svc => /a", "svc"], "PATH:1:1")]
    {
        let all: Vec<&str> = ["delegate"].into_iter().chain(arguments).collect();
        let (code, out, errors) = waypost(&all);
        assert_eq!((code, out.as_str()), (2, ""), "{errors}");
        assert!(errors.contains(place) && errors.contains('^'), "{errors}");
    }
    let (code, _, errors) = waypost(&["delegate", "--dtab", "/a => /b", "--name", "/b=127.0.0.1", "/a"]);
    assert_eq!(code, 2);
    assert!(errors.contains("--name:1:4") && errors.contains("no address with a port"), "{errors}");
}

#[test]
fn delegate_prints_linkerds_shape() {
    let name = "/#/fs/users=127.0.0.1:8080";
    let (code, out, _) = waypost(&["delegate", "--json", "--dtab", "/svc=>/#/fs", "--name", name, "/svc/users"]);
    assert_eq!(code, 0);
    let tree: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(tree["delegate"]["bound"]["addr"]["addrs"], json!([{ "ip": "127.0.0.1", "port": 8080, "meta": {} }]));
    assert_eq!(tree["delegate"]["dentry"], json!({ "prefix": "/svc", "dst": "/#/fs" }));
}
