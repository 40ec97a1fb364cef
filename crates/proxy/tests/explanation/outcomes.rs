//! Requests that are refused: why, and what would mend it.
#![expect(clippy::too_many_lines, reason = "snapshots are long")]

use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use waypost::plan::Router;
use waypost_naming::Path;
use waypost_routing::{DtabCell, Generation, HealthRegistry, NamerConfig, NamerKind, NamerSet};

use crate::lab::Lab;

#[test]
fn a_request_that_nothing_names_shows_what_was_looked_for() {
    let lab = Lab::of(
        r#"
[[routers]]
identifier = [{ kind = "header" }, { kind = "path", segments = 2 }]
dtab = "/svc => /$/inet/127.0.0.1/8080"
[[routers.servers]]
port = 4140
"#,
    );
    let said = lab.explain("http://users/x", &[]);
    insta::assert_snapshot!(lab.text(&said), @r##"
    GET /x   Host users   router http

    1. identify  no identifier names this request
          not header (waypost.toml:3:15): no `l5d-name` header
          not path (waypost.toml:3:36): less than 2 segments in the path
    2. dtab      a later rule is tried before an earlier one
          waypost.toml:4:9  /svc => /$/inet/127.0.0.1/8080

    unidentified: no identifier names this request: header: no `l5d-name` header; path: less than 2 segments in the path (the client gets 400, unidentified)
    "##);
    insta::assert_json_snapshot!(lab.brief(&said), @r##"
    {
      "router": "http",
      "request": {
        "method": "GET",
        "authority": "users",
        "target": "/x"
      },
      "identified": null,
      "identified_from": "",
      "passed_over": [
        {
          "by": "header",
          "from": "waypost.toml:3:15",
          "why": "no `l5d-name` header"
        },
        {
          "by": "path",
          "from": "waypost.toml:3:36",
          "why": "less than 2 segments in the path"
        }
      ],
      "dtab": [
        {
          "prefix": "/svc",
          "tree": "/$/inet/127.0.0.1/8080",
          "from": "waypost.toml:4:9"
        }
      ],
      "tree": null,
      "fallback": {
        "value": "name",
        "from": "default"
      },
      "outcome": "unidentified",
      "leaves": [],
      "service": "...",
      "error": {
        "status": 400,
        "message": "no identifier names this request: header: no `l5d-name` header; path: less than 2 segments in the path",
        "word": "unidentified"
      },
      "empty_share": 0.0,
      "notes": []
    }
    "##);
}

#[test]
fn the_identifiers_before_the_one_that_names_a_request_are_shown() {
    let lab = Lab::of(
        r#"
[[routers]]
identifier = [{ kind = "header" }, { kind = "path", segments = 1, consume = true }, "header.token"]
dtab = "/svc => /$/inet/127.0.0.1/8080"
[[routers.servers]]
port = 4140
"#,
    );
    let text = lab.text(&lab.explain("http://users/x/y?z=1", &[]));
    let step = "1. identify  path (waypost.toml:3:36) -> /svc/x\n      sent on as /y?z=1\n      not header (waypost.toml:3:15): no `l5d-name` header\n2. dtab";
    assert!(text.contains(step), "{text}");
    let text = lab.text(&lab.explain("http://users/", &["l5d-name: /a//b"]));
    assert!(text.contains("1. identify  no identifier names this request\n2. dtab"), "{text}");
}

#[test]
fn a_request_that_is_no_request_is_refused_before_it_has_a_name() {
    let lab = Lab::of_rules("/svc => /#/fs ;\n");
    let said = lab.explain("/x", &["Host: a", "Host: b"]);
    insta::assert_snapshot!(lab.text(&said), @r#"
    GET /x   Host a   router http

    1. check     the request is refused before it gets a name

    error: there is more than one Host (the client gets 400, bad_request)
    "#);
}

#[test]
fn a_name_without_endpoints_says_that_and_why_no_fallback_is_tried() {
    let lab = Lab::of_rules("/svc => /#/fs ;\n/svc/web => /#/lab/nobody | /#/lab/beta ;\n");
    let said = lab.explain("http://web/x", &[]);
    insta::assert_snapshot!(lab.text(&said), @r##"
    GET /x   Host web   router http

    1. identify  header.token (default) -> /svc/web
    2. dtab      a later rule is tried before an earlier one
          waypost.toml:16:1  not reached  /svc => /#/fs
          waypost.toml:17:1  decides      /svc/web => /#/lab/nobody | /#/lab/beta
    3. delegate  * marks the way that requests take; the place is that of the rule that leads there
        * /svc/web                            the first of these that leads somewhere
        *   /#/lab/nobody  waypost.toml:17:1  bound: no endpoints
            /#/lab/beta    waypost.toml:17:1  not tried: /#/lab/nobody exists, with no endpoints; a fallback is only for names that do not exist; it would be bound: 127.0.0.1:8082
            /#/fs/web      waypost.toml:16:1  not tried: the later rule at waypost.toml:17:1 goes first, and /#/lab/nobody exists, with no endpoints; a fallback is only for names that do not exist; it would be bound: 127.0.0.1:8091, 127.0.0.1:8092
          fallback is `name` (default): an alternative is tried where a name does not exist
    4. service   what holds for /svc/web
    5. client    /#/lab/nobody gets 100 % of the requests
          endpoint                none
          clear text: nobody is asked who he is

    note: /#/lab/beta and /#/fs/web are not tried: /#/lab/nobody exists, with no endpoints; a fallback is only for names that do not exist; to fall back, take away the name itself and not only its endpoints, or set `fallback = "endpoints"`
    no_endpoints: /svc/web: bound to /#/lab/nobody, which has no endpoints (the client gets 502, no_endpoints)
    "##);
    insta::assert_json_snapshot!(lab.brief(&said), @r##"
    {
      "router": "http",
      "request": {
        "method": "GET",
        "authority": "web",
        "target": "/x"
      },
      "identified": {
        "by": "header.token",
        "path": "/svc/web"
      },
      "identified_from": "default",
      "dtab": [
        {
          "prefix": "/svc",
          "tree": "/#/fs",
          "from": "waypost.toml:16:1",
          "state": "not_reached"
        },
        {
          "prefix": "/svc/web",
          "tree": "/#/lab/nobody | /#/lab/beta",
          "from": "waypost.toml:17:1",
          "state": "decides"
        }
      ],
      "tree": {
        "type": "alt",
        "path": "/svc/web",
        "alt": [
          {
            "type": "leaf",
            "path": "/#/lab/nobody",
            "dentry": {
              "prefix": "/svc/web",
              "dst": "/#/lab/nobody | /#/lab/beta",
              "from": "waypost.toml:17:1"
            },
            "bound": {
              "addr": {
                "type": "bound",
                "addrs": [],
                "meta": {}
              },
              "id": "/#/lab/nobody",
              "path": "/"
            },
            "tls": null,
            "share": 1.0
          },
          {
            "type": "leaf",
            "path": "/#/lab/beta",
            "dentry": {
              "prefix": "/svc/web",
              "dst": "/#/lab/nobody | /#/lab/beta",
              "from": "waypost.toml:17:1"
            },
            "bound": {
              "addr": {
                "type": "bound",
                "addrs": [
                  {
                    "ip": "127.0.0.1",
                    "port": 8082,
                    "meta": {}
                  }
                ],
                "meta": {}
              },
              "id": "/#/lab/beta",
              "path": "/"
            },
            "tls": null,
            "lost": "not_reached",
            "why": "/#/lab/nobody exists, with no endpoints; a fallback is only for names that do not exist"
          },
          {
            "type": "leaf",
            "path": "/#/fs/web",
            "dentry": {
              "prefix": "/svc",
              "dst": "/#/fs",
              "from": "waypost.toml:16:1"
            },
            "bound": {
              "addr": {
                "type": "bound",
                "addrs": [
                  {
                    "ip": "127.0.0.1",
                    "port": 8091,
                    "meta": {}
                  },
                  {
                    "ip": "127.0.0.1",
                    "port": 8092,
                    "meta": {
                      "endpoint_addr_weight": 3.0
                    }
                  }
                ],
                "meta": {}
              },
              "id": "/#/fs/web",
              "path": "/"
            },
            "tls": null,
            "lost": "not_reached",
            "why": "the later rule at waypost.toml:17:1 goes first, and /#/lab/nobody exists, with no endpoints; a fallback is only for names that do not exist"
          }
        ]
      },
      "fallback": {
        "value": "name",
        "from": "default"
      },
      "outcome": "no_endpoints",
      "leaves": [
        {
          "bound": "/#/lab/nobody",
          "residual": "/",
          "share": 1.0,
          "endpoints": [],
          "client": "...",
          "tls": null,
          "tls_from": "default",
          "error": "/svc/web: bound to /#/lab/nobody, which has no endpoints"
        }
      ],
      "service": "...",
      "error": {
        "status": 502,
        "message": "/svc/web: bound to /#/lab/nobody, which has no endpoints",
        "word": "no_endpoints"
      },
      "empty_share": 0.0,
      "notes": [
        "/#/lab/beta and /#/fs/web are not tried: /#/lab/nobody exists, with no endpoints; a fallback is only for names that do not exist; to fall back, take away the name itself and not only its endpoints, or set `fallback = \"endpoints\"`"
      ]
    }
    "##);
}

#[test]
fn a_name_whose_file_can_not_be_read_shows_what_is_wrong_with_it() {
    let lab = Lab::of_rules("/svc/web => /#/fs/broken | /#/lab/beta ;\n");
    let said = lab.explain("http://web/x", &[]);
    insta::assert_snapshot!(lab.text(&said), @r##"
    GET /x   Host web   router http

    1. identify  header.token (default) -> /svc/web
    2. dtab      a later rule is tried before an earlier one
          waypost.toml:16:1  decides  /svc/web => /#/fs/broken | /#/lab/beta
    3. delegate  * marks the way that requests take; the place is that of the rule that leads there
        * /svc/web                           the first of these that leads somewhere
        *   /#/fs/broken  waypost.toml:16:1  bound: discovery failed: DIR/disco/broken:1:10: there is no port
            /#/lab/beta   waypost.toml:16:1  not tried: /#/fs/broken exists, but discovery failed (DIR/disco/broken:1:10: there is no port); a fallback is only for names that do not exist; it would be bound: 127.0.0.1:8082
          fallback is `name` (default): an alternative is tried where a name does not exist
    4. service   what holds for /svc/web
    5. client    /#/fs/broken gets 100 % of the requests
          endpoint                none
          clear text: nobody is asked who he is

    note: /#/lab/beta is not tried: /#/fs/broken exists, but discovery failed (DIR/disco/broken:1:10: there is no port); a fallback is only for names that do not exist; to fall back, take away the name itself and not only its endpoints, or set `fallback = "endpoints"`
    no_endpoints: /svc/web: bound to /#/fs/broken, which has no endpoints: there is no port (the client gets 502, no_endpoints)
    "##);
    insta::assert_json_snapshot!(lab.brief(&said), @r##"
    {
      "router": "http",
      "request": {
        "method": "GET",
        "authority": "web",
        "target": "/x"
      },
      "identified": {
        "by": "header.token",
        "path": "/svc/web"
      },
      "identified_from": "default",
      "dtab": [
        {
          "prefix": "/svc/web",
          "tree": "/#/fs/broken | /#/lab/beta",
          "from": "waypost.toml:16:1",
          "state": "decides"
        }
      ],
      "tree": {
        "type": "alt",
        "path": "/svc/web",
        "alt": [
          {
            "type": "leaf",
            "path": "/#/fs/broken",
            "dentry": {
              "prefix": "/svc/web",
              "dst": "/#/fs/broken | /#/lab/beta",
              "from": "waypost.toml:16:1"
            },
            "bound": {
              "addr": {
                "type": "failed",
                "cause": "DIR/disco/broken:1:10: there is no port"
              },
              "id": "/#/fs/broken",
              "path": "/"
            },
            "tls": null,
            "share": 1.0
          },
          {
            "type": "leaf",
            "path": "/#/lab/beta",
            "dentry": {
              "prefix": "/svc/web",
              "dst": "/#/fs/broken | /#/lab/beta",
              "from": "waypost.toml:16:1"
            },
            "bound": {
              "addr": {
                "type": "bound",
                "addrs": [
                  {
                    "ip": "127.0.0.1",
                    "port": 8082,
                    "meta": {}
                  }
                ],
                "meta": {}
              },
              "id": "/#/lab/beta",
              "path": "/"
            },
            "tls": null,
            "lost": "not_reached",
            "why": "/#/fs/broken exists, but discovery failed (DIR/disco/broken:1:10: there is no port); a fallback is only for names that do not exist"
          }
        ]
      },
      "fallback": {
        "value": "name",
        "from": "default"
      },
      "outcome": "no_endpoints",
      "leaves": [
        {
          "bound": "/#/fs/broken",
          "residual": "/",
          "share": 1.0,
          "endpoints": [],
          "client": "...",
          "tls": null,
          "tls_from": "default",
          "error": "/svc/web: bound to /#/fs/broken, which has no endpoints: there is no port"
        }
      ],
      "service": "...",
      "error": {
        "status": 502,
        "message": "/svc/web: bound to /#/fs/broken, which has no endpoints: there is no port",
        "word": "no_endpoints"
      },
      "empty_share": 0.0,
      "notes": [
        "/#/lab/beta is not tried: /#/fs/broken exists, but discovery failed (DIR/disco/broken:1:10: there is no port); a fallback is only for names that do not exist; to fall back, take away the name itself and not only its endpoints, or set `fallback = \"endpoints\"`"
      ]
    }
    "##);
}

/// A namer whose task does not run has not answered.
#[test]
fn a_directory_that_can_not_be_read_is_shown_and_callers_hear_of_no_path() {
    let lab = Lab::of_rules("/svc/web => /#/fs/web | /#/lab/beta ;\n");
    // A file where there was a directory.
    let root_dir = lab.dir.path().join("disco").join("web");
    let configs =
        [NamerConfig { prefix: "/fs".parse().unwrap(), kind: NamerKind::Fs { root_dir }, transformers: Vec::new() }];
    let (namers, _) = NamerSet::read(&configs);
    let lab = Lab { router: Router { namers: Arc::new(namers), ..lab.router }, ..lab };
    let said = lab.explain("http://web/x", &[]);
    let text = lab.text(&said);
    let told = &said.error.as_ref().unwrap().message;
    assert!(told.contains("the directory of names can't be read"), "{told}");
    assert!(!told.contains("disco"), "{told}");
    assert!(text.contains("; the fs namer at /#/fs (waypost.toml:2:1) looks in DIR/disco"), "{text}");
}

#[test]
fn what_discovery_has_not_answered_for_is_waited_for() {
    let lab = Lab::of_rules("/svc/web => /#/fs/web | /#/lab/beta ;\n");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let _entered = runtime.enter();
    let prefix: Path = "/fs".parse().unwrap();
    let configs = [NamerConfig {
        prefix,
        kind: NamerKind::Fs { root_dir: lab.dir.path().join("disco") },
        transformers: Vec::new(),
    }];
    let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
    let namers = NamerSet::live(&configs, Arc::new(Generation::new()), &tasks, stop);
    let router = Router {
        config: lab.router.config.clone(),
        dtab: Arc::new(DtabCell::new(lab.router.config.dtab.clone())),
        namers: Arc::new(namers),
        health: Arc::new(HealthRegistry::new()),
    };
    let lab = Lab { router, ..lab };
    let said = lab.explain("http://web/x", &[]);
    insta::assert_snapshot!(lab.text(&said), @r##"
    GET /x   Host web   router http

    1. identify  header.token (default) -> /svc/web
    2. dtab      a later rule is tried before an earlier one
          waypost.toml:16:1  decides  /svc/web => /#/fs/web | /#/lab/beta
    3. delegate  * marks the way that requests take; the place is that of the rule that leads there
        * /svc/web                          the first of these that leads somewhere
        *   /#/fs/web    waypost.toml:16:1  waits: discovery has not answered yet
            /#/lab/beta  waypost.toml:16:1  not tried: a fallback waits until discovery has answered for /#/fs/web; it would lead nowhere
          fallback is `name` (default): an alternative is tried where a name does not exist
    4. service   what holds for /svc/web

    note: a request waits for discovery, 10s at most (binding_timeout)
    pending: /svc/web leads to names that discovery has not answered for yet (the client gets 503, binding_timeout)
    "##);
    insta::assert_json_snapshot!(lab.brief(&said), @r##"
    {
      "router": "http",
      "request": {
        "method": "GET",
        "authority": "web",
        "target": "/x"
      },
      "identified": {
        "by": "header.token",
        "path": "/svc/web"
      },
      "identified_from": "default",
      "dtab": [
        {
          "prefix": "/svc/web",
          "tree": "/#/fs/web | /#/lab/beta",
          "from": "waypost.toml:16:1",
          "state": "decides"
        }
      ],
      "tree": {
        "type": "alt",
        "path": "/svc/web",
        "alt": [
          {
            "type": "pending",
            "path": "/#/fs/web",
            "dentry": {
              "prefix": "/svc/web",
              "dst": "/#/fs/web | /#/lab/beta",
              "from": "waypost.toml:16:1"
            },
            "share": 1.0
          },
          {
            "type": "neg",
            "path": "/#/lab/beta",
            "dentry": {
              "prefix": "/svc/web",
              "dst": "/#/fs/web | /#/lab/beta",
              "from": "waypost.toml:16:1"
            },
            "lost": "not_reached",
            "why": "a fallback waits until discovery has answered for /#/fs/web"
          }
        ]
      },
      "fallback": {
        "value": "name",
        "from": "default"
      },
      "outcome": "pending",
      "leaves": [],
      "service": "...",
      "error": {
        "status": 503,
        "message": "/svc/web leads to names that discovery has not answered for yet",
        "word": "binding_timeout"
      },
      "empty_share": 0.0,
      "notes": [
        "a request waits for discovery, 10s at most (binding_timeout)"
      ]
    }
    "##);
}

#[test]
fn a_fail_and_an_empty_leaf_end_the_search() {
    for (rule, wanted) in [
        ("/svc/web => ! ;", "not tried: the later rule at waypost.toml:17:1 goes first, and `!` ends the search"),
        ("/svc/web => $ ;", "not tried: the later rule at waypost.toml:17:1 goes first, and `$` is an answer"),
        (
            "/svc/web => /$/nope/x ;",
            "not tried: the later rule at waypost.toml:17:1 goes first, and an error ends the search",
        ),
    ] {
        let lab = Lab::of_rules(&format!("/svc => /#/fs ;\n{rule}\n"));
        let text = lab.text(&lab.explain("http://web/", &[]));
        assert!(text.contains(wanted), "{rule}\n{text}");
        assert!(text.contains("it would be bound: 127.0.0.1:8091, 127.0.0.1:8092"), "{rule}\n{text}");
    }
}
