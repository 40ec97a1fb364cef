//! The JSON that scripts rely on, and that text is drawn from it.

use serde_json::json;
use waypost::explanation::{Color, Explanation, Outcome, delegator_json};
use waypost_naming::Dtab;

use crate::lab::{Lab, router};

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
      "identified_from": "default",
      "dtab": [
        {
          "prefix": "/svc",
          "tree": "/#/lab",
          "from": "waypost.toml:14:1",
          "state": "decides"
        },
        {
          "prefix": "/svc/half",
          "tree": "/#/lab/users & 3.00*/#/lab/beta",
          "from": "waypost.toml:15:1",
          "state": "no_match"
        },
        {
          "prefix": "/svc/thin",
          "tree": "/#/lab/users & /#/lab/missing & 2.00*$",
          "from": "waypost.toml:16:1",
          "state": "no_match"
        },
        {
          "prefix": "/svc/gone",
          "tree": "!",
          "from": "waypost.toml:17:1",
          "state": "no_match"
        },
        {
          "prefix": "/svc/void",
          "tree": "$",
          "from": "waypost.toml:18:1",
          "state": "no_match"
        },
        {
          "prefix": "/svc/round",
          "tree": "/svc/round",
          "from": "waypost.toml:19:1",
          "state": "no_match"
        },
        {
          "prefix": "/svc/spare",
          "tree": "/#/lab/nobody | /#/lab/beta",
          "from": "waypost.toml:20:1",
          "state": "no_match"
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
            "allow_common_name": false,
            "name_from": "waypost.toml:42:3"
          },
          "share": 1.0
        }
      },
      "fallback": {
        "value": "name",
        "from": "default"
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
            "write_timeout": {
              "value": "60s",
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
              "value": "none",
              "from": "default"
            },
            "strip_context": {
              "value": false,
              "from": "default"
            },
            "forward_client_cert": {
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
            "allow_common_name": false,
            "name_from": "waypost.toml:42:3"
          },
          "tls_from": "waypost.toml:38:25"
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
    let said = lab.explain("http://half/x", &["l5d-dtab: /#/lab/beta => /#/lab/users"]);
    insta::assert_snapshot!(lab.full_text(&said), @r##"
    GET /x   Host half   router outgoing

    1. identify  header.token (default) -> /svc/half
    2. dtab      a later rule is tried before an earlier one
          waypost.toml:14:1  not reached  /svc => /#/lab
          waypost.toml:15:1  decides      /svc/half => /#/lab/users & 3 * /#/lab/beta
          waypost.toml:16:1  no match     /svc/thin => /#/lab/users & /#/lab/missing & 2 * $
          waypost.toml:17:1  no match     /svc/gone => !
          waypost.toml:18:1  no match     /svc/void => $
          waypost.toml:19:1  no match     /svc/round => /svc/round
          waypost.toml:20:1  no match     /svc/spare => /#/lab/nobody | /#/lab/beta
          l5d-dtab           decides      /#/lab/beta => /#/lab/users
    3. delegate  * marks the way that requests take; the place is that of the rule that leads there
        * /svc/half                                the first of these that leads somewhere
        *   /svc/half           waypost.toml:15:1  each of these, by weight
        *     1 * /#/lab/users  waypost.toml:15:1  bound: 127.0.0.1:8080, 127.0.0.1:8081, 25 % of the requests
        *     3 * /#/lab/beta   waypost.toml:15:1
        *       /#/lab/users    l5d-dtab           bound: 127.0.0.1:8080, 127.0.0.1:8081, 75 % of the requests
            /#/lab/half         waypost.toml:14:1  not tried: the later rule at waypost.toml:15:1 goes first, and /#/lab/users answered; it would lead nowhere
          fallback is `name` (default): an alternative is tried where a name does not exist
    4. service   what holds for /svc/half
          total_timeout                  10s                     waypost.toml:31:1
          classifier                     http.non_retryable_5xx  default
          retries.budget.ratio           0.2                     default
          retries.budget.min_per_second  10.0                    default
          retries.budget.ttl             10s                     default
          retries.max_attempts           3                       default
          retries.backoff.min            10ms                    default
          retries.backoff.max            1s                      default
    5. client    /#/lab/users gets 100 % of the requests
          endpoint                127.0.0.1:8080, weight 1, alive
          endpoint                127.0.0.1:8081, weight 2, alive
          connect_timeout         250ms                            waypost.toml:34:1
          attempt_timeout         none                             default
          write_timeout           60s                              default
          protocol                auto                             default
          balancer.kind           ewma                             default
          accrual.kind            consecutive_failures             default
          accrual.failures        5                                default
          accrual.backoff.min     1s                               default
          accrual.backoff.max     30s                              default
          pool.max_connections    1024                             default
          pool.max_waiters        1024                             default
          pool.idle_timeout       60s                              default
          max_concurrent_streams  100                              default
          host                    none                             default
          strip_context           false                            default
          forward_client_cert     false                            default
          tls.kind                bound_path                       waypost.toml:38:25
          tls.name                users.example.com                waypost.toml:42:3
          tls.trust               DIR/ca.pem                       waypost.toml:38:25
          tls.crls                none                             waypost.toml:38:25
          tls.client_auth         none                             waypost.toml:38:25
          tls.allow_common_name   false                            waypost.toml:38:25
          tls.sni                 users.example.com                waypost.toml:38:25
          tls.protocols           1.3, 1.2                         waypost.toml:38:25
          tls.alpn                by protocol                      waypost.toml:38:25
          the endpoint must show a certificate for users.example.com, from DIR/ca.pem; we show it none (no client_auth)

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
            json!({ "prefix": "/svc/x", "tree": "/y", "from": "l5d-ctx-dtab", "state": "no_match" }),
            json!({ "prefix": "/svc/users", "tree": "/#/lab/beta", "from": "l5d-dtab", "state": "decides" }),
        ]
    );
    assert_eq!(rules[0]["from"], "waypost.toml:14:1");
    assert_eq!(shown["leaves"][0]["bound"], "/#/lab/beta");
    assert_eq!(shown["leaves"][0]["tls"]["name"], "beta.example.com");
    let notes = shown["notes"].to_string();
    assert!(notes.contains("0.0.0.0:4141") && !notes.contains("4140"), "only the open server ignores it: {notes}");
}

#[test]
fn an_override_that_can_not_be_read_is_told_as_the_client_is_with_its_place() {
    let shown = Lab::new().json("http://users/", &["l5d-dtab: /svc => /a | "]);
    assert_eq!(shown["identified"]["path"], "/svc/users");
    let message = "expected a path, a weight, `(`, `~`, `!` or `$`, found the end of the text";
    assert_eq!(shown["error"]["message"], format!("l5d-dtab does not parse at offset 12: {message}"));
    let at = json!({
        "source": "l5d-dtab", "text": "/svc => /a |", "line": 1, "column": 13, "start": 12, "end": 12, "message": message
    });
    assert_eq!(shown["error"]["at"], at);
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
    assert_eq!((&shown["leaves"][0]["share"], &shown["empty_share"]), (&json!(0.333_333), &json!(0.666_667)));
    let notes = shown["notes"].to_string();
    assert!(notes.contains("/#/lab/missing is left out of its union, and its weight goes to the others"), "{notes}");
}

#[test]
fn of_a_union_of_which_little_is_left_each_loss_and_what_remains_are_told() {
    let lab = Lab::of_rules(
        "/svc/web => 4 * /#/lab/gone & 3 * ! & 2 * /svc/round & 1 * /#/lab/beta ;\n/svc/round => /svc/round ;\n",
    );
    let said = lab.explain("http://web/", &[]);
    assert_eq!((said.outcome, said.leaves.len(), said.leaves[0].share), (Outcome::Bound, 1, 1.0));
    let text = lab.text(&said);
    for (branch, says) in [
        ("/svc/web  ", "renormalised: 3 of 4 left out, the other one gets all"),
        ("4 * /#/lab/gone ", "left out of the union: the static namer at /#/lab (waypost.toml:6:1) has no `gone`"),
        ("3 * ! ", "left out of the union: a `!` counts for nothing in a union"),
        ("2 * /svc/round ", "goes round: /svc/round -> /svc/round (waypost.toml:17:1)"),
        ("1 * /#/lab/beta ", "bound: 127.0.0.1:8082"),
    ] {
        let found = text.lines().any(|line| line.contains(branch) && line.contains(says));
        assert!(found, "{branch}: {says}\n{text}");
    }
    assert!(text.contains("/#/lab/beta gets 100 % of the requests"), "{text}");
    assert_eq!(said.notes.iter().filter(|note| note.contains("is left out of its union")).count(), 3, "{text}");
}

#[test]
fn a_fallback_that_an_empty_set_does_not_reach_is_pointed_out() {
    let shown = Lab::new().json("http://spare/", &[]);
    assert_eq!(shown["outcome"], "no_endpoints");
    assert!(shown["notes"].to_string().contains("/#/lab/beta and /#/lab/spare are not tried"), "{}", shown["notes"]);
}

#[test]
fn a_host_in_the_headers_names_the_service_and_the_url_only_the_way_there() {
    let shown = Lab::new().json("http://127.0.0.1:4140/x", &["Host: Users"]);
    assert_eq!(shown["request"], json!({ "method": "GET", "authority": "Users", "target": "/x" }));
    assert_eq!(shown["identified"], json!({ "by": "header.token", "path": "/svc/users" }));
}

#[test]
fn a_tree_as_deep_as_delegation_goes_is_cut_where_it_repeats_itself() {
    let explanation = Lab::new().explain("http://deep/", &["l5d-dtab: /svc/deep => /svc/deep/x"]);
    assert_eq!(explanation.outcome, Outcome::Error);
    let json = serde_json::to_string(&explanation.tree).unwrap();
    assert!(json.len() < 4_000 && json.contains(r#""cycle":["#), "{json}");
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
